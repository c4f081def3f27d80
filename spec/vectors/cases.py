"""The cases of spec/vectors/spa: what goes in, and what must become of it.

Every secret is SHA-256 of the case's name and the secret's, so the same cases come out of every run.
"""
import hashlib

from suite1 import (BOUND, DH, HKDF, HMAC, OPS, PUB, SUITE, U64_MAX, XOR, ZERO32, address16, build, core_of,
                    door_hash, gate_ikm, replay_rule)

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
OUTER4, OUTER6 = "198.51.100.23", "2001:db8::17"
P = 2**255 - 19


def rand(name, what):
    return hashlib.sha256(f"{name}/{what}".encode("ascii")).digest()


OTHER_S, OTHER_D, OTHER_GATE, OTHER_PSK = (rand("other", key) for key in ("s_priv", "d_priv", "gate_psk", "device_psk"))


def knock(name, **change):
    """The inputs of a good knock: device PSK and gate PSK on, nothing else special."""
    good = {key: rand(name, key) for key in ("d_priv", "s_priv", "e_priv")} | {"random32": None}
    good |= {key: rand(name, key) for key in ("device_psk", "gate_psk")} | {"audience": ""}
    good |= {"op": "open", "duration": 30, "door": "ssh", "time_us": NOW, "address": None, "padding": 0,
             "source": OUTER4, "now_us": NOW, "record": {"floor": 0, "recent": []}}
    return good | change


def server_of(i):
    """The server that the knock of these inputs is meant for."""
    lock = {key: i[key] for key in ("s_priv", "gate_psk", "audience")}
    device = {"d_pub": PUB(i["d_priv"]), "device_psk": i["device_psk"], "record": i["record"]}
    return {"locks": [lock], "registry": [device], "doors": [i["door"] or "ssh"]}


def record_after(*times):
    record = {"floor": 0, "recent": []}
    for t in times:
        record = replay_rule(t, record, t)
    return record


# --- positive ---------------------------------------------------------------------------------------------------------

def positive():
    """(name, about, inputs) of every knock that is accepted."""
    yield "vector-1", "The worked example of the specification: open, bound to an IPv4 address, no gate PSK.", {
        **knock("vector-1"), "e_priv": b"\x11" * 32, "d_priv": b"\x22" * 32, "s_priv": b"\x33" * 32,
        "device_psk": b"\x44" * 32, "gate_psk": ZERO32, "address": "203.0.113.7", "source": "203.0.113.7"}
    for name, about, change in (*secrets(), *places(), *requests(), *ephemerals(), *times()):
        yield name, about, knock(name, **change)


def secrets():
    yield "psk-none", "Neither device PSK nor gate PSK: both are 32 zero bytes.", {
        "device_psk": ZERO32, "gate_psk": ZERO32}
    yield "psk-device", "Device PSK only.", {"gate_psk": ZERO32}
    yield "psk-gate", "Gate PSK only.", {"device_psk": ZERO32}
    yield "psk-both", "Device PSK and gate PSK, as set up by default.", {}
    yield "audience-node", "An audience names the node.", {"audience": "node-7.example"}
    yield "audience-64", "The longest audience.", {"audience": ("cluster-" * 8)}
    for padding in (1, 56, 1088):
        yield f"padding-{padding}", f"Padding of {padding}: {144 + padding} bytes.", {"padding": padding}


def places():
    yield "v4-observed", "Not bound: what would be opened is the outer address, an IPv4 one.", {}
    yield "v4-bound", "Bound to the outer IPv4 address.", {"address": OUTER4}
    yield "v4-bound-mapped-source", "A socket of IPv6 shows the IPv4 source in its mapped form: the same address.", {
        "address": OUTER4, "source": f"::ffff:{OUTER4}"}
    yield "v6-observed", "Not bound, from an IPv6 address.", {"source": OUTER6}
    yield "v6-bound", "Bound to the outer IPv6 address.", {"address": OUTER6, "source": OUTER6}


def requests():
    yield "op-close", "Close this device's openings of the door.", {"op": "close", "duration": 0, "padding": 17}
    yield "op-hello", "Hello: no door.", {"op": "hello", "duration": 0, "door": None, "padding": 40}
    yield "duration-0", "The door's default duration.", {"duration": 0}
    yield "duration-65535", "The longest duration that can be asked for.", {"duration": 65535}
    yield "door-other", "Another door, a name with other signs.", {"door": "web.admin_2 (test)"}


def ephemerals():
    same = {key: rand("hedged", key) for key in ("d_priv", "s_priv", "random32", "device_psk", "gate_psk")}
    same |= {"e_priv": None}
    yield "hedged", "The ephemeral key is derived from random32.", same
    yield "hedged-later", "Keys and random32 of `hedged`, a microsecond later: another ephemeral key.", {
        **same, "time_us": NOW + 1}
    yield "hedged-padded", "Keys and random32 of `hedged`, one byte of padding: another ephemeral key.", {
        **same, "padding": 1}
    yield "hedged-audience", "Keys and random32 of `hedged`, another lock: another ephemeral key.", {
        **same, "audience": "node-7.example"}


def times():
    yield "time-oldest", "R1: the oldest time that is accepted.", {"time_us": NOW - 60 * SECOND}
    yield "time-newest", "R1: the newest time that is accepted.", {"time_us": NOW + 60 * SECOND}
    yield "record-overtaken", "An older knock within the slack is accepted after a newer one.", {
        "record": record_after(NOW + 400_000)}
    yield "record-newer", "A knock newer by more than the slack drops the older one from the record.", {
        "record": record_after(NOW - 400_001)}
    yield "record-full", "The seventeenth time within the slack: the oldest makes room and becomes the floor.", {
        "record": record_after(*(NOW - 20 + n for n in range(16)))}
    yield "record-full-between", "The seventeenth time again, this one in the midst of the others.", {
        "record": record_after(*(NOW - 15 + 2 * n for n in range(16)))}


# --- negative ---------------------------------------------------------------------------------------------------------

def bad(name, step, why, *, rule=None, inputs=None, forge=None, mangle=None, change=None):
    """A case made from a good knock.

    `inputs` change the knock, `forge` gives values that stand in for computed ones, `mangle` changes the finished
    packet, `change` the server; the last three are given the trace of the knock before them.
    """
    i = knock(name, **(inputs or {}))
    v = build(i)
    if forge:
        v = build(i, **forge(v))
    packet = mangle(v) if mangle else v.packet
    server = server_of(i)
    if change:
        change(server, v)
    return {"name": name, "why": why, "step": step, "rule": rule, "server": server, "source": i["source"],
            "now_us": i["now_us"], "plain": v.plain if step is None or step > 10 else None, "packet": packet}


def negative():
    for group in (lengths, flips, gates, transcripts, low_order, odd_points, devices, malformed, malformed_rest, clocks,
                  replays, refusals):
        yield from group()


def noise_bytes(name, n):
    return b"".join(rand(name, str(k)) for k in range(n // 32 + 1))[:n]


def flip(data, offset, bit=1):
    return data[:offset] + bytes([data[offset] ^ bit]) + data[offset + 1:]


def retag(v, body):
    """As an insider does it: the tag over whatever the body has become."""
    return body + HMAC(v.k_tag, body)[:16]


def lengths():
    for n in (0, 1, 143, 1233, 1500):
        yield bad(f"length-{n}", 1, f"{n} bytes.", mangle=lambda v, n=n: noise_bytes("length", n))
    yield bad("length-143-cut", 1, "The shortest knock without its last byte.", mangle=lambda v: v.packet[:-1])
    yield bad("length-1233-grown", 1, "A knock of 1232 bytes and one more: must not pass for its first 1232.",
              inputs={"padding": 1088}, mangle=lambda v: v.packet + b"\0")
    for n in (144, 1232):
        yield bad(f"random-{n}", 2, f"{n} bytes without meaning.", mangle=lambda v, n=n: noise_bytes("random", n))
    yield bad("zeros-144", 2, "144 zero bytes.", mangle=lambda v: bytes(144))
    yield bad("grown", 2, "One byte follows the tag.", mangle=lambda v: v.packet + b"\0")
    padded = {"padding": 56}
    yield bad("cut-last", 2, "The last byte is missing.", inputs=padded, mangle=lambda v: v.packet[:-1])
    yield bad("cut-first", 2, "The first byte is missing.", inputs=padded, mangle=lambda v: v.packet[1:])
    yield bad("cut-to-144", 2, "A knock of 200 bytes cut to 144.", inputs=padded, mangle=lambda v: v.packet[:144])
    yield bad("cut-padding-retagged", 7, "Padding cut out, tagged again: unmasks to another E.", inputs=padded,
              mangle=lambda v: retag(v, v.packet[:-16 - 56]))
    yield bad("cut-padding-remasked", 9, "Padding cut out of cp, masked and tagged again.", inputs=padded,
              forge=lambda v: {"cp": v.cp[:32] + v.cp[-16:]})


def flips():
    regions = {"me-first": 0, "me-last": 31, "cs-first": 32, "cs-tag": 79, "cp-core": 80, "cp-padding": 122,
               "cp-tag": 183, "tag-first": 184, "tag-last": 199}
    padded = {"padding": 56}
    for region, offset in regions.items():
        yield bad(f"flip-{region}", 2, f"Byte {offset} of 200 changed.", inputs=padded,
                  mangle=lambda v, offset=offset: flip(v.packet, offset))
    for region, offset in regions.items():
        if offset < 184:
            yield bad(f"flip-{region}-retagged", 7, f"Byte {offset} of 200 changed and tagged again: another E.",
                      inputs=padded, mangle=lambda v, offset=offset: retag(v, flip(v.packet[:-16], offset)))
    for region, offset in (("cs-first", 0), ("cs-tag", 47)):
        yield bad(f"flip-{region}-remasked", 7, f"Byte {offset} of cs changed, masked and tagged again: E is right.",
                  inputs=padded, forge=lambda v, offset=offset: {"cs": flip(v.cs, offset)})
    for region, offset in (("cp-core", 0), ("cp-padding", 42), ("cp-tag", 103)):
        yield bad(f"flip-{region}-remasked", 9, f"Byte {offset} of cp changed, masked and tagged again: E and cs hold.",
                  inputs=padded, forge=lambda v, offset=offset: {"cp": flip(v.cp, offset)})


def gates():
    """Tags of another lock."""
    def other(**values):
        return lambda server, v: server["locks"][0].update(values)
    yield bad("lock-other-key", 2, "Tagged for another server key.", change=other(s_priv=OTHER_S))
    yield bad("lock-other-gate-psk", 2, "Tagged under another gate PSK.", change=other(gate_psk=OTHER_GATE))
    yield bad("lock-no-gate-psk", 2, "Tagged without a gate PSK, the lock has one.", inputs={"gate_psk": ZERO32},
              change=other(gate_psk=OTHER_GATE))
    yield bad("lock-other-audience", 2, "Tagged for another audience.", inputs={"audience": "node-7.example"},
              change=other(audience="node-8.example"))
    yield bad("lock-no-audience", 2, "Tagged without an audience, the lock has one.",
              change=other(audience="node-7.example"))
    yield bad("lock-none", 2, "The server has no live lock.", change=lambda server, v: server["locks"].clear())
    yield bad("lock-other-suite", 2, "Gate keys of suite 2.",
              forge=lambda v: gate_of(v.ikm.replace(b"gate" + SUITE, b"gate\x02"),
                                      rand("lock-other-suite", "gate_psk")))


def gate_of(ikm, gate_psk):
    """Tag and mask of another lock around a core that keeps its own."""
    return dict(zip(("k_tag", "k_mask"), HKDF(gate_psk, ikm, 2)))


def transcripts():
    """An insider puts one lock's inner message under another lock's tag, or changes what is hashed."""
    def rewrapped(name, why, own, **values):
        def forge(v):
            lock = {"gate_psk": rand(name, "gate_psk"), "audience": "", **values}
            return gate_of(gate_ikm(v.s_pub, lock["audience"]), lock["gate_psk"])

        def change(server, v):
            server["locks"].append({**server["locks"][0], **values})
        return bad(name, 7, why, inputs=own, forge=forge, change=change)
    yield rewrapped("rewrapped-audience", "Made for one audience, tagged for another; both locks are live.", {},
                    audience="node-7.example")
    yield rewrapped("rewrapped-gate-psk", "Made under one gate PSK, tagged under another; both locks are live.", {},
                    gate_psk=OTHER_GATE)
    yield bad("rewrapped-key", 7, "Made for one server key, tagged for another.",
              forge=lambda v: gate_of(gate_ikm(PUB(OTHER_S), ""), rand("rewrapped-key", "gate_psk")),
              change=lambda server, v: server["locks"].append({**server["locks"][0], "s_priv": OTHER_S}))
    yield bad("prologue-suite", 7, "The prologue names suite 2.",
              forge=lambda v: {"prologue": v.prologue.replace(b"knock" + SUITE, b"knock\x02")})
    yield bad("prologue-label", 7, "The prologue of a bundle.", forge=lambda v: {"prologue": b"aldaba v1 bundle"})
    yield bad("prologue-lock", 7, "The prologue names no lock.", forge=lambda v: {"prologue": v.prologue[:16]})


def le(number):
    return number.to_bytes(32, "little")


ORDER_8A = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
ORDER_8B = bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")
LOW_ORDER = {"zero": le(0), "one": le(1), "order-8-a": ORDER_8A, "order-8-b": ORDER_8B, "p-minus-1": le(P - 1),
             "p": le(P), "p-plus-1": le(P + 1)}
TOP_BIT = bytes(31) + b"\x80"
BASE = le(9)  # whose shared secret with a server is the server's public key
BASE_AGAIN = le(P + 9)


def low_order():
    """Sealed around the all-zero secret, as whoever wants it accepted would."""
    for point, encoding in LOW_ORDER.items():
        for suffix, e_pub in (("", encoding), ("-top-bit", XOR(encoding, TOP_BIT))):
            yield bad(f"e-low-order-{point}{suffix}", 6, "E is a point of small order; the rest is sealed with es = 0.",
                      forge=lambda v, e_pub=e_pub: {"e_pub": e_pub, "es": ZERO32})
    for point, encoding in LOW_ORDER.items():
        yield bad(f"d-low-order-{point}", 8, "D is a point of small order, sealed with ss = 0; not in the registry.",
                  forge=lambda v, d_pub=encoding: {"d_pub": d_pub, "ss": ZERO32})
    yield bad("d-low-order-registered", 9, "D = 0 stands in the registry, where it should never get: all-zero ss.",
              forge=lambda v: {"d_pub": ZERO32, "ss": ZERO32},
              change=lambda server, v: server["registry"][0].update(d_pub=ZERO32))


def odd_points():
    """Second encodings of good points."""
    yield bad("e-top-bit", 7, "E with its top bit set, masked and tagged again: the same point, another h.",
              forge=lambda v: {"me": XOR(XOR(v.e_pub, TOP_BIT), v.keystream)})
    yield bad("e-top-bit-hashed", None, "Accepted: the top bit of E is set from the start. X25519 ignores it.",
              forge=lambda v: {"e_pub": XOR(v.e_pub, TOP_BIT)})
    yield bad("e-non-canonical-hashed", None, "Accepted: E = p + 9 from the start. X25519 reduces it.",
              forge=lambda v: {"e_pub": BASE_AGAIN, "es": v.s_pub})
    yield bad("d-top-bit", 8, "D with its top bit set, correctly sealed: the same point, another key.",
              forge=lambda v: {"d_pub": XOR(v.d_pub, TOP_BIT)})
    yield bad("d-non-canonical", 8, "D = p + 9, correctly sealed; the registry has 9, the same point.",
              forge=lambda v: {"d_pub": BASE_AGAIN, "ss": v.s_pub},
              change=lambda server, v: server["registry"][0].update(d_pub=BASE))


def devices():
    def psk(value):
        return lambda server, v: server["registry"][0].update(device_psk=value)
    yield bad("device-unknown", 8, "The registry is empty.", change=lambda server, v: server["registry"].clear())
    yield bad("device-other", 8, "The registry has another device.",
              change=lambda server, v: server["registry"][0].update(d_pub=PUB(OTHER_D)))
    yield bad("device-psk-other", 9, "Another device PSK than the registry's.", change=psk(OTHER_PSK))
    yield bad("device-psk-missing", 9, "No device PSK, the registry has one.", inputs={"device_psk": ZERO32},
              change=psk(OTHER_PSK))
    yield bad("device-psk-unasked", 9, "A device PSK, the registry has none.", change=psk(ZERO32))
    yield bad("device-impersonated", 9, "An insider names another device's key; its ss is with his own.",
              forge=lambda v: {"d_pub": PUB(OTHER_D)},
              change=lambda server, v: server["registry"].append(
                  {**server["registry"][0], "d_pub": PUB(OTHER_D),
                   "device_psk": rand("device-impersonated", "device_psk")}))
    yield bad("server-key-unproven", 9, "es is right, ss is with another server key.",
              forge=lambda v: {"ss": DH(rand("server-key-unproven", "d_priv"), PUB(OTHER_S))})


def core(op="open", flags=0, duration=0, door="ssh", time=NOW, address=None):
    number = OPS[op] if isinstance(op, str) else op
    return core_of(number, flags, duration, door_hash(door), time, address16(address))


def bad_core(name, why, **fields):
    return bad(f"core-{name}", 11, why, forge=lambda v: {"core": core(**fields)})


def malformed():
    for op in (0, 4, 255):
        yield bad_core(f"op-{op}", f"Op {op}.", op=op)
    for flags in (0x02, 0x80, 0xfe):
        yield bad_core(f"flags-{flags:02x}", f"Flags {flags:#04x}.", flags=flags)
    yield bad_core("flags-03", "BOUND and a second flag.", flags=3, address=OUTER4)
    yield bad_core("bound-nowhere", "BOUND with an address of zeros.", flags=BOUND)
    yield bad_core("unbound-address", "An address without BOUND.", address=OUTER4)
    yield bad_core("unbound-address-v6", "An IPv6 address without BOUND.", address=OUTER6)
    yield bad_core("open-no-door", "Open without a door.", door=None)
    yield bad_core("close-no-door", "Close without a door.", op="close", door=None)
    yield bad_core("close-duration", "Close with a duration.", op="close", duration=1)
    yield bad_core("close-bound", "Close with BOUND and an address.", op="close", flags=BOUND, address=OUTER4)
    yield bad_core("close-flag", "Close with BOUND, without an address.", op="close", flags=BOUND)
    yield bad_core("close-address", "Close with an address, without BOUND.", op="close", address=OUTER4)
    yield bad_core("hello-door", "Hello with a door.", op="hello")
    yield bad_core("hello-duration", "Hello with a duration.", op="hello", door=None, duration=256)
    yield bad_core("hello-bound", "Hello with BOUND and an address.", op="hello", door=None, flags=BOUND,
                   address=OUTER4)
    yield bad_core("hello-flag", "Hello with BOUND, without an address.", op="hello", door=None, flags=BOUND)
    yield bad_core("hello-address", "Hello with an address, without BOUND.", op="hello", door=None, address=OUTER4)
    yield bad_core("zeros", "32 zero bytes.", op=0, door=None, time=0)


def malformed_rest():
    for padding, offset in ((1, 0), (56, 0), (56, 55), (1088, 1087)):
        yield bad(f"padding-{padding}-byte-{offset}", 11, f"Byte {offset} of {padding} bytes of padding is not zero.",
                  inputs={"padding": padding}, forge=lambda v, offset=offset: {"plain": flip(v.plain, 32 + offset)})
    yield bad("core-before-clock", 11, "Malformed and out of time: the decoder comes first.",
              forge=lambda v: {"core": core(op=4, time=0)})


def clocks():
    def at(name, why, time_us, **more):
        return bad(name, 12, why, rule="R1", inputs={"time_us": time_us, **more})
    yield at("clock-too-old", "One microsecond before the window.", NOW - 60 * SECOND - 1)
    yield at("clock-too-new", "One microsecond after the window.", NOW + 60 * SECOND + 1)
    yield at("clock-4-hours-behind", "Four hours behind.", NOW - 4 * 3600 * SECOND)
    yield at("clock-zero", "Time 0.", 0)
    yield at("clock-max", "The largest time.", U64_MAX)
    yield at("clock-before-record", "Out of time and used: R1 comes first.", NOW - 61 * SECOND,
             record=record_after(NOW - 61 * SECOND))
    yield at("clock-hello", "Hello, four hours ahead.", NOW + 4 * 3600 * SECOND, op="hello", door=None, duration=0)


def replays():
    def with_record(name, rule, why, record, **more):
        return bad(name, 13, why, rule=rule, inputs={"record": record, **more})
    yield with_record("replay-same", "R3", "The same time again.", record_after(NOW))
    yield with_record("replay-slack", "R3", "The same time again, after one newer within the slack.",
                      record_after(NOW, NOW + 400_000))
    yield with_record("replay-other-packet", "R3", "A time that is used, in a packet with another request.",
                      record_after(NOW - 1, NOW), op="close", duration=0)
    yield with_record("old-at-floor", "R2", "At the floor.", {"floor": NOW, "recent": [NOW + 400_001]})
    yield with_record("old-below-floor", "R2", "One microsecond below the floor.",
                      {"floor": NOW + 1, "recent": [NOW + 2]})
    yield with_record("old-overtaken", "R2", "Overtaken by a knock newer by more than the slack; never used.",
                      record_after(NOW + 400_001))
    yield with_record("old-used", "R2", "Used, and overtaken by a retry half a second later.",
                      record_after(NOW, NOW + 500_000))
    yield with_record("old-full", "R2", "Pushed out by sixteen newer ones within the slack.",
                      record_after(*(NOW + n for n in range(17))))
    yield with_record("old-guard", "R2", "The guard after a lost store: the floor is a minute ahead.",
                      {"floor": NOW + 60 * SECOND, "recent": []})
    yield with_record("old-time-0", "R2", "Time 0, in the window of a clock at 30 seconds: not above the first floor.",
                      {"floor": 0, "recent": []}, time_us=0, now_us=30 * SECOND)


def refusals():
    """They decode and take up their time, and open nothing."""
    addresses = {
        "v4-compatible": "::198.51.100.23", "v6-loopback": "::1", "v6-multicast": "ff02::1",
        "v6-link-local": "fe80::17", "mapped-unspecified": "0.0.0.0", "mapped-this-network": "0.1.2.3",
        "mapped-loopback": "127.0.0.1",
        "mapped-multicast": "224.0.0.1", "mapped-link-local": "169.254.7.7", "mapped-broadcast": "255.255.255.255"}
    for kind, address in addresses.items():
        yield bad(f"refused-{kind}", 16, f"Bound to {address}, and sent from there.",
                  inputs={"address": address, "source": address})
    yield bad("refused-observed-loopback", 16, "Not bound, sent from 127.0.0.1.", inputs={"source": "127.0.0.1"})
    yield bad("refused-relayed", 16, "Bound to one address, sent from another; the device may not delegate.",
              inputs={"address": "203.0.113.7"})
    yield bad("refused-relayed-family", 16, "Bound to an IPv6 address, sent from an IPv4 one.",
              inputs={"address": OUTER6})
    yield bad("refused-door", 16, "No such door.", change=lambda server, v: server.update(doors=["web"]))
    yield bad("refused-close-door", 16, "Close of a door that does not exist.", inputs={"op": "close", "duration": 0},
              change=lambda server, v: server.update(doors=["web"]))
