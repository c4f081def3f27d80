//! Files with secrets that others can use are refused, with the command that mends it: what is said in which case. Real files are
//! in `secret_files.rs`.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use aldaba_config::{FileBytes, FileFacts, Files, Kind, Options, Paint, load};
use aldaba_gate::spa::{KeyKind, text};

const CONFIG: &str = "[spa]\nport = 42731\n\n[[door]]\nname = \"ssh\"\nspa = true\nports = [\"22/tcp\"]\n";
/// The user the daemon runs as.
const OWN: u32 = 7;

/// Good keys, and what the system says of one of their files.
struct Memory {
    of: &'static str,
    facts: FileFacts,
}

impl Files for Memory {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let key = |kind, byte| text::encode(kind, &[byte; 32]).as_bytes().to_vec();
        let name = path.to_str().unwrap_or_default();
        let bytes = match name {
            "aldaba.toml" => CONFIG.into(),
            "server.key" => key(KeyKind::ServerSecret, 9),
            "gate.key" => key(KeyKind::Gate, 8),
            "psk.key" => key(KeyKind::Seed, 7),
            "authorized_keys" => Vec::new(),
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        let usual = FileFacts { mode: 0o600, uid: 0, is_regular: true };
        Ok(FileBytes { bytes, facts: if name == self.of { self.facts } else { usual } })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// What is said of a policy that is refused; `None`: it is taken.
fn refused(of: &'static str, facts: FileFacts) -> Option<String> {
    let options = Options { own_uid: OWN, ..Options::default() };
    let loaded = load(Kind::Toml, Path::new("aldaba.toml"), &mut Memory { of, facts }, &options);
    loaded.err().map(|report| report.render(Paint::Plain))
}

#[test]
fn a_secret_is_its_owners_and_its_owner_is_root_or_the_daemon() {
    for name in ["server.key", "gate.key", "psk.key"] {
        let file = |mode, uid| refused(name, FileFacts { mode, uid, is_regular: true });
        for (mode, uid) in [(0o600, 0), (0o400, OWN)] {
            assert_eq!(file(mode, uid), None, "{name}");
        }
        for mode in [0o644, 0o640, 0o620, 0o601] {
            let said = file(mode, 0).expect(name);
            assert!(said.contains(&format!("{name} can be used by others (mode {mode:04o})")), "{said}");
            assert!(said.contains(&format!("help: chmod 600 {name};")), "{said}");
        }
        let said = file(0o600, 1000).expect(name);
        assert!(said.contains(&format!("the user with number 1000 owns {name}")), "{said}");
        assert!(said.contains(&format!("help: chown root {name};")), "{said}");
        let folder = refused(name, FileFacts { mode: 0o700, uid: 0, is_regular: false }).expect(name);
        assert!(folder.contains("it is not a regular file"), "{folder}");
    }
}

/// Who guards the ports at boot needs no key and no sequence, and a file that is loose or not there must not leave them open.
#[test]
fn ports_are_guarded_without_keys() {
    const ONCE: &str = "[[door]]\nname = \"once\"\none-time-sequences = \"ssh.once\"\nports = [\"23/tcp\"]\n";
    struct Missing;
    impl Files for Missing {
        fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
            assert!(path == "aldaba.toml", "{} is nobody's business", path.display());
            let facts = FileFacts { mode: 0o644, uid: 0, is_regular: true };
            Ok(FileBytes { bytes: [CONFIG, ONCE].concat().into(), facts })
        }

        fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
            Ok(Vec::new())
        }

        fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    let options = Options { own_uid: OWN, keyless: true, ..Options::default() };
    let loaded = load(Kind::Toml, Path::new("aldaba.toml"), &mut Missing, &options);
    let policy = loaded.unwrap_or_else(|report| panic!("{}", report.render(Paint::Plain))).policy;
    let spa = policy.spa.expect("its section");
    assert_eq!((spa.port, spa.locks.len(), spa.devices.len()), (42731, 0, 0));
    assert_eq!(policy.catalogue.doors.len(), 2);
}
