"""Writes the rings, which say what server holds what: here one server, one disk and one copy of each kind.

usage: rings.py FOLDER KIND=PORT…
"""

import sys

from swift.common.ring import RingBuilder

folder, *servers = sys.argv[1:]
for server in servers:
    kind, port = server.split("=")
    ring = RingBuilder(part_power=4, replicas=1, min_part_hours=1)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": int(port), "device": "disk", "weight": 1})
    ring.rebalance()
    ring.get_ring().save(f"{folder}/{kind}.ring.gz")
