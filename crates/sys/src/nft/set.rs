//! A set as the kernel has it: whether it can hold a client's address for a time, and how it wants that said.
//!
//! A set with `flags interval` keeps a beginning and an end for each element. A beginning without its end reaches to the highest
//! address there is, so both always go together, in one message.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::own::{TableId, address, long};
use super::ruleset::number;
use super::table::{SET_TIMEOUT, TYPE_IPV4, TYPE_IPV6};
use super::{
    Batch, DELETE_ELEMENT, GET_ELEMENT, GET_SET, NEW_ELEMENT, NEW_SET, Nft, NftError, SetName,
    accept_missing, header,
};
use crate::netlink::{ACK, Attributes, Builder, CREATE, REQUEST};

/// Nothing can be added.
const CONSTANT: u32 = 0x2;
/// Elements are ranges.
const INTERVAL: u32 = 0x4;
/// Elements lead to something.
const MAP: u32 = 0x8;
/// Types of what elements are have six bits each; several stand one behind the other.
const TYPE_BITS: u32 = 6;
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
    id: SetId,
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

impl Described {
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
    ///
    /// Add, delete, add: old kernels do not renew an element that is added again.
    pub fn add_element(&mut self, set: &SetName, address: IpAddr, timeout: Duration) -> Result<(), NftError> {
        let layout = self.layout(set, address.is_ipv6())?;
        if self.standing(set, address)?.is_some_and(|standing| !standing.ends) {
            return Err(NftError::StandsThere);
        }
        let millis = millis(timeout);
        let added = self.transaction(|batch| {
            batch.element(NEW_ELEMENT, set, address, layout, Some(millis));
            batch.element(DELETE_ELEMENT, set, address, layout, None);
            batch.element(NEW_ELEMENT, set, address, layout, Some(millis));
        });
        match added.map_err(|error| (error.raw_os_error(), error)) {
            Ok(()) => Ok(()),
            Err((Some(libc::EEXIST | libc::ENOTEMPTY), _)) => Err(NftError::Overlaps),
            Err((_, error)) => Err(error.into()),
        }
    }

    /// Takes an address out of a set; one that is not there is fine, and one without an end was put there by somebody else.
    pub fn delete_element(&mut self, set: &SetName, address: IpAddr) -> Result<(), NftError> {
        let layout = match self.layout(set, address.is_ipv6()) {
            Err(NftError::Missing) => return Ok(()),
            layout => layout?,
        };
        if self.standing(set, address)?.is_none_or(|standing| !standing.ends) {
            return Ok(());
        }
        let deleted = self.transaction(|batch| batch.element(DELETE_ELEMENT, set, address, layout, None));
        accept_missing(deleted)
    }

    /// Which set has this name now; `None`: there is none.
    pub fn set_id(&mut self, name: &SetName) -> Result<Option<SetId>, NftError> {
        Ok(self.described(name)?.map(|set| set.id))
    }

    pub(super) fn layout(&mut self, set: &SetName, ipv6: bool) -> Result<Layout, NftError> {
        let described = self.described(set)?.ok_or(NftError::Missing)?;
        described.layout_for(ipv6).map_err(NftError::UnfitSet)
    }

    fn described(&mut self, name: &SetName) -> io::Result<Option<Described>> {
        let Some((table, _)) = self.table(name.family, &name.table)? else { return Ok(None) };
        let mut found = None;
        self.ask(GET_SET, ACK, name.family, &[(1, &name.table), (2, &name.set)], |message| {
            let attributes = message.split(4).filter(|_| message.kind == NEW_SET).map(|(_, rest)| rest);
            let read = attributes.map(|set| Described {
                id: SetId(table, long(&set, 16).unwrap_or(0)),
                flags: number(&set, 3).unwrap_or(0),
                kind: number(&set, 4).unwrap_or(0),
                length: number(&set, 5).unwrap_or(0),
            });
            found = found.or(read);
        })?;
        Ok(found)
    }

    /// The element that lets this address in: itself, or a range around it.
    fn standing(&mut self, set: &SetName, address: IpAddr) -> io::Result<Option<Standing>> {
        let mut builder = Builder::default();
        let sequence = self.socket.next_sequence();
        builder.message(GET_ELEMENT, REQUEST | ACK, sequence, &header(set.family.number(), 0));
        builder.put_text(1, &set.table);
        builder.put_text(2, &set.set);
        builder.nest(3, |list| put_key(list, address, 0, None));
        self.socket.send(&builder.finish())?;
        let mut found = None;
        let read = self.socket.dump(|message| {
            let list = message.split(4).filter(|_| message.kind == NEW_ELEMENT);
            let list = list.and_then(|(_, attributes)| attributes.inside(3));
            let element = list.into_iter().flatten().next().map(|(_, bytes)| Attributes::new(bytes));
            found = found.or(element.map(|element| Standing { ends: ends(&element) }));
        });
        match read {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            other => other.map(|()| found),
        }
    }
}

impl Batch {
    fn element(&mut self, kind: u16, set: &SetName, address: IpAddr, layout: Layout, millis: Option<u64>) {
        let flags = if kind == NEW_ELEMENT { CREATE } else { 0 };
        self.message(kind, flags, set.family);
        self.builder.put_text(1, &set.table);
        self.builder.put_text(2, &set.set);
        self.builder.nest(3, |list| {
            put_key(list, address, 0, millis);
            // Behind the highest address there is nothing: a range without an end is that address alone.
            if let Some(next) = next(address).filter(|_| layout == Layout::Range) {
                put_key(list, next, END, None);
            }
        });
    }
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
