//! `aldaba knock` against real sockets on loopback.

use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use crate::programs::{ALDABA, KNOCK, command, now, run};

/// A socket that tells what arrives, and its port.
fn listener(at: impl Into<SocketAddr>) -> (UdpSocket, String) {
    let socket = UdpSocket::bind(at.into()).expect("a port");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
    let port = socket.local_addr().expect("bound").port().to_string();
    (socket, port)
}

fn received(socket: &UdpSocket) -> Vec<u8> {
    let mut bytes = [7; 16];
    let length = socket.recv(&mut bytes).expect("a datagram");
    bytes[..length].to_vec()
}

#[test]
fn both_programs_send_one_zero_byte_over_both_families() {
    for (local, host) in
        [(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "127.0.0.1"), ((Ipv6Addr::LOCALHOST, 0).into(), "::1")]
    {
        let (socket, port) = listener(local);
        for (program, first) in [(ALDABA, &["knock"][..]), (KNOCK, &[])] {
            for words in [&[host, &format!("{port}:UDP")][..], &["-u", host, &port], &["--udp", host, &port]]
            {
                let said = run(program, &[first, words].concat());
                assert_eq!(said.code, Some(0), "{program} {words:?}: {}", said.err);
                assert_eq!(received(&socket), [0], "{program} {words:?}");
            }
        }
        socket.set_nonblocking(true).expect("non-blocking");
        assert!(socket.recv(&mut [0; 16]).is_err(), "more datagrams than knocks");
    }
}

#[test]
fn it_says_what_it_did_and_where() {
    for (words, wanted) in [
        (
            &["-v", "-d", "0", "127.0.0.1", "9", "9:udp"][..],
            "9 at 127.0.0.1\n9:udp at 127.0.0.1\nknocked at 127.0.0.1: 9,9:udp\n",
        ),
        (&["--udp", "127.0.0.1", "9", "10:tcp"], "knocked at 127.0.0.1: 9:udp,10:udp\n"),
        (&["-6", "::1", "9:Tcp"], "knocked at ::1: 9\n"),
        (&["127.0.0.1", "--delay=1ms", "9", "--", "9:udp"], "knocked at 127.0.0.1: 9,9:udp\n"),
    ] {
        let said = run(ALDABA, &[&["knock"], words].concat());
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), wanted, ""), "{words:?}");
    }
}

#[test]
fn it_pauses_between_knocks_and_not_after_the_last() {
    let (socket, port) = listener((Ipv4Addr::LOCALHOST, 0));
    let step = format!("{port}:udp");
    let took = |words: &[&str]| {
        let start = now();
        assert_eq!(run(ALDABA, words).code, Some(0));
        start.elapsed()
    };
    for delay in ["200", "200ms"] {
        let all = took(&["knock", "-d", delay, "127.0.0.1", &step, &step, &step]);
        assert!(all >= Duration::from_millis(400), "{delay}: {all:?}");
        assert_eq!([received(&socket), received(&socket), received(&socket)].concat(), [0; 3]);
    }
    let one = took(&["knock", "-d", "30s", "127.0.0.1", &step]);
    assert!(one < Duration::from_secs(15), "{one:?}");
    let by_default = took(&["knock", "127.0.0.1", &step, &step]);
    assert!(by_default >= Duration::from_millis(50), "{by_default:?}");
}

#[test]
fn what_cannot_work_is_said_with_a_next_step() {
    let long = [&["knock", "127.0.0.1"][..], &["9"; 33]].concat();
    for (words, code, part) in [
        (&["knock"][..], 2, "<HOST>"),
        (&["knock", "127.0.0.1"], 2, "PORT[:PROTOCOL]"),
        (&["knock", "127.0.0.1", "70000"], 2, "1 to 65535"),
        (&["knock", "127.0.0.1", "0"], 2, "1 to 65535"),
        (&["knock", "127.0.0.1", "22:sctp"], 2, "PORT:udp"),
        (&["knock", "127.0.0.1", "7000,8000"], 2, "without commas"),
        (&["knock", "-d", "soon", "127.0.0.1", "9"], 2, "50ms or 2s"),
        (&["knock", "-d", "2m", "127.0.0.1", "9"], 2, "one minute"),
        (&["knock", "-4", "-6", "127.0.0.1", "22"], 2, "cannot be used with"),
        (&long, 2, "at most 32"),
        (&["nock"], 2, "'knock'"),
        (&["knock", "-6", "127.0.0.1", "22"], 1, "try without -6"),
        (&["knock", "-4", "::1", "22"], 1, "try without -4"),
        (&["knock", "[::1]", "22"], 1, "without brackets"),
        (&["knock", "127.0.0.1:22", "9"], 1, "host and ports apart"),
        (&["knock", "no.such.host.invalid", "22"], 1, "help: check the name"),
        // Without a broadcast option the kernel refuses it on every host.
        (&["knock", "255.255.255.255", "9:udp"], 1, "cannot send to 255.255.255.255:9"),
    ] {
        let said = run(ALDABA, words);
        assert_eq!(said.code, Some(code), "{words:?}: {}", said.err);
        assert!(said.err.contains(part), "{words:?}: {}", said.err);
        assert!(said.out.is_empty(), "{words:?}");
    }
}

#[test]
fn help_and_version_are_asked_for_and_succeed() {
    for (words, part) in [
        (&["--help"][..], "Commands:"),
        (&["knock", "--help"], "A door opens for the address the knock comes from"),
        (&["--version"], concat!("aldaba ", env!("CARGO_PKG_VERSION"))),
    ] {
        let said = run(ALDABA, words);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{words:?}");
        assert!(said.out.contains(part), "{words:?}: {}", said.out);
    }
    assert_eq!(run(ALDABA, &[]).code, Some(2));
}

#[test]
fn a_reader_that_goes_away_does_not_stop_a_knock() {
    let (socket, port) = listener((Ipv4Addr::LOCALHOST, 0));
    let step = format!("{port}:udp");
    for (program, first) in [(ALDABA, &["knock"][..]), (KNOCK, &[])] {
        let words = [first, &["-v", "-d", "100", "127.0.0.1", &step, &step, &step]].concat();
        let mut knocking = command(program).args(words).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut pipe = knocking.stdout.take().expect("a pipe");
        pipe.read_exact(&mut [0; 1]).expect("its first word");
        drop(pipe);
        assert_eq!(knocking.wait().expect("it ends").code(), Some(0), "{program}");
        assert_eq!([received(&socket), received(&socket), received(&socket)].concat(), [0; 3], "{program}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_after_the_knock() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    let (socket, port) = listener((Ipv4Addr::LOCALHOST, 0));
    let mut knocking = command(ALDABA);
    knocking.args(["knock", "-v", "127.0.0.1", "9", &format!("{port}:udp")]);
    let ended = knocking.stdout(full()).output().expect("it starts");
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("cannot write"));
    assert_eq!(received(&socket), [0]);
    let ended = knocking.stdout(full()).stderr(full()).status().expect("it starts");
    assert_eq!(ended.code(), Some(1), "nowhere to complain to");
}
