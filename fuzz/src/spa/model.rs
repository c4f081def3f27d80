//! What the server must say of a datagram, told as plainly as spec/spa.md does: sets and sums, no caches, no shortcuts.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use aldaba_spa::{
    Admitted, Demand, DeviceId, KnockId, Malformed, Moment, Refusal, Rejected, Timestamp, Window,
};

use super::world::{self, DEVICES, DOORS, Disk, LOCKS, REGISTERED};

/// A datagram, and what whoever made it knows of it.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    /// The lock that made its tag; `None` if it is no datagram, or its tag is wrong.
    pub(crate) lock: Option<usize>,
    pub(crate) inside: Inside,
}

/// What is in the envelope.
#[derive(Clone)]
pub(crate) enum Inside {
    /// An ephemeral key of small order.
    SmallEphemeral,
    /// The device's key cannot be opened.
    Junk,
    /// A request that cannot be opened, in the name of this device.
    Forged(usize),
    /// What this device wrote.
    Plaintext(usize, Vec<u8>),
}

/// What is remembered of a device.
#[derive(Clone, Default)]
struct Record {
    floor: u64,
    recent: BTreeSet<u64>,
}

struct Guard {
    raised: u64,
    moved: u64,
    start: Duration,
}

pub(crate) struct Model {
    window: Window,
    /// Every datagram that got past the gate since the last start.
    seen: HashSet<Vec<u8>>,
    memory: [Option<Record>; REGISTERED],
    stored: [Option<Record>; REGISTERED],
    /// Half seconds of the rate that are left, in nanoseconds, and when that was reckoned.
    rates: [Option<(u128, Duration)>; REGISTERED],
    /// After a loss: up to when nothing is new, as it was then and as the clock had it since, and when that was.
    guard: Option<Guard>,
    pub(crate) disk: Disk,
    /// The latest the wall clock ever was.
    latest: Timestamp,
    /// Everything that was ever admitted, whatever was lost since.
    admitted: BTreeSet<(DeviceId, u64)>,
}

/// A token is half a second, and there are 40.
const TOKEN: u128 = 500_000_000;

impl Model {
    pub(crate) fn new(window: Window) -> Self {
        Self {
            window,
            seen: HashSet::new(),
            memory: Default::default(),
            stored: Default::default(),
            rates: Default::default(),
            guard: None,
            disk: Disk::Keeps,
            latest: Timestamp(0),
            admitted: BTreeSet::new(),
        }
    }

    pub(crate) fn restart(&mut self) {
        self.seen.clear();
        self.memory = self.stored.clone();
        self.rates = Default::default();
        if let Some(guard) = &mut self.guard {
            guard.moved = guard.raised;
        }
    }

    /// The guard relies on the clock being right when it goes up: not behind what it ever was.
    pub(crate) fn lose_the_store(&mut self, at: Moment) -> Timestamp {
        self.latest = self.latest.max(at.wall);
        self.stored = Default::default();
        let until = self.latest.after(self.window.future).0;
        let before = self.guard.as_ref().map_or(0, |guard| guard.raised);
        let raised = until.max(before);
        self.guard = Some(Guard { raised, moved: raised, start: at.now });
        self.restart();
        self.latest
    }

    /// Compares what a server said; and whatever both say, nothing is admitted twice.
    pub(crate) fn compare(
        &mut self,
        at: Moment,
        source: IpAddr,
        made: &Made,
        said: &Result<Admitted, Rejected>,
    ) {
        self.latest = self.latest.max(at.wall);
        let lock = made.lock.filter(|lock| is_live(*lock, at.wall));
        let id = lock.map(|lock| KnockId(world::with_gate(lock, |gate| gate.knock_id(&made.bytes))));
        match (self.handle(at, source, made), said) {
            (Ok((device, time, demand)), Ok(admitted)) => {
                assert_eq!((device, id, demand), (admitted.device, Some(admitted.id), admitted.demand));
                assert!(self.admitted.insert((device, time)), "{device:?} was let in twice at {time}");
            }
            (Err((refusal, device)), Err(rejected)) => {
                // Which of several things is wrong with a core is not written down.
                let same =
                    refusal == rejected.refusal || (refusal.step(), rejected.refusal.step()) == (11, 11);
                assert!(same, "{refusal:?} and not {rejected:?}");
                assert_eq!((rejected.id, rejected.device), (id, device), "{refusal:?}");
            }
            (expected, _) => panic!("{expected:?} and not {said:?}"),
        }
    }

    /// Steps 1 to 16.
    fn handle(&mut self, at: Moment, source: IpAddr, made: &Made) -> Result<(DeviceId, u64, Demand), No> {
        if !(144..=1232).contains(&made.bytes.len()) {
            return Err((Refusal::Length, None));
        }
        made.lock.filter(|lock| is_live(*lock, at.wall)).ok_or((Refusal::Tag, None))?;
        if !self.seen.insert(made.bytes[made.bytes.len() - 16..].to_vec()) {
            return Err((Refusal::Repeated, None));
        }
        let (device, plaintext) = match &made.inside {
            Inside::SmallEphemeral => return Err((Refusal::Ephemeral, None)),
            Inside::Junk => return Err((Refusal::SealedKey, None)),
            Inside::Forged(device) => (registered(*device, at.wall)?, None),
            Inside::Plaintext(device, plaintext) => (registered(*device, at.wall)?, Some(plaintext)),
        };
        let id = DeviceId(u32::try_from(device).unwrap_or(u32::MAX));
        let blame = |refusal| (refusal, Some(id));
        let request = read(plaintext.ok_or(blame(Refusal::Forged))?).map_err(blame)?;
        self.refresh(at, device, request.time).map_err(blame)?;
        let demand = admit(device, &request, source).map_err(blame)?;
        Ok((id, request.time, demand))
    }

    /// Steps 12 to 15.
    fn refresh(&mut self, at: Moment, device: usize, time: u64) -> Result<(), Refusal> {
        let record = self.memory[device].get_or_insert_default();
        let (past, future) = (at.wall.before(self.window.past).0, at.wall.after(self.window.future).0);
        if !(past..=future).contains(&time) {
            let most = i128::from(i64::MAX);
            let offset = (i128::from(time) - i128::from(at.wall.0)).clamp(-most, most);
            let offset = i64::try_from(offset).expect("it was cut");
            return Err(Refusal::Clock { offset, used: time <= record.floor });
        }
        if time <= record.floor {
            return Err(Refusal::Old);
        }
        if record.recent.contains(&time) {
            return Err(Refusal::Replay);
        }
        if let Some(guard) = &mut self.guard {
            let since = u64::try_from((at.now - guard.start).as_micros()).expect("small");
            let future = u64::try_from(self.window.future.as_micros()).expect("small");
            guard.moved = guard.moved.max(at.wall.0.saturating_sub(since).saturating_add(future));
            if time <= guard.moved {
                return Err(Refusal::Guard);
            }
        }
        let (level, since) = self.rates[device].unwrap_or((40 * TOKEN, at.now));
        let level = (level + (at.now - since).as_nanos()).min(40 * TOKEN);
        self.rates[device] = Some((level.checked_sub(TOKEN).unwrap_or(level), at.now));
        if level < TOKEN {
            return Err(Refusal::Rate);
        }
        record.accept(&self.window, time);
        if self.disk != Disk::Fails {
            self.stored[device] = Some(record.clone());
        }
        if self.disk == Disk::Keeps { Ok(()) } else { Err(Refusal::Store) }
    }
}

/// Why not, and whose it claims to be.
type No = (Refusal, Option<DeviceId>);

impl Record {
    fn accept(&mut self, window: &Window, time: u64) {
        self.recent.insert(time);
        let newest = *self.recent.last().expect("one");
        let slack = u64::try_from(window.slack.as_micros()).expect("a slack");
        self.floor = self.floor.max(newest.saturating_sub(slack).saturating_sub(1));
        if self.recent.len() > 16 {
            self.floor = self.floor.max(*self.recent.first().expect("one"));
        }
        self.recent.retain(|time| *time > self.floor);
    }
}

/// From ten minutes before to ten minutes after its dates.
fn is_live(lock: usize, wall: Timestamp) -> bool {
    LOCKS[lock].3.is_none_or(|(from, until)| {
        (world::seconds(from - 600)..=world::seconds(until + 600)).contains(&wall)
    })
}

fn registered(device: usize, wall: Timestamp) -> Result<usize, No> {
    if device >= REGISTERED {
        return Err((Refusal::UnknownDevice, None));
    }
    let ends = DEVICES[device].expires.map(|after| world::BASE.0 + after * 1_000_000);
    if ends.is_some_and(|ends| wall.0 >= ends) {
        return Err((Refusal::InvalidDevice, None));
    }
    Ok(device)
}

struct Request {
    op: u8,
    seconds: u16,
    door: [u8; 4],
    time: u64,
    address: Option<Ipv6Addr>,
}

/// Step 11, field by field of section 7.
fn read(plaintext: &[u8]) -> Result<Request, Refusal> {
    let wrong = |malformed| Err(Refusal::Malformed(malformed));
    let (op, flags) = (plaintext[0], plaintext[1]);
    let seconds = u16::from_be_bytes(plaintext[2..4].try_into().expect("2 bytes"));
    let door: [u8; 4] = plaintext[4..8].try_into().expect("4 bytes");
    let time = u64::from_be_bytes(plaintext[8..16].try_into().expect("8 bytes"));
    let address: [u8; 16] = plaintext[16..32].try_into().expect("16 bytes");
    if !(1..=3).contains(&op) {
        return wrong(Malformed::Operation);
    }
    if flags > 1 {
        return wrong(Malformed::Flags);
    }
    if (flags == 1) != (address != [0; 16]) {
        return wrong(Malformed::Address);
    }
    if (op == 3) != (door == [0; 4]) {
        return wrong(Malformed::Door);
    }
    if op != 1 && (flags != 0 || seconds != 0) {
        return wrong(Malformed::UnusedField);
    }
    if plaintext[32..].iter().any(|byte| *byte != 0) {
        return wrong(Malformed::Padding);
    }
    Ok(Request { op, seconds, door, time, address: (flags == 1).then(|| address.into()) })
}

/// Step 16.
fn admit(device: usize, request: &Request, source: IpAddr) -> Result<Demand, Refusal> {
    let known = &DEVICES[device];
    let outer = wide(source);
    if known.from.is_some() && !is_in(outer, (0xffff_c633_6400, 120)) {
        return Err(Refusal::Network);
    }
    if request.op == 3 {
        return Ok(Demand::Hello);
    }
    let named = DOORS.iter().find(|(name, ..)| *world::tag(name).as_bytes() == request.door);
    let allowed = named.filter(|(name, ..)| !known.web_only || *name == "web");
    let (_, door, bound) = *allowed.ok_or(Refusal::Door)?;
    if request.op == 2 {
        return Ok(Demand::Close { door });
    }
    let inner = request.address.map(u128::from);
    let address = match inner {
        None if bound || known.bound => return Err(Refusal::Unbound),
        None => outer,
        Some(inner) if inner == outer || known.delegates => inner,
        Some(_) => return Err(Refusal::Relayed),
    };
    if NEVER.iter().any(|network| is_in(address, *network)) {
        return Err(Refusal::Address);
    }
    Ok(Demand::Open { door, address: Ipv6Addr::from(address).to_canonical(), seconds: request.seconds })
}

/// An address as 16 bytes, IPv4 as `::ffff:a.b.c.d`.
fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// What is never opened: address and bits. IPv4's 0/8, 127/8, 169.254/16, 224/4 and 240/4; ::/96, fe80::/10, ff00::/8.
const NEVER: [(u128, u32); 8] = [
    (0xffff_0000_0000, 104),
    (0xffff_7f00_0000, 104),
    (0xffff_a9fe_0000, 112),
    (0xffff_e000_0000, 100),
    (0xffff_f000_0000, 100),
    (0, 96),
    (0xfe80 << 112, 10),
    (0xff00 << 112, 8),
];

fn is_in(address: u128, (network, bits): (u128, u32)) -> bool {
    (address ^ network) >> (128 - bits) == 0
}
