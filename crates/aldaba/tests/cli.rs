//! Both programs from outside, against real sockets on loopback.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const ALDABA: &str = env!("CARGO_BIN_EXE_aldaba");
const KNOCK: &str = env!("CARGO_BIN_EXE_knock");
/// Debian's.
const ORIGINAL: &str = "/usr/bin/knock";

#[expect(clippy::disallowed_methods, reason = "runs the program under test")]
fn run(program: &str, words: &[&str]) -> Output {
    Command::new(program).args(words).output().expect("it starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A listener that tells who connects, and a socket that tells what arrives; both on free ports.
fn server() -> (TcpListener, UdpSocket, [String; 2]) {
    let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    udp.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
    tcp.set_nonblocking(true).expect("non-blocking");
    let ports =
        [tcp.local_addr(), udp.local_addr()].map(|address| address.expect("bound").port().to_string());
    (tcp, udp, ports)
}

fn accepted(tcp: &TcpListener) -> usize {
    std::iter::from_fn(|| tcp.accept().ok()).count()
}

#[test]
fn both_programs_knock_with_both_protocols() {
    for (program, command) in [(ALDABA, &["knock"][..]), (KNOCK, &[])] {
        let (tcp, udp, [first, second]) = server();
        let second = format!("{second}:UDP");
        let words = [command, &["127.0.0.1", &first, &second, &first]].concat();
        let output = run(program, &words);
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
        let mut bytes = [7; 16];
        assert_eq!(udp.recv(&mut bytes).expect("a datagram"), 1, "{program}");
        assert_eq!(bytes[0], 0);
        assert_eq!(accepted(&tcp), 2, "{program}");
    }
}

#[test]
fn aldaba_says_what_it_did_and_where() {
    let (_tcp, _udp, [port, _]) = server();
    let output = run(ALDABA, &["knock", "-v", "-d", "0", "127.0.0.1", &port, "9:udp"]);
    let wanted = format!("{port} at 127.0.0.1\n9:udp at 127.0.0.1\nknocked at 127.0.0.1: {port},9:udp\n");
    assert_eq!(text(&output.stdout), wanted);
    let all_udp = run(ALDABA, &["knock", "--udp", "127.0.0.1", "9", "10"]);
    assert_eq!(text(&all_udp.stdout), "knocked at 127.0.0.1: 9:udp,10:udp\n");
}

#[test]
fn aldaba_pauses_between_knocks() {
    let took = |delay: &str| {
        let start = now();
        assert!(
            run(ALDABA, &["knock", "-d", delay, "127.0.0.1", "9:udp", "9:udp", "9:udp"]).status.success()
        );
        start.elapsed()
    };
    assert!(took("200") >= Duration::from_millis(400));
}

#[expect(clippy::disallowed_methods, reason = "measures a pause")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn what_cannot_work_is_said_with_a_next_step() {
    for (words, code, part) in [
        (&["knock", "127.0.0.1"][..], 2, "PORT[:PROTOCOL]"),
        (&["knock", "127.0.0.1", "70000"], 2, "1 to 65535"),
        (&["knock", "127.0.0.1", "22:sctp"], 2, "PORT:udp"),
        (&["knock", "-6", "127.0.0.1", "22"], 1, "try without -6"),
        (&["knock", "no.such.host.invalid", "22"], 1, "help:"),
        (&["knock", "-4", "-6", "127.0.0.1", "22"], 2, "cannot be used with"),
    ] {
        let output = run(ALDABA, words);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        assert!(said.contains(part), "{words:?}: {said}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

/// Words, output and exit codes of `knock` beside Debian's.
#[test]
fn knock_answers_as_the_original_does() {
    if !Path::new(ORIGINAL).exists() {
        assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "needs Debian's knock (tests/run)");
        println!("SKIPPED: {ORIGINAL} is not installed");
        return;
    }
    let lines: [&[&str]; 18] = [
        &[],
        &["-h"],
        &["--help"],
        &["-V"],
        &["--version"],
        &["127.0.0.1"],
        &["-u", "127.0.0.1"],
        &["127.0.0.1", "9"],
        &["-v", "127.0.0.1", "9", "10:udp", "11:tcp"],
        &["-uv", "127.0.0.1", "9", "10:tcp"],
        &["127.0.0.1", "-v", "9", "-d", "1", "10"],
        &["-v", "-4", "127.0.0.1", "echo"],
        &["-v6", "::1", "9"],
        &["-d", "-5", "127.0.0.1", "9"],
        &["-d1x", "-v", "127.0.0.1", "9"],
        &["-6", "127.0.0.1", "9"],
        &["-v", "127.0.0.1", "9", "no-such-service"],
        &["no.such.host.invalid", "9"],
    ];
    for words in lines {
        let (ours, theirs) = (run(KNOCK, words), run(ORIGINAL, words));
        assert_eq!(ours.status.code(), theirs.status.code(), "{words:?}");
        assert_eq!(text(&ours.stdout), text(&theirs.stdout), "{words:?}");
        if words.first().is_none_or(|word| *word != "-V" && *word != "--version") {
            assert_eq!(text(&ours.stderr), text(&theirs.stderr), "{words:?}");
        }
    }
}
