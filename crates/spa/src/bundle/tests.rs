use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::{KeyKind, TextError};

fn key(bytes: [u8; 32]) -> SecretKey {
    SecretKey::new(&bytes)
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![any::<u64>(), 1_700_000_000_000_000..1_900_000_000_000_000_u64].prop_map(Timestamp)
}

fn host() -> impl Strategy<Value = Host> {
    let address = any::<IpAddr>().prop_map(Host::Address);
    let name = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z][a-z0-9]{1,9}){0,3}".prop_map(Host::Name);
    prop_oneof![address, name].prop_filter("a host", |host| host.check().is_ok())
}

fn lock() -> impl Strategy<Value = BundleLock> {
    (any::<[u8; 32]>(), "[ -~]{0,64}", option::of(time()), option::of(time())).prop_map(
        |(secret, audience, from, until)| {
            let (not_before, not_after) = if from <= until { (from, until) } else { (until, from) };
            let audience = Audience::new(&audience).expect("printable");
            BundleLock { server: key(secret).public(), audience, not_before, not_after }
        },
    )
}

fn port() -> impl Strategy<Value = Port> {
    (any::<bool>(), any::<NonZeroU16>()).prop_map(|(tcp, number)| Port {
        transport: if tcp { Transport::Tcp } else { Transport::Udp },
        number,
    })
}

fn door() -> impl Strategy<Value = BundleDoor> {
    ("[!-~]{1,64}", vec(port(), 0..=8)).prop_map(|(name, ports)| BundleDoor { name, ports })
}

fn bundle() -> impl Strategy<Value = Any> {
    let lists = (vec(host(), 1..=8), vec(lock(), 1..=8), prop_oneof![vec(door(), 0..4), vec(door(), 0..=64)]);
    let fields = (time(), any::<NonZeroU16>(), 5..=600_u64, any::<[u8; 32]>(), any::<[u8; 32]>());
    (fields, lists)
        .prop_map(|((issued, port, future, gate, device), (hosts, locks, doors))| {
            let (gate_psk, device_psk) = (Psk::new(gate), Psk::new(device));
            let future = Duration::from_secs(future);
            Any(Bundle { issued, hosts, port, future, locks, gate_psk, device_psk, doors })
        })
        .prop_filter("a bundle", |Any(bundle)| bundle.check().is_ok())
}

/// A bundle has no `Debug`; a failing test needs one.
#[derive(Clone)]
struct Any(Bundle);

impl std::fmt::Debug for Any {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Bundle { issued, hosts, port, future, locks, doors, .. } = &self.0;
        write!(f, "{issued:?} {hosts:?} {port} {future:?} {locks:?} {doors:?}")
    }
}

/// A small one.
fn example() -> Bundle {
    Bundle {
        issued: Timestamp(1_800_000_000_000_000),
        hosts: vec!["gw.example.net".parse().expect("a name"), "192.0.2.7".parse().expect("an address")],
        port: NonZeroU16::new(41_414).expect("a port"),
        future: Duration::from_secs(60),
        locks: vec![lock_of(0x33, None, None)],
        gate_psk: Psk::new([0x55; 32]),
        device_psk: Psk::new([0x44; 32]),
        doors: vec![door_of("ssh", &[22])],
    }
}

fn lock_of(secret: u8, not_before: Option<u64>, not_after: Option<u64>) -> BundleLock {
    BundleLock {
        server: key([secret; 32]).public(),
        audience: Audience::default(),
        not_before: not_before.map(Timestamp),
        not_after: not_after.map(Timestamp),
    }
}

fn door_of(name: &str, ports: &[u16]) -> BundleDoor {
    let port =
        |number: &u16| Port { transport: Transport::Tcp, number: NonZeroU16::new(*number).expect("a port") };
    BundleDoor { name: name.to_owned(), ports: ports.iter().map(port).collect() }
}

fn assert_same(a: &Bundle, b: &Bundle) {
    assert_eq!((a.issued, &a.hosts, a.port, a.future), (b.issued, &b.hosts, b.port, b.future));
    assert_eq!((&a.locks, &a.doors), (&b.locks, &b.doors));
    let secrets = |bundle: &Bundle| (*bundle.gate_psk.expose_secret(), *bundle.device_psk.expose_secret());
    assert_eq!(secrets(a), secrets(b));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_bundle_comes_back(Any(bundle) in bundle()) {
        let bytes = bundle.encode().expect("a bundle");
        assert_same(&Bundle::decode(&bytes).expect("it is one"), &bundle);
    }

    #[test]
    fn a_part_of_a_bundle_is_none(Any(bundle) in bundle(), end in any::<proptest::sample::Index>(), more in vec(any::<u8>(), 1..4)) {
        let bytes = bundle.encode().expect("a bundle");
        prop_assert_eq!(Bundle::decode(&bytes[..end.index(bytes.len())]).err(), Some(BundleError::Layout));
        prop_assert_eq!(Bundle::decode(&[bytes.as_slice(), &more].concat()).err(), Some(BundleError::Layout));
    }

    #[test]
    fn other_bytes_are_another_bundle_or_none(Any(bundle) in bundle(), at in any::<proptest::sample::Index>(), to in any::<u8>()) {
        let mut bytes = bundle.encode().expect("a bundle").to_vec();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(other) = Bundle::decode(&bytes) {
            prop_assert_eq!(&*other.encode().expect("what was read can be written"), &bytes);
        }
    }

    #[test]
    fn what_was_sealed_is_opened(
        Any(bundle) in bundle(), server in any::<[u8; 32]>(), device in any::<[u8; 32]>(), code in option::of(1..=u8::MAX), random in any::<[u8; 32]>(),
    ) {
        let (server, device) = (key(server), key(device));
        let code = code.map(|byte| OneTimeCode::new(&[byte; 16]).expect("a code"));
        let sealed = bundle.seal(&server, &device.public(), code.as_ref(), &random).expect("sealed");
        let opened = sealed.open(&device, code.as_ref()).expect("opened");
        assert_same(&opened.bundle, &bundle);
        prop_assert_eq!(opened.sender, server.public());
        let text = sealed.to_text();
        prop_assert_eq!(SealedBundle::from_text(&text), Ok(sealed.clone()));
        // As mail programs and terminals have it.
        let broken: String = text.as_bytes().chunks(64).flat_map(|line| [" ", str::from_utf8(line).unwrap(), "\r\n"]).collect();
        prop_assert_eq!(SealedBundle::from_text(&broken), Ok(sealed));
    }

    #[test]
    fn what_a_client_keeps_comes_back_and_no_character_can_be_changed(
        Any(bundle) in bundle(), at in any::<proptest::sample::Index>(), to in "[A-Za-z0-9_-]",
    ) {
        let text = bundle.expose_text().expect("a bundle");
        assert_same(&Bundle::from_text(&text).expect("it is one"), &bundle);
        let at = at.index(text.len());
        let mut changed = text.to_string();
        changed.replace_range(at..=at, &to);
        prop_assert!(changed == *text || Bundle::from_text(&changed).is_err());
        prop_assert!(Bundle::from_text(&text[..at]).is_err());
    }

    #[test]
    fn text_that_is_taken_is_written_so(text in "aldaba-bundle-1:[A-Za-z0-9_=+/-]{0,400}") {
        if let Ok(sealed) = SealedBundle::from_text(&text) {
            prop_assert_eq!(sealed.to_text(), text);
        }
    }

    #[test]
    fn a_damaged_text_is_told(at in any::<proptest::sample::Index>(), to in "[A-Za-z0-9_=+/-]") {
        let text = sealed().to_text();
        let at = 16 + at.index(text.len() - 16);
        let mut other = text.clone();
        other.replace_range(at..=at, &to);
        prop_assume!(other != text);
        prop_assert_eq!(SealedBundle::from_text(&other), Err(BundleTextError::Damaged));
        prop_assert_eq!(SealedBundle::from_text(&text[..at]), Err(BundleTextError::Damaged));
        prop_assert_eq!(SealedBundle::from_text(&format!("{text}{to}")), Err(BundleTextError::Damaged));
    }

    #[test]
    fn what_is_typed_as_a_host_reads_back(text in "[a-zA-Z0-9.:_-]{0,40}") {
        if let Ok(host) = text.parse::<Host>() {
            prop_assert_eq!(host.to_string().parse(), Ok(host));
        }
    }
}

fn sealed() -> SealedBundle {
    example().seal(&key([0x33; 32]), &key([0x22; 32]).public(), None, &[1; 32]).expect("sealed")
}

/// Another implementation of Noise reads what is sealed.
#[test]
fn snow_opens_it() {
    let code = [7; 16];
    let mut psk = [0; 32];
    psk[..16].copy_from_slice(&code);
    let (server, device) = (key([0x33; 32]), key([0x22; 32]));
    let code = OneTimeCode::new(&code).expect("a code");
    let sealed = example().seal(&server, &device.public(), Some(&code), &[1; 32]).expect("sealed");
    let mut reader = snow::Builder::new("Noise_Xpsk1_25519_ChaChaPoly_SHA256".parse().expect("a pattern"))
        .prologue(b"aldaba v1 bundle")
        .and_then(|builder| builder.local_private_key(&[0x22; 32]))
        .and_then(|builder| builder.psk(1, &psk))
        .and_then(snow::Builder::build_responder)
        .expect("a responder");
    let mut read = vec![0; 1000];
    let length = reader.read_message(sealed.as_bytes(), &mut read).expect("read");
    assert_eq!(&read[..length], example().encode().expect("a bundle").as_slice());
    assert_eq!(reader.get_remote_static(), Some(server.public().as_bytes().as_slice()));
}

#[test]
fn only_its_device_with_its_code_opens_it() {
    let device = key([0x22; 32]);
    let code = |byte| OneTimeCode::new(&[byte; 16]).expect("a code");
    let coded = example().seal(&key([0x33; 32]), &device.public(), Some(&code(7)), &[1; 32]).expect("sealed");
    let refused = |sealed: &SealedBundle, device: u8, code: Option<OneTimeCode>| {
        sealed.open(&key([device; 32]), code.as_ref()).err()
    };
    assert_eq!(refused(&sealed(), 0x22, None), None);
    assert_eq!(refused(&sealed(), 0x22, Some(code(7))), Some(OpenError::WrongCode));
    assert_eq!(refused(&sealed(), 0x23, None), Some(OpenError::OtherDevice));
    assert_eq!(refused(&coded, 0x22, Some(code(7))), None);
    assert_eq!(refused(&coded, 0x22, Some(code(8))), Some(OpenError::WrongCode));
    assert_eq!(refused(&coded, 0x22, None), Some(OpenError::NeedsCode));
    assert_eq!(refused(&coded, 0x23, Some(code(7))), Some(OpenError::OtherDevice));
}

#[test]
fn no_byte_of_a_sealed_bundle_can_be_changed() {
    let sealed = sealed();
    for at in 0..sealed.as_bytes().len() {
        let mut bytes = sealed.as_bytes().to_vec();
        bytes[at] ^= 1;
        let other = SealedBundle::from_bytes(&bytes).expect("as long");
        assert!(other.open(&key([0x22; 32]), None).is_err(), "{at}");
    }
}

/// A clone of a machine, or a broken source of randomness, must not use a key twice.
#[test]
fn the_same_random_bytes_give_other_ephemeral_keys() {
    let seal = |bundle: &Bundle, server: u8, device: u8| {
        let sealed = bundle.seal(&key([server; 32]), &key([device; 32]).public(), None, &[1; 32]);
        sealed.expect("sealed").as_bytes()[..32].to_vec()
    };
    let later = Bundle { issued: Timestamp(1_800_000_000_000_001), ..example() };
    let first = seal(&example(), 1, 2);
    assert_eq!(first, seal(&example(), 1, 2));
    for other in [seal(&later, 1, 2), seal(&example(), 3, 2), seal(&example(), 1, 3)] {
        assert_ne!(first, other);
    }
}

#[test]
fn a_later_bundle_of_a_known_server_replaces_one() {
    let old = Bundle { locks: vec![lock_of(1, None, Some(9)), lock_of(2, Some(8), None)], ..example() };
    let from = |secret: u8, micros: u64| OpenedBundle {
        bundle: Bundle { issued: Timestamp(micros), ..example() },
        sender: key([secret; 32]).public(),
    };
    let first = old.issued.0;
    assert_eq!(from(1, first + 1).may_replace(&old), Ok(()));
    assert_eq!(from(2, first + 1).may_replace(&old), Ok(()));
    assert_eq!(from(2, first).may_replace(&old), Err(NotReplaced::NotNewer));
    assert_eq!(from(1, first - 1).may_replace(&old), Err(NotReplaced::NotNewer));
    // Its own locks do not count: they come from whoever sealed it.
    assert_eq!(from(0x33, first + 1).may_replace(&old), Err(NotReplaced::OtherServer));
}

#[test]
fn the_first_lock_that_is_valid_is_used() {
    let locks = vec![lock_of(1, None, Some(9)), lock_of(2, Some(8), None), lock_of(3, None, None)];
    let mut bundle = Bundle { locks, ..example() };
    let server = |bundle: &Bundle, now| bundle.lock_at(Timestamp(now)).map(|lock| lock.server);
    assert_eq!(server(&bundle, 9), Some(key([1; 32]).public()));
    assert_eq!(server(&bundle, 10), Some(key([2; 32]).public()));
    let gate = bundle.lock_at(Timestamp(10)).map(|lock| *lock.gate_psk.expose_secret());
    assert_eq!((gate, bundle.ends()), (Some([0x55; 32]), None));
    bundle.locks = vec![lock_of(1, Some(7), Some(9)), lock_of(2, Some(5), Some(8))];
    assert_eq!(server(&bundle, 6), Some(key([2; 32]).public()));
    assert_eq!((server(&bundle, 4), server(&bundle, 10)), (None, None));
    assert_eq!(bundle.ends(), Some(Timestamp(9)));
}

#[test]
fn what_is_no_bundle_is_not_sealed() {
    let example = example();
    let ssh = || door_of("ssh", &[22]);
    let host = example.hosts[0].clone();
    let name = |name: &str| vec![Host::Name(name.to_owned())];
    let lock = || lock_of(1, None, None);
    for (bundle, wanted) in [
        (Bundle { hosts: vec![], ..example.clone() }, BundleError::Hosts),
        (Bundle { hosts: vec![host.clone(), host], ..example.clone() }, BundleError::Hosts),
        (
            Bundle { hosts: (0..9).map(|n| Host::Name(format!("h{n}"))).collect(), ..example.clone() },
            BundleError::Hosts,
        ),
        (Bundle { hosts: name("Gw"), ..example.clone() }, HostError::Name.into()),
        (Bundle { hosts: name("192.0.2.7"), ..example.clone() }, HostError::Name.into()),
        (Bundle { future: Duration::from_secs(4), ..example.clone() }, BundleError::Future),
        (Bundle { future: Duration::from_secs(601), ..example.clone() }, BundleError::Future),
        (Bundle { future: Duration::from_millis(5500), ..example.clone() }, BundleError::Future),
        (Bundle { locks: vec![], ..example.clone() }, BundleError::Locks),
        (Bundle { locks: vec![lock(), lock_of(1, Some(1), None)], ..example.clone() }, BundleError::Locks),
        (
            Bundle { locks: (0..9).map(|n| lock_of(n, None, None)).collect(), ..example.clone() },
            BundleError::Locks,
        ),
        (Bundle { locks: vec![lock_of(1, Some(2), Some(1))], ..example.clone() }, BundleError::Dates),
        (Bundle { locks: vec![lock_of(1, Some(0), None)], ..example.clone() }, BundleError::Dates),
        (Bundle { locks: vec![lock_of(1, None, Some(u64::MAX))], ..example.clone() }, BundleError::Dates),
        (Bundle { doors: vec![ssh(), door_of("ssh", &[23])], ..example.clone() }, BundleError::Doors),
        (
            Bundle { doors: (0..65).map(|n| door_of(&format!("d{n}"), &[])).collect(), ..example.clone() },
            BundleError::Doors,
        ),
        (Bundle { doors: vec![door_of("", &[])], ..example.clone() }, BundleError::DoorName),
        (Bundle { doors: vec![door_of("a b", &[])], ..example.clone() }, BundleError::DoorName),
        (Bundle { doors: vec![door_of(&"a".repeat(65), &[])], ..example.clone() }, BundleError::DoorName),
        (Bundle { doors: vec![door_of("ssh", &[22, 22])], ..example.clone() }, BundleError::Ports),
        (
            Bundle { doors: vec![door_of("ssh", &[1, 2, 3, 4, 5, 6, 7, 8, 9])], ..example.clone() },
            BundleError::Ports,
        ),
    ] {
        assert_eq!(bundle.encode().err(), Some(wanted));
        let sealed = bundle.seal(&key([1; 32]), &key([2; 32]).public(), None, &[0; 32]);
        assert_eq!(sealed, Err(BundleSealError::Bundle(wanted)));
    }
}

/// Writing must not grow its buffer, which would leave secrets behind.
#[test]
fn the_longest_bundle_is_as_long_as_was_reckoned() {
    let longest = |n: u8| format!("{n:x}{}{}", ".a23456789".repeat(24), ".b2345678901");
    let ports: Vec<u16> = (1..=8).collect();
    let locks = (1..=8)
        .map(|n| BundleLock { audience: Audience::new(&"x".repeat(64)).unwrap(), ..lock_of(n, None, None) });
    let bundle = Bundle {
        hosts: (0..8).map(|n| Host::Name(longest(n))).collect(),
        locks: locks.collect(),
        doors: (0..64).map(|n| door_of(&format!("{n:064}"), &ports)).collect(),
        ..example()
    };
    let bytes = bundle.encode().expect("a bundle");
    assert_eq!((bytes.len(), bytes.capacity()), (8784, wire::MAX_LEN));
    let sealed = bundle.seal(&key([1; 32]), &key([2; 32]).public(), None, &[0; 32]).expect("sealed");
    assert!(SealedBundle::from_text(&sealed.to_text()).is_ok());
    assert!(SealedBundle::from_bytes(&[sealed.as_bytes(), &[0]].concat()).is_err());
}

#[test]
fn it_can_be_cut_nowhere() {
    let bytes = example().encode().expect("a bundle");
    for end in 0..bytes.len() {
        assert_eq!(Bundle::decode(&bytes[..end]).err(), Some(BundleError::Layout), "{end}");
    }
}

#[test]
fn another_layout_is_named() {
    let mut bytes = example().encode().expect("a bundle").to_vec();
    bytes[0] = 2;
    assert_eq!(Bundle::decode(&bytes).err(), Some(BundleError::Version(2)));
}

#[test]
fn what_is_pasted_instead_is_named() {
    let device = key([2; 32]).public().to_text(KeyKind::Device);
    for (text, wanted) in [
        (device.as_str(), BundleTextError::Key(KeyKind::Device)),
        ("aldaba-secret-1qqqq", BundleTextError::Key(KeyKind::DeviceSecret)),
        ("", BundleTextError::NoBundle),
        ("ssh-ed25519 AAAA", BundleTextError::NoBundle),
        ("aldaba-bundle-", BundleTextError::NoBundle),
        ("aldaba-bundle-x:AAAA", BundleTextError::NoBundle),
        ("aldaba-bundle-2:AAAA", BundleTextError::Version),
        ("aldaba-bundle-1:", BundleTextError::Damaged),
        ("aldaba-bundle-1:AAAA", BundleTextError::Damaged),
    ] {
        assert_eq!(SealedBundle::from_text(text), Err(wanted), "{text}");
    }
    assert_eq!(
        crate::text::decode(KeyKind::Device, &sealed().to_text()).err(),
        Some(TextError::Bundle(KeyKind::Device))
    );
}

#[test]
fn a_code_reads_back() {
    let code = OneTimeCode::new(&[9; 16]).expect("a code");
    let text = code.expose_text();
    assert_eq!((text.len(), text.capacity()), (45, 45));
    let again = OneTimeCode::from_text(&format!(" {}\n", text.to_uppercase())).expect("a code");
    assert_eq!(again.expose_text(), text);
    assert_eq!(OneTimeCode::new(&[0; 16]).err(), Some(ZeroCode));
    let refused = |text: &str| OneTimeCode::from_text(text).err();
    assert_eq!(refused(&text.replace("code", "seed")), Some(TextError::NoCode));
    assert_eq!(refused(&text[..44]), Some(TextError::Length { has: 44, wanted: 45 }));
    assert_eq!(refused(&crate::text::write("aldaba-code-", 45, &[0; 16])), Some(TextError::Zero));
}

#[test]
fn hosts_are_addresses_of_one_host_and_names_for_the_resolver() {
    for (text, wanted) in [
        ("gw.example.net", Ok("gw.example.net")),
        ("GW.Example.Net.", Ok("gw.example.net")),
        ("gw", Ok("gw")),
        ("my_host.lan", Ok("my_host.lan")),
        ("9front", Ok("9front")),
        ("::ffff:192.0.2.7", Ok("192.0.2.7")),
        ("2001:DB8::0:1", Ok("2001:db8::1")),
        ("127.1", Err(HostError::Name)),
        ("2130706433", Err(HostError::Name)),
        ("a.0x7f", Err(HostError::Name)),
        ("a..b", Err(HostError::Name)),
        ("", Err(HostError::Name)),
        (".", Err(HostError::Name)),
        ("-oProxyCommand", Err(HostError::Name)),
        ("a-.b", Err(HostError::Name)),
        ("gw example", Err(HostError::Name)),
        ("gw:22", Err(HostError::Name)),
        ("[::1]", Err(HostError::Name)),
        ("münchen.example", Err(HostError::Name)),
        ("0.0.0.0", Err(HostError::Address)),
        ("::", Err(HostError::Address)),
        ("255.255.255.255", Err(HostError::Address)),
        ("224.0.0.1", Err(HostError::Address)),
        ("ff02::1", Err(HostError::Address)),
    ] {
        assert_eq!(text.parse::<Host>().map(|host| host.to_string()), wanted.map(str::to_owned), "{text}");
    }
    assert!(Host::Name("a".repeat(63)).check().is_ok() && Host::Name("a".repeat(64)).check().is_err());
    let mapped = Host::Address("::ffff:192.0.2.7".parse().expect("an address"));
    assert_eq!(mapped.check(), Err(HostError::Address));
}
