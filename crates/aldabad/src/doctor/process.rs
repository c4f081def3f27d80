//! A process as the kernel shows it (proc(5), `/proc/PID/status`), and what is left of the worker's powers.

use super::{Finding, Grade};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) parent: u32,
    /// The effective user.
    pub(super) user: u32,
    /// Any capability, effective or permitted.
    capable: bool,
    no_new_privileges: bool,
    /// A list of system calls is in force.
    filtered: bool,
}

pub(super) fn look(pid: u32) -> Option<Process> {
    read(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

fn read(text: &str) -> Option<Process> {
    let field = |name: &str, at: usize| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().nth(at)
    };
    let set = |name: &str| u64::from_str_radix(field(name, 0)?, 16).ok();
    Some(Process {
        parent: field("PPid", 0)?.parse().ok()?,
        user: field("Uid", 1)?.parse().ok()?,
        capable: set("CapEff")? | set("CapPrm")? != 0,
        no_new_privileges: field("NoNewPrivs", 0)? == "1",
        filtered: field("Seccomp", 0)? == "2",
    })
}

pub(super) fn finding(pid: u32, process: &Process, same_user: bool) -> Finding {
    let lacks = [
        (process.capable, "it has capabilities"),
        (!process.no_new_privileges, "it could gain privileges (no_new_privs is off)"),
        (!process.filtered, "any system call is open to it (no seccomp)"),
    ];
    let lacks: Vec<&str> = lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what).collect();
    if !lacks.is_empty() {
        let seen = format!("process {pid}, which looks at packets, is not confined: {}", lacks.join("; "));
        let help = "start the daemon without --insecure-no-sandbox, on a kernel with seccomp";
        return Finding::bad("worker", seen, help);
    }
    let seen = format!(
        "process {pid} looks at packets as user {}, without capabilities, with no_new_privs and a list of system calls",
        process.user
    );
    if same_user {
        let help = "give the daemon CAP_SETUID and CAP_SETGID, so that the worker has a user of its own";
        let seen = format!("{seen}; that user is the daemon's own");
        return Finding { grade: Grade::Doubtful, about: "worker", seen, help: Some(help.to_owned()) };
    }
    Finding::good("worker", seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFINED: &str = "Name:\taldabad: worker\nPPid:\t7\nUid:\t61184\t61184\t61184\t61184\nNoNewPrivs:\t1\nSeccomp:\t2\n\
                            CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n";

    #[test]
    fn a_worker_that_is_not_confined_is_bad() {
        let of = |text: &str| finding(8, &read(text).expect("a process"), false);
        assert_eq!(of(CONFINED).grade, Grade::Good);
        for (from, to, what) in [
            ("Seccomp:\t2", "Seccomp:\t0", "no seccomp"),
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0", "no_new_privs"),
            ("CapEff:\t0000000000000000", "CapEff:\t0000000000003000", "capabilities"),
        ] {
            let told = of(&CONFINED.replace(from, to));
            assert!(told.grade == Grade::Bad && told.seen.contains(what), "{told:?}");
        }
        let process = read(CONFINED).expect("a process");
        assert_eq!((process.parent, finding(8, &process, true).grade), (7, Grade::Doubtful));
        assert_eq!(read("Name:\tsh\n"), None);
    }
}
