//! Several locks side by side, and one datagram for each message and lock (spec/spa.md, sections 4 and 6).

use proptest::prelude::*;

use super::{outcome, served, ssh};
use crate::envelope::{Fields, masked, tags};
use crate::lock::GateKeys;
use crate::{Audience, LockKeys, Locks, Psk, Refusal, SecretKey, Timestamp, seal};

const MINUTE: u64 = 60_000_000;
/// All dates lie around it.
const NOON: u64 = 30_000_000 * MINUTE;

/// The envelope of `lock` around a message.
fn wrapped(gate: &GateKeys, ephemeral: &[u8; 32], rest: &[u8]) -> Vec<u8> {
    let head = masked(gate, ephemeral, &[rest]);
    let tagged = [head.as_slice(), rest].concat();
    let (tag, _) = tags(gate, &tagged);
    [tagged.as_slice(), &tag].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_message_has_one_datagram_under_its_lock_and_none_under_another(
        server in any::<[u8; 32]>(), psk in any::<[u8; 32]>(), gate in any::<[u8; 32]>(), random in any::<[u8; 32]>(),
        padding in 0_usize..100, bit in prop_oneof![0_usize..256, Just(255)],
    ) {
        let (device, psk) = (SecretKey::new(&[1; 32]), Psk::new(psk));
        let lock = |audience| SecretKey::new(&server).lock(Psk::new(gate), Audience::new(audience).expect("an audience"));
        let (here, there) = (lock("here").gate_keys(), lock("there").gate_keys());
        let locks = Locks::new(vec![served(server, gate, "here"), served(server, gate, "there")]).expect("locks");
        let sealed = seal(&device, &psk, &lock("here"), &ssh(5, None), padding, &random).expect("sealed").datagram;
        let ephemeral = Fields::split(&sealed).expect("a datagram").unmask(&here);
        let rest = &sealed[32..sealed.len() - 16];
        prop_assert_eq!(&wrapped(&here, &ephemeral, rest), &sealed);
        // Bit 255 leaves the point what it is.
        let mut other = ephemeral;
        other[bit / 8] ^= 1 << (bit % 8);
        for changed in [wrapped(&here, &other, rest), wrapped(&there, &ephemeral, rest)] {
            let refused = outcome(&locks, &device, &psk, &changed).expect_err("another datagram");
            prop_assert!(matches!(refused.refusal, Refusal::Ephemeral | Refusal::SealedKey), "{:?}", refused.refusal);
        }
    }

    #[test]
    fn each_datagram_is_handled_under_its_own_lock_while_that_is_live(
        dates in proptest::collection::vec(proptest::option::of((0_u64..60, 0_u64..60)), 1..=8), which in any::<proptest::sample::Index>(),
        edge in 0_u64..3, now in 0_u64..120, off in 0_u64..3,
    ) {
        let keys = |number: usize| [u8::try_from(number + 1).expect("few"); 32];
        let minute = |minute: u64| Timestamp(NOON + minute * MINUTE);
        let locks = dates.iter().enumerate().map(|(number, dates)| LockKeys {
            not_before: dates.map(|(from, _)| minute(from)),
            not_after: dates.map(|(from, span)| minute(from + span)),
            // Two servers, so that some locks differ in the gate alone.
            ..served(keys(number % 2), keys(number), "")
        });
        let locks = Locks::new(locks.collect()).expect("locks");
        let number = which.index(dates.len());
        let (device, psk) = (SecretKey::new(&[100; 32]), Psk::NONE);
        let lock = SecretKey::new(&keys(number % 2)).lock(Psk::new(keys(number)), Audience::default());
        let sealed = seal(&device, &psk, &lock, &ssh(5, None), 0, &[9; 32]).expect("sealed").datagram;
        // Ten minutes before its beginning or after its end, or any minute; and a microsecond before and after.
        let now = match (dates[number], edge) {
            (Some((from, _)), 0) => from + 20,
            (Some((from, span)), 1) => from + span + 40,
            _ => now,
        };
        let now = Timestamp(NOON - 30 * MINUTE + now * MINUTE + off - 1);
        let live = dates[number].is_none_or(|(from, span)| {
            (minute(from).0 - 10 * MINUTE..=minute(from + span).0 + 10 * MINUTE).contains(&now.0)
        });
        match locks.verify(now, &sealed) {
            Ok(datagram) => {
                prop_assert!(live);
                prop_assert_eq!(datagram.lock(), number);
                prop_assert!(datagram.open(|_| Ok(((), psk.clone()))).is_ok());
            }
            Err(refusal) => prop_assert_eq!((refusal, live), (Refusal::Tag, false)),
        }
    }
}
