//! Where the sources of hits to come live in the table: found once for the fetching and for the hit.

use std::net::{IpAddr, Ipv4Addr};

use super::Tracker;
use super::table::Home;

/// Of the hits to come, each one's source and its home, in order.
#[derive(Debug)]
pub(super) struct Ahead {
    sources: [IpAddr; Tracker::AHEAD],
    homes: [Home; Tracker::AHEAD],
    count: usize,
    /// The one that comes next.
    next: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            sources: [nobody; Tracker::AHEAD],
            homes: [Home::default(); Tracker::AHEAD],
            count: 0,
            next: 0,
        }
    }
}

impl Ahead {
    /// Forgets those there are, and takes these.
    pub(super) fn renew(&mut self, sources: impl IntoIterator<Item = IpAddr>, home: impl Fn(IpAddr) -> Home) {
        (self.count, self.next) = (0, 0);
        let places = self.sources.iter_mut().zip(&mut self.homes);
        for ((place, its_home), source) in places.zip(sources) {
            (*place, *its_home) = (source, home(source));
            self.count = self.count.saturating_add(1);
        }
    }

    pub(super) fn homes(&self) -> &[Home] {
        self.homes.get(..self.count).unwrap_or_default()
    }

    /// The home of the source that hits next, if it is the one that was to come. Behind one that never came all others are
    /// strangers.
    pub(super) fn home_of(&mut self, source: IpAddr) -> Option<Home> {
        let known = self.sources.get(..self.count)?.get(self.next).filter(|known| **known == source);
        let home = known.and_then(|_| self.homes.get(self.next)).copied()?;
        self.next = self.next.saturating_add(1);
        Some(home)
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::Table;
    use super::*;
    use crate::Limits;

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(number))
    }

    #[test]
    fn homes_are_known_in_the_order_they_were_said_in() {
        let table = Table::new(Limits::default(), [5; 16]).unwrap();
        let mut ahead = Ahead::default();
        assert_eq!(ahead.home_of(source(1)), None, "nobody was said");
        ahead.renew((0..40).map(source), |source| table.home(source));
        assert_eq!(ahead.homes().len(), Tracker::AHEAD);
        for number in 0..16 {
            assert_eq!(ahead.home_of(source(99)), None, "somebody in between");
            assert_eq!(ahead.home_of(source(number)), Some(table.home(source(number))));
        }
        assert_eq!(ahead.home_of(source(16)), None, "more than there is room for");
        ahead.renew([source(7)], |source| table.home(source));
        assert_eq!(ahead.homes().len(), 1);
        assert_eq!(ahead.home_of(source(7)), Some(table.home(source(7))));
        assert_eq!(ahead.home_of(source(1)), None, "of the group before");
    }
}
