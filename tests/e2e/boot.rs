//! The units under a systemd that is PID 1, on a machine that boots (`harness/machine.sh`): installed, started, reloaded, stopped, killed
//! and restarted by the very lines of docs/install.md.
//!
//! No test harness: a machine is booted once, and each test goes on where the one before it ended.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "real daemons take real time, every wait is bounded; tests fail by panicking"
)]

#[path = "boot/early.rs"]
mod early;
#[path = "boot/installed.rs"]
mod installed;
#[path = "boot/knockd.rs"]
mod knockd;
#[path = "boot/leases.rs"]
mod leases;
#[path = "boot/lines.rs"]
mod lines;
#[path = "boot/rights.rs"]
mod rights;
#[path = "boot/trouble.rs"]
mod trouble;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use aldaba_tests::{Machine, cannot_run, device, hosts, until};

type Test = fn(&mut Machine);

/// Tests with their names.
macro_rules! in_order {
    ($($module:ident::$test:ident,)*) => { [$((stringify!($test), $module::$test as Test)),*] };
}

/// One after the other, on one machine.
const TESTS: [(&str, Test); 11] = in_order![
    installed::the_lines_of_the_document_install_and_start_it,
    leases::r2_leases_stay_over_a_restart_of_the_service,
    leases::r18_a_reload_that_fails_is_told_and_changes_nothing,
    leases::r1_stopped_for_good_a_timer_closes_each_door,
    trouble::r23_whatever_kills_it_it_comes_back,
    trouble::r23_what_hangs_is_ended_and_comes_back,
    rights::the_drop_in_for_commands_gives_what_it_says,
    early::r1_the_ports_are_guarded_before_the_network_comes,
    early::r16_a_boot_with_errors_guards_the_ports_and_opens_to_who_knocks,
    knockd::knockd_is_what_it_was,
    installed::the_lines_of_the_document_take_it_away,
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--list") {
        for (name, _) in TESTS {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    // All or none: they need each other.
    let wanted = words
        .iter()
        .filter(|word| !word.starts_with('-'))
        .all(|word| TESTS.iter().any(|(name, _)| name.contains(word.as_str())));
    if !wanted || cannot_run().is_some() {
        return ExitCode::SUCCESS;
    }
    let mut machine = match Machine::boot() {
        Ok(machine) => machine,
        Err(why) => {
            assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "this suite must run: {why}");
            println!("SKIPPED: {why}");
            return ExitCode::SUCCESS;
        }
    };
    for (name, test) in TESTS {
        test(&mut machine);
        println!("test {name} ... ok");
    }
    println!("test result: ok. {} passed; 0 failed", TESTS.len());
    ExitCode::SUCCESS
}

const SOON: Duration = Duration::from_secs(5);

/// Waits until this is so.
fn soon(machine: &Machine, what: &str, done: impl FnMut() -> bool) -> Duration {
    until(SOON, done).unwrap_or_else(|| {
        let said = machine.run(&["sh", "-c", "aldabad status; aldabad why 10.9.0.2"]);
        panic!("waited for: {what}\n{}\n{}", String::from_utf8_lossy(&said.stdout), machine.journal())
    })
}

/// Whether the command of door `old` has let the client in.
fn let_in(machine: &Machine) -> bool {
    machine.hosts.on_server(&["iptables", "-S", "INPUT"]).contains("-s 10.9.0.2/32")
}

/// Opens door `web` by its element and door `old` by its command; when.
fn open(machine: &Machine) -> Instant {
    let start = Instant::now();
    machine.hosts.knock(&[7000, 8000]);
    machine.hosts.knock(&[7100, 8100]);
    soon(machine, "both doors open", || machine.hosts.reachable(4000) && let_in(machine));
    start
}

/// Both are open; or their time is over by now, on a machine that is busy.
fn are_still_open(machine: &Machine, opened: Instant) {
    let both = machine.hosts.reachable(4000) && let_in(machine);
    assert!(both || opened.elapsed() >= installed::LEASE, "{}", machine.journal());
}

/// Sends what opens door `ssh` by its key.
fn knock_with_key(machine: &Machine) {
    let config = std::fs::read_to_string(machine.path("/etc/aldaba/aldaba.toml")).unwrap();
    let port = config.lines().find_map(|line| line.strip_prefix("port = ")).unwrap().parse().unwrap();
    let (datagram, _) = installed::ANA.seal(device::open("ssh", None));
    device::send(&machine.hosts, hosts::CLIENT.into(), port, &datagram);
}

/// Waits until both have closed by themselves, and holds the time against their lease.
fn closes_in_time(machine: &Machine, opened: Instant, words: &str) {
    let until_closed = |what: &str, closed: &dyn Fn() -> bool| {
        soon(machine, what, closed);
        opened.elapsed()
    };
    let command = until_closed("door old closes", &|| !let_in(machine));
    let element = until_closed("door web closes", &|| !machine.hosts.reachable(4000));
    let late = command.saturating_sub(installed::LEASE);
    assert!(command >= installed::LEASE && late < Duration::from_secs(1), "{words}: after {command:?}");
    assert!(element >= installed::LEASE, "{words}: after {element:?}");
    println!("figure: R1 {words}: closed {} ms late", late.as_millis());
}
