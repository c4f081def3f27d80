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

impl PublicKey {
    /// Checks 32 bytes (RFC 7748, little-endian u-coordinate).
    pub fn new(bytes: [u8; 32]) -> Result<Self, KeyError> {
        if !bytes.iter().rev().lt(FIELD.iter().rev()) {
            return Err(KeyError::NotCanonical);
        }
        // Any clamped scalar maps a point of small order, and no other, to zero.
        let any = StaticSecret::from([1; 32]);
        if !any.diffie_hellman(&Point::from(bytes)).was_contributory() {
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
    pub(crate) fn diffie_hellman(&self, theirs: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
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

    /// The u-coordinates of small order below 2^255 - 19 (RFC 7748's curve has five of them).
    const SMALL: [&str; 5] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];

    fn bytes(hex: &str) -> [u8; 32] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).expect("hex"))
    }

    #[test]
    fn points_of_small_order_are_no_keys() {
        for hex in SMALL {
            assert_eq!(PublicKey::new(bytes(hex)), Err(KeyError::SmallOrder), "{hex}");
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
