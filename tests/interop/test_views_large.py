#!/usr/bin/python3
# tests/run: timeout=300
"""Lists that are too long to be sorted when they are asked for: only views can answer them. And a view that is built
while clients write, the server is killed, and starts again."""
import os
import shutil
import signal
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import ber  # noqa: E402
import tap  # noqa: E402
from test_views import (ADMIN, LISTS, MAIL, ODD, PEOPLE, PERSON, ROOT, SORT, Session, both,  # noqa: E402
                        sort_keys)
from waypost import PASSWORD, Site, run, wait_for  # noqa: E402

COUNT = 101000  # more than 100,000
FOLDER = SITE = None


def name(i):
    """The names are in the order of the numbers; the entries come in another one."""
    return f"Person {i:06}"


def dn(i):
    return f"cn={name(i)},{PEOPLE}"


def setUpModule():
    global FOLDER, SITE
    FOLDER = tempfile.mkdtemp(prefix="waypost-large-")
    SITE = Site(os.path.join(FOLDER, "S1"), "S1", "s1.example.com")
    SITE.init(ROOT, "--anonymous-read")
    with open(FOLDER + "/people.ldif", "w", encoding="ascii") as f:
        for k in range(COUNT):
            i = k * 7919 % COUNT
            f.write(f"dn: {dn(i)}\nobjectClass: inetOrgPerson\nsn: {name(COUNT - i)}\nmail: p{i}@x.org\n"
                    f"l: {'Oslo' if i % 1000 == 0 else 'Turin'}\n\n")
    SITE.load(FOLDER + "/people.ldif")
    SITE.start("dird")


def tearDownModule():
    SITE.close()
    shutil.rmtree(FOLDER, ignore_errors=True)


class Large(unittest.TestCase):
    def setUp(self):
        self.c = Session(address=SITE.ldap)
        self.addCleanup(self.c.__exit__)

    def test_positions(self):
        for what in (PERSON, MAIL, both(MAIL, ber.equal("objectClass", "inetOrgPerson"))):
            for at in (1, 2, 777, 50000, 100999, COUNT):
                last = min(COUNT, at + 3)
                self.assertEqual(self.c.window(ROOT, what, ["cn"], 0, 3, offset=at),
                                 (0, [dn(i) for i in range(at - 1, last)], (at, COUNT, 0)))
                self.assertEqual(self.c.window(ROOT, what, ["-cn"], 0, 0, offset=at)[1], [dn(COUNT - at)])
        self.assertEqual(self.c.window(ROOT, MAIL, ["sn"], 0, 1, offset=1)[1], [dn(COUNT - 1), dn(COUNT - 2)])
        self.assertEqual(self.c.window(ROOT, PERSON, ["cn"], 1, 0, value=name(70000)),
                         (0, [dn(69999), dn(70000)], (70001, COUNT, 0)))

    def test_windows_as_large_as_the_list(self):
        code, dns, state = self.c.window(ROOT, PERSON, ["cn"], 2**31 - 1, 2**31 - 1, offset=500)
        self.assertEqual((code, len(dns), state), (0, COUNT, (500, COUNT, 0)))
        self.assertEqual(dns, [dn(i) for i in range(COUNT)])

    def test_any_filter_in_pages(self):
        """Too many to sort: along the order of a view, with each entry looked at."""
        self.assertEqual(self.c.pages(ROOT, both(PERSON, ODD), ["-cn"], 5000), [dn(COUNT - 1 - i) for i in range(COUNT)])

    def test_a_rule_by_name(self):
        """SOGo: critical, cn by caseIgnoreOrderingMatch, with a size limit; the order is the list's own."""
        sogo = ber.control(SORT, True, sort_keys("cn:2.5.13.3"))
        for base, what in ((ROOT, ber.tlv(0x87, b"cn")), (PEOPLE, ber.tlv(0x87, b"cn")),
                           ("ou=S1," + ROOT, both(PERSON, ODD))):
            self.c.send(ber.search(77, base, 2, what, ["1.1"], 1000, sogo))
            names = []
            while (a := self.c.answer()).code is None:
                names.append(ber.entry(a.body)[0])
            self.assertEqual((a.code, names[-1000:]), (4, names))
            self.assertEqual([n for n in names if n.startswith("cn=Person")],
                             [dn(i) for i in range(len(names))][:len([n for n in names if n.startswith("cn=Person")])])
            self.assertEqual(len(names), 1000)

    def test_a_base_below_that_of_the_view(self):
        """Along the order of all, one level or whole subtree, and nothing of another place."""
        wanted = [dn(i) for i in range(COUNT)]
        for scope in (1, 2, 3):
            a, found = self.c.ask(PEOPLE, both(MAIL, ODD), ber.control(SORT, True, sort_keys("-cn")), scope=scope)
            self.assertEqual((a.code, [d for d, _ in found]), (0, wanted[::-1]))
        self.assertEqual(self.c.pages(PEOPLE, MAIL, ["cn"], 7000), wanted)
        a, found = self.c.ask("ou=S1," + ROOT, both(MAIL, ODD), ber.control(SORT, True, sort_keys("cn")), scope=1)
        self.assertEqual((a.code, found), (0, []))

    def test_the_limit(self):
        """100,000 are sorted by any rule; one more is refused, or answered as found when that is not critical."""
        for rule in ("mail:2.5.13.6", "cn:2.5.13.6", "-cn:caseExactOrderingMatch"):
            keys = ber.control(SORT, True, sort_keys(rule))
            low = ber.tlv(0xa5, ber.octets("cn"), ber.octets(name(COUNT - 100000)))
            a, found = self.c.ask(PEOPLE, both(low, PERSON), keys, attributes=["1.1"])
            self.assertEqual((a.code, len(found)), (0, 100000))
            low = ber.tlv(0xa5, ber.octets("cn"), ber.octets(name(COUNT - 100001)))
            a, found = self.c.ask(PEOPLE, both(low, PERSON), keys, attributes=["1.1"])
            self.assertEqual((a.code, len(found)), (11, 0))
            a, found = self.c.ask(PEOPLE, both(low, PERSON), ber.control(SORT, False, sort_keys(rule)),
                                  attributes=["1.1"])
            self.assertEqual((a.code, len(found)), (0, 100001))

    def test_a_move_of_all_of_them(self):
        """Nobody comes or goes, so the lists stay as they are, at every moment."""
        admin = Session(ADMIN, PASSWORD, SITE.ldap)
        self.addCleanup(admin.__exit__)
        there = "ou=Elsewhere,ou=S1," + ROOT
        admin.send(ber.add(8, there, {"objectClass": ["organizationalUnit"], "ou": ["Elsewhere"]}))
        self.assertEqual(admin.result(8).code, 0)
        for old, superior in ((PEOPLE, there), (PEOPLE.split(",")[0] + "," + there, "ou=S1," + ROOT)):
            admin.send(ber.moddn(9, old, "cn=Recipients", superior=superior))
            self.assertEqual(admin.result(9).code, 0)
            self.assertEqual(self.c.window(ROOT, PERSON, ["cn"], 0, 0, offset=50000),
                             (0, [f"cn={name(49999)},cn=Recipients,{superior}"], (50000, COUNT, 0)))
        admin.send(ber.delete(10, there))
        self.assertEqual(admin.result(10).code, 0)

    def test_what_no_view_has(self):
        """A clear refusal; few entries are sorted as ever."""
        a, found = self.c.ask(ROOT, both(PERSON, ODD), ber.control(SORT, True, sort_keys("mail")))
        self.assertEqual((a.code, found), (11, []))
        self.assertIn(b"define a view", a.text)
        code, _, (_, _, result) = self.c.window(ROOT, both(PERSON, ODD), ["cn"], 0, 1, offset=1)
        self.assertEqual((code, result), (11, 11))
        found = self.c.sorted(ROOT, ber.equal("l", "Oslo"), ["l", "cn"])[0]
        self.assertEqual(found, sorted(found))
        self.assertLessEqual({dn(i) for i in range(0, COUNT, 1000)}, set(found))

    def test_built_while_killed_and_written_to(self):
        SITE.add(f"dn: {LISTS}\nobjectClass: container\n\ndn: cn=Oslo,{LISTS}\nobjectClass: addressBookView\n"
                 "viewFilter: (l=Oslo)\nviewSort: cn\n")
        want = [dn(i) for i in range(0, COUNT, 1000)]
        admin = Session(ADMIN, PASSWORD, SITE.ldap)
        self.addCleanup(admin.__exit__)
        for n, i in enumerate((5, 100003 % COUNT, 70001)):
            admin.send(ber.modify(10 + n, dn(i), [(2, "l", ["Oslo"])]))
            self.assertEqual(admin.result(10 + n).code, 0)
            want.append(dn(i))
        want.sort()
        self.assertEqual([d for d, _ in self.c.ask(f"cn=Oslo,{LISTS}", ber.PRESENT)[1]], want)  # built or not
        state = SITE.search(f"cn=Oslo,{LISTS}", "(objectClass=*)", "viewState", scope="base")
        self.assertRegex(state, "viewState: (building [0-9]+%|ready)")
        SITE.stop("dird", signal.SIGKILL)
        SITE.start("dird")
        wait_for("the view", lambda: f"viewEntries: {len(want)}\n" in SITE.search(
            f"cn=Oslo,{LISTS}", "(objectClass=*)", "viewEntries", scope="base"), timeout=120)
        c = Session(address=SITE.ldap)
        self.addCleanup(c.__exit__)
        self.assertEqual(c.window(f"cn=Oslo,{LISTS}", ber.PRESENT, ["cn"], 0, 4, offset=50),
                         (0, want[49:54], (50, len(want), 0)))
        run("dirctl", "check", "--config", SITE.path("dird.conf"), timeout=120)


if __name__ == "__main__":
    tap.main()
