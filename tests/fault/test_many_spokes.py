#!/usr/bin/python3
# tests/run: timeout=300 soak=3600
"""A hub with many spokes, all of them real: it comes back and all come at once (R22); one of them hears
nothing and costs the others nothing (R21). WAYPOST_SOAK: 200 of them."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import wait_for  # noqa: E402
from writes import SOAK, connect  # noqa: E402
import ldap  # noqa: E402

N = 200 if SOAK else 20
AWAY_S = 90 if SOAK else 10  # long enough for all to wait for as long as they ever do
FOLDER = "cn=Recipients,ou=Hub,o=Example"
PIECE = 2000
CHANGES = 4000
DEAF_COSTS_MAX = 16 << 20


class ManySpokes(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub",) + tuple(f"S{i}" for i in range(N))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, *cls.spokes = cls.sites.values()

    def add(self, name):
        self.hub.modify(f"dn: cn={name},{FOLDER}\nchangetype: add\nobjectClass: inetOrgPerson\nsn: {name}\n\n")

    def wait_everywhere(self, name, spokes, seconds):
        """How long it took, and the slowest answer that the hub gave meanwhile."""
        left = {s.name: connect(s.ldapi) for s in spokes}
        hub, begin, slowest = connect(self.hub.ldapi), time.monotonic(), 0

        def all_have_it():
            nonlocal slowest
            for spoke, c in list(left.items()):
                asked = time.monotonic()
                hub.search_s("o=Example", ldap.SCOPE_BASE)
                slowest = max(slowest, time.monotonic() - asked)
                try:
                    c.search_s(f"cn={name},{FOLDER}", ldap.SCOPE_BASE)
                    del left[spoke]
                except ldap.NO_SUCH_OBJECT:
                    pass
            return not left
        wait_for(f"{name} at all of {len(spokes)}", all_have_it, seconds)
        print(f"# {name}: at {len(spokes)} spokes after {time.monotonic() - begin:.1f} s, the hub's slowest answer "
              f"{slowest * 1000:.0f} ms")

    def test_1_the_hub_comes_back(self):
        self.add("Before")
        self.wait_everywhere("Before", self.spokes, 60)
        self.hub.stop("dird", signal.SIGKILL)
        time.sleep(AWAY_S)
        self.hub.start("dird")
        self.add("After")
        self.wait_everywhere("After", self.spokes, 70)
        waits = [int(n) for s in self.spokes for n in re.findall(r"retry_ms=(\d+)", s.log("dird"))]
        self.assertLessEqual(max(waits), 60000)
        self.assertGreater(len(set(waits)), len(waits) // 10, "they are spread")

    def test_2_one_of_them_hears_nothing(self):
        deaf, *others = self.spokes
        own = self.memory()
        deaf.processes["dird"].send_signal(signal.SIGSTOP)
        self.addCleanup(deaf.processes["dird"].send_signal, signal.SIGCONT)
        c = connect(self.hub.ldapi)
        c.add_s(f"cn=Large,{FOLDER}", [("objectClass", [b"inetOrgPerson"]), ("sn", [b"Large"])])
        for i in range(CHANGES):
            c.modify_s(f"cn=Large,{FOLDER}", [(ldap.MOD_REPLACE, "description", [b"%d" % i + PIECE * b"x"])])
        self.add("Behind")
        self.wait_everywhere("Behind", others, 60)
        grown = self.memory() - own
        print(f"# {CHANGES * PIECE >> 20} MB of changes: the hub has grown by {grown >> 10} KB")
        self.assertLess(grown, DEAF_COSTS_MAX)
        deaf.processes["dird"].send_signal(signal.SIGCONT)
        self.wait_everywhere("Behind", [deaf], 60)

    def memory(self):
        with open(f"/proc/{self.hub.processes['dird'].pid}/status", encoding="ascii") as f:
            return int(re.search(r"^RssAnon:\s+(\d+) kB", f.read(), re.M).group(1)) << 10


if __name__ == "__main__":
    tap.main()
