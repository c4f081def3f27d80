//! Datagrams the kernel did not queue at a socket, told apart: those it had no room for, and those it refused.
//!
//! The socket's own counter (`SO_MEMINFO`) has both together: what its filter or the checksum refused, and what found its
//! buffer full. The counters of the network namespace (`RcvbufErrors` and `MemErrors`, in /proc/net) have only the latter,
//! but of all sockets in it. What this socket had no room for is in both, so it is never more than the smaller number between
//! two looks. It is exactly that while no other socket of the host overflows; while one does, what is refused here may count as lost.

use std::io;
use std::os::fd::BorrowedFd;

use crate::option;

/// The numbers of `SO_MEMINFO` (`SK_MEMINFO_VARS`), and where the dropped ones stand.
const MEMORY_NUMBERS: usize = 9;
const DROPS: usize = 8;
/// Of the network namespace the calling thread is in.
const COUNTERS: &str = "/proc/thread-self/net/snmp";
const COUNTERS_IPV6: &str = "/proc/thread-self/net/snmp6";

/// Datagrams that were not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// There was no room for them.
    pub drops: u64,
    /// The filter did not let them pass, or their checksum was wrong.
    pub refused: u64,
}

impl Losses {
    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self {
            drops: self.drops.saturating_add(others.drops),
            refused: self.refused.saturating_add(others.refused),
        }
    }
}

/// Counts what a socket loses from one look to the next.
#[derive(Debug, Clone, Copy)]
pub struct LossCounter {
    unqueued: u32,
    no_room: u64,
}

impl LossCounter {
    /// Counts from now on.
    pub fn begin(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let no_room = no_room()?;
        Ok(Self { unqueued: unqueued(socket)?, no_room })
    }

    /// What was lost since the last look. To be asked before the socket's counter runs over: it has 32 bits.
    pub fn look(&mut self, socket: BorrowedFd<'_>) -> io::Result<Losses> {
        // Before and after: what is dropped meanwhile belongs to this time or the next, and is not missed in either.
        let before = no_room()?;
        let unqueued = unqueued(socket)?;
        let all = u64::from(unqueued.wrapping_sub(self.unqueued));
        let drops = all.min(no_room()?.saturating_sub(self.no_room));
        *self = Self { unqueued, no_room: before };
        Ok(Losses { drops, refused: all - drops })
    }
}

/// Datagrams this socket has not queued, for whatever reason.
fn unqueued(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let numbers: [u32; MEMORY_NUMBERS] = option::numbers(socket, libc::SOL_SOCKET, libc::SO_MEMINFO)?;
    Ok(numbers[DROPS])
}

/// Datagrams that found no room in any socket's buffer.
fn no_room() -> io::Result<u64> {
    let ipv4 = of_ipv4(&std::fs::read_to_string(COUNTERS)?).ok_or(io::ErrorKind::InvalidData)?;
    // A kernel without IPv6 has no such file.
    let ipv6 = std::fs::read_to_string(COUNTERS_IPV6).map_or(0, |text| of_ipv6(&text));
    Ok(ipv4.saturating_add(ipv6))
}

/// A line with the names of UDP's counters, and one with their values below.
fn of_ipv4(text: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let names_and_values = lines.next()?.split(' ').zip(lines.next()?.split(' '));
    let wanted = names_and_values.filter(|(name, _)| matches!(*name, "RcvbufErrors" | "MemErrors"));
    wanted.map(|(_, value)| value.parse::<u64>().ok()).sum()
}

/// A line for each counter. One this kernel does not have is zero.
fn of_ipv6(text: &str) -> u64 {
    let counters = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let wanted = counters.filter(|(name, _)| matches!(*name, "Udp6RcvbufErrors" | "Udp6MemErrors"));
    wanted.filter_map(|(_, value)| value.trim().parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_both_families_are_found_by_name() {
        let text = "Tcp: RtoAlgorithm RcvbufErrors\nTcp: 1 99\n\
                    Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti MemErrors\n\
                    Udp: 10 1 8 20 5 0 2 0 1\nUdpLite: InDatagrams RcvbufErrors\nUdpLite: 0 77\n";
        assert_eq!(of_ipv4(text), Some(6));
        assert_eq!(of_ipv4("Udp: InDatagrams RcvbufErrors\nUdp: 3 4\n"), Some(4), "an older kernel's");
        assert_eq!((of_ipv4("Tcp: 1\n"), of_ipv4("Udp: RcvbufErrors\nUdp: many\n")), (None, None));
        let text = "Udp6InErrors                    \t9\nUdp6RcvbufErrors                \t3\nUdp6MemErrors \t4\n\
                    UdpLite6RcvbufErrors            \t50\n";
        assert_eq!((of_ipv6(text), of_ipv6("")), (7, 0));
    }
}
