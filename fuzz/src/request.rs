//! Messages between monitor and worker: no bytes bring a decoder down, every message has one spelling and comes back as
//! it went, what is not a message's length is none, and a request opens nothing that the catalogue does not hold
//! (spec/ipc.md).
//!
//! The last holds here for the runner, which is the monitor's last guard. Generation, knock and action are compared
//! before it, in the monitor itself; that is not looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use aldaba_gate::KnockAction;
use aldaba_gate::knock::{Protocol, Sequence, Step};
use aldaba_gate::spa::{KnockId, Refusal};
use aldaba_runner::{Ask, DoorId, Effect, ElementChange, Granted, Owner, Reason, Runner, model};
use aldabad::control::About;
use aldabad::counts::{PAGE, PAGES};
use aldabad::ipc::{FromWorker, Place, SIZE, Seen, ToWorker};

/// When the runner is asked.
const NOW: Duration = Duration::from_secs(1000);

/// Checks one input.
///
/// # Panics
/// If a decoder does, a message encodes to other bytes, or a request gets more than policy allows.
pub fn run(data: &[u8]) {
    check(data);
    // Most inputs are shorter than a message: filled up with zeros they can be one.
    if data.len() < SIZE {
        let mut whole = [0; SIZE];
        whole[..data.len()].copy_from_slice(data);
        check(&whole);
    }
    comes_back(data);
}

fn check(data: &[u8]) {
    if let Ok(message) = FromWorker::decode(data) {
        assert_eq!(message.encode().as_slice(), data, "{message:?}");
        match message {
            FromWorker::Request { place, action, source } => {
                stays_in_the_catalogue(DoorId(place.door.0), action, &Ask::by_sequence(source));
            }
            FromWorker::Admitted { place, action, source, device, seconds, .. } => {
                let wanted = Some(Duration::from_secs(seconds.into()));
                let ask = Ask { wanted, owner: Some(Owner(device)), ..Ask::by_sequence(source) };
                stays_in_the_catalogue(DoorId(place.door.0), action, &ask);
            }
            _ => {}
        }
    }
    if let Ok(message) = ToWorker::decode(data) {
        assert_eq!(message.encode().as_slice(), data, "{message:?}");
    }
    if data.len() != SIZE {
        assert!(FromWorker::decode(data).is_err() && ToWorker::decode(data).is_err());
    }
}

/// Messages with the longest fields, made from these bytes: they are what the decoder gives back.
fn comes_back(data: &[u8]) {
    let word =
        |at: usize| u32::from_le_bytes(std::array::from_fn(|n| data.get(at + n).copied().unwrap_or(0)));
    let steps = data.chunks_exact(3).take(Sequence::MAX_STEPS).map(|step| Step {
        protocol: if step[0] & 1 == 0 { Protocol::Tcp } else { Protocol::Udp },
        port: u16::from_le_bytes([step[1], step[2]]).max(1),
    });
    let place = Place {
        generation: word(0),
        door: aldaba_gate::DoorId(word(4)),
        knock: data.first().copied().unwrap_or(0),
    };
    let sequence = Sequence::try_from(steps.collect::<Vec<_>>()).ok();
    let name: String = String::from_utf8_lossy(data).chars().filter(|c| *c != '\0').collect();
    let end = (0..=31).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0).min(name.len());
    for message in [
        ToWorker::NextSequence { place, sequence },
        ToWorker::Interface { index: word(0), loopback: word(4) & 1 == 1, name: name[..end].to_owned() },
    ] {
        assert_eq!(ToWorker::decode(&message.encode()).as_ref(), Ok(&message));
    }
    for source in [
        IpAddr::from(Ipv4Addr::from(word(0))),
        Ipv6Addr::from(
            [word(0), word(4), word(8), word(12)]
                .map(u128::from)
                .iter()
                .fold(0, |all, part| all << 32 | part),
        )
        .into(),
    ] {
        for action in [KnockAction::Open, KnockAction::Close] {
            let message = FromWorker::Request { place, action, source };
            assert_eq!(FromWorker::decode(&message.encode()), Ok(message));
        }
        datagrams_come_back(place, source, data);
    }
}

/// What the worker says of datagrams, and every refusal.
fn datagrams_come_back(place: Place, from: IpAddr, data: &[u8]) {
    let byte = |at: usize| data.get(at).copied().unwrap_or(0);
    let (device, id) = (std::array::from_fn(byte), KnockId(std::array::from_fn(|at| byte(at + 9))));
    let offset = i64::from_le_bytes(std::array::from_fn(|at| byte(at + 3)));
    let clock_used = byte(1) & 1 == 1;
    let clock = Refusal::Clock { offset, used: clock_used };
    for refusal in Refusal::PLAIN.into_iter().chain([clock]) {
        for device in [None, Some(device)] {
            let message = FromWorker::Rejected { from, refusal, id, device };
            assert_eq!(FromWorker::decode(&message.encode()), Ok(message));
        }
    }
    let seconds = u16::from_le_bytes([byte(0), byte(1)]);
    for action in [KnockAction::Open, KnockAction::Close] {
        let place = Place { knock: 0, ..place };
        let message = FromWorker::Admitted { place, action, source: from, from, device, id, seconds, offset };
        assert_eq!(FromWorker::decode(&message.encode()), Ok(message));
    }
    let query = u32::from_le_bytes(std::array::from_fn(|at| byte(at + 5)));
    let age = offset.unsigned_abs();
    let seen = Seen { datagrams: age, foreign: age, foreign_age: clock_used.then_some(age), guard_left: age };
    for message in [
        FromWorker::Hello { from, device, id, offset },
        FromWorker::Recalled { query, age, from, refusal: clock, id, device: Some(device), again: query },
        FromWorker::RecallEnd { query, seen },
        FromWorker::Counted { query, page: byte(0) % PAGES, values: [age; PAGE] },
    ] {
        assert_eq!(FromWorker::decode(&message.encode()), Ok(message));
    }
    for about in [About::Address(from), About::Id(id)] {
        let message = ToWorker::Recall { query, about };
        assert_eq!(ToWorker::decode(&message.encode()), Ok(message));
    }
}

/// A worker that lies can ask for doors there are, for the address it names, for as long as policy allows; nothing else.
fn stays_in_the_catalogue(door: DoorId, action: KnockAction, ask: &Ask) {
    let source = ask.address;
    let catalogue = model::catalogue(0);
    let known = usize::try_from(door.0).ok().and_then(|index| catalogue.doors.get(index)).cloned();
    let mut runner = Runner::new(catalogue);
    match (action, ask.owner) {
        (KnockAction::Close, None) => assert_eq!(runner.close(NOW, door, source), 0, "nothing was open"),
        (KnockAction::Close, Some(owner)) => {
            assert_eq!(runner.close_owned(NOW, door, owner), 0, "nothing was open");
        }
        (KnockAction::Open, _) => {
            let granted = runner.grant(NOW, door, ask);
            assert_eq!(granted == Granted::Refused(Reason::NoSuchDoor), known.is_none(), "{granted:?}");
        }
    }
    for lease in runner.leases() {
        let known = known.as_ref().expect("a lease is of a door there is");
        assert_eq!((&**lease.door(), lease.address()), (known.name.as_str(), source));
        assert_eq!(lease.owner(), ask.owner);
        assert!(action == KnockAction::Open && lease.deadline() <= NOW + known.max_lease);
    }
    while let Some(effect) = runner.poll_effect() {
        assert!(known.is_some(), "{effect:?} for no door");
        if let Effect::Elements(changes) = effect {
            let asked = |change: &ElementChange| change.timeout.is_some_and(|timeout| !timeout.is_zero());
            assert!(changes.iter().all(|change| change.address == source && asked(change)));
        }
    }
}
