//! A bundle as the line of text a client keeps. spec/keys.md, section 4.4.
//!
//! It holds the secrets of the bundle in the open: it is for a private file, and its prefix tells scanners and people so.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Bundle, BundleError, wire};

const PREFIX: &str = "aldaba-opened-1:";
const CHECKSUM: usize = 4;

/// Why a text is no opened bundle. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenedTextError {
    /// It begins otherwise.
    #[error("this is no opened bundle of a kind that this version knows")]
    NoBundle,
    /// Its checksum does not fit.
    #[error("the bundle is damaged")]
    Damaged,
    /// What it holds is none.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl Bundle {
    /// One line of text, to write it into a private file.
    pub fn expose_text(&self) -> Result<Zeroizing<String>, BundleError> {
        let encoded = self.encode()?;
        // The room for all of it: growing would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(encoded.len().saturating_add(CHECKSUM)));
        bytes.extend_from_slice(&encoded);
        bytes.extend_from_slice(&checksum(&encoded));
        let length = PREFIX.len().saturating_add(BASE64URL_NOPAD.encode_len(bytes.len()));
        let mut text = Zeroizing::new(String::with_capacity(length));
        text.push_str(PREFIX);
        BASE64URL_NOPAD.encode_append(&bytes, &mut text);
        Ok(text)
    }

    /// The bundle of such a line.
    pub fn from_text(text: &str) -> Result<Self, OpenedTextError> {
        let data = text.strip_prefix(PREFIX).ok_or(OpenedTextError::NoBundle)?.as_bytes();
        let length = BASE64URL_NOPAD.decode_len(data.len()).map_err(|_| OpenedTextError::Damaged)?;
        if length > wire::MAX_LEN.saturating_add(CHECKSUM) {
            return Err(OpenedTextError::Damaged);
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        BASE64URL_NOPAD.decode_mut(data, &mut bytes).map_err(|_| OpenedTextError::Damaged)?;
        match bytes.split_last_chunk() {
            Some((encoded, sum)) if checksum(encoded) == *sum => Ok(Self::decode(encoded)?),
            _ => Err(OpenedTextError::Damaged),
        }
    }
}

/// Against damage of the file only.
fn checksum(encoded: &[u8]) -> [u8; CHECKSUM] {
    let hash: [u8; 32] =
        Sha256::new_with_prefix(b"aldaba v1 opened bundle").chain_update(encoded).finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}
