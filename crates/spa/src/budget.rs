//! How many key agreements a lock may cost. spec/spa.md, section 8, steps 4 and 14.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::seen::Keyed;

/// Tokens that come back over time, up to a burst.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    per_second: u32,
    burst: u32,
    /// Nanoseconds' worth of tokens: a token is `1 s / per_second`.
    level: Duration,
    since: Duration,
}

impl Bucket {
    pub(crate) fn full(per_second: u32, burst: u32, now: Duration) -> Self {
        let mut bucket = Self { per_second, burst, level: Duration::ZERO, since: now };
        bucket.level = bucket.worth(burst);
        bucket
    }

    fn worth(&self, tokens: u32) -> Duration {
        Duration::from_secs(1).checked_div(self.per_second).unwrap_or(Duration::MAX).saturating_mul(tokens)
    }

    /// Takes a token, or says that there is none.
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.since);
        self.since = self.since.max(now);
        self.level = self.level.saturating_add(passed).min(self.worth(self.burst));
        match self.level.checked_sub(self.worth(1)) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }
}

/// The most networks a lock remembers.
pub(crate) const NETWORKS: usize = 4096;
/// For how long.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// A lock's key agreements: half for everybody, half for networks that somebody was admitted from in the last day, so that
/// an insider who spends the first half from made-up addresses does not shut them out.
pub(crate) struct Budget {
    common: Bucket,
    reserve: Bucket,
    admitted: HashMap<IpAddr, Duration, Keyed>,
}

impl Budget {
    /// Key agreements a second.
    pub(crate) const PER_SECOND: u32 = 4000;
    /// And at once.
    pub(crate) const BURST: u32 = 8000;

    pub(crate) fn new(now: Duration, key: [u8; 16]) -> Self {
        let half = || Bucket::full(Self::PER_SECOND / 2, Self::BURST / 2, now);
        Self {
            common: half(),
            reserve: half(),
            admitted: HashMap::with_capacity_and_hasher(NETWORKS, Keyed(key)),
        }
    }

    /// Takes what one datagram costs.
    pub(crate) fn take(&mut self, now: Duration, source: IpAddr) -> bool {
        self.common.take(now) || (self.is_admitted(now, source) && self.reserve.take(now))
    }

    fn is_admitted(&self, now: Duration, source: IpAddr) -> bool {
        let since = self.admitted.get(&network(source));
        since.is_some_and(|since| now.saturating_sub(*since) < REMEMBERED)
    }

    /// How many networks it remembers.
    pub(crate) fn networks(&self) -> usize {
        self.admitted.len()
    }

    /// Somebody was admitted from here.
    pub(crate) fn admit(&mut self, now: Duration, source: IpAddr) {
        let network = network(source);
        if self.admitted.len() >= NETWORKS && !self.admitted.contains_key(&network) {
            let oldest = self.admitted.iter().min_by_key(|(_, since)| **since).map(|(network, _)| *network);
            oldest.and_then(|network| self.admitted.remove(&network));
        }
        self.admitted.insert(network, now);
    }
}

/// The /24 or /56 of an address; one of IPv4 that a socket of IPv6 shows is IPv4.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & 0xffff_ff00).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 72)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(2, 40, SECOND);
        let mut taken = |now| (0..100).filter(|_| bucket.take(now)).count();
        assert_eq!(taken(SECOND), 40);
        assert_eq!(taken(SECOND * 2), 2);
        assert_eq!(taken(SECOND * 1000), 40);
        // A clock that went back gives nothing.
        assert_eq!(taken(SECOND), 0);
    }

    #[test]
    fn a_flood_leaves_the_reserve_to_networks_that_were_admitted() {
        let mut budget = Budget::new(SECOND, [1; 16]);
        let (friend, neighbour) = (IpAddr::from([192, 0, 2, 7]), IpAddr::from([192, 0, 2, 200]));
        budget.admit(SECOND, friend);
        let strangers =
            (0..20_000_u32).filter(|number| budget.take(SECOND, IpAddr::from(number.to_be_bytes())));
        assert_eq!(strangers.count(), 4000);
        assert!(budget.take(SECOND, friend) && budget.take(SECOND, neighbour));
        // It is full again, and the friend forgotten.
        let later = SECOND * 90_000;
        assert_eq!((0..20_000).filter(|_| budget.take(later, friend)).count(), 4000);
    }

    #[test]
    fn the_networks_are_bounded_and_the_oldest_goes() {
        let mut budget = Budget::new(SECOND, [1; 16]);
        let source = |number: u32| IpAddr::from((number << 8).to_be_bytes());
        for number in 0..5000 {
            budget.admit(SECOND * (number + 1), source(number));
        }
        assert_eq!(budget.admitted.len(), NETWORKS);
        assert!(!budget.admitted.contains_key(&source(0)));
        assert!(budget.admitted.contains_key(&source(4999)));
    }

    #[test]
    fn networks_are_a_24_and_a_56() {
        let of = |text: &str| network(text.parse().expect("an address")).to_string();
        assert_eq!(of("203.0.113.77"), "203.0.113.0");
        assert_eq!(of("::ffff:203.0.113.77"), "203.0.113.0");
        assert_eq!(of("2001:db8:1:2345:6789::1"), "2001:db8:1:2300::");
    }
}
