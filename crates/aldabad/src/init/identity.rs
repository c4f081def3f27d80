//! A server's identity: keys, registry, replay store, configuration. What is there is kept, what is missing is made, each
//! file whole or not at all.
//!
//! The configuration comes last: where it is, everything it names is there.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use aldaba_gate::spa::{KeyKind, text};
use aldaba_sys::{files, random};
use zeroize::Zeroizing;

use super::Settings;
use crate::monitor::{has_store, make_store};

/// The server's secret key, below the configuration's folder.
pub const SERVER_KEY: &str = "server.key";
/// The gate's pre-shared key.
pub const GATE_KEY: &str = "gate.key";
/// The seed of the devices' pre-shared keys.
pub const SEED: &str = "psk.key";
/// The devices.
pub const REGISTRY: &str = "authorized_keys";
/// The configuration.
pub const CONFIG: &str = "aldaba.toml";

/// What stands above the first line of a new registry.
const REGISTRY_HEAD: &str = "\
# The devices that may knock, one a line; a line taken away is a revocation. `aldabad user add NAME` writes them.
#     [options] aldaba1... user/device
# Options, parted by commas without blanks: doors=\"ssh,web\",from=\"192.0.2.0/24\",max-lease=1h,expires=2027-01-01,bind,psk=1
";

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Configuration, keys and registry.
    pub config: PathBuf,
    /// What the daemon keeps.
    pub state: PathBuf,
}

/// A thing that a server needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is, for people.
    pub what: &'static str,
    /// Where.
    pub path: PathBuf,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was missing and is there now.
    Made,
    /// It was there and is as it was.
    Kept,
    /// It was lost and is left to the daemon, which trusts nothing it could have forgotten.
    Lost,
}

/// Why something is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the {what} {}: {source}", path.display())]
pub struct InitError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Makes what is missing of an identity and its configuration.
pub fn make(folders: &Folders, settings: &Settings) -> Result<Vec<Part>, InitError> {
    let mut parts = make_identity(folders)?;
    parts.push(make_config(&folders.config.join(CONFIG), &settings.text())?);
    Ok(parts)
}

/// Makes what is missing of an identity: all but the configuration.
pub fn make_identity(Folders { config, state }: &Folders) -> Result<Vec<Part>, InitError> {
    files::public_dir(config).map_err(failed("folder", config))?;
    // Before the key: an identity without a store has lost it.
    let store = store(state, &config.join(SERVER_KEY))?;
    Ok(vec![
        secret("gate key", config.join(GATE_KEY), KeyKind::Gate)?,
        secret("seed of pre-shared keys", config.join(SEED), KeyKind::Seed)?,
        whole("registry of devices", config.join(REGISTRY), REGISTRY_HEAD.as_bytes(), 0o644)?,
        secret("server key", config.join(SERVER_KEY), KeyKind::ServerSecret)?,
        store,
    ])
}

/// Writes a configuration where there is none.
pub(super) fn make_config(path: &Path, text: &str) -> Result<Part, InitError> {
    if let Some(folder) = path.parent() {
        files::public_dir(folder).map_err(failed("folder", folder))?;
    }
    whole("configuration", path.to_owned(), text.as_bytes(), 0o644)
}

fn store(state: &Path, server_key: &Path) -> Result<Part, InitError> {
    let what = "replay store";
    let had_identity = server_key.symlink_metadata().is_ok();
    let fate = match (has_store(state), had_identity) {
        (true, _) => Fate::Kept,
        (false, true) => Fate::Lost,
        (false, false) => Fate::Made,
    };
    let path =
        if fate == Fate::Made { make_store(state).map_err(failed(what, state))? } else { state.to_owned() };
    Ok(Part { what, path, fate })
}

/// A new key in a file for this user alone.
fn secret(what: &'static str, path: PathBuf, kind: KeyKind) -> Result<Part, InitError> {
    let line = new_key(kind).map_err(failed(what, &path))?;
    whole(what, path, line.as_bytes(), 0o600)
}

/// A line with a new key of this kind.
pub(crate) fn new_key(kind: KeyKind) -> io::Result<Zeroizing<String>> {
    let bytes = Zeroizing::new(random::bytes()?);
    let text = text::encode(kind, &bytes);
    // All the room at once: growing would leave a copy behind.
    let mut line = Zeroizing::new(String::with_capacity(text.len() + 1));
    writeln!(line, "{}", *text).map_err(io::Error::other)?;
    Ok(line)
}

fn whole(what: &'static str, path: PathBuf, bytes: &[u8], mode: u32) -> Result<Part, InitError> {
    let fate = match files::create_whole(&path, bytes, mode) {
        Ok(()) => Fate::Made,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Fate::Kept,
        Err(error) => return Err(failed(what, &path)(error)),
    };
    Ok(Part { what, path, fate })
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InitError {
    let path = path.to_owned();
    move |source| InitError { what, path, source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use aldaba_config::{Disk, Kind, Options};

    use super::*;
    use crate::init::example::{DoorWanted, Guard};

    fn folders(dir: &Path) -> Folders {
        Folders { config: dir.join("etc"), state: dir.join("state") }
    }

    fn settings() -> Settings {
        let ports = vec![aldaba_config::ports("22/tcp").unwrap()];
        Settings {
            port: 28_172,
            hosts: vec!["gw.example.net".parse().unwrap(), "192.0.2.7".parse().unwrap()],
            interfaces: Vec::new(),
            state_dir: None,
            doors: vec![DoorWanted { name: "ssh".to_owned(), ports, lease: None, guard: Guard::OwnTable }],
        }
    }

    fn fates(parts: &[Part]) -> Vec<Fate> {
        parts.iter().map(|part| part.fate).collect()
    }

    #[test]
    fn an_identity_is_made_once_and_is_a_policy() {
        let dir = tempfile::tempdir().unwrap();
        let folders = folders(dir.path());
        let parts = make(&folders, &settings()).unwrap();
        assert_eq!(fates(&parts), [Fate::Made; 6]);
        let main = folders.config.join(CONFIG);
        let uid = aldaba_sys::process::effective_uid();
        let options = Options { strict_check: true, own_uid: uid, ..Options::default() };
        let loaded = aldaba_config::load(Kind::Toml, &main, &mut Disk, &options).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let spa = loaded.policy.spa.unwrap();
        assert_eq!((spa.port, spa.hosts.len(), spa.devices.len(), spa.locks.len()), (28_172, 2, 0, 1));
        for (name, mode) in [(SERVER_KEY, 0o600), (GATE_KEY, 0o600), (SEED, 0o600), (REGISTRY, 0o644)] {
            let path = folders.config.join(name);
            let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
        let key = std::fs::read(folders.config.join(SERVER_KEY)).unwrap();
        assert_eq!(fates(&make(&folders, &settings()).unwrap()), [Fate::Kept; 6]);
        assert_eq!(std::fs::read(folders.config.join(SERVER_KEY)).unwrap(), key);
    }

    #[test]
    fn what_is_missing_is_made_and_a_lost_store_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let folders = folders(dir.path());
        make(&folders, &settings()).unwrap();
        std::fs::remove_file(folders.config.join(GATE_KEY)).unwrap();
        std::fs::remove_dir_all(&folders.state).unwrap();
        let fates = fates(&make(&folders, &settings()).unwrap());
        assert_eq!(fates, [Fate::Made, Fate::Kept, Fate::Kept, Fate::Kept, Fate::Lost, Fate::Kept]);
        assert!(!has_store(&folders.state));
    }

    #[test]
    fn a_folder_that_others_can_change_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let folders = folders(dir.path());
        std::fs::create_dir(&folders.config).unwrap();
        std::fs::set_permissions(&folders.config, PermissionsExt::from_mode(0o775)).unwrap();
        let error = make(&folders, &settings()).unwrap_err().to_string();
        assert!(error.contains("chmod go-w"), "{error}");
        assert_eq!(std::fs::read_dir(&folders.config).unwrap().count(), 0);
    }
}
