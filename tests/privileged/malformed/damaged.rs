//! Good datagrams with options and extension headers, right or not, and a few bytes changed where lengths, kinds and
//! options stand. Addresses and ports stay: they tell frames apart, and so do the numbers of fragments.
#![expect(clippy::cast_possible_truncation, reason = "small numbers, cut on purpose")]

use aldaba_packet::{Link, build};
use aldaba_tests::hosts::{CLIENT, CLIENT6, SERVER, SERVER6};

use super::PORT;

/// One frame from `port`, damaged or not.
pub(crate) fn frame(random: &mut Random, port: u16) -> Vec<u8> {
    let four = random.below(2) == 0;
    let frame = if four {
        build::Frame::udp(CLIENT, port, SERVER, PORT).ipv4_options(&options(random))
    } else {
        let frame = build::Frame::udp(CLIENT6, port, SERVER6, PORT);
        (0..random.below(3)).fold(frame, |frame, place| extension(random, frame, place))
    };
    let mut bytes = frame.payload(b"knock").bytes(Link::Ethernet);
    let transport = bytes.len() - 13;
    for _ in 0..random.below(3) {
        let place = 12 + random.below(transport + 6 - 12);
        let address = if four { 26..34 } else { 22..54 };
        let number = four && place / 2 == 9;
        if !(address.contains(&place) || (transport..transport + 4).contains(&place) || number) {
            bytes[place] = random.byte();
        }
    }
    if four && random.below(8) != 0 {
        let end = (14 + usize::from(bytes[14] & 15) * 4).min(bytes.len());
        bytes[24..26].fill(0);
        let right = checksum(&bytes[14..end]);
        bytes[24..26].copy_from_slice(&right.to_be_bytes());
    }
    bytes
}

fn checksum(header: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = header.chunks(2).map(word).sum();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    !(((sum & 0xFFFF) + (sum >> 16)) as u16)
}

/// Options that look like options, right or not.
fn options(random: &mut Random) -> Vec<u8> {
    const KINDS: [u8; 9] = [0, 1, 7, 68, 131, 137, 148, 130, 25];
    let mut options = Vec::new();
    while random.below(4) != 0 && options.len() < 24 {
        let length = 2 + random.below(12);
        options.extend([KINDS[random.below(KINDS.len())], length as u8]);
        options.extend((2..length).map(|_| random.below(16) as u8));
    }
    options.resize(options.len().next_multiple_of(4), 0);
    options
}

fn extension(random: &mut Random, frame: build::Frame, place: usize) -> build::Frame {
    // Not 2: whether that is accepted depends on the kernel's build.
    const ROUTES: [u8; 4] = [0, 1, 3, 4];
    const KINDS: [u8; 8] = [0, 1, 1, 5, 0x1E, 0x5E, 0x31, 0xC2];
    let header = match (random.below(4), place) {
        (0, _) => return frame.extension(44, build::fragment_header(0, random.below(4) == 0, random.next())),
        (1, _) => {
            return frame.extension(
                43,
                build::routing_header(ROUTES[random.below(ROUTES.len())], random.below(2) as u8, 1),
            );
        }
        _ => {
            let mut options = Vec::new();
            while random.below(4) != 0 {
                let length = random.below(8);
                options.extend([KINDS[random.below(KINDS.len())], length as u8]);
                options.extend((0..length).map(|_| (random.byte() % 3) / 2));
            }
            build::option_header(&options)
        }
    };
    frame.extension(if place == 0 && random.below(2) == 0 { 0 } else { 60 }, header)
}

/// The same frames on each run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn below(&mut self, limit: usize) -> usize {
        self.next() as usize % limit
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}
