"""knockd.conf and one-time files at their bounds: bytes nobody types, lengths, numbers, orders, what templates leave."""

from cases.base import CASES, case
from cases.configuration import CMD, NO, UP, gram, gramk
from cases.one_time import ots

KNOCK = [("tcp", 7000)]
A = "[A]\nsequence = 7000\n"


def raw(cid, name, data, sends, expect, cls="contract", want=None):
    """A configuration as bytes."""
    def fn(t):
        with open(t.cfg, "wb") as f:
            f.write(data.replace(b"{res}", t.res.encode()))
        if not t.start("-g", t.log):
            return "refused " + t.wait(1)
        for kind, *ports in sends:
            t.send(kind, *ports)
        return t.opens()
    case(cid, name, expect, cls, want)(fn)


OK = b"command = echo ok >> {res}\n"
raw("K110", "Latin-1 in comments", b"# T\xfcr\n[A]\nsequence = 7000\n" + OK + b"# \xe9\n", KNOCK, "ok")
raw("K111", "Latin-1 in a door's name", b"[T\xfcr]\nsequence = 7000\n" + OK, KNOCK, "ok")
raw("K112", "Latin-1 in a command", b"[A]\nsequence = 7000\ncommand = echo T\xfcr >> {res}\n", KNOCK, "T\ufffdr", "quirk", NO)
raw("K113", "NUL in a value: the line ends there", b"[A]\nsequence = 7000\x00,8000\n" + OK, KNOCK, "ok")
raw("K114", "NUL at the start of a line: the line is empty", b"[A]\nsequence = 7000\n\x00nonsense\n" + OK, KNOCK, "ok")
raw("K115", "NUL in a section's line", b"[A]\x00\nsequence = 7000\n" + OK, KNOCK, "ok")
raw("K116", "UTF-16", "[A]\nsequence = 7000\n".encode("utf-16"), [], NO)
raw("K117", "a byte order mark in front of a comment", b"\xef\xbb\xbf# c\n[A]\nsequence = 7000\n" + OK, KNOCK, NO)
raw("K118", "a no-break space behind =", b"[A]\nsequence =\xc2\xa07000\n" + OK, [("tcp", 0)], "ok")
raw("K119", "a no-break space in front of a directive", b"[A]\n\xc2\xa0sequence = 7000\n" + OK, [], NO)
raw("K120", "control characters in a command", b"[A]\nsequence = 7000\ncommand = echo a\x01b | tr '\\001' - >> {res}\n", KNOCK, "a-b")
raw("K121", "CR inside a line is white space within the value", b"[A]\nsequence = 7000\rsequence = 8000\n" + OK, KNOCK, "ok")
raw("K122", "CRLF, no newline at the end, and a CR alone there", b"[A]\r\nsequence = 7000\r\n" + OK.replace(b"\n", b"\r"), KNOCK, "ok")
raw("K123", "nothing but blank lines", b"\r\n\t\n   \n\x0c\n", [], "-")

for cid, size, expect in (("K124", 4094, "ok"), ("K125", 4095, "ok"), ("K126", 4096, "ok"), ("K164", 4097, NO)):
    text = b"command = echo ok >> {res} #"
    def bytes_line(t, size=size):
        head = text.replace(b"{res}", t.res.encode())
        with open(t.cfg, "wb") as f:
            f.write(A.encode() + head + b"x" * (size - 1 - len(head)) + b"\n")
        if not t.start("-g", t.log):
            return "refused " + t.wait(1)
        t.send("tcp", 7000)
        return t.opens()
    case(cid, "a line of %d bytes with its newline" % size, expect)(bytes_line)

gramk("K127", "the highest and the lowest port", "[A]\nsequence = 65535,1\n" + CMD, [("tcp", 65535, 1)], "ok")
gramk("K128", "port 0", "[A]\nsequence = 0\n" + CMD, [("tcp", 0)], "ok", "quirk")
gramk("K129", "a service's name: its number is not looked up", "[A]\nsequence = ssh:udp\n" + CMD, [("udp", 0)], "ok", "quirk")
gramk("K130", "a comma in front", "[A]\nsequence = ,7000\n" + CMD, [("tcp", 0, 7000)], "ok", "quirk")
gramk("K131", "a placeholder of a template is port 0", "[A]\nsequence = {{ ports | join(\",\") }}\n" + CMD, [("tcp", 0, 0)], "ok", "quirk")
gram("K132", "a loop of a template", "[options]\n{% for door in doors %}\n[A]\nsequence = 7000\n{% endfor %}\n", NO)
gram("K133", "a placeholder with a colon", "[A]\nsequence = ${PORT:-7000}\n", NO)
gram("K134", "quotes around ports with protocols", "[A]\nsequence = \"7000:tcp,8000:udp\"\n", NO)
gramk("K135", "quotes around ports without", "[A]\nsequence = \"7000,8000\"\n" + CMD, [("tcp", 0, 8000)], "ok", "quirk")
gramk("K136", "a semicolon behind a value", "[A]\nsequence = 7000;\nseq_timeout = 5;\n" + CMD, KNOCK, "ok", "quirk")
gram("K137", "a semicolon behind a flag", A + "tcpflags = syn;\n", NO)
gram("K138", "a section's line without its end", "[A\nsequence = 7000\n", NO)
gramk("K139", "brackets within a name", "[a]b]\nsequence = 7000\n" + CMD, KNOCK, "ok")
gramk("K140", "a name of one blank", "[ ]\nsequence = 7000\n" + CMD, KNOCK, "ok")
gram("K141", "a value without a name", A + "= 5\n", NO)
gram("K142", "UseSyslog before the first section", "UseSyslog\n" + A, NO)
gram("K143", "UseSyslog twice, in odd letters", "[options]\nusesyslog\nUSESYSLOG\n" + A, UP)
gram("K144", "words behind UseSyslog", "[options]\nUseSyslog yes\n" + A, NO)
gram("K145", "a comment behind UseSyslog", "[options]\nUseSyslog # to the journal\n" + A, NO)
gramk("K146", "two doors of one name with two sequences", A + CMD + "[A]\nsequence = 8000\ncommand = echo two >> {res}\n",
      [("tcp", 7000), ("tcp", 8000)], "ok two")
gramk("K147", "the sequence comes last, the flags first", "[A]\ntcpflags = syn\n" + CMD + "seq_timeout = 9\nsequence = 7000\n", KNOCK, "ok")
gramk("K148", "tcpflags taken back in a second line", A + "tcpflags = ack\ntcpflags = !ack\n" + CMD, KNOCK, "ok")
gramk("K149", "one flag twice", A + "tcpflags = syn,syn\n" + CMD, KNOCK, "ok")
gram("K150", "tcpflags with a bar", A + "tcpflags = syn|ack\n", NO)
gram("K151", "tcpflags = none", A + "tcpflags = none\n", NO)
gramk("K152", "seq_timeout with a fraction, and with an exponent", "[A]\nsequence = 7000,8000\nseq_timeout = 0.9\n" + CMD
      + "[B]\nsequence = 7100,8100\nseq_timeout = 2e9\n" + CMD, [("tcp", 7000, 8000), ("tcp", 7100, 8100)], "ok")
gramk("K153", "seq_timeout beyond 32 bits, that is 5", "[A]\nsequence = 7000,8000\nseq_timeout = 4294967301\n" + CMD,
      [("tcp", 7000, 8000)], "ok", "quirk")
gramk("K154", "seq_timeout beyond 64 bits, that is -1", "[A]\nsequence = 7000,8000\nseq_timeout = 99999999999999999999\n" + CMD,
      [("tcp", 7000, 8000)], "-", "quirk")
gramk("K155", "seq_timeout in quotes is 0", "[A]\nsequence = 7000,8000\nseq_timeout = \"5\"\n" + CMD, [("tcp", 7000, 8000)], "-", "quirk")
gramk("K156", "cmd_timeout in words is 0: the stop command at once", A + CMD + "stop_command = echo stop >> {res}\ncmd_timeout = five\n",
      KNOCK, "ok stop", "quirk")
gramk("K157", "stop and start exchanged, cmd_timeout first", "[A]\ncmd_timeout = 0\nstop_command = echo stop >> {res}\n" + CMD + "sequence = 7000\n",
      KNOCK, "ok stop")
gramk("K158", "a hundred doors", "".join("[d%d]\nsequence = %d,8000\ncommand = echo %d >> {res}\n" % (n, 7000 + n, n) for n in range(100)),
      [("tcp", 7099, 8000), ("tcp", 7000, 8000)], "99 0")
gramk("K159", "a log file with a comment behind it: all of it is the name", "[options]\nlogfile = {dir}/log # here\n" + A + CMD, KNOCK, "ok")
gram("K160", "an empty log file's name and pid file's name", "[options]\nlogfile =\npidfile =\n" + A, UP)


@case("K161", "an interface with a comment behind it: there is none of that name", NO)
def _(t):
    t.rawconf("[options]\ninterface = kdv0 # here\n" + A)
    return t.verdict("-g", t.log, iface=None, wait=1.2)


@case("K162", "an interface's name of 40 bytes", NO)
def _(t):
    t.rawconf("[options]\ninterface = " + "k" * 40 + "\n" + A)
    return t.verdict("-g", t.log, iface=None, wait=1.2)


@case("K163", "interface = in a later [options] section", "ok")
def _(t):
    t.rawconf(A + CMD + "[options]\nINTERFACE=kdv0\n")
    t.start("-g", t.log, iface=None)
    t.syn(7000)
    return t.opens()


ots("O40", "no newline at the end", " 7000,8000\n 7100,8100", "re:A:c A:c DIED sig=(6|11) / #7000,8000\\$#7100,8100", [(7000, 8000), (7100, 8100)],
    "changed", "A:c A:c / #7000,8000$#7100,8100", wait=0.8)
ots("O41", "tabs in front, blanks between", "\t7000 , 8000\n\t7100,8100\n", "A:c / #7000 , 8000$\t7100,8100$", [(7000, 8000)])
ots("O42", "an indented comment", "   # c\n 7000,8000\n 7100,8100\n", "A:c /    # c$#7000,8000$ 7100,8100$", [(7000, 8000)])
ots("O43", "an empty file", "", "refused rc=1", [])
ots("O44", "nothing but blank lines", "\n  \n\t\n", "refused rc=1", [])
ots("O45", "blanks in place of commas: the first number counts", " 7000 8000\n 7100\n", "A:c / #7000 8000$ 7100$", [(7000,)])
ots("O46", "a name with a blank in it", " 7000,8000\n 7100,8100\n", "refused rc=1", [], extra=("one_time_sequences = {dir}/no such",))
ots("O47", "a folder in place of the file", " 7000,8000\n", "refused rc=1", [], extra=("one_time_sequences = {dir}",))
ots("O48", "a byte order mark in front of the first", "\ufeff 7000,8000\n 7100,8100\n 7200,8200\n", "A:c / #\ufffd\ufffd 7000,8000$ 7100,8100$ 7200,8200$",
    [(7000, 8000), (0, 8000)], "quirk")
ots("O49", "a trailing comma", " 7000,8000,\n 7100\n", "A:c / #7000,8000,$ 7100$", [(7000, 8000, 0)], "quirk")
ots("O50", "port 65536 in the first line", " 65536\n 7000\n 7100\n 7200\n", "A:c / #65536$ 7000$ 7100$ 7200$", [(7000,)], "changed",
    "A:c /  65536$#7000$ 7100$ 7200$")
ots("O51", "a line of 5000 bytes of blanks", " " * 5000 + "7000,8000\n 7100,8100\n", "A:c", [(7000, 8000)], show_file=False)
ots("O52", "udp steps, in odd letters", " 7000:UDP\n 7100:Tcp\n 7200\n", "- /  7000:UDP$ 7100:Tcp$ 7200$", [(7100,)])
ots("O53", "the second line is the first one's beginning", " 7000,8000\n 7000\n 7200\n", "A:c A:c / #7000,8000$#7000$ 7200$", [(7000, 8000), (7000,)])
