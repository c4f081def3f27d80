//! What a stranger's datagram costs: a look at its tag, and neither a key agreement nor memory.

use super::*;
use crate::work::{Work, counted};

/// Nobody asks it.
struct Untouched;

impl Store for Untouched {
    fn load(&mut self, _: &PublicKey) -> Result<Option<Record>, StoreFailed> {
        panic!("a record was read");
    }

    fn commit(&mut self, _: &PublicKey, _: &Record) -> Result<(), StoreFailed> {
        panic!("a record was written");
    }
}

/// Bytes without a pattern (xorshift64*).
fn noise() -> impl FnMut() -> u8 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes()[0]
    }
}

#[test]
fn noise_costs_neither_a_key_agreement_nor_memory() {
    let mut world = world(|_| ());
    let mut noise = noise();
    for length in 0..=2000 {
        let bytes: Vec<u8> = (0..length).map(|_| noise()).collect();
        let mut told = None;
        let cost = allocation_counter::measure(|| {
            told = Some(counted(|| world.server.handle_datagram(world.at, HERE, &bytes, &mut Untouched)));
        });
        let expected = if (144..=1232).contains(&length) { Refusal::Tag } else { Refusal::Length };
        let refused = Err(Rejected { refusal: expected, id: None, lock: None, device: None });
        assert_eq!(told, Some((refused, Work::default())), "{length} bytes");
        assert_eq!(cost.count_total, 0, "{length} bytes");
    }
}

#[test]
fn a_repeated_datagram_costs_none_either_and_a_new_one_two() {
    let mut world = world(|_| ());
    let bytes = world.seal(&alice(), open("ssh"), WALL);
    let (new, work) = counted(|| world.handle(HERE, &bytes));
    assert!(new.is_ok());
    assert_eq!(work.agreements, 2);
    let cost = allocation_counter::measure(|| {
        let again = counted(|| world.handle(HERE, &bytes));
        assert_eq!(again, (Err(Refusal::Repeated), Work::default()));
    });
    assert_eq!(cost.count_total, 0);
}

#[test]
fn what_lock_and_device_agree_on_is_kept_until_the_policy_changes() {
    let mut world = world(|_| ());
    let agreements = |world: &mut World, key: &SecretKey| {
        world.at.wall = world.at.wall.after(Duration::from_millis(1));
        let bytes = world.seal(key, Operation::Hello, world.at.wall);
        let (handled, work) = counted(|| world.handle(HERE, &bytes));
        (handled.is_ok(), work.agreements)
    };
    assert_eq!(agreements(&mut world, &alice()), (true, 2));
    assert_eq!(agreements(&mut world, &alice()), (true, 1));
    assert_eq!(agreements(&mut world, &bob()), (true, 2), "each has its own");
    assert_eq!(agreements(&mut world, &alice()), (true, 1));
    world.server.reconfigure(served(vec![device(&alice(), "alice"), device(&bob(), "bob")]), world.at.now);
    assert_eq!(agreements(&mut world, &alice()), (true, 2));
    // Whoever only names a device is taken for it no more than before, and does not make the server remember anything.
    world.seed = Psk::new([66; 32]);
    assert_eq!(agreements(&mut world, &bob()), (false, 2));
    assert_eq!(agreements(&mut world, &bob()), (false, 2));
    assert_eq!(agreements(&mut world, &alice()), (false, 1));
}

#[test]
fn each_lock_has_its_own_agreement_with_a_device() {
    let other = SecretKey::new(&[19; 32]);
    let keys = |secret: &SecretKey| LockKeys {
        secret: secret.clone(),
        gate_psk: Psk::new([8; 32]),
        audience: Audience::default(),
        not_before: None,
        not_after: None,
    };
    let mut world = world(|_| ());
    let both = Locks::new(vec![keys(&SecretKey::new(&[9; 32])), keys(&other)]).expect("two locks");
    let served = Served { locks: both, ..served(vec![device(&alice(), "alice")]) };
    world.server.reconfigure(served, world.at.now);
    let locks = [world.lock.clone(), other.lock(Psk::new([8; 32]), Audience::default())];
    for lock in [0, 1, 1, 0, 1] {
        world.lock = locks[lock].clone();
        assert_eq!(world.knock(&alice(), Operation::Hello), Ok(Demand::Hello));
    }
}
