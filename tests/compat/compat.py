"""Runs the cases against a daemon and a client, and compares. See README.md."""

import argparse
import json
import multiprocessing
import os
import re
import sys
import traceback

import harness
from cases import CASES

HERE = os.path.dirname(os.path.abspath(__file__))
SPEC = os.path.join(HERE, "../../spec/knock.md")


def run_one(job):
    """One case in namespaces of its own; a case that breaks is a result too."""
    index, daemon, knock = job
    test = None
    try:
        test = harness.Case(daemon, knock, "%x%03d" % (os.getppid() & 0xFFFF, index))
        test.net()
        seen, notes = str(CASES[index]["fn"](test)), "; ".join(test.notes)
    except Exception as error:
        seen, notes = "ERROR %s" % error, traceback.format_exc()
    finally:
        if test is not None:
            test.close()
    return index, seen, notes


def matches(pattern, seen):
    if pattern is None:
        return False
    if pattern.startswith("re:"):
        return re.fullmatch(pattern[3:], seen) is not None
    return pattern == seen


def deviations():
    """Id of a case to the row of the specification that explains it; every row must exist."""
    with open(os.path.join(HERE, "deviations.json")) as file:
        listed = json.load(file)
    with open(SPEC) as file:
        rows = set(re.findall(r"^\| (DEV-\d+) \|", file.read(), re.M))
    known = {case["id"] for case in CASES}
    wrong = [case for case, row in listed.items() if row not in rows or case not in known]
    if wrong:
        sys.exit("deviations.json: no such case, or no such row in spec/knock.md: " + ", ".join(wrong))
    return listed


def judge(case, seen, listed, original):
    """What to say of a result, and whether it is as it should be."""
    if seen.startswith("SKIP"):
        return "SKIP", False
    if matches(case["expect"], seen):
        return ("same", True) if original or case["id"] not in listed else ("no longer a deviation", False)
    if original:
        return "not as recorded", False
    if case["cls"] == "contract" or case["id"] not in listed:
        return "DIFFERENT", False
    if case["want"] is not None and not matches(case["want"], seen):
        return "DIFFERENT", False
    return "deviates by " + listed[case["id"]], True


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("daemon")
    parser.add_argument("knock", nargs="?", default="knock")
    parser.add_argument("-k", "--only", help="regular expression on `id name`")
    parser.add_argument("-j", "--jobs", type=int, default=8)
    parser.add_argument("--original", action="store_true", help="this is knockd itself: every case as recorded")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true", help="every case, and its notes")
    return parser.parse_args()


def once_more(jobs, results, listed):
    """What knockd itself does a second time where it was not what is recorded: on a busy machine its commands come late."""
    again = {}
    for job in jobs:
        case = CASES[job[0]]
        seen = results[job[0]][0]
        if not judge(case, seen, listed, True)[1]:
            print("%-5s once more, alone; first seen: %s" % (case["id"], seen))
            index, *rest = run_one(job)
            again[index] = rest
    return again


def main():
    args = arguments()
    chosen = [index for index, case in enumerate(CASES)
              if not args.only or re.search(args.only, case["id"] + " " + case["name"])]
    if args.list:
        for index in chosen:
            print("%-5s %-8s %s" % (CASES[index]["id"], CASES[index]["cls"], CASES[index]["name"]))
        return 0
    listed = deviations()
    # The slowest first, so that the pool drains evenly.
    order = sorted(chosen, key=lambda index: -CASES[index]["cost"])
    jobs = [(index, args.daemon, args.knock) for index in order]
    with multiprocessing.Pool(args.jobs, maxtasksperchild=20) as pool:
        results = {index: rest for index, *rest in pool.imap_unordered(run_one, jobs)}
    if args.original:
        results.update(once_more(jobs, results, listed))
    good = 0
    for index in chosen:
        case, (seen, notes) = CASES[index], results[index]
        verdict, right = judge(case, seen, listed, args.original)
        good += right
        if args.verbose or not right:
            print("%-5s %s: %s\n      expected: %s\n      seen:     %s" % (
                case["id"], verdict, case["name"], case["want"] or case["expect"], seen))
            if notes:
                print("      notes:    " + notes)
    print("%d passed, %d failed" % (good, len(chosen) - good))
    return 0 if good == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
