//! The state machine, step by step: a driver that performs every effect on paper, and one file per topic.

mod anew;
mod commands;
mod elements;
mod knockd;
mod limits;
mod native;
mod properties;
mod recovery;
mod shutdown;

use std::net::IpAddr;
use std::time::Duration;

use super::{DoorId, Granted, Outcome, Runner};
use crate::door::{
    Action, Catalogue, Commands, Door, Limits, NftAction, NftFamily, NftSet, PerFamily, Style, Template,
};
use crate::effect::{Change, Effect, JobId};
use crate::event::What;
use crate::lease::{Ask, Lease, LeaseId, Owner, State};

const SSH: DoorId = DoorId(0);
const OLD: DoorId = DoorId(1);
const NFT: DoorId = DoorId(2);

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn client(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn v6_client() -> IpAddr {
    "2001:db8::7".parse().unwrap()
}

fn argv(words: &[&str]) -> Template {
    Template::Argv(words.iter().map(|word| (*word).to_owned()).collect())
}

fn shell(line: &str) -> Template {
    Template::Shell(line.to_owned())
}

fn both(template: Template) -> PerFamily {
    PerFamily { v4: Some(template.clone()), v6: Some(template) }
}

fn native() -> Door {
    let commands = Commands {
        start: both(argv(&["open", "{ip}", "{seconds}"])),
        stop: both(argv(&["close", "{ip}"])),
        time_limit: Some(s(10)),
        never_stop: false,
    };
    let action = Action::Command(commands);
    Door { name: "ssh".to_owned(), style: Style::Native, lease: s(30), max_lease: s(60), action }
}

fn knockd(start: &str, stop: Option<&str>, cmd_timeout: u64) -> Door {
    let stop = stop.map_or_else(PerFamily::default, |stop| both(shell(stop)));
    let commands = Commands { start: both(shell(start)), stop, time_limit: None, never_stop: false };
    let (lease, action) = (s(cmd_timeout), Action::Command(commands));
    Door { name: "old".to_owned(), style: Style::Knockd, lease, max_lease: lease, action }
}

fn element() -> Door {
    let set = NftSet::Named {
        family: NftFamily::Inet,
        table: "filter".to_owned(),
        set_v4: Some("knocked".to_owned()),
        set_v6: None,
    };
    let action = Action::Nftables(NftAction { set });
    Door { name: "nft".to_owned(), style: Style::Native, lease: s(30), max_lease: s(60), action }
}

fn doors() -> Vec<Door> {
    vec![native(), knockd("open %IP%", Some("close %IP%"), 10), element()]
}

fn runner(doors: Vec<Door>) -> Runner {
    Runner::new(Catalogue { doors, limits: Limits::default() })
}

/// All effects there are, one short line each; `+` where one shares a transaction with the one before.
fn effects(runner: &mut Runner) -> Vec<String> {
    std::iter::from_fn(|| runner.poll_effect()).flat_map(|effect| lines(&effect)).collect()
}

fn lines(effect: &Effect) -> Vec<String> {
    let one = |text| vec![text];
    match effect {
        Effect::Journal(changes) => together(changes.iter().map(|change| match change {
            Change::Put(record) => {
                format!("put {} {:?} till {}", record.id.0, record.phase, record.deadline.as_secs_f32())
            }
            Change::Remove(id) => format!("remove {}", id.0),
        })),
        Effect::Spawn { job, command, .. } => one(format!("run {}: {command}", job.0)),
        Effect::Signal { jobs, signal } => {
            together(jobs.iter().map(|job| format!("signal {} {signal:?}", job.0)))
        }
        Effect::Elements(changes) => together(changes.iter().map(|change| match change.timeout {
            Some(timeout) => {
                format!("set {} {} for {}", change.lease.0, change.address, timeout.as_secs_f32())
            }
            None => format!("delete {} {}", change.lease.0, change.address),
        })),
        Effect::Log(event) => one(format!("log {}", said(&event.what))),
    }
}

fn together(lines: impl Iterator<Item = String>) -> Vec<String> {
    lines.enumerate().map(|(at, line)| if at == 0 { line } else { format!("+ {line}") }).collect()
}

fn said(what: &What) -> String {
    match what {
        What::Running { part, .. } => format!("running {part:?}"),
        What::Opened { for_ } => format!("opened {}", for_.as_secs_f32()),
        What::Shortened { for_ } => format!("shortened {}", for_.as_secs_f32()),
        What::Renewed { for_ } => format!("renewed {}", for_.as_secs_f32()),
        What::Closed { why } => format!("closed {why:?}"),
        What::Refused { reason } => format!("refused {reason:?}"),
        What::TakenOver { left } => format!("taken over {}", left.as_secs_f32()),
        What::StopRetry { tries, after } => format!("retry {tries} after {}", after.as_secs()),
        What::CannotClose { tries, after: Some(after) } => {
            format!("cannot close {tries} after {}", after.as_secs())
        }
        What::CannotClose { tries, after: None } => format!("cannot close {tries}"),
        What::CommandFailed { part, .. } => format!("failed {part:?}"),
        What::TimeLimit { part, signal } => format!("time limit {part:?} {signal:?}"),
        What::TooLong { part } => format!("too long {part:?}"),
        What::ElementFailed { part, fault } => format!("element failed {part:?} {fault}"),
        What::CommandTimeout => "command timeout".to_owned(),
        What::LoggedOnly => "logged only".to_owned(),
        What::JournalBehind { .. } => "journal behind".to_owned(),
    }
}

/// The commands among the effects there are.
fn commands(runner: &mut Runner) -> Vec<String> {
    effects(runner).into_iter().filter(|line| line.starts_with("run ")).collect()
}

fn ended(runner: &mut Runner, now: Duration, job: u64, status: i32) -> Vec<String> {
    runner.command_finished(now, JobId(job), Outcome::Exited(status));
    effects(runner)
}

fn timeout(runner: &mut Runner, now: Duration) -> Vec<String> {
    runner.handle_timeout(now);
    effects(runner)
}

fn state(runner: &Runner, id: u64) -> Option<State> {
    runner.lease(LeaseId(id)).map(Lease::state)
}

fn deadline(runner: &Runner, id: u64) -> Option<Duration> {
    runner.lease(LeaseId(id)).map(Lease::deadline)
}
