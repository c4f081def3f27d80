//! A bundle on its way: sealed for one device, as bytes and as a line of text. spec/keys.md, sections 4.2 and 4.3.
//!
//! The core is that of a knock, the other way round: the server sends, the device receives.

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Bundle, BundleError, wire};
use crate::noise::{State, TAG, hmac};
use crate::seal::message;
use crate::text;
use crate::{KeyError, KeyKind, Psk, PublicKey, SealError, SecretKey, TextError};

const PROLOGUE: &[u8] = b"aldaba v1 bundle";
/// What the text begins with, up to its number.
const NAME: &str = "aldaba-bundle-";
const PREFIX: &str = "aldaba-bundle-1:";
/// Bytes of the text's checksum.
const CHECKSUM: usize = 4;
/// What sealing adds: the ephemeral key, the sender's key and its tag, the tag of the rest.
const ADDED: usize = 32 + 32 + TAG + TAG;
const MAX_LEN: usize = ADDED + wire::MAX_LEN;

/// Whether a text claims to be a bundle.
#[must_use]
pub(crate) fn is_claimed_by(text: &str) -> bool {
    text.trim_start().get(..NAME.len()).is_some_and(|start| start.eq_ignore_ascii_case(NAME))
}

/// 128 random bits that reach the device's owner on another way than the bundle does.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct OneTimeCode([u8; 16]);

/// A code of zeros is what is used where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a one-time code is not all zeros")]
pub struct ZeroCode;

impl OneTimeCode {
    const PREFIX: &str = "aldaba-code-";
    /// The prefix, a 1, 26 characters of 5 bits, 6 of checksum.
    const CHARACTERS: usize = Self::PREFIX.len() + 1 + 26 + 6;

    /// A code from 16 random bytes, which the caller wipes.
    pub fn new(bytes: &[u8; 16]) -> Result<Self, ZeroCode> {
        if bytes.iter().all(|byte| *byte == 0) { Err(ZeroCode) } else { Ok(Self(*bytes)) }
    }

    /// Its text, to show it once.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<String> {
        text::write(Self::PREFIX, Self::CHARACTERS, &self.0)
    }

    /// A code from its text; white space around it does not count.
    pub fn from_text(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if !text::begins(text, Self::PREFIX) {
            return Err(TextError::NoCode);
        }
        Self::new(&*text::read(Self::PREFIX, Self::CHARACTERS, text)?).map_err(|ZeroCode| TextError::Zero)
    }
}

/// The psk of the pattern: the code and zeros behind it.
fn psk(code: Option<&OneTimeCode>) -> Psk {
    let mut bytes = Zeroizing::new([0; 32]);
    if let Some(code) = code {
        bytes.iter_mut().zip(&code.0).for_each(|(to, from)| *to = *from);
    }
    Psk::new(*bytes)
}

/// A bundle that one device can open. No secret: it may be sent over any channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBundle(Vec<u8>);

/// Why a text is no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleTextError {
    /// It is a key.
    #[error("this is {0}; here belongs a bundle, which begins with {PREFIX}")]
    Key(KeyKind),
    /// It is something else.
    #[error("this is no bundle: one begins with {PREFIX}")]
    NoBundle,
    /// Of a kind that this version does not know.
    #[error("this bundle is of a kind that this version does not know: update aldaba")]
    Version,
    /// Its checksum does not fit.
    #[error("the bundle is damaged or not whole: copy all of it, from {PREFIX} to its end")]
    Damaged,
}

impl SealedBundle {
    /// One line of text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let bytes = [self.0.as_slice(), &checksum(&self.0)].concat();
        format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }

    /// A bundle from its text; white space in it, as of a mail program that breaks lines, does not count.
    pub fn from_text(text: &str) -> Result<Self, BundleTextError> {
        let text: String = text.split_whitespace().collect();
        let Some(data) = text.strip_prefix(PREFIX) else {
            return Err(match KeyKind::claimed_by(&text) {
                Some(kind) => BundleTextError::Key(kind),
                None if is_of_another_kind(&text) => BundleTextError::Version,
                None => BundleTextError::NoBundle,
            });
        };
        let bytes = BASE64URL_NOPAD.decode(data.as_bytes()).map_err(|_| BundleTextError::Damaged)?;
        match bytes.split_last_chunk() {
            Some((sealed, sum)) if checksum(sealed) == *sum => Self::from_bytes(sealed),
            _ => Err(BundleTextError::Damaged),
        }
    }

    /// A bundle from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleTextError> {
        let whole = (ADDED..=MAX_LEN).contains(&bytes.len());
        if whole { Ok(Self(bytes.to_vec())) } else { Err(BundleTextError::Damaged) }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Opens it with the key of its device.
    pub fn open(&self, device: &SecretKey, code: Option<&OneTimeCode>) -> Result<OpenedBundle, OpenError> {
        let (ephemeral, rest) = self.0.split_first_chunk::<32>().ok_or(OpenError::OtherDevice)?;
        let (key, rest) = rest.split_first_chunk::<32>().ok_or(OpenError::OtherDevice)?;
        let (key_tag, rest) = rest.split_first_chunk::<TAG>().ok_or(OpenError::OtherDevice)?;
        let (payload, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenError::OtherDevice)?;
        let mut state = State::new(&[PROLOGUE], &device.public());
        state.ephemeral(ephemeral);
        let es = device.diffie_hellman(ephemeral).ok_or(OpenError::OtherDevice)?;
        state.mix_key(&es);
        let mut sender = *key;
        state.decrypt_and_hash(&mut sender, key_tag).map_err(|_| OpenError::OtherDevice)?;
        let sender = PublicKey::new(sender)?;
        let ss = device.diffie_hellman(sender.as_bytes()).ok_or(KeyError::SmallOrder)?;
        state.mix_key(&ss);
        state.mix_key_and_hash(psk(code).expose_secret());
        let mut plaintext = Zeroizing::new(payload.to_vec());
        let wrong = if code.is_some() { OpenError::WrongCode } else { OpenError::NeedsCode };
        state.decrypt_and_hash(&mut plaintext, tag).map_err(|_| wrong)?;
        Ok(OpenedBundle { bundle: Bundle::decode(&plaintext)?, sender })
    }
}

/// Against damage on the way only: anybody can make one.
fn checksum(sealed: &[u8]) -> [u8; CHECKSUM] {
    let hash: [u8; 32] =
        Sha256::new_with_prefix(b"aldaba v1 bundle text").chain_update(sealed).finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// `aldaba-bundle-`, a number and a colon.
fn is_of_another_kind(text: &str) -> bool {
    let number = text.strip_prefix(NAME).and_then(|rest| rest.split_once(':')).map(|(number, _)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

pub(super) fn seal(
    plaintext: &[u8],
    server: &SecretKey,
    device: &PublicKey,
    code: Option<&OneTimeCode>,
    random: &[u8; 32],
) -> Result<SealedBundle, SealError> {
    // As for a knock: should the random bytes ever repeat, the ephemeral key does not, unless all it seals does.
    let key = hmac(server.expose_secret(), &[b"aldaba v1 hedge bundle"]);
    let ephemeral = SecretKey::new(&hmac(&key, &[random, device.as_bytes(), plaintext]));
    seal_with(plaintext, server, device, code, &ephemeral)
}

pub(super) fn seal_with(
    plaintext: &[u8],
    server: &SecretKey,
    device: &PublicKey,
    code: Option<&OneTimeCode>,
    ephemeral: &SecretKey,
) -> Result<SealedBundle, SealError> {
    let mut state = State::new(&[PROLOGUE], device);
    let (public, rest) = message(&mut state, server, &psk(code), device, plaintext, ephemeral)?;
    Ok(SealedBundle([public.as_bytes().as_slice(), &rest].concat()))
}

/// Why a bundle cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bundle is whole, and for somebody else.
    #[error("the bundle is sealed for another device's key")]
    OtherDevice,
    /// There is a code, and it was not given.
    #[error("the bundle is sealed with a one-time code: give it too")]
    NeedsCode,
    /// It is not the one.
    #[error("the one-time code is not that of this bundle")]
    WrongCode,
    /// Whoever sealed it has no usable key.
    #[error("the sender's key is not usable: {0}")]
    Sender(#[from] KeyError),
    /// What it holds is none.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

/// A bundle and who sealed it.
pub struct OpenedBundle {
    /// What it says.
    pub bundle: Bundle,
    /// The key it was sealed with. Where there was no code and no earlier bundle, its owner is whoever the user says it is.
    pub sender: PublicKey,
}

/// Why a bundle does not take the place of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReplaced {
    /// Its sender is no server of the one there is.
    #[error("the bundle comes from another server than the one there is")]
    OtherServer,
    /// It is as old, or older.
    #[error("the bundle is not newer than the one there is")]
    NotNewer,
}

impl OpenedBundle {
    /// Whether it may take the place of `old`: it comes from a key that stands there, and was made later.
    pub fn may_replace(&self, old: &Bundle) -> Result<(), NotReplaced> {
        if !old.locks.iter().any(|lock| lock.server == self.sender) {
            return Err(NotReplaced::OtherServer);
        }
        if self.bundle.issued <= old.issued { Err(NotReplaced::NotNewer) } else { Ok(()) }
    }
}
