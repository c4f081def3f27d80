//! The monitor's part of single packet authorization: the replay store it hands to the worker, and the worker's
//! requests on their way to the runner (spec/spa.md, section 8, steps 17 and 18; what is allowed: `admission.rs`).

use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

use aldaba_config::{Receive, Spa};
use aldaba_gate::spa::{DoorTag, KnockId, Refusal};
use aldaba_gate::{DoorId, KnockAction};
use aldaba_runner::{Ask, Granted, Lease, Owner};
use aldaba_sys::route::Gateways;

use super::Monitor;
use super::admission::{Allowed, Judge, Told};
use super::history::{Seen, SeenWhat};
use super::limits::Kind;
use super::port::Port;
use super::store::{Opened, StoreHold, wall};
use crate::ipc::{FromWorker, ToWorker};
use crate::keeper::Keeper;
use crate::log::Level;
use crate::wording::{self, quoted};

/// How often it is said that the store fails.
const STORE_FAILS_EVERY: Duration = Duration::from_secs(60);

/// What it holds for single packet authorization.
#[derive(Debug, Default)]
pub(super) struct SpaHold {
    store: StoreHold,
    /// What was said last of each part, not to be said again with every attempt.
    said: [Option<String>; 3],
    /// When it was last said that the store fails, if nothing has worked since.
    failing: Option<Duration>,
    /// The socket on the port.
    pub(super) port: Port,
    /// For whom no door opens unless it says so.
    gateways: Option<Gateways>,
    /// The last request that was allowed, to get ready with for the next.
    last: Option<Told>,
    /// That is likely to come soon.
    expects: bool,
}

/// What may not work.
#[derive(Debug, Clone, Copy)]
enum Part {
    Store,
    Port,
    Gateways,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Store => "replay-store",
            Self::Port => "spa-port",
            Self::Gateways => "gateways",
        }
    }
}

impl SpaHold {
    /// The worker waits for the disk, and may have a request then.
    pub(super) const fn expect_request(&mut self) {
        self.expects = true;
    }

    /// Whether the store has failed, and nothing has worked since.
    pub(super) const fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Whether the worker has a store.
    pub(super) const fn has_store(&self) -> bool {
        self.store.ready().is_some()
    }

    /// What does not work now, whether that shuts anybody out, and why.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&'static str, bool, String)> {
        let failing = "it does not take records: nobody gets in by datagram until it works again";
        let failing = self.failing.map(|_| (Part::Store.name(), true, failing.to_owned()));
        let parts =
            [(Part::Store, true), (Part::Port, false), (Part::Gateways, false)].into_iter().zip(&self.said);
        let stopped = self.port.stopped().map(|error| (Part::Port.name(), true, error.to_owned()));
        failing
            .into_iter()
            .chain(stopped)
            .chain(parts.filter_map(|((part, grave), said)| Some((part.name(), grave, said.clone()?))))
    }
}

impl Monitor {
    /// Gives a new worker, or one with a new policy, what it needs for datagrams.
    pub(super) fn hand_over_spa(&mut self, now: Duration) {
        if self.spa().is_some() {
            self.hand_over_store(now);
        }
        self.hand_over_socket(now);
        self.follow_gateways(now);
    }

    /// Tries again what did not work.
    pub(super) fn retry_spa(&mut self, now: Duration) {
        if self.spa().is_none() {
            return;
        }
        if self.spa_hold.store.ready().is_none() {
            self.hand_over_store(now);
        }
        if !self.spa_hold.port.is_open() {
            self.hand_over_socket(now);
        }
        self.follow_gateways(now);
    }

    fn hand_over_store(&mut self, now: Duration) {
        // The folder's lock keeps other daemons away from the store too.
        if let Err(error) = self.open_keeper(now, Keeper::open_or_set_aside) {
            self.degraded_spa(now, Part::Store, &error.to_string());
            return;
        }
        let Some(spa) = &self.policy.current().policy.spa else { return };
        let (window, devices) = (spa.window.future, spa.devices.len());
        match self.spa_hold.store.open(&self.state_folder, spa) {
            Ok(Some(opened)) => self.say_opened(now, opened, window),
            Ok(None) => {}
            Err(error) => self.degraded_spa(now, Part::Store, &error.to_string()),
        }
        let Some(store) = self.spa_hold.store.ready() else { return };
        self.workers.tell(&ToWorker::Store, &[store.as_fd()]);
        match self.spa_hold.store.make_room(devices) {
            Ok(()) => self.spa_hold.said[Part::Store as usize] = None,
            Err(error) => {
                let error = format!("no room in advance, so a full disk would shut devices out: {error}");
                self.degraded_spa(now, Part::Store, &error);
            }
        }
    }

    fn say_opened(&mut self, now: Duration, opened: Opened, window: Duration) {
        match opened {
            Opened::Whole => {}
            Opened::Guarded { why } => {
                let wait = wording::short(window);
                let line = format!("replay-store-new why={} refusing-for={wait}", quoted(why));
                self.speech.tell(Level::Warning, line);
            }
            Opened::Closed { why, doubt } => {
                let error = format!(
                    "the store of used datagrams is new ({why}) and the clock may be wrong ({doubt}): nobody gets in by \
                     datagram until it is synchronised; if it is right, write trust-clock = true into [spa] and reload"
                );
                self.degraded_spa(now, Part::Store, &error);
            }
        }
    }

    /// Says what does not work once, and tries again.
    fn degraded_spa(&mut self, now: Duration, part: Part, error: &str) {
        let said = &mut self.spa_hold.said[part as usize];
        if said.as_deref() == Some(error) {
            self.try_again(now);
        } else {
            *said = Some(error.to_owned());
            self.degraded(now, part.name(), error);
        }
    }

    fn follow_gateways(&mut self, now: Duration) {
        if self.spa().is_some() && self.spa_hold.gateways.is_none() {
            match Gateways::open() {
                Ok(gateways) => {
                    self.spa_hold.said[Part::Gateways as usize] = None;
                    self.spa_hold.gateways = Some(gateways);
                }
                Err(error) => self.degraded_spa(now, Part::Gateways, &error.to_string()),
            }
        }
    }

    fn hand_over_socket(&mut self, now: Duration) {
        let before = self.spa_hold.port.stand_in();
        if let Some((port, receive)) = self.spa().map(|spa| (spa.port, spa.receive)) {
            self.open_port(now, port, receive);
        } else {
            self.spa_hold.port.close();
            self.spa_hold.said[Part::Port as usize] = None;
        }
        let stand_in = self.spa_hold.port.stand_in();
        if stand_in != before {
            // The filter first: what comes from now on is seen.
            self.refresh_filter();
            self.firewall.set_stand_in(stand_in);
            // The table is looked at again, too.
            self.retry = Some(now);
        }
        self.tell_socket();
    }

    fn open_port(&mut self, now: Duration, port: u16, receive: Receive) {
        match self.spa_hold.port.open(port, receive) {
            Ok(()) => {
                if self.spa_hold.said[Part::Port as usize].take().is_some() {
                    self.speech.tell(Level::Notice, "spa-port-works".to_owned());
                }
            }
            Err(error) => {
                let meanwhile = match receive {
                    Receive::Listen => "its datagrams are captured until it can be had",
                    Receive::Capture => "datagrams are captured all the same; whoever has it may answer them",
                };
                self.degraded_spa(now, Part::Port, &format!("UDP port {port}: {error}; {meanwhile}"));
            }
        }
    }

    fn spa(&self) -> Option<&Spa> {
        self.policy.current().policy.spa.as_ref()
    }

    /// Who a device is, for a line of the log.
    pub(super) fn device_name(&self, key: Option<[u8; 32]>) -> String {
        let device = key.and_then(|key| self.policy.current().registry.find(&key));
        device.map_or_else(|| "?".to_owned(), |(_, device)| quoted(&device.name))
    }

    /// What the worker says of datagrams.
    pub(super) fn handle_spa(&mut self, now: Duration, message: &FromWorker) {
        match *message {
            FromWorker::Hello { from, device, id, offset } => {
                self.store_works(now);
                let what = SeenWhat::Hello { offset };
                self.history.note(Seen::by_device(now, from, id, Some(device), what));
                let name = self.device_name(Some(device));
                let line = format!("hello device={name} address={from} id={id}");
                self.speech.tell_limited(now, Kind::Requests, wording::Line::new(Level::Notice, line));
            }
            FromWorker::Rejected { from, refusal, id, device } => {
                let what = SeenWhat::Refused(refusal);
                self.history.note(Seen::by_device(now, from, id, device, what));
                let line = self.rejected_line(from, refusal, id, device);
                self.speech.tell_limited(now, Kind::Rejected, wording::Line::new(Level::Warning, line));
            }
            FromWorker::StoreFailed => self.store_failed(now),
            FromWorker::ShutOut { generation, lock, refused } => {
                self.shut_out(now, generation, lock, refused);
            }
            _ => {}
        }
    }

    /// Somebody who knows a lock's gate floods the port, so that others who do are turned away.
    fn shut_out(&mut self, now: Duration, generation: u32, lock: u8, refused: u64) {
        let current = self.policy.current();
        let keys = current.policy.spa.as_ref().and_then(|spa| spa.locks.get(usize::from(lock)));
        // Of a policy that has gone meanwhile the numbers mean nothing.
        let Some(keys) = keys.filter(|_| current.generation == generation) else { return };
        self.health.note_shut_out(now, lock);
        let line = wording::shut_out(lock, &keys.secret.public(), keys.audience.as_str(), refused);
        self.speech.tell_limited(now, Kind::Refusals, line);
    }

    /// Said at once, and then once a minute while it lasts; of a store the worker does not have yet it was said why.
    fn store_failed(&mut self, now: Duration) {
        if self.spa_hold.store.ready().is_none() {
            return;
        }
        let due = self.spa_hold.failing.is_none_or(|said| now.saturating_sub(said) >= STORE_FAILS_EVERY);
        if due {
            self.spa_hold.failing = Some(now);
            let error = "the replay store failed: nobody gets in by datagram until it works again";
            self.report(now, Level::Error, format!("degraded what=replay-store error={}", quoted(error)));
        }
    }

    /// What was admitted was made durable before.
    fn store_works(&mut self, now: Duration) {
        if self.spa_hold.failing.take().is_some() {
            self.report(now, Level::Notice, "replay-store-works".to_owned());
        }
    }

    fn rejected_line(&self, from: IpAddr, refusal: Refusal, id: KnockId, device: Option<[u8; 32]>) -> String {
        let name = self.device_name(device);
        let more = match refusal {
            Refusal::Clock { offset, used } => {
                let direction = if offset < 0 { "behind" } else { "ahead" };
                let by = wording::short(Duration::from_micros(offset.unsigned_abs()));
                format!(" clock={direction} by={by}{}", if used { " used=yes" } else { "" })
            }
            _ => String::new(),
        };
        format!("rejected device={name} address={from} id={id} why={refusal}{more}")
    }

    /// A request the worker has admitted. It is believed nothing that this policy does not allow.
    pub(super) fn handle_admitted(&mut self, now: Duration, told: &Told, offset: i64) {
        self.spa_hold.expects = false;
        self.store_works(now);
        let Told { from, id, action, .. } = *told;
        let name = self.device_name(Some(told.device));
        let seen = |what| Seen::by_device(now, from, id, Some(told.device), what);
        let (door, Allowed { owner, address, wanted }) = match self.allow(told) {
            Ok(allowed) => allowed,
            Err(why) => {
                self.history.note(seen(SeenWhat::NotAllowed(why)));
                let line = format!("request-refused device={name} address={from} id={id} why={why}");
                self.speech.tell_limited(now, Kind::Refusals, wording::Line::new(Level::Error, line));
                return;
            }
        };
        let (door_name, close) = (self.policy.name(door).to_owned(), action == KnockAction::Close);
        self.history.note(seen(SeenWhat::Admitted { door: door_name, close, address, offset }));
        let line = admitted_line(told, self.policy.name(door), address, &name);
        self.spa_hold.last = Some(*told);
        // The door first.
        self.speech.hold_limited(now, Kind::Requests, wording::Line::new(Level::Notice, line));
        let door = aldaba_runner::DoorId(door.0);
        match action {
            KnockAction::Open => {
                let ask = Ask { wanted: Some(wanted), owner: Some(owner), ..Ask::by_sequence(address) };
                // What became of it is said by the runner's events.
                let granted: Granted = self.runner.grant(now, door, &ask);
                self.trials.note(told.place.generation, granted, Some(name));
            }
            KnockAction::Close => drop(self.runner.close_owned(now, door, owner)),
        }
    }

    /// Goes the way of the last request once more, up to where something would come of it, while the disk makes the record of the next one
    /// durable. At rest the processor has forgotten that way: the next one finds it in half the time.
    pub(super) fn get_ready_for_request(&mut self) {
        if !std::mem::take(&mut self.spa_hold.expects) {
            return;
        }
        let Some(last) = self.spa_hold.last else { return };
        let name = self.device_name(Some(last.device));
        if let Ok((door, allowed)) = self.allow(&last) {
            // The compiler must not see that nobody reads it.
            std::hint::black_box(admitted_line(&last, self.policy.name(door), allowed.address, &name));
        }
    }

    /// The door it is for, and what this policy makes of it.
    fn allow(&mut self, told: &Told) -> Result<(DoorId, Allowed), &'static str> {
        let door = self.policy.door(told.place).ok_or("no-such-door")?;
        let is_broadcast = told.action == KnockAction::Open && self.is_broadcast(told.address.to_canonical());
        let links = self.links.known();
        let judge = Judge {
            policy: &self.policy.current().policy,
            registry: &self.policy.current().registry,
            runner: &self.runner,
            wall: wall(),
            is_own: &|address| links.iter().any(|link| link.addresses.iter().any(|own| own.ip == address)),
            is_broadcast,
            gateways: self.spa_hold.gateways.as_mut().and_then(|gateways| gateways.now().ok()),
        };
        Ok((door, judge.judge(door, told)?))
    }

    /// After a reload: what devices hold open, and may not any more, is closed; what they may hold for less ends earlier.
    pub(super) fn hold_to_registry(&mut self, now: Duration) {
        let (registry, wall) = (&self.policy.current().registry, wall());
        let device = |owner: Owner| registry.find(&owner.0).map(|(_, device)| device);
        let may_hold = |owner: Owner, lease: &Lease| {
            let device = device(owner).filter(|device| device.is_valid(wall));
            // A door is open for where its knock came from, unless the device may open it for others.
            let device = device.filter(|device| device.delegates || device.may_come_from(lease.address()));
            device.zip(DoorTag::of(lease.door())).is_some_and(|(device, tag)| device.may_open(tag))
        };
        self.runner.close_unless(now, may_hold);
        self.runner.shorten(now, |owner| device(owner)?.longest(wall));
    }
}

/// The line that tells of a request that is allowed.
fn admitted_line(told: &Told, door: &str, address: IpAddr, device: &str) -> String {
    let Told { action, from, id, .. } = told;
    let verb = if *action == KnockAction::Open { "admitted" } else { "close-asked" };
    format!("{verb} door={} address={address} device={device} from={from} id={id}", quoted(door))
}
