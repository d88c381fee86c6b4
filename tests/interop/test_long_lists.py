#!/usr/bin/python3
# tests/run: build=san timeout=300
"""Lists whose members are stored apart (L12), with OpenLDAP's tools: at one site, at another one, and offline."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from ldif import delete, rename  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import Site, run, wait_for  # noqa: E402

CONVERGES_S = 60
PEOPLE = "cn=Recipients,ou=Hub,o=Example"
LIST = f"cn=All,{PEOPLE}"
STRANGERS = 2000  # members that are no entries
KNOWN = 20        # members that are


def stranger(i):
    return f"cn=Stranger {i:04},ou=Elsewhere,o=Example"


def person(i):
    return f"cn=Person {i:02},{PEOPLE}"


def modify(dn, *steps):
    return f"dn: {dn}\nchangetype: modify\n" + "".join(
        f"{op}: {attribute}\n" + "".join(f"{attribute}: {v}\n" for v in values) + "-\n"
        for op, attribute, values in steps) + "\n"


class LongLists(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "One")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one = cls.sites.values()
        wait_for("both know both", lambda: all(
            s.count("o=Example", "(objectClass=mailSite)") == 2 for s in (cls.hub, cls.one)), CONVERGES_S)
        cls.members = set()

    def read(self, site, dn=LIST, attribute="member", *options):
        out = site.search(dn, "(objectClass=*)", attribute, scope="base", check=False, options=options)[1]
        found = re.findall(rf"(?mi)^{attribute}: (.*)$", out)
        self.assertEqual(len(found), len(set(found)))
        return set(found)

    def both(self, dn=LIST):
        self.assertEqual(self.read(self.hub, dn), self.members)
        wait_for("the other site has it", lambda: self.read(self.one, dn) == self.members, CONVERGES_S)

    def change(self, *steps, dn=LIST, status=0, options=()):
        got = run(*self.hub._client("ldapmodify"), *options, stdin=modify(dn, *steps), check=False)
        self.assertEqual(got[0], status, got)
        return got[1]

    def digests(self, site):
        rows = map(json.loads, run("dirctl", "stat", "--json", "--config", site.path("dird.conf")).splitlines())
        return {r["context"]: r["digest"] for r in rows if r.get("digest") and "cn=" not in r["context"]}

    def test_1_a_list_grows(self):
        self.hub.add("".join(f"dn: {person(i)}\nobjectClass: inetOrgPerson\nsn: P\n\n" for i in range(KNOWN))
                     + f"dn: {LIST}\nobjectClass: groupOfNames\n\n")
        self.members = type(self).members
        for i in range(0, STRANGERS, 250):
            more = [stranger(k) for k in range(i, i + 250)]
            self.change(("add", "member", more))
            self.members.update(more)
        for i in range(KNOWN):     # one at a time
            self.change(("add", "member", [person(i)]))
            self.members.add(person(i))
        self.both()

    def test_2_it_is_found(self):
        spelled = person(7).upper().replace(",", ", ")
        for site in (self.hub, self.one):
            found = lambda f, *o: site.search("o=Example", f, "1.1", options=o)     # noqa: E731
            for text, count in ((f"(member={spelled})", 1), (f"(member={stranger(1999)})", 1),
                                (f"(member={stranger(2000)})", 0), (f"(memberOf={LIST})", KNOWN),
                                (f"(!(member={person(3)}))", None), ("(member=*)", 1),
                                (f"(:2.5.13.1:={person(3)})", 1)):
                out = found(text)
                if count is None:
                    self.assertNotIn(LIST, out)
                else:
                    self.assertEqual(out.count("dn: "), count, text)
            self.assertIn(LIST, site.search(person(3), "(objectClass=*)", "memberOf", scope="base"))
            compare = [run(*site._client("ldapcompare"), LIST, f"member:{v}", check=False)[0]
                       for v in (spelled, stranger(2000))]
            self.assertEqual(compare, [6, 5])
            only = self.read(site, LIST, "member", "-E", f"mv=((member={spelled})(member={stranger(5)}))")
            self.assertEqual(only, {person(7), stranger(5)})
            out = site.search(LIST, "(objectClass=*)", "member", "cn", scope="base", options=("-A",))
            self.assertEqual(sorted(out.split()[2:]), ["cn:", "member:"])
            everything = site.search(LIST, "(objectClass=*)", "*", "+", scope="base")
            self.assertEqual(everything.count("member: "), len(self.members))

    def test_3_one_more_one_less(self):
        self.change(("add", "member", [person(5).lower()]), status=20)
        self.change(("delete", "member", [stranger(2000)]), status=16)
        self.change(("add", "member", [stranger(2001)]), ("delete", "member", [stranger(2000)]), status=16)
        self.change(("delete", "member", [stranger(11)]), ("add", "member", [stranger(11)]),
                    ("add", "member", [stranger(2001)]), ("delete", "member", [stranger(2001)]))
        self.change(("delete", "member", [stranger(9).upper()]), ("add", "member", [stranger(2002)]))
        self.members ^= {stranger(9), stranger(2002)}
        self.change(("add", "member", [person(5)]), options=("-e", "1.2.840.113556.1.4.1413"))
        out = self.change(("add", "description", ["x"]), options=(
            "-e", f"!assert=(member={person(5)})", "-e", "!preread=cn", "-e", "!postread=member"))
        self.assertEqual(set(re.findall(r"(?m)^(?:# )?member: (.*)$", out)), self.members)
        self.change(("replace", "description", ["y"]), status=122,
                    options=("-e", f"!assert=(member={stranger(9)})"))
        self.both()

    def test_4_members_are_renamed_and_deleted(self):
        self.hub.modify(rename(person(0), "cn=Renamed") + delete(person(1)))
        self.members ^= {person(0), person(1), f"cn=Renamed,{PEOPLE}"}
        self.both()
        self.hub.add(f"dn: cn=Sub,{PEOPLE}\nobjectClass: container\n\n")
        self.hub.modify(rename(person(2), "cn=Person 02", f"cn=Sub,{PEOPLE}")
                        + rename(f"cn=Sub,{PEOPLE}", "cn=Folder"))
        self.members ^= {person(2), f"cn=Person 02,cn=Folder,{PEOPLE}"}
        self.both()

    def test_5_the_list_moves(self):
        moved = f"cn=Everybody,cn=Folder,{PEOPLE}"
        self.hub.modify(rename(LIST, "cn=Everybody", f"cn=Folder,{PEOPLE}"))
        self.both(moved)
        self.assertEqual(self.read(self.hub, person(5), "memberOf"), {moved})
        self.hub.modify(rename(moved, "cn=All", PEOPLE))
        self.both()

    def test_6_back_into_the_record(self):
        few = sorted(self.members)[:100]
        self.change(("replace", "member", few))
        type(self).members = self.members = set(few)
        self.both()
        more = [stranger(i) for i in range(3000, 4000)]
        self.change(("add", "member", more))
        self.members.update(more)
        self.both()
        self.change(("delete", "member", more[:950]))
        self.members.difference_update(more[:950])
        self.both()
        self.change(("replace", "member", more))
        type(self).members = self.members = set(more)
        self.both()

    def test_7_a_consumer_has_all_of_it(self):
        out = self.hub.search("o=Example", "(cn=All)", "member", options=("-E", "sync=ro"))
        self.assertEqual(set(re.findall(r"(?m)^member: (.*)$", out)), self.members)

    def test_8_offline(self):
        for site in (self.hub, self.one):
            site.stop("dird")
            run("dirctl", "check", "--config", site.path("dird.conf"))
        digests = [self.digests(s) for s in (self.hub, self.one)]
        self.assertTrue(digests[0])
        self.assertEqual(digests[0], digests[1])
        dump = run("dirctl", "dump", "--config", self.hub.path("dird.conf"))
        run("dirctl", "reindex", "--config", self.hub.path("dird.conf"))
        run("dirctl", "check", "--config", self.hub.path("dird.conf"))
        self.assertEqual(run("dirctl", "dump", "--config", self.hub.path("dird.conf")), dump)
        fresh = Site(os.path.join(self.folder, "fresh"), "Hub", "hub.example.com")
        fresh.init()
        path = os.path.join(self.folder, "dump.ldif")
        with open(path, "w", encoding="utf-8") as f:
            f.write(dump)
        fresh.load(path)
        run("dirctl", "check", "--config", fresh.path("dird.conf"))
        again = run("dirctl", "dump", "--config", fresh.path("dird.conf"))
        self.assertEqual(set(re.findall(r"(?m)^member: (.*)$", again)), self.members)
        for site in (self.hub, self.one):
            site.start("dird")
        self.both()

    def test_9_the_list_goes(self):
        self.hub.modify(delete(LIST))
        self.assertEqual(self.hub.count("o=Example", "(member=*)"), 0)
        wait_for("it is gone there", lambda: self.one.count("o=Example", "(member=*)") == 0, CONVERGES_S)
        for site in (self.hub, self.one):
            run("dirctl", "check", "--config", site.path("dird.conf"))


if __name__ == "__main__":
    tap.main()
