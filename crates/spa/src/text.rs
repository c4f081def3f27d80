//! Keys as text: Bech32m (BIP 350) with a prefix that says what kind of key it is. spec/keys.md, section 1.
//!
//! Nobody pastes a secret where a public key belongs, a mistyped key is told from a wrong one, and scanners find secrets.
//! Where exactly one character is wrong the error says which; nothing is corrected silently.

use std::fmt;

use bech32::primitives::checksum::Engine;
use bech32::primitives::decode::UncheckedHrpstring;
use bech32::{Bech32m, ByteIterExt as _, Checksum as _, Fe32, Fe32IterExt as _, Hrp};
use zeroize::Zeroizing;

use crate::{KeyError, Psk, PublicKey, SecretKey};

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The public key of a device: what stands in `authorized_keys`.
    Device,
    /// The secret key of a device.
    DeviceSecret,
    /// The public key of a server.
    Server,
    /// The secret key of a server.
    ServerSecret,
    /// The pre-shared key of a gate.
    Gate,
    /// What the devices' pre-shared keys are derived from.
    Seed,
    /// The pre-shared key of one device.
    DevicePsk,
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Device,
        Self::DeviceSecret,
        Self::Server,
        Self::ServerSecret,
        Self::Gate,
        Self::Seed,
        Self::DevicePsk,
    ];

    /// What its text begins with, before the `1` that ends every prefix.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Device => "aldaba",
            Self::DeviceSecret => "aldaba-secret-",
            Self::Server => "aldaba-server-",
            Self::ServerSecret => "aldaba-server-secret-",
            Self::Gate => "aldaba-gate-",
            Self::Seed => "aldaba-seed-",
            Self::DevicePsk => "aldaba-psk-",
        }
    }

    /// The kind of key a text claims to be: only the prefix can tell what somebody meant to paste.
    #[must_use]
    pub fn claimed_by(text: &str) -> Option<Self> {
        // The 1 makes that no prefix begins another one.
        Self::ALL.into_iter().find(|kind| begins(text, kind.prefix()))
    }

    /// How many characters its text has.
    const fn characters(self) -> usize {
        self.prefix().len().saturating_add(1 + DATA + CHECKSUM)
    }
}

/// Whether a text begins with a prefix and a 1.
pub(crate) fn begins(text: &str, prefix: &str) -> bool {
    let start = text.get(..prefix.len()).zip(text.get(prefix.len()..));
    start.is_some_and(|(start, rest)| start.eq_ignore_ascii_case(prefix) && rest.starts_with('1'))
}

/// 32 bytes are 52 characters of 5 bits, the last of which has 4 that are 0.
const DATA: usize = 52;
const CHECKSUM: usize = 6;

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "a device's public key",
            Self::DeviceSecret => "a device's secret key",
            Self::Server => "a server's public key",
            Self::ServerSecret => "a server's secret key",
            Self::Gate => "a gate's pre-shared key",
            Self::Seed => "a seed of pre-shared keys",
            Self::DevicePsk => "a device's pre-shared key",
        })
    }
}

/// Why a text is not the key that was asked for. Never holds any of the text. Characters are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing about it looks like one.
    #[error("this is no key: {0} begins with {prefix}1", prefix = .0.prefix())]
    NoKey(KeyKind),
    /// A one-time code was asked for.
    #[error("this is no one-time code: one begins with aldaba-code-1")]
    NoCode,
    /// It is what `aldaba enrol` takes.
    #[error("this is a bundle; here belongs {0}, which begins with {prefix}1", prefix = .0.prefix())]
    Bundle(KeyKind),
    /// It is a key, of another kind.
    #[error("this is {found}; here belongs {wanted}, which begins with {prefix}1", prefix = .wanted.prefix())]
    OtherKind {
        /// What it is.
        found: KeyKind,
        /// What was asked for.
        wanted: KeyKind,
    },
    /// Capital and small letters.
    #[error("the key is mistyped: it has capital and small letters, and keys have only one of the two")]
    MixedCase,
    /// A character that no key has.
    #[error("the key is mistyped: character {0} is one that keys do not have")]
    Character(usize),
    /// Too short or too long.
    #[error("the key is {}: it has {has} characters, and {wanted} of them are needed", if .has < .wanted { "cut off" } else { "too long" })]
    Length {
        /// How many it has.
        has: usize,
        /// How many it should have.
        wanted: usize,
    },
    /// One character is wrong, or several are in a way that looks like this one.
    #[error("the key is mistyped: its checksum does not fit, and most likely character {0} is wrong")]
    MistypedAt(usize),
    /// Several characters are wrong.
    #[error("the key is mistyped: its checksum does not fit")]
    Mistyped,
    /// Only zeros: that stands for no pre-shared key.
    #[error("this key is all zeros, which is no key")]
    Zero,
    /// The checksum is right and the key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A key as text.
#[must_use]
pub fn encode(kind: KeyKind, bytes: &[u8; 32]) -> Zeroizing<String> {
    write(kind.prefix(), kind.characters(), bytes)
}

/// In one allocation, so that wiping the text leaves nothing behind.
pub(crate) fn write(prefix: &str, characters: usize, bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(characters));
    let prefix = Hrp::parse_unchecked(prefix);
    text.extend(bytes.iter().copied().bytes_to_fes().with_checksum::<Bech32m>(&prefix).chars());
    text
}

/// The bytes of a key of this kind; white space around it does not count.
pub fn decode(kind: KeyKind, text: &str) -> Result<Zeroizing<[u8; 32]>, TextError> {
    let text = text.trim();
    match KeyKind::claimed_by(text) {
        None if crate::bundle::is_claimed_by(text) => return Err(TextError::Bundle(kind)),
        None => return Err(TextError::NoKey(kind)),
        Some(found) if found != kind => return Err(TextError::OtherKind { found, wanted: kind }),
        Some(_) => {}
    }
    read(kind.prefix(), kind.characters(), text)
}

/// The bytes of a text that begins with `prefix` and a 1: exactly the ones that are written so, in small or capital letters.
pub(crate) fn read<const N: usize>(
    prefix: &str,
    characters: usize,
    text: &str,
) -> Result<Zeroizing<[u8; N]>, TextError> {
    // What a whole key has is looked at once; what is wrong with another text, at leisure.
    // Where both lengths are right, the prefix is the whole of what stands before the last 1.
    let data = characters.saturating_sub(prefix.len()).saturating_sub(1);
    let is_whole =
        |found: &UncheckedHrpstring<'_>| text.len() == characters && found.data_part_ascii().len() == data;
    let Some(unchecked) = UncheckedHrpstring::new(text).ok().filter(is_whole) else {
        check_characters(prefix, characters, text)?;
        return Err(TextError::Mistyped);
    };
    if unchecked.validate_checksum::<Bech32m>().is_err() {
        check_characters(prefix, characters, text)?;
        return Err(mistyped(prefix, text));
    }
    let checked = unchecked.remove_checksum::<Bech32m>();
    // Bits behind the last byte would be a second spelling; segwit's rule for them is ours.
    checked.validate_segwit_padding().map_err(|_| TextError::Mistyped)?;
    let mut bytes = Zeroizing::new([0; N]);
    bytes.iter_mut().zip(checked.byte_iter()).for_each(|(to, from)| *to = from);
    Ok(bytes)
}

/// What is wrong with it that needs no arithmetic.
fn check_characters(prefix: &str, wanted: usize, text: &str) -> Result<(), TextError> {
    let data = text.chars().enumerate().skip(prefix.len().saturating_add(1));
    for (before, character) in data {
        if Fe32::from_char(character).is_err() {
            return Err(TextError::Character(before.saturating_add(1)));
        }
    }
    if text.contains(|c: char| c.is_ascii_lowercase()) && text.contains(|c: char| c.is_ascii_uppercase()) {
        return Err(TextError::MixedCase);
    }
    let has = text.chars().count();
    if has == wanted { Ok(()) } else { Err(TextError::Length { has, wanted }) }
}

/// Which character is wrong, if there is one that explains the checksum.
fn mistyped(prefix: &str, text: &str) -> TextError {
    let mut engine = Engine::<Bech32m>::new();
    engine.input_hrp(Hrp::parse_unchecked(prefix));
    let start = prefix.len().saturating_add(1);
    for character in text.chars().skip(start).filter_map(|c| Fe32::from_char(c).ok()) {
        engine.input_fe(character);
    }
    let difference = engine.residue() ^ Bech32m::TARGET_RESIDUE;
    // The checksum is linear: what one wrong character does to it depends on its place and on the difference only.
    let explains = |value: u32| {
        let effects = std::iter::successors(Some(value), |effect| Some(shifted(*effect)));
        effects.zip((start..text.len()).rev()).find(|(effect, _)| *effect == difference)
    };
    (1..32)
        .find_map(explains)
        .map_or(TextError::Mistyped, |(_, at)| TextError::MistypedAt(at.saturating_add(1)))
}

/// The checksum after one more character of value 0.
fn shifted(residue: u32) -> u32 {
    let carry = residue >> 25;
    let taps = Bech32m::GENERATOR_SH.into_iter().enumerate().filter(|(bit, _)| carry >> bit & 1 == 1);
    taps.fold((residue & 0x01ff_ffff) << 5, |sum, (_, tap)| sum ^ tap)
}

impl PublicKey {
    /// A public key of this kind from its text.
    pub fn from_text(kind: KeyKind, text: &str) -> Result<Self, TextError> {
        Ok(Self::new(*decode(kind, text)?)?)
    }

    /// Its text.
    #[must_use]
    pub fn to_text(self, kind: KeyKind) -> String {
        encode(kind, self.as_bytes()).to_string()
    }
}

impl SecretKey {
    /// A secret key of this kind from its text.
    pub fn from_text(kind: KeyKind, text: &str) -> Result<Self, TextError> {
        decode(kind, text).map(|bytes| Self::new(&bytes))
    }

    /// Its text, to write it into a private file.
    #[must_use]
    pub fn expose_text(&self, kind: KeyKind) -> Zeroizing<String> {
        encode(kind, self.expose_secret())
    }
}

impl Psk {
    /// Its text, to write it into a private file.
    #[must_use]
    pub fn expose_text(&self, kind: KeyKind) -> Zeroizing<String> {
        encode(kind, self.expose_secret())
    }

    /// A pre-shared key or seed from its text.
    pub fn from_text(kind: KeyKind, text: &str) -> Result<Self, TextError> {
        let psk = Self::new(*decode(kind, text)?);
        if psk.is_none() { Err(TextError::Zero) } else { Ok(psk) }
    }
}

#[cfg(test)]
mod tests;
