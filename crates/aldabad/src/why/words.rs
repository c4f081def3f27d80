//! What happened, line by line, oldest first.

use std::time::Duration;

use crate::control::{About, DoorEvent, Knock, Lease, LeaseState, What, Why};
use crate::log::printable;

/// A line with its age in milliseconds.
type Dated = (u64, String);

/// All that is known, one event a line.
pub(super) fn story(why: &Why) -> String {
    let mut lines: Vec<Dated> = why.knocks.iter().map(|seen| (seen.ago_ms, knock(seen))).collect();
    lines.extend(why.doors.iter().map(|event| (event.ago_ms, door(event))));
    // Oldest first; what came in stands before what came of it.
    lines.sort_by_key(|(ago, _)| std::cmp::Reverse(*ago));
    let mut text = vec![match why.about {
        About::Address(address) => format!("{address}:"),
        About::Id(id) => format!("knock {id}:"),
    }];
    text.extend(lines.iter().map(|(ago, line)| dated(&format!("{} ago", span(*ago)), line)));
    text.extend(why.leases.iter().map(|held| dated("now", &lease(held))));
    if text.len() == 1 {
        text.push(format!("  {}", nothing(why)));
    }
    if !why.complete {
        let missing = "the process that looks at packets did not answer: refusals may be missing here.";
        text.push(format!("  {missing}"));
    }
    text.join("\n") + "\n"
}

fn dated(when: &str, line: &str) -> String {
    format!("  {when:>13}  {}", printable(line))
}

fn nothing(why: &Why) -> &'static str {
    match why.about {
        About::Address(_) => "nothing is known of this address.",
        About::Id(_) => "nothing with this id has arrived, or it was too long ago.",
    }
}

fn knock(knock: &Knock) -> String {
    let whose = knock.device.as_deref().map(|device| format!(" of {device}")).unwrap_or_default();
    let id = knock.id.map(|id| format!(" {id}")).unwrap_or_default();
    let text = match &knock.what {
        What::Admitted { door, close, address, clock_us } => {
            let wish = if *close { format!("close {door}") } else { format!("open {door} for {address}") };
            format!("knock{id}{whose} from {}: accepted, {wish} ({})", knock.from, clock(*clock_us))
        }
        What::Hello { clock_us } => {
            format!(
                "hello{id}{whose} from {}: key, clock and path are right ({})",
                knock.from,
                clock(*clock_us)
            )
        }
        What::Refused { why, clock_us, used } => {
            let reason = refusal(why, *clock_us, *used);
            format!("knock{id}{whose} from {}: refused ({why}), {reason}", knock.from)
        }
        What::NotAllowed { why } => {
            let reason = not_allowed(why);
            format!("knock{id}{whose} from {}: refused by the policy ({why}), {reason}", knock.from)
        }
        What::Sequence { door, close } => {
            let wish = if *close { "close" } else { "open" };
            format!("sequence of {door} from {}: complete, {wish} it", knock.from)
        }
        What::Step { door, stage } => format!("sequence of {door} from {}: step {stage}", knock.from),
        What::Expired { door, stage } => {
            format!("sequence of {door} from {}: ran out of time after step {stage}", knock.from)
        }
    };
    text + &match knock.again {
        0 => String::new(),
        1 => "; the same datagram came once more and was not acted on".to_owned(),
        n => format!("; the same datagram came {n} more times and was not acted on"),
    }
}

/// What a refusal means, as the end of a sentence.
pub(super) fn refusal(why: &str, clock_us: Option<i64>, used: bool) -> String {
    let plain = match why {
        "clock" => {
            let offset = clock_us.map_or_else(|| "the device's clock is wrong".to_owned(), off);
            let used =
                if used { ", and a knock of that time or a later one was accepted before" } else { "" };
            return format!("{offset}{used}");
        }
        "repeated" => "the very same datagram was seen before",
        "budget" => "more was asked of this gate key than may be worked on",
        "ephemeral" => "it carries a key that no client makes",
        "sealed-key" => "it was made with the gate key, but not for this server's key",
        "unknown-device" => "its device key is not in the registry",
        "invalid-device" => "its device is switched off, expired or not valid yet",
        "forged" => "it names this device, but was not made with its keys",
        "malformed" => "it asks for something this server does not know",
        "old" => "a newer knock of the same device was accepted before it came",
        "replay" => "a knock of the same device with this very time was accepted before",
        "guard" => "the record of used knocks was lost, and nothing is known to be new for a while",
        "rate" => "the device knocks too often",
        "store" => "the use of the knock could not be written to the disk",
        "door" => "this device has no such door",
        "network" => "the device may not knock from this network",
        "relayed" => "it is bound to another address than it came from",
        "unbound" => "the door takes only knocks that are bound to an address",
        "address" => "no door is opened for such an address",
        _ => "see spec/spa.md, section 8",
    };
    plain.to_owned()
}

fn not_allowed(why: &str) -> &'static str {
    match why {
        "no-such-door" => "there is no such door now",
        "no-such-device" => "the device is in the registry no more",
        "too-many-of-device" => "the device holds as many openings as it may",
        "too-many-of-user" => "the devices of its user hold as many openings as they may",
        "own-address" => "it would open the door for an address of this host",
        "broadcast" => "no client has such an address: it means everybody on a network of this host's",
        "gateway" => "it would open the door for a default gateway of this host",
        "gateways-unknown" => "the default gateways of this host could not be read",
        _ => "it is not allowed",
    }
}

fn door(event: &DoorEvent) -> String {
    let DoorEvent { door, address, event, fields, .. } = event;
    let field = |name: &str| fields.split(' ').find_map(|field| field.strip_prefix(name)).unwrap_or("?");
    match event.as_str() {
        "opened" => format!("door {door}: opened for {address}, {}", field("lease=")),
        "renewed" => format!("door {door}: stays open for {address}, {} more", field("lease=")),
        "shortened" => {
            format!(
                "door {door}: its device may hold it for less now; open for {address}, {} more",
                field("lease=")
            )
        }
        "closed" => format!("door {door}: closed for {address} ({})", field("why=")),
        "refused" => format!("door {door}: not opened for {address} ({})", field("why=")),
        "knocked" => format!("door {door}: only logs; nothing is opened"),
        "open-by-hand" => format!("door {door}: opened by hand for {address} ({fields})"),
        "close-by-hand" => format!("door {door}: closed by hand for {address} ({fields})"),
        "taken-over" => format!("door {door}: open for {address} since before the daemon's start"),
        _ => format!("door {door}: {event} for {address} {fields}").trim_end().to_owned(),
    }
}

fn lease(lease: &Lease) -> String {
    let Lease { door, address, device, state, left_ms, .. } = lease;
    let holder = device.as_deref().map(|device| format!(", held by {device}")).unwrap_or_default();
    let state = match state {
        LeaseState::Opening => "being opened".to_owned(),
        LeaseState::Open => format!("still open for {}", span(*left_ms)),
        LeaseState::Lost => "NOT OPEN: others took its element away".to_owned(),
        LeaseState::Closing => "being closed".to_owned(),
        LeaseState::CannotClose => "COULD NOT BE CLOSED".to_owned(),
    };
    format!("door {door}: {state}, {address}{holder}")
}

/// How far a clock is off that is near enough.
fn clock(offset_us: i64) -> String {
    let away = Duration::from_micros(offset_us.unsigned_abs());
    if away < Duration::from_millis(10) {
        return "its clock is right".to_owned();
    }
    let direction = if offset_us < 0 { "behind" } else { "ahead" };
    format!("its clock is {} {direction}", crate::wording::short(away))
}

/// How far a clock is off that is not.
fn off(offset_us: i64) -> String {
    let millis = offset_us.unsigned_abs() / 1000;
    let direction = if offset_us < 0 { "behind" } else { "ahead of" };
    format!("the device's clock is {} {direction} this server's", span(millis))
}

/// A length of time as people say it: the two largest units.
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis / 1000;
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let largest = units.iter().position(|(_, size)| seconds >= *size);
    match largest {
        None => format!("{millis} ms"),
        Some(at) => {
            let (name, size) = units[at];
            let rest = units.get(at + 1).map(|(name, smaller)| ((seconds % size) / smaller, *name));
            match rest.filter(|(count, _)| *count > 0) {
                Some((count, smaller)) => format!("{} {name} {count} {smaller}", seconds / size),
                None => format!("{} {name}", seconds / size),
            }
        }
    }
}
