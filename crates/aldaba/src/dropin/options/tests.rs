use super::*;

const fn pause(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn asked(words: &[&str]) -> Asked {
    parse(["knock"].iter().chain(words).map(OsString::from), false)
}

fn options(words: &[&str]) -> Options {
    match asked(words) {
        Asked::Knock(options) => options,
        other => panic!("{other:?}"),
    }
}

fn targets(words: &[&str]) -> Vec<String> {
    let options = options(words);
    options.targets.iter().map(|target| format!("{}/{}", target.port, target.protocol)).collect()
}

#[test]
fn options_stand_anywhere() {
    let all = options(&["host", "-d", "30", "7000", "-v", "--ipv6", "8000:udp"]);
    assert_eq!((all.host.as_str(), all.delay, all.verbose), ("host", pause(30), true));
    assert_eq!(all.family, Family::V6);
    assert_eq!(options(&["-6", "-4", "h", "1"]).family, Family::V4);
    assert_eq!(options(&["--del=7", "--verb", "h", "1"]).delay, pause(7));
    assert_eq!(targets(&["--", "h", "1"]), ["1/tcp"]);
}

#[test]
fn options_end_at_the_first_word_where_posix_is_asked_for() {
    let words = ["knock", "-v", "h", "1", "-u"].map(OsString::from);
    let Asked::Knock(options) = parse(words, true) else { panic!() };
    assert_eq!(options.targets.iter().map(|target| target.port.as_str()).collect::<Vec<_>>(), ["1", "-u"]);
}

#[test]
fn protocols() {
    assert_eq!(targets(&["h", "1:tcp", "2:udp", "3:UDP", "ssh"]), ["1/tcp", "2/udp", "3/udp", "ssh/tcp"]);
    assert_eq!(targets(&["-u", "h", "1:tcp", "2"]), ["1/udp", "2/udp"]);
    for (word, wanted) in
        [("1:icmp", Some("icmp")), ("1:", Some("")), ("1:udp:tcp", Some("udp:tcp")), ("1", None)]
    {
        let target = target(word, false).unwrap();
        assert_eq!((target.protocol, target.unknown.as_deref()), (Protocol::Tcp, wanted), "{word}");
    }
    assert_eq!(target("1:icmp", true).unwrap().unknown, None);
}

#[test]
fn delays_are_read_like_atoi() {
    for (text, wanted) in [
        ("12abc", 12),
        ("abc", 0),
        (" +3", 3),
        ("\t\u{b}4", 4),
        ("0", 0),
        ("-0", 0),
        ("-", 0),
        ("+-5", 0),
        ("=5", 0),
        ("2147483647", 2_147_483_647),
    ] {
        assert_eq!(delay(text), Ok(pause(wanted)), "{text}");
    }
    for text in ["-5", "-05", " -1x", "-99999999999999999999"] {
        assert_eq!(delay(text), Err("error: delay cannot be negative".to_owned()), "{text}");
    }
    for text in ["2147483648", "4294967296", "99999999999999999999"] {
        assert!(delay(text).unwrap_err().contains("too long"), "{text}");
    }
}

#[test]
fn the_first_thing_that_ends_it_decides() {
    for (words, wanted) in [
        (&["-d", "-5", "h", "1"][..], Asked::Refused("error: delay cannot be negative".to_owned())),
        (&["-d", "-5", "h"], Asked::Usage(None)),
        (&["-d", "-5", "-V"], Asked::Version),
        (&["-V", "-Z"], Asked::Version),
        (&["-h", "-V"], Asked::Usage(None)),
        (&["-d", "-5", "-Z", "h", "1"], Asked::Usage(Some("knock: invalid option -- 'Z'".to_owned()))),
        (&["-d", "-5", "h", "70000"], Asked::Refused("error: delay cannot be negative".to_owned())),
    ] {
        assert_eq!(asked(words), wanted, "{words:?}");
    }
    for words in [&[][..], &["h"], &["-h"], &["-u", "h"]] {
        assert_eq!(asked(words), Asked::Usage(None), "{words:?}");
    }
}

#[test]
fn complaints_begin_with_the_name_the_program_was_called_by() {
    let wanted = Asked::Usage(Some("/opt/bin/knock: invalid option -- 'Z'".to_owned()));
    assert_eq!(parse(["/opt/bin/knock", "-Z"].map(OsString::from), false), wanted);
}

#[test]
fn numbers_that_are_no_ports_are_refused() {
    for port in ["65536", "72536", " 65536", "+70000", "99999999999999999999"] {
        let wanted = Asked::Refused(format!("error: port {port} is not between 0 and 65535"));
        assert_eq!(asked(&["h", "1", "--", port]), wanted, "{port}");
    }
    for port in ["0", "65535", "007000", " 9", "+9", "-9", "ssh", "", "9x", "0x9"] {
        assert_eq!(targets(&["h", "--", port]), [format!("{port}/tcp")], "{port}");
    }
}
