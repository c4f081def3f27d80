//! A set as the kernel has it: whether it can hold a client's address for a time, and how it wants that said.
//!
//! A set with `flags interval` keeps a beginning and an end for each element. A beginning without its end reaches to the highest
//! address there is, so both always go together, in one message.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::known::{Generation, is_outdated};
use super::own::{TableId, address, long};
use super::ruleset::number;
use super::table::{SET_TIMEOUT, TYPE_IPV4, TYPE_IPV6};
use super::{
    Batch, DELETE_ELEMENT, Family, GET_ELEMENT, GET_GENERATION, GET_SET, NEW_ELEMENT, NEW_SET, Nft, NftError,
    SetName, accept_missing, header,
};
use crate::netlink::{ACK, Attributes, Builder, CREATE, DUMP, EXCLUSIVE, Message, REQUEST};

/// Nothing can be added.
const CONSTANT: u32 = 0x2;
/// Elements are ranges.
const INTERVAL: u32 = 0x4;
/// Elements lead to something.
const MAP: u32 = 0x8;
/// Types of what elements are have six bits each; several stand one behind the other.
const TYPE_BITS: u32 = 6;
/// A change that others keep getting ahead of is made all the same after so many looks, as of the last one.
const LOOKS: usize = 3;
/// Marks the end of a range (`NFT_SET_ELEM_INTERVAL_END`).
const END: u32 = 1;

/// Why a set cannot hold a client's address for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnfitSet {
    /// What is put in would stay.
    #[error("it has no `flags timeout`, and what is put in would stay for ever")]
    NoTimeout,
    /// Nothing can be put in.
    #[error("it has `flags constant`")]
    Constant,
    /// It is a map.
    #[error("it is a map")]
    Map,
    /// Of addresses with something else.
    #[error("its elements are several values together, and have to be an address each")]
    Concatenation,
    /// Of addresses of the other family.
    #[error("its elements are {0} addresses")]
    OtherFamily(&'static str),
    /// Of something else.
    #[error("its elements are no addresses")]
    NoAddresses,
}

/// A set by the number the kernel gave it within its table, and the table's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetId(TableId, u64);

/// A set as the kernel describes it.
#[derive(Debug, Clone, Copy)]
struct Described {
    number: u64,
    flags: u32,
    kind: u32,
    length: u32,
}

/// How a set wants its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One address each.
    Single,
    /// A beginning and an end.
    Range,
}

/// An element that is there.
#[derive(Debug, Clone, Copy)]
struct Standing {
    ends: bool,
}

/// Where an address would stand.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Old kernels do not say.
    generation: Option<Generation>,
    layout: Layout,
    /// The element that lets this address in: itself, or a range around it.
    standing: Option<Standing>,
}

impl Described {
    fn of(message: &Message<'_>) -> Option<Self> {
        let (_, set) = message.split(4).filter(|_| message.kind == NEW_SET)?;
        Some(Self {
            number: long(&set, 16).unwrap_or(0),
            flags: number(&set, 3).unwrap_or(0),
            kind: number(&set, 4).unwrap_or(0),
            length: number(&set, 5).unwrap_or(0),
        })
    }

    fn layout_for(&self, ipv6: bool) -> Result<Layout, UnfitSet> {
        let wanted = if ipv6 { (TYPE_IPV6, 16) } else { (TYPE_IPV4, 4) };
        let unfit = match (self.kind, self.length) {
            (kind, _) if kind >> TYPE_BITS > 0 => Some(UnfitSet::Concatenation),
            found if found == wanted => None,
            (TYPE_IPV4, _) => Some(UnfitSet::OtherFamily("IPv4")),
            (TYPE_IPV6, _) => Some(UnfitSet::OtherFamily("IPv6")),
            _ => Some(UnfitSet::NoAddresses),
        };
        match unfit {
            Some(unfit) => Err(unfit),
            None if self.flags & MAP != 0 => Err(UnfitSet::Map),
            None if self.flags & CONSTANT != 0 => Err(UnfitSet::Constant),
            None if self.flags & SET_TIMEOUT == 0 => Err(UnfitSet::NoTimeout),
            None if self.flags & INTERVAL != 0 => Ok(Layout::Range),
            None => Ok(Layout::Single),
        }
    }
}

impl Nft {
    /// Whether a set is there and can hold addresses of this family for a time.
    pub fn check_set(&mut self, set: &SetName, ipv6: bool) -> Result<(), NftError> {
        self.layout(set, ipv6).map(drop)
    }

    /// Puts an address into a set for this long; one that is there gets this time in place of its own. One that stands there
    /// without an end was put there by somebody else, and stays as it is.
    pub fn add_element(&mut self, set: &SetName, address: IpAddr, timeout: Duration) -> Result<(), NftError> {
        let millis = millis(timeout);
        let is_free = |standing: Option<Standing>| match standing {
            Some(Standing { ends: false }) => Err(NftError::StandsThere),
            _ => Ok(true),
        };
        // Add, delete, add: old kernels do not renew an element that is added again.
        let added = self.change_seen(set, address, is_free, |batch, layout| {
            batch.element(NEW_ELEMENT, set, address, layout, Some(millis));
            batch.element(DELETE_ELEMENT, set, address, layout, None);
            batch.element(NEW_ELEMENT, set, address, layout, Some(millis));
        });
        match added {
            Err(NftError::Kernel(error))
                if matches!(error.raw_os_error(), Some(libc::EEXIST | libc::ENOTEMPTY)) =>
            {
                Err(NftError::Overlaps)
            }
            other => other,
        }
    }

    /// The same where nothing is likely to stand: then it is one message. Where something does stand it is dear: before the kernel takes
    /// a transaction back it waits for all packets that are under way.
    pub fn add_new_element(
        &mut self,
        set: &SetName,
        address: IpAddr,
        timeout: Duration,
    ) -> Result<(), NftError> {
        if self.add_new(set, address, millis(timeout)) {
            return Ok(());
        }
        self.add_element(set, address, timeout)
    }

    /// Puts an address where nothing stands, without a look: while nobody has changed the ruleset since the last one, the set is what
    /// it was, and the kernel says whether there is something. Whatever else it says, a look will tell.
    fn add_new(&mut self, set: &SetName, address: IpAddr, millis: u64) -> bool {
        let Some((generation, layout)) = self.known.layout(set) else { return false };
        self.change_in(generation, |batch| batch.new_element(set, address, layout, millis)).is_ok()
    }

    /// Takes an address out of a set; one that is not there is fine, and one without an end was put there by somebody else.
    pub fn delete_element(&mut self, set: &SetName, address: IpAddr) -> Result<(), NftError> {
        let is_ours = |standing: Option<Standing>| Ok(standing.is_some_and(|standing| standing.ends));
        let deleted = self.change_seen(set, address, is_ours, |batch, layout| {
            batch.element(DELETE_ELEMENT, set, address, layout, None);
        });
        match deleted {
            Err(NftError::Missing) => Ok(()),
            other => other,
        }
    }

    /// Looks where this address would stand, and if that is as `wanted` says, makes the change while it is still so.
    fn change_seen(
        &mut self,
        set: &SetName,
        address: IpAddr,
        wanted: impl Fn(Option<Standing>) -> Result<bool, NftError>,
        fill: impl Fn(&mut Batch, Layout),
    ) -> Result<(), NftError> {
        for looks in 1.. {
            let seen = self.look(set, address)?;
            if !wanted(seen.standing)? {
                break;
            }
            let change = |batch: &mut Batch| fill(batch, seen.layout);
            match seen.generation.filter(|_| looks < LOOKS) {
                None => self.transaction(change)?,
                Some(generation) => match self.change_in(generation, change) {
                    Err(error) if is_outdated(&error) => continue,
                    done => done?,
                },
            }
            break;
        }
        Ok(())
    }

    /// Which sets have these names now, where there are any: one question for each table.
    pub fn set_ids(&mut self, names: &[SetName]) -> Result<HashMap<SetName, SetId>, NftError> {
        let mut ids = HashMap::new();
        let tables: HashSet<(Family, &str)> = names.iter().map(|name| (name.family, &*name.table)).collect();
        for (family, table) in tables {
            let Some((id, _)) = self.table(family, table)? else { continue };
            self.ask(GET_SET, DUMP, family, &[(1, table)], |message| {
                let set =
                    message.split(4).and_then(|(_, set)| (set.text(1)? == table).then(|| set.text(2))?);
                let number = Described::of(message).map(|described| SetId(id, described.number));
                ids.extend(
                    set.zip(number)
                        .map(|(set, number)| (SetName { family, table: table.to_owned(), set }, number)),
                );
            })?;
        }
        Ok(ids)
    }

    pub(super) fn layout(&mut self, set: &SetName, ipv6: bool) -> Result<Layout, NftError> {
        let described = self.described(set)?.ok_or(NftError::Missing)?;
        described.layout_for(ipv6).map_err(NftError::UnfitSet)
    }

    fn described(&mut self, name: &SetName) -> io::Result<Option<Described>> {
        let mut found = None;
        self.ask(GET_SET, ACK, name.family, &[(1, &name.table), (2, &name.set)], |message| {
            found = found.or(Described::of(message));
        })?;
        Ok(found)
    }

    /// Generation, set and element in one request. The generation comes first: what changes after it is noticed.
    fn look(&mut self, set: &SetName, address: IpAddr) -> Result<Seen, NftError> {
        let (mut generation, mut described, mut standing) = (None, None, None);
        let mut request = Builder::default();
        let header = header(set.family.number(), 0);
        request.message(GET_GENERATION, REQUEST, self.socket.next_sequence(), &header);
        request.message(GET_SET, REQUEST, self.socket.next_sequence(), &header);
        set.put(&mut request);
        let last = self.socket.next_sequence();
        request.message(GET_ELEMENT, REQUEST | ACK, last, &header);
        set.put(&mut request);
        request.nest(3, |list| put_key(list, address, 0, None));
        self.socket.send(&request.finish())?;
        let answer = self.socket.answers(last, |message| {
            generation = generation.or(Generation::of(message));
            described = described.or(Described::of(message));
            standing = standing.or(Standing::of(message));
        });
        let Some(described) = described else {
            return Err(answer.err().map_or(NftError::Missing, Into::into));
        };
        let layout = described.layout_for(address.is_ipv6()).map_err(NftError::UnfitSet)?;
        accept_missing(answer)?;
        if let Some(generation) = generation {
            self.known.note(generation, set, layout);
        }
        Ok(Seen { generation, layout, standing })
    }
}

impl SetName {
    pub(super) fn put(&self, message: &mut Builder) {
        message.put_text(1, &self.table);
        message.put_text(2, &self.set);
    }
}

impl Standing {
    /// The first element of an answer.
    fn of(message: &Message<'_>) -> Option<Self> {
        let (_, attributes) = message.split(4).filter(|_| message.kind == NEW_ELEMENT)?;
        let (_, element) = attributes.inside(3)?.next()?;
        Some(Self { ends: ends(&Attributes::new(element)) })
    }
}

impl Batch {
    fn element(&mut self, kind: u16, set: &SetName, address: IpAddr, layout: Layout, millis: Option<u64>) {
        let flags = if kind == NEW_ELEMENT { CREATE } else { 0 };
        self.element_with(kind, flags, set, address, layout, millis);
    }

    /// An address where none may stand yet.
    fn new_element(&mut self, set: &SetName, address: IpAddr, layout: Layout, millis: u64) {
        self.element_with(NEW_ELEMENT, CREATE | EXCLUSIVE, set, address, layout, Some(millis));
    }

    fn element_with(
        &mut self,
        kind: u16,
        flags: u16,
        set: &SetName,
        address: IpAddr,
        layout: Layout,
        millis: Option<u64>,
    ) {
        self.message(kind, flags, set.family);
        set.put(&mut self.builder);
        self.builder.nest(3, |list| {
            put_key(list, address, 0, millis);
            // Behind the highest address there is nothing: a range without an end is that address alone.
            if let Some(next) = next(address).filter(|_| layout == Layout::Range) {
                put_key(list, next, END, None);
            }
        });
    }
}

/// The message that opens a door whose set is known: an address where nothing stands, for this long. For those who measure.
#[cfg(any(test, feature = "build"))]
#[must_use]
pub fn opening(set: &SetName, address: IpAddr, timeout: Duration) -> Vec<u8> {
    let mut batch = Batch::begin(1, Some(Generation(1)));
    batch.new_element(set, address, Layout::Single, millis(timeout));
    batch.finish().bytes
}

pub(super) fn put_key(list: &mut Builder, address: IpAddr, flags: u32, millis: Option<u64>) {
    list.nest(1, |element| {
        element.nest(1, |key| match address {
            IpAddr::V4(v4) => key.put(1, &v4.octets()),
            IpAddr::V6(v6) => key.put(1, &v6.octets()),
        });
        if flags > 0 {
            element.put_be32(3, flags);
        }
        if let Some(millis) = millis {
            element.put(4, &millis.to_be_bytes());
        }
    });
}

/// Where a range of this address alone ends.
fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|next| Ipv4Addr::from(next).into()),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|next| Ipv6Addr::from(next).into()),
    }
}

pub(super) fn millis(timeout: Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Whether the kernel will drop this element.
pub(super) fn ends(element: &Attributes<'_>) -> bool {
    element.find(5).is_some()
}

/// The address an element begins with; none for the end of a range.
pub(super) fn begins_with(element: &Attributes<'_>) -> Option<IpAddr> {
    let is_end = number(element, 3).unwrap_or(0) & END != 0;
    address(element.inside(1)?.find(1)?).filter(|_| !is_end)
}
