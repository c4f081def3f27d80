//! A set of ports as ranges.

use std::ops::RangeInclusive;

/// A set of ports, kept as sorted ranges with at least one port between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}

impl PortSet {
    /// The ranges, in ascending order; never two that touch.
    #[must_use]
    pub fn ranges(&self) -> impl ExactSizeIterator<Item = RangeInclusive<u16>> + '_ {
        self.ranges.iter().map(|(first, last)| *first..=*last)
    }

    /// Whether it has no port.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether it has this port.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        let after = self.ranges.partition_point(|(first, _)| *first <= port);
        after.checked_sub(1).is_some_and(|at| port <= self.ranges[at].1)
    }

    pub(super) fn as_slice(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// A superset with at most `most` ranges: the narrowest gaps are closed.
    pub(super) fn widened(&self, most: usize) -> Self {
        let most = most.max(1);
        if self.ranges.len() <= most {
            return self.clone();
        }
        let mut gaps: Vec<(u16, usize)> =
            self.ranges.windows(2).enumerate().map(|(at, pair)| (pair[1].0 - pair[0].1, at)).collect();
        gaps.sort_unstable();
        let mut stays = vec![true; gaps.len()];
        for (_, at) in gaps.iter().take(self.ranges.len() - most) {
            stays[*at] = false;
        }
        let mut ranges = vec![self.ranges[0]];
        for (next, stays) in self.ranges.iter().skip(1).zip(stays) {
            match ranges.last_mut() {
                Some(last) if !stays => last.1 = next.1,
                _ => ranges.push(*next),
            }
        }
        Self { ranges }
    }

    /// A subset with at most `most` ranges: the smallest are left out.
    pub(super) fn narrowed(&self, most: usize) -> Self {
        let mut ranges = self.ranges.clone();
        ranges.sort_by_key(|(first, last)| std::cmp::Reverse(last - first));
        ranges.truncate(most);
        ranges.sort_unstable();
        Self { ranges }
    }
}

impl FromIterator<u16> for PortSet {
    fn from_iter<I: IntoIterator<Item = u16>>(ports: I) -> Self {
        ports.into_iter().map(|port| port..=port).collect()
    }
}

impl FromIterator<RangeInclusive<u16>> for PortSet {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut given: Vec<(u16, u16)> =
            ranges.into_iter().filter(|range| !range.is_empty()).map(RangeInclusive::into_inner).collect();
        given.sort_unstable();
        let mut ranges: Vec<(u16, u16)> = Vec::with_capacity(given.len());
        for (first, end) in given {
            match ranges.last_mut() {
                Some((_, last)) if first <= last.saturating_add(1) => *last = end.max(*last),
                _ => ranges.push((first, end)),
            }
        }
        Self { ranges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranges: &[(u16, u16)]) -> PortSet {
        ranges.iter().map(|(first, last)| *first..=*last).collect()
    }

    #[test]
    fn what_touches_or_overlaps_is_one_range() {
        let ports: PortSet = [7000, 8000, 7001, 7002, 7000].into_iter().collect();
        assert_eq!(ports.as_slice(), [(7000, 7002), (8000, 8000)]);
        assert_eq!(
            of(&[(10, 20), (12, 14), (21, 30), (65_535, 65_535), (40, 65_534)]).as_slice(),
            [(10, 30), (40, 65_535)]
        );
        let none = of(&[(9, 3)]);
        assert!(none.is_empty());
    }

    #[test]
    fn borders_belong_to_it() {
        let ports = of(&[(0, 0), (10, 20), (65_535, 65_535)]);
        for inside in [0, 10, 15, 20, 65_535] {
            assert!(ports.contains(inside), "{inside}");
        }
        for outside in [1, 9, 21, 65_534] {
            assert!(!ports.contains(outside), "{outside}");
        }
    }

    #[test]
    fn widening_closes_the_narrowest_gaps() {
        let ports = of(&[(1, 1), (3, 3), (100, 100), (103, 103), (9000, 9000)]);
        assert_eq!(ports.widened(9), ports);
        assert_eq!(ports.widened(3).as_slice(), [(1, 3), (100, 103), (9000, 9000)]);
        assert_eq!(ports.widened(0).as_slice(), [(1, 9000)]);
    }

    #[test]
    fn narrowing_forgets_the_smallest_ranges() {
        let ports = of(&[(1, 1), (5, 9), (100, 104), (200, 201)]);
        assert_eq!(ports.narrowed(2).as_slice(), [(5, 9), (100, 104)]);
        assert_eq!(ports.narrowed(0).as_slice(), []);
    }
}
