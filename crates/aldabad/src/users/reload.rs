//! Telling the running daemon that a file has changed, and what it makes of that.

use crate::control::{self, Answer, ControlError, Request};
use crate::log::aside;
use crate::site::{Failed, Site};

/// The same where something follows that is right whatever the daemon says, since the file has it: a bundle. What stands in the
/// way is said at the end, where it is seen.
pub fn ask_and_go_on(site: &Site, follows: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
    let told = ask_and_say(site);
    follows()?;
    if told.is_err() {
        aside(
            "\nthe above is right, and NOT IN FORCE YET: it counts from the next reload that works, and until then all is as before",
        );
    }
    told
}

/// Asks it and says what came of it. A daemon that does not run is fine; one that goes on as before is not.
pub fn ask_and_say(site: &Site) -> Result<(), Failed> {
    match control::ask(site.socket(), &Request::Reload) {
        Ok(Answer::Reloaded(_)) => {
            aside("the running daemon has read it: it counts now");
            Ok(())
        }
        Ok(Answer::ReloadRefused(refused)) => {
            let what = format!(
                "the file is changed, and the running daemon goes on as before: its configuration has errors\n{}",
                crate::reload::shown(&refused.report)
            );
            Err(Failed::new(what, "mend them, then run aldabad reload"))
        }
        Ok(_) => Err(Failed::new("the daemon answered something else", "run aldabad reload")),
        Err(ControlError::NoDaemon { socket }) => {
            aside(&format!("no daemon answers at {}: it counts from the next start", socket.display()));
            Ok(())
        }
        Err(error) => Err(Failed::new(
            format!("the file is changed, and the daemon was not told: {error}"),
            "then run aldabad reload",
        )),
    }
}
