//! Giving privileges up for good: groups, gid, uid, capabilities, and the ways back.
//!
//! Every step is verified; a step that fails where it could have worked is an error and the process must stop. Where
//! the uid cannot change at all (no `CAP_SETUID`, or a user namespace with one uid) the process keeps it and loses
//! everything else: [`Dropped::KeptUid`]. What remains possible to it then is the [sandbox](crate::sandbox)'s business.

mod keep;
mod user;

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};

pub(crate) use keep::leave_for_program;
pub use keep::{Kept, keep};
pub use user::{Identity, free_uid, lookup_user};

/// How far a process came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It runs as the identity asked for, without capabilities.
    Changed,
    /// It has no capabilities, but the uid it was started with: it may not change it.
    KeptUid,
}

/// Why privileges could not be given up. The process must not go on.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// A step failed that must not.
    #[error("cannot drop privileges: {step}: {source}")]
    Step {
        /// Which.
        step: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// A step said it worked and did not.
    #[error("cannot drop privileges: {0}")]
    Unverified(&'static str),
}

/// Becomes this identity, for good, with no capability in any set. Of all threads, the uid and groups change; of
/// the calling one alone, the capabilities: to be called before any other is started.
pub fn drop_to(identity: Identity) -> Result<Dropped, PrivilegeError> {
    // First, while there is CAP_SETPCAP; without it they stay, and mean nothing to a process that never executes.
    drop_bounding_set();
    let dropped = change_identity(identity)?;
    rustix::thread::clear_ambient_capability_set().map_err(step("clear the ambient capabilities"))?;
    clear_capabilities()?;
    rustix::thread::set_no_new_privs(true).map_err(step("set no_new_privs"))?;
    // Last: changing ids sets it back to what /proc/sys/fs/suid_dumpable says.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(step("stop being dumpable"))?;
    verify(identity, dropped)?;
    Ok(dropped)
}

/// Whether the error means "you may not", as opposed to "something is wrong".
fn is_refusal(error: &io::Error) -> bool {
    // EINVAL: the id does not exist in this user namespace.
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EINVAL))
}

fn change_identity(identity: Identity) -> Result<Dropped, PrivilegeError> {
    match set_ids(identity) {
        Ok(()) => Ok(Dropped::Changed),
        Err((_, source)) if is_refusal(&source) && is_already(identity) => Ok(Dropped::Changed),
        // What it may have lost on the way, groups or gid, it has no use for.
        Err((_, source)) if is_refusal(&source) => Ok(Dropped::KeptUid),
        Err((step, source)) => Err(PrivilegeError::Step { step, source }),
    }
}

/// Groups, gid, uid: in this order, as each needs the privileges that go with the next.
fn set_ids(to: Identity) -> Result<(), (&'static str, io::Error)> {
    // SAFETY: an empty list: the pointer is not read.
    let result = unsafe { libc::setgroups(0, std::ptr::null()) };
    check(result, "give up the supplementary groups")?;
    // SAFETY: numbers only.
    let result = unsafe { libc::setresgid(to.gid, to.gid, to.gid) };
    check(result, "change the gid")?;
    // SAFETY: numbers only.
    let result = unsafe { libc::setresuid(to.uid, to.uid, to.uid) };
    check(result, "change the uid")
}

fn check(result: libc::c_int, step: &'static str) -> Result<(), (&'static str, io::Error)> {
    if result == 0 { Ok(()) } else { Err((step, io::Error::last_os_error())) }
}

/// Whether this process has been started as the identity asked for, with no other group.
fn is_already(identity: Identity) -> bool {
    let alone = rustix::process::getgroups()
        .is_ok_and(|groups| groups.iter().all(|group| group.as_raw() == identity.gid));
    alone && ids() == Some([identity.uid; 3]) && group_ids() == Some([identity.gid; 3])
}

fn drop_bounding_set() {
    for capability in CapabilitySet::all().iter() {
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
}

fn clear_capabilities() -> Result<(), PrivilegeError> {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(step("empty the capability sets"))?;
    let left = rustix::thread::capabilities(None).map_err(step("read the capability sets"))?;
    if left == sets { Ok(()) } else { Err(PrivilegeError::Unverified("capabilities remain")) }
}

/// Looks at what the kernel says now, and tries the way back.
fn verify(identity: Identity, dropped: Dropped) -> Result<(), PrivilegeError> {
    if dropped == Dropped::KeptUid {
        return Ok(());
    }
    if ids() != Some([identity.uid; 3]) || group_ids() != Some([identity.gid; 3]) {
        return Err(PrivilegeError::Unverified("the ids are not those asked for"));
    }
    let groups = rustix::process::getgroups().map_err(step("read the groups"))?;
    if groups.iter().any(|group| group.as_raw() != identity.gid) {
        return Err(PrivilegeError::Unverified("supplementary groups remain"));
    }
    // SAFETY: numbers only. It must fail; if it does not, the process stops with that error.
    if identity.uid != 0 && unsafe { libc::setresuid(0, 0, 0) } == 0 {
        return Err(PrivilegeError::Unverified("the process can become root again"));
    }
    Ok(())
}

fn ids() -> Option<[u32; 3]> {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: three valid pointers.
    let result = unsafe { libc::getresuid(&raw mut real, &raw mut effective, &raw mut saved) };
    (result == 0).then_some([real, effective, saved])
}

fn group_ids() -> Option<[u32; 3]> {
    let [mut real, mut effective, mut saved] = [0; 3];
    // SAFETY: three valid pointers.
    let result = unsafe { libc::getresgid(&raw mut real, &raw mut effective, &raw mut saved) };
    (result == 0).then_some([real, effective, saved])
}

/// What a worker may take at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of memory of its own.
    pub memory: u64,
    /// Bytes of a file.
    pub file: u64,
}

/// Addresses beyond that: for its program, and for rings, which are the kernel's memory. What nobody writes to costs no memory of its own but
/// tables of its pages.
const ADDRESSES: u64 = 4 << 30;

/// Takes from this process what a worker never needs: new processes and threads, core dumps, files and memory that grow for ever,
/// and more than this many descriptors.
pub fn limit_worker(descriptors: u64, room: Room) -> Result<(), PrivilegeError> {
    let limits = [
        (Resource::Nproc, 0),
        (Resource::Core, 0),
        (Resource::Fsize, room.file),
        (Resource::Data, room.memory),
        (Resource::As, room.memory.saturating_add(ADDRESSES)),
        (Resource::Nofile, descriptors),
    ];
    for (resource, limit) in limits {
        let hard = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Some(limit.min(hard));
        let limit = Rlimit { current: limit, maximum: limit };
        rustix::process::setrlimit(resource, limit).map_err(step("set a resource limit"))?;
    }
    Ok(())
}

fn step(step: &'static str) -> impl Fn(rustix::io::Errno) -> PrivilegeError {
    move |source| PrivilegeError::Step { step, source: source.into() }
}
