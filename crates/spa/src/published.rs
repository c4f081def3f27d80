//! The published test keys (`keys/test`, spec/keys.md, section 6), which nothing is to be guarded with: everybody has their
//! secrets. A test of the house holds these lists against the folder.

use subtle::ConstantTimeEq as _;

use crate::{Psk, PublicKey};

/// Public keys whose secret ones are published: that of the device and that of the server.
pub const PUBLISHED_PUBLIC_KEYS: [[u8; 32]; 2] = [
    [
        0x0f, 0xaa, 0x68, 0x4e, 0xd2, 0x88, 0x67, 0xb9, 0x7f, 0x4a, 0x6a, 0x2d, 0xee, 0x5d, 0xf8, 0xce, 0x97,
        0x4e, 0x76, 0xb7, 0x01, 0x8e, 0x3f, 0x22, 0xa1, 0xc4, 0xcf, 0x26, 0x78, 0x57, 0x0f, 0x20,
    ],
    [
        0x7b, 0x0d, 0x47, 0xd9, 0x34, 0x27, 0xf8, 0x31, 0x11, 0x60, 0x78, 0x1c, 0x7c, 0x73, 0x3f, 0xd8, 0x9f,
        0x88, 0x97, 0x0a, 0xef, 0x49, 0x0d, 0x8a, 0xa0, 0xee, 0x19, 0xa4, 0xcb, 0x8a, 0x1b, 0x14,
    ],
];

/// Published pre-shared keys: a device's, a gate's and a seed.
pub const PUBLISHED_PSKS: [[u8; 32]; 3] = [[0x44; 32], [0x55; 32], [0x66; 32]];

impl PublicKey {
    /// Whether everybody has its secret key.
    #[must_use]
    pub fn is_published(&self) -> bool {
        PUBLISHED_PUBLIC_KEYS.contains(self.as_bytes())
    }
}

impl Psk {
    /// Whether everybody has it, as whichever kind of pre-shared key.
    #[must_use]
    pub fn is_published(&self) -> bool {
        PUBLISHED_PSKS.iter().any(|published| published.ct_eq(self.expose_secret()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;

    #[test]
    fn the_keys_of_the_worked_example_are_published_and_others_are_not() {
        for byte in 0..=255 {
            let key = SecretKey::new(&[byte; 32]).public();
            // X25519 sets and clears bits of a secret key, so that two of these pairs are one.
            let same = |other: u8| SecretKey::new(&[other; 32]).public() == key;
            assert_eq!(key.is_published(), same(0x22) || same(0x33), "{byte}");
            assert_eq!(Psk::new([byte; 32]).is_published(), [0x44, 0x55, 0x66].contains(&byte), "{byte}");
        }
    }
}
