//! Whether the firewall still is as it was made: others may flush it at any time (spec/leases.md, "When others change the
//! firewall").
//!
//! The kernel's notices only say when to look. Then aldaba's own table and the sets with open doors are read and compared with
//! what they should be, so that nothing depends on having understood each notice.

mod losses;
mod pace;

use std::collections::HashMap;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aldaba_config::AfterFlush;
use aldaba_runner::door::{Action, Door, Style};
use aldaba_runner::{Held, Lease, LeaseId, Loss, State};
use aldaba_sys::nft::{Changer, NftError, NftWatch, SetId, SetName};

use super::Monitor;
use super::firewall::Firewall;
use crate::fault::{self, Point};
use crate::log::Level;
use crate::wording::quoted;
use losses::{Listed, losses};
use pace::{Fight, Pace, Say};

/// A lease that ends within this time is not looked for: the kernel may be about to end it, or has.
const NEARLY_OVER: Duration = Duration::from_millis(100);

/// What is known of others' changes.
#[derive(Debug, Default)]
pub(super) struct Truth {
    watch: Option<NftWatch>,
    /// Notices cannot be had, which has been said.
    is_deaf: bool,
    /// The sets as they were last seen.
    seen: HashMap<SetName, SetId>,
    pace: Pace,
    fight: Fight,
    /// Who changed something last.
    by: Option<Changer>,
    /// Leases that wait for their set.
    lost: usize,
}

impl Truth {
    /// Readable when somebody has changed the ruleset.
    pub(super) fn events(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(|watch| watch.as_fd())
    }

    /// The next look is a first one.
    pub(super) fn look_anew(&mut self) {
        self.seen.clear();
    }

    /// What is seen next is not the doing of whoever changed something last.
    pub(super) fn forget_changer(&mut self) {
        self.by = None;
    }

    /// When to look.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.pace.due()
    }

    /// Whether somebody takes the table away again and again, and who did last.
    pub(super) fn fight(&self, now: Duration) -> Option<String> {
        let by = self
            .by
            .as_ref()
            .map_or_else(String::new, |Changer { pid, name }| format!(": {name}, process {pid}"));
        self.fight.lasts(now).then(|| format!("aldaba's table is taken away or changed again and again{by}"))
    }

    /// Who it was, as fields of a line.
    fn by(&self) -> String {
        match &self.by {
            Some(Changer { pid, name }) => format!(" by={} pid={pid}", quoted(name)),
            None => String::new(),
        }
    }
}

impl Monitor {
    /// Others' changes are followed from the first policy on that needs it. Without notices the firewall is looked at again and
    /// again.
    pub(super) fn watch_firewall(&mut self, now: Duration) {
        let is_used = self.firewall.is_used();
        if self.truth.watch.is_some() || !(is_used || self.has_command_doors()) {
            return;
        }
        let watch = fault::at(Point::BeforeWatch).map_err(NftError::from).and_then(|()| NftWatch::open());
        match watch {
            Ok(watch) => {
                self.truth.watch = Some(watch);
                self.truth.is_deaf = false;
                self.health.clear("firewall-watch");
            }
            // For commands alone it is not worth a word.
            Err(_) if !is_used => {}
            Err(_) if self.truth.is_deaf => self.try_again(now),
            Err(error) => {
                self.truth.is_deaf = true;
                self.health.note(now, "firewall-watch", &error.to_string());
                self.degraded(now, "firewall-watch", &error.to_string());
            }
        }
    }

    fn has_command_doors(&self) -> bool {
        let doors = &self.policy.current().policy.catalogue.doors;
        let by_command =
            |door: &Door| matches!(door.action, Action::Command(_)) && door.style == Style::Native;
        doors.iter().any(by_command)
    }

    /// Somebody has changed the ruleset.
    pub(super) fn hear_of_firewall(&mut self, now: Duration) {
        let ours = self.firewall.ours(&self.policy.current().policy.catalogue);
        let Some(watch) = &mut self.truth.watch else { return };
        match watch.poll(ours) {
            Ok(noticed) => {
                if noticed.ours {
                    self.truth.pace.notice(now);
                    self.truth.by.clone_from(&noticed.by);
                }
                if noticed.tables_gone > 0 {
                    self.tell_of_command_leases(noticed.tables_gone, noticed.by.as_ref());
                }
            }
            Err(error) => {
                self.truth.watch = None;
                self.health.note(now, "firewall-watch", &error.to_string());
                self.degraded(now, "firewall-watch", &error.to_string());
            }
        }
    }

    /// Looks when it is time.
    pub(super) fn handle_truth_timeout(&mut self, now: Duration) {
        if self.truth.pace.due().is_some_and(|due| due <= now) {
            self.prepare_firewall(now);
        }
    }

    /// Compares the sets of open doors with the leases, and does what policy says of those without an element. aldaba's own
    /// table has been looked at.
    pub(super) fn look_at_leases(&mut self, now: Duration) {
        self.truth.pace.looked(now);
        let missing = match self.find_losses(now) {
            Ok(missing) => missing,
            Err(error) => {
                self.health.note_grave(now, "firewall", &error.to_string());
                return self.degraded(now, "firewall", &error.to_string());
            }
        };
        // A set that is not there cannot take an element.
        let there = &self.truth.seen;
        let firewall = &self.firewall;
        self.runner.reassert(now, |lease| match lease.held() {
            Held::Element(place) => {
                firewall.name(place, lease.address()).is_ok_and(|set| there.contains_key(&set))
            }
            Held::Command { .. } => false,
        });
        self.perform(now);
        self.say_losses(now, &missing);
    }

    /// Tells the runner of every lease whose element is gone; those that really were.
    fn find_losses(&mut self, now: Duration) -> Result<Vec<LeaseId>, NftError> {
        let policy = &self.policy.current().policy;
        // What went with the table of a trial was flushed by nobody.
        let restore = policy.daemon.after_flush == AfterFlush::Restore || self.trials.goes_back();
        let mut leases = self.listed(now);
        let mut missing = Vec::new();
        let sets = self.firewall.sets(&policy.catalogue);
        let ids = self.firewall.set_ids(&sets)?;
        for set in sets {
            let now_there = ids.get(&set).copied();
            let before = match now_there {
                Some(id) => self.truth.seen.insert(set.clone(), id),
                None => self.truth.seen.remove(&set),
            };
            let Some(leases) = leases.remove(&set) else { continue };
            let members = self.firewall.members(&set)?;
            missing.extend(
                leases.iter().filter(|lease| !members.contains(&lease.address)).map(|lease| lease.id),
            );
            let same_set = now_there.is_some() && before == now_there;
            for (id, loss) in losses(same_set, &members, &leases, restore) {
                self.runner.element_lost(now, id, loss);
            }
        }
        Ok(missing)
    }

    /// A set of aldaba's own goes with its door, and what is in it: that lease holds nothing open. In a trial the door may come
    /// back, and until then it is lost.
    pub(super) fn end_leases_without_a_set(&mut self, now: Duration) {
        if self.firewall.is_open() {
            // The table of before may still stand.
            return;
        }
        let has_none = |lease: &&Lease| match lease.held() {
            Held::Element(place) => self.firewall.name(place, lease.address()).is_err(),
            Held::Command { .. } => false,
        };
        let without: Vec<LeaseId> = self.runner.leases().filter(has_none).map(Lease::id).collect();
        let loss = if self.trials.is_on() { Loss::Restore } else { Loss::DoorGone };
        for id in without {
            self.runner.element_lost(now, id, loss);
        }
        self.perform(now);
    }

    /// Open leases with an element, by their set. One whose door is gone has no set to look into.
    fn listed(&self, now: Duration) -> HashMap<SetName, Vec<Listed>> {
        let mut listed: HashMap<SetName, Vec<Listed>> = HashMap::new();
        let soon = now.saturating_add(NEARLY_OVER);
        for lease in self.runner.leases() {
            let Held::Element(place) = lease.held() else { continue };
            if lease.state() != State::Open || lease.deadline() <= soon {
                continue;
            }
            if let Ok(set) = self.firewall.name(place, lease.address()) {
                let (id, address, lost) = (lease.id(), lease.address(), lease.is_lost());
                listed.entry(set).or_default().push(Listed { id, address, lost });
            }
        }
        listed
    }

    fn say_losses(&mut self, now: Duration, missing: &[LeaseId]) {
        let is_back = |id: &&LeaseId| self.runner.lease(**id).is_some_and(|lease| !lease.is_lost());
        let back = missing.iter().filter(is_back).count();
        let lost = self.runner.leases().filter(|lease| lease.is_lost()).count();
        if back > 0 {
            let line = format!("leases-restored leases={back}{}", self.truth.by());
            self.speech.tell(Level::Warning, line);
        }
        if lost > self.truth.lost {
            let line = format!("leases-lost leases={lost}{}", self.truth.by());
            self.speech.tell(Level::Error, line);
        }
        self.truth.lost = lost;
        if lost > 0 {
            self.try_again(now);
        }
    }

    /// aldaba's own table was not what it should be, and is again.
    pub(super) fn say_table_restored(&mut self, now: Duration) {
        let table = quoted(self.firewall.own_table_name().unwrap_or_default());
        let by = self.truth.by();
        match self.truth.fight.round(now) {
            Say::This => {
                self.speech.tell(Level::Warning, format!("table-restored table={table} times=1{by}"));
            }
            Say::Fight => {
                let error = "another program changes aldaba's table again and again: it is put back each time, and ports may \
                             stand open for most of the time until that ends";
                let line = format!("degraded what=firewall-fight error={}{by}", quoted(error));
                self.speech.tell(Level::Error, line);
            }
            Say::Sum(times) => {
                self.speech.tell(Level::Error, format!("table-restored table={table} times={times}{by}"));
            }
            Say::Nothing => {}
        }
    }

    /// Rules that commands have made are the commands' own: nobody knows whether they were among what went.
    fn tell_of_command_leases(&mut self, tables: usize, by: Option<&Changer>) {
        let by_command = |lease: &&Lease| lease.owes_stop() && lease.style() == Style::Native;
        let leases = self.runner.leases().filter(by_command).count();
        if leases == 0 {
            return;
        }
        let by = by.map_or_else(String::new, |by| format!(" by={} pid={}", quoted(&by.name), by.pid));
        let line = format!("tables-removed tables={tables} leases={leases}{by}");
        self.speech.tell(Level::Warning, line);
    }
}

impl Firewall {
    fn set_ids(&mut self, sets: &[SetName]) -> Result<HashMap<SetName, SetId>, NftError> {
        self.open()?.set_ids(sets)
    }

    fn members(&mut self, set: &SetName) -> Result<std::collections::HashSet<std::net::IpAddr>, NftError> {
        self.open()?.members(set)
    }
}
