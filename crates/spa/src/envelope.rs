//! The envelope around the core: the masked ephemeral key and the gate tag. spec/spa.md, section 6.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::lock::GateKeys;
use crate::noise::hmac;
use crate::{MAX_LEN, MIN_LEN};

/// Bytes of the masked ephemeral key.
pub(crate) const HEAD: usize = 32;
/// Bytes of the sealed device key: 32 and its tag.
pub(crate) const SEALED_KEY: usize = 48;

/// Eight bytes that name a datagram to its sender and its receiver and were not sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KnockId(pub [u8; 8]);

impl fmt::Display for KnockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for KnockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The fields of a datagram whose length is right.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) head: &'a [u8; HEAD],
    /// `cs`: the sealed device key.
    pub(crate) key: &'a [u8; SEALED_KEY],
    /// `cp`: the sealed core and padding.
    pub(crate) payload: &'a [u8],
    /// All before the tag.
    tagged: &'a [u8],
    tag: &'a [u8; 16],
}

impl<'a> Fields<'a> {
    /// `None` if the length is not one a datagram of suite 1 has.
    pub(crate) fn split(bytes: &'a [u8]) -> Option<Self> {
        if !(MIN_LEN..=MAX_LEN).contains(&bytes.len()) {
            return None;
        }
        let (tagged, tag) = bytes.split_last_chunk()?;
        let (head, rest) = tagged.split_first_chunk()?;
        let (key, payload) = rest.split_first_chunk()?;
        Some(Self { head, key, payload, tagged, tag })
    }

    /// Compares the tag in constant time.
    pub(crate) fn is_tagged_by(&self, gate: &GateKeys) -> Option<KnockId> {
        let (tag, id) = tags(gate, self.tagged);
        bool::from(tag.ct_eq(self.tag)).then_some(id)
    }

    /// The ephemeral key.
    pub(crate) fn unmask(&self, gate: &GateKeys) -> [u8; HEAD] {
        masked(gate, self.head, &[self.key, self.payload])
    }

    /// The tag as it was sent.
    pub(crate) const fn tag(&self) -> &'a [u8; 16] {
        self.tag
    }
}

/// `head XOR keystream`, which depends on all that follows: the same for masking and for taking it off.
pub(crate) fn masked(gate: &GateKeys, head: &[u8; HEAD], rest: &[&[u8]]) -> [u8; HEAD] {
    let keystream = keystream(gate, rest);
    let mut out = *head;
    out.iter_mut().zip(keystream.iter()).for_each(|(byte, key)| *byte ^= key);
    out
}

pub(crate) fn keystream(gate: &GateKeys, rest: &[&[u8]]) -> Zeroizing<[u8; HEAD]> {
    let prk = hmac(&gate.mask, rest);
    hmac(&prk, &[&[1]])
}

/// The gate tag of all that stands before it, and the knock id.
pub(crate) fn tags(gate: &GateKeys, tagged: &[u8]) -> ([u8; 16], KnockId) {
    let mac = gate.tag.mac(&[tagged]);
    let (tag, rest) = mac.split_first_chunk().unwrap_or((&[0; 16], &[]));
    let id = rest.first_chunk().unwrap_or(&[0; 8]);
    (*tag, KnockId(*id))
}
