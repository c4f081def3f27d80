//! Tracker and model must say the same, whatever is done to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::Differential;
use crate::{FlagFilter, Hit, Keep, Mode, Pattern, Protocol, ScopeId, Sequence, Step, TcpFlags};

#[derive(Debug, Clone)]
enum Operation {
    Hit {
        after: u64,
        scopes: Vec<ScopeId>,
        hit: Hit,
    },
    Expire {
        after: u64,
    },
    Silence {
        pattern: usize,
    },
    Replace {
        pattern: usize,
        sequence: Option<Sequence>,
    },
    Reconfigure {
        patterns: Vec<Pattern>,
        ignore: Vec<Step>,
        keep: Keep,
    },
    /// Takes away, adds or swaps, so that most patterns stay.
    Shuffle {
        remove: usize,
        add: Pattern,
        keep: Keep,
    },
}

/// Few ports, so that sequences share their beginnings and hits fit.
fn step() -> impl Strategy<Value = Step> {
    (1..=4_u16, prop_oneof![4 => Just(Protocol::Tcp), 1 => Just(Protocol::Udp)])
        .prop_map(|(port, protocol)| Step { port, protocol })
}

fn sequence() -> impl Strategy<Value = Sequence> {
    vec(step(), 1..=4).prop_map(|steps| Sequence::try_from(steps).unwrap())
}

fn filter() -> impl Strategy<Value = FlagFilter> {
    let fin = FlagFilter { must_set: TcpFlags::FIN, must_clear: TcpFlags::NONE };
    prop_oneof![4 => Just(FlagFilter::ANY), 4 => Just(FlagFilter::INITIAL_SYN), 1 => Just(fin)]
}

fn millis(choices: &'static [u64]) -> impl Strategy<Value = Duration> {
    select(choices).prop_map(Duration::from_millis)
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let modes = select(&[Mode::Compatible, Mode::Compatible, Mode::Strict][..]);
    let cooldown = prop_oneof![5 => Just(Duration::ZERO), 1 => millis(&[700, 3000])];
    let timeout = millis(&[0, 1000, 5000, 5000, 25_000]);
    (proptest::option::weighted(0.9, sequence()), filter(), timeout, modes, 0..2_u16, cooldown).prop_map(
        |(sequence, flags, timeout, mode, scope, cooldown)| Pattern {
            sequence,
            flags,
            timeout,
            mode,
            scope: ScopeId(scope),
            cooldown,
        },
    )
}

fn hit() -> impl Strategy<Value = Hit> {
    let sources = [
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)),
        IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped()),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    let flags = select(&[2_u8, 2, 2, 2, 16, 18, 1, 3, 0][..]).prop_map(TcpFlags::from_bits);
    let mark = prop_oneof![3 => (1..1000_u64).prop_map(NonZeroU64::new), 2 => (1..4_u64).prop_map(NonZeroU64::new),
        1 => Just(None)];
    (select(sources.to_vec()), step(), flags, mark).prop_map(|(source, step, flags, mark)| {
        let mark = mark.filter(|_| step.protocol == Protocol::Tcp);
        Hit { source, protocol: step.protocol, port: step.port, flags, mark }
    })
}

fn scopes() -> impl Strategy<Value = Vec<ScopeId>> {
    const CHOICES: &[&[u16]] = &[&[0], &[0], &[1], &[0, 1], &[1, 0], &[], &[7]];
    select(CHOICES).prop_map(|scopes| scopes.iter().copied().map(ScopeId).collect())
}

fn after() -> impl Strategy<Value = u64> {
    prop_oneof![8 => Just(0_u64), 8 => 0..900_u64, 2 => Just(1000_u64), 1 => Just(5000_u64), 1 => 4000..70_000_u64]
}

fn keep() -> impl Strategy<Value = Keep> {
    prop_oneof![5 => Just(Keep::Unchanged), 1 => Just(Keep::Nothing)]
}

fn operation() -> impl Strategy<Value = Operation> {
    let hits =
        (after(), scopes(), hit()).prop_map(|(after, scopes, hit)| Operation::Hit { after, scopes, hit });
    let replace = (0..8_usize, proptest::option::of(sequence()))
        .prop_map(|(pattern, sequence)| Operation::Replace { pattern, sequence });
    let reconfigure = (vec(pattern(), 0..6), vec(step(), 0..2), keep())
        .prop_map(|(patterns, ignore, keep)| Operation::Reconfigure { patterns, ignore, keep });
    let shuffle = (0..8_usize, pattern(), keep()).prop_map(|(remove, add, keep)| Operation::Shuffle {
        remove,
        add,
        keep,
    });
    prop_oneof![
        50 => hits,
        3 => after().prop_map(|after| Operation::Expire { after }),
        2 => replace,
        2 => (0..8_usize).prop_map(|pattern| Operation::Silence { pattern }),
        1 => reconfigure,
        2 => shuffle,
    ]
}

fn run(mut patterns: Vec<Pattern>, mut ignore: Vec<Step>, operations: Vec<Operation>) {
    let mut both = Differential::new(&patterns, &ignore).unwrap();
    let mut now = Duration::ZERO;
    for operation in operations {
        match operation {
            Operation::Hit { after, scopes, hit } => {
                now += Duration::from_millis(after);
                both.hit(now, &scopes, &hit);
            }
            Operation::Expire { after } => {
                now += Duration::from_millis(after);
                both.expire(now);
            }
            Operation::Silence { pattern } => {
                if let Some(pattern) = patterns.get_mut(pattern) {
                    pattern.sequence = None;
                }
                both.silence(pattern);
            }
            Operation::Replace { pattern, sequence } => {
                if let Some(pattern) = patterns.get_mut(pattern) {
                    pattern.sequence.clone_from(&sequence);
                }
                both.replace(now, pattern, sequence);
            }
            Operation::Reconfigure { patterns: new, ignore: new_ignore, keep } => {
                (patterns, ignore) = (new, new_ignore);
                both.reconfigure(now, &patterns, &ignore, keep).unwrap();
            }
            Operation::Shuffle { remove, add, keep } => {
                if remove < patterns.len() {
                    patterns.swap_remove(remove);
                }
                patterns.push(add);
                both.reconfigure(now, &patterns, &ignore, keep).unwrap();
            }
        }
    }
    both.expire(now + Duration::from_secs(100));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tracker_says_what_the_model_says(
        patterns in vec(pattern(), 1..7),
        ignore in vec(step(), 0..2),
        operations in vec(operation(), 1..120),
    ) {
        run(patterns, ignore, operations);
    }
}
