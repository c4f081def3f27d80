//! Many devices: none of them costs another one anything, and none changes what becomes of another one's requests.

use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::work::{Work, counted};

/// Devices that never knock: any coordinate is a public key.
fn silent(count: u32) -> impl Iterator<Item = Device> {
    (0..count).map(|number| {
        let mut bytes = [0x5a; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Device::new(PublicKey::new(bytes).expect("a key"), format!("user{number}/laptop"))
    })
}

/// A server with this many devices more.
fn crowded(count: u32) -> World {
    world(|devices| devices.extend(silent(count)))
}

/// Each way a datagram can end, and what it takes.
fn endings(world: &mut World) -> Vec<(Result<Demand, Refusal>, Work)> {
    let stranger = SecretKey::new(&[77; 32]);
    let valid = world.seal(&alice(), open("ssh"), WALL);
    let mut junk = valid.clone();
    junk[0] ^= 1;
    let unknown = world.seal(&stranger, open("ssh"), WALL);
    let late = world.seal(&alice(), open("ssh"), WALL.before(Duration::from_secs(3600)));
    let again = world.seal(&alice(), Operation::Hello, WALL);
    let denied = world.seal(&bob(), open("attic"), WALL);
    world.seed = Psk::new([66; 32]);
    let forged = world.seal(&bob(), open("ssh"), WALL);
    let all = [&junk[..9], &junk, &valid, &valid, &unknown, &forged, &late, &again, &denied];
    all.map(|bytes| counted(|| world.handle(HERE, bytes))).into()
}

#[test]
fn the_work_is_the_same_however_many_devices_there_are() {
    let opened = Demand::Open { door: 4, address: HERE, seconds: 0 };
    let work = |agreements, lookups| Work { agreements, lookups };
    let clock = Refusal::Clock { offset: -3_600_000_000, used: true };
    let expected = vec![
        (Err(Refusal::Length), work(0, 0)),
        (Err(Refusal::Tag), work(0, 0)),
        (Ok(opened), work(2, 1)),
        (Err(Refusal::Repeated), work(0, 0)),
        (Err(Refusal::UnknownDevice), work(1, 1)),
        (Err(Refusal::Forged), work(2, 1)),
        // What she and the lock agree on is known by now.
        (Err(clock), work(1, 1)),
        (Err(Refusal::Replay), work(1, 1)),
        (Err(Refusal::Door), work(2, 1)),
    ];
    for count in [0, 1, 5000] {
        assert_eq!(endings(&mut crowded(count)), expected, "{count} devices more");
    }
}

/// How much longer the quickest eighth takes at the second server, each in its turn: whatever else the machine does meets both.
#[expect(clippy::disallowed_methods, reason = "measures how much longer one takes than the other")]
fn ratio(worlds: &mut [World; 2], rounds: u8, mut handle: impl FnMut(&mut World, u8)) -> f64 {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for (world, times) in worlds.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            handle(world, round);
            times.push(begin.elapsed());
        }
    }
    let [one, many] = times.map(|mut times| {
        times.sort();
        times[times.len() / 8].as_secs_f64()
    });
    many / one
}

#[test]
fn a_datagram_takes_as_long_with_100_000_devices_as_with_one() {
    let mut worlds = [crowded(0), crowded(100_000)];
    let lock = worlds[0].lock.clone();
    let valid: Vec<_> = (0..60_u8)
        .map(|number| {
            let time = WALL.after(Duration::from_millis(number.into()));
            let psk = device_psk(&Psk::new([7; 32]), 0, &alice().public());
            let request = Request { operation: open("ssh"), time };
            seal(&alice(), &psk, &lock, &request, 0, &[number; 32]).expect("sealed").datagram
        })
        .collect();
    let slower = ratio(&mut worlds, 60, |world, round| {
        world.at.now += Duration::from_secs(1);
        assert!(world.handle(HERE, &valid[usize::from(round)]).is_ok());
    });
    assert!(slower < 1.5, "a valid one: {slower}");
    let slower = ratio(&mut worlds, 60, |world, round| {
        for _ in 0..50 {
            assert_eq!(world.handle(HERE, &[round; 144]), Err(Refusal::Tag));
        }
    });
    assert!(slower < 1.5, "junk: {slower}");
}

/// What a device does: waits, then knocks with its clock so far off, or sends its last datagram again.
#[derive(Debug, Clone)]
struct Step {
    device: usize,
    wait: u64,
    offset: i64,
    again: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let offset = prop_oneof![4 => -900_i64..900, 1 => -70_000_i64..70_000];
    let step = (0..3_usize, 0..400_u64, offset, any::<bool>());
    let step = step.prop_map(|(device, wait, offset, again)| Step { device, wait, offset, again });
    proptest::collection::vec(step, 1..24)
}

/// What became of the requests of each device, at a server that sees those of these devices only.
fn outcomes(steps: &[Step], of: &[usize]) -> Vec<Vec<Result<Demand, Refusal>>> {
    let keys = [alice(), bob(), SecretKey::new(&[3; 32])];
    let mut world = world(|devices| devices.push(device(&SecretKey::new(&[3; 32]), "carol")));
    let mut last: [Option<Vec<u8>>; 3] = [const { None }; 3];
    let mut seen = vec![Vec::new(); 3];
    for Step { device, wait, offset, again } in steps {
        world.at.now += Duration::from_millis(*wait);
        world.at.wall = world.at.wall.after(Duration::from_millis(*wait));
        if !of.contains(device) {
            continue;
        }
        let time = Timestamp(world.at.wall.0.saturating_add_signed(offset * 1000));
        let bytes = match last[*device].take().filter(|_| *again) {
            Some(bytes) => bytes,
            None => world.seal(&keys[*device], Operation::Hello, time),
        };
        seen[*device].push(world.handle(HERE, &bytes));
        last[*device] = Some(bytes);
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn no_device_changes_what_becomes_of_another(steps in steps()) {
        let together = outcomes(&steps, &[0, 1, 2]);
        for (device, together) in together.iter().enumerate() {
            prop_assert_eq!(&outcomes(&steps, &[device])[device], together, "device {}", device);
        }
    }
}
