use std::net::{IpAddr, UdpSocket};
use std::os::fd::OwnedFd;

use aldaba_gate::spa::{
    Audience, LockKeys, Locks, MAX_LEN, MIN_LEN, Psk, Psks, Registry, SecretKey, Served, Window,
};
use aldaba_gate::{DoorRule, Knock, KnockAction, Rules, SequenceSource, SpaRules};
use aldaba_packet::Link;
use aldaba_packet::build::{Frame, option_header};
use aldaba_sys::capture::Kept;
use aldaba_sys::capture::build::RingMemory;
use aldaba_sys::datagram;

use super::eyes::HAND_OVER;
use super::*;
use crate::ipc::CaptureOn;

const HOST: [u8; 4] = [10, 0, 0, 1];
const SPA_PORT: u16 = 42_731;
const ETHERTYPE: u16 = 0x0800;
const SIZE: RingSize = RingSize::usual(Kept::Datagrams);

/// A worker with a door and datagrams, captured ones and those of a socket; the other end of its channel.
fn worker(socket: Option<OwnedFd>) -> (Worker, Channel) {
    let (monitor, channel) = Channel::pair().expect("a channel");
    let mut worker = Worker::new(channel, Eyes::default());
    let interface =
        Interface { name: "eth0".into(), loopback: false, addresses: HashSet::from([IpAddr::from(HOST)]) };
    worker.set_interface(2, vec![interface]);
    let mut gate = worker.first_gate(Gate::new(&rules(), [2; 16]).expect("a gate"));
    gate.serve(Duration::ZERO, Some(SpaRules { port: Some(SPA_PORT), served: served() }), [3; 16]);
    worker.gate = Some(gate);
    worker.reporter.set_policy(1, true, false);
    worker.eyes.listen(socket);
    (worker, monitor)
}

fn rules() -> Rules {
    let knock = Knock {
        action: KnockAction::Open,
        source: SequenceSource::Fixed("7000,8000,9000".parse().expect("a sequence")),
        flags: aldaba_gate::knock::FlagFilter::INITIAL_SYN,
        timeout: Duration::from_secs(5),
        mode: aldaba_gate::knock::Mode::Strict,
        cooldown: Duration::ZERO,
    };
    let door = DoorRule {
        name: "ssh".into(),
        interfaces: Vec::new(),
        target: None,
        knocks: vec![knock],
        spa: None,
        for_gateway: false,
    };
    Rules { doors: vec![door], ignore: Vec::new(), attempts: 1 << 10, ipv6: true, spa_port: Some(SPA_PORT) }
}

fn served() -> Served {
    let lock = LockKeys {
        secret: SecretKey::new(&[9; 32]),
        gate_psk: Psk::new([8; 32]),
        audience: Audience::default(),
        not_before: None,
        not_after: None,
    };
    Served {
        doors: std::collections::HashMap::new(),
        locks: Locks::new(vec![lock]).expect("a lock"),
        registry: Registry::new(Vec::new(), [1; 16]).expect("nobody"),
        window: Window::default(),
        psks: Psks::None,
    }
}

/// Noise of every kind: SYNs of ever new sources to ports of the door and others, one who gets all the way now and then,
/// datagrams of nobody's, broken frames.
fn noise(number: usize) -> Vec<u8> {
    let [.., a, b, c] = number.to_be_bytes();
    let source = [11, a, b, c];
    let frame = match number % 16 {
        0..8 => Frame::tcp(source, 40_000, HOST, 7000),
        step @ 8..11 => Frame::tcp([12, a, b, 0], 40_000, HOST, [7000, 8000, 9000][step - 8]),
        11 => Frame::tcp(source, 40_000, HOST, 22),
        12 => Frame::tcp(source, 40_000, HOST, 7000).checksum(1),
        13 => Frame::udp(source, 40_000, HOST, SPA_PORT).payload(&[0xa5; 300]),
        14 => Frame::udp(source, 40_000, HOST, SPA_PORT).payload(&[0xa5; 1000]),
        _ => Frame::udp(source, 40_000, HOST, SPA_PORT).payload(b"short"),
    };
    frame.bytes(Link::Network { ethertype: ETHERTYPE })
}

fn looked_at(worker: &Worker) -> (u64, u64) {
    let counters = worker.gate.as_ref().expect("a gate").counters();
    (counters.frames, counters.datagrams)
}

/// Frames that came before the first turn.
fn captured(worker: &mut Worker, frames: impl Iterator<Item = Vec<u8>>) {
    let memory = RingMemory::new(SIZE).expect("memory");
    for (slot, frame) in frames.enumerate() {
        memory.put(slot, ETHERTYPE, &frame).expect("put");
    }
    let ring = memory.try_clone().expect("another");
    worker.eyes.open(7, CaptureOn::Interface(2), ring, SIZE).expect("mapped");
}

/// What the monitor has got by now.
fn said(monitor: &Channel) -> Vec<FromWorker> {
    let mut said = Vec::new();
    while let Ok(Received::Message { bytes, .. }) = monitor.receive() {
        said.push(FromWorker::decode(&bytes).expect("a message"));
    }
    said
}

/// A whole knock, then strangers at a port of no door.
fn knock_before_strangers(strangers: u16) -> impl Iterator<Item = Vec<u8>> {
    let syn = |source: [u8; 4], port| {
        Frame::tcp(source, 40_000, HOST, port).bytes(Link::Network { ethertype: ETHERTYPE })
    };
    let knock = [7000, 8000, 9000].map(|port| syn([12, 0, 0, 1], port));
    knock.into_iter().chain((0..strangers).map(move |number| {
        let [a, b] = number.to_be_bytes();
        syn([11, 0, a, b], 22)
    }))
}

#[test]
fn the_longest_headers_of_a_step_fit_where_no_datagrams_are_captured() {
    let (mut worker, monitor) = worker(None);
    let size = RingSize::usual(Kept::Headers);
    let memory = RingMemory::new(size).expect("memory");
    let host6: std::net::Ipv6Addr = "fd09::1".parse().expect("an address");
    let addresses = HashSet::from([IpAddr::from(HOST), host6.into()]);
    worker.set_interface(2, vec![Interface { name: "eth0".into(), loopback: false, addresses }]);
    let link = |ethertype| Link::Network { ethertype };
    let four = |port| {
        let frame = Frame::tcp([12, 0, 0, 1], 40_000, HOST, port).ipv4_options(&[1; 40]);
        (ETHERTYPE, frame.tcp_options(&[1; 40]).payload(&[7; 100]).bytes(link(ETHERTYPE)))
    };
    // Hop-by-hop options, and eight more headers: the most that are looked at.
    let chain = |frame: Frame| (0..8).fold(frame, |frame, _| frame.extension(60, option_header(&[])));
    let six = |port| {
        let from: std::net::Ipv6Addr = "fd09::2".parse().expect("an address");
        let frame = Frame::tcp(from, 40_000, host6, port).extension(0, option_header(&[]));
        (0x86dd, chain(frame).tcp_options(&[1; 40]).payload(&[7; 100]).bytes(link(0x86dd)))
    };
    let ports = [7000, 8000, 9000];
    for (slot, (ethertype, frame)) in ports.map(four).into_iter().chain(ports.map(six)).enumerate() {
        assert!(frame.len() > 176, "it is cut");
        memory.put(slot, ethertype, &frame).expect("put");
    }
    let ring = memory.try_clone().expect("another");
    worker.eyes.open(7, CaptureOn::Interface(2), ring, size).expect("mapped");
    assert!(worker.turn().is_ok());
    let opened = said(&monitor).into_iter().filter(|message| matches!(message, FromWorker::Request { .. }));
    assert_eq!(opened.count(), 2, "{:?}", worker.gate.as_ref().map(Gate::counters));
}

/// What an old ring holds has come before anything in the new one.
#[test]
fn what_a_capture_that_goes_has_left_is_read_first() {
    let (mut worker, monitor) = worker(None);
    captured(&mut worker, knock_before_strangers(300));
    let now = clock::boottime();
    worker.eyes.close(7, now, worker.gate.as_mut(), &mut worker.reporter);
    assert_eq!((looked_at(&worker).0, worker.eyes.interests().count()), (303, 0));
    assert!(said(&monitor).iter().any(|message| matches!(message, FromWorker::Request { .. })));
}

#[test]
fn a_worker_that_has_asked_and_has_more_to_read_lets_the_monitor_run() {
    let (mut worker, monitor) = worker(None);
    captured(&mut worker, knock_before_strangers(2 * 256));
    let mut turns = Vec::new();
    for _ in 0..4 {
        assert!(worker.turn().is_ok());
        let asked = said(&monitor).iter().any(|message| matches!(message, FromWorker::Request { .. }));
        // While it rests, nothing but the monitor wakes it.
        turns.push((looked_at(&worker).0, asked, worker.eyes.rest(), worker.eyes.interests().count()));
    }
    let at_once = Some(Duration::ZERO);
    let expected = [
        // The monitor has the request before the rest begins.
        (256, true, Some(HAND_OVER), 0),
        // Once for what was asked: then there is no end to reading.
        (512, false, at_once, 1),
        (515, false, None, 1),
        (515, false, None, 1),
    ];
    assert_eq!(turns, expected);
}

#[test]
fn a_worker_that_has_asked_and_read_everything_waits_for_the_next_frame() {
    let (mut worker, monitor) = worker(None);
    captured(&mut worker, knock_before_strangers(0));
    assert!(worker.turn().is_ok());
    assert!(said(&monitor).iter().any(|message| matches!(message, FromWorker::Request { .. })));
    assert_eq!((looked_at(&worker).0, worker.eyes.rest(), worker.eyes.interests().count()), (3, None, 1));
}

#[test]
fn no_turn_allocates_for_what_anybody_can_send() {
    let socket = datagram::listen(0, MIN_LEN, MAX_LEN).expect("a socket");
    let here = UdpSocket::from(socket.try_clone().expect("another"));
    let port = here.local_addr().expect("its address").port();
    let client = UdpSocket::bind("127.0.0.1:0").expect("a client");
    let memory = RingMemory::new(SIZE).expect("memory");
    let (mut worker, _monitor) = worker(Some(socket));
    let ring = memory.try_clone().expect("another");
    worker.eyes.open(7, CaptureOn::Interface(2), ring, SIZE).expect("mapped");
    let (frames, datagrams) = (SIZE.frames(), 100);
    for round in 0..2 {
        for slot in 0..frames {
            memory.put(slot, ETHERTYPE, &noise(round * frames + slot)).expect("put");
        }
        for _ in 0..datagrams {
            client.send_to(&[0x5a; 160], ("127.0.0.1", port)).expect("sent");
        }
        let before = looked_at(&worker);
        let cost = allocation_counter::measure(|| {
            // More than it takes, so that also a turn without a frame is among them: those are bounded by its rest.
            while looked_at(&worker).0 < before.0 + frames as u64 || worker.eyes.rest().is_some() {
                assert!(worker.turn().is_ok());
            }
        });
        let after = looked_at(&worker);
        let captured = frames as u64 * 3 / 16;
        assert_eq!((after.0 - before.0, after.1 - before.1), (frames as u64, captured + datagrams));
        // The list of what to wait for is made once.
        assert!(round == 0 || cost.count_total == 0, "{cost:?}");
    }
    let counters = worker.gate.as_ref().expect("a gate").counters();
    assert!(counters.completed > 100 && counters.refused > 100 && counters.foreign > 100, "{counters:?}");
}

#[test]
fn a_socket_that_cannot_be_read_is_given_up_and_said() {
    // Reading from no socket at all fails, as often as one likes.
    let broken = memfd::sealed("broken", b"").expect("a file");
    let (mut worker, monitor) = worker(Some(broken));
    let mut turns = 0;
    while worker.eyes.interests().count() > 0 {
        assert!(worker.turn().is_ok());
        turns += 1;
        assert!(turns < 100, "it spins");
    }
    assert_eq!((said(&monitor), worker.eyes.rest()), (vec![FromWorker::ListenFailed], None));
}
