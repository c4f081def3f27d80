//! The published keys of keys/test are refused, each where it could stand, with the words for it.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use aldaba_config::{FileBytes, FileFacts, Files, Kind, Options, Paint, load};
use aldaba_gate::spa::{KeyKind, SecretKey, text};

const CONFIG: &str = "[spa]\nport = 42731\n\n[[door]]\nname = \"ssh\"\nspa = true\nports = [\"22/tcp\"]\n";

/// Good keys, and one file in place of one of them.
struct Memory {
    instead: Option<(&'static str, Vec<u8>)>,
}

impl Files for Memory {
    fn read(&mut self, path: &Path) -> io::Result<FileBytes> {
        let key = |kind, byte| text::encode(kind, &[byte; 32]).as_bytes().to_vec();
        let bytes = match (path.to_str().unwrap_or_default(), &self.instead) {
            (name, Some((instead, bytes))) if name == *instead => bytes.clone(),
            ("aldaba.toml", _) => CONFIG.into(),
            // Remarks are no keys.
            ("server.key", _) => [b"# ours\n\n", &key(KeyKind::ServerSecret, 9)[..], b"\n"].concat(),
            ("gate.key", _) => key(KeyKind::Gate, 8),
            ("psk.key", _) => key(KeyKind::Seed, 7),
            ("authorized_keys", _) => {
                format!("{} bob\n", SecretKey::new(&[2; 32]).public().to_text(KeyKind::Device)).into()
            }
            _ => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(FileBytes { bytes, facts: FileFacts { mode: 0o600, uid: 0, is_regular: true } })
    }

    fn list_dir(&mut self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }

    fn facts(&mut self, _: &Path) -> io::Result<FileFacts> {
        Err(io::ErrorKind::NotFound.into())
    }
}

fn published(name: &str) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../keys/test");
    std::fs::read(folder.join(name)).expect("a published key")
}

/// Whether the policy is taken, how many devices it has, and what is said.
fn said(instead: Option<(&'static str, Vec<u8>)>) -> (Option<usize>, String) {
    match load(Kind::Toml, Path::new("aldaba.toml"), &mut Memory { instead }, &Options::default()) {
        Ok(loaded) => {
            let said: Vec<_> = loaded.warnings.iter().map(|warning| warning.render(Paint::Plain)).collect();
            (Some(loaded.policy.spa.expect("its section").devices.len()), said.join("\n\n"))
        }
        Err(report) => (None, report.render(Paint::Plain)),
    }
}

#[test]
fn keys_of_ones_own_are_taken() {
    assert_eq!(said(None), (Some(1), String::new()));
}

#[test]
fn a_published_key_is_served_in_no_place() {
    for (name, file) in
        [("server.key", "server-secret.key"), ("gate.key", "gate.key"), ("psk.key", "seed.key")]
    {
        let (devices, said) = said(Some((name, published(file))));
        assert_eq!(devices, None, "{name}");
        let words = format!("{name} holds one of the published test keys, which everybody has");
        assert!(said.contains(&words), "{said}");
        assert!(said.contains(&format!("help: move {name} away and run aldabad init")), "{said}");
    }
    // Whatever it is called: a device's published key as a gate's.
    let other = text::encode(KeyKind::Gate, &[0x44; 32]).as_bytes().to_vec();
    assert_eq!(said(Some(("gate.key", other))).0, None);
}

#[test]
fn a_published_device_cannot_knock_and_the_others_can() {
    let bob = SecretKey::new(&[2; 32]).public().to_text(KeyKind::Device);
    let line = String::from_utf8(published("device.pub")).expect("text").trim().to_owned();
    let (devices, said) = said(Some(("authorized_keys", format!("{line} alice\n{bob} bob\n").into())));
    assert_eq!(devices, Some(1));
    assert!(said.contains("this key is one of the published test keys"), "{said}");
    assert!(said.contains("--> authorized_keys:3:1"), "{said}");
}
