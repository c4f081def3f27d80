//! Commands that are not there, that open for everybody, or that nothing takes back.

use aldaba_runner::door::{Action, Commands, PerFamily, Template};

use super::{Subject, subjects};
use crate::diagnostic::{Diagnostic, Place};
use crate::files::Files;
use crate::plan::{Families, Findings, Plan};

/// Programs that change a firewall.
const FIREWALLS: [&str; 9] = [
    "iptables",
    "ip6tables",
    "nft",
    "ipset",
    "ufw",
    "firewall-cmd",
    "iptables-legacy",
    "iptables-nft",
    "pfctl",
];
/// Words by which they take something back.
const TAKES_BACK: [&str; 8] =
    [" -D ", "--delete", " delete ", " del ", "--remove", " remove ", " DROP", " deny "];
/// Words of the shell that begin no program.
const SHELL_WORDS: [&str; 30] = [
    ".", ":", "[", "alias", "bg", "case", "cd", "command", "echo", "eval", "exec", "exit", "export", "false",
    "for", "if", "printf", "read", "return", "set", "shift", "test", "times", "trap", "true", "ulimit",
    "umask", "unset", "until", "while",
];

/// What can be said of one door's commands.
pub(super) fn of_door(subject: &Subject<'_>, files: &mut dyn Files, findings: &mut Findings) {
    let Action::Command(commands) = &subject.door.action else { return };
    for (templates, places) in
        [(&commands.start, &subject.places.start), (&commands.stop, &subject.places.stop)]
    {
        for (template, at) in placed(templates, places) {
            findings.list.extend(missing_program(template, at, files));
            findings.list.extend(no_address(template, at));
        }
    }
}

/// Each template once, with its place.
fn placed<'a>(
    templates: &'a PerFamily,
    places: &'a Families,
) -> impl Iterator<Item = (&'a Template, &'a Place)> {
    let v4 = templates.v4.as_ref().zip(places.v4.as_ref());
    let v6 = templates.v6.as_ref().filter(|v6| templates.v4.as_ref() != Some(v6)).zip(places.v6.as_ref());
    v4.into_iter().chain(v6)
}

fn missing_program(template: &Template, at: &Place, files: &mut dyn Files) -> Option<Diagnostic> {
    let program = program(template)?;
    if files.program_exists(program) {
        return None;
    }
    let message = format!("there is no program {program:?} on this host");
    let found = Diagnostic::warning("no-such-program", at, message);
    Some(if program.contains('/') {
        found.help("give the path it has here: command -v NAME prints it")
    } else {
        found.help("install it, or give its whole path")
    })
}

/// The program a command begins with, where that can be told without a shell.
fn program(template: &Template) -> Option<&str> {
    match template {
        Template::Argv(words) => words.first().map(String::as_str),
        Template::Shell(line) => {
            let word = line.split_ascii_whitespace().next()?;
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
            let told = word.chars().all(plain) && !SHELL_WORDS.contains(&word);
            told.then_some(word)
        }
    }
}

/// Whether a command is one of a firewall.
fn is_firewall(template: &Template) -> bool {
    let names = |word: &str| {
        let name = word.rsplit('/').next().unwrap_or(word);
        FIREWALLS.contains(&name)
    };
    match template {
        Template::Argv(words) => words.first().is_some_and(|word| names(word)),
        Template::Shell(line) => line.split_ascii_whitespace().any(names),
    }
}

fn text(template: &Template) -> String {
    match template {
        Template::Argv(words) => words.join(" "),
        Template::Shell(line) => line.clone(),
    }
}

fn no_address(template: &Template, at: &Place) -> Option<Diagnostic> {
    let text = text(template);
    if !is_firewall(template) || text.contains("%IP%") || text.contains("{ip}") {
        return None;
    }
    let placeholder = if matches!(template, Template::Shell(_)) { "%IP%" } else { "{ip}" };
    Some(
        Diagnostic::warning("no-address", at, "this changes the firewall for everybody, not for who knocked")
            .help(format!("{placeholder} stands for the client's address")),
    )
}

/// Doors that a command opens in a firewall and that no command of the file closes.
pub(super) fn never_closed(plan: &Plan, findings: &mut Findings) {
    let starts =
        |commands: &Commands| [&commands.start.v4, &commands.start.v6].into_iter().flatten().any(takes_back);
    let closes = plan.policy.catalogue.doors.iter().any(|door| match &door.action {
        Action::Command(commands) => starts(commands),
        _ => false,
    });
    if closes {
        return;
    }
    for subject in subjects(plan) {
        let Action::Command(commands) = &subject.door.action else { continue };
        let stays = commands.never_stop || (commands.stop.v4.is_none() && commands.stop.v6.is_none());
        let opens = commands.start.v4.as_ref().is_some_and(is_firewall);
        if stays && opens {
            let at = subject.places.start.v4.as_ref().unwrap_or(&subject.places.name);
            findings.add(
                Diagnostic::warning("stays-open", at, "nothing closes this door again")
                    .help("add a stop command, or a door whose sequence closes it"),
            );
        }
    }
}

fn takes_back(template: &Template) -> bool {
    let text = text(template);
    is_firewall(template) && TAKES_BACK.iter().any(|word| text.contains(word))
}
