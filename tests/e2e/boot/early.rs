//! A restart of the machine: what is there before the network, and what has become of the doors that were open.

use aldaba_tests::{Machine, device};

use super::installed::ANA;
use super::{lines, soon};

/// Whoever configures the network comes after network-pre.target: this one writes down what the firewall was then. `nft` may fail while
/// the daemon begins beside it; then it is asked again.
const CABLE: &str = "[Unit]\nDefaultDependencies=no\nAfter=network-pre.target local-fs.target\nWants=network-pre.target\nBefore=network.target\n\
                     [Service]\nType=oneshot\nRemainAfterExit=yes\n\
                     ExecStart=/bin/sh -c 'until nft list ruleset >/srv/before-network; do sleep 0.1; done; exec ip link set srv0 up'\n\
                     [Install]\nWantedBy=sysinit.target\n";

/// With the server's key as a credential, which nobody has before the daemon runs.
pub(crate) fn r1_the_ports_are_guarded_before_the_network_comes(machine: &mut Machine) {
    std::fs::write(machine.path("/etc/systemd/system/cable.service"), CABLE).unwrap();
    let document = lines::file("docs/install.md");
    let unit_line = "LoadCredential=server.key:/etc/credstore/server.key";
    let key_line = "server-key = \"/run/credentials/aldabad.service/server.key\"";
    assert!(document.contains(unit_line) && document.contains(key_line));
    machine.sh(&lines::of("Secrets as credentials").concat());
    let drop_in = format!("[Service]\n{unit_line}\n");
    std::fs::write(machine.path("/etc/systemd/system/aldabad.service.d/credentials.conf"), drop_in).unwrap();
    let config = std::fs::read_to_string(machine.path("/etc/aldaba/aldaba.toml")).unwrap();
    let config = config.replacen("[spa]\n", &format!("[spa]\n{key_line}\n"), 1);
    std::fs::write(machine.path("/etc/aldaba/aldaba.toml"), &config).unwrap();
    machine.sh("systemctl enable cable");
    restart_guarded(machine);
    machine.wait_for("taken-over door=file");
    // What the document says of commands beside a daemon that runs.
    machine.sh("aldabad check && aldabad user list");
    the_key_opens(machine, &config);
}

/// Starts the machine again. What comes after network-pre.target finds the table, and the daemon works.
fn restart_guarded(machine: &mut Machine) {
    std::fs::remove_file(machine.path("/srv/before-network")).ok();
    machine.restart();
    let before = std::fs::read_to_string(machine.path("/srv/before-network")).unwrap();
    assert!(
        before.contains("table inet aldaba")
            && before.contains("chain tcp_4000 ")
            && before.contains("chain tcp_22 "),
        "{before}\n{}",
        machine.journal()
    );
    assert_eq!(machine.property("aldabad", "ActiveState"), "active", "{}", machine.journal());
}

fn the_key_opens(machine: &Machine, config: &str) {
    machine.hosts.wait_for_link();
    let _listener = machine.hosts.listen(22);
    assert!(!machine.hosts.reachable(22));
    let port = config.lines().find_map(|line| line.strip_prefix("port = ")).unwrap().parse().unwrap();
    let (datagram, _) = ANA.seal(device::open("ssh", None));
    device::send(&machine.hosts, aldaba_tests::hosts::CLIENT.into(), port, &datagram);
    soon(machine, "the key from the credential opens", || machine.hosts.reachable(22));
}

/// Somebody makes a mistake in the configuration and loads it never; then the machine restarts.
pub(crate) fn r16_a_boot_with_errors_guards_the_ports_and_opens_to_who_knocks(machine: &mut Machine) {
    machine.sh("aldabad close 10.9.0.2 ssh");
    let path = machine.path("/etc/aldaba/aldaba.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replacen("[spa]\n", "[spa]\nregistri = \"x\"\n", 1)).unwrap();
    restart_guarded(machine);
    let early = ["ActiveState", "ExecMainStatus"].map(|name| machine.property("aldabad-firewall", name));
    assert_eq!(early, ["failed", "3"], "{}", machine.journal());
    let journal = machine.journal();
    assert_eq!(journal.matches("did you mean registry?").count(), 2, "{journal}");
    assert!(journal.contains("last-in-force config=/etc/aldaba/aldaba.toml errors=1"), "{journal}");
    let state = machine.property("aldabad", "StatusText");
    assert!(state.contains("ERRORS IN THE CONFIGURATION"), "{state}");
    the_key_opens(machine, &config);
    // Mended, it is as it was; so is the early unit.
    std::fs::write(machine.path("/etc/aldaba/aldaba.toml"), config).unwrap();
    machine.sh("systemctl reload aldabad && systemctl restart aldabad-firewall");
    let state = machine.property("aldabad", "StatusText");
    assert!(!state.contains("ERRORS"), "{state}");
    assert_eq!(machine.property("aldabad-firewall", "ActiveState"), "active");
}
