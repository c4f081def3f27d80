//! What iptables wrote into nftables: its matches and targets keep structures of their own (`linux/netfilter/xt_*.h`, numbers in
//! host order).

use std::ops::RangeInclusive;

use super::packet::Packet;
use super::registers::Match;
use super::words::Word;
use crate::netlink::Attributes;

/// What a match comes to.
pub(super) struct Matched {
    pub(super) is: Match,
    /// It asks for the port, or may.
    pub(super) names_port: bool,
}

/// What is in a match's structure.
#[derive(Clone, Copy)]
struct Info<'a>(&'a [u8]);

impl Info<'_> {
    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or_default()
    }

    fn short(self, at: usize) -> u16 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u16::from_ne_bytes(*bytes))
    }

    fn word(self, at: usize) -> u32 {
        let bytes = self.0.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    }
}

/// A target that is no verdict: what it does, or nothing that matters here.
pub(super) fn target(parts: &Attributes<'_>) -> Option<Word> {
    match parts.text(1).as_deref() {
        Some("REJECT") => Some(Word::Reject),
        Some("DNAT" | "REDIRECT" | "NETMAP") => Some(Word::Away),
        Some("NFQUEUE" | "QUEUE") => Some(Word::Queue),
        Some("TPROXY") => Some(Word::Program),
        Some(
            "LOG" | "NFLOG" | "ULOG" | "MARK" | "CONNMARK" | "SECMARK" | "CONNSECMARK" | "CT" | "NOTRACK"
            | "TRACE" | "TCPMSS" | "TCPOPTSTRIP" | "DSCP" | "TOS" | "TTL" | "HL" | "ECN" | "CHECKSUM"
            | "CLASSIFY" | "AUDIT" | "SET" | "LED" | "IDLETIMER" | "NFACCT" | "RATEEST" | "HMARK" | "TEE"
            | "MASQUERADE" | "SNAT" | "ACCOUNT",
        ) => None,
        _ => Some(Word::Strange),
    }
}

impl Packet<'_> {
    pub(super) fn foreign(&self, parts: &Attributes<'_>) -> Matched {
        let info = Info(parts.find(3).unwrap_or_default());
        let revision =
            parts.find(2).and_then(|bytes| bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)));
        let name = parts.text(1).unwrap_or_default();
        let is = match name.as_str() {
            "tcp" | "udp" => return self.ports(info, name == "udp"),
            "multiport" => return self.several_ports(info, revision),
            "conntrack" => return self.tracking(info, revision),
            "set" => return self.of_set(info),
            "state" => Match::of(info.word(0) & self.state() != 0),
            "icmp" | "icmp6" | "sctp" | "dccp" | "esp" | "ah" => Match::No,
            "comment" | "limit" => Match::Yes,
            "statistic" => Match::Sometimes,
            // A first packet's, and what is said of strangers as sources.
            _ if self.is_answer => Match::Maybe,
            "addrtype" => local(info, revision),
            _ => of_stranger(&name, info, revision),
        };
        Matched { is, names_port: false }
    }

    /// `struct xt_tcp` and `xt_udp`: source ports, destination ports, first and last; for TCP an option and flags.
    fn ports(&self, info: Info<'_>, udp: bool) -> Matched {
        const NOT_SOURCE: u8 = 1;
        const NOT_DESTINATION: u8 = 2;
        const NOT_FLAGS: u8 = 4;
        let inverted = info.byte(if udp { 8 } else { 11 });
        let ends = [(0, NOT_SOURCE), (4, NOT_DESTINATION)].map(|(at, not)| {
            let (first, last) = (info.short(at), info.short(at.saturating_add(2)));
            (first..=last, inverted & not != 0)
        });
        let is_any = |(range, inverted): &(RangeInclusive<u16>, bool)| !inverted && *range == (0..=u16::MAX);
        let [source, destination] = &ends;
        let (door, other) = if self.is_answer { (source, destination) } else { (destination, source) };
        let mut is = Match::of(udp == self.probe.udp)
            .min(Match::of(door.0.contains(&self.probe.port)).but_if(door.1))
            .min(if is_any(other) { Match::Yes } else { Match::Maybe });
        if !udp {
            let flags = Match::of(self.flags() & info.byte(9) == info.byte(10));
            is = is.min(flags.but_if(inverted & NOT_FLAGS != 0));
            is = is.min(if info.byte(8) == 0 { Match::Yes } else { Match::Maybe });
        }
        Matched { is, names_port: !is_any(door) }
    }

    /// `struct xt_multiport_v1`: of which end, how many, the ports, which of them begin a range, whether it is inverted.
    fn several_ports(&self, info: Info<'_>, revision: Option<u32>) -> Matched {
        const MOST: usize = 15;
        const EITHER: u8 = 2;
        let of_door = info.byte(0) == u8::from(!self.is_answer);
        if revision != Some(1) || !of_door {
            return Matched { is: Match::Maybe, names_port: of_door || info.byte(0) == EITHER };
        }
        let mut ports = (0..usize::from(info.byte(1)).min(MOST)).map(|at| {
            (info.short(at.saturating_mul(2).saturating_add(2)), info.byte(at.saturating_add(32)) != 0)
        });
        let mut inside = false;
        while let Some((first, is_range)) = ports.next() {
            let last = if is_range { ports.next().map_or(first, |(last, _)| last) } else { first };
            inside |= (first..=last).contains(&self.probe.port);
        }
        Matched { is: Match::of(inside).but_if(info.byte(47) != 0), names_port: true }
    }

    /// `struct xt_set_info`: a set of ipset's, which is not looked into. Of clients' addresses alone, no stranger's is in it; of what
    /// else it may be, the port is one.
    fn of_set(&self, info: Info<'_>) -> Matched {
        const INVERTED: u8 = 1;
        const SOURCE: u8 = 2;
        let (dimensions, flags) = (info.byte(2), info.byte(3));
        let of_clients = dimensions == 1 && (flags & SOURCE != 0) != self.is_answer;
        let is = if of_clients { Match::Named.but_if(flags & INVERTED != 0) } else { Match::Maybe };
        Matched { is, names_port: !of_clients }
    }

    /// `struct xt_conntrack_mtinfo3`, and the two before it.
    fn tracking(&self, info: Info<'_>, revision: Option<u32>) -> Matched {
        const STATE: u16 = 1;
        const PORT: u16 = 1 << 9;
        const DIRECTION: u16 = 1 << 12;
        let (asked, inverted) = (info.short(146), info.short(148));
        let states = if revision == Some(1) { u16::from(info.byte(150)) } else { info.short(150) };
        let of = |flag: u16, is: bool| {
            if asked & flag == 0 { Match::Yes } else { Match::of(is).but_if(inverted & flag != 0) }
        };
        let port = if revision == Some(3) {
            (info.short(140)..=info.short(156).max(info.short(140))).contains(&self.probe.port)
        } else {
            info.short(140).to_ne_bytes() == self.probe.port.to_be_bytes()
        };
        let rest = if asked & !(STATE | PORT | DIRECTION) == 0 { Match::Yes } else { Match::Maybe };
        let is = of(STATE, u32::from(states) & self.state() != 0)
            .min(of(PORT, port))
            .min(of(DIRECTION, !self.is_answer))
            .min(rest);
        Matched { is, names_port: asked & PORT != 0 }
    }
}

/// `struct xt_addrtype_info_v1`: which kinds the source and the destination may be of.
fn local(info: Info<'_>, revision: Option<u32>) -> Match {
    const UNICAST: u16 = 1 << 1;
    const LOCAL: u16 = 1 << 2;
    let (not_source, not_destination) = if revision == Some(0) {
        (info.word(4) != 0, info.word(8) != 0)
    } else {
        (info.word(4) & 1 != 0, info.word(4) & 2 != 0)
    };
    let of = |kinds: u16, kind, inverted| {
        if kinds == 0 { Match::Yes } else { Match::of(kinds & kind != 0).but_if(inverted) }
    };
    of(info.short(0), UNICAST, not_source).min(of(info.short(2), LOCAL, not_destination))
}

/// Other matches: a stranger's first packet exceeds no rate and was not seen before.
fn of_stranger(name: &str, info: Info<'_>, revision: Option<u32>) -> Match {
    match name {
        // `struct xt_recent_mtinfo`: what is done with the list, and whether that is inverted. Who is put there is so at once.
        "recent" if info.byte(8) & 2 != 0 => Match::of(info.byte(9) == 0),
        "recent" => Match::Named.but_if(info.byte(9) != 0),
        // `struct xt_connlimit_info`: above the limit, unless inverted.
        "connlimit" => Match::of(info.word(20) & 1 != 0),
        // `struct xt_hashlimit_mtinfo1` and later: with a bit for above.
        "hashlimit" => Match::of(info.word(if revision == Some(1) { 16 } else { 272 }) & 16 == 0),
        "mac" => Match::Named.but_if(info.word(8) != 0),
        "geoip" => Match::Named.but_if(info.short(0) & 4 != 0),
        // `struct xt_iprange_mtinfo`: of sources alone.
        "iprange" if info.byte(64) & 2 == 0 => Match::Named.but_if(info.byte(64) & 16 != 0),
        "rpfilter" => Match::of(info.byte(0) & 8 == 0),
        "pkttype" => Match::of(info.word(0) == 0).but_if(info.word(4) != 0),
        _ => Match::Maybe,
    }
}
