//! Messages between monitor and worker: no bytes bring a decoder down, every message has one spelling, and what is not
//! a message's length is none (spec/ipc.md).

use aldabad::ipc::{FromWorker, SIZE, ToWorker};

/// Checks one input.
///
/// # Panics
/// If a decoder does, or a message encodes to other bytes.
pub fn run(data: &[u8]) {
    check(data);
    // Most inputs are shorter than a message: filled up with zeros they can be one.
    if data.len() < SIZE {
        let mut whole = [0; SIZE];
        whole[..data.len()].copy_from_slice(data);
        check(&whole);
    }
}

fn check(data: &[u8]) {
    if let Ok(message) = FromWorker::decode(data) {
        assert_eq!(message.encode().as_slice(), data, "{message:?}");
    }
    if let Ok(message) = ToWorker::decode(data) {
        assert_eq!(message.encode().as_slice(), data, "{message:?}");
    }
    if data.len() != SIZE {
        assert!(FromWorker::decode(data).is_err() && ToWorker::decode(data).is_err());
    }
}
