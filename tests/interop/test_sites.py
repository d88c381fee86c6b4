#!/usr/bin/python3
# tests/run: build=san timeout=900
"""Three sites on loopback, hub and spoke: joining, convergence, kills, referrals, routes."""
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from waypost import Site, run, wait_for  # noqa: E402

NAMES = ("Hub", "Site1", "Site2")
NEIGHBOURS = {"Hub": ("Site1", "Site2"), "Site1": ("Hub",), "Site2": ("Hub",)}
CONVERGES_S = 60


def domain(name):
    return name.lower() + ".example.com"


def person(site, number):
    return (f"dn: cn=Person {number},cn=Recipients,ou={site},o=Example\n"
            "objectClass: inetOrgPerson\nobjectClass: mailRecipient\n"
            f"sn: Person\nmail: p{number}@{domain(site)}\n\n")


def ims(name):
    return (f"cn=Internet Mail Service ({name}),cn=Connections,cn=Configuration,"
            f"ou={name},o=Example")


class Sites(unittest.TestCase):
    """The steps build on each other and run in the order of their names."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="waypost-sites-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.sites = {n: Site(os.path.join(cls.folder, n), n, domain(n)) for n in NAMES}
        for site in cls.sites.values():
            cls.addClassCleanup(site.close)
        cls.hub, cls.one, cls.two = (cls.sites[n] for n in NAMES)

    def setUp(self):
        self.addCleanup(self.show_logs)

    def show_logs(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            for name, site in self.sites.items():
                for program in site.processes:
                    print(f"--- {program} of {name}\n{site.log(program)[-3000:]}")

    def content(self, site):
        """Everything replicated, as text that is equal where the content is equal."""
        out = site.search("o=Example", "(!(|(objectClass=mailRoute)(cn=Routes)))",
                          "*", "entryUUID", "originStamp")
        entries = []
        for entry in out.strip().split("\n\n"):
            if ",cn=Join Tokens," not in entry and "dn: cn=Join Tokens," not in entry:
                entries.append("\n".join(sorted(entry.split("\n"))))
        return "\n\n".join(sorted(entries))

    def converge(self):
        def same():
            first = self.content(self.hub)
            return all(self.content(s) == first for s in (self.one, self.two))
        try:
            wait_for("the sites hold the same", same, CONVERGES_S, step=0.3)
        except AssertionError:
            texts = [set(self.content(s).split("\n\n")) for s in self.sites.values()]
            for name, text in zip(NAMES, texts):
                odd = sorted(text - set.intersection(*texts))
                print(f"--- only {name} (of {len(text)}):", *odd[:5], sep="\n")
            raise

    def count(self, site, pattern="(cn=Person*)"):
        return site.count("o=Example", pattern)

    def test_01_join(self):
        self.hub.init()
        self.hub.start("dird")
        for site in (self.one, self.two):
            site.join(self.hub.token(site.name))
            site.start("dird")
        self.converge()
        for site in self.sites.values():
            self.assertEqual(site.count("o=Example", "(objectClass=mailSite)"), 3)

    def test_02_spoke_to_spoke(self):
        for name, site in self.sites.items():
            site.add("".join(person(name, n) for n in range(30)))
        self.converge()
        self.assertEqual(self.count(self.two), 90)

    def test_03_delete_rename_modify(self):
        self.one.modify(
            "dn: cn=Person 1,cn=Recipients,ou=Site1,o=Example\nchangetype: delete\n\n"
            "dn: cn=Person 2,cn=Recipients,ou=Site1,o=Example\nchangetype: modrdn\n"
            "newrdn: cn=Renamed\ndeleteoldrdn: 1\n\n"
            "dn: cn=Person 3,cn=Recipients,ou=Site1,o=Example\nchangetype: modify\n"
            "replace: title\ntitle: Clerk\n")
        self.converge()
        self.assertEqual(self.count(self.two, "(cn=Person*)"), 88)
        self.assertEqual(self.count(self.two, "(cn=Renamed)"), 1)
        self.assertEqual(self.count(self.two, "(title=clerk)"), 1)

    def test_04_subtree_rename(self):
        base = "cn=Recipients,ou=Site2,o=Example"
        self.two.add(f"dn: cn=Team,{base}\nobjectClass: container\n\n"
                     + person("Site2", 200).replace("cn=Recipients", "cn=Team,cn=Recipients"))
        self.converge()
        self.two.modify(f"dn: cn=Team,{base}\nchangetype: modrdn\nnewrdn: cn=Group\n"
                        "deleteoldrdn: 1\n")
        self.converge()
        out = self.one.search("o=Example", "(cn=Person 200)", "1.1")
        self.assertIn(f"dn: cn=Person 200,cn=Group,{base}", out)

    def test_05_foreign_context_gets_referral(self):
        rc, out, err = self.one.add(person("Site2", 999), check=False)
        self.assertEqual(rc, 10, out + err)
        self.assertIn(self.two.ldaps.split(":")[1], out + err)

    def test_05_no_copies(self):
        """RFC 6171: another site's entries are asked for at that site."""
        def search(base, scope):
            return self.one.search(base, "(objectClass=*)", "1.1", scope=scope, check=False,
                                   options=("-E", "!1.3.6.1.1.22"))
        self.assertEqual(search("ou=Site1,o=Example", "sub")[0], 0)
        rc, out, err = search("ou=Site2,o=Example", "base")
        self.assertEqual(rc, 10, out + err)
        self.assertIn(self.two.ldaps.split(":")[1], out + err)
        rc, out, err = self.hub.search("o=Example", "(objectClass=*)", "1.1", check=False,
                                       options=("-E", "!1.3.6.1.1.22"))
        self.assertEqual(rc, 53, out + err)

    def test_06_consumer_away(self):
        self.two.stop("dird")
        self.one.add("".join(person("Site1", n) for n in range(300, 340)))
        self.one.modify("dn: cn=Person 300,cn=Recipients,ou=Site1,o=Example\nchangetype: delete\n")
        self.two.start("dird")
        self.converge()
        self.assertEqual(self.count(self.two, "(mail=p3*@site1.example.com)"), 1 + 39)

    def test_07_kill_while_writing(self):
        """Every acknowledged write survives kill -9 of any site, and reaches everyone."""
        acknowledged, enough = [], threading.Event()

        def writer(first):
            for n in range(first, first + 1000):
                if enough.is_set() or self.one.add(person("Site1", n), check=False)[0] != 0:
                    return
                acknowledged.append(n)
        for turn, victim in enumerate((self.hub, self.one, self.two, self.hub), 1):
            before = len(acknowledged)
            enough.clear()
            thread = threading.Thread(target=writer, args=(turn * 1000,))
            thread.start()
            wait_for("some writes", lambda b=before: len(acknowledged) >= b + 15, 60)
            victim.stop("dird", signal.SIGKILL)
            victim.start("dird")
            enough.set()
            thread.join(120)
            self.assertFalse(thread.is_alive())
            self.converge()
            names = set(re.findall(r"^dn: cn=Person (\d+),cn=Recipients,ou=Site1", self.two.search(
                "ou=Site1,o=Example", "(cn=Person*)", "1.1"), re.M))
            self.assertEqual([n for n in acknowledged if str(n) not in names], [])

    def test_08_routes(self):
        for name, site in self.sites.items():
            values = "".join(f"connectedDomains: {n};1;SMTP:{domain(n)}\n"
                             for n in NEIGHBOURS[name])
            site.modify(f"dn: {ims(name)}\nchangetype: modify\n"
                        f"replace: connectedDomains\n{values}")
            site.start("routed")
        self.converge()
        self.answer("a@site2.example.com", ("OK", "smtp:hub.example.com"))
        self.flag("TRUE")
        self.answer("a@site2.example.com", ("OK", "smtp:site2.example.com"))
        self.assertEqual(self.one.lookup("transport", "a@site1.example.com")[0], "NOTFOUND")
        self.assertEqual(self.one.lookup("transport", "*")[0], "NOTFOUND")
        self.flag("FALSE")
        self.answer("a@site2.example.com", ("OK", "smtp:hub.example.com"))

    def flag(self, value):
        self.one.modify(f"dn: {ims('Site1')}\nchangetype: modify\n"
                        f"replace: onlySystemMessagesUseCDs\nonlySystemMessagesUseCDs: {value}\n")

    def answer(self, address, expected):
        wait_for(f"{address} -> {expected}",
                 lambda: self.one.lookup("transport", address) == expected, 30)

    def test_09_routes_are_published(self):
        out = wait_for("mailRoute entries", lambda: self.one.search(
            "cn=Routes,cn=Configuration,ou=Site1,o=Example", "(objectClass=mailRoute)"), 30)
        self.assertIn("Site2", out)
        self.assertEqual(self.two.count("ou=Site1,o=Example", "(objectClass=mailRoute)"), 0)

    def test_10_routed_serves_without_dird(self):
        self.one.stop("dird")
        self.answer("a@site2.example.com", ("OK", "smtp:hub.example.com"))
        self.one.stop("routed")
        self.one.start("routed")
        self.answer("a@site2.example.com", ("OK", "smtp:hub.example.com"))
        self.one.start("dird")
        self.flag("TRUE")
        self.answer("a@site2.example.com", ("OK", "smtp:site2.example.com"))

    def test_11_clean_stop_and_check(self):
        for site in self.sites.values():
            site.stop("routed")
            site.stop("dird")
            run("dirctl", "check", "--config", site.path("dird.conf"))


tap.main()
