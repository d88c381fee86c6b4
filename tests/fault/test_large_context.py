#!/usr/bin/python3
# tests/run: timeout=300 soak=1800
"""A large context comes through a hub: memory is bounded, also with kill -9 in the middle of the first load,
and what comes later waits for its head up to a bound (R20, R21). WAYPOST_SOAK: more than may wait for a head."""
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import Site, wait_for  # noqa: E402
from writes import SOAK, connect  # noqa: E402
import ldap  # noqa: E402

ROOT = "o=Example"
FOLDER = f"cn=Recipients,ou=Site1,{ROOT}"
ENTRIES, SIZE = (10000, 32000) if SOAK else (2000, 20000)
HELD_MAX = 256 << 20
FIRST_LOAD_MAX = 160 << 20  # of anonymous memory
PATIENCE_S = 600 if SOAK else 120


class LargeContext(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one = cls.sites.values()
        cls.two = Site(os.path.join(cls.folder, "Site2"), "Site2", "site2.example.com")
        cls.addClassCleanup(cls.two.close)
        cls.one.stop("dird")
        path = os.path.join(cls.folder, "people.ldif")
        with open(path, "w", encoding="ascii") as f:
            for i in range(ENTRIES):
                f.write(f"dn: cn=P{i},{FOLDER}\nobjectClass: inetOrgPerson\nsn: Person\n"
                        f"description: {'x' * SIZE}\n\n")
        cls.one.load(path)
        cls.one.start("dird")
        wait_for("the hub holds it", lambda: cls.people(cls.hub) == ENTRIES, PATIENCE_S, 0.5)

    @staticmethod
    def people(site):
        try:
            c = connect(site.ldapi)
            return len(c.search_s(FOLDER, ldap.SCOPE_ONELEVEL, "(sn=Person)", ["1.1"]))
        except ldap.NO_SUCH_OBJECT:
            return 0

    def memory(self):
        with open(f"/proc/{self.two.processes['dird'].pid}/status", encoding="ascii") as f:
            return int(re.search(r"^RssAnon:\s+(\d+) kB", f.read(), re.M).group(1)) << 10

    def wait_watching(self, what, condition):
        """The most memory that Site2 has used meanwhile."""
        most, end = 0, time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), end, what)
            most = max(most, self.memory())
            time.sleep(0.05)
        print(f"# {what}: {ENTRIES * SIZE >> 20} MiB, Site2's memory at the most {most >> 20} MiB", flush=True)
        return most

    def test_1_first_load_is_cut(self):
        self.two.join(self.hub.token("Site2"))
        self.begin(self.two)
        most = self.wait_watching("half of it", lambda: self.people(self.two) > ENTRIES // 4)
        self.two.stop("dird", signal.SIGKILL)
        self.two.start("dird")
        most = max(most, self.wait_watching("all of it", lambda: self.people(self.two) == ENTRIES))
        self.assertLess(most, FIRST_LOAD_MAX)

    def test_2_all_of_it_has_changed(self):
        self.two.stop("dird")
        c = connect(self.one.ldapi)
        for i in range(ENTRIES):
            c.modify_ext(f"cn=P{i},{FOLDER}", [(ldap.MOD_REPLACE, "sn", [b"Changed"])])
            while c.result(ldap.RES_ANY, 0, 0)[0] is not None:
                pass
        self.one.modify(f"dn: cn=Last,{FOLDER}\nchangetype: add\nobjectClass: inetOrgPerson\nsn: Last\n\n")
        wait_for("the hub holds it", lambda: self.hub.count(FOLDER, "(cn=Last)") == 1, PATIENCE_S, 0.5)
        self.two.start("dird")
        if SOAK:
            most = self.wait_watching("refused", lambda: "too many relayed changes without a signed head" in self.status())
            self.assertEqual(self.two.count(FOLDER, "(cn=Last)"), 0)
            self.let_all_in()
            wait_for("Site2 holds it", lambda: self.two.count(FOLDER, "(cn=Last)") == 1, PATIENCE_S, 0.5)
        else:
            most = self.wait_watching("changed", lambda: self.two.count(FOLDER, "(cn=Last)") == 1)
        self.assertLess(most, HELD_MAX + FIRST_LOAD_MAX)
        self.assertEqual(self.people(self.two), 0)

    def status(self):
        return self.two.search("cn=monitor", "(lastError=*)", "lastError") + self.two.log("dird")[-20000:]

    def let_all_in(self):
        with open(self.two.path("dird.conf"), "a", encoding="ascii") as f:
            f.write("relayed-changes all\n")
        self.two.stop("dird")
        self.two.start("dird")


if __name__ == "__main__":
    tap.main()
