//! Many elements of one set in one transaction: what comes back after a flush, or ends at the same time.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use super::set::{self, Layout};
use super::{Batch, DELETE_ELEMENT, NEW_ELEMENT, Nft, NftError, SetName};
use crate::netlink::CREATE;

/// An element of a message's list: for how many milliseconds, where that is to be said.
type Listed = (IpAddr, Option<u64>);

impl Nft {
    /// So many changes go into one transaction: a list of them must not be longer than an attribute can be (64 KiB).
    pub const MOST_TOGETHER: usize = 512;

    /// Puts addresses of one family into a set or takes them out, each of them once and by the rules of
    /// [`add_element`](Self::add_element) and [`delete_element`](Self::delete_element). Whether they could be changed together:
    /// not in a set of ranges, nor where somebody else has put one of them there without an end.
    pub fn change_together(
        &mut self,
        set: &SetName,
        changes: &[(IpAddr, Option<Duration>)],
    ) -> Result<bool, NftError> {
        let Some((first, _)) = changes.first() else { return Ok(true) };
        if self.layout(set, first.is_ipv6())? != Layout::Single {
            return Ok(false);
        }
        let endless = self.endless(set)?;
        if changes.iter().any(|(address, _)| endless.contains(address)) {
            return Ok(false);
        }
        // What is taken out is put in first: taken out alone, one that is not there would undo the transaction.
        let time = |timeout: &Option<Duration>| Some(timeout.map_or(1, set::millis));
        let all: Vec<Listed> = changes.iter().map(|(address, timeout)| (*address, time(timeout))).collect();
        let gone: Vec<Listed> = changes.iter().map(|(address, _)| (*address, None)).collect();
        let stay: Vec<Listed> = changes
            .iter()
            .filter(|(_, timeout)| timeout.is_some())
            .map(|(address, timeout)| (*address, time(timeout)))
            .collect();
        self.transaction(|batch| {
            batch.list(NEW_ELEMENT, set, &all);
            batch.list(DELETE_ELEMENT, set, &gone);
            if !stay.is_empty() {
                batch.list(NEW_ELEMENT, set, &stay);
            }
        })?;
        Ok(true)
    }

    /// The addresses in a set that no time ends.
    fn endless(&mut self, set: &SetName) -> Result<HashSet<IpAddr>, NftError> {
        let mut endless = HashSet::new();
        self.each_element(set, |element| {
            endless.extend(set::begins_with(element).filter(|_| !set::ends(element)));
        })?;
        Ok(endless)
    }
}

impl Batch {
    pub(super) fn list(&mut self, kind: u16, set: &SetName, elements: &[Listed]) {
        let flags = if kind == NEW_ELEMENT { CREATE } else { 0 };
        self.message(kind, flags, set.family);
        set.put(&mut self.builder);
        self.builder.nest(3, |list| {
            for (address, millis) in elements {
                set::put_key(list, *address, 0, *millis);
            }
        });
    }
}
