//! The machine: which processor does what, and what is said of it in the results.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{setpriority_process, setsid};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The processor of generator, knocker and listener.
pub(crate) const GENERATOR: usize = 0;
/// The daemon's.
pub(crate) const DAEMON: usize = 1;

/// Where the kernel's groups are, and what one's share is called there and is at most.
const GROUPS: [(&str, &str, &str); 2] =
    [("/sys/fs/cgroup/cpu", "cpu.shares", "262144"), ("/sys/fs/cgroup", "cpu.weight", "10000")];

/// A group of processes with a larger share than others, for as long as this lives.
pub(crate) struct First(Option<(&'static str, PathBuf)>);

/// This program, and all it starts, goes before the machine's other work: in one group, as under a service manager, so that among
/// themselves daemon and commands have the same right, whatever sessions they begin. What is not allowed makes figures noisier, no
/// more.
pub(crate) fn go_first() -> First {
    let _ = setpriority_process(None, -20);
    let group = GROUPS.iter().find_map(|(top, share, most)| {
        let own = PathBuf::from(format!("{top}/aldaba-bench-{}", std::process::id()));
        std::fs::create_dir(&own).ok()?;
        let joined = std::fs::write(own.join(share), most)
            .and_then(|()| std::fs::write(own.join("cgroup.procs"), std::process::id().to_string()));
        let group = First(Some((top, own)));
        joined.ok().map(|()| group)
    });
    group.unwrap_or_else(|| {
        let _ = setsid();
        favour(std::process::id());
        First(None)
    })
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some((top, own)) = &self.0 {
            let _ = std::fs::write(format!("{top}/cgroup.procs"), std::process::id().to_string());
            let _ = std::fs::remove_dir(own);
        }
    }
}

/// The session of this process goes before others: where sessions are scheduled as groups, priorities count inside one only. It is the
/// next best where there are no groups: a door's command has a session of its own, and waits.
pub(crate) fn favour(pid: u32) {
    let _ = std::fs::write(format!("/proc/{pid}/autogroup"), "-20");
}

/// This thread, and what it starts, runs there from now on.
pub(crate) fn settle_on(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor.min(processors() - 1));
    let _ = sched_setaffinity(None, &set);
}

/// How many there are, whichever this thread has settled on.
fn processors() -> usize {
    let online = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    online.lines().filter(|line| line.starts_with("processor")).count().max(1)
}

/// What this thread has had of a processor.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// What kind it is: no names.
pub(crate) fn kind() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo");
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let release = read("/proc/sys/kernel/osrelease");
    let release = release.split(['-', '\n']).next().unwrap_or_default();
    format!("{} processors ({}), Linux {release}", processors(), model.trim_start_matches([' ', '\t', ':']))
}
