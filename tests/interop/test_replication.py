#!/usr/bin/python3
# tests/run: build=san timeout=600
"""Replication between three sites beyond test_sites.py: what travels, what does not, and sync clients."""
import os
import random
import re
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from ldif import change, replace  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import PASSWORD, run, wait_for  # noqa: E402
import ber  # noqa: E402
from ber import Raw  # noqa: E402

SYNC = "1.3.6.1.4.1.4203.1.9.1.1"
CANCEL = "1.3.6.1.1.8"
PEOPLE = 1500
ROOT = "o=Example"


def people(site, numbers):
    return "".join(f"dn: cn=P{n},cn=Recipients,ou={site},{ROOT}\nchangetype: add\n"
                   f"objectClass: inetOrgPerson\nsn: P{n}\n\n" for n in numbers)


class Replication(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1", "Site2")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one, cls.two = cls.sites.values()
        for site in cls.sites.values():
            site.modify(people(site.name, range(PEOPLE)))

    # --- what sites show --------------------------------------------------------------------------

    @staticmethod
    def content(site):
        out = site.search(ROOT, "(!(objectClass=siteLocal))", "*", "entryUUID", "originStamp",
                          "createTimestamp", "creatorsName", "modifyTimestamp", "modifiersName")
        return sorted("\n".join(sorted(e.splitlines())) for e in out.split("\n\n"))

    def converge(self, timeout=60):
        def same():
            first = self.content(self.hub)
            return all(self.content(s) == first for s in (self.one, self.two)) and first
        return wait_for("all sites show the same", same, timeout)

    @staticmethod
    def monitor(site, partner, attribute):
        """The values of an attribute in the monitor entries of a partner."""
        out = site.search("cn=monitor", f"(partnerName={partner})", attribute)
        return re.findall(rf"^{attribute}: (.*)$", out, re.M)

    def entries_in(self, site, partner):
        return int(self.monitor(site, partner, "entriesIn")[0])

    def wait_persisting(self, site, partner):
        wait_for(f"{site.name} persists with {partner}",
                 lambda: set(self.monitor(site, partner, "linkState")) == {"persisting"})

    def refused(self):
        """Changes of others to an own context, in all logs."""
        return sum(s.log("dird").count("repl.foreign") for s in self.sites.values())

    # --- replication ------------------------------------------------------------------------------

    def test_01_everything_everywhere(self):
        content = self.converge()
        self.assertGreater(len(content), 3 * PEOPLE)
        stamps = re.findall(r"^originStamp: (\S+):\d+:(\d+)$", "\n".join(content), re.M)
        self.assertGreater(len(stamps), 3 * PEOPLE)
        self.assertEqual(len({s[0] for s in stamps}), 4)  # organisation and three sites

    def test_02_nothing_comes_back(self):
        """R6, R8: a site gets each change once, and none of its own."""
        before = {n: self.entries_in(self.sites[n], p)
                  for n, p in (("Site1", "Hub"), ("Site2", "Hub"))}
        self.one.modify(people("Site1", range(PEOPLE, PEOPLE + 100)))
        self.converge()
        self.assertEqual(self.entries_in(self.one, "Hub"), before["Site1"])
        self.assertEqual(self.entries_in(self.two, "Hub"), before["Site2"] + 100)
        self.assertEqual(self.refused(), 0)

    def test_03_moves_with_children(self):
        tree = f"cn=Team,cn=Recipients,ou=Site1,{ROOT}"
        self.one.modify(
            change(tree, "add\nobjectClass: container")
            + change("cn=Inner," + tree, "add\nobjectClass: container")
            + "".join(change(f"cn=P{n},cn=Recipients,ou=Site1,{ROOT}",
                             f"modrdn\nnewrdn: cn=Q{n}\ndeleteoldrdn: 1\n"
                             f"newsuperior: cn=Inner,{tree}") for n in range(50))
            + change(tree, "modrdn\nnewrdn: cn=Crew\ndeleteoldrdn: 1")
            # names change hands: the old holder goes first at home, but later on the wire
            + change(f"cn=P60,cn=Recipients,ou=Site1,{ROOT}",
                     "modrdn\nnewrdn: cn=P61b\ndeleteoldrdn: 1")
            + change(f"cn=P61,cn=Recipients,ou=Site1,{ROOT}",
                     "modrdn\nnewrdn: cn=P60\ndeleteoldrdn: 1")
            + change(f"cn=P61b,cn=Recipients,ou=Site1,{ROOT}",
                     "modrdn\nnewrdn: cn=P61\ndeleteoldrdn: 1"))
        self.converge()
        self.assertEqual(self.two.count(f"cn=Crew,cn=Recipients,ou=Site1,{ROOT}",
                                        "(objectClass=inetOrgPerson)"), 50)

    def test_04_restart_costs_no_resend(self):
        """R7, R20: what was there before a restart is not sent again."""
        for site, partner in ((self.one, "Hub"), (self.hub, "Site1")):
            site.stop("dird", signal.SIGKILL)
            site.start("dird")
            self.wait_persisting(site, partner)
            self.assertLess(self.entries_in(site, partner), 5)
        self.wait_persisting(self.two, "Hub")
        before = self.entries_in(self.two, "Hub")
        self.one.modify(replace(f"cn=P100,cn=Recipients,ou=Site1,{ROOT}", "sn", "Restarted"))
        self.converge()
        self.assertEqual(self.entries_in(self.two, "Hub"), before + 1)

    def test_05_partner_without_its_key_is_refused(self):
        """Row 12 of the failure modes: the addresses of two sites are swapped."""
        link = f"cn=To Site1,cn=Directory Replication,cn=Configuration,ou=Hub,{ROOT}"
        self.hub.modify(replace(link, "replicationURI", f"ldaps://{self.two.ldaps}"))
        wait_for("the hub says why", lambda: "key" in " ".join(
            self.monitor(self.hub, "Site1", "lastError")))
        self.one.modify(replace(f"cn=P101,cn=Recipients,ou=Site1,{ROOT}", "sn", "Waits"))
        self.hub.modify(replace(link, "replicationURI", f"ldaps://{self.one.ldaps}"))
        self.converge()

    def test_06_link_can_be_disabled(self):
        link = f"cn=To Site1,cn=Directory Replication,cn=Configuration,ou=Hub,{ROOT}"
        self.hub.modify(replace(link, "connectorEnabled", "FALSE"))
        wait_for("the link is disabled",
                 lambda: set(self.monitor(self.hub, "Site1", "linkState")) == {"disabled"})
        self.one.modify(replace(f"cn=P102,cn=Recipients,ou=Site1,{ROOT}", "sn", "Later"))
        self.hub.modify(replace(link, "connectorEnabled", "TRUE"))
        self.converge()

    def test_07_partition_and_heal(self):
        """R23: a silent partner is noticed within three heartbeats; after the heal all agree."""
        lost = self.one.log("dird").count("no sign of life")
        hub = self.hub.processes["dird"]
        hub.send_signal(signal.SIGSTOP)
        try:
            wait_for("the spoke notices", lambda: self.one.log("dird").count("no sign of life") > lost)
            for site in (self.one, self.two):
                site.modify(people(site.name, range(5000, 5100))
                            + change(f"cn=P200,cn=Recipients,ou={site.name},{ROOT}", "delete"))
        finally:
            hub.send_signal(signal.SIGCONT)
        self.converge()
        self.assertEqual(self.hub.count(ROOT, "(cn=P200)"), 1)

    def test_08_catch_up_after_long_absence(self):
        self.two.stop("dird")
        self.one.modify("".join(replace(f"cn=P{n},cn=Recipients,ou=Site1,{ROOT}", "sn", "Missed")
                                for n in range(300, 700))
                        + "".join(change(f"cn=P{n},cn=Recipients,ou=Site1,{ROOT}", "delete")
                                  for n in range(700, 900)))
        self.two.start("dird")
        self.converge()
        self.assertLess(self.entries_in(self.two, "Hub"), 800)

    def test_09_other_sites_writes_are_referred(self):
        status, _, err = self.one.modify(
            replace(f"cn=P1,cn=Recipients,ou=Site2,{ROOT}", "sn", "x"), check=False)
        self.assertEqual(status, 10)
        self.assertIn(self.two.ldap, err)

    def test_10_kills_under_load(self):
        """R3: whoever is killed, whenever: in the end all show the same, and nothing acknowledged is lost."""
        rng = random.Random(20261123)
        acknowledged = {}
        for turn in range(6):
            writers = {s.name: threading.Thread(target=self.load, args=(s, turn, acknowledged))
                       for s in self.sites.values()}
            for t in writers.values():
                t.start()
            victim = self.sites[rng.choice(self.NAMES)]
            wait_for("writes under way", lambda: len(acknowledged) > turn * 3 * 40 * 0.5
                     or not any(t.is_alive() for t in writers.values()))
            victim.stop("dird", signal.SIGKILL)
            for t in writers.values():
                t.join()
            victim.start("dird")
        content = "\n".join(self.converge())
        for dn in acknowledged:
            self.assertIn(f"dn: {dn}\n", content)

    @staticmethod
    def load(site, turn, acknowledged):
        """Add people one by one until it is refused: the site was killed."""
        for n in range(60):
            dn = f"cn=L{turn}-{n},cn=Recipients,ou={site.name},{ROOT}"
            status, _, _ = site.modify(change(dn, f"add\nobjectClass: inetOrgPerson\nsn: L{n}"),
                                       check=False)
            if status != 0:
                return
            acknowledged[dn] = True

    def test_11_triangle(self):
        """R6: with a ring of links each change is applied once and costs little more than a star."""
        links = {(self.one, self.two): None, (self.two, self.one): None}
        for site, other in links:
            links[site, other] = dn = (f"cn=To {other.name},cn=Directory Replication,"
                                       f"cn=Configuration,ou={site.name},{ROOT}")
            site.modify(change(dn, "add\nobjectClass: replicationConnector\n"
                               f"remoteSite: {other.name}\nreplicationURI: ldaps://{other.ldaps}"))
            self.wait_persisting(site, other.name)
        edges = [(self.hub, "Site1"), (self.hub, "Site2"), (self.one, "Hub"), (self.one, "Site2"),
                 (self.two, "Hub"), (self.two, "Site1")]
        before = sum(self.entries_in(*e) for e in edges)
        self.one.modify(people("Site1", range(6000, 6100)))
        self.converge()
        cost = sum(self.entries_in(*e) for e in edges) - before
        self.assertGreaterEqual(cost, 200)
        self.assertLessEqual(cost, 100 * len(edges))
        self.assertEqual(self.refused(), 0)
        self.hub.stop("dird")  # the two go on without it
        self.one.modify(replace(f"cn=P300,cn=Recipients,ou=Site1,{ROOT}", "sn", "Around"))
        wait_for("the change takes the other way",
                 lambda: self.two.count(ROOT, "(sn=Around)") == 1)
        self.hub.start("dird")
        for (site, _), dn in links.items():
            site.modify(change(dn, "delete"))
        self.converge()
        wait_for("the links are gone", lambda: not self.monitor(self.one, "Site2", "linkState"))

    # --- sync clients -----------------------------------------------------------------------------

    def sync(self, site, mode, base=ROOT, what="(objectClass=inetOrgPerson)", more=()):
        status, out, err = run("ldapsearch", "-H", site.ldapi, "-Y", "EXTERNAL", "-Q", "-o",
                               "ldif-wrap=no", "-E", "!sync=" + mode, *more, "-b", base, what, "sn",
                               check=False)
        cookie = re.search(r"^# cookie: (\S+)$", out, re.M)
        return status, out + err, cookie and cookie.group(1)

    def test_20_poll(self):
        """RFC 4533 §3.3: everything, then only what changed, also after a restart (R28)."""
        base = f"cn=Recipients,ou=Site2,{ROOT}"
        status, out, cookie = self.sync(self.one, "ro", base)
        self.assertEqual(status, 0, out)
        self.assertEqual(len(re.findall(r"^dn: ", out, re.M)), self.one.count(
            base, "(objectClass=inetOrgPerson)"))
        self.assertIn("refreshDeletes=0", out)
        status, out, again = self.sync(self.one, "ro/" + cookie, base)
        self.assertEqual((status, len(re.findall(r"^dn: ", out, re.M)), again), (0, 0, cookie))
        self.assertIn("refreshDeletes=1", out)
        self.two.modify(replace(f"cn=P1,{base}", "sn", "Polled") + change(f"cn=P2,{base}", "delete"))
        self.converge()
        self.one.stop("dird", signal.SIGKILL)
        self.one.start("dird")
        status, out, _ = self.sync(self.one, "ro/" + cookie, base)
        self.assertEqual(re.findall(r"^dn: (\S+?),", out, re.M), ["cn=P1"])
        self.assertEqual(len(re.findall("SyncInfo|SyncState", out)), 2, out)  # P1, one deletion

    def test_21_subtree_enters_and_leaves_the_scope(self):
        base = f"cn=Crew,cn=Recipients,ou=Site1,{ROOT}"
        moved = f"cn=Inner,{base}"
        _, _, cookie = self.sync(self.one, "ro", base)
        self.one.modify(change(moved, "modrdn\nnewrdn: cn=Inner\ndeleteoldrdn: 1\n"
                                      f"newsuperior: cn=Recipients,ou=Site1,{ROOT}"))
        _, out, later = self.sync(self.one, "ro/" + cookie, base)
        self.assertEqual(len(set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
                                            out.split("# cookie")[0]))), 51, out[-3000:])
        self.one.modify(change(f"cn=Inner,cn=Recipients,ou=Site1,{ROOT}",
                               f"modrdn\nnewrdn: cn=Inner\ndeleteoldrdn: 1\nnewsuperior: {base}"))
        _, out, _ = self.sync(self.one, "ro/" + later, base)
        self.assertEqual(len(re.findall(r"^dn: cn=Q", out, re.M)), 50)

    def test_22_persist(self):
        """RFC 4533 §3.4: a change of another site reaches a client that waits here."""
        with subprocess.Popen(
                ["ldapsearch", "-H", self.one.ldapi, "-Y", "EXTERNAL", "-Q", "-o", "ldif-wrap=no",
                 "-E", "sync=rp", "-b", f"cn=Recipients,ou=Site2,{ROOT}", "(sn=Watched*)", "sn"],
                stdout=open(self.path("rp"), "wb"), stderr=subprocess.STDOUT) as p:
            try:
                def seen(text):
                    with open(self.path("rp"), encoding="utf-8") as f:
                        return text in f.read()
                wait_for("the refresh ends", lambda: seen("SyncInfo"))
                dn = f"cn=P3,cn=Recipients,ou=Site2,{ROOT}"
                self.two.modify(replace(dn, "sn", "Watched 1"))
                wait_for("it enters", lambda: seen("sn: Watched 1"))
                self.two.modify(replace(dn, "sn", "Other"))
                wait_for("it leaves", lambda: seen("deleted"))
            finally:
                p.kill()

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_23_refused(self):
        status, out, _ = self.sync(self.one, "ro", more=("-a", "always"))
        self.assertEqual(status, 2, out)  # §3.5.2
        status, out, _ = self.sync(self.one, "ro", base="cn=Nowhere," + ROOT)
        self.assertEqual(status, 32, out)
        status, _, err = run("ldapsearch", "-x", "-H", f"ldap://{self.one.ldap}", "-E", "!sync=ro",
                             "-b", ROOT, check=False)
        self.assertEqual(status, 50, err)

    def test_24_cookie_at_another_site(self):
        """R7: a cookie is good at each site; nothing is sent twice, and what was deleted is told.
        What never leaves a site differs, so elsewhere a present phase names what stays."""
        base = f"cn=Recipients,ou=Site2,{ROOT}"
        _, _, cookie = self.sync(self.one, "ro", base)
        gone = re.search("entryUUID: (.*)", self.one.search(base, "(cn=P5)", "entryUUID"))[1]
        self.two.modify(replace(f"cn=P4,{base}", "sn", "Elsewhere")
                        + change(f"cn=P5,{base}", "delete"))
        self.converge()
        for site in (self.hub, self.two, self.one):
            status, out, _ = self.sync(site, "ro/" + cookie, base)
            self.assertEqual(status, 0, out)
            self.assertEqual(re.findall(r"^dn: (\S+?),", out, re.M), ["cn=P4"])
            if site is self.one:
                self.assertEqual(len(re.findall("SyncInfo|SyncState", out)), 2, out)
            self.assertEqual("refreshDeletes=1" in out, site is self.one)
            self.assertEqual(gone in out, site is self.one)  # told as gone, or not named as present

    def test_25_base_vanishes(self):
        """§3.5.1"""
        base = f"cn=Crew,cn=Recipients,ou=Site1,{ROOT}"
        host, port = self.one.ldap.split(":")
        with Raw((host, int(port))) as c:
            self.bind(c)
            c.send(self.sync_search(2, base))
            self.until_refreshed(c)
            self.one.modify(change(base, "modrdn\nnewrdn: cn=Gone\ndeleteoldrdn: 1"))
            self.assertEqual(self.result(c, 2), 32)

    def test_26_cancel(self):
        """§3.7, RFC 3909"""
        host, port = self.one.ldap.split(":")
        with Raw((host, int(port))) as c:
            self.bind(c)
            c.send(self.sync_search(2, f"cn=Recipients,ou=Site2,{ROOT}"))
            self.until_refreshed(c)
            c.send(ber.extended(3, CANCEL, ber.tlv(0x30, ber.integer(2))))
            codes = {}
            while len(codes) < 2:
                a = c.answer()
                if a.code is not None:
                    codes[a.id] = a.code
            self.assertEqual(codes, {2: 118, 3: 0})

    def test_27_deaf_client_stops_nobody(self):
        """R21: of several sessions one reads nothing; the others get all, and later so does it."""
        host, port = self.one.ldap.split(":")
        base = f"cn=Recipients,ou=Site2,{ROOT}"
        clients = [Raw((host, int(port))) for _ in range(6)]
        for c in clients:
            self.addCleanup(c.s.close)
            self.bind(c)
            c.send(self.sync_search(2, base))
        for c in clients[1:]:
            self.until_refreshed(c)
        for turn in range(3):
            self.two.modify("".join(replace(f"cn=P{n},{base}", "description", f"{turn}" + "x" * 2000)
                                    for n in range(300, 700)))
        last = f"last word {PEOPLE}".encode()
        self.two.modify(replace(f"cn=P10,{base}", "description", last.decode()))
        for c in clients[1:] + clients[:1]:
            while last not in c.answer().body:
                pass

    def bind(self, c):
        c.send(ber.bind(1, f"cn=admin,{ROOT}", PASSWORD))
        self.assertEqual(c.result(1).code, 0)

    @staticmethod
    def sync_search(number, base):
        body = ber.search(number, base)
        _, inside, _ = ber.split(body)
        value = ber.tlv(0x30, ber.integer(3, 0x0a))
        return ber.tlv(0x30, inside, ber.tlv(0xa0, ber.control(SYNC, True, value)))

    @staticmethod
    def until_refreshed(c):
        while c.answer().op != 0x79:
            pass

    @staticmethod
    def result(c, number):
        while True:
            a = c.answer()
            if a.id == number and a.op == 0x65:
                return a.code

    # --- the end ----------------------------------------------------------------------------------

    def test_90_stores_are_sound(self):
        self.converge()
        self.assertEqual(self.refused(), 0)
        for site in self.sites.values():
            site.stop("dird")
            run("dirctl", "check", "--config", site.path("dird.conf"))


if __name__ == "__main__":
    tap.main()
