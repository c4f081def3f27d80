use super::*;

#[test]
fn requests_and_answers_come_back_as_they_went() {
    let request = Request::Reload;
    let line = request.to_line();
    assert_eq!(line.last(), Some(&b'\n'));
    assert_eq!(Request::parse(&line[..line.len() - 1]), Ok(request));
    for answer in [
        Answer::Reloaded(Reloaded { doors: 2, warnings: vec!["warning: \"x\"\n --> a:1:2".to_owned()] }),
        Answer::ReloadRefused(ReloadRefused { errors: 1, report: "error\n".to_owned() }),
        TroubleKind::NotAllowed.answer("no"),
    ] {
        let line = answer.to_line();
        assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1), "one line");
        assert_eq!(Answer::parse(&line), Ok(answer));
    }
}

#[test]
fn the_words_are_those_of_the_specification() {
    assert_eq!(Request::Reload.to_line(), b"{\"version\":1,\"ask\":\"reload\"}\n");
    let answer = TroubleKind::NotDone.answer("x");
    assert_eq!(
        answer.to_line(),
        b"{\"version\":1,\"answer\":{\"error\":{\"kind\":\"not-done\",\"text\":\"x\"}}}\n"
    );
}

#[test]
fn a_trial_is_asked_for_in_the_words_of_the_specification() {
    use trial::{Apply, Confirmation, Trial, TrialAsk};
    let apply =
        |text: &str| Request::parse(format!("{{\"version\":1,\"ask\":{{\"apply\":{text}}}}}").as_bytes());
    let by = Confirmation::Door("ssh".to_owned());
    let whole = Apply { file: Some("/e/a.new".into()), confirm_s: Some(60), by };
    let text = r#"{"file":"/e/a.new","confirm-s":60,"by":{"door":"ssh"}}"#;
    assert_eq!(apply(text), Ok(Request::Apply(whole)));
    let least = Apply { file: None, confirm_s: None, by: Confirmation::Knock };
    assert_eq!(apply("{}"), Ok(Request::Apply(least)));
    for bad in ["7", r#"{"force":1}"#, r#"{"by":"luck"}"#, r#"{"confirm-s":-1}"#] {
        assert!(matches!(apply(bad), Err(Unreadable::Malformed(_))), "{bad}");
    }
    let ask = Request::Trial(TrialAsk::RollBack).to_line();
    assert_eq!(ask, b"{\"version\":1,\"ask\":{\"trial\":\"roll-back\"}}\n");
    assert_eq!(Answer::Trial(Trial::None).to_line(), b"{\"version\":1,\"answer\":{\"trial\":\"none\"}}\n");
}

#[test]
fn what_is_no_request_says_why() {
    let of = |text: &str| Request::parse(text.as_bytes()).unwrap_err();
    assert_eq!(of(r#"{"version":2,"ask":"dance","and":[]}"#), Unreadable::Version(2));
    assert_eq!(of(r#"{"version":70000}"#), Unreadable::Version(70_000));
    for text in [
        "",
        "reload",
        "{}",
        "[]",
        "\0",
        r#"{"version":1}"#,
        r#"{"version":1,"ask":"dance"}"#,
        r#"{"version":1,"ask":{"reload":7}}"#,
        r#"{"version":1,"ask":"reload","force":true}"#,
        r#"{"version":-1,"ask":"reload"}"#,
        "{\"version\":1,\"ask\":\"reload\"}\n{}",
    ] {
        assert!(matches!(of(text), Unreadable::Malformed(_)), "{text}");
    }
    let deep = "[".repeat(LONGEST_REQUEST);
    assert!(matches!(of(&deep), Unreadable::Malformed(_)));
    let long = format!("{{\"version\":1,\"ask\":\"reload\"}}{}", " ".repeat(LONGEST_REQUEST));
    assert!(of(&long).to_string().contains("longer"));
}

#[test]
fn an_answer_is_never_longer_than_a_client_reads() {
    let warnings = vec!["x".repeat(1000); 2000];
    let line = Answer::Reloaded(Reloaded { doors: 1, warnings }).to_line();
    assert!(line.len() <= LONGEST_ANSWER);
    assert!(matches!(Answer::parse(&line), Ok(Answer::Error(_))));
}

#[test]
fn the_nearest_word_on_the_socket_counts() {
    let of = |named: Option<&str>, configured: Option<&str>, systemd: Option<&str>| {
        socket(named.map(Path::new), configured.map(PathBuf::from), systemd.map(Path::new))
    };
    assert_eq!(of(Some("/a"), Some("/b"), Some("/c")), Path::new("/a"));
    assert_eq!(of(None, Some("/b"), Some("/c")), Path::new("/b"));
    assert_eq!(of(None, None, Some("/c")), Path::new("/c/control.sock"));
    assert_eq!(of(None, None, None), Path::new(SOCKET));
}

#[test]
fn what_is_done_by_hand_has_the_words_of_the_specification() {
    let address = [192, 0, 2, 7].into();
    for (request, words) in [
        (Request::Status, r#""status""#),
        (Request::Leases, r#""leases""#),
        (
            Request::Open(Open { address, door: "ssh".to_owned(), seconds: Some(600) }),
            r#"{"open":{"address":"192.0.2.7","door":"ssh","seconds":600}}"#,
        ),
        (Request::Close(Close { address, door: None }), r#"{"close":{"address":"192.0.2.7"}}"#),
    ] {
        let line = request.to_line();
        assert_eq!(String::from_utf8_lossy(&line), format!("{{\"version\":1,\"ask\":{words}}}\n"));
        assert_eq!(Request::parse(line.trim_ascii_end()), Ok(request));
    }
    let closed = Closed {
        address,
        doors: vec!["ssh".to_owned()],
        failed: vec![NotClosed { door: "web".to_owned(), error: "x".to_owned() }],
    };
    let line = Answer::Closed(closed).to_line();
    let words = r#"{"closed":{"address":"192.0.2.7","doors":["ssh"],"failed":[{"door":"web","error":"x"}]}}"#;
    assert_eq!(String::from_utf8_lossy(&line), format!("{{\"version\":1,\"answer\":{words}}}\n"));
}
