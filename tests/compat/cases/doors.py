"""Several doors."""

from harness import OTHER, door
from cases.base import simple, A3, SYN

simple("M01", "two doors with the same sequence: both run", [door("A", A3), door("B", A3)],
       [("tcp", 7000, 8000, 9000)], "A:c B:c", sort=True)
simple("M02", "a short door is a prefix of a longer one listed after it",
       [door("A", "7000,8000"), door("B", A3)], [("tcp", 7000, 8000), 0.15, ("tcp", 9000)], "A:c", "changed", "A:c B:c")
simple("M03", "long door listed first, short prefix second: both", [door("B", A3), door("A", "7000,8000")],
       [("tcp", 7000, 8000), 0.15, ("tcp", 9000)], "A:c B:c")
simple("M04", "two doors with one first port, the second meant",
       [door("A", A3), door("B", "7000,9000,8000")], [("tcp", 7000, 9000, 8000)], "-", "changed", "B:c")
simple("M05", "same first port, the door listed second fails: the first opens",
       [door("B", "7000,9000,8000"), door("A", A3)], [("tcp", 7000, 9000, 8000)], "B:c")
simple("M08", "A (syn) is not broken by a FIN to B's port", [door("A", A3, SYN), door("B", "7100,8100", "tcpflags = fin")],
       [("tcp", 7000), ("tcp", 8100, {"flags": "F"}), ("tcp", 8000, 9000)], "A:c")
simple("M10", "B is a suffix of A: only A", [door("A", A3), door("B", "8000,9000")], [("tcp", 7000, 8000, 9000)], "A:c")
simple("M11", "open and close doors (reversed sequence), one after the other",
       [door("open", A3, SYN), door("close", "9000,8000,7000", SYN)],
       [("tcp", 7000, 8000, 9000), 0.2, ("tcp", 9000, 8000, 7000)], "open:c close:c")
simple("M12", "after an open the first packet of the next sequence is not swallowed",
       [door("open", A3), door("close", "9000,8000,7000")], [("tcp", 7000, 8000, 9000, 9000, 8000, 7000)], "close:c open:c",
       sort=True)
simple("M14", "same first and second port, last differs; second door meant",
       [door("A", A3), door("B", "7000,8000,9100")], [("tcp", 7000, 8000, 9100)], "B:c")
simple("M15", "a door's own name may hold spaces and punctuation", [door("open ssh (v4): x/y", "7000", cmd="echo ok >> {res}")],
       [("tcp", 7000)], "ok")

simple("M16", "close sequence contains the open sequence's first ports (6000,7000,8000 against 7000,8000,9000)",
       [door("open", A3, SYN), door("close", "6000,7000,8000", SYN)],
       [("tcp", 7000, 8000, 9000), 0.2, ("tcp", 6000, 7000, 8000), 0.2, ("tcp", 7000, 8000, 9000)], "open:c close:c open:c")
simple("M19", "four doors that differ in the last port only, all four used in turn",
       [door("A%d" % i, "2001,2002,2003,201%d" % i, SYN) for i in (1, 2, 3, 4)],
       [x for i in (1, 2, 3, 4) for x in (("tcp", 2001, 2002, 2003, 2010 + i), 0.2)], "A1:c A2:c A3:c A4:c")
simple("M20", "pair of doors from a public configuration: 12345,54321,24680,13579 listed first, 12345,23456,34567 meant",
       [door("A", "12345,54321,24680,13579", SYN), door("B", "12345,23456,34567", SYN, timeout=10)],
       [("tcp", 12345, 23456, 34567)], "-", "changed", "B:c")
simple("M17", "three doors with one first port, the middle one meant",
       [door("A", "7000,8000"), door("B", "7000,8100"), door("C", "7000,8200")], [("tcp", 7000, 8100)], "B:c")
simple("M18", "three doors with one first port, three ports each, the middle one meant",
       [door("A", "7000,8000,9000"), door("B", "7000,8100,9000"), door("C", "7000,8200,9000")], [("tcp", 7000, 8100, 9000)], "-",
       "changed", "B:c")


simple("M06", "the hit that breaks at one door begins no attempt at another", [door("A", "7000,8000,9000"), door("B", "9000,7100")],
       [("tcp", 7000, 9000, 7100)], "-")
simple("M07", "a port of another door breaks", [door("A", A3), door("B", "7500,7600")], [("tcp", 7000, 7500, 8000, 9000)], "-")
simple("M09", "two doors of one name", [door("A", A3), door("A", "7100,8100")], [("tcp", 7000, 8000, 9000), 0.2, ("tcp", 7100, 8100)],
       "A:c A:c")
simple("M13", "two sources at two doors, interleaved", [door("A", "7000,8000"), door("B", "7100,8100")],
       [("tcp", 7000), ("tcp", 7100, {"src": OTHER}), ("tcp", 8100, {"src": OTHER}), 0.15, ("tcp", 8000)], "B:o A:c")
simple("M30", "one after the other at two doors", [door("A", "7000,8000"), door("B", "7100,8100")],
       [("tcp", 7000, 8000), 0.15, ("tcp", 7100, 8100)], "A:c B:c")
simple("M21", "three doors with one sequence", [door(name, A3) for name in "ABC"], [("tcp", 7000, 8000, 9000)], "A:c B:c C:c", sort=True)
simple("M22", "one sequence, two limits of time, the shorter one over", [door("A", A3, timeout=1), door("B", A3, timeout=9)],
       [("tcp", 7000, 8000), 2.2, ("tcp", 9000)], "-", "changed", "B:c", cost=4)
simple("M23", "the same, the longer one listed first", [door("B", A3, timeout=9), door("A", A3, timeout=1)],
       [("tcp", 7000, 8000), 2.2, ("tcp", 9000)], "B:c", cost=4)
simple("M24", "a single-port door on the way of a longer one: the attempt goes on, the short one runs not",
       [door("A", A3), door("B", "8000")], [("tcp", 7000, 8000, 9000)], "A:c")
simple("M25", "sequences that share a beginning and come back to it", [door("open", "1,2,1"), door("close", "1,2,2")],
       [("tcp", 1, 2, 2), 0.2, ("tcp", 1, 2, 1)], "close:c open:c")
simple("M26", "one number, TCP at one door and UDP at the other, by turns", [door("A", "7000,8000"), door("B", "7000:udp,8000:udp")],
       [("tcp", 7000), ("udp", 7000), ("tcp", 8000), ("udp", 8000)], "-")
