//! What a client asks for: the 32 bytes of a datagram's core. spec/spa.md, section 7.
//!
//! Encoding and decoding are one-to-one: 32 bytes that no request encodes to are refused.

use std::net::{IpAddr, Ipv6Addr};

use sha2::{Digest, Sha256};

use crate::{Malformed, Timestamp};

/// Bytes of a core.
pub(crate) const CORE: usize = 32;

const OPEN: u8 = 1;
const CLOSE: u8 = 2;
const HELLO: u8 = 3;
/// The address field is set.
const BOUND: u8 = 1;

/// The name of a door as a datagram carries it: the first four bytes of a hash, never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DoorTag([u8; 4]);

impl DoorTag {
    /// The tag of a door's name; `None` for the one name in four thousand million whose hash begins with zeros.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let hash: [u8; 32] =
            Sha256::new_with_prefix(b"aldaba v1 door").chain_update(name.as_bytes()).finalize().into();
        hash.first_chunk().and_then(|tag| Self::from_bytes(*tag))
    }

    fn from_bytes(bytes: [u8; 4]) -> Option<Self> {
        (bytes != [0; 4]).then_some(Self(bytes))
    }

    /// Its four bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Open a door.
    Open {
        /// Which.
        door: DoorTag,
        /// For how many seconds; 0 for the door's default.
        seconds: u16,
        /// For this address only, if the datagram comes from it; else for where the datagram came from.
        bound: Option<IpAddr>,
    },
    /// Close every opening of a door that this device made.
    Close {
        /// Which.
        door: DoorTag,
    },
    /// Open nothing: try key, clock and path.
    Hello,
}

/// What a device asks for, and when it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// What.
    pub operation: Operation,
    /// When, by the device's clock.
    pub time: Timestamp,
}

impl Request {
    /// Its 32 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; CORE] {
        let (op, flags, seconds, door, address) = match self.operation {
            Operation::Open { door, seconds, bound } => {
                (OPEN, u8::from(bound.is_some()) * BOUND, seconds, door.0, bound.map_or([0; 16], to_wire))
            }
            Operation::Close { door } => (CLOSE, 0, 0, door.0, [0; 16]),
            Operation::Hello => (HELLO, 0, 0, [0; 4], [0; 16]),
        };
        let mut core = [0; CORE];
        let fields: [&[u8]; 6] =
            [&[op], &[flags], &seconds.to_be_bytes(), &door, &self.time.0.to_be_bytes(), &address];
        core.iter_mut().zip(fields.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        core
    }

    /// Reads 32 bytes back.
    pub fn decode(core: &[u8; CORE]) -> Result<Self, Malformed> {
        let [op, flags, s0, s1, d0, d1, d2, d3, t0, t1, t2, t3, t4, t5, t6, t7, address @ ..] = *core;
        let seconds = u16::from_be_bytes([s0, s1]);
        let time = Timestamp(u64::from_be_bytes([t0, t1, t2, t3, t4, t5, t6, t7]));
        let door = DoorTag::from_bytes([d0, d1, d2, d3]);
        let address = read_address(flags, address)?;
        let unused = seconds == 0 && address.is_none();
        let operation = match (op, door) {
            (OPEN, Some(door)) => Operation::Open { door, seconds, bound: address },
            (CLOSE, Some(door)) if unused => Operation::Close { door },
            (HELLO, None) if unused => Operation::Hello,
            (OPEN | CLOSE, None) | (HELLO, Some(_)) => return Err(Malformed::Door),
            (CLOSE | HELLO, _) => return Err(Malformed::UnusedField),
            _ => return Err(Malformed::Operation),
        };
        Ok(Self { operation, time })
    }
}

/// IPv4 as `::ffff:a.b.c.d`.
fn to_wire(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

fn read_address(flags: u8, octets: [u8; 16]) -> Result<Option<IpAddr>, Malformed> {
    let set = octets != [0; 16];
    match flags {
        0 if set => Err(Malformed::UnusedField),
        0 => Ok(None),
        BOUND if set => Ok(Some(Ipv6Addr::from(octets).to_canonical())),
        BOUND => Err(Malformed::Address),
        _ => Err(Malformed::Flags),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn request() -> impl Strategy<Value = Request> {
        let door = any::<[u8; 4]>().prop_filter_map("not zero", DoorTag::from_bytes);
        let bound = any::<[u8; 16]>().prop_map(|octets| Some(Ipv6Addr::from(octets).to_canonical()));
        let v4 = any::<[u8; 4]>().prop_map(|octets| Some(IpAddr::from(octets)));
        let bound = prop_oneof![Just(None), bound, v4];
        let operation = prop_oneof![
            (door.clone(), any::<u16>(), bound).prop_map(|(door, seconds, bound)| Operation::Open {
                door,
                seconds,
                bound
            }),
            door.prop_map(|door| Operation::Close { door }),
            Just(Operation::Hello),
        ];
        let time = any::<u64>().prop_map(Timestamp);
        (operation, time).prop_map(|(operation, time)| Request { operation, time }).prop_filter(
            "an address of zeros says there is none",
            |request| {
                !matches!(request.operation, Operation::Open { bound: Some(address), .. } if address == Ipv6Addr::UNSPECIFIED)
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(request in request()) {
            prop_assert_eq!(Request::decode(&request.encode()), Ok(request));
        }

        #[test]
        fn only_what_a_request_encodes_to_is_read(core in any::<[u8; 32]>(), op in 0_u8..5, flags in 0_u8..3, clear in any::<u32>()) {
            let mut core = core;
            core[0] = op;
            core[1] = flags;
            // Runs of zeros, or hardly anything would decode.
            for (at, byte) in core.iter_mut().enumerate().skip(2) {
                if clear >> at & 1 == 1 || clear % 3 == 0 { *byte = 0; }
            }
            if let Ok(request) = Request::decode(&core) {
                prop_assert_eq!(request.encode(), core);
            }
        }
    }

    #[test]
    fn every_wrong_field_has_its_name() {
        let open = Request {
            operation: Operation::Open {
                door: DoorTag::of("ssh").expect("a tag"),
                seconds: 30,
                bound: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))),
            },
            time: Timestamp(1_800_000_000_000_000),
        };
        let with = |at: usize, byte: u8| {
            let mut core = open.encode();
            core[at] = byte;
            Request::decode(&core)
        };
        for op in [0, 4, 255] {
            assert_eq!(with(0, op), Err(Malformed::Operation));
        }
        assert_eq!(with(0, CLOSE), Err(Malformed::UnusedField));
        assert_eq!(with(0, HELLO), Err(Malformed::Door));
        assert_eq!(with(1, 0), Err(Malformed::UnusedField));
        for flags in [2, 3, 0x80] {
            assert_eq!(with(1, flags), Err(Malformed::Flags));
        }
        let mut no_address = open.encode();
        no_address[16..].fill(0);
        assert_eq!(Request::decode(&no_address), Err(Malformed::Address));
        let mut no_door = open.encode();
        no_door[4..8].fill(0);
        assert_eq!(Request::decode(&no_door), Err(Malformed::Door));
    }
}
