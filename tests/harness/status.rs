//! What `aldabad status` says of a daemon whose socket lies in this folder.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::program::binary;

pub fn status(dir: &Path) -> Value {
    let mut command = Command::new(binary("aldabad"));
    let output = command.args(["status", "--json", "--control"]).arg(dir.join("control.sock")).output();
    let output = output.unwrap();
    let told = serde_json::from_slice(&output.stdout);
    told.unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The names of what is degraded now, in their order.
pub fn degraded(dir: &Path) -> Vec<String> {
    let status = status(dir);
    let all = status["degraded"].as_array().unwrap().iter();
    all.map(|one| one["what"].as_str().unwrap().to_owned()).collect()
}
