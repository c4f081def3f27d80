use std::ffi::OsString;
use std::io;
use std::path::Path;

use aldaba_config::{FileBytes, FileFacts, Files, Kind, Options, load};
use aldaba_gate::spa::{KeyKind, SecretKey, text};
use aldaba_runner::{Ask, Granted};

use super::*;

const CONFIG: &str = r#"
[spa]
port = 42731

[[door]]
name = "ssh"
spa = true
ports = ["22/tcp"]
lease = "30s"
max-lease = "2h"

[[door]]
name = "web"
spa = "bound"
open-for-gateway = true
ports = ["8080/tcp"]

[[door]]
name = "old"
sequence = "7000,8000,9000"
ports = ["23/tcp"]
"#;
const WALL: Timestamp = Timestamp(1_800_000_000_000_000);
const SSH: DoorId = DoorId(0);
const WEB: DoorId = DoorId(1);
const OLD: DoorId = DoorId(2);

/// The files of a configuration, in memory.
struct Memory(String);

impl Files for Memory {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let text = |kind, byte| text::encode(kind, &[byte; 32]).as_bytes().to_vec();
        let bytes = match path.to_str() {
            Some("aldaba.toml") => CONFIG.into(),
            Some("server.key") => text(KeyKind::ServerSecret, 9),
            Some("gate.key") => text(KeyKind::Gate, 8),
            Some("psk.key") => text(KeyKind::Seed, 7),
            Some("authorized_keys") => self.0.clone().into_bytes(),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(FileBytes { bytes, facts: FileFacts { mode: 0o600, uid: 0, is_regular: true } })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn key(number: u8) -> PublicKeyBytes {
    *SecretKey::new(&[number; 32]).public().as_bytes()
}

type PublicKeyBytes = [u8; 32];

/// A monitor's knowledge: a registry of these lines, where `KEYn` is device n's key.
struct Scene {
    policy: Policy,
    registry: Registry,
    runner: Runner,
    wall: Timestamp,
    gateways: Option<BTreeSet<IpAddr>>,
}

fn scene(lines: &str) -> Scene {
    let lines = (1..=9).fold(lines.to_owned(), |lines, number| {
        let text = SecretKey::new(&[number; 32]).public().to_text(KeyKind::Device);
        lines.replace(&format!("KEY{number}"), &text)
    });
    let loaded = load(Kind::Toml, Path::new("aldaba.toml"), &mut Memory(lines), &Options::default());
    let mut policy = loaded.expect("a policy").policy;
    let devices = std::mem::take(&mut policy.spa.as_mut().expect("its section").devices);
    let registry = Registry::new(devices, [1; 16]).expect("a registry");
    let runner = Runner::new(policy.catalogue.clone());
    Scene { policy, registry, runner, wall: WALL, gateways: Some(BTreeSet::from([ip("203.0.113.1")])) }
}

/// A request of a device to open a door for the address it came from.
fn told(device: u8, from: &str) -> Told {
    let place = Place { generation: 1, door: SSH, knock: 0 };
    let (address, device) = (ip(from), key(device));
    Told { place, action: KnockAction::Open, address, from: address, device, id: KnockId([0; 8]), seconds: 0 }
}

impl Scene {
    fn judge(&self, door: DoorId, told: &Told) -> Result<Duration, &'static str> {
        let judge = Judge {
            policy: &self.policy,
            registry: &self.registry,
            runner: &self.runner,
            wall: self.wall,
            is_own: &|address| address == ip("203.0.113.2"),
            is_broadcast: told.address.to_canonical() == ip("203.0.113.255"),
            gateways: self.gateways.as_ref(),
        };
        let allowed = judge.judge(door, told)?;
        assert_eq!(allowed.address, told.address.to_canonical(), "as it was judged");
        Ok(allowed.wanted)
    }

    /// The same, and it is opened.
    fn open(&mut self, door: DoorId, told: &Told) -> Result<(), &'static str> {
        let wanted = self.judge(door, told)?;
        let ask =
            Ask { wanted: Some(wanted), owner: Some(Owner(told.device)), ..Ask::by_sequence(told.address) };
        let granted = self.runner.grant(Duration::from_secs(1), aldaba_runner::DoorId(door.0), &ask);
        assert!(matches!(granted, Granted::Opening(_) | Granted::Renewed(_)), "{granted:?}");
        Ok(())
    }
}

const HALF_A_MINUTE: Result<Duration, &str> = Ok(Duration::from_secs(30));

#[test]
fn only_devices_and_doors_of_this_policy_count() {
    let scene = scene("KEY1 alice\n");
    assert_eq!(scene.judge(SSH, &told(1, "192.0.2.7")), HALF_A_MINUTE);
    assert_eq!(scene.judge(SSH, &told(1, "::ffff:192.0.2.7")), HALF_A_MINUTE);
    assert_eq!(scene.judge(SSH, &told(2, "192.0.2.7")), Err("no-such-device"));
    assert_eq!(scene.judge(OLD, &told(1, "192.0.2.7")), Err("no-such-door"), "a sequence opens it");
    assert_eq!(scene.judge(DoorId(3), &told(1, "192.0.2.7")), Err("no-such-door"));
}

#[test]
fn a_line_says_which_doors_and_from_where_and_until_when() {
    let mut scene = scene(
        "doors=ssh KEY1 alice\nfrom=\"192.0.2.0/24,2001:db8::/32\" KEY2 bob\nexpires=2027-01-15T08:00:01Z KEY3 carol\n",
    );
    assert_eq!(scene.judge(SSH, &told(1, "192.0.2.7")), HALF_A_MINUTE);
    assert_eq!(scene.judge(WEB, &told(1, "192.0.2.7")), Err("not-allowed"));
    for (from, judged) in [("192.0.2.7", true), ("2001:db8::7", true), ("198.51.100.7", false)] {
        assert_eq!(scene.judge(SSH, &told(2, from)).is_ok(), judged, "{from}");
        // Neither may what is open be closed from elsewhere.
        let close = Told { action: KnockAction::Close, ..told(2, from) };
        assert_eq!(scene.judge(SSH, &close).is_ok(), judged, "{from}");
    }
    assert_eq!(
        scene.judge(SSH, &told(3, "192.0.2.7")),
        Ok(Duration::from_secs(1)),
        "no longer than the line"
    );
    scene.wall = WALL.after(Duration::from_secs(1));
    assert_eq!(scene.judge(SSH, &told(3, "192.0.2.7")), Err("not-allowed"));
}

#[test]
fn a_door_opens_for_the_sender_and_nobody_else_unless_the_line_delegates() {
    let scene = scene("KEY1 alice\ndelegate KEY2 bob\n");
    let other = |device| Told { address: ip("198.51.100.9"), ..told(device, "192.0.2.7") };
    assert_eq!(scene.judge(SSH, &other(1)), Err("relayed"));
    assert_eq!(scene.judge(SSH, &other(2)), HALF_A_MINUTE);
    for never in ["127.0.0.1", "::1", "0.0.0.0", "224.0.0.1", "169.254.1.1", "fe80::1", "240.1.1.1"] {
        for device in [1, 2] {
            assert_eq!(scene.judge(SSH, &told(device, never)), Err("address"), "{never}");
        }
    }
}

#[test]
fn the_length_is_what_the_line_allows_of_what_was_asked_for() {
    let scene = scene(
        "KEY1 alice\nlease=10m KEY2 bob\nmax-lease=5m KEY3 carol\nlease=1m,max-lease=5m KEY4 dave\nmax-lease=10s KEY5 eve\n",
    );
    for (device, asked, seconds) in [
        (1, 0, 30),
        (1, 3600, 3600),
        (2, 0, 600),
        (2, 5, 5),
        (3, 0, 30),
        (3, 3600, 300),
        (4, 0, 60),
        (4, 3600, 300),
        (5, 0, 10),
    ] {
        let told = Told { seconds: asked, ..told(device, "192.0.2.7") };
        assert_eq!(scene.judge(SSH, &told), Ok(Duration::from_secs(seconds)), "device {device}, {asked} s");
    }
}

#[test]
fn a_door_opens_for_this_host_never_and_for_its_gateway_only_if_it_says_so() {
    let mut scene = scene("KEY1 alice\ndelegate KEY2 bob\n");
    for device in [1, 2] {
        for door in [SSH, WEB] {
            assert_eq!(scene.judge(door, &told(device, "203.0.113.2")), Err("own-address"));
            assert_eq!(scene.judge(door, &told(device, "203.0.113.255")), Err("broadcast"));
        }
        let over_v6 = told(device, "::ffff:203.0.113.1");
        assert_eq!(scene.judge(SSH, &over_v6), Err("gateway"));
        assert_eq!(scene.judge(SSH, &told(device, "203.0.113.1")), Err("gateway"));
        assert_eq!(scene.judge(WEB, &told(device, "203.0.113.1")), HALF_A_MINUTE);
    }
    let named = Told { address: ip("203.0.113.1"), ..told(2, "192.0.2.7") };
    assert_eq!(scene.judge(SSH, &named), Err("gateway"));
    scene.gateways = None;
    assert_eq!(scene.judge(SSH, &told(1, "192.0.2.7")), Err("gateways-unknown"));
    assert_eq!(scene.judge(WEB, &told(1, "192.0.2.7")), HALF_A_MINUTE);
}

#[test]
fn a_device_holds_eight_leases() {
    let mut scene = scene("delegate KEY1 alice/laptop\nKEY2 alice/phone\n");
    for number in 1..=8 {
        let told = Told { address: ip(&format!("198.51.100.{number}")), ..told(1, "192.0.2.7") };
        assert_eq!(scene.open(SSH, &told), Ok(()));
    }
    assert_eq!(scene.open(SSH, &told(1, "192.0.2.7")), Err("too-many-of-device"));
    assert_eq!(
        scene.open(WEB, &told(1, "198.51.100.1")),
        Err("too-many-of-device"),
        "another door is one more"
    );
    assert_eq!(scene.open(SSH, &told(1, "198.51.100.8")), Ok(()), "a renewal is none more");
    // Another device does not notice, and what it takes over is no longer the first one's.
    assert_eq!(scene.open(SSH, &told(2, "198.51.100.8")), Ok(()));
    assert_eq!(scene.open(SSH, &told(1, "192.0.2.7")), Ok(()));
}

#[test]
fn the_leases_of_a_user_are_counted_over_all_lines() {
    let mut scene = scene(
        "max-leases=2 KEY1 alice/laptop\nmax-leases=2 KEY2 alice/phone\nKEY3 alice\nmax-leases=1 KEY4 bob\n\
         max-leases=20,delegate KEY5 jump/host\n",
    );
    assert_eq!(scene.open(SSH, &told(1, "192.0.2.1")), Ok(()));
    assert_eq!(scene.open(SSH, &told(2, "192.0.2.2")), Ok(()));
    for device in [1, 2] {
        assert_eq!(scene.open(SSH, &told(device, "192.0.2.3")), Err("too-many-of-user"));
        assert_eq!(
            scene.open(SSH, &told(device, "192.0.2.1")),
            Ok(()),
            "a renewal, of whichever device of hers"
        );
    }
    // Bob is another user, and may not take over one more than he may hold.
    assert_eq!(scene.open(SSH, &told(4, "192.0.2.4")), Ok(()));
    assert_eq!(scene.open(SSH, &told(4, "192.0.2.1")), Err("too-many-of-user"));
    // A line without the option is held to what a device may hold.
    assert_eq!(scene.open(SSH, &told(3, "192.0.2.5")), Ok(()));
    assert_eq!(scene.open(SSH, &told(1, "192.0.2.2")), Ok(()), "still a renewal");
    // The option says more than eight, too.
    for number in 1..=20 {
        let told = Told { address: ip(&format!("198.51.100.{number}")), ..told(5, "192.0.2.7") };
        assert_eq!(scene.open(SSH, &told), Ok(()));
    }
    assert_eq!(scene.open(SSH, &told(5, "198.51.100.21")), Err("too-many-of-user"));
    // What is closed is room again.
    scene.runner.close_owned(Duration::from_secs(2), aldaba_runner::DoorId(SSH.0), Owner(key(4)));
    while let Some(effect) = scene.runner.poll_effect() {
        if let aldaba_runner::Effect::Elements(changes) = effect {
            for change in changes {
                scene.runner.element_done(Duration::from_secs(2), change.lease);
            }
        }
    }
    assert_eq!(scene.open(SSH, &told(4, "192.0.2.6")), Ok(()));
}
