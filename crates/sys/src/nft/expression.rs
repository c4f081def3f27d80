//! The few rule expressions our own table is made of.

use crate::netlink::Builder;

/// The one register used.
const REGISTER: u32 = 1;
/// The register of the verdict.
const VERDICT: u32 = 0;

/// A rule's expressions, in order.
pub(super) struct Rule<'a>(pub(super) &'a mut Builder);

/// Tests of equality, and of difference.
const EQUAL: u32 = 0;
const DIFFERENT: u32 = 1;

impl Rule<'_> {
    fn expression(&mut self, name: &str, fill: impl FnOnce(&mut Builder)) {
        self.0.nest(1, |element| {
            element.put_text(1, name);
            element.nest(2, fill);
        });
    }

    fn compare(&mut self, operator: u32, value: &[u8]) {
        self.expression("cmp", |data| {
            data.put_be32(1, REGISTER);
            data.put_be32(2, operator);
            data.nest(3, |nested| nested.put(1, value));
        });
    }

    fn meta(&mut self, key: u32) {
        self.expression("meta", |data| {
            data.put_be32(1, REGISTER);
            data.put_be32(2, key);
        });
    }

    fn payload(&mut self, base: u32, offset: u32, length: u32) {
        self.expression("payload", |data| {
            data.put_be32(1, REGISTER);
            data.put_be32(2, base);
            data.put_be32(3, offset);
            data.put_be32(4, length);
        });
    }

    /// Keeps these bits of what was loaded.
    fn mask(&mut self, bits: &[u8]) {
        self.expression("bitwise", |data| {
            data.put_be32(1, REGISTER);
            data.put_be32(2, REGISTER);
            data.put_be32(3, u32::try_from(bits.len()).unwrap_or(u32::MAX));
            data.nest(4, |nested| nested.put(1, bits));
            data.nest(5, |nested| nested.put(1, &vec![0; bits.len()]));
        });
    }

    fn verdict(&mut self, code: u32) {
        self.expression("immediate", |data| {
            data.put_be32(1, VERDICT);
            data.nest(2, |nested| nested.nest(2, |verdict| verdict.put_be32(1, code)));
        });
    }

    /// `ct state established,related`.
    pub(super) fn established(&mut self) -> &mut Self {
        // Bit n + 1 of state n: established is 0, related is 1. In host order, as the kernel keeps it.
        let mask = 0b110_u32.to_ne_bytes();
        self.expression("ct", |data| {
            data.put_be32(1, REGISTER);
            data.put_be32(2, 0);
        });
        self.mask(&mask);
        self.compare(DIFFERENT, &[0; 4]);
        self
    }

    /// `ct direction reply`: of a connection that this host began.
    pub(super) fn is_reply(&mut self) -> &mut Self {
        self.expression("ct", |data| {
            data.put_be32(1, REGISTER);
            data.put_be32(2, 1);
        });
        self.compare(EQUAL, &[1]);
        self
    }

    /// `iifname "lo"`.
    pub(super) fn source_is_loopback(&mut self) -> &mut Self {
        let mut name = [0; 16];
        name[..2].copy_from_slice(b"lo");
        self.meta(6);
        self.compare(EQUAL, &name);
        self
    }

    /// `tcp dport first-last`, or udp.
    pub(super) fn destination_ports(&mut self, udp: bool, first: u16, last: u16) -> &mut Self {
        self.destination_port(udp);
        if first == last {
            self.compare(EQUAL, &first.to_be_bytes());
        } else {
            self.range(&first.to_be_bytes(), &last.to_be_bytes());
        }
        self
    }

    /// Loads it, of packets of this protocol.
    fn destination_port(&mut self, udp: bool) {
        self.meta(16);
        self.compare(EQUAL, &[if udp { 17 } else { 6 }]);
        self.payload(2, 2, 2);
    }

    fn range(&mut self, first: &[u8], last: &[u8]) {
        self.expression("range", |data| {
            data.put_be32(1, REGISTER);
            data.put_be32(2, EQUAL);
            data.nest(3, |nested| nested.put(1, first));
            data.nest(4, |nested| nested.put(1, last));
        });
    }

    /// `ip hdrlength != 5`, or `ip6 nexthdr != udp`.
    pub(super) fn header_is_longer(&mut self, ipv6: bool) -> &mut Self {
        self.family(ipv6);
        if ipv6 {
            self.payload(1, 6, 1);
            self.compare(DIFFERENT, &[17]);
        } else {
            self.payload(1, 0, 1);
            self.mask(&[0x0f]);
            self.compare(DIFFERENT, &[5]);
        }
        self
    }

    /// `icmp type 3-12`, or `icmpv6 type 1-4`: the errors, which hold what they are about.
    pub(super) fn icmp_error(&mut self, ipv6: bool) -> &mut Self {
        self.family(ipv6);
        let (protocol, first, last) = if ipv6 { (58, 1, 4) } else { (1, 3, 12) };
        self.meta(16);
        self.compare(EQUAL, &[protocol]);
        self.payload(2, 0, 1);
        self.range(&[first], &[last]);
        self
    }

    /// These bytes behind the network header, from `offset` on.
    pub(super) fn transport(&mut self, offset: u32, bytes: &[u8]) -> &mut Self {
        self.payload(2, offset, u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.compare(EQUAL, bytes);
        self
    }

    /// `meta nfproto ipv4`, or ipv6.
    fn family(&mut self, ipv6: bool) {
        self.meta(15);
        self.compare(EQUAL, &[if ipv6 { 10 } else { 2 }]);
    }

    /// `ip saddr @set`, or `ip6 saddr @set`.
    pub(super) fn source_in(&mut self, set: &str, ipv6: bool) -> &mut Self {
        let (offset, length) = if ipv6 { (8, 16) } else { (12, 4) };
        self.family(ipv6);
        self.payload(1, offset, length);
        self.expression("lookup", |data| {
            data.put_text(1, set);
            data.put_be32(2, REGISTER);
        });
        self
    }

    /// `tcp dport vmap`, or udp, of a map that has no name yet: by its identity within the transaction.
    pub(super) fn destination_port_leads(&mut self, udp: bool, map: &str, id: u32) {
        self.destination_port(udp);
        self.expression("lookup", |data| {
            data.put_text(1, map);
            data.put_be32(2, REGISTER);
            data.put_be32(3, VERDICT);
            data.put_be32(4, id);
        });
    }

    /// `accept`.
    pub(super) fn accept(&mut self) {
        self.verdict(1);
    }

    /// `counter drop`.
    pub(super) fn drop(&mut self) {
        self.expression("counter", |_| {});
        self.verdict(0);
    }
}
