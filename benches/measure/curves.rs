//! How the cost of one event grows with what there is more of. It should not.

use std::hint::black_box;
use std::time::Duration;

use aldaba_bench::{GROUP, Gateway, Knocks, Leases, Track};
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
        curve("a device's datagram admitted, by devices", |size| admitted(&mut Knocks::new(size))),
        curve("spoofed SYN to a knock port, by doors", |size| {
            let mut gate = Gateway::flood(size, Mode::Compatible);
            time(|| gate.group()) / GROUP as f64
        }),
        curve("spoofed SYN to a strict door, by doors", |size| {
            let mut gate = Gateway::flood(size, Mode::Strict);
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
    median(|| {
        let begun = cpu_time();
        for _ in 0..calls {
            black_box(call());
        }
        cpu_time().saturating_sub(begun).as_nanos() as f64 / f64::from(calls)
    })
}

/// What it takes the server to admit one, without what it takes the client to make it.
fn admitted(knocks: &mut Knocks) -> f64 {
    const KNOCKS: u32 = 8;
    median(|| {
        let sealed: Vec<_> = (0..KNOCKS).map(|_| knocks.seal()).collect();
        let begun = cpu_time();
        for (at, datagram) in &sealed {
            assert!(knocks.handle(*at, datagram).is_ok(), "admitted");
        }
        cpu_time().saturating_sub(begun).as_nanos() as f64 / f64::from(KNOCKS)
    })
}

fn median(sample: impl FnMut() -> f64) -> f64 {
    let mut samples: Vec<f64> = std::iter::repeat_with(sample).take(31).collect();
    samples.sort_unstable_by(f64::total_cmp);
    samples[samples.len() / 2]
}
