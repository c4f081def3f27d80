"""SIGHUP."""

import os
import signal

from harness import IF, door
from cases.base import LOG, case, A3

@case("R01", "SIGHUP: new sequence works, old one does not", "new:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.conf(door("new", "7100,8100"))
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000, 8000, 9000)
    t.sleep(0.1)
    t.syn(7100, 8100)
    return t.opens()


@case("R02", "SIGHUP with a broken config", "- DIED rc=1", "changed", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.conf(door("A", A3, "nonsense = 1"))
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("R03", "SIGHUP with the config gone", "- DIED rc=1", "changed", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    os.unlink(t.cfg)
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("R04", "SIGHUP forgets attempts under way", "-")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.syn(7000, 8000)
    t.sleep(0.2)
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(9000)
    return t.opens()


@case("R06", "SIGHUP: a new LogFile is used", "new: c: A: Stage 1")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.conf(door("A", A3), options="LogFile = {dir}/log2")
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000)
    t.sleep(0.3)
    t.log = t.dir + "/log2"
    return "new: " + " | ".join(t.logs())


@case("R07", "SIGHUP: LogFile taken out of the config, the old file goes on", "re-reading config file: DIR/knockd.conf | ~ | c: A: Stage 1", "quirk")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.conf(door("A", A3), options="")
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000)
    t.sleep(0.3)
    return " | ".join(t.logs())


@case("R08", "SIGHUP does not change the interface", "A:c")
def _(t):
    t.conf(door("A", A3), options="Interface = kdv0\n" + LOG)
    t.start(iface=None)
    t.conf(door("A", A3), options="Interface = lo\n" + LOG)
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("R09", "SIGHUP after the interface got another address", "-", "changed", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.ip("addr", "add", "10.77.0.21/24", "dev", IF)
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000, 8000, 9000, dst="10.77.0.21")
    return t.opens()


@case("R10", "ten SIGHUPs in a row under traffic: still alive and working", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    for i in range(10):
        t.signal(signal.SIGHUP)
        t.syn(4444, gap=0.02)
    t.sleep(0.2)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("R11", "daemon mode with a relative config path: SIGHUP", "up gone", "changed", "up alive")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    full, t.cfg = t.cfg, "knockd.conf"
    t.start("-d", cwd=t.dir)
    t.sleep(0.3)
    t.cfg = full
    pid = int(t.read("pid") or 0)
    if not pid:
        return "no pid"
    os.kill(pid, signal.SIGHUP)
    t.sleep(0.5)
    return "up " + ("alive" if t.pid_alive(pid) else "gone")


@case("R12", "SIGHUP reads the one-time file anew", "A:c")
def _(t):
    t.write("ots", " 7000,8000\n 7100,8100\n")
    t.conf(door("A", None, "one_time_sequences = {dir}/ots"))
    t.start()
    t.write("ots", " 7500,8500\n 7600,8600\n")
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000, 8000)
    t.sleep(0.1)
    t.syn(7500, 8500)
    return t.opens()


@case("R13", "SIGHUP when the one-time file is used up", "- DIED rc=1", "changed", "B:c")
def _(t):
    t.write("ots", " 7000,8000\n")
    t.conf(door("A", None, "one_time_sequences = {dir}/ots"), door("B", "7100,8100"))
    t.start()
    t.write("ots", "#7000,8000\n")
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7100, 8100)
    return t.opens()


@case("R14", "SIGHUP: removed door no longer opens, running stop_command of it still runs", "A:c stop:c", cost=3)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 1", "stop_command = echo stop:%IP% >> {res}"), door("B", "7100"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    t.conf(door("B", "7100"))
    t.signal(signal.SIGHUP)
    t.sleep(0.3)
    t.syn(7000)
    return t.opens(1.3)


@case("R05", "SIGHUP: LogFile of another name", "re-reading config file: DIR/knockd.conf | A:c", cost=2)
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.conf(door("A", A3), options="LogFile = {dir}/log2")
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    line = [x for x in t.logs(keep_blank=False) if "re-reading" in x]
    t.syn(7000, 8000, 9000)
    return "%s | %s" % (" ".join(line), t.opens())


@case("R15", "SIGHUP: another PidFile", "pid left, pid2 gone", "quirk", "pid gone, pid2 gone")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    t.sleep(0.3)
    pid = int(t.read("pid"))
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid2")
    os.kill(pid, signal.SIGHUP)
    t.sleep(0.4)
    os.kill(pid, signal.SIGTERM)
    t.sleep(0.5)
    return ", ".join(name + (" gone" if t.read(name) is None else " left") for name in ("pid", "pid2"))


@case("R16", "SIGHUP: the file was replaced by another one", "B:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    old, t.cfg = t.cfg, t.cfg + ".new"
    t.conf(door("B", "7100,8100"))
    os.rename(t.cfg, old)
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    t.syn(7100, 8100)
    return t.opens()


@case("R17", "SIGHUP: a target that is none", "- DIED rc=1", "changed", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.conf(door("A", A3, "target = x y z"))
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("R18", "SIGHUP: -4 stays", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start("-4")
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    t.syn(7000, 8000, 9000, v6=True)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("R19", "SIGHUP: an empty file", "-")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.rawconf("")
    t.nocontrol = True
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("R20", "SIGHUP: the log of a broken file is opened anew all the same", "DIED rc=1", "changed", "c: A: Stage 1")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.conf(door("A", A3, "nonsense = 1"))
    os.rename(t.log, t.log + ".1")
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    if not t.alive():
        return "DIED " + t.wait(1)
    t.syn(7000)
    t.sleep(0.3)
    return " | ".join(line for line in t.logs() if "Stage" in line)
