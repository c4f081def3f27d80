//! `aldabad user rekey`: the next pre-shared key of one device; its own key stays. spec/keys.md, section 5.

use aldaba_sys::files;

use super::lines::Registry;
use super::{BundleArgs, bundle, disabled, reload};
use crate::log::aside;
use crate::site::{Failed, Site};

pub(super) fn run(site: &Site, args: &BundleArgs) -> Result<(), Failed> {
    let path = site.registry();
    let (with_it, key) = {
        let _lock = files::lock_folder(path.parent().unwrap_or(path)).map_err(Failed::writing(path))?;
        let registry = Registry::read(path)?;
        let line = registry.one(&args.name)?;
        let device = bundle::device(site, line.key()).ok_or_else(|| disabled(site, &line))?;
        if site.spa.psk_seed.is_none() {
            return Err(Failed::new(
                "this server has no pre-shared keys for devices (psk-seed = \"none\")",
                "give the device a new key: aldaba keygen there, and aldabad user add here",
            ));
        }
        let next = device.psk_generation.checked_add(1);
        let next =
            next.ok_or_else(|| Failed::new("there is no generation left", "give the device a new key"))?;
        let text = registry.changed(&line, &line.with_option("psk", &next.to_string()));
        let with_it = site.with(path, text.as_bytes())?;
        let key = line.key().to_owned();
        bundle::device(&with_it, &key).ok_or_else(|| disabled(&with_it, &line))?;
        files::replace_whole(path, text.as_bytes()).map_err(Failed::writing(path))?;
        (with_it, key)
    };
    let device = bundle::device(&with_it, &key).ok_or_else(|| bundle::lost(path))?;
    aside(&format!(
        "{} has pre-shared key number {} now; its old bundle ends",
        device.name, device.psk_generation
    ));
    reload::ask_and_go_on(site, || bundle::hand_over(&with_it, device, &args.output))
}
