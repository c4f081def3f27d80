//! `knock` beside Debian's: the same words in, the same words and exit code out.

use std::os::unix::process::CommandExt as _;

use crate::programs::{KNOCK, ORIGINAL, Said, command, original_is_here};

const HOST: &str = "127.0.0.1";

/// One of the two, called by one name: complaints begin with it.
fn knock(program: &str, words: &[&str]) -> Said {
    command(program).arg0("knock").args(words).output().expect("it starts").into()
}

fn all_are_as_the_original(lines: &[&[&str]]) {
    if !original_is_here() {
        return;
    }
    for words in lines {
        assert_eq!(knock(KNOCK, words), knock(ORIGINAL, words), "{words:?}");
    }
}

#[test]
fn usage_and_bad_options() {
    all_are_as_the_original(&[
        &[],
        &["-h"],
        &["--help"],
        &["--hel"],
        &["-vh"],
        &["-h", "-V"],
        &[HOST],
        &[HOST, "-h"],
        &["-u", HOST],
        &["--", HOST],
        &["-Z"],
        &["-Z", HOST, "9"],
        &["-uZ", HOST, "9"],
        &["-?"],
        &["-:"],
        &["-W", "udp", HOST, "9"],
        &["-v=", HOST, "9"],
        &["--nope"],
        &["--nope=3", HOST, "9"],
        &["---", HOST, "9"],
        &["--UDP", HOST, "9"],
        &["--ver", HOST, "9"],
        &["--v=1", HOST, "9"],
        &["--ipv", HOST, "9"],
        &["--i", HOST, "9"],
        &["--=5", HOST, "9"],
        &["--udp=1", HOST, "9"],
        &["--u=1", HOST, "9"],
        &["--help=x"],
        &["--version="],
        &["-d"],
        &["-vd"],
        &["--delay"],
        &["--del"],
        &["-d", "-5", "-Z", HOST, "9"],
        &["-d", "-5", HOST],
    ]);
}

#[test]
fn options_and_delays() {
    all_are_as_the_original(&[
        &["-v", HOST, "9", "10:udp", "11:tcp"],
        &["-uv", HOST, "9", "10:tcp", "11:icmp"],
        &[HOST, "-v", "9", "-d", "1", "10"],
        &[HOST, "9", "-v", "10", "-u"],
        &["-v", "--", HOST, "9"],
        &["-v", HOST, "--", "9", "-v"],
        &["--verb", "--ud", "--del=3", HOST, "9"],
        &["--verbose", "--delay", "3", "--ipv4", HOST, "9"],
        &["-vd", "--", HOST, "9"],
        &["-v", "--delay=", HOST, "9"],
        &["-d", "-5", HOST, "9"],
        &["-d", " -5x", HOST, "9"],
        &["-d", "-5", HOST, "9", "no-such-service"],
        &["-d1x", "-v", HOST, "9"],
        &["-d=500000", "-v", HOST, "9"],
        &["-d", "", "-v", HOST, "9"],
        &["-d", "x", "-v", HOST, "9"],
        &["-d", "+-5", "-v", HOST, "9"],
        &["-d", "-0", "-v", HOST, "9"],
        &["-d", "\t\n +2", "-v", HOST, "9"],
        &["-v4", HOST, "echo"],
        &["-v6", "::1", "9"],
        &["-46v", "::1", "9"],
        &["-64v", HOST, "9"],
        &["-v46", HOST, "9"],
        &["-v", "--ipv6", "--ipv4", HOST, "9"],
    ]);
}

#[test]
fn hosts_and_ports() {
    all_are_as_the_original(&[
        &[HOST, "9"],
        &["-v", "localhost", "9"],
        &["-v", "127.1", "9"],
        &["-v", "0x7f000001", "9"],
        &["-v", "0", "9"],
        &["-v", "::1", "9"],
        &["-v", "::ffff:127.0.0.1", "9"],
        &["-v", "[::1]", "9"],
        &["-v", "-", "9"],
        &["-v", "", "9"],
        &["no.such.host.invalid", "9", "10"],
        &["-6", HOST, "9"],
        &["-4", "::1", "9"],
        &["-v", HOST, "0"],
        &["-v", HOST, "65535"],
        &["-v", HOST, "00009"],
        &["-v", HOST, " 9"],
        &["-v", HOST, "9 "],
        &["-v", HOST, "+9"],
        &["-v", HOST, "--", "-9"],
        &["-v", HOST, "0x9"],
        &["-v", HOST, "9x"],
        &["-v", HOST, "9,10"],
        &["-v", HOST, ""],
        &["-v", HOST, "-"],
        &["-v", HOST, "ssh", "domain:udp"],
        // Known for the other protocol only.
        &["-v", HOST, "tftp", "ssh:udp"],
        &["-v", HOST, "SSH"],
        &["-v", HOST, "9", "no-such-service", "10"],
        &["-v", HOST, "9:tcp"],
        &["-v", HOST, "9:udp"],
        &["-v", HOST, ":tcp"],
        &["-uv", HOST, "9:", "9:UDP", "9:udp:tcp"],
        &["-v", HOST, "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"],
    ]);
}

#[test]
fn options_end_where_posix_wants_it() {
    if !original_is_here() {
        return;
    }
    for words in [&["-v", HOST, "9", "-u"][..], &[HOST, "-v", "9"], &["-v", HOST, "--", "9"], &["-Z"]] {
        let both = [KNOCK, ORIGINAL].map(|program| {
            let mut command = command(program);
            command.env("POSIXLY_CORRECT", "").arg0("knock").args(words);
            Said::from(command.output().expect("it starts"))
        });
        assert_eq!(both[0], both[1], "{words:?}");
    }
}

#[test]
fn complaints_begin_with_the_name_it_was_called_by() {
    if !original_is_here() {
        return;
    }
    let [ours, theirs] = [KNOCK, ORIGINAL].map(|program| {
        Said::from(command(program).arg0("/opt/bin/klopf").arg("-Z").output().expect("it starts"))
    });
    assert!(ours.err.starts_with("/opt/bin/klopf: "), "{}", ours.err);
    assert_eq!(ours, theirs);
}

#[test]
fn without_room_for_its_output_it_knocks_all_the_same() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    for (words, wanted) in [(&["-h"][..], 1), (&["-V"], 0), (&["-v", HOST, "9"], 0), (&["-Z"], 1)] {
        for program in [KNOCK, ORIGINAL] {
            if program == ORIGINAL && !original_is_here() {
                continue;
            }
            let ended =
                command(program).args(words).stdout(full()).stderr(full()).status().expect("it starts");
            assert_eq!(ended.code(), Some(wanted), "{program} {words:?}");
        }
    }
}

/// Where `knock` does otherwise than the original, on purpose: words, code, output, complaints.
#[test]
fn what_differs_on_purpose() {
    let hit = |protocol: &str, port: &str| format!("hitting {protocol} {HOST}:{port}\n");
    let warned = |suffix: &str| {
        format!("knock: warning: '{suffix}' in '9:{suffix}' is neither tcp nor udp: TCP is used\n")
    };
    let refused = |port: &str| format!("error: port {port} is not between 0 and 65535\n");
    let too_long =
        |delay: &str| format!("error: delay {delay} is too long (milliseconds, at most 2147483647)\n");
    for (words, code, out, err) in [
        (&["-v", HOST, "9:UDP"][..], 0, hit("udp", "9"), String::new()),
        (&["-v", HOST, "9:icmp"], 0, hit("tcp", "9"), warned("icmp")),
        (&["-v", HOST, "9:"], 0, hit("tcp", "9"), warned("")),
        (&["-v", HOST, "9", "65536"], 1, String::new(), refused("65536")),
        (&["-v", HOST, "72536"], 1, String::new(), refused("72536")),
        (&["-v", HOST, "4294967305"], 1, String::new(), refused("4294967305")),
        (&["-d", "4294967296", "-v", HOST, "9"], 1, String::new(), too_long("4294967296")),
        (&["-d", "2147483648", "-v", HOST, "9"], 1, String::new(), too_long("2147483648")),
    ] {
        let ours = knock(KNOCK, words);
        assert_eq!(ours, Said { code: Some(code), out, err }, "{words:?}");
        if original_is_here() {
            assert_ne!(ours, knock(ORIGINAL, words), "{words:?}: no difference any more");
        }
    }
}

/// Refused by every kernel, for one reason or another.
#[test]
fn what_cannot_be_sent_is_told_only_where_it_was_asked_for() {
    let words = ["-v", "255.255.255.255", "9:udp", "10:udp"];
    let told = knock(KNOCK, &words);
    assert_eq!((told.code, told.out.lines().count(), told.err.lines().count()), (Some(0), 2, 2));
    assert!(told.err.starts_with("knock: cannot send to 255.255.255.255:9: "), "{}", told.err);
    assert_eq!(knock(KNOCK, &words[1..]), Said { code: Some(0), out: String::new(), err: String::new() });
}

#[test]
fn the_version_on_standard_output_is_the_originals() {
    let ours = knock(KNOCK, &["-d", "-5", "--vers"]);
    assert_eq!((ours.code, ours.out.lines().next()), (Some(0), Some("knock 0.8")));
    assert!(ours.err.contains(concat!("aldaba ", env!("CARGO_PKG_VERSION"))), "{}", ours.err);
    if original_is_here() {
        let theirs = knock(ORIGINAL, &["-d", "-5", "--vers"]);
        assert_eq!((theirs.code, theirs.out), (ours.code, ours.out));
    }
}
