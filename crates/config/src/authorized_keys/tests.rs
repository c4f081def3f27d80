use aldaba_gate::spa::SecretKey;

use super::*;

fn key(number: u8) -> String {
    SecretKey::new(&[number; 32]).public().to_text(KeyKind::Device)
}

fn read_text(text: &str) -> (Vec<Listed>, Vec<String>) {
    let mut findings = Findings::default();
    let listed = read(&Source::new("authorized_keys", text.into()), &mut findings);
    let said = findings.list.iter().map(|found| format!("{} {}: {}", found.code, found.place, found.message));
    (listed, said.collect())
}

#[test]
fn every_option_is_read() {
    let options = "doors=\"ssh, web\",from=\"2001:db8::/32,192.0.2.7\",max-lease=1h,expires=2027-01-01,psk=3,bind,delegate";
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
    assert_eq!(device.max_lease, Some(Duration::from_secs(3600)));
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
    let names: Vec<_> = listed.iter().map(|listed| listed.device.name.as_str()).collect();
    assert_eq!(names, ["alice", "bob"]);
    let codes: Vec<_> =
        said.iter().map(|said| said.split(':').take(2).collect::<Vec<_>>().join(":")).collect();
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

proptest::proptest! {
    #[test]
    fn any_text_is_read(text in "([ -~\\n\"]|aldaba1){0,200}") {
        read_text(&text);
    }
}
