//! Sets of the administrator's own ruleset, by name. Each belongs to one door (spec/leases.md, "Element leases").

use std::collections::HashMap;

use aldaba_runner::door::{Action, Door, NftAction, NftFamily, NftSet};

use super::super::table::Value;
use super::super::values::{self, SetName};
use super::Keys;
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{DoorPlaces, Families, Findings};

/// `set`, `set-v4` and `set-v6`.
pub(super) fn sets(keys: &Keys<'_>, places: &mut DoorPlaces, findings: &mut Findings) -> Option<NftSet> {
    let [either, v4, v6] = keys.sets.each_ref().map(|value| match value {
        Some(value) => set(value, findings).map(|name| Some((name, value.place.clone()))),
        None => Some(None),
    });
    let (either, v4, v6) = (either?, v4?, v6?);
    let (v4, v6) = match either {
        Some(either) if v4.is_none() && either.0.family == NftFamily::Ip6 && v6.is_none() => {
            (None, Some(either))
        }
        Some(either) if v4.is_none() => (Some(either), v6),
        Some((_, place)) => {
            findings.add(
                Diagnostic::error("two-sets", &place, "set and set-v4 both name the set for IPv4")
                    .help("keep one of them; the set for IPv6 is set-v6"),
            );
            return None;
        }
        None => (v4, v6),
    };
    let place = |named: &Option<(SetName, Place)>| named.as_ref().map(|(_, place)| place.clone());
    places.sets = Families { v4: place(&v4), v6: place(&v6) };
    same_table(v4, v6, findings)
}

fn set(value: &Value<'_>, findings: &mut Findings) -> Option<SetName> {
    let example = "inet filter ssh_open";
    let text = value.text(findings, format_args!("{} = {example:?}", value.name))?;
    values::set_name(text.text)
        .map_err(|bad| {
            findings.add(
                Diagnostic::error("bad-set", &text.place.part(bad.span), bad.message)
                    .help(format!("write it like: {} = {example:?}", value.name)),
            );
        })
        .ok()
}

fn same_table(
    v4: Option<(SetName, Place)>,
    v6: Option<(SetName, Place)>,
    findings: &mut Findings,
) -> Option<NftSet> {
    for (named, wrong) in [(&v4, NftFamily::Ip6), (&v6, NftFamily::Ip)] {
        if let Some((_, place)) = named.as_ref().filter(|(name, _)| name.family == wrong) {
            findings.add(
                Diagnostic::error(
                    "bad-set",
                    place,
                    "a table of this family has no addresses of the other one",
                )
                .help("ip tables hold IPv4, ip6 tables IPv6, inet tables sets of either kind"),
            );
            return None;
        }
    }
    if let (Some((a, first)), Some((b, second))) = (&v4, &v6)
        && (a.family, &a.table) != (b.family, &b.table)
    {
        findings.add(
            Diagnostic::error("two-tables", second, "both sets of a door are in one table")
                .also(first, "the other is here")
                .help("use an inet table, or two doors with the same sequence"),
        );
        return None;
    }
    let named = v4.as_ref().or(v6.as_ref()).map(|(name, _)| name.clone())?;
    let set = |found: Option<(SetName, Place)>| found.map(|(name, _)| name.set);
    Some(NftSet::Named { family: named.family, table: named.table, set_v4: set(v4), set_v6: set(v6) })
}

/// An element is there or not, whichever door put it in: two doors would end each other's leases.
pub(in super::super) fn one_door_for_each_set(
    doors: &[Door],
    places: &[DoorPlaces],
    findings: &mut Findings,
) {
    let mut seen: HashMap<_, (usize, &Door, &Place)> = HashMap::new();
    for (index, (door, places)) in doors.iter().zip(places).enumerate() {
        let Action::Nftables(NftAction { set: NftSet::Named { family, table, set_v4, set_v6 } }) =
            &door.action
        else {
            continue;
        };
        for (set, place) in [(set_v4, &places.sets.v4), (set_v6, &places.sets.v6)] {
            let (Some(set), Some(place)) = (set, place) else { continue };
            let before = seen.insert((family, table, set), (index, door, place));
            if let Some((_, other, before)) = before.filter(|(before, _, _)| *before != index) {
                findings.add(two_doors(&other.name, before, &door.name, place));
            }
        }
    }
}

fn two_doors(first: &str, before: &Place, second: &str, place: &Place) -> Diagnostic {
    Diagnostic::error("same-set", place, format!("doors {first:?} and {second:?} open the same set"))
        .also(before, "the other is here")
        .help("one would end what the other opened: give each a set of its own, and a rule for it")
        .help("or make them one door, which may have a sequence and spa = true")
}
