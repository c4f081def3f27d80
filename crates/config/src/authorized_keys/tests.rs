use std::time::Duration;

use aldaba_gate::spa::{DoorTag, Doors, SecretKey};

use super::*;

fn key(number: u8) -> String {
    SecretKey::new(&[number; 32]).public().to_text(KeyKind::Device)
}

fn read_text(text: &str) -> (Vec<Listed>, Vec<String>) {
    let mut findings = Findings::default();
    let locks = [SecretKey::new(&[9; 32]).public()];
    let listed = read(&Source::new("authorized_keys", text.into()), &locks, &mut findings);
    let said = findings.list.iter().map(|found| format!("{} {}: {}", found.code, found.place, found.message));
    (listed, said.collect())
}

#[test]
fn every_option_is_read() {
    let options = "doors=\"ssh, web\",from=\"2001:db8::/32,192.0.2.7\",lease=10m,max-lease=1h,max-leases=4,expires=2027-01-01,psk=3,bind,delegate";
    let (listed, said) = read_text(&format!("# devices\n\n  {options}  {}  alice/laptop \n", key(1)));
    assert_eq!(said, [""; 0]);
    let [Listed { device, doors, .. }] = &listed[..] else { panic!("one device") };
    assert_eq!(device.name, "alice/laptop");
    assert_eq!(device.user(), "alice");
    assert_eq!(doors.iter().map(|(door, _)| door.as_str()).collect::<Vec<_>>(), ["ssh", "web"]);
    assert!(device.may_open(DoorTag::of("web").expect("a tag")));
    assert!(!device.may_open(DoorTag::of("attic").expect("a tag")));
    assert!(device.may_come_from("192.0.2.7".parse().expect("an address")));
    assert!(!device.may_come_from("192.0.2.8".parse().expect("an address")));
    assert_eq!(device.lease, Some(Duration::from_secs(600)));
    assert_eq!(device.max_lease, Some(Duration::from_secs(3600)));
    assert_eq!(device.max_leases, Some(4));
    assert_eq!(device.expires, Some(Timestamp(1_798_761_600_000_000)));
    assert_eq!((device.psk_generation, device.bound, device.delegates), (3, true, true));
}

#[test]
fn a_plain_line_may_open_every_door() {
    let (listed, said) = read_text(&format!("{} bob\r\n", key(2)));
    assert_eq!(said, [""; 0]);
    assert_eq!(listed[0].device.doors, Doors::All);
    assert_eq!(listed[0].device.name, "bob");
}

#[test]
fn a_bad_line_disables_itself_only() {
    let secret = aldaba_gate::spa::text::encode(KeyKind::DeviceSecret, &[7; 32]);
    let (one, two) = (key(1), key(2));
    let text = format!(
        "{one} alice\n\
         {} typo\n\
         door=ssh {two} carol\n\
         expires=soon {two} carol\n\
         max-lease {two} carol\n\
         bind=1 {two} carol\n\
         {two}\n\
         {} mallory\n\
         {one} twice\n\
         ssh-ed25519 AAAA dave\n\
         {two} bob\n",
        &one[..one.len() - 1],
        *secret,
    );
    let (listed, said) = read_text(&text);
    assert_eq!(names(&listed), ["bob"]);
    let codes = codes(&said);
    let expected = [
        "bad-key authorized_keys:2",
        "bad-option authorized_keys:3",
        "bad-option authorized_keys:4",
        "bad-option authorized_keys:5",
        "bad-option authorized_keys:6",
        "no-name authorized_keys:7",
        "bad-key authorized_keys:8",
        "same-key authorized_keys:9",
        "bad-key authorized_keys:10",
    ];
    assert_eq!(codes, expected, "{said:#?}");
    assert!(said.iter().all(|said| !said.contains(&secret[20..])), "a secret is shown");
}

fn names(listed: &[Listed]) -> Vec<&str> {
    listed.iter().map(|listed| listed.device.name.as_str()).collect()
}

/// Each with its line.
fn codes(said: &[String]) -> Vec<String> {
    said.iter().map(|said| said.split(':').take(2).collect::<Vec<_>>().join(":")).collect()
}

#[test]
fn options_that_mean_nothing_are_refused() {
    for option in [
        // Nothing in a list is not everything.
        "doors",
        "doors=",
        "doors=\"\"",
        "doors=\", ,\"",
        "from=",
        "from=\"\"",
        "from=\" , \"",
        "from=192.0.2.0/33",
        "from=\"192.0.2.0/24,home\"",
        "lease=0s",
        "lease=10",
        "max-lease=0s",
        "max-lease=999ms",
        "max-lease=-1h",
        "lease=2h,max-lease=1h",
        "max-leases=0",
        "max-leases=4097",
        "max-leases=-1",
        "max-leases=many",
        "max-leases",
        "expires=",
        "expires=2027-13-01",
        "psk=4294967296",
        "bind=yes",
        "delegate=\"\"",
        "max-leases=4,max-leases=4",
        "doors=ssh,doors=web",
        "bind,bind",
        // Quotes stand around the whole value.
        "doors=\"ssh",
        "doors=ssh\"",
        "doors=ss\"h\"",
        "Bind",
        "=",
        "\"",
    ] {
        let (listed, said) = read_text(&format!("{option} {} alice/laptop\n{} bob\n", key(1), key(2)));
        assert_eq!(names(&listed), ["bob"], "{option}");
        assert_eq!(codes(&said), ["bad-option authorized_keys:1"], "{option}: {said:?}");
    }
}

#[test]
fn the_most_leases_a_user_may_hold_are_read() {
    for (text, count) in [("1", 1), ("\"4096\"", 4096)] {
        let (listed, said) = read_text(&format!("max-leases={text} {} alice\n", key(1)));
        assert_eq!((listed[0].device.max_leases, said.len()), (Some(count), 0));
    }
}

#[test]
fn lines_that_say_different_things_of_one_key_disable_each_other() {
    let text = format!("{0} alice\n{1} bob\nmax-lease=1m {0} alice\n{0} alice\n", key(1), key(2));
    let (listed, said) = read_text(&text);
    assert_eq!(names(&listed), ["bob"]);
    assert_eq!(codes(&said), ["same-key authorized_keys:3", "same-line authorized_keys:4"]);
}

#[test]
fn a_line_that_stands_there_twice_counts_once() {
    let (listed, said) = read_text(&format!("max-lease=1h {0} alice\n\nmax-lease=60m  {0} alice\n", key(1)));
    assert_eq!(names(&listed), ["alice"]);
    assert_eq!(codes(&said), ["same-line authorized_keys:3"]);
}

#[test]
fn keys_that_others_have_are_no_devices() {
    let published = SecretKey::new(&[0x22; 32]).public().to_text(KeyKind::Device);
    let of_the_lock = SecretKey::new(&[9; 32]).public().to_text(KeyKind::Device);
    let (listed, said) = read_text(&format!("{published} alice\n{of_the_lock} carol\n{} bob\n", key(2)));
    assert_eq!(names(&listed), ["bob"]);
    assert_eq!(codes(&said), ["published-key authorized_keys:1", "server-key authorized_keys:2"]);
}

#[test]
fn one_name_for_two_devices_is_doubtful_and_one_user_with_two_is_not() {
    let keys = [1, 2, 3, 4].map(key);
    let text =
        format!("{} alice/laptop\n{} alice/laptop\n{} bob\n{} bob\n", keys[0], keys[1], keys[2], keys[3]);
    let (listed, said) = read_text(&text);
    assert_eq!(names(&listed), ["alice/laptop", "alice/laptop", "bob", "bob"]);
    assert_eq!(codes(&said), ["same-name authorized_keys:2"]);
    let (listed, said) = read_text(&format!("{} /laptop\n", keys[0]));
    assert_eq!((listed.len(), codes(&said)), (0, vec!["no-name authorized_keys:1".to_owned()]));
}

#[test]
fn keys_in_capital_letters_are_keys() {
    let (listed, said) =
        read_text(&format!("{} alice\nbind {} bob\n", key(1).to_uppercase(), key(2).to_uppercase()));
    assert_eq!((names(&listed), said.len()), (vec!["alice", "bob"], 0));
}

#[test]
fn a_file_of_another_kind_is_not_named_line_by_line() {
    let (listed, said) = read_text(&format!("{}{} bob\n", "ssh-ed25519 AAAA dave\n".repeat(100_000), key(1)));
    assert_eq!(names(&listed), ["bob"]);
    assert_eq!(said.len(), NAMED_LINES + 1);
    assert!(said[NAMED_LINES].contains("with 99950 more lines"), "{}", said[NAMED_LINES]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read(text in "([ -~\\n\"]|aldaba1){0,200}") {
        read_text(&text);
    }
}

#[test]
fn a_limit_that_names_nothing_is_no_permission() {
    for option in ["doors=\",\"", "doors=\" \"", "doors=", "from=\"\"", "from=,"] {
        let (listed, said) = read_text(&format!("{option} {} alice\n", key(1)));
        assert!(listed.is_empty() && said.len() == 1, "{option}: {said:?}");
    }
}
