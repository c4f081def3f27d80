"""Commands: what they see, when they run, when they are taken back."""

import os
import signal

from harness import OTHER, door
from cases.base import LOG, case, A3

def knocked(cid, name, lines, expect, cls="contract", want=None, wait=0.7, cost=1, slow=False, post=None):
    """single-port door with these lines; one knock"""
    def fn(t):
        t.conf("[A]\nsequence = 7000\n" + "\n".join(lines) + "\n")
        if not t.start():
            return "refused " + t.wait(1)
        t.syn(7000)
        r = t.opens(wait)
        return post(t, r) if post else r
    case(cid, name, expect, cls, want, slow, cost)(fn)


knocked("C01", "every %IP% is replaced", ["command = echo %IP%,%IP%-x%IP%x >> {res}"], "c,c-xcx")
knocked("C02", "%ip% and other tokens are left alone", ["command = echo %ip% %PORT% %% >> {res}"], "%ip% %PORT% %%")
knocked("C03", "the command is a shell line", ["command = echo a >> {res}; false || echo b | cat >> {res} # comment"], "a b")
knocked("C04", "quotes, backslash and = reach the shell untouched",
        ["command = X=\"a  b\"; printf '%s\\n' \"$X=%IP%\" | tr -s ' ' _ >> {res}"], "a_b=c")
knocked("C05", "start_command and command: the later line wins", ["start_command = echo 1 >> {res}", "command = echo 2 >> {res}"], "2")
knocked("C06", "stop_command runs after cmd_timeout",
        ["start_command = date +%s.%N >> {res}", "cmd_timeout = 2", "stop_command = date +%s.%N >> {res}"], "ok",
        wait=2.9, cost=4, post=lambda t, r: "ok" if 1.9 < float(r.split()[1]) - float(r.split()[0]) < 2.4 else r)
knocked("C07", "cmd_timeout 0: stop at once", ["start_command = echo 1 >> {res}", "cmd_timeout = 0", "stop_command = echo 2 >> {res}"], "1 2")
knocked("C09", "failing start_command: stop_command still runs", ["start_command = echo 1 >> {res}; exit 3", "cmd_timeout = 1", "stop_command = echo 2 >> {res}"],
        "1 2", wait=1.8, cost=2)
knocked("C10", "cmd_timeout counts from the end of start_command",
        ["start_command = date +%s.%N >> {res}; sleep 1.5", "cmd_timeout = 1", "stop_command = date +%s.%N >> {res}"], "ok",
        wait=3.3, cost=4, post=lambda t, r: "ok" if 2.4 < float(r.split()[1]) - float(r.split()[0]) < 2.9 else r)
knocked("C11", "stop_command without start_command: nothing runs", ["cmd_timeout = 0", "stop_command = echo 2 >> {res}"], "-")
knocked("C14", "how many of the daemon's descriptors a command has beside 0, 1 and 2", ["command = ls -l /proc/self/fd | grep -c -e socket: -e /log$ >> {res}"], "2", "changed", "0")
knocked("C15", "expanded command of 4096 bytes or more is not run", ["command = " + "%IP%" * 900 + " ; echo x >> {res}"],
        "- | c: A: Stage 1 | c: A: OPEN SESAME | error: parsed start command has been truncated! --> won't execute it", "quirk",
        post=lambda t, r: r + " | " + " | ".join(t.logs()))
knocked("C16", "stop_command too long: start not run either", ["start_command = echo x >> {res}", "stop_command = " + "%IP%" * 900],
        "-", "quirk")


@case("C18", "a slow command does not hold up other knockers", "B:o A:c", cost=3)
def _(t):
    t.conf("[A]\nsequence = 7000\ncommand = sleep 1.5; echo A:%IP% >> {res}\n", door("B", "7100"))
    t.start()
    t.syn(7000)
    t.sleep(0.2)
    t.syn(7100, src=OTHER)
    return t.opens(2)


@case("C20", "SIGTERM during cmd_timeout: the daemon waits, the stop_command runs, exit code 15",
      "at once: running / A:c stop:c DIED rc=15", cost=4)
def _(t):
    t.conf(door("A", A3, "cmd_timeout = 2", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    t.syn(7000, 8000, 9000)
    t.sleep(0.5)
    t.signal(signal.SIGTERM)
    a = t.wait(0.5)
    t.wait(3)
    return "at once: %s / %s" % (a, t.opens(0.3))


@case("C21", "SIGTERM with two pending stops",
      "exit: A:c B:c stopA / later: A:c B:c stopA stopB", "changed", "exit: A:c B:c stopA stopB / later: A:c B:c stopA stopB", cost=6)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 1", "stop_command = echo stopA >> {res}"),
           door("B", "7100", "cmd_timeout = 4", "stop_command = echo stopB >> {res}"))
    t.start()
    t.syn(7000, 7100)
    t.sleep(0.4)
    t.signal(signal.SIGTERM)
    t.wait(6)
    a = t.opens(0.1, sort=True).split(" DIED")[0]
    t.sleep(4)
    return "exit: %s / later: %s" % (a, t.opens(0.1, sort=True).split(" DIED")[0])


@case("C22", "kill -9 of the daemon alone: an orphan still runs the stop_command", "A:c stop:c DIED sig=9", cost=3)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 1", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.5)
    t.signal(signal.SIGKILL)
    t.wait(1)
    return t.opens(1.5)


@case("C23", "kill -9 of daemon and children, then a new start: the stop_command",
      "A:c", "changed", "A:c stop:c", cost=4)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 1", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.5)
    for pid in t.children() + [t.pid]:
        t.signal(signal.SIGKILL, pid)
    t.wait(1)
    t.start()
    return t.opens(1.5)


@case("C25", "SIGHUP to all processes of that name (killall -HUP) while a door is open",
      "early A:c / due A:c", "changed", "early A:c / due A:c stop:c", cost=4)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 2", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    for pid in t.children() + [t.pid]:
        t.signal(signal.SIGHUP, pid)
    early = t.opens(0.8)
    return "early %s / due %s" % (early, t.opens(2))


@case("C26", "SIGTERM to all processes of that name (killall) while a door is open", "A:c", "changed", "A:c stop:c", cost=3)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 2", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    for pid in t.children() + [t.pid]:
        t.signal(signal.SIGTERM, pid)
    t.wait(3)
    return t.opens(2).split(" DIED")[0]


knocked("C28", "empty stop_command: waits, logs the timeout, runs an empty command",
        ["start_command = true", "cmd_timeout = 1", "stop_command ="],
        "- | c: A: Stage 1 | c: A: OPEN SESAME | A: running command: true | ~ | c: A: command timeout | A: running command:  | ~",
        "quirk", wait=1.6, cost=2, post=lambda t, r: r + " | " + " | ".join(t.logs()))
knocked("C29", "a background job of the command lives on", ["command = (sleep 1; echo late >> {res}) & echo now >> {res}"], "now late", wait=1.6, cost=2)
knocked("C30", "cmd_timeout negative: stop_command never runs", ["start_command = echo 1 >> {res}", "cmd_timeout = -1", "stop_command = echo 2 >> {res}"],
        "1", "quirk", wait=2, cost=2)
knocked("C31", "command's standard output goes to the daemon's", ["command = echo hello-%IP%"], "hello-c",
        post=lambda t, r: " ".join(t.short(x) for x in t.output().split()))


@case("C32", "command gets the daemon's environment, no knock variables", "FOO=bar")
def _(t):
    t.conf("[A]\nsequence = 7000\ncommand = echo FOO=$FOO $(env | grep -ciE 'knock|door|^IP=' | grep -v 0) >> {res}\n")
    t.start(env=dict(PATH="/usr/sbin:/usr/bin:/sbin:/bin", FOO="bar"), cwd="/")
    t.syn(7000)
    t.sleep(0.7)
    return " ".join(t.raw_results())


@case("C33", "SIGTERM with 20 s of cmd_timeout left", "running after 2.5 s", "changed",
      "re:rc=(0|15) after 2.5 s", cost=4)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 20", "stop_command = true"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    t.signal(signal.SIGTERM)
    return t.wait(2.5) + " after 2.5 s"


@case("C34", "kill of one child (daemon mode): the stop_command and the pid file", "A:c pid file gone", "changed",
      "re:A:c stop:c pid file there", cost=4)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 2", "stop_command = echo stop:%IP% >> {res}"), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    t.sleep(0.3)
    pid = int(t.read("pid"))
    t.syn(7000)
    t.sleep(0.4)
    for ch in t.children(pid):
        t.signal(signal.SIGTERM, ch)
    r = t.opens(2.5).split(" DIED")[0]
    r += " pid file " + ("gone" if t.read("pid") is None else "there")
    os.kill(pid, signal.SIGKILL)
    return r


@case("C17", "two successes during cmd_timeout: a start and a stop each", "A:c A:c stop:c stop:c", cost=3)
def _(t):
    t.conf(door("A", A3, "cmd_timeout = 1", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    t.syn(7000, 8000, 9000)
    t.sleep(0.3)
    t.syn(7000, 8000, 9000)
    return t.opens(2.2)


@case("C36", "a door without stop_command: nothing follows", "A:c", cost=3)
def _(t):
    t.conf(door("A", A3, "cmd_timeout = 1"))
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens(1.8)


@case("C37", "%IP% twice in one line, and another %", "A c c %d 100%", cost=1)
def _(t):
    t.conf(door("A", A3, cmd="echo A %IP% %IP% %d 100% >> {res}"))
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("C38", "standard output and the shell's redirections", "out:c", cost=1)
def _(t):
    t.conf(door("A", A3, cmd="(echo out:%IP%; exit 3) > {res} 2>&1"))
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens()
