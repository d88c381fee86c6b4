#!/usr/bin/python3
# tests/run: timeout=120
"""Modify DN with a new superior for whole subtrees, and what names their entries (RFC 4511 §4.9, L12)."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
import ber  # noqa: E402
from ber import integer, tlv  # noqa: E402
from dird_site import DirdSite  # noqa: E402
from waypost import run, wait_for  # noqa: E402

ROOT, PEOPLE, LISTS, LENGTH = "o=Example", 2000, 10, 1000
SITE = None


def setUpModule():
    global SITE
    SITE = DirdSite()
    SITE.start()


def tearDownModule():
    SITE.close()


def unit(name):
    return {"objectClass": ["organizationalUnit"], "ou": [name]}


def name(i, where):
    return f"cn=p{i},{where}"


class Moves(unittest.TestCase):
    OLD, NEW = "ou=big,o=Example", "ou=big,ou=target,o=Example"

    @classmethod
    def setUpClass(cls):
        cls.c = SITE.admin(timeout=100)
        cls.addClassCleanup(cls.c.__exit__)
        cls.n = 100
        entries = [(ROOT, {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}),
                   (cls.OLD, unit("big")), ("ou=target,o=Example", unit("target"))]
        entries += [(name(i, cls.OLD), {
            "objectClass": ["inetOrgPerson"], "cn": [f"p{i}"], "sn": ["x"],
            "manager": [name(i // 10, cls.OLD)]}) for i in range(PEOPLE)]
        entries += [(f"cn=list{k},o=Example", {
            "objectClass": ["groupOfNames"], "cn": [f"list{k}"],
            "member": ["cn=Other,o=Example"] + [name((k * 100 + i) % PEOPLE, cls.OLD) for i in range(LENGTH)]})
            for k in range(LISTS)]
        # a list that says both names of one person
        entries += [("cn=twice,o=Example", {
            "objectClass": ["groupOfNames"], "cn": ["twice"],
            "member": [name(1, cls.OLD), name(2, cls.OLD), name(1, cls.NEW).upper()]})]
        for dn, values in entries[:3]:
            cls.ask(ber.add, dn, values)
        cls.c.send(*(ber.add(9, dn, values) for dn, values in entries[3:]))
        for _ in entries[3:]:
            assert cls.c.answer().code == 0

    @classmethod
    def ask(cls, make, *args, **named):
        cls.n += 1
        cls.c.send(make(cls.n, *args, **named))
        a = cls.c.result(cls.n)
        assert a.code == 0, (args, a.code, a.text)

    def read(self, dn, attribute):
        self.c.send(ber.search(7, dn, 0, ber.PRESENT, [attribute]))
        _, attributes = ber.entry(self.c.answer().body)
        self.assertEqual(self.c.result(7).code, 0)
        return [v.decode() for v in attributes[attribute]]

    def peak(self):
        with open(f"/proc/{SITE.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))

    def test_all_that_names_it_follows(self):
        before = self.peak()
        with SITE.admin(timeout=100) as watcher:
            value = tlv(0x30, integer(15), tlv(0x01, b"\xff"), tlv(0x01, b"\xff"))
            watcher.send(ber.search(2, ROOT, 1, ber.equal("objectClass", "groupOfNames"), ["1.1"], 0,
                                    ber.control("2.16.840.1.113730.3.4.3", True, value)),
                         ber.search(3, ROOT, 0, ber.PRESENT, ["1.1"]))
            self.assertEqual(watcher.result(3).code, 0)
            self.ask(ber.moddn, self.OLD, "ou=big", superior="ou=target,o=Example")
            told = [ber.entry(watcher.answer().body)[0] for _ in range(LISTS + 1)]
            self.assertEqual(len(set(told)), LISTS + 1)
            self.assertTrue(watcher.is_silent(0))
        for k in range(LISTS):
            self.assertEqual(sorted(self.read(f"cn=list{k},o=Example", "member")), sorted(
                ["cn=Other,o=Example"] + [name((k * 100 + i) % PEOPLE, self.NEW) for i in range(LENGTH)]))
        for i in (0, 9, 10, 1234, PEOPLE - 1):
            self.assertEqual(self.read(name(i, self.NEW), "manager"), [name(i // 10, self.NEW)])
        self.assertEqual(sorted(m.lower() for m in self.read("cn=twice,o=Example", "member")),
                         [name(1, self.NEW).lower(), name(2, self.NEW).lower()])
        # one list at a time in memory, not each once for every member
        self.assertLess(self.peak() - before, 64 * 1024)


LISTS_BASE = "cn=Address Lists,o=Example"


class FewReferences(unittest.TestCase):
    """A subtree that is larger than the number of values that name entries: these are looked through, so a move costs
    what there is to mend."""
    WIDE, SIZE = "ou=wide,o=Example", 1300
    LONG = "x" * 250  # two of them are more than an index key holds

    @classmethod
    def setUpClass(cls):
        cls.site = DirdSite()
        cls.addClassCleanup(cls.site.close)
        cls.site.start()
        cls.c = cls.site.admin(timeout=100)
        cls.addClassCleanup(cls.c.__exit__)
        cls.n = 100
        hidden = dict(unit("attic"), objectClass=["organizationalUnit", "mailRecipient"],
                      hideFromAddressLists=["TRUE"])
        inner = f"ou=in\\, here+description=b,{cls.WIDE}"
        cls.people = [name(i, cls.WIDE) for i in range(cls.SIZE)] + [
            name(0, inner), f"cn=Zo\u00eb \\\"Z\\\",{inner}", f"cn={cls.LONG},ou={cls.LONG},{cls.WIDE}"]
        entries = [(ROOT, {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}),
                   (cls.WIDE, unit("wide")), ("ou=target,o=Example", unit("target")), ("ou=attic,o=Example", hidden),
                   (inner, dict(unit("in, here"), description=["b"])), (f"ou={cls.LONG},{cls.WIDE}", unit(cls.LONG)),
                   (LISTS_BASE, {"objectClass": ["container"], "cn": ["Address Lists"]})]
        for view, base, scope in (("all", ROOT, "sub"), ("target", "ou=target,o=Example", "sub"),
                                  ("direct", "ou=target,o=Example", "one"), ("moving", cls.WIDE, "sub"),
                                  ("inner", inner, "one")):
            entries.append((f"cn={view},{LISTS_BASE}", {
                "objectClass": ["addressBookView"], "cn": [view], "viewBase": [base], "viewScope": [scope],
                "viewFilter": ["(objectClass=person)"], "viewSort": ["cn"]}))
        cn = [f"p{i}" for i in range(cls.SIZE)] + ["p0", "Zo\u00eb \"Z\"", cls.LONG]
        entries += [(dn, {"objectClass": ["inetOrgPerson"], "cn": [cn[i]], "sn": ["x"]})
                    for i, dn in enumerate(cls.people)]
        cls.members = [cls.people[-1], "cn=nobody,ou=wide,o=Example", cls.people[-2], "cn=Other,o=Example",
                       cls.people[7].upper().replace("=WIDE", "=Wide"), cls.people[-3], cls.WIDE,
                       "cn=p1,ou=wide\\,o=Example", "cn=p1,xou=wide,o=Example"]
        entries += [(f"cn=l{k},{where}", {
            "objectClass": ["groupOfNames"], "cn": [f"l{k}"], "member": cls.members, "seeAlso": [cls.people[3]],
            "owner": [cls.WIDE]}) for k, where in ((0, ROOT), (1, cls.WIDE))]
        entries += [("cn=unique,o=Example", {
            "objectClass": ["groupOfUniqueNames"], "cn": ["unique"],
            "uniqueMember": [cls.people[5], "cn=Other,o=Example#'01'B"]})]
        for dn, values in entries[:12]:
            cls.ask(ber.add, dn, values)
        cls.c.send(*(ber.add(9, dn, values) for dn, values in entries[12:]))
        for _ in entries[12:]:
            a = cls.c.answer()
            assert a.code == 0, a.text

    ask = classmethod(Moves.ask.__func__)
    read = Moves.read

    def expect(self, top):
        """Everything that named an entry says its name of now; what named none stays."""
        def now(dn):
            known = {d.lower() for d in self.people + [self.WIDE]}
            if dn.lower() not in known:
                return dn
            return dn[:len(dn) - len(self.WIDE)].lower() + top

        want = [now(m).lower() for m in self.members]
        for where in (ROOT, top):
            k = int(where == top)
            self.assertEqual([m.lower() for m in self.read(f"cn=l{k},{where}", "member")], want)
            self.assertEqual(self.read(f"cn=l{k},{where}", "seeAlso"), [now(self.people[3])])
            self.assertEqual(self.read(f"cn=l{k},{where}", "owner"), [top])
        self.assertEqual(self.read("cn=unique,o=Example", "uniqueMember"),
                         [now(self.people[5]), "cn=Other,o=Example#'01'B"])
        self.assertEqual([m.lower() for m in self.read(now(self.people[7]), "memberOf")],
                         [f"cn=l0,{ROOT}".lower(), f"cn=l1,{top}".lower()])

    def view(self, name_):
        """Its state, and how many it has."""
        dn = f"cn={name_},{LISTS_BASE}"
        self.c.send(ber.search(7, dn, 0, ber.PRESENT, ["viewEntries", "viewState"]))
        _, a = ber.entry(self.c.answer().body)
        self.assertEqual(self.c.result(7).code, 0)
        return a["viewState"][0].decode(), int(a.get("viewEntries", [b"-1"])[0])

    def expect_views(self, inside, has_base=True):
        people = len(self.people)
        want = {"all": people, "target": people if inside else 0, "direct": 0,
                "moving": people if has_base else 0, "inner": 2 if has_base else 0}
        wait_for("views", lambda: all(self.view(v)[0].split(":")[0] in ("ready", "empty") for v in want))
        self.assertEqual({v: self.view(v)[1] for v in want}, want)

    def check(self):
        """Every row of every index and view is what it should be."""
        self.site.stop()
        self.c.__exit__()
        run("dirctl", "check", "--config", self.site.path("dird.conf"))
        self.site.start()
        type(self).c = self.site.admin(timeout=100)

    def test_moves(self):
        self.expect(self.WIDE)
        self.expect_views(False)
        top = self.WIDE
        for rdn, superior, inside in (("ou=Wider", None, False), ("ou=Wider", "ou=target,o=Example", True),
                                      ("ou=wide", "ou=attic,o=Example", False), ("ou=wide", "o=Example", False),
                                      ("ou=wide", "ou=target,o=Example", True), ("ou=wide", "o=Example", False)):
            self.ask(ber.moddn, top, rdn, superior=superior)
            top = rdn + "," + (superior or "o=Example")
            with self.subTest(top=top):
                self.expect(top)
                self.expect_views(inside, top == self.WIDE)
                self.check()

    def test_too_deep(self):
        """Names keep to 64 RDNs, wherever the deepest entry lies."""
        deep = ROOT
        for i in range(40):
            deep = f"ou=d{i},{deep}"
            self.ask(ber.add, deep, unit(f"d{i}"))
        low = self.WIDE
        for i in range(23):
            low = f"ou=w{i},{low}"
            self.ask(ber.add, low, unit(f"w{i}"))
        self.c.send(ber.moddn(7, self.WIDE, "ou=wide", superior=deep))
        a = self.c.result(7)
        self.assertEqual((a.code, a.text), (53, b"names would have more than 64 RDNs"))
        self.ask(ber.delete, low)
        self.ask(ber.moddn, self.WIDE, "ou=wide", superior=deep)
        self.expect("ou=wide," + deep)
        self.ask(ber.moddn, "ou=wide," + deep, "ou=wide", superior=ROOT)


if __name__ == "__main__":
    tap.main()
