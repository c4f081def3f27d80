//! The packaged unit in place of the one of Debian's knockd.

use std::time::Duration;

use aldaba_tests::{Machine, until};

use super::installed::SOURCES;
use super::trouble::comes_back;
use super::{lines, soon};

const CONFIG: &str = "[options]\n UseSyslog\n[door]\n sequence = 7600,8600\n seq_timeout = 5\n\
                      start_command = /usr/bin/touch /srv/door-%IP%\n cmd_timeout = 60\n stop_command = /bin/rm /srv/door-%IP%\n";
const DOOR: &str = "/srv/door-10.9.0.2";

pub(crate) fn knockd_is_what_it_was(machine: &mut Machine) {
    std::fs::write(machine.path("/etc/knockd.conf"), CONFIG).unwrap();
    std::fs::write(machine.path("/etc/default/knockd"), "START_KNOCKD=0\nKNOCKD_OPTS=\"-i srv0\"\n").unwrap();
    let section = lines::of("In place of knockd");
    machine.sh(&format!("cd {SOURCES}\n{}", section.concat()));
    let is_open = |machine: &Machine| machine.path(DOOR).exists();
    machine.hosts.knock(&[7600, 8600]);
    soon(machine, "the door opens", || is_open(machine));
    machine.sh("systemctl reload knockd");
    machine.wait_for("knockd.conf");
    let pid = machine.property("knockd", "MainPID");
    machine.sh(&format!("kill -KILL {pid}"));
    comes_back(machine, "knockd", &pid);
    assert!(is_open(machine), "its lease goes on");
    it_waits_for_an_interface_as_long_as_it_takes(machine);
    // Stopped, it closes what is open, as ever; its exit status, 15, is no failure.
    machine.sh("systemctl stop knockd");
    assert!(!is_open(machine));
    assert_eq!(machine.property("knockd", "ActiveState"), "inactive");
    assert_eq!(machine.property("knockd", "ExecMainStatus"), "15");
}

/// It ends where its interface is missing. systemd's own patience is five starts in ten seconds.
fn it_waits_for_an_interface_as_long_as_it_takes(machine: &Machine) {
    let options = |interface: &str| {
        let text = format!("START_KNOCKD=0\nKNOCKD_OPTS=\"-i {interface}\"\n");
        std::fs::write(machine.path("/etc/default/knockd"), text).unwrap();
    };
    let soon_again = machine.path("/run/systemd/system/knockd.service.d");
    std::fs::create_dir_all(&soon_again).unwrap();
    std::fs::write(soon_again.join("soon.conf"), "[Service]\nRestartSec=10ms\n").unwrap();
    options("late0");
    machine.sh("systemctl daemon-reload && systemctl restart --no-block knockd");
    let tries = |machine: &Machine| machine.property("knockd", "NRestarts").parse::<u32>().unwrap();
    let came = until(Duration::from_secs(30), || tries(machine) > 6);
    assert!(
        came.is_some(),
        "it is not tried more often than systemd has patience for: {}",
        machine.journal()
    );
    // Each try ends with `aldabad reap`, to which the other daemon's leases are nothing new.
    assert!(!machine.journal().contains("has these leases"), "{}", machine.journal());
    machine.sh("ip link add late0 type veth peer name late1 && ip link set late0 up");
    let active = || machine.property("knockd", "ActiveState") == "active";
    assert!(until(Duration::from_secs(10), active).is_some(), "it does not find it: {}", machine.journal());
    options("srv0");
    machine.sh("systemctl restart knockd && ip link delete late0");
}
