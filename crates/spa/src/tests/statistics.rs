//! Datagrams beside random bytes: what somebody without the gate's key can count (spec/spa.md, section 6). The input is
//! fixed, so a test that passes always does; the bounds are six standard deviations.

use curve25519_dalek::MontgomeryPoint;

use super::ssh;
use crate::envelope::Fields;
use crate::{Audience, GateKeys, Psk, SecretKey, seal};

/// Without optimisation they take long.
const DATAGRAMS: u32 = if cfg!(debug_assertions) { 1000 } else { 10_000 };

/// Datagrams of one device that differ in their random bytes only, and the gate's keys.
fn datagrams() -> (Vec<Vec<u8>>, GateKeys) {
    let device = SecretKey::new(&[1; 32]);
    let lock = SecretKey::new(&[3; 32]).lock(Psk::new([5; 32]), Audience::default());
    let sealed = (0..DATAGRAMS).map(|number| {
        let mut random = [0; 32];
        random[..4].copy_from_slice(&number.to_be_bytes());
        seal(&device, &Psk::NONE, &lock, &ssh(5, None), 0, &random).expect("sealed").datagram
    });
    (sealed.collect(), lock.gate_keys())
}

/// Whether as many of `of` fair coins show heads as can be expected.
fn is_fair(heads: u32, of: u32) -> bool {
    f64::from(heads.abs_diff(of / 2)) < 6.0 * f64::from(of).sqrt() / 2.0
}

fn bits(bytes: &[u8]) -> impl Iterator<Item = bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
}

fn count(items: impl Iterator<Item = bool>) -> u32 {
    items.map(u32::from).sum()
}

/// Whether 32 bytes are a coordinate of the curve, and not of its twist; half of all are.
fn is_on_curve(head: [u8; 32]) -> bool {
    MontgomeryPoint(head).to_edwards(0).is_some()
}

#[test]
fn it_looks_like_noise() {
    let (datagrams, _) = datagrams();
    let bit_count = u32::try_from(datagrams[0].len() * 8).expect("few");
    // Each bit over all of them; bit 255, always 0 in a bare key, is one.
    for bit in 0..bit_count as usize {
        let ones = count(datagrams.iter().map(|datagram| datagram[bit / 8] >> (bit % 8) & 1 == 1));
        assert!(is_fair(ones, DATAGRAMS), "bit {bit}: {ones}");
    }
    // Each bit beside the next one, and each datagram beside the next one.
    let serial = |datagram: &[u8]| count(bits(datagram).zip(bits(datagram).skip(1)).map(|(a, b)| a == b));
    let same: u32 = datagrams.iter().map(|datagram| serial(datagram)).sum();
    assert!(is_fair(same, DATAGRAMS * (bit_count - 1)), "{same} of neighbours are the same");
    let pairs = datagrams.iter().zip(datagrams.iter().skip(1));
    let same: u32 = pairs.map(|(a, b)| count(bits(a).zip(bits(b)).map(|(a, b)| a == b))).sum();
    assert!(is_fair(same, (DATAGRAMS - 1) * bit_count), "{same} are the same as in the one before");
}

#[test]
fn every_byte_is_as_frequent_as_any_other() {
    let (datagrams, _) = datagrams();
    let mut found = [0_u32; 256];
    datagrams.iter().flatten().for_each(|byte| found[usize::from(*byte)] += 1);
    let expected = f64::from(DATAGRAMS) * 144.0 / 256.0;
    let chi: f64 = found.iter().map(|found| (f64::from(*found) - expected).powi(2) / expected).sum();
    // 255 degrees of freedom: the mean is 255, the standard deviation the root of 510.
    assert!((chi - 255.0).abs() < 6.0 * 510_f64.sqrt(), "{chi}");
}

#[test]
fn the_ephemeral_key_is_not_to_be_seen() {
    let (datagrams, gate) = datagrams();
    let fields = || datagrams.iter().map(|datagram| Fields::split(datagram).expect("a datagram"));
    let on_curve = count(fields().map(|fields| is_on_curve(*fields.head)));
    assert!(is_fair(on_curve, DATAGRAMS), "{on_curve} are coordinates of the curve");
    let high = count(fields().map(|fields| fields.head[31] >> 7 == 1));
    assert!(is_fair(high, DATAGRAMS), "bit 255: {high}");
    // What the two would see if it were not masked.
    assert!(fields().all(|fields| is_on_curve(fields.unmask(&gate)) && fields.unmask(&gate)[31] >> 7 == 0));
}
