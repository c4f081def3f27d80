"""Reads every knockd.conf of a folder with knockd itself and with ours, and compares what each understood.

usage: wild.py KNOCKD ALDABAD FOLDER     (as root: knockd listens on the loopback of a namespace of its own)

knockd -D prints each directive as it takes it; `aldabad check --explain` prints the policy as aldaba.toml.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def theirs(knockd, path):
    """What the original says it read: a list of doors, each a list of (directive, value); None if it refuses."""
    with tempfile.TemporaryDirectory() as folder:
        # The log must not land where the file says.
        script = 'ip link set lo up && mount -t tmpfs none /var/log && exec timeout -s INT 0.5 "$@"'
        words = ["unshare", "-nm", "sh", "-c", script, "sh", knockd, "-D", "-i", "lo", "-c", str(path)]
        run = subprocess.run(words, capture_output=True, cwd=folder, check=False, stdin=subprocess.DEVNULL)
    lines = run.stdout.decode(errors="replace").splitlines()
    if not any("interface detected" in line for line in lines):
        return None
    doors = []
    for line in lines:
        section = re.fullmatch(r"config: new section: '(.*)'", line)
        flag = re.fullmatch(r"config: tcp flag: (.*)", line)
        if section and section[1] != "options":
            doors.append((section[1], []))
        elif flag:
            doors[-1][1].append(("tcp_flag", flag[1].lower()))
        elif doors and line.startswith("config: %s: " % doors[-1][0]):
            name, _, value = line[len("config: %s: " % doors[-1][0]):].partition(": ")
            doors[-1][1].append((name, value))
    return [(name, folded(items)) for name, items in doors]


def folded(items):
    """The last of equal directives counts, and flags add up."""
    door = {}
    for name, value in items:
        if name == "tcp_flag":
            flags = door.setdefault("flags", {})
            flags[value.lstrip("!")] = value
        else:
            door[name] = value
    if "flags" in door:
        door["flags"] = set(door["flags"].values())
    return door


def seconds(text):
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhd])", text))


def strings(text):
    """The subset of TOML that --explain writes: Python 3.9 has no reader for it."""
    doors, keys = [], {}
    for line in text.splitlines():
        if line == "[[door]]":
            keys = {}
            doors.append(keys)
        elif " = " in line and not line.startswith("#"):
            name, _, value = line.partition(" = ")
            if value.startswith('"'):
                value = re.sub(r'\\(["\\])', r"\1", value[1:-1])
            elif value.startswith("'"):
                value = value[1:-1]
            keys[name] = value
    return doors


def ours(aldabad, path):
    run = subprocess.run([aldabad, "check", "--explain", str(path)], capture_output=True, text=True, check=False)
    return strings(run.stdout) if run.returncode == 0 else None


def differences(door, ours_door):
    """Directives that mean something else to us."""
    line, line6 = ours_door.get("start-line"), ours_door.get("start-line-v6", ours_door.get("start-line"))
    stop, stop6 = ours_door.get("stop-line"), ours_door.get("stop-line-v6", ours_door.get("stop-line"))
    sequence = ",".join(step if ":" in step else step + ":tcp" for step in ours_door["sequence"].split(","))
    seen = {
        "sequence": sequence,
        "seq_timeout": seconds(ours_door["sequence-timeout"]),
        "flags": set(ours_door.get("tcp-flags", "any").split(",")),
        "start_command": line or "", "start_command_6": line6 or "",
        "stop_command": stop or "", "stop_command_6": stop6 or "",
        "cmd_timeout": -1 if "never-stop" in ours_door else seconds(ours_door.get("lease", "10s")),
        "target": ours_door.get("target", "").lower(),
    }
    for name, value in door.items():
        if name == "target":
            continue  # Written differently by both; the cases of tests/compat cover it.
        if name in ("seq_timeout", "cmd_timeout"):
            value = max(float(value), -1)
        if name in seen and seen[name] != value:
            yield "%s is %r, ours %r" % (name, value, seen[name])


def compare(knockd, aldabad, path):
    original, doors = theirs(knockd, path), ours(aldabad, path)
    if original is None:
        return []  # What the original refuses is for the tests of crates/config.
    if doors is None:
        return ["refused by ours"]
    if [name for name, _ in original] != [door["name"] for door in doors]:
        return ["doors are %r, ours %r" % ([name for name, _ in original], [door["name"] for door in doors])]
    return ["%s: %s" % (name, difference) for (name, door), ours_door in zip(original, doors)
            for difference in differences(door, ours_door)]


def main():
    knockd, aldabad, folder = sys.argv[1:]
    good = bad = 0
    for path in sorted(pathlib.Path(folder).resolve().glob("*.conf")):
        wrong = compare(knockd, aldabad, path)
        for difference in wrong:
            print("%s: %s" % (path.name, difference))
        good += not wrong
        bad += bool(wrong)
    print("%d passed, %d failed" % (good, bad))
    return 1 if bad or not good else 0


if __name__ == "__main__":
    sys.exit(main())
