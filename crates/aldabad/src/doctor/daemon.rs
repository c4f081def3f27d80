//! The running daemon: what it says of itself, what its captures have seen, how its worker is confined.

use std::path::Path;

use aldaba_config::{Policy, Receive};

use super::{DoctorArgs, Finding, Grade, process, unit};
use crate::control::{self, Answer, ControlError, Interface, Request, Status};
use crate::last_in_force::LastInForce;
use crate::run::state_folder;
use crate::site::command;
use crate::surroundings::Surroundings;

/// So few may have come before the worker was there.
const BEFORE_THE_WORKER: u64 = 20;

pub(super) fn look(args: &DoctorArgs, policy: &Policy, surroundings: &Surroundings) -> Vec<Finding> {
    let socket = args.ask.socket(surroundings);
    match control::ask(&socket, &Request::Status) {
        Ok(Answer::Status(status)) => {
            let mut findings = vec![answers(&socket.display().to_string(), &status)];
            findings.extend(packets(&status, policy));
            findings.extend(worker(&status));
            let trusted = policy.spa.as_ref().is_some_and(|spa| spa.trust_clock);
            findings.extend(clock(&status, trusted || !aldaba_sys::clock::is_synchronised()));
            findings.extend(unit::look(status.pid, listens(policy)));
            findings
        }
        Ok(_) => vec![Finding::doubtful("daemon", "the daemon answered something else", "look at its log")],
        Err(ControlError::NoDaemon { .. }) => vec![none(args, &socket, policy, surroundings)],
        Err(error) => {
            let text = error.to_string();
            let (seen, help) = text.split_once("\n  help: ").unwrap_or((&text, "look at its log"));
            vec![Finding::doubtful("daemon", seen, help)]
        }
    }
}

/// Nobody answers. Before the first start that is as it should be.
fn none(args: &DoctorArgs, socket: &Path, policy: &Policy, surroundings: &Surroundings) -> Finding {
    let seen = format!("no daemon answers at {}", socket.display());
    let start = format!("start it: {}", command(&args.ask.config, "run"));
    let Some(why) = why_expected(args, socket, policy, surroundings) else {
        return Finding::doubtful("daemon", format!("{seen}: nobody who knocks gets in yet"), start);
    };
    let help = match why {
        Expected::AtBoot => "journalctl -u aldabad says why; then systemctl start aldabad".to_owned(),
        Expected::Killed | Expected::HasRun => format!("its log says why; {start}"),
    };
    Finding::bad("daemon", format!("{seen}, {}: nobody who knocks gets in", why.words()), help)
}

/// What says that a daemon should run with this configuration.
#[derive(Debug, Clone, Copy)]
enum Expected {
    AtBoot,
    Killed,
    HasRun,
}

impl Expected {
    const fn words(self) -> &'static str {
        match self {
            Self::AtBoot => "although aldabad.service is enabled",
            Self::Killed => "and one was killed that did",
            Self::HasRun => "although one has run with this configuration",
        }
    }
}

fn why_expected(
    args: &DoctorArgs,
    socket: &Path,
    policy: &Policy,
    surroundings: &Surroundings,
) -> Option<Expected> {
    let config = std::path::absolute(&args.ask.config).ok()?;
    let configured = policy.daemon.state_dir.as_deref();
    let folder = state_folder(None, surroundings.state_directory.as_deref(), configured);
    if unit::starts_at_boot(&config) {
        Some(Expected::AtBoot)
    } else if socket.symlink_metadata().is_ok() {
        Some(Expected::Killed)
    } else {
        LastInForce::find(&folder, &config, surroundings.uid).is_ok().then_some(Expected::HasRun)
    }
}

fn answers(socket: &str, status: &Status) -> Finding {
    let mut wrong: Vec<&str> = status.degraded.iter().map(|state| state.what.as_str()).collect();
    wrong.dedup();
    if wrong.is_empty() {
        return Finding::good("daemon", format!("a daemon answers at {socket}, and all is well with it"));
    }
    let grave = status.degraded.iter().any(|state| state.grave);
    let seen = format!("the daemon at {socket} says that something does not work: {}", wrong.join(", "));
    let help = "aldabad status: each with its next step".to_owned();
    Finding {
        grade: if grave { Grade::Bad } else { Grade::Doubtful },
        about: "daemon",
        seen,
        help: Some(help),
    }
}

/// Whether the daemon knows of the clock what is known here. `settled`: it does not matter, or nobody knows.
fn clock(status: &Status, settled: bool) -> Option<Finding> {
    if settled || status.datagrams.as_ref()?.clock_synchronised.is_some() {
        return None;
    }
    let seen = "the daemon itself may not ask whether it is synchronised (ProtectClock= of its unit): after a loss of the replay store \
                nobody gets in by datagram where there is no hardware clock";
    let help = "where another time service than systemd-timesyncd keeps it right: trust-clock = true in [spa]; or the lines on the \
                clock in commands.conf.example (docs/install.md)";
    Some(Finding::doubtful("clock", seen, help))
}

/// Whether packets arrive where they are looked for.
fn packets(status: &Status, policy: &Policy) -> Vec<Finding> {
    let mut findings: Vec<Finding> = status.interfaces.iter().filter_map(seen_on).collect();
    findings.extend(dropped_datagrams(status));
    let handed_over: u64 = status.interfaces.iter().map(handed_over).sum();
    // The kernel counts from the daemon's start, the worker from its own.
    let comparable = status.worker.restarts == 0 && !listens(policy);
    if let Some(packets) = status.packets.as_ref().filter(|_| comparable)
        && packets.frames == 0
        && handed_over >= BEFORE_THE_WORKER
    {
        let seen =
            format!("the kernel has handed over {handed_over} packets, and the worker has looked at none");
        findings.push(Finding::bad("packets", seen, "restart the daemon; open doors stay as `on-exit` says"));
    }
    findings
}

/// Whether datagrams come by a socket of the port's.
fn listens(policy: &Policy) -> bool {
    policy.spa.as_ref().is_some_and(|spa| spa.receive == Receive::Listen)
}

const fn handed_over(interface: &Interface) -> u64 {
    match (interface.packets, interface.drops) {
        (Some(packets), Some(drops)) => packets.saturating_sub(drops),
        _ => 0,
    }
}

fn seen_on(interface: &Interface) -> Option<Finding> {
    let (name, packets, drops) = (&interface.name, interface.packets?, interface.drops?);
    if drops > 0 {
        let seen = format!(
            "{name}: of {packets} packets that passed the filter the kernel dropped {drops}, because the worker did not keep up"
        );
        return Some(Finding::doubtful(
            "packets",
            seen,
            "a flood: who was shut out knocks again; aldabad status",
        ));
    }
    if packets == 0 {
        let seen = format!("{name}: no packet that could be a knock has come there yet");
        let help = "knock from outside and look again: if it stays so, something before this host drops it";
        return Some(Finding { help: Some(help.to_owned()), ..Finding::good("packets", seen) });
    }
    Some(Finding::good("packets", format!("{name}: {packets} packets passed the filter, none was dropped")))
}

/// Of a socket; what is captured is among the packets of its interface.
fn dropped_datagrams(status: &Status) -> Option<Finding> {
    let datagrams = status.datagrams.as_ref()?;
    let drops = datagrams.drops.filter(|drops| *drops > 0)?;
    let port = datagrams.port;
    let seen =
        format!("UDP port {port}: the kernel dropped {drops} datagrams, because the worker did not keep up");
    Some(Finding::doubtful("packets", seen, "a flood: who was shut out knocks again; aldabad status"))
}

/// Whether what looks at packets can do nothing else.
fn worker(status: &Status) -> Option<Finding> {
    let pid = status.worker.pid?;
    let Some(process) = process::look(pid).filter(|process| process.parent == status.pid) else {
        let help = "run it as root, and where the daemon runs: not in another container";
        return Some(Finding::doubtful("worker", format!("process {pid} is not to be seen from here"), help));
    };
    let monitor = process::look(status.pid).map(|monitor| monitor.user);
    let same_user = monitor == Some(process.user);
    Some(process::finding(pid, &process, same_user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::InterfaceState;

    fn interface(packets: u64, drops: u64) -> Interface {
        let (name, capture) = ("srv0".to_owned(), "ring".to_owned());
        let (packets, drops) = (Some(packets), Some(drops));
        Interface { name, state: InterfaceState::Found, capture, packets, drops, filter_widened: false }
    }

    #[test]
    fn a_state_is_as_grave_as_the_daemon_says() {
        let told = |degraded: &str| {
            let text = include_str!("../status/fine.json")
                .replace("\"degraded\":[]", &format!("\"degraded\":[{degraded}]"));
            answers("/run/it", &serde_json::from_str(&text).expect("a status"))
        };
        assert_eq!(told("").grade, Grade::Good);
        let log = r#"{"what":"log","grave":false}"#;
        assert_eq!(told(log).grade, Grade::Doubtful);
        let both = told(&format!(r#"{{"what":"state","grave":true}},{log}"#));
        assert!(both.grade == Grade::Bad && both.seen.ends_with(": state, log"), "{both:?}");
    }

    /// A daemon that hears datagrams so, and says this too of them.
    fn with_datagrams(receive: &str, more: &str) -> Status {
        let datagrams = format!(
            r#"{{"datagrams":{{"port":42731,"receive":"{receive}","store":"working","guard-left-ms":0{more}}},"#
        );
        let text = include_str!("../status/fine.json").replacen('{', &datagrams, 1);
        serde_json::from_str(&text).expect("a status")
    }

    #[test]
    fn a_daemon_that_may_not_ask_for_the_clock_is_told_apart() {
        let status = |clock: &str| with_datagrams("capture", clock);
        let told = clock(&status(""), false).expect("it is less than what is known here");
        assert!(told.grade == Grade::Doubtful && told.seen.contains("may not ask"), "{told:?}");
        assert_eq!(clock(&status(""), true), None, "trusted, or not synchronised at all");
        assert_eq!(clock(&status(r#","clock-synchronised":false"#), false), None);
    }

    #[test]
    fn datagrams_that_were_dropped_are_told() {
        let told = |counted: &str| dropped_datagrams(&with_datagrams("listen", counted));
        assert_eq!((told(""), told(r#","drops":0,"kernel-refused":9"#)), (None, None));
        let lost = told(r#","drops":12,"kernel-refused":9"#).expect("a finding");
        assert!(lost.grade == Grade::Doubtful && lost.seen.contains("dropped 12 datagrams"), "{lost:?}");
    }

    #[test]
    fn what_the_captures_have_seen_is_told_with_its_next_step() {
        let told = |packets, drops| seen_on(&interface(packets, drops)).expect("it counts");
        assert_eq!(told(7, 0).grade, Grade::Good);
        let none = told(0, 0);
        assert!(none.grade == Grade::Good && none.help.is_some_and(|help| help.contains("look again")));
        let lost = told(50, 10);
        assert!(lost.grade == Grade::Doubtful && lost.seen.contains("of 50 packets"), "{lost:?}");
        let pnet = Interface { packets: None, drops: None, ..interface(0, 0) };
        assert_eq!(seen_on(&pnet), None, "not counted");
    }
}
