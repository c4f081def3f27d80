"""Time limits."""

import time

from harness import door
from cases.base import case, simple, A3

def timed(cid, name, seqt, plan, expect, cls="contract", want=None, slow=False, key="seq_timeout", cost=4):
    def fn(t):
        t.conf(door("A", A3, "%s = %s" % (key, seqt) if seqt is not None else "", timeout=None))
        t.start()
        start, steps = plan
        t.align(start)
        t0 = time.time()
        for off, port in steps:
            time.sleep(max(0, t0 + off - time.time()))
            t.syn(port, gap=0)
        return t.opens()
    case(cid, name, expect, cls, want, slow, cost)(fn)


timed("T02", "timeout counts from the first knock, not between knocks", 3,
      (0.1, [(0, 7000), (1.6, 8000), (3.2, 9000)]), "-")
timed("T03", "1.25 s between the first knock and the last, across two second marks, seq_timeout 2", 2,
      (0.85, [(0, 7000), (0.1, 8000), (1.25, 9000)]), "-", "changed", "A:c")
timed("T04", "1.8 s inside the same two seconds is in time for seq_timeout 2", 2,
      (0.05, [(0, 7000), (0.1, 8000), (1.8, 9000)]), "A:c")
timed("T05", "seq_timeout 0: several ports never match", 0, (0.1, [(0, 7000), (.02, 8000), (.04, 9000)]), "-", cost=1)
timed("T06", "negative seq_timeout: several ports never match", -3, (0.1, [(0, 7000), (.02, 8000), (.04, 9000)]), "-",
      "quirk", cost=1)
timed("T07", "'timeout' is an alias", 2, (0.1, [(0, 7000), (1, 8000), (2.2, 9000)]), "-", key="timeout")
timed("T08", "seq_timeout with trailing text: leading number counts", "2 seconds # or so",
      (0.1, [(0, 7000), (1, 8000), (2.2, 9000)]), "-", "quirk")
timed("T09", "seq_timeout not a number is 0", "abc", (0.1, [(0, 7000), (.02, 8000), (.04, 9000)]), "-", "quirk", cost=1)
timed("T11", "default seq_timeout is 25 s: 25.3 s is late", None, (0.1, [(0, 7000), (12, 8000), (25.3, 9000)]), "-",
      slow=True, cost=27)


timed("T15", "seq_timeout 1: two knocks 0.2 s apart across a second mark", 1,
      (0.9, [(0, 7000), (0.02, 8000), (0.2, 9000)]), "-", "changed", "A:c", cost=2)
timed("T16", "seq_timeout 1: 0.8 s inside one second is in time", 1, (0.1, [(0, 7000), (0.4, 8000), (0.8, 9000)]), "A:c", cost=2)


@case("T12", "seq_timeout 0 with a single-port sequence works", "A:c")
def _(t):
    t.conf(door("A", "7000", timeout=0))
    t.start()
    t.syn(7000)
    return t.opens()


@case("T13", "expired attempt: the late first port starts anew", "A:c", cost=3)
def _(t):
    t.conf(door("A", A3, timeout=1))
    t.start()
    t.syn(7000)
    t.sleep(2.1)
    t.align(0.05)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("T14", "expiry is noticed and logged only when a later relevant packet comes",
      "before: c: A: Stage 1 / after: c: A: Stage 1 | c: A: sequence timeout (stage 1) | ~", "quirk", cost=4)
def _(t):
    t.conf(door("A", A3, timeout=1))
    t.start()
    t.syn(7000)
    t.sleep(2.5)
    t.syn(4444)  # no door's port
    t.sleep(0.3)
    a = " | ".join(t.logs())
    t.syn(9000)
    t.sleep(0.3)
    return "before: %s / after: %s" % (a, " | ".join(t.logs()))


simple("T20", "well within seq_timeout", [door("A", A3, timeout=5)], [("tcp", 7000), 1.2, ("tcp", 8000), 1.2, ("tcp", 9000)], "A:c", cost=4)
simple("T21", "well after seq_timeout", [door("A", A3, timeout=1)], [("tcp", 7000), 2.3, ("tcp", 8000, 9000)], "-", cost=4)


def stops_after(cid, value, expect, cls="contract", wait=0.6, cost=1):
    """cmd_timeout with this text: what has run after `wait`"""
    def fn(t):
        t.rawconf("[A]\nsequence = 7000\nstart_command = echo 1 >> {res}\ncmd_timeout = %s\nstop_command = echo 2 >> {res}\n"
                  % value)
        t.start("-g", t.log)
        t.syn(7000)
        return t.opens(wait)
    case(cid, "cmd_timeout = %s" % value, expect, cls, cost=cost)(fn)


stops_after("T30", "1.9", "1 2", "quirk", wait=1.5, cost=2)
stops_after("T31", "+1", "1 2", "quirk", wait=1.5, cost=2)
stops_after("T32", "4294967297", "1 2", "quirk", wait=1.5, cost=2)
stops_after("T33", "0x3", "1 2", "quirk")
stops_after("T34", "abc", "1 2", "quirk")
stops_after("T35", "2147483648", "1", "quirk", wait=1)
timed("T40", "seq_timeout over 32 bits is cut to them", "4294967297", (0.1, [(0, 7000), (0.1, 8000), (0.5, 9000)]), "A:c", "quirk",
      cost=2)
timed("T41", "seq_timeout with a unit", "2min", (0.1, [(0, 7000), (0.1, 8000), (2.3, 9000)]), "-", "quirk")
