//! `aldabad user add`: one line more in the registry, whole or not at all, and the bundle for it.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use aldaba_gate::spa::{KeyKind, PublicKey, TextError};
use aldaba_sys::files;

use super::lines::{Registry, short};
use super::{AddArgs, bundle, reload};
use crate::log::aside;
use crate::site::{Failed, Site, paint};

/// Longer than any line with a key.
const LONGEST: u64 = 4096;
/// Bytes of a name, as the registry has it.
const NAME_BYTES: usize = 64;

pub(super) fn run(site: &Site, args: &AddArgs) -> Result<(), Failed> {
    let name = name(&args.name)?;
    let key = key(&words(args)?)?;
    // What will certainly be refused is refused before anything is written.
    crate::init::hosts::of(&args.output.host, &site.spa.hosts)?;
    let path = site.registry();
    let line = line(name, &key, args);
    let with_it = {
        let _lock = files::lock_folder(path.parent().unwrap_or(path)).map_err(Failed::writing(path))?;
        let registry = Registry::read(path)?;
        is_new(site, &registry, name, &key)?;
        let text = registry.with_line(&line);
        let with_it = site.with(path, text.as_bytes())?;
        counts(&with_it, &text, &key)?;
        files::replace_whole(path, text.as_bytes()).map_err(Failed::writing(path))?;
        with_it
    };
    aside(&format!("added {name} ({}) to {}", short(&key), path.display()));
    let device = bundle::device(&with_it, &key).ok_or_else(|| bundle::lost(path))?;
    reload::ask_and_go_on(site, || bundle::hand_over(&with_it, device, &args.output))
}

/// `alice`, or `alice/laptop`: nothing that could be mistaken for something else in a log or a command.
fn name(name: &str) -> Result<&str, Failed> {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_alphanumeric())
            && part.chars().all(|c| c.is_alphanumeric() || "._@+-".contains(c))
    };
    let parts: Vec<&str> = name.split('/').collect();
    if name.len() <= NAME_BYTES
        && parts.len() <= 2
        && parts.iter().all(|it| part(it))
        && !name.starts_with("aldaba1")
    {
        return Ok(name);
    }
    let what = format!("{name:?} is not a user's or a device's name");
    Err(Failed::new(what, "write alice, or alice/laptop: letters, digits and ._@+-, at most 64 bytes"))
}

/// The words of the line with the key.
fn words(args: &AddArgs) -> Result<String, Failed> {
    if !args.key.is_empty() && args.key != ["-"] {
        return Ok(args.key.join(" "));
    }
    if io::stdin().is_terminal() {
        aside("paste the line that `aldaba keygen` or `aldaba pubkey` printed on the device:");
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(Failed::reading(Path::new("standard input")))?;
        return Ok(line);
    }
    let mut text = String::new();
    io::stdin()
        .lock()
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(Failed::reading(Path::new("standard input")))?;
    Ok(text)
}

/// The key of a line that a client printed; what it calls itself does not count.
fn key(text: &str) -> Result<String, Failed> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next().unwrap_or_default();
    if lines.next().is_some() {
        return Err(Failed::new("these are several lines", "add one device at a time"));
    }
    let word = line.split_ascii_whitespace().next().unwrap_or_default();
    let key = PublicKey::from_text(KeyKind::Device, word).map_err(|error| {
        let help = match error {
            TextError::OtherKind { found: KeyKind::DeviceSecret, .. } => {
                "a secret key belongs on its device alone: make a new one there with aldaba keygen"
            }
            _ => "give the line that `aldaba keygen` or `aldaba pubkey` printed on the device",
        };
        Failed::new(error, help)
    })?;
    Ok(key.to_text(KeyKind::Device))
}

fn line(name: &str, key: &str, args: &AddArgs) -> String {
    let list = |option: &str, words: &[String]| {
        (!words.is_empty()).then(|| format!("{option}=\"{}\"", words.join(",")))
    };
    let flag = |option: &str, on: bool| on.then(|| option.to_owned());
    let options = [
        list("doors", &args.door),
        list("from", &args.from),
        args.max_lease.as_ref().map(|time| format!("max-lease={time}")),
        args.max_leases.map(|number| format!("max-leases={number}")),
        args.expires.as_ref().map(|date| format!("expires={date}")),
        flag("bind", args.bind),
        flag("delegate", args.delegate),
    ];
    let options: Vec<String> = options.into_iter().flatten().collect();
    let options = options.join(",");
    if options.is_empty() { format!("{key} {name}") } else { format!("{options} {key} {name}") }
}

fn is_new(site: &Site, registry: &Registry, name: &str, key: &str) -> Result<(), Failed> {
    if let Some(line) = registry.lines().find(|line| line.key().eq_ignore_ascii_case(key)) {
        let what = format!("this key is in the registry already: line {}, {}", line.number, line.name);
        let help = format!("its bundle again: {}", site.command(&format!("user bundle {}", line.name)));
        return Err(Failed::new(what, help));
    }
    if let Some(line) = registry.lines().find(|line| line.name == name) {
        let what = format!("there is a {name} already: line {}, {}", line.number, short(line.key()));
        let user = line.user();
        let help = format!(
            "another device of the same user is called, say, {user}/phone; in place of the old one: {}",
            site.command(&format!("user remove {name}"))
        );
        return Err(Failed::new(what, help));
    }
    Ok(())
}

fn doors(site: &Site) -> Vec<&str> {
    let rules = site.policy.gate.doors.iter().filter(|door| door.spa.is_some());
    rules.map(|door| door.name.as_str()).collect()
}

/// The new line must be one that the server takes without any doubt.
fn counts(with_it: &Site, text: &str, key: &str) -> Result<(), Failed> {
    let number = text.lines().count();
    if let Some(found) = with_it.found_at(with_it.registry(), number).next() {
        let what = format!("this line would not do, and nothing is written:\n{}", found.render(paint()));
        let help = if found.code == "no-such-door" {
            format!("doors that are opened by datagrams: {}", doors(with_it).join(", "))
        } else {
            "aldabad user add --help says how each option is written".to_owned()
        };
        return Err(Failed::new(what, help));
    }
    if bundle::device(with_it, key).is_none() {
        return Err(Failed::new(
            "the server would not take this line, and nothing is written",
            with_it.command("check"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "aldaba1p74xsnkj3pnmjl62dgk7uh0ce6t5ua4hqx8r7g4pcn8jv7zhpusqdlugg9";

    #[test]
    fn names_cannot_be_mistaken() {
        for good in ["alice", "alice/laptop", "zoë", "ana@host", "7up"] {
            assert!(name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(65);
        for bad in ["", "alice/", "/laptop", "a/b/c", "a b", "-x", "#x", "a\nb", "a,b", KEY, &long] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_is_taken_from_the_line_a_client_prints() {
        assert_eq!(key(&format!("\n# mine\n{KEY} ana@host\n")).unwrap(), KEY);
        assert_eq!(key(&KEY.to_uppercase()).unwrap(), KEY);
        let secret = "aldaba-secret-1yg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3qphklhs";
        let refused = key(secret).unwrap_err().to_string();
        assert!(refused.contains("belongs on its device alone") && !refused.contains(secret), "{refused}");
        assert!(key(&format!("{KEY} a\n{KEY} b\n")).is_err());
        assert!(key("").is_err());
    }
}
