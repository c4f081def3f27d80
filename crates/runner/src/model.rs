//! A world around the [`crate::Runner`] that checks the lease invariant after every single effect (spec/leases.md,
//! "Invariant"); for the property test and the fuzz target, not for the daemon.
//!
//! *Every opened door is closed exactly once, or is still open with a deadline ahead and a kernel timeout or a durable
//! journal entry.* The world has a journal, processes and a kernel with sets; it can die between any two effects, and
//! with or without a reboot. Time is virtual.

mod checks;
mod deaths;
mod firewall;
mod operations;
mod outside;
mod world;

pub use operations::Operation;
pub use world::World;

use std::time::Duration;

use crate::door::{
    Action, Catalogue, Commands, Door, Established, Limits, NftAction, NftFamily, NftSet, PerFamily,
    PortRange, Style, Template, Transport,
};

/// Runs the operations that these bytes stand for, then lets everything end, checking all the way.
///
/// # Panics
/// When the invariant does not hold.
pub fn run(data: &[u8]) {
    run_operations(Operation::read(data));
}

/// The same with operations made otherwise.
///
/// # Panics
/// When the invariant does not hold.
pub fn run_operations(operations: impl IntoIterator<Item = Operation>) {
    let mut world = World::new();
    for operation in operations {
        world.apply(operation);
    }
    world.let_everything_end();
}

/// The doors of the world; each bit of the variant has something changed, added or missing.
#[must_use]
pub fn catalogue(variant: u8) -> Catalogue {
    let mut doors = vec![
        command_door("native", Style::Native, "native", 30, Some(10)),
        command_door("knockd", Style::Knockd, "knockd", 10, None),
        element_door("own", own_set(Vec::new())),
        element_door("named", named_set("v4")),
        command_door("at once", Style::Knockd, "at once", 0, None),
        without_stop(command_door("no stop", Style::Knockd, "no stop", 10, None)),
        never_stop(command_door("never", Style::Knockd, "never", 10, None)),
        without_stop(command_door("native no stop", Style::Native, "plain", 30, Some(10))),
    ];
    if variant & 1 == 1 {
        doors.truncate(6);
        doors.reverse();
    }
    if variant & 2 == 2 {
        doors.retain(|door| door.name != "native");
    }
    if variant & 3 == 2 {
        doors.push(command_door("native", Style::Native, "changed", 60, Some(5)));
    }
    for door in &mut doors {
        vary_element(door, variant);
    }
    if variant & 16 == 16 {
        doors.retain(|door| door.name != "own");
    }
    if variant & 32 == 32 {
        // No configuration may have two such doors; the runner keeps its promise all the same.
        doors.push(element_door("twin", named_set("v4")));
    }
    let limits = Limits {
        running: 3,
        running_per_door: 2,
        stops: 24,
        waiting: 3,
        leases_per_source: 12,
        leases_per_door: 8,
    };
    Catalogue { doors, limits }
}

/// The same set by another name, another set by the same name, other ports in front of the same set.
fn vary_element(door: &mut Door, variant: u8) {
    match door.name.as_str() {
        "named" if variant & 4 == 4 => "renamed".clone_into(&mut door.name),
        "named" if variant & 8 == 8 => *door = element_door("named", named_set("other")),
        "own" if variant & 64 == 64 => {
            let ssh = PortRange { first: 22, last: 22, transport: Transport::Tcp };
            *door = element_door("own", own_set(vec![ssh]));
        }
        _ => {}
    }
}

fn command_door(name: &str, style: Style, word: &str, lease: u64, limit: Option<u64>) -> Door {
    let template = |part: &str| match style {
        Style::Native => Template::Argv(vec![part.to_owned(), word.to_owned(), "{ip}".to_owned()]),
        Style::Knockd => Template::Shell(format!("{part} {word} %IP%")),
    };
    let both = |part: &str| PerFamily { v4: Some(template(part)), v6: Some(template(part)) };
    let commands = Commands {
        start: both("start"),
        stop: both("stop"),
        time_limit: limit.map(Duration::from_secs),
        never_stop: false,
    };
    door(name, style, lease, Action::Command(commands))
}

fn door(name: &str, style: Style, lease: u64, action: Action) -> Door {
    let lease = Duration::from_secs(lease);
    Door { name: name.to_owned(), style, lease, max_lease: Duration::from_secs(120), action }
}

fn element_door(name: &str, set: NftSet) -> Door {
    door(name, Style::Native, 30, Action::Nftables(NftAction { set }))
}

fn own_set(ports: Vec<PortRange>) -> NftSet {
    NftSet::Own { ports, established: Established::Stay }
}

fn named_set(v4: &str) -> NftSet {
    NftSet::Named {
        family: NftFamily::Inet,
        table: "filter".to_owned(),
        set_v4: Some(v4.to_owned()),
        set_v6: None,
    }
}

fn without_stop(mut door: Door) -> Door {
    if let Action::Command(commands) = &mut door.action {
        commands.stop = PerFamily::default();
    }
    door
}

fn never_stop(mut door: Door) -> Door {
    if let Action::Command(commands) = &mut door.action {
        commands.never_stop = true;
    }
    door
}
