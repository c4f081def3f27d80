"""Hand-made Ethernet/IP/TCP/UDP frames (stdlib only)."""
import socket
import struct

SRV_MAC = bytes.fromhex("027700000001")
CLI_MAC = bytes.fromhex("027700000002")

FLAG = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32, "E": 64, "C": 128}


def csum(data):
    if len(data) & 1:
        data += b"\0"
    s = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while s >> 16:
        s = (s & 0xFFFF) + (s >> 16)
    return ~s & 0xFFFF


def flagbits(flags):
    return sum(FLAG[c] for c in flags)


def l4(proto, src, dst, sport, dport, flags, payload, v6, badsum, seq=0x1000):
    if proto == "tcp":
        seg = struct.pack("!HHIIBBHHH", sport, dport, seq, 0, 5 << 4, flagbits(flags), 1024, 0, 0) + payload
        num, off = 6, 16
    else:
        seg = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
        num, off = 17, 6
    fam = socket.AF_INET6 if v6 else socket.AF_INET
    s, d = socket.inet_pton(fam, src), socket.inet_pton(fam, dst)
    if v6:
        ph = s + d + struct.pack("!IHBB", len(seg), 0, 0, num)
    else:
        ph = s + d + struct.pack("!BBH", 0, num, len(seg))
    c = csum(ph + seg)
    if badsum:
        c ^= 0x5555
    if proto == "udp" and c == 0:
        c = 0xFFFF
    return num, seg[:off] + struct.pack("!H", c) + seg[off + 2:]


def ipv4(src, dst, proto, body, ttl=64, frag=0, options=b"", ident=1, badsum=False):
    assert len(options) % 4 == 0
    ihl = 5 + len(options) // 4
    h = struct.pack("!BBHHHBBH4s4s", (4 << 4) | ihl, 0, ihl * 4 + len(body), ident, frag, ttl, proto, 0,
                    socket.inet_aton(src), socket.inet_aton(dst)) + options
    c = csum(h)
    if badsum:
        c ^= 0x5555
    return h[:10] + struct.pack("!H", c) + h[12:] + body


def ipv6(src, dst, proto, body, hops=64, ext=None):
    """ext: None or a next-header number (0 hop-by-hop, 60 dest options, 44 fragment) put in front of the body."""
    if ext is not None:
        if ext == 44:
            hdr = struct.pack("!BBHI", proto, 0, 1, 7)
        else:
            hdr = bytes([proto, 0, 1, 4, 0, 0, 0, 0])
        body, proto = hdr + body, ext
    return struct.pack("!IHBB", 6 << 28, len(body), proto, hops) + socket.inet_pton(socket.AF_INET6, src) + \
        socket.inet_pton(socket.AF_INET6, dst) + body


def frame(proto, src, dst, dport, sport=40000, flags="S", payload=b"", ttl=64, frag=0, options=b"", badsum=False,
          ext=None, vlan=None, dmac=SRV_MAC, smac=CLI_MAC, rawip=False, seq=0x1000):
    v6 = ":" in src
    num, seg = l4(proto, src, dst, sport, dport, flags, payload, v6, badsum, seq)
    if v6:
        ip, et = ipv6(src, dst, num, seg, ttl, ext), 0x86DD
    else:
        ip, et = ipv4(src, dst, num, seg, ttl, frag, options, badsum=badsum), 0x0800
    if rawip:
        return ip
    tag = struct.pack("!HH", 0x8100, vlan) if vlan is not None else b""
    return dmac + smac + tag + struct.pack("!H", et) + ip


def parse(fr):
    """-> (proto, src, dst, dport, flags/payload) of an Ethernet frame, or None"""
    if len(fr) < 14:
        return None
    et = struct.unpack("!H", fr[12:14])[0]
    b = fr[14:]
    if et == 0x0800:
        ihl, pr = (b[0] & 15) * 4, b[9]
        src, dst = socket.inet_ntoa(b[12:16]), socket.inet_ntoa(b[16:20])
        tot = struct.unpack("!H", b[2:4])[0]
        t = b[ihl:tot]
    elif et == 0x86DD:
        pr, src, dst = b[6], socket.inet_ntop(socket.AF_INET6, b[8:24]), socket.inet_ntop(socket.AF_INET6, b[24:40])
        t = b[40:40 + struct.unpack("!H", b[4:6])[0]]
    else:
        return None
    if pr == 6:
        fl = "".join(k for k, v in FLAG.items() if t[13] & v)
        return "tcp", src, dst, struct.unpack("!H", t[2:4])[0], fl
    if pr == 17:
        return "udp", src, dst, struct.unpack("!H", t[2:4])[0], t[8:].hex()
    return None
