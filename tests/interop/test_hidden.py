#!/usr/bin/python3
# tests/run: build=san timeout=300
"""Hidden recipients and memberships (S12): two servers, one with hidden entries, one that never had
them, give the same bytes to everything that an ordinary user or an anonymous client asks."""
import itertools
import os
import re
import shutil
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
import ber  # noqa: E402
from ber import Raw  # noqa: E402
from dird_site import ADMIN, PASSWORD, DirdSite  # noqa: E402

BASE, LAB = "o=Example", "ou=lab,o=Example"
ANN, BOB, EVE = (f"cn={n},{LAB}" for n in ("Ann", "Bob", "Eve"))
GHOST, CELLAR = f"cn=Ghost,{LAB}", f"ou=cellar,{LAB}"
BELOW, CROWD = f"cn=Below,{CELLAR}", f"cn=Crowd,{LAB}"
SECRET, QUIET = f"cn=Secret list,{LAB}", f"cn=Quiet,{LAB}"
ONLY, AWAY, WRAITH = f"cn=Only,{LAB}", f"ou=away,{LAB}", f"cn=Wraith,{LAB}"
FARTHER = f"ou=farther,{CELLAR}"
HIDDEN = [GHOST, CELLAR, BELOW, SECRET, AWAY, WRAITH, FARTHER]
MANY = 300  # members of CROWD: stored apart, and more than are looked up one by one
YES = "TRUE"
VIEWS = {
    "Everybody": {"viewFilter": ["(objectClass=mailRecipient)"], "viewSort": ["cn"]},
    "Gone": {"viewFilter": ["(|(cn=ghost)(ou=cellar)(cn=below))"], "viewSort": ["cn"]},
}
WITH = WITHOUT = None


def person(name, **more):
    return {"objectClass": ["inetOrgPerson", "mailRecipient"], "cn": [name], "sn": [name],
            "mail": [name.replace(" ", ".").lower() + "@example.com"], **more}


def group(name, *members, **more):
    return {"objectClass": ["groupOfNames", "mailRecipient"], "cn": [name], **more,
            **({"member": list(members)} if members else {})}


def tree(with_hidden):
    """(DN, attributes): what both servers have, and at the end what only one has."""
    def maybe(*hidden):
        return list(hidden) if with_hidden else []

    yield BASE, {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}
    yield LAB, {"objectClass": ["organizationalUnit"], "ou": ["lab"]}
    yield ANN, person("Ann", manager=[BOB] + maybe(GHOST), userPassword=["hunter2"])
    yield BOB, {**person("Bob"), **({"manager": [GHOST], "secretary": [WRAITH]} if with_hidden else {})}
    yield EVE, person("Eve", manager=[ANN])
    for i in range(MANY):
        yield f"cn=P{i:03},{LAB}", person(f"P{i:03}")
    yield f"cn=Mixed,{LAB}", group("Mixed", ANN, *maybe(GHOST, BELOW), BOB, owner=[ANN] + maybe(SECRET))
    yield ONLY, group("Only", *maybe(GHOST))
    yield CROWD, group("Crowd", *(f"cn=P{i:03},{LAB}" for i in range(MANY)),
                       *maybe("CN=ghost, ou=LAB,o=example", BELOW))
    yield QUIET, group("Quiet", *maybe(ANN, BOB), hideDLMembership=[YES])
    yield f"cn=Unique,{LAB}", {
        "objectClass": ["groupOfUniqueNames"], "cn": ["Unique"],
        "uniqueMember": [ANN, *maybe(GHOST, WRAITH + "#'0101'B")]}
    for name, target in (("gate", GHOST), ("door", BELOW), ("way", CELLAR), ("ann", ANN)):
        yield f"ou={name},{LAB}", {"objectClass": ["alias", "extensibleObject"], "ou": [name],
                                   "aliasedObjectName": [target]}
    yield f"cn=Address Lists,{BASE}", {"objectClass": ["container"], "cn": ["Address Lists"]}
    for name, more in VIEWS.items():
        yield f"cn={name},cn=Address Lists,{BASE}", {"objectClass": ["addressBookView"], "cn": [name], **more}
    if not with_hidden:
        return
    yield GHOST, person("Ghost", hideFromAddressLists=[YES], userPassword=["boo"], manager=[ANN],
                        description=["a hidden one"])
    yield WRAITH, person("Wraith", hideFromAddressLists=[YES])
    yield SECRET, group("Secret list", ANN, BOB, hideFromAddressLists=[YES])
    yield CELLAR, {"objectClass": ["organizationalUnit", "mailRecipient"], "ou": ["cellar"],
                   "hideFromAddressLists": [YES]}
    yield BELOW, person("Below")
    yield AWAY, {"objectClass": ["referral", "extensibleObject"], "ou": ["away"],
                 "ref": ["ldap://b.example.com/"], "hideFromAddressLists": [YES]}
    yield FARTHER, {"objectClass": ["referral", "extensibleObject"], "ou": ["farther"],
                    "ref": ["ldap://c.example.com/"]}


def ldif(with_hidden):
    """With entryUUIDs and times that are the same for both."""
    out = []
    for dn, values in tree(with_hidden):
        out.append(f"dn: {dn}\nentryUUID: {uuid.uuid5(uuid.NAMESPACE_X500, dn)}\n"
                   "createTimestamp: 20260101000000Z\nmodifyTimestamp: 20260101000000Z\n"
                   + "".join(f"{name}: {v}\n" for name, list_ in values.items() for v in list_))
    return "\n".join(out)


def make(with_hidden):
    site = DirdSite("anonymous-read yes", f"admin-password-file {'pw'}")
    with open(site.path("pw"), "w", encoding="ascii") as f:
        f.write(PASSWORD + "\n")
    os.chmod(site.path("pw"), 0o600)
    subprocess.run(["dirctl", "load", "--config", site.path("dird.conf"), "-"], check=True,
                   input=ldif(with_hidden), text=True, stdout=subprocess.PIPE)
    site.start()
    return site


def setUpModule():
    global WITH, WITHOUT
    WITH, WITHOUT = make(True), make(False)


def tearDownModule():
    for site in (WITH, WITHOUT):
        if site is not None:
            site.close()


def flt(text):
    """RFC 4515 text to BER; no escapes."""
    text = text.strip()
    if text[1] in "&|!":
        depth, parts, start = 0, [], 2
        for i in range(2, len(text) - 1):
            depth += {"(": 1, ")": -1}.get(text[i], 0)
            if depth == 0:
                parts.append(flt(text[start:i + 1]))
                start = i + 1
        return ber.tlv({"&": 0xa0, "|": 0xa1, "!": 0xa2}[text[1]], *parts)
    name, kind, value = re.match(r"\(([^=~<>:]*)((?::[^=]*)?[~<>:]?=)(.*)\)$", text).groups()
    if kind.endswith(":="):
        words = [w for w in kind[1:-2].split(":") if w]
        rule = [w for w in words if w != "dn"]
        return ber.tlv(0xa9, *(ber.tlv(0x81, r.encode()) for r in rule),
                       ber.tlv(0x82, name.encode()) if name else b"",
                       ber.tlv(0x83, value.encode()), ber.tlv(0x84, b"\xff") if "dn" in words else b"")
    if kind == "=" and value == "*":
        return ber.tlv(0x87, name.encode())
    if kind == "=" and "*" in value:
        first, *middle, last = value.split("*")
        return ber.tlv(0xa4, ber.octets(name), ber.tlv(
            0x30, *([ber.tlv(0x80, first.encode())] if first else []),
            *(ber.tlv(0x81, m.encode()) for m in middle if m),
            *([ber.tlv(0x82, last.encode())] if last else [])))
    tag = {"=": 0xa3, ">=": 0xa5, "<=": 0xa6, "~=": 0xa8}[kind]
    return ber.tlv(tag, ber.octets(name), ber.octets(value))


def sort(*keys, rule=None):
    return ber.control("1.2.840.113556.1.4.473", True, ber.tlv(0x30, *(
        ber.tlv(0x30, ber.octets(k.lstrip("-")), *([ber.tlv(0x80, rule.encode())] if rule else []),
                ber.tlv(0x81, b"\xff") if k.startswith("-") else b"") for k in keys)))


def vlv(before, after, offset=None, count=0, value=None):
    place = (ber.tlv(0x81, value.encode()) if value is not None else
             ber.tlv(0xa0, ber.integer(offset), ber.integer(count)))
    return ber.control("2.16.840.1.113730.3.4.9", True,
                       ber.tlv(0x30, ber.integer(before), ber.integer(after), place))


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
    "(&)", "(|)", "(structuralObjectClass=groupOfNames)", "(objectClass=referral)",
    f"(entryUUID={uuid.uuid5(uuid.NAMESPACE_X500, GHOST)})", "(modifyTimestamp>=20250101000000Z)",
]
FILTERS += [f"({name}={dn})" for name in ("member", "uniqueMember", "manager", "owner", "secretary",
                                           "memberOf", "entryDN")
            for dn in (*HIDDEN, QUIET, ANN, "cn=Nobody,o=Example")]
FILTERS += [f"(:distinguishedNameMatch:={dn})" for dn in (GHOST, WRAITH, ANN)]

COUNTS = ("hasSubordinates", "numSubordinates", "viewEntries", "viewState")
SELECTIONS = [(), ("*", "+"), ("1.1",), ("cn", "member", "memberOf", "manager", "numSubordinates"),
              ("hasSubordinates", "owner", "uniqueMember", "secretary", "hideDLMembership", "parentUUID")]
NAMES = [*HIDDEN, f"cn=x,{GHOST}", f"cn=x,cn=y,{BELOW}", QUIET, ONLY, CROWD, ANN, f"cn=x,{AWAY}", LAB,
         GHOST.upper(), f"cn=Nobody,{LAB}"]


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
        assertion = ber.control("1.3.6.1.1.12", True, flt(f"(member={GHOST})"))
        yield f"assert {dn}", lambda n, d=dn, c=assertion: ber.search(n, d, 0, ber.PRESENT, (), 0, c)
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
                 ("secretary", "-cn"), ("uniqueMember",), ("memberOf", "cn"), ("sn", "mail")):
        yield f"sort {keys}", lambda n, k=keys: ber.search(n, BASE, 2, ber.PRESENT, ("1.1",), 0, sort(*k))
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
    for text in (f"(member={GHOST})", "(member=*)", f"(uniqueMember={ANN})", f"(manager={GHOST})"):
        values = ber.control("1.2.826.0.1.3344810.2.3", True, ber.tlv(0x30, flt(text)))
        yield f"matched {text}", lambda n, c=values: ber.search(n, BASE, 2, ber.PRESENT, (), 0, c)
    types = ber.tlv(0x63, ber.octets(BASE), ber.integer(2, 0x0a), ber.integer(0, 0x0a), ber.integer(0),
                    ber.integer(0), ber.tlv(0x01, b"\xff"), ber.PRESENT, ber.tlv(0x30))
    yield "types only", lambda n: ber.message(n, types)
    sync = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True, ber.tlv(0x30, ber.integer(1, 0x0a)))
    yield "sync", lambda n: ber.search(n, BASE, 2, ber.PRESENT, (), 0, sync)
    for dn in ("cn=monitor", "cn=Database,cn=monitor"):
        yield f"read {dn}", lambda n, d=dn: ber.search(n, d, 2, ber.PRESENT, ("*", "+"))


class Client:
    def __init__(self, site, dn="", password=""):
        self.raw = Raw(("127.0.0.1", site.port))
        self.n = 1
        self.raw.send(ber.bind(1, dn, password))
        assert self.raw.result(1).code == 0

    def ask(self, request):
        """The answers' bytes, without message ids."""
        self.n = 2
        self.raw.send(request(self.n))
        out = []
        while True:
            a = self.raw.answer()
            assert a is not None, "closed by the server"
            out.append((a.op, a.body, a.rest))
            if a.code is not None:
                return out


class Differential(unittest.TestCase):
    def same(self, dn="", password=""):
        one, two = Client(WITH, dn, password), Client(WITHOUT, dn, password)
        asked = 0
        for what, request in requests():
            a, b = one.ask(request), two.ask(request)
            self.assertEqual(a, b, what)
            asked += len(a)
        self.assertGreater(asked, 5000)

    def test_user(self):
        self.same(ANN, "hunter2")

    def test_anonymous(self):
        self.same()

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
