//! Keys: X25519 pairs and pre-shared keys. spec/spa.md, section 3.
//!
//! Secret ones are wiped when dropped, have no `Debug`, and share no type with public ones.

use std::borrow::Borrow;

use subtle::ConstantTimeEq;
use x25519_dalek::{PublicKey as Point, StaticSecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// 2^255 - 19 in little-endian bytes: coordinates from here on have a second, smaller encoding.
const FIELD: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};

/// The canonical u-coordinates of small order on curve25519 (RFC 7748, section 4.1) and its twist, little-endian: 0 of
/// order 2; 1 and, on the twist, -1 of order 4; two of order 8. The cofactors 8 and 4 leave no others. Compared with in
/// place of a key agreement, which would be most of the time a large registry takes to read.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    {
        let mut minus_one = FIELD;
        minus_one[0] = 0xec;
        minus_one
    },
];

/// Why 32 bytes are no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another encoding of the same point exists, and only that one is taken.
    #[error("the key is not canonically encoded")]
    NotCanonical,
    /// With such a key every shared secret is the same for everybody.
    #[error("the key is a point of small order")]
    SmallOrder,
}

/// An X25519 public key: canonical and not of small order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// Whether it is the smallest encoding of its coordinate.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    bytes.iter().rev().lt(FIELD.iter().rev())
}

impl PublicKey {
    /// Checks 32 bytes (RFC 7748, little-endian u-coordinate).
    pub fn new(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if !is_canonical(&bytes) {
            return Err(KeyError::NotCanonical);
        }
        if SMALL_ORDER.contains(&bytes) {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self(bytes))
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Looked up by bytes that were never checked: only checked ones are in a table.
impl Borrow<[u8; 32]> for PublicKey {
    fn borrow(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What two pairs of keys agree on: as secret as either.
pub(crate) type Agreement = Zeroizing<[u8; 32]>;

/// An X25519 secret key.
#[derive(Clone)]
pub struct SecretKey(StaticSecret);

impl SecretKey {
    /// A key from 32 random bytes, which the caller wipes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(StaticSecret::from(*bytes))
    }

    /// Its public key.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        // A clamped scalar times the base point is neither of small order nor encoded in another way.
        PublicKey(Point::from(&self.0).to_bytes())
    }

    /// The secret bytes, to write them into a private file.
    #[must_use]
    pub fn expose_secret(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// X25519; `None` if the result is all zero, which only a point of small order gives.
    pub(crate) fn diffie_hellman(&self, theirs: &[u8; 32]) -> Option<Agreement> {
        #[cfg(test)]
        crate::work::agreement();
        let shared = self.0.diffie_hellman(&Point::from(*theirs));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }
}

/// A pre-shared key of 32 bytes; [`Psk::NONE`] where there is none.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Psk([u8; 32]);

impl Psk {
    /// No pre-shared key: 32 zero bytes, as in WireGuard.
    pub const NONE: Self = Self([0; 32]);

    /// A key from 32 bytes, which the caller wipes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Whether it is [`Psk::NONE`].
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.ct_eq(&[0; 32]).into()
    }

    /// The secret bytes, to write them into a private file or to mix them in.
    #[must_use]
    pub const fn expose_secret(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for SecretKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose_secret().ct_eq(other.expose_secret()).into()
    }
}

impl Eq for SecretKey {}

impl PartialEq for Psk {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Psk {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any clamped scalar maps a point of small order, and no other, to zero.
    fn agrees_with_nobody(bytes: [u8; 32]) -> bool {
        !StaticSecret::from([1; 32]).diffie_hellman(&Point::from(bytes)).was_contributory()
    }

    #[test]
    fn points_of_small_order_are_no_keys() {
        for bytes in SMALL_ORDER {
            assert!(agrees_with_nobody(bytes), "{bytes:02x?}");
            assert_eq!(PublicKey::new(bytes), Err(KeyError::SmallOrder), "{bytes:02x?}");
        }
    }

    #[test]
    fn their_neighbours_are_keys() {
        let near = |bytes: [u8; 32]| {
            (0..=255_u8).map(move |by| {
                let mut other = bytes;
                other[usize::from(by) % 31] ^= by;
                other
            })
        };
        for bytes in SMALL_ORDER.into_iter().flat_map(near).filter(is_canonical) {
            assert_eq!(PublicKey::new(bytes).is_err(), agrees_with_nobody(bytes), "{bytes:02x?}");
        }
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

        #[test]
        fn the_list_says_what_a_key_agreement_says(bytes in proptest::prelude::any::<[u8; 32]>()) {
            let canonical = is_canonical(&bytes);
            proptest::prop_assert_eq!(PublicKey::new(bytes).is_ok(), canonical && !agrees_with_nobody(bytes));
        }
    }

    #[test]
    fn only_the_smallest_encoding_is_taken() {
        let mut nine = [0; 32];
        nine[0] = 9;
        assert!(PublicKey::new(nine).is_ok());
        nine[31] = 0x80;
        assert_eq!(PublicKey::new(nine), Err(KeyError::NotCanonical));
        let mut above = FIELD;
        assert_eq!(PublicKey::new(above), Err(KeyError::NotCanonical));
        above[0] += 9;
        assert_eq!(PublicKey::new(above), Err(KeyError::NotCanonical));
        let mut below = FIELD;
        below[0] -= 2;
        assert!(PublicKey::new(below).is_ok());
    }
}
