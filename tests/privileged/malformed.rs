//! Hazard R15: the parser's verdict on odd frames is the one this machine's own stack gives.
//!
//! Each frame of the parser's table goes over a wire between two hosts. The kernel delivers it if a datagram arrives
//! at the listening UDP socket, or if the listening TCP socket answers with SYN and ACK; frames are told apart by
//! their source port. Where the verdicts differ on purpose, the table says why, and that they differ is checked too.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, with hosts of its own to set up"
)]

#[path = "malformed/damaged.rs"]
mod damaged;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use aldaba_packet::build::cases::{self, Case, Expect, Kernel};
use aldaba_packet::build::flag::{ACK, SYN};
use aldaba_packet::{Checksum, Frame, Link, Refused, Segment, Transport, parse};
use aldaba_tests::hosts::{CLIENT, CLIENT6, SERVER, SERVER6};
use aldaba_tests::{Hosts, cannot_run, until};
use pnet_datalink::{Channel, Config, DataLinkReceiver, DataLinkSender, MacAddr, NetworkInterface};

const PORT: u16 = 7000;
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn the_parser_decides_as_the_kernel_does() {
    if cannot_run().is_some() {
        return;
    }
    let hosts = Hosts::new();
    let table =
        cases::all(&cases::Hosts { source: (CLIENT, CLIENT6), destination: (SERVER, SERVER6), port: PORT });
    assert!(table.len() >= 60);
    let mut wire = Wire::new(&hosts);
    wire.settle(&table);
    for some in table.chunks(16) {
        for case in some {
            wire.send(&case.bytes);
        }
        wire.collect();
    }
    until(Duration::from_millis(300), || {
        wire.collect();
        false
    });
    let surprises: Vec<_> = table.iter().filter_map(|case| surprise(case, &wire.delivered)).collect();
    assert!(surprises.is_empty(), "{} of {} frames:\n{}", surprises.len(), table.len(), surprises.join("\n"));
}

/// The table holds what people thought of; this is the rest: good datagrams with options and extension headers, each
/// with a few bytes changed where lengths, kinds and options stand. The IPv4 checksum is made right again mostly.
#[test]
fn they_agree_on_frames_damaged_at_random() {
    if cannot_run().is_some() {
        return;
    }
    let hosts = Hosts::new();
    let table =
        cases::all(&cases::Hosts { source: (CLIENT, CLIENT6), destination: (SERVER, SERVER6), port: PORT });
    let mut wire = Wire::new(&hosts);
    wire.settle(&table);
    let mut random = damaged::Random(0x00A1_DABA);
    let mut surprises = Vec::new();
    let mut arrived = 0;
    for _ in 0..ROUNDS {
        wire.delivered.clear();
        let frames: Vec<_> = (1..=32).map(|port| (port, damaged::frame(&mut random, port))).collect();
        for (_, bytes) in &frames {
            wire.send(bytes);
        }
        wire.collect();
        for (port, bytes) in frames {
            let verdict = parse(&Frame::whole(Link::Ethernet, &bytes));
            let Some(ours) = arrives(&verdict, port) else {
                continue;
            };
            arrived += usize::from(ours);
            if ours != wire.delivered.contains(&port) {
                surprises.push(format!("parser {verdict:?}\n  {bytes:02x?}"));
            }
        }
    }
    assert!(surprises.is_empty(), "{} frames:\n{}", surprises.len(), surprises.join("\n"));
    assert!((ROUNDS * 8..ROUNDS * 24).contains(&arrived), "a mix of good and bad: {arrived} arrived");
    println!(
        "figure: R15 {} frames damaged at random, {arrived} of which the host takes: one verdict",
        ROUNDS * 32
    );
}

const ROUNDS: usize = 200;

/// Whether a socket should have seen it; `None` where the table says that parser and kernel differ.
fn arrives(verdict: &Result<Segment<'_>, Refused>, port: u16) -> Option<bool> {
    match verdict {
        Err(Refused::TooManyVlanTags | Refused::TooManyExtensions) => None,
        Err(_) => Some(false),
        Ok(segment) => Some(
            !segment.first_fragment
                && segment.vlan.is_untagged()
                && matches!(segment.transport, Transport::Udp(udp) if (udp.source_port, udp.destination_port) == (port, PORT)),
        ),
    }
}

/// What is wrong with the two verdicts on a frame, if anything is.
fn surprise(case: &Case, delivered: &HashSet<u16>) -> Option<String> {
    let verdict = parse(&Frame::whole(Link::Ethernet, &case.bytes));
    let ours = match verdict {
        Ok(segment) if segment.vlan.is_untagged() => Expect::Delivered,
        Ok(_) => Expect::OtherVlan,
        Err(refused) => Expect::Refused(refused),
    };
    let theirs = delivered.contains(&case.source_port);
    let agree = (ours == Expect::Delivered) == theirs;
    let expected = match case.kernel {
        Kernel::Agrees => agree,
        Kernel::Differs(_) => !agree,
        Kernel::Varies(why) => {
            println!("{}: the kernel {}; {why}", case.name, if theirs { "delivers" } else { "drops" });
            true
        }
    };
    let summary = || {
        format!("{} ({}): kernel {theirs}, parser {ours:?}, {:?}", case.name, case.source_port, case.kernel)
    };
    (!expected || ours != case.expect).then(summary)
}

/// Both ends of the cable: frames go in at the client, and what comes of them is seen at either end.
struct Wire {
    sender: Box<dyn DataLinkSender>,
    answers: Box<dyn DataLinkReceiver>,
    addresses: [u8; 12],
    datagrams: UdpSocket,
    _listener: TcpListener,
    delivered: HashSet<u16>,
}

impl Wire {
    fn new(hosts: &Hosts) -> Self {
        let (datagrams, listener) = hosts
            .as_server(|| (UdpSocket::bind(("::", PORT)).unwrap(), TcpListener::bind(("::", PORT)).unwrap()));
        datagrams.set_nonblocking(true).unwrap();
        let server = hosts.as_server(|| interface("srv0")).mac.unwrap();
        let client = hosts.as_client(|| interface("cli0"));
        know_each_other(
            &hosts.server,
            "srv0",
            client.mac.unwrap(),
            [CLIENT.to_string(), CLIENT6.to_string()],
        );
        know_each_other(&hosts.client, "cli0", server, [SERVER.to_string(), SERVER6.to_string()]);
        let (sender, answers) = hosts.as_client(|| channel(&client));
        let mut addresses = [0; 12];
        addresses[..6].copy_from_slice(&server.octets());
        addresses[6..].copy_from_slice(&client.mac.unwrap().octets());
        Self { sender, answers, addresses, datagrams, _listener: listener, delivered: HashSet::new() }
    }

    /// Waits until good frames arrive: interfaces need a moment.
    fn settle(&mut self, table: &[Case]) {
        let good = &table[..4];
        let ready = until(PATIENCE, || {
            for case in good {
                self.send(&case.bytes);
            }
            self.collect();
            good.iter().all(|case| self.delivered.contains(&case.source_port))
        });
        assert!(ready.is_some(), "plain frames must arrive: {:?}", self.delivered);
    }

    fn send(&mut self, frame: &[u8]) {
        let bytes = [&self.addresses[..], &frame[12..]].concat();
        self.sender.send_to(&bytes, None).unwrap().unwrap();
    }

    /// Notes the source ports whose frames reached a socket, until nothing more comes for a moment.
    fn collect(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            match self.datagrams.recv_from(&mut buffer) {
                Ok((_, from)) => drop(self.delivered.insert(from.port())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
        while let Ok(bytes) = self.answers.next() {
            let frame = Frame { checksum: Checksum::Trusted, ..Frame::whole(Link::Ethernet, bytes) };
            let Ok(Transport::Tcp(tcp)) = parse(&frame).map(|segment| segment.transport) else {
                continue;
            };
            if tcp.source_port == PORT && tcp.flags & (SYN | ACK) == SYN | ACK {
                self.delivered.insert(tcp.destination_port);
            }
        }
    }
}

fn interface(name: &str) -> NetworkInterface {
    pnet_datalink::interfaces().into_iter().find(|interface| interface.name == name).unwrap()
}

fn channel(interface: &NetworkInterface) -> (Box<dyn DataLinkSender>, Box<dyn DataLinkReceiver>) {
    let config =
        Config { read_timeout: Some(Duration::from_millis(10)), promiscuous: false, ..Config::default() };
    match pnet_datalink::channel(interface, config).unwrap() {
        Channel::Ethernet(sender, receiver) => (sender, receiver),
        _ => panic!("an Ethernet interface"),
    }
}

/// Spares the hosts asking for each other's addresses, which would hold answers back.
fn know_each_other(namespace: &str, interface: &str, mac: MacAddr, addresses: [String; 2]) {
    for address in addresses {
        let mac = mac.to_string();
        let words = ["-n", namespace, "neigh", "replace", &address, "lladdr", &mac, "dev", interface];
        let status = Command::new("ip").args(words).status().unwrap();
        assert!(status.success(), "{words:?}");
    }
}
