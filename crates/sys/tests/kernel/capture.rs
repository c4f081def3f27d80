//! The capture socket and its ring on a cable of two ends.

use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::time::Duration;

use aldaba_sys::capture::{
    Batch, CaptureSocket, Fault, FrameView, GROUP, Kept, Ring, RingSize, Target, VlanTag,
};
use aldaba_sys::filter::FilterSpec;
use aldaba_sys::poll::{Interest, wait};

use crate::net::{Net, ethernet, in_namespace, ip, ipv4, tcp};

/// Long enough for anything on this machine, short enough to fail.
const SOON: Duration = Duration::from_secs(5);
/// Long enough to see that nothing more comes.
const A_WHILE: Duration = Duration::from_millis(150);
/// Long enough for the first frame, on a busy machine too.
const FIRST: Duration = Duration::from_secs(1);
const USUAL: RingSize = RingSize::usual(Kept::Headers);

pub(crate) fn doors(tcp: &[u16], udp: &[u16]) -> FilterSpec {
    FilterSpec {
        tcp: tcp.iter().copied().collect(),
        udp: udp.iter().copied().collect(),
        ipv6: true,
        ..FilterSpec::default()
    }
}

fn smallest() -> RingSize {
    RingSize::from_bytes(0, Kept::Datagrams)
}

fn open(target: Target, filter: &FilterSpec, size: RingSize) -> (CaptureSocket, Ring) {
    let socket = CaptureSocket::open(target, filter, size).unwrap();
    let ring = Ring::map(socket.try_clone().unwrap(), size).unwrap();
    (socket, ring)
}

fn on_vb(net: &Net, filter: &FilterSpec) -> (CaptureSocket, Ring) {
    open(Target::Interface(net.vb), filter, RingSize::from_bytes(1 << 20, Kept::Datagrams))
}

/// What a test wants to know of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    bytes: Vec<u8>,
    wire_len: usize,
    ifindex: u32,
    ethertype: u16,
    vlan: Option<VlanTag>,
    checksum_not_ready: bool,
}

impl Seen {
    fn of(frame: &FrameView<'_>) -> Self {
        Self {
            bytes: frame.bytes.to_vec(),
            wire_len: frame.wire_len,
            ifindex: frame.ifindex,
            ethertype: frame.ethertype,
            vlan: frame.vlan,
            checksum_not_ready: frame.checksum_not_ready,
        }
    }

    fn port(&self) -> u16 {
        u16::from_be_bytes([self.bytes[22], self.bytes[23]])
    }
}

fn is_ready(ring: &Ring, time: Duration) -> bool {
    wait(&[(ring.as_fd(), Interest::READ)], Some(time)).unwrap()[0]
}

/// Everything that comes until nothing more does.
fn seen(ring: &mut Ring) -> Vec<Seen> {
    let mut all = Vec::new();
    while is_ready(ring, if all.is_empty() { FIRST } else { A_WHILE }) {
        let batch = ring.poll_frames(usize::MAX, |frame| all.push(Seen::of(frame)));
        assert_ne!(batch.frames, 0, "ready without a frame: {:?}", ring.take_fault());
    }
    all
}

fn ports(ring: &mut Ring) -> Vec<u16> {
    seen(ring).iter().map(Seen::port).collect()
}

#[test]
fn a_knock_arrives_with_all_that_is_known_of_it() {
    in_namespace(|net| {
        let (_socket, mut ring) = on_vb(net, &doors(&[7000], &[]));
        net.syn(6999);
        net.syn(7000);
        net.udp(7000);
        let packet = tcp(7000, 2, 0);
        let expected = Seen {
            wire_len: packet.len(),
            bytes: packet,
            ifindex: net.vb,
            ethertype: 0x0800,
            vlan: None,
            checksum_not_ready: false,
        };
        assert_eq!(seen(&mut ring), [expected]);
    });
}

#[test]
fn tags_stand_beside_the_frame_and_inner_ones_are_dropped() {
    in_namespace(|net| {
        let (_socket, mut ring) = on_vb(net, &doors(&[7000, 7001, 7002], &[]));
        net.send(&ethernet(&[(0x8100, 0xa005)], &tcp(7000, 2, 0)));
        net.send(&ethernet(&[(0x88a8, 7)], &tcp(7001, 2, 0)));
        net.send(&ethernet(&[(0x88a8, 7), (0x8100, 5)], &tcp(7002, 2, 0)));
        let tags: Vec<_> = seen(&mut ring).iter().map(|frame| (frame.port(), frame.vlan)).collect();
        let tag = |tpid, tci| Some(VlanTag { tpid, tci });
        assert_eq!(tags, [(7000, tag(0x8100, 0xa005)), (7001, tag(0x88a8, 7))]);
    });
}

#[test]
fn what_this_host_sends_is_not_seen() {
    in_namespace(|net| {
        let (_socket, mut ring) = open(Target::Interface(net.va), &doors(&[7000], &[]), USUAL);
        net.syn(7000);
        assert_eq!(seen(&mut ring), []);
    });
}

#[test]
fn any_interface_tells_which_one_it_was() {
    in_namespace(|net| {
        let (_socket, mut ring) = open(Target::Any, &doors(&[7000], &[]), USUAL);
        net.syn(7000);
        assert_eq!(seen(&mut ring).iter().map(|frame| frame.ifindex).collect::<Vec<_>>(), [net.vb]);
        ip("link add vc type veth peer name vd");
        // An interface that goes does not disturb the others.
        ip("link set vc up");
        ip("link set vd up");
        ip("link del vc");
        assert!(!is_ready(&ring, A_WHILE));
        net.syn(7000);
        assert_eq!(ports(&mut ring), [7000]);
    });
}

#[test]
fn a_frame_for_another_host_is_shown_like_any() {
    in_namespace(|net| {
        let (_socket, mut ring) = on_vb(net, &doors(&[7000], &[]));
        let mut frame = ethernet(&[], &tcp(7000, 2, 0));
        frame[5] = 0xcc;
        net.send(&frame);
        frame[..6].fill(0xff);
        net.send(&frame);
        assert_eq!(ports(&mut ring), [7000, 7000]);
    });
}

#[test]
fn a_long_frame_is_cut_and_its_length_told() {
    in_namespace(|net| {
        for (kept, length) in [(Kept::Headers, 176), (Kept::Datagrams, 432)] {
            let target = Target::Interface(net.vb);
            let (_socket, mut ring) = open(target, &doors(&[7000], &[]), RingSize::from_bytes(0, kept));
            let packet = tcp(7000, 2, 1200);
            net.send(&ethernet(&[], &packet));
            let frames = seen(&mut ring);
            assert_eq!(frames.len(), 1);
            assert_eq!((frames[0].bytes.len(), frames[0].wire_len), (length, 1240));
            assert_eq!(frames[0].bytes, packet[..length]);
        }
    });
}

#[test]
fn a_checksum_left_to_the_hardware_is_told() {
    in_namespace(|net| {
        ip("address add 192.0.2.1/24 dev va");
        ip("neighbour add 192.0.2.2 lladdr 02:00:00:00:00:bb dev va");
        let (_socket, mut ring) = on_vb(net, &doors(&[], &[7000]));
        let udp = UdpSocket::bind("192.0.2.1:0").unwrap();
        udp.send_to(b"knock", "192.0.2.2:7000").unwrap();
        net.udp(7000);
        let not_ready: Vec<_> = seen(&mut ring).iter().map(|frame| frame.checksum_not_ready).collect();
        assert_eq!(not_ready, [true, false]);
    });
}

#[test]
fn the_filter_is_replaced_under_a_running_ring() {
    in_namespace(|net| {
        let (socket, mut ring) = on_vb(net, &doors(&[7000], &[]));
        net.syn(7000);
        let attached = socket.replace_filter(&doors(&[], &[8000])).unwrap();
        assert!(!attached.widened);
        net.syn(7000);
        net.udp(8000);
        assert_eq!(ports(&mut ring), [7000, 8000]);
    });
}

#[test]
fn the_ring_turns_and_keeps_the_order() {
    in_namespace(|net| {
        let all: Vec<u16> = (1..=1000).collect();
        let (_socket, mut ring) = open(Target::Interface(net.vb), &doors(&all, &[]), smallest());
        let mut came = Vec::new();
        for part in all.chunks(100) {
            for port in part {
                net.syn(*port);
            }
            came.extend(ports(&mut ring));
        }
        assert_eq!(came, all);
    });
}

#[test]
fn in_groups_the_ring_shows_what_it_shows_one_by_one() {
    in_namespace(|net| {
        let all: Vec<u16> = (1..=400).collect();
        let filter = doors(&all, &[]);
        let (_socket, mut ring) = open(Target::Interface(net.vb), &filter, smallest());
        let (_other_socket, mut other) = open(Target::Interface(net.vb), &filter, smallest());
        // 100 at a time in 128 slots: groups lie over the ring's end.
        for part in all.chunks(100) {
            for port in part {
                net.syn(*port);
            }
            let one_by_one = seen(&mut other);
            let (mut grouped, mut sizes) = (Vec::new(), Vec::new());
            let show = |frames: &[FrameView<'_>]| {
                sizes.push(frames.len());
                grouped.extend(frames.iter().map(Seen::of));
            };
            let batch = ring.poll_groups(usize::MAX, show);
            assert_eq!(batch, Batch { frames: 100, more: false });
            assert_eq!(sizes, [GROUP, GROUP, GROUP, GROUP, GROUP, GROUP, 4]);
            assert_eq!(grouped, one_by_one);
        }
    });
}

#[test]
fn a_batch_ends_at_its_limit() {
    in_namespace(|net| {
        let (_socket, mut ring) = on_vb(net, &doors(&[7000], &[]));
        (0..5).for_each(|_| net.syn(7000));
        assert!(is_ready(&ring, SOON));
        assert_eq!(ring.poll_frames(3, |_| {}), Batch { frames: 3, more: true });
        // What is left still wakes.
        assert!(is_ready(&ring, SOON));
        assert_eq!(ring.poll_frames(3, |_| {}), Batch { frames: 2, more: false });
        assert!(!is_ready(&ring, A_WHILE));
    });
}

#[test]
fn what_finds_no_room_is_counted() {
    in_namespace(|net| {
        let size = smallest();
        let (socket, mut ring) = open(Target::Interface(net.vb), &doors(&[7000], &[]), size);
        (0..size.frames() + 50).for_each(|_| net.syn(7000));
        assert_eq!(seen(&mut ring).len(), size.frames());
        net.syn(7000);
        assert_eq!(ports(&mut ring), [7000]);
        // Told twice, it is the same: the kernel forgets, we add up.
        for _ in 0..2 {
            let statistics = socket.statistics().unwrap();
            assert_eq!((statistics.packets, statistics.drops), (size.frames() as u64 + 51, 50));
        }
        net.syn(7000);
        assert_eq!(ports(&mut ring), [7000]);
        assert_eq!(socket.statistics().unwrap().packets, size.frames() as u64 + 52);
    });
}

#[test]
fn an_interface_that_goes_down_and_up_is_an_event_each_time() {
    in_namespace(|net| {
        let (_socket, mut ring) = on_vb(net, &doors(&[7000], &[]));
        for _ in 0..3 {
            ip("link set vb down");
            assert!(is_ready(&ring, SOON));
            assert_eq!(ring.poll_frames(9, |_| {}).frames, 0);
            // Left alone, it would wake us for ever.
            assert!(is_ready(&ring, Duration::ZERO));
            assert_eq!(ring.take_fault(), Some(Fault::Down));
            assert_eq!(ring.take_fault(), None);
            assert!(!is_ready(&ring, A_WHILE));
            ip("link set vb up");
            net.syn(7000);
            assert_eq!(ports(&mut ring), [7000]);
        }
    });
}

#[test]
fn an_interface_that_is_deleted_is_an_event_once() {
    in_namespace(|net| {
        let (_socket, ring) = on_vb(net, &doors(&[7000], &[]));
        ip("link del vb");
        assert!(is_ready(&ring, SOON));
        assert_eq!(ring.take_fault(), Some(Fault::Down));
        assert!(!is_ready(&ring, A_WHILE));
    });
}

#[test]
fn capture_begins_when_an_interface_comes_up() {
    in_namespace(|net| {
        ip("link set vb down");
        let (_socket, mut ring) = on_vb(net, &doors(&[7000], &[]));
        assert!(is_ready(&ring, SOON));
        assert_eq!(ring.take_fault(), Some(Fault::Down));
        ip("link set vb up");
        net.syn(7000);
        assert_eq!(ports(&mut ring), [7000]);
    });
}

#[test]
fn an_interface_that_does_not_exist_is_refused() {
    in_namespace(|_| {
        for ifindex in [0, 9999] {
            let error = CaptureSocket::open(Target::Interface(ifindex), &doors(&[1], &[]), USUAL);
            assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENODEV));
        }
    });
}

#[test]
fn a_ring_of_another_size_is_refused() {
    in_namespace(|net| {
        let (socket, _ring) = on_vb(net, &doors(&[7000], &[]));
        let error = Ring::map(socket.try_clone().unwrap(), RingSize::from_bytes(2 << 20, Kept::Datagrams))
            .unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    });
}

#[test]
fn the_kernel_takes_a_large_filter_and_follows_its_long_jumps() {
    in_namespace(|net| {
        let all: Vec<u16> = (0..3000).map(|n| n * 21 + 3).collect();
        let (socket, mut ring) = on_vb(net, &doors(&all, &[]));
        let some: Vec<u16> = all.iter().copied().step_by(97).collect();
        for port in &some {
            net.syn(port - 1);
            net.syn(*port);
            net.syn(port + 1);
        }
        let came = ports(&mut ring);
        if socket.attached().widened {
            // A kernel with little memory for filters.
            assert!(some.iter().all(|port| came.contains(port)));
        } else {
            assert_eq!(came, some);
        }
        // The one in force counts against the memory for the next.
        for _ in 0..3 {
            socket.replace_filter(&doors(&all, &all)).unwrap();
        }
    });
}

#[test]
fn an_extension_header_is_left_to_the_worker() {
    in_namespace(|net| {
        let (_socket, mut ring) = on_vb(net, &doors(&[7000], &[]));
        let mut packet = vec![0x60, 0, 0, 0, 0, 8, 60, 64];
        packet.extend([0xfe; 32]);
        packet.extend([6, 0, 1, 4, 0, 0, 0, 0]);
        net.send(&ethernet(&[], &packet));
        net.send(&ethernet(&[], &ipv4(1, 7000, &[0; 4])));
        let frames = seen(&mut ring);
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].ethertype, &frames[0].bytes), (0x86dd, &packet));
    });
}

#[test]
fn where_memory_for_filters_is_short_more_passes() {
    in_namespace(|net| {
        // As Linux before 6.8 has it; after that each namespace has its own.
        if let Err(error) = std::fs::write("/proc/sys/net/core/optmem_max", "20480") {
            return crate::skip::skipped(&format!("no memory limit of its own: {error}"));
        }
        let all: Vec<u16> = (0..3000).map(|n| n * 21 + 3).collect();
        let (socket, mut ring) = on_vb(net, &doors(&all, &[]));
        assert!(socket.attached().widened && socket.attached().short_of_memory);
        // The one in force counts until it is replaced, so there is less memory for the next.
        let next = socket.replace_filter(&doors(&all[1..], &[])).unwrap();
        assert!(next.widened);
        assert_eq!(socket.attached(), next);
        let some: Vec<u16> = all[1..].iter().copied().step_by(97).collect();
        for port in &some {
            net.syn(*port);
        }
        assert_eq!(ports(&mut ring), some);
        // Small ones are still exact.
        assert!(!socket.replace_filter(&doors(&[7000], &[])).unwrap().widened);
    });
}
