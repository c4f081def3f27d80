"""The words of the log."""

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
