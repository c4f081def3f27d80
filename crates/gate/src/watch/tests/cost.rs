//! What anybody can send costs no allocation: from the frame to the refusal, the step, or the grant.

use aldaba_packet::build::cases;
use aldaba_spa::{Locks, Psks, PublicKey, Record, Registry, StoreFailed, Window};

use super::*;
use crate::{SpaRules, Verdict};

/// Says nothing and keeps nothing; counts grants and datagrams that are nobody's.
#[derive(Default)]
struct Silent {
    grants: usize,
    foreign: usize,
    store: NoStore,
}

#[derive(Default)]
struct NoStore;

impl Store for NoStore {
    fn load(&mut self, _: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        Err(StoreFailed)
    }

    fn commit(&mut self, _: &PublicKey, _: &Record) -> Result<(), StoreFailed> {
        Err(StoreFailed)
    }
}

impl Events for Silent {
    fn wants_stages(&self) -> bool {
        true
    }
    fn stage(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {}
    fn expired(&mut self, _: IpAddr, _: DoorId, _: u8, _: u8) {}
    fn grant(&mut self, _: Grant) {
        self.grants += 1;
    }
    fn spa(&mut self) -> Option<(Timestamp, &mut dyn Store)> {
        Some((Timestamp(1_800_000_000_000_000), &mut self.store))
    }
    fn foreign(&mut self, _: IpAddr) {
        self.foreign += 1;
    }
}

const PORT: u16 = 42_731;

fn gate() -> Gate {
    gate_with(Some(PORT))
}

/// The same where the datagrams of this port, or of none, are captured.
fn gate_with(port: Option<u16>) -> Gate {
    let strict = Knock { mode: Mode::Strict, ..knock("7000,8000:udp,9000") };
    let one_time = Knock { source: SequenceSource::OneTime("22".parse().ok()), ..knock("22") };
    let doors = vec![
        door(vec![knock("7000,8000,9000"), strict]),
        door(vec![knock("100"), knock("9000,100"), one_time]),
    ];
    let rules = Rules { spa_port: port, ..rules(doors) };
    let mut gate = Gate::new(&rules, [7; 16]).unwrap();
    let addresses = HashSet::from([IpAddr::from(HOST), "fd00::1".parse().unwrap()]);
    gate.set_interface(2, Interface { name: "eth0".into(), loopback: false, addresses });
    let lock = aldaba_spa::LockKeys {
        secret: aldaba_spa::SecretKey::new(&[9; 32]),
        gate_psk: aldaba_spa::Psk::new([8; 32]),
        audience: aldaba_spa::Audience::default(),
        not_before: None,
        not_after: None,
    };
    let served = aldaba_spa::Served {
        locks: Locks::new(vec![lock]).unwrap(),
        registry: Registry::new(Vec::new(), [1; 16]).unwrap(),
        doors: std::collections::HashMap::new(),
        window: Window::default(),
        psks: Psks::None,
    };
    gate.serve(Duration::ZERO, Some(SpaRules { port, served }), [3; 16]);
    gate
}

/// From many sources: SYNs to knock ports and others, datagrams to the port of datagrams and others, fragments, IPv6.
fn traffic() -> Vec<build::Frame> {
    let junk = vec![0xa5; 160];
    let mut frames = Vec::new();
    for number in 0..600_u16 {
        let [high, low] = number.to_be_bytes();
        let source = [11, 0, high, low];
        let port = [7000, 8000, 9000, 100, 22][usize::from(number % 5)];
        let other: IpAddr = format!("2001:db8::{number:x}").parse().unwrap();
        frames.push(build::Frame::tcp(source, 4000 + number, HOST, port));
        frames.push(build::Frame::tcp(source, 4000 + number, HOST, port).flags(flag::ACK));
        frames.push(build::Frame::tcp(other, 4000 + number, "fd00::1".parse::<IpAddr>().unwrap(), port));
        frames.push(build::Frame::udp(source, 4000, HOST, port).payload(b"knock"));
        frames.push(build::Frame::udp(source, 4000, HOST, PORT).payload(&junk[..usize::from(number % 161)]));
        frames.push(build::Frame::udp(source, 4000, HOST, PORT).payload(&junk));
        frames.push(build::Frame::tcp(source, 4000, [10, 0, 0, 99], port));
        frames.push(build::Frame::tcp(source, 4000, HOST, port).checksum(1));
        // One who gets all the way.
        for port in [7000, 8000, 9000, 100] {
            frames.push(build::Frame::tcp([12, 0, high, low], 5000, HOST, port).sequence(u32::from(port)));
        }
    }
    frames
}

#[test]
fn no_frame_costs_an_allocation() {
    let mut gate = gate();
    let mut events = Silent::default();
    let link = |frame: &build::Frame| Link::Network { ethertype: frame.ethertype() };
    let made: Vec<(Link, Vec<u8>)> =
        traffic().iter().map(|frame| (link(frame), frame.bytes(link(frame)))).collect();
    let v6 = "fd00::1".parse().unwrap();
    let hosts = cases::Hosts { source: (ALICE.into(), v6), destination: (HOST.into(), v6), port: 7000 };
    let broken = cases::all(&hosts).into_iter().map(|case| (Link::Ethernet, case.bytes));
    let all: Vec<(Link, Vec<u8>)> = made.into_iter().chain(broken).collect();
    let frames: Vec<Frame<'_>> = all.iter().map(|(link, bytes)| Frame::whole(*link, bytes)).collect();
    let mut verdicts = [0_usize; 4];
    let cost = allocation_counter::measure(|| {
        for (number, group) in (0_u64..).zip(frames.chunks(16)) {
            let now = Duration::from_secs(100) + Duration::from_millis(number * 20);
            gate.read_ahead(now, group.iter().copied());
            for frame in group {
                let kind = match gate.frame(now, 2, frame, &mut events) {
                    Verdict::Refused(_) => 0,
                    Verdict::Dropped(_) => 1,
                    Verdict::Seen(_) => 2,
                    Verdict::Datagram => 3,
                };
                verdicts[kind] += 1;
            }
        }
    });
    assert!(verdicts.iter().all(|count| *count > 500), "each path was taken: {verdicts:?}");
    assert!(events.grants > 1000 && events.foreign > 1000, "{} {}", events.grants, events.foreign);
    assert_eq!(cost.count_total, 0);
}

#[test]
fn a_datagram_that_was_cut_is_refused_for_its_length_and_not_looked_into() {
    let (mut gate, mut events) = (gate(), Silent::default());
    for (length, refusal) in [(405, Refusal::Length), (404, Refusal::Tag), (1232, Refusal::Length)] {
        let before = *gate.counters();
        let link = Link::Network { ethertype: 0x0800 };
        let bytes = build::Frame::udp(ALICE, 4000, HOST, PORT).payload(&vec![0xa5; length]).bytes(link);
        let frame = Frame { wire_len: bytes.len(), ..Frame::whole(link, &bytes[..432]) };
        assert_eq!(gate.frame(Duration::from_secs(1), 2, &frame, &mut events), Verdict::Datagram);
        let mut wanted = before;
        wanted.frames += 1;
        wanted.datagrams += 1;
        wanted.foreign += 1;
        wanted.rejected_by[refusal.index()] += 1;
        assert_eq!(gate.counters(), &wanted, "{length}");
    }
    assert_eq!(events.foreign, 3);
}

#[test]
fn a_port_is_captured_in_place_of_its_socket() {
    let link = Link::Network { ethertype: 0x0800 };
    let bytes = build::Frame::udp(ALICE, 4000, HOST, PORT).payload(&[0xa5; 200]).bytes(link);
    let mut gate = gate_with(None);
    let is_datagram = |gate: &mut Gate| {
        let frame = Frame::whole(link, &bytes);
        gate.frame(Duration::from_secs(1), 2, &frame, &mut Silent::default()) == Verdict::Datagram
    };
    assert!(!is_datagram(&mut gate), "a socket hears it");
    gate.stand_in(Some(PORT));
    assert!(is_datagram(&mut gate));
    gate.stand_in(Some(PORT + 1));
    assert!(!is_datagram(&mut gate));
    gate.stand_in(None);
    assert!(!is_datagram(&mut gate));
}
