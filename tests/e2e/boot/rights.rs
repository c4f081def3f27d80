//! Start commands that need more than the unit leaves, a port that is listened at, and `aldabad.service.d/commands.conf.example`.

use aldaba_tests::Machine;

use super::installed::write_doors;
use super::{knock_with_key, lines, soon};

/// One door writes a file that is not root's, the other one changes something in a namespace.
const DOORS: &str = r#"
[[door]]
name = "file"
sequence = "7400,8400"
start = ["touch", "/srv/doors/open"]
stop = ["rm", "/srv/doors/open"]
lease = "1h"

[[door]]
name = "inside"
sequence = "7500,8500"
start = ["ip", "netns", "exec", "container", "ip", "link", "set", "lo", "up"]
stop = ["ip", "netns", "exec", "container", "ip", "link", "set", "lo", "down"]
lease = "1h"
"#;
const CAPABILITIES: &str = "capabilities = [\"net_admin\", \"net_raw\", \"dac_override\", \"sys_admin\"]\n";
/// What the doctor says of `receive = "listen"` under the unit as it is.
const HEARS_NOBODY: &str = "BAD       unit: aldabad.service lets no datagram in (IPAddressDeny=any)";
const EXAMPLE: &str = "packaging/systemd/aldabad.service.d/commands.conf.example";

pub(crate) fn the_drop_in_for_commands_gives_what_it_says(machine: &mut Machine) {
    machine.sh("mkdir -p /srv/doors /etc/aldaba/one-time; chown daemon /srv/doors; ip netns add container");
    let doors = std::fs::read_to_string(machine.path("/etc/aldaba/conf.d/doors.toml")).unwrap();
    write_doors(machine, &format!("{CAPABILITIES}{doors}{DOORS}"));
    let config = machine.path("/etc/aldaba/aldaba.toml");
    let captures = std::fs::read_to_string(&config).unwrap();
    let listens = captures.replacen("[spa]\n", "[spa]\nreceive = \"listen\"\n", 1);
    std::fs::write(&config, listens).unwrap();
    machine.sh("systemctl restart aldabad");
    assert!(!knows_the_clock(machine), "the unit denies the question");
    assert!(machine.sh("aldabad doctor || true").contains(HEARS_NOBODY));
    let _listener = machine.hosts.listen(22);
    knock_with_key(machine);
    let knock = |machine: &Machine| {
        machine.hosts.knock(&[7400, 8400]);
        machine.hosts.knock(&[7500, 8500]);
    };
    knock(machine);
    machine.wait_for("command-failed door=file");
    machine.wait_for("command-failed door=inside");
    assert!(
        !machine.journal().contains("admitted door=ssh") && !machine.hosts.reachable(22),
        "{}",
        machine.journal()
    );
    let all = given(&[]);
    assert!(all.lines().filter(|line| line.contains('=')).count() > 12, "{all}");
    write_drop_in(machine, &all);
    assert_eq!(machine.sh("systemd-analyze verify --man=no aldabad.service 2>&1 || true"), "");
    write_drop_in(
        machine,
        &given(&[
            "IPAddressAllow=",
            "ReadWritePaths=/etc",
            "CAP_DAC_OVERRIDE",
            "RestrictNamespaces=",
            "CAP_SYS_ADMIN",
            "@mount",
            "ProtectClock=",
            "adjtimex",
        ]),
    );
    machine.sh("systemctl restart aldabad");
    assert!(knows_the_clock(machine), "the drop-in allows it");
    assert!(!machine.sh("aldabad doctor || true").contains(HEARS_NOBODY));
    knock_with_key(machine);
    soon(machine, "the key opens at a socket too", || machine.hosts.reachable(22));
    knock(machine);
    soon(machine, "door file opens", || machine.path("/srv/doors/open").exists());
    soon(machine, "door inside opens", || machine.sh("ip -n container link show lo").contains("LOOPBACK,UP"));
    std::fs::write(&config, captures).unwrap();
    machine.sh("systemctl reload aldabad && aldabad close 10.9.0.2 ssh");
    machine.sh("aldabad close 10.9.0.2 inside && ip -n container link show lo | grep -v UP");
}

/// Whether the daemon could ask the kernel about the clock, whatever the answer.
fn knows_the_clock(machine: &Machine) -> bool {
    // It says itself with its exit status what does not work.
    let status = machine.sh("aldabad status --json || true");
    assert!(status.contains("\"datagrams\":"), "{status}");
    status.contains("\"clock-synchronised\":")
}

/// The example with these of its lines in force; all of them, when none is named.
fn given(wanted: &[&str]) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        // A setting, not a sentence.
        Some(setting)
            if !setting.starts_with(' ')
                && (wanted.is_empty() || wanted.iter().any(|word| setting.contains(word))) =>
        {
            format!("{setting}\n")
        }
        _ => format!("{line}\n"),
    };
    lines::file(EXAMPLE).lines().map(line).collect()
}

fn write_drop_in(machine: &Machine, text: &str) {
    std::fs::write(machine.path("/etc/systemd/system/aldabad.service.d/commands.conf"), text).unwrap();
    machine.sh("systemctl daemon-reload");
}
