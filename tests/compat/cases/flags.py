"""TCP flag filters."""

from harness import door
from cases.base import simple, A3, SYN

simple("F02", "no tcpflags: the same ACK breaks the attempt", [door("A", A3)],
       [("tcp", 7000), ("tcp", 9000, {"flags": "A"}), ("tcp", 8000, 9000)], "-")
simple("F03", "tcpflags=syn: a SYN to a wrong listed port breaks the attempt", [door("A", A3, SYN)],
       [("tcp", 7000), ("tcp", 9000), ("tcp", 8000, 9000)], "-")
simple("F05", "tcpflags=syn,!ack: SYN+ACK is ignored, SYN passes", [door("A", A3, "tcpflags = syn,!ack")],
       [("tcp", 7000), ("tcp", 9000, {"flags": "SA"}), ("tcp", 8000, 9000)], "A:c")
simple("F06", "no tcpflags: any flag combination counts (FIN, NULL, XMAS)", [door("A", A3)],
       [("tcp", 7000, {"flags": "F"}), ("tcp", 8000, {"flags": ""}), ("tcp", 9000, {"flags": "FPU"})], "A:c")
simple("F07", "tcpflags=fin,!ack", [door("A", A3, "tcpflags = fin,!ack")],
       [("tcp", 7000, {"flags": "F"}), ("tcp", 8000, {"flags": "FA"}), ("tcp", 8000, {"flags": "F"}),
        ("tcp", 9000, {"flags": "FU"})], "A:c")
simple("F08", "tcpflags=fin,psh,urg: all must be set", [door("A", "7000", "tcpflags = fin,psh,urg")],
       [("tcp", 7000, {"flags": "FP"}), ("tcp", 7000, {"flags": "FPUA"})], "A:c")
simple("F09", "tcpflags=rst", [door("A", "7000", "tcpflags = rst")],
       [("tcp", 7000), ("tcp", 7000, {"flags": "RA"})], "A:c")
simple("F10", "ECN bits (ECE, CWR) play no part", [door("A", A3, SYN)], [("tcp", 7000, 8000, 9000, {"flags": "SEC"})], "A:c")
simple("F11", "tcpflags do not apply to udp: wrong udp breaks the attempt", [door("A", "7000,8000:udp,9000", SYN)],
       [("tcp", 7000), ("udp", 8000, 8000), ("tcp", 9000)], "-")
simple("F12", "two tcpflags lines add up", [door("A", "7000", SYN, "tcpflags = !ack")],
       [("tcp", 7000, {"flags": "SA"}), ("tcp", 7000)], "A:c")
simple("F13", "syn,!syn: the last one wins", [door("A", "7000", "tcpflags = syn,!syn")],
       [("tcp", 7000), ("tcp", 7000, {"flags": "F"})], "A:c", "quirk")
simple("F14", "two doors, one with syn: a FIN is for the other one",
       [door("B", "7000,8100,9000"), door("A", A3, SYN)],
       [("tcp", 7000), ("tcp", 9000, {"flags": "F"}), ("tcp", 8000, 9000)], "-", "changed", "A:c")
simple("F15", "same, door with syn first", [door("A", A3, SYN), door("B", "7000,8100,9000")],
       [("tcp", 7000), ("tcp", 9000, {"flags": "F"}), ("tcp", 8000, 9000)], "A:c")


simple("F01", "wrong flag at a door that names flags: nothing happens", [door("A", A3, SYN)],
       [("tcp", 7000, 8000), ("tcp", 9000, {"flags": "A"}), ("tcp", 9000)], "A:c")
simple("F04", "a flag that is not named does not matter", [door("A", A3, SYN)], [("tcp", 7000, 8000, 9000, {"flags": "SP"})], "A:c")
simple("F16", "flags in upper case", [door("A", A3, "tcpflags = SYN,!ACK")], [("tcp", 7000, 8000, 9000)], "A:c")
simple("F17", "RST only", [door("A", A3, "tcpflags = rst")], [("tcp", 7000, 8000, 9000, {"flags": "R"})], "A:c")
simple("F18", "a UDP step beside tcpflags", [door("A", "7000,8000:udp,9000", SYN)],
       [("tcp", 7000), ("udp", 8000), ("tcp", 9000)], "A:c")
simple("F19", "tcpflags = !syn", [door("A", "7000", "tcpflags = !syn")], [("tcp", 7000), ("tcp", 7000, {"flags": "A"})], "A:c")
simple("F20", "all flags forbidden: a NULL scan opens", [door("A", "7000", "tcpflags = !fin,!syn,!rst,!psh,!ack,!urg")],
       [("tcp", 7000), ("tcp", 7000, {"flags": "A"}), ("tcp", 7000, {"flags": ""})], "A:c")
simple("F21", "one sequence, two doors, SYN and ACK", [door("A", A3, SYN), door("B", A3, "tcpflags = ack")],
       [("tcp", 7000, 8000, 9000), 0.2, ("tcp", 7000, 8000, 9000, {"flags": "A"})], "A:c B:c")
simple("F22", "one sequence, two doors, both by turns", [door("A", A3, SYN), door("B", A3, "tcpflags = !syn")],
       [("tcp", port, {"flags": flags}) for port in (7000, 8000, 9000) for flags in ("S", "A")], "A:c", "contract")
simple("F23", "XMAS", [door("A", A3, "tcpflags = fin,psh,urg")], [("tcp", 7000, 8000, 9000, {"flags": "FPU"})], "A:c")
