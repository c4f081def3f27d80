//! A daemon that is measured, and what it costs as the kernel tells it.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use aldaba_sys::capture::statistics_of;
use aldaba_tests::{Hosts, Program};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use crate::machine;
use crate::subject::{Subject, Way};

/// Some make up their minds for so long before they listen.
pub(crate) const LONGEST_START: Duration = Duration::from_secs(60);

/// A running daemon.
pub(crate) struct Daemon {
    program: Program,
    counts: Counts,
    begun: Instant,
}

/// Who knows how many packets the kernel captured for it and dropped.
enum Counts {
    /// Its packet sockets, shared with it.
    Sockets(Vec<OwnedFd>),
    /// aldaba itself, which counts them over its whole life and is asked there.
    Control(PathBuf, Captured),
}

/// What the kernel captured for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Captured {
    pub(crate) packets: u64,
    pub(crate) drops: u64,
}

/// What it uses.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    /// Resident bytes of all its processes; what they share is in each.
    pub(crate) resident: u64,
    /// The same with what is shared counted by halves, or thirds.
    pub(crate) proportional: u64,
    /// What it has written to: heap, tables and stacks, without the program and what it shares with the kernel.
    pub(crate) written: u64,
}

impl Daemon {
    /// Starts it, on a processor of its own, and does not wait.
    pub(crate) fn start(hosts: &Hosts, subject: &Subject) -> Self {
        subject.forget();
        let words: Vec<&str> = subject.words.iter().map(String::as_str).collect();
        let begun = Instant::now();
        // What it starts runs where it does.
        machine::settle_on(machine::DAEMON);
        let program = Program::start(hosts, &words, &subject.output());
        machine::settle_on(machine::GENERATOR);
        let counts = subject
            .control()
            .map_or(Counts::Sockets(Vec::new()), |path| Counts::Control(path, Captured::default()));
        Self { program, counts, begun }
    }

    /// Starts it and waits until it listens and rests.
    pub(crate) fn start_and_rest(hosts: &Hosts, subject: &Subject) -> Self {
        let mut daemon = Self::start(hosts, subject);
        let listens =
            aldaba_tests::until(Duration::from_secs(20), || subject.is_ready(&daemon.program.said()));
        assert!(listens.is_some(), "{} does not listen. It said:\n{}", subject.name, daemon.program.said());
        if let (Way::Datagram, Some(control)) = (subject.way, subject.control()) {
            let devices = ask(&control)["configuration"]["devices"].as_u64().unwrap_or_default();
            assert!(devices >= subject.size.into(), "{devices} devices of {}", subject.size);
        }
        // The worker has a session of its own.
        for pid in daemon.pids() {
            machine::favour(pid);
        }
        assert!(daemon.settle(LONGEST_START), "{} does not come to rest", subject.name);
        if let Counts::Sockets(_) = daemon.counts {
            daemon.counts = Counts::Sockets(daemon.share_sockets());
        }
        daemon.captured();
        daemon
    }

    pub(crate) const fn begun(&self) -> Instant {
        self.begun
    }

    /// The program and the processes of its roles, without the commands of doors.
    fn pids(&self) -> Vec<u32> {
        let roles = self.program.roles().into_iter().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
        std::iter::once(self.program.pid()).chain(roles).collect()
    }

    pub(crate) fn cost(&self) -> Cost {
        let mut cost = Cost::default();
        for pid in self.pids() {
            for thread in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
                let times = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
                let cpu = times.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or_default();
                cost.cpu += Duration::from_nanos(cpu);
            }
            let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let bytes = |name| {
                let line = rollup.lines().find_map(|line| line.strip_prefix(name));
                let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
                kilobytes.unwrap_or_default() * 1024
            };
            cost.resident += bytes("Rss:");
            cost.proportional += bytes("Pss:");
            cost.written += bytes("Anonymous:");
        }
        cost
    }

    /// Packets captured and dropped since the last time.
    pub(crate) fn captured(&mut self) -> Captured {
        match &mut self.counts {
            Counts::Sockets(sockets) => {
                let counted = sockets.iter().filter_map(|socket| statistics_of(socket.as_fd()).ok());
                counted.fold(Captured::default(), |sum, counted| Captured {
                    packets: sum.packets + counted.packets,
                    drops: sum.drops + counted.drops,
                })
            }
            Counts::Control(path, before) => {
                let now = Captured::of(&ask(path));
                let since =
                    Captured { packets: now.packets - before.packets, drops: now.drops - before.drops };
                *before = now;
                since
            }
        }
    }

    fn share_sockets(&self) -> Vec<OwnedFd> {
        let (mut known, mut sockets) = (BTreeSet::new(), Vec::new());
        for pid in self.pids() {
            let Some(handle) = Pid::from_raw(pid.cast_signed()) else { continue };
            let Ok(handle) = pidfd_open(handle, PidfdFlags::empty()) else { continue };
            for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
                let link = std::fs::read_link(entry.path()).unwrap_or_default().display().to_string();
                let number = entry.file_name().to_string_lossy().parse().unwrap_or(-1);
                if link.starts_with("socket:") && known.insert(link) {
                    sockets.extend(pidfd_getfd(&handle, number, PidfdGetfdFlags::empty()));
                }
            }
        }
        sockets
    }

    /// Waits until it works as little as one that rests; whether it does.
    pub(crate) fn settle(&self, limit: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(200);
        let end = Instant::now() + limit;
        let mut before = self.cost().cpu;
        while Instant::now() < end {
            std::thread::sleep(LOOK);
            let now = self.cost().cpu;
            if now.saturating_sub(before) < LOOK / 50 {
                return true;
            }
            before = now;
        }
        false
    }

    /// Ends it.
    pub(crate) fn stop(mut self) {
        self.program.signal(rustix::process::Signal::TERM);
        // One that does not listen is killed when the value goes.
        self.program.wait(Duration::from_secs(3));
    }
}

/// What `aldabad status` says.
fn ask(control: &Path) -> serde_json::Value {
    let program = aldaba_tests::program::binary("aldabad");
    let answer = Command::new(program).args(["status", "--json", "--control"]).arg(control).output();
    serde_json::from_slice(&answer.expect("it runs").stdout).unwrap_or_default()
}

impl Captured {
    /// On all interfaces.
    fn of(status: &serde_json::Value) -> Self {
        let sum = |name: &str| {
            let interfaces = status["interfaces"].as_array().into_iter().flatten();
            interfaces.filter_map(|interface| interface[name].as_u64()).sum()
        };
        Self { packets: sum("packets"), drops: sum("drops") }
    }
}
