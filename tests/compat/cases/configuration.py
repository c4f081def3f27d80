"""The grammar of knockd.conf."""

import os

from harness import door
from cases.base import CASES, GAP, case, A3

def gram(cid, name, text, expect, cls="contract", want=None):
    def fn(t):
        t.rawconf(text)
        return t.verdict("-g", t.log, wait=1.2)
    case(cid, name, expect, cls, want)(fn)


def gramk(cid, name, text, sends, expect, cls="contract", want=None):
    def fn(t):
        t.rawconf(text)
        if not t.start("-g", t.log):
            return "refused " + t.wait(1)
        for n, s in enumerate(sends):
            if n:
                t.sleep(GAP)
            kw = s[-1] if isinstance(s[-1], dict) else {}
            t.send(s[0], *[p for p in s[1:] if isinstance(p, int)], **kw)
        return t.opens()
    case(cid, name, expect, cls, want)(fn)


CMD = "command = echo ok >> {res}\n"
NO, UP = "refused rc=1", "up"
T3 = [("tcp", 7000, 8000, 9000)]
gram("K01", "empty file", "", UP, "quirk")
gram("K02", "only [options]", "[options]\n", UP, "quirk")
gram("K04", "door without sequence", "[A]\ncommand = true\n", NO)
gram("K05", "unknown directive in a door", "[A]\nsequence = 7000\nfoo = bar\n", NO)
gram("K06", "unknown directive in [options]", "[options]\nfoo = bar\n[A]\nsequence = 7000\n", NO)
gram("K07", "door directive in [options]", "[options]\nseq_timeout = 5\n[A]\nsequence = 7000\n", NO)
gram("K08", "options directive in a door", "[A]\nsequence = 7000\nlogfile = {dir}/x\n", NO)
gram("K09", "UseSyslog with a value", "[options]\nUseSyslog = yes\n[A]\nsequence = 7000\n", NO)
gram("K10", "UseSyslog in a door section", "[A]\nsequence = 7000\nUseSyslog\n", UP, "quirk")
gram("K11", "word without =", "[A]\nsequence\n", NO)
gram("K12", "[] is not a section", "[]\nsequence = 7000\n", NO)
gram("K14", "spaces inside the brackets: a door", "[ options ]\nlogfile = {dir}/x\n", NO, "quirk")
gramk("K15", "directive names in any case, spaces and tabs anywhere", "  [A]  \n\t SeQuEnCe\t=  7000 ,\t8000,9000  \n COMMAND=echo ok >> {res}\n", T3, "ok")
gram("K18", "port with an empty protocol", "[A]\nsequence = 7000:\n", NO)
gram("K19", "port 65536", "[A]\nsequence = 65536\n", NO)
gramk("K20", "port -1", "[A]\nsequence = -1\n" + CMD, [("tcp", 65535)], "ok", "changed", "refused rc=1")
gramk("K21", "port 4294974296 (2^32 + 7000)", "[A]\nsequence = 4294974296\n" + CMD, [("tcp", 7000)], "ok", "changed", "refused rc=1")
gramk("K22", "empty sequence", "[A]\nsequence =\n" + CMD, [("tcp", 0)], "ok", "changed", "refused rc=1")
gramk("K25", "text after the number is dropped", "[A]\nsequence = 7000x,8000-8010,9000 # c\n" + CMD, T3, "ok", "quirk", "refused rc=1")
gramk("K26", "a third field is dropped", "[A]\nsequence = 7000:udp:tcp\n" + CMD, [("udp", 7000)], "ok", "quirk", "refused rc=1")
gram("K27", "33 ports", "[A]\nsequence = " + ",".join(["7000"] * 33) + "\n", NO)
gram("K29", "space after the comma in tcpflags", "[A]\nsequence = 7000\ntcpflags = syn, ack\n", NO)
gram("K30", "unknown flag", "[A]\nsequence = 7000\ntcpflags = ece\n", NO)
gram("K31", "empty tcpflags", "[A]\nsequence = 7000\ntcpflags =\n", NO)
gram("K32", "space after ! in tcpflags", "[A]\nsequence = 7000\ntcpflags = ! syn\n", NO)
gram("K33", "comment after tcpflags", "[A]\nsequence = 7000\ntcpflags = syn # only syn\n", NO)
gram("K34", "comment after a protocol", "[A]\nsequence = 7000:udp # c\n", NO)
gramk("K36", "; line with = is an unknown directive; # lines with leading blanks are comments", "[A]\n   # c = d\nsequence = 7000,8000,9000\n" + CMD, T3, "ok")
gramk("K38", "no newline at the end", "[A]\n" + CMD + "sequence = 7000,8000,9000", T3, "ok")
gramk("K39", "quotes are part of the value", "[A]\nsequence = 7000\ncommand = \"echo\" 'a b' >> {res}\n", [("tcp", 7000)], "a b")
gram("K43", "a line over 4095 bytes is cut in pieces, the rest is read as a new line", "[A]\nsequence = 7000\ncommand = echo " + "x" * 4200 + "\n", NO, "quirk")
gramk("K44", "[options] in the middle, twice", "[options]\n[A]\nsequence = 7000,8000,9000\n" + CMD + "[options]\npidfile = {dir}/p\n", T3, "ok")
gramk("K45", "name of 300 characters is cut to 127 in the log", "[" + "n" * 200 + "]\nsequence = 7000\ncommand = true\n", [("tcp", 7000)], "-", "quirk")
CASES[-1]["fn"] = (lambda f: (lambda t: "%s %d" % (f(t), t.logs()[0].count("n"))))(CASES[-1]["fn"])
CASES[-1]["expect"] = "- 127"
gram("K46", "UTF-8 byte order mark", "\ufeff[A]\nsequence = 7000\n", NO, "quirk")
gramk("K47", "UTF-8 door name", "[tür]\nsequence = 7000\n" + CMD, [("tcp", 7000)], "ok")
gram("K50", "no start_command at all", "[A]\nsequence = 7000\n", UP)
gram("K51", "empty cmd_timeout/seq_timeout values", "[A]\nsequence = 7000\ncmd_timeout =\nseq_timeout =\n", UP, "quirk")
gramk("K52", "leading zeros are decimal", "[A]\nsequence = 007000\n" + CMD, [("tcp", 7000)], "ok")
gramk("K53", "port in hex", "[A]\nsequence = 0x1b58\n" + CMD, [("tcp", 0)], "ok", "changed", "refused rc=1")
gram("K55", "seq_cooldown (a directive of other forks) is unknown", "[A]\nsequence = 7000\nseq_cooldown = 5\n", NO, "quirk", UP)
gram("K57", "per-door interface is unknown", "[A]\nsequence = 7000\ninterface = kdv0\n", NO)


gram("K59", "comments and empty lines before the first section", "# a = b\n\n   \n\t# c\n[A]\nsequence = 7000\n", UP)
gram("K61", "interface = \"\" (quotes): no such device", "[options]\ninterface = \"\"\n[A]\nsequence = 7000\n", NO)
CASES[-1]["fn"] = lambda t: (t.rawconf("[options]\ninterface = \"\"\n[A]\nsequence = 7000\n"), t.verdict("-g", t.log, iface=None, wait=1.2))[1]
gramk("K62", "no blanks around =, and a blank only after it", "[A]\nsequence=7000,8000,9000\nseq_timeout= 5\ncommand =echo ok >> {res}\n", T3, "ok")
gramk("K63", "a # inside a command is the shell's business", "[A]\nsequence = 7000\ncommand = echo 'a#b' >> {res} # rest\n", [("tcp", 7000)], "a#b")
gramk("K64", "door with only a name like an option word", "[logfile]\nsequence = 7000\n" + CMD, [("tcp", 7000)], "ok")
gramk("K65", "NUL-free 31 ports of mixed protocol", "[A]\nsequence = " + ",".join("%d:%s" % (7000 + i, "tcp" if i % 2 else "udp") for i in range(31)) + "\n" + CMD,
      [("tcp" if i % 2 else "udp", 7000 + i) for i in range(31)], "ok")


@case("K60", "Interface three times: the first that is not empty counts", "ok")
def _(t):
    t.rawconf("[options]\nInterface =\nInterface = kdv0\nInterface = lo\n[A]\nsequence = 7000,8000,9000\n" + CMD)
    t.start("-g", t.log, iface=None)
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("K58", "config path is a directory: taken as an empty config", "up", "quirk", "refused rc=1")
def _(t):
    os.mkdir(t.cfg)
    v = t.verdict(wait=1)
    return v


gram("K03", "a directive before the first section", "sequence = 7000\n[A]\nsequence = 7000\n", NO)
gramk("K13", "[Options] is a door", "[Options]\nsequence = 7000\n" + CMD, [("tcp", 7000)], "ok")
gramk("K16", "blanks around items", "[A]\nsequence = 7000 , 8000 ,9000\n" + CMD, T3, "ok")
gramk("K28", "a repeated sequence: the last one counts", "[A]\nsequence = 1,2,3\nsequence = 7000,8000,9000\n" + CMD, T3, "ok")
gram("K35", "; begins no comment", "; comment\n[A]\nsequence = 7000\n", NO)
gramk("K37", "CRLF", "[A]\r\nsequence = 7000,8000,9000\r\n" + CMD.replace("\n", "\r\n"), T3, "ok")
gram("K41", "no continuation with a backslash", "[A]\nsequence = 7000\ncommand = echo \\\n  more\n", NO)
gramk("K48", "equals signs and quotes in a value", "[A]\nsequence = 7000\ncommand = X=1; test \"$X\" = '1' && echo ok >> {res}\n",
      [("tcp", 7000)], "ok")
gramk("K66", "upper-case directives and protocols", "[A]\nSEQUENCE = 7000:TCP,8000:UDP\nCOMMAND = echo ok >> {res}\n",
      [("tcp", 7000), ("udp", 8000)], "ok")
gramk("K67", "tabs", "[A]\n\tsequence\t=\t7000,8000,9000\n\tcommand\t=\techo ok >> {res}\n", T3, "ok")
gram("K68", "33 steps", "[A]\nsequence = " + ",".join(str(7000 + i) for i in range(33)) + "\n", NO)
gram("K69", "an unknown protocol", "[A]\nsequence = 7000:icmp\n", NO)
gramk("K23", "a trailing comma", "[A]\nsequence = 7000,\n" + CMD, [("tcp", 7000, 0)], "ok", "quirk")
gramk("K24", "no digit in front", "[A]\nsequence = !7000\n" + CMD, [("tcp", 0)], "ok", "quirk")
gramk("K40", "a quoted port", "[A]\nsequence = \"7000\"\n" + CMD, [("tcp", 0)], "ok", "quirk")
gramk("K42", "a line of 4000 bytes", "[A]\nsequence = 7000\ncommand = echo ok >> {res} #" + "x" * 3900 + "\n", [("tcp", 7000)], "ok")
gram("K70", "a comment behind a section's name", "[A] # c\nsequence = 7000\n", NO)
gram("K71", "a line that is nothing but =", "[A]\nsequence = 7000\n=\n", NO)
gramk("K72", "a section in two pairs of brackets: the inner ones belong to the name", "[[A]]\nsequence = 7000\n" + CMD, [("tcp", 7000)], "ok")
gramk("K73", "form feed and vertical tab are white space", "[A]\n\v\fsequence\f=\v7000\f\n" + CMD, [("tcp", 7000)], "ok")
gram("K75", "a comment of more than 4095 bytes: its rest is a new line", "#" + "x" * 5000 + "\n[A]\nsequence = 7000\n", NO)
gram("K76", "UseSyslog with an empty value", "[options]\nUseSyslog =\n[A]\nsequence = 7000\n", NO)
gramk("K77", "blanks in place of commas: the first number counts", "[A]\nsequence = 7000 8000 9000\n" + CMD, [("tcp", 7000)], "ok", "quirk")
gram("K79", "a colon in place of =", "[A]\nsequence: 7000\n", NO)
gram("K80", "[OPTIONS] is a door", "[OPTIONS]\nlogfile = {dir}/x\n[A]\nsequence = 7000\n", NO)
gramk("K81", "blanks around protocols", "[A]\nsequence = 7000 : udp , 8000: UDP ,9000 :tcp\n" + CMD, [("udp", 7000, 8000), ("tcp", 9000)], "ok")
gram("K82", "a comma at the end of tcpflags", "[A]\nsequence = 7000\ntcpflags = syn,\n", NO)
gram("K83", "!! in tcpflags", "[A]\nsequence = 7000\ntcpflags = !!syn\n", NO)
gramk("K86", "percent signs in a name are no formats", "[a%sb%n]\nsequence = 7000\n" + CMD, [("tcp", 7000)], "ok")
gram("K89", "one_time_sequences without a name", "[A]\none_time_sequences =\n" + CMD, NO)
gram("K90", "an empty target", "[A]\nsequence = 7000\ntarget =\n" + CMD, NO)
gram("K96", "an empty protocol before another", "[A]\nsequence = 7000::udp\n", NO)
gram("K97", "protocol and port exchanged", "[A]\nsequence = udp:7000\n", NO)
gramk("K98", "port/protocol: what follows the number is dropped", "[A]\nsequence = 7000/udp\n" + CMD, [("tcp", 7000)], "ok", "quirk")
gramk("K99", "sequence once more, empty: the last one counts", "[A]\nsequence = 7000\nsequence =\n" + CMD, [("tcp", 7000), ("tcp", 0)], "ok", "quirk")
gramk("K100", "a command taken back with an empty one", "[A]\nsequence = 7000\n" + CMD + "start_command =\n", [("tcp", 7000)], "-")
gram("K101", "a hyphen in a directive", "[A]\nsequence = 7000\nstart-command = true\n", NO)
gramk("K102", "two =: the second belongs to the value", "[A]\nsequence == 7000\n" + CMD, [("tcp", 0)], "ok", "quirk")
gram("K103", "lines that end with CR alone are one line", "[A]\rsequence = 7000\r", NO)
gramk("K104", "a negative port counts from the top", "[A]\nsequence = -58536\n" + CMD, [("tcp", 7000)], "ok", "quirk")
gram("K105", "32 steps and a trailing comma", "[A]\nsequence = " + ",".join(["7000"] * 32) + ",\n", NO)


@case("K106", "a configuration of another owner that everybody may write", "A:c")
def _(t):
    t.conf(door("A", A3))
    os.chmod(t.cfg, 0o666)
    os.chown(t.cfg, 65534, 65534)
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("K107", "a configuration behind a link", "A:c")
def _(t):
    t.conf(door("A", A3))
    os.rename(t.cfg, t.cfg + ".real")
    os.symlink("knockd.conf.real", t.cfg)
    t.start()
    t.syn(7000, 8000, 9000)
    return t.opens()


@case("K108", "a configuration from a pipe", "A:c", "quirk", "- DIED rc=1")
def _(t):
    t.conf(door("A", A3))
    t.start(conf=False, wrap=("sh", "-c", "f=$1; shift; cat $f | exec \"$@\" -c /dev/stdin", "sh", t.cfg))
    t.syn(7000, 8000, 9000)
    return t.opens()
