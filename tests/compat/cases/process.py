"""The process: options, start, end, descriptors, several of them."""

import os
import signal
import socket
import stat

from harness import IF, InNs, door
from cases.base import LOG, case, A3

@case("D01", "-d: PidFile holds the pid and a newline, is removed at SIGTERM", "pid ok, works A:c, gone")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    t.proc.wait(3)
    t.sleep(0.2)
    txt = t.read("pid")
    pid = int(txt)
    ok = txt == "%d\n" % pid and os.path.exists("/proc/%d" % pid)
    t.syn(7000, 8000, 9000)
    r = t.opens().split(" DIED")[0]
    os.kill(pid, signal.SIGTERM)
    t.sleep(0.6)
    return "pid %s, works %s, %s" % ("ok" if ok else txt, r, "left" if t.read("pid") is not None else "gone")


@case("D02", "-d: cwd /, stdio /dev/null, own session", "/ /dev/null /dev/null sid")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    t.sleep(0.3)
    pid = int(t.read("pid"))
    p = "/proc/%d/" % pid
    out = [os.readlink(p + "cwd"), os.readlink(p + "fd/0"), os.readlink(p + "fd/1"), "sid" if os.getsid(pid) == pid else "no-sid"]
    os.kill(pid, signal.SIGKILL)
    return " ".join(out)


@case("D04", "PidFile in the config beats -p", "config")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d", "-p", t.dir + "/pid2")
    t.sleep(0.3)
    a, b = t.read("pid"), t.read("pid2")
    os.kill(int(a or b), signal.SIGKILL)
    return "config" if a else "flag"


@case("D05", "LogFile in the config beats -g", "config")
def _(t):
    t.conf(door("A", A3))
    t.start("-g", t.dir + "/log2")
    return "config" if t.loglines() else "flag"


@case("D08", "no -i, no Interface: eth0", "A:10.11.0.2")
def _(t):
    t.ip("link", "add", "eth0", "type", "veth", "peer", "name", "kde1", "netns", t.ns_c)
    t.ip("addr", "add", "10.11.0.1/24", "dev", "eth0")
    t.ip("link", "set", "eth0", "up")
    t.ipc("link", "set", "kde1", "up")
    t.conf(door("A", A3))
    t.start(iface=None)
    with InNs(t.ns_c):
        t.tx.close()
        t.tx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        t.tx.bind(("kde1", 0))
    t.syn(7000, 8000, 9000, src="10.11.0.2", dst="10.11.0.1")
    return t.opens()


@case("D09", "interface does not exist", "refused rc=1")
def _(t):
    t.conf(door("A", A3))
    return t.verdict(iface="nope0")


@case("D10", "interface is down at start", "refused rc=1")
def _(t):
    t.conf(door("A", A3))
    t.ip("link", "set", IF, "down")
    return t.verdict()


@case("D11", "interface goes down while running: goes on (libpcap 1.10)", "running", cost=2)
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.ip("link", "set", IF, "down")
    r = t.wait(1.5)
    t.note(t.output().strip())
    return r


@case("D12", "interface goes down and up again: knocks still work (libpcap 1.10)", "A:c", cost=2)
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.ip("link", "set", IF, "down")
    t.sleep(0.5)
    t.ip("link", "set", IF, "up")
    t.sleep(0.7)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("D13", "interface is removed while running", "rc=0", "changed", "running", cost=2)
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.ip("link", "del", IF)
    r = t.wait(1.5)
    t.note(t.output().strip())
    return r


@case("D14", "SIGINT: exit code 2", "rc=2")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.signal(signal.SIGINT)
    return t.wait(1)


@case("D15", "SIGTERM: exit code 15", "rc=15")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.signal(signal.SIGTERM)
    return t.wait(1)


def cli(cid, name, args, expect, cls="contract", conf=False, lines=1):
    def fn(t):
        t.conf(door("A", A3))
        t.spawn(*args, iface=None, conf=conf)
        rc = t.wait(1.5)
        return "%s, %s" % (rc, "$".join(t.output().split("\n")[:lines]))
    case(cid, name, expect, cls)(fn)


cli("D16", "-h", ["-h"], "rc=0, usage: knockd [options]")
cli("D17", "-V", ["-V"], "rc=0, knockd 0.8")
cli("D18", "unknown option: usage, exit code 0", ["-Z"], "re:rc=0, .*(invalid option|usage).*", "quirk")
cli("D19", "long options", ["--version"], "rc=0, knockd 0.8")


@case("D21", "log file cannot be opened: warning, runs on", "A:c")
def _(t):
    t.conf(door("A", A3), options="LogFile = {dir}/no/such/dir/log")
    t.start(timeout=1)
    t.note(t.output().strip())
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("D22", "-d, a second start fails: the first one's pid file", "pid file gone", "changed", "pid file there")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    t.sleep(0.3)
    pid = int(t.read("pid"))
    t.conf(door("A", A3, "target = 1.2.3.4.5.6"), options=LOG + "\nPidFile = {dir}/pid")
    t.spawn("-d")
    t.wait(2)
    r = "pid file " + ("gone" if t.read("pid") is None else "there")
    os.kill(pid, signal.SIGKILL)
    return r


@case("D23", "log and pid file are made with the umask only (mode 644)", "644 644", "quirk")
def _(t):
    os.umask(0o022)
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    t.sleep(0.3)
    r = " ".join("%o" % stat.S_IMODE(os.stat(t.dir + "/" + n).st_mode) for n in ("log", "pid"))
    os.kill(int(t.read("pid")), signal.SIGKILL)
    return r


@case("D24", "all long options", "A:c | starting up, listening on kdv0")
def _(t):
    t.conf(door("A", A3), options="")
    t.spawn("--config", t.cfg, "--interface", IF, "--logfile", t.log, "--pidfile", t.dir + "/pid", "--verbose", "--debug",
            "--only-ip-v4", iface=None, conf=False)
    t.sleep(0.6)
    t.syn(7000, 8000, 9000)
    return "%s | %s" % (t.opens(), t.logs(skip_start=False)[0])


@case("D26", "-d: pid file cannot be written: logged, runs on", "could not create pid file DIR/no/dir/pid: No such file or directory")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/no/dir/pid")
    t.start("-d")
    t.sleep(0.4)
    return t.logs()[0] if t.logs() else "no line"


@case("D28", "-D names the interface kind and the local addresses", "ethernet interface detected | local IP: s | local IP: s2 | local IP: s6", "quirk")
def _(t):
    t.conf(door("A", A3))
    t.start("-D")
    return " | ".join(t.short(x) for x in t.output().splitlines() if "detected" in x or "local IP" in x)


@case("D29", "runs without root, with cap_net_raw only", "A:c")
def _(t):
    os.chmod(t.dir, 0o777)
    t.conf(door("A", A3))
    if not t.start(wrap=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw",
                         "--ambient-caps=+net_raw")):
        return "refused " + t.output()[-100:]
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("D30", "SIGTERM ends an idle daemon within half a second", "rc=15")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.sleep(0.3)
    t.signal(signal.SIGTERM)
    return t.wait(0.5)


@case("D03", "without -d no pid file is written", "none")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start()
    return "none" if t.read("pid") is None else "written"


@case("D06", "-g without LogFile", "starting up, listening on kdv0")
def _(t):
    t.conf(door("A", A3), options="")
    t.start("-g", t.log)
    return t.logs(skip_start=False)[0]


@case("D07", "-i beats Interface", "A:c")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nInterface = lo")
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("D20", "config file missing: exit code 1 and the usage text", "rc=1 usage")
def _(t):
    t.spawn()
    rc = t.wait(1.5)
    return rc + (" usage" if "usage: knockd" in t.output() else "")


@case("D25", "stray words on the command line are passed over", "A:c", "quirk")
def _(t):
    t.conf(door("A", A3))
    t.start("start", "now")
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("D27", "two daemons with one configuration and pid file on two interfaces: both run", "A:c A:127.0.0.1")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start()
    t.nocontrol = True
    first = t.proc
    t.spawn(iface="lo")
    t.sleep(0.4)
    t.syn(7000, 8000, 9000)
    t.sleep(0.4)
    t.nsx(t.ns_s, "knock", "-d", "20", "127.0.0.1", "7000", "8000", "9000")
    seen = t.opens()
    first.terminate()
    first.wait(2)
    return seen


@case("D31", "-d: the pid file of an earlier run is written over", "one line")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.write("pid", "99999999 stale\nmore\n")
    t.start("-d")
    t.sleep(0.3)
    text = t.read("pid")
    os.kill(int(text), signal.SIGKILL)
    return "one line" if text.count("\n") == 1 else text


@case("D32", "-d: a relative PidFile is in the root folder", "/")
def _(t):
    name = "kd%s.pid" % t.tag
    t.conf(door("A", A3), options=LOG + "\nPidFile = " + name)
    t.start("-d", cwd=t.dir)
    t.sleep(0.3)
    for folder in ("/", t.dir + "/"):
        if os.path.exists(folder + name):
            with open(folder + name) as file:
                os.kill(int(file.read()), signal.SIGKILL)
            os.unlink(folder + name)
            return t.short(folder)
    return "nowhere"


@case("D33", "-d: the first process ends with 0 when the start has worked", "rc=0")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    result = t.wait(2)
    t.sleep(0.2)
    os.kill(int(t.read("pid")), signal.SIGKILL)
    return result


@case("D34", "-d: and with 1 when it has not", "rc=1, no pid file")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.spawn("-d", iface="nope0")
    return t.wait(2) + (", no pid file" if t.read("pid") is None else ", pid file")


@case("D35", "-d -v says nothing", "")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d", "-v")
    t.sleep(0.3)
    os.kill(int(t.read("pid")), signal.SIGTERM)
    t.sleep(0.4)
    return t.output()


@case("D36", "-d: the name of process and program", "knockd knockd knockd")
def _(t):
    t.conf(door("A", A3), options=LOG + "\nPidFile = {dir}/pid")
    t.start("-d")
    t.sleep(0.3)
    pid = int(t.read("pid"))
    with open("/proc/%d/comm" % pid) as comm, open("/proc/%d/cmdline" % pid) as words:
        names = [comm.read().strip(), os.path.basename(words.read().split("\0")[0])]
    names.append(os.path.basename(os.readlink("/proc/%d/exe" % pid)))
    os.kill(pid, signal.SIGKILL)
    return " ".join(names)


@case("D37", "SIGHUP is heard though it was ignored before the start (nohup)", "new:c")
def _(t):
    t.conf(door("A", A3))
    t.start(wrap=("nohup",))
    t.conf(door("new", "7100,8100"))
    t.signal(signal.SIGHUP)
    t.sleep(0.4)
    t.syn(7100, 8100)
    return t.opens()


@case("D38", "SIGINT is heard though it was ignored before the start", "rc=2")
def _(t):
    t.conf(door("A", A3))
    t.start(wrap=("sh", "-c", "trap '' TERM INT HUP; exec \"$@\"", "sh"))
    t.signal(signal.SIGINT)
    return t.wait(1)


@case("D39", "SIGUSR1", "sig=10", "quirk", "running")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.signal(signal.SIGUSR1)
    return t.wait(0.6)


@case("D40", "SIGQUIT", "sig=3")
def _(t):
    t.conf(door("A", A3))
    t.start()
    t.signal(signal.SIGQUIT)
    return t.wait(0.6)


@case("D41", "SIGTERM twice while a stop command waits", "rc=15 A:c stop DIED rc=15", cost=3)
def _(t):
    t.conf(door("A", "7000", "cmd_timeout = 1", "stop_command = echo stop >> {res}"))
    t.start()
    t.syn(7000)
    t.sleep(0.4)
    t.signal(signal.SIGTERM)
    t.sleep(0.1)
    t.signal(signal.SIGTERM)
    return t.wait(2) + " " + t.opens(0.3)


@case("D42", "two daemons with one configuration on one interface, no stop commands: both run", "A:c A:c")
def _(t):
    t.conf(door("A", A3))
    t.start()
    first = t.proc
    t.spawn()
    t.sleep(0.7)
    t.syn(7000, 8000, 9000)
    seen = t.opens()
    first.terminate()
    first.wait(2)
    return seen


@case("D43", "the same with stop commands", "A:c A:c stop stop", "quirk", "A:c stop DIED rc=1", cost=5)
def _(t):
    t.conf(door("A", A3, "cmd_timeout = 0", "stop_command = echo stop >> {res}"))
    t.start()
    first = t.proc
    t.spawn()
    t.sleep(3.5)
    t.syn(7000, 8000, 9000)
    seen = t.opens(1, sort=True)
    first.terminate()
    first.wait(2)
    return seen


@case("D44", "standard input, output and error closed", "A:c")
def _(t):
    t.conf(door("A", A3))
    t.start(wrap=("sh", "-c", "exec \"$@\" <&- >&- 2>&-", "sh"))
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("D45", "-v into a pipe that nobody reads", "-", "quirk", "A:c")
def _(t):
    t.conf(door("A", "7000"))
    t.start("-v", wrap=("sh", "-c", "exec \"$@\" | true", "sh"), timeout=1)
    t.sleep(0.3)
    t.syn(7000)
    return t.opens().split(" DIED")[0]


@case("D46", "no privileges at all", "refused rc=1")
def _(t):
    os.chmod(t.dir, 0o777)
    t.conf(door("A", A3))
    return t.verdict(wrap=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))


@case("D47", "cap_net_raw only, a stop command, and no folder to keep leases in", "A:c stop", "quirk", "refused rc=1")
def _(t):
    os.chmod(t.dir, 0o777)
    t.conf(door("A", A3, "cmd_timeout = 0", "stop_command = echo stop >> {res}"))
    if not t.start(wrap=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw",
                         "--ambient-caps=+net_raw"), env=dict(os.environ)):
        return "refused " + t.wait(1)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("D48", "the same with a folder (STATE_DIRECTORY)", "A:c stop")
def _(t):
    os.chmod(t.dir, 0o777)
    os.mkdir(t.dir + "/state", 0o700)
    os.chown(t.dir + "/state", 65534, 65534)
    t.conf(door("A", A3, "cmd_timeout = 0", "stop_command = echo stop >> {res}"))
    if not t.start(wrap=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=+net_raw",
                         "--ambient-caps=+net_raw"), env={"PATH": os.environ["PATH"], "STATE_DIRECTORY": t.dir + "/state"}):
        return "refused " + t.output()[-200:]
    t.syn(7000, 8000, 9000)
    return t.opens(1)


def refused(cid, name, args, expect):
    """the command line of a start that comes as far as the interface"""
    def fn(t):
        t.conf(door("A", A3))
        t.spawn(*[word.replace("CONF", t.cfg) for word in args], iface=None, conf=False)
        return "%s, %s" % (t.wait(1.5), t.output().split(":")[0])
    case(cid, name, expect)(fn)


refused("D50", "options and words run together", ["-inope9", "-cCONF"], "rc=1, could not open nope9")
refused("D51", "the last of two -c counts", ["-c", "/none/x", "-c", "CONF", "-i", "nope9"], "rc=1, could not open nope9")
refused("D52", "an empty -i is none", ["-i", "", "-c", "CONF"], "rc=1, could not open eth0")
refused("D53", "long options may be shortened", ["--conf", "CONF", "--inter=nope9"], "rc=1, could not open nope9")
cli("D55", "-h, the whole of it", ["-h"], "rc=0, " + "$".join((
    "usage: knockd [options]",
    "options:",
    "  -i, --interface <int>  network interface to listen on (default \"eth0\")",
    "  -d, --daemon           run as a daemon",
    "  -c, --config <file>    use an alternate config file",
    "  -D, --debug            output debug messages",
    "  -l, --lookup           lookup DNS names (may be a security risk)",
    "  -p, --pidfile          use an alternate pidfile",
    "  -g, --logfile          use an alternate logfile",
    "  -v, --verbose          be verbose",
    "  -4, --only-ip-v4       do not track ipv6",
    "  -V, --version          display version",
    "  -h, --help             this help",
    "",
    "",
)), lines=None)
cli("D56", "-V, its two lines", ["-V"], "rc=0, knockd 0.8$Copyright (C) 2004-2012 Judd Vinet <jvinet@zeroflux.org>", lines=2)
cli("D54", "-V before an option that is unknown", ["-V", "-Z"], "rc=0, knockd 0.8")
