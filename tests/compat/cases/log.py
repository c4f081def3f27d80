"""The words of the log."""

import os
import re
import signal
import socket
import time

from harness import OTHER, door
from cases.base import CASES, LOG, case, A3

def logcase(cid, name, expect, doors, sends, args=(), cls="contract", want=None, wait=0.5, skip_start=True, cost=1):
    def fn(t):
        t.conf(*doors)
        t.start(*args)
        for s in sends:
            if isinstance(s, (int, float)):
                t.sleep(s)
            else:
                kw = s[-1] if isinstance(s[-1], dict) else {}
                t.send(s[0], *[p for p in s[1:] if isinstance(p, int)], **kw)
        t.sleep(wait)
        return " | ".join(t.logs(skip_start=skip_start))
    case(cid, name, expect, cls, want, False, cost)(fn)


logcase("P01", "log of a success (~ is an empty line)",
        "starting up, listening on kdv0 | c: A: Stage 1 | c: A: Stage 2 | c: A: Stage 3 | c: A: OPEN SESAME | A: running command: true x=c | ~",
        [door("A", A3, cmd="true x=%IP%")], [("tcp", 7000, 8000, 9000)], skip_start=False)
logcase("P02", "log of a failed command", "c: A: Stage 1 | c: A: OPEN SESAME | A: running command: exit 7 | ~ | A: command returned non-zero status code (7)",
        [door("A", "7000", cmd="exit 7")], [("tcp", 7000)])
logcase("P03", "log of a command killed by a signal", "c: A: Stage 1 | c: A: OPEN SESAME | A: running command: kill -9 $$ | ~ | A: command returned non-zero status code (0)",
        [door("A", "7000", cmd="kill -9 $$")], [("tcp", 7000)], cls="quirk")
logcase("P04", "log of a stop", "c: A: Stage 1 | c: A: OPEN SESAME | A: running command: true | ~ | c: A: command timeout | A: running command: echo stop c >/dev/null | ~",
        [door("A", "7000", "cmd_timeout = 1", "stop_command = echo stop %IP% >/dev/null", cmd="true")], [("tcp", 7000)], wait=1.6, cost=2)
logcase("P05", "log of a broken attempt: nothing is said", "c: A: Stage 1 | c: A: Stage 2", [door("A", A3)], [("tcp", 7000, 8000, 7000, 9000)])
logcase("P07", "door without a command still logs", "c: A: Stage 1 | c: A: OPEN SESAME", [door("A", "7000", cmd=False)], [("tcp", 7000)])
logcase("P08", "log line is cut at 1023 bytes (the command still runs whole)", "1023",
        [door("A", "7000", cmd="true " + "x" * 1200)], [("tcp", 7000)], cls="quirk")
CASES[-1]["fn"] = (lambda f: (lambda t: (f(t), str(max(len(x) for x in t.loglines()) - 19))[1]))(CASES[-1]["fn"])


@case("P09", "log at SIGTERM", "starting up, listening on kdv0 | shutting down")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.signal(signal.SIGTERM)
    t.wait(1)
    return " | ".join(t.logs(skip_start=False))


@case("P12", "syslog: facility daemon (Debian build; upstream source says user), priority notice, tag 'knockd: ', no pid",
      "<29>T knockd: starting up, listening on kdv0 | <29>T knockd: c: A: Stage 1 | <29>T knockd: c: A: OPEN SESAME | <29>T knockd: A: running command: true\\n")
def _(t):
    import re
    import threading
    t.conf(door("A", "7000", cmd="true"), options="UseSyslog\n" + LOG)
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(t.dir + "/devlog")
    s.settimeout(1)
    got = []
    # a private /dev whose log socket is ours
    script = ("d=$1; shift; mkdir -p $d/olddev $d/newdev; mount --bind /dev $d/olddev; mount -t tmpfs t $d/newdev;"
              "for f in null zero urandom random tty; do : > $d/newdev/$f; mount --bind $d/olddev/$f $d/newdev/$f; done;"
              ": > $d/newdev/log; mount --bind $d/devlog $d/newdev/log; mount --rbind $d/newdev /dev; exec \"$@\"")
    if not t.start(wrap=("unshare", "-m", "sh", "-c", script, "sh", t.dir)):
        return "SKIP cannot make a private /dev: " + t.output()[:100]
    t.syn(7000)
    try:
        while True:
            got.append(s.recv(4096).decode().rstrip("\0"))
    except socket.timeout:
        pass
    out = [re.sub(r"^(<\d+>)\w{3} [ \d]\d \d\d:\d\d:\d\d ", r"\1T ", t.short(x)).replace("\n", "\\n") for x in got]
    return " | ".join(out)


@case("P14", "-l with a name server that does not answer: somebody else's knock meanwhile", "late", "changed", "in time", cost=12, slow=True)
def _(t):
    t.conf(door("A", "7000"), door("B", "7100"))
    t.write("resolv", "nameserver 10.77.0.250\n")
    script = "mount --bind $1/resolv /etc/resolv.conf; shift; exec \"$@\""
    if not t.start("-l", wrap=("unshare", "-m", "sh", "-c", script, "sh", t.dir)):
        return "SKIP " + t.output()[:80]
    t.syn(7000, src=OTHER)
    t.syn(7100)
    a = t.opens(2)
    t0 = time.time()
    while "B:c" not in t.opens(0.2) and time.time() - t0 < 30:
        pass
    t.note("B after %.1f s" % (time.time() - t0 + 2))
    return "in time" if "B:c" in a else "late"


def spoken(cid, name, expect, doors, sends, signals=(), args=("-v",), wait=0.5, cls="contract", want=None, cost=2):
    """what stands on standard output"""
    def fn(t):
        t.conf(*doors)
        t.start(*args)
        for s in sends:
            t.sleep(s) if isinstance(s, float) else t.send(*s)
        t.sleep(wait)
        for number in signals:
            t.signal(number)
            t.sleep(0.3)
        t.wait(1)
        return " | ".join(t.short(line) for line in t.output().splitlines() if line)
    case(cid, name, expect, cls, want, False, cost)(fn)


spoken("P11", "-v: a success, and the end",
       "listening on kdv0... | c: A: Stage 1 | c: A: OPEN SESAME | A: running command: true | waiting for child processes... | closing...",
       [door("A", "7000", cmd="true")], [("tcp", 7000)], [signal.SIGTERM])
spoken("P15", "-v: commands that fail, and the stop command",
       "listening on kdv0... | c: A: Stage 1 | c: A: OPEN SESAME | A: running command: exit 2 | A: command returned non-zero status code (2)"
       " | c: A: command timeout | A: running command: exit 3 | A: command returned non-zero status code (3)"
       " | waiting for child processes... | closing...",
       [door("A", "7000", "cmd_timeout = 0", "stop_command = exit 3", cmd="exit 2")], [("tcp", 7000)], [signal.SIGINT])
spoken("P16", "-v: SIGHUP", "listening on kdv0... | re-reading config file: DIR/knockd.conf | closing log file: DIR/log"
       " | re-opening log file: DIR/log | waiting for child processes... | closing...",
       [door("A", A3)], [], [signal.SIGHUP, signal.SIGTERM])
spoken("P18", "-v: an attempt that took too long", "listening on kdv0... | c: A: Stage 1 | c: A: Stage 2"
       " | c: A: sequence timeout (stage 2) | c: A: Stage 1",
       [door("A", A3, timeout=1)], [("tcp", 7000, 8000), 2.2, ("tcp", 7000)], cost=4)


@case("P13", "-l with a name that is known", "c (friend.example): A: Stage 1 | c (friend.example): A: OPEN SESAME"
      " | A: running command: true | ~ | c (friend.example): A: command timeout | A: running command: true | ~", cost=2)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 0", "stop_command = true", cmd="true"))
    t.write("hosts", "10.77.0.2 friend.example\n127.0.0.1 localhost\n")
    t.write("nss", "hosts: files\n")
    script = "mount --bind $1/hosts /etc/hosts; mount --bind $1/nss /etc/nsswitch.conf; shift; exec \"$@\""
    t.start("-l", wrap=("unshare", "-m", "sh", "-c", script, "sh", t.dir))
    t.syn(7000)
    t.sleep(1.2)
    return " | ".join(t.logs())


@case("P23", "LogFile = /dev/stdout", "[T] starting up, listening on kdv0 | [T] c: A: Stage 1 | [T] c: A: OPEN SESAME"
      " | [T] A: running command: true")
def _(t):
    t.conf(door("A", "7000", cmd="true"), options="LogFile = /dev/stdout")
    t.start(timeout=1)
    t.syn(7000)
    t.sleep(0.5)
    return " | ".join(re.sub(r"^\[[^]]*\]", "[T]", t.short(line)) for line in t.output().splitlines() if line)


@case("P24", "an old log file is gone on with", "before | starting up, listening on kdv0")
def _(t):
    t.conf(door("A", "7000", cmd="true"))
    t.write("log", "[2020-01-01 00:00] before\n")
    t.start()
    return " | ".join(t.logs(skip_start=False))


@case("P25", "logrotate: renamed, then SIGHUP", "old: c: A: Stage 1 | re-reading config file: DIR/knockd.conf | ~ / new: c: A: Stage 1")
def _(t):
    t.conf(door("A", A3))
    t.start()
    os.rename(t.log, t.log + ".1")
    t.syn(7000)
    t.sleep(0.3)
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    t.syn(7000)
    t.sleep(0.3)
    new = " | ".join(t.logs())
    t.log += ".1"
    return "old: %s / new: %s" % (" | ".join(t.logs()), new)


@case("P26", "logrotate: copied and truncated", "c: A: Stage 1")
def _(t):
    t.conf(door("A", "7000,8000"))
    t.start()
    t.syn(7000, 7000)
    t.sleep(0.3)
    os.truncate(t.log, 0)
    t.syn(7000)
    t.sleep(0.3)
    return " | ".join(t.logs())


@case("P27", "LogFile without a name beside -g", "no line", "quirk", "starting up, listening on kdv0")
def _(t):
    t.conf(door("A", "7000", cmd="true"), options="LogFile =")
    t.start("-g", t.log, timeout=1)
    return " | ".join(t.logs(skip_start=False)) or "no line"


@case("P28", "a log file on a full disk does not keep doors closed", "A:c")
def _(t):
    t.conf(door("A", "7000"), options="LogFile = /dev/full")
    t.start(timeout=1)
    t.syn(7000)
    return t.opens()
