//! Past the guard: what is sent elsewhere, or given to another program, before the chains for this host see it.

use aldaba_sys::nft::{Course, Diversion, Probe};

use super::Finding;
use super::firewall::{FROM_OUTSIDE, Scenery};

pub(super) fn look(scenery: &Scenery, at: &str, probe: Probe<'_>) -> Option<Finding> {
    let Diversion { chain, course } = scenery.ruleset.diverted(probe)?;
    let port = probe.port;
    let sent = "sends what comes there elsewhere before the chains for this host see it";
    let help = format!("nft list chain {chain}; then {FROM_OUTSIDE}, before a knock");
    Some(match course {
        Course::Away => {
            let seen = format!(
                "{at}: a rule in {chain} {sent}, as for a published port of a container: it is reached without a knock"
            );
            let help = format!(
                "publish it on the loopback address alone (-p 127.0.0.1:{port}:{port}) behind a service of the host's, or drop \
                 strangers where containers are meant to be guarded, in the chain DOCKER-USER (which is not looked into: this finding stays)"
            );
            Finding::bad("around", seen, help)
        }
        Course::AwayForSome => {
            let seen = format!("{at}: a rule in {chain} {sent}, for sources that it names");
            Finding::doubtful("around", seen, help)
        }
        Course::AwayPerhaps => {
            let seen = format!(
                "{at}: a rule in {chain} asks for the port and may send what comes there elsewhere before the chains for this \
                 host see it; not all of it is understood"
            );
            Finding::doubtful("around", seen, help)
        }
        Course::Program => {
            let seen = format!(
                "{at}: a rule in {chain} gives what comes there to a program that waits at another port (tproxy): that one, \
                 and not the service, is what those meet who have knocked"
            );
            Finding::doubtful("around", seen, help)
        }
    })
}
