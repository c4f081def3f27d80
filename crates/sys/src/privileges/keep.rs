//! Keeping some capabilities and giving up the others, for this process and, further, for what it starts.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{PrivilegeError, step};

/// What became of a process's capabilities; bit *n* is the kernel's capability *n*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Those it had and has no longer.
    pub given_up: u64,
    /// Those it has.
    pub held: u64,
}

/// Gives up all capabilities but the wanted ones, in every set; again later to give up more. Of the calling thread: to be called
/// before any other is started. All wanted: nothing is touched.
///
/// `CAP_SETPCAP` stays where it is there: with nothing beyond the bounding set it can only take away, and takes from what
/// this process starts.
pub fn keep(wanted: u64) -> Result<Kept, PrivilegeError> {
    let had = rustix::thread::capabilities(None).map_err(step("read the capability sets"))?;
    if wanted == u64::MAX {
        return Ok(Kept { given_up: 0, held: had.permitted.bits() });
    }
    let wanted = CapabilitySet::from_bits_retain(wanted) | CapabilitySet::SETPCAP;
    if had.effective.contains(CapabilitySet::SETPCAP) {
        cut_bounding_set(wanted).map_err(step("cut the bounding set"))?;
    }
    rustix::thread::clear_ambient_capability_set().map_err(step("clear the ambient capabilities"))?;
    let sets = CapabilitySets {
        effective: had.effective & wanted,
        permitted: had.permitted & wanted,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets).map_err(step("give up capabilities"))?;
    let left = rustix::thread::capabilities(None).map_err(step("read the capability sets"))?;
    if left != sets {
        return Err(PrivilegeError::Unverified("capabilities remain"));
    }
    Ok(Kept { given_up: (had.permitted - wanted).bits(), held: sets.permitted.bits() })
}

/// Leaves the calling process what the program it is about to become may have. Root gets that by its bounding set, anybody
/// else by the ambient one. Calls the kernel and nothing else: it runs in a child that shares its parent's memory.
pub(crate) fn leave_for_program(allowed: u64) -> rustix::io::Result<()> {
    let allowed = CapabilitySet::from_bits_retain(allowed);
    let had = rustix::thread::capabilities(None)?;
    if had.effective.contains(CapabilitySet::SETPCAP) {
        cut_bounding_set(allowed)?;
    }
    let left = had.permitted & allowed;
    let is_root = rustix::process::geteuid().is_root();
    let inheritable = if is_root { CapabilitySet::empty() } else { left };
    rustix::thread::set_capabilities(None, CapabilitySets { effective: left, permitted: left, inheritable })?;
    for capability in inheritable.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true)?;
    }
    Ok(())
}

/// Each that is taken away costs the kernel a copy of all this process may, so only those are that are there.
fn cut_bounding_set(to: CapabilitySet) -> rustix::io::Result<()> {
    for capability in (CapabilitySet::all() - to).iter() {
        match rustix::thread::capability_is_in_bounding_set(capability) {
            Ok(true) => rustix::thread::remove_capability_from_bounding_set(capability)?,
            // This kernel does not have it.
            Ok(false) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
