//! Files of both formats, in both byte orders, whole, cut at every length and damaged.

use std::time::Duration;

use proptest::prelude::*;

use super::{FileError, FileErrorKind, Reader, Record};
use crate::build::capture::Order;
use crate::{Link, build};

fn read(file: &[u8]) -> (Vec<Record<'_>>, Option<FileError>) {
    let reader = match Reader::new(file) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut records = Vec::new();
    let mut error = None;
    for record in reader {
        assert_eq!(error, None, "nothing after an error");
        match record {
            Ok(record) => records.push(record),
            Err(fault) => error = Some(fault),
        }
    }
    (records, error)
}

fn good(file: &[u8]) -> Vec<Record<'_>> {
    let (records, error) = read(file);
    assert_eq!(error, None);
    records
}

fn fault(file: &[u8]) -> (usize, usize, FileErrorKind) {
    let (records, error) = read(file);
    let error = error.unwrap();
    (records.len(), error.offset, error.kind)
}

#[test]
fn pcap_in_both_orders_and_precisions() {
    for order in Order::BOTH {
        for (magic, fraction) in [(0xA1B2_C3D4, 250_000), (0xA1B2_3C4D, 250_000_000)] {
            let file = [
                order.pcap_header(magic, 1),
                order.pcap_packet(1_700_000_000, fraction, 3, b"abc"),
                order.pcap_packet(1_700_000_001, 0, 1500, b"snapped"),
            ]
            .concat();
            let records = good(&file);
            assert_eq!(records.len(), 2);
            let first = records[0];
            assert_eq!(first.time, Duration::from_millis(1_700_000_000_250));
            assert_eq!(
                (first.interface, first.link, first.bytes, first.wire_len),
                (0, Ok(Link::Ethernet), &b"abc"[..], 3)
            );
            assert_eq!((records[1].bytes, records[1].wire_len), (&b"snapped"[..], 1500));
        }
    }
}

#[test]
fn a_wire_length_below_what_was_captured_is_not_believed() {
    let file = [Order::Big.pcap_header(0xA1B2_C3D4, 1), Order::Big.pcap_packet(0, 0, 0, b"abc")].concat();
    assert_eq!(good(&file)[0].wire_len, 3);
}

#[test]
fn pcap_of_the_modified_kind() {
    let order = Order::Little;
    let mut packet = order.pcap_packet(5, 0, 4, b"data");
    packet.splice(16..16, [9; 8]);
    let file = [order.pcap_header(0xA1B2_CD34, 113), packet].concat();
    assert_eq!(good(&file)[0].bytes, b"data");
    assert_eq!(good(&file)[0].link, Ok(Link::LinuxSll));
}

#[test]
fn link_types_by_number() {
    let v4 = Link::Network { ethertype: 0x0800 };
    let v6 = Link::Network { ethertype: 0x86DD };
    for (number, link) in [
        (0, Ok(Link::Null)),
        (1, Ok(Link::Ethernet)),
        (101, Ok(Link::Ip)),
        (108, Ok(Link::Loop)),
        (113, Ok(Link::LinuxSll)),
        (228, Ok(v4)),
        (229, Ok(v6)),
        (276, Ok(Link::LinuxSll2)),
        (127, Err(127)),
        // Four bytes of check sequence behind each frame.
        (0x2400_0001, Ok(Link::Ethernet)),
    ] {
        let file =
            [Order::Big.pcap_header(0xA1B2_C3D4, number), Order::Big.pcap_packet(0, 0, 0, b"")].concat();
        let record = good(&file)[0];
        assert_eq!(record.link, link);
        assert_eq!(record.frame().map(|frame| frame.link), link.ok());
    }
}

#[test]
fn pcapng_with_interfaces_of_different_links_and_clocks() {
    for order in Order::BOTH {
        let offset = order.eight(-100);
        let file = [
            order.section(),
            order.interface(1, 0, &[]),
            order.interface(101, 0, &[(2, b"tun0"), (9, &[9]), (0, b""), (9, &[3])]),
            order.interface(276, 0, &[(9, &[0x80 | 0x0A]), (14, &offset)]),
            // A block that is passed over.
            order.block(0xBAD, b"anything at all"),
            order.packet(0, 1_500_000, 60, b"micro"),
            order.packet(1, 2_000_000_007, 4, b"nano"),
            order.packet(2, 1024 * 103 + 512, 6, b"binary"),
        ]
        .concat();
        let records = good(&file);
        let links = [Link::Ethernet, Link::Ip, Link::LinuxSll2].map(Ok);
        assert_eq!(records.iter().map(|record| record.link).collect::<Vec<_>>(), links);
        let times = [1_500_000_000, 2_000_000_007, 3_500_000_000].map(Duration::from_nanos);
        assert_eq!(records.iter().map(|record| record.time).collect::<Vec<_>>(), times);
        assert_eq!(
            records.iter().map(|record| record.bytes).collect::<Vec<_>>(),
            [&b"micro"[..], b"nano", b"binary"]
        );
        assert_eq!((records[0].wire_len, records[2].interface), (60, 2));
    }
}

#[test]
fn simple_packets_are_cut_where_the_interface_cuts() {
    let order = Order::Big;
    let simple = |wire_len: u32, bytes: &[u8]| order.block(3, &[&order.four(wire_len)[..], bytes].concat());
    let file =
        [order.section(), order.interface(1, 6, &[]), simple(5, b"short"), simple(900, b"longer")].concat();
    let records = good(&file);
    assert_eq!((records[0].bytes, records[0].wire_len, records[0].time), (&b"short"[..], 5, Duration::ZERO));
    assert_eq!((records[1].bytes, records[1].wire_len), (&b"longer"[..], 900));
}

#[test]
fn sections_have_interfaces_and_a_byte_order_of_their_own() {
    let one = |order: Order, link| {
        [order.section(), order.interface(link, 0, &[]), order.packet(0, 0, 1, b"x")].concat()
    };
    let file = [one(Order::Little, 1), one(Order::Big, 101)].concat();
    assert_eq!(
        good(&file).iter().map(|record| record.link).collect::<Vec<_>>(),
        [Ok(Link::Ethernet), Ok(Link::Ip)]
    );
    let forgotten = [one(Order::Little, 1), Order::Big.section(), Order::Big.packet(0, 0, 1, b"x")].concat();
    let place = one(Order::Little, 1).len() + Order::Big.section().len();
    assert_eq!(fault(&forgotten), (1, place, FileErrorKind::UnknownInterface));
}

#[test]
fn files_cut_short_give_what_came_before() {
    let pcap =
        [Order::Little.pcap_header(0xA1B2_C3D4, 1), Order::Little.pcap_packet(0, 0, 4, b"0123")].concat();
    let pcap = [pcap, Order::Little.pcap_packet(1, 0, 5, b"45678")].concat();
    let order = Order::Big;
    let pcapng = [
        order.section(),
        order.interface(1, 0, &[]),
        order.packet(0, 0, 1, b"x"),
        order.packet(0, 1, 1, b"y"),
    ];
    let mut ends = vec![0];
    for block in &pcapng {
        ends.push(ends.last().unwrap() + block.len());
    }
    check_cuts(&pcap, &[0, 24, 44, 65], &[0, 0, 1, 2]);
    check_cuts(&pcapng.concat(), &ends, &[0, 0, 0, 1, 2]);
}

/// Cut at a boundary, a file is whole; elsewhere the error names the boundary before.
fn check_cuts(file: &[u8], ends: &[usize], records_before: &[usize]) {
    assert_eq!(file.len(), *ends.last().unwrap());
    for length in 4..=file.len() {
        let place = ends.iter().rposition(|end| *end <= length).unwrap();
        let (records, error) = read(&file[..length]);
        assert_eq!(records.len(), records_before[place], "{length}");
        let expected = (ends[place] < length).then_some((ends[place], FileErrorKind::Truncated));
        assert_eq!(error.map(|error| (error.offset, error.kind)), expected, "{length}");
    }
}

#[test]
fn other_files_are_not_captures() {
    for file in [&b""[..], b"abc", b"#!/bin/sh\necho", &[0x1F, 0x8B, 8, 0, 0, 0, 0, 0]] {
        assert_eq!(fault(file), (0, 0, FileErrorKind::NotACapture));
    }
    let odd_order = [0x0A, 0x0D, 0x0D, 0x0A, 28, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(fault(&odd_order), (0, 0, FileErrorKind::Malformed));
}

#[test]
fn blocks_that_contradict_themselves_are_malformed() {
    let order = Order::Little;
    let start = [order.section(), order.interface(1, 0, &[]), order.packet(0, 0, 1, b"x")].concat();
    let packet = order.packet(0, 0, 4, b"1234");
    let with = |place: usize, value: u32| {
        let mut packet = packet.clone();
        packet[place..place + 4].copy_from_slice(&order.four(value));
        [start.clone(), packet].concat()
    };
    let malformed = (1, start.len(), FileErrorKind::Malformed);
    for length in [0, 8, 11, 13, u32::try_from(packet.len()).unwrap() - 4] {
        assert_eq!(fault(&with(4, length)), malformed, "length {length}");
    }
    assert_eq!(fault(&with(packet.len() - 4, 12)), malformed);
    for captured in [9000, u32::MAX] {
        assert_eq!(fault(&with(20, captured)), malformed, "captured {captured}");
    }
    assert_eq!(fault(&with(4, u32::MAX - 3)), (1, start.len(), FileErrorKind::Truncated));
    assert_eq!(fault(&with(8, 7)), (1, start.len(), FileErrorKind::UnknownInterface));
    assert_eq!(fault(&with(0, 2)), (1, start.len(), FileErrorKind::Obsolete));
}

#[test]
fn clocks_that_cannot_be_are_refused() {
    let order = Order::Big;
    for options in [(9, &[20][..]), (9, &[0xC0]), (14, &[0; 4])] {
        let file = [order.section(), order.interface(1, 0, &[options])].concat();
        assert_eq!(fault(&file), (0, order.section().len(), FileErrorKind::Clock));
    }
    let before_1970 = order.interface(1, 0, &[(14, &order.eight(-2))]);
    let file = [order.section(), before_1970, order.packet(0, 1_000_000, 1, b"x")].concat();
    assert_eq!(fault(&file).2, FileErrorKind::Clock);
}

#[test]
fn an_error_says_where_and_what() {
    let error = Reader::new(b"PK\x03\x04").unwrap_err();
    assert_eq!(error.to_string(), "at byte 0: this is neither a pcap nor a pcapng file");
}

#[test]
fn what_the_builder_writes_is_read() {
    let frame = build::Frame::udp([10, 0, 0, 1], 1, [10, 0, 0, 2], 2).bytes(Link::Ip);
    let time = Duration::from_micros(1_234_567);
    let file = build::capture::pcap(101, &[(time, frame.clone())]);
    let record = good(&file)[0];
    assert_eq!((record.time, record.bytes), (time, &frame[..]));
    assert!(crate::parse(&record.frame().unwrap()).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        start in prop_oneof![
            Just(Vec::new()),
            Just(Order::Little.pcap_header(0xA1B2_C3D4, 1)),
            Just(Order::Big.pcap_header(0xA1B2_3C4D, 1)),
            Just([Order::Little.section(), Order::Little.interface(1, 0, &[])].concat()),
            Just([Order::Big.section(), Order::Big.interface(1, 0, &[])].concat()),
        ],
        bytes in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let file = [start, bytes].concat();
        let (records, error) = read(&file);
        prop_assert!(records.iter().all(|record| record.wire_len >= record.bytes.len()));
        prop_assert!(error.is_none_or(|error| error.offset <= file.len()));
    }

    #[test]
    fn damaged_blocks_are_read_or_refused(place in 0usize..200, value: u8, length in 0usize..200) {
        let order = Order::Little;
        let blocks = [order.section(), order.interface(1, 0, &[(9, &[9])]), order.packet(0, 7, 1, b"x")];
        let mut file = [blocks.concat(), order.block(3, b"\x04\0\0\0simple")].concat();
        if let Some(byte) = file.get_mut(place) {
            *byte = value;
        }
        read(&file[..length.min(file.len())]);
    }
}
