//! Telling the running daemon that a file has changed.

use std::os::fd::AsFd as _;

use aldaba_sys::files::LockFile;
use aldaba_sys::process;

use crate::keeper::LOCK;
use crate::site::Site;

/// Asks it, and says what came of it.
pub fn ask_and_say(site: &Site) {
    match ask(site) {
        Ok(Some(pid)) => eprintln!("the running daemon (pid {pid}) reads its configuration again"),
        Ok(None) => {
            eprintln!(
                "no daemon runs with the state folder {}: it counts from the next start",
                site.state().display()
            );
        }
        Err(error) => {
            eprintln!("the running daemon was not told: {error}\n  help: systemctl reload aldabad");
        }
    }
}

/// The process number of the daemon that was asked. Who holds the lock of the state folder has written it there.
fn ask(site: &Site) -> std::io::Result<Option<u32>> {
    let lock = site.state().join(LOCK);
    let Some(pid) = LockFile::holder(&lock)? else { return Ok(None) };
    // Opened while the lock is held, so that the number cannot be another's.
    let process = process::pidfd(pid)?;
    if LockFile::holder(&lock)? != Some(pid) {
        return Ok(None);
    }
    process::ask_to_reload(process.as_fd())?;
    Ok(Some(pid))
}
