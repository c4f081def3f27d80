//! The daemon as a service: what its manager hears, and what commands must not hear.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "real daemons take real time, every wait is bounded; tests fail by panicking"
)]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use aldaba_tests::program::binary;
use aldaba_tests::{Hosts, Program, cannot_run, until};
use rustix::process::{Pid, Signal, kill_process};

/// A service manager that listens, and its daemon.
struct Service {
    manager: UnixDatagram,
    daemon: Program,
    hosts: Hosts,
    dir: tempfile::TempDir,
}

const NATIVE: &str = "interfaces = [\"srv0\"]\n[[door]]\nname = \"web\"\nsequence = \"7000,8000\"\n\
                      ports = [\"4000/tcp\"]\nlease = \"60s\"\n";

fn service(name: &str, config: &str) -> Option<Service> {
    if cannot_run().is_some() {
        return None;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    std::fs::write(dir.path().join(name), config.replace("DIR", dir.path().to_str().unwrap())).unwrap();
    let manager = UnixDatagram::bind(dir.path().join("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let notify = format!("NOTIFY_SOCKET={}", path("notify"));
    let (program, config, state, control) =
        (binary("aldabad"), path(name), path("state"), path("control.sock"));
    let words = [
        &["env", &notify, "WATCHDOG_USEC=4000000", program.to_str().unwrap(), "run", "--config", &config],
        &["--state-dir", &state, "--control", &control][..],
    ];
    let daemon = Program::start(&hosts, &words.concat(), &dir.path().join("output"));
    Some(Service { manager, daemon, hosts, dir })
}

impl Service {
    /// What the manager hears until this comes, with it.
    fn hears(&self, what: &str, limit: Duration) -> Vec<String> {
        let (start, mut heard, mut words) = (Instant::now(), Vec::new(), [0; 1024]);
        while start.elapsed() < limit {
            if let Ok(length) = self.manager.recv(&mut words) {
                heard.push(String::from_utf8_lossy(&words[..length]).into_owned());
                if heard.last().unwrap().contains(what) {
                    return heard;
                }
            }
        }
        panic!("no {what} after {limit:?}, but {heard:?}\n{}", self.daemon.said());
    }

    fn worker(&self) -> Pid {
        let is_worker = |pid: &u32| {
            let name = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            name.starts_with("aldabad: worker")
        };
        let worker = self.daemon.children().into_iter().find(is_worker).expect("a worker");
        Pid::from_raw(i32::try_from(worker).unwrap()).unwrap()
    }
}

const SOON: Duration = Duration::from_secs(5);

#[test]
fn the_manager_hears_when_it_works_reloads_and_ends() {
    let Some(mut service) = service("aldaba.toml", NATIVE) else { return };
    let ready = service.hears("READY=1", SOON).pop().unwrap();
    assert!(ready.contains("STATUS=1 doors on srv0, 0 leases"), "{ready}");
    // It was no promise: the port is guarded and a knock opens.
    let _listener = service.hosts.listen(4000);
    assert!(!service.hosts.reachable(4000));
    service.hosts.wait_for_link();
    service.hosts.knock(&[7000, 8000]);
    service.daemon.wait_for("opened door=web");
    service.hears("1 leases", SOON);
    service.daemon.signal(Signal::HUP);
    let reloading = service.hears("RELOADING=1", SOON).pop().unwrap();
    let micros = reloading.split("MONOTONIC_USEC=").nth(1).expect(&reloading);
    assert!(micros.parse::<u64>().is_ok(), "{reloading}");
    service.hears("READY=1", SOON);
    std::fs::write(service.dir.path().join("aldaba.toml"), "nonsense").unwrap();
    service.daemon.signal(Signal::HUP);
    service.hears("RELOADING=1", SOON);
    service.hears("READY=1", SOON);
    assert!(service.daemon.stop().success());
    service.hears("STOPPING=1", SOON);
}

/// R23: a worker that does nothing more is no sign of life, and is replaced without anybody's help.
#[test]
fn r23_a_worker_that_hangs_is_replaced_and_gives_no_sign_of_life() {
    let Some(service) = service("aldaba.toml", NATIVE) else { return };
    service.hears("READY=1", SOON);
    service.hears("WATCHDOG=1", SOON);
    kill_process(service.worker(), Signal::STOP).unwrap();
    let stopped = Instant::now();
    service.daemon.wait_for("worker-ended why=silent");
    println!("figure: R23 a worker that hangs is replaced after {} ms", stopped.elapsed().as_millis());
    service.daemon.wait_until("a new worker", |said| said.matches("worker-started").count() == 2);
    service.hears("WATCHDOG=1", SOON);
    service.hosts.wait_for_link();
    service.hosts.knock(&[7000, 8000]);
    service.daemon.wait_for("opened door=web");
    // Held down for good, it is not covered up: every new worker hangs too, before it has answered anything.
    service.manager.set_nonblocking(true).unwrap();
    let end = Instant::now() + Duration::from_millis(4500);
    let mut signs = Vec::new();
    let mut words = [0; 1024];
    while Instant::now() < end {
        for worker in service.daemon.children() {
            kill_process(Pid::from_raw(i32::try_from(worker).unwrap()).unwrap(), Signal::STOP).ok();
        }
        if let Ok(length) = service.manager.recv(&mut words)
            && words[..length].starts_with(b"WATCHDOG")
        {
            signs.push(Instant::now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(signs.last().is_none_or(|last| end - *last > Duration::from_secs(2)), "{signs:?}");
}

/// Stops the next worker that is not this one, as soon as it is one. Whether it was before it served.
fn stop_before_it_serves(daemon: &Program, last: Option<Pid>) -> (Pid, bool) {
    let mut next = None;
    let start = Instant::now();
    while next.is_none() && start.elapsed() < SOON {
        next = daemon.roles().into_iter().find(|role| Some(*role) != last);
    }
    let worker = next.unwrap_or_else(|| panic!("no worker: {}", daemon.said()));
    kill_process(worker, Signal::STOP).unwrap();
    let stopped = || {
        let pid = worker.as_raw_nonzero();
        let fields = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        fields.contains(") T ")
    };
    assert!(until(SOON, stopped).is_some(), "it goes on");
    // The monitor has heard by then what the worker said before, or is about to.
    std::thread::sleep(Duration::from_millis(50));
    (worker, !daemon.said().contains(&format!("worker-started pid={}", worker.as_raw_nonzero())))
}

/// R23: one that hangs before it has served is not waited for without end.
#[test]
fn r23_a_worker_that_hangs_before_it_serves_is_replaced() {
    let Some(service) = service("aldaba.toml", NATIVE) else { return };
    service.hears("READY=1", SOON);
    let mut last = service.worker();
    let mut caught = false;
    for _ in 0..20 {
        kill_process(last, Signal::KILL).ok();
        (last, caught) = stop_before_it_serves(&service.daemon, Some(last));
        if caught {
            break;
        }
    }
    assert!(caught, "none could be stopped before it served: {}", service.daemon.said());
    service.daemon.wait_for("worker-ended why=silent");
    let said = service.daemon.said();
    let after = said.rsplit("why=silent").next().map_or(0, str::len);
    let replaced = until(2 * SOON, || service.daemon.said()[said.len() - after..].contains("worker-started"));
    assert!(replaced.is_some(), "{}", service.daemon.said());
    service.hosts.wait_for_link();
    service.hosts.knock(&[7000, 8000]);
    service.daemon.wait_for("opened door=web");
}

/// R23: where the first one does, the daemon ends, for whoever started it to start it again.
#[test]
fn r23_a_daemon_whose_first_worker_hangs_ends() {
    for _ in 0..20 {
        let Some(mut service) = service("aldaba.toml", NATIVE) else { return };
        let (worker, caught) = stop_before_it_serves(&service.daemon, None);
        if !caught {
            kill_process(worker, Signal::CONT).ok();
            continue;
        }
        let status = service.daemon.wait(2 * SOON);
        assert!(status.is_some_and(|status| status.code() == Some(1)), "{}", service.daemon.said());
        assert!(service.daemon.said().contains("the worker does not start"), "{}", service.daemon.said());
        return;
    }
    panic!("no first worker could be stopped before it served");
}

/// Doors of knockd.conf have the daemon's environment, but they do not speak in its name.
#[test]
fn commands_do_not_find_the_way_to_the_manager() {
    let config =
        "[options]\n interface = srv0\n[web]\n sequence = 7000,8000\n command = env > DIR/environment\n";
    let Some(service) = service("knockd.conf", config) else { return };
    service.hears("READY=1", SOON);
    service.hosts.wait_for_link();
    service.hosts.knock(&[7000, 8000]);
    let seen = service.dir.path().join("environment");
    let seen = || std::fs::read_to_string(Path::new(&seen)).unwrap_or_default();
    assert!(until(SOON, || seen().contains("PATH=")).is_some(), "{}", service.daemon.said());
    assert!(!seen().contains("NOTIFY_SOCKET") && !seen().contains("WATCHDOG"), "{}", seen());
}

fn cannot_analyze() -> bool {
    let missing = !Path::new("/usr/bin/systemd-analyze").exists();
    assert!(!missing || std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "needs systemd (tests/run)");
    if missing {
        println!("SKIPPED: systemd is not installed");
    }
    missing
}

fn packaged(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn analyze(words: &[&str]) -> (bool, String) {
    let output = Command::new("systemd-analyze").args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// R23: systemd gives up after five starts in ten seconds where a unit does not say otherwise.
#[test]
fn r23_no_unit_is_given_up_however_often_it_ends() {
    for unit in ["aldabad.service", "knockd.service"] {
        let text = packaged(unit);
        let (head, service) = text.split_once("\n[Service]\n").unwrap();
        assert!(head.contains("\nStartLimitIntervalSec=0"), "{unit}");
        assert!(service.contains("\nRestart=on-failure\n"), "{unit}");
    }
}

/// All there are.
fn units() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd");
    let names =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut units: Vec<String> = names.filter(|name| name.ends_with(".service")).collect();
    units.sort();
    units
}

/// R23: what the whole daemon could do if it were somebody else's.
#[test]
fn r23_every_unit_is_sound_and_all_but_knockds_are_hardened() {
    if cannot_analyze() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let units = units();
    for unit in &units {
        // Installed elsewhere, the programs are not where the unit has them.
        let programs = binary("aldabad").canonicalize().unwrap();
        let text = packaged(unit).replace("/usr/sbin", programs.parent().unwrap().to_str().unwrap());
        std::fs::write(path(unit), text).unwrap();
    }
    for unit in &units {
        let (sound, said) = analyze(&["verify", "--man=no", &path(unit)]);
        assert!(sound && !said.contains(unit), "{said}");
    }
    // That one runs whatever a knockd.conf has, with what the unit of old left it; docs/install.md says so.
    let hardened: Vec<&String> = units.iter().filter(|unit| *unit != "knockd.service").collect();
    assert_eq!(hardened, ["aldabad-firewall.service", "aldabad.service"]);
    let score = |unit: &str| {
        let (_, said) = analyze(&["security", "--offline=true", "--no-pager", &path(unit)]);
        let score = said.split("exposure level for ").nth(1).and_then(|rest| rest.split_whitespace().nth(1));
        score.and_then(|score| score.parse::<f32>().ok()).unwrap_or_else(|| panic!("{said}"))
    };
    let exposure = hardened.iter().map(|unit| score(unit)).fold(0.0, f32::max);
    println!("figure: R23 systemd-analyze security {exposure}");
    assert!(exposure <= 2.5, "{exposure}");
}

/// The capabilities, the view of processes and the files that the unit leaves: everything still works.
#[test]
fn r23_it_works_with_what_the_unit_leaves() {
    if cannot_run().is_some() {
        return;
    }
    let unit = packaged("aldabad.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet=")).unwrap();
    let left =
        line.split(' ').map(|name| name.replace("CAP_", "+").to_lowercase()).collect::<Vec<_>>().join(",");
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().unwrap());
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    // iptables writes no file but its lock; the command of the second door writes where the unit lets nobody write.
    let config = format!(
        "{NATIVE}[[door]]\nname = \"old\"\nsequence = \"7100,7200\"\nlease = \"2s\"\n\
         start = [\"iptables\", \"-I\", \"INPUT\", \"-s\", \"{{ip}}\", \"-j\", \"ACCEPT\"]\n\
         stop = [\"iptables\", \"-D\", \"INPUT\", \"-s\", \"{{ip}}\", \"-j\", \"ACCEPT\"]\n"
    );
    std::fs::write(path("aldaba.toml"), config).unwrap();
    std::fs::create_dir(path("state")).unwrap();
    std::fs::set_permissions(path("state"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let script = format!(
        "mount -t proc -o hidepid=invisible proc /proc && mount --bind {0} {0} && mount -o remount,bind,ro / && \
         exec setpriv --bounding-set=-all,{left} --no-new-privs {1} run --keep --config {0}/aldaba.toml \
         --state-dir {0}/state --control {0}/control.sock",
        dir.path().display(),
        binary("aldabad").canonicalize().unwrap().display(),
    );
    let words = ["unshare", "--mount", "sh", "-c", &script];
    let daemon = Program::start(&hosts, &words, &dir.path().join("output"));
    daemon.wait_for("started version=");
    hosts.wait_for_link();
    let listener = hosts.listen(4000);
    assert!(!hosts.reachable(4000));
    hosts.knock(&[7000, 8000]);
    daemon.wait_for("opened door=web");
    assert!(hosts.reachable(4000), "{}", daemon.said());
    hosts.knock(&[7100, 7200]);
    daemon.wait_for("opened door=old");
    daemon.wait_for("closed door=old");
    let said = daemon.said();
    assert!(said.contains("worker-started ") && !said.contains(" lacks="), "{said}");
    assert_eq!(aldaba_tests::status(dir.path())["worker"]["confined"], "fully");
    drop(listener);
}

/// At boot, before any interface: the port is guarded when the first one comes.
#[test]
fn the_table_is_there_before_the_network() {
    if cannot_run().is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("aldaba.toml");
    std::fs::write(&path, NATIVE).unwrap();
    let script = format!(
        "ip -o link | grep -c UP; {} firewall apply --config {} && nft list ruleset",
        binary("aldabad").canonicalize().unwrap().display(),
        path.display()
    );
    let output = Command::new("unshare").args(["--net", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.starts_with("0\n"), "{said}");
    assert!(said.contains("table inet aldaba") && said.contains("4000"), "{said}");
}
