//! Counted fields: numbers of four bytes, big-endian, and byte strings with their length before them.

use zeroize::Zeroizing;

use super::BundleError;

/// Puts fields behind one another.
#[derive(Default)]
pub(super) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let wanted = self.0.len().saturating_add(bytes.len());
        if wanted > self.0.capacity() {
            // Growing by itself would leave a copy behind.
            let room = wanted.max(self.0.capacity().saturating_mul(2));
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn byte(&mut self, value: u8) {
        self.raw(&[value]);
    }

    pub(super) fn number(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// A length. Files are bounded far below 4 GiB, so it always fits; if it ever did not, the reader would refuse.
    pub(super) fn count(&mut self, value: usize) {
        self.number(u32::try_from(value).unwrap_or(u32::MAX));
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.raw(bytes);
    }

    pub(super) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Takes fields off the front.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], BundleError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BundleError::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn flag(&mut self) -> Result<bool, BundleError> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(BundleError::Value),
        }
    }

    pub(super) fn number(&mut self) -> Result<u32, BundleError> {
        let (bytes, rest) = self.0.split_first_chunk::<4>().ok_or(BundleError::Short)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*bytes))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], BundleError> {
        let count = self.number()?;
        self.take(usize::try_from(count).map_err(|_| BundleError::Short)?)
    }

    pub(super) fn text(&mut self) -> Result<String, BundleError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| BundleError::Value)
    }

    pub(super) fn finish(self) -> Result<(), BundleError> {
        if self.0.is_empty() { Ok(()) } else { Err(BundleError::Trailing) }
    }
}
