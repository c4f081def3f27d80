//! How the cost of one event grows with what there is more of. It should not.

use std::hint::black_box;
use std::time::Duration;

use aldaba_bench::{GROUP, Gateway, Leases, Track};
use aldaba_knock::Mode;

use crate::machine::cpu_time;

/// How many there are.
pub(crate) const SIZES: [u32; 4] = [1, 100, 1_000, 100_000];

/// Nanoseconds for each of [`SIZES`].
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) nanoseconds: [f64; 4],
}

/// All curves; each point takes a fraction of a second.
pub(crate) fn all() -> Vec<Curve> {
    vec![
        curve("datagram of noise, by devices", |size| {
            let mut gate = Gateway::junk(size, 1 << 10);
            time(|| gate.frame())
        }),
        curve("a device's lease opened and closed, by leases", |size| {
            let mut leases = Leases::new(size);
            time(|| leases.open_and_close_by_device())
        }),
        curve("lease renewed, by leases held", |size| {
            let mut leases = Leases::new(size);
            time(|| leases.renew())
        }),
        curve("spoofed SYN to a knock port, by doors", |size| {
            let mut gate = Gateway::flood(size);
            time(|| gate.group()) / GROUP as f64
        }),
        curve("whole knock of one source, by sources in the table", |size| {
            let mut track = Track::new(1, Mode::Compatible, 1 << 18);
            for _ in 0..size {
                track.newcomer();
            }
            time(|| track.knock())
        }),
        curve("SYN to a knock port, by sources that take turns", |size| {
            let mut track = Track::new(1, Mode::Compatible, 1 << 18);
            time(|| track.in_turn(size))
        }),
    ]
}

fn curve(name: &'static str, point: impl Fn(u32) -> f64) -> Curve {
    let curve = Curve { name, nanoseconds: SIZES.map(point) };
    let [one, _, _, most] = curve.nanoseconds;
    println!("{name}: {one:.0} ns with 1, {most:.0} ns with 100,000");
    curve
}

/// The median of many samples of many calls, in processor time: other work on the machine is not looked at.
fn time<T>(mut call: impl FnMut() -> T) -> f64 {
    const SAMPLE: Duration = Duration::from_millis(2);
    let begun = cpu_time();
    let mut calls = 0_u32;
    while cpu_time().saturating_sub(begun) < SAMPLE {
        black_box(call());
        calls += 1;
    }
    let mut samples: Vec<f64> = (0..31)
        .map(|_| {
            let begun = cpu_time();
            for _ in 0..calls {
                black_box(call());
            }
            cpu_time().saturating_sub(begun).as_nanos() as f64 / f64::from(calls)
        })
        .collect();
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}
