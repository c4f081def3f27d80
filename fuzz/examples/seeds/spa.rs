//! The seeds of single packet authorization.

use std::io;
use std::num::NonZeroU16;
use std::time::Duration;

use aldaba_spa::text::encode;
use aldaba_spa::{
    Audience, Bundle, BundleDoor, BundleLock, DoorTag, Host, KeyKind, OneTimeCode, Operation, Port, Psk,
    Record, Request, SecretKey, Timestamp, Transport, Window, seal,
};

use crate::write;

pub fn write_all() -> io::Result<()> {
    numbered("authorized_keys", registries().iter().map(|text| text.as_bytes().to_vec()))?;
    numbered("datagram", datagrams())?;
    numbered("datagram_sealed", sealed())?;
    numbered("device_bundle", bundles())?;
    numbered(
        "differential",
        (0..10_u8).map(|number| {
            // Keys, then padding, then the request and the audience.
            let keys = (0..5_u8).flat_map(|key| [number.wrapping_mul(29).wrapping_add(key); 32]);
            let padding = [0, 1, 56, 57, 255, 256, 1000, 1087, 1088, 300_u16][usize::from(number)];
            keys.chain(padding.to_be_bytes()).chain([number | 16; 30]).collect()
        }),
    )?;
    numbered("key_text", key_texts().into_iter().map(String::into_bytes))?;
    numbered("replay_ops", replays())?;
    numbered("replay_store", records())
}

fn numbered(target: &str, seeds: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
    seeds
        .into_iter()
        .enumerate()
        .try_for_each(|(number, bytes)| write(target, &format!("{number:02}"), &bytes))
}

fn key(number: u8) -> String {
    SecretKey::new(&[number; 32]).public().to_text(KeyKind::Device)
}

fn registries() -> Vec<String> {
    let (one, two) = (key(1), key(2));
    let secret = encode(KeyKind::DeviceSecret, &[1; 32]);
    vec![
        String::new(),
        "# nobody yet\n\n".to_owned(),
        format!("{one} alice/laptop\n{two} bob\n"),
        format!("doors=\"ssh,web\" {one} alice\r\n"),
        format!("from=\"192.0.2.0/24, 2001:db8::/32\",bind {one} alice\n"),
        format!("max-lease=1h,psk=3,delegate {one} alice\ndoors=\"attic\" {two} bob\n"),
        format!("{one} alice\n{one} mallory\n{two} bob\n{one} mallory\n"),
        format!("{} alice\n{two} bob\n", &one[..40]),
        format!("{} alice\n{two} bob\n", *secret),
        format!("door=ssh {one} alice\nexpires=soon {two} bob\nexpires=2027-01-01 {two} carol\n"),
        format!("{one}\n{two} b\u{f6}b \u{2603}\n\u{7}{two} bob\n"),
        format!("{} alice\n", one.to_uppercase()),
        format!("doors=\"ssh {one} alice\n{two} bob\n"),
        format!("doors=\",\" {one} alice\n{two} bob\n"),
        format!("from=\"\" {one} alice\nfrom=, {two} bob\n"),
        format!("expires=2027-01-01T12:00:00+02:00,from=192.0.2.7 {one} alice"),
    ]
}

/// Of other gates than the one the target has.
fn datagrams() -> Vec<Vec<u8>> {
    let door = DoorTag::of("ssh").expect("a tag");
    let time = Timestamp(1_800_000_000_000_000);
    let operations = [
        Operation::Open { door, seconds: 30, bound: None },
        Operation::Open { door, seconds: 0, bound: "203.0.113.7".parse().ok() },
        Operation::Open { door, seconds: 9, bound: "2001:db8::7".parse().ok() },
        Operation::Close { door },
        Operation::Hello,
    ];
    let mut all = vec![vec![], vec![0; 143], vec![0xff; 144], vec![0x55; 1232], vec![7; 1233]];
    for (number, operation) in (0..).zip(operations) {
        let lock = SecretKey::new(&[9; 32]).lock(Psk::new([number; 32]), Audience::default());
        let request = Request { operation, time };
        let padding = usize::from(number) * 14;
        let sealed = seal(&SecretKey::new(&[1; 32]), &Psk::NONE, &lock, &request, padding, &[number; 32]);
        all.push(sealed.expect("sealed").datagram);
    }
    all
}

/// A knock of `datagram_sealed`: device, lock, shape, what the shape asks for before and behind the time's unit and
/// distance, source.
fn knock(head: [u8; 3], fields: &[u8], away: [u8; 3], behind: &[u8], source: u8) -> Vec<u8> {
    let [device, lock, shape] = head;
    [&[0, device, lock, 0, shape], fields, &away, behind, &[source]].concat()
}

fn sealed() -> Vec<Vec<u8>> {
    const NOW: [u8; 3] = [0, 0, 0];
    /// An address by its number: 203.0.113.7, another one, one with IPv6.
    const HERE: u8 = 2;
    const THERE: u8 = 5;
    const SIX: u8 = 8;
    let open = |device, away| knock([device, 0, 0], &[0, 30], away, &[], HERE);
    let bound = |device, away| knock([device, 0, 9], &[0, 60, HERE], away, &[], THERE);
    let mut all = vec![
        open(0, NOW),
        knock([0, 0, 1], &[], NOW, &[], HERE),
        knock([3, 1, 2], &[], NOW, &[], SIX),
        // Bound to where it comes from, and not; with padding.
        knock([2, 0, 0x18], &[0, 60, HERE], NOW, &[0, 56], HERE),
        [bound(0, NOW), bound(3, NOW)].concat(),
        // Again, after a restart, from elsewhere.
        [open(0, NOW), vec![0xa0, 0, HERE, 0xd0, 0xa0, 0, THERE, 0xd0, 0xa0, 0, HERE]].concat(),
        // The store is lost.
        [open(0, NOW), vec![0xd8, 0xa0, 0, HERE, 0xc0, 244], open(0, [0, 0, 9])].concat(),
        // The disk fails: what was not kept is used up all the same.
        [vec![0xe0, 2], open(0, NOW), vec![0xe0, 0], open(0, NOW), vec![0xd0], open(0, NOW)].concat(),
        // An hour and a day off, 61 s early and late.
        [open(0, [4, 0, 1]), open(0, [4, 0xff, 0xe8]), open(0, [3, 0, 61]), open(0, [3, 0xff, 0xc3])]
            .concat(),
        // A device that ends, a stranger, one that may not come from here.
        [open(2, NOW), vec![0xb8, 255, 0xb8, 255], open(2, NOW), open(4, NOW), open(1, NOW)].concat(),
        // Locks that are not valid yet, or no longer.
        [
            knock([0, 2, 0], &[0, 1], NOW, &[], HERE),
            vec![0xc8, 3, 0x80, 0],
            knock([0, 1, 0], &[0, 1], NOW, &[], HERE),
        ]
        .concat(),
        // Padding that is not zero, and an operation there is not.
        [
            knock([0, 0, 0x75], &[], NOW, &[0, 9, 0, 40, 1], HERE),
            knock([0, 0, 0x60], &[0, 1], NOW, &[0, 0, 9], HERE),
        ]
        .concat(),
    ];
    // A request in the middle of each flaw.
    all.extend((0xf0..=0xf8).map(|flaw| {
        let mut one = vec![0, 0, 0, flaw, 0, 0, 30, 0, 0, 7, 3, 5, HERE];
        one.extend(open(0, [0, 0, 1]));
        one
    }));
    // More than its rate.
    all.push((0..40).flat_map(|number| open(3, [0, 0, number])).chain([0xb8, 4]).collect());
    all
}

/// Few moments, each of which is some bytes.
fn replays() -> Vec<Vec<u8>> {
    let at = |moment: u8| [0, moment];
    let line = |moments: &[u8]| moments.iter().flat_map(|moment| at(*moment)).collect::<Vec<_>>();
    let flood: Vec<u8> = (60..100).collect();
    vec![
        line(&[64, 64, 65, 63]),
        line(&[64, 84, 63, 64, 62]),
        line(&flood),
        [line(&flood), vec![0xd0], line(&flood)].concat(),
        flood.iter().rev().flat_map(|moment| at(*moment)).collect(),
        [line(&[64, 65]), vec![0xe0], line(&[64, 65, 66]), vec![0xe0, 0xf0], line(&[64, 66, 67])].concat(),
        [vec![0xf4, 2], line(&[64]), vec![0xf4, 0], line(&[64]), vec![0xe0], line(&[64])].concat(),
        [vec![0xf4, 1], line(&[64]), vec![0xf4, 0], line(&[64]), vec![0xe0], line(&[64])].concat(),
        [line(&[64]), vec![0xd8, 30], line(&[64, 60]), vec![0xd8, 90], line(&[64, 60, 90])].concat(),
        [vec![0, 64, 1, 64, 2, 64, 3, 64], vec![0xe0], vec![0, 64, 1, 64, 2, 64, 3, 64]].concat(),
        [line(&[114]), vec![0xf0], line(&[114, 115]), vec![0xc0; 51], line(&[114, 115, 116])].concat(),
        [line(&[255, 0]), vec![0xd8, 0], line(&[0, 50, 51]), vec![0xd8, 255], line(&[255, 254])].concat(),
    ]
}

fn records() -> Vec<Vec<u8>> {
    let window = Window::default();
    let mut record = Record::default();
    let mut all = vec![vec![], vec![0; 8], vec![0xff; 8], vec![1; 16], [[0; 8], [0xff; 8]].concat()];
    for number in 0..30_u64 {
        record = record.accept(&window, Timestamp(1_800_000_000_000_000 + number * 20_000));
        if number % 4 == 0 {
            all.push(record.encode());
        }
    }
    all
}

fn key_texts() -> Vec<String> {
    let mut all: Vec<String> = KeyKind::ALL.iter().map(|kind| encode(*kind, &[9; 32]).to_string()).collect();
    let code = OneTimeCode::new(&[7; 16]).expect("no zeros").expose_text();
    let device = key(1);
    all.extend([
        code.to_string(),
        format!(" {}\r\n", device.to_uppercase()),
        device[7..].to_owned(),
        format!("{}q", &device[..device.len() - 1]),
        device.replacen('q', "Q", 1),
        format!("aldaba-bundle-1:{}", "AAAA".repeat(40)),
        "ssh-ed25519 AAAA".to_owned(),
        encode(KeyKind::Gate, &[0; 32]).to_string(),
    ]);
    all
}

fn bundles() -> Vec<Vec<u8>> {
    let port = |number| NonZeroU16::new(number).expect("a port");
    let server = SecretKey::new(&[2; 32]);
    let lock = |audience, from: Option<u64>, until: Option<u64>| BundleLock {
        server: server.public(),
        audience: Audience::new(audience).expect("an audience"),
        not_before: from.map(Timestamp),
        not_after: until.map(Timestamp),
    };
    let door = |name: &str, ports: &[u16]| BundleDoor {
        name: name.to_owned(),
        ports: ports.iter().map(|number| Port { transport: Transport::Tcp, number: port(*number) }).collect(),
    };
    let small = Bundle {
        issued: Timestamp(1_800_000_000_000_000),
        hosts: vec!["192.0.2.1".parse().expect("a host")],
        port: port(42_731),
        future: Duration::from_secs(60),
        locks: vec![lock("", None, None)],
        gate_psk: Psk::new([8; 32]),
        device_psk: Psk::new([7; 32]),
        doors: vec![door("ssh", &[22])],
    };
    let mut large = small.clone();
    let hosts = ["2001:db8::1", "server.example", "10.0.0.1", "x_y-1.example"];
    large.hosts = hosts.iter().map(|host| host.parse::<Host>().expect("a host")).collect();
    large.locks = vec![lock("a", None, Some(7)), lock("b", Some(7), Some(9)), lock("c", Some(9), None)];
    large.doors = (0..20).map(|number| door(&format!("door{number}"), &[22, 80, 443])).collect();
    let none = Bundle { doors: Vec::new(), gate_psk: Psk::NONE, ..small.clone() };
    let bytes = [&small, &large, &none].map(|bundle| bundle.encode().expect("a bundle").to_vec());
    // For another device than the target is.
    let sealed = small.seal(&server, &SecretKey::new(&[6; 32]).public(), None, &[4; 32]).expect("sealed");
    let text = sealed.to_text();
    let mut all = bytes.to_vec();
    all.extend([sealed.as_bytes().to_vec(), text.clone().into_bytes()]);
    let texts = [
        format!(" {}\n{}\n", &text[..70], &text[70..]),
        text[..text.len() - 3].to_owned(),
        text.replace("bundle-1", "bundle-2"),
        key(1),
        "Server.Example.".to_owned(),
        "::ffff:192.0.2.1".to_owned(),
    ];
    all.extend(texts.map(String::into_bytes));
    all
}
