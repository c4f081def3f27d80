//! How most tests begin: two hosts, a folder, and a daemon that captures.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::program::binary;
use crate::{Hosts, Program, cannot_run};

/// A daemon with this configuration; `None` where this machine cannot run it, which has been said.
pub fn serve(config: &str) -> Option<(Hosts, TempDir, Program)> {
    serve_prepared(|_, _| config.to_owned())
}

/// The same with a configuration that speaks of the folder, and after whatever else must be there before the daemon.
pub fn serve_prepared(prepare: impl FnOnce(&Hosts, &Path) -> String) -> Option<(Hosts, TempDir, Program)> {
    if cannot_run().is_some() {
        return None;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    let config = prepare(&hosts, dir.path());
    let daemon = Program::aldabad(&hosts, dir.path(), &config);
    Some((hosts, dir, daemon))
}

/// A command that asks the daemon of this folder.
pub fn asked(dir: &Path, words: &[&str]) -> Output {
    let socket = dir.join("control.sock");
    Command::new(binary("aldabad")).args(words).arg("--control").arg(socket).output().unwrap()
}

/// What a program has printed.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
