"""Suite 1 of the knock datagram, client and server, written from the specification alone.

It shares nothing with the Rust code. Names are those of spec/spa.md: one step of it is one line here. The client comes
first (sections 7.1, 4, 5.1, 5.2 and 6), then the server (section 8, with 7, 9.2 and 10).

Not for use: nothing is constant in time and nothing is wiped.
"""
import hashlib
import hmac
import ipaddress
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SUITE = b"\x01"
NAME = b"Noise_Xpsk1_25519_ChaChaPoly_SHA256"
OPS = {"open": 1, "close": 2, "hello": 3}
BOUND = 1
PAST = FUTURE = 60_000_000  # microseconds, as everything here
SLACK = 400_000
K = 16
U64_MAX = 2**64 - 1
NONCE0 = bytes(12)
ZERO32 = bytes(32)


# --- primitives -------------------------------------------------------------------------------------------------------

def H(data):
    return hashlib.sha256(data).digest()


def HMAC(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def HKDF(ck, ikm, n):
    """The first n outputs of Noise's HKDF."""
    temp, out = HMAC(ck, ikm), [b""]
    for i in range(1, n + 1):
        out.append(HMAC(temp, out[-1] + bytes([i])))
    return out[1:]


def PUB(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def DH(private, public):
    """X25519; the library raises where the result is all zero, RFC 7748 gives the zeros."""
    try:
        return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return ZERO32


def AEAD(k, ad, plain):
    return ChaCha20Poly1305(k).encrypt(NONCE0, plain, ad)


def OPEN(k, ad, sealed):
    return ChaCha20Poly1305(k).decrypt(NONCE0, sealed, ad)


def XOR(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


# --- the core (spec/spa.md, section 7.1) ------------------------------------------------------------------------------

def door_hash(name):
    """Four bytes; None (hello) has none."""
    return H(b"aldaba v1 door" + name.encode("ascii"))[:4] if name is not None else bytes(4)


def address16(text):
    """IPv6, or IPv4 as ::ffff:a.b.c.d; None is all zero."""
    if text is None:
        return bytes(16)
    ip = ipaddress.ip_address(text)
    return ip.packed if ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed


def core_of(op, flags, duration, door, time, address):
    return struct.pack(">BBH4sQ16s", op, flags, duration, door, time, address)


def core_from(i):
    flags = 0 if i["address"] is None else BOUND
    return core_of(OPS[i["op"]], flags, i["duration"], door_hash(i["door"]), i["time_us"], address16(i["address"]))


# --- locks and gate keys (spec/spa.md, section 4) ---------------------------------------------------------------------

def gate_ikm(s_pub, audience):
    return b"aldaba v1 gate" + SUITE + s_pub + bytes([len(audience)]) + audience.encode("ascii")


# --- client -----------------------------------------------------------------------------------------------------------

class Trace:
    """The values of one packet in the order they arise; a forged one stands in for what the formula gives."""

    def __init__(self, forged):
        self.__dict__["_forged"] = forged

    def __setattr__(self, name, value):
        self.__dict__[name] = self._forged.get(name, value)

    def values(self):
        return {name: value for name, value in vars(self).items() if name != "_forged"}


def build(i, **forged):
    """The packet for the inputs `i`, with every value on the way to it."""
    v = Trace(forged)
    prepare(v, i)
    noise_core(v, i)
    envelope(v)
    return v


def prepare(v, i):
    """Keys, gate keys, plaintext and ephemeral key: spec/spa.md, sections 3, 4, 7 and 5.1."""
    v.s_pub = PUB(i["s_priv"])
    v.d_pub = PUB(i["d_priv"])
    v.ikm = gate_ikm(v.s_pub, i["audience"])
    v.k_tag, v.k_mask, v.lock_id = HKDF(i["gate_psk"], v.ikm, 3)
    v.core = core_from(i)
    v.plain = v.core + bytes(i["padding"])
    hedged = i["random32"] is not None
    v.hedge_key = HMAC(i["d_priv"], b"aldaba v1 hedge") if hedged else None
    v.e_priv = HMAC(v.hedge_key, i["random32"] + v.lock_id + v.plain) if hedged else i["e_priv"]
    v.e_pub = PUB(v.e_priv)


def noise_core(v, i):
    """The one message of Noise Xpsk1: spec/spa.md, section 5.2."""
    v.prologue = b"aldaba v1 knock" + SUITE + v.lock_id
    v.h_name = H(NAME)
    v.h_prologue = H(v.h_name + v.prologue)
    v.h_s = H(v.h_prologue + v.s_pub)
    # e
    v.h_e = H(v.h_s + v.e_pub)
    v.ck_e, v.k_e = HKDF(v.h_name, v.e_pub, 2)
    # es
    v.es = DH(v.e_priv, v.s_pub)
    v.ck_es, v.k_es = HKDF(v.ck_e, v.es, 2)
    # s
    v.cs = AEAD(v.k_es, v.h_e, v.d_pub)
    v.h_cs = H(v.h_e + v.cs)
    # ss
    v.ss = DH(i["d_priv"], v.s_pub)
    v.ck_ss, v.k_ss = HKDF(v.ck_es, v.ss, 2)
    # psk
    v.ck_psk, v.t_psk, v.k_psk = HKDF(v.ck_ss, i["device_psk"], 3)
    v.h_psk = H(v.h_cs + v.t_psk)
    # payload
    v.cp = AEAD(v.k_psk, v.h_psk, v.plain)
    v.h_cp = H(v.h_psk + v.cp)


def envelope(v):
    """spec/spa.md, section 6."""
    rest = v.cs + v.cp
    v.prk = HMAC(v.k_mask, rest)
    v.keystream = HMAC(v.prk, b"\x01")
    v.me = XOR(v.e_pub, v.keystream)
    v.mac = HMAC(v.k_tag, v.me + rest)
    v.tag = v.mac[:16]
    v.knock_id = v.mac[16:24]
    v.packet = v.me + rest + v.tag


# --- server -----------------------------------------------------------------------------------------------------------

class Dies(Exception):
    """A packet ends at this step of the processing order (and rule of the replay rule)."""

    def __init__(self, step, rule=None):
        super().__init__(step, rule)
        self.step, self.rule = step, rule


def receive(packet, server, source, now):
    """The plaintext and the device's record after an accepted packet: spec/spa.md, section 8. Raises Dies.

    The tag caches (3, 10) are empty, the budgets (4, 14) full and the store (15) works.
    """
    if not 144 <= len(packet) <= 1232:
        raise Dies(1)
    lock, gate = find_lock(packet, server["locks"])
    device, plain = open_noise(packet, lock, gate, server["registry"])
    core = decode(plain)
    record = replay_rule(core["time"], device["record"], now)
    authorize(core, source, server["doors"])
    return plain, record


def find_lock(packet, locks):
    """Step 2."""
    for lock in locks:
        gate = HKDF(lock["gate_psk"], gate_ikm(PUB(lock["s_priv"]), lock["audience"]), 3)
        if hmac.compare_digest(HMAC(gate[0], packet[:-16])[:16], packet[-16:]):
            return lock, gate
    raise Dies(2)


def open_noise(packet, lock, gate, registry):
    """Steps 5 to 9."""
    me, cs, cp = packet[:32], packet[32:80], packet[80:-16]
    e_pub = XOR(me, HMAC(HMAC(gate[1], cs + cp), b"\x01"))
    es = DH(lock["s_priv"], e_pub)
    if es == ZERO32:
        raise Dies(6)
    h = H(NAME)
    ck = HKDF(h, e_pub, 1)[0]
    for part in (b"aldaba v1 knock" + SUITE + gate[2], PUB(lock["s_priv"]), e_pub):
        h = H(h + part)
    ck, k = HKDF(ck, es, 2)
    d_pub = open_or_die(7, k, h, cs)
    h = H(h + cs)
    device = next((device for device in registry if device["d_pub"] == d_pub), None)
    if device is None:
        raise Dies(8)
    ss = DH(lock["s_priv"], d_pub)
    if ss == ZERO32:
        raise Dies(9)
    ck = HKDF(ck, ss, 1)[0]
    ck, t, k = HKDF(ck, device["device_psk"], 3)
    return device, open_or_die(9, k, H(h + t), cp)


def open_or_die(step, k, ad, sealed):
    try:
        return OPEN(k, ad, sealed)
    except InvalidTag:
        raise Dies(step) from None


def decode(plain):
    """Step 11: the fields of a valid core with zero padding (spec/spa.md, section 7)."""
    op, flags, duration, door, time, address = struct.unpack(">BBH4sQ16s", plain[:32])
    named, addressed = door != bytes(4), address != bytes(16)
    valid = (op in OPS.values() and flags in (0, BOUND) and not any(plain[32:])
             and named == (op != OPS["hello"]) and addressed == (flags == BOUND)
             and (op == OPS["open"] or (flags == 0 and duration == 0 and not addressed)))
    if not valid:
        raise Dies(11)
    return {"op": op, "door": door, "time": time, "address": address if addressed else None}


def replay_rule(t, record, now):
    """Steps 12, 13 and the record that step 15 would write (spec/spa.md, section 9.2)."""
    if not max(now - PAST, 0) <= t <= min(now + FUTURE, U64_MAX):
        raise Dies(12, "R1")
    if t <= record["floor"]:
        raise Dies(13, "R2")
    if t in record["recent"]:
        raise Dies(13, "R3")
    recent = sorted([*record["recent"], t])
    floor = max(record["floor"], recent[-1] - SLACK - 1, recent[0] if len(recent) > K else 0)
    return {"floor": floor, "recent": [used for used in recent if used > floor]}


def authorize(core, source, doors):
    """Step 16 (spec/spa.md, section 10), where every device may open every door, doors take either, nobody may delegate."""
    if core["op"] == OPS["hello"]:
        return
    if core["door"] not in [door_hash(name) for name in doors]:
        raise Dies(16)
    if core["op"] == OPS["close"]:
        return
    outer = address16(source)
    if core["address"] not in (None, outer) or unfit(outer):
        raise Dies(16)


def unfit(address):
    """No address of a host that could be let in."""
    ip = ipaddress.IPv6Address(address)
    compatible = address[:12] == bytes(12)
    ip = ip.ipv4_mapped or ip
    this_network = ip.version == 4 and ip.packed[0] == 0
    return (compatible or this_network or ip.is_loopback or ip.is_multicast or ip.is_link_local
            or ip in ipaddress.ip_network("240.0.0.0/4"))
