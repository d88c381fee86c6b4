#!/usr/bin/python3
# tests/run: timeout=120
"""Aliases in searches (RFC 4511 §4.5.1.3), as slapd treats them and where it says nothing."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
import ber  # noqa: E402
from ber import Raw, integer, message, octets, tlv  # noqa: E402
from dird_site import DirdSite  # noqa: E402

NEVER, SEARCHING, FINDING, ALWAYS = range(4)
BASE, ONE, SUB, CHILDREN = range(4)
ROOT = "o=Example"
SITE = None


def unit(name):
    return {"objectClass": ["organizationalUnit"], "ou": [name]}


def person(name):
    return {"objectClass": ["inetOrgPerson"], "cn": [name], "sn": [name]}


def alias(name, target):
    return {"objectClass": ["alias", "extensibleObject"], "cn": [name], "aliasedObjectName": [target]}


TREE = [
    (ROOT, {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}),
    ("ou=a,o=Example", unit("a")),
    ("cn=Ann,ou=a,o=Example", person("Ann")),
    ("ou=b,o=Example", unit("b")),
    ("cn=Bob,ou=b,o=Example", person("Bob")),
    ("ou=deep,ou=b,o=Example", unit("deep")),
    ("cn=Dan,ou=deep,ou=b,o=Example", person("Dan")),
    ("ou=c,o=Example", unit("c")),
    ("cn=Cid,ou=c,o=Example", person("Cid")),
    # in a: to a subtree, a person (twice), nothing, above itself
    ("cn=to b,ou=a,o=Example", alias("to b", "OU=B , o=example")),
    ("cn=to Cid,ou=a,o=Example", alias("to Cid", "cn=Cid,ou=c,o=Example")),
    ("cn=to Cid again,ou=a,o=Example", alias("to Cid again", "cn=to Cid,ou=a,o=Example")),
    ("cn=to nothing,ou=a,o=Example", alias("to nothing", "cn=Nobody,ou=c,o=Example")),
    ("cn=round,ou=a,o=Example", alias("round", "ou=a,o=Example")),
    # in b, reached through a's alias only: to c
    ("cn=to c,ou=deep,ou=b,o=Example", alias("to c", "ou=c,o=Example")),
    # a circle
    ("ou=odd,o=Example", unit("odd")),
    ("cn=x,ou=odd,o=Example", alias("x", "cn=y,ou=odd,o=Example")),
    ("cn=y,ou=odd,o=Example", alias("y", "cn=x,ou=odd,o=Example")),
    ("cn=self,ou=odd,o=Example", alias("self", "cn=self,ou=odd,o=Example")),
    ("cn=grows,ou=odd,o=Example", alias("grows", "cn=z,cn=grows,ou=odd,o=Example")),
    ("ou=away,o=Example", {"objectClass": ["referral", "extensibleObject"], "ou": ["away"],
                           "ref": ["ldap://away.example.com/ou=there"]}),
    ("cn=to away,ou=odd,o=Example", alias("to away", "cn=Zoe,ou=away,o=Example")),
]


def setUpModule():
    global SITE
    SITE = DirdSite()
    SITE.start()
    with client() as c:
        for i, (dn, values) in enumerate(TREE):
            c.send(ber.add(i + 2, dn, values, ber.control("2.16.840.1.113730.3.4.2", True)))
            a = c.result(i + 2)
            assert a.code == 0, (dn, a.code, a.text)


def tearDownModule():
    SITE.close()


def client():
    c = Raw(SITE.path("ldapi"))
    c.send(ber.bind_external(1))
    assert c.result(1).code == 0
    return c


def search(number, base, scope, deref, what=ber.PRESENT, limit=0, *controls):
    return message(number, tlv(0x63, octets(base), integer(scope, 0x0a), integer(deref, 0x0a),
                               integer(limit), integer(0), tlv(0x01, b"\0"), what,
                               tlv(0x30, octets("1.1"))), *controls)


class Case(unittest.TestCase):
    def setUp(self):
        self.c = client()
        self.addCleanup(self.c.__exit__)
        self.n = 100

    def ask(self, *args):
        """(result, names in the order they came)"""
        self.n += 1
        self.c.send(search(self.n, *args))
        names = []
        while True:
            a = self.c.answer()
            assert a is not None, "closed by the server"
            if a.op == 0x64:
                names.append(ber.entry(a.body)[0])
            elif a.code is not None:
                return a, names

    def names(self, *args):
        """First RDN values of what was found; each entry must come once."""
        a, names = self.ask(*args)
        self.assertEqual(a.code, 0, a.text)
        self.assertEqual(len(names), len(set(names)), names)
        return {n.split(",")[0].split("=")[1] for n in names}

    def refused(self, code, matched, *args):
        a, names = self.ask(*args)
        self.assertEqual((a.code, a.matched.decode(), names), (code, matched, []))


class Finding(Case):
    def test_base_is_an_alias(self):
        for deref in (FINDING, ALWAYS):
            self.assertEqual(self.names("cn=to Cid,ou=a,o=Example", BASE, deref), {"Cid"})
            self.assertEqual(self.names("cn=to Cid again,ou=a,o=Example", BASE, deref), {"Cid"})
            self.assertIn("Bob", self.names("cn=to b,ou=a,o=Example", ONE, deref))
        for deref in (NEVER, SEARCHING):
            self.assertEqual(self.names("cn=to Cid,ou=a,o=Example", BASE, deref), {"to Cid"})
            self.assertEqual(self.names("cn=to b,ou=a,o=Example", ONE, deref), set())

    def test_an_alias_above_the_base(self):
        self.assertEqual(self.names("cn=Dan,ou=deep,cn=to b,ou=a,o=Example", BASE, FINDING), {"Dan"})
        self.assertEqual(self.names("cn=Cid,cn=to c,ou=deep,cn=to b,ou=a,o=Example", BASE, FINDING),
                         {"Cid"})
        self.refused(32, "cn=to b,ou=a,o=Example", "ou=deep,cn=to b,ou=a,o=Example", BASE, SEARCHING)

    def test_the_entry_is_named_as_it_is(self):
        _, [name] = self.ask("cn=to Cid,ou=a,o=Example", BASE, FINDING)
        self.assertEqual(name, "cn=Cid,ou=c,o=Example")

    def test_nothing_there(self):
        """§4.1.9: matchedDN of what was found, behind the alias if one was followed."""
        self.refused(33, "cn=to nothing,ou=a,o=Example", "cn=to nothing,ou=a,o=Example", BASE, FINDING)
        self.refused(33, "cn=to nothing,ou=a,o=Example", "ou=x,cn=to nothing,ou=a,o=Example", SUB,
                     ALWAYS)
        self.refused(32, "ou=b,o=Example", "ou=x,cn=to b,ou=a,o=Example", BASE, FINDING)
        self.refused(32, "ou=a,o=Example", "ou=x,ou=a,o=Example", BASE, FINDING)

    def test_circles(self):
        for name in "x", "y", "self", "grows":
            a, names = self.ask(f"cn={name},ou=odd,o=Example", BASE, FINDING)
            self.assertEqual((a.code, names), (36, []), (name, a.text))

    def test_content_synchronization(self):
        """The base may be found through an alias; below it none is followed (RFC 4533 §3.5.2)."""
        sync = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True, tlv(0x30, integer(1, 0x0a)))
        self.assertEqual(self.names("cn=to b,ou=a,o=Example", SUB, FINDING, ber.PRESENT, 0, sync),
                         {"b", "Bob", "deep", "Dan", "to c"})
        for deref in SEARCHING, ALWAYS:
            self.refused(2, "", "ou=a,o=Example", SUB, deref, ber.PRESENT, 0, sync)

    def test_a_referral_behind_an_alias(self):
        a, _ = self.ask("cn=to away,ou=odd,o=Example", BASE, FINDING)
        self.assertEqual((a.code, a.referrals),
                         (10, ["ldap://away.example.com/cn=Zoe,ou=there??base"]))


class Searching(Case):
    def test_subtree(self):
        without = {"a", "Ann", "to b", "to Cid", "to Cid again", "to nothing", "round"}
        for deref in (NEVER, FINDING):
            self.assertEqual(self.names("ou=a,o=Example", SUB, deref), without)
        for deref in (SEARCHING, ALWAYS):
            self.assertEqual(self.names("ou=a,o=Example", SUB, deref),
                             {"a", "Ann", "b", "Bob", "deep", "Dan", "c", "Cid"})

    def test_subordinates(self):
        self.assertEqual(self.names("ou=a,o=Example", CHILDREN, SEARCHING),
                         {"Ann", "b", "Bob", "deep", "Dan", "c", "Cid"} | {"a"})

    def test_one_level(self):
        """What an alias names is in scope, what lies below it is not."""
        self.assertEqual(self.names("ou=a,o=Example", ONE, SEARCHING), {"Ann", "b", "Cid", "a"})

    def test_filters_are_about_what_is_named(self):
        for attribute, value, found in (("sn", "Bob", {"Bob"}), ("cn", "to b", set()),
                                        ("objectClass", "inetOrgPerson",
                                         {"Ann", "Bob", "Dan", "Cid"}),
                                        ("objectClass", "alias", set())):
            got = self.names("ou=a,o=Example", SUB, SEARCHING, ber.equal(attribute, value))
            self.assertEqual(got, found, value)
        self.assertEqual(self.names("ou=a,o=Example", ONE, SEARCHING, ber.equal("sn", "Cid")), {"Cid"})
        self.assertEqual(self.names("ou=a,o=Example", ONE, SEARCHING, ber.equal("sn", "Bob")), set())

    def test_base_object_is_no_subordinate(self):
        """The base itself is not followed with `searching`: it is shown."""
        self.assertEqual(self.names("cn=to b,ou=a,o=Example", SUB, SEARCHING), {"to b"})
        self.assertEqual(self.names("cn=to b,ou=a,o=Example", BASE, SEARCHING), {"to b"})

    def test_whole_tree(self):
        got = self.names(ROOT, SUB, SEARCHING)
        self.assertEqual(got, {"Example", "a", "b", "c", "odd", "deep", "Ann", "Bob", "Cid", "Dan"})

    def test_size_limit_and_pages(self):
        a, names = self.ask("ou=a,o=Example", SUB, SEARCHING, ber.PRESENT, 3)
        self.assertEqual((a.code, len(names)), (4, 3))
        found, cookie = [], b""
        while True:
            value = tlv(0x30, integer(2), octets(cookie))
            a, names = self.ask("ou=a,o=Example", SUB, ALWAYS, ber.PRESENT, 0,
                                ber.control("1.2.840.113556.1.4.319", True, value))
            self.assertEqual(a.code, 0, a.text)
            found += names
            cookie = ber.elements(ber.split(a.controls["1.2.840.113556.1.4.319"])[1])[1][1]
            if not cookie:
                break
        self.assertEqual((len(found), len(set(found))), (8, 8))

    def test_sorted(self):
        key = tlv(0x30, tlv(0x30, octets("sn")))
        _, names = self.ask("ou=a,o=Example", SUB, SEARCHING, ber.equal("objectClass", "person"), 0,
                            ber.control("1.2.840.113556.1.4.473", True, key))
        self.assertEqual([n.split(",")[0] for n in names], ["cn=Ann", "cn=Bob", "cn=Cid", "cn=Dan"])


class Writing(Case):
    def test_nothing_below_an_alias(self):
        self.c.send(ber.add(2, "cn=New,cn=to Cid,ou=a,o=Example", person("New")),
                    ber.moddn(3, "cn=Ann,ou=a,o=Example", "cn=Ann",
                              superior="cn=to Cid,ou=a,o=Example"))
        self.assertEqual((self.c.result(2).code, self.c.result(3).code), (33, 33))

    def test_writes_and_compare_do_not_follow(self):
        self.c.send(ber.compare(2, "cn=to Cid,ou=a,o=Example", "objectClass", "alias"),
                    ber.modify(3, "cn=Cid,cn=to c,ou=deep,ou=b,o=Example", [(2, "title", ["x"])]))
        self.assertEqual((self.c.result(2).code, self.c.result(3).code), (6, 32))

    def test_follows_at_once(self):
        """The place of an alias is looked up in each search."""
        name = "cn=moving,ou=c,o=Example"
        self.c.send(ber.add(2, name, alias("moving", "cn=Ann,ou=a,o=Example")))
        self.assertEqual(self.c.result(2).code, 0)
        self.assertEqual(self.names(name, BASE, FINDING), {"Ann"})
        self.c.send(ber.modify(3, name, [(2, "aliasedObjectName", ["cn=Bob,ou=b,o=Example"])]))
        self.assertEqual(self.c.result(3).code, 0)
        self.assertEqual(self.names(name, BASE, FINDING), {"Bob"})
        self.c.send(ber.delete(4, name))
        self.assertEqual(self.c.result(4).code, 0)


class Limits(Case):
    def many(self, n):
        """ou=many with n aliases, each to an entry of its own outside."""
        requests = [ber.add(1, "ou=many,o=Example", unit("many")),
                    ber.add(2, "ou=targets,o=Example", unit("targets"))]
        for i in range(n):
            requests.append(ber.add(10 + i, f"cn=t{i},ou=targets,o=Example", person(f"t{i}")))
            requests.append(ber.add(10 + i, f"cn=a{i},ou=many,o=Example",
                                    alias(f"a{i}", f"cn=t{i},ou=targets,o=Example")))
        self.c.send(*requests)
        for _ in requests:
            self.assertEqual(self.c.answer().code, 0)

    def test_1000_places_and_one_more(self):
        self.many(1001)
        got, _ = self.ask("ou=many,o=Example", ONE, SEARCHING)
        self.assertEqual(got.code, 11, got.text)
        self.c.send(ber.delete(5, "cn=a7,ou=many,o=Example"))
        self.assertEqual(self.c.result(5).code, 0)
        self.assertEqual(len(self.names("ou=many,o=Example", ONE, SEARCHING)), 1000)
        self.clear()

    def clear(self):
        tree_delete = ber.control("1.2.840.113556.1.4.805", True)
        self.c.send(ber.delete(6, "ou=many,o=Example", tree_delete),
                    ber.delete(7, "ou=targets,o=Example", tree_delete))
        self.assertEqual([self.c.result(6).code, self.c.result(7).code], [0, 0])


if __name__ == "__main__":
    tap.main()
