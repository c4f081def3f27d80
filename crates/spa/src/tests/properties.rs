//! What holds for every key, request and change of a byte (spec/spa.md, section 12).

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::prelude::*;

use super::{outcome, served, ssh};
use crate::envelope::{Fields, tags};
use crate::{Audience, DoorTag, Locks, Operation, Psk, Request, SecretKey, Timestamp, seal};

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sealed_opens(
        server in any::<[u8; 32]>(), device in any::<[u8; 32]>(), psk in any::<[u8; 32]>(), gate in any::<[u8; 32]>(),
        random in any::<[u8; 32]>(), padding in 0_usize..=1088, seconds in any::<u16>(), audience in "[ -~]{0,64}",
        address in any::<std::net::Ipv4Addr>().prop_map(IpAddr::V4), time in any::<u64>(),
    ) {
        let device = SecretKey::new(&device);
        let psk = Psk::new(psk);
        let lock = SecretKey::new(&server).lock(Psk::new(gate), Audience::new(&audience).expect("an audience"));
        let locks = Locks::new(vec![served(server, gate, &audience)]).expect("locks");
        let door = DoorTag::of("web").expect("a tag");
        let others = [Operation::Close { door }, Operation::Hello].map(|operation| Request { operation, time: Timestamp(time) });
        for request in [ssh(seconds, None), ssh(seconds, Some(address)), others[0], others[1]] {
            let sealed = seal(&device, &psk, &lock, &request, padding, &random).expect("sealed");
            prop_assert_eq!(sealed.datagram.len(), 144 + padding);
            prop_assert_eq!(outcome(&locks, &device, &psk, &sealed.datagram), Ok(request));
        }
    }

    #[test]
    fn the_ephemeral_key_differs_when_anything_does(random in any::<[u8; 32]>(), time in any::<u64>(), padding in 0_usize..50) {
        let device = SecretKey::new(&[1; 32]);
        let lock = |audience| SecretKey::new(&[2; 32]).lock(Psk::NONE, Audience::new(audience).expect("an audience"));
        let seal = |lock, time, padding| {
            let mut request = ssh(1, None);
            request.time = Timestamp(time);
            seal(&device, &Psk::NONE, lock, &request, padding, &random).expect("sealed").datagram
        };
        let (here, there) = (lock("here"), lock("there"));
        let head = |datagram: &[u8]| {
            let fields = Fields::split(datagram).expect("a datagram");
            fields.unmask(&if fields.is_tagged_by(&here.gate_keys()).is_some() { here.gate_keys() } else { there.gate_keys() })
        };
        let first = seal(&here, time, padding);
        prop_assert_eq!(&first, &seal(&here, time, padding));
        for other in [seal(&there, time, padding), seal(&here, time ^ 1, padding), seal(&here, time, padding + 1)] {
            prop_assert_ne!(head(&first), head(&other));
        }
    }
}

/// The ephemeral key of a datagram.
fn ephemeral(gate: &crate::GateKeys, datagram: &[u8]) -> [u8; 32] {
    Fields::split(datagram).expect("a datagram").unmask(gate)
}

/// Two copies of one machine: the same key, a generator that always gives the same, clocks that agree and do not.
#[test]
fn clones_with_a_broken_generator_never_seal_two_things_under_one_ephemeral_key() {
    let device = SecretKey::new(&[1; 32]);
    let lock = SecretKey::new(&[2; 32]).lock(Psk::new([5; 32]), Audience::default());
    let gate = lock.gate_keys();
    let open = |door, seconds, bound| {
        let door = DoorTag::of(door).expect("a tag");
        Operation::Open { door, seconds, bound }
    };
    let (here, there) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let operations = [
        open("ssh", 0, None),
        open("ssh", 1, None),
        open("web", 0, None),
        open("ssh", 0, Some(IpAddr::from(here))),
        open("ssh", 0, Some(IpAddr::from(there))),
        Operation::Close { door: DoorTag::of("ssh").expect("a tag") },
        Operation::Hello,
    ];
    let mut sealed = BTreeMap::new();
    for _clone in 0..2 {
        for (time, operation, padding) in (0..20)
            .flat_map(|time| operations.map(|operation| [0, 1, 56].map(|p| (time, operation, p))))
            .flatten()
        {
            let request = Request { operation, time: Timestamp(1_800_000_000_000_000 + time) };
            let datagram =
                seal(&device, &Psk::NONE, &lock, &request, padding, &[7; 32]).expect("sealed").datagram;
            let earlier = sealed.insert(ephemeral(&gate, &datagram), datagram.clone());
            assert!(
                earlier.is_none_or(|earlier| earlier == datagram),
                "{request:?}, {padding} bytes of padding"
            );
        }
    }
    assert_eq!(sealed.len(), 20 * 7 * 3);
}

#[test]
fn no_byte_can_be_changed() {
    let (device, psk) = (SecretKey::new(&[1; 32]), Psk::new([4; 32]));
    let lock = SecretKey::new(&[3; 32]).lock(Psk::new([5; 32]), Audience::default());
    let gate = lock.gate_keys();
    let locks = Locks::new(vec![served([3; 32], [5; 32], "")]).expect("locks");
    let sealed = seal(&device, &psk, &lock, &ssh(5, None), 3, &[6; 32]).expect("sealed").datagram;
    assert!(outcome(&locks, &device, &psk, &sealed).is_ok());
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1 << (at % 8);
        let refused = outcome(&locks, &device, &psk, &changed).expect_err("changed");
        assert_eq!(refused.refusal.step(), 2, "byte {at}");
        // As somebody would who knows the gate.
        let end = changed.len() - 16;
        if at < end {
            let (tag, _) = tags(&gate, &changed[..end]);
            changed[end..].copy_from_slice(&tag);
            let refused = outcome(&locks, &device, &psk, &changed).expect_err("changed");
            assert!((6..=9).contains(&refused.refusal.step()), "byte {at}: {:?}", refused.refusal);
        }
    }
}
