//! The next step: every answer ends with one.

use super::words::span;
use crate::control::{About, Datagrams, DoorEvent, Knock, LeaseState, What, Why};
use crate::log::printable;

/// An opening for such an address would be one for everybody.
const BEHIND_A_PROXY: &str = "the knock came from an address of this host, a gateway, or one nobody can answer: look for a proxy or \
                              a port forward that hides the client.";

/// A guard that went up by a right clock is down before: no `future` is longer.
const LONGEST_GUARD: u64 = 600_000;

/// What to do now, by what happened last.
pub(super) fn next(why: &Why) -> String {
    let text = if why.leases.iter().any(|lease| lease.state == LeaseState::CannotClose) {
        "close that door by hand now, then look for close-failed in the log: its stop command does not work."
            .to_owned()
    } else {
        by_last(why)
    };
    format!("next: {text}")
}

fn by_last(why: &Why) -> String {
    let knock = why.knocks.last();
    let door = why.doors.last();
    match (knock, door) {
        (Some(knock), Some(door)) if door.ago_ms <= knock.ago_ms => after_door(why, door),
        (Some(knock), _) => after_knock(why, knock),
        (None, Some(door)) => after_door(why, door),
        (None, None) if !why.leases.is_empty() => open(),
        (None, None) => unheard(why),
    }
}

fn open() -> String {
    "the door is open: connect. If the service does not answer, check that it listens, that the client's connection comes \
     from the address above (both address families, proxies), and that no other firewall table drops it."
        .to_owned()
}

fn after_door(why: &Why, event: &DoorEvent) -> String {
    let is_open = why.leases.iter().any(|lease| *lease.door == event.door && lease.address == event.address);
    match event.event.as_str() {
        _ if is_open && event.event != "refused" => open(),
        "closed" => "the door is closed: knock again to open it. If it closed too soon, see `lease` in aldaba.toml(5); an \
                     established connection should outlive it."
            .to_owned(),
        "refused" => "the limits of aldaba.toml(5) ([limits]), the command or set for this address family, and the log say \
                      why; then knock again."
            .to_owned(),
        "knocked" => "nothing: this door only logs.".to_owned(),
        "element-failed" => {
            "nft list sets: the door's set (`set` in aldaba.toml(5)) must be there, take addresses of this family, and have \
             `flags timeout`; where `aldabad init` wrote the door, the commands that make the set stand above it. Then knock \
             again."
                .to_owned()
        }
        _ => "look at the daemon's log from that moment on: the door's command or the firewall did not do its work.".to_owned(),
    }
}

fn after_knock(why: &Why, knock: &Knock) -> String {
    match &knock.what {
        What::Admitted { close: true, .. } => {
            "nothing is open of that door that this device opened.".to_owned()
        }
        What::Admitted { .. } | What::Sequence { .. } => {
            "the door should follow at once: ask again, and look at the daemon's log if it does not.".to_owned()
        }
        What::Hello { .. } => format!(
            "knock at a door: it will be opened for {}. If the service sees the client under another address, see `--bind` \
             in aldaba(1).",
            knock.from
        ),
        What::Refused { why: reason, used, .. } => named(refused(why, reason, *used), knock.device.as_deref()),
        What::NotAllowed { why } => not_allowed(why).to_owned(),
        What::Step { .. } | What::Expired { .. } => {
            "knock the whole sequence in its order and within its time; `aldabad check --pcap` shows what a capture of it \
             would do."
                .to_owned()
        }
    }
}

/// A command for the very device, where it is known.
fn named(advice: String, device: Option<&str>) -> String {
    match device {
        Some(device) => advice.replace("bundle NAME", &format!("bundle {}", printable(device))),
        None => advice,
    }
}

fn not_allowed(why: &str) -> &'static str {
    match why {
        "too-many-of-device" | "too-many-of-user" => {
            "wait until one of the openings ends, or close one with `aldaba close`; `max-leases` on the device's line sets how \
             many there may be."
        }
        "own-address" | "gateway" => BEHIND_A_PROXY,
        _ => {
            "compare the device's line in the registry (`aldabad user list`) with the doors of `aldabad check --explain`; after \
             a change: aldabad reload."
        }
    }
}

fn refused(why: &Why, reason: &str, used: bool) -> String {
    if reason == "guard" {
        return guard(why.datagrams.as_ref());
    }
    let text = match reason {
        "clock" if used => {
            "if the device's clock is right, somebody sends an old capture again, and nothing is to be done. Else set it \
             (timedatectl set-ntp true) and knock again."
        }
        "clock" => {
            "set the device's clock (timedatectl set-ntp true) and knock again: the device is not locked out. If it is this \
             server's clock that is wrong (timedatectl), set that."
        }
        "repeated" | "replay" => {
            "nothing, if the first one was accepted: a client never sends a datagram twice, so somebody sends a capture \
             again, or the network doubled it. A client that waits for its door knocks again."
        }
        "old" => "knock again. If this happens often, two machines use one device key: give each its own.",
        "rate" => "wait a few seconds and knock once.",
        "store" => {
            "look at `degraded what=replay-store` in the log: disk full, read-only, broken, or lost while the clock may be wrong. \
             Until it works nobody gets in by datagram."
        }
        _ => of_keys(reason).or_else(|| of_policy(reason)).unwrap_or("look at the daemon's log."),
    };
    text.to_owned()
}

/// The keys do not fit.
fn of_keys(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "budget" => {
            "wait a moment and knock again. If it lasts, somebody who knows the gate key floods the port (`shut-out` in the log \
             names the lock): turn to new keys (aldabad rotate --gate)."
        }
        "ephemeral" | "malformed" => {
            "bring the client to this server's version. If no client of yours sent it, somebody who knows the gate key tries \
             things."
        }
        "sealed-key" => {
            "give the device a new bundle and enrol it again: its bundle is of another server key."
        }
        "forged" => {
            "its pre-shared key is another: give the device a new bundle (aldabad user bundle NAME), then, on the device: aldaba \
             enrol. If the device did not knock, somebody who knows the gate key uses its name; nothing was opened."
        }
        "unknown-device" => {
            "let the device in with the line `aldaba pubkey` prints on it: aldabad user add NAME. If its key was taken out on \
             purpose, all is well."
        }
        _ => return None,
    })
}

/// The policy says no.
fn of_policy(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "invalid-device" => {
            "look at `expires` and its like on the device's line in the registry; then: aldabad reload."
        }
        "door" => {
            "compare the door's name with those of `aldabad check --explain` (it needs `spa`), and `doors` on the device's \
             line in the registry; then: aldabad reload."
        }
        "network" => "look at `from` on the device's line in the registry; then: aldabad reload.",
        "relayed" => {
            "the client's network translates addresses, and the client cannot see it: knock with `aldaba open --bind never` \
             there. If it does not, somebody between sent the knock on from his own address."
        }
        "unbound" => {
            "knock with `aldaba open --bind always`, or let the door take others: `spa = \"either\"`."
        }
        "address" => BEHIND_A_PROXY,
        _ => return None,
    })
}

fn guard(datagrams: Option<&Datagrams>) -> String {
    match datagrams.map(|datagrams| datagrams.guard_left_ms) {
        None | Some(0) => "knock again: the guard is down.".to_owned(),
        Some(left) if left > LONGEST_GUARD => format!(
            "this server's clock was far ahead when the guard went up, which would stay for {}. Set the clock (timedatectl); then \
             stop the daemon, move replay.redb out of its state folder and start it again: a new guard goes up by the right \
             clock, for `future` of aldaba.toml(5).",
            span(left)
        ),
        Some(left) => format!("wait {} and knock again; then the guard is down.", span(left)),
    }
}

/// Nothing is known: what can be told all the same.
fn unheard(why: &Why) -> String {
    if !why.complete {
        return "ask again in a moment. If the process that looks at packets still does not answer, look for worker-ended in \
                the log."
            .to_owned();
    }
    let Some(datagrams) = &why.datagrams else {
        return match why.about {
            About::Id(_) => {
                "this daemon's policy has no [spa]: it takes no datagrams. Is it the right daemon (--config)?"
                    .to_owned()
            }
            About::Address(_) => sequence(why),
        };
    };
    let Datagrams { port, foreign_ago_ms, .. } = datagrams;
    if let (About::Address(_), Some(ago)) = (why.about, foreign_ago_ms) {
        return format!(
            "{} ago a datagram came from this address to UDP port {port} that was not made with this server's gate key: \
             give the device a new bundle (aldabad user bundle NAME), then, on the device: aldaba enrol.",
            span(*ago)
        );
    }
    let counted = counted(datagrams);
    let try_hello = "Then try `aldaba hello` from the client, and ask again with the id it shows.";
    match why.about {
        About::Id(_) => format!("{counted} {try_hello}"),
        About::Address(_) => format!("{counted} {}", sequence(why)),
    }
}

fn counted(datagrams: &Datagrams) -> String {
    let Datagrams { port, arrived, foreign, foreign_ago_ms, .. } = datagrams;
    let have = if *arrived == 1 { "1 datagram has".to_owned() } else { format!("{arrived} datagrams have") };
    match (arrived, foreign, foreign_ago_ms) {
        (0, _, _) => format!(
            "No datagram has come to UDP port {port} since the worker's start: look at the client's route, the network and \
             any firewall before this host (not this host's own), the port in the client's bundle, and `interfaces` in \
             aldaba.toml."
        ),
        (_, _, Some(ago)) => format!(
            "{foreign} of {arrived} datagrams at UDP port {port} were not made with this server's gate key, the last one {} \
             ago: if that was it, the device needs a new bundle (aldabad user bundle NAME).",
            span(*ago)
        ),
        (_, 0, None) => format!(
            "{have} come to UDP port {port}, all made with the gate key: this one got lost on its way, or is long forgotten."
        ),
        (_, _, None) => format!(
            "{have} come to UDP port {port}, {foreign} of them not made with this server's gate key; of those none of late \
             from this address."
        ),
    }
}

fn sequence(why: &Why) -> String {
    let steps = if why.steps_told {
        ""
    } else {
        "; `stages = true` in [log] makes the steps of sequences known here"
    };
    let host = match why.about {
        About::Address(address) => format!("host {address}"),
        About::Id(_) => "udp".to_owned(),
    };
    format!(
        "Of sequences only complete ones are told{steps}. See whether the packets arrive: tcpdump -ni any {host}, and `aldabad \
         check --pcap` for what a sequence would do."
    )
}
