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

/// Packets that never reached the worker of this status: the capture's ring was full, or the host's own queue in front of it.
pub fn lost_on_the_way(status: &Value) -> u64 {
    let drops = &status["interfaces"][0]["drops"];
    let ring = drops.as_u64().unwrap_or_else(|| panic!("no count of drops: {status}"));
    let queues = std::fs::read_to_string("/proc/net/softnet_stat").expect("the kernel's counters");
    let of_queue = |line: &str| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok();
    ring + queues.lines().filter_map(of_queue).sum::<u64>()
}

/// The names of what is degraded now, in their order.
pub fn degraded(dir: &Path) -> Vec<String> {
    let status = status(dir);
    let all = status["degraded"].as_array().unwrap().iter();
    all.map(|one| one["what"].as_str().unwrap().to_owned()).collect()
}
