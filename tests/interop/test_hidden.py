#!/usr/bin/python3
# tests/run: build=san timeout=300
"""Hidden recipients and memberships (S12): two servers, one with hidden entries, one that never had
them, give the same bytes to everything that an ordinary user or an anonymous client asks."""
import itertools
import os
import shutil
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
import ber  # noqa: E402
from dird_site import ADMIN, PASSWORD  # noqa: E402
from hidden import (ANN, AWAY, BASE, BELOW, BOB, CELLAR, CROWD, GHOST, HIDDEN, LAB, MANY, ONLY, QUIET,  # noqa: E402
                    SECRET, VIEWS, WRAITH, YES, Client, flt, group, make, person, sort, vlv, with_control)

WITH = WITHOUT = None


def setUpModule():
    global WITH, WITHOUT
    WITH, WITHOUT = make(True), make(False)


def tearDownModule():
    for site in (WITH, WITHOUT):
        if site is not None:
            site.close()


FILTERS = [
    "(objectClass=*)", "(cn=*)", "(cn=ghost)", "(cn=gh*)", "(cn=*hos*)", "(cn=*st)", "(cn>=g)", "(cn<=h)",
    "(cn~=gost)", "(anr=ghost)", "(anr=secret)", "(mail=ghost@example.com)", "(!(cn=ghost))",
    "(|(cn=ghost)(cn=ann))", "(&(objectClass=inetOrgPerson)(!(sn=ann)))", "(hideFromAddressLists=TRUE)",
    "(hideFromAddressLists=*)", "(!(hideFromAddressLists=*))", "(hideDLMembership=TRUE)",
    "(description=a hidden one)", "(ou=cellar)", "(:dn:=cellar)", "(ou:dn:=cellar)",
    "(cn:caseIgnoreAccentsMatch:=ghost)", "(member=*)", "(!(member=*))", "(uniqueMember=*)",
    "(manager=*)", "(secretary=*)", "(!(secretary=*))", "(memberOf=*)", "(!(memberOf=*))",
    "(hasSubordinates=TRUE)", "(hasSubordinates=FALSE)", "(numSubordinates>=1)", "(ref=*)",
    f"(uniqueMember={WRAITH}#'0101'B)", f"(memberOf=cn=Mixed,{LAB})", f"(memberOf={CROWD})",
    "(userPassword=*)", "(!(userPassword=*))", "(userPassword=protected)", "(userPassword>=a)",
    "(userPassword=p*)", "(:octetStringMatch:=protected)", "(userPassword:octetStringMatch:=protected)",
    "(&)", "(|)", "(structuralObjectClass=groupOfNames)", "(objectClass=referral)",
    f"(entryUUID={uuid.uuid5(uuid.NAMESPACE_X500, GHOST)})", "(modifyTimestamp>=20250101000000Z)",
]
FILTERS += [f"({name}={dn})" for name in ("member", "uniqueMember", "manager", "owner", "secretary",
                                           "memberOf", "entryDN")
            for dn in (*HIDDEN, QUIET, ANN, "cn=Nobody,o=Example")]
FILTERS += [f"(:distinguishedNameMatch:={dn})" for dn in (GHOST, WRAITH, ANN)]

COUNTS = ("hasSubordinates", "numSubordinates", "viewEntries", "viewState")
SELECTIONS = [(), ("*", "+"), ("1.1",), ("userPassword", "@person", "name"),
              ("cn", "member", "memberOf", "manager", "numSubordinates"),
              ("hasSubordinates", "owner", "uniqueMember", "secretary", "hideDLMembership", "parentUUID")]
NAMES = [*HIDDEN, f"cn=x,{GHOST}", f"cn=x,cn=y,{BELOW}", BOB, QUIET, ONLY, CROWD, ANN, f"cn=x,{AWAY}", LAB,
         GHOST.upper(), f"cn=Nobody,{LAB}"]


WRITE_CONTROLS = {name: ber.control(oid, True, value) for name, oid, value in (
    ("pre-read", "1.3.6.1.1.13.1", ber.tlv(0x30, ber.octets("*"))),
    ("post-read", "1.3.6.1.1.13.2", ber.tlv(0x30, ber.octets("*"))),
    ("no-op", "1.3.6.1.4.1.4203.1.10.2", None), ("relax", "1.3.6.1.4.1.4203.666.5.12", None),
    ("tree delete", "1.2.840.113556.1.4.805", None), ("permissive", "1.2.840.113556.1.4.1413", None))}


def asserted(dn):
    """Every operation that an assertion goes with."""
    for text in (f"(member={GHOST})", "(userPassword=*)", "(!(manager=*))", f"(memberOf={SECRET})"):
        c = ber.control("1.3.6.1.1.12", True, flt(text))
        for what, make in (
                ("search", lambda n, c: ber.search(n, dn, 0, ber.PRESENT, (), 0, c)),
                ("compare", lambda n, c: ber.compare(n, dn, "cn", "Ghost", c)),
                ("modify", lambda n, c: ber.modify(n, dn, [(2, "description", ["x"])], c)),
                ("delete", lambda n, c: ber.delete(n, dn, c)),
                ("rename", lambda n, c: ber.moddn(n, dn, "cn=new", c)),
                ("add", lambda n, c: ber.add(n, dn, {"objectClass": ["device"], "cn": ["Ghost"]}, c))):
            yield f"{what} {dn} asserted {text}", lambda n, c=c, make=make: make(n, c)


def requests():
    """Every request as a function of the message id."""
    for text in FILTERS:
        yield f"search {text}", lambda n, t=text: ber.search(n, BASE, 2, flt(t), ("*", "+", "memberOf"))
    for scope, attributes in itertools.product((0, 1, 2, 3), SELECTIONS):
        for base in (BASE, LAB, CELLAR, GHOST):
            yield (f"scope {scope} {attributes} {base}",
                   lambda n, b=base, s=scope, a=attributes: ber.search(n, b, s, ber.PRESENT, a))
    for dn in NAMES:
        for scope in (0, 2):
            yield f"read {dn}", lambda n, d=dn, s=scope: ber.search(n, d, s, ber.PRESENT, ("*", "memberOf"))
        manage = ber.control("2.16.840.1.113730.3.4.2", True)
        yield f"manage {dn}", lambda n, d=dn, m=manage: ber.search(n, d, 0, ber.PRESENT, (), 0, m)
        for name, value in (("cn", "Ghost"), ("cn", "x"), ("member", GHOST), ("member", ANN),
                            ("hideFromAddressLists", YES), ("noSuchType", "x"), ("userPassword", "boo"),
                            ("memberOf", SECRET), ("manager", GHOST), ("sn", "\0"), ("member", "no dn")):
            yield f"compare {dn} {name}", lambda n, d=dn, a=name, v=value: ber.compare(n, d, a, v)
        yield f"delete {dn}", lambda n, d=dn: ber.delete(n, d)
        yield f"modify {dn}", lambda n, d=dn: ber.modify(n, d, [(2, "description", ["x"])])
        yield f"rename {dn}", lambda n, d=dn: ber.moddn(n, d, "cn=new")
        yield f"move {dn}", lambda n, d=dn: ber.moddn(n, ANN, "cn=Ann", superior=d)
        yield f"add {dn}", lambda n, d=dn: ber.add(n, d, {"objectClass": ["device"], "cn": ["Ghost"]})
        yield from asserted(dn)
        for what, more in WRITE_CONTROLS.items():
            yield f"modify {dn} {what}", lambda n, d=dn, c=more: ber.modify(n, d, [(2, "title", ["x"])], c)
            yield f"delete {dn} {what}", lambda n, d=dn, c=more: ber.delete(n, d, c)
        copy = ber.control("1.3.6.1.1.22", True)
        yield f"copy {dn}", lambda n, d=dn, c=copy: ber.search(n, d, 2, ber.PRESENT, ("1.1",), 0, c)
        passwd = ber.tlv(0x30, ber.tlv(0x80, dn.encode()), ber.tlv(0x81, b"boo"), ber.tlv(0x82, b"new"))
        yield f"passwd {dn}", lambda n, v=passwd: ber.extended(n, "1.3.6.1.4.1.4203.1.11.1", v)
    for deref, scope in itertools.product((1, 2, 3), (0, 1, 2)):
        for base in (LAB, GHOST, *(f"{x}ou={name},{LAB}" for name in ("gate", "door", "way", "ann")
                                   for x in ("", "cn=Below,"))):
            aliases = ber.tlv(0x63, ber.octets(base), ber.integer(scope, 0x0a), ber.integer(deref, 0x0a),
                              ber.integer(0), ber.integer(0), ber.tlv(0x01, b"\0"), ber.PRESENT,
                              ber.tlv(0x30, ber.octets("1.1")))
            yield f"aliases {deref} {scope} {base}", lambda n, a=aliases: ber.message(n, a)
    for keys in (("cn",), ("-cn",), ("manager",), ("-manager", "cn"), ("member", "cn"), ("owner",),
                 ("secretary", "-cn"), ("uniqueMember",), ("memberOf", "cn"), ("sn", "mail"),
                 ("userPassword", "cn"), ("hideDLMembership", "cn"), ("hideFromAddressLists", "-cn")):
        yield f"sort {keys}", lambda n, k=keys: ber.search(n, BASE, 2, ber.PRESENT, ("1.1",), 0, sort(*k))
        for place in (dict(offset=1), dict(offset=50, count=50), dict(value="cn=ghost,ou=lab,o=Example")):
            yield f"list {keys} {place}", lambda n, k=keys, p=place: ber.search(
                n, BASE, 2, flt("(objectClass=mailRecipient)"), ("1.1",), 0, sort(*k), vlv(2, 3, **p))
    for place in (dict(offset=1), dict(offset=5, count=10), dict(offset=1000, count=1000),
                  dict(value="ghost"), dict(value="zz"), dict(offset=7, count=20), dict(value="s")):
        for text in ("(objectClass=*)", "(cn=*)", "(|(cn=ghost)(cn=ann)(cn=wraith))"):
            yield f"list {place} {text}", lambda n, p=place, t=text: ber.search(
                n, BASE, 2, flt(t), ("1.1",), 0, sort("cn"), vlv(3, 3, **p))
    for name in VIEWS:
        dn = f"cn={name},cn=Address Lists,{BASE}"
        yield f"view {name}", lambda n, d=dn: ber.search(n, d, 0, ber.PRESENT, ("*", "+", *COUNTS))
        for scope, text in itertools.product((1, 2), ("(objectClass=*)", "(cn=g*)", "(cn=ghost)", "(cn=b*)")):
            yield (f"view {name} {scope} {text}", lambda n, d=dn, s=scope, t=text:
                   ber.search(n, d, s, flt(t), ("cn", "manager", "entryDN")))
        for place in (dict(offset=1), dict(offset=3, count=9), dict(offset=200, count=200),
                      dict(value="ghost"), dict(value="bel"), dict(value="zz")):
            yield f"view {name} {place}", lambda n, d=dn, p=place: ber.search(
                n, d, 1, ber.PRESENT, ("1.1",), 0, sort("cn"), vlv(2, 3, **p))
    for limit in range(1, 8):
        for text in ("(|(cn=ghost)(cn=wraith)(cn=ann)(cn=bob))", "(cn=*)", "(objectClass=groupOfNames)"):
            yield f"limit {limit} {text}", lambda n, m=limit, t=text: ber.search(
                n, BASE, 2, flt(t), ("1.1",), m)
    for text in (f"(member={GHOST})", "(member=*)", f"(uniqueMember={ANN})", f"(manager={GHOST})",
                 "(userPassword=*)"):
        values = ber.control("1.2.826.0.1.3344810.2.3", True, ber.tlv(0x30, flt(text)))
        yield f"matched {text}", lambda n, c=values: ber.search(n, BASE, 2, ber.PRESENT, (), 0, c)
    types = ber.tlv(0x63, ber.octets(BASE), ber.integer(2, 0x0a), ber.integer(0, 0x0a), ber.integer(0),
                    ber.integer(0), ber.tlv(0x01, b"\xff"), ber.PRESENT, ber.tlv(0x30))
    yield "types only", lambda n: ber.message(n, types)
    for mode, dn in itertools.product((1, 3), NAMES):
        sync = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True, ber.tlv(0x30, ber.integer(mode, 0x0a)))
        yield f"sync {mode} {dn}", lambda n, d=dn, c=sync: ber.search(n, d, 2, ber.PRESENT, (), 0, c)
    for dn in ("cn=monitor", "cn=Database,cn=monitor"):
        yield f"read {dn}", lambda n, d=dn: ber.search(n, d, 2, ber.PRESENT, ("*", "+"))


class Differential(unittest.TestCase):
    def same(self, dn="", password="", change=lambda message: message):
        one, two = Client(WITH, dn, password), Client(WITHOUT, dn, password)
        asked = 0
        for what, request in requests():
            a, b = (client.ask(lambda n, r=request: change(r(n))) for client in (one, two))
            self.assertEqual(a, b, what)
            asked += len(a)
        self.assertGreater(asked, 5000)

    def test_user(self):
        self.same(ANN, "hunter2")

    def test_anonymous(self):
        self.same()

    def proxied(self, name):
        proxy = ber.control("2.16.840.1.113730.3.4.18", True, name.encode())
        self.same(ADMIN, PASSWORD, lambda message: with_control(message, proxy))

    def test_proxied_user(self):
        self.proxied("dn:" + ANN)

    def test_proxied_anonymous(self):
        self.proxied("")

    def test_users_may_not_act_as_others(self):
        clients = [Client(site, ANN, "hunter2") for site in (WITH, WITHOUT)]
        for dn in (*NAMES, "", "no name"):
            proxy = ber.control("2.16.840.1.113730.3.4.18", True, f"dn:{dn}".encode())
            a, b = (c.ask(lambda n, p=proxy: ber.search(n, BASE, 0, ber.PRESENT, (), 0, p)) for c in clients)
            self.assertEqual(a, b, dn)

    def pages(self, site, size, text, *more):
        client, cookie, out = Client(site, ANN, "hunter2"), b"", []
        while True:
            page = ber.control("1.2.840.113556.1.4.319", True,
                               ber.tlv(0x30, ber.integer(size), ber.octets(cookie)))
            client.n += 1
            client.raw.send(ber.search(client.n, BASE, 2, flt(text), ("cn", "member"), 0, page, *more))
            answers = []
            while not answers or answers[-1].code is None:
                answers.append(client.raw.answer())
            self.assertEqual(answers[-1].code, 0)
            out.append([a.body for a in answers])
            value = answers[-1].controls["1.2.840.113556.1.4.319"]
            cookie = ber.elements(ber.split(value)[1])[1][1]
            if not cookie:
                return out

    def test_pages(self):
        for size, text in itertools.product((1, 2, 3, 7), ("(cn=*)", "(objectClass=groupOfNames)")):
            for more in ((), (sort("cn"),)):
                self.assertEqual(self.pages(WITH, size, text, *more), self.pages(WITHOUT, size, text, *more))


class DifferentialChanges(unittest.TestCase):
    """A persistent search tells the same, whatever happens to hidden entries and values meanwhile."""
    LATER, STILL, LIST, PHANTOM = (
        f"cn={n},{LAB}" for n in ("Later", "Later still", "Later list", "Phantom"))

    def steps(self):
        """(change of both servers as a function of the id and the hidden names in it, change of only one)"""
        hidden = person("Phantom", hideFromAddressLists=[YES], manager=[ANN])
        yield None, lambda n: ber.add(n, self.PHANTOM, hidden)
        yield lambda n, _: ber.add(n, self.LATER, person("Later", manager=[ANN])), None
        yield (lambda n, more: ber.add(n, self.LIST, group("Later list", ANN, *more)),
               lambda n: ber.modify(n, self.PHANTOM, [(2, "title", ["x"])]))
        yield (lambda n, more: ber.modify(n, self.LATER, [(2, "title", ["x"]), (2, "secretary", more)]),
               lambda n: ber.moddn(n, self.PHANTOM, "cn=Phantom", superior=CELLAR))
        yield (lambda n, _: ber.modify(n, self.LIST, [(0, "member", [BOB])]),
               lambda n: ber.moddn(n, f"cn=Phantom,{CELLAR}", "cn=Phantom", superior=LAB))
        yield lambda n, _: ber.moddn(n, self.LATER, "cn=Later still"), lambda n: ber.delete(n, self.PHANTOM)
        yield lambda n, _: ber.modify(n, self.STILL, [(2, "title", [])]), None
        yield lambda n, _: ber.delete(n, self.STILL), None
        yield lambda n, _: ber.delete(n, self.LIST), None

    def change(self, site, hidden, told):
        """All steps; `told` is called between them, since several changes of an entry may be told as one."""
        admin = Client(site, ADMIN, PASSWORD)
        for number, (both, one) in enumerate(self.steps()):
            tick = f"cn=Tick {number},{LAB}"
            for request in ([one] if one and hidden else []) + [
                    lambda n, f=both: f(n, hidden) if f else ber.compare(n, LAB, "ou", "lab"),
                    lambda n, d=tick: ber.add(n, d, {"objectClass": ["inetOrgPerson"], "sn": ["Tick"]})]:
                [(_, body, _)] = admin.ask(request)
                self.assertIn(body[:3], (b"\x0a\x01\x00", b"\x0a\x01\x06"), body)
            self.addCleanup(Client(site, ADMIN, PASSWORD).ask, lambda n, d=tick: ber.delete(n, d))
            told(tick)

    def searches(self):
        """(persistent search, search for what is there when it begins) as functions of the id"""
        attributes = ("cn", "member", "manager", "memberOf", "secretary")
        for (base, scope), text, types, only, notes in itertools.product(
                ((BASE, 2), (LAB, 1), (LAB, 2), (LAB, 3)),
                ("(cn=*)", f"(|(manager={ANN})(sn=tick))", "(|(secretary=*)(title=x)(sn=tick))"),
                (15, 9), (b"\xff", b"\0"), (b"\xff", b"\0")):
            there = flt("(|)") if only == b"\xff" else flt(text)
            value = ber.tlv(0x30, ber.integer(types), ber.tlv(0x01, only), ber.tlv(0x01, notes))
            control = ber.control("2.16.840.1.113730.3.4.3", True, value)
            yield (lambda n, b=base, s=scope, t=text, c=control: ber.search(n, b, s, flt(t), attributes, 0, c),
                   lambda n, b=base, s=scope, t=there: ber.search(n, b, s, t, attributes))

    def begin(self, client, change):
        """{message id: answers}; all searches have begun and told what was there."""
        told = {}
        for n, (watch, there) in enumerate(self.searches(), 100):
            count = len(client.ask(lambda i, t=there: change(t(i)))) - 1
            # a search behind it is answered when the persistent one has begun
            client.raw.send(change(watch(n)), change(ber.search(3, BASE, 0, ber.PRESENT, ("1.1",))))
            told[n], marks = [], 0
            while len(told[n]) < count or marks < 2:
                a = client.raw.answer()
                marks += a.id == 3
                if a.id == n:
                    told[n].append(a)
        return told

    def read(self, client, told, tick):
        """What every search tells up to this entry."""
        left = set(told)
        while left:
            a = client.raw.answer()
            self.assertIsNotNone(a, "closed by the server")
            told[a.id].append(a)
            if a.op != 0x64 or ber.entry(a.body)[0] == tick:
                left.discard(a.id)

    def told(self, site, hidden, dn, password, change):
        client = Client(site, dn, password)
        told = self.begin(client, change)
        self.change(site, hidden, lambda tick: self.read(client, told, tick))
        return {n: [(a.op, a.body, a.rest) for a in answers] for n, answers in told.items()}

    def same(self, dn, password, change=lambda message: message):
        one = self.told(WITH, [GHOST], dn, password, change)
        two = self.told(WITHOUT, [], dn, password, change)
        for n, (watch, _) in enumerate(self.searches(), 100):
            self.assertEqual(one[n], two[n], watch(n))
        self.assertGreater(sum(map(len, one.values())), 500)

    def test_user(self):
        self.same(ANN, "hunter2")

    def test_proxied_user(self):
        proxy = ber.control("2.16.840.1.113730.3.4.18", True, f"dn:{ANN}".encode())
        self.same(ADMIN, PASSWORD, lambda message: with_control(message, proxy))


class Seen(unittest.TestCase):
    """Who sees what is hidden, and that the servers of the differential test do differ."""

    def names(self, dn, password, text, *attributes):
        client = Client(WITH, dn, password)
        got = client.ask(lambda n: ber.search(n, BASE, 2, flt(text), attributes or ("1.1",)))
        return dict(ber.entry(body) for op, body, _ in got if op == 0x64)

    def test_administrator_sees_all(self):
        found = self.names(ADMIN, PASSWORD, "(cn=*)", "member", "memberOf", "uniqueMember")
        self.assertLessEqual({GHOST, WRAITH, SECRET, BELOW, QUIET}, set(found))
        self.assertEqual(len(found[CROWD]["member"]), MANY + 2)
        self.assertEqual(set(found[QUIET]["member"]), {ANN.encode(), BOB.encode()})
        self.assertEqual(set(found[ANN]["memberOf"]), {
            dn.encode() for dn in (f"cn=Mixed,{LAB}", QUIET, SECRET, f"cn=Unique,{LAB}")})
        self.assertEqual(set(found[GHOST]["memberOf"]), {
            dn.encode() for dn in (f"cn=Mixed,{LAB}", ONLY, CROWD, f"cn=Unique,{LAB}")})
        self.assertEqual(set(self.names(ADMIN, PASSWORD, f"(memberOf={SECRET})")), {ANN, BOB})
        self.assertEqual(set(self.names(ADMIN, PASSWORD, f"(memberOf={CROWD})")),
                         {GHOST, BELOW, *(f"cn=P{i:03},{LAB}" for i in range(MANY))})

    def test_user_sees_member_of(self):
        found = self.names(ANN, "hunter2", f"(memberOf=cn=Mixed,{LAB})", "memberOf")
        self.assertEqual(found, {dn: {"memberOf": lists} for dn, lists in (
            (ANN, [f"cn=Mixed,{LAB}".encode(), f"cn=Unique,{LAB}".encode()]),
            (BOB, [f"cn=Mixed,{LAB}".encode()]))})

    def test_a_hidden_person_sees_itself(self):
        found = self.names(GHOST, "boo", "(cn=*)", "member")
        self.assertIn(GHOST, found)
        self.assertNotIn(WRAITH, found)
        self.assertEqual(found[ONLY]["member"], [GHOST.encode()])
        self.assertEqual(len(found[CROWD]["member"]), MANY + 1)
        found = self.names(GHOST, "boo", "(cn=ghost)", "cn", "memberOf")
        self.assertEqual(found[GHOST]["cn"], [b"Ghost"])

    def test_what_is_shown_again_is_seen(self):
        def hide(value):
            admin = Client(WITH, ADMIN, PASSWORD)
            [(_, body, _)] = admin.ask(lambda n: ber.modify(n, WRAITH, [(2, "hideFromAddressLists", [value])]))
            self.assertEqual(body[:3], b"\x0a\x01\x00")
        hide("FALSE")
        self.addCleanup(hide, YES)
        self.assertEqual(set(self.names(ANN, "hunter2", "(cn=wraith)")), {WRAITH})
        self.assertIn("secretary", self.names(ANN, "hunter2", "(cn=bob)", "secretary")[BOB])

    def test_persistent_search(self):
        """Comes, changes and goes; only the person who is not hidden is told of."""
        watch, admin = Client(WITH, ANN, "hunter2"), Client(WITH, ADMIN, PASSWORD)
        value = ber.tlv(0x30, ber.integer(15), ber.tlv(0x01, b"\xff"), ber.tlv(0x01, b"\xff"))
        watch.raw.send(ber.search(2, BASE, 2, ber.PRESENT, ("cn", "manager"), 0,
                                  ber.control("2.16.840.1.113730.3.4.3", True, value)))
        told, names = [], [f"cn=Later {n},{LAB}" for n in ("hidden", "seen")]
        for dn in names:
            name = dn[3:].split(",")[0]
            more = {"hideFromAddressLists": [YES]} if dn == names[0] else {"manager": [GHOST, ANN]}
            for request in (lambda n, d=dn, v=person(name, **more): ber.add(n, d, v),
                            lambda n, d=dn: ber.modify(n, d, [(2, "title", ["x"])]),
                            lambda n, d=dn: ber.delete(n, d)):
                [(_, body, _)] = admin.ask(request)
                self.assertEqual(body[:3], b"\x0a\x01\x00")
                if dn == names[1]:
                    told.append(ber.entry(watch.raw.answer().body))
        self.assertEqual(told, 2 * [(names[1], {"cn": [b"Later seen"], "manager": [ANN.encode()]})]
                         + [(names[1], {})])

    def test_reindex(self):
        """With a schema that has learnt of a type whose values name entries."""
        folder = WITH.path("schema")
        shutil.copytree(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "schema"), folder)
        with open(WITH.path("dird.conf"), "a", encoding="ascii") as f:
            f.write("schema schema\n")
        definition = ("attributetype ( 2.999.1 NAME 'deputy' EQUALITY distinguishedNameMatch "
                      "SYNTAX 1.3.6.1.4.1.1466.115.121.1.12 X-WAYPOST 'index' )\n")
        with open(os.path.join(folder, "own.schema"), "w", encoding="ascii") as f:
            f.write(definition.replace("distinguishedNameMatch", "caseIgnoreMatch").replace(".12 ", ".15 "))
        self.assertEqual(WITH.stop(), 0)
        WITH.start()
        dn, admin = f"cn=Chief,{LAB}", Client(WITH, ADMIN, PASSWORD)
        values = person("Chief", deputy=[GHOST])
        values["objectClass"].append("extensibleObject")
        [(_, body, _)] = admin.ask(lambda n: ber.add(n, dn, values))
        self.assertEqual(body[:3], b"\x0a\x01\x00")
        self.assertIn("deputy", self.names(ANN, "hunter2", "(cn=chief)", "deputy")[dn])
        self.assertEqual(WITH.stop(), 0)
        with open(os.path.join(folder, "own.schema"), "w", encoding="ascii") as f:
            f.write(definition)
        for verb in ("reindex", "check"):
            subprocess.run(["dirctl", verb, "--config", WITH.path("dird.conf")], check=True, stdout=subprocess.PIPE)
        WITH.start()
        self.assertNotIn("deputy", self.names(ANN, "hunter2", "(cn=chief)", "deputy")[dn])
        self.assertEqual(self.names(ANN, "hunter2", "(deputy=*)"), {})
        self.assertEqual(set(self.names(ADMIN, PASSWORD, f"(deputy={GHOST})")), {dn})

    def test_check(self):
        for site in (WITH, WITHOUT):
            subprocess.run(["dirctl", "check", "--config", site.path("dird.conf")], check=True,
                           stdout=subprocess.PIPE)


if __name__ == "__main__":
    tap.main()
