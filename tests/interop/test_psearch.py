#!/usr/bin/python3
# tests/run: timeout=180
"""Persistent search with entry change notification (draft-ietf-ldapext-psearch-03)."""
import os
import sys
import unittest

import ldap
import ldap.controls.psearch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from waypost import wait_for  # noqa: E402
import ber  # noqa: E402
from ber import Raw, integer, octets, tlv  # noqa: E402
from dird_site import DirdSite  # noqa: E402

PSEARCH, NOTE = "2.16.840.1.113730.3.4.3", "2.16.840.1.113730.3.4.7"
MANAGE = ber.control("2.16.840.1.113730.3.4.2", True)
TREE_DELETE = ber.control("1.2.840.113556.1.4.805", True)
ADD, DELETE, MODIFY, MODDN = 1, 2, 4, 8
ROOT, BASE = "o=Example", "ou=p,o=Example"
SITE = None


def boolean(value):
    return tlv(0x01, b"\xff" if value else b"\0")


def psearch(types=15, changes_only=True, notes=True):
    return ber.control(PSEARCH, True, tlv(0x30, integer(types), boolean(changes_only), boolean(notes)))


def person(name, **more):
    return dict({"objectClass": ["inetOrgPerson"], "cn": [name], "sn": [name]}, **more)


def unit(name):
    return {"objectClass": ["organizationalUnit"], "ou": [name]}


def setUpModule():
    global SITE
    SITE = DirdSite()
    SITE.start()
    SITE.add_root()


def tearDownModule():
    SITE.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.writer, self.watcher = SITE.admin(), SITE.admin()
        self.addCleanup(self.writer.__exit__)
        self.addCleanup(self.watcher.__exit__)
        self.n = 100
        for dn, values in ((BASE, unit("p")), ("cn=Ann," + BASE, person("Ann")),
                           ("ou=below," + BASE, unit("below")), ("ou=other,o=Example", unit("other"))):
            self.do(ber.add, dn, values)

    def tearDown(self):
        for dn in BASE, "ou=other,o=Example":
            self.n += 1
            self.writer.send(ber.delete(self.n, dn, TREE_DELETE))
            self.assertIn(self.writer.result(self.n).code, (0, 32))

    def do(self, make, *args, **named):
        self.n += 1
        self.writer.send(make(self.n, *args, **named))
        a = self.writer.result(self.n)
        self.assertEqual(a.code, 0, a.text)

    def watch(self, base=BASE, scope=2, what=ber.PRESENT, control=None, attributes=("sn",), *more):
        """Begin; what was there, which is empty with changesOnly."""
        self.watcher.send(ber.search(7, base, scope, what, attributes, 0,
                                     control or psearch(), *more))
        # a search behind it is answered when the persistent one has begun
        self.watcher.send(ber.search(8, ROOT, 0, ber.PRESENT, ["1.1"], 0))
        seen = []
        while True:
            a = self.watcher.answer()
            if a.id == 8 and a.code is not None:
                return seen
            if a.id == 7:
                self.assertIsNone(a.code, a.text if a.code is not None else "")
                seen.append(ber.entry(a.body)[0])

    def told(self):
        """The next notification: (type, first RDN value, attributes)"""
        number, dn, attributes, _ = self.notice()
        return number, dn.split(",")[0].split("=")[1], attributes

    def notice(self):
        """The next notification: (type, DN, attributes, previousDN)"""
        a = self.watcher.answer()
        self.assertEqual((a.id, a.op), (7, 0x64), a.code and a.text)
        dn, attributes = ber.entry(a.body)
        note = a.controls.get(NOTE)
        number = previous = None
        if note is not None:
            (tag, value), *rest = ber.elements(ber.split(note)[1])
            self.assertEqual(tag, 0x0a)
            number = value[0]
            self.assertIn([t for t, _ in rest], ([], [0x04]))
            previous = rest[0][1].decode() if rest else None
        return number, dn, attributes, previous

    def mark(self, name="mark"):
        """An entry that ends a list of notifications."""
        self.do(ber.add, f"cn={name},{BASE}", person(name))

    def until_mark(self):
        out = []
        while True:
            number, name, _ = self.told()
            if name == "mark":
                return out
            out.append((number, name))


class Changes(Case):
    def test_kinds(self):
        self.assertEqual(self.watch(), [])
        self.do(ber.add, f"cn=Bob,{BASE}", person("Bob"))
        self.assertEqual(self.told(), (ADD, "Bob", {"sn": [b"Bob"]}))
        self.do(ber.modify, f"cn=Bob,{BASE}", [(2, "sn", ["Other"])])
        self.assertEqual(self.told(), (MODIFY, "Bob", {"sn": [b"Other"]}))
        self.do(ber.moddn, f"cn=Bob,{BASE}", "cn=Rob")
        self.assertEqual(self.told(), (MODDN, "Rob", {"sn": [b"Other"]}))
        self.do(ber.delete, f"cn=Rob,{BASE}")
        self.assertEqual(self.told(), (DELETE, "Rob", {}))

    def test_only_what_is_asked_for(self):
        for types, expected in ((ADD, [(ADD, "Bob")]), (DELETE, [(DELETE, "Rob")]),
                                (MODIFY, [(MODIFY, "Bob")]), (MODDN, [(MODDN, "Rob")]),
                                (ADD | DELETE, [(ADD, "Bob"), (DELETE, "Rob")])):
            self.watch(control=psearch(types | ADD))
            self.do(ber.add, f"cn=Bob,{BASE}", person("Bob"))
            seen = [self.told()[:2]]
            self.do(ber.modify, f"cn=Bob,{BASE}", [(2, "sn", ["Other"])])
            if types & MODIFY:
                seen.append(self.told()[:2])
            self.do(ber.moddn, f"cn=Bob,{BASE}", "cn=Rob")
            if types & MODDN:
                seen.append(self.told()[:2])
            self.do(ber.delete, f"cn=Rob,{BASE}")
            if types & DELETE:
                seen.append(self.told()[:2])
            self.mark()
            self.assertEqual(self.until_mark(), [])
            self.assertEqual([s for s in seen if s[0] & types], expected)
            self.do(ber.delete, f"cn=mark,{BASE}")
            self.watcher.send(ber.message(9, tlv(0x50, b"\x07")))

    def test_without_notes(self):
        self.watch(control=psearch(notes=False))
        self.mark("Bob")
        self.assertEqual(self.told(), (None, "Bob", {"sn": [b"Bob"]}))

    def test_what_was_there_first(self):
        names = self.watch(control=psearch(changes_only=False))
        self.assertEqual(len(names), 3)
        self.mark("Bob")
        self.assertEqual(self.told()[:2], (ADD, "Bob"))

    def test_filter_and_scope(self):
        self.watch(scope=1, what=ber.equal("sn", "Wanted"))
        self.do(ber.add, f"cn=a,{BASE}", person("a"))
        self.do(ber.add, f"cn=b,ou=below,{BASE}", person("b", sn=["Wanted"]))
        self.do(ber.add, "cn=c,ou=other,o=Example", person("c", sn=["Wanted"]))
        self.do(ber.delete, "cn=c,ou=other,o=Example")
        self.do(ber.delete, f"cn=b,ou=below,{BASE}")
        self.do(ber.modify, f"cn=a,{BASE}", [(2, "sn", ["Wanted"])])
        self.assertEqual(self.told()[:2], (MODIFY, "a"))
        self.do(ber.modify, f"cn=a,{BASE}", [(2, "sn", ["Else"])])
        self.do(ber.add, f"cn=mark,{BASE}", person("mark", sn=["Wanted"]))
        self.assertEqual(self.until_mark(), [])

    def test_moved_in(self):
        self.do(ber.add, "cn=c,ou=other,o=Example", person("c"))
        self.watch()
        self.do(ber.moddn, "cn=c,ou=other,o=Example", "cn=c", superior=BASE)
        self.assertEqual(self.told()[:2], (MODDN, "c"))
        self.do(ber.moddn, f"cn=c,{BASE}", "cn=c", superior="ou=other,o=Example")
        self.mark()
        self.assertEqual(self.until_mark(), [])

    def test_previous_name(self):
        """§3: previousDN comes with modDN, and with nothing else."""
        self.watch()
        self.do(ber.add, f"cn=Bob,{BASE}", person("Bob"))
        self.assertEqual(self.notice()[3], None)
        self.do(ber.moddn, f"cn=Bob,{BASE}", "cn=Rob", superior=f"ou=below,{BASE}")
        self.assertEqual(self.notice(), (MODDN, f"cn=Rob,ou=below,{BASE}", {"sn": [b"Bob"]},
                                         f"cn=Bob,{BASE}"))
        self.do(ber.modify, f"cn=Rob,ou=below,{BASE}", [(2, "sn", ["Other"])])
        self.assertEqual(self.notice()[::3], (MODIFY, None))
        self.do(ber.moddn, f"ou=below,{BASE}", "ou=under")
        self.assertEqual(self.notice()[::3], (MODDN, f"ou=below,{BASE}"))
        self.do(ber.delete, f"cn=Rob,ou=under,{BASE}")
        self.assertEqual(self.notice(), (DELETE, f"cn=Rob,ou=under,{BASE}", {}, None))

    def test_previous_names_of_many(self):
        """Renamed by one transaction's neighbours, twice each: the name that was told."""
        for i in range(300):
            self.do(ber.add, f"cn=m{i},{BASE}", person(f"m{i}"))
        self.watch()
        self.writer.send(*(ber.moddn(1000 + i, f"cn=m{i},{BASE}", f"cn=n{i}") for i in range(300)),
                         *(ber.moddn(2000 + i, f"cn=n{i},{BASE}", f"cn=o{i}") for i in range(300)))
        for _ in range(600):
            self.assertEqual(self.writer.answer().code, 0)
        self.mark()
        seen, names = {}, {f"m{i}": f"cn=m{i},{BASE}" for i in range(300)}
        while True:
            number, dn, _, previous = self.notice()
            if dn.startswith("cn=mark"):
                break
            self.assertEqual(number, MODDN)
            seen[previous] = dn
        for i in range(300):
            now = seen[names[f"m{i}"]]
            self.assertEqual(seen.get(now, now), f"cn=o{i},{BASE}")

    def test_previous_name_without_notes(self):
        self.watch(control=psearch(notes=False))
        self.do(ber.moddn, f"cn=Ann,{BASE}", "cn=Rob")
        self.assertEqual(self.notice(), (None, f"cn=Rob,{BASE}", {"sn": [b"Ann"]}, None))

    def test_special_entries(self):
        referral = {"objectClass": ["referral", "extensibleObject"], "ou": ["away"],
                    "ref": ["ldap://b.example.com/"]}
        self.watch()
        self.do(ber.add, f"ou=away,{BASE}", referral, MANAGE)
        self.mark()
        self.assertEqual(self.until_mark(), [])
        self.do(ber.delete, f"cn=mark,{BASE}")
        self.assertEqual(self.told()[:2], (DELETE, "mark"))
        with SITE.admin() as c:
            self.watcher = c
            self.watch(BASE, 2, ber.PRESENT, None, ("1.1",), MANAGE)
            self.do(ber.modify, f"ou=away,{BASE}", [(2, "description", ["x"])], MANAGE)
            self.assertEqual(self.told()[:2], (MODIFY, "away"))

    def test_many_at_once(self):
        """More than one slice; each is told once."""
        self.watch()
        self.writer.send(*(ber.add(1000 + i, f"cn=m{i},{BASE}", person(f"m{i}")) for i in range(1500)))
        for i in range(1500):
            self.assertEqual(self.writer.answer().code, 0)
        names = [self.told()[:2] for _ in range(1500)]
        self.assertEqual(sorted(names), sorted((ADD, f"m{i}") for i in range(1500)))

    def test_a_client_that_does_not_read_for_a_while(self):
        self.watch(attributes=())
        big = "x" * 20000
        for i in range(150):
            self.do(ber.add, f"cn=m{i},{BASE}", person(f"m{i}", description=[big]))
        self.assertEqual([self.told()[:2] for _ in range(150)], [(ADD, f"m{i}") for i in range(150)])

    def test_python_ldap(self):
        c = ldap.initialize(SITE.ldapi)
        c.sasl_external_bind_s()
        control = ldap.controls.psearch.PersistentSearchControl(changesOnly=True, returnECs=True)
        number = c.search_ext(BASE, ldap.SCOPE_SUBTREE, "(objectClass=*)", ["sn"],
                              serverctrls=[control])
        c.whoami_s()

        def told():
            _, [(dn, _, controls)], _, _, _, _ = c.result4(number, all=0, timeout=20, add_ctrls=1)
            return [(dn, x.changeType, x.previousDN) for x in controls]

        self.mark("Bob")
        self.assertEqual(told(), [(f"cn=Bob,{BASE}", ADD, None)])
        self.do(ber.moddn, f"cn=Bob,{BASE}", "cn=Rob")
        self.assertEqual(told(), [(f"cn=Rob,{BASE}", MODDN, f"cn=Bob,{BASE}")])
        c.unbind_s()


HIDDEN = "hideFromAddressLists"


class Hidden(Case):
    """S12: hidden from a reader is gone for him, and shown is new."""

    def setUp(self):
        super().setUp()
        self.do(ber.add, "cn=Eve,ou=other,o=Example", person("Eve", userPassword=["hunter2"]))
        self.do(ber.modify, "ou=below," + BASE, [(0, "objectClass", ["mailRecipient"])])
        for i in range(5):
            self.do(ber.add, f"cn=m{i},ou=below,{BASE}", self.recipient(f"m{i}"))
        self.reader = Raw(SITE.path("ldapi"))
        self.addCleanup(self.reader.__exit__)
        self.reader.send(ber.bind(1, "cn=Eve,ou=other,o=Example", "hunter2"))
        self.assertEqual(self.reader.result(1).code, 0)
        self.admin_watcher, self.watcher = self.watcher, self.reader

    def watch(self, base=BASE, control=None, what=ber.PRESENT, attributes=("sn", "ou")):
        return super().watch(base, 2, what, control, attributes)

    @staticmethod
    def recipient(name, **more):
        return dict(person(name, **more), objectClass=["inetOrgPerson", "mailRecipient"])

    def hide(self, dn, yes=True):
        self.do(ber.modify, dn, [(2, HIDDEN, ["TRUE"] if yes else [])])

    def notices(self):
        """Up to the mark, without order."""
        self.mark()
        out = []
        while True:
            number, dn, attributes, previous = self.notice()
            if dn.startswith("cn=mark,"):
                self.do(ber.delete, f"cn=mark,{BASE}")
                self.assertEqual(self.notice()[:2], (DELETE, f"cn=mark,{BASE}"))
                return sorted(out)
            if number is not None:  # what was there when the search began
                self.assertEqual(bool(attributes), number != DELETE)
                out.append((number, dn, previous))

    def test_one_entry(self):
        dn = f"cn=m1,ou=below,{BASE}"
        self.watch(control=psearch(changes_only=False))
        self.hide(dn)
        self.assertEqual(self.notices(), [(DELETE, dn, None)])
        self.do(ber.modify, dn, [(2, "sn", ["Secret"])])
        self.do(ber.moddn, dn, "cn=secret")
        self.assertEqual(self.notices(), [])
        self.hide(f"cn=secret,ou=below,{BASE}", False)
        self.assertEqual(self.notices(), [(ADD, f"cn=secret,ou=below,{BASE}", None)])
        self.do(ber.delete, f"cn=secret,ou=below,{BASE}")
        self.assertEqual(self.notices(), [(DELETE, f"cn=secret,ou=below,{BASE}", None)])

    def test_what_lies_below(self):
        names = sorted((DELETE, dn, None) for dn in
                       [f"cn=m{i},ou=below,{BASE}" for i in range(5)] + [f"ou=below,{BASE}"])
        self.watch(control=psearch(changes_only=False))
        self.hide(f"ou=below,{BASE}")
        self.assertEqual(self.notices(), names)
        self.do(ber.add, f"cn=new,ou=below,{BASE}", person("new"))
        self.do(ber.delete, f"cn=m0,ou=below,{BASE}")
        self.assertEqual(self.notices(), [])
        self.hide(f"ou=below,{BASE}", False)
        self.assertEqual(self.notices(), sorted((ADD, dn, None) for dn in
                         [f"cn=m{i},ou=below,{BASE}" for i in range(1, 5)] +
                         [f"ou=below,{BASE}", f"cn=new,ou=below,{BASE}"]))

    def test_moved_below_a_hidden_entry(self):
        """Gone under the names that the reader knew, and come from nowhere."""
        names = [f"cn=m{i},ou=below,{BASE}" for i in range(5)] + [f"ou=below,{BASE}"]
        self.do(ber.add, "ou=attic,o=Example", dict(unit("attic"), **{
            "objectClass": ["organizationalUnit", "mailRecipient"], HIDDEN: ["TRUE"]}))
        self.addCleanup(self.do, ber.delete, "ou=attic,o=Example", TREE_DELETE)
        self.watch(ROOT, control=psearch(changes_only=False))
        self.do(ber.moddn, f"ou=below,{BASE}", "ou=x", superior="ou=attic,o=Example")
        self.assertEqual(self.notices(), sorted((DELETE, dn, None) for dn in names))
        self.do(ber.moddn, "cn=m0,ou=x,ou=attic,o=Example", "cn=m9")
        self.do(ber.moddn, "ou=x,ou=attic,o=Example", "ou=back", superior=BASE)
        self.assertEqual(self.notices(), sorted((ADD, dn, None) for dn in
                         [f"cn=m{i},ou=back,{BASE}" for i in (9, 1, 2, 3, 4)] + [f"ou=back,{BASE}"]))

    def test_only_deletions(self):
        dn = f"cn=m1,ou=below,{BASE}"
        self.watch(control=psearch(types=DELETE | ADD, changes_only=False))
        self.hide(dn)
        self.assertEqual(self.notices(), [(DELETE, dn, None)])
        self.watcher.send(ber.message(9, tlv(0x50, b"\x07")))
        self.watch(control=psearch(types=ADD, changes_only=False))
        self.hide(f"cn=m2,ou=below,{BASE}")
        self.do(ber.add, f"cn=Bob,{BASE}", person("Bob"))
        self.assertEqual(self.told()[:2], (ADD, "Bob"))

    def test_never_sent(self):
        """With changesOnly he is told of the end of what he was sent, as of other deletions."""
        self.watch(control=psearch(changes_only=True))
        self.hide(f"cn=m1,ou=below,{BASE}")
        self.assertEqual(self.notices(), [])
        self.do(ber.modify, f"cn=m2,ou=below,{BASE}", [(2, "sn", ["x"])])
        self.hide(f"cn=m2,ou=below,{BASE}")
        self.assertEqual(self.notices(), [(DELETE, f"cn=m2,ou=below,{BASE}", None),
                                          (MODIFY, f"cn=m2,ou=below,{BASE}", None)][-2:])

    def test_filter_and_scope(self):
        """What the client was never shown for its filter is not told gone."""
        self.do(ber.modify, f"cn=m1,ou=below,{BASE}", [(2, "sn", ["Wanted"])])
        self.watch(control=psearch(changes_only=False), what=ber.equal("sn", "Wanted"))
        self.hide(f"ou=below,{BASE}")
        self.do(ber.add, f"cn=Bob,{BASE}", person("Bob", sn=["Wanted"]))
        self.assertEqual([self.notice()[:2] for _ in range(2)],
                         [(DELETE, f"cn=m1,ou=below,{BASE}"), (ADD, f"cn=Bob,{BASE}")])

    def test_the_base_is_hidden(self):
        self.watch(f"ou=below,{BASE}", control=psearch(changes_only=False))
        self.hide(f"ou=below,{BASE}")
        gone = {self.notice()[:2] for _ in range(6)}
        self.assertEqual(gone, {(DELETE, f"ou=below,{BASE}")} |
                         {(DELETE, f"cn=m{i},ou=below,{BASE}") for i in range(5)})
        self.assertEqual(self.watcher.result(7).code, 32)

    def test_the_administrator_sees_changes(self):
        self.watcher = self.admin_watcher
        self.watch()
        self.hide(f"cn=m1,ou=below,{BASE}")
        self.assertEqual(self.notice()[:2], (MODIFY, f"cn=m1,ou=below,{BASE}"))
        self.hide(f"ou=below,{BASE}")
        self.assertEqual(self.notice()[:2], (MODIFY, f"ou=below,{BASE}"))
        self.do(ber.delete, f"cn=m1,ou=below,{BASE}")
        self.assertEqual(self.notice()[:2], (DELETE, f"cn=m1,ou=below,{BASE}"))
        self.do(ber.delete, f"cn=m2,ou=below,{BASE}")
        self.assertEqual(self.notice()[:2], (DELETE, f"cn=m2,ou=below,{BASE}"))

    def test_many(self):
        """More than one slice, to a client that reads late."""
        big = "x" * 3000
        for i in range(600):
            self.do(ber.add, f"cn=n{i},ou=below,{BASE}", self.recipient(f"n{i}", description=[big]))
        seen = self.watch(control=psearch(changes_only=False), attributes=("description", "ou", "sn"))
        for _ in range(608 - len(seen)):
            self.assertIsNone(self.notice()[0])
        for yes, kind in ((True, DELETE), (False, ADD)):
            self.hide(f"ou=below,{BASE}", yes)
            self.assertEqual(len({dn for k, dn, _ in self.notices() if k == kind}), 606)


class End(Case):
    def test_abandon_and_cancel(self):
        self.watch()
        self.watcher.send(ber.extended(9, "1.3.6.1.1.8", tlv(0x30, integer(7))))
        self.assertEqual([self.watcher.result(n).code for n in (7, 9)], [118, 0])
        self.watch()
        self.watcher.send(ber.message(9, tlv(0x50, b"\x07")))
        self.mark("Bob")
        self.watcher.send(ber.search(10, ROOT, 0, ber.PRESENT, ["1.1"], 0))
        self.assertEqual(self.watcher.answer().id, 10)

    def test_the_base_goes(self):
        """Its own deletion is told, then the search ends."""
        self.watch()
        self.do(ber.delete, BASE, TREE_DELETE)
        self.assertEqual({self.told()[:2] for _ in range(3)},
                         {(DELETE, "Ann"), (DELETE, "below"), (DELETE, "p")})
        self.assertEqual(self.watcher.result(7).code, 32)

    def test_a_synchronization_ends_with_its_base(self):
        """RFC 4533 leaves it to the server; a provider that stays silent would hide the end."""
        sync = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True, tlv(0x30, integer(3, 0x0a)))
        self.watcher.send(ber.search(7, f"ou=below,{BASE}", 2, ber.PRESENT, ["sn"], 0, sync))
        self.assertEqual(self.watcher.answer().op, 0x64)
        self.assertEqual(self.watcher.answer().op, 0x79)
        self.do(ber.delete, f"ou=below,{BASE}")
        self.assertEqual(self.watcher.result(7).code, 32)

    def test_a_user_who_is_deleted_is_told_no_more(self):
        self.do(ber.add, "cn=Eve,ou=other,o=Example", person("Eve", userPassword=["hunter2"]))
        with Raw(SITE.path("ldapi")) as c:
            c.send(ber.bind(1, "cn=Eve,ou=other,o=Example", "hunter2"))
            self.assertEqual(c.result(1).code, 0)
            self.watcher = c
            self.watch()
            self.mark("Bob")
            self.assertEqual(self.told()[:2], (ADD, "Bob"))
            self.do(ber.delete, "cn=Eve,ou=other,o=Example")
            self.assertEqual(c.result(7).code, 50)

    def test_what_a_user_is_told_of_deletions(self):
        """S12: the end of an entry that he could not see would give it away."""
        self.do(ber.add, "cn=Eve,ou=other,o=Example", person("Eve", userPassword=["hunter2"]))
        ghost = dict(person("Ghost"), objectClass=["inetOrgPerson", "mailRecipient"],
                     hideFromAddressLists=["TRUE"])
        self.do(ber.add, "cn=Ghost," + BASE, ghost)
        self.do(ber.add, "cn=Bob," + BASE, person("Bob"))
        with Raw(SITE.path("ldapi")) as c:
            c.send(ber.bind(1, "cn=Eve,ou=other,o=Example", "hunter2"))
            self.assertEqual(c.result(1).code, 0)
            self.watcher = c
            self.watch(control=psearch(changes_only=False))
            self.do(ber.delete, "cn=Ghost," + BASE)
            self.do(ber.delete, "cn=Bob," + BASE)
            self.mark("Cid")
            self.do(ber.delete, "cn=Cid," + BASE)
            self.assertEqual([self.told()[:2] for _ in range(3)],
                             [(DELETE, "Bob"), (ADD, "Cid"), (DELETE, "Cid")])

    def test_a_bind_ends_it(self):
        self.watch()
        self.watcher.send(ber.bind_external(9))
        self.assertEqual(self.watcher.answer().id, 9)

    def test_connections_that_end(self):
        """Nothing is left of searches whose clients went away."""
        for _ in range(520):
            with SITE.admin() as c:
                self.watcher = c
                c.send(ber.search(7, BASE, 2, ber.PRESENT, ["1.1"], 0, psearch()))
                c.send(ber.search(8, ROOT, 0, ber.PRESENT, ["1.1"], 0))
                self.assertNotEqual(c.result(8).code, 51)
        self.mark("Bob")

    def test_500_and_one_more(self):
        def one():
            c = SITE.admin()
            self.addCleanup(c.__exit__)
            c.send(*(ber.search(10 + i, BASE, 2, ber.PRESENT, ["1.1"], 0, psearch())
                     for i in range(100)), ber.search(9, ROOT, 0, ber.PRESENT, ["1.1"], 0))
            a = c.answer()
            while not (a.id == 9 and a.code is not None):
                if a.code is not None:
                    return a.code
                a = c.answer()
            return a.code

        wait_for("earlier searches to be gone", lambda: self.is_free())
        self.assertEqual([one() for _ in range(6)], [0, 0, 0, 0, 0, 51])

    def is_free(self):
        with SITE.admin() as c:
            c.send(ber.search(7, BASE, 2, ber.PRESENT, ["1.1"], 0, psearch()),
                   ber.search(9, ROOT, 0, ber.PRESENT, ["1.1"], 0))
            return c.result(9).code == 0


class Refused(Case):
    def code(self, *controls, base=BASE, client=None):
        c = client or self.watcher
        c.send(ber.search(7, base, 2, ber.PRESENT, ["1.1"], 0, *controls))
        return c.result(7).code

    def test_combinations(self):
        paged = ber.control("1.2.840.113556.1.4.319", False, tlv(0x30, integer(10), octets("")))
        sort = ber.control("1.2.840.113556.1.4.473", False, tlv(0x30, tlv(0x30, octets("cn"))))
        sync = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True, tlv(0x30, integer(1, 0x0a)))
        for other in paged, sort, sync, ber.control("1.3.6.1.1.22", True):
            self.assertEqual(self.code(psearch(), other), 53)

    def test_malformed(self):
        for value in (None, b"", tlv(0x30), tlv(0x30, integer(0), boolean(1), boolean(1)),
                      tlv(0x30, integer(16), boolean(1), boolean(1)), tlv(0x30, integer(1), boolean(1)),
                      tlv(0x30, integer(1), boolean(1), boolean(1), boolean(1))):
            self.assertEqual(self.code(ber.control(PSEARCH, True, value)), 2, value)

    def test_anonymous_and_made_up_entries(self):
        with Raw(SITE.path("ldapi")) as c:
            self.assertEqual(self.code(psearch(), client=c), 50)
        self.assertEqual(self.code(psearch(), base="cn=monitor"), 53)
        self.assertEqual(self.code(psearch(), base="ou=nowhere,o=Example"), 32)

    def test_advertised(self):
        self.watcher.send(ber.search(7, "", 0, ber.PRESENT, ["supportedControl"]))
        _, attributes = ber.entry(self.watcher.answer().body)
        self.assertIn(PSEARCH.encode(), attributes["supportedControl"])


if __name__ == "__main__":
    tap.main()
