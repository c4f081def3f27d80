use std::net::IpAddr;

use aldaba_gate::KnockAction;
use aldaba_gate::knock::{Outcome, Protocol, Sequence, Step};
use aldaba_gate::spa::{KnockId, Refusal};

use super::*;
use crate::control::About;
use crate::counts::{PAGE, PAGES};
use crate::worker::Confined;

fn place() -> Place {
    Place { generation: 7, door: DoorId(3), knock: 1 }
}

fn from_worker() -> Vec<FromWorker> {
    let [source, six]: [IpAddr; 2] = ["192.0.2.7", "2001:db8::7"].map(|text| text.parse().unwrap());
    vec![
        FromWorker::Ready(Confined { kept_uid: true, landlock: 7 }),
        FromWorker::Pong { number: u32::MAX },
        FromWorker::Prepared { generation: 9 },
        FromWorker::Unfit { generation: u32::MAX },
        FromWorker::Request { place: place(), action: KnockAction::Open, source },
        FromWorker::Request { place: place(), action: KnockAction::Close, source: six },
        FromWorker::Stage { place: place(), stage: 32, source },
        FromWorker::Expired { place: place(), stage: 2, source: six },
        FromWorker::LeftOut { events: u64::MAX },
        FromWorker::Overrun { requests: 1 },
        FromWorker::CaptureFailed { capture: 4 },
        FromWorker::ListenFailed,
        FromWorker::Recording,
        FromWorker::Admitted {
            place: place(),
            action: KnockAction::Open,
            source: six,
            from: source,
            device: [7; 32],
            id: KnockId([8; 8]),
            seconds: u16::MAX,
            offset: i64::MIN,
        },
        FromWorker::Hello { from: six, device: [255; 32], id: KnockId([0; 8]), offset: 1 },
        FromWorker::Rejected {
            from: source,
            refusal: Refusal::Clock { offset: i64::MIN, used: true },
            id: KnockId([1; 8]),
            device: Some([9; 32]),
        },
        FromWorker::Rejected { from: six, refusal: Refusal::Address, id: KnockId([1; 8]), device: None },
        FromWorker::StoreFailed,
        FromWorker::Recalled {
            query: u32::MAX,
            age: 7,
            from: six,
            refusal: Refusal::Clock { offset: -1, used: false },
            id: KnockId([2; 8]),
            device: Some([3; 32]),
            again: 4,
        },
        FromWorker::ShutOut { generation: 3, lock: 7, refused: u64::MAX },
        FromWorker::Counted { query: 1, page: PAGES - 1, values: [u64::MAX; PAGE] },
        FromWorker::RecallEnd { query: 0, seen: Seen::default() },
        FromWorker::RecallEnd {
            query: 1,
            seen: Seen { datagrams: 1, foreign: u64::MAX, foreign_age: Some(0), guard_left: 9 },
        },
        FromWorker::Hit {
            source: (source, 40_000),
            protocol: Protocol::Udp,
            destination: (six, 7000),
            outcome: Outcome::Completed,
        },
    ]
}

fn to_worker() -> Vec<ToWorker> {
    let long: Vec<Step> = (0..32).map(|n| Step { port: 65_504 + n, protocol: Protocol::Udp }).collect();
    vec![
        ToWorker::Prepare { generation: 1, keep_attempts: true, stages: false, hits: true, ipv4_only: true },
        ToWorker::Commit { generation: 1 },
        ToWorker::Ping { number: 5 },
        ToWorker::Interface { index: 2, loopback: false, name: "eth0".into() },
        ToWorker::Interface { index: 2, loopback: true, name: "n".repeat(31) },
        ToWorker::Address { index: 2, address: "fe80::1".parse().unwrap() },
        ToWorker::InterfaceReady { index: 2 },
        ToWorker::InterfaceGone { index: 2 },
        ToWorker::Capture { capture: 1, on: CaptureOn::Any, ring: 4 << 20, slot: 512 },
        ToWorker::Capture { capture: 1, on: CaptureOn::Interface(9), ring: 0, slot: 0 },
        ToWorker::CaptureGone { capture: 1 },
        ToWorker::Store,
        ToWorker::Listen { stand_in: None },
        ToWorker::Listen { stand_in: std::num::NonZeroU16::new(u16::MAX) },
        ToWorker::Recall { query: 5, about: About::Id(KnockId([255; 8])) },
        ToWorker::Recall { query: 6, about: About::Address("192.0.2.7".parse().unwrap()) },
        ToWorker::Count { query: 7 },
        ToWorker::NextSequence { place: place(), sequence: None },
        ToWorker::NextSequence { place: place(), sequence: Some(Sequence::try_from(long).unwrap()) },
    ]
}

#[test]
fn every_message_comes_back_as_it_went() {
    for message in from_worker() {
        assert_eq!(FromWorker::decode(&message.encode()), Ok(message));
    }
    for message in to_worker() {
        assert_eq!(ToWorker::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn a_message_has_one_spelling() {
    for message in from_worker() {
        let bytes = message.encode();
        for length in 0..SIZE {
            assert_eq!(FromWorker::decode(&bytes[..length]), Err(Malformed), "{message:?} cut at {length}");
        }
        let mut tail = bytes;
        tail[SIZE - 1] = 1;
        assert_eq!(FromWorker::decode(&tail), Err(Malformed), "{message:?} with a tail");
    }
}

#[test]
fn what_decodes_encodes_to_the_same_bytes() {
    // A small deterministic walk over near misses of real messages; the fuzz target `request` goes further.
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..200_000_usize {
        let all = from_worker();
        let mut bytes = all[round % all.len()].encode();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let [at, value, ..] = seed.to_be_bytes();
        bytes[usize::from(at) % 40] = value;
        if let Ok(message) = FromWorker::decode(&bytes) {
            assert_eq!(message.encode(), bytes);
        }
    }
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    let message = ToWorker::Interface { index: 1, loopback: false, name: "n".repeat(32) };
    assert_eq!(ToWorker::decode(&message.encode()), Err(Malformed));
}

#[test]
fn a_page_that_does_not_exist_is_refused() {
    let mut bytes = FromWorker::Counted { query: 1, page: 0, values: [0; PAGE] }.encode();
    bytes[5] = PAGES;
    assert_eq!(FromWorker::decode(&bytes), Err(Malformed));
}
