//! What a confined command's processes may take of the kernel, and the mark they bear.
//!
//! Soft limits alone: a script that needs more may have as much as this process, with `ulimit`. All of it runs in the child
//! ([`enter`](super::enter)): it calls the kernel and nothing else.

use super::mark::Mark;
use super::note::own_pid;

/// Descriptors of a command: what programs were made for. Some close each that could be open before they begin, which takes
/// long where a container allows a thousand million.
const DESCRIPTORS: libc::rlim_t = 1024;

/// Limits this process as a confined command.
pub(super) fn confine() {
    // No core dump lies about in `/`, with what the command had in memory.
    lower(libc::RLIMIT_CORE, |_| 0);
    lower(libc::RLIMIT_NOFILE, |had| had.min(DESCRIPTORS));
}

/// Marks this process, which began then, and so all it starts.
pub(super) fn mark(began: u64) {
    if let Some(mark) = Mark::of(own_pid(), began) {
        lower(super::mark::RESOURCE, |_| mark.value());
    }
}

/// Sets a soft limit. Where the kernel refuses that the command runs all the same: it may do as much as its daemon.
fn lower(resource: libc::__rlimit_resource_t, to: impl FnOnce(libc::rlim_t) -> libc::rlim_t) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a valid place for the answer.
    if unsafe { libc::getrlimit(resource, &raw mut limit) } == 0 {
        limit.rlim_cur = to(limit.rlim_cur);
        // SAFETY: a valid limit.
        unsafe { libc::setrlimit(resource, &raw const limit) };
    }
}
