//! Sequences of requests, restarts, losses of the store, failing commits and clock steps, over few moments, so that they
//! meet: no time of a device is admitted twice, its floor never goes down, no record has more than sixteen times, and what
//! the server says is what sets say. spec/spa.md, section 9.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use aldaba_spa::{Timestamp, Window};

use crate::input::Input;
use crate::spa::model::{Inside, Made, Model};
use crate::spa::world::{self, BASE, Disk, World};

/// More operations find nothing that these do not.
const OPERATIONS: usize = 150;
/// The distance of two moments: more than sixteen of them fit into the slack.
const UNIT: Duration = Duration::from_millis(20);
/// A second to both sides.
const WINDOW: Window = Window {
    past: Duration::from_secs(1),
    future: Duration::from_secs(1),
    slack: Duration::from_millis(400),
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));

thread_local! {
    /// Sealing is most of the work, and there are few datagrams.
    static SEALED: RefCell<HashMap<[u8; 3], Made>> = RefCell::default();
}

/// Runs the operations these bytes stand for.
///
/// # Panics
/// If server and model differ, or something is admitted twice.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (mut world, mut model) = (World::new(WINDOW), Model::new(WINDOW));
    world.at.wall = BASE.after(UNIT * 64);
    for _ in 0..OPERATIONS {
        if input.is_empty() {
            break;
        }
        match input.byte() {
            0xc0..=0xcf => {
                world.at.now += UNIT;
                world.at.wall = world.at.wall.after(UNIT);
            }
            // Only what the rate is reckoned by.
            0xd0..=0xd7 => world.at.now += Duration::from_secs(10),
            0xd8..=0xdf => world.at.wall = BASE.after(UNIT * u32::from(input.byte())),
            0xe0..=0xef => {
                world.restart();
                model.restart();
            }
            0xf0..=0xf3 => {
                world.at.wall = model.lose_the_store(world.at);
                world.lose_the_store();
            }
            0xf4..=0xff => {
                let disk = input.choose(&[Disk::Keeps, Disk::KeepsAndFails, Disk::Fails]);
                world.set_disk(disk);
                model.disk = disk;
            }
            // The first bit chooses the device, the second one of two datagrams with the same time.
            kind => request(&mut world, &mut model, [kind & 1, kind >> 1 & 1, input.byte()]),
        }
    }
}

fn request(world: &mut World, model: &mut Model, which: [u8; 3]) {
    let made = SEALED.with_borrow_mut(|sealed| sealed.entry(which).or_insert_with(|| seal(which)).clone());
    let said = world.handle(HERE, &made.bytes);
    model.compare(world.at, HERE, &made, &said);
}

/// A request of one of two devices at one of 256 moments.
fn seal([device, other, moment]: [u8; 3]) -> Made {
    // The first may open every door, the fourth too.
    let device = usize::from(device) * 3;
    let Timestamp(time) = BASE.after(UNIT * u32::from(moment));
    let mut plaintext = [0; 33];
    plaintext[0] = 1;
    plaintext[4..8].copy_from_slice(world::tag("ssh").as_bytes());
    plaintext[8..16].copy_from_slice(&time.to_be_bytes());
    let plaintext = plaintext[..32 + usize::from(other)].to_vec();
    let bytes = world::with_gate(0, |gate| {
        let client = world::client(device);
        gate.wrap(&gate.message(&client, &plaintext, &gate.hedged(&client, &plaintext, &[1; 32])))
    });
    Made { bytes, lock: Some(0), inside: Inside::Plaintext(device, plaintext) }
}
