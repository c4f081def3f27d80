#!/usr/bin/env python3
"""The Verifpal models of single packet authorization: one text of the protocol, and what differs in each case.

    make.py            compare the files of verifpal/ with what comes out here; exit 1 and name those that differ
    make.py --write    write them

Names are those of the vectors (spec/vectors/spa/README.md); the receiver's own values end in `_`.
"""
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).resolve().parent / "verifpal"

PLAIN, QUANTUM = "PUBKEY", "PUBKEY[weak from phase 1]"


def lines(*parts):
    """Lines of a principal; an empty one is left out."""
    return "".join(f"\t{line}\n" for part in parts for line in part.splitlines() if line)


def principal(name, *parts):
    return f"principal {name}[\n{lines(*parts)}]\n"


def leaks(*names):
    return f"leaks {', '.join(names)}" if names else ""


def second_phase(name, does):
    return f"phase[1]\n\n{principal(name, does)}"


def queries(*asked):
    return f"queries[\n{lines(*asked)}]\n"


def model(about, *blocks):
    return "\n".join([f"// {about}\nattacker[active]\n", *(block for block in blocks if block)])


# --- a knock ----------------------------------------------------------------------------------------------------------

SECRETS = "knows private d_priv, psk, gate"
DRAWN = "generates e_priv, core"
HEDGED = """\
generates random, core
e_priv = MAC(MAC(d_priv, hedge), CONCAT(random, lock_id, core))"""


def registry(leaked, pub=PLAIN, audiences="audience", kem=False):
    """The server before a knock: its key, and the device's."""
    return principal("Server", f"knows private s_priv, {SECRETS.removeprefix('knows private ')}",
                     f"knows public {audiences}", f"s_pub = {pub}(s_priv)",
                     "knows private kem_priv\nkem_pub = PUBKEY(kem_priv)" if kem else "",
                     f"d_registered = {pub}(d_priv)", leaks(*leaked))


def seal(x="", *, pub=PLAIN, ephemeral=DRAWN, lock_id=True, ss=True, kem=False, envelope=True):
    """The device's part: sections 4 to 6 of spec/spa.md. `x` ends every name, for more than one knock."""
    server_id = "s_pub, HASH(kem_pub)" if kem else "s_pub"
    text = f"""\
k_tag, k_mask, lock_id = HKDF(gate, CONCAT({server_id}, audience), nil)
{ephemeral}
e_pub = {pub}(e_priv)
{KEM_SEAL if kem else ""}
h_name = HASH(name)
h_prologue = HASH(h_name, label{", lock_id" if lock_id else ""})
h_s = HASH(h_prologue, s_pub)
{KEM_MIX if kem else ""}
h_e = HASH({"h_kem" if kem else "h_s"}, e_pub)
ck_e, k_e = HKDF({"ck_kem" if kem else "h_name"}, e_pub, nil)
ck_es, k_es = HKDF(ck_e, DH_KEX(s_pub, e_priv), nil)
cs = AEAD_ENC(k_es, zero, d_pub, h_e)
h_cs = HASH(h_e, cs)
{"ck_ss, k_ss = HKDF(ck_es, DH_KEX(s_pub, d_priv), nil)" if ss else ""}
ck_psk, t_psk, k_psk = HKDF({"ck_ss" if ss else "ck_es"}, psk, nil)
h_psk = HASH(h_cs, t_psk)
cp = AEAD_ENC(k_psk, zero, core, h_psk)
{ENVELOPE.replace("HEAD", "CONCAT(e_pub, kct)" if kem else "e_pub") if envelope else ""}"""
    return renamed(text, x)


ENVELOPE = """\
me = ENC(HASH(k_mask, cs, cp), HEAD)
tag = MAC(k_tag, CONCAT(me, cs, cp))"""
# Suite 2: the secret of the KEM goes in as psk0, behind the pre-message.
KEM_SEAL = """\
generates coins
kss, kct = KEM_ENCAP(kem_pub, coins)
psk0 = MAC(kss, CONCAT(HASH(kem_pub), kct))"""
KEM_MIX = """\
ck_kem, t_kem, k_kem = HKDF(h_name, psk0, nil)
h_kem = HASH(h_s, t_kem)"""
KEM_OPEN = """\
kss = KEM_DECAP(kem_priv, kct)
psk0 = MAC(kss, CONCAT(HASH(kem_pub), kct))"""

# What has one name for everybody, and the one word of Verifpal's in these lines.
SHARED = ("s_pub", "s_priv", "d_priv", "psk", "gate", "d_registered", "name", "label", "hedge", "zero", "kem_pub",
          "kem_priv", "nil", "generates")


def renamed(text, x, sent=()):
    """Ends every name but the shared ones with `x`. To the receiver all is its own, with a `_`, but what was `sent`."""
    own = "_" if sent else ""
    return re.sub(r"\b[a-z]\w*\b", lambda found: found[0] if found[0] in SHARED else
                  found[0] + ("" if found[0] in sent else own) + x, text)


SENT = ("me", "cs", "cp", "tag", "audience")


def open_sealed(x="", *, lock_id=True, ss=True, kem=False, envelope=True):
    """The server's part: steps 2 to 9 of section 8. `?` ends it where a check fails."""
    server_id = "s_pub, HASH(kem_pub)" if kem else "s_pub"
    text = f"""\
k_tag, k_mask, lock_id = HKDF(gate, CONCAT({server_id}, audience), nil)
{ENVELOPE_OPEN.replace("HEAD", "e_pub, kct = SPLIT(DEC(HASH(k_mask, cs, cp), me))" if kem else
                       "e_pub = DEC(HASH(k_mask, cs, cp), me)") if envelope else ""}
{KEM_OPEN if kem else ""}
h_name = HASH(name)
h_prologue = HASH(h_name, label{", lock_id" if lock_id else ""})
h_s = HASH(h_prologue, s_pub)
{KEM_MIX if kem else ""}
h_e = HASH({"h_kem" if kem else "h_s"}, e_pub)
ck_e, k_e = HKDF({"ck_kem" if kem else "h_name"}, e_pub, nil)
ck_es, k_es = HKDF(ck_e, DH_KEX(e_pub, s_priv), nil)
d_pub = AEAD_DEC(k_es, zero, cs, h_e)?
_ = ASSERT(d_pub, d_registered)?
h_cs = HASH(h_e, cs)
{"ck_ss, k_ss = HKDF(ck_es, DH_KEX(d_pub, s_priv), nil)" if ss else ""}
ck_psk, t_psk, k_psk = HKDF({"ck_ss" if ss else "ck_es"}, psk, nil)
h_psk = HASH(h_cs, t_psk)
core = AEAD_DEC(k_psk, zero, cp, h_psk)?
opened = HASH(core)"""
    return renamed(text, x, SENT if envelope else (*SENT, "e_pub"))


ENVELOPE_OPEN = """\
_ = ASSERT(MAC(k_tag, CONCAT(me, cs, cp)), tag)?
HEAD"""


def knock(about, *, leaked=(), device_leaks=(), later=None, quantum=False, kem=False, **change):
    """One knock of one device. What is `leaked` the attacker knows from the start, `later` comes in a second phase."""
    pub = QUANTUM if quantum else PLAIN
    also = {key: change[key] for key in ("ss", "lock_id") if key in change}
    if quantum and later is None:
        later = ("Server", "generates late")
    return model(
        about, registry(leaked, pub, kem=kem), f"Server -> Device: [s_pub]{', [kem_pub]' if kem else ''}\n",
        principal("Device", SECRETS, "knows public name, label, hedge, zero, audience", f"d_pub = {pub}(d_priv)",
                  seal(pub=pub, kem=kem, **change), leaks(*device_leaks)),
        "Device -> Server: me, cs, cp, tag\n",
        principal("Server", "knows public name, label, zero", open_sealed(kem=kem, **also)),
        second_phase(*later) if later else "",
        queries("confidentiality? core", "confidentiality? d_pub", "authentication? Device -> Server: cp",
                "authentication? Device -> Server: tag"))


def two_locks(about, *, lock_id):
    """One device knocks under two locks of one key. Whoever knows the gate sees through the envelope: it is left out."""
    bare = {"lock_id": lock_id, "envelope": False}
    return model(
        about, registry(("gate", "psk"), audiences="audience_a, audience_b"), "Server -> Device: [s_pub]\n",
        "Server -> Node: [s_pub], [d_registered]\n",
        principal("Device", SECRETS, "knows public name, label, hedge, zero, audience_a, audience_b",
                  f"d_pub = {PLAIN}(d_priv)", *(seal(x, **bare).replace(f"d_pub{x}", "d_pub") for x in ("_a", "_b"))),
        "Device -> Server: e_pub_a, cs_a, cp_a\n", "Device -> Node: e_pub_b, cs_b, cp_b\n",
        principal("Server", "knows public name, label, zero", open_sealed("_a", **bare)),
        principal("Node", "knows private s_priv, psk, gate", "knows public name, label, zero, audience_b",
                  open_sealed("_b", **bare)),
        queries("authentication? Device -> Server: cp_a", "authentication? Device -> Node: cp_b"))


# --- a bundle ---------------------------------------------------------------------------------------------------------

def bundle(about, *, code, compared=False, quantum=False):
    """The server tells a device what it needs to know: spec/keys.md, section 4.2. Without a code psk is a constant."""
    pub = QUANTUM if quantum else PLAIN
    psk = "knows private code" if code else "knows public code"
    first = principal("Device", "knows private d_priv", f"d_pub = {pub}(d_priv)")
    sealed = principal(
        "Server", f"""\
knows private s_priv
{psk}
knows public name, label, zero
s_pub = {pub}(s_priv)
generates e_priv, content
e_pub = {pub}(e_priv)
h_name = HASH(name)
h_d = HASH(HASH(h_name, label), d_pub)
h_e = HASH(h_d, e_pub)
ck_e, k_e = HKDF(h_name, e_pub, nil)
ck_es, k_es = HKDF(ck_e, DH_KEX(d_pub, e_priv), nil)
cs = AEAD_ENC(k_es, zero, s_pub, h_e)
h_cs = HASH(h_e, cs)
ck_ss, k_ss = HKDF(ck_es, DH_KEX(d_pub, s_priv), nil)
ck_psk, t_psk, k_psk = HKDF(ck_ss, code, nil)
h_psk = HASH(h_cs, t_psk)
cp = AEAD_ENC(k_psk, zero, content, h_psk)""")
    opened = principal(
        "Device", psk, f"""\
knows public name, label, zero
h_name_ = HASH(name)
h_d_ = HASH(HASH(h_name_, label), d_pub)
h_e_ = HASH(h_d_, e_pub)
ck_e_, k_e_ = HKDF(h_name_, e_pub, nil)
ck_es_, k_es_ = HKDF(ck_e_, DH_KEX(e_pub, d_priv), nil)
s_pub_ = AEAD_DEC(k_es_, zero, cs, h_e_)?
{"_ = ASSERT(s_pub_, s_pub)?" if compared else ""}
h_cs_ = HASH(h_e_, cs)
ck_ss_, k_ss_ = HKDF(ck_es_, DH_KEX(s_pub_, d_priv), nil)
ck_psk_, t_psk_, k_psk_ = HKDF(ck_ss_, code, nil)
h_psk_ = HASH(h_cs_, t_psk_)
content_ = AEAD_DEC(k_psk_, zero, cp, h_psk_)?
taken = HASH(content_)""")
    return model(
        about, first, "Device -> Server: [d_pub]\n", sealed,
        f"Server -> Device: e_pub, cs, cp{', [s_pub]' if compared else ''}\n", opened,
        second_phase("Server", "generates late") if quantum else "",
        queries("confidentiality? content", "authentication? Server -> Device: cp"))


# --- cases ------------------------------------------------------------------------------------------------------------

def cases():
    """(name, text) of every model."""
    known = ("gate", "psk")
    yield "01_outsider", knock("An outsider: knows nothing but the server's and the device's traffic.")
    yield "02_insider", knock("An insider: knows the gate.", leaked=("gate",))
    yield "03_insider_no_psk", knock("An insider, and the device has no pre-shared key.", leaked=known)
    yield "04_insider_knows_device", knock(
        "As 03, and he knows the device's public key: he has no ss.", leaked=(*known, "d_registered"))
    yield "05_without_ss", knock(
        "Twin of 04: a protocol without ss, in which whoever names a device is that device.",
        leaked=(*known, "d_registered"), ss=False)
    yield "06_server_key", knock(
        "The server's key is stolen, and there is no pre-shared key: everything falls.",
        leaked=(*known, "s_priv", "d_registered"))
    yield "07_server_key_psk_kept", knock(
        "The server's key is stolen, the device's pre-shared key is not.", leaked=("gate", "s_priv", "d_registered"))
    yield "08_device_key_later", knock(
        "The device's key is stolen after the knock.", leaked=known, later=("Device", "leaks d_priv"))
    yield "09_device_and_ephemeral_key_later", knock(
        "Twin of 08: the ephemeral key was kept, and is stolen too.", leaked=known,
        later=("Device", "leaks d_priv, e_priv"))
    yield "10_server_key_later", knock(
        "The server's key is stolen after the knock, and there is no pre-shared key.", leaked=known,
        later=("Server", "leaks s_priv"))
    yield "11_server_key_later_psk_kept", knock(
        "The server's key is stolen after the knock, the device's pre-shared key is not.", leaked=("gate",),
        later=("Server", "leaks s_priv"))
    yield "12_quantum_later", knock("Discrete logarithms fall after the knock; gate and psk are secret.", quantum=True)
    yield "13_quantum_later_gate_known", knock(
        "Discrete logarithms fall after the knock; the gate is known.", quantum=True, leaked=("gate",))
    yield "14_quantum_later_both_known", knock(
        "Discrete logarithms fall after the knock; gate and psk are known.", quantum=True, leaked=known)
    yield "15_random_known", knock(
        "The device's random generator is the attacker's; the ephemeral key is hedged.", leaked=known,
        ephemeral=HEDGED, device_leaks=("random",))
    yield "16_random_known_unhedged", knock(
        "Twin of 15: the random bytes are the ephemeral key.", leaked=known, device_leaks=("e_priv",))
    yield "20_two_locks", two_locks(
        "An insider takes a knock under one lock to another of the same key.", lock_id=True)
    yield "21_two_locks_without_lock_id", two_locks("Twin of 20: the prologue names no lock.", lock_id=False)
    yield "30_suite2_quantum_later", knock(
        "Suite 2 (reserved): discrete logarithms fall after the knock; gate and psk are known.", quantum=True, kem=True,
        leaked=known)
    yield "31_suite2_kem_key_later", knock(
        "Twin of 30: the key of the KEM is stolen too.", quantum=True, kem=True, leaked=known,
        later=("Server", "leaks kem_priv"))
    yield "40_bundle", bundle(
        "A bundle by an open way; the user compares the sender's key.", code=False, compared=True)
    yield "41_bundle_unchecked", bundle("Twin of 40 and 42: the user compares nothing.", code=False)
    yield "42_bundle_code", bundle("A bundle sealed with a one-time code; the user compares nothing.", code=True)
    yield "43_bundle_quantum_later", bundle(
        "As 40, recorded; discrete logarithms fall later.", code=False, compared=True, quantum=True)
    yield "44_bundle_code_quantum_later", bundle(
        "As 42, recorded; discrete logarithms fall later.", code=True, quantum=True)


def differences():
    """Names of the files that are not as made here."""
    made = {f"{name}.vp": text for name, text in cases()}
    there = {path.name: path.read_text("ascii") for path in FOLDER.glob("*.vp")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main():
    if sys.argv[1:] == ["--write"]:
        for name, text in cases():
            (FOLDER / f"{name}.vp").write_text(text, "ascii")
    for name in differences():
        print(f"verifpal/{name}: not as made by make.py")
    sys.exit(bool(differences()))


if __name__ == "__main__":
    main()
