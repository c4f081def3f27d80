//! The stages of a packet's way through aldaba, each in a scene of a size one can choose.
//!
//! Whoever measures takes them from here: `stages.rs` times them, `instructions` counts what they execute, `measure` draws
//! how they grow. Every scene is the same in every run.
#![forbid(unsafe_code)]
#![expect(clippy::missing_panics_doc, reason = "what cannot be measured ends the measurement")]

mod datagram;
mod frames;
mod gate;
mod lease;
mod policy;
mod ring;
mod track;

pub use datagram::{Knocks, Sealed};
pub use frames::{Captured, LINKS};
pub use gate::{GROUP, Gateway};
pub use lease::Leases;
pub use policy::Configuration;
pub use ring::Walk;
pub use track::{DEFAULT_TABLE, Track};

use std::net::{IpAddr, Ipv4Addr};

/// The host that is knocked on.
const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));

/// Somebody out there, by number.
fn source(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0b00_0000 | (number & 0x00ff_ffff)))
}

/// The three ports of a door: no two doors have all three in common, up to 262,144 doors.
fn ports(door: u32) -> [u16; 3] {
    let digit = |place: u32| u16::try_from((door >> (6 * place)) & 63).expect("six bits");
    [10_000 + digit(0), 10_100 + digit(1), 10_200 + digit(2)]
}

/// The same as a sequence.
fn sequence(door: u32) -> aldaba_knock::Sequence {
    let text = ports(door).map(|port| port.to_string()).join(",");
    text.parse().expect("three ports are a sequence")
}

/// A stream of bytes without a pattern: splitmix64.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let words = (1_u64..).map(move |number| {
        let mut word = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    });
    words.flat_map(u64::to_le_bytes)
}
