use proptest::collection::vec;
use proptest::prelude::*;

use super::machine::{Packet, run};
use super::*;

const OFFSETS: [Offset; 3] = [Offset::Network, Offset::Ethernet, Offset::Ip];

/// What a packet is made of.
#[derive(Debug, Clone)]
struct Recipe {
    ipv6: bool,
    /// Protocol, or the first next header.
    protocol: u8,
    /// Of the IPv4 header, in words.
    header_words: u8,
    fragment: u16,
    port: u16,
    flags: u8,
    vlan: Option<u16>,
    /// What the link header says, where that is not the version's.
    ethertype: Option<u16>,
    /// Bytes missing at the end.
    cut: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            ipv6: false,
            protocol: 6,
            header_words: 5,
            fragment: 0,
            port: 0,
            flags: 2,
            vlan: None,
            ethertype: None,
            cut: 0,
        }
    }
}

impl Recipe {
    fn packet(&self, offset: Offset) -> Packet {
        let mut bytes = if self.ipv6 { self.ipv6_header() } else { self.ipv4_header() };
        bytes.extend([0xaa, 0xbb]);
        bytes.extend(self.port.to_be_bytes());
        bytes.extend([0; 9]);
        bytes.extend([self.flags, 1, 2, 3, 4, 5, 6]);
        bytes.truncate(bytes.len().saturating_sub(self.cut));
        let ethertype = self.ethertype.unwrap_or(if self.ipv6 { 0x86dd } else { 0x0800 });
        if offset == Offset::Ethernet {
            let mut frame = vec![0x55; 12];
            frame.extend(ethertype.to_be_bytes());
            frame.append(&mut bytes);
            bytes = frame;
        }
        Packet { bytes, ethertype, vlan: self.vlan }
    }

    fn ipv4_header(&self) -> Vec<u8> {
        let mut header = vec![0; 20.max(usize::from(self.header_words) * 4)];
        header[0] = 0x40 | self.header_words;
        header[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        header[9] = self.protocol;
        header
    }

    fn ipv6_header(&self) -> Vec<u8> {
        let mut header = vec![0; 40];
        header[0] = 0x60;
        header[6] = self.protocol;
        header
    }
}

/// What the documentation says, in other words than the program.
fn passes(spec: &FilterSpec, offset: Offset, packet: &Packet) -> bool {
    looks_at(spec, offset, packet).unwrap_or(false)
}

fn looks_at(spec: &FilterSpec, offset: Offset, packet: &Packet) -> Option<bool> {
    if offset != Offset::Network && packet.vlan.is_some_and(|tag| tag & 0x0fff != 0) {
        return None;
    }
    let wants_tcp = !spec.tcp.is_empty() || spec.tcp_syn_everywhere;
    let wants_udp = !spec.udp.is_empty() || spec.udp_everywhere;
    let ip = packet.bytes.get(if offset == Offset::Ethernet { 14 } else { 0 }..)?;
    let version = match offset {
        Offset::Ip => ip.first()? >> 4,
        _ => match packet.ethertype {
            0x0800 => 4,
            0x86dd => 6,
            _ => return None,
        },
    };
    let (protocol, transport) = match version {
        4 if u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) << 3 == 0 => {
            (*ip.get(9)?, ip.get(usize::from(ip[0] & 15) * 4..)?)
        }
        6 if spec.ipv6 => match *ip.get(6)? {
            0 | 43 | 44 | 51 | 60 => return Some(wants_tcp || wants_udp),
            protocol => (protocol, ip.get(40..)?),
        },
        _ => return None,
    };
    let port = u16::from_be_bytes([*transport.get(2)?, *transport.get(3)?]);
    Some(match protocol {
        6 if spec.tcp.contains(port) => true,
        6 => {
            let initial = spec.tcp_syn_everywhere && transport.get(13)? & 0x12 == 2;
            initial && !spec.ignore_tcp.contains(port)
        }
        17 => spec.udp.contains(port) || spec.udp_everywhere && !spec.ignore_udp.contains(port),
        _ => false,
    })
}

fn ports(most: usize) -> impl Strategy<Value = PortSet> {
    // Few and small steps, so that ranges touch; and all over the place.
    let near = vec((0_u16..=64, 0_u16..=3), 0..=most.min(20));
    let far = vec((any::<u16>(), prop_oneof![9 => Just(0_u16), 1 => 0_u16..=2000]), 0..=most);
    prop_oneof![near, far].prop_map(|ranges| {
        ranges.into_iter().map(|(first, more)| first..=first.saturating_add(more)).collect()
    })
}

fn specs(most: usize) -> impl Strategy<Value = FilterSpec> {
    (ports(most), any::<bool>(), ports(most), any::<bool>(), ports(most / 4), ports(most / 4), any::<bool>())
        .prop_map(|(tcp, tcp_syn_everywhere, udp, udp_everywhere, ignore_tcp, ignore_udp, ipv6)| FilterSpec {
            tcp,
            tcp_syn_everywhere,
            udp,
            udp_everywhere,
            ignore_tcp,
            ignore_udp,
            ipv6,
        })
}

fn recipes(ipv6: bool) -> impl Strategy<Value = Recipe> {
    let protocol = prop_oneof![
        4 => Just(6_u8),
        4 => Just(17_u8),
        1 => prop::sample::select(vec![0_u8, 43, 44, 51, 60, 58, 1, 50]),
    ];
    let vlan = prop_oneof![8 => Just(None), 1 => Just(Some(0xe000)), 1 => any::<u16>().prop_map(Some)];
    let ethertype = prop_oneof![9 => Just(None), 1 => prop::sample::select(vec![0x8100_u16, 0x88a8, 0x0806, 0x0800]).prop_map(Some)];
    let words = prop_oneof![4 => Just(5_u8), 1 => 0_u8..=15];
    let fragment = prop_oneof![4 => Just(0_u16), 1 => Just(0x4000), 1 => Just(0x2000), 1 => any::<u16>()];
    let cut = prop_oneof![8 => Just(0_usize), 1 => 0_usize..80];
    (protocol, words, fragment, any::<u8>(), vlan, ethertype, cut).prop_map(
        move |(protocol, header_words, fragment, flags, vlan, ethertype, cut)| Recipe {
            ipv6,
            protocol,
            header_words,
            fragment,
            port: 0,
            flags,
            vlan,
            ethertype,
            cut,
        },
    )
}

/// Ports at and beside every border, and some others.
fn telling_ports(spec: &FilterSpec) -> Vec<u16> {
    let sets = [&spec.tcp, &spec.udp, &spec.ignore_tcp, &spec.ignore_udp];
    let mut ports: Vec<u16> = (0..=u16::MAX).step_by(4099).chain([u16::MAX]).collect();
    for (first, last) in sets.iter().flat_map(|set| set.as_slice()) {
        ports.extend([*first, *last, first.saturating_sub(1), last.saturating_add(1)]);
    }
    ports
}

proptest! {
    #[test]
    fn a_program_does_exactly_what_is_written(
        spec in specs(120), v4 in vec(recipes(false), 4), v6 in vec(recipes(true), 4),
    ) {
        for offset in OFFSETS {
            let program = spec.program(offset, MOST_INSTRUCTIONS);
            prop_assert!(!program.widened);
            for recipe in v4.iter().chain(&v6) {
                for port in telling_ports(&spec) {
                    let recipe = Recipe { port, ..recipe.clone() };
                    let packet = recipe.packet(offset);
                    let expected = passes(&spec, offset, &packet);
                    prop_assert_eq!(run(&program.instructions, &packet).0, expected, "{:?} {:?}", offset, recipe);
                }
            }
        }
    }

    #[test]
    fn a_widened_program_lets_everything_wanted_pass(
        spec in specs(300), limit in FEWEST_INSTRUCTIONS..400, v4 in vec(recipes(false), 2), v6 in vec(recipes(true), 2),
    ) {
        let program = spec.program(Offset::Network, limit);
        prop_assert!(program.instructions.len() <= limit);
        for recipe in v4.iter().chain(&v6) {
            for port in telling_ports(&spec) {
                let packet = Recipe { port, ..recipe.clone() }.packet(Offset::Network);
                let expected = passes(&spec, Offset::Network, &packet);
                let verdict = run(&program.instructions, &packet).0;
                prop_assert!(verdict || !expected, "{:?} {:?}", port, recipe);
                prop_assert!(program.widened || verdict == expected);
            }
        }
    }
}

/// So many ports, none beside another.
fn apart(count: u16) -> PortSet {
    let step = u16::MAX / count;
    (0..count).map(|n| n * step).collect()
}

#[test]
fn nothing_wanted_is_one_instruction() {
    let program =
        FilterSpec { ipv6: true, ..FilterSpec::default() }.program(Offset::Network, MOST_INSTRUCTIONS);
    assert_eq!(program.instructions, [Insn { code: 6, jt: 0, jf: 0, k: 0 }]);
}

#[test]
fn every_port_is_judged_right() {
    let spec = FilterSpec {
        tcp: apart(700),
        udp: [5..=5, 900..=65_535].into_iter().collect(),
        ..FilterSpec::default()
    };
    let program = spec.program(Offset::Network, MOST_INSTRUCTIONS);
    assert!(!program.widened);
    for port in 0..=u16::MAX {
        let tcp = Recipe { port, ..Recipe::default() }.packet(Offset::Network);
        assert_eq!(run(&program.instructions, &tcp).0, spec.tcp.contains(port), "tcp {port}");
        let udp = Recipe { port, protocol: 17, ..Recipe::default() }.packet(Offset::Network);
        assert_eq!(run(&program.instructions, &udp).0, spec.udp.contains(port), "udp {port}");
    }
}

#[test]
fn a_thousand_doors_of_three_ports_need_no_widening() {
    let program =
        FilterSpec { tcp: apart(3000), ..FilterSpec::default() }.program(Offset::Network, MOST_INSTRUCTIONS);
    assert!(!program.widened, "{}", program.instructions.len());
}

#[test]
fn thousands_of_ports_are_widened_and_all_pass() {
    let spec =
        FilterSpec { tcp: apart(4000), udp: apart(3900), tcp_syn_everywhere: true, ..FilterSpec::default() };
    let program = spec.program(Offset::Network, MOST_INSTRUCTIONS);
    assert!(program.widened);
    assert!(program.instructions.len() <= MOST_INSTRUCTIONS);
    // Widened no more than it must be.
    assert!(program.instructions.len() > MOST_INSTRUCTIONS * 3 / 4, "{}", program.instructions.len());
    for (ports, protocol) in [(&spec.tcp, 6), (&spec.udp, 17)] {
        for port in ports.ranges().flatten() {
            let packet = Recipe { port, protocol, flags: 0x10, ..Recipe::default() }.packet(Offset::Network);
            assert!(run(&program.instructions, &packet).0, "{protocol} {port}");
        }
    }
}

#[test]
fn of_ignored_ports_the_smallest_ranges_are_forgotten() {
    let spec = FilterSpec {
        udp_everywhere: true,
        ignore_udp: (0..4000_u16).map(|n| n * 16 + 1).chain(100..=999).collect(),
        ..FilterSpec::default()
    };
    let program = spec.program(Offset::Network, FEWEST_INSTRUCTIONS);
    assert!(program.widened);
    let verdict = |port| {
        run(
            &program.instructions,
            &Recipe { port, protocol: 17, ..Recipe::default() }.packet(Offset::Network),
        )
        .0
    };
    assert!(verdict(63_985), "a small ignored range may be forgotten");
    assert!(!verdict(500), "the large one is kept");
}

#[test]
fn the_cost_grows_as_the_logarithm_of_the_ports() {
    let mut before = None;
    for (count, halvings) in [(8_u16, 3), (64, 6), (512, 9), (1024, 10)] {
        let spec = FilterSpec { tcp: apart(count), udp: apart(count), ipv6: true, ..FilterSpec::default() };
        let program = spec.program(Offset::Network, MOST_INSTRUCTIONS).instructions;
        let costs = (0..=u16::MAX).step_by(7).map(|port| {
            run(&program, &Recipe { port, flags: 0x10, ..Recipe::default() }.packet(Offset::Network)).1
        });
        let most = costs.max().unwrap();
        // Seven instructions to the port, two comparisons in a leaf, a verdict, and now and then a long jump.
        assert!(most <= 7 + halvings + 2 + 1 + 3, "{count} ports: {most}");
        if let Some((smaller, fewer)) = before {
            let more = most - smaller;
            assert!(more <= halvings - fewer + 3, "{count} ports: {more} instructions more");
        }
        before = Some((most, halvings));
    }
}
