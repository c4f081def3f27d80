#!/usr/bin/env python3
"""Derive the test vectors of the knock datagram (suite 1) without the Rust code.

    derive.py           derive every file of spa/positive and spa/negative again; exit 1 and name what differs
    derive.py --write   write them

suite1.py is the protocol, cases.py the cases. The files are described in spa/README.md. Needs python3-cryptography.
"""
import argparse
import json
import pathlib
import sys

import cases
import suite1

FOLDER = pathlib.Path(__file__).resolve().parent / "spa"
SECRET_INPUTS = ("d_priv", "s_priv", "e_priv", "random32", "device_psk", "gate_psk")


def to_json(value):
    """Byte strings as lower-case hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: to_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [to_json(inner) for inner in value]
    return value


def with_bytes(fields, names):
    return {key: bytes.fromhex(value) if key in names and value is not None else value for key, value in fields.items()}


def server_from(fields):
    return {"locks": [with_bytes(lock, ("s_priv", "gate_psk")) for lock in fields["locks"]],
            "registry": [with_bytes(device, ("d_pub", "device_psk")) for device in fields["registry"]],
            "doors": fields["doors"]}


def positive_case(name, about, i):
    v = suite1.build(i)
    _, record = suite1.receive(v.packet, cases.server_of(i), i["source"], i["now_us"])
    return to_json({"name": name, "about": about, "inputs": i, "derived": v.values(), "record_after": record})


def generated():
    """Every case by the path of its file."""
    made = {f"positive/{name}.json": positive_case(name, about, i) for name, about, i in cases.positive()}
    for case in cases.negative():
        made[f"negative/{case['name']}.json"] = to_json(case)
    return made


def differences(want, got, place=""):
    """Names of the fields in which two cases differ, in their order too."""
    if isinstance(want, dict) and isinstance(got, dict):
        if list(want) != list(got):
            yield f"{place or 'the case'}: other fields, or in another order"
        for key in (key for key in want if key in got):
            yield from differences(want[key], got[key], f"{place}.{key}".lstrip("."))
    elif want != got:
        yield f"{place} is {got!r}, not {want!r}"


def wrong_in_positive(case):
    """The case must follow from its own inputs."""
    inputs = with_bytes(case["inputs"], SECRET_INPUTS)
    try:
        yield from differences(positive_case(case["name"], case["about"], inputs), case)
    except suite1.Dies as end:
        yield f"dies at step {end.step}"


def wrong_in_negative(case):
    """The packet must end where the case says."""
    step, rule, plain = None, None, case["plain"]
    try:
        packet, server = bytes.fromhex(case["packet"]), server_from(case["server"])
        opened, _ = suite1.receive(packet, server, case["source"], case["now_us"])
        plain = opened.hex()
    except suite1.Dies as end:
        step, rule = end.step, end.rule
    want = {"step": step, "rule": rule, "plain": plain}
    yield from differences(want, {key: case[key] for key in want})


def check(made):
    problems = []
    for path in sorted(made.keys() | {str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*.json")}):
        if not (FOLDER / path).exists():
            problems.append(f"{path}: missing")
            continue
        case = json.loads((FOLDER / path).read_text("ascii"))
        wrong = wrong_in_positive if path.startswith("positive/") else wrong_in_negative
        found = [*wrong(case), *differences(made.get(path, case), case)]
        problems += [f"{path}: {problem}" for problem in dict.fromkeys(found)]
    return problems


def write(made):
    for path, case in made.items():
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / path).write_text(json.dumps(case, indent=2) + "\n", "ascii")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the files, then check them")
    made = generated()
    if parser.parse_args().write:
        write(made)
    problems = check(made)
    for problem in problems:
        print(problem)
    failed = len({problem.split(":")[0] for problem in problems})
    print(f"{max(len(made) - failed, 0)} passed, {failed} failed")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
