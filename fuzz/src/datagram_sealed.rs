//! Datagrams that got past the gate: fuzzed cores, paddings, times and addresses, sealed rightly by a second client under
//! the right lock, or damaged by somebody who knows the gate. The server says what a plain model of section 8 of
//! spec/spa.md says, step for step, through restarts, losses of its store, failing disks and clocks that jump.

use std::net::IpAddr;
use std::time::Duration;

use aldaba_spa::{Timestamp, Window};

use crate::input::Input;
use crate::spa::client::{Device, HEAD};
use crate::spa::model::{Inside, Made, Model};
use crate::spa::world::{self, DEVICES, Disk, LOCKS, World};

/// More operations find nothing that these do not.
const OPERATIONS: usize = 40;

/// Runs the operations these bytes stand for.
///
/// # Panics
/// If server and model differ.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let window = Window::default();
    let (mut world, mut model) = (World::new(window), Model::new(window));
    let mut sent: Vec<Made> = Vec::new();
    for number in 0..OPERATIONS {
        if input.is_empty() {
            break;
        }
        match input.byte() {
            0xa0..=0xb7 if !sent.is_empty() => {
                let again = sent[input.below(sent.len())].clone();
                hand_over(&mut world, &mut model, &mut input, &again);
            }
            0xb8..=0xc7 => {
                let passed = Duration::from_millis(250) * u32::from(input.byte());
                world.at.now += passed;
                world.at.wall = world.at.wall.after(passed);
            }
            0xc8..=0xcf => world.at.wall = Timestamp(offset(&mut input, world.at.wall)),
            0xd0..=0xd7 => {
                world.restart();
                model.restart();
            }
            0xd8..=0xdf => {
                world.at.wall = model.lose_the_store(world.at);
                world.lose_the_store();
            }
            0xe0..=0xe7 => {
                let disk = input.choose(&[Disk::Keeps, Disk::KeepsAndFails, Disk::Fails]);
                world.set_disk(disk);
                model.disk = disk;
            }
            _ => {
                let made = make(&mut input, world.at.wall, number);
                hand_over(&mut world, &mut model, &mut input, &made);
                sent.push(made);
            }
        }
    }
}

fn hand_over(world: &mut World, model: &mut Model, input: &mut Input<'_>, made: &Made) {
    let source = address(input);
    let said = world.handle(source, &made.bytes);
    model.compare(world.at, source, made, &said);
}

/// A datagram, and what is wrong with it.
fn make(input: &mut Input<'_>, wall: Timestamp, number: usize) -> Made {
    let (device, lock) = (input.below(DEVICES.len()), input.below(LOCKS.len()));
    let flaw = input.byte();
    let plaintext = plaintext(input, wall);
    let ephemeral = [u8::try_from(number).unwrap_or(0) | 0x40; 32];
    let Device { secret, mut psk } = world::client(device);
    let mut inside = Inside::Plaintext(device, plaintext.clone());
    if flaw == 0xf0 {
        psk[usize::from(input.byte() & 31)] ^= 1;
        inside = Inside::Forged(device);
    }
    let mut message =
        world::with_gate(lock, |gate| gate.message(&Device { secret, psk }, &plaintext, &ephemeral));
    let mut envelope = lock;
    match flaw {
        0xf1 => {
            message[..32].copy_from_slice(&input.choose(&SMALL));
            inside = Inside::SmallEphemeral;
        }
        // The same point, written in another way.
        0xf2 => {
            message[31] ^= 0x80;
            inside = Inside::Junk;
        }
        0xf3 => {
            message[32 + input.below(HEAD - 32)] ^= 1 << input.below(8);
            inside = Inside::Junk;
        }
        0xf4 => {
            let end = message.len() - HEAD;
            message[HEAD + input.below(end)] ^= 1 << input.below(8);
            inside = Inside::Forged(device);
        }
        // In the envelope of another lock.
        0xf5 => {
            envelope = (lock + 1) % LOCKS.len();
            inside = Inside::Junk;
        }
        _ => {}
    }
    let mut made =
        Made { bytes: world::with_gate(envelope, |gate| gate.wrap(&message)), lock: Some(envelope), inside };
    match flaw {
        0xf6 => {
            let end = made.bytes.len();
            made.bytes[input.below(end)] ^= 1 << input.below(8);
            made.lock = None;
        }
        0xf7 => {
            made.bytes.truncate(made.bytes.len() - 1 - input.below(16));
            made.lock = None;
        }
        0xf8 => {
            made.bytes.push(input.byte());
            made.lock = None;
        }
        _ => {}
    }
    made
}

/// The u-coordinates of small order below 2^255 - 19, and two that are written above it.
const SMALL: [[u8; 32]; 7] = [
    [0; 32],
    coordinate(1, 0, 0),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda,
        0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04,
        0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    coordinate(0xec, 0xff, 0x7f),
    coordinate(0xed, 0xff, 0x7f),
    coordinate(0xee, 0xff, 0x7f),
];

const fn coordinate(first: u8, between: u8, last: u8) -> [u8; 32] {
    let mut bytes = [between; 32];
    bytes[0] = first;
    bytes[31] = last;
    bytes
}

/// A core that means something, with some bytes of it changed, and its padding.
fn plaintext(input: &mut Input<'_>, wall: Timestamp) -> Vec<u8> {
    let shape = input.byte();
    let op = 1 + shape % 3;
    let mut core = [0; 32];
    core[0] = op;
    if op != 3 {
        let door = if shape & 4 == 0 { "ssh" } else { "web" };
        core[4..8].copy_from_slice(world::tag(door).as_bytes());
    }
    if op == 1 {
        core[2..4].copy_from_slice(&input.take::<2>());
        if shape & 8 != 0 {
            core[1] = 1;
            let wide = match address(input) {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            core[16..].copy_from_slice(&wide.octets());
        }
    }
    core[8..16].copy_from_slice(&offset(input, wall).to_be_bytes());
    let mut plaintext = core.to_vec();
    if shape & 0x10 != 0 {
        plaintext.resize(32 + usize::from(u16::from_be_bytes(input.take()) % 1089), 0);
    }
    if shape & 0x60 == 0x60 {
        let end = plaintext.len();
        plaintext[usize::from(u16::from_be_bytes(input.take())) % end] = input.byte();
    }
    plaintext
}

/// A time some microseconds, milliseconds or seconds away.
fn offset(input: &mut Input<'_>, from: Timestamp) -> u64 {
    let units = input.choose(&[1, 1, 1000, 1_000_000, 3_600_000_000_i64, i64::MAX]);
    let away = i64::from(i16::from_be_bytes(input.take())).saturating_mul(units);
    from.0.saturating_add_signed(away)
}

/// One of those that mean something, or any.
fn address(input: &mut Input<'_>) -> IpAddr {
    let known = [
        "203.0.113.7",
        "203.0.113.7",
        "203.0.113.7",
        "198.51.100.9",
        "::ffff:203.0.113.7",
        "::ffff:198.51.100.9",
        "2001:db8::7",
        "127.0.0.1",
        "::1",
        "fe80::1",
        "::cb00:7107",
        "0.0.0.0",
        "255.255.255.255",
    ];
    match input.below(known.len() + 2) {
        0 => IpAddr::from(input.take::<4>()),
        1 => IpAddr::from(input.take::<16>()),
        other => known[other - 2].parse().expect("an address"),
    }
}
