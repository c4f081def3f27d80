//! Rulesets as hosts have them, in the words of the programs that write them: what they do with a stranger's packet is known for sure,
//! so that nothing is said of them which is not so.

use std::net::Ipv4Addr;

use aldaba_sys::nft::{Course, Place, Ruleset};

use super::*;

/// Loads a file of `tests/rulesets`.
#[expect(clippy::disallowed_methods, reason = "other programs make the ruleset")]
fn take(file: &str) -> Ruleset {
    let path = format!("{}/tests/rulesets/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut command = if file.ends_with(".iptables") {
        Command::new("iptables-restore")
    } else {
        let mut nft = Command::new("nft");
        nft.arg("-f");
        nft
    };
    let output = command.arg(&path).output().expect("it is installed");
    assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
    Nft::open().and_then(|mut nft| nft.ruleset()).expect("the ruleset")
}

fn place(interface: &str) -> Place {
    Place {
        interface: interface.into(),
        index: 2,
        below: Vec::new(),
        is_bridge: false,
        address: Ipv4Addr::new(192, 0, 2, 10).into(),
    }
}

fn fate(ruleset: &Ruleset, place: &Place, port: u16) -> (Fate, Option<bool>) {
    let judgement = ruleset.judge(Probe { ipv6: false, udp: false, port, place: Some(place) }, "aldaba");
    (judgement.fate, judgement.doubt.map(|doubt| doubt.by_source))
}

fn course(ruleset: &Ruleset, place: &Place, port: u16) -> Option<Course> {
    let probe = Probe { ipv6: false, udp: false, port, place: Some(place) };
    ruleset.diverted(probe).map(|diversion| diversion.course)
}

/// What becomes of each port at `eth0`, which lead elsewhere, and that all answers come out. Nothing of it is in doubt.
fn check(file: &'static str, fates: &'static [(u16, Fate)], elsewhere: &'static [u16]) {
    in_namespace(move || {
        let (ruleset, place) = (take(file), place("eth0"));
        for (port, expected) in fates {
            assert_eq!(fate(&ruleset, &place, *port), (*expected, None), "{file}: {port}");
            let course = course(&ruleset, &place, *port);
            assert_eq!(course, elsewhere.contains(port).then_some(Course::Away), "{file}: {port}");
            let probe = Probe { ipv6: false, udp: false, port: *port, place: Some(&place) };
            let answer = ruleset.judge_answer(probe, None);
            assert_eq!((answer.fate, answer.doubt), (Fate::Accepted, None), "{file}: {port}");
        }
    });
}

#[test]
fn hosts_with_ufw_are_judged_without_a_doubt() {
    use Fate::{Accepted, Dropped};
    let fates = &[
        (22, Accepted),
        (443, Accepted),
        (8050, Accepted),
        (8101, Dropped),
        (2222, Accepted),
        (23, Dropped),
    ];
    check("ufw.iptables", fates, &[]);
    in_namespace(|| {
        let found = fate(&take("ufw.iptables"), &place("eth0"), 5432);
        assert_eq!(found, (Dropped, Some(true)), "single sources come in");
    });
}

#[test]
fn hosts_with_firewalld_are_judged_by_the_zone_of_the_interface() {
    use Fate::{Accepted, Rejected};
    check("firewalld.nft", &[(22, Accepted), (2222, Accepted), (8080, Rejected), (23, Rejected)], &[8080]);
    in_namespace(|| {
        let ruleset = take("firewalld.nft");
        assert_eq!(fate(&ruleset, &place("eth0"), 5432), (Rejected, Some(true)));
        assert_eq!(fate(&ruleset, &place("docker0"), 23), (Accepted, None), "the zone of containers");
        assert_eq!(fate(&ruleset, &place("eth1"), 22), (Fate::Dropped, None), "in no zone");
        assert_eq!(fate(&ruleset, &place("eth1"), 9999), (Fate::Dropped, Some(true)), "a zone of sources");
        assert_eq!(course(&ruleset, &place("docker0"), 8080), None);
    });
}

#[test]
fn hosts_with_containers_lead_published_ports_elsewhere_and_no_other() {
    use Fate::Accepted;
    // Published for all, for the loopback address, and for an address that is not this one.
    let ports: &[(u16, Fate)] = &[(8080, Accepted), (9090, Accepted), (7070, Accepted), (22, Accepted)];
    for file in ["docker.iptables", "docker.nft", "netavark.nft"] {
        check(file, ports, &[8080]);
    }
}

#[test]
fn hosts_of_a_cluster_lead_ports_of_nodes_elsewhere_and_those_of_services_not() {
    use Fate::{Accepted, Rejected};
    let fates = &[(22, Accepted), (80, Accepted), (443, Accepted), (30_077, Rejected), (30_080, Accepted)];
    check("kube-proxy.iptables", fates, &[30_080]);
    let fates = &[
        (22, Accepted),
        (80, Accepted),
        (443, Accepted),
        (30_077, Rejected),
        (30_080, Accepted),
        (30_022, Accepted),
    ];
    check("kube-proxy.nft", fates, &[30_080, 30_022]);
}

#[test]
fn what_is_written_by_hand_with_limits_and_lists_is_judged_without_a_doubt() {
    use Fate::{Accepted, Dropped, Rejected};
    let fates = &[
        (22, Accepted),
        (2222, Accepted),
        (443, Accepted),
        (25, Accepted),
        (8100, Accepted),
        (8101, Rejected),
    ];
    check("by-hand.nft", fates, &[]);
    check("by-hand.iptables", &[(22, Accepted), (25, Accepted), (443, Accepted), (23, Dropped)], &[]);
    in_namespace(|| {
        let found = fate(&take("by-hand.iptables"), &place("eth0"), 2222);
        assert_eq!(found, (Dropped, Some(true)), "single sources come in");
    });
}
