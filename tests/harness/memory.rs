//! What a process takes up, as the kernel counts it.

/// Resident bytes.
pub fn resident(pid: u32) -> u64 {
    bytes_of(pid, "VmRSS:")
}

/// Of those, the process's own: not a file's. Pages of programs come and go, since they are given back after each reload.
pub fn own(pid: u32) -> u64 {
    bytes_of(pid, "RssAnon:") + bytes_of(pid, "RssShmem:")
}

/// How many descriptors it has.
pub fn descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count()
}

fn bytes_of(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1024
}

/// The middle one of sizes that jump about for a moment now and then.
pub fn middle(sizes: impl IntoIterator<Item = u64>) -> u64 {
    let mut sizes: Vec<u64> = sizes.into_iter().collect();
    sizes.sort_unstable();
    sizes.get(sizes.len() / 2).copied().unwrap_or_default()
}
