"""Network-namespace harness: one fresh client/server pair per case.

Everything (veth, tun, addresses, packets) lives in two namespaces the case makes and removes.
Processes are ended by pid only: the daemon the case started and what is left inside the case's own namespaces.
"""
import ctypes
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pkt

SRV, SRV_B, CLI = "10.77.0.1", "10.77.0.11", "10.77.0.2"
OTHER, THIRD = "10.77.0.3", "10.77.0.4"
SRV6, CLI6, OTHER6 = "fd77::1", "fd77::2", "fd77::3"
REMOTE = "10.88.0.9"  # an address that is not the server's (the "routed host")
NAMES = [(SRV6, "s6"), (CLI6, "c6"), (OTHER6, "o6"), (SRV_B, "s2"), (REMOTE, "remote"), (SRV, "s"), (CLI, "c"),
         (OTHER, "o"), (THIRD, "t")]
IF = "kdv0"

_libc = ctypes.CDLL("libc.so.6", use_errno=True)


def sh(*cmd, check=True):
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if check and r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(cmd), r.stdout))
    return r.stdout


class InNs:
    """Create sockets inside a namespace: `with InNs(name): socket(...)` (the socket stays there)."""

    def __init__(self, ns):
        self.ns = ns

    def __enter__(self):
        self.old = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        fd = os.open("/run/netns/" + self.ns, os.O_RDONLY)
        if _libc.setns(fd, 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(fd)

    def __exit__(self, *a):
        _libc.setns(self.old, 0x40000000)
        os.close(self.old)


def door(name, seq=None, *extra, cmd=None, timeout=5):
    """A door whose start_command appends 'name:ip' to the result file."""
    out = ["[%s]" % name]
    if seq is not None:
        out.append("sequence = " + seq)
    if timeout is not None:
        out.append("seq_timeout = %s" % timeout)
    if cmd is None:
        cmd = "echo %s:%%IP%% >> {res}" % name
    if cmd is not False:
        out.append("start_command = " + cmd)
    out += extra
    return "\n".join(out) + "\n"


class Case:
    """What a case function gets."""

    def __init__(self, daemon, knock, tag):
        self.daemon_cmd, self.knock_cmd, self.tag = daemon, knock, tag
        self.ns_s, self.ns_c = "kd%ss" % tag, "kd%sc" % tag
        self.dir = tempfile.mkdtemp(prefix="kd-%s-" % tag)
        self.res, self.log = self.dir + "/res", self.dir + "/log"
        self.cfg, self.out = self.dir + "/knockd.conf", self.dir + "/out"
        self.proc = None
        self.pid = None
        self.pids = []
        self.notes = []
        self.tx = None
        self.gap = 0.01
        self.count = 0
        self.has_control = False  # the config has a control door
        self.nocontrol = False  # the case knows that the control door cannot open

    # -- network ------------------------------------------------------------------------------
    def net(self):
        sh("ip", "netns", "add", self.ns_s)
        sh("ip", "netns", "add", self.ns_c)
        for ns in (self.ns_s, self.ns_c):
            self.nsx(ns, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0",
                     "net.ipv6.conf.default.router_solicitations=0", "net.ipv6.conf.default.addr_gen_mode=1",
                     "net.ipv4.conf.default.rp_filter=0", "net.ipv4.conf.all.rp_filter=0")
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        sh("ip", "-n", self.ns_s, "link", "add", IF, "address", "02:77:00:00:00:01", "type", "veth",
           "peer", "name", "kdc0", "netns", self.ns_c, "address", "02:77:00:00:00:02")
        self.ip("addr", "add", SRV + "/24", "dev", IF)
        self.ip("addr", "add", SRV_B + "/24", "dev", IF)
        self.ip("-6", "addr", "add", SRV6 + "/64", "dev", IF, "nodad")
        self.ipc("addr", "add", CLI + "/24", "dev", "kdc0")
        self.ipc("-6", "addr", "add", CLI6 + "/64", "dev", "kdc0", "nodad")
        self.ip("link", "set", IF, "up")
        self.ipc("link", "set", "kdc0", "up")
        self.wait_for_link()
        self.open_tx()

    def wait_for_link(self):
        """until the kernel has noticed that the cable is whole; before that it drops what is sent"""
        end = time.time() + 5
        while time.time() < end:
            if "state UP" in self.ip("link", "show", IF) and "state UP" in self.ipc("link", "show", "kdc0"):
                return
            time.sleep(0.01)

    def open_tx(self):
        with InNs(self.ns_c):
            self.tx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.tx.bind(("kdc0", 0))

    def nsx(self, ns, *cmd, **kw):
        return subprocess.run(["nsenter", "--net=/run/netns/" + ns, *cmd], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, **kw)

    def ip(self, *a):
        return sh("ip", "-n", self.ns_s, *a)

    def ipc(self, *a):
        return sh("ip", "-n", self.ns_c, *a)

    # -- packets ------------------------------------------------------------------------------
    def send(self, proto, *ports, src=None, dst=None, v6=False, gap=None, **kw):
        src = src or (CLI6 if v6 else CLI)
        dst = dst or (SRV6 if ":" in src else SRV)
        for p in ports:
            self.count += 1  # like a client that makes a new connection for every hit
            k = dict(dict(sport=40000 + self.count, seq=0x1000 + 0x10001 * self.count), **kw)
            self.tx.send(pkt.frame(proto, src, dst, p, **k))
            time.sleep(self.gap if gap is None else gap)

    def syn(self, *ports, **kw):
        self.send("tcp", *ports, **kw)

    def udp(self, *ports, **kw):
        self.send("udp", *ports, **kw)

    def align(self, frac):
        """wait until the fractional part of the wall clock is `frac`"""
        now = time.time()
        time.sleep((frac - now % 1) % 1)

    def sleep(self, s):
        time.sleep(s)

    # -- config and daemon --------------------------------------------------------------------
    def fmt(self, text):
        for k in ("res", "log", "dir"):
            text = text.replace("{%s}" % k, getattr(self, k))
        return text

    def conf(self, *doors, options="LogFile = {log}"):
        """[options] + doors + a control door, with which opens() tells 'did not open' from 'daemon is deaf'"""
        self.has_control = True
        self.rawconf(("[options]\n%s\n" % options if options else "") + "".join(doors) +
                     door("ctl", "64999:udp"))

    def rawconf(self, text):
        with open(self.cfg, "w") as f:
            f.write(self.fmt(text))

    def write(self, name, text):
        with open(self.dir + "/" + name, "w") as f:
            f.write(self.fmt(text))

    def read(self, name):
        try:
            with open(self.dir + "/" + name, errors="replace") as f:
                return f.read()
        except OSError:
            return None

    def argv(self, args, iface=IF, conf=True):
        base = self.daemon_cmd
        if "{conf}" in base:
            return shlex.split(base.replace("{conf}", self.cfg).replace("{if}", iface or "")) + list(args)
        a = shlex.split(base)
        if conf:
            a += ["-c", self.cfg]
        if iface:
            a += ["-i", iface]
        return a + list(args)

    def spawn(self, *args, iface=IF, conf=True, wrap=(), cwd=None, env=None):
        """`env`: the daemon's whole environment; without it ours, and a folder for its state that no other case has"""
        out = open(self.out, "ab")
        env = env if env is not None else dict(os.environ, STATE_DIRECTORY=self.dir + "/state")
        self.proc = subprocess.Popen(["nsenter", "--net=/run/netns/" + self.ns_s, *wrap,
                                      *self.argv(args, iface, conf)], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                     cwd=cwd, env=env)
        self.pid = self.proc.pid
        return self.proc

    def start(self, *args, timeout=4, **kw):
        """start the daemon, wait for its 'starting up' log line (or a packet socket in the namespace)"""
        before = len(self.loglines())
        self.spawn(*args, **kw)
        end = time.time() + timeout
        while time.time() < end:
            if self.proc.poll() is not None and "-d" not in args:
                return False
            if any("starting up" in x for x in self.loglines()[before:]):
                time.sleep(0.05)
                return True
            time.sleep(0.02)
        return self.proc.poll() is None

    def verdict(self, *args, wait=1.5, **kw):
        """start with the current config; 'up' or 'refused rc=N' (message goes to the notes)"""
        if self.start(*args, timeout=wait, **kw):
            return "up"
        try:
            rc = self.proc.wait(1)
        except subprocess.TimeoutExpired:
            return "up"
        self.note(first(self.output()))
        return "refused " + self.rcstr(rc)

    def output(self):
        try:
            with open(self.out, errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def rcstr(self, rc):
        return "sig=%d" % -rc if rc < 0 else "rc=%d" % rc

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def signal(self, sig, pid=None):
        os.kill(pid or self.pid, sig)

    def wait(self, t):
        try:
            return self.rcstr(self.proc.wait(t))
        except subprocess.TimeoutExpired:
            return "running"

    @staticmethod
    def pid_alive(pid):
        try:
            with open("/proc/%d/stat" % pid) as f:
                return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
        except OSError:
            return False

    def children(self, pid=None):
        pid = pid or self.pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
                return [int(x) for x in f.read().split()]
        except OSError:
            return []

    # -- observations -------------------------------------------------------------------------
    def raw_results(self):
        return [x for x in (self.read("res") or "").splitlines() if not x.startswith("ctl:")]

    def control(self):
        """knock on the control door from a third address; did the daemon hear it?"""
        n = (self.read("res") or "").count("ctl:")
        self.udp(64999, src=THIRD)
        end = time.time() + 2
        while time.time() < end:
            if (self.read("res") or "").count("ctl:") > n:
                return True
            time.sleep(0.03)
        return False

    def opens(self, wait=0.6, sort=False):
        """what the commands wrote, addresses replaced by short names; '-' when nothing; + death of the daemon"""
        time.sleep(wait)
        old, quiet, end = None, time.time(), time.time() + 3
        while time.time() < end and time.time() - quiet < 0.25:  # until nothing new came for a quarter second
            cur = self.read("res")
            if cur != old:
                old, quiet = cur, time.time()
            time.sleep(0.05)
        r = [self.short(x) for x in self.raw_results()]
        if sort:
            r.sort()
        s = " ".join(r) or "-"
        if self.proc is not None and self.proc.poll() is not None:
            s += " DIED " + self.rcstr(self.proc.returncode)
        elif s == "-" and self.has_control and not self.nocontrol and not self.control():
            s = "- DEAF"
        return s

    def short(self, x):
        x = x.replace(self.dir, "DIR").replace(self.ns_s, "NS")
        for a, n in NAMES:
            x = re.sub(r"(?<![0-9a-f.])%s(?![0-9a-f])" % re.escape(a), n, x)
        return x

    def loglines(self, path=None):
        try:
            with open(path or self.log, errors="replace") as f:
                return f.read().split("\n")[:-1]
        except OSError:
            return []

    def logs(self, keep_blank=True, skip_start=True):
        """log lines without the time stamp; '~' is an empty line; 'BAD<..>' a line without a proper stamp"""
        out, skip = [], False
        for ln in self.loglines():
            if ": ctl: " in ln or "] ctl: " in ln:  # the control door's lines, and the empty one after its command
                skip = True
                continue
            if skip and ln == "":
                continue
            skip = False
            m = re.match(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d\] (.*)$", ln)
            if m:
                if skip_start and m.group(1).startswith("starting up"):
                    continue
                out.append(self.short(m.group(1)))
            elif ln == "":
                if keep_blank:
                    out.append("~")
            else:
                out.append("BAD<%s>" % self.short(ln))
        return out

    def note(self, s):
        if s:
            self.notes.append(self.short(s))

    # -- client under test --------------------------------------------------------------------
    def knock(self, *args):
        """run the knock client in the client namespace -> (rc, stdout+stderr, [parsed packets seen by the server])"""
        with InNs(self.ns_s):
            rx = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            rx.bind((IF, 0))
        rx.settimeout(0.4)
        t0 = time.time()
        r = self.nsx(self.ns_c, *shlex.split(self.knock_cmd), *args)
        took = time.time() - t0
        seen = []
        try:
            while True:
                fr, adr = rx.recvfrom(65535)
                if adr[2] == 4:  # PACKET_OUTGOING
                    continue
                p = pkt.parse(fr)
                if p:
                    seen.append(p)
        except socket.timeout:
            pass
        rx.close()
        return r.returncode, r.stdout, r.stderr, seen, took

    # -- end ----------------------------------------------------------------------------------
    def close(self):
        for p in (self.proc,):
            if p is not None and p.poll() is None:
                p.terminate()
                try:
                    p.wait(0.3)
                except subprocess.TimeoutExpired:
                    p.kill()
                    p.wait()
        if self.tx:
            self.tx.close()
        for ns in (self.ns_s, self.ns_c):
            for pid in sh("ip", "netns", "pids", ns, check=False).split():
                if pid.isdigit():
                    try:
                        os.kill(int(pid), signal.SIGKILL)
                    except OSError:
                        pass
            sh("ip", "netns", "del", ns, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)


def first(text):
    """first line that is not usage text"""
    for ln in text.splitlines():
        if ln.strip() and not ln.startswith(("usage:", "options:", "  -")):
            return ln
    return ""
