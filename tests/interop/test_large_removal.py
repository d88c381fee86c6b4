#!/usr/bin/python3
# tests/run: timeout=600
"""A site with many entries is removed: others write meanwhile, and kill -9 in the middle costs nothing (R25)."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402

ROOT = "o=Example"
PEOPLE = 50000
LEAVER = f"ou=Site2,{ROOT}"


def entry(name, site):
    return f"dn: cn={name},cn=Recipients,ou={site},{ROOT}\nobjectClass: inetOrgPerson\nsn: {name}\n\n"


class LargeRemoval(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1", "Site2")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one, cls.two = cls.sites.values()
        path = os.path.join(cls.folder, "people.ldif")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(entry(f"P{i}", "Site2") for i in range(PEOPLE))
        cls.two.stop("dird")
        cls.two.load(path)
        cls.two.start("dird")
        wait_for("everything at both sites", lambda: all(cls.left(s) >= PEOPLE for s in (cls.hub, cls.one)), 120)

    @staticmethod
    def database(site, figure):
        out = site.search("cn=monitor", "(cn=Database)", figure)
        return int(re.search(rf"^{figure}: (\d+)", out, re.M).group(1))

    @classmethod
    def left(cls, site):
        return cls.database(site, "entries")

    def write(self, site, name):
        site.modify(entry(name, site.name).replace("\nobjectClass", "\nchangetype: add\nobjectClass", 1))

    def test_1_others_write_meanwhile(self):
        run("sitectl", "site", "remove", "--config", self.hub.path("dird.conf"), "Site2")
        self.assertEqual(self.database(self.hub, "removalsUnderWay"), 1)
        self.write(self.hub, "Meanwhile")
        self.assertEqual(self.hub.count(ROOT, "(cn=Meanwhile)"), 1)
        self.assertEqual(self.database(self.hub, "removalsUnderWay"), 1)
        _, out, err = run("sitectl", "status", "--config", self.hub.path("dird.conf"), check=False)
        self.assertIn("entries of 1 removed site are still being taken away", err)
        self.assertNotIn(LEAVER, out)

    def test_2_killed_in_the_middle(self):
        for site in (self.hub, self.one):
            wait_for("it has begun", lambda s=site: self.left(s) < PEOPLE)
            site.stop("dird", signal.SIGKILL)
            run("dirctl", "check", "--config", site.path("dird.conf"))
            self.assertIn("leaving      1 ", run("dirctl", "stat", "--config", site.path("dird.conf")))
            site.start("dird")

    def test_3_it_goes_on_to_the_end(self):
        for site in (self.hub, self.one):
            wait_for("nothing is left", lambda s=site: self.database(s, "removalsUnderWay") == 0, 120)
            self.assertEqual(site.count(ROOT, "(|(cn=P1*)(ou=Site2))"), 0)
        self.write(self.one, "Afterwards")
        wait_for("Site1's change at the hub", lambda: self.hub.count(ROOT, "(cn=Afterwards)") == 1)

    def test_9_stores_are_sound(self):
        for site in (self.hub, self.one):
            site.stop("dird")
            run("dirctl", "check", "--config", site.path("dird.conf"))


if __name__ == "__main__":
    tap.main()
