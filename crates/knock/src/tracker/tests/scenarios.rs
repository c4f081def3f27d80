//! What knockers do, and what opens: sequences, flags, time, several patterns.

use std::time::Duration;

use super::bench::{Listener, SCOPE, compatible, pattern, source, strict, syn};
use crate::{Keep, Mode, Outcome, Pattern, PatternId, ScopeId, grammar};

/// Name, patterns as `sequence` or `sequence flags`, hits, what opens.
type Scenario = (&'static str, &'static [&'static str], &'static str, &'static str);

fn walk(mode: Mode, scenarios: &[Scenario]) {
    for (name, patterns, hits, opened) in scenarios {
        let patterns: Vec<Pattern> = patterns
            .iter()
            .map(|text| {
                let (sequence, flags) = text.split_once(' ').unwrap_or((text, ""));
                pattern(mode, sequence, flags)
            })
            .collect();
        let mut listener = Listener::new(&patterns);
        listener.send(hits);
        assert_eq!(listener.opened(), *opened, "{name}");
    }
}

const ABC: &str = "7000,8000,9000";

#[test]
fn compatible_sequences() {
    walk(
        Mode::Compatible,
        &[
            ("in order", &[ABC], "7000 8000 9000", "A:c"),
            ("udp to a tcp port is not seen", &[ABC], "7000 8000u 8000 9000", "A:c"),
            ("mixed protocols", &["7000:udp,8000,9000:udp"], "7000u 8000 9000u", "A:c"),
            ("wrong order", &[ABC], "7000 9000 8000", ""),
            ("a port of no pattern between", &[ABC], "7000 5000 8000 5001 9000", "A:c"),
            ("first port twice", &[ABC], "7000 7000 8000 9000", ""),
            ("first port three times", &[ABC], "7000 7000 7000 8000 9000", "A:c"),
            ("last port again", &[ABC], "7000 8000 9000 9000 9000", "A:c"),
            ("the breaking hit begins nothing", &[ABC], "7000 8000 7000 8000 9000", ""),
            ("twice", &[ABC], "7000 8000 9000 7000 8000 9000", "A:c A:c"),
            ("the source changes", &[ABC], "7000 8000 o:9000", ""),
            ("a single port, each packet", &["7000"], "7000 7000/ack 7000/psh+ack", "A:c A:c A:c"),
            ("a port twice", &["7000,7000"], "7000 7000 7000 7000", "A:c A:c"),
            ("tcp and udp of one number", &["7000:udp,7000,7000:udp"], "7000u 7000 7000u", "A:c"),
            ("the same, wrong order", &["7000:udp,7000,7000:udp"], "7000u 7000u 7000", ""),
            ("a udp port twice", &["7000:udp,7000:udp"], "7000u 7000u 7000u 7000u", "A:c A:c"),
            ("interleaved, first starter first", &[ABC], "7000 o:7000 8000 9000 o:8000 o:9000", "A:c A:o"),
            ("interleaved, second starter first", &[ABC], "7000 o:7000 o:8000 o:9000 8000 9000", "A:o A:c"),
            ("a stranger's broken attempt", &[ABC], "o:7000 7000 o:9000 8000 o:8000 9000", "A:c"),
        ],
    );
}

#[test]
fn retransmissions_are_one_hit() {
    walk(
        Mode::Compatible,
        &[
            ("first", &[ABC], "7000 = 8000 9000", "A:c"),
            ("each", &[ABC], "7000 = = 8000 = 9000 =", "A:c"),
            ("single port", &["7000 syn"], "7000 = = 7000 =", "A:c A:c"),
            ("of the hit that broke it", &[ABC], "7000 7000 = 7000 8000 9000", "A:c"),
            ("over 63 seconds", &["7000 syn"], "7000 @1 = @3 = @7 = @15 = @31 = @63 =", "A:c"),
            ("udp has none", &["7000:udp"], "7000u 7000u", "A:c A:c"),
            ("of a first hit whose time is over", &[ABC], "7000 @7 = 7000 8000 9000", "A:c"),
        ],
    );
    walk(
        Mode::Strict,
        &[
            ("each", &[ABC], "7000 = = 8000 = 9000 =", "A:c"),
            ("single port", &["7000"], "7000 = 7000", "A:c A:c"),
        ],
    );
}

#[test]
fn the_last_three_segments_are_remembered() {
    for mode in [Mode::Compatible, Mode::Strict] {
        let mut listener = Listener::new(&[pattern(mode, "1,2,3,4,5,6", "syn")]);
        let mut hit = |port| listener.hit(&syn(source(0), port, u64::from(port)));
        for port in 1..=4 {
            hit(port);
        }
        for port in 2..=4 {
            assert_eq!(hit(port), Outcome::Retransmission, "{mode:?} {port}");
        }
        let forgotten = if mode == Mode::Strict { Outcome::Started } else { Outcome::Broken };
        assert_eq!(hit(1), forgotten, "{mode:?}");
    }
}

#[test]
fn flags() {
    walk(
        Mode::Compatible,
        &[
            (
                "a wrong flag is passed over",
                &["7000,8000,9000 syn"],
                "7000 8000/ack 7000/ack 8000 9000",
                "A:c",
            ),
            ("without a filter it breaks", &[ABC], "7000 7000/ack 8000 9000", ""),
            ("a listed port with the right flag breaks", &["7000,8000,9000 syn"], "7000 9000 8000 9000", ""),
            ("syn and not ack", &["7000,8000 syn,!ack"], "7000/syn+ack 7000 8000/syn+ack 8000", "A:c"),
            ("any flags", &[ABC], "7000/fin 8000/none 9000/fin+psh+urg", "A:c"),
            ("fin and not ack", &["7000 fin,!ack"], "7000 7000/fin+ack 7000/fin", "A:c"),
            ("ecn plays no part", &["7000,8000 syn,!ack"], "7000/syn+ece+cwr 8000/syn+ece+cwr", "A:c"),
            ("udp is not filtered", &["7000,8000:udp,9000 syn"], "7000 7000/ack 8000u 9000", "A:c"),
            ("wrong udp breaks all the same", &["7000,8000:udp,9000:udp syn"], "7000 9000u 8000u 9000u", ""),
            ("only an ack", &["25565 ack"], "25565 25565/ack", "A:c"),
            (
                "a hit breaks only who looks at it",
                &["7000,8000,9000 syn", "7000,8100,9000"],
                "7000 8100/fin 8000 9000",
                "A:c",
            ),
            (
                "a filter of one does not shield another",
                &["7000,8000 syn", "7100,8100 fin"],
                "7000 7100/fin 8000",
                "A:c",
            ),
            ("nothing begins beside an attempt", &["7000,8000 syn", "7100 fin"], "7000 7100/fin 8000", "A:c"),
            (
                "a handshake does no harm with syn",
                &["7000,8000 syn"],
                "7000 7000/ack 7000/fin+ack 8000",
                "A:c",
            ),
        ],
    );
}

#[test]
fn time() {
    walk(
        Mode::Compatible,
        &[
            ("in time", &[ABC], "7000 @4 8000 @4.99 9000", "A:c"),
            ("late by nothing", &[ABC], "7000 @4 8000 @5 9000", ""),
            ("from the first hit, not between hits", &[ABC], "7000 @3 8000 @6 9000", ""),
            ("a late first port starts anew", &[ABC], "7000 @9 7000 8000 9000", "A:c"),
            ("across second marks", &["7000,8000"], "@0.9 7000 @5.8 8000", "A:c"),
        ],
    );
    for (timeout, opened) in [(0, "B:c"), (2, "A:c B:c")] {
        let limit = |sequence| Pattern { timeout: Duration::from_secs(timeout), ..compatible(sequence) };
        let mut listener = Listener::new(&[limit("7000,8000"), limit("9000")]);
        listener.send("7000 8000 @1 9000");
        assert_eq!(listener.opened(), opened);
    }
}

#[test]
fn several_compatible_patterns() {
    const SIBLINGS: &[&str] = &["7000,8000,9000", "7000,8100,9100", "7000,8200,9200"];
    const LAST_DIFFERS: &[&str] = &["1,2,3", "1,2,4", "1,2,5", "1,2,6"];
    walk(
        Mode::Compatible,
        &[
            ("the same twice", &[ABC, ABC], "7000 8000 9000", "A:c B:c"),
            ("short before long", &["7000,8000", ABC], "7000 8000 9000", "A:c B:c"),
            ("long before short", &[ABC, "7000,8000"], "7000 8000 9000", "B:c A:c"),
            ("first of siblings", SIBLINGS, "7000 8000 9000", "A:c"),
            ("second of siblings", SIBLINGS, "7000 8100 9100", "B:c"),
            ("third of siblings", SIBLINGS, "7000 8200 9200", "C:c"),
            ("across siblings", SIBLINGS, "7000 8100 9200", ""),
            ("a port of another pattern breaks", &[ABC, "6000,6100"], "7000 6100 8000 9000", ""),
            ("a suffix is not begun", &[ABC, "8000,9000"], "7000 8000 9000", "A:c"),
            ("open and close", &[ABC, "9000,8000,7000"], "7000 8000 9000 9000 8000 7000", "A:c B:c"),
            (
                "close begins like open ends",
                &["6000,7000,8000", ABC],
                "6000 7000 8000 7000 8000 9000 6000 7000 8000",
                "A:c B:c A:c",
            ),
            ("all four in turn", LAST_DIFFERS, "1 2 3 1 2 4 1 2 5 1 2 6", "A:c B:c C:c D:c"),
        ],
    );
}

#[test]
fn strict_sequences() {
    walk(
        Mode::Strict,
        &[
            ("in order", &[ABC], "7000 8000 9000", "A:c"),
            ("each port from two connections", &[ABC], "7000 7000 8000 8000 8000 9000 9000", "A:c"),
            ("any other port", &[ABC], "7000 5000 8000 9000", ""),
            (
                "a step out of order starts anew where it is the first",
                &[ABC],
                "7000 8000 7000 8000 9000",
                "A:c",
            ),
            ("an ack elsewhere", &[ABC], "7000 22/ack 8000 22/psh+ack 9000", "A:c"),
            ("twice the same step in a sequence", &["7000,7000,8000"], "7000 7000 8000", "A:c"),
            ("the last but one again is not tolerated", &[ABC], "7000 8000 7000 9000", ""),
            ("other sources do not matter", &[ABC], "7000 o:1 8000 o:7000 9000", "A:c"),
            ("udp cancels where udp is knocked with", &["7000,8000:udp"], "7000 53u 8000u 7000 8000u", "A:c"),
        ],
    );
}

#[test]
fn modes_do_not_look_at_each_other() {
    let mut listener = Listener::new(&[compatible("7000,8000"), strict("7000,9000"), strict("7100,9100")]);
    listener.send("7000 9000");
    assert_eq!(listener.opened(), "B:c", "9000 is no compatible port: it breaks nothing");
    listener.send("8000");
    assert_eq!(listener.opened(), "A:c");
    listener.send("7000 4000 8000 9000");
    assert_eq!(listener.opened(), "A:c", "a stray port cancels the strict one only");
}

#[test]
fn ignored_ports_neither_count_nor_cancel() {
    let udp = crate::Step::udp(443);
    let mut listener = Listener::ignoring(&[strict("7000,8000:udp"), strict("443:udp")], &[udp]);
    assert_eq!(listener.send("7000 443u 8000u 443u")[1], Outcome::Invisible);
    assert_eq!(listener.opened(), "A:c");
}

#[test]
fn scopes_see_only_their_own_hits() {
    let other = Pattern { scope: ScopeId(1), ..compatible("7000,8000") };
    let mut listener = Listener::new(&[compatible("7000,8000"), other]);
    let mut hit = |scopes: &[u16], port, mark| {
        let scopes: Vec<ScopeId> = scopes.iter().copied().map(ScopeId).collect();
        listener.tracker.hit(listener.now, &scopes, &syn(source(0), port, mark), &mut listener.heard)
    };
    assert_eq!(hit(&[0], 7000, 1), Outcome::Started);
    assert_eq!(hit(&[1], 8000, 2), Outcome::Ignored, "no attempt in this scope");
    assert_eq!(hit(&[1], 7000, 3), Outcome::Started);
    assert_eq!(hit(&[2], 8000, 4), Outcome::Invisible);
    assert_eq!(hit(&[], 8000, 5), Outcome::Invisible);
    assert_eq!(hit(&[0, 1], 8000, 6), Outcome::Completed, "two scopes at once");
    assert_eq!(listener.opened(), "A:c B:c");
}

#[test]
fn reports_come_in_the_order_of_the_patterns() {
    let in_group = |sequence, flags, timeout| Pattern {
        timeout: Duration::from_secs(timeout),
        ..pattern(Mode::Compatible, sequence, flags)
    };
    let mut listener = Listener::new(&[
        in_group("7000,8000", "", 5),
        in_group("7000,8000", "syn", 5),
        in_group("7000", "", 5),
        in_group("7000,8000,9000", "syn", 9),
    ]);
    listener.send("7000");
    assert_eq!(listener.said(), "A:c=1 B:c=1 C:c=1 C:c! D:c=1");
    listener.send("8000");
    assert_eq!(listener.said(), "A:c=2 A:c! B:c=2 B:c! D:c=2");
    listener.send("@9 7000");
    assert_eq!(listener.said(), "D:c~2 A:c=1 B:c=1 C:c=1 C:c! D:c=1");
    listener.send("@20");
    listener.expire();
    let mut said: Vec<_> = listener.said().split(' ').map(str::to_owned).collect();
    said.sort_unstable();
    assert_eq!(said, ["A:c~1", "B:c~1", "D:c~1"]);
    assert_eq!(listener.tracker.attempts(), 0);
}

#[test]
fn each_limit_is_reported_once_and_in_its_time() {
    let limit = |sequence, timeout| Pattern { timeout: Duration::from_secs(timeout), ..compatible(sequence) };
    let mut listener = Listener::new(&[limit("7000,8000", 2), limit("7000,8000,9000", 6)]);
    listener.send("7000 @1");
    listener.expire();
    assert_eq!(listener.said(), "A:c=1 B:c=1");
    listener.send("@3");
    listener.expire();
    listener.expire();
    assert_eq!(listener.said(), "A:c~1");
    listener.send("@4 8000");
    assert_eq!(listener.said(), "B:c=2", "A is over time: it does not complete");
    listener.send("@6");
    listener.expire();
    assert_eq!(listener.said(), "B:c~2");
}

#[test]
fn a_replaced_sequence_begins_at_its_first_step() {
    let mut listener = Listener::new(&[compatible("7000,8000"), compatible("7000,9000")]);
    let other = |text| Some(grammar::strict(text).unwrap());
    listener.send("7000 o:7000 8000");
    assert_eq!(listener.opened(), "A:c");
    listener.tracker.replace(listener.now, PatternId(0), other("7000,8000,8100"));
    listener.send("8100 o:8000 o:8100");
    assert_eq!(listener.opened(), "", "steps made before do not count, whoever made them");
    listener.send("t:7000 t:8000 t:8100");
    assert_eq!(listener.opened(), "A:t", "at the very same instant");
    listener.send("c:7000");
    listener.tracker.replace(listener.now, PatternId(0), None);
    assert_eq!(listener.send("8000"), [Outcome::Invisible], "its ports are gone with it");
    listener.send("9000");
    assert_eq!(listener.opened(), "B:c", "the other pattern goes on");
}

#[test]
fn an_attempt_that_only_patterns_told_of_as_over_counted_ends_with_the_last_other() {
    let over_at_once = Pattern { timeout: Duration::ZERO, ..compatible("7000,8000") };
    let mut listener = Listener::new(&[over_at_once, compatible("7000,8000")]);
    listener.send("7000");
    listener.expire();
    assert_eq!(listener.tracker.attempts(), 1, "the second pattern counts it");
    listener.tracker.replace(listener.now, PatternId(1), grammar::strict("8000").ok());
    assert_eq!(listener.tracker.attempts(), 0);
}

#[test]
fn a_silenced_pattern_is_deaf_until_it_has_another_sequence() {
    let mut listener = Listener::new(&[compatible("7000,8000"), compatible("7000,9000")]);
    listener.send("7000 o:7000");
    listener.tracker.silence(PatternId(0));
    listener.send("8000 o:9000 t:7000 t:8000");
    assert_eq!(listener.opened(), "B:o", "the other pattern goes on");
    listener.tracker.replace(listener.now, PatternId(0), grammar::strict("7000,8000").ok());
    listener.send("8000");
    assert_eq!(listener.opened(), "", "what was begun before does not count");
    listener.send("7000 8000");
    assert_eq!(listener.opened(), "A:c");
}

#[test]
fn a_cooldown_is_deaf_to_everybody() {
    let cool = Pattern {
        cooldown: Duration::from_secs(10),
        timeout: Duration::from_secs(30),
        ..compatible("7000,8000")
    };
    let mut listener = Listener::new(&[cool, compatible("7000,8100")]);
    listener.send("o:7000 c:7000 c:8000 @1 t:7000 t:8000 @2 o:8000 @9.9 t:7000");
    assert_eq!(listener.opened(), "A:c");
    assert_eq!(listener.send("@10 t:8000"), [Outcome::Broken], "begun while it was deaf");
    listener.send("t:7000 t:8000 @11 o:7000 o:8000");
    assert_eq!(listener.opened(), "A:t");
    listener.send("@12 o:7000 o:8100");
    assert_eq!(listener.opened(), "B:o", "the neighbour hears");
}

#[test]
fn unchanged_patterns_keep_their_attempts() {
    let [a, b, c] = ["7000,8000", "7100,8100", "7000,8000,9000"].map(compatible);
    let mut listener = Listener::new(&[a.clone(), b.clone()]);
    listener.send("7000 o:7100");
    let longer = Pattern { timeout: Duration::from_secs(6), ..a.clone() };
    listener
        .tracker
        .reconfigure(listener.now, &[c.clone(), b.clone(), longer], &[], Keep::Unchanged)
        .unwrap();
    assert_eq!(listener.tracker.attempts(), 1, "nobody counts the first any more");
    listener.send("8000 o:8100");
    assert_eq!(listener.opened(), "B:o");
    listener.send("7000 8000 9000");
    assert_eq!(listener.opened(), "C:c A:c");

    listener.send("7100");
    listener.tracker.reconfigure(listener.now, &[b], &[], Keep::Nothing).unwrap();
    assert_eq!(listener.tracker.attempts(), 0);
    listener.send("8100");
    assert_eq!(listener.opened(), "");
}

#[test]
fn fifty_hosts_interleaved_all_get_in_twice() {
    for mode in [Mode::Compatible, Mode::Strict] {
        let mut listener =
            Listener::new(&[pattern(mode, "7000,8000,9000", "syn"), pattern(mode, "7000,8500", "syn")]);
        for _ in 0..2 {
            for port in [7000, 8000, 9000] {
                for host in 0..50 {
                    // A stranger beside each, with a wrong port, and one whose time runs out.
                    listener.tracker.hit(
                        listener.now,
                        &[SCOPE],
                        &syn(source(1000), 7000, 0),
                        &mut listener.heard,
                    );
                    listener.hit(&syn(source(host), port, 0));
                    listener.tracker.hit(
                        listener.now,
                        &[SCOPE],
                        &syn(source(1000), 9000, 0),
                        &mut listener.heard,
                    );
                    listener.hit(&syn(source(2000 + host), 7000, 0));
                    listener.now += Duration::from_millis(10);
                }
            }
            assert_eq!(
                listener.opened().split(' ').filter(|text| text.starts_with("A:")).count(),
                50,
                "{mode:?}"
            );
            listener.now += Duration::from_secs(5);
        }
    }
}
