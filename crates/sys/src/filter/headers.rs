//! From the first byte to the destination port.

use super::assembler::{Assembler, To, op};
use super::{FilterSpec, Insn, Offset, PortSet, tree};

const TCP: u32 = 6;
const UDP: u32 = 17;
/// IPv6 headers that another one follows: hop by hop, routing, fragment, authentication, destination options.
const EXTENSIONS: [u32; 5] = [0, 43, 44, 51, 60];

const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_IPV6: u32 = 0x86dd;

/// What the kernel knows of a packet besides its bytes stands at these places (linux/filter.h).
const AUXILIARY: u32 = 0xffff_f000;
const PROTOCOL: u32 = AUXILIARY;
const VLAN_TAG: u32 = AUXILIARY + 44;
const VLAN_TAG_PRESENT: u32 = AUXILIARY + 48;

const SYN: u32 = 0x02;
const SYN_OR_ACK: u32 = 0x12;

/// The program for a specification; `leaf`: how many ranges are compared one after another.
pub(super) fn compile(spec: &FilterSpec, offset: Offset, leaf: usize) -> Vec<Insn> {
    let mut compiler = Compiler { program: Assembler::new(), spec, offset, leaf };
    let udp = compiler.udp();
    let tcp = compiler.tcp();
    if tcp == To::Drop && udp == To::Drop {
        return Assembler::new().finish();
    }
    let ipv6 = if spec.ipv6 { compiler.ipv6(tcp, udp) } else { To::Drop };
    let ipv4 = compiler.ipv4(tcp, udp);
    compiler.versions(ipv4, ipv6);
    if offset != Offset::Network {
        compiler.refuse_tagged();
    }
    compiler.program.finish()
}

struct Compiler<'a> {
    program: Assembler,
    spec: &'a FilterSpec,
    offset: Offset,
    leaf: usize,
}

// Everything here is written from the end to the beginning: read each function from its last line up.
impl Compiler<'_> {
    fn search(&mut self, ports: &PortSet, found: To, missed: To) -> To {
        tree::search(&mut self.program, ports.as_slice(), self.leaf, found, missed)
    }

    /// Where the network header begins.
    fn network(&self) -> u32 {
        match self.offset {
            Offset::Network | Offset::Ip => 0,
            Offset::Ethernet => 14,
        }
    }

    /// X is the network header's length.
    fn udp(&mut self) -> To {
        let spec = self.spec;
        let missed =
            if spec.udp_everywhere { self.search(&spec.ignore_udp, To::Drop, To::Pass) } else { To::Drop };
        self.by_port(&spec.udp, missed)
    }

    /// X is the network header's length.
    fn tcp(&mut self) -> To {
        let spec = self.spec;
        let missed = if spec.tcp_syn_everywhere {
            let flags = self.initial_syn();
            self.search(&spec.ignore_tcp, To::Drop, flags)
        } else {
            To::Drop
        };
        self.by_port(&spec.tcp, missed)
    }

    fn by_port(&mut self, ports: &PortSet, missed: To) -> To {
        let search = self.search(ports, To::Pass, missed);
        match search {
            To::Drop => return To::Drop,
            // The load goes on with the instruction written last, which is the search's first only if there is one.
            To::Pass => self.program.branch(op::AT_LEAST, 0, To::Pass, To::Pass),
            To::Place(_) => {}
        }
        self.program.plain(op::LOAD_HALF_INDEXED, self.network() + 2);
        self.program.here()
    }

    fn initial_syn(&mut self) -> To {
        self.program.branch(op::EQUAL, SYN, To::Pass, To::Drop);
        self.program.plain(op::AND, SYN_OR_ACK);
        self.program.plain(op::LOAD_BYTE_INDEXED, self.network() + 13);
        self.program.here()
    }

    fn ipv6(&mut self, tcp: To, udp: To) -> To {
        let mut next = To::Drop;
        for extension in EXTENSIONS {
            self.program.branch(op::EQUAL, extension, To::Pass, next);
            next = self.program.here();
        }
        self.program.branch(op::EQUAL, UDP, udp, next);
        let not_tcp = self.program.here();
        self.program.branch(op::EQUAL, TCP, tcp, not_tcp);
        self.program.plain(op::LOAD_BYTE, self.network() + 6);
        self.program.plain(op::LOAD_X, 40);
        self.program.here()
    }

    fn ipv4(&mut self, tcp: To, udp: To) -> To {
        self.program.branch(op::EQUAL, UDP, udp, To::Drop);
        let not_tcp = self.program.here();
        self.program.branch(op::EQUAL, TCP, tcp, not_tcp);
        self.program.plain(op::LOAD_BYTE, self.network() + 9);
        self.program.plain(op::LOAD_X_HEADER_LENGTH, self.network());
        let first_fragment = self.program.here();
        self.program.branch(op::ANY_BIT, 0x1fff, To::Drop, first_fragment);
        self.program.plain(op::LOAD_HALF, self.network() + 6);
        self.program.here()
    }

    fn versions(&mut self, ipv4: To, ipv6: To) {
        let (first, second) = match self.offset {
            Offset::Network | Offset::Ethernet => (ETHERTYPE_IPV4, ETHERTYPE_IPV6),
            Offset::Ip => (0x40, 0x60),
        };
        self.program.branch(op::EQUAL, second, ipv6, To::Drop);
        let not_ipv4 = self.program.here();
        self.program.branch(op::EQUAL, first, ipv4, not_ipv4);
        match self.offset {
            Offset::Network => self.program.plain(op::LOAD_WORD, PROTOCOL),
            Offset::Ethernet => self.program.plain(op::LOAD_HALF, 12),
            Offset::Ip => {
                self.program.plain(op::AND, 0xf0);
                self.program.plain(op::LOAD_BYTE, 0);
            }
        }
    }

    /// A priority tag (VLAN 0) is none.
    fn refuse_tagged(&mut self) {
        let untagged = self.program.here();
        self.program.branch(op::EQUAL, 0, untagged, To::Drop);
        self.program.plain(op::AND, 0x0fff);
        self.program.plain(op::LOAD_WORD, VLAN_TAG);
        let tagged = self.program.here();
        self.program.branch(op::EQUAL, 0, untagged, tagged);
        self.program.plain(op::LOAD_WORD, VLAN_TAG_PRESENT);
    }
}
