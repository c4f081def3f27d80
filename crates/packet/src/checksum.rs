//! The Internet checksum (RFC 1071) and the pseudo headers it covers.

use std::net::IpAddr;

/// A sum that has not been folded yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sum(u64);

impl Sum {
    /// Adds bytes that begin at an even place. Four at a time: 2^16 is 1 modulo 65,535.
    #[inline]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        let sum = words.iter().fold(self, |sum, word| sum.word(u32::from_be_bytes(*word)));
        if rest.is_empty() {
            return sum;
        }
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sum.word(u32::from_be_bytes(last))
    }

    fn word(self, word: u32) -> Self {
        Self(self.0.wrapping_add(u64::from(word)))
    }

    /// Adds what stands in front of a transport's header of `len` bytes with its payload, for the checksum only.
    pub(crate) fn pseudo_header(self, source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Self {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let sum = self.address(source).address(destination).0;
        Self(sum.wrapping_add(u64::from(protocol)).wrapping_add(len))
    }

    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => self.word(v4.to_bits()),
            IpAddr::V6(v6) => self.bytes(&v6.octets()),
        }
    }

    /// The sum in 16 bits.
    pub(crate) const fn fold(self) -> u64 {
        let mut sum = self.0;
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF).wrapping_add(sum >> 16);
        }
        sum
    }

    /// Whether the checksum among the summed bytes is right.
    pub(crate) const fn is_right(self) -> bool {
        self.fold() == 0xFFFF
    }
}
