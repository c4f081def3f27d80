//! What goes out: one SYN or one datagram for each step, in order, the same from all three programs.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::programs::{ALDABA, KNOCK, ORIGINAL, now, original_is_here, run};
use crate::wire::{Packet, Wire};

const SYN: u8 = 2;

/// Ports that nothing listens on, and that nobody else gets while the sockets live: bound is not listening.
fn closed<const COUNT: usize>() -> ([u16; COUNT], [Socket; COUNT]) {
    let any = SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let held = [(); COUNT].map(|()| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&any).expect("a port");
        socket
    });
    let ports = held.each_ref().map(|socket| {
        let address = socket.local_addr().expect("bound").as_socket();
        address.expect("an IP address").port()
    });
    (ports, held)
}

fn programs() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut programs = vec![(ALDABA, vec!["knock", "-d", "5"]), (KNOCK, vec![])];
    if original_is_here() {
        programs.push((ORIGINAL, vec![]));
    }
    programs
}

/// What arrives at the ports when a program is run.
fn knocked(
    wire: &mut Wire,
    program: &str,
    first: &[&str],
    words: &[String],
    ports: &[u16],
) -> Vec<(u16, Packet)> {
    let words: Vec<&str> = first.iter().copied().chain(words.iter().map(String::as_str)).collect();
    let said = run(program, &words);
    assert_eq!(said.code, Some(0), "{program}: {}", said.err);
    wire.arrived(ports)
}

#[test]
fn one_syn_or_one_datagram_for_each_step_in_order() {
    let Some(mut wire) = Wire::open() else { return };
    let (ports, _held) = closed::<3>();
    let [a, b, c] = ports;
    let words = ["127.0.0.1".to_owned()].into_iter().chain([
        format!("{c}"),
        format!("{a}:udp"),
        format!("{b}:tcp"),
        format!("{a}"),
        format!("{c}:udp"),
        format!("{c}"),
    ]);
    let words: Vec<String> = words.collect();
    let mut seen: Vec<Vec<Packet>> = Vec::new();
    for (program, first) in programs() {
        let packets = knocked(&mut wire, program, &first, &words, &ports);
        let steps: Vec<(u16, Option<u8>, usize)> = packets
            .iter()
            .map(|(_, packet)| match packet {
                Packet::Tcp { port, flags, payload, .. } => (*port, Some(*flags), *payload),
                Packet::Udp { port, payload } => (*port, None, payload.len()),
            })
            .collect();
        let (tcp, udp) = (|port| (port, Some(SYN), 0), |port| (port, None, 1));
        assert_eq!(steps, [tcp(c), udp(a), tcp(b), tcp(a), udp(c), tcp(c)], "{program}");
        let sources: BTreeSet<u16> = packets.iter().map(|(source, _)| *source).collect();
        assert!(sources.len() > 1, "{program}: all hits from port {sources:?}");
        seen.push(packets.into_iter().map(|(_, packet)| packet).collect());
    }
    for other in &seen[1..] {
        assert_eq!(&seen[0], other, "the programs send different packets");
    }
}

#[test]
fn an_open_port_gets_no_data() {
    let Some(mut wire) = Wire::open() else { return };
    let open = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = open.local_addr().expect("bound").port();
    for (program, first) in programs() {
        let words = ["127.0.0.1".to_owned(), port.to_string()];
        let packets = knocked(&mut wire, program, &first, &words, &[port]);
        let syns =
            packets.iter().filter(|(_, packet)| matches!(packet, Packet::Tcp { flags: SYN, .. })).count();
        assert_eq!(syns, 1, "{program}: {packets:?}");
        let silent = packets.iter().all(|(_, packet)| matches!(packet, Packet::Tcp { payload: 0, .. }));
        assert!(silent, "{program}: {packets:?}");
    }
}

#[test]
fn refused_words_send_nothing_and_lookups_that_fail_stop_the_rest() {
    let Some(mut wire) = Wire::open() else { return };
    let (ports, _held) = closed::<2>();
    let [a, b] = ports.map(|port| port.to_string());
    for (words, wanted) in [
        (["127.0.0.1", &a, "70000", &b], 0),
        (["127.0.0.1", &a, "no-such-service", &b], 1),
        (["-d-1", "127.0.0.1", &a, &b], 0),
        (["-h", "127.0.0.1", &a, &b], 0),
    ] {
        assert_eq!(run(KNOCK, &words).code, Some(1), "{words:?}");
        assert_eq!(wire.arrived(&ports).len(), wanted, "{words:?}");
    }
}

#[test]
fn the_pause_of_the_drop_in_follows_every_hit() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let step = format!("{}:udp", socket.local_addr().expect("bound").port());
    for (program, _) in programs().into_iter().skip(1) {
        let start = now();
        assert_eq!(run(program, &["-d", "150", "127.0.0.1", &step, &step]).code, Some(0));
        assert!(start.elapsed() >= Duration::from_millis(300), "{program}");
    }
}
