"""IPv6."""

from harness import CLI6, IF, SRV6, door
from cases.base import case, simple, A3, SYN

C6 = {"src": CLI6}
simple("V01", "IPv6 knock runs start_command with the IPv6 address", [door("A", A3)], [("tcp", 7000, 8000, 9000, C6)], "A:c6")
simple("V03", "command_6 is an alias", [door("A", A3, "command_6 = echo six:%IP% >> {res}")],
       [("tcp", 7000, 8000, 9000, C6)], "six:c6")
simple("V04", "empty start_command_6: nothing runs for IPv6", [door("A", A3, "start_command_6 =")],
       [("tcp", 7000, 8000, 9000, C6), 0.2, ("tcp", 7000, 8000, 9000)], "A:c")
simple("V05", "only start_command_6: IPv4 runs nothing", [door("A", A3, "start_command_6 = echo six:%IP% >> {res}", cmd=False)],
       [("tcp", 7000, 8000, 9000), ("tcp", 7000, 8000, 9000, C6)], "six:c6")
simple("V06", "IPv4 and IPv6 of one host are different knockers", [door("A", A3)],
       [("tcp", 7000, 8000), ("tcp", 9000, C6)], "-")
simple("V07", "-4: IPv6 ignored, IPv4 works", [door("A", A3)],
       [("tcp", 7000, 8000, 9000, C6), ("tcp", 7000, 8000, 9000)], "A:c", args=("-4",))
simple("V08", "IPv6 with an extension header is not seen", [door("A", A3)],
       [("tcp", 7000, 8000, 9000, {"src": CLI6, "ext": 60})], "-", "quirk")
simple("V09", "IPv6 tcpflags=syn ignores ACK", [door("A", A3, SYN)],
       [("tcp", 7000, C6), ("tcp", 9000, {"src": CLI6, "flags": "A"}), ("tcp", 8000, 9000, C6)], "A:c6")
simple("V10", "IPv6 udp", [door("A", "7000:udp,8000:udp")], [("udp", 7000, 8000, C6)], "A:c6")


@case("V13", "IPv6-only interface", "A:c6")
def _(t):
    t.ip("addr", "flush", "dev", IF)
    t.ip("-6", "addr", "add", SRV6 + "/64", "dev", IF, "nodad")
    t.conf(door("A", A3, SYN))
    t.start()
    t.syn(7000, 8000, 9000, v6=True)
    return t.opens()


simple("V15", "IPv6 and UDP", [door("A", "7000:udp,8000:udp")], [("udp", 7000, 8000, C6)], "A:c6")
simple("V16", "the steps from IPv4 and IPv6 mixed", [door("A", A3)], [("tcp", 7000), ("tcp", 8000, C6), ("tcp", 9000)], "-")
STOP = "stop_command = echo stop:%IP% >> {res}"
simple("V11", "stop_command_6 is missing: the other one runs", [door("A", "7000", "cmd_timeout = 0", STOP)], [("tcp", 7000, C6)],
       "A:c6 stop:c6")
simple("V12", "stop_command_6", [door("A", "7000", "cmd_timeout = 0", STOP, "stop_command_6 = echo six:%IP% >> {res}")],
       [("tcp", 7000, C6), 0.3, ("tcp", 7000)], "A:c6 six:c6 A:c stop:c")
simple("V17", "stop_command_6 is empty: an empty line runs", [door("A", "7000", "cmd_timeout = 0", STOP, "stop_command_6 =")],
       [("tcp", 7000, C6), 0.3, ("tcp", 7000)], "A:c6 A:c stop:c")
simple("V18", "start_command_6 is empty: the stop command does not run", [door("A", "7000", "cmd_timeout = 0", STOP, "start_command_6 =")],
       [("tcp", 7000, C6)], "-")
simple("V19", "only stop_command_6", [door("A", "7000", "cmd_timeout = 0", "stop_command_6 = echo six:%IP% >> {res}")],
       [("tcp", 7000, C6), 0.3, ("tcp", 7000)], "A:c6 six:c6 A:c")


@case("V14", "link-local addresses, without a zone", "A:fe80::2")
def _(t):
    t.ip("-6", "addr", "add", "fe80::1/64", "dev", IF, "nodad")
    t.conf(door("A", A3))
    t.start()
    t.syn(7000, 8000, 9000, src="fe80::2", dst="fe80::1")
    return t.opens()


@case("V20", "-i lo: ::1 and 127.0.0.1, but no other of 127.0.0.0/8", "A:::1 A:127.0.0.1")
def _(t):
    t.conf(door("A", A3))
    t.nocontrol = True
    t.start(iface="lo")
    for host in ("::1", "127.0.0.2", "127.0.0.1"):
        t.nsx(t.ns_s, "knock", "-d", "30", host, "7000", "8000", "9000")
        t.sleep(0.2)
    return t.opens()
