//! The text of a server's file: the device's public key, and the opened bundle. spec/keys.md, section 4.4.

use aldaba_spa::{Bundle, BundleError, KeyKind, OpenedTextError, PublicKey, TextError};
use zeroize::Zeroizing;

const HEAD: &str = "# A server's bundle, opened. It holds secrets: keep it private.\n";

/// Why a file is none of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoredError {
    #[error("this is no file of a server")]
    Lines,
    #[error("the device: {0}")]
    Device(#[from] TextError),
    #[error(transparent)]
    Text(#[from] OpenedTextError),
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

pub(super) fn write(device: &PublicKey, bundle: &Bundle) -> Result<Zeroizing<String>, BundleError> {
    let (device, bundle) = (device.to_text(KeyKind::Device), bundle.expose_text()?);
    // In one allocation, so that wiping it leaves nothing behind.
    let parts = [HEAD, "device ", &device, "\nbundle ", &bundle, "\n"];
    let mut text = Zeroizing::new(String::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        text.push_str(part);
    }
    Ok(text)
}

pub(super) fn read(text: &str) -> Result<(PublicKey, Bundle), StoredError> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut field = |name: &str| {
        let line = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.ok_or(StoredError::Lines)
    };
    let (device, bundle) = (field("device")?, field("bundle")?);
    if lines.next().is_some() {
        return Err(StoredError::Lines);
    }
    Ok((PublicKey::from_text(KeyKind::Device, device)?, Bundle::from_text(bundle)?))
}
