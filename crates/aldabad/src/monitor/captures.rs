//! The capture sockets: opened here, read by the worker; and the interfaces they follow.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::iter;
use std::os::fd::AsFd as _;
use std::time::Duration;

use aldaba_config::Capture;
use aldaba_gate::Needs;
use aldaba_sys::capture::{Attached, BlankSocket, CaptureSocket, Kept, RingSize, Target};
use aldaba_sys::filter::{FilterSpec, PortSet};
use aldaba_sys::pnet_capture::PreparedSocket;

use super::drops::Drops;
use super::recovery::Recovery;
use super::workers::{PnetSocket, Workers};
use crate::control::{Interface, InterfaceState};
use crate::ipc::{CaptureOn, ToWorker};
use crate::watch::{ANY, Follower, Link, View, Watch};

/// What the sockets and the worker know, and what they ought to.
#[derive(Debug)]
pub(super) struct Captures {
    watch: Watch,
    kind: Capture,
    follower: Follower,
    filter: FilterSpec,
    /// How much a ring has to keep of each frame.
    kept: Kept,
    /// What the worker has been told, by interface index.
    views: BTreeMap<u32, View>,
    rings: BTreeMap<CaptureKey, OpenRing>,
    prepared: BTreeMap<u32, PreparedSocket>,
    /// For the first ring, since it was opened anyway.
    blank: Option<BlankSocket>,
    next: u32,
    /// Captures that could not be opened, and why.
    failed: BTreeMap<CaptureKey, String>,
    /// Captures that the worker could not read any more.
    recoveries: BTreeMap<CaptureKey, Recovery>,
    drops: Drops,
}

/// A capture with a ring.
#[derive(Debug)]
struct OpenRing {
    /// Its number.
    capture: u32,
    /// Of the interface, which may be gone.
    name: String,
    socket: CaptureSocket,
    size: RingSize,
    /// A worker has it: the next one cannot go on where that one has come to.
    told: bool,
}

/// What a ring is bound to, in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CaptureKey {
    Any,
    Interface(u32),
}

/// What changed when the links were looked at.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Interfaces that were not there before, by the name doors know them by.
    pub found: Vec<String>,
    /// Interfaces that are gone.
    pub gone: Vec<String>,
    /// Captures that could not be opened.
    pub failed: Vec<(String, String)>,
    /// Captures by pnet changed: only a new worker can take them over.
    pub needs_new_worker: bool,
}

/// What becomes of a capture that the worker cannot read any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// There is none of that number, or no longer.
    Unknown,
    /// It is opened anew now.
    Now,
    /// It is opened anew after a while; in words.
    Later(String),
    /// A worker binds it at its start.
    OfWorker,
}

impl Captures {
    /// No capture yet.
    pub(super) fn new(watch: Watch, kind: Capture, needs: &Needs, blank: BlankSocket) -> Self {
        Self {
            watch,
            kind,
            follower: Follower::default(),
            filter: filter_of(needs),
            kept: kept_of(needs),
            views: BTreeMap::new(),
            rings: BTreeMap::new(),
            prepared: BTreeMap::new(),
            blank: Some(blank),
            next: 0,
            failed: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            drops: Drops::default(),
        }
    }

    /// Where it captures.
    pub(super) const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Whether a worker gets what it reads at its start, and never later.
    pub(super) const fn are_bound_by_worker(&self) -> bool {
        matches!(self.kind, Capture::Pnet)
    }

    /// Whether anything is captured now.
    pub(super) fn is_capturing(&self) -> bool {
        !self.rings.is_empty() || !self.prepared.is_empty()
    }

    /// Whether packets on loopback count, whose sources no wire has to have led here.
    pub(super) fn has_loopback(&self) -> bool {
        self.views.values().any(|view| view.loopback)
    }

    /// Captures elsewhere from the next look on.
    pub(super) fn set_watch(&mut self, watch: Watch) {
        if self.watch != watch {
            self.watch = watch;
            self.follower = Follower::default();
        }
    }

    /// Puts a new filter in force on every socket, at once on each. A ring that keeps too little of each frame has another one in its
    /// place from the next look on.
    pub(super) fn set_needs(&mut self, needs: &Needs) -> io::Result<()> {
        self.kept = kept_of(needs);
        let filter = filter_of(needs);
        if filter == self.filter {
            return Ok(());
        }
        self.filter = filter;
        for OpenRing { socket, .. } in self.rings.values() {
            socket.replace_filter(&self.filter)?;
        }
        for socket in self.prepared.values() {
            socket.replace_filter(&self.filter)?;
        }
        Ok(())
    }

    /// Follows the links: opens, closes and tells the worker what changed. One that does not serve yet is told all of it when it does.
    pub(super) fn follow(&mut self, links: &[Link], workers: &mut Workers) -> Changes {
        let views = self.follower.views(&self.watch, links);
        let mut changes = Changes::default();
        let gone: Vec<u32> = self.views.keys().filter(|index| !views.contains_key(index)).copied().collect();
        for index in gone {
            changes
                .gone
                .extend(self.views.remove(&index).into_iter().flat_map(|view| view.names.into_keys()));
            workers.tell(&ToWorker::InterfaceGone { index }, &[]);
        }
        for (index, view) in views {
            let old = self.views.get(&index);
            changes.found.extend(names_beyond(&view, old));
            changes.gone.extend(old.into_iter().flat_map(|old| names_beyond(old, Some(&view))));
            if old != Some(&view) {
                tell_view(&view, workers);
                self.views.insert(index, view);
            }
        }
        match self.kind {
            Capture::Ring => self.follow_with_rings(workers, &mut changes),
            Capture::Pnet => self.follow_with_pnet(&mut changes),
        }
        changes
    }

    fn follow_with_rings(&mut self, workers: &mut Workers, changes: &mut Changes) {
        let wanted: BTreeSet<CaptureKey> = match self.watch {
            Watch::All => BTreeSet::from([CaptureKey::Any]),
            Watch::Named(_) => self.views.keys().map(|index| CaptureKey::Interface(*index)).collect(),
        };
        let old: Vec<CaptureKey> = self.rings.keys().filter(|key| !wanted.contains(key)).copied().collect();
        self.failed.retain(|key, _| wanted.contains(key));
        self.recoveries.retain(|key, _| wanted.contains(key));
        for key in old {
            if let Some(capture) = self.retire(key) {
                workers.tell(&ToWorker::CaptureGone { capture }, &[]);
            }
        }
        for key in wanted {
            if !self.lacks_ring(key) {
                continue;
            }
            match self.open_ring(key) {
                Ok(Some(capture)) => workers.tell(&ToWorker::CaptureGone { capture }, &[]),
                Ok(None) => {}
                Err(error) => changes.failed.push((self.name_of(key), error)),
            }
        }
        if workers.is_serving() {
            self.tell_rings(workers);
        }
    }

    /// Hands over the rings that no worker has yet.
    fn tell_rings(&mut self, workers: &mut Workers) {
        for (key, ring) in self.rings.iter_mut().filter(|(_, ring)| !ring.told) {
            tell_ring(ring, *key, workers);
            ring.told = true;
        }
    }

    /// Whether a ring is to be opened: there is none, and no reason to wait; or there is one that keeps too little of each frame. One that
    /// keeps more than is needed stays as it is.
    fn lacks_ring(&self, key: CaptureKey) -> bool {
        match self.rings.get(&key) {
            Some(ring) => ring.size.kept() < self.kept,
            None => self.recoveries.get(&key).is_none_or(|recovery| recovery.poll_timeout().is_none()),
        }
    }

    /// Opens a ring. One that was there ends as the new one begins: its number comes back.
    fn open_ring(&mut self, key: CaptureKey) -> Result<Option<u32>, String> {
        let blank = self.blank.take().map_or_else(BlankSocket::open, Ok);
        let size = RingSize::usual(self.kept);
        let opened = blank.and_then(|blank| CaptureSocket::begin(blank, key.target(), &self.filter, size));
        let socket = match opened {
            Ok(socket) => socket,
            Err(error) => {
                self.failed.insert(key, error.to_string());
                return Err(error.to_string());
            }
        };
        self.failed.remove(&key);
        let ended = self.end_ring(key);
        let capture = self.next;
        self.next = self.next.wrapping_add(1);
        self.rings.insert(key, OpenRing { capture, name: self.name_of(key), socket, size, told: false });
        Ok(ended)
    }

    /// Lets nothing more into a ring whose successor captures already, and drops it. The worker reads what is in it first.
    fn end_ring(&mut self, key: CaptureKey) -> Option<u32> {
        // Where that fails, packets of a moment are in both.
        let _ = self.rings.get(&key)?.socket.replace_filter(&FilterSpec::default());
        self.retire(key)
    }

    /// Drops a capture, and keeps what it has counted; its number.
    fn retire(&mut self, key: CaptureKey) -> Option<u32> {
        let ring = self.rings.remove(&key)?;
        self.drops.retire(&ring.name, ring.socket.statistics().unwrap_or_default());
        Some(ring.capture)
    }

    fn follow_with_pnet(&mut self, changes: &mut Changes) {
        let gone: Vec<u32> =
            self.prepared.keys().filter(|index| !self.views.contains_key(index)).copied().collect();
        for index in gone {
            self.prepared.remove(&index);
            changes.needs_new_worker = true;
        }
        self.failed.clear();
        for (index, view) in &self.views {
            if self.prepared.contains_key(index) {
                continue;
            }
            match PreparedSocket::open(*index, &self.filter) {
                Ok(socket) => {
                    self.prepared.insert(*index, socket);
                    changes.needs_new_worker = true;
                }
                Err(error) => {
                    self.failed.insert(CaptureKey::Interface(*index), error.to_string());
                    changes.failed.push((view.name().to_owned(), error.to_string()));
                }
            }
        }
    }

    /// What a new worker gets at its start for pnet to bind. Sockets are bound once: fresh ones. Those that could not be had
    /// come back by name.
    pub(super) fn for_pnet(&mut self) -> (Vec<PnetSocket>, Changes) {
        let (mut sockets, mut changes) = (Vec::new(), Changes::default());
        for index in self.prepared.keys().copied().collect::<Vec<_>>() {
            let fresh = PreparedSocket::open(index, &self.filter);
            match fresh.and_then(|fresh| Ok((fresh.try_clone()?, fresh))) {
                Ok((fd, fresh)) => {
                    sockets.push((fresh.link(), index, fd));
                    self.prepared.insert(index, fresh);
                }
                Err(error) => {
                    let key = CaptureKey::Interface(index);
                    self.prepared.remove(&index);
                    self.failed.insert(key, error.to_string());
                    changes.failed.push((self.name_of(key), error.to_string()));
                }
            }
        }
        (sockets, changes)
    }

    /// Tells a new worker everything. It gets rings of its own: where in the old ones the worker before it had come to,
    /// nobody knows. Those that no worker had yet it gets with all that came since they were opened. Those that could not be opened
    /// come back by name.
    pub(super) fn tell_all(&mut self, workers: &mut Workers) -> Changes {
        for view in self.views.values() {
            tell_view(view, workers);
        }
        let used = self.rings.iter().filter(|(_, ring)| ring.told).map(|(key, _)| *key);
        for key in used.collect::<Vec<_>>() {
            self.retire(key);
        }
        self.recoveries.clear();
        let mut changes = Changes::default();
        if self.kind == Capture::Ring {
            self.follow_with_rings(workers, &mut changes);
        }
        self.tell_rings(workers);
        changes
    }

    /// The worker says that it cannot read a capture any more: it is closed, and opened anew by [`Captures::follow`].
    pub(super) fn stopped(&mut self, now: Duration, capture: u32, workers: &mut Workers) -> Stopped {
        let ring = self.rings.iter().find(|(_, ring)| ring.capture == capture);
        let Some(key) = ring.map(|(key, _)| *key) else {
            return if self.prepared.is_empty() { Stopped::Unknown } else { Stopped::OfWorker };
        };
        self.retire(key);
        workers.tell(&ToWorker::CaptureGone { capture }, &[]);
        let recovery = self.recoveries.entry(key).or_default();
        let pause = recovery.stopped(now);
        if pause.is_zero() {
            return Stopped::Now;
        }
        let again = crate::wording::short(pause);
        let error = format!("reading it has stopped {} times; opened anew in {again}", recovery.stops());
        let told = format!("{}: {error}", self.name_of(key));
        self.failed.insert(key, error);
        Stopped::Later(told)
    }

    /// When a capture that stopped is to be opened anew.
    pub(super) fn reopen_timeout(&self) -> Option<Duration> {
        self.recoveries.values().filter_map(Recovery::poll_timeout).min()
    }

    /// Whether it is time for one: [`Captures::follow`] opens it.
    pub(super) fn handle_reopen_timeout(&mut self, now: Duration) -> bool {
        let due: Vec<bool> =
            self.recoveries.values_mut().map(|recovery| recovery.handle_timeout(now)).collect();
        due.contains(&true)
    }

    /// Reads the kernel's counters.
    fn read_counters(&mut self) {
        for ring in self.rings.values() {
            if let Ok(counted) = ring.socket.statistics() {
                self.drops.note(&ring.name, counted);
            }
        }
    }

    /// When the kernel's counters are to be looked at.
    pub(super) const fn poll_timeout(&self) -> Option<Duration> {
        self.drops.poll_timeout()
    }

    /// Looks at them: what was dropped since the last time, by interface.
    pub(super) fn poll_drops(&mut self, now: Duration) -> Vec<(String, u64)> {
        self.read_counters();
        let watch = &self.watch;
        self.drops.pulse(now, |name| watch.is_named(name))
    }

    /// Every interface of the configuration: whether it is there, and what the kernel has counted.
    pub(super) fn interfaces(&mut self, links: &[Link]) -> Vec<Interface> {
        self.read_counters();
        let names = match &self.watch {
            Watch::All => vec![ANY.to_owned()],
            Watch::Named(names) => names.clone(),
        };
        names.into_iter().map(|name| self.interface(name, links)).collect()
    }

    fn interface(&self, name: String, links: &[Link]) -> Interface {
        let (capture, counted) = match self.kind {
            // What has several names is counted under the first.
            Capture::Ring => ("ring", Some(self.drops.of(self.view_of(&name).map_or(&name, View::name)))),
            Capture::Pnet => ("pnet", None),
        };
        Interface {
            state: self.state_of(&name, links),
            filter_widened: self
                .key_of(&name)
                .and_then(|key| self.attached(key))
                .is_some_and(|it| it.widened),
            name,
            capture: capture.to_owned(),
            packets: counted.map(|counted| counted.packets),
            drops: counted.map(|counted| counted.drops),
        }
    }

    /// The filter in force on a capture, where there is one.
    fn attached(&self, key: CaptureKey) -> Option<Attached> {
        let prepared = || match key {
            CaptureKey::Any => None,
            CaptureKey::Interface(index) => self.prepared.get(&index).map(PreparedSocket::attached),
        };
        self.rings.get(&key).map(|ring| ring.socket.attached()).or_else(prepared)
    }

    /// Where the kernel has no room for the whole filter, by the interfaces' names.
    pub(super) fn short_of_room(&self) -> Vec<String> {
        let indexes = self.views.keys().map(|index| CaptureKey::Interface(*index));
        let short = |key: &CaptureKey| {
            self.attached(*key).is_some_and(|attached| attached.widened && attached.short_of_memory)
        };
        iter::once(CaptureKey::Any).chain(indexes).filter(short).map(|key| self.name_of(key)).collect()
    }

    fn view_of(&self, name: &str) -> Option<&View> {
        self.views.values().find(|view| view.names.contains_key(name))
    }

    /// What one of the configuration is captured with, where it is there.
    fn key_of(&self, name: &str) -> Option<CaptureKey> {
        match self.watch {
            Watch::All => Some(CaptureKey::Any),
            Watch::Named(_) => self.view_of(name).map(|view| CaptureKey::Interface(view.index)),
        }
    }

    fn state_of(&self, name: &str, links: &[Link]) -> InterfaceState {
        let view = self.view_of(name);
        let Some(key) = self.key_of(name) else { return InterfaceState::Gone };
        let is_down = |view: &View| links.iter().any(|link| link.index == view.index && !link.up);
        if self.failed.contains_key(&key) {
            InterfaceState::NotCaptured
        } else if key != CaptureKey::Any && view.is_some_and(is_down) {
            InterfaceState::Down
        } else {
            InterfaceState::Found
        }
    }

    /// Captures that could not be opened, by the interface's name, and why.
    pub(super) fn failed(&self) -> impl Iterator<Item = (String, &str)> {
        self.failed.iter().map(|(key, error)| (self.name_of(*key), error.as_str()))
    }

    /// Packets the kernel has dropped on an interface within the last minute or two.
    pub(super) fn dropped_lately(&self, name: &str) -> u64 {
        self.drops.lately(name)
    }

    fn name_of(&self, key: CaptureKey) -> String {
        match key {
            CaptureKey::Any => ANY.to_owned(),
            CaptureKey::Interface(index) => {
                self.views.get(&index).map_or_else(|| index.to_string(), |view| view.name().to_owned())
            }
        }
    }
}

impl CaptureKey {
    const fn target(self) -> Target {
        match self {
            Self::Any => Target::Any,
            Self::Interface(index) => Target::Interface(index),
        }
    }

    const fn on(self) -> CaptureOn {
        match self {
            Self::Any => CaptureOn::Any,
            Self::Interface(index) => CaptureOn::Interface(index),
        }
    }
}

/// The names of an interface that another view of it has not.
fn names_beyond(view: &View, other: Option<&View>) -> Vec<String> {
    let is_new = |name: &&String| other.is_none_or(|other| !other.names.contains_key(*name));
    view.names.keys().filter(is_new).cloned().collect()
}

fn tell_view(view: &View, workers: &mut Workers) {
    let View { index, loopback, .. } = *view;
    for (name, addresses) in &view.names {
        workers.tell(&ToWorker::Interface { index, loopback, name: name.clone() }, &[]);
        for address in addresses {
            workers.tell(&ToWorker::Address { index, address: *address }, &[]);
        }
    }
    workers.tell(&ToWorker::InterfaceReady { index }, &[]);
}

fn tell_ring(ring: &OpenRing, key: CaptureKey, workers: &mut Workers) {
    let OpenRing { capture, ref socket, size, .. } = *ring;
    let slot = u16::try_from(size.slot()).unwrap_or(u16::MAX);
    let ring = u64::try_from(size.bytes()).unwrap_or(u64::MAX);
    workers.tell(&ToWorker::Capture { capture, on: key.on(), ring, slot }, &[socket.as_fd()]);
}

fn kept_of(needs: &Needs) -> Kept {
    if needs.datagrams.is_empty() { Kept::Headers } else { Kept::Datagrams }
}

fn filter_of(needs: &Needs) -> FilterSpec {
    let ports = |ports: &BTreeSet<u16>| ports.iter().copied().collect::<PortSet>();
    FilterSpec {
        tcp: ports(&needs.tcp),
        tcp_syn_everywhere: needs.tcp_syn_everywhere,
        udp: needs.udp.union(&needs.datagrams).copied().collect(),
        udp_everywhere: needs.udp_everywhere,
        ignore_tcp: ports(&needs.ignore_tcp),
        ignore_udp: ports(&needs.ignore_udp),
        ipv6: needs.ipv6,
    }
}
