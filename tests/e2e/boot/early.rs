//! A restart of the machine: what is there before the network, and what has become of the doors that were open.

use aldaba_tests::Machine;

use super::{knock_with_key, lines, soon};

/// Whoever configures the network comes after network-pre.target: this one writes down what the firewall was then.
const CABLE: &str = "[Unit]\nDefaultDependencies=no\nAfter=network-pre.target local-fs.target\nWants=network-pre.target\n\
                     Before=network.target systemd-tmpfiles-setup.service\n\
                     [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStartPre=/bin/mount -o remount,rw /tmp\n\
                     ExecStart=/bin/sh -c 'nft list ruleset >/srv/before-network && exec ip link set srv0 up'\n\
                     [Install]\nWantedBy=sysinit.target\n";

/// So early nobody can rely on /tmp: systemd-tmpfiles empties it at the same time, whatever is mounted below it. Here nothing can be made
/// there at all, every time and not one time in fifty.
const NO_TMP: &str = "[Unit]\nDefaultDependencies=no\nAfter=local-fs.target\nBefore=aldabad-firewall.service\n\
                      [Service]\nType=oneshot\nExecStart=/bin/mount -o remount,ro /tmp\n\
                      [Install]\nWantedBy=sysinit.target\n";

/// With the server's key as a credential, which nobody has before the daemon runs.
pub(crate) fn r1_the_ports_are_guarded_before_the_network_comes(machine: &mut Machine) {
    for (name, unit) in [("cable", CABLE), ("no-tmp", NO_TMP)] {
        std::fs::write(machine.path(&format!("/etc/systemd/system/{name}.service")), unit).unwrap();
    }
    let document = lines::file("docs/install.md");
    let [plain, _] = &lines::of("Secrets as credentials")[..] else { panic!("two blocks") };
    let unit_line = "LoadCredential=server.key:/etc/credstore/server.key";
    let key_line = "server-key = \"/run/credentials/aldabad.service/server.key\"";
    assert!(document.contains(unit_line) && document.contains(key_line));
    machine.sh(plain);
    write_drop_in(machine, unit_line);
    let config = std::fs::read_to_string(machine.path("/etc/aldaba/aldaba.toml")).unwrap();
    let config = config.replacen("[spa]\n", &format!("[spa]\n{key_line}\n"), 1);
    std::fs::write(machine.path("/etc/aldaba/aldaba.toml"), &config).unwrap();
    machine.sh("systemctl enable cable no-tmp");
    restart_guarded(machine);
    machine.wait_for("taken-over door=file");
    // What the document says of commands beside a daemon that runs.
    machine.sh("aldabad check && aldabad user list");
    the_key_opens(machine);
}

fn write_drop_in(machine: &Machine, line: &str) {
    let path = machine.path("/etc/systemd/system/aldabad.service.d/credentials.conf");
    std::fs::write(path, format!("[Service]\n{line}\n")).unwrap();
}

/// From now on it lies on the disk encrypted, with the key that systemd makes for the machine.
fn encrypt_the_credential(machine: &Machine) {
    let [_, encrypt] = &lines::of("Secrets as credentials")[..] else { panic!("two blocks") };
    let unit_line = "LoadCredentialEncrypted=server.key:/etc/credstore.encrypted/server.key";
    assert!(lines::file("docs/install.md").contains(unit_line));
    machine.sh(encrypt);
    assert!(!machine.path("/etc/credstore/server.key").exists());
    write_drop_in(machine, unit_line);
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

fn the_key_opens(machine: &mut Machine) {
    machine.hosts.wait_for_link();
    let _listener = machine.hosts.listen(22);
    assert!(!machine.hosts.reachable(22));
    knock_with_key(machine);
    soon(machine, "the key from the credential opens", || machine.hosts.reachable(22));
}

/// Somebody makes a mistake in the configuration and loads it never; then the machine restarts. The server's key is an encrypted credential
/// by now.
pub(crate) fn r16_a_boot_with_errors_guards_the_ports_and_opens_to_who_knocks(machine: &mut Machine) {
    machine.sh("aldabad close 10.9.0.2 ssh");
    encrypt_the_credential(machine);
    let path = machine.path("/etc/aldaba/aldaba.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replacen("[spa]\n", "[spa]\nregistri = \"x\"\n", 1)).unwrap();
    restart_guarded(machine);
    let early = ["ActiveState", "ExecMainStatus", "NRestarts"];
    let early = early.map(|name| machine.property("aldabad-firewall", name));
    assert_eq!(early, ["failed", "3", "0"], "{}", machine.journal());
    let journal = machine.journal();
    assert_eq!(journal.matches("did you mean registry?").count(), 2, "{journal}");
    assert!(journal.contains("last-in-force config=/etc/aldaba/aldaba.toml errors=1"), "{journal}");
    let state = machine.property("aldabad", "StatusText");
    assert!(state.contains("ERRORS IN THE CONFIGURATION"), "{state}");
    the_key_opens(machine);
    // Mended, it is as it was; so is the early unit.
    std::fs::write(machine.path("/etc/aldaba/aldaba.toml"), config).unwrap();
    machine.sh("systemctl reload aldabad && systemctl restart aldabad-firewall");
    let state = machine.property("aldabad", "StatusText");
    assert!(!state.contains("ERRORS"), "{state}");
    assert_eq!(machine.property("aldabad-firewall", "ActiveState"), "active");
    the_early_unit_tries_again(machine);
}

/// Once it cannot even be started: the ports do not wait for the daemon.
fn the_early_unit_tries_again(machine: &Machine) {
    let folder = machine.path("/run/systemd/system/aldabad-firewall.service.d");
    std::fs::create_dir_all(&folder).unwrap();
    let once = "[Service]\nReadWritePaths=/srv\n\
                ExecStartPre=/bin/sh -c 'test -e /srv/tried || { touch /srv/tried; exit 1; }'\n";
    std::fs::write(folder.join("once.conf"), once).unwrap();
    machine.sh("systemctl daemon-reload; ! systemctl restart aldabad-firewall");
    soon(machine, "it is tried again", || machine.property("aldabad-firewall", "ActiveState") == "active");
    assert_eq!(machine.property("aldabad-firewall", "NRestarts"), "1");
    std::fs::remove_file(folder.join("once.conf")).unwrap();
    machine.sh("systemctl daemon-reload");
}
