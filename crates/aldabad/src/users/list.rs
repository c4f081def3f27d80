//! `aldabad user list`: who may knock, on one screen.

use std::fmt::Write as _;

use aldaba_gate::spa::Device;

use super::bundle;
use super::lines::{Line, Registry, short};
use crate::log::{aside, show};
use crate::site::{Failed, Site};

/// Between two columns.
const GAP: usize = 2;

pub(super) fn run(site: &Site) -> Result<(), Failed> {
    let registry = Registry::read(site.registry())?;
    let now = bundle::wall();
    let rows: Vec<[String; 4]> = registry.lines().map(|line| row(site, &line, now)).collect();
    if rows.is_empty() {
        aside("nobody may knock yet");
        aside(&format!("next: {}", site.command("user add NAME")));
        return Ok(());
    }
    show(&table(&rows));
    Ok(())
}

fn row(site: &Site, line: &Line<'_>, now: aldaba_gate::spa::Timestamp) -> [String; 4] {
    let device = bundle::device(site, line.key());
    let options = if line.options.is_empty() { "-" } else { line.options };
    [printable(line.name), short(&printable(line.key())), printable(options), state(site, line, device, now)]
}

fn state(site: &Site, line: &Line<'_>, device: Option<&Device>, now: aldaba_gate::spa::Timestamp) -> String {
    match device {
        Some(device) if device.is_valid(now) => "may knock".to_owned(),
        Some(_) => "expired".to_owned(),
        None => {
            let why = site.found_at(site.registry(), line.number).next();
            let why = why.map_or("see aldabad check", |found| found.message.as_str());
            format!("disabled, line {}: {}", line.number, printable(why))
        }
    }
}

fn printable(text: &str) -> String {
    crate::log::printable(text)
}

fn table(rows: &[[String; 4]]) -> String {
    let head = ["NAME", "KEY", "OPTIONS", "STATE"].map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let width = |column: usize| {
        all().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
            + GAP
    };
    let widths = [width(0), width(1), width(2)];
    let mut text = String::new();
    for [name, key, options, state] in all() {
        let [first, second, third] = widths;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:first$}{key:second$}{options:third$}{state}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_their_heads() {
        let row = |cells: [&str; 4]| cells.map(str::to_owned);
        let rows = [row(["alice/laptop", "k", "-", "may knock"]), row(["bo", "kk", "bind", "expired"])];
        let wanted = "\
NAME          KEY  OPTIONS  STATE
alice/laptop  k    -        may knock
bo            kk   bind     expired
";
        assert_eq!(table(&rows), wanted);
    }
}
