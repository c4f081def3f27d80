//! `aldaba open`, `close` and `hello`: what arrives, opened as a server opens it, and what is said of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use aldaba_spa::{DoorTag, Operation, Timestamp};

use crate::programs::Said;
use crate::world::{FUTURE, Gate, Home, Opened, bundle, free_port, wall};

const HERE: &str = "127.0.0.1";

fn scene() -> (Gate, Home) {
    let gate = Gate::new();
    let home = Home::enrolled(&bundle(&[HERE], gate.port(), 22));
    (gate, home)
}

fn good(said: &Said) -> &str {
    assert_eq!(said.code, Some(0), "{}", said.err);
    &said.out
}

fn open(door: &str, seconds: u16, bound: Option<IpAddr>) -> Operation {
    Operation::Open { door: DoorTag::of(door).expect("a tag"), seconds, bound }
}

fn line(knock: &Opened, what: &str, port: u16, bound: &str) -> String {
    format!("knock {}: {what}, to 127.0.0.1 UDP port {port}, from 127.0.0.1{bound}\n", knock.id)
}

#[test]
fn a_knock_says_what_was_asked() {
    let (gate, home) = scene();
    let here = Some(Ipv4Addr::LOCALHOST.into());
    let close = Operation::Close { door: DoorTag::of("web").expect("a tag") };
    for (words, operation, what, bound) in [
        (&["open", "gw"][..], open("ssh", 0, None), "open ssh", ""),
        (&["open", HERE, "web", "--for", "10m"], open("web", 600, None), "open web", ""),
        (&["open", "GW", "--for=90s", "--bind=never"], open("ssh", 90, None), "open ssh", ""),
        (&["open", "gw", "--bind", "always"], open("ssh", 0, here), "open ssh", ", good from there only"),
        (&["close", "gw", "web", "-4"], close, "close web", ""),
        (&["hello", "gw", "--bind=always"], Operation::Hello, "hello", ""),
    ] {
        let before = wall();
        let said = home.run(words);
        let knock = gate.next();
        assert_eq!(knock.request.operation, operation, "{words:?}");
        assert!((before..=wall()).contains(&knock.request.time), "{words:?}");
        let told = line(&knock, what, gate.port(), bound);
        let silence = "no answer comes, whatever became of it; on the server:\n";
        assert_eq!(good(&said), format!("{told}{silence}  aldabad why {}\n", knock.id), "{words:?}");
        assert_eq!(said.err, "", "{words:?}");
    }
    gate.assert_quiet();
}

#[test]
fn every_knock_differs_in_length_and_in_all_its_bytes() {
    let (gate, home) = scene();
    let mut seen: Vec<Vec<u8>> = Vec::new();
    for _ in 0..12 {
        good(&home.run(&["hello", "gw"]));
        seen.push(gate.next().datagram);
    }
    assert!(seen.iter().all(|datagram| (144..=200).contains(&datagram.len())));
    seen.sort_by_key(Vec::len);
    assert!(seen[0].len() < seen[11].len(), "twelve of one length of 57");
    seen.sort();
    assert!(seen.windows(2).all(|two| two[0][..8] != two[1][..8]));
}

#[test]
fn each_family_gets_its_own_knock() {
    let gate = Gate::new();
    let gate6 = Gate::at(Ipv6Addr::LOCALHOST.into(), gate.port());
    let home = Home::enrolled(&bundle(&[HERE, "::1"], gate.port(), 22));
    good(&home.run(&["open", "gw", "--bind=always"]));
    let (v4, v6) = (gate.next(), gate6.next());
    assert_eq!(v4.request.operation, open("ssh", 0, Some(Ipv4Addr::LOCALHOST.into())));
    assert_eq!(v6.request.operation, open("ssh", 0, Some(Ipv6Addr::LOCALHOST.into())));
    assert!(v4.request.time < v6.request.time);
    for (words, family) in [(["-6", "gw"], &gate6), (["-4", "gw"], &gate), (["gw", "-6"], &gate6)] {
        good(&home.run(&[&["open"], &words[..]].concat()));
        family.next();
    }
    for (words, family) in [(["hello", HERE], &gate), (["hello", "::1"], &gate6)] {
        good(&home.run(&words));
        family.next();
    }
    gate.assert_quiet();
    gate6.assert_quiet();
    let said = home.run(&["hello", HERE, "-6"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("no address for gw\n  help: it may have IPv4 only"), "{}", said.err);
}

#[test]
fn fifty_processes_at_once_never_take_one_time_twice() {
    let (gate, home) = scene();
    // Half a minute behind the last knock: all fifty count on from there.
    let ahead = wall().after(FUTURE / 2);
    home.write("last", &format!("{:020}\n", ahead.0));
    let mut words = home.command(&["open", "gw"]);
    let quiet = words.stdout(Stdio::null()).stderr(Stdio::piped());
    let running: Vec<_> = (0..50).map(|_| quiet.spawn().expect("it starts")).collect();
    let knocks: BTreeMap<Timestamp, String> =
        (0..50).map(|_| gate.next()).map(|k| (k.request.time, k.id)).collect();
    for child in running {
        let said: Said = child.wait_with_output().expect("it ends").into();
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    }
    let times: Vec<u64> = knocks.keys().map(|time| time.0 - ahead.0).collect();
    assert_eq!(times, (1..=50).collect::<Vec<_>>());
    assert_eq!(home.read("last"), format!("{:020}\n", ahead.0 + 50));
}

#[test]
fn times_go_on_when_the_clock_goes_back_and_begin_anew_when_it_was_wrong() {
    let (gate, home) = scene();
    let ahead = wall().after(FUTURE / 3 * 2);
    home.write("last", &format!("{:020}\n", ahead.0));
    assert_eq!(home.run(&["hello", "gw"]).err, "");
    assert_eq!(gate.next().request.time, ahead.after(Duration::from_micros(1)));
    let wrong = wall().after(FUTURE + Duration::from_secs(60));
    home.write("last", &format!("{:020}\n", wrong.0));
    let before = wall();
    let said = home.run(&["hello", "gw"]);
    good(&said);
    assert!(
        said.err.starts_with("warning: this clock was ahead: the last knock was made at 2"),
        "{}",
        said.err
    );
    let time = gate.next().request.time;
    assert!((before..=wall()).contains(&time));
    assert_eq!(home.read("last"), format!("{:020}\n", time.0));
}

#[test]
fn a_time_that_cannot_be_noted_keeps_nobody_out() {
    let (gate, home) = scene();
    std::fs::create_dir(home.path("last")).expect("made");
    let said = home.run(&["open", "gw"]);
    good(&said);
    assert!(said.err.starts_with("warning: cannot note the time of this knock in "), "{}", said.err);
    gate.next();
}

#[test]
fn waiting_ends_when_the_port_answers() {
    let gate = Gate::new();
    let port = free_port();
    let home = Home::enrolled(&bundle(&[HERE], gate.port(), port));
    let mut asked = home.command(&["open", "gw", "--wait=20s"]);
    let child = asked.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // Not at the first knock: the second one is another.
    let (first, second) = (gate.next(), gate.next());
    let listener = TcpListener::bind((HERE, port)).expect("the port");
    let said: Said = child.wait_with_output().expect("it ends").into();
    assert_eq!(first.request.operation, second.request.operation);
    assert!(second.request.time.offset_from(first.request.time) >= 450_000);
    assert_ne!(first.datagram[..32], second.datagram[..32]);
    let told = [&first, &second].map(|knock| line(knock, "open ssh", gate.port(), "")).concat();
    assert!(good(&said).starts_with(&told), "{}", said.out);
    assert!(said.out.ends_with(&format!("port {port} of gw answers at 127.0.0.1\n")), "{}", said.out);
    drop(listener);
}

#[test]
fn a_port_that_does_not_answer_has_a_story() {
    let gate = Gate::new();
    let port = free_port();
    let home = Home::enrolled(&bundle(&[HERE], gate.port(), port));
    let said = home.run(&["open", "gw", "--wait=1s", "--bind=always"]);
    let knocks = [gate.next(), gate.next()];
    gate.assert_quiet();
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""));
    let lines: Vec<&str> = said.err.lines().collect();
    assert_eq!(lines[0], format!("aldaba: port {port} of gw did not answer within 1 s; what was sent:"));
    for (line, knock) in lines[1..].iter().zip(&knocks) {
        let wanted = format!(
            "  knock {}: open, to 127.0.0.1 UDP port {}, from 127.0.0.1, good from there only, at 2",
            knock.id,
            gate.port()
        );
        assert!(line.starts_with(&wanted), "{line}");
    }
    assert!(lines[3].starts_with(&format!("  127.0.0.1 port {port} (IPv4): ")), "{}", lines[3]);
    assert!(lines[4].starts_with("  this clock says 2"), "{}", lines[4]);
    // What is likeliest stands first.
    assert!(lines[5].contains("help: ") && lines[5].contains("--bind never"), "{}", lines[5]);
    assert_eq!(lines[6], format!("  help: on the server: aldabad why {}", knocks[0].id));
    assert!(lines[7].starts_with("  help: refused means that a host answered"), "{}", lines[7]);
    // Nobody takes datagrams there: with an aldabad that runs this is never said.
    drop(gate);
    let said = home.run(&["open", "gw", "--wait=1s"]);
    assert!(said.err.contains("which aldabad never says: does it run?"), "{}", said.err);
    assert!(!said.err.contains("--bind never"), "{}", said.err);
}

#[cfg(target_os = "linux")]
#[test]
fn a_further_knock_goes_to_the_next_address() {
    let gate = Gate::new();
    let second = Gate::at("127.0.0.2".parse().expect("an address"), gate.port());
    let port = free_port();
    let home = Home::enrolled(&bundle(&[HERE, "127.0.0.2"], gate.port(), port));
    let listener = TcpListener::bind(("127.0.0.2", port)).expect("the port");
    let said = home.run(&["open", "gw", "--wait"]);
    assert!(good(&said).ends_with(&format!("port {port} of gw answers at 127.0.0.2\n")), "{}", said.out);
    gate.next();
    second.next();
    gate.assert_quiet();
    drop(listener);
}

#[test]
fn a_bundle_that_is_over_sends_nothing_and_one_that_ends_soon_warns() {
    let gate = Gate::new();
    let (now, day) = (wall().0, 86_400_000_000);
    let mut ends = bundle(&[HERE], gate.port(), 22);
    ends.locks[0].not_after = Some(Timestamp(now + 13 * day));
    let said = Home::enrolled(&ends).run(&["hello", "gw"]);
    good(&said);
    assert!(said.err.starts_with("warning: the bundle of gw ends at 2"), "{}", said.err);
    gate.next();
    ends.locks[0].not_after = Some(Timestamp(now + 15 * day));
    assert_eq!(Home::enrolled(&ends).run(&["hello", "gw"]).err, "");
    gate.next();
    ends.locks[0].not_after = Some(Timestamp(now - 1));
    let over = Home::enrolled(&ends).run(&["hello", "gw"]);
    ends.locks[0].not_after = None;
    ends.locks[0].not_before = Some(Timestamp(now + day));
    let early = Home::enrolled(&ends).run(&["open", "gw", "--wait"]);
    for (said, part) in [(over, "the last one ended at 2"), (early, "none has begun")] {
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
        assert!(
            said.err.starts_with("aldaba: nothing was sent to gw: ") && said.err.contains(part),
            "{}",
            said.err
        );
        assert!(said.err.contains("help: if the date is right, ask the administrator"), "{}", said.err);
    }
    gate.assert_quiet();
}

#[test]
fn what_cannot_be_asked_is_said_with_a_next_step() {
    let (gate, home) = scene();
    for (words, code, part) in [
        (&["open"][..], 2, "<HOST>"),
        (
            &["open", "elsewhere"],
            1,
            "no server elsewhere is enrolled here\n  help: which ones are: aldaba servers",
        ),
        (&["open", "not a host"], 1, "no server not a host is enrolled"),
        (&["open", "gw", "--for", "10"], 2, "30s, 10m or 2h"),
        (&["open", "gw", "--for", "19h"], 2, "18h"),
        (&["open", "gw", "--port", "22"], 2, "--wait"),
        (&["open", "gw", "--bind", "maybe"], 2, "always"),
        (&["open", "gw", "a door"], 2, "without blanks"),
        (&["open", "gw", "cellar", "--wait"], 2, "knows no TCP port of cellar\n  help: name it: --port PORT"),
    ] {
        let said = home.run(words);
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{words:?}: {}", said.err);
        assert!(said.err.contains(part), "{words:?}: {}", said.err);
    }
    gate.assert_quiet();
    // A door may be newer than the bundle.
    let said = home.run(&["open", "gw", "cellar"]);
    assert_eq!(gate.next().request.operation, open("cellar", 0, None));
    good(&said);
    assert_eq!(said.err, "warning: the bundle of gw knows no door 'cellar', only: ssh, web\n");
}

#[test]
fn nothing_secret_is_said() {
    let (gate, home) = scene();
    let file = home.read("servers/gw");
    let secret = file.lines().last().expect("the bundle").split(':').next_back().expect("its data");
    for words in
        [&["hello", "gw"][..], &["servers"], &["ssh-config", "gw"], &["open", "gw", "--wait=1s", "--port=9"]]
    {
        let said = home.run(words);
        let all = [said.out, said.err].concat();
        assert!(!all.contains(&secret[20..40]) && !all.contains("secret-1"), "{all}");
    }
    drop(gate);
}
