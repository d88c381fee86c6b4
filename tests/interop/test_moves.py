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
            self.assertEqual(self.read(f"cn=list{k},o=Example", "member"),
                             ["cn=Other,o=Example"] +
                             [name((k * 100 + i) % PEOPLE, self.NEW) for i in range(LENGTH)])
        for i in (0, 9, 10, 1234, PEOPLE - 1):
            self.assertEqual(self.read(name(i, self.NEW), "manager"), [name(i // 10, self.NEW)])
        self.assertEqual([m.lower() for m in self.read("cn=twice,o=Example", "member")],
                         [name(1, self.NEW).lower(), name(2, self.NEW).lower()])
        # one list at a time in memory, not each once for every member
        self.assertLess(self.peak() - before, 64 * 1024)


if __name__ == "__main__":
    tap.main()
