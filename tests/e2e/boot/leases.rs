//! Doors that are open while the service is restarted, reloaded and stopped.

use std::time::Duration;

use aldaba_tests::Machine;

use super::installed::write_doors;
use super::{are_still_open, closes_in_time, lines, open, soon};

/// R2: the same deadlines, whatever happens to the process.
pub(crate) fn r2_leases_stay_over_a_restart_of_the_service(machine: &mut Machine) {
    let _listener = machine.hosts.listen(4000);
    let opened = open(machine);
    let before = machine.property("aldabad", "MainPID");
    machine.sh("systemctl restart aldabad");
    assert_ne!(machine.property("aldabad", "MainPID"), before);
    are_still_open(machine, opened);
    closes_in_time(machine, opened, "over systemctl restart");
}

/// R18: the old policy stays, and `systemctl reload` says so.
pub(crate) fn r18_a_reload_that_fails_is_told_and_changes_nothing(machine: &mut Machine) {
    let doors = std::fs::read_to_string(machine.path("/etc/aldaba/conf.d/doors.toml")).unwrap();
    let pid = machine.property("aldabad", "MainPID");
    write_doors(machine, "[[door]]\nname = \"web\"\nsequence = \"70000\"\n");
    let output = machine.run(&["systemctl", "reload", "aldabad"]);
    assert!(!output.status.success(), "{output:?}");
    machine.wait_for("70000");
    assert!(machine.sh("aldabad status || true").contains("doors: 3"), "the old policy is in force");
    assert_eq!(machine.property("aldabad", "ActiveState"), "active");
    write_doors(
        machine,
        &format!("{doors}\n[[door]]\nname = \"new\"\nsequence = \"7300,8300\"\nports = [\"4300/tcp\"]\n"),
    );
    machine.sh("systemctl reload aldabad");
    let _listener = machine.hosts.listen(4300);
    assert!(!machine.hosts.reachable(4300), "the new door's port is guarded when the reload returns");
    machine.hosts.knock(&[7300, 8300]);
    soon(machine, "the new door opens", || machine.hosts.reachable(4300));
    assert_eq!(machine.property("aldabad", "MainPID"), pid);
    write_doors(machine, &doors);
    machine.sh("systemctl reload aldabad");
}

/// R1: `ExecStopPost=` arms a timer of systemd's own, and nobody else is left.
pub(crate) fn r1_stopped_for_good_a_timer_closes_each_door(machine: &mut Machine) {
    let _listener = machine.hosts.listen(4000);
    let opened = open(machine);
    machine.sh("systemctl stop aldabad");
    assert_eq!(machine.property("aldabad", "ActiveState"), "inactive");
    let timers = machine.sh("systemctl list-timers --all --no-legend 'aldaba-reap-*'");
    assert!(!timers.is_empty(), "{}", machine.journal());
    // Where `aldabad reap` looks for one that is armed already.
    let name = timers.split_whitespace().find(|word| word.contains(".timer")).unwrap();
    assert!(machine.path(&format!("/run/systemd/transient/{name}")).exists(), "{timers}");
    assert!(machine.sh("pgrep -c aldabad || true").starts_with('0'), "nobody is left");
    are_still_open(machine, opened);
    closes_in_time(machine, opened, "by a timer, the service stopped");
    // What docs/install.md says of it, and what is kept afterwards.
    assert!(lines::file("docs/install.md").contains("arms a timer `aldaba-reap-*` for the rest"));
    let timers = || machine.sh("systemctl list-units --all --no-legend 'aldaba-reap-*'");
    soon(machine, "the timer goes when it has done its work", || timers().is_empty());
    assert!(machine.hosts.on_server(&["nft", "list", "table", "inet", "aldaba"]).contains("4000"));
    machine.sh("systemctl start aldabad");
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(machine.property("aldabad", "ActiveState"), "active");
}
