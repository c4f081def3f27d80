//! Who starts the daemon again, where systemd runs: read from the files it shows, without asking it.

use std::path::{Path, PathBuf};

use super::Finding;
use crate::cli::DEFAULT_CONFIG;

/// Where units stand; the first that has one counts.
const FOLDERS: [&str; 5] = [
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
];

/// The one the packages bring.
const UNIT: &str = "aldabad.service";
/// Is there where systemd runs, as `sd_booted` has it.
const BOOTED: &str = "run/systemd/system";

/// `None`: systemd does not run here. `listens`: datagrams come by a socket, and not by a capture.
pub(super) fn look(pid: u32, listens: bool) -> Option<Finding> {
    look_in(Path::new("/"), pid, listens)
}

fn look_in(root: &Path, pid: u32, listens: bool) -> Option<Finding> {
    if !root.join(BOOTED).is_dir() {
        return None;
    }
    let group = std::fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).unwrap_or_default();
    Some(service(&group).and_then(|name| of_unit(root, name, listens)).unwrap_or_else(|| {
        Finding::doubtful(
            "unit",
            "systemd runs here, and the daemon is no service of its own: nobody starts it again when it dies, nor at the next boot",
            "docs/install.md has the units: systemctl enable --now aldabad",
        )
    }))
}

/// Whether `aldabad.service` starts a daemon with this configuration at boot.
pub(super) fn starts_at_boot(config: &Path) -> bool {
    starts_at_boot_in(Path::new("/"), config)
}

fn starts_at_boot_in(root: &Path, config: &Path) -> bool {
    let text = unit_text(root, UNIT).unwrap_or_default();
    let starts = setting(&text, "ExecStart").unwrap_or_default();
    root.join(BOOTED).is_dir()
        && is_enabled(root, UNIT)
        && Path::new(configuration(starts).unwrap_or(DEFAULT_CONFIG)) == config
}

/// Which one a command line names.
fn configuration(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    words
        .find_map(|word| match word {
            "-c" | "--config" => Some(None),
            _ => word.strip_prefix("--config=").map(Some),
        })?
        .or_else(|| words.next())
}

/// The service whose control group a process is in.
fn service(group: &str) -> Option<&str> {
    let mut paths = group.lines().filter_map(|line| {
        let rest =
            line.strip_prefix("0::").or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))?;
        rest.split('/').rev().find(|part| part.ends_with(".service"))
    });
    paths.next_back()
}

/// What its unit says; `None`: the unit is somebody else's, as that of the sshd whose session the daemon was started from.
fn of_unit(root: &Path, name: &str, listens: bool) -> Option<Finding> {
    let text = unit_text(root, name)?;
    let starts = setting(&text, "ExecStart")?;
    if !(starts.contains("aldabad") || starts.contains("knockd")) {
        return None;
    }
    // Captures see a packet before this does.
    if listens && setting(&text, "IPAddressDeny") == Some("any") && setting(&text, "IPAddressAllow").is_none()
    {
        let seen =
            format!("{name} lets no datagram in (IPAddressDeny=any), and receive = \"listen\" hears nobody");
        let help = format!(
            "systemctl edit {name}: IPAddressAllow=any in [Service], then systemctl restart {name}; or receive = \"capture\""
        );
        return Some(Finding::bad("unit", seen, help));
    }
    if !is_enabled(root, name) {
        let seen = format!("{name} is not enabled: after the next boot nobody who knocks gets in");
        return Some(Finding::doubtful("unit", seen, format!("systemctl enable {name}")));
    }
    if setting(&text, "Restart").is_none_or(|when| when == "no") {
        let seen = format!("{name} is not started again when the daemon dies (no Restart=)");
        let help = format!("systemctl edit {name}: Restart=on-failure in [Service]");
        return Some(Finding::doubtful("unit", seen, help));
    }
    if starts.contains("aldabad run") && !starts.contains("--or-last-in-force") {
        let seen = format!(
            "{name} does not start when the configuration has errors: then nobody who knocks gets in"
        );
        let help = format!("systemctl edit {name}: aldabad run --or-last-in-force in ExecStart=");
        return Some(Finding::doubtful("unit", seen, help));
    }
    Some(Finding::good("unit", format!("{name} is enabled, and started again when the daemon dies")))
}

/// The unit, and what drop-ins add behind it.
fn unit_text(root: &Path, name: &str) -> Option<String> {
    let folders = FOLDERS.iter().map(|folder| root.join(folder));
    let mut text = folders.clone().find_map(|folder| std::fs::read_to_string(folder.join(name)).ok())?;
    let drop_ins = folders.rev().flat_map(|folder| names(&folder.join(format!("{name}.d"))));
    for path in drop_ins.filter(|path| path.extension().is_some_and(|kind| kind == "conf")) {
        text.push('\n');
        text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
    }
    Some(text)
}

/// What stands in a folder, in its order.
fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The last word on a setting.
fn setting<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let mut values =
        text.lines().filter_map(|line| line.trim().strip_prefix(name)?.trim_start().strip_prefix('='));
    values.next_back().map(str::trim)
}

/// Whether something that is started at boot wants it.
fn is_enabled(root: &Path, name: &str) -> bool {
    let wants = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "wants" || kind == "requires");
    let folders = FOLDERS.iter().flat_map(|folder| names(&root.join(folder)));
    folders.filter(wants).any(|folder| folder.join(name).symlink_metadata().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }

    #[test]
    fn who_starts_it_again_is_read_from_what_systemd_shows() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        let said = || look_in(root, 7, false).map(|finding| (finding.grade, finding.seen));
        assert_eq!(said(), None, "systemd does not run");
        std::fs::create_dir_all(root.join("run/systemd/system")).expect("made");
        let doubtful = |part: &str| {
            let (grade, seen) = said().expect("it runs");
            assert!(grade == Grade::Doubtful && seen.contains(part), "{seen}");
        };
        doubtful("no service of its own");
        write(root, "proc/7/cgroup", "0::/user.slice/user-0.slice/session-3.scope\n");
        doubtful("no service of its own");
        write(root, "proc/7/cgroup", "0::/system.slice/ssh.service\n");
        write(root, "usr/lib/systemd/system/ssh.service", "[Service]\nExecStart=/usr/sbin/sshd -D\n");
        doubtful("no service of its own");
        write(root, "proc/7/cgroup", "12:pids:/x\n1:name=systemd:/system.slice/aldabad.service\n");
        let unit = "[Service]\nExecStart=/usr/sbin/aldabad run --keep\n";
        write(root, "usr/lib/systemd/system/aldabad.service", unit);
        doubtful("is not enabled");
        write(root, "etc/systemd/system/multi-user.target.wants/aldabad.service", "");
        doubtful("no Restart=");
        write(root, "etc/systemd/system/aldabad.service.d/again.conf", "[Service]\nRestart = on-failure\n");
        doubtful("when the configuration has errors");
        let unit = unit.replace("run", "run --or-last-in-force");
        write(root, "usr/lib/systemd/system/aldabad.service", &unit);
        assert_eq!(said().map(|(grade, _)| grade), Some(Grade::Good));
        write(root, "etc/systemd/system/aldabad.service.d/deny.conf", "[Service]\nIPAddressDeny=any\n");
        let listens = |listens| look_in(root, 7, listens).map(|finding| finding.grade);
        assert_eq!((listens(true), listens(false)), (Some(Grade::Bad), Some(Grade::Good)));
        write(root, "etc/systemd/system/aldabad.service.d/listen.conf", "[Service]\nIPAddressAllow=any\n");
        assert_eq!(listens(true), Some(Grade::Good));
        assert!(starts_at_boot_in(root, Path::new(DEFAULT_CONFIG)));
        assert!(!starts_at_boot_in(root, Path::new("/srv/aldaba.toml")), "that is another daemon's");
        write(root, "etc/systemd/system/aldabad.service.d/never.conf", "[Service]\nRestart=no\n");
        doubtful("no Restart=");
    }

    #[test]
    fn a_command_line_names_its_configuration() {
        assert_eq!(configuration("/usr/sbin/aldabad run --keep"), None);
        for line in
            ["aldabad run -c /srv/a --keep", "aldabad run --config /srv/a", "aldabad run --config=/srv/a"]
        {
            assert_eq!(configuration(line), Some("/srv/a"), "{line}");
        }
        assert_eq!(configuration("aldabad run -c"), None);
    }
}
