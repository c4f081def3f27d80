//! What iptables wrote into nftables: its matches and targets keep structures of their own (`linux/netfilter/xt_*.h`, numbers in
//! host order).

use super::Probe;
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

impl Probe<'_> {
    /// A match, and whether connections are known where it stands.
    pub(super) fn foreign(&self, parts: &Attributes<'_>, tracked: bool) -> Matched {
        let info = Info(parts.find(3).unwrap_or_default());
        let revision =
            parts.find(2).and_then(|bytes| bytes.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)));
        let name = parts.text(1).unwrap_or_default();
        let is = match name.as_str() {
            "tcp" | "udp" => self.ports(info, name == "udp"),
            "multiport" => self.several_ports(info, revision),
            "conntrack" => return self.tracking(info, revision, tracked),
            "state" => Match::of(info.word(0) & state(tracked) != 0),
            "addrtype" => local(info, revision),
            "icmp" | "icmp6" | "sctp" | "dccp" | "esp" | "ah" => Match::No,
            "set" => return of_set(info),
            _ => of_packet(&name, info, revision),
        };
        Matched { is, names_port: matches!(name.as_str(), "tcp" | "udp" | "multiport") }
    }

    /// `struct xt_tcp` and `xt_udp`: source ports, destination ports, first and last; for TCP an option and flags.
    fn ports(&self, info: Info<'_>, udp: bool) -> Match {
        const NOT_SOURCE: u8 = 1;
        const NOT_DESTINATION: u8 = 2;
        const NOT_FLAGS: u8 = 4;
        const SYN: u8 = 2;
        if udp != self.udp {
            return Match::No;
        }
        let inverted = info.byte(if udp { 8 } else { 11 });
        let any_source = (info.short(0), info.short(2), inverted & NOT_SOURCE) == (0, u16::MAX, 0);
        let source = if any_source { Match::Yes } else { Match::Maybe };
        let inside = (info.short(4)..=info.short(6)).contains(&self.port);
        let matched = source.min(Match::of(inside).but_if(inverted & NOT_DESTINATION != 0));
        if udp {
            return matched;
        }
        let option = if info.byte(8) == 0 { Match::Yes } else { Match::Maybe };
        let flags = Match::of(SYN & info.byte(9) == info.byte(10)).but_if(inverted & NOT_FLAGS != 0);
        matched.min(option).min(flags)
    }

    /// `struct xt_multiport_v1`: of which end, how many, the ports, which of them begin a range, whether it is inverted.
    fn several_ports(&self, info: Info<'_>, revision: Option<u32>) -> Match {
        const MOST: usize = 15;
        if revision != Some(1) || info.byte(0) == 0 {
            return Match::Maybe;
        }
        let ports = (0..usize::from(info.byte(1)).min(MOST)).map(|at| {
            (info.short(at.saturating_mul(2).saturating_add(2)), info.byte(at.saturating_add(32)) != 0)
        });
        let mut ports = ports;
        let mut inside = false;
        while let Some((first, is_range)) = ports.next() {
            let last = if is_range { ports.next().map_or(first, |(last, _)| last) } else { first };
            inside |= (first..=last).contains(&self.port);
        }
        Match::of(inside).but_if(info.byte(47) != 0)
    }

    /// `struct xt_conntrack_mtinfo3`, and the two before it.
    fn tracking(&self, info: Info<'_>, revision: Option<u32>, tracked: bool) -> Matched {
        const STATE: u16 = 1;
        const PORT: u16 = 1 << 9;
        const DIRECTION: u16 = 1 << 12;
        let (asked, inverted) = (info.short(146), info.short(148));
        let states = if revision == Some(1) { u16::from(info.byte(150)) } else { info.short(150) };
        let of = |flag: u16, is: bool| {
            if asked & flag == 0 { Match::Yes } else { Match::of(is).but_if(inverted & flag != 0) }
        };
        let port = if revision == Some(3) {
            (info.short(140)..=info.short(156).max(info.short(140))).contains(&self.port)
        } else {
            info.short(140).to_ne_bytes() == self.port.to_be_bytes()
        };
        let rest = if asked & !(STATE | PORT | DIRECTION) == 0 { Match::Yes } else { Match::Maybe };
        let is = of(STATE, u32::from(states) & state(tracked) != 0)
            .min(of(PORT, port))
            .min(of(DIRECTION, true))
            .min(rest);
        Matched { is, names_port: asked & PORT != 0 }
    }
}

/// The bit of a connection's state: new, or none where the kernel knows of no connection yet.
const fn state(tracked: bool) -> u32 {
    if tracked { 8 } else { 1 }
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

/// `struct xt_set_info`: a set of ipset's, which is not looked into. Of sources, no stranger is in it; of what else it may be, the
/// port is one.
fn of_set(info: Info<'_>) -> Matched {
    const INVERTED: u8 = 1;
    let (dimensions, flags) = (info.byte(2), info.byte(3));
    let of_sources = dimensions == 1 && flags & 2 != 0;
    let is = if of_sources { Match::Named.but_if(flags & INVERTED != 0) } else { Match::Maybe };
    Matched { is, names_port: !of_sources }
}

/// Other matches: a stranger's first packet exceeds no rate and was not seen before.
fn of_packet(name: &str, info: Info<'_>, revision: Option<u32>) -> Match {
    match name {
        "comment" | "limit" => Match::Yes,
        "statistic" => Match::Sometimes,
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
