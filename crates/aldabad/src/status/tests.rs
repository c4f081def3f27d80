use super::*;
use crate::control::{Degraded, Interface, InterfaceState, Status};

/// A daemon that is well, as the control socket tells it.
const FINE: &str = include_str!("fine.json");

fn fine() -> Status {
    serde_json::from_str(FINE).expect("as the specification has it")
}

fn degraded(what: &str) -> Degraded {
    Degraded {
        what: what.to_owned(),
        grave: false,
        door: None,
        address: None,
        interface: None,
        error: String::new(),
        for_ms: None,
    }
}

#[test]
fn a_daemon_that_is_well_is_told_in_a_line_for_each_part() {
    let expected = "\
aldabad 0.1.0, process 7, running for 1 h 1 min: all is well
configuration /etc/aldaba/aldaba.toml, in force for 1 min 1 s, doors: 2, devices: 1
interface     srv0 found, ring, 12 packets, 0 dropped by the kernel
worker        process 8, confined, restarts: 0
packets       12 looked at, 1 no TCP or UDP, or malformed, 0 of no concern, completed 1
attempts      1 under way, room for 65536 (pauses of 1 s while 32768 others begin a second)
leases        2 open, the first ends in 12 s
commands      1 running of 48, 0 waiting of 256, 4 started, 0 failed
refused       queue-full 3
journal       works, in /var/lib/aldaba, a closer stands by
firewall      ready, table inet aldaba
log           refusals 5 left out
";
    assert_eq!(words::told(&fine()), expected);
}

#[test]
fn attempts_that_made_room_are_told_with_those_that_had_advanced() {
    let mut status = fine();
    let attempts = status.attempts.as_mut().unwrap();
    (attempts.displaced, attempts.displaced_advanced) = (12, 3);
    let said = words::told(&status);
    let line = "others begin a second), 12 made room for others, 3 of them after two steps or more\n";
    assert!(said.contains(line), "{said}");
    let metrics = metrics::text(&status);
    assert!(metrics.contains("aldaba_attempts_displaced_total 12\n"), "{metrics}");
    assert!(metrics.contains("aldaba_attempts_displaced_advanced_total 3\n"), "{metrics}");
    // A daemon of before does not say it.
    let before = FINE.replace(",\"displaced-advanced\":0", "");
    assert_eq!(serde_json::from_str::<Status>(&before).ok(), Some(fine()));
}

#[test]
fn what_does_not_work_stands_first_with_its_next_step() {
    let mut status = fine();
    let stuck = Degraded {
        door: Some("ssh\x1b[2J".to_owned()),
        address: Some([192, 0, 2, 7].into()),
        error: "closing failed 6 times".to_owned(),
        ..degraded("cannot-close")
    };
    let gone =
        Degraded { interface: Some("wg0".to_owned()), for_ms: Some(5000), ..degraded("interface-gone") };
    status.degraded = vec![stuck, gone];
    let said = words::told(&status);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].ends_with("DEGRADED in 2 ways"), "{said}");
    let loudest =
        "  ! A DOOR STAYS OPEN [cannot-close] door ssh\\u{1b}[2J for 192.0.2.7: closing failed 6 times";
    assert_eq!(lines[1], loudest);
    assert!(lines[2].starts_with("    next: take the rule out by hand now"), "{said}");
    assert_eq!(lines[3], "  ! an interface is not there [interface-gone] on wg0 (for 5 s)");
}

#[test]
fn a_state_of_a_newer_daemon_is_told_all_the_same() {
    let status = Status { degraded: vec![degraded("moon-phase")], ..fine() };
    assert!(
        words::told(&status).contains("  ! moon-phase [moon-phase]\n    next: look at the daemon's log\n")
    );
}

/// Every state of the specification has words and a next step, and the other way round.
#[test]
fn every_degraded_state_is_documented() {
    let specification = include_str!("../../../../spec/control.md");
    let section = specification.split("### Degraded states").nth(1).expect("the section");
    let section = section.split("\n#").next().expect("its text");
    let rows = section
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<Vec<&str>>(), advice::names());
}

#[test]
fn metrics_are_of_prometheus_form() {
    let mut status = fine();
    status.degraded = vec![degraded("worker"), degraded("capture"), degraded("capture")];
    let odd =
        Interface { name: "a\"b\\".to_owned(), state: InterfaceState::Gone, ..status.interfaces[0].clone() };
    status.interfaces.push(odd);
    let text = metrics::text(&status);
    for line in [
        "aldaba_info{version=\"0.1.0\"} 1",
        "aldaba_degraded{what=\"capture\"} 2",
        "aldaba_capture_drops_total{interface=\"srv0\"} 0",
        "aldaba_interface_found{interface=\"a\\\"b\\\\\"} 0",
        "# TYPE aldaba_capture_drops_total counter",
        "# TYPE aldaba_leases gauge",
        "aldaba_leases{state=\"open\"} 2",
        "aldaba_leases{state=\"lost\"} 0",
        "aldaba_refused_total{reason=\"queue-full\"} 3",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.starts_with("aldaba_") || line.starts_with("# ")), "{text}");
}
