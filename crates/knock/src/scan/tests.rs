//! Scans of all 65,535 ports, and the estimates compared with them.

use proptest::prelude::*;

use super::*;
use crate::grammar::strict;

fn opens(sequence: &Sequence, mode: Mode, ignore: &[Step], order: &[Step]) -> bool {
    Scanned::new(sequence, mode, ignore).opens(order)
}

fn sequence(text: &str) -> Sequence {
    strict(text).unwrap()
}

fn all(protocols: &[Protocol]) -> Vec<Step> {
    let steps =
        protocols.iter().flat_map(|protocol| (1..=u16::MAX).map(|port| Step { port, protocol: *protocol }));
    steps.collect()
}

/// A reproducible order: each item is swapped with one before it.
fn shuffled(mut steps: Vec<Step>, seed: u64) -> Vec<Step> {
    let mut state = seed;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    for index in (1..steps.len()).rev() {
        steps.swap(index, random(index + 1));
    }
    steps
}

/// What the best known scanner does by default: well-known ports first, the rest behind, each part in random order.
fn common_first(seed: u64) -> Vec<Step> {
    const COMMON: [u16; 20] =
        [21, 22, 23, 25, 53, 80, 110, 111, 135, 139, 143, 443, 445, 993, 995, 1723, 3306, 3389, 5900, 8080];
    let (common, rest) = all(&[Protocol::Tcp]).into_iter().partition(|step| COMMON.contains(&step.port));
    [shuffled(common, seed), shuffled(rest, seed)].concat()
}

#[test]
fn no_scan_of_all_ports_opens_a_strict_sequence() {
    let mut scans = vec![all(&[Protocol::Tcp]), all(&[Protocol::Tcp]).into_iter().rev().collect()];
    scans.extend((1..=3).map(|seed| shuffled(all(&[Protocol::Tcp]), seed)));
    scans.extend((1..=2).map(common_first));
    scans.push([all(&[Protocol::Tcp]), all(&[Protocol::Udp])].concat());
    // Ascending, descending, mixed; ports that scanners try first; with udp; nearly a run.
    for text in [
        "7000,8000,9000",
        "9000,8000,7000",
        "22,80,443",
        "443,22",
        "7000:udp,8000",
        "7000,7002,7001",
        "1,65535",
    ] {
        for (number, scan) in scans.iter().enumerate() {
            assert!(!opens(&sequence(text), Mode::Strict, &[], scan), "{text} by scan {number}");
        }
    }
}

#[test]
fn a_scan_that_touches_each_port_twice_does_not_either() {
    let twice: Vec<Step> = all(&[Protocol::Tcp]).into_iter().flat_map(|step| [step; 2]).collect();
    for text in ["7000,8000,9000", "7000,7000,8000", "7000,7002"] {
        assert!(!opens(&sequence(text), Mode::Strict, &[], &twice), "{text}");
    }
}

#[test]
fn ordered_scans_open_ascending_compatible_sequences() {
    for (text, ascending, descending) in [
        ("7000,8000,9000", true, false),
        ("9000,8000,7000", false, true),
        ("8000,7000,9000", false, false),
        ("7000,7000", false, false),
        ("7000", true, true),
    ] {
        let chance = scan_chance(&sequence(text), Mode::Compatible, &[]);
        assert_eq!((chance.ascending, chance.descending), (ascending, descending), "{text}");
    }
}

#[test]
fn runs_of_neighbours_are_found() {
    let ignore = [Step::tcp(7001), Step::tcp(7002)];
    for (text, ignore, ascending, descending) in [
        ("7000,7001,7002", &[][..], true, false),
        ("7002,7001,7000", &[], false, true),
        ("7000,7002", &[], false, false),
        ("7000,7003", &ignore, true, false),
        ("7000,7002", &ignore, false, false),
        ("65534,65535", &[], true, false),
        ("2,1", &[], false, true),
        ("7000:udp,7001:udp", &[], true, false),
        // One protocol after the other.
        ("65535,1:udp", &[], true, false),
    ] {
        let chance = scan_chance(&sequence(text), Mode::Strict, ignore);
        assert_eq!((chance.ascending, chance.descending), (ascending, descending), "{text}");
        assert_eq!(chance.is_open_to_ordered_scans(), ascending || descending);
    }
}

#[test]
fn the_chance_of_a_random_scan_is_that_of_all_its_orders() {
    // A scan of six ports has 720 orders: try them all.
    let ports: Vec<Step> = [10, 20, 30, 40, 50, 60].map(Step::tcp).to_vec();
    for (text, mode) in [
        ("30", Mode::Strict),
        ("30,10", Mode::Strict),
        ("30,10,60", Mode::Strict),
        ("30,10,60", Mode::Compatible),
        ("10,20,30,40", Mode::Compatible),
        ("10,10", Mode::Compatible),
    ] {
        let orders = permutations(&ports);
        let opened = orders.iter().filter(|order| opens(&sequence(text), mode, &[], order)).count();
        let measured =
            f64::from(u32::try_from(opened).unwrap()) / f64::from(u32::try_from(orders.len()).unwrap());
        let computed = random_order(&sequence(text), mode, 6);
        assert!(
            (measured - computed).abs() < 1e-12,
            "{text} {mode:?}: {measured} measured, {computed} computed"
        );
    }
}

fn permutations(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![vec![]];
    }
    let with_first = |index: usize| {
        let mut rest = steps.to_vec();
        let first = rest.remove(index);
        permutations(&rest).into_iter().map(move |order| [vec![first], order].concat())
    };
    (0..steps.len()).flat_map(with_first).collect()
}

#[test]
fn chances_of_usual_sequences() {
    let chance = |text, mode| scan_chance(&sequence(text), mode, &[]).random;
    assert!((chance("7000,8000,9000", Mode::Compatible) - 1.0 / 6.0).abs() < 1e-12);
    assert!((chance("7000,8000,9000", Mode::Strict) - 1.0 / (65_535.0 * 65_534.0)).abs() < 1e-18);
    assert!((chance("7000,8000:udp", Mode::Strict) - 1.0 / 131_070.0).abs() < 1e-12);
    assert!(chance("7000,7000", Mode::Strict).abs() < 1e-300);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The estimate looks at a few ports only; a scan of all of them must agree.
    #[test]
    fn the_short_way_agrees_with_whole_scans(
        steps in proptest::collection::vec((prop_oneof![1..6_u16, 65_531..=65_535_u16], any::<bool>()), 1..4),
        ignored in proptest::collection::vec(1..6_u16, 0..3),
        is_strict in any::<bool>(),
    ) {
        let step = |(port, udp)| if udp { Step::udp(port) } else { Step::tcp(port) };
        let sequence = Sequence::try_from(steps.into_iter().map(step).collect::<Vec<_>>()).unwrap();
        let ignore: Vec<Step> = ignored.into_iter().map(Step::tcp).collect();
        let mode = if is_strict { Mode::Strict } else { Mode::Compatible };
        let protocols: Vec<Protocol> =
            [Protocol::Tcp, Protocol::Udp].into_iter().filter(|protocol| uses(&sequence, *protocol)).collect();
        let chance = scan_chance(&sequence, mode, &ignore);
        let opened = |scans: &[Vec<Step>]| scans.iter().any(|scan| opens(&sequence, mode, &ignore, scan));
        let mut scan = all(&protocols);
        scan.sort_unstable();
        prop_assert_eq!(chance.ascending, opened(&arrangements(&scan)));
        scan.reverse();
        prop_assert_eq!(chance.descending, opened(&arrangements(&scan)));
    }
}
