//! Every committed seed through its target.

use std::collections::BTreeSet;
use std::fs;

use aldaba_fuzz::{SEEDS, TARGETS};

macro_rules! replay {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            assert_eq!([$(stringify!($name)),*], TARGETS.map(|(name, _)| name));
        }
    };
}

replay!(
    aldaba_toml authorized_keys bundle capture_file control datagram datagram_sealed device_bundle differential frame
    hits key_text knockd_conf lease_ops replay_ops replay_store request sequence
);

fn replay(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
    let mut count = 0;
    for entry in fs::read_dir(format!("{SEEDS}/{name}")).expect("a folder of seeds") {
        let path = entry.expect("an entry").path();
        println!("{}", path.display());
        target(&fs::read(&path).expect("a seed"));
        count += 1;
    }
    assert!(count >= 10, "{name} has {count} seeds");
}

#[test]
fn every_folder_of_seeds_has_a_target() {
    let folders: BTreeSet<String> = fs::read_dir(SEEDS)
        .expect("the seeds")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, targets);
}
