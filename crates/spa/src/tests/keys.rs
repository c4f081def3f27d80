//! The worked example of `spec/keys.md`, which another implementation derives too (`spec/vectors/keys.py`).

use super::hex;
use crate::bundle::{Bundle, OneTimeCode, SealedBundle};
use crate::text::encode;
use crate::{KeyKind, SecretKey};

/// The indented blocks of the section, each in one line.
fn blocks() -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spec/keys.md");
    let text = std::fs::read_to_string(path).expect("the specification");
    let (_, example) = text.split_once("## 6. Worked example").expect("its last section");
    let blocks = example.split("\n\n").filter(|block| block.starts_with("    "));
    blocks.map(|block| block.split("    ").map(str::trim).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn keys_are_written_as_the_specification_has_them() {
    let (device, server) = (SecretKey::new(&[0x22; 32]), SecretKey::new(&[0x33; 32]));
    let keys = [
        (KeyKind::Device, *device.public().as_bytes()),
        (KeyKind::DeviceSecret, [0x22; 32]),
        (KeyKind::Server, *server.public().as_bytes()),
        (KeyKind::ServerSecret, [0x33; 32]),
        (KeyKind::Gate, [0x55; 32]),
        (KeyKind::Seed, [0x66; 32]),
        (KeyKind::DevicePsk, [0x44; 32]),
    ];
    let code = OneTimeCode::new(&[0x77; 16]).expect("a code").expose_text();
    let ours = keys.iter().map(|(kind, bytes)| encode(*kind, bytes).to_string()).chain([code.to_string()]);
    assert_eq!(blocks()[0].split_whitespace().collect::<Vec<_>>(), ours.collect::<Vec<_>>());
}

#[test]
fn bundles_are_sealed_as_the_specification_has_them() {
    let (device, server) = (SecretKey::new(&[0x22; 32]), SecretKey::new(&[0x33; 32]));
    let [_, plain, sealed, coded, kept] = &blocks()[..] else { panic!("other blocks than known") };
    let bundle = Bundle::decode(&hex(plain)).expect("a bundle");
    assert_eq!(*bundle.encode().expect("a bundle"), hex(plain));
    assert_eq!(*bundle.expose_text().expect("a bundle"), kept.replace(' ', ""));
    let code = OneTimeCode::new(&[0x77; 16]).expect("a code");
    for (text, code) in [(sealed, None), (coded, Some(&code))] {
        let ours = bundle.seal(&server, &device.public(), code, &[1; 32]).expect("sealed");
        assert_eq!(Ok(&ours), SealedBundle::from_text(text).as_ref());
        assert_eq!(ours.to_text(), text.replace(' ', ""));
        let opened = ours.open(&device, code).expect("opened");
        assert_eq!(*opened.bundle.encode().expect("a bundle"), hex(plain));
    }
}
