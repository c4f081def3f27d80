//! Where a daemon keeps its leases: one folder each, locked while the daemon lives.

use std::path::{Path, PathBuf};

/// The folder below the state directory that belongs to a `knockd` with this configuration on this interface, so
/// that two of them live side by side. Readable, and different for different pairs.
#[must_use]
pub fn knockd_folder(base: &Path, config: &Path, interface: &str) -> PathBuf {
    let config = config.to_string_lossy();
    let name = format!("knockd-{}@{}", escaped(config.trim_start_matches('/')), escaped(interface));
    base.join(if name.len() <= LONGEST { name } else { shortened(&name) })
}

/// Names of files may have 255 bytes.
const LONGEST: usize = 200;

/// `/` becomes `-`; what could be mistaken for that, or for anything but a plain name, becomes `%XX`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'/' => out.push('-'),
            b'.' | b'_' | b':' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => out.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
    }
    out
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).unwrap_or('0')
}

/// What tells bytes apart (FNV-1a: no secret, no attacker).
pub(crate) fn checksum(bytes: impl AsRef<[u8]>) -> u64 {
    bytes.as_ref().iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The end of a long name, told apart by a checksum of the whole.
fn shortened(name: &str) -> String {
    let sum = checksum(name);
    let end = &name[name.len().saturating_sub(LONGEST / 2)..];
    format!("knockd-{sum:016x}-{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(config: &str, interface: &str) -> String {
        let path = knockd_folder(Path::new("/var/lib/aldaba"), Path::new(config), interface);
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn the_name_tells_whose_it_is() {
        assert_eq!(folder("/etc/knockd.conf", "eth0"), "/var/lib/aldaba/knockd-etc-knockd.conf@eth0");
    }

    #[test]
    fn different_pairs_have_different_folders() {
        let long = "/x/".repeat(200);
        let pairs = [
            folder("/etc/knockd.conf", "eth0"),
            folder("/etc/knockd.conf", "lo"),
            folder("/etc-knockd.conf", "eth0"),
            folder("/etc/knockd%2d.conf", "eth0"),
            folder(&format!("{long}a"), "eth0"),
            folder(&format!("{long}b"), "eth0"),
        ];
        let distinct: std::collections::HashSet<_> = pairs.iter().collect();
        assert_eq!(distinct.len(), pairs.len());
        assert!(pairs.iter().all(|path| Path::new(path).file_name().unwrap().len() <= 255));
    }
}
