#!/usr/bin/env python3
"""Hold the positive vectors of the knock datagram to another implementation of Noise: Python's noiseprotocol.

    beside_noise.py    what it writes must be E || cs || cp of each vector, what it reads of them the core and the padding

It makes an environment of its own in target/noise and installs noiseprotocol there. Needs Debian's python3-venv and
python3-cryptography.
"""
import json
import os
import pathlib
import subprocess
import sys

VECTORS = pathlib.Path(__file__).resolve().parent / "spa/positive"
ENVIRONMENT = VECTORS.parents[3] / "target/noise"
TEXTS = ("audience", "op", "door", "address", "source")
NAME = b"Noise_Xpsk1_25519_ChaChaPoly_SHA256"
# The one file pip may take.
REQUIREMENT = "noiseprotocol==0.3.1 --hash=sha256:2e1a603a38439636cf0ffd8b3e8b12cee27d368a28b41be7dbe568b2abb23111\n"


def run_inside():
    """Starts this again in the environment, which it makes if it is not there."""
    python = ENVIRONMENT / "bin/python"
    if not python.exists() or subprocess.run([python, "-c", "import noise"], capture_output=True).returncode:
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--system-site-packages", ENVIRONMENT], check=True)
        wanted = ENVIRONMENT / "requirement.txt"
        wanted.write_text(REQUIREMENT, "ascii")
        pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "-r", wanted], check=True)
    # It warns of ephemeral keys that are given, as they are here.
    os.execv(python, [python, "-B", "-W", "ignore", __file__, "inside"])


def parties(inputs, derived):
    """Both sides, before the message."""
    from noise.connection import Keypair, NoiseConnection

    writer, reader = NoiseConnection.from_name(NAME), NoiseConnection.from_name(NAME)
    writer.set_as_initiator()
    reader.set_as_responder()
    writer.set_keypair_from_private_bytes(Keypair.STATIC, inputs["d_priv"])
    writer.set_keypair_from_private_bytes(Keypair.EPHEMERAL, derived["e_priv"])
    writer.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, derived["s_pub"])
    reader.set_keypair_from_private_bytes(Keypair.STATIC, inputs["s_priv"])
    for side in (writer, reader):
        side.set_psks(inputs["device_psk"])
        side.set_prologue(derived["prologue"])
        side.start_handshake()
    return writer, reader


def opened(reader, message):
    """What a message says; None where it does not open."""
    from cryptography.exceptions import InvalidTag

    try:
        return reader.read_message(message)
    except InvalidTag:
        return None


def wrong_in(case):
    inputs, derived = ({name: bytes.fromhex(value) for name, value in case[part].items()
                        if isinstance(value, str) and name not in TEXTS} for part in ("inputs", "derived"))
    message = derived["e_pub"] + derived["cs"] + derived["cp"]
    writer, reader = parties(inputs, derived)
    if writer.write_message(derived["plain"]) != message:
        yield "writes another message"
    if opened(reader, message) != derived["plain"]:
        yield "does not read it"
    elif [side.get_handshake_hash() for side in (writer, reader)] != [derived["h_cp"]] * 2:
        yield "ends with another h"
    if opened(parties(inputs, derived)[1], message[:-1] + bytes([message[-1] ^ 1])) is not None:
        yield "reads a changed message"


def main():
    failed, paths = 0, sorted(VECTORS.glob("*.json"))
    for path in paths:
        problems = list(wrong_in(json.loads(path.read_text("ascii"))))
        failed += bool(problems)
        for problem in problems:
            print(f"{path.name}: noiseprotocol {problem}")
    print(f"{len(paths) - failed} passed, {failed} failed")
    sys.exit(failed > 0 or not paths)


if __name__ == "__main__":
    main() if sys.argv[1:] == ["inside"] else run_inside()
