//! The gate itself: frame in, events and grants out.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Duration;

use aldaba_knock::{
    Displaced, Hit, Keep, Limits, Outcome, Pattern, PatternId, Protocol, Sequence, Sink, TcpFlags, Tracker,
    TrackerError,
};
use aldaba_packet::{Frame, Refused, Segment, Transport, Udp};
use aldaba_spa::{DeviceId, KnockId, Moment, Refusal, Rejected, Server, Store, Timestamp};

use crate::counters::bump;
use crate::needs::current;
use crate::scopes::{Found, Numbering, Scopes};
use crate::spa_path::{Spa, SpaRules};
use crate::{By, Counters, DoorId, Dropped, Grant, Interface, KnockAction, Rules, SequenceSource};

/// How often expired attempts are swept and reported, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What the gate has to say while it looks at a frame.
pub trait Events {
    /// Whether progress and expiry are wanted at all; asked before they are put together.
    fn wants_stages(&self) -> bool;
    /// A source has reached `stage` (from 1) of a door's sequence.
    fn stage(&mut self, source: IpAddr, door: DoorId, knock: u8, stage: u8);
    /// A source's attempt ran out of time.
    fn expired(&mut self, source: IpAddr, door: DoorId, knock: u8, stage: u8);
    /// A sequence is complete.
    fn grant(&mut self, grant: Grant);
    /// Whether every segment that a sequence looked at is wanted: for an administrator who debugs.
    fn wants_hits(&self) -> bool {
        false
    }
    /// Such a segment, and what became of it.
    fn hit(&mut self, _segment: &Segment<'_>, _outcome: Outcome) {}
    /// The wall clock and the replay store, for a datagram whose tag may be right; `None`: no datagram can be admitted.
    fn spa(&mut self) -> Option<(Timestamp, &mut dyn Store)> {
        None
    }
    /// A device's request that opens nothing was admitted.
    fn hello(&mut self, _from: IpAddr, _device: DeviceId, _id: KnockId, _offset: i64) {}
    /// A datagram was refused. Asked for those behind the gate only.
    fn rejected(&mut self, _from: IpAddr, _rejected: &Rejected) {}
    /// A datagram was made by nobody who knows the gate: it has no name.
    fn foreign(&mut self, _from: IpAddr) {}
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is no TCP or UDP segment the host's own stack would take.
    Refused(Refused),
    /// A segment that concerns nobody here.
    Dropped(Dropped),
    /// The sequences were asked.
    Seen(Outcome),
    /// It was a datagram for single packet authorization.
    Datagram,
}

/// Where a pattern of the tracker comes from.
#[derive(Debug, Clone, Copy)]
struct Origin {
    door: DoorId,
    knock: u8,
    action: KnockAction,
    one_time: bool,
}

/// Shows frames to the sequences of a policy.
#[derive(Debug)]
pub struct Gate {
    scopes: Scopes,
    origins: Vec<Origin>,
    tracker: Tracker,
    ipv6: bool,
    swept: Duration,
    spa: Option<Spa>,
    /// A port whose datagrams are taken from frames though the rules want a socket for them.
    stand_in: Option<u16>,
    /// One-time patterns completed by the frame at hand; they are deaf from then on.
    used_up: Vec<PatternId>,
    counters: Counters,
}

impl Gate {
    /// How many frames [`Gate::read_ahead`] takes.
    pub const AHEAD: usize = Tracker::AHEAD;

    /// A gate for `rules` that knows no interface yet. `key` makes the table's hash unpredictable: 16 random bytes.
    pub fn new(rules: &Rules, key: [u8; 16]) -> Result<Self, TrackerError> {
        let mut scopes = Scopes::default();
        let mut numbering = scopes.numbering();
        let (patterns, origins) = patterns(rules, &mut numbering)?;
        let numbers = numbering.done();
        scopes.take_over(numbers);
        let limits = Limits { entries: rules.attempts };
        let tracker = Tracker::new(&patterns, &rules.ignore, limits, key)?;
        let used_up = room_for_used_up(&origins);
        Ok(Self {
            scopes,
            origins,
            tracker,
            ipv6: rules.ipv6,
            swept: Duration::ZERO,
            spa: None,
            stand_in: None,
            used_up,
            counters: Counters::default(),
        })
    }

    /// Takes over new rules; with [`Keep::Unchanged`] attempts at sequences that did not change go on.
    /// On an error the old rules stay in force.
    pub fn reconfigure(&mut self, now: Duration, rules: &Rules, keep: Keep) -> Result<(), TrackerError> {
        let mut numbering = self.scopes.numbering();
        let (patterns, origins) = patterns(rules, &mut numbering)?;
        self.tracker.reconfigure(now, &patterns, &rules.ignore, keep)?;
        let numbers = numbering.done();
        self.scopes.take_over(numbers);
        self.used_up = room_for_used_up(&origins);
        self.origins = origins;
        self.ipv6 = rules.ipv6;
        Ok(())
    }

    /// Gives a one-time knock its next sequence, or none. Attempts begun before do not count for it.
    pub fn replace(&mut self, now: Duration, door: DoorId, knock: u8, sequence: Option<Sequence>) {
        let wanted = |origin: &Origin| origin.door == door && origin.knock == knock && origin.one_time;
        if let Some(id) = (0u32..).zip(&self.origins).find(|(_, origin)| wanted(origin)).map(|(id, _)| id) {
            self.tracker.replace(now, PatternId(id), sequence);
        }
    }

    /// Tells of an interface, new or changed.
    pub fn set_interface(&mut self, index: u32, interface: Interface) {
        self.set_interface_of_names(index, vec![interface]);
    }

    /// The same of one that doors know by several names, as `eth0:1` and `eth0:2` are of one device: each has addresses of its own.
    pub fn set_interface_of_names(&mut self, index: u32, names: Vec<Interface>) {
        self.scopes.set_interface(index, names);
    }

    /// Forgets an interface.
    pub fn remove_interface(&mut self, index: u32) {
        self.scopes.remove_interface(index);
    }

    /// Fetches what these frames will need of the table of attempts, side by side: in a flood of ever new sources the memory
    /// is what takes longest. Of more frames than [`Gate::AHEAD`] the first. Changes nothing of what becomes of frames, and none
    /// of it need be so.
    pub fn read_ahead<'f>(&mut self, now: Duration, frames: impl IntoIterator<Item = Frame<'f>>) {
        self.tracker.read_ahead(now, frames.into_iter().filter_map(|frame| frame.claimed_source()));
    }

    /// Looks at one frame that arrived on interface `index`.
    pub fn frame(
        &mut self,
        now: Duration,
        index: u32,
        frame: &Frame<'_>,
        events: &mut impl Events,
    ) -> Verdict {
        self.counters.frames = self.counters.frames.saturating_add(1);
        match aldaba_packet::parse(frame) {
            Ok(segment) => self.segment(now, index, &segment, events),
            Err(refused) => {
                self.counters.refused = self.counters.refused.saturating_add(1);
                bump(&mut self.counters.refused_by, refused.index());
                Verdict::Refused(refused)
            }
        }
    }

    /// Looks at one segment; [`Gate::frame`] does this for well-formed frames.
    pub fn segment(
        &mut self,
        now: Duration,
        index: u32,
        segment: &Segment<'_>,
        events: &mut impl Events,
    ) -> Verdict {
        let found = match concern(&self.scopes, self.ipv6, index, segment) {
            Ok(found) => found,
            Err(dropped) => {
                self.counters.dropped = self.counters.dropped.saturating_add(1);
                bump(&mut self.counters.dropped_by, dropped.index());
                return Verdict::Dropped(dropped);
            }
        };
        if let Some(udp) = self.datagram_of(found, segment) {
            if udp.payload.len() < udp.payload_len {
                self.cut_datagram(segment.source, events);
            } else {
                self.datagram(now, segment.source, udp.payload, events);
            }
            return Verdict::Datagram;
        }
        let hit = hit_of(segment);
        let mut relay = Relay { events, origins: &self.origins, used_up: &mut self.used_up };
        if now.saturating_sub(self.swept) >= SWEEP_EVERY {
            self.swept = now;
            self.tracker.expire(now, &mut relay);
        }
        let outcome = self.tracker.hit(now, found.scopes, &hit, &mut relay);
        while let Some(id) = self.used_up.pop() {
            self.tracker.silence(id);
        }
        self.count(outcome);
        if outcome != Outcome::Invisible && events.wants_hits() {
            events.hit(segment, outcome);
        }
        Verdict::Seen(outcome)
    }

    /// A datagram for single packet authorization.
    fn datagram_of<'s>(&self, found: Found<'_>, segment: &'s Segment<'_>) -> Option<&'s Udp<'s>> {
        let Transport::Udp(udp) = &segment.transport else { return None };
        let port = self.spa.as_ref()?.port().or(self.stand_in)?;
        // Of a fragment there is only a part.
        let whole = udp.destination_port == port && !segment.first_fragment;
        (whole && found.here).then_some(udp)
    }

    /// A datagram that is longer than the capture has room for: refused for its length, whatever its beginning says.
    fn cut_datagram(&mut self, from: IpAddr, events: &mut impl Events) {
        let counters = &mut self.counters;
        counters.datagrams = counters.datagrams.saturating_add(1);
        counters.foreign = counters.foreign.saturating_add(1);
        bump(&mut counters.rejected_by, Refusal::Length.index());
        events.foreign(from);
    }

    /// Serves single packet authorization by these rules, or no longer. What was seen and recorded before stays.
    pub fn serve(&mut self, now: Duration, rules: Option<SpaRules>, key: [u8; 16]) {
        self.spa = Spa::renew(self.spa.take(), now, rules, key);
    }

    /// Takes datagrams to this port from frames, in place of a socket that cannot be had; `None`: no longer. Where the rules say that they
    /// are captured, it means nothing.
    pub const fn stand_in(&mut self, port: Option<u16>) {
        self.stand_in = port;
    }

    /// The server behind single packet authorization, where the policy has one.
    pub const fn spa_server(&mut self) -> Option<&mut Server> {
        match &mut self.spa {
            Some(spa) => Some(spa.server_mut()),
            None => None,
        }
    }

    /// Up to which time no request is known to be new, after a lost replay store.
    #[must_use]
    pub fn guarded_until(&self) -> Option<Timestamp> {
        self.spa.as_ref().and_then(|spa| spa.server().guarded_until())
    }

    /// Looks at the payload of a datagram, captured here or received by a socket.
    pub fn datagram(&mut self, now: Duration, from: IpAddr, payload: &[u8], events: &mut impl Events) {
        self.counters.datagrams = self.counters.datagrams.saturating_add(1);
        let Some(spa) = &mut self.spa else { return };
        let Some((wall, store)) = events.spa() else { return };
        match spa.handle(Moment { now, wall }, from, payload, store, |address| self.scopes.is_own(address)) {
            Ok(admitted) => {
                self.counters.admitted = self.counters.admitted.saturating_add(1);
                let offset = admitted.time.offset_from(wall);
                match crate::spa_path::grant(&admitted, from, offset) {
                    Some(grant) => events.grant(grant),
                    None => events.hello(from, admitted.device, admitted.id, offset),
                }
            }
            Err(rejected) if rejected.id.is_some() => {
                bump(&mut self.counters.rejected_by, rejected.refusal.index());
                events.rejected(from, &rejected);
            }
            Err(rejected) => {
                bump(&mut self.counters.rejected_by, rejected.refusal.index());
                self.counters.foreign = self.counters.foreign.saturating_add(1);
                events.foreign(from);
            }
        }
    }

    /// Attempts under way.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.tracker.attempts()
    }

    /// How many there is room for.
    #[must_use]
    pub const fn attempts_room(&self) -> usize {
        self.tracker.room()
    }

    /// Attempts that were in time and had to make room for others.
    #[must_use]
    pub const fn attempts_displaced(&self) -> Displaced {
        self.tracker.displaced()
    }

    /// How many networks of admitted devices are remembered, of the lock that has most.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.spa.as_ref().map_or(0, |spa| spa.server().networks())
    }

    /// What became of the frames so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    const fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Invisible => &mut self.counters.invisible,
            Outcome::Started => &mut self.counters.started,
            Outcome::Advanced => &mut self.counters.advanced,
            Outcome::Completed => &mut self.counters.completed,
            Outcome::Broken | Outcome::Cancelled => &mut self.counters.broken,
            _ => &mut self.counters.ignored,
        };
        *counter = counter.saturating_add(1);
    }
}

/// One frame may complete every one-time pattern there is, and costs no allocation.
fn room_for_used_up(origins: &[Origin]) -> Vec<PatternId> {
    Vec::with_capacity(origins.iter().filter(|origin| origin.one_time).count())
}

/// Passes the tracker's words on in the gate's.
struct Relay<'a, E> {
    events: &'a mut E,
    origins: &'a [Origin],
    used_up: &'a mut Vec<PatternId>,
}

impl<E> Relay<'_, E> {
    fn origin(&self, id: PatternId) -> Option<Origin> {
        self.origins.get(usize::try_from(id.0).ok()?).copied()
    }
}

impl<E: Events> Sink for Relay<'_, E> {
    fn wants_stages(&self) -> bool {
        self.events.wants_stages()
    }

    fn stage(&mut self, source: IpAddr, id: PatternId, stage: u8) {
        if let Some(origin) = self.origin(id) {
            self.events.stage(source, origin.door, origin.knock, stage);
        }
    }

    fn expired(&mut self, source: IpAddr, id: PatternId, stage: u8) {
        if let Some(origin) = self.origin(id) {
            self.events.expired(source, origin.door, origin.knock, stage);
        }
    }

    fn complete(&mut self, source: IpAddr, id: PatternId) {
        let Some(origin) = self.origin(id) else { return };
        if origin.one_time {
            self.used_up.push(id);
        }
        let Origin { door, knock, action, .. } = origin;
        self.events.grant(Grant { door, by: By::Sequence(knock), action, source });
    }
}

/// The tracker's patterns for a policy, and where each comes from.
fn patterns(
    rules: &Rules,
    numbering: &mut Numbering<'_>,
) -> Result<(Vec<Pattern>, Vec<Origin>), TrackerError> {
    let mut patterns = Vec::new();
    let mut origins = Vec::new();
    for (door, rule) in (0u32..).map(DoorId).zip(&rules.doors) {
        let scope = numbering.scope_of(rule).ok_or(TrackerError::TooManyScopes)?;
        for (number, knock) in (0u8..).zip(&rule.knocks) {
            let one_time = matches!(knock.source, SequenceSource::OneTime(_));
            origins.push(Origin { door, knock: number, action: knock.action, one_time });
            patterns.push(Pattern {
                sequence: current(knock).cloned(),
                flags: knock.flags,
                timeout: knock.timeout,
                mode: knock.mode,
                scope,
                cooldown: knock.cooldown,
            });
        }
    }
    Ok((patterns, origins))
}

/// Whether a segment concerns this host and comes from somebody who can knock; if so, what its destination is to us.
fn concern<'a>(
    scopes: &'a Scopes,
    ipv6: bool,
    index: u32,
    segment: &Segment<'_>,
) -> Result<Found<'a>, Dropped> {
    if !segment.vlan.is_untagged() {
        return Err(Dropped::Tagged);
    }
    let found = scopes.look_up(index, segment.destination).ok_or(Dropped::UnknownInterface)?;
    if !ipv6 && segment.destination.is_ipv6() {
        return Err(Dropped::Ipv6Off);
    }
    if !can_knock(segment.source, found.loopback) {
        return Err(Dropped::ImpossibleSource);
    }
    if !found.here && found.scopes.is_empty() {
        return Err(Dropped::NotForUs);
    }
    Ok(found)
}

/// No door opens for an address nobody can answer from, nor for loopback addresses that came over a wire.
#[must_use]
pub fn can_knock(source: IpAddr, on_loopback: bool) -> bool {
    match source {
        IpAddr::V4(v4) => {
            // 240.0.0.0/4 (RFC 1112, section 4), which ends with what means everybody.
            let reserved = matches!(v4.octets(), [240..=255, ..]);
            let nobody = v4.is_unspecified() || v4.is_multicast() || reserved;
            !nobody && (on_loopback || !v4.is_loopback())
        }
        IpAddr::V6(v6) => {
            let nobody = v6.is_unspecified() || v6.is_multicast();
            !nobody && (on_loopback || !(v6.is_loopback() || v6.to_ipv4_mapped().is_some()))
        }
    }
}

fn hit_of(segment: &Segment<'_>) -> Hit {
    let source = segment.source;
    match &segment.transport {
        Transport::Udp(udp) => Hit {
            source,
            protocol: Protocol::Udp,
            port: udp.destination_port,
            flags: TcpFlags::default(),
            mark: None,
        },
        Transport::Tcp(tcp) => {
            let flags = TcpFlags::from_bits(tcp.flags);
            // What takes no room in the sequence space (a bare ACK) is never retransmitted: each one is a hit.
            let counted =
                flags.contains(TcpFlags::SYN) || flags.contains(TcpFlags::FIN) || tcp.payload_len > 0;
            let mark = u64::from(tcp.source_port) << 48
                | u64::from(tcp.destination_port) << 32
                | u64::from(tcp.sequence);
            Hit {
                source,
                protocol: Protocol::Tcp,
                port: tcp.destination_port,
                flags,
                mark: NonZeroU64::new(mark).filter(|_| counted),
            }
        }
    }
}

#[cfg(test)]
mod tests;
