"""Commands: what they see, when they run, when they are taken back."""

import os
import signal
import time

from harness import CLI, OTHER, door
from cases.base import LOG, case, A3

def knocked(cid, name, lines, expect, cls="contract", want=None, wait=0.7, cost=1, slow=False, post=None, **start):
    """single-port door with these lines; one knock"""
    def fn(t):
        t.conf("[A]\nsequence = 7000\n" + "\n".join(lines) + "\n")
        if not t.start(**start):
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


def logged(t, r):
    return r + " | " + " | ".join(t.logs())


knocked("C08", "cmd_timeout is 10 s if nobody says otherwise",
        ["start_command = date +%s.%N >> {res}", "stop_command = date +%s.%N >> {res}"], "10 s",
        wait=11, cost=12, slow=True, post=lambda t, r: "%.0f s" % (float(r.split()[1]) - float(r.split()[0])))
knocked("C12", "an empty start_command: the stop command does not run",
        ["start_command =", "cmd_timeout = 0", "stop_command = echo 2 >> {res}"], "-")
knocked("C13", "a session of its own", ["command = cut -d' ' -f6 /proc/self/stat >> {res}"], "another",
        post=lambda t, r: "another" if int(r) != os.getsid(t.pid) else "the daemon's")
knocked("C39", "no signal but real-time ones is blocked or ignored",
        ["command = grep -E '^Sig(Blk|Ign)' /proc/self/status >> {res}"], "none",
        post=lambda t, r: "none" if all(int(x, 16) & 0x7fffffff == 0 for x in r.split()[1::2]) else r)
knocked("C40", "umask and priority are the daemon's", ["command = echo $(umask) $(nice) >> {res}"], "0022 0")
knocked("C41", "%%IP%%, %IP and %IP%IP%", ["command = echo %%IP%% %IP %IP%IP% >> {res}"], "%c% %IP cIP%")
knocked("C42", "a program that is not there", ["command = /no/such/program"],
        "- | c: A: Stage 1 | c: A: OPEN SESAME | A: running command: /no/such/program | ~ | A: command returned non-zero status code (127)",
        post=logged)
knocked("C43", "start and stop command fail", ["start_command = exit 8", "cmd_timeout = 0", "stop_command = exit 9"],
        "- | c: A: Stage 1 | c: A: OPEN SESAME | A: running command: exit 8 | ~ | A: command returned non-zero status code (8)"
        " | c: A: command timeout | A: running command: exit 9 | ~ | A: command returned non-zero status code (9)", post=logged)
knocked("C44", "the whole environment", ["command = env | grep -vE '^(_|SHLVL|PWD|OLDPWD)=' | sort | xargs >> {res}"],
        "A=b PATH=/usr/bin:/bin", env={"PATH": "/usr/bin:/bin", "A": "b"})
knocked("C45", "the working directory", ["command = pwd >> {res}"], "/usr", cwd="/usr")
knocked("C46", "backticks, $( ), arithmetic, quotes", ["command = echo `echo a` $(echo 'b  c') \"d e\" $((1+2)) >> {res}"], "a b c d e 3")
knocked("C47", "a quote that does not end", ["command = echo 'x >> {res}"], "command returned non-zero status code (2)",
        post=lambda t, r: t.logs()[-1].removeprefix("A: "))
knocked("C48", "a start command in the background: the stop command does not wait for it",
        ["start_command = (sleep 0.8; echo late >> {res}) &", "cmd_timeout = 0", "stop_command = echo stop >> {res}"], "stop late",
        wait=1.6, cost=2)
knocked("C49", "what a command prints to standard error", ["command = echo heard >&2"], "heard",
        post=lambda t, r: t.output().strip())
knocked("C50", "tabs and UTF-8 in a command", ["command = printf 'a\\tbö' | tr '\\t' _ >> {res}"], "a_bö")


@case("C19", "ended commands leave no zombies", "0")
def _(t):
    t.conf(door("A", "7000"))
    t.start()
    for _ in range(5):
        t.syn(7000, gap=0.05)
    t.sleep(0.6)
    pids = [pid for pid in t.nsx(t.ns_c, "ip", "netns", "pids", t.ns_s).stdout.split()]
    return str(sum(os.path.exists("/proc/" + pid) and not t.pid_alive(int(pid)) for pid in pids))


@case("C24", "SIGHUP does not touch a stop command that waits", "early A:c / due A:c stop:c", cost=4)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 2", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    t.signal(signal.SIGHUP)
    return "early %s / due %s" % (t.opens(0.6), t.opens(1.6))


@case("C27", "sixty successes of one source, each with a stop command that waits", "60 starts, 60 stops", cost=6)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 3", "stop_command = echo stop:%IP% >> {res}"))
    t.start()
    for _ in range(60):
        t.syn(7000, gap=0.02)
    t.sleep(4)
    end = time.time() + 6
    while time.time() < end and t.raw_results().count("stop:" + CLI) < 60:
        t.sleep(0.2)
    seen = t.opens().split()
    return "%d starts, %d stops" % (seen.count("A:c"), seen.count("stop:c"))


@case("C51", "thirty successes while the start command takes 1.5 s: how many run at once", "30, 30 in the end", "quirk",
      "16, 30 in the end", cost=5)
def _(t):
    t.conf(door("A", "7000", cmd="echo A:%IP% >> {res}; sleep 1.5"))
    t.start()
    for number in range(30):
        t.syn(7000, gap=0.005, src="10.77.0.%d" % (50 + number))
    t.sleep(1)
    early = len(t.raw_results())
    t.sleep(2)
    return "%d, %d in the end" % (early, len(t.raw_results()))


@case("C52", "SIGTERM while a start command runs: it is not cut off", "done", cost=3)
def _(t):
    t.conf(door("A", "7000", cmd="sleep 1.2; echo done >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    t.signal(signal.SIGTERM)
    return t.opens(1.8).split(" DIED")[0]


@case("C53", "SIGTERM while a start command runs that a stop command follows", "at once: running / done stop DIED rc=15", cost=4)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 1", "stop_command = echo stop >> {res}", cmd="sleep 1; echo done >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    t.signal(signal.SIGTERM)
    return "at once: %s / %s" % (t.wait(0.4), t.opens(3.2))


@case("C54", "kill -9 of the daemon alone while a start command runs: start, then stop", "done stop DIED sig=9", cost=3)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 0", "stop_command = echo stop >> {res}", cmd="sleep 1; echo done >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    t.signal(signal.SIGKILL)
    t.wait(0.5)
    return t.opens(2)
