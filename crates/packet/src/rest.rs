//! What is left of a frame while its headers are taken off: captured bytes, and the length on the wire.
//!
//! The one place that tells "the packet ends here" from "the capture ends here".

use crate::{Fault, Layer, Refused};

/// Bytes captured of something that was `len` long on the wire; never more bytes than `len`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> Rest<'a> {
    pub(crate) fn new(bytes: &'a [u8], wire_len: usize) -> Self {
        Self { bytes, len: wire_len.max(bytes.len()) }
    }

    /// The length on the wire.
    pub(crate) const fn len(self) -> usize {
        self.len
    }

    /// What was captured.
    pub(crate) const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether all of it was captured.
    pub(crate) const fn is_complete(self) -> bool {
        self.bytes.len() == self.len
    }

    /// The first `count` bytes, which belong to `layer`.
    pub(crate) fn head(self, count: usize, layer: Layer) -> Result<&'a [u8], Refused> {
        self.bytes.get(..count).ok_or_else(|| self.lacks(count, layer))
    }

    /// The same of a header's fixed part, so that what reads its fields need not ask where it ends.
    pub(crate) fn fixed<const COUNT: usize>(self, layer: Layer) -> Result<&'a [u8; COUNT], Refused> {
        self.bytes.first_chunk().ok_or_else(|| self.lacks(COUNT, layer))
    }

    /// Why there are not so many bytes.
    const fn lacks(self, count: usize, layer: Layer) -> Refused {
        if count <= self.len {
            Refused::NotCaptured(layer)
        } else {
            Refused::Malformed(layer, Fault::Truncated)
        }
    }

    /// What follows the first `count` bytes; nothing if there are not that many.
    pub(crate) fn after(self, count: usize) -> Self {
        Self { bytes: self.bytes.get(count..).unwrap_or_default(), len: self.len.saturating_sub(count) }
    }

    /// The first `len` bytes as a rest of their own: what comes after is padding.
    pub(crate) fn cut(self, len: usize) -> Self {
        Self { bytes: self.bytes.get(..len).unwrap_or(self.bytes), len: self.len.min(len) }
    }
}
