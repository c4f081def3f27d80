use std::time::Duration;

use super::{duration, duration_text, is_nft_name, ports, service, set_name};

#[test]
fn reads_lengths_of_time() {
    let cases = [
        ("30s", 30_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("250ms", 250),
        ("1d", 86_400_000),
        ("0s", 0),
        ("1s500ms", 1500),
    ];
    for (text, millis) in cases {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn names_the_bytes_that_are_not_a_length_of_time() {
    let cases = [
        ("", 0..0),
        ("30", 0..2),
        ("s", 0..1),
        ("30 s", 0..2),
        ("1h30", 2..4),
        ("5min", 0..4),
        ("-5s", 0..1),
        ("5s-", 2..3),
        ("99999999999999999999s", 0..21),
        ("9999999999999999999d", 0..20),
    ];
    for (text, span) in cases {
        assert_eq!(duration(text).map_err(|bad| bad.span), Err(span), "{text}");
    }
}

#[test]
fn writes_lengths_of_time_as_it_reads_them() {
    for millis in
        [0, 1, 999, 1000, 1001, 59_000, 60_000, 61_000, 3_600_000, 3_660_000, 86_400_000, 90_000_000]
    {
        let time = Duration::from_millis(millis);
        assert_eq!(duration(&duration_text(time)), Ok(time), "{}", duration_text(time));
    }
    assert_eq!(duration_text(Duration::from_secs(7200)), "2h");
    assert_eq!(duration_text(Duration::from_secs(90)), "90s");
}

#[test]
fn reads_ports_and_ranges() {
    let shown = |text| ports(text).map(|p| (p.first, p.last, format!("{:?}", p.transport)));
    assert_eq!(shown("22"), Ok((22, 22, "Tcp".to_owned())));
    assert_eq!(shown("22/tcp"), Ok((22, 22, "Tcp".to_owned())));
    assert_eq!(shown("60000-61000/udp"), Ok((60000, 61000, "Udp".to_owned())));
    let cases = [
        ("", 0..0),
        ("0", 0..1),
        ("ssh", 0..3),
        ("+22", 0..3),
        ("65536", 0..5),
        ("22/sctp", 3..7),
        ("22/", 3..3),
        ("22:tcp", 0..6),
        ("9-5/udp", 0..3),
        ("5-x/udp", 2..3),
        ("5-", 2..2),
    ];
    for (text, span) in cases {
        assert_eq!(ports(text).map_err(|bad| bad.span), Err(span), "{text}");
    }
    assert!(service("443/udp").is_ok());
    assert_eq!(service("1-2").map_err(|bad| bad.span), Err(0..3));
}

#[test]
fn reads_the_names_of_sets() {
    assert!(set_name("inet filter ssh_open").is_ok());
    assert!(set_name(" ip6  filter\tssh ").is_ok());
    for text in ["", "filter ssh", "inet filter ssh open", "bridge filter ssh", "inet fil{ter ssh", "ip 1a b"]
    {
        assert!(set_name(text).is_err(), "{text}");
    }
    assert!(is_nft_name("a-b.c_d/e") && !is_nft_name("") && !is_nft_name("ä"));
}
