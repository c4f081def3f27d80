//! Firewall commands that open for everybody or for one family, or that nothing takes back.
//!
//! A firewall's own language is read only as far as these questions go: which ports a rule opens, and whether the stop
//! command deletes the rule the start command adds.

use aldaba_gate::knock::{Protocol, Sequence, Step};
use aldaba_runner::door::{Action, Commands, Template};

use super::shell::{self, Call};
use super::{Subject, current, subjects};
use crate::diagnostic::{Diagnostic, Place};
use crate::plan::{Findings, Plan};

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
/// Those of them that take IPv4 addresses only.
const IPV4_ONLY: [&str; 3] = ["iptables", "iptables-legacy", "iptables-nft"];
const IPTABLES: [&str; 4] = ["iptables", "ip6tables", "iptables-legacy", "iptables-nft"];
/// Words by which they take something back.
const TAKES_BACK: [&str; 8] =
    [" -D ", "--delete", " delete ", " del ", "--remove", " remove ", " DROP", " deny "];
/// Words behind which the ports of a rule stand.
const PORT_WORDS: [&str; 6] =
    ["--dport", "--dports", "--destination-port", "--destination-ports", "dport", "port"];

/// What can be said of one door's firewall commands.
pub(super) fn of_door(subject: &Subject<'_>, plan: &Plan, findings: &mut Findings) {
    for (template, at) in subject.templates() {
        findings.list.extend(no_address(template, at));
    }
    let Action::Command(commands) = &subject.door.action else { return };
    findings.list.extend(one_family(subject, commands, plan));
    findings.list.extend(stop_differs(subject, commands));
    findings.list.extend(knocks_where_it_opens(subject, commands));
}

/// Whether a command is one of a firewall.
fn is_firewall(template: &Template) -> bool {
    let names = |word: &str| FIREWALLS.contains(&word.rsplit('/').next().unwrap_or(word));
    match template {
        Template::Argv(words) => words.first().is_some_and(|word| names(word)),
        Template::Shell(line) => line.split_ascii_whitespace().any(names),
    }
}

/// The words of a command as one text.
pub(super) fn text(template: &Template) -> String {
    match template {
        Template::Argv(words) => words.join(" "),
        Template::Shell(line) => line.clone(),
    }
}

fn has_address(template: &Template) -> bool {
    match template {
        Template::Argv(words) => words.iter().any(|word| word.contains("{ip}")),
        Template::Shell(line) => line.contains("%IP%"),
    }
}

fn no_address(template: &Template, at: &Place) -> Option<Diagnostic> {
    if !is_firewall(template) || has_address(template) {
        return None;
    }
    let placeholder = if matches!(template, Template::Shell(_)) { "%IP%" } else { "{ip}" };
    Some(
        Diagnostic::warning("no-address", at, "this changes the firewall for everybody, not for who knocked")
            .help(format!("{placeholder} stands for the client's address")),
    )
}

/// A command for IPv4 addresses that is given IPv6 addresses too.
fn one_family(subject: &Subject<'_>, commands: &Commands, plan: &Plan) -> Option<Diagnostic> {
    let v4_target = subject.rule.target.is_some_and(|target| target.is_ipv4());
    let start = commands.start.v4.as_ref().filter(|start| commands.start.v6.as_ref() == Some(start))?;
    if v4_target || !plan.policy.gate.ipv6 || !has_address(start) {
        return None;
    }
    let calls = shell::calls(start);
    let uses = |names: &[&str]| calls.iter().filter_map(Call::name).any(|name| names.contains(&name));
    if !uses(&IPV4_ONLY) || uses(&["ip6tables"]) {
        return None;
    }
    let at = subject.places.start.v4.as_ref()?;
    let message = "iptables takes IPv4 addresses only, and this runs for IPv6 clients too";
    let found = Diagnostic::warning("no-v6-command", at, message);
    Some(match start {
        Template::Argv(_) => found
            .help("add start-v6 = [\"/usr/sbin/ip6tables\", …], or start-v6 = [] to run nothing for them"),
        Template::Shell(_) => found.help(
            "add start_command_6 with ip6tables, or with nothing behind the = to run nothing for them \
             (start-line-v6 in aldaba.toml)",
        ),
    })
}

/// A rule without its place in the chain, in an order of its own.
#[derive(PartialEq, Eq)]
struct Rule {
    program: String,
    deletes: bool,
    words: Vec<String>,
}

/// The rule an iptables command adds or deletes, where its words can be told.
fn rule(call: &Call) -> Option<Rule> {
    let program = call.name().filter(|name| IPTABLES.contains(name))?.to_owned();
    if call.0.iter().any(|word| word.is_open) {
        return None;
    }
    let mut rule = Rule { program, deletes: false, words: Vec::new() };
    let mut verbs = 0;
    let mut words = call.arguments().peekable();
    while let Some(word) = words.next() {
        match word {
            "-I" | "--insert" | "-A" | "--append" | "-D" | "--delete" => {
                verbs += 1;
                rule.deletes = matches!(word, "-D" | "--delete");
                rule.words.push(format!("chain {}", words.next()?));
                words.next_if(|word| !rule.deletes && word.bytes().all(|byte| byte.is_ascii_digit()));
            }
            // What is loaded by -p anyhow, the table that is meant anyhow, and how long to wait.
            "-m" | "--match" if words.next_if(|name| ["tcp", "udp"].contains(name)).is_some() => {}
            "-t" | "--table" if words.next_if(|name| *name == "filter").is_some() => {}
            "-w" | "--wait" => {
                words.next_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
            }
            word => rule.words.push(short(word)),
        }
    }
    rule.words.sort_unstable();
    (verbs == 1).then_some(rule)
}

fn short(word: &str) -> String {
    match word {
        "--source" | "--src" => "-s",
        "--protocol" | "--proto" => "-p",
        "--jump" => "-j",
        "--destination-port" => "--dport",
        "--in-interface" => "-i",
        word => word.strip_suffix("/32").unwrap_or(word),
    }
    .to_owned()
}

/// The only rule a command changes.
fn only_rule(template: &Template) -> Option<Rule> {
    let mut rules = shell::calls(template).iter().filter_map(rule).collect::<Vec<_>>();
    (rules.len() == 1).then(|| rules.remove(0))
}

fn stop_differs(subject: &Subject<'_>, commands: &Commands) -> Option<Diagnostic> {
    let (start, stop) = (commands.start.v4.as_ref()?, commands.stop.v4.as_ref()?);
    let (added, deleted) = (only_rule(start)?, only_rule(stop)?);
    let pair = !added.deletes && deleted.deletes && added.program == deleted.program;
    if !pair || added.words == deleted.words {
        return None;
    }
    let at = subject.places.stop.v4.as_ref()?;
    let mut found =
        Diagnostic::warning("stop-differs", at, "this deletes another rule than the start command adds")
            .help("give it the start command's words, with -D and the chain in place of -I or -A");
    if let Some(start) = &subject.places.start.v4 {
        found = found.also(start, "adds this one");
    }
    let extra = deleted.words.iter().find(|word| !added.words.contains(word));
    let lacking = added.words.iter().find(|word| !deleted.words.contains(word));
    Some(match (extra, lacking) {
        (Some(word), _) => found.label(format!("{word:?} is only here")),
        (None, Some(word)) => found.label(format!("{word:?} is missing here")),
        (None, None) => found,
    })
}

/// The ports a firewall command opens.
fn opened(template: &Template) -> Vec<Step> {
    if !is_firewall(template) || takes_back(template) {
        return Vec::new();
    }
    let calls = shell::calls(template);
    calls.iter().flat_map(ports).collect()
}

fn ports(call: &Call) -> Vec<Step> {
    let words: Vec<&str> = call.arguments().collect();
    let udp = words
        .windows(2)
        .any(|pair| matches!(pair, ["-p" | "--protocol" | "--proto" | "proto", "udp"] | ["udp", "dport"]));
    let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
    let behind = words.windows(2).filter(|pair| PORT_WORDS.contains(&pair[0])).map(|pair| pair[1]);
    let numbers = behind.flat_map(|word| word.split(',')).filter_map(|number| number.parse().ok());
    numbers.map(|port| Step { port, protocol }).collect()
}

/// A port that is both a step and what the door opens: whoever tries the service knocks.
fn knocks_where_it_opens(subject: &Subject<'_>, commands: &Commands) -> Option<Diagnostic> {
    let opens: Vec<Step> = commands.start.v4.as_ref().map(opened)?;
    let mut knocks = subject.knocks().filter_map(|(knock, place)| Some((current(knock)?, place)));
    knocks.find_map(|(sequence, place): (&Sequence, &Place)| {
        let step = sequence.steps().iter().find(|step| opens.contains(step))?;
        Some(at_guarded_port(*step, place))
    })
}

/// Said of doors with ports of their own too.
pub(super) fn at_guarded_port(step: Step, at: &Place) -> Diagnostic {
    let message = format!("{step} is a step of the sequence and a port the door opens");
    Diagnostic::warning("knocks-at-guarded-port", at, message)
        .help("everybody who tries the service knocks; choose a port that nothing uses")
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
