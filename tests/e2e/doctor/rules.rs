//! Rules that a look at single ports would miss: maps and sets of values put together, chains of devices, programs that get what was
//! sent to another port, and rules of which not all is understood.

use std::time::Duration;

use super::*;

impl Scene {
    /// It finds nothing bad, and this doubtful, which it says with all these words.
    fn doubts(&self, about: &str, words: &[&str]) {
        let (code, said) = self.doctor(&[]);
        assert!(code == Some(0) && said.contains(&format!("doubtful  {about}: ")), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} in\n{said}");
        }
    }

    /// It has nothing to say of the door.
    fn finds_nothing(&self) {
        let (code, said) = self.doctor(&[]);
        assert!(code == Some(0) && !said.contains("doubtful"), "{said}");
    }

    fn open(&self) {
        self.hosts.knock(&[7000, 8000, 9000]);
        self.daemon.wait_for("opened door=ssh");
    }
}

/// As on a cluster's nodes: the protocol and the port lead to a service's chain, or the address and both do.
#[test]
fn r28_what_a_map_leads_around_the_table_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listeners = [scene.hosts.listen(2222), scene.hosts.listen(8022)];
    let service = "chain web { numgen random mod 2 vmap { 0 : goto one, 1 : goto two }; }; \
        chain one { meta l4proto tcp dnat to 10.9.0.1:8022; }; chain two { meta l4proto tcp redirect to :8022; };";
    let load = |map: &str, rule: &str| {
        scene.nft(&format!(
            "table ip proxy {{ {service} {map}; chain services {{ {rule}; }}; \
            chain pre {{ type nat hook prerouting priority dstnat; jump services; }}; }}"
        ));
    };
    let ports = "map ports { type inet_proto . inet_service : verdict; \
        elements = { tcp . 2222 : goto web, tcp . 80 : goto web }; }";
    let of_address = |address: &str| {
        format!(
            "map ips {{ type ipv4_addr . inet_proto . inet_service : verdict; flags interval; \
            elements = {{ {address} . tcp . 2200-2300 : goto web }}; }}"
        )
    };
    let by_port = "meta l4proto . th dport vmap @ports";
    let by_address = "ip daddr . meta l4proto . th dport vmap @ips";
    for (map, rule) in [(ports.to_owned(), by_port), (of_address("10.9.0.0/16"), by_address)] {
        load(&map, rule);
        assert!(scene.hosts.reachable(2222), "without a knock: {rule}");
        scene.finds("around", &["over IPv4: a rule in ip proxy ", "reached without a knock"]);
        scene.nft("delete table ip proxy");
    }
    load(&of_address("10.96.0.10"), by_address);
    assert!(!scene.hosts.reachable(2222), "it is for a service's own address");
    scene.finds_nothing();
}

#[test]
fn r28_a_drop_at_the_device_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open();
    assert!(scene.hosts.reachable(2222));
    let chain = |hook: &str| {
        format!("chain early {{ type filter hook {hook} priority 0; tcp dport {{ 2222, 2223 }} drop; }}")
    };
    for family in ["netdev", "inet"] {
        scene.nft(&format!("table {family} dev {{ {}; }}", chain("ingress device \"srv0\"")));
        assert!(!scene.hosts.reachable(2222), "opened, and of no use: {family}");
        let help = format!("nft insert rule {family} dev early tcp dport 2222 accept");
        scene.finds("order", &[&format!("the chain {family} dev early drops it by a rule"), &help]);
        // What it says helps.
        scene.nft(help.trim_start_matches("nft "));
        assert!(scene.hosts.reachable(2222), "{family}");
        scene.finds_nothing();
        scene.nft(&format!("delete table {family} dev"));
    }
    // What stands at another device, or in a table that sleeps, no packet of a client's meets.
    scene.hosts.ip(&["link", "add", "spare0", "type", "veth", "peer", "name", "spare1"]);
    scene.nft(&format!("table netdev dev {{ {}; }}", chain("ingress device \"spare0\"")));
    scene.nft(&format!("table inet asleep {{ flags dormant; {}; }}", chain("input")));
    assert!(scene.hosts.reachable(2222));
    scene.finds_nothing();
}

#[test]
fn r28_a_drop_of_values_put_together_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open();
    scene.nft(
        "table inet filter { \
        set shut { type ipv4_addr . inet_service; flags interval; elements = { 10.9.0.0/24 . 2200-2300 }; }; \
        chain input { type filter hook input priority filter; ip daddr . tcp dport @shut drop; }; }",
    );
    assert!(!scene.hosts.reachable(2222), "opened, and of no use");
    scene.finds("order", &["2222/tcp over IPv4: the chain inet filter input drops it by a rule"]);
    let holds = |elements: &str| {
        scene.nft(&format!("flush set inet filter shut; add element inet filter shut {{ {elements} }}"));
    };
    holds("10.9.0.0/24 . 2300-2400, 10.8.0.0/16 . 2222");
    assert!(scene.hosts.reachable(2222));
    scene.finds_nothing();
    // Of sources it is those it names that are dropped, and nobody else.
    let rule = |rule: &str| {
        scene.nft(&format!("flush chain inet filter input; add rule inet filter input {rule}"));
    };
    holds("10.9.7.7 . 2222");
    rule("ip saddr . tcp dport @shut drop");
    assert!(scene.hosts.reachable(2222));
    scene.finds_nothing();
    rule("ip saddr != 10.8.0.0/16 tcp dport 2222 drop");
    assert!(!scene.hosts.reachable(2222));
    scene.doubts("order", &["drops it by a rule, but for sources that it names"]);
}

/// A bridge's own chains, and those of the device it stands on, see what is for the host.
#[test]
fn r28_a_drop_below_a_bridge_is_named() {
    if cannot_run().is_some() {
        return;
    }
    let (hosts, dir) = (Hosts::new(), tempfile::tempdir().expect("a folder"));
    hosts.wait_for_link();
    for words in [
        "link add br0 type bridge",
        "link add port0 type veth peer name wan0 netns CLIENT",
        "link set port0 master br0",
        "link set port0 up",
        "addr add 10.8.0.1/24 dev br0",
        "link set br0 up",
    ] {
        hosts.ip(&words.replace("CLIENT", &hosts.client).split(' ').collect::<Vec<_>>());
    }
    for words in ["ip addr add 10.8.0.2/24 dev wan0", "ip link set wan0 up"] {
        assert!(hosts.on_client(&words.split(' ').collect::<Vec<_>>()).status.success(), "{words}");
    }
    let daemon = Program::aldabad_with(&hosts, dir.path(), &CONFIG.replace("srv0", "br0"), &[]);
    let scene = Scene { hosts, dir, daemon };
    let _listeners = [scene.hosts.listen(2222), scene.hosts.listen(8022)];
    let (host, client) = (Ipv4Addr::new(10, 8, 0, 1), Ipv4Addr::new(10, 8, 0, 2));
    let passes = || scene.hosts.reachable_at((host, 8022).into());
    assert!(aldaba_tests::until(Duration::from_secs(10), passes).is_some(), "nothing passes the bridge");
    scene.hosts.knock_at(client.into(), host.into(), &[7000, 8000, 9000]);
    scene.daemon.wait_for("opened door=ssh");
    let reachable = || scene.hosts.reachable_at((host, 2222).into());
    assert!(reachable());
    let rule = "priority 0; meta protocol ip tcp dport 2222 drop";
    for (family, hook) in [("bridge", "input"), ("netdev", "ingress device \"port0\"")] {
        scene.nft(&format!("table {family} low {{ chain early {{ type filter hook {hook} {rule}; }}; }}"));
        assert!(!reachable(), "opened, and of no use: {family}");
        scene.finds("order", &[&format!("over IPv4: the chain {family} low early drops it by a rule")]);
        scene.nft(&format!("delete table {family} low"));
    }
    assert!(reachable());
    let (code, said) = scene.doctor(&[]);
    assert!(code == Some(0) && !said.contains("order: "), "{said}");
}

/// Who knocked comes in, and hears nothing.
#[test]
fn r28_a_drop_of_answers_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open();
    // As hosts have it that let out what was asked for, in the words of nft and of iptables.
    scene.nft(
        "table inet filter { chain output { type filter hook output priority filter; policy drop; \
        oifname lo accept; ct state established,related accept; tcp dport 443 accept; }; }",
    );
    let iptables = |words: &str| {
        let line = format!("iptables {words}");
        scene.hosts.on_server(&line.split(' ').collect::<Vec<_>>());
    };
    iptables("-A OUTPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT");
    iptables("-A OUTPUT -p tcp -m multiport --dports 25,587 -j REJECT");
    iptables("-A OUTPUT -p tcp -m tcp --sport 2222 -j DROP");
    assert!(scene.hosts.reachable(2222));
    scene.finds_nothing();
    iptables("-D OUTPUT 1");
    assert!(!scene.hosts.reachable(2222), "opened, and of no use");
    let help = "iptables -t filter -I OUTPUT -p tcp --sport 2222 -j ACCEPT";
    scene.finds("order", &["the chain ip filter OUTPUT drops what the service answers by a rule", help]);
    // What it says helps.
    scene.hosts.on_server(&help.split(' ').collect::<Vec<_>>());
    assert!(scene.hosts.reachable(2222));
    scene.finds_nothing();
    // By who sends it, which is not known.
    scene.nft("flush chain inet filter output; add rule inet filter output meta skuid 0 accept");
    assert!(scene.hosts.reachable(2222));
    scene.doubts(
        "order",
        &["the chain inet filter output drops what the service answers by its policy, unless a rule in"],
    );
    scene.nft("delete table inet filter");
    scene.nft("table netdev dev { chain late { type filter hook egress device \"srv0\" priority 0; tcp sport 2222 drop; }; }");
    assert!(!scene.hosts.reachable(2222), "opened, and of no use");
    let help = "nft insert rule netdev dev late tcp sport 2222 accept";
    scene.finds("order", &["the chain netdev dev late drops what the service answers", help]);
    scene.nft(help.trim_start_matches("nft "));
    assert!(scene.hosts.reachable(2222));
    scene.finds_nothing();
}

/// It is met through the guard: nobody gets there without a knock.
#[test]
fn r28_a_program_in_the_place_of_the_service_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    let rule = "tcp dport 2222 tproxy to :8022";
    scene.nft(&format!(
        "table inet proxy {{ chain pre {{ type filter hook prerouting priority mangle; {rule}; }}; }}"
    ));
    assert!(!scene.hosts.reachable(2222), "not without a knock");
    let named = "a rule in inet proxy pre gives what comes there to a program that waits at another port";
    scene.doubts("around", &[named]);
}

/// What is written into a packet's header before the guard sees it leads around the guard.
#[test]
fn r28_a_port_that_is_written_anew_is_named() {
    let Some(scene) = Scene::new() else { return };
    let _listeners = [scene.hosts.listen(2222), scene.hosts.listen(8022)];
    scene.nft(
        "table ip raw { chain pre { type filter hook prerouting priority raw; tcp dport 2222 tcp dport set 8022; }; \
        chain out { type filter hook output priority raw; tcp sport 8022 tcp sport set 2222; }; }",
    );
    assert!(scene.hosts.reachable(2222), "without a knock");
    scene.finds("around", &["over IPv4: a rule in ip raw pre sends", "reached without a knock"]);
}

/// Where more would have to be known, that is said; nothing is called good or bad.
#[test]
fn r28_a_rule_that_is_not_understood_is_doubtful() {
    let Some(scene) = Scene::new() else { return };
    let _listeners = [scene.hosts.listen(2222), scene.hosts.listen(8022)];
    scene.open();
    scene.nft("table inet filter { chain input { type filter hook input priority filter; }; }");
    let rule = |rule: &str| {
        scene.nft(&format!("flush chain inet filter input; add rule inet filter input {rule}"));
        assert!(scene.hosts.reachable(2222), "{rule}");
    };
    for text in ["meta mark 7 drop", "ip ttl 1 jump { drop; }", "rt classid 7 reject"] {
        rule(&format!("tcp dport 2222 {text}"));
        scene.doubts("order", &["a rule in inet filter", "may drop it", "help: nft list chain inet filter"]);
    }
    // Of another port, of a rate, and of what is no beginning nothing need be said.
    for text in
        ["2223 meta mark 7 drop", "2222 limit rate over 1000/second drop", "2222 ct state invalid drop"]
    {
        rule(&format!("tcp dport {text}"));
        scene.finds_nothing();
    }
    scene.nft("delete table inet filter");
    let text = "meta mark 7 tcp dport 2222 redirect to :8022";
    scene.nft(&format!(
        "table ip nat {{ chain pre {{ type nat hook prerouting priority dstnat; {text}; }}; }}"
    ));
    scene.doubts(
        "around",
        &["a rule in ip nat pre asks for the port and may send", "not all of it is understood"],
    );
}

/// A table of aldaba's own that stands under another name, and one of another configuration: what is said of them helps.
#[test]
fn r28_a_table_of_an_earlier_state_is_named_with_what_takes_it_away() {
    let Some(scene) = Scene::new() else { return };
    let _listener = scene.hosts.listen(2222);
    scene.open();
    let with_table = |file: &str, table: &str| {
        let path = scene.dir.path().join(file);
        std::fs::write(&path, format!("{CONFIG}\n[firewall]\ntable = \"{table}\"\n")).expect("written");
        path.to_str().expect("plain").to_owned()
    };
    let firewall = |word: &str, config: &str| {
        let binary = binary("aldabad");
        let words = [binary.to_str().expect("plain"), "firewall", word, "--config", config];
        scene.hosts.on_server(&words);
    };
    let other = with_table("other.toml", "another");
    firewall("apply", &other);
    assert!(!scene.hosts.reachable(2222), "opened, and of no use");
    let help = "help: table inet another guards for another configuration, of which no daemon runs";
    scene
        .finds("order", &["the chain inet another guard drops it", help, "aldabad firewall remove --config"]);
    firewall("remove", &other);
    assert!(scene.hosts.reachable(2222));
    // The configuration names another table by now than the daemon keeps.
    with_table("aldaba.toml", "puerta");
    let help = "help: table inet aldaba is aldaba's own, of an earlier state of this configuration";
    scene.finds("order", &["the chain inet aldaba guard drops it", help, "aldabad reload --config"]);
    scene.daemon.signal(Signal::HUP);
    scene.daemon.wait_for("reloaded doors=1");
    assert!(scene.hosts.reachable(2222), "open as before");
    scene.finds_nothing();
}
