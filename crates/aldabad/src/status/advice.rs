//! What to do about what does not work: every degraded state has a next step.

use crate::control::Degraded;

/// All states there are, in words, and what to do about each.
pub(super) const STATES: [(&str, &str, &str); 25] = [
    (
        "cannot-close",
        "A DOOR STAYS OPEN",
        "take the rule out by hand now; then mend the stop command (close-failed in the log says how it ended) and run \
         aldabad close",
    ),
    (
        "close-failed",
        "a door does not close",
        "close-failed in the log says how the stop command ended; if it goes on, take the rule out by hand",
    ),
    (
        "worker",
        "nobody can knock",
        "worker-ended in the log says how it ended; open doors close all the same",
    ),
    (
        "journal",
        "leases cannot be written to the disk",
        "see df and the mount of the state folder: doors with a stop command open for nobody until it can be written",
    ),
    (
        "closer",
        "no closer stands by",
        "if the daemon is killed now, doors with a stop command close at its next start",
    ),
    (
        "interface-gone",
        "an interface is not there",
        "ip link; a wrong name is changed with `interfaces` in aldaba.toml",
    ),
    ("interface-down", "an interface is down", "ip link set dev NAME up"),
    ("capture", "an interface cannot be captured on", "see the error; it is tried again every two seconds"),
    ("interfaces", "the interfaces cannot be read", "see the error; it is tried again every two seconds"),
    (
        "packets-dropped",
        "the kernel drops packets",
        "a flood of packets that pass the filter: knock again; if it lasts, see packets and datagrams below",
    ),
    (
        "firewall",
        "the firewall is not as the policy wants it",
        "nft list ruleset; sudo aldabad firewall apply shows the error",
    ),
    ("silence", "the port of datagrams may be answered", "let no rule reject datagrams to it: drop them"),
    (
        "replay-store",
        "nobody gets in by datagram",
        "see the error: disk full, read-only, broken, or lost while the clock may be wrong",
    ),
    (
        "replay-guard",
        "nobody gets in by datagram for a while",
        "wait; where it is far longer than a minute, see replay.redb in aldabad(8)",
    ),
    (
        "spa-port",
        "the port of datagrams cannot be had",
        "ss -ulpn shows who has it; else change `port` in [spa]",
    ),
    (
        "gateways",
        "the default gateways cannot be read",
        "see the error: until then no door opens by datagram",
    ),
    ("shut-out", "users are being shut out", "turn to new gate keys: aldabad rotate --gate"),
    ("one-time-used-up", "a door is deaf", "append new sequences to its file"),
    (
        "commands-waiting",
        "too many commands wait",
        "see which start commands hang: command-over-time in the log",
    ),
    (
        "reload-refused",
        "the file is not what is in force",
        "aldabad check shows what is wrong; then aldabad reload",
    ),
    ("sandbox", "the worker has no sandbox", "start the daemon without --insecure-no-sandbox"),
    ("state", "the state folder cannot be had", "see the error; leases are forgotten at a restart"),
    ("policy", "a policy cannot be handed over", "see the error; then aldabad reload"),
    (
        "filter",
        "a capture has an old filter",
        "see the error; then restart the daemon: open doors stay as `on-exit` says",
    ),
    ("log", "the log file cannot be written", "see the error; then aldabad reload"),
];

/// A state in words.
pub(super) fn meaning(degraded: &Degraded) -> &str {
    let known = STATES.iter().find(|(what, _, _)| *what == degraded.what);
    known.map_or(degraded.what.as_str(), |(_, meaning, _)| meaning)
}

/// What to do about it.
pub(super) fn next(degraded: &Degraded) -> &'static str {
    let known = STATES.iter().find(|(what, _, _)| *what == degraded.what);
    known.map_or("look at the daemon's log", |(_, _, next)| next)
}
