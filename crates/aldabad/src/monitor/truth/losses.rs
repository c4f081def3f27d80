//! Which open doors have lost their element, and what that means.

use std::collections::HashSet;
use std::net::IpAddr;

use aldaba_runner::{LeaseId, Loss};

/// An open door that should have an element in a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: LeaseId,
    pub(super) address: IpAddr,
    /// That it has none is known.
    pub(super) lost: bool,
}

/// What has become of the leases of one set.
///
/// In another set than before, and in any set at the first look, what has the right address may come from a file and with a
/// time of its own: it gets that of its lease. In the same set, a part that is gone was taken out by hand, and so was one that stood alone; only where several
/// went and nothing of ours is left was it a flush.
pub(super) fn losses(
    same_set: bool,
    members: &HashSet<IpAddr>,
    leases: &[Listed],
    restore: bool,
) -> Vec<(LeaseId, Loss)> {
    let flushed = if restore { Loss::Restore } else { Loss::Report };
    let expected: Vec<&Listed> = leases.iter().filter(|lease| !lease.lost).collect();
    let missing: Vec<&Listed> =
        expected.iter().copied().filter(|lease| !members.contains(&lease.address)).collect();
    if !same_set {
        let is_there = |lease: &Listed| members.contains(&lease.address);
        let loss = |lease: &Listed| if is_there(lease) { Loss::Restore } else { flushed };
        return expected.into_iter().map(|lease| (lease.id, loss(lease))).collect();
    }
    let emptied = missing.len() > 1 && missing.len() == expected.len();
    let loss = if emptied { flushed } else { Loss::Removed };
    missing.into_iter().map(|lease| (lease.id, loss)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn listed(number: u8, lost: bool) -> Listed {
        Listed { id: LeaseId(number.into()), address: address(number), lost }
    }

    fn of(same_set: bool, members: &[u8], leases: &[u8], restore: bool) -> Vec<(u64, Loss)> {
        let members = members.iter().map(|last| address(*last)).collect();
        let leases: Vec<Listed> = leases.iter().map(|number| listed(*number, false)).collect();
        losses(same_set, &members, &leases, restore).into_iter().map(|(id, loss)| (id.0, loss)).collect()
    }

    #[test]
    fn one_taken_out_by_hand_is_the_administrators_will() {
        assert_eq!(of(true, &[1, 3], &[1, 2, 3], true), [(2, Loss::Removed)]);
        assert_eq!(of(true, &[], &[1], true), [(1, Loss::Removed)], "one alone may be either");
        assert_eq!(of(true, &[1, 2, 9], &[1, 2], true), []);
    }

    #[test]
    fn a_flush_takes_several_and_leaves_nothing_of_ours() {
        for (restore, loss) in [(true, Loss::Restore), (false, Loss::Report)] {
            assert_eq!(of(true, &[9], &[1, 2], restore), [(1, loss), (2, loss)]);
            assert_eq!(of(false, &[], &[1], restore), [(1, loss)], "with its set");
        }
    }

    #[test]
    fn elements_of_another_set_are_set_anew() {
        assert_eq!(of(false, &[1], &[1, 2], true), [(1, Loss::Restore), (2, Loss::Restore)]);
        assert_eq!(of(false, &[1], &[1, 2], false), [(1, Loss::Restore), (2, Loss::Report)]);
    }

    #[test]
    fn what_is_known_to_be_lost_is_not_taken_for_removed() {
        let leases = [listed(1, true), listed(2, false)];
        let members = HashSet::from([address(2)]);
        assert_eq!(losses(true, &members, &leases, true), []);
    }
}
