//! Keys as text: Bech32m (BIP 350) with a prefix that says what kind of key it is. spec/keys.md, section 1.
//!
//! Nobody pastes a secret where a public key belongs, a mistyped key is told from a wrong one, and scanners find secrets.

use std::fmt;

use bech32::primitives::decode::{CheckedHrpstring, UncheckedHrpstring};
use bech32::{Bech32m, Hrp};
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
}

impl KeyKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Device, Self::DeviceSecret, Self::Server, Self::ServerSecret, Self::Gate, Self::Seed];

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
        }
    }

    /// The kind whose text begins so.
    fn of(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix().eq_ignore_ascii_case(prefix))
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Device => "a device's public key",
            Self::DeviceSecret => "a device's secret key",
            Self::Server => "a server's public key",
            Self::ServerSecret => "a server's secret key",
            Self::Gate => "a gate's pre-shared key",
            Self::Seed => "a seed of pre-shared keys",
        })
    }
}

/// Why a text is not the key that was asked for. Never holds any of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing about it looks like one.
    #[error("this is no key: {0} begins with {prefix}1", prefix = .0.prefix())]
    NoKey(KeyKind),
    /// It is a key, of another kind.
    #[error("this is {found}; here belongs {wanted}, which begins with {prefix}1", prefix = .wanted.prefix())]
    OtherKind {
        /// What it is.
        found: KeyKind,
        /// What was asked for.
        wanted: KeyKind,
    },
    /// A character of it is wrong, or some are missing.
    #[error("the key is mistyped or cut off: its checksum does not fit")]
    Mistyped,
    /// The checksum is right and the key is none.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A key as text.
#[must_use]
pub fn encode(kind: KeyKind, bytes: &[u8; 32]) -> Zeroizing<String> {
    // The prefixes are well-formed and 32 bytes fit, as the tests show for each.
    let text = Hrp::parse(kind.prefix()).ok().and_then(|hrp| bech32::encode::<Bech32m>(hrp, bytes).ok());
    Zeroizing::new(text.unwrap_or_default())
}

/// The bytes of a key of this kind; white space around it does not count.
pub fn decode(kind: KeyKind, text: &str) -> Result<Zeroizing<[u8; 32]>, TextError> {
    let text = text.trim();
    // Only the prefix can tell what somebody meant to paste: it ends at the last 1.
    let found = text.rsplit_once('1').and_then(|(prefix, _)| KeyKind::of(prefix));
    match found {
        None => return Err(TextError::NoKey(kind)),
        Some(found) if found != kind => return Err(TextError::OtherKind { found, wanted: kind }),
        Some(_) => {}
    }
    let unchecked = UncheckedHrpstring::new(text).map_err(|_| TextError::Mistyped)?;
    let checked: CheckedHrpstring<'_> =
        unchecked.validate_and_remove_checksum::<Bech32m>().map_err(|_| TextError::Mistyped)?;
    let mut bytes = Zeroizing::new([0; 32]);
    let mut given = checked.byte_iter();
    for byte in bytes.iter_mut() {
        *byte = given.next().ok_or(TextError::Mistyped)?;
    }
    if given.next().is_some() { Err(TextError::Mistyped) } else { Ok(bytes) }
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
}

impl Psk {
    /// A pre-shared key or seed from its text.
    pub fn from_text(kind: KeyKind, text: &str) -> Result<Self, TextError> {
        decode(kind, text).map(|bytes| Self::new(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = KeyKind> {
        proptest::sample::select(KeyKind::ALL.to_vec())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(kind in kind(), bytes in any::<[u8; 32]>()) {
            let text = encode(kind, &bytes);
            prop_assert!(text.starts_with(kind.prefix()), "{}", *text);
            prop_assert_eq!(*decode(kind, &text).expect("a key"), bytes);
            prop_assert_eq!(*decode(kind, &format!(" {}\n", text.to_uppercase())).expect("a key"), bytes);
        }

        #[test]
        fn another_kind_is_named(wanted in kind(), found in kind(), bytes in any::<[u8; 32]>()) {
            prop_assume!(wanted != found);
            prop_assert_eq!(decode(wanted, &encode(found, &bytes)), Err(TextError::OtherKind { found, wanted }));
        }

        #[test]
        fn a_wrong_character_is_noticed(kind in kind(), bytes in any::<[u8; 32]>(), at in 0_usize..52, with in "[ac-hj-np-z02-9]") {
            let text = encode(kind, &bytes);
            let at = kind.prefix().len() + 1 + at;
            let mut wrong = text.to_string();
            prop_assume!(wrong[at..=at] != with);
            wrong.replace_range(at..=at, &with);
            prop_assert_eq!(decode(kind, &wrong), Err(TextError::Mistyped));
            prop_assert_eq!(decode(kind, &text[..text.len() - 1]), Err(TextError::Mistyped));
        }

        #[test]
        fn any_text_is_a_key_or_not(kind in kind(), text in "\\PC{0,90}") {
            if let Ok(bytes) = decode(kind, &text) {
                prop_assert_eq!(&*encode(kind, &bytes), &text.trim().to_lowercase());
            }
        }
    }

    #[test]
    fn an_unusable_key_is_not_read() {
        let text = encode(KeyKind::Device, &[0; 32]);
        assert_eq!(PublicKey::from_text(KeyKind::Device, &text), Err(TextError::Key(KeyError::SmallOrder)));
        assert_eq!(
            PublicKey::from_text(KeyKind::Device, "ssh-ed25519 AAAA"),
            Err(TextError::NoKey(KeyKind::Device))
        );
    }
}
