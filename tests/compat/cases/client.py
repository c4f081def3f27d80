"""The client."""

import socket

from harness import SRV, InNs
from cases.base import case

def client(cid, name, args, expect, cls="contract", want=None, what="p"):
    def fn(t):
        rc, out, err, seen, took = t.knock(*args)
        bits = []
        if "p" in what:
            bits.append(" ".join("%s/%d%s" % (p[0], p[3], ("=" + p[4]) if p[4] else "") for p in seen) or "-")
        if "r" in what:
            bits.append("rc=%d" % rc)
        if "o" in what:
            bits.append(t.short(out.strip().replace("\n", "$").split("$options:")[0]))
        if "e" in what:
            bits.append(t.short(err.strip().replace("\n", "$")))
        if "6" in what:
            bits.append("ipv6" if seen and ":" in seen[0][1] else "ipv4")
        if "t" in what:
            bits.append("%.1fs" % took)
        return " | ".join(bits)
    case(cid, name, expect, cls, want)(fn)


client("N02", "-u: one UDP datagram with a single zero byte", ["-u", SRV, "7000"], "udp/7000=00 | rc=0", what="pr")
client("N03", "per-port protocol", [SRV, "7000:tcp", "8000:udp", "9000"], "tcp/7000=S udp/8000=00 tcp/9000=S | rc=0", what="pr")
client("N04", "-u beats :tcp", ["-u", SRV, "7000:tcp"], "udp/7000=00")
client("N05", "protocol in upper case (:UDP)", [SRV, "7000:UDP"], "tcp/7000=S", "changed", "udp/7000=00")
client("N06", "unknown protocol is TCP", [SRV, "7000:icmp"], "tcp/7000=S", "quirk")
client("N07", "-v output", ["-v", SRV, "7000", "8000:udp"], "hitting tcp s:7000$hitting udp s:8000", what="o")
client("N10", "negative delay", ["-d", "-5", SRV, "7000"], "- | rc=1 | error: delay cannot be negative", what="pre")
client("N11", "no port: usage on stdout, exit code 1", [SRV], "rc=1 | usage: knock [options] <host> <port[:proto]> [port[:proto]] ...", what="ro")
client("N12", "-h: usage, exit code 1", ["-h"], "rc=1 | usage: knock [options] <host> <port[:proto]> [port[:proto]] ...", what="ro")
client("N13", "-V", ["-V"], "rc=0 | knock 0.8$Copyright (C) 2004-2012 Judd Vinet <jvinet@zeroflux.org>", what="ro")
client("N15", "port over 65535", [SRV, "72536"], "tcp/7000=S | rc=0", "changed", "- | rc=1", what="pr")
client("N17", "unresolvable host", ["no.such.host.invalid", "7000"], "re:- \\| rc=1 \\| Failed to resolve hostname 'no.such.host.invalid' on port 7000\\$getaddrinfo: .*", what="pre")
client("N18", "-6 with an IPv4 literal", ["-6", SRV, "7000"], "re:- \\| rc=1 \\| Failed to resolve hostname 's' on port 7000\\$getaddrinfo: .*", what="pre")
client("N20", "port 0", [SRV, "0"], "tcp/0=S | rc=0", what="pr")
client("N21", "unreachable network: silent, exit code 0", ["203.0.113.1", "7000"], "- | rc=0 | ", "quirk", what="pre")


@case("N22", "open port: handshake completes or not, the client sends nothing but what the kernel adds", "re:tcp/7000=S.*", "quirk")
def _(t):
    with InNs(t.ns_s):
        l = socket.socket()
        l.bind((SRV, 7000))
        l.listen(5)
    rc, out, err, seen, took = t.knock(SRV, "7000")
    return " ".join("%s/%d=%s" % (p[0], p[3], p[4]) for p in seen)


client("N01", "one SYN for each port, no repetition", [SRV, "7000", "8000"], "tcp/7000=S tcp/8000=S | rc=0", what="pr")
client("N08", "-v output for IPv6", ["-v", "fd77::1", "7000"], "hitting tcp s6:7000", what="o")
client("N14", "service names", ["-v", SRV, "domain:udp", "ssh"], "hitting udp s:domain$hitting tcp s:ssh", what="o")
client("N16", "a port that cannot be resolved ends it, earlier ones have gone out", [SRV, "7000", "nosuchservice"],
       "re:tcp/7000=S \\| rc=1 \\| Failed to resolve hostname 's' on port nosuchservice\\$getaddrinfo: .*", what="pre")
client("N19", "options anywhere", [SRV, "-v", "7000", "-u", "8000"], "hitting udp s:7000$hitting udp s:8000", what="o")
client("N23", "-4 and -6 together: the last one counts", ["-4", "-6", "fd77::1", "7000"], "tcp/7000=S | rc=0 | ipv6", what="pr6")
client("N24", "long options", ["--udp", "--delay", "1", "--ipv4", "--verbose", SRV, "7000"], "udp/7000=00 | hitting udp s:7000", what="po")
client("N09", "-d: the pause after every hit, the last one too", ["-d", "300", SRV, "7000", "8000"], "tcp/7000=S tcp/8000=S | 0.6s", what="pt")
client("N25", "a port with leading zeros", [SRV, "007000"], "tcp/7000=S | rc=0", what="pr")
client("N26", "a port in hex", [SRV, "0x1b58"], "re:- \\| rc=1 \\| Failed to resolve hostname 's' on port 0x1b58\\$getaddrinfo: .*", what="pre")
client("N27", "an empty port is 0", [SRV, ""], "tcp/0=S | rc=0", what="pr")
client("N28", "-d with text: the number it begins with", ["-d", "1.5", SRV, "7000"], "tcp/7000=S | rc=0", what="pr")
client("N29", "short forms of addresses", ["10.77.1", "7000"], "tcp/7000=S | rc=0", what="pr")
client("N30", "an IPv6 address in brackets", ["[fd77::1]", "7000"],
       "re:- \\| rc=1 \\| Failed to resolve hostname '\\[s6\\]' on port 7000\\$getaddrinfo: .*", what="pre")
client("N31", "port 65535", [SRV, "65535"], "tcp/65535=S | rc=0", what="pr")
client("N32", "port 65536", [SRV, "65536"], "tcp/0=S | rc=0", "changed", "- | rc=1", what="pr")
client("N33", "a plus sign", [SRV, "+7000"], "tcp/7000=S | rc=0", what="pr")
client("N34", "a service as UDP", [SRV, "ssh:udp"], "udp/22=00 | rc=0", what="pr")
client("N35", "what follows -- is no option", ["--", SRV, "7000", "-v"],
       "re:tcp/7000=S \\| rc=1 \\|  \\| Failed to resolve hostname 's' on port -v\\$getaddrinfo: .*", what="proe")
client("N36", "an option that may mean two", ["--ver", SRV, "7000"], "- | rc=1 | usage: knock [options] <host> <port[:proto]> [port[:proto]] ...", what="pro")
client("N37", "-V beside a host", ["-V", SRV, "7000"], "- | rc=0 | knock 0.8$Copyright (C) 2004-2012 Judd Vinet <jvinet@zeroflux.org>", what="pro")
client("N38", "a protocol that is cut short is TCP", [SRV, "7000:"], "tcp/7000=S | rc=0", "quirk", what="pr")
client("N39", "a third field is no protocol: TCP", [SRV, "7000:udp:tcp"], "tcp/7000=S | rc=0", "quirk", what="pr")
client("N40", "to the broadcast address", ["-u", "10.77.0.255", "7000"], "- | rc=0 | ", what="pre")
client("N41", "forty hits", [SRV] + [str(port) for port in range(7000, 7040)],
       " ".join("tcp/%d=S" % port for port in range(7000, 7040)) + " | rc=0", what="pr")
client("N42", "options in one word", ["-uvd10", SRV, "7000"], "udp/7000=00 | rc=0 | hitting udp s:7000", what="pro")
