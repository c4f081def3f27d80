//! The published keys: what the folder has, the program refuses, and no document shows another one.

use std::collections::BTreeSet;

use aldaba_spa::{KeyKind, PUBLISHED_PSKS, PUBLISHED_PUBLIC_KEYS, PublicKey, SecretKey, text};

use crate::{files, read, root};

/// The keys in a text, each with its kind.
fn keys(text: &str) -> Vec<(KeyKind, [u8; 32])> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let whole = |word: &str| {
        let kind = KeyKind::claimed_by(word)?;
        Some((kind, *text::decode(kind, word).ok()?))
    };
    words.filter_map(whole).collect()
}

/// The keys of keys/test, one in each file.
fn published() -> Vec<(KeyKind, [u8; 32])> {
    let files = ["pub", "key"].into_iter().flat_map(|extension| files("keys/test", extension));
    files
        .map(|path| match &keys(&read(&path))[..] {
            [key] => *key,
            found => panic!("{}: {} keys", path.display(), found.len()),
        })
        .collect()
}

#[test]
fn the_program_refuses_what_the_folder_has_and_nothing_else() {
    let (mut public, mut psks) = (BTreeSet::new(), BTreeSet::new());
    let published = published();
    for (kind, bytes) in &published {
        match kind {
            KeyKind::Device | KeyKind::Server => {
                public.insert(*bytes);
            }
            KeyKind::DeviceSecret | KeyKind::ServerSecret => {
                public.insert(*SecretKey::new(bytes).public().as_bytes());
            }
            KeyKind::Gate | KeyKind::Seed | KeyKind::DevicePsk => {
                psks.insert(*bytes);
            }
        }
    }
    assert_eq!(public, BTreeSet::from(PUBLISHED_PUBLIC_KEYS));
    assert_eq!(psks, BTreeSet::from(PUBLISHED_PSKS));
    let kinds: BTreeSet<KeyKind> = published.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, BTreeSet::from(KeyKind::ALL), "one of each kind");
}

#[test]
fn documents_show_no_other_keys() {
    let published = published();
    let mut shown = 0;
    let mut paths = vec![root().join("README.md"), root().join("CHANGELOG.md"), root().join("SECURITY.md")];
    for folder in ["docs", "spec", "keys", "packaging"] {
        for extension in ["md", "1", "5", "8", "toml", "key", "pub"] {
            paths.extend(files(folder, extension));
        }
    }
    for path in paths {
        for (kind, bytes) in keys(&read(&path)) {
            let known = published.contains(&(kind, bytes));
            assert!(known, "{}: {kind} that is not in keys/test", path.display());
            shown += 1;
        }
    }
    assert!(shown >= 14, "{shown}");
}

#[test]
fn public_keys_are_those_of_the_secret_ones() {
    for (secret, public) in [("device-secret.key", "device.pub"), ("server-secret.key", "server.pub")] {
        let of = |name: &str| keys(&read(&root().join("keys/test").join(name)))[0].1;
        assert_eq!(PublicKey::new(of(public)), Ok(SecretKey::new(&of(secret)).public()));
    }
}
