"""Which packets in which order open a door."""

import socket

from harness import CLI, IF, OTHER, SRV, SRV_B, THIRD, InNs, door
from cases.base import case, simple, A3, SYN

simple("S01", "three TCP ports in order", [door("A", A3)], [("tcp", 7000, 8000, 9000)], "A:c")
simple("S02", "udp packet to a port listed as tcp is not seen at all", [door("A", A3)],
       [("tcp", 7000), ("udp", 8000), ("tcp", 8000, 9000)], "A:c")
simple("S03", "mixed udp/tcp/udp sequence", [door("A", "2222:udp,3333:tcp,4444:udp")],
       [("udp", 2222), ("tcp", 3333), ("udp", 4444)], "A:c")
simple("S04", "right ports, wrong order", [door("A", A3)], [("tcp", 7000, 9000, 8000)], "-")
simple("S05", "a port of no door between two knocks does not reset", [door("A", A3)],
       [("tcp", 7000, 7777, 8000, 1, 65535, 9000)], "A:c")
simple("S06", "first port hit twice (two connections): attempt dies", [door("A", A3)],
       [("tcp", 7000, 7000, 8000, 9000)], "-")
simple("S07", "first port hit three times: works again", [door("A", A3)], [("tcp", 7000, 7000, 7000, 8000, 9000)], "A:c")
simple("S12", "the whole sequence twice: two runs", [door("A", A3)],
       [("tcp", 7000, 8000, 9000), 0.2, ("tcp", 7000, 8000, 9000)], "A:c A:c")
simple("S13", "source address changes midway", [door("A", A3)],
       [("tcp", 7000, 8000), ("tcp", 9000, {"src": OTHER})], "-")
simple("S14", "source port plays no part", [door("A", A3)],
       [("tcp", 7000, {"sport": 1111}), ("tcp", 8000, {"sport": 2222}), ("tcp", 9000, {"sport": 3333})], "A:c")
simple("S15", "single-port sequence: each packet runs the command", [door("A", "7000")],
       [("tcp", 7000), 0.2, ("tcp", 7000)], "A:c A:c")
simple("S18", "same port number, tcp and udp are different knocks", [door("A", "7000:udp,7000:tcp,7000:udp")],
       [("udp", 7000), ("tcp", 7000), ("udp", 7000)], "A:c")
simple("S19", "same, wrong protocol order", [door("A", "7000:udp,7000:tcp,7000:udp")],
       [("udp", 7000, 7000), ("tcp", 7000)], "-")
simple("S20", "two local addresses of the interface in one sequence", [door("A", A3)],
       [("tcp", 7000), ("tcp", 8000, {"dst": SRV_B}), ("tcp", 9000)], "A:c")
simple("S21", "two sources interleaved, the one that began first ends first", [door("A", A3)],
       [("tcp", 7000), ("tcp", 7000, {"src": OTHER}), ("tcp", 8000), ("tcp", 8000, {"src": OTHER}),
        ("tcp", 9000), ("tcp", 9000, {"src": OTHER})], "A:c", "changed", "A:c A:o")
simple("S22", "two sources interleaved, second starter ends first: both open", [door("A", A3)],
       [("tcp", 7000), ("tcp", 7000, {"src": OTHER}), ("tcp", 8000), ("tcp", 8000, {"src": OTHER}),
        ("tcp", 9000, {"src": OTHER}), 0.15, ("tcp", 9000)], "A:o A:c")
simple("S23", "another source's attempt, begun earlier, breaks in between", [door("A", A3)],
       [("tcp", 7000, {"src": OTHER}), ("tcp", 7000, 8000), ("tcp", 9000, {"src": OTHER}), ("tcp", 9000)],
       "-", "changed", "A:c")
simple("S24", "a stranger's later broken attempt does no harm", [door("A", A3)],
       [("tcp", 7000), ("tcp", 7000, {"src": OTHER}), ("tcp", 9000, {"src": OTHER}), ("tcp", 8000, 9000)], "A:c")
simple("S25", "TCP payload and UDP payload play no part", [door("A", "7000,8000:udp,9000")],
       [("tcp", 7000, {"payload": b"x" * 300}), ("udp", 8000, {"payload": b"y" * 700}), ("tcp", 9000)], "A:c")
simple("S26", "wrong TCP/UDP checksum and IP header checksum: still counted", [door("A", "7000,8000:udp,9000")],
       [("tcp", 7000, {"badsum": True}), ("udp", 8000, {"badsum": True}), ("tcp", 9000, {"badsum": True})], "A:c",
       "quirk")
simple("S27", "TTL 1", [door("A", A3)], [("tcp", 7000, 8000, 9000, {"ttl": 1})], "A:c")
simple("S28", "frame addressed to another MAC (seen by a software NIC): still counted", [door("A", A3)],
       [("tcp", 7000, 8000, 9000, {"dmac": bytes.fromhex("0277000000aa")})], "A:c", "quirk")
simple("S29", "destination not a local address", [door("A", A3)], [("tcp", 7000, 8000, 9000, {"dst": "10.77.0.99"})], "-")
simple("S31", "first IP fragment (MF, offset 0) is counted, later fragments are not", [door("A", A3)],
       [("tcp", 7000, {"frag": 0x2000}), ("tcp", 8000, {"frag": 1}), ("tcp", 8000, 9000)], "A:c")
simple("S33", "IPv4 options", [door("A", A3)], [("tcp", 7000, 8000, 9000, {"options": b"\x01\x01\x01\x00"})], "A:c")
simple("S34", "VLAN-tagged frames on the parent interface", [door("A", A3)], [("tcp", 7000, 8000, 9000, {"vlan": 5})], "-")
simple("S35", "knock from the server's own address is counted (spoofed)", [door("A", A3)],
       [("tcp", 7000, 8000, 9000, {"src": SRV})], "A:s", "quirk")


@case("S38", "address of another local interface, packet arrives here", "-")
def _(t):
    t.conf(door("A", A3))
    t.ip("addr", "add", "10.99.0.1/32", "dev", "lo")
    t.start()
    t.syn(7000, 8000, 9000, dst="10.99.0.1")
    return t.opens()


@case("S39", "address removed after start is still matched", "A:c", "quirk", "-")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.ip("addr", "del", SRV_B + "/24", "dev", IF)
    t.syn(7000, 8000, 9000, dst=SRV_B)
    return t.opens()


@case("S40", "real connects with the stock client, ports closed", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.knock("-d", "30", SRV, "7000", "8000", "9000")
    return t.opens()


@case("S41", "no tcpflags: a real handshake on an open knock port breaks the attempt", "-", "quirk")
def _(t):
    t.conf(door("A", A3))
    with InNs(t.ns_s):
        l = socket.socket()
        l.bind((SRV, 8000))
        l.listen(5)
    t.start()
    for p in (7000, 8000, 9000):
        t.nsx(t.ns_c, "python3", "-c", "import socket;s=socket.socket();s.settimeout(.3);s.connect_ex(('%s',%d))" % (SRV, p))
    return t.opens()


@case("S42", "tcpflags = syn: the same handshake does no harm", "A:c")
def _(t):
    t.conf(door("A", A3, SYN))
    with InNs(t.ns_s):
        l = socket.socket()
        l.bind((SRV, 8000))
        l.listen(5)
    t.start()
    for p in (7000, 8000, 9000):
        t.nsx(t.ns_c, "python3", "-c", "import socket;s=socket.socket();s.settimeout(.3);s.connect_ex(('%s',%d))" % (SRV, p))
    return t.opens()


@case("S43", "firewall dropping everything inbound does not hide knocks", "A:c")
def _(t):
    t.conf(door("A", A3))
    r = t.nsx(t.ns_s, "nft", "add table inet x; add chain inet x i { type filter hook input priority 0; policy drop; }")
    if r.returncode:
        return "SKIP no nft: " + r.stderr.strip()[:60]
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("S44", "loopback interface: each packet counts once", "A:127.0.0.1")
def _(t):
    t.conf(door("A", A3))
    t.start(iface="lo")
    t.nsx(t.ns_s, "knock", "-d", "30", "127.0.0.1", "7000", "8000", "9000")
    return t.opens()


simple("S45", "source 0.0.0.0", [door("A", "7000")], [("tcp", 7000, {"src": "0.0.0.0"})],
       "A:0.0.0.0", "changed", "-")
simple("S46", "source 127.0.0.1 on a wire interface", [door("A", "7000")],
       [("tcp", 7000, {"src": "127.0.0.1"})], "A:127.0.0.1", "changed", "-")
simple("S48", "one udp port twice (idiom of game-server wakers): every second packet runs the command",
       [door("A", "15637:udp,15637:udp")], [("udp", 15637, 15637), 0.2, ("udp", 15637, 15637)], "A:c A:c")
simple("S49", "single port without tcpflags: every packet of a connection runs the command", [door("A", "22")],
       [("tcp", 22), 0.15, ("tcp", 22, {"flags": "A"}), 0.15, ("tcp", 22, {"flags": "FA"})], "A:c A:c A:c")
simple("S50", "single port, tcpflags=ack: the SYN does not count, the ACK does", [door("A", "25565", "tcpflags = ack")],
       [("tcp", 25565), ("tcp", 25565, {"flags": "A"})], "A:c")


RT = {"sport": 41000, "seq": 77}
simple("S52", "first knock retransmitted (same source port and sequence number)", [door("A", A3, SYN)],
       [("tcp", 7000, RT), 0.1, ("tcp", 7000, RT), ("tcp", 8000, 9000)], "-", "changed", "A:c")
simple("S54", "single-port door, SYN retransmitted: the command runs again", [door("A", "7000", SYN)],
       [("tcp", 7000, RT), 0.3, ("tcp", 7000, RT)], "A:c A:c", "quirk", "A:c")


@case("S53", "a client that waits 1.4 s for each connection behind a dropping firewall: the kernel sends its SYN again",
      "-", "changed", "A:c", cost=6)
def _(t):
    t.conf(door("A", A3, SYN, timeout=20))
    r = t.nsx(t.ns_s, "nft", "add table inet x; add chain inet x i { type filter hook input priority 0; policy drop; "
              "}; add rule inet x i ip protocol icmp accept; add rule inet x i udp dport 1-65535 drop")
    if r.returncode:
        return "SKIP no nft: " + r.stderr.strip()[:60]
    t.start()
    for p in (7000, 8000, 9000):
        t.nsx(t.ns_c, "python3", "-c", "import socket;s=socket.socket();s.settimeout(1.4);s.connect_ex(('%s',%d))" % (SRV, p))
    return t.opens()


@case("S51", "knock from another host of the same network to us counts with the sender's address", "A:o")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.syn(7000, 8000, 9000, src=OTHER)
    return t.opens()


simple("S08", "a step hit twice in the middle: the attempt ends", [door("A", A3)], [("tcp", 7000, 8000, 8000, 9000)], "-")
simple("S09", "the last step hit again: nothing more runs", [door("A", A3)], [("tcp", 7000, 8000, 9000, 9000)], "A:c")
simple("S10", "the hit that breaks an attempt begins none", [door("A", A3)], [("tcp", 7000, 8000, 7000, 8000, 9000)], "-")
simple("S16", "32 steps", [door("A", ",".join(str(7000 + i) for i in range(32)))],
       [("tcp", *range(7000, 7032))], "A:c")
simple("S17", "a port more than once in a sequence", [door("A", "7000,7000,8000,7000")],
       [("tcp", 7000, 7000, 8000, 7000)], "A:c")
simple("S30", "to the broadcast address", [door("A", A3)], [("tcp", 7000, 8000, 9000, {"dst": "10.77.0.255"})], "-")
simple("S32", "later fragments that look like hits", [door("A", A3)],
       [("tcp", 7000), ("tcp", 8000, {"frag": 100}), ("tcp", 9000)], "-")
simple("S60", "the whole sequence from three sources, step by step", [door("A", A3)],
       [(("tcp"), port, {"src": source}) for port in (7000, 8000, 9000) for source in (CLI, OTHER, THIRD)],
       "A:c", "changed", "A:c A:o A:t")
simple("S61", "a broken attempt, then the right sequence", [door("A", A3)],
       [("tcp", 7000, 9000), 0.1, ("tcp", 7000, 8000, 9000)], "A:c")
simple("S62", "UDP sequence with one wrong port of the door", [door("A", "7000:udp,8000:udp,9000:udp")],
       [("udp", 7000, 9000, 8000, 9000)], "-")
simple("S63", "empty UDP datagrams", [door("A", "7000:udp,8000:udp")], [("udp", 7000, 8000, {"payload": b""})], "A:c")
simple("S64", "SYN with data", [door("A", A3, SYN)], [("tcp", 7000, 8000, 9000, {"payload": b"hello"})], "A:c")
simple("S47", "a multicast source", [door("A", "7000")], [("tcp", 7000, {"src": "224.0.0.5"})], "A:224.0.0.5", "changed", "-")
simple("S48b", "the broadcast address as source", [door("A", "7000")], [("tcp", 7000, {"src": "255.255.255.255"})],
       "A:255.255.255.255", "changed", "-")
simple("S65", "frames with a priority tag alone (VLAN 0)", [door("A", A3)], [("tcp", 7000, 8000, 9000, {"vlan": 0})],
       "-", "quirk", "A:c")
simple("S66", "each SYN is followed by a RST of the client, no tcpflags: the attempt ends", [door("A", A3)],
       [("tcp", 7000), ("tcp", 7000, {"flags": "R"}), ("tcp", 8000), ("tcp", 8000, {"flags": "R"}), ("tcp", 9000)], "-")
simple("S67", "the same with tcpflags = syn", [door("A", A3, SYN)],
       [("tcp", 7000), ("tcp", 7000, {"flags": "R"}), ("tcp", 8000), ("tcp", 8000, {"flags": "R"}), ("tcp", 9000)], "A:c")
simple("S68", "one address is the beginning of another one's text", [door("A", A3)],
       [("tcp", 7000, {"src": "10.77.0.200"}), ("tcp", 7000, 8000, 9000, {"src": "10.77.0.20"})], "A:10.77.0.20",
       "contract")
simple("S69", "ports 1 and 65535", [door("A", "65535,1,65535:udp")], [("tcp", 65535, 1), ("udp", 65535)], "A:c")
simple("S70", "source port 0", [door("A", "7000,8000:udp")], [("tcp", 7000, {"sport": 0}), ("udp", 8000, {"sport": 0})], "A:c")


@case("S37", "an address that came after the start", "-", "changed", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.ip("addr", "add", "10.77.0.33/24", "dev", IF)
    t.sleep(0.3)
    t.syn(7000, 8000, 9000, dst="10.77.0.33")
    return t.opens()


@case("S71", "a knock from the host to itself goes through lo: -i of the cable does not see it", "-")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.nsx(t.ns_s, "knock", "-d", "30", SRV, "7000", "8000", "9000")
    return t.opens()


@case("S72", "-i lo: the host's own address is not lo's", "-")
def _(t):
    t.conf(door("A", A3))
    t.nocontrol = True
    t.start(iface="lo")
    t.nsx(t.ns_s, "knock", "-d", "30", SRV, "7000", "8000", "9000")
    return t.opens()
