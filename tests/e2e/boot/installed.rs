//! Installed and taken away as docs/install.md says.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aldaba_tests::program::binary;
use aldaba_tests::{Device, Machine, device};

use super::{lines, open, soon};

/// The lease of both doors.
pub(crate) const LEASE: Duration = Duration::from_secs(3);
/// A door by element, one by command, beside the one by key that `init` writes.
const DOORS: &str = r#"
[[door]]
name = "web"
sequence = "7000,8000"
ports = ["4000/tcp"]
lease = "3s"

[[door]]
name = "old"
sequence = "7100,8100"
start = ["iptables", "-I", "INPUT", "-s", "{ip}", "-j", "ACCEPT"]
stop = ["iptables", "-D", "INPUT", "-s", "{ip}", "-j", "ACCEPT"]
lease = "3s"
"#;
/// The device that has a key.
pub(crate) static ANA: Device = Device::new(1);
/// Where the sources are: the folder the document's lines are typed in.
pub(crate) const SOURCES: &str = "/srv/aldaba";

pub(crate) fn the_lines_of_the_document_install_and_start_it(machine: &mut Machine) {
    bring_sources(machine);
    let section = lines::of("Programs, manuals, units");
    let [install, start] = &section[..] else { panic!("{section:?}") };
    let install = install.strip_prefix("cargo build --release\n").expect("the programs are there already");
    machine.sh(&format!("cd {SOURCES}\n{install}"));
    machine.sh("aldabad init");
    device::write_server(&machine.path("/etc/aldaba"), &ANA.line("", "ana/laptop"));
    std::fs::create_dir(machine.path("/etc/aldaba/conf.d")).unwrap();
    write_doors(machine, DOORS);
    // Shorter than anybody would have it.
    let drop_in = machine.path("/etc/systemd/system/aldabad.service.d");
    std::fs::create_dir(&drop_in).unwrap();
    std::fs::write(drop_in.join("test.conf"), "[Service]\nWatchdogSec=3\n").unwrap();
    machine.sh("systemctl daemon-reload");
    let said = machine.sh(start);
    assert!(
        said.contains("Active: active (running)") && said.contains("Status: \"3 doors on all interfaces"),
        "{said}"
    );
    let _listener = machine.hosts.listen(4000);
    assert!(!machine.hosts.reachable(4000), "it is active when the ports are guarded");
    open(machine);
    the_unit_is_what_it_says(machine);
}

/// What the document's lines are typed in: the sources, built.
fn bring_sources(machine: &Machine) {
    let sources = machine.path(SOURCES);
    let release = sources.join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    for program in ["aldabad", "aldaba", "knockd"] {
        std::fs::copy(binary(program), release.join(program)).unwrap();
    }
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let words = ["packaging", "docs"].map(|folder| repository.join(folder));
    let copied = Command::new("cp").arg("-r").args(words).arg(&sources).status().unwrap();
    assert!(copied.success());
}

pub(crate) fn write_doors(machine: &Machine, doors: &str) {
    let path = machine.path("/etc/aldaba/conf.d/doors.toml");
    std::fs::write(&path, doors).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Folders, users, processes.
fn the_unit_is_what_it_says(machine: &Machine) {
    for folder in ["/var/lib/aldaba", "/run/aldaba"] {
        let facts = std::fs::metadata(machine.path(folder)).unwrap();
        assert_eq!((facts.mode() & 0o7777, facts.uid()), (0o700, 0), "{folder}");
    }
    let user = machine.sh("id -u aldaba");
    let processes = machine.sh(
        "ps -o user=,args= -p $(cat /sys/fs/cgroup/system.slice/aldabad.service/cgroup.procs | paste -sd,)",
    );
    let of = |role: &str| {
        processes.lines().find(|line| line.contains(role)).unwrap_or_else(|| panic!("{processes}")).to_owned()
    };
    assert!(of("aldabad: worker").starts_with("aldaba "), "{processes}{user}");
    assert!(of("aldabad run").starts_with("root "), "{processes}");
    // Nothing in the unit is beyond this systemd or this kernel.
    let journal = machine.journal();
    for doubt in ["Unknown key", "does not support", "ignoring", "Found ordering cycle"] {
        assert!(!journal.contains(doubt), "{journal}");
    }
    assert!(journal.contains("worker-started ") && !journal.contains(" lacks="), "{journal}");
    // Whatever else is degraded decides its exit status.
    let status = machine.run(&["aldabad", "status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["worker"]["confined"], "fully", "{status}");
}

pub(crate) fn the_lines_of_the_document_take_it_away(machine: &mut Machine) {
    let section = lines::of("Away again");
    let [away] = &section[..] else { panic!("{section:?}") };
    let _listener = machine.hosts.listen(4000);
    machine.sh(away);
    let left = machine.sh("find /etc/systemd/system /etc/sysusers.d /etc/tmpfiles.d");
    assert!(!left.replace("aldabad.service.d", "").contains("aldaba"), "{left}");
    assert!(!machine.hosts.reachable(4000), "the table stays");
    machine.sh("aldabad firewall remove && rm /usr/sbin/aldabad /usr/bin/aldaba");
    soon(machine, "the port stands open", || machine.hosts.reachable(4000));
}
