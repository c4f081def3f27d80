//! One `[[door]]`. How it can be knocked on is `door/knocks.rs`, what opening it does `action.rs`.
//!
//! `style = "knockd"` gives a door the defaults and the behaviour of one in knockd.conf, so that every such file can
//! be written as aldaba.toml without loss.

mod knocks;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use aldaba_gate::DoorRule;
use aldaba_gate::knock::{FlagFilter, Mode};
use aldaba_gate::spa::{self, AddressRule, BundleDoor, Port};
use aldaba_runner::door::{Action, Door, NftAction, NftSet, PortRange, Style, Transport};

use super::table::Table;
use super::{action, daemon, values};
use crate::diagnostic::Diagnostic;
use crate::files::Files;
use crate::plan::{DoorPlaces, Findings};
use crate::policy::{Interfaces, OneTime};
use knocks::Knocks;

/// The longest length of time anywhere; what knockd.conf can hold too.
pub(super) const LONGEST: Duration = Duration::from_secs(i32::MAX.unsigned_abs() as u64);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Bytes of a name, as in knockd.conf.
const NAME_BYTES: usize = 127;

/// What a key means when it is not written.
struct Defaults {
    style: Style,
    mode: Mode,
    flags: FlagFilter,
    lease: Duration,
    /// The least lease and sequence timeout that make sense.
    least: Duration,
}

impl Defaults {
    fn of(style: Style) -> Self {
        match style {
            Style::Native => Self {
                style,
                mode: Mode::Strict,
                flags: FlagFilter::INITIAL_SYN,
                lease: Duration::from_secs(30),
                least: SECOND,
            },
            Style::Knockd => Self {
                style,
                mode: Mode::Compatible,
                flags: FlagFilter::ANY,
                lease: Duration::from_secs(10),
                least: Duration::ZERO,
            },
        }
    }
}

/// A door of the policy.
pub(super) struct Made {
    pub(super) rule: DoorRule,
    pub(super) door: Door,
    pub(super) one_time: Vec<OneTime>,
    pub(super) places: DoorPlaces,
    /// What devices are told of it.
    pub(super) told: BundleDoor,
}

/// Reads one door; `None` when it cannot be one, which has been said. Every key is looked at in any case.
pub(super) fn read(
    mut table: Table<'_>,
    index: u32,
    files: &mut dyn Files,
    findings: &mut Findings,
) -> Option<Made> {
    let style = table.take("style").and_then(|value| {
        daemon::choice(&value, &[("native", Style::Native), ("knockd", Style::Knockd)], findings)
    });
    let defaults = Defaults::of(style.unwrap_or(Style::Native));
    let mut places = DoorPlaces::named(table.place.clone());
    let name = name(&mut table, &defaults, &mut places, findings);
    let shared = knocks::shared(&mut table, &defaults, &mut places, findings);
    let mut knocks = Knocks::new(index, defaults.style, shared);
    let spa = by_datagram(&mut table, findings);
    let for_gateway = for_gateway(&mut table, spa.is_some(), findings);
    knocks.open(&mut table, &defaults, spa.is_some(), &mut places, files, findings);
    knocks.close(&mut table, &mut places, files, findings);
    let target = target(&mut table, &mut places, findings);
    let interfaces = interfaces(&mut table, &mut places, findings);
    let (lease, max_lease) = leases(&mut table, &defaults, &mut places, findings);
    let action = action::read(&mut table, defaults.style, &mut places, findings);
    let service = table.take("service").and_then(|value| action::ports(&value, findings));
    table.finish(findings);
    let (name, action) = (name?, action?);
    knocks.whole.then_some(())?;
    // They stay for as long as the policy does.
    knocks.list.shrink_to_fit();
    let rule = DoorRule { name: name.clone(), interfaces, target, knocks: knocks.list, spa, for_gateway };
    let told = BundleDoor { name: name.clone(), ports: service_ports(service.as_deref(), &action) };
    let door = Door { name, style: defaults.style, lease, max_lease, action };
    Some(Made { rule, door, one_time: knocks.one_time, places, told })
}

/// The ports to wait for behind a door: those written for it, or those it guards; the first of each range.
pub(crate) fn service_ports(written: Option<&[PortRange]>, action: &Action) -> Vec<Port> {
    let guarded = match action {
        Action::Nftables(NftAction { set: NftSet::Own { ports, .. } }) => ports.as_slice(),
        _ => &[],
    };
    let first = |range: &PortRange| {
        let transport = match range.transport {
            Transport::Tcp => spa::Transport::Tcp,
            Transport::Udp => spa::Transport::Udp,
        };
        Some(Port { transport, number: NonZeroU16::new(range.first)? })
    };
    written.unwrap_or(guarded).iter().filter_map(first).take(BundleDoor::MAX_PORTS).collect()
}

fn name(
    table: &mut Table<'_>,
    defaults: &Defaults,
    places: &mut DoorPlaces,
    findings: &mut Findings,
) -> Option<String> {
    let Some(value) = table.take("name") else {
        findings.add(
            Diagnostic::error("no-name", &table.place, "a door needs a name").help("add: name = \"ssh\""),
        );
        return None;
    };
    let text = value.text(findings, "name = \"ssh\"")?;
    places.name = text.place.clone();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let good = match defaults.style {
        Style::Native => {
            text.text.len() <= 64
                && text.text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.text.chars().all(plain)
        }
        Style::Knockd => !text.text.is_empty() && text.text.len() <= NAME_BYTES && !text.text.contains('\n'),
    };
    if !good {
        findings.add(
            Diagnostic::error("bad-name", &text.place, format!("{:?} is not the name of a door", text.text))
                .help("letters and digits first, then also . _ and -; at most 64 bytes"),
        );
    }
    good.then(|| text.text.to_owned())
}

/// `true`, or `"bound"`: only requests that name the address they come from. One that was refused counts as `true` in what
/// else is said of the door.
fn by_datagram(table: &mut Table<'_>, findings: &mut Findings) -> Option<AddressRule> {
    let value = table.take("spa")?;
    if value.is_text() {
        let text = value.text(findings, "")?;
        if !["bound", "either"].contains(&text.text) {
            let message = "spa is true, \"bound\" or \"either\"";
            findings.add(Diagnostic::error("bad-choice", &text.place, message).help(
                "write spa = true, or spa = \"bound\" to take only requests that name the address they come from",
            ));
        }
        return Some(if text.text == "bound" { AddressRule::Bound } else { AddressRule::Either });
    }
    (value.flag(findings) != Some(false)).then_some(AddressRule::Either)
}

/// Only datagrams ask: sequences open for whoever knocks them.
fn for_gateway(table: &mut Table<'_>, has_spa: bool, findings: &mut Findings) -> bool {
    let Some(value) = table.take("open-for-gateway") else { return false };
    if !has_spa {
        findings.add(
            Diagnostic::warning("no-effect", &value.key, "no datagram opens this door").help(
                "write spa = true beside it, or take it away: sequences open for a gateway in any case",
            ),
        );
    }
    value.flag(findings).unwrap_or_default()
}

fn target(table: &mut Table<'_>, places: &mut DoorPlaces, findings: &mut Findings) -> Option<IpAddr> {
    let value = table.take("target")?;
    let text = value.text(findings, "target = \"192.0.2.7\"")?;
    places.target = Some(text.place.clone());
    let address = text.text.parse().ok();
    if address.is_none() {
        findings.add(
            Diagnostic::error("bad-target", &text.place, format!("{:?} is not an address", text.text))
                .help("write one IPv4 or IPv6 address, without a port, a prefix length or a zone"),
        );
    }
    address
}

fn interfaces(table: &mut Table<'_>, places: &mut DoorPlaces, findings: &mut Findings) -> Vec<String> {
    let Some(value) = table.take("interfaces") else { return Vec::new() };
    places.interfaces = Some(value.place.clone());
    match daemon::interfaces(&value, findings) {
        Some(Interfaces::Named(names)) => names,
        Some(Interfaces::All) | None => Vec::new(),
    }
}

fn leases(
    table: &mut Table<'_>,
    defaults: &Defaults,
    places: &mut DoorPlaces,
    findings: &mut Findings,
) -> (Duration, Duration) {
    let lease = table.take("lease");
    let max_lease = table.take("max-lease");
    let time = lease
        .as_ref()
        .and_then(|value| value.duration(findings, defaults.least, LONGEST))
        .unwrap_or(defaults.lease);
    places.lease = lease.map(|value| value.place);
    let default_max = match defaults.style {
        Style::Native => time.max(HOUR),
        Style::Knockd => time,
    };
    let Some(value) = max_lease else { return (time, default_max) };
    let longest = value.duration(findings, defaults.least, LONGEST).unwrap_or(default_max);
    if longest < time {
        let message =
            format!("the longest lease is shorter than the usual one, {}", values::duration_text(time));
        let found = Diagnostic::error("lease-order", &value.place, message)
            .help("give max-lease at least the length of lease, or leave it out");
        findings.add(match &places.lease {
            Some(lease) => found.also(lease, "the usual lease"),
            None => found,
        });
    }
    (time, longest)
}
