#!/usr/bin/python3
# tests/run: build=san timeout=600
"""Backup and restore, databases put back to an older state, and what was deleted long ago (R9-R11, R33)."""
import os
import re
import shutil
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import Site, run, wait_for  # noqa: E402

ROOT = "o=Example"


def people(site, names):
    return "".join(f"dn: cn={n},cn=Recipients,ou={site},{ROOT}\nchangetype: add\n"
                   f"objectClass: inetOrgPerson\nsn: {n}\n\n" for n in names)


def change(site, names, lines):
    return "".join(f"dn: cn={n},cn=Recipients,ou={site},{ROOT}\nchangetype: {lines}\n\n" for n in names)


def numbered(prefix, n):
    return [f"{prefix}{i}" for i in range(n)]


class Recovery(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1", "Site2")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one, cls.two = cls.sites.values()
        cls.one.modify(people("Site1", numbered("Base", 50)))

    # --- what sites show --------------------------------------------------------------------------

    @staticmethod
    def content(site):
        out = site.search(ROOT, "(!(objectClass=siteLocal))", "*", "entryUUID", "originStamp")
        return sorted("\n".join(sorted(e.splitlines())) for e in out.split("\n\n"))

    def converge(self, *sites):
        sites = sites or tuple(self.sites.values())

        def same():
            first = self.content(sites[0])
            return all(self.content(s) == first for s in sites[1:]) and first
        return wait_for("all sites show the same", same, 60)

    @staticmethod
    def names(site, pattern):
        out = site.search(f"cn=Recipients,ou=Site1,{ROOT}", f"(cn={pattern})", "cn")
        return set(re.findall(r"^cn: (.*)$", out, re.M))

    @staticmethod
    def stat(site, name="ou=Site1"):
        out = run("dirctl", "stat", "--json", "--config", site.path("dird.conf"))
        one = re.search(rf'^{{"context":"{name},.*$', out, re.M).group(0)
        return {key: int(value) for key, value in re.findall(r'"(epoch|usn|floor)":(\d+)', one)}

    @staticmethod
    def entries_in(site, partner):
        out = site.search("cn=monitor", f"(partnerName={partner})", "entriesIn")
        return int(re.search(r"^entriesIn: (\d+)", out, re.M).group(1))

    def snapshot(self, name):
        """The database as somebody copies it who does not know dirctl."""
        self.one.stop("dird")
        shutil.copytree(self.one.path("db"), os.path.join(self.folder, name))
        self.one.start("dird")

    def put_back(self, name):
        shutil.rmtree(self.one.path("db"))
        shutil.copytree(os.path.join(self.folder, name), self.one.path("db"))

    def check_everywhere(self, pattern, wanted):
        for site in self.sites.values():
            self.assertEqual(self.names(site, pattern), set(wanted), site.name)

    # --- backup and restore -----------------------------------------------------------------------

    def test_01_backup_is_one_moment(self):
        """R33: beside a dird that writes; in order of usn, without a hole."""
        ended = threading.Event()
        stops = threading.Event()

        def write():
            n = 0
            while not stops.is_set():
                self.one.modify(people("Site1", [f"Busy{n}"]))
                n += 1
            ended.n = n
            ended.set()
        writer = threading.Thread(target=write)
        writer.start()
        try:
            wait_for("writes", lambda: len(self.names(self.one, "Busy*")) > 3)
            out = run("dirctl", "backup", "--config", self.one.path("dird.conf"),
                      os.path.join(self.folder, "busy"))
            self.assertRegex(out, r"^\d+ bytes written")
        finally:
            stops.set()
            writer.join(60)
        self.assertTrue(ended.is_set())
        conf = os.path.join(self.folder, "busy.conf")
        with open(self.one.path("dird.conf"), encoding="ascii") as f:
            text = re.sub(r"^database .*$", f"database {self.folder}/busy", f.read(), flags=re.M)
        with open(conf, "w", encoding="ascii") as f:
            f.write(text.replace("site.", self.one.path("site.")).replace(
                "admin.password", self.one.path("admin.password")))
        run("dirctl", "check", "--config", conf)
        there = re.findall(r"^dn: cn=Busy(\d+),", run("dirctl", "dump", "--config", conf), re.M)
        self.assertEqual(sorted(map(int, there)), list(range(len(there))))
        self.assertTrue(3 < len(there) <= ended.n)
        code, _, err = run("dirctl", "backup", "--config", self.one.path("dird.conf"),
                           os.path.join(self.folder, "busy"), check=False)
        self.assertEqual(code, 1)
        self.assertIn("there is a backup already", err)

    def test_02_restore_brings_back_what_partners_know(self):
        self.one.modify(people("Site1", ["Old", "Changed", "Gone"]))
        run("dirctl", "backup", "--config", self.one.path("dird.conf"),
            os.path.join(self.folder, "backup"))
        self.one.modify(people("Site1", numbered("Lost", 40)) + change("Site1", ["Gone"], "delete")
                        + change("Site1", ["Changed"], "modify\nreplace: sn\nsn: later"))
        before = self.converge()
        code, _, err = run("dirctl", "restore", "--config", self.one.path("dird.conf"),
                           os.path.join(self.folder, "backup"), check=False)
        self.assertEqual(code, 1)
        self.assertIn("stop dird first", err)
        epoch = self.stat(self.one)["epoch"]
        self.one.stop("dird")
        run("dirctl", "restore", "--config", self.one.path("dird.conf"),
            os.path.join(self.folder, "backup"))
        run("dirctl", "check", "--config", self.one.path("dird.conf"))
        self.one.start("dird")
        self.one.modify(people("Site1", ["New"]))  # held until the partners were asked
        self.assertEqual(self.names(self.one, "Lost*"), set(numbered("Lost", 40)))
        after = self.converge()
        self.check_everywhere("Lost*", numbered("Lost", 40))
        self.check_everywhere("New", ["New"])
        self.check_everywhere("Gone", [])
        self.assertIn("sn: later", self.two.search(ROOT, "(cn=Changed)", "sn"))
        self.assertEqual(len(after), len(before) + 1)
        self.assertGreater(self.stat(self.one)["epoch"], epoch)
        self.assertIn("repl.recovered", self.one.log("dird"))

    def test_03_restore_can_overrule(self):
        run("dirctl", "backup", "--config", self.one.path("dird.conf"),
            os.path.join(self.folder, "wanted"))
        self.one.modify(people("Site1", numbered("Mistake", 30))
                        + change("Site1", ["Old"], "delete")
                        + change("Site1", ["Changed"], "modify\nreplace: sn\nsn: wrong"))
        self.converge()
        self.one.stop("dird")
        run("dirctl", "restore", "--overrule", "--config", self.one.path("dird.conf"),
            os.path.join(self.folder, "wanted"))
        self.one.start("dird")
        self.converge()
        self.check_everywhere("Mistake*", [])
        self.check_everywhere("Old", ["Old"])
        self.assertIn("sn: later", self.two.search(ROOT, "(cn=Changed)", "sn"))

    # --- put back by somebody who does not know dirctl ----------------------------------------------

    def test_10_rollback_is_seen_before_the_first_write(self):
        """R11: partners can be reached."""
        self.snapshot("snapshot1")
        self.one.modify(people("Site1", numbered("Later", 40)))
        self.converge()
        self.one.stop("dird")
        self.put_back("snapshot1")
        self.one.start("dird")
        self.one.modify(people("Site1", ["First"]))
        log = self.one.log("dird")
        log = log[log.rindex(" ready"):]
        self.assertIn("repl.rolled_back", log)
        self.assertIn("repl.recovered", log)
        self.assertEqual(self.names(self.one, "Later*"), set(numbered("Later", 40)))
        self.converge()
        self.check_everywhere("Later*", numbered("Later", 40))
        self.check_everywhere("First", ["First"])

    def test_11_rollback_is_seen_at_first_contact(self):
        """R11: nobody could be asked, and more is written than was lost."""
        self.snapshot("snapshot2")
        self.one.modify(people("Site1", numbered("Alone", 20))
                        + change("Site1", ["Base1"], "modify\nreplace: sn\nsn: lost and found")
                        + change("Site1", ["Base2"], "modify\nreplace: sn\nsn: older"))
        self.converge()
        self.hub.stop("dird")
        self.one.stop("dird")
        self.put_back("snapshot2")
        self.one.start("dird")
        self.one.modify(people("Site1", numbered("Since", 60))
                        + change("Site1", ["Base2"], "modify\nreplace: sn\nsn: newer"))
        self.assertEqual(self.names(self.one, "Alone*"), set())
        self.hub.start("dird")
        wait_for("the lost writes", lambda: len(self.names(self.one, "Alone*")) == 20, 60)
        self.converge()
        self.check_everywhere("Alone*", numbered("Alone", 20))
        self.check_everywhere("Since*", numbered("Since", 60))
        for name, value in (("Base1", "lost and found"), ("Base2", "newer")):
            self.assertIn(f"sn: {value}", self.two.search(ROOT, f"(cn={name})", "sn"))

    def test_12_a_restart_alone_costs_nothing(self):
        """A new life without a loss: partners get what is new, not everything again."""
        before = self.entries_in(self.two, "Hub")
        self.hub.stop("dird")
        self.one.stop("dird")
        self.one.start("dird")
        epoch = self.stat(self.one)["epoch"]
        self.one.modify(people("Site1", ["Unasked"]))
        life = self.stat(self.one)["epoch"]
        self.assertGreater(life, epoch)
        self.one.modify(people("Site1", ["Unasked2"]))
        self.assertEqual(self.stat(self.one)["epoch"], life)
        self.hub.start("dird")
        self.converge()
        self.assertLess(self.entries_in(self.hub, "Site1"), 20)
        self.assertLess(self.entries_in(self.two, "Hub") - before, 20)

    # --- deleted long ago -----------------------------------------------------------------------------

    def test_20_nothing_lingers(self):
        """R9: a partner was away for longer than traces of deleted entries are kept."""
        self.one.modify(people("Site1", numbered("Short", 200)))
        self.converge()
        self.two.stop("dird")
        for site in (self.hub, self.one):
            site.stop("dird")
            with open(site.path("dird.conf"), "a", encoding="ascii") as f:
                f.write("tombstone-lifetime 1s\n")
            site.start("dird")
        self.one.modify(change("Site1", numbered("Short", 200), "delete"))
        self.converge(self.hub, self.one)
        head = "dn: ou=Site1,o=Example\nchangetype: modify\n"
        self.one.modify(head + "add: tombstoneLifetime\ntombstoneLifetime: 30\n\n")
        self.one.stop("dird")
        self.one.start("dird")
        wait_for("the hub's tombstones go", lambda: "tombstones   0\n" in run(
            "dirctl", "stat", "--config", self.hub.path("dird.conf")), 30)
        self.assertNotIn("tombstones   0\n", run(
            "dirctl", "stat", "--config", self.one.path("dird.conf")), "kept for 30 days")
        self.one.modify(head + "delete: tombstoneLifetime\n\n")
        self.one.stop("dird")
        self.one.start("dird")
        for site in (self.hub, self.one):
            wait_for("no tombstones", lambda s=site: "tombstones   0\n" in run(
                "dirctl", "stat", "--config", s.path("dird.conf")), 30)
            self.assertGreater(self.stat(site)["floor"], 0)
        self.two.start("dird")
        self.converge()
        self.check_everywhere("Short*", [])

    # --- a second copy --------------------------------------------------------------------------------

    def test_30_two_copies_stop_originating(self):
        """R12: the same site on two machines."""
        self.one.modify(people("Site1", ["Both"]))
        self.converge()
        self.one.stop("dird")
        copy = Site(os.path.join(self.folder, "Copy"), "Site1", "site1.example.com")
        shutil.copytree(self.one.folder, copy.folder)
        with open(self.one.path("dird.conf"), encoding="ascii") as f:
            text = f.read()
        for ours, theirs in ((self.one.ldap, copy.ldap), (self.one.ldaps, copy.ldaps)):
            text = text.replace(ours, theirs)
        with open(copy.path("dird.conf"), "w", encoding="ascii") as f:
            f.write(text.replace(self.one.folder, copy.folder))
        self.addCleanup(copy.close)
        for site in (self.one, copy):
            site.start("dird")
        for site in (self.one, copy):
            wait_for("both know of each other", lambda s=site: "repl.twin" in s.log("dird"), 30)
            code, _, err = site.modify(people("Site1", ["Refused"]), check=False)
            self.assertEqual(code, 53)
            self.assertIn("two copies of this site are running", err)
        self.assertIn("sync.twin", self.hub.log("dird"))
        copy.stop("dird")
        out = run("sitectl", "take-over", "--config", self.one.path("dird.conf"))
        self.assertIn("this copy goes on", out)
        wait_for("changes are taken again", lambda: self.one.modify(
            people("Site1", ["Alone"]), check=False)[0] in (0, 68), 30, 0.2)
        self.converge()
        self.check_everywhere("Alone", ["Alone"])
        self.check_everywhere("Both", ["Both"])
        self.check_everywhere("Refused", [])

    def test_31_sync_now(self):
        wait_for("the link after the step before", lambda: self.link_status(self.one, "ou=Hub", "Hub")["state"]
                 == "persisting", 60)
        row = self.link_status(self.one, "ou=Hub", "Hub")
        self.assertEqual((row["state"], row["behind"], row["lagSeconds"], row["contextState"],
                          row["nextAttempt"]), ("persisting", 0, 0, "foreign", None))
        self.hub.stop("dird")
        wait_for("the link is lost", lambda: self.link_status(self.one, "ou=Hub", "Hub")["nextAttempt"])
        wait_for("the lag grows", lambda: self.link_status(self.one, "ou=Hub", "Hub")["lagSeconds"] > 1)
        self.assertEqual(self.link_status(self.one, "ou=Site1", "Hub")["contextState"], "own")
        self.assertTrue(self.link_status(self.one, "ou=Site1", "Hub")["floor"] > 0)
        self.hub.start("dird")
        self.assertIn("1 links", run("sitectl", "link", "sync-now", "--config",
                                     self.one.path("dird.conf"), "Hub"))
        self.converge()
        code, _, err = run("sitectl", "link", "sync-now", "--config", self.one.path("dird.conf"),
                           "Nowhere", check=False)
        self.assertEqual(code, 1)
        self.assertIn("no enabled link", err)

    def test_32_topology(self):
        conf = self.hub.path("dird.conf")
        wait_for("the links", lambda: run("sitectl", "topology", "--config", conf).count(
            "(persisting, 0 behind)") == 2)
        out = run("sitectl", "topology", "--config", conf)
        self.assertRegex(out, r"(?m)^Hub  hub.example.com  \(writes the organisation's entries\)$")
        self.assertRegex(out, r"(?m)^  mail to       Site1  \(.*, cost \d+\)$")
        dot = run("sitectl", "topology", "--dot", "--config", conf)
        self.assertIn('"Site1" -> "Hub" [label="persisting, 0 behind", color=blue];', dot)
        self.assertIn('"Hub" [penwidth=2];', dot)
        svg = os.path.join(self.folder, "sites.svg")
        code, _, err = run("sitectl", "topology", "--svg", svg, "--config", conf, check=False)
        if shutil.which("dot") is None:
            self.assertIn("dot is not installed", err)
        else:
            self.assertEqual(code, 0, err)
            with open(svg, encoding="utf-8") as f:
                self.assertIn("Site2", f.read())

    # --- a site leaves (R25) --------------------------------------------------------------------------

    def remove(self, name, *options, at=None):
        return run("sitectl", "site", "remove", "--config", (at or self.hub).path("dird.conf"), name,
                   *options, check=False)

    def test_40_removals_that_are_refused(self):
        three = Site(os.path.join(self.folder, "Site3"), "Site3", "site3.example.com")
        self.addClassCleanup(three.close)
        three.join(self.one.token("Site3"))
        type(self).three = three
        self.begin(three)
        wait_for("Site3 at the hub", lambda: self.hub.count(ROOT, "(ou=Site3)") == 1)
        for name, at, reason in (("Hub", self.hub, "writes the organisation's own entries"),
                                 ("Site1", self.one, "is this server's own site"),
                                 ("Nowhere", self.hub, "there is no site Nowhere"),
                                 ("Site1", self.hub, "2 parts that do not hear of each other")):
            code, _, err = self.remove(name, at=at)
            self.assertEqual(code, 1, err)
            self.assertIn(reason, err)
        code, out, _ = self.remove("Site1", "--force", "--dry-run")
        self.assertEqual(code, 0, out)
        self.assertEqual(self.hub.count(ROOT, "(ou=Site1)"), 1)

    def test_41_a_removed_site_is_gone_everywhere(self):
        uuid = re.search(r"entryUUID: (\S+)", self.hub.search(
            ROOT, "(ou=Site2)", "entryUUID")).group(1)
        self.two.modify(people("Site2", numbered("Theirs", 20)))
        here = (self.hub, self.one, self.three)
        wait_for("Site2's entries", lambda: all(s.count(ROOT, "(cn=Theirs*)") == 20 for s in here))
        code, out, err = self.remove("Site2")
        self.assertEqual(code, 0, err)
        self.assertIn("Site2 is removed", out)
        for site in here:
            wait_for("Site2 is gone", lambda s=site: s.count(ROOT, "(|(cn=Theirs*)(ou=Site2))") == 0)
            wait_for("its position is gone", lambda s=site: uuid not in run(
                "dirctl", "stat", "--config", s.path("dird.conf")))
            run("dirctl", "check", "--config", site.path("dird.conf"))
        # it can not come back by itself
        self.two.modify(people("Site2", ["Late"]))
        self.two.stop("dird")
        self.two.start("dird")
        wait_for("Site2 is refused", lambda: "bind refused" in self.two.log("dird"))
        self.converge(*here)
        self.assertEqual(self.hub.count(ROOT, "(cn=Late)"), 0)

    def test_42_the_name_is_free_for_another_site(self):
        before = run("dirctl", "dump", "--config", self.two.path("dird.conf"), "--base",
                     f"ou=Site2,{ROOT}")
        self.two.stop("dird")
        again = Site(os.path.join(self.folder, "Again"), "Site2", "site2.example.com")
        self.addClassCleanup(again.close)
        again.join(self.hub.token("Site2"))
        self.begin(again)
        self.sites["Site2"] = type(self).two = again
        again.modify(people("Site2", ["Anew"]))
        self.converge(*self.sites.values(), self.three)
        old, new = (re.search(r"^entryUUID: (\S+)", text, re.M).group(1) for text in (
            before, self.hub.search(ROOT, "(ou=Site2)", "entryUUID")))
        self.assertNotEqual(old, new)
        self.assertEqual(self.hub.count(ROOT, "(cn=Theirs*)"), 0)

    def test_90_stores_are_sound(self):
        self.converge()
        for site in self.sites.values():
            site.stop("dird")
            run("dirctl", "check", "--config", site.path("dird.conf"))


if __name__ == "__main__":
    tap.main()
