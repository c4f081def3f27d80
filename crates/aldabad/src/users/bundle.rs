//! The bundle of one device: made from the configuration, sealed, and handed over.

use std::io::{self, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use aldaba_gate::spa::{
    Bundle, BundleDoor, BundleLock, Device, DoorTag, Host, KeyKind, LockKeys, OneTimeCode, Psk, SealedBundle,
    Timestamp, device_psk,
};
use aldaba_sys::{clock, files, random};
use zeroize::Zeroizing;

use super::OutputArgs;
use crate::init::hosts;
use crate::log::aside;
use crate::site::{Failed, Site};

/// Of doors that a bundle does not name, so many are named to the administrator.
const TOLD: usize = 5;

/// The wall clock as bundles have it.
#[must_use]
pub fn wall() -> Timestamp {
    Timestamp(u64::try_from(clock::wall().as_micros()).unwrap_or_default())
}

/// The device of this key, if its line counts.
#[must_use]
pub fn device<'s>(site: &'s Site, key: &str) -> Option<&'s Device> {
    let is = |device: &&Device| device.key.to_text(KeyKind::Device).eq_ignore_ascii_case(key);
    site.spa.devices.iter().find(is)
}

/// The locks that stand in bundles made now: those that have not ended, all behind one gate.
fn locks(site: &Site, now: Timestamp) -> Vec<&LockKeys> {
    let mut live = site.spa.locks.iter().filter(|lock| lock.not_after.is_none_or(|until| until > now));
    let Some(first) = live.next() else { return Vec::new() };
    std::iter::once(first).chain(live.filter(|lock| lock.gate_psk == first.gate_psk)).collect()
}

/// The lock whose key seals bundles. Not the newest: a device that knows another one already takes a bundle from it, and
/// from no key that it does not know.
fn sealer(site: &Site, now: Timestamp) -> Option<&LockKeys> {
    locks(site, now).into_iter().next_back()
}

/// The public key that bundles made now come from, as text.
#[must_use]
pub fn sender(site: &Site) -> Option<String> {
    Some(sealer(site, wall())?.secret.public().to_text(KeyKind::Server))
}

/// Makes and seals a device's bundle.
pub fn seal(
    site: &Site,
    device: &Device,
    hosts: &[Host],
    code: Option<&OneTimeCode>,
) -> Result<SealedBundle, Failed> {
    let now = wall();
    let locks = locks(site, now);
    let (Some(first), Some(sealer)) = (locks.first(), sealer(site, now)) else {
        return Err(Failed::new("no key of this server is valid now", "run aldabad rotate"));
    };
    let port = NonZeroU16::new(site.spa.port)
        .ok_or_else(|| Failed::new("port 0 takes no datagrams", "write another port into [spa]"))?;
    let psk = site.spa.psk_seed.as_ref();
    let bundle = Bundle {
        issued: now,
        hosts: hosts.to_vec(),
        port,
        future: Duration::from_secs(site.spa.window.future.as_secs()),
        locks: locks.iter().map(|lock| public_half(lock)).collect(),
        gate_psk: first.gate_psk.clone(),
        device_psk: psk.map_or(Psk::NONE, |seed| device_psk(seed, device.psk_generation, &device.key)),
        doors: doors(site, device),
    };
    let random = Zeroizing::new(random::bytes().map_err(Failed::kernel("random numbers"))?);
    bundle.seal(&sealer.secret, &device.key, code, &random).map_err(|error| {
        Failed::new(format!("no bundle for {}: {error}", device.name), site.command("check"))
    })
}

fn public_half(lock: &LockKeys) -> BundleLock {
    BundleLock {
        server: lock.secret.public(),
        audience: lock.audience.clone(),
        not_before: lock.not_before,
        not_after: lock.not_after,
    }
}

/// The doors it may open, as many as a bundle holds; of others it is said how they are opened.
fn doors(site: &Site, device: &Device) -> Vec<BundleDoor> {
    let may = |door: &&BundleDoor| DoorTag::of(&door.name).is_some_and(|tag| device.may_open(tag));
    let mut doors: Vec<BundleDoor> = site.spa.doors.iter().filter(may).cloned().collect();
    let left_out = doors.split_off(doors.len().min(Bundle::MAX_DOORS));
    if let Some(warning) = left_out_of(&device.name, &left_out) {
        aside(&warning);
    }
    doors
}

/// What is said of doors that a bundle has no room for.
fn left_out_of(device: &str, left_out: &[BundleDoor]) -> Option<String> {
    let first = left_out.first()?;
    let names: Vec<&str> = left_out.iter().map(|door| door.name.as_str()).take(TOLD).collect();
    let more = left_out.len().saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!(
        "warning: {device} may open more doors than the {} that a bundle has room for; its bundle does not name {}{more}\n  \
         help: it opens them all the same, by name: aldaba open HOST {}; or leave it fewer, with doors=\"...\" in its line",
        Bundle::MAX_DOORS,
        names.join(", "),
        first.name
    ))
}

/// Prints a device's bundle, or writes it into a file, and says what to do with it.
pub(super) fn hand_over(site: &Site, device: &Device, args: &OutputArgs) -> Result<(), Failed> {
    let hosts = hosts::of(&args.host, &site.spa.hosts)?;
    let code = args.code.then(new_code).transpose()?;
    let sealed = seal(site, device, &hosts, code.as_ref())?;
    let text = format!("{}\n", sealed.to_text());
    if let Some(path) = &args.output {
        files::create_whole(path, text.as_bytes(), 0o600).map_err(|error| {
            Failed::new(format!("{}: {error}", path.display()), "name a file that is not there yet")
        })?;
        aside(&format!("bundle: {}", path.display()));
    } else {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| {
            let again = site.command(&format!("user bundle {}", device.name));
            Failed::new(
                format!("the bundle could not be printed: {error}"),
                format!("{again} prints it again"),
            )
        })?;
    }
    let shown: Vec<String> = hosts.iter().map(Host::to_string).collect();
    aside(&format!("it says: this server is {}, UDP port {}", shown.join(" or "), site.spa.port));
    aside(&format!("only {} can open it: send it any way you like", device.name));
    let file = args.output.as_deref().and_then(Path::file_name);
    let bundle = file.map_or_else(|| "BUNDLE".to_owned(), |name| name.to_string_lossy().into_owned());
    if let Some(code) = &code {
        aside("the code must reach its user by another way than the bundle, by phone, say");
        let code = code.expose_text();
        aside(&Zeroizing::new(format!("next, on that device: aldaba enrol --code {} {bundle}", *code)));
    } else {
        aside("the server's key must reach its user by a way that cannot be tampered with");
        let key = sender(site).unwrap_or_default();
        aside(&format!("next, on that device: aldaba enrol --server {key} {bundle}"));
    }
    Ok(())
}

/// The registry was right a moment ago, and now the line in it is not.
pub(super) fn lost(registry: &Path) -> Failed {
    Failed::new(
        format!("the line is no longer in {}", registry.display()),
        "somebody else changes that file: look at it",
    )
}

fn new_code() -> Result<OneTimeCode, Failed> {
    let bytes = Zeroizing::new(random::bytes().map_err(Failed::kernel("random numbers"))?);
    OneTimeCode::new(&bytes).map_err(|error| Failed::new(error, "run this again: it draws another code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doors_that_a_bundle_has_no_room_for_are_named() {
        let door = |number: usize| BundleDoor { name: format!("door{number}"), ports: Vec::new() };
        assert_eq!(left_out_of("alice", &[]), None);
        let said = left_out_of("alice", &(64..71).map(door).collect::<Vec<_>>()).expect("some are left out");
        assert!(said.contains("the 64 that a bundle has room for"), "{said}");
        assert!(said.contains("door64, door65, door66, door67, door68 and 2 more\n  help: "), "{said}");
        assert!(said.contains("aldaba open HOST door64"), "{said}");
    }
}
