//! R25: scans of all ports, with the scanner people use and with frames of our own.

use super::*;

/// Strict doors, and a compatible one, which the lint warns of.
const DOORS: &str = r#"
interfaces = ["srv0"]

[[door]]
name = "strict"
sequence = "7000,8000,9000"
ports = ["2221/tcp"]

[[door]]
name = "backwards"
sequence = "9300,8300,7300"
ports = ["2222/tcp"]

[[door]]
name = "ascending"
sequence = "7100,8100,9100"
mode = "compatible"
ports = ["2223/tcp"]
"#;

/// One more, which a scan in random order may open. Beside it the other one is safer than alone: their ports disturb each other.
const MIXED: &str = r#"
[[door]]
name = "mixed"
sequence = "7200,9200,8200"
mode = "compatible"
ports = ["2224/tcp"]
"#;

fn shuffled(mut ports: Vec<u16>, random: &mut fastrand::Rng) -> Vec<u16> {
    random.shuffle(&mut ports);
    ports
}

#[test]
fn r25_no_scan_opens_a_strict_door_and_the_lint_knows_the_others() {
    if cannot_run().is_some() {
        return;
    }
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let hosts = Hosts::new();
    let dir = tempfile::tempdir().expect("a folder");
    let daemon = Program::aldabad(&hosts, dir.path(), DOORS);
    let program = aldaba_tests::program::binary("aldabad");
    let file = dir.path().join("more.toml");
    std::fs::write(&file, format!("{DOORS}{MIXED}")).expect("written");
    let check = std::process::Command::new(program).arg("check").arg(file).output().expect("it runs");
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    for lint in
        ["a port scan in ascending order opens this door, every time", "opens this door once in 6 times"]
    {
        assert!(said.contains(lint), "{said}");
    }
    assert_eq!(said.matches("[open-to-scans]").count(), 2, "the strict ones are nothing to warn of: {said}");
    let all = || (1..=u16::MAX).collect::<Vec<_>>();
    let mut random = fastrand::Rng::with_seed(7);
    let scans = [all(), all().into_iter().rev().collect(), shuffled(all(), &mut random)];
    let mut sent = 0;
    for (number, ports) in (1..).zip(scans) {
        sent += ports.len();
        hosts.as_client(|| {
            let mut wire = Wire::open();
            for (count, port) in (0_u32..).zip(ports) {
                wire.send(&Frame::tcp(address(0x0200 + number), 42_000, SERVER, port).sequence(count));
                if count % 100 == 0 {
                    std::thread::sleep(Duration::from_millis(2) * SLOWER);
                }
            }
        });
    }
    daemon.wait_for("opened door=ascending address=10.9.2.1");
    // The order of the scanner: what is used most comes first, mixed.
    let scan = hosts.on_client(&[
        "nmap",
        "-n",
        "-Pn",
        "-sS",
        "--min-rate",
        "3000",
        "--max-retries",
        "1",
        "10.9.0.1",
    ]);
    assert!(scan.status.success(), "{scan:?}");
    std::thread::sleep(Duration::from_millis(200));
    let said = daemon.said();
    for strict in ["opened door=strict", "opened door=backwards"] {
        assert!(!said.contains(strict), "{said}");
    }
    // And it was not deaf.
    hosts.knock(&[7000, 8000, 9000]);
    daemon.wait_for("opened door=strict address=10.9.0.2");
    println!("figure: R25 {sent} SYNs in three orders and nmap's own: no strict door opened");
}
