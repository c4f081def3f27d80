"""One-time sequences."""

import os
import signal

from harness import OTHER, door
from cases.base import CASES, case
from cases.ipv6 import C6

OT = "one_time_sequences = {dir}/ots"


def ots(cid, name, content, expect, knocks, cls="contract", want=None, extra=(), show_file=True, wait=0.5, cost=2):
    def fn(t):
        t.write("ots", content)
        t.conf(door("A", None, OT, *extra))
        if not t.start():
            return "refused " + t.wait(1)
        for k in knocks:
            if isinstance(k, float):
                t.sleep(k)
                continue
            kw = k[-1] if isinstance(k[-1], dict) else {}
            t.syn(*[p for p in k if isinstance(p, int)], **kw)
            t.sleep(0.2)
        r = t.opens(wait)
        return r + (" / " + t.read("ots").replace("\n", "$") if show_file else "")
    case(cid, name, expect, cls, want, False, cost)(fn)


ots("O03", "no leading space: the first digit is overwritten", "7000,8000\n7100,8100\n", "A:c / #000,8000$7100,8100$", [(7000, 8000)])
ots("O04", "comments, empty lines, protocols", "# c\n\n   # d\n 7000:udp,8000:TCP\n 7100,8100\n",
    "- / # c$$   # d$ 7000:udp,8000:TCP$ 7100,8100$", [(7000, 8000)])
ots("O05", "out of order use is not possible", " 7000,8000\n 7100,8100\n", "- / 7000,8000$ 7100,8100$".replace("/ ", "/  "), [(7100, 8100)])
ots("O06", "an unparsable line before the valid one: where the # lands",
    " 7000:xyz\n 7100,8100\n 7200,8200\n", "A:c A:c / #7000:xyz$#7100,8100$ 7200,8200$", [(7100, 8100), (7100, 8100)], "changed",
    "A:c /  7000:xyz$#7100,8100$ 7200,8200$")
ots("O07", "last sequence used", " 7000,8000\n", "re:A:c DIED sig=(6|11) / #7000,8000\\$", [(7000, 8000)], "changed",
    "A:c / #7000,8000$", wait=0.8)
ots("O08", "next sequence longer: its last port alone, within seq_timeout",
    " 7000,8000\n 7100,8100,9100\n 7200,8200,9200\n", "A:c A:c / #7000,8000$#7100,8100,9100$ 7200,8200,9200$", [(7000, 8000), (9100,)], "changed",
    "A:c / #7000,8000$ 7100,8100,9100$ 7200,8200,9200$")
ots("O10", "IPv6: the second sequence", " 7000,8000\n 7100,8100\n 7200,8200\n",
    "A:c6 / #7000,8000$ 7100,8100$ 7200,8200$", [(7000, 8000, C6), (7100, 8100, C6)], "changed",
    "A:c6 A:c6 / #7000,8000$#7100,8100$ 7200,8200$")
ots("O11", "CRLF line ends are accepted", " 7000,8000\r\n 7100,8100\r\n", "re:A:c / #7000,8000.?\\$ 7100,8100.?\\$", [(7000, 8000)])
ots("O12", "all sequences used: refused at start", "#7000,8000\n# 7100\n", "refused rc=1", [])
ots("O14", "SIGHUP-free edit: a line added at the end is used in turn", " 7000,8000\n 7100,8100\n", "A:c A:c / #7000,8000$#7100,8100$ 7300,8300$",
    [(7000, 8000), (7100, 8100)])


def _o14(t):
    t.write("ots", " 7000,8000\n 7100,8100\n")
    t.conf(door("A", None, OT))
    t.start()
    t.syn(7000, 8000)
    t.sleep(0.2)
    with open(t.dir + "/ots", "a") as f:
        f.write(" 7300,8300\n")
    t.syn(7100, 8100)
    t.sleep(0.2)
    return t.opens() + " / " + t.read("ots").replace("\n", "$")


CASES[-1]["fn"] = _o14


@case("O15", "one-time file missing: refused", "refused rc=1")
def _(t):
    t.conf(door("A", None, "one_time_sequences = {dir}/none"))
    return t.verdict()


@case("O17", "used sequences stay used after a restart", "A:c A:c / #7000,8000$#7100,8100$ 7200,8200$")
def _(t):
    t.write("ots", " 7000,8000\n 7100,8100\n 7200,8200\n")
    t.conf(door("A", None, OT))
    t.start()
    t.syn(7000, 8000)
    t.sleep(0.4)
    t.signal(signal.SIGTERM)
    t.wait(1)
    t.start()
    t.syn(7000, 8000)
    t.syn(7100, 8100)
    return t.opens() + " / " + t.read("ots").replace("\n", "$")


ots("O01", "the length of the file never changes", " 7000,8000\n 7100,8100\n", "A:c / #7000,8000$ 7100,8100$", [(7000, 8000)])
ots("O02", "a used sequence is dead", " 7000,8000\n 7100,8100\n 7200,8200\n", "A:c / #7000,8000$ 7100,8100$ 7200,8200$",
    [(7000, 8000), (7000, 8000)])
ots("O27", "one after the other", " 7000,8000\n 7100,8100\n 7200,8200\n", "A:c A:c / #7000,8000$#7100,8100$ 7200,8200$",
    [(7000, 8000), 0.3, (7100, 8100)])
ots("O09", "the next sequence is longer, and used at once", " 7000,8000\n 7100,8100,9100\n 7200,8200\n",
    "A:c / #7000,8000$ 7100,8100,9100$ 7200,8200$", [(7000, 8000), (7100, 8100, 9100)], "changed",
    "A:c A:c / #7000,8000$#7100,8100,9100$ 7200,8200$")
ots("O16", "another source is half-way in the next one, which begins alike", " 7000,8000\n 7000,8100\n 7200,8200\n",
    "A:c A:o / #7000,8000$#7000,8100$ 7200,8200$", [(7000, {"src": OTHER}), (7000, 8000), (8100, {"src": OTHER})], "changed",
    "A:c / #7000,8000$ 7000,8100$ 7200,8200$")
ots("O13", "sequence after one_time_sequences: counts once, and marks nothing", " 7000,8000\n 7100,8100\n 7200,8200\n",
    "A:c A:c / #7000,8000$ 7100,8100$ 7200,8200$", [(7500, 8500), (7000, 8000)], extra=("sequence = 7500,8500",))
ots("O25", "a comment behind a sequence", " 7000,8000 # monday\n 7100,8100\n 7200\n", "A:c / #7000,8000 # monday$ 7100,8100$ 7200$",
    [(7000, 8000)])
ots("O28", "a line with too many ports in front", " " + ",".join(["7"] * 40) + "\n 7000,8000\n 7100,8100\n",
    "re:A:c / #7.*", [(7000, 8000)], "changed", "re:A:c /  7[7,]*\\$#7000,8000\\$ 7100,8100\\$")
ots("O32", "the file is a link", " 7000,8000\n 7100,8100\n", "A:c / #7000,8000$ 7100,8100$", [(7000, 8000)])
CASES[-1]["fn"] = (lambda f: lambda t: (os.symlink(t.dir + "/real", t.dir + "/ots"), f(t))[1])(CASES[-1]["fn"])
ots("O35", "a sequence that stands in the file twice", " 7000,8000\n 7000,8000\n 7100,8100\n",
    "A:c A:c / #7000,8000$#7000,8000$ 7100,8100$", [(7000, 8000), (7000, 8000), (7000, 8000)])


@case("O33", "one file for two doors: both run, and go on", "A:c A:c B:c B:c / #7000,8000$#7100,8100$ 7200,8200$", cost=2)
def _(t):
    t.write("ots", " 7000,8000\n 7100,8100\n 7200,8200\n")
    t.conf(door("A", None, OT), door("B", None, OT))
    t.start()
    for first in (7000, 7100):
        t.syn(first, first + 1000)
        t.sleep(0.25)
    return t.opens(sort=True) + " / " + t.read("ots").replace("\n", "$")


@case("O34", "used up at start: refused, whatever the other doors are", "refused rc=1")
def _(t):
    t.write("ots", "#7000,8000\n")
    t.conf(door("A", None, OT), door("B", "7100"))
    return t.verdict()
