//! The native action: elements in nftables sets, and aldaba's own table.

mod claims;
mod steps;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use aldaba_config::{Policy, Receive, Spa};
use aldaba_runner::ElementChange;
use aldaba_runner::door::{Action, Catalogue, Established, NftAction, NftFamily, NftSet, Transport};
use aldaba_runner::lease::Place;
use aldaba_sys::nft::{DoorSpec, Family, Mark, Nft, NftError, Ours, SetName, SpaPort, TableId, TableSpec};

use steps::Left;

use super::Monitor;
use crate::fault::{self, Point};
use crate::own_table;
use claims::Claims;

/// From so many changes of one set on, they are made together: what stands in the set is read once for all of them.
const TOGETHER: usize = 8;

/// The kernel's firewall, opened when a policy first needs it.
#[derive(Debug)]
pub(super) struct Firewall {
    table: TableSpec,
    /// Marks that tables of earlier runs may have.
    earlier: Vec<Mark>,
    nft: Option<Nft>,
    /// The table that has been made, and is kept as the policy wants it.
    made: Option<TableId>,
    /// The doors that are still to be added to it.
    left: Left,
    /// No table of ours that is not wanted any more stands beside it.
    is_alone: bool,
    /// Tables that were taken away because they were not wanted any more, until that is said.
    gone: Vec<String>,
    claims: Claims,
    /// The port of `[spa]`, where it is captured though the policy wants a socket on it.
    stand_in: Option<NonZeroU16>,
    /// Doors of the policy need it.
    wanted: bool,
    /// The policy wants it and it is not there: what it is to guard stands open.
    open: bool,
    /// Which of others' changes concern us, under this policy and through this way to the kernel.
    ours: Option<Ours>,
    /// What was wrong with a set of the administrator's own last, so that it is said once.
    unfit: Option<String>,
}

/// Why the firewall is not as the policy wants it.
#[derive(Debug)]
pub(super) enum NotPrepared {
    /// Doors need it: it is tried again.
    Doors(String),
    /// This kernel has no nftables, and no door needs it: only the port of datagrams is not kept silent.
    Silence,
}

impl Firewall {
    /// Nothing is opened or made yet.
    pub(super) fn new(config: &Path, table: &str, earlier: Vec<Mark>) -> Self {
        let mark = own_table::mark(config);
        let table = TableSpec { name: table.to_owned(), mark, doors: Vec::new(), spa: None };
        Self {
            table,
            earlier,
            nft: None,
            made: None,
            left: Left::default(),
            is_alone: false,
            gone: Vec::new(),
            claims: Claims::default(),
            stand_in: None,
            wanted: false,
            open: false,
            ours: None,
            unfit: None,
        }
    }

    /// Whether doors stand open because the table cannot be made.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// The port whose datagrams are captured whatever the policy says: whoever else has it gets none of them.
    pub(super) const fn set_stand_in(&mut self, stand_in: Option<NonZeroU16>) {
        self.stand_in = stand_in;
    }

    /// Makes aldaba's own table what the policy wants it to be; elements of doors that stay do too. Where it is not there yet and no
    /// lease needs it, it may be made in steps. Whether somebody else had changed it.
    pub(super) fn prepare(&mut self, policy: &Policy, leases: bool) -> Result<bool, NotPrepared> {
        self.add_all();
        let (mut table, wanted) = spec_of(policy, self.table.mark);
        let captured = self.stand_in.map(NonZeroU16::get);
        table.spa.iter_mut().for_each(|spa| spa.captured |= captured == Some(spa.port));
        let before = std::mem::replace(&mut self.table, table);
        self.ours = None;
        if before.name != self.table.name {
            // The one of that name is left behind.
            (self.made, self.is_alone) = (None, false);
        }
        let own = is_needed(&self.table);
        self.wanted = wanted || own;
        if !wanted && !own && self.made.is_none() && self.is_alone {
            return Ok(false);
        }
        match self.ensure(own, leases) {
            // Then there is nothing of an earlier run's either.
            Err(NftError::NoNftables | NftError::Denied) if !self.wanted => Ok(false),
            Err(NftError::NoNftables) if !wanted => Err(NotPrepared::Silence),
            result => {
                let changed = result.map_err(|error| NotPrepared::Doors(error.to_string()))?;
                Ok(changed && before == self.table)
            }
        }
    }

    /// Whether it had to be made again.
    fn ensure(&mut self, own: bool, leases: bool) -> Result<bool, NftError> {
        let (table, made) = (self.table.clone(), self.made);
        let old = if self.is_alone { Vec::new() } else { self.left_behind(own)? };
        let mut left = std::mem::take(&mut self.left);
        let nft = self.open()?;
        // One that was made stays, without rules when nothing needs them any more.
        if !own && made.is_none() {
            old.iter().try_for_each(|name| nft.remove_own_table(name))?;
            self.note_gone(old);
            return Ok(false);
        }
        let found = nft.own_table(&table)?;
        // At the start or reload it may not have been told.
        if found.is_some()
            && made.is_none()
            && let Some(part) = nft.anothers(&table.name)?
        {
            return Err(NftError::Anothers(part));
        }
        let is_another = found.as_ref().is_some_and(|found| made.is_some_and(|made| made != found.id()));
        if !is_another && old.is_empty() && found.as_ref().is_some_and(|found| found.is(&table)) {
            self.made = found.map(|found| found.id());
            self.note_gone(old);
            return Ok(false);
        }
        if found.is_none() && old.is_empty() && made.is_none() && !leases && left.begin(nft, &table)? {
            self.made = nft.own_table_id(&table.name)?;
            self.left = left;
            self.note_gone(old);
            return Ok(false);
        }
        // What others have made anew is a copy from somewhere, with elements whose time is long over: nothing of it stays. Nor
        // does what cannot be changed into what it should be.
        if is_another || nft.ensure_in_place_of(&table, &old).is_err() {
            nft.rebuild_own_table(&table)?;
            old.iter().try_for_each(|name| nft.remove_own_table(name))?;
        }
        self.made = nft.own_table_id(&table.name)?;
        self.note_gone(old);
        Ok(made.is_some())
    }

    /// Tables of ours that the policy does not want any more, and that no other daemon keeps.
    fn left_behind(&mut self, own: bool) -> Result<Vec<String>, NftError> {
        let table = self.table.clone();
        let earlier = self.earlier.clone();
        let mut old = own_table::left_behind(self.open()?, &table, &earlier, own)?;
        old.retain(|name| self.claims.has(name) || own_table::keeper(name).is_none());
        Ok(old)
    }

    fn note_gone(&mut self, old: Vec<String>) {
        self.is_alone = true;
        self.gone.extend(old);
    }

    /// The mark of its table.
    pub(super) const fn mark(&self) -> Mark {
        self.table.mark
    }

    /// Whether the policy needs the firewall at all.
    pub(super) const fn is_used(&self) -> bool {
        self.wanted || self.made.is_some()
    }

    /// Which of others' changes concern us.
    pub(super) fn ours(&mut self, catalogue: &Catalogue) -> &Ours {
        let (nft, table) = (&self.nft, &self.table);
        self.ours.get_or_insert_with(|| Ours {
            port: nft.as_ref().and_then(|nft| nft.port().ok()).unwrap_or_default(),
            table: table.name.clone(),
            sets: named_sets(catalogue).map(|(set, _)| set).collect(),
        })
    }

    /// All sets that elements go into.
    pub(super) fn sets(&self, catalogue: &Catalogue) -> Vec<SetName> {
        let mut sets: Vec<SetName> =
            self.table.all_sets().chain(named_sets(catalogue).map(|(set, _)| set)).collect();
        sets.sort_by_cached_key(ToString::to_string);
        sets.dedup();
        sets
    }

    /// What is wrong with the first set of the administrator's own that a door needs and cannot use.
    fn unfit_set(&mut self, catalogue: &Catalogue) -> Option<String> {
        named_sets(catalogue).find_map(|(set, ipv6)| {
            match self.open().and_then(|nft| nft.check_set(&set, ipv6)) {
                Err(NftError::Missing) => Some(format!("there is no set {set}")),
                Err(NftError::UnfitSet(why)) => Some(format!("the set {set} cannot be used: {why}")),
                // What else is wrong is said of the table.
                Ok(()) | Err(_) => None,
            }
        })
    }

    /// aldaba's own table, where it has been made.
    pub(super) fn own_table_name(&self) -> Option<&str> {
        self.made.map(|_| self.table.name.as_str())
    }

    /// Makes these changes; what became of each, in their order. Those of one set are one transaction where that can be, else each
    /// is made by itself.
    pub(super) fn change(&mut self, changes: &[ElementChange]) -> Vec<Result<(), String>> {
        self.add_doors_of(changes);
        changes.chunks(Nft::MOST_TOGETHER).flat_map(|some| self.change_some(some)).collect()
    }

    fn change_some(&mut self, changes: &[ElementChange]) -> Vec<Result<(), String>> {
        let mut done = HashSet::new();
        for (set, same_set) in self.by_set(changes).into_iter().filter(|(_, some)| some.len() >= TOGETHER) {
            if self.change_together(&set, &same_set).is_ok_and(|all| all) {
                done.extend(same_set.iter().map(|change| change.lease));
            }
        }
        let one = |change: &ElementChange| {
            if done.contains(&change.lease) { Ok(()) } else { self.change_one(change) }
        };
        changes.iter().map(one).collect()
    }

    fn by_set<'c>(&self, changes: &'c [ElementChange]) -> HashMap<SetName, Vec<&'c ElementChange>> {
        let mut sets: HashMap<SetName, Vec<&ElementChange>> = HashMap::new();
        if changes.len() < TOGETHER {
            return sets;
        }
        for change in changes {
            if let Ok(set) = self.name(&change.place, change.address) {
                sets.entry(set).or_default().push(change);
            }
        }
        sets
    }

    /// Whether these changes of one set were made in one transaction.
    fn change_together(&mut self, set: &SetName, changes: &[&ElementChange]) -> Result<bool, String> {
        changes.iter().try_for_each(|change| before(change.timeout))?;
        let listed: Vec<_> = changes.iter().map(|change| (change.address, change.timeout)).collect();
        let done = self.nft()?.change_together(set, &listed).map_err(|error| error.to_string())?;
        changes.iter().try_for_each(|change| after(change.timeout))?;
        Ok(done)
    }

    fn change_one(&mut self, change: &ElementChange) -> Result<(), String> {
        let ElementChange { ref place, address, timeout, is_new, .. } = *change;
        let set = match (self.name(place, address), timeout) {
            (Ok(set), _) => set,
            // A set of aldaba's own went with its door, and what was in it.
            (Err(_), None) => return Ok(()),
            (Err(error), Some(_)) => return Err(error),
        };
        before(timeout)?;
        let nft = self.nft()?;
        let done = match timeout {
            Some(timeout) if is_new => nft.add_new_element(&set, address, timeout),
            Some(timeout) => nft.add_element(&set, address, timeout),
            None => nft.delete_element(&set, address),
        };
        done.map_err(|error| error.to_string())?;
        after(timeout)
    }

    fn nft(&mut self) -> Result<&mut Nft, String> {
        self.open().map_err(|error| error.to_string())
    }

    pub(super) fn open(&mut self) -> Result<&mut Nft, NftError> {
        match &mut self.nft {
            Some(nft) => Ok(nft),
            closed => {
                self.ours = None;
                Ok(closed.insert(Nft::open()?))
            }
        }
    }

    /// The set's name.
    pub(super) fn name(&self, place: &Place, address: IpAddr) -> Result<SetName, String> {
        match place {
            Place::Own { door } => {
                self.table.set_of(door, address).ok_or_else(|| format!("door {door} is gone from the policy"))
            }
            Place::Named { family, table, set } => {
                Ok(SetName { family: family_of(*family), table: table.clone(), set: set.clone() })
            }
        }
    }
}

/// The process may die before a change of this kind, or it fail.
fn before(timeout: Option<Duration>) -> Result<(), String> {
    let point = if timeout.is_some() { Point::BeforeElement } else { Point::BeforeElementDelete };
    fault::at(point).map_err(|error| error.to_string())
}

/// The same when the kernel has done it.
fn after(timeout: Option<Duration>) -> Result<(), String> {
    let point = if timeout.is_some() { Point::AfterElement } else { Point::AfterElementDelete };
    fault::at(point).map_err(|error| error.to_string())
}

/// aldaba's own table as a policy wants it, with the mark of its configuration.
#[must_use]
pub fn own_table(policy: &Policy, mark: Mark) -> TableSpec {
    spec_of(policy, mark).0
}

/// The same, and whether any door needs the firewall.
fn spec_of(policy: &Policy, mark: Mark) -> (TableSpec, bool) {
    let (doors, wanted) = own_doors(&policy.catalogue);
    let name = policy.daemon.table.clone();
    (TableSpec { name, mark, doors, spa: policy.spa.as_ref().map(silent) }, wanted)
}

/// Whether there is anything for it to guard.
#[must_use]
pub const fn is_needed(table: &TableSpec) -> bool {
    !table.doors.is_empty() || table.spa.is_some()
}

fn silent(spa: &Spa) -> SpaPort {
    SpaPort { port: spa.port, captured: spa.receive == Receive::Capture }
}

fn own_doors(catalogue: &Catalogue) -> (Vec<DoorSpec>, bool) {
    let mut doors = Vec::new();
    let mut wanted = false;
    for door in &catalogue.doors {
        let Action::Nftables(action) = &door.action else { continue };
        wanted = true;
        if let NftSet::Own { ports, established } = &action.set {
            let ports =
                ports.iter().map(|range| (range.transport == Transport::Udp, range.first, range.last));
            doors.push(DoorSpec::new(&door.name, ports).cutting(*established == Established::Cut));
        }
    }
    (doors, wanted)
}

/// Sets of the administrator's own, and whether they are for IPv6.
fn named_sets(catalogue: &Catalogue) -> impl Iterator<Item = (SetName, bool)> + '_ {
    catalogue.doors.iter().flat_map(|door| {
        let names = match &door.action {
            Action::Nftables(NftAction { set: NftSet::Named { family, table, set_v4, set_v6 } }) => {
                [(set_v4, false), (set_v6, true)]
                    .map(|(set, ipv6)| Some((*family, table, set.as_ref()?, ipv6)))
            }
            _ => [None, None],
        };
        names.into_iter().flatten().map(|(family, table, set, ipv6)| {
            (SetName { family: family_of(family), table: table.clone(), set: set.clone() }, ipv6)
        })
    })
}

pub(crate) const fn family_of(family: NftFamily) -> Family {
    match family {
        NftFamily::Inet => Family::Inet,
        NftFamily::Ip => Family::Ip,
        NftFamily::Ip6 => Family::Ip6,
    }
}

impl Monitor {
    /// Makes the firewall what the policy in force and the open doors want it to be; what fails is tried again.
    pub(super) fn prepare_firewall(&mut self, now: Duration) {
        self.make_table(now);
        self.end_leases_without_a_set(now);
        // Before the look: what changes after it is noticed.
        self.watch_firewall(now);
        self.look_for_sets(now);
        self.look_for_programs(now);
        // While it is made in steps there are no leases, and behind the last step there is a look.
        if self.firewall.is_used() && !self.firewall.is_begun() {
            self.look_at_leases(now);
        }
    }

    /// A door whose set is not there, or cannot be used, opens for nobody: better said now than at the first knock. The ruleset
    /// may come later.
    fn look_for_sets(&mut self, now: Duration) {
        let unfit = self.firewall.unfit_set(&self.policy.current().policy.catalogue);
        if let Some(error) = &unfit {
            self.health.note_grave(now, "firewall", error);
        }
        match &unfit {
            Some(_) if self.firewall.unfit == unfit => self.try_again(now),
            Some(error) => {
                self.degraded(now, "firewall", &format!("{error}: doors that need it open for nobody"));
            }
            None => {}
        }
        self.firewall.unfit = unfit;
    }

    fn make_table(&mut self, now: Duration) {
        let leases = self.runner.leases().next().is_some();
        let prepared = self.firewall.prepare(&self.policy.current().policy, leases);
        for table in std::mem::take(&mut self.firewall.gone) {
            let line = format!("old-table-removed table={}", crate::wording::quoted(&table));
            self.speech.tell(crate::log::Level::Notice, line);
        }
        self.firewall.open = matches!(prepared, Err(NotPrepared::Doors(_)));
        if prepared.is_ok() {
            self.health.clear("firewall");
            self.health.clear("silence");
        }
        match prepared {
            Ok(true) => self.say_table_restored(now),
            Ok(false) => {}
            Err(NotPrepared::Doors(error)) => {
                self.health.note_grave(now, "firewall", &error);
                self.degraded(now, "firewall", &error);
            }
            Err(NotPrepared::Silence) => {
                let error = "this kernel has no nftables: no other firewall may reject datagrams to the port of [spa], \
                             only drop them";
                self.health.note(now, "silence", error);
                let line = format!("degraded what=silence error={}", crate::wording::quoted(error));
                self.speech.tell(crate::log::Level::Warning, line);
            }
        }
    }
}
