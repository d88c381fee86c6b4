#!/usr/bin/python3
# tests/run: timeout=120
"""Answers that have most of the directory come in the order of the table, not of the tree: the same entries, each once,
also while clients write between two pages."""
import os
import shutil
import sys
import tempfile
import unittest

import ldap
from ldap.controls import SimplePagedResultsControl

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")]
import tap  # noqa: E402
from waypost import PASSWORD, Site  # noqa: E402

ROOT = "o=Example"
PEOPLE = f"cn=Recipients,ou=S1,{ROOT}"
COUNT = 6000  # more than 4,096
FOLDER = SITE = None


def dn(i):
    return f"cn=Person {i},{PEOPLE}"


def setUpModule():
    global FOLDER, SITE
    FOLDER = tempfile.mkdtemp(prefix="waypost-long-")
    SITE = Site(os.path.join(FOLDER, "S1"), "S1", "s1.example.com")
    SITE.init(ROOT, "--anonymous-read")
    with open(FOLDER + "/people.ldif", "w", encoding="ascii") as f:
        for i in range(COUNT):
            f.write(f"dn: {dn(i)}\nobjectClass: inetOrgPerson\nsn: {i % 10}\n\n")
        f.write(f"dn: cn=below,{dn(5)}\nobjectClass: inetOrgPerson\nsn: 5\n\n")
        f.write(f"dn: cn=Elsewhere,ou=S1,{ROOT}\nobjectClass: container\n\n")
        for i in range(40):
            f.write(f"dn: cn=e{i},cn=Elsewhere,ou=S1,{ROOT}\nobjectClass: container\n\n")
    SITE.load(FOLDER + "/people.ldif")
    SITE.start("dird")


def tearDownModule():
    SITE.close()
    shutil.rmtree(FOLDER, ignore_errors=True)


class LongAnswers(unittest.TestCase):
    def setUp(self):
        host, port = SITE.ldap.rsplit(":", 1)
        self.c = ldap.initialize(f"ldap://{host}:{port}")
        self.c.simple_bind_s(f"cn=admin,{ROOT}", PASSWORD)
        self.addCleanup(self.c.unbind_s)
        self.people = {dn(i) for i in range(COUNT)}

    def search(self, base, scope, what="(objectClass=*)"):
        return [name for name, _ in self.c.search_s(base, scope, what, ["1.1"])]

    def once(self, found, want):
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(set(found), want)

    def test_scopes(self):
        below = {f"cn=below,{dn(5)}"}
        self.once(self.search(PEOPLE, ldap.SCOPE_ONELEVEL), self.people)
        self.once(self.search(PEOPLE, ldap.SCOPE_SUBORDINATE), self.people | below)
        self.once(self.search(PEOPLE, ldap.SCOPE_SUBTREE), self.people | below | {PEOPLE})
        self.once(self.search(PEOPLE, ldap.SCOPE_SUBTREE, "(!(sn=5))"),
                  {dn(i) for i in range(COUNT) if i % 10 != 5} | {PEOPLE})
        all_of_it = self.search(ROOT, ldap.SCOPE_SUBTREE)
        self.once(all_of_it, set(all_of_it))
        self.assertLess(self.people | below | {f"cn=e{i},cn=Elsewhere,ou=S1,{ROOT}" for i in range(40)}, set(all_of_it))

    def test_another_place_beside_it(self):
        self.once(self.search(f"cn=Elsewhere,ou=S1,{ROOT}", ldap.SCOPE_ONELEVEL),
                  {f"cn=e{i},cn=Elsewhere,ou=S1,{ROOT}" for i in range(40)})

    def test_order_is_that_of_the_numbers(self):
        """... and so this test shows that it is not the tree that is walked."""
        found = self.search(PEOPLE, ldap.SCOPE_ONELEVEL)
        self.assertEqual(found, sorted(found, key=lambda name: int(name.split(",")[0].split()[1])))

    def test_size_limit(self):
        with self.assertRaises(ldap.SIZELIMIT_EXCEEDED):
            self.c.search_ext_s(PEOPLE, ldap.SCOPE_ONELEVEL, "(objectClass=*)", ["1.1"], sizelimit=5000)

    def test_writes_between_pages(self):
        page = SimplePagedResultsControl(True, size=500, cookie="")
        other = ldap.initialize(self.c.get_option(ldap.OPT_URI))
        other.simple_bind_s(f"cn=admin,{ROOT}", PASSWORD)
        self.addCleanup(other.unbind_s)
        found, number = [], 0
        while True:
            sent = self.c.search_ext(PEOPLE, ldap.SCOPE_ONELEVEL, "(objectClass=*)", ["1.1"], serverctrls=[page])
            _, entries, _, controls = self.c.result3(sent)
            found += [name for name, _ in entries]
            number += 1
            if number == 4:
                other.delete_s(dn(100))  # was told
                other.delete_s(dn(4000))  # was not
                other.rename_s(dn(200), "cn=Renamed", PEOPLE)  # a name behind all others
                other.rename_s(dn(4100), "cn=Aaron", PEOPLE)  # and one before them
            page.cookie = controls[0].cookie
            if not page.cookie:
                break
        self.once(found, self.people - {dn(4000), dn(4100)} | {f"cn=Aaron,{PEOPLE}"})
        self.assertEqual(number, 12)
        other.rename_s(f"cn=Renamed,{PEOPLE}", "cn=Person 200", PEOPLE)
        other.rename_s(f"cn=Aaron,{PEOPLE}", "cn=Person 4100", PEOPLE)
        for i in (100, 4000):
            other.add_s(dn(i), [("objectClass", b"inetOrgPerson"), ("sn", str(i % 10).encode())])


if __name__ == "__main__":
    tap.main()
