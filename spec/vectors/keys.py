#!/usr/bin/env python3
"""The worked example of spec/keys.md, derived from the specification alone: key texts, and one bundle sealed.

Usage: spec/vectors/keys.py     exit 1 and name the line that spec/keys.md does not hold
"""
import base64
import pathlib
import sys

from suite1 import AEAD, DH, H, HKDF, HMAC, NAME, PUB

D_PRIV, S_PRIV = b"\x22" * 32, b"\x33" * 32
DEVICE_PSK, GATE_PSK, SEED, CODE = b"\x44" * 32, b"\x55" * 32, b"\x66" * 32, b"\x77" * 16
RANDOM = b"\x01" * 32

CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
BECH32M = 0x2BC830A3


def polymod(values):
    """The checksum of BIP 173."""
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(GENERATOR):
            checksum ^= generator if top >> bit & 1 else 0
    return checksum


def key_text(prefix, key):
    """Bech32m (BIP 350)."""
    spare = -len(key) * 8 % 5
    number = int.from_bytes(key, "big") << spare
    data = [number >> shift & 31 for shift in range(len(key) * 8 + spare - 5, -1, -5)]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    checksum = polymod(expanded + data + [0] * 6) ^ BECH32M
    data += [checksum >> shift & 31 for shift in range(25, -1, -5)]
    return prefix + "1" + "".join(CHARACTERS[value] for value in data)


def layout():
    """The bundle of the example as bytes."""
    text = lambda word: bytes([len(word)]) + word
    fixed = b"\x01" + (1_800_000_000_000_000).to_bytes(8, "big") + (41_414).to_bytes(2, "big") + (60).to_bytes(2, "big")
    hosts = b"\x02" + b"\x01" + text(b"gw.example.net") + b"\x04" + bytes([192, 0, 2, 7])
    locks = b"\x01" + PUB(S_PRIV) + bytes(8) + b"\xff" * 8 + text(b"")
    doors = b"\x01" + text(b"ssh") + b"\x01" + b"\x06" + (22).to_bytes(2, "big")
    return fixed + GATE_PSK + DEVICE_PSK + hosts + locks + doors


def sealed(plain, code):
    """The Noise message from the server to the device."""
    d_pub, s_pub = PUB(D_PRIV), PUB(S_PRIV)
    e = HMAC(HMAC(S_PRIV, b"aldaba v1 hedge bundle"), RANDOM + d_pub + plain)
    h = ck = H(NAME)
    h = H(h + b"aldaba v1 bundle")
    h = H(h + d_pub)
    h = H(h + PUB(e))
    ck, _ = HKDF(ck, PUB(e), 2)
    ck, k = HKDF(ck, DH(e, d_pub), 2)
    cs = AEAD(k, h, s_pub)
    h = H(h + cs)
    ck, _ = HKDF(ck, DH(S_PRIV, d_pub), 2)
    ck, t, k = HKDF(ck, (code + bytes(32))[:32], 3)
    h = H(h + t)
    return PUB(e) + cs + AEAD(k, h, plain)


def bundle_text(message):
    """One line."""
    data = message + H(b"aldaba v1 bundle text" + message)[:4]
    return "aldaba-bundle-1:" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def opened_text(plain):
    """What a client keeps."""
    data = plain + H(b"aldaba v1 opened bundle" + plain)[:4]
    return "aldaba-opened-1:" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def main():
    keys = [("aldaba", PUB(D_PRIV)), ("aldaba-secret-", D_PRIV), ("aldaba-server-", PUB(S_PRIV)),
            ("aldaba-server-secret-", S_PRIV), ("aldaba-gate-", GATE_PSK), ("aldaba-seed-", SEED),
            ("aldaba-psk-", DEVICE_PSK), ("aldaba-code-", CODE)]
    lines = [key_text(prefix, key) for prefix, key in keys]
    lines += [layout().hex(), bundle_text(sealed(layout(), b"")), bundle_text(sealed(layout(), CODE)),
              opened_text(layout())]
    document = "".join((pathlib.Path(__file__).resolve().parent.parent / "keys.md").read_text().split())
    missing = [line for line in lines if line not in document]
    for line in missing:
        print("spec/keys.md does not hold", line)
    print(f"{len(lines) - len(missing)} passed, {len(missing)} failed")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
