//! What a ruleset does with a stranger's first packet to a port of this host.
//!
//! Rules are followed as the kernel follows them, as far as their expressions are understood. A stranger is one of whom
//! nothing is known but that no rule for single sources is meant for him. A rule that may be meant for his packet, were more
//! known of it, is passed over; where it asks for the port, that is remembered as a doubt. Of one set it may be known whether
//! he is in it.

mod asked;
mod borders;
mod divert;
mod foreign;
mod lookup;
mod packet;
mod registers;
mod walk;
mod words;

use std::net::IpAddr;

use super::SetName;
use super::ruleset::{Chain, ChainName, Ruleset, number};
use super::table::{INPUT, OUTPUT, PRIORITY};
use crate::netlink::Attributes;

use packet::Packet;
use walk::{End, Ended, Walk};
use words::Reader;

pub use asked::Asking;
pub use divert::{Course, Diversion};

/// Where chains are asked about a packet for this host and the answer to it, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// As a device hands it over.
    Ingress,
    /// Within a bridge, on the way to the host it stands on.
    Bridge,
    Prerouting,
    Input,
    /// From here on it is the service's answer.
    Output,
    Postrouting,
    BridgeOut,
    /// As it is handed to a device.
    Egress,
}

/// From this priority on, where packets come in and where this host's own begin, the kernel knows a packet's connection (`NF_IP_PRI_CONNTRACK`).
const TRACKED: i32 = -200;

/// A stranger's packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe<'p> {
    /// IPv6.
    pub ipv6: bool,
    /// UDP; else a TCP connection that begins.
    pub udp: bool,
    /// To which port.
    pub port: u16,
    /// Where it comes in; `None`: anywhere but by the loopback device, and no chain of a single device sees it.
    pub place: Option<&'p Place>,
}

/// Where packets come in, and an address they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The interface.
    pub interface: String,
    /// Its number.
    pub index: u32,
    /// Devices below it, whose packets come in by it: a bridge's ports, what a VLAN is on.
    pub below: Vec<String>,
    /// It is a bridge, whose own chains see them too.
    pub is_bridge: bool,
    /// An address of this host's.
    pub address: IpAddr,
}

impl Place {
    fn has_device(&self, is: impl Fn(&str) -> bool) -> bool {
        std::iter::once(&self.interface).chain(&self.below).any(|name| is(name))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.address, self.interface)
    }
}

/// Where somebody stands to one set of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<'s> {
    /// The set.
    pub set: &'s SetName,
    /// His address is in it.
    pub inside: bool,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It reaches the service.
    Accepted,
    /// Nothing is heard of it.
    Dropped,
    /// It is answered.
    Rejected,
}

/// What becomes of it, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What.
    pub fate: Fate,
    /// The chain that said so last; `None`: no chain looks at it.
    pub chain: Option<ChainName>,
    /// Whether it was the chain's policy, not a rule.
    pub by_policy: bool,
    /// A chain with a rule that could reject it, were more known of the packet.
    pub may_reject: Option<ChainName>,
    /// What could make it another fate.
    pub doubt: Option<Doubt>,
}

/// A chain with a rule that asks for the port and may say otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The chain.
    pub chain: ChainName,
    /// It does so for single sources: a stranger is none of these.
    pub by_source: bool,
}

impl Ruleset {
    /// Follows a packet through the chains of all tables but `own`, which is aldaba's.
    #[must_use]
    pub fn judge(&self, probe: Probe<'_>, own: &str) -> Judgement {
        self.follow(probe, self.asked(probe, own, false), None)
    }

    /// The same through the chains of all tables, for somebody of whom is known whether he is in a set.
    #[must_use]
    pub fn judge_of(&self, probe: Probe<'_>, standing: Standing<'_>) -> Judgement {
        self.follow(probe, self.asked(probe, NONE, false), Some(standing))
    }

    /// What becomes of the service's answer to it, in the chains of all tables; of whom it is for may be known whether he is in a set.
    #[must_use]
    pub fn judge_answer(&self, probe: Probe<'_>, standing: Option<Standing<'_>>) -> Judgement {
        self.follow(probe, self.asked(probe, NONE, true), standing)
    }

    /// Follows it only through the chains that come before aldaba's own table.
    #[must_use]
    pub fn judge_before(&self, probe: Probe<'_>, own: &str) -> Judgement {
        let mut asked = self.asked(probe, own, false);
        // Of one priority, the older chain comes first: which is not ours to know.
        asked.retain(|chain| chain.stage() <= Some((Stage::Input, PRIORITY)));
        self.follow(probe, asked, None)
    }

    fn follow(&self, probe: Probe<'_>, asked: Vec<&Chain>, standing: Option<Standing<'_>>) -> Judgement {
        let mut judgement =
            Judgement { fate: Fate::Accepted, chain: None, by_policy: false, may_reject: None, doubt: None };
        let mut kept_out: Option<Judgement> = None;
        for chain in asked {
            let mut walk = Walk::new(self.reader(probe, chain, standing));
            let ended = walk.base(&chain.name);
            judgement.may_reject = judgement.may_reject.or_else(|| walk.may_reject.clone());
            let (fate, by_policy) = fate_in(chain, ended);
            let doubt = doubt_of(chain, fate, ended, walk);
            if fate == Fate::Accepted {
                // Another chain may still say otherwise; an acceptance only ends this one.
                let doubt = judgement.doubt.or(doubt);
                judgement = Judgement { by_policy, chain: Some(chain.name.clone()), doubt, ..judgement };
                continue;
            }
            let may_reject = judgement.may_reject.clone();
            let found = Judgement { fate, chain: Some(chain.name.clone()), by_policy, may_reject, doubt };
            if found.doubt.is_none() {
                return found;
            }
            kept_out.get_or_insert(found);
        }
        kept_out.unwrap_or(judgement)
    }

    fn reader<'r>(&'r self, probe: Probe<'r>, chain: &Chain, standing: Option<Standing<'r>>) -> Reader<'r> {
        let stage = chain.stage();
        let is_of = |name: &str| chain.devices.iter().any(|device| device.is(name));
        let packet = Packet {
            probe,
            is_answer: stage.is_some_and(|(stage, _)| stage >= Stage::Output),
            tracked: stage.is_some_and(|(stage, priority)| match stage {
                Stage::Ingress => false,
                Stage::Bridge | Stage::Prerouting | Stage::Output => priority > TRACKED,
                _ => true,
            }),
            at_interface: (chain.devices.is_empty() && chain.name.family != BRIDGE)
                || probe.place.is_some_and(|place| is_of(&place.interface)),
        };
        Reader { ruleset: self, packet, standing }
    }

    /// The chains that decide, in the order in which the kernel asks them.
    fn asked(&self, probe: Probe<'_>, own: &str, answers: bool) -> Vec<&Chain> {
        let is_own = |chain: &Chain| chain.name.family == INET && chain.name.table == own;
        let mut asked = self.passed(probe, answers);
        asked.retain(|chain| chain.filters && !is_own(chain));
        asked
    }

    /// All chains that see it, or the answer to it.
    fn passed(&self, probe: Probe<'_>, answers: bool) -> Vec<&Chain> {
        let of_device = |chain: &Chain| {
            let is = |name: &str| chain.devices.iter().any(|device| device.is(name));
            probe.place.is_some_and(|place| place.has_device(is))
        };
        let sees = |chain: &Chain| match (chain.stage(), chain.name.family) {
            (None, _) => false,
            (Some((stage, _)), _) if (stage >= Stage::Output) != answers => false,
            (Some((Stage::Ingress | Stage::Egress, _)), _) => of_device(chain),
            (Some((Stage::Bridge | Stage::BridgeOut, _)), _) => {
                probe.place.is_some_and(|place| place.is_bridge)
            }
            (Some(_), family) => family == INET || (family == IPV6) == probe.ipv6,
        };
        let mut passed: Vec<&Chain> = self.chains.iter().filter(|chain| sees(chain)).collect();
        passed.sort_by_key(|chain| chain.stage());
        passed
    }
}

/// No table has this name: then all are followed.
const NONE: &str = "";
/// Families as the kernel numbers them.
const INET: u8 = 1;
const IPV4: u8 = 2;
const NETDEV: u8 = 5;
const BRIDGE: u8 = 7;
const IPV6: u8 = 10;
/// Hooks: those of devices count anew, and tables for both families have one behind their own.
const PREROUTING: u32 = 0;
const POSTROUTING: u32 = 4;
const INET_INGRESS: u32 = 5;
const INGRESS: u32 = 0;
const EGRESS: u32 = 1;

impl Chain {
    /// When it is asked, if it is.
    fn stage(&self) -> Option<(Stage, i32)> {
        let (hook, priority) = self.hook?;
        let stage = match (self.name.family, hook) {
            (NETDEV, INGRESS) | (INET, INET_INGRESS) => Stage::Ingress,
            (BRIDGE, PREROUTING | INPUT) => Stage::Bridge,
            (BRIDGE, OUTPUT | POSTROUTING) => Stage::BridgeOut,
            (INET | IPV4 | IPV6, PREROUTING) => Stage::Prerouting,
            (INET | IPV4 | IPV6, INPUT) => Stage::Input,
            (INET | IPV4 | IPV6, OUTPUT) => Stage::Output,
            (INET | IPV4 | IPV6, POSTROUTING) => Stage::Postrouting,
            (NETDEV, EGRESS) => Stage::Egress,
            _ => return None,
        };
        Some((stage, priority))
    }
}

/// What a chain's end means, and whether its policy says so.
const fn fate_in(chain: &Chain, ended: Ended) -> (Fate, bool) {
    match ended.end {
        End::Fate(fate) => (fate, false),
        End::Queue | End::Away => (Fate::Accepted, false),
        End::Open if chain.drops => (Fate::Dropped, true),
        End::Open => (Fate::Accepted, true),
    }
}

fn doubt_of(chain: &Chain, fate: Fate, ended: Ended, walk: Walk<'_>) -> Option<Doubt> {
    let here = |by_source| Doubt { chain: chain.name.clone(), by_source };
    if fate == Fate::Accepted {
        return walk.may_drop.or_else(|| (ended.end == End::Queue).then(|| here(false)));
    }
    walk.may_accept.or_else(|| ended.but_named.then(|| here(true)))
}

fn data<'a>(parts: &Attributes<'a>, kind: u16) -> Option<&'a [u8]> {
    parts.inside(kind)?.find(1)
}
