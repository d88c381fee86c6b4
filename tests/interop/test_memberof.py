#!/usr/bin/python3
# tests/run: build=san timeout=300
"""Lists, memberOf and references to entries (L12): at one site and between two."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from ldif import delete, rename  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402

CONVERGES_S = 60


def base(site):
    return f"cn=Recipients,ou={site},o=Example"


def person(site, name, **more):
    return (f"dn: cn={name},{base(site)}\nobjectClass: inetOrgPerson\nobjectClass: mailRecipient\n"
            f"sn: Person\n" + "".join(f"{k}: {v}\n" for k, v in more.items()) + "\n")


def group(site, name, *members):
    return (f"dn: cn={name},{base(site)}\nobjectClass: groupOfNames\nobjectClass: mailRecipient\n"
            + "".join(f"member: {m}\n" for m in members) + "\n")


def change(dn, what, **values):
    return f"dn: {dn}\nchangetype: modify\n" + "".join(
        f"{what}: {k}\n{k}: {v}\n-\n" for k, v in values.items()) + "\n"


class Lists(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "One")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one = cls.sites.values()
        wait_for("both know both", lambda: all(
            s.count("o=Example", "(objectClass=mailSite)") == 2 for s in (cls.hub, cls.one)), CONVERGES_S)

    def values(self, site, dn, attribute):
        """Values of an attribute, folded and sorted; a missing entry has None."""
        out = site.search(dn, "(objectClass=*)", attribute, scope="base", check=False)[1]
        if "\ndn: " not in "\n" + out:
            return None
        return sorted(line.split(": ", 1)[1].lower().replace(", ", ",") for line in out.split("\n")
                      if line.lower().startswith(attribute.lower() + ": "))

    def found(self, site, pattern):
        out = site.search("o=Example", pattern, "1.1")
        return sorted(line[4:].lower() for line in out.split("\n") if line.startswith("dn: "))

    def names(self, site, *names):
        return sorted(f"cn={n},{base(site)}".lower() for n in names)

    def both(self, what, expected, *args):
        """At once where it was written, soon at the other site."""
        for site in (self.hub, self.one):
            wait_for(f"{args} at {site.name} is {expected}", lambda s=site: what(s, *args) == expected,
                     CONVERGES_S)

    def test_1_member_of(self):
        ann, bob = (f"cn={n},{base('Hub')}" for n in ("Ann", "Bob"))
        self.hub.add(person("Hub", "Ann") + person("Hub", "Bob", manager=ann)
                     + group("Hub", "All", ann, bob.upper().replace(",", ", ")) + group("Hub", "Few", bob))
        self.assertEqual(self.values(self.hub, bob, "memberOf"), self.names("Hub", "All", "Few"))
        self.assertEqual(self.found(self.hub, f"(memberOf=cn=all,{base('Hub')})"), self.names("Hub", "Ann", "Bob"))
        self.assertEqual(self.found(self.hub, f"(member={bob})"), self.names("Hub", "All", "Few"))
        self.hub.modify(change(f"cn=Few,{base('Hub')}", "delete", member=bob))
        self.assertEqual(self.values(self.hub, bob, "memberOf"), self.names("Hub", "All"))
        self.hub.modify(change(f"cn=Few,{base('Hub')}", "add", member=bob))
        self.hub.modify(rename(f"cn=Few,{base('Hub')}", "cn=Small"))
        self.both(self.values, self.names("Hub", "All", "Small"), bob, "memberOf")
        self.hub.modify(delete(f"cn=Small,{base('Hub')}"))
        self.both(self.values, self.names("Hub", "All"), bob, "memberOf")

    def test_2_references_follow_at_home(self):
        ann, bob = (f"cn={n},{base('Hub')}" for n in ("Ann", "Bob"))
        self.hub.add(f"dn: cn=Team,{base('Hub')}\nobjectClass: container\n\n"
                     f"dn: cn=Unique,{base('Hub')}\nobjectClass: groupOfUniqueNames\nuniqueMember: {ann}\n\n"
                     f"dn: cn=Head,{base('Hub')}\nobjectClass: organizationalRole\nroleOccupant: {ann}\n\n")
        self.hub.modify(change(bob, "add", secretary=ann, seeAlso=ann)
                        + change(f"cn=All,{base('Hub')}", "add", owner=ann))
        self.hub.modify(rename(ann, "cn=Anna", f"cn=Team,{base('Hub')}"))
        anna = f"cn=anna,cn=team,{base('Hub')}".lower()
        for dn, attribute in ((bob, "manager"), (bob, "secretary"), (bob, "seeAlso"),
                              (f"cn=All,{base('Hub')}", "owner"), (f"cn=Unique,{base('Hub')}", "uniqueMember"),
                              (f"cn=Head,{base('Hub')}", "roleOccupant")):
            self.both(self.values, [anna], dn, attribute)
        self.both(self.values, sorted([anna, bob.lower()]), f"cn=All,{base('Hub')}", "member")
        # the container's name changes, and so does that of everybody below it
        self.hub.modify(rename(f"cn=Team,{base('Hub')}", "cn=Group"))
        anna = anna.replace("cn=team", "cn=group")
        self.both(self.values, [anna], bob, "manager")
        self.both(self.values, sorted([f"cn=all,{base('Hub')}".lower(), f"cn=unique,{base('Hub')}".lower()]),
                  anna, "memberOf")
        self.hub.modify(delete(anna))
        self.both(self.values, [], bob, "manager")
        self.both(self.values, [bob.lower()], f"cn=All,{base('Hub')}", "member")
        self.both(self.values, [], f"cn=Unique,{base('Hub')}", "uniqueMember")

    def test_3_a_value_twice_becomes_one(self):
        x, y = (f"cn={n},{base('Hub')}" for n in ("X", "Y"))
        self.hub.add(person("Hub", "X") + group("Hub", "Two", x, y))
        self.hub.modify(rename(x, "cn=Y"))
        self.both(self.values, [y.lower()], f"cn=Two,{base('Hub')}", "member")

    def test_4_lists_of_another_site(self):
        """One's list names Hub's people: it is mended at One, and comes back to the hub."""
        self.hub.add("".join(person("Hub", n) for n in ("Far", "Gone", "Old")))
        far, gone, old = (f"cn={n},{base('Hub')}" for n in ("Far", "Gone", "Old"))
        mixed = f"cn=Mixed,{base('One')}"
        self.one.add(person("One", "Own", manager=far) + group("One", "Mixed", far, gone, old))
        self.both(self.values, self.names("One", "Mixed"), far, "memberOf")
        self.both(self.found, self.names("Hub", "Far", "Gone", "Old"), f"(memberOf={mixed})")
        self.hub.modify(rename(far, "cn=Near") + delete(gone))
        self.both(self.values, self.names("Hub", "Near", "Old"), mixed, "member")
        self.both(self.values, self.names("Hub", "Near"), f"cn=Own,{base('One')}", "manager")
        self.both(self.values, self.names("One", "Mixed"), f"cn=Near,{base('Hub')}", "memberOf")

    def test_5_names_are_swapped_while_away(self):
        """Only last states travel: each name is still the other's when it comes."""
        self.hub.add(person("Hub", "A", title="was A") + person("Hub", "B", title="was B"))
        a, b = (f"cn={n},{base('Hub')}" for n in "AB")
        self.both(self.values, ["was a"], a, "title")
        self.both(self.values, ["was b"], b, "title")
        self.one.add(group("One", "OnlyA", a) + group("One", "OnlyB", b) + group("One", "AB", a, b))
        self.both(self.values, self.names("One", "AB", "OnlyB"), b, "memberOf")
        self.one.stop("dird")
        self.hub.modify(rename(a, "cn=T") + rename(b, "cn=A") + rename(f"cn=T,{base('Hub')}", "cn=B"))
        self.one.start("dird")
        self.both(self.values, ["was a"], b, "title")
        self.both(self.values, [b.lower()], f"cn=OnlyA,{base('One')}", "member")
        self.both(self.values, [a.lower()], f"cn=OnlyB,{base('One')}", "member")
        self.both(self.values, sorted([a.lower(), b.lower()]), f"cn=AB,{base('One')}", "member")

    def test_6_what_the_schema_wants_stays(self):
        """An alias without its object would be none."""
        gone = f"cn=Target,{base('Hub')}"
        self.hub.add(person("Hub", "Target")
                     + f"dn: cn=Alias,{base('Hub')}\nobjectClass: alias\nobjectClass: extensibleObject\n"
                       f"aliasedObjectName: {gone}\n\n")
        self.hub.modify(delete(gone))
        self.assertEqual(self.values(self.hub, f"cn=Alias,{base('Hub')}", "aliasedObjectName"), [gone.lower()])

    def test_6_long_lists(self):
        """Of many values the index tells which are there, in whatever spelling."""
        dn, people = f"cn=Long,{base('Hub')}", base("Hub")
        self.hub.add(group("Hub", "Long", *(f"cn=N{i},{people}" for i in range(40))))

        def modify(code, *mods):
            rc, out, err = self.hub.modify(f"dn: {dn}\nchangetype: modify\n" + "".join(
                f"{what}: member\n" + "".join(f"member: {m}\n" for m in values) + "-\n"
                for what, *values in mods), check=False)
            self.assertEqual(rc, code, out + err)
        spelled = f"CN=n7 , {people.upper()}"
        modify(20, ("add", spelled))
        modify(20, ("add", f"cn=New,{people}", spelled))
        modify(16, ("delete", f"cn=New,{people}"))
        modify(0, ("delete", spelled), ("add", spelled))
        modify(20, ("add", f"cn=New,{people}"), ("add", f"cn=new,{people}"))
        modify(16, ("delete", spelled), ("delete", spelled))
        modify(0, ("delete", spelled, f"cn=N8,{people}"), ("add", f"cn=New,{people}"))
        self.both(lambda *a: len(self.values(*a) or ()), 39, dn, "member")
        modify(0, ("delete",), ("add", spelled))
        self.both(lambda *a: len(self.values(*a) or ()), 1, dn, "member")
        self.assertEqual(self.found(self.hub, f"(member=cn=n7,{people})"), self.names("Hub", "Long"))
        self.assertEqual(self.found(self.hub, f"(member=cn=n9,{people})"), [])

    def test_7_quiet(self):
        """Mending has an end: nobody's number moves any more."""
        def numbers():
            return [sorted(line for n in ("Hub", "One")
                           for line in site.search(base(n), "(objectClass=*)", "originStamp").split("\n"))
                    for site in (self.hub, self.one)]
        self.both(lambda s: numbers()[0] == numbers()[1], True)
        before = numbers()
        self.hub.modify(change(f"cn=All,{base('Hub')}", "replace", description="x"))
        self.both(self.values, ["x"], f"cn=All,{base('Hub')}", "description")
        changed = [len(set(y) - set(x)) for x, y in zip(before, numbers())]
        self.assertEqual(changed, [1, 1])

    def test_8_check_and_reload(self):
        for site in (self.hub, self.one):
            site.stop("dird")
            run("dirctl", "check", "--config", site.path("dird.conf"))


if __name__ == "__main__":
    tap.main()
