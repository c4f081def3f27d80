//! The published vectors: `spec/vectors/spa`, one file a case, derived by another implementation.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::{bytes, hex};
use crate::envelope::{Fields, keystream};
use crate::noise::{Keyed, State};
use crate::seal::{message, seal_with};
use crate::{
    AddressRule, Audience, Demand, Device, DoorTag, Lock, LockKeys, Locks, Moment, Operation, Psk, Psks,
    PublicKey, Record, Refusal, Registry, Request, SecretKey, Served, ServedDoor, Server, Store, StoreFailed,
    Timestamp, Window, seal,
};

fn cases(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/vectors/spa").join(folder);
    let mut cases: Vec<_> = fs::read_dir(folder)
        .expect("the vectors")
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = fs::read_to_string(&path).expect("a case");
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    cases.sort_by(|a, b| a.0.cmp(&b.0));
    cases
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_else(|| panic!("{name} in {value}"))
}

fn request(inputs: &Value) -> Request {
    let door = || DoorTag::of(text(inputs, "door")).expect("a tag");
    let operation = match text(inputs, "op") {
        "open" => Operation::Open {
            door: door(),
            seconds: number(inputs, "duration").try_into().expect("seconds"),
            bound: inputs["address"].as_str().map(|address| address.parse().expect("an address")),
        },
        "close" => Operation::Close { door: door() },
        _ => Operation::Hello,
    };
    Request { operation, time: Timestamp(number(inputs, "time_us")) }
}

fn lock_of(inputs: &Value) -> Lock {
    let audience = Audience::new(text(inputs, "audience")).expect("an audience");
    SecretKey::new(&bytes(text(inputs, "s_priv"))).lock(Psk::new(bytes(text(inputs, "gate_psk"))), audience)
}

#[test]
fn every_positive_case_is_made_byte_for_byte() {
    let cases = cases("positive");
    assert!(cases.len() >= 16, "{}", cases.len());
    for (name, case) in cases {
        let (inputs, derived) = (&case["inputs"], &case["derived"]);
        let (lock, request) = (lock_of(inputs), request(inputs));
        let gate = lock.gate_keys();
        let device = SecretKey::new(&bytes(text(inputs, "d_priv")));
        let psk = Psk::new(bytes(text(inputs, "device_psk")));
        let expect =
            |field: &str, ours: &[u8]| assert_eq!(ours, hex(text(derived, field)), "{name}: {field}");
        expect("s_pub", lock.server.as_bytes());
        expect("d_pub", device.public().as_bytes());
        let k_tag = Keyed::new(&bytes(text(derived, "k_tag")));
        assert_eq!(gate.tag.mac(&[b"any"]), k_tag.mac(&[b"any"]), "{name}: k_tag");
        expect("k_mask", &gate.mask);
        expect("lock_id", &gate.lock_id);
        expect("core", &request.encode());

        let mut plaintext = request.encode().to_vec();
        plaintext.resize(32 + usize::try_from(number(inputs, "padding")).expect("padding"), 0);
        expect("plain", &plaintext);
        let ephemeral = SecretKey::new(&bytes(text(derived, "e_priv")));
        expect("e_pub", ephemeral.public().as_bytes());
        let sealed = seal_with(&device, &psk, &lock, &gate, &plaintext, &ephemeral).expect("sealed");
        expect("packet", &sealed.datagram);
        expect("knock_id", &sealed.id.0);
        if let Some(random) = inputs["random32"].as_str() {
            let hedged = seal(&device, &psk, &lock, &request, plaintext.len() - 32, &bytes(random));
            assert_eq!(hedged.expect("sealed"), sealed, "{name}: hedged");
        }

        let mut state = State::knock(&gate, &lock.server);
        let (_, rest) =
            message(&mut state, &device, &psk, &lock.server, &plaintext, &ephemeral).expect("written");
        let traced = |what| state.trace.iter().filter(move |(name, _)| *name == what).map(|(_, bytes)| bytes);
        for (what, fields) in [
            ("h", &["h_name", "h_prologue", "h_s", "h_e", "h_cs", "h_psk", "h_cp"][..]),
            ("ck", &["ck_e", "ck_es", "ck_ss", "ck_psk"]),
            ("k", &["k_e", "k_es", "k_ss", "k_psk"]),
        ] {
            assert_eq!(traced(what).count(), fields.len(), "{name}: {what}");
            for (field, ours) in fields.iter().zip(traced(what)) {
                expect(field, ours);
            }
        }
        let (cs, cp) = rest.split_at(48);
        expect("cs", cs);
        expect("cp", cp);
        expect("keystream", &*keystream(&gate, &[&rest]));
        let fields = Fields::split(&sealed.datagram).expect("a datagram");
        expect("me", fields.head);
        expect("tag", fields.tag());
    }
}

#[derive(Default)]
struct Memory(BTreeMap<PublicKey, Record>);

impl Store for Memory {
    fn load(&mut self, device: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        Ok(self.0.get(device).copied())
    }

    fn commit(&mut self, device: &PublicKey, record: &Record) -> Result<(), StoreFailed> {
        self.0.insert(*device, *record);
        Ok(())
    }
}

fn record(value: &Value) -> Record {
    let recent = value["recent"].as_array().expect("times").iter();
    let times = std::iter::once(&value["floor"]).chain(recent);
    let encoded: Vec<u8> = times.flat_map(|time| time.as_u64().expect("a time").to_be_bytes()).collect();
    Record::decode(&encoded).expect("a record")
}

fn device(key: PublicKey) -> Device {
    Device::new(key, "device".to_owned())
}

fn doors(names: &[&str]) -> HashMap<DoorTag, ServedDoor> {
    let tagged = names.iter().filter_map(|name| DoorTag::of(name));
    (0..).zip(tagged).map(|(number, tag)| (tag, ServedDoor { number, rule: AddressRule::Either })).collect()
}

/// The server of a case and its store; keys that no registry of ours takes are left out.
fn server(locks: Vec<LockKeys>, devices: Vec<(PublicKey, Psk, Record)>, names: &[&str]) -> (Server, Memory) {
    let mut psks = BTreeMap::new();
    let mut store = Memory::default();
    let mut registry = Vec::new();
    for (key, psk, record) in devices {
        registry.push(device(key));
        psks.insert(key, psk);
        store.0.insert(key, record);
    }
    let served = Served {
        locks: Locks::new(locks).expect("locks"),
        registry: Registry::new(registry, [0; 16]).expect("devices"),
        doors: doors(names),
        window: Window::default(),
        psks: Psks::Each(psks),
    };
    (Server::new(served, Duration::ZERO, [0; 16]), store)
}

fn lock_keys(lock: &Value) -> LockKeys {
    LockKeys {
        secret: SecretKey::new(&bytes(text(lock, "s_priv"))),
        gate_psk: Psk::new(bytes(text(lock, "gate_psk"))),
        audience: Audience::new(text(lock, "audience")).expect("an audience"),
        not_before: None,
        not_after: None,
    }
}

fn handled(server: &mut Server, store: &mut Memory, case: &Value, packet: &Value) -> Result<Demand, Refusal> {
    let at = Moment { now: Duration::ZERO, wall: Timestamp(number(case, "now_us")) };
    let source = text(case, "source").parse().expect("an address");
    let packet = hex(packet.as_str().expect("a packet"));
    let handled = server.handle_datagram(at, source, &packet, store);
    handled.map(|admitted| admitted.demand).map_err(|rejected| rejected.refusal)
}

#[test]
fn every_positive_case_is_accepted_and_recorded() {
    for (name, case) in cases("positive") {
        let inputs = &case["inputs"];
        let key = SecretKey::new(&bytes(text(inputs, "d_priv"))).public();
        let psk = Psk::new(bytes(text(inputs, "device_psk")));
        let names: Vec<&str> = inputs["door"].as_str().into_iter().collect();
        let (mut server, mut store) =
            server(vec![lock_keys(inputs)], vec![(key, psk, record(&inputs["record"]))], &names);
        let demand = handled(&mut server, &mut store, inputs, &case["derived"]["packet"]);
        assert!(demand.is_ok(), "{name}: {demand:?}");
        assert_eq!(store.0[&key], record(&case["record_after"]), "{name}");
    }
}

#[test]
fn every_negative_case_dies_at_its_step() {
    let cases = cases("negative");
    assert!(cases.len() >= 40, "{}", cases.len());
    for (name, case) in cases {
        let described = &case["server"];
        let locks = described["locks"].as_array().expect("locks").iter().map(lock_keys).collect();
        let registry = described["registry"].as_array().expect("devices");
        let usable = registry.iter().filter_map(|entry| {
            let key = PublicKey::new(bytes(text(entry, "d_pub"))).ok()?;
            Some((key, Psk::new(bytes(text(entry, "device_psk"))), record(&entry["record"])))
        });
        let devices: Vec<_> = usable.collect();
        // A key of small order is refused before it gets into the registry: it dies one step earlier.
        let refused_key = devices.len() < registry.len();
        let names: Vec<&str> =
            described["doors"].as_array().expect("doors").iter().filter_map(Value::as_str).collect();
        let (mut server, mut store) = server(locks, devices, &names);
        let step = handled(&mut server, &mut store, &case, &case["packet"]).err().map(Refusal::step);
        let expected = case["step"].as_u64().map(|step| if refused_key { 8 } else { step });
        assert_eq!(step.map(u64::from), expected, "{name}");
    }
}
