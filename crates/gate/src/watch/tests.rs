mod cost;

use std::collections::HashSet;

use aldaba_knock::{FlagFilter, Mode, Step};
use aldaba_packet::Link;
use aldaba_packet::build::{self, flag};

use super::*;
use crate::{DoorRule, Knock, Needs};

const HOST: [u8; 4] = [10, 0, 0, 1];
const ALICE: [u8; 4] = [10, 0, 0, 2];

#[derive(Debug, Default)]
struct Heard {
    stages: Vec<(u32, u8)>,
    expired: Vec<(u32, u8)>,
    grants: Vec<Grant>,
}

impl Events for Heard {
    fn wants_stages(&self) -> bool {
        true
    }
    fn stage(&mut self, _: IpAddr, door: DoorId, _: u8, stage: u8) {
        self.stages.push((door.0, stage));
    }
    fn expired(&mut self, _: IpAddr, door: DoorId, _: u8, stage: u8) {
        self.expired.push((door.0, stage));
    }
    fn grant(&mut self, grant: Grant) {
        self.grants.push(grant);
    }
}

fn knock(sequence: &str) -> Knock {
    Knock {
        action: KnockAction::Open,
        source: SequenceSource::Fixed(sequence.parse().unwrap()),
        flags: FlagFilter::INITIAL_SYN,
        timeout: Duration::from_secs(5),
        mode: Mode::Compatible,
        cooldown: Duration::ZERO,
    }
}

fn door(knocks: Vec<Knock>) -> DoorRule {
    DoorRule {
        name: "door".into(),
        interfaces: Vec::new(),
        target: None,
        knocks,
        spa: None,
        for_gateway: false,
    }
}

fn rules(doors: Vec<DoorRule>) -> Rules {
    Rules { doors, ignore: Vec::new(), attempts: 64, ipv6: true, spa_port: None }
}

struct Scene {
    gate: Gate,
    heard: Heard,
    now: Duration,
    source: IpAddr,
    index: u32,
}

impl Scene {
    fn new(rules: &Rules) -> Self {
        let mut gate = Gate::new(rules, [7; 16]).unwrap();
        let addresses = HashSet::from([IpAddr::from(HOST), "fd00::1".parse().unwrap()]);
        gate.set_interface(2, Interface { name: "eth0".into(), loopback: false, addresses });
        let heard = Heard::default();
        Self { gate, heard, now: Duration::from_secs(100), source: ALICE.into(), index: 2 }
    }

    fn send(&mut self, frame: &build::Frame) -> Verdict {
        self.now += Duration::from_millis(10);
        let link = Link::Network { ethertype: frame.ethertype() };
        let bytes = frame.bytes(link);
        self.gate.frame(self.now, self.index, &Frame::whole(link, &bytes), &mut self.heard)
    }

    fn syn(&mut self, port: u16) -> Verdict {
        let sport = u16::try_from(self.now.as_millis() % 20_000).unwrap() + 40_000;
        let host: IpAddr = if self.source.is_ipv4() { HOST.into() } else { "fd00::1".parse().unwrap() };
        self.send(&build::Frame::tcp(self.source, sport, host, port))
    }

    fn opened(&self) -> usize {
        self.heard.grants.len()
    }
}

#[test]
fn a_sequence_becomes_a_grant() {
    let mut scene = Scene::new(&rules(vec![door(vec![knock("7000")]), door(vec![knock("8000,9000")])]));
    scene.syn(8000);
    scene.syn(9000);
    let wanted =
        Grant { door: DoorId(1), by: By::Sequence(0), action: KnockAction::Open, source: ALICE.into() };
    assert_eq!(scene.heard.grants, [wanted]);
    assert_eq!(scene.heard.stages, [(1, 1), (1, 2)]);
    assert_eq!(scene.gate.counters().completed, 1);
}

#[test]
fn a_second_sequence_closes() {
    let close = Knock { action: KnockAction::Close, ..knock("9000,8000") };
    let mut scene = Scene::new(&rules(vec![door(vec![knock("8000,9000"), close])]));
    scene.syn(9000);
    scene.syn(8000);
    assert_eq!(scene.heard.grants[0].action, KnockAction::Close);
    assert_eq!(scene.heard.grants[0].by, By::Sequence(1));
}

#[test]
fn both_families_knock_unless_ipv6_is_off() {
    let mut rules = rules(vec![door(vec![knock("7000")])]);
    let mut scene = Scene::new(&rules);
    scene.source = "fd00::2".parse().unwrap();
    scene.syn(7000);
    assert_eq!(scene.opened(), 1);
    rules.ipv6 = false;
    let mut scene = Scene::new(&rules);
    scene.source = "fd00::2".parse().unwrap();
    assert_eq!(scene.syn(7000), Verdict::Dropped(Dropped::Ipv6Off));
}

#[test]
fn what_concerns_nobody_here_is_dropped_with_a_reason() {
    let mut scene = Scene::new(&rules(vec![door(vec![knock("7000")])]));
    let to = |host: [u8; 4]| build::Frame::tcp(ALICE, 40_000, host, 7000);
    assert_eq!(scene.send(&to([10, 0, 0, 9])), Verdict::Dropped(Dropped::NotForUs));
    for impossible in [[0, 0, 0, 0], [127, 0, 0, 1], [255, 255, 255, 255]] {
        let frame = build::Frame::tcp(impossible, 40_000, HOST, 7000);
        let verdict = scene.send(&frame);
        assert!(
            matches!(verdict, Verdict::Dropped(Dropped::ImpossibleSource) | Verdict::Refused(_)),
            "{verdict:?}"
        );
    }
    scene.index = 3;
    assert_eq!(scene.syn(7000), Verdict::Dropped(Dropped::UnknownInterface));
    assert_eq!(scene.opened(), 0);
    let counters = scene.gate.counters();
    assert_eq!(counters.dropped_by[Dropped::NotForUs.index()], 1);
    assert_eq!(counters.dropped_by[Dropped::UnknownInterface.index()], 1);
    assert_eq!(counters.dropped_by.iter().sum::<u64>(), counters.dropped);
    assert_eq!(counters.refused_by.iter().sum::<u64>(), counters.refused);
}

#[test]
fn loopback_sources_are_believed_on_loopback() {
    let mut scene = Scene::new(&rules(vec![door(vec![knock("7000")])]));
    let addresses = HashSet::from([IpAddr::from([127, 0, 0, 1])]);
    scene.gate.set_interface(1, Interface { name: "lo".into(), loopback: true, addresses });
    scene.index = 1;
    scene.send(&build::Frame::tcp([127, 0, 0, 1], 40_000, [127, 0, 0, 1], 7000));
    assert_eq!(scene.opened(), 1);
}

#[test]
fn a_target_stands_in_for_the_hosts_addresses() {
    let target = IpAddr::from([192, 0, 2, 9]);
    let with_target = DoorRule { target: Some(target), ..door(vec![knock("7000")]) };
    let mut scene = Scene::new(&rules(vec![with_target, door(vec![knock("7100")])]));
    scene.syn(7000);
    assert_eq!(scene.opened(), 0, "our own address is not the target");
    scene.send(&build::Frame::tcp(ALICE, 40_000, target, 7100));
    assert_eq!(scene.opened(), 0, "the target is not our address");
    scene.send(&build::Frame::tcp(ALICE, 40_001, target, 7000));
    assert_eq!(scene.opened(), 1);
}

#[test]
fn a_door_listens_on_its_interfaces_only() {
    let inside = DoorRule { interfaces: vec!["wg0".into()], ..door(vec![knock("7000")]) };
    let mut scene = Scene::new(&rules(vec![inside]));
    scene.syn(7000);
    assert_eq!(scene.opened(), 0);
    let addresses = HashSet::from([IpAddr::from(HOST)]);
    scene.gate.set_interface(9, Interface { name: "wg0".into(), loopback: false, addresses });
    scene.index = 9;
    scene.syn(7000);
    assert_eq!(scene.opened(), 1);
}

#[test]
fn a_device_of_two_names_is_heard_by_both() {
    let named = |name: &str| DoorRule { interfaces: vec![name.into()], ..door(vec![knock("7000")]) };
    let both = DoorRule { interfaces: vec!["eth0:1".into(), "eth0:2".into()], ..door(vec![knock("7100")]) };
    let [one, two] = [[192, 0, 2, 31], [192, 0, 2, 32]].map(IpAddr::from);
    let target = DoorRule { target: Some(two), ..door(vec![knock("7000")]) };
    let mut scene = Scene::new(&rules(vec![named("eth0:1"), named("eth0:2"), both, target]));
    let name = |name: &str, addresses: &[IpAddr]| {
        let addresses = addresses.iter().copied().collect();
        Interface { name: name.into(), loopback: false, addresses }
    };
    let mut number = 40_000;
    let mut knock_at = |names: Vec<Interface>, at: IpAddr, port| {
        number += 1;
        scene.gate.set_interface_of_names(2, names);
        let before = scene.opened();
        scene.send(&build::Frame::tcp(ALICE, number, at, port));
        scene.opened() - before
    };
    let apart = || vec![name("eth0:1", &[one]), name("eth0:2", &[two])];
    assert_eq!(knock_at(apart(), one, 7000), 1, "the first label's door");
    assert_eq!(knock_at(apart(), two, 7000), 2, "the second's, and the one with that target");
    assert_eq!((knock_at(apart(), one, 7100), knock_at(apart(), two, 7100)), (1, 1));
    assert_eq!(knock_at(apart(), HOST.into(), 7000), 0, "of neither name");
    let over = || vec![name("eth0:1", &[one, two]), name("eth0:2", &[two])];
    assert_eq!(knock_at(over(), two, 7100), 1, "shown once, by whichever name");
}

#[test]
fn a_one_time_sequence_is_deaf_until_the_next_one_comes() {
    let once = Knock { source: SequenceSource::OneTime(Some("7000".parse().unwrap())), ..knock("1") };
    let mut scene = Scene::new(&rules(vec![door(vec![once])]));
    scene.syn(7000);
    scene.syn(7000);
    assert_eq!(scene.opened(), 1, "used up");
    scene.gate.replace(scene.now, DoorId(0), 0, Some("7100".parse().unwrap()));
    scene.syn(7000);
    scene.syn(7100);
    assert_eq!(scene.opened(), 2);
}

#[test]
fn a_fixed_sequence_cannot_be_replaced() {
    let mut scene = Scene::new(&rules(vec![door(vec![knock("7000")])]));
    scene.gate.replace(scene.now, DoorId(0), 0, None);
    scene.syn(7000);
    assert_eq!(scene.opened(), 1);
}

#[test]
fn a_retransmitted_syn_is_one_hit_and_bare_acks_are_several() {
    let mut scene = Scene::new(&rules(vec![door(vec![Knock { flags: FlagFilter::ANY, ..knock("22") }])]));
    let syn = build::Frame::tcp(ALICE, 40_000, HOST, 22).sequence(5);
    scene.send(&syn);
    scene.send(&syn);
    assert_eq!(scene.opened(), 1);
    let ack = build::Frame::tcp(ALICE, 40_000, HOST, 22).sequence(6).flags(flag::ACK);
    scene.send(&ack);
    scene.send(&ack);
    assert_eq!(scene.opened(), 3);
}

#[test]
fn new_rules_keep_attempts_at_doors_that_stay() {
    let stays = door(vec![knock("7000,8000")]);
    let mut scene = Scene::new(&rules(vec![stays.clone()]));
    scene.syn(7000);
    let new = rules(vec![door(vec![knock("5000")]), stays]);
    scene.gate.reconfigure(scene.now, &new, Keep::Unchanged).unwrap();
    scene.syn(8000);
    assert_eq!(scene.heard.grants[0].door, DoorId(1));
    scene.syn(7000);
    scene.gate.reconfigure(scene.now, &new, Keep::Nothing).unwrap();
    scene.syn(8000);
    assert_eq!(scene.opened(), 1);
}

#[test]
fn tagged_frames_belong_to_another_interface() {
    let mut scene = Scene::new(&rules(vec![door(vec![knock("7000")])]));
    let bytes = build::Frame::tcp(ALICE, 40_000, HOST, 7000).vlan(0x8100, 5).bytes(Link::Ethernet);
    let frame = Frame::whole(Link::Ethernet, &bytes);
    let verdict = scene.gate.frame(scene.now, 2, &frame, &mut scene.heard);
    assert_eq!(verdict, Verdict::Dropped(Dropped::Tagged));
}

#[test]
fn the_filter_follows_from_the_rules() {
    let strict = Knock { mode: Mode::Strict, ..knock("7000,8000:udp") };
    let mut rules = rules(vec![door(vec![knock("22,53:udp")]), door(vec![strict])]);
    rules.ignore = vec![Step::udp(443)];
    let needs = Needs::of(&rules);
    assert_eq!(needs.tcp.into_iter().collect::<Vec<_>>(), [22, 7000]);
    assert_eq!(needs.udp.into_iter().collect::<Vec<_>>(), [53, 8000]);
    assert!(needs.tcp_syn_everywhere && needs.udp_everywhere);
    assert_eq!(needs.ignore_udp.into_iter().collect::<Vec<_>>(), [443]);
    assert!(needs.datagrams.is_empty(), "steps of a sequence are headers");
    rules.spa_port = Some(62_201);
    assert_eq!(Needs::of(&rules).datagrams.into_iter().collect::<Vec<_>>(), [62_201]);
}
