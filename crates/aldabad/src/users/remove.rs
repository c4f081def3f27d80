//! `aldabad user remove`: a revocation. The line goes, and with it what the device holds open.

use aldaba_sys::files;

use super::lines::{Registry, several, short};
use super::{RemoveArgs, reload};
use crate::log::aside;
use crate::site::{Failed, Site};

pub(super) fn run(site: &Site, args: &RemoveArgs) -> Result<(), Failed> {
    let path = site.registry();
    let gone: Vec<String> = {
        let _lock = files::lock_folder(path.parent().unwrap_or(path)).map_err(Failed::writing(path))?;
        let registry = Registry::read(path)?;
        let lines = if args.all { registry.of_user(&args.name) } else { registry.called(&args.name) };
        match lines.as_slice() {
            [] => return Err(registry.nobody(&args.name)),
            [_, _, ..] if !args.all => {
                return Err(several(&args.name, &lines, "name one of them, or add --all"));
            }
            _ => {}
        }
        files::replace_whole(path, registry.without(&lines).as_bytes()).map_err(Failed::writing(path))?;
        lines.iter().map(|line| format!("{} ({})", line.name, short(line.key()))).collect()
    };
    for device in gone {
        aside(&format!("removed {device}"));
    }
    reload::ask_and_say(site)?;
    aside(&format!("next: {}", site.command("user list")));
    Ok(())
}
