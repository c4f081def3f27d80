//! The stages that are counted: one function each, so that callgrind tells them apart. Each is called so many times that
//! what happens seldom is spread over the rest.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aldaba_bench::{Captured, Configuration, Gateway, Knocks, LINKS, Leases, Sealed, Track, Walk};
use aldaba_gate::{DoorId, KnockAction};
use aldaba_knock::Mode;
use aldaba_spa::KnockId;
use aldaba_sys::nft::{Family, SetName, opening};
use aldabad::ipc::{FromWorker, Place};

/// Defines the stages, the list of their names and the function that runs them all.
macro_rules! stages {
    ($($name:ident($scene:ident: $kind:ty = $new:expr, $times:expr) $body:block)*) => {
        $(
            #[inline(never)]
            fn $name($scene: &mut $kind) {
                // Two that were the same to the letter would become one.
                black_box(stringify!($name));
                black_box($body);
            }
        )*

        /// Runs every stage.
        pub(crate) fn all() {
            $(
                let mut scene: $kind = $new;
                for _ in 0..$times {
                    $name(black_box(&mut scene));
                }
            )*
        }

        /// Their names as the table has them, in its order.
        pub(crate) fn names() -> Vec<String> {
            let mut names = vec![$(stringify!($name).trim_start_matches("stage_").replace('_', "-")),*];
            names.sort_unstable();
            names
        }
    };
}

stages! {
    stage_parse_syn(frame: Captured = Captured::syn(LINKS[0].1), 200) { frame.parse().is_ok() }
    stage_parse_syn_ethernet(frame: Captured = Captured::syn(LINKS[1].1), 200) { frame.parse().is_ok() }
    stage_parse_syn_ipv6(frame: Captured = Captured::syn6(), 200) { frame.parse().is_ok() }
    stage_parse_datagram(frame: Captured = Captured::datagram(160), 200) { frame.parse().is_ok() }
    stage_track_knock(track: Track = Track::new(1, Mode::Compatible, 1 << 10), 200) { track.knock() }
    stage_track_knock_of_1000_doors(track: Track = Track::new(1_000, Mode::Compatible, 1 << 10), 200) { track.knock() }
    stage_track_knock_strict(track: Track = Track::new(1_000, Mode::Strict, 1 << 10), 200) { track.knock() }
    stage_track_miss(track: Track = Track::new(1_000, Mode::Compatible, 1 << 10), 200) { track.miss() }
    stage_track_newcomer(track: Track = full(1), 1_000) { track.newcomer() }
    stage_track_newcomer_among_advanced(track: Track = full(2), 1_000) { track.newcomer() }
    stage_gate_spoofed_syn(gate: Gateway = Gateway::spoofed(1, Mode::Compatible, 1_000), 1_000) { gate.frame() }
    stage_gate_spoofed_syn_of_1000_doors(gate: Gateway = Gateway::spoofed(1_000, Mode::Compatible, 1_000), 1_000) {
        gate.frame()
    }
    stage_capture_group_of_16(walk: Walk = Walk::new(), 500) { walk.group() }
    stage_gate_group_of_16(gate: Gateway = Gateway::spoofed(1, Mode::Compatible, 3_200), 200) { gate.group() }
    stage_gate_junk(gate: Gateway = Gateway::junk(1, 100), 100) { gate.frame() }
    stage_gate_junk_of_1000_devices(gate: Gateway = Gateway::junk(1_000, 100), 100) { gate.frame() }
    stage_datagram_tag(sealed: Sealed = Sealed::new(), 100) { sealed.verify() }
    stage_datagram_open(sealed: Sealed = Sealed::new(), 20) { sealed.open() }
    stage_datagram_replayed(knocks: Replayed = Replayed::new(), 100) { knocks.again() }
    stage_message_sequence(message: FromWorker = of_sequence(), 200) { comes_over(message) }
    stage_message_datagram(message: FromWorker = of_datagram(), 200) { comes_over(message) }
    stage_message_to_kernel(set: SetName = set(), 200) { opening(set, CLIENT, LEASE) }
    stage_lease_open_and_close(leases: Leases = Leases::new(1), 200) { leases.open_and_close() }
    stage_lease_open_and_close_beside_1000(leases: Leases = Leases::new(1_000), 200) { leases.open_and_close() }
    stage_lease_open_and_close_by_device_beside_1000(leases: Leases = Leases::new(1_000), 200) {
        leases.open_and_close_by_device()
    }
    stage_lease_open_and_close_by_device_beside_4000(leases: Leases = Leases::new(4_000), 200) {
        leases.open_and_close_by_device()
    }
    stage_lease_renew_one_of_1000(leases: Leases = Leases::new(1_000), 200) { leases.renew() }
    stage_lease_open_and_expire_beside_1000(leases: Leases = Leases::new(1_000), 200) { leases.open_and_expire() }
    stage_policy_read_100_doors(configuration: Configuration = Configuration::new(100), 1) { configuration.read() }
    stage_policy_read_1000_doors(configuration: Configuration = Configuration::new(1_000), 1) { configuration.read() }
}

/// Pairs, and how many in a hundred of the first one's the second may have: what it has more of must cost next to nothing.
///
/// At their three ports 16, 64 and 1,000 doors have a step in common: each packet of a knock executes some 76 instructions more there
/// than with one door, of 1,375, by looking for its port by halves, among all ports of the doors (144 in place of 3) and among those
/// that may come next (64, 16 and one in place of one). To read a policy is work for each door, and the same for each. Leases are found
/// in ordered tables, which four times as many make a level deeper here and there; with a look at each of them it were more than twice
/// as much.
pub(crate) const FLAT: [(&str, &str, u64); 5] = [
    ("track-knock", "track-knock-of-1000-doors", 110),
    ("gate-spoofed-syn", "gate-spoofed-syn-of-1000-doors", 110),
    ("gate-junk", "gate-junk-of-1000-devices", 110),
    ("policy-read-100-doors", "policy-read-1000-doors", 1_100),
    ("lease-open-and-close-by-device-beside-1000", "lease-open-and-close-by-device-beside-4000", 160),
];

/// A small table full of attempts of so many steps.
fn full(steps: usize) -> Track {
    let mut track = Track::new(1, Mode::Compatible, 1 << 10);
    track.fill(steps);
    track
}

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const LEASE: Duration = Duration::from_secs(30);

/// What the worker asks of the monitor for a sequence.
const fn of_sequence() -> FromWorker {
    let place = Place { generation: 7, door: DoorId(3), knock: 1 };
    FromWorker::Request { place, action: KnockAction::Open, source: CLIENT }
}

/// The same for a datagram: the longest of what it asks.
const fn of_datagram() -> FromWorker {
    let (place, id) = (Place { generation: 7, door: DoorId(3), knock: 0 }, KnockId([8; 8]));
    let (action, device) = (KnockAction::Open, [7; 32]);
    FromWorker::Admitted { place, action, source: CLIENT, from: CLIENT, device, id, seconds: 30, offset: -1 }
}

/// From one end of the channel to the other, without the kernel between them.
fn comes_over(message: &FromWorker) -> FromWorker {
    FromWorker::decode(&message.encode()).expect("a message")
}

fn set() -> SetName {
    SetName { family: Family::Inet, table: "aldaba".to_owned(), set: "ssh-v4".to_owned() }
}

/// A datagram that was admitted, and comes again and again.
struct Replayed {
    knocks: Knocks,
    at: aldaba_spa::Moment,
    datagram: Vec<u8>,
}

impl Replayed {
    fn new() -> Self {
        let mut knocks = Knocks::new(1);
        let (at, datagram) = knocks.seal();
        assert!(knocks.handle(at, &datagram).is_ok(), "the first is admitted");
        Self { knocks, at, datagram }
    }

    fn again(&mut self) -> bool {
        self.knocks.handle(self.at, &self.datagram).is_ok()
    }
}
