"""Targets, and kinds of interfaces."""

import os
import socket

import pkt
from harness import CLI, CLI6, IF, REMOTE, SRV, SRV6, InNs, door
from cases.base import LOG, case, simple, A3, SYN

TGT = "target = " + REMOTE
simple("G01", "target: packets to that address count", [door("A", A3, TGT)], [("tcp", 7000, 8000, 9000, {"dst": REMOTE})], "A:c")
simple("G02", "target: packets to the local address do not", [door("A", A3, TGT)], [("tcp", 7000, 8000, 9000)], "-")
simple("G03", "a door with a target and one without on the same ports, one source", [door("A", A3, TGT), door("B", A3)],
       [("tcp", 7000, {"dst": REMOTE}), ("tcp", 7000), ("tcp", 8000, {"dst": REMOTE}), ("tcp", 8000),
        ("tcp", 9000, {"dst": REMOTE}), 0.15, ("tcp", 9000)], "A:c", "changed", "A:c B:c")
simple("G04", "host name as target: accepted, never matches", [door("A", A3, "target = localhost")],
       [("tcp", 7000, 8000, 9000, {"dst": "127.0.0.1"})], "-", "quirk")
simple("G05", "IPv6 target, canonical spelling", [door("A", A3, "target = fd88::9")],
       [("tcp", 7000, 8000, 9000, {"src": CLI6, "dst": "fd88::9"})], "A:c6")
simple("G06", "IPv6 target in another spelling", [door("A", A3, "target = FD88:0::9")],
       [("tcp", 7000, 8000, 9000, {"src": CLI6, "dst": "fd88::9"})], "-", "changed", "A:c6")


@case("G07", "target nonsense: refused", "refused rc=1")
def _(t):
    t.conf(door("A", A3, "target = 300.1.2.3.4 or"))
    return t.verdict()


@case("G08", "outgoing packets to the target count too (router's own traffic)", "A:s", "quirk")
def _(t):
    t.conf(door("A", "7000:udp", "target = 10.77.0.2"))
    t.start()
    with InNs(t.ns_s):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(b"x", (CLI, 7000))
    return t.opens()


@case("G09", "interface without addresses: door without target never opens", "-")
def _(t):
    t.nocontrol = True
    t.ip("addr", "flush", "dev", IF)
    t.conf(door("A", A3))
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("G10", "interface without addresses: door with target opens", "A:c")
def _(t):
    t.ip("addr", "flush", "dev", IF)
    t.conf(door("A", A3, TGT))
    t.start()
    t.syn(7000, 8000, 9000, dst=REMOTE)
    return t.opens()


@case("G11", "interface without addresses: no filter, so any other port breaks the attempt", "-", "quirk", "A:c")
def _(t):
    t.nocontrol = True
    t.ip("addr", "flush", "dev", IF)
    t.conf(door("A", A3, TGT))
    t.start()
    t.syn(7000, 7777, 8000, 9000, dst=REMOTE)
    return t.opens()


@case("G12", "-i any: starts, plain door never opens", "-", "quirk", "A:c")
def _(t):
    t.nocontrol = True
    t.conf(door("A", A3))
    t.start(iface="any")
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("G13", "-i any: door with target opens", "A:c")
def _(t):
    t.conf(door("A", A3, "target = " + SRV))
    t.start(iface="any")
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("G14", "target outside, IPv4 flags, IPv6-only interface", "refused rc=1", "quirk", "A:c")
def _(t):
    t.ip("addr", "flush", "dev", IF)
    t.ip("-6", "addr", "add", SRV6 + "/64", "dev", IF, "nodad")
    t.rawconf("[options]\n%s\n" % LOG + door("A", A3, TGT, SYN))  # no control door: it would change the filter
    v = t.verdict()
    if v != "up":
        return v
    t.syn(7000, 8000, 9000, dst=REMOTE)
    return t.opens()


def tun(t):
    """a point-to-point device without link header: two tun ends are not needed, we write packets into one"""
    import fcntl
    import struct
    with InNs(t.ns_s):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, 0x400454CA, struct.pack("16sH14x", b"kdt0", 0x1001))
    t.ip("addr", "add", "10.66.0.1/24", "dev", "kdt0")
    t.ip("-6", "addr", "add", "fd66::1/64", "dev", "kdt0", "nodad")
    t.ip("link", "set", "kdt0", "up")
    return fd


@case("G15", "raw IP link (tun): IPv4 works", "A:10.66.0.2")
def _(t):
    if not os.path.exists("/dev/net/tun"):
        return "SKIP no /dev/net/tun"
    fd = tun(t)
    t.conf(door("A", A3))
    t.start(iface="kdt0")
    for p in (7000, 8000, 9000):
        os.write(fd, pkt.frame("tcp", "10.66.0.2", "10.66.0.1", p, rawip=True))
        t.sleep(0.02)
    r = t.opens()
    os.close(fd)
    return r


@case("G16", "raw IP link (tun): IPv6", "-", "changed", "A:fd66::2")
def _(t):
    t.nocontrol = True
    if not os.path.exists("/dev/net/tun"):
        return "SKIP no /dev/net/tun"
    fd = tun(t)
    t.conf(door("A", A3))
    t.start(iface="kdt0")
    for p in (7000, 8000, 9000):
        os.write(fd, pkt.frame("tcp", "fd66::2", "fd66::1", p, rawip=True))
        t.sleep(0.02)
    r = t.opens()
    t.note(t.output().strip().splitlines()[-1] if t.output().strip() else "")
    os.close(fd)
    return r


@case("G18", "-i IF: an address with an alias label (IF:1)", "-", "changed", "A:c")
def _(t):
    t.ip("addr", "add", "10.77.0.31/24", "dev", IF, "label", IF + ":1")
    t.conf(door("A", A3))
    t.start()
    t.syn(7000, 8000, 9000, dst="10.77.0.31")
    return t.opens()


@case("G19", "-i IF:1 (alias label): listens on IF, matches only the labelled address", "A:c")
def _(t):
    t.ip("addr", "add", "10.77.0.31/24", "dev", IF, "label", IF + ":1")
    t.conf(door("A", A3))
    if not t.start(iface=IF + ":1"):
        return "refused " + t.wait(1)
    t.syn(7000, 8000, 9000)
    t.syn(7000, 8000, 9000, dst="10.77.0.31")
    return t.opens()


@case("G20", "-i any with target: IPv6 is not handled", "-", "quirk", "A:c6")
def _(t):
    t.nocontrol = True
    t.conf(door("A", A3, "target = " + SRV6))
    t.start(iface="any")
    t.syn(7000, 8000, 9000, v6=True)
    return t.opens()


@case("G21", "500 doors of 5 ports: the last one opens", "D499:c", cost=4)
def _(t):
    t.conf(*[door("D%d" % i, ",".join(str(1000 + (i * 5 + k)) for k in range(5)), SYN) for i in range(500)])
    if not t.start(timeout=20):
        return "refused " + t.wait(1) + t.output()[-200:]
    t.syn(*range(1000 + 499 * 5, 1000 + 499 * 5 + 5))
    return t.opens(1)
simple("G22", "the broadcast address as target", [door("A", A3, "target = 10.77.0.255")],
       [("tcp", 7000, 8000, 9000, {"dst": "10.77.0.255"})], "A:c")
simple("G23", "a group address as target", [door("A", "7000:udp", "target = 224.0.0.1")], [("udp", 7000, {"dst": "224.0.0.1"})], "A:c")
simple("G24", "the interface's own address as target", [door("A", A3, "target = " + SRV)], [("tcp", 7000, 8000, 9000)], "A:c")
simple("G25", "an IPv4 target, an IPv6 knock", [door("A", A3, TGT)], [("tcp", 7000, 8000, 9000, {"src": CLI6})], "-")
simple("G26", "an address with leading zeros: accepted, never matches", [door("A", A3, "target = 10.88.0.09")],
       [("tcp", 7000, 8000, 9000, {"dst": REMOTE})], "-", "quirk")
simple("G27", "a target and a comment", [door("A", A3, TGT + " # x")], [], "refused rc=1")
simple("G28", "two targets", [door("A", A3, TGT + ",10.88.0.8")], [], "refused rc=1")
simple("G29", "a network as target", [door("A", A3, "target = 10.88.0.0/24")], [], "refused rc=1")
simple("G30", "a target that goes on as a filter expression", [door("A", A3, TGT + " or host 10.88.0.8")], [], "-", "quirk",
       "refused rc=1")
