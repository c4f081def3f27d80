//! The protocol against itself, against the vectors and against another implementation of Noise.

mod differential;
mod keys;
mod locks;
mod properties;
mod statistics;
mod vectors;

use std::net::{IpAddr, Ipv4Addr};

use crate::open::LockKeys;
use crate::seal::seal_with;
use crate::{Audience, DoorTag, Locks, Operation, Psk, Refusal, Refused, Request, SecretKey, Timestamp};

fn hex(text: &str) -> Vec<u8> {
    let text: String = text.split_whitespace().collect();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

fn ssh(seconds: u16, bound: Option<IpAddr>) -> Request {
    let door = DoorTag::of("ssh").expect("a tag");
    Request { operation: Operation::Open { door, seconds, bound }, time: Timestamp(1_800_000_000_000_000) }
}

fn served(secret: [u8; 32], gate_psk: [u8; 32], audience: &str) -> LockKeys {
    LockKeys {
        secret: SecretKey::new(&secret),
        gate_psk: Psk::new(gate_psk),
        audience: Audience::new(audience).expect("an audience"),
        not_before: None,
        not_after: None,
    }
}

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex(text).try_into().expect("as many bytes")
}

#[test]
fn the_first_vector() {
    let device = SecretKey::new(&[0x22; 32]);
    let psk = Psk::new([0x44; 32]);
    let lock = SecretKey::new(&[0x33; 32]).lock(Psk::NONE, Audience::default());
    let request = ssh(30, Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))));
    let sealed =
        seal_with(&device, &psk, &lock, &lock.gate_keys(), &request.encode(), &SecretKey::new(&[0x11; 32]))
            .expect("sealed");
    let expected = "906cb00465ca1d076b695975c3c606dc7ba0689df66d40b8022658a9749d4053
        7b8b2a320eb1aca23fcf5b654da3b2d68e50f5f8309ab5e616deefcbf5894717
        cc46fc6730452c4c3d47f5eec0c28f165a55fec93ffe4f43866ddaf3190f04dd
        7e10de8ebb41ba02d1903f84bd7fcfe387aee76fcf8793bfbc9b9ffd79b28c52
        bf3e24f636c8d83e08da908110c4fd98";
    assert_eq!(sealed.datagram, hex(expected));
    assert_eq!(sealed.id.to_string(), "c42d7fb423fb8865");
    let locks = Locks::new(vec![served([0x33; 32], [0; 32], "")]).expect("locks");
    let datagram = locks.verify(request.time, &sealed.datagram).expect("its tag");
    assert_eq!(datagram.id(), sealed.id);
    let authentic = datagram.open(|key| {
        assert_eq!(key, device.public().as_bytes());
        Ok(("alice", psk.clone()))
    });
    assert_eq!(authentic.map(|authentic| authentic.request), Ok(request));
}

#[test]
fn a_lock_is_served_from_ten_minutes_before_to_ten_minutes_after_its_dates() {
    const MINUTE: u64 = 60_000_000;
    let (from, until) = (1000 * MINUTE, 2000 * MINUTE);
    let mut lock = served([0x33; 32], [5; 32], "");
    lock.not_before = Some(Timestamp(from));
    lock.not_after = Some(Timestamp(until));
    let locks = Locks::new(vec![lock]).expect("locks");
    let client = SecretKey::new(&[0x33; 32]).lock(Psk::new([5; 32]), Audience::default());
    let sealed = crate::seal(&SecretKey::new(&[1; 32]), &Psk::NONE, &client, &ssh(0, None), 0, &[9; 32])
        .expect("sealed");
    let verified = |at| locks.verify(Timestamp(at), &sealed.datagram).map(|datagram| datagram.lock());
    for at in [from - 10 * MINUTE, from, until, until + 10 * MINUTE] {
        assert_eq!(verified(at), Ok(0), "{at}");
    }
    for at in [0, from - 10 * MINUTE - 1, until + 10 * MINUTE + 1, u64::MAX] {
        assert_eq!(verified(at), Err(Refusal::Tag), "{at}");
    }
}

#[test]
fn locks_that_nothing_tells_apart_are_not_served_together() {
    let same = || served([1; 32], [2; 32], "a");
    assert_eq!(Locks::new(vec![same(), same()]).err(), Some(crate::LocksError::Same));
    assert!(Locks::new(vec![same(), served([1; 32], [2; 32], "b"), served([1; 32], [3; 32], "a")]).is_ok());
    let many = (0..9).map(|number| served([number; 32], [2; 32], "")).collect();
    assert_eq!(Locks::new(many).err(), Some(crate::LocksError::TooMany));
}

/// What becomes of bytes at a server with one lock and one device.
fn outcome(locks: &Locks, device: &SecretKey, psk: &Psk, bytes: &[u8]) -> Result<Request, Refused<()>> {
    let datagram = locks.verify(Timestamp(1), bytes)?;
    let known = |key: &[u8; 32]| {
        if key == device.public().as_bytes() { Ok(((), psk.clone())) } else { Err(Refusal::UnknownDevice) }
    };
    datagram.open(known).map(|authentic| authentic.request)
}
