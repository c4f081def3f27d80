//! A daemon that is killed or hangs.

use std::time::{Duration, Instant};

use aldaba_tests::Machine;

use super::{are_still_open, open, soon};

/// The main process of the service.
fn main_pid(machine: &Machine) -> String {
    machine.property("aldabad", "MainPID")
}

/// Waits for another main process that works.
pub(crate) fn comes_back(machine: &Machine, unit: &str, before: &str) {
    // Both in one answer: one after the other they may be of two processes.
    let look = format!("systemctl show -p ActiveState -p MainPID {unit}");
    soon(machine, "it comes back", || {
        let now = machine.sh(&look);
        now.contains("ActiveState=active") && !now.contains(&format!("MainPID={before}\n"))
    });
}

/// R23: as often as it takes; a service manager that gives up would leave everybody outside.
pub(crate) fn r23_whatever_kills_it_it_comes_back(machine: &mut Machine) {
    let _listener = machine.hosts.listen(4000);
    let opened = open(machine);
    let before = main_pid(machine);
    let killed = Instant::now();
    machine.sh(&format!("kill -KILL {before}"));
    comes_back(machine, "aldabad", &before);
    are_still_open(machine, opened);
    println!(
        "figure: R23 killed, back under systemd after {} ms (RestartSec=1)",
        killed.elapsed().as_millis()
    );
    std::fs::write(
        machine.path("/etc/systemd/system/aldabad.service.d/soon.conf"),
        "[Service]\nRestartSec=10ms\n",
    )
    .unwrap();
    machine.sh("systemctl daemon-reload");
    for _ in 0..6 {
        let before = main_pid(machine);
        machine.sh(&format!("kill -KILL {before}"));
        comes_back(machine, "aldabad", &before);
    }
}

/// R23: the monitor is ended by systemd's watchdog, the worker by the monitor.
pub(crate) fn r23_what_hangs_is_ended_and_comes_back(machine: &mut Machine) {
    let monitor = main_pid(machine);
    let worker = machine.sh(&format!("pgrep -P {monitor} -f 'aldabad: worker'"));
    machine.sh(&format!("kill -STOP {worker}"));
    machine.wait_for("worker-ended why=silent");
    soon(machine, "another worker", || {
        let found = machine.sh(&format!("pgrep -P {monitor} -f 'aldabad: worker' || true"));
        !found.is_empty() && found != worker
    });
    assert_eq!(main_pid(machine), monitor);
    let start = Instant::now();
    machine.sh(&format!("kill -STOP {monitor}"));
    comes_back(machine, "aldabad", &monitor);
    println!(
        "figure: R23 a monitor that hangs is replaced by systemd after {} ms (watchdog 3 s)",
        start.elapsed().as_millis()
    );
    assert!(start.elapsed() < Duration::from_millis(4500));
    assert!(machine.journal().contains("Watchdog timeout"), "{}", machine.journal());
    let _listener = machine.hosts.listen(4000);
    open(machine);
}
