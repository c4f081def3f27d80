//! `aldabad leases`, `open` and `close`: who is inside, and the administrator's own hand.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::cli::AskArgs;
use crate::control::{
    self, Answer, Close, Closed, Lease, LeaseState, Leases, Open, Opened, Request, unanswered,
};
use crate::log::{aside, printable, show};
use crate::surroundings::Surroundings;
use crate::why::span;

/// `aldabad leases`.
#[derive(Debug, Clone, Args)]
pub struct LeasesArgs {
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Which daemon
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `aldabad close`.
#[derive(Debug, Clone, Args)]
pub struct CloseArgs {
    /// The address whose doors are closed
    #[arg(value_parser = address)]
    pub address: IpAddr,
    /// This door only
    pub door: Option<String>,
    /// Which daemon
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `aldabad open`.
#[derive(Debug, Clone, Args)]
pub struct OpenArgs {
    /// The address the door is opened for
    #[arg(value_parser = address)]
    pub address: IpAddr,
    /// The door
    pub door: String,
    /// For this long, as 10m, within the door's `max-lease` [default: the door's `lease`]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub time: Option<Duration>,
    /// Which daemon
    #[command(flatten)]
    pub ask: AskArgs,
}

/// However it is written, an address is one address.
fn address(text: &str) -> Result<IpAddr, String> {
    let address = text.parse::<IpAddr>().map_err(|_| "not an address".to_owned())?;
    Ok(address.to_canonical())
}

fn time(text: &str) -> Result<Duration, String> {
    let time = aldaba_config::duration(text).filter(|time| time.subsec_nanos() == 0 && !time.is_zero());
    time.ok_or_else(|| "not a length of time in whole seconds; write it like 10m or 90s".to_owned())
}

/// Runs `aldabad leases`.
#[must_use]
pub fn leases(args: &LeasesArgs, surroundings: &Surroundings) -> ExitCode {
    match control::ask(&args.ask.socket(surroundings), &Request::Leases) {
        Ok(Answer::Leases(leases)) if args.json => {
            said(&(serde_json::to_string_pretty(&leases).unwrap_or_default() + "\n"), true)
        }
        Ok(Answer::Leases(leases)) => said(&table(&leases), true),
        other => unanswered(other),
    }
}

/// Runs `aldabad close`.
#[must_use]
pub fn close(args: &CloseArgs, surroundings: &Surroundings) -> ExitCode {
    let close = Close { address: args.address, door: args.door.clone() };
    match control::ask(&args.ask.socket(surroundings), &Request::Close(close)) {
        Ok(Answer::Closed(closed)) => {
            if !closed.failed.is_empty() {
                aside(&not_closed(&closed));
            }
            said(&closed_text(&closed), closed.failed.is_empty())
        }
        other => unanswered(other),
    }
}

/// Runs `aldabad open`.
#[must_use]
pub fn open(args: &OpenArgs, surroundings: &Surroundings) -> ExitCode {
    let seconds = args.time.map(|time| time.as_secs());
    let open = Open { address: args.address, door: args.door.clone(), seconds };
    match control::ask(&args.ask.socket(surroundings), &Request::Open(open)) {
        Ok(Answer::Opened(opened)) => said(&opened_text(&opened), true),
        other => unanswered(other),
    }
}

fn said(text: &str, success: bool) -> ExitCode {
    show(text);
    if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn opened_text(opened: &Opened) -> String {
    let (door, address) = (printable(&opened.door), opened.address);
    match opened.left_ms {
        Some(left) => {
            let verb = if opened.renewed { "stays" } else { "is" };
            let seconds = left.saturating_add(500) / 1000;
            format!("door {door} {verb} open for {address}, for {}\n", span(seconds.saturating_mul(1000)))
        }
        None => format!("the start command of door {door} ran for {address}; nothing closes it by itself\n"),
    }
}

fn closed_text(Closed { address, doors, failed }: &Closed) -> String {
    if doors.is_empty() && failed.is_empty() {
        return format!("nothing is open for {address}\n");
    }
    let lines: Vec<String> =
        doors.iter().map(|door| format!("closed: door {} for {address}\n", printable(door))).collect();
    lines.concat()
}

fn not_closed(Closed { address, failed, .. }: &Closed) -> String {
    let mut text = String::new();
    for one in failed {
        let (door, error) = (printable(&one.door), printable(&one.error));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "aldabad: NOT CLOSED: door {door} for {address}: {error}");
    }
    text.push_str(
        "  help: see aldabad leases; if it stays, take the rule out by hand and mend the stop command",
    );
    text
}

/// A line for each lease.
fn table(Leases { leases, left_out }: &Leases) -> String {
    if leases.is_empty() {
        return "no door is open for anybody\n".to_owned();
    }
    let head = ["DOOR", "ADDRESS", "WHO", "STATE", "LEFT"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(leases.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 4] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "{cell:width$}  ");
        }
        let _ = writeln!(text, "{}", row[4]);
    }
    if *left_out > 0 {
        let _ = writeln!(text, "and {left_out} more");
    }
    text
}

fn row(lease: &Lease) -> [String; 5] {
    let who = match (&lease.device, lease.uid) {
        (Some(device), _) => printable(device),
        (None, Some(uid)) => format!("by hand, uid {uid}"),
        (None, None) => "-".to_owned(),
    };
    let state = match lease.state {
        LeaseState::Opening => "opening",
        LeaseState::Open => "open",
        LeaseState::Lost => "LOST",
        LeaseState::Closing => "closing",
        LeaseState::CannotClose => "CANNOT CLOSE",
    };
    let left = if lease.left_ms == 0 { "over".to_owned() } else { span(lease.left_ms) };
    [printable(&lease.door), lease.address.to_string(), who, state.to_owned(), left]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::NotClosed;

    #[test]
    fn leases_are_a_table() {
        let lease = |door: &str, uid, state, left_ms| Lease {
            door: door.to_owned(),
            address: [192, 0, 2, 7].into(),
            device: None,
            uid,
            state,
            left_ms,
        };
        let alice =
            Lease { device: Some("alice/laptop".to_owned()), ..lease("ssh", None, LeaseState::Open, 12_000) };
        let stuck = lease("w\x1beb", None, LeaseState::CannotClose, 0);
        let leases = vec![stuck, alice, lease("vpn", Some(0), LeaseState::Opening, 90_000)];
        let expected = "\
DOOR       ADDRESS    WHO             STATE         LEFT
w\\u{1b}eb  192.0.2.7  -               CANNOT CLOSE  over
ssh        192.0.2.7  alice/laptop    open          12 s
vpn        192.0.2.7  by hand, uid 0  opening       1 min 30 s
and 3 more
";
        assert_eq!(table(&Leases { leases, left_out: 3 }), expected);
        assert_eq!(table(&Leases { leases: Vec::new(), left_out: 0 }), "no door is open for anybody\n");
    }

    #[test]
    fn an_address_is_one_however_it_is_written() {
        let one: IpAddr = [192, 0, 2, 7].into();
        for text in ["192.0.2.7", "::ffff:192.0.2.7", "::ffff:c000:207", "0:0:0:0:0:FFFF:C000:0207"] {
            assert_eq!(address(text), Ok(one), "{text}");
        }
        assert_eq!(address("2001:DB8:0::7"), Ok("2001:db8::7".parse().expect("an address")));
        assert!(address("192.0.2.7/24").is_err() && address("fe80::1%eth0").is_err());
        assert_eq!(time("10m"), Ok(Duration::from_secs(600)));
        assert!(time("0s").is_err() && time("1500ms").is_err() && time("soon").is_err());
    }

    #[test]
    fn what_stays_open_is_said_loudly() {
        let address = [192, 0, 2, 7].into();
        let stuck =
            NotClosed { door: "web".to_owned(), error: "status=1; it is tried again in 1s".to_owned() };
        let closed = Closed { address, doors: vec!["ssh".to_owned()], failed: vec![stuck] };
        assert_eq!(closed_text(&closed), "closed: door ssh for 192.0.2.7\n");
        assert!(not_closed(&closed).starts_with(
            "aldabad: NOT CLOSED: door web for 192.0.2.7: status=1; it is tried again in 1s\n  help: "
        ));
        let nothing = Closed { address, doors: Vec::new(), failed: Vec::new() };
        assert_eq!(closed_text(&nothing), "nothing is open for 192.0.2.7\n");
    }
}
