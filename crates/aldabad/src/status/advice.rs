//! What to do about what does not work: every degraded state has a next step.

/// A degraded state.
pub(super) struct State {
    /// Its name (spec/control.md, "Degraded states").
    what: &'static str,
    pub(super) meaning: &'static str,
    pub(super) next: &'static str,
}

/// What to do about one that is not known here, as a newer daemon may have it.
pub(super) const OF_ANOTHER: &str = "look at the daemon's log";

/// The daemon goes on trying by itself.
const TRIED_AGAIN: &str = "see the error; it is tried again every two seconds";
/// It does not.
const RELOAD: &str = "see the error; then aldabad reload";

const fn state(what: &'static str, meaning: &'static str, next: &'static str) -> State {
    State { what, meaning, next }
}

/// All there are, in the order of the specification.
const STATES: [State; 44] = [
    state(
        "cannot-close",
        "A DOOR STAYS OPEN",
        "take the rule out by hand now, and mend the stop command (command-failed in the log says how it ended): it is run \
         every minute, and at once by aldabad close; where nothing is left to take out: aldabad open ADDRESS DOOR --for 1s",
    ),
    state(
        "closes-late",
        "A DOOR STAYS OPEN after its time",
        "see what its stop command waits for (aldabad leases names the client, ps the command); a time-limit in its door ends it \
         and runs it again; if it goes on, take the rule out by hand",
    ),
    state(
        "close-failed",
        "a door does not close",
        "close-failed in the log says how the stop command ended; if it goes on, take the rule out by hand",
    ),
    state(
        "lease-lost",
        "a door that should be open is not",
        "load the ruleset that has the door's set: it comes back with it; leases-lost in the log names who took it away",
    ),
    state(
        "worker",
        "nobody can knock",
        "worker-ended in the log says how it ended; open doors close all the same",
    ),
    state(
        "worker-silent",
        "the worker does not answer",
        "ask again: it may be busy; one that hangs is replaced within half a minute, and open doors close all the same",
    ),
    state(
        "worker-restarts",
        "the worker ends again and again",
        "worker-ended in the log says how; nobody can knock between one and the next",
    ),
    state(
        "journal",
        "leases cannot be written to the disk",
        "see df and the mount of the state folder: doors with a stop command open for nobody until it can be written",
    ),
    state(
        "journal-behind",
        "the journal is behind",
        "wait: it is written again every five seconds; killed now, the daemon closes these at another time than they should be",
    ),
    state(
        "closer",
        "no closer stands by",
        "closer-ended in the log says how the last one ended; if the daemon is killed meanwhile, doors with a stop command close at \
         its next start",
    ),
    state(
        "journal-damaged",
        "LEASES WERE LOST: DOORS MAY BE OPEN",
        "look which rules stop commands should have taken away, and take them out by hand; aldabad doctor; keep the file it names for \
         a report, then restart the daemon",
    ),
    state(
        "state-files",
        "files of the state folder were begun anew",
        "nothing: doors close all the same; find out who put what it names there, take that away, and restart the daemon",
    ),
    state(
        "interface-gone",
        "an interface is not there",
        "ip link; a wrong name is changed with `interfaces` in aldaba.toml",
    ),
    state("interface-down", "an interface is down", "ip link set dev NAME up"),
    state("capture", "an interface cannot be captured on", TRIED_AGAIN),
    state("interfaces", "the interfaces cannot be read", TRIED_AGAIN),
    state(
        "packets-dropped",
        "the kernel drops packets",
        "a flood of packets that pass the filter: knock again; if it lasts, see packets and datagrams below",
    ),
    state(
        "requests-lost",
        "openings are lost",
        "sequences are completed faster than doors open: knock again; if it lasts somebody knows a sequence, so change it, or let a key \
         open that door (spa = true)",
    ),
    state(
        "firewall",
        "the firewall is not as the policy wants it",
        "nft list ruleset; sudo aldabad firewall apply shows the error",
    ),
    state(
        "firewall-fight",
        "another program fights over the firewall",
        "let it leave that table alone, or stop it: until then ports may stand open for most of the time",
    ),
    state(
        "table-lock",
        "a second daemon could take aldaba's table",
        "end the process that has the lock's name (ss -xlp shows it), then: aldabad reload; doors open and close all the same",
    ),
    state(
        "firewall-watch",
        "others' changes of the firewall are not noticed at once",
        "see the error; the firewall is looked at every two seconds meanwhile",
    ),
    state(
        "silence",
        "the port of datagrams may be answered",
        "let no rule reject datagrams to it: drop them",
    ),
    state(
        "replay-store",
        "nobody gets in by datagram",
        "see the error: disk full, read-only, broken, or lost while the clock may be wrong",
    ),
    state(
        "replay-guard",
        "nobody gets in by datagram for a while",
        "wait; where it is far longer than a minute, see replay.redb in aldabad(8)",
    ),
    state(
        "spa-port",
        "the port of datagrams cannot be had, or not be read",
        "see the error; where another program has it, ss -ulpn shows which: end that one, or take another `port` in [spa]",
    ),
    state(
        "gateways",
        "the default gateways cannot be read",
        "see the error: until then no door opens by datagram",
    ),
    state("shut-out", "users are being shut out", "turn to new gate keys: aldabad rotate --gate"),
    state(
        "command",
        "a command cannot be started",
        "install the program, or mend its path in the door's commands: such a door opens for nobody, or stays open",
    ),
    state("one-time-used-up", "a door is deaf", "append new sequences to its file"),
    state(
        "commands-waiting",
        "too many commands wait",
        "see which start commands hang: command-over-time in the log",
    ),
    state(
        "last-in-force",
        "the file is not what is in force",
        "aldabad check shows what is wrong; then aldabad reload",
    ),
    state(
        "reload-refused",
        "the file is not what is in force",
        "aldabad check shows what is wrong; then aldabad reload",
    ),
    state("reload", "a reload will fail", "run the command it names; then aldabad reload"),
    state(
        "configuration",
        "what is in force is not on the disk",
        "see the error; then write it there again, and aldabad reload",
    ),
    state(
        "in-force-file",
        "a start with errors in the configuration would not take what is in force",
        "see the error, df and the mount of the state folder; it is tried again every two seconds",
    ),
    state(
        "user",
        "the worker has not the user it was to have",
        "useradd --system --no-create-home NAME, or take user = NAME out of the configuration; then aldabad reload",
    ),
    state(
        "pid-file",
        "the process number is not written down",
        "let the daemon write there (ReadWritePaths= of its unit), or take pid-file out of the configuration; then restart it",
    ),
    state("sandbox", "the worker has no sandbox", "start the daemon without --insecure-no-sandbox"),
    state(
        "state",
        "the state folder cannot be had",
        "see the error; it is tried again every two seconds, and until then doors that an earlier run has opened may be open, and a restart \
         with errors in the configuration has nothing to fall back on",
    ),
    state("policy", "a policy cannot be handed over", RELOAD),
    state(
        "filter",
        "a capture has an old filter",
        "see the error; then restart the daemon: open doors stay as `on-exit` says",
    ),
    state(
        "filter-widened",
        "more packets than need be reach the worker",
        "sysctl -w net.core.optmem_max=131072, the same in /etc/sysctl.d for the next boot; then restart the daemon: open doors stay as \
         `on-exit` says",
    ),
    state(
        "log",
        "lines are missing in the log file",
        "see df and the error: what is lost is counted there; after a change of the path aldabad reload",
    ),
];

/// The state of this name.
pub(super) fn of(what: &str) -> Option<&'static State> {
    STATES.iter().find(|state| state.what == what)
}

/// The names of all, in their order.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    STATES.iter().map(|state| state.what).collect()
}
