//! The packaged unit in place of the one of Debian's knockd.

use aldaba_tests::Machine;

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
    // Stopped, it closes what is open, as ever; its exit status, 15, is no failure.
    machine.sh("systemctl stop knockd");
    assert!(!is_open(machine));
    assert_eq!(machine.property("knockd", "ActiveState"), "inactive");
    assert_eq!(machine.property("knockd", "ExecMainStatus"), "15");
}
