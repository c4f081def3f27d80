//! The bundles of all devices, one file each.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aldaba_gate::spa::{Device, Host, KeyKind};
use aldaba_sys::files;

use crate::site::{Failed, Site};
use crate::users::bundle::{seal, wall};

/// Writes a bundle for every device that may knock; later ones take the place of earlier ones.
pub(super) fn write_all(
    site: &Site,
    hosts: &[Host],
    folder: &Path,
) -> Result<Vec<(String, PathBuf)>, Failed> {
    let now = wall();
    let devices: Vec<&Device> = site.spa.devices.iter().filter(|device| device.is_valid(now)).collect();
    if devices.is_empty() {
        return Ok(Vec::new());
    }
    files::private_dir(folder).map_err(|error| {
        Failed::new(format!("{}: {error}", folder.display()), "name another folder: --output DIR")
    })?;
    let write = |device: &&Device| {
        let path = folder.join(file_name(device));
        let text = format!("{}\n", seal(site, device, hosts, None)?.to_text());
        let written = match files::create_whole(&path, text.as_bytes(), 0o600) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                files::replace_whole(&path, text.as_bytes())
            }
            done => done,
        };
        let again = site.command(&format!("user bundle {} --output FILE", device.name));
        written.map_err(|error| {
            Failed::new(
                format!("cannot write {}: {error}", path.display()),
                format!("one at a time: {again}"),
            )
        })?;
        Ok((device.name.clone(), path))
    };
    devices.iter().map(write).collect()
}

/// Whose it is, and enough of the key that no two have the same.
fn file_name(device: &Device) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = device.name.chars().map(plain).collect();
    let key = device.key.to_text(KeyKind::Device);
    let key: String = key.chars().skip("aldaba1".len()).take(12).collect();
    format!("{}-{key}.bundle", name.trim_start_matches('.'))
}
