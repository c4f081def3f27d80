//! Which doors guard which ports: a packet's port leads to the rules of its doors at once, however many others there are.
//!
//! Ranges of several doors may overlap. They are cut into pieces of which each is guarded by the same doors from its first port to
//! its last; every piece has a chain of its own, and one look at a map of all pieces finds it. Pieces that are only shut so far
//! ([`super::steps`]) have none, and the map itself drops.

use std::collections::{BTreeMap, BTreeSet};

use super::table::DoorSpec;

/// Ports that the same doors guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece<'d> {
    pub(super) udp: bool,
    pub(super) first: u16,
    pub(super) last: u16,
    /// In the order of the table.
    pub(super) doors: Vec<&'d DoorSpec>,
}

/// What begins at a port of a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    /// Ports whose rules stand in this chain.
    To(String),
    /// Ports that are only shut.
    Shut,
    /// Ports that nobody guards.
    End,
}

/// How the names of all chains of pieces begin.
const TCP: &str = "tcp_";
const UDP: &str = "udp_";
/// And those whose rules stand before the one for established connections.
const CUTTING: &str = "cut_";

impl Piece<'_> {
    /// The name of its chain: `tcp_22`, `udp_60000_61000`, `cut_tcp_22`.
    pub(super) fn chain(&self) -> String {
        let (first, last) = (self.first, self.last);
        let cutting = if self.doors.iter().any(|door| door.cuts) { CUTTING } else { "" };
        let protocol = if self.udp { UDP } else { TCP };
        let end = if first == last { String::new() } else { format!("_{last}") };
        format!("{cutting}{protocol}{first}{end}")
    }

    /// Whether it is one port.
    pub(super) const fn is_single(&self) -> bool {
        self.first == self.last
    }

    /// What becomes of packets to it.
    pub(super) fn turn(&self) -> Turn {
        if self.is_shut() { Turn::Shut } else { Turn::To(self.chain()) }
    }

    /// Whether none of its doors is more than shut so far.
    pub(super) fn is_shut(&self) -> bool {
        self.doors.iter().all(|door| door.later)
    }
}

/// Whether a chain's name is one that a piece's may have.
pub(super) fn is_of_ports(chain: &str) -> bool {
    let chain = chain.strip_prefix(CUTTING).unwrap_or(chain);
    let ports = chain.strip_prefix(TCP).or_else(|| chain.strip_prefix(UDP));
    ports.is_some_and(|ports| !ports.is_empty() && ports.bytes().all(|c| c.is_ascii_digit() || c == b'_'))
}

/// The pieces of one protocol's ports, in ascending order.
pub(super) fn pieces<'d>(doors: &[&'d DoorSpec], udp: bool) -> Vec<Piece<'d>> {
    // What begins and what has ended at a port; behind the last port there is one more.
    let mut turns: BTreeMap<u32, (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (door, spec) in doors.iter().enumerate() {
        for (_, first, last) in spec.ports.iter().filter(|(is_udp, ..)| *is_udp == udp) {
            turns.entry(u32::from(*first)).or_default().0.push(door);
            turns.entry(u32::from(*last) + 1).or_default().1.push(door);
        }
    }
    let mut pieces: Vec<Piece<'d>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut from = 0;
    for (port, (begin, end)) in turns {
        push(&mut pieces, doors, &open, udp, (from, port));
        for door in end {
            if let Some(at) = open.iter().position(|other| *other == door) {
                open.swap_remove(at);
            }
        }
        open.extend(begin);
        from = port;
    }
    pieces
}

/// Adds the ports from one turn to the next, as a part of the piece before it where the doors are the same.
fn push<'d>(
    pieces: &mut Vec<Piece<'d>>,
    doors: &[&'d DoorSpec],
    open: &[usize],
    udp: bool,
    (from, to): (u32, u32),
) {
    let (Ok(first), Ok(last)) = (u16::try_from(from), u16::try_from(to.saturating_sub(1))) else { return };
    // A door may name a port twice.
    let open: BTreeSet<usize> = open.iter().copied().collect();
    let doors: Vec<&DoorSpec> = open.into_iter().filter_map(|door| doors.get(door).copied()).collect();
    match pieces.last_mut() {
        _ if doors.is_empty() => {}
        Some(before) if before.last.checked_add(1) == Some(first) && before.doors == doors => {
            before.last = last;
        }
        _ => pieces.push(Piece { udp, first, last, doors }),
    }
}

/// A map from ports to chains as the kernel keeps it: where a piece begins and where one ends.
pub(super) fn elements(pieces: &[Piece<'_>]) -> Vec<(u16, Turn)> {
    let mut elements = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        elements.push((piece.first, piece.turn()));
        let next = pieces.get(at + 1).map(|next| next.first);
        // Behind the highest port there is nothing, and a piece that begins ends the one before.
        let end = piece.last.checked_add(1).filter(|end| next != Some(*end));
        elements.extend(end.map(|end| (end, Turn::End)));
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(doors: &[DoorSpec], udp: bool) -> Vec<String> {
        let doors: Vec<&DoorSpec> = doors.iter().collect();
        let names = |piece: &Piece<'_>| piece.doors.iter().map(|door| door.name.clone()).collect::<Vec<_>>();
        let pieces = pieces(&doors, udp);
        pieces.iter().map(|piece| format!("{} {}", piece.chain(), names(piece).join(","))).collect()
    }

    #[test]
    fn overlapping_ranges_are_cut_where_their_doors_change() {
        let doors = [
            DoorSpec::new("a", [(false, 10, 20), (false, 15, 16), (true, 1, 65_535)]),
            DoorSpec::new("b", [(false, 15, 30), (false, 65_535, 65_535)]),
            DoorSpec::new("c", [(false, 31, 31), (false, 32, 40), (true, 0, 0)]),
        ];
        let tcp = ["tcp_10_14 a", "tcp_15_20 a,b", "tcp_21_30 b", "tcp_31_40 c", "tcp_65535 b"];
        assert_eq!(shown(&doors, false), tcp);
        assert_eq!(shown(&doors, true), ["udp_0 c", "udp_1_65535 a"]);
        assert!(tcp.iter().all(|name| is_of_ports(name.split(' ').next().unwrap())));
        assert!(!is_of_ports("guard") && !is_of_ports("tcp_") && !is_of_ports("tcp_mine"));
    }

    #[test]
    fn each_piece_ends_once() {
        let mut doors =
            [DoorSpec::new("a", [(false, 10, 20), (false, 22, 22)]), DoorSpec::new("b", [(false, 20, 21)])];
        let elements = |doors: &[DoorSpec]| elements(&pieces(&doors.iter().collect::<Vec<_>>(), false));
        let to = |chain: &str| Turn::To(chain.to_owned());
        let whole = [
            (10, to("tcp_10_19")),
            (20, to("tcp_20")),
            (21, to("tcp_21")),
            (22, to("tcp_22")),
            (23, Turn::End),
        ];
        assert_eq!(elements(&doors), whole);
        // Of two doors at a port one is enough for a chain.
        doors[0].later = true;
        let begun =
            [(10, Turn::Shut), (20, to("tcp_20")), (21, to("tcp_21")), (22, Turn::Shut), (23, Turn::End)];
        assert_eq!(elements(&doors), begun);
    }

    #[test]
    fn whatever_the_ranges_every_port_leads_to_its_doors() {
        let mut state = 7_u32;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            u16::try_from((state >> 16) % below).unwrap()
        };
        for _ in 0..200 {
            let mut door = |name: &str| {
                let ranges: Vec<_> = (0..random(4))
                    .map(|_| {
                        let first = random(40);
                        (false, first, first + random(9))
                    })
                    .collect();
                DoorSpec::new(name, ranges)
            };
            let doors = [door("a"), door("b"), door("c")];
            let refs: Vec<&DoorSpec> = doors.iter().collect();
            let pieces = pieces(&refs, false);
            for port in 0..60 {
                let holds = |door: &DoorSpec| {
                    door.ports.iter().any(|(_, first, last)| (*first..=*last).contains(&port))
                };
                let wanted: Vec<&DoorSpec> = refs.iter().copied().filter(|door| holds(door)).collect();
                let found: Vec<_> = pieces.iter().filter(|p| (p.first..=p.last).contains(&port)).collect();
                assert!(found.len() <= 1);
                assert_eq!(
                    found.first().map_or(&[][..], |piece| &piece.doors),
                    wanted,
                    "{port} of {doors:?}"
                );
            }
        }
    }
}
