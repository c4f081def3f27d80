//! The native firewall against the kernel, and against what `nft` reads of it. In network namespaces of its own.

#[path = "nft/marks.rs"]
mod marks;
#[path = "nft/rulesets.rs"]
mod rulesets;
#[path = "nft/sets.rs"]
mod sets;

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use aldaba_sys::nft::{
    Asking, DoorSpec, Family, Fate, Guarding, Mark, Nft, NftError, NftWatch, Noticed, Ours, Probe, SetName,
    SpaPort, Standing, TableSpec,
};
use rustix::thread::UnshareFlags;

/// Runs the test in a network namespace of its own, on a thread that stays there.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        #[expect(deprecated, reason = "the thread is a new one and shares no namespace with anybody")]
        match rustix::thread::unshare(UnshareFlags::NEWNET) {
            Ok(()) => test(),
            Err(error) => {
                assert!(std::env::var_os("ALDABA_TESTS_MUST_RUN").is_none(), "this suite must run: {error}");
                println!("SKIPPED: no network namespace of our own: {error}");
            }
        }
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

#[expect(clippy::disallowed_methods, reason = "asks another program what it reads")]
fn nft(words: &str) -> String {
    let output = Command::new("nft").args(words.split(' ')).output().expect("nft is installed");
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("nft prints text")
}

fn spec() -> TableSpec {
    let doors = vec![
        DoorSpec::new("ssh", [(false, 22, 22)]),
        DoorSpec::new("mosh", [(true, 60_000, 61_000), (false, 22, 22)]),
    ];
    TableSpec { name: "aldaba".into(), mark: Mark::of(&[b"a test"]), doors, spa: None }
}

/// What says whose the table is.
const MARK: &str = "comment \"aldaba d4a7cc36c8535a3f\"";

const TABLE: &str = "table inet aldaba {
	set door_ssh_v4 {
		type ipv4_addr
		flags timeout
	}

	set door_ssh_v6 {
		type ipv6_addr
		flags timeout
	}

	set door_mosh_v4 {
		type ipv4_addr
		flags timeout
	}

	set door_mosh_v6 {
		type ipv6_addr
		flags timeout
	}

	chain guard {
		type filter hook input priority filter - 10; policy accept;
		iifname \"lo\" accept comment \"aldaba d4a7cc36c8535a3f\"
		ct state established,related accept
		tcp dport vmap { 22 : goto tcp_22 }
		udp dport vmap { 60000-61000 : goto udp_60000_61000 }
	}

	chain tcp_22 {
		ip saddr @door_ssh_v4 accept
		ip6 saddr @door_ssh_v6 accept
		ip saddr @door_mosh_v4 accept
		ip6 saddr @door_mosh_v6 accept
		counter drop
	}

	chain udp_60000_61000 {
		ip saddr @door_mosh_v4 accept
		ip6 saddr @door_mosh_v6 accept
		counter drop
	}
}
";

#[test]
fn the_table_reads_as_intended() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        firewall.ensure_in_place_of(&spec(), &[]).unwrap();
        assert_eq!(nft("-s list table inet aldaba"), TABLE);
        firewall.ensure_in_place_of(&spec(), &[]).unwrap();
        assert_eq!(nft("-s list ruleset"), TABLE, "twice is once");
        firewall.remove_own_table("aldaba").unwrap();
        firewall.remove_own_table("aldaba").unwrap();
        assert_eq!(nft("list ruleset"), "");
    });
}

/// Far more than a socket takes at once by itself, there and back.
#[test]
fn the_table_of_a_thousand_doors_is_made_whole() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let door =
            |port: u16| DoorSpec::new(&format!("door{port}"), [(false, port, port), (true, port, port)]);
        let mut table = TableSpec { doors: (1..=1000).map(door).collect(), ..spec() };
        firewall.ensure_in_place_of(&table, &[]).unwrap();
        assert!(firewall.own_table(&table).unwrap().unwrap().is(&table));
        let guard = || nft("list chain inet aldaba guard").matches("\n\t\t").count();
        let of_all = guard();
        table.doors.truncate(1);
        firewall.ensure_in_place_of(&table, &[]).unwrap();
        assert_eq!(guard(), of_all, "a packet meets as many rules as with one door");
        assert!(firewall.own_table(&table).unwrap().unwrap().is(&table));
    });
}

#[test]
fn a_table_made_in_steps_is_shut_from_the_first_and_the_same_after_the_last() {
    in_namespace(|| {
        let mut spec = spec();
        spec.doors.push(DoorSpec::new("web", [(false, 80, 80), (false, 8000, 8010), (true, 443, 443)]));
        spec.doors.push(DoorSpec::new("db", [(false, 5432, 5432)]).cutting(true));
        spec.doors.push(DoorSpec::new("game", [(true, 40_000, 40_009), (true, 8000, 8000)]));
        spec.spa = Some(SpaPort { port: 42_731, captured: false });
        let mut firewall = Nft::open().unwrap();
        let left = firewall.begin_own_table(&spec).unwrap();
        // The first two share a port.
        assert_eq!(left, [2, 3, 4].into());
        assert!(!firewall.own_table(&spec).unwrap().unwrap().is(&spec));
        assert_guarded(&mut firewall);
        let standing = spec.set_of("ssh", [192, 0, 2, 7].into()).unwrap();
        firewall.add_element(&standing, [192, 0, 2, 7].into(), Duration::from_secs(60)).unwrap();
        // Nothing leads to what has been added until that is said.
        firewall.add_doors(&spec, &[4], None).unwrap();
        assert_eq!(let_in(&mut firewall, &spec), ["ssh"]);
        assert_guarded(&mut firewall);
        firewall.add_doors(&spec, &[3], Some(&[2].into())).unwrap();
        assert_eq!(let_in(&mut firewall, &spec), ["ssh", "db", "game"]);
        assert_guarded(&mut firewall);
        firewall.add_doors(&spec, &[2], Some(&[].into())).unwrap();
        assert_eq!(let_in(&mut firewall, &spec), ["ssh", "web", "db", "game"]);
        assert!(firewall.own_table(&spec).unwrap().unwrap().is(&spec), "{}", nft("list ruleset"));
        assert_eq!(firewall.members(&standing).unwrap(), [[192, 0, 2, 7].into()].into());
        // Where somebody has taken the table away meanwhile, what is left cannot be added.
        firewall.remove_own_table(&spec.name).unwrap();
        assert!(matches!(firewall.add_doors(&spec, &[2], None), Err(NftError::Missing)));
    });
}

/// A stranger gets to no port of these doors, and to the one beside them.
fn assert_guarded(firewall: &mut Nft) {
    let ruleset = firewall.ruleset().expect("a ruleset");
    let fate =
        |(udp, port)| ruleset.judge(Probe { ipv6: false, udp, port, place: None }, "none of ours").fate;
    for guarded in [(false, 22), (false, 80), (false, 8005), (true, 443), (false, 5432), (true, 40_003)] {
        assert_eq!(fate(guarded), Fate::Dropped, "{guarded:?} in {}", nft("list ruleset"));
    }
    assert_eq!(fate((false, 8011)), Fate::Accepted);
}

/// Which of these doors let a client in who is in their set.
fn let_in(firewall: &mut Nft, spec: &TableSpec) -> Vec<&'static str> {
    let ruleset = firewall.ruleset().expect("a ruleset");
    let doors = [("ssh", false, 22), ("web", true, 443), ("db", false, 5432), ("game", true, 40_003)];
    let is_let_in = |(door, udp, port): &(&str, bool, u16)| {
        let set = &spec.set_of(door, [192, 0, 2, 7].into()).expect("a door");
        let probe = Probe { ipv6: false, udp: *udp, port: *port, place: None };
        ruleset.judge_of(probe, Standing { set, inside: true }).fate == Fate::Accepted
    };
    doors.into_iter().filter(is_let_in).map(|(door, ..)| door).collect()
}

#[test]
fn doors_that_cut_connections_come_before_those_that_keep_them() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let mut table = spec();
        table.doors[1] = DoorSpec::new("mosh", [(true, 60_000, 61_000), (false, 23, 23)]).cutting(true);
        firewall.ensure_in_place_of(&table, &[]).unwrap();
        let expected = "
		udp dport 32768-65535 ct state established,related ct direction reply accept
		tcp dport vmap { 23 : goto cut_tcp_23 }
		udp dport vmap { 60000-61000 : goto cut_udp_60000_61000 }
		ct state established,related accept
		tcp dport vmap { 22 : goto tcp_22 }
";
        let text = nft("-s list chain inet aldaba guard");
        assert!(text.contains(expected), "{text}");
        assert!(firewall.own_table(&table).unwrap().unwrap().is(&table));
    });
}

fn with_silence() -> TableSpec {
    TableSpec { spa: Some(SpaPort { port: 42_731, captured: false }), ..spec() }
}

#[test]
fn whatever_others_do_to_the_table_is_seen() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let table = with_silence();
        assert!(firewall.own_table(&table).unwrap().is_none());
        firewall.ensure_in_place_of(&table, &[]).unwrap();
        let first = firewall.own_table(&table).unwrap().unwrap();
        assert!(first.is(&table) && !first.is(&spec()), "it is what was made");
        for done in [
            "flush chain inet aldaba guard",
            "flush chain inet aldaba silence",
            "insert rule inet aldaba guard tcp dport 22 accept",
            "add rule inet aldaba guard tcp dport 22 accept",
            "flush chain inet aldaba tcp_22",
            "insert rule inet aldaba tcp_22 accept",
            "add chain inet aldaba tcp_23",
            "flush table inet aldaba",
            "add table inet aldaba { flags dormant; }",
            "add chain inet aldaba guard { policy drop ; }",
            "add set inet aldaba door_more { type ipv4_addr; }",
            "delete chain inet aldaba silence",
        ] {
            nft(done.trim());
            assert!(!firewall.own_table(&table).unwrap().unwrap().is(&table), "{done}");
            firewall.ensure_in_place_of(&table, &[]).unwrap();
            let now = firewall.own_table(&table).unwrap().unwrap();
            assert!(now.is(&table) && now.id() == first.id(), "{done}");
        }
        let text = nft("list table inet aldaba");
        nft("delete table inet aldaba");
        load(&text);

        let copy = firewall.own_table(&table).unwrap().unwrap();
        assert!(copy.id() != first.id(), "a copy is another table");
        nft("delete table inet aldaba");
        load(
            "table inet aldaba { chain guard { type filter hook prerouting priority 0; }; set door_ssh_v4 { type ipv6_addr; }; }",
        );
        assert!(
            firewall.ensure_in_place_of(&table, &[]).is_err(),
            "these cannot be changed into what they should be"
        );
        firewall.rebuild_own_table(&table).unwrap();
        assert!(firewall.own_table(&table).unwrap().unwrap().is(&table));
    });
}

/// Loads a ruleset's text.
#[expect(clippy::disallowed_methods, reason = "another program changes the ruleset")]
fn load(text: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ruleset");
    std::fs::write(&path, text).expect("written");
    assert!(Command::new("nft").arg("-f").arg(&path).status().expect("nft is installed").success(), "{text}");
}

#[test]
fn only_what_others_do_to_ours_is_noticed_and_who_it_was() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let mut watch = NftWatch::open().unwrap();
        let set = SetName { family: Family::Ip, table: "filter".into(), set: "good".into() };
        let ours = Ours { port: firewall.port().unwrap(), table: "aldaba".into(), sets: vec![set.clone()] };
        let mut noticed = |what: &str| {
            if !what.is_empty() {
                nft(what);
            }
            watch.poll(&ours).unwrap()
        };
        firewall.ensure_in_place_of(&spec(), &[]).unwrap();
        assert_eq!(noticed(""), Noticed::default(), "our own change is no news");
        for foreign in [
            "add table ip nat",
            "add chain ip nat one",
            "add table ip filter",
            "add set ip filter other { type ipv4_addr; }",
        ] {
            let seen = noticed(foreign);
            assert_eq!(seen.ours, foreign == "add table ip filter", "{foreign}");
        }
        for ours in [
            "add set ip filter good { type ipv4_addr; flags timeout; }",
            "add element ip filter good { 192.0.2.1 timeout 5s }",
            "flush set ip filter good",
            "insert rule inet aldaba guard accept",
            "flush chain inet aldaba guard",
        ] {
            let seen = noticed(ours);
            assert!(seen.ours && seen.tables_gone == 0, "{ours}");
            assert_eq!(seen.by.map(|by| by.name).as_deref(), Some("nft"), "{ours}");
        }
        assert!(!noticed("add element ip filter other { 192.0.2.1 }").ours);
        assert!(!noticed("add chain ip filter input").ours);
        let seen = noticed("flush ruleset");
        assert!(seen.ours && seen.tables_gone == 3, "{seen:?}");
        assert!(firewall.own_table(&spec()).unwrap().is_none());
    });
}

/// The table without doors; INPUT stands for what is not let in.
const SILENT: &str = "table inet aldaba {
	chain guard {
		type filter hook input priority filter - 10; policy accept;
INPUT		iifname \"lo\" accept
		ct state established,related accept
	}

	chain silence {
		type filter hook output priority filter - 10; policy accept;
		icmp type 3-12 @th,136,8 0x11 @th,240,16 0xa6eb counter drop
		icmpv6 type 1-4 @th,112,8 0x11 @th,400,16 0xa6eb counter drop
		icmpv6 type 1-4 @th,112,8 0x2c @th,384,8 0x11 @th,464,16 0xa6eb counter drop
	}
}
";

#[test]
fn the_port_of_datagrams_is_kept_silent_and_let_go() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let captured = "\t\tudp dport 42731 counter drop MARK\n";
        let listened = "\t\tip hdrlength != 5 udp dport 42731 counter drop MARK\n\
                        \t\tip6 nexthdr != udp udp dport 42731 counter drop\n";
        for (is_captured, input) in [(true, captured), (false, listened)] {
            let spa = Some(SpaPort { port: 42_731, captured: is_captured });
            firewall.ensure_in_place_of(&TableSpec { doors: Vec::new(), spa, ..spec() }, &[]).unwrap();
            assert_eq!(nft("-s list ruleset"), SILENT.replace("INPUT", &input.replace("MARK", MARK)));
        }
        firewall.ensure_in_place_of(&spec(), &[]).unwrap();
        assert_eq!(nft("-s list ruleset"), TABLE);
    });
}

#[test]
fn elements_stay_while_doors_come_and_go() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let mut table = spec();
        firewall.ensure_in_place_of(&table, &[]).unwrap();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let set = table.set_of("ssh", address).unwrap();
        firewall.add_element(&set, address, Duration::from_secs(60)).unwrap();
        table.doors.remove(1);
        table.doors.push(DoorSpec::new("web", [(false, 443, 443)]));
        firewall.ensure_in_place_of(&table, &[]).unwrap();
        let text = nft("list table inet aldaba");
        assert!(text.contains("192.0.2.7 timeout 1m expires"), "{text}");
        assert!(text.contains("door_web_v4") && text.contains("chain tcp_443"), "{text}");
        assert!(!text.contains("mosh") && !text.contains("60000"), "{text}");
    });
}

#[test]
fn an_element_is_renewed_and_ends_by_itself() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        firewall.ensure_in_place_of(&spec(), &[]).unwrap();
        for address in ["192.0.2.7", "2001:db8::7"] {
            let address: IpAddr = address.parse().unwrap();
            let set = spec().set_of("ssh", address).unwrap();
            let shown = format!("{address} timeout");
            let listed = || nft(&format!("list set inet aldaba {}", set.set)).contains(&shown);
            firewall.add_element(&set, address, Duration::from_secs(600)).unwrap();
            firewall.add_element(&set, address, Duration::from_secs(30)).unwrap();
            assert!(nft(&format!("list set inet aldaba {}", set.set)).contains("timeout 30s"));
            firewall.delete_element(&set, address).unwrap();
            firewall.delete_element(&set, address).unwrap();
            assert!(!listed());
            firewall.add_element(&set, address, Duration::from_millis(300)).unwrap();
            assert!(listed());
            let ended = (0..100).any(|_| {
                aldaba_sys::clock::rest(Duration::from_millis(20));
                !listed()
            });
            assert!(ended, "the kernel ends it");
        }
    });
}

#[test]
fn many_changes_are_one_transaction_whole_or_not_at_all() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        firewall.ensure_in_place_of(&spec(), &[]).unwrap();
        let most = u16::try_from(Nft::MOST_TOGETHER).unwrap();
        let address = |number: u16| -> IpAddr { [0x2001, 0xdb8, 0, 0, 0, 0, 0, number].into() };
        let set = spec().set_of("ssh", address(0)).unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let all: Vec<_> = (0..most).map(|number| (address(number), seconds(600))).collect();
        assert!(
            firewall.change_together(&set, &all).unwrap() && firewall.change_together(&set, &[]).unwrap()
        );
        assert_eq!(firewall.members(&set).unwrap().len(), Nft::MOST_TOGETHER);
        // New times for some; others out, one of which is not there.
        let (half, time) = (most / 2, seconds(30));
        let mixed: Vec<_> =
            (1..=most).map(|number| (address(number), time.filter(|_| number <= half))).collect();
        assert!(firewall.change_together(&set, &mixed).unwrap());
        assert_eq!(firewall.members(&set).unwrap().len(), usize::from(half) + 1);
        let shown = nft("list set inet aldaba door_ssh_v6");
        assert!(
            shown.contains("2001:db8::1 timeout 30s") && shown.contains("2001:db8:: timeout 10m"),
            "{shown}"
        );
        // What others have put there without an end stays, and with it all the rest.
        nft("add element inet aldaba door_ssh_v6 { 2001:db8::ffff }");
        for timeout in [None, seconds(1)] {
            let changes = [(address(1), None), (address(0xffff), timeout)];
            assert!(!firewall.change_together(&set, &changes).unwrap());
        }
        assert_eq!(firewall.members(&set).unwrap().len(), usize::from(half) + 2);
        let missing = SetName { set: "none".into(), ..set.clone() };
        assert!(matches!(firewall.change_together(&missing, &all), Err(NftError::Missing)));
        let ranges = SetName { family: Family::Ip, table: "filter".into(), set: "ranges".into() };
        nft("add table ip filter");
        nft("add set ip filter ranges { type ipv4_addr; flags interval, timeout; }");
        assert!(!firewall.change_together(&ranges, &[([192, 0, 2, 1].into(), time)]).unwrap());
    });
}

/// More notices than the socket has room for: some are lost, and nobody knows what they told of.
#[test]
fn r7_lost_notices_count_as_ours() {
    in_namespace(|| {
        let mut watch = NftWatch::open().unwrap();
        let ours = Ours { table: "aldaba".into(), ..Ours::default() };
        let burst = |elements: u32| {
            let elements: Vec<String> = (0..elements)
                .map(|number| std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string())
                .collect();
            load(&format!(
                "add table inet other\nadd set inet other them {{ type ipv4_addr; }}\n\
                 flush set inet other them\nadd element inet other them {{ {} }}\n",
                elements.join(", ")
            ));
        };
        burst(10);
        assert!(!watch.poll(&ours).unwrap().ours, "it concerns somebody else");
        burst(20_000);
        assert!(watch.poll(&ours).unwrap().ours);
        nft("add table inet another");
        assert!(!watch.poll(&ours).unwrap().ours, "it hears again");
        nft("add table inet aldaba");
        assert!(watch.poll(&ours).unwrap().ours);
    });
}

/// What becomes of a stranger's packet, and which chain says so.
fn judged(ipv6: bool, udp: bool, port: u16) -> (Fate, String, bool) {
    let ruleset = Nft::open().and_then(|mut nft| nft.ruleset()).expect("the ruleset");
    let judgement = ruleset.judge(Probe { ipv6, udp, port, place: None }, "aldaba");
    let chain = judgement.chain.map_or_else(|| "-".to_owned(), |chain| chain.to_string());
    (judgement.fate, chain, judgement.by_policy)
}

fn in_chain(rule: &str) {
    nft(&format!("add rule inet filter input {rule}"));
}

#[test]
fn rulesets_as_people_have_them_are_judged() {
    in_namespace(|| {
        assert_eq!(judged(false, false, 22), (Fate::Accepted, "-".to_owned(), false), "no firewall");
        Nft::open().unwrap().ensure_in_place_of(&spec(), &[]).unwrap();
        assert_eq!(
            judged(false, false, 22),
            (Fate::Accepted, "-".to_owned(), false),
            "our own does not count"
        );
        nft("add table inet filter");
        nft("add chain inet filter input { type filter hook input priority 0 ; policy drop ; }");
        let input = "inet filter input".to_owned();
        assert_eq!(judged(false, false, 22), (Fate::Dropped, input.clone(), true));
        in_chain("ct state vmap { established : accept, related : accept, invalid : drop }");
        in_chain("iifname lo accept");
        in_chain("ip saddr 192.0.2.7 tcp dport 22 accept");
        in_chain("ip6 nexthdr icmpv6 accept");
        assert_eq!(judged(false, false, 22), (Fate::Dropped, input.clone(), true), "not for strangers");
        in_chain("tcp dport { 80, 443, 8000-8100 } accept");
        for (port, fate) in
            [(80, Fate::Accepted), (8050, Fate::Accepted), (8100, Fate::Accepted), (8101, Fate::Dropped)]
        {
            assert_eq!(judged(true, false, port).0, fate, "{port}");
        }
        nft("add chain inet filter services");
        nft("add rule inet filter services udp dport 53 accept");
        nft("add rule inet filter services ct state new tcp dport 22 counter accept");
        in_chain("jump services");
        assert_eq!(judged(true, false, 22), (Fate::Accepted, input.clone(), false));
        assert_eq!(judged(true, true, 53).0, Fate::Accepted);
        in_chain("meta nfproto ipv4 reject with icmp port-unreachable");
        assert_eq!(judged(false, true, 40_000), (Fate::Rejected, input.clone(), false));
        assert_eq!(judged(true, true, 40_000), (Fate::Dropped, input, true));
        nft("add table ip early");
        nft("add chain ip early pre { type filter hook prerouting priority -300 ; }");
        nft("add rule ip early pre tcp dport != 80 drop");
        assert_eq!(judged(false, false, 22), (Fate::Dropped, "ip early pre".to_owned(), false));
        assert_eq!(judged(true, false, 22).0, Fate::Accepted);
    });
}

/// What becomes of somebody in the set `filter knocked`, and of all others.
fn judged_by_set(port: u16) -> (Fate, Fate) {
    let ruleset = Nft::open().and_then(|mut nft| nft.ruleset()).expect("the ruleset");
    let set = SetName { family: Family::Inet, table: "filter".to_owned(), set: "knocked".to_owned() };
    let probe = Probe { ipv6: false, udp: false, port, place: None };
    let of = |inside| ruleset.judge_of(probe, Standing { set: &set, inside }).fate;
    (of(true), of(false))
}

#[test]
fn rules_that_ask_for_a_set_are_found_and_followed() {
    in_namespace(|| {
        let set = SetName { family: Family::Inet, table: "filter".to_owned(), set: "knocked".to_owned() };
        let asking = || {
            let found = Nft::open().and_then(|mut nft| nft.ruleset()).expect("the ruleset").asking(&set);
            found
                .into_iter()
                .map(|Asking { chain, ports, udp }| (chain.chain, ports, udp))
                .collect::<Vec<_>>()
        };
        nft("add table inet filter");
        nft("add set inet filter knocked { type ipv4_addr; flags timeout; }");
        nft("add chain inet filter input { type filter hook input priority 0 ; policy accept ; }");
        assert_eq!(asking(), []);
        in_chain("ip saddr @knocked tcp dport 22 accept");
        in_chain("tcp dport 22 drop");
        let input = || "input".to_owned();
        assert_eq!(asking(), [(input(), vec![22], false)]);
        assert_eq!(judged_by_set(22), (Fate::Accepted, Fate::Dropped));
        assert_eq!(judged_by_set(23), (Fate::Accepted, Fate::Accepted));
        // Turned round, in another order, and several ports.
        in_chain("tcp dport 23 ip saddr != @knocked drop");
        assert_eq!(judged_by_set(23), (Fate::Accepted, Fate::Dropped));
        in_chain("udp dport { 53, 60000-60010 } ip saddr @knocked accept");
        in_chain("ip saddr @knocked accept");
        let mut found = asking();
        found.sort();
        let ports = vec![(input(), vec![], false), (input(), vec![22], false), (input(), vec![23], false)];
        assert_eq!(found, [ports, vec![(input(), vec![53, 60_000], true)]].concat());
        // Behind the drop it is of no use.
        nft("flush chain inet filter input");
        in_chain("tcp dport 22 drop");
        in_chain("ip saddr @knocked tcp dport 22 accept");
        assert_eq!(judged_by_set(22), (Fate::Dropped, Fate::Dropped));
    });
}

#[test]
fn a_rule_that_could_reject_is_remembered() {
    in_namespace(|| {
        nft("add table ip filter");
        nft("add chain ip filter INPUT { type filter hook input priority 0 ; policy drop ; }");
        nft("add rule ip filter INPUT meta mark 7 reject");
        let ruleset = Nft::open().unwrap().ruleset().unwrap();
        let judgement = ruleset.judge(Probe { ipv6: false, udp: true, port: 4, place: None }, "aldaba");
        assert_eq!(judgement.fate, Fate::Dropped);
        let chain = judgement.may_reject.unwrap();
        assert_eq!((chain.to_string().as_str(), chain.is_of_iptables()), ("ip filter INPUT", true));
        let probe = Probe { ipv6: false, udp: true, port: 4, place: None };
        let behind = ruleset.judge_before(probe, "aldaba");
        assert_eq!((behind.fate, behind.may_reject), (Fate::Accepted, None), "our own table comes before it");
        nft("add rule ip filter INPUT limit rate 5/second reject");
        let rejected = Nft::open().unwrap().ruleset().unwrap().judge(probe, "aldaba");
        assert_eq!(rejected.fate, Fate::Rejected, "the first one is");
        nft("add table ip early");
        nft("add chain ip early pre { type filter hook prerouting priority 0 ; }");
        nft("add rule ip early pre udp dport 4 reject");
        let ruleset = Nft::open().unwrap().ruleset().unwrap();
        let before = ruleset.judge_before(probe, "aldaba");
        assert_eq!(before.fate, Fate::Rejected);
        assert_eq!(before.chain.unwrap().to_string(), "ip early pre");
    });
}
