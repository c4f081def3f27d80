"""How a case is written.

A case has an id, one line that says what happens, what knockd 0.8-2 of Debian was seen to do (`expect`), and a class:
  contract   aldaba does the same
  quirk      nobody relies on it: aldaba does the same, or is listed in deviations.json
  changed    aldaba does `want` instead, for the reason that deviations.json and spec/knock.md give
"""

from harness import door

CASES = []
LOG = "LogFile = {log}"
# Between two knocks, in seconds: the command of the first has written before that of the second does, on a busy machine too.
GAP = 0.4


def case(cid, name, expect, cls="contract", want=None, slow=False, cost=1):
    def deco(fn):
        CASES.append(dict(id=cid, name=name, expect=expect, cls=cls, want=want, slow=slow, cost=cost, fn=fn))
        return fn
    return deco


def simple(cid, name, doors, sends, expect, cls="contract", want=None, slow=False, cost=1, args=(), options=LOG,
           sort=False):
    """config, then a list of ('kind', port..., kwargs) sends, then the result file"""
    def fn(t):
        t.conf(*doors, options=options)
        if not t.start(*args):
            return "refused " + t.wait(1)
        for s in sends:
            if isinstance(s, (int, float)):
                t.sleep(max(s, GAP))
                continue
            kw = s[-1] if isinstance(s[-1], dict) else {}
            ports = [p for p in s[1:] if isinstance(p, int)]
            t.send(s[0], *ports, **kw)
        return t.opens(sort=sort)
    case(cid, name, expect, cls, want, slow, cost)(fn)


A3 = "7000,8000,9000"
SYN = "tcpflags = syn"
