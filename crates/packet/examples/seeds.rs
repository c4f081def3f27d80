//! Writes the fuzz seeds for frames and capture files:
//! `cargo run -p aldaba-packet --features build --example seeds -- fuzz/seeds`

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aldaba_packet::Link;
use aldaba_packet::build::capture::{Order, pcap};
use aldaba_packet::build::{Frame, cases};

/// Cases of the table, as seeds over Ethernet.
const CASES: [&str; 22] = [
    "UDP over IPv4",
    "UDP over IPv6",
    "TCP over IPv4",
    "TCP over IPv6",
    "two priority tags",
    "QinQ",
    "three tags",
    "padded TCP over IPv4",
    "IPv4 in a SNAP frame",
    "first fragment, UDP",
    "first fragment, TCP",
    "last fragment",
    "option: timestamp with address",
    "option: record route",
    "option: loose route",
    "one of each",
    "one header more",
    "eight options",
    "jumbogram",
    "route at its end",
    "the usual options, IPv6",
    "UDP length 0, IPv6: as long as what carries it",
];

/// The first byte of a frame seed, as `fuzz/src/frame.rs` reads it: link, stripped tag, trust, bytes not captured.
const LINKS: [(&str, u8, Link); 7] = [
    ("raw", 1, Link::Ip),
    ("network-v4", 2, Link::Network { ethertype: 0x0800 }),
    ("network-v6", 3, Link::Network { ethertype: 0x86DD }),
    ("sll", 4, Link::LinuxSll),
    ("sll2", 5, Link::LinuxSll2),
    ("null", 6, Link::Null),
    ("loop", 7, Link::Loop),
];
const STRIPPED_TAG: u8 = 8;
const TRUSTED: u8 = 16;
const SNAPPED: u8 = 4 << 5;

fn main() -> io::Result<()> {
    let Some(root) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(io::Error::other("name the folder to write into"));
    };
    write(&root.join("frame"), frames())?;
    write(&root.join("capture_file"), files())
}

fn write(folder: &Path, seeds: Vec<(String, Vec<u8>)>) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, bytes) in seeds {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

fn tcp() -> Frame {
    Frame::tcp([10, 9, 0, 2], 40_000, [10, 9, 0, 1], 7000)
}

fn udp() -> Frame {
    let address = |last| Ipv6Addr::new(0xFD09, 0, 0, 0, 0, 0, 0, last);
    Frame::udp(address(2), 40_000, address(1), 7000).payload(b"knock")
}

fn frames() -> Vec<(String, Vec<u8>)> {
    let address =
        |last| (Ipv4Addr::new(10, 9, 0, last), Ipv6Addr::new(0xFD09, 0, 0, 0, 0, 0, 0, last.into()));
    let table = cases::all(&cases::Hosts { source: address(2), destination: address(1), port: 7000 });
    let seed = |choice: u8, bytes: &[u8]| [&[choice], bytes].concat();
    let mut seeds: Vec<_> = table
        .iter()
        .filter(|case| CASES.contains(&case.name))
        .map(|case| (file_name(case.name), seed(0, &case.bytes)))
        .collect();
    for (name, choice, link) in LINKS {
        let frame = if choice == 3 || choice == 6 { udp() } else { tcp() };
        seeds.push((format!("link-{name}"), seed(choice, &frame.bytes(link))));
    }
    let ethernet = tcp().vlan(0x8100, 5).bytes(Link::Ethernet);
    seeds.push(("tag-in-stripped-tag".into(), seed(STRIPPED_TAG, &ethernet)));
    seeds.push(("wrong-checksum-trusted".into(), seed(TRUSTED, &tcp().checksum(1).bytes(Link::Ethernet))));
    let snapped = tcp().payload(&[7; 64]).bytes(Link::Ethernet);
    seeds.push(("snapped-payload".into(), seed(SNAPPED, &snapped[..snapped.len() - 64])));
    seeds.push(("snapped-header".into(), seed(SNAPPED, &snapped[..40])));
    seeds
}

fn file_name(words: &str) -> String {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }
    };
    let name: String = words.chars().map(plain).collect();
    name.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

fn files() -> Vec<(String, Vec<u8>)> {
    let frames =
        |link| vec![(Duration::from_secs(1), tcp().bytes(link)), (Duration::from_secs(2), udp().bytes(link))];
    let mut seeds = Vec::new();
    for (name, number, link) in [
        ("ethernet", 1, Link::Ethernet),
        ("raw", 101, Link::Ip),
        ("sll", 113, Link::LinuxSll),
        ("sll2", 276, Link::LinuxSll2),
        ("null", 0, Link::Null),
        ("loop", 108, Link::Loop),
        ("unknown-link", 127, Link::Ip),
    ] {
        seeds.push((format!("pcap-{name}"), pcap(number, &frames(link))));
    }
    let bytes = tcp().bytes(Link::Ethernet);
    for (order, name) in Order::BOTH.into_iter().zip(["little", "big"]) {
        let packet = order.pcap_packet(1, 5, 60, &bytes);
        seeds
            .push((format!("pcap-{name}-nanoseconds"), [order.pcap_header(0xA1B2_3C4D, 1), packet].concat()));
        seeds.push((format!("pcap-{name}-empty"), order.pcap_header(0xA1B2_C3D4, 1)));
        seeds.extend(blocks(order).into_iter().map(|(seed, bytes)| (format!("pcapng-{name}-{seed}"), bytes)));
    }
    let mut modified = Order::Little.pcap_packet(1, 5, 60, &bytes);
    modified.splice(16..16, [0; 8]);
    seeds.push(("pcap-modified".into(), [Order::Little.pcap_header(0xA1B2_CD34, 1), modified].concat()));
    let cut = pcap(1, &frames(Link::Ethernet));
    seeds.push(("pcap-cut-in-a-packet".into(), cut[..cut.len() - 9].to_vec()));
    let sections: Vec<_> = Order::BOTH.iter().flat_map(|order| blocks(*order).swap_remove(0).1).collect();
    seeds.push(("pcapng-two-sections-of-different-order".into(), sections));
    seeds
}

fn blocks(order: Order) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = tcp().bytes(Link::Ethernet);
    let section = order.section();
    let interface = order.interface(1, 0, &[]);
    let offset = order.eight(-5);
    let binary = order.interface(1, 96, &[(9, &[0x8A]), (14, &offset)]);
    let packet = |interface| order.packet(interface, 10 << 10, 60, &bytes);
    vec![
        ("enhanced", [section.clone(), interface.clone(), packet(0)].concat()),
        (
            "two-interfaces",
            [section.clone(), interface.clone(), binary.clone(), packet(1), packet(0)].concat(),
        ),
        ("simple", [section.clone(), binary, order.simple_packet(200, &bytes)].concat()),
        ("unknown-block", [section.clone(), interface, order.block(0xBAD, &bytes)].concat()),
        ("unknown-interface", [section, packet(0)].concat()),
    ]
}
