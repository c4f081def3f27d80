//! The locks of aldaba's own tables: no two daemons keep the same one. They would put back, each for itself, what the other has
//! changed, and the ports would stand open meanwhile.

use std::time::Duration;

use aldaba_config::Policy;
use aldaba_sys::name_lock::{NameError, NameLock};

use super::{Firewall, is_needed, spec_of};
use crate::monitor::Monitor;
use crate::monitor::start::StartError;
use crate::own_table::{self, Kept, NotOurs};
use crate::wording::quoted;

/// How often those are turned away who asked whose a lock is.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// The locks this daemon has: that of its table, and in a trial that of the table before.
#[derive(Debug, Default)]
pub(super) struct Claims {
    locks: Vec<(String, NameLock)>,
    turned_away: Duration,
}

impl Claims {
    pub(super) fn has(&self, table: &str) -> bool {
        self.locks.iter().any(|(name, _)| name == table)
    }
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claimed {
    Ours,
    /// Nobody can be kept from the table: why.
    Unlocked(String),
}

impl Firewall {
    fn claim(&mut self, policy: &Policy) -> Result<Claimed, NotOurs> {
        let (table, _) = spec_of(policy, self.table.mark);
        if !is_needed(&table) || self.claims.has(&table.name) {
            return Ok(Claimed::Ours);
        }
        let is_made = self.made.is_some() && self.table.name == table.name;
        if !is_made && let Ok(nft) = self.open() {
            own_table::anothers(nft, &table.name)?;
        }
        match own_table::lock(&table.name) {
            Ok(lock) => {
                self.claims.locks.push((table.name, lock));
                Ok(Claimed::Ours)
            }
            Err(NameError::Held { holder }) => Err(Kept { table: table.name, holder }.into()),
            Err(error) => Ok(Claimed::Unlocked(format!("the lock of table inet {}: {error}", table.name))),
        }
    }

    /// Lets go of all locks but that of the table there is.
    fn let_go(&mut self) {
        let keeps = is_needed(&self.table) || self.made.is_some();
        self.claims.locks.retain(|(name, _)| keeps && *name == self.table.name);
    }
}

impl Monitor {
    /// Takes the lock of the table that a policy needs, at the start.
    pub(in crate::monitor) fn claim_table_at_start(&mut self, now: Duration) -> Result<(), StartError> {
        let claimed = self.firewall.claim(&self.policy.current().policy)?;
        self.say_claimed(now, claimed);
        Ok(())
    }

    /// The same for a policy that is to come into force; what is in the way is a report.
    pub(in crate::monitor) fn claim_table_of(
        &mut self,
        now: Duration,
        policy: &Policy,
    ) -> Result<(), String> {
        let claimed = self.firewall.claim(policy).map_err(|not_ours| format!("{not_ours}\n"))?;
        self.say_claimed(now, claimed);
        Ok(())
    }

    /// Without the lock doors open and close all the same: whoever has taken its name must not shut anybody out.
    fn say_claimed(&mut self, now: Duration, claimed: Claimed) {
        let Claimed::Unlocked(error) = claimed else { return self.health.clear("table-lock") };
        self.health.note(now, "table-lock", &error);
        let line = format!("degraded what=table-lock error={}", quoted(&error));
        self.speech.tell(crate::log::Level::Error, line);
    }

    /// A policy has come into force, or has not: what is not needed for it is anybody's.
    pub(in crate::monitor) fn let_tables_go(&mut self) {
        if !self.trials.is_on() && self.policy.candidate().is_none() {
            self.firewall.let_go();
        }
    }

    /// Makes room for those who ask whose the locks are.
    pub(in crate::monitor) fn turn_askers_away(&mut self, now: Duration) {
        let claims = &mut self.firewall.claims;
        if now.saturating_sub(claims.turned_away) >= TURN_AWAY {
            claims.turned_away = now;
            claims.locks.iter().for_each(|(_, lock)| lock.turn_away());
        }
    }
}
