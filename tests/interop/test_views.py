#!/usr/bin/python3
# tests/run: build=san timeout=300
"""Lists of the address book: views, positions and sorted browsing, asked by ldapsearch, python-ldap, ldap3 and raw
requests; names of many scripts, hidden recipients, changes meanwhile."""
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import ber  # noqa: E402
import ldap  # noqa: E402
import ldap.controls.sss  # noqa: E402
import ldap.controls.vlv  # noqa: E402
import ldap3  # noqa: E402
import tap  # noqa: E402
from ber import Raw  # noqa: E402
from waypost import PASSWORD, Site, run, wait_for  # noqa: E402

SORT, SORTED = "1.2.840.113556.1.4.473", "1.2.840.113556.1.4.474"
VLV, PLACE = "2.16.840.1.113730.3.4.9", "2.16.840.1.113730.3.4.10"
PAGED = "1.2.840.113556.1.4.319"
MANAGE = "2.16.840.1.113730.3.4.2"


def sort_keys(*keys):
    """Each key: "-cn:2.5.13.3"."""
    out = []
    for key in keys:
        name, _, rule = key.lstrip("-").partition(":")
        out.append(ber.tlv(0x30, ber.octets(name), ber.tlv(0x80, rule.encode()) if rule else b"",
                           ber.tlv(0x81, b"\xff") if key.startswith("-") else b""))
    return ber.tlv(0x30, *out)


def vlv_value(before, after, offset=None, count=0, value=None):
    where = (ber.tlv(0x81, value.encode()) if value is not None else
             ber.tlv(0xa0, ber.integer(offset), ber.integer(count)))
    return ber.tlv(0x30, ber.integer(before), ber.integer(after), where)



ROOT = "o=Example"
PEOPLE = "cn=Recipients,ou=S1," + ROOT
LISTS = "cn=Address Lists," + ROOT
ADMIN = "cn=admin," + ROOT
NAMES = ["Ada", "ada b", "Ägir", "Zoë", "Zoe A", "Øyvind", "Иван", "Ёлкин", "Ελένη", "שרה", "أحمد", "王伟", "李娜",
         "さくら", "サトウ", "김민준", "ภาณุ", "नेहा", "o'Neill", "de la Cruz", "McKay", "Mäkelä", "Łukasz", "Ľubica",
         "İpek", "straße", "Strasse", "Ærø", "ﬁona", "Ö", "Zz Top", "Ñandú"]
PERSON = ber.equal("objectClass", "person")
MAIL = ber.tlv(0x87, b"mail")
# What no view counts, and every entry matches: such a search is answered by gathering and sorting.
ODD = ber.tlv(0xa2, ber.equal("employeeType", "nobody"))


def both(*filters):
    return ber.tlv(0xa0, *filters)


FILTERS = {
    "everything": ber.PRESENT,
    "people": PERSON,
    "with mail": MAIL,
    "Outlook": both(MAIL, ber.tlv(0x87, b"cn")),
    "Roundcube": both(ber.equal("objectClass", "inetOrgPerson"), MAIL),
    "galctl": ber.tlv(0xa1, ber.equal("objectClass", "mailRecipient"), ber.equal("objectClass", "customRecipient")),
}
SITE = FOLDER = None


def setUpModule():
    global SITE, FOLDER
    FOLDER = tempfile.mkdtemp(prefix="waypost-views-")
    SITE = Site(os.path.join(FOLDER, "S1"), "S1", "s1.example.com")
    SITE.init(ROOT, "--anonymous-read")
    SITE.start("dird")
    SITE.add("".join(person(f"{name} {i}", i) for i, name in enumerate(NAMES * 4)))


def tearDownModule():
    SITE.close()
    shutil.rmtree(FOLDER, ignore_errors=True)


def person(cn, i, more=""):
    sn = NAMES[i * 7 % len(NAMES)]
    mail = f"mail: p{i}@s1.example.com\n" if i % 3 else ""
    shown = f"displayName: {sn}, {cn}\n" if i % 5 else ""
    kind = "objectClass: mailRecipient\n" if i % 2 else ""
    return (f"dn: cn={cn},{PEOPLE}\nobjectClass: inetOrgPerson\n{kind}sn: {sn}\ngivenName: {cn}\n{mail}{shown}"
            f"l: {'Turin' if i % 4 else 'Oslo'}\n{more}\n")


class Session(Raw):
    """A connection that asks for lists."""

    def __init__(self, dn="", password="", address=None):
        host, port = (address or SITE.ldap).split(":")
        super().__init__((host, int(port)))
        self.number = 1
        if dn:
            self.send(ber.bind(1, dn, password))
            assert self.result(1).code == 0

    def ask(self, base, what, *controls, scope=2, attributes=("cn", "sn", "displayName")):
        self.number += 1
        self.send(ber.search(self.number, base, scope, what, attributes, 0, *controls))
        found = []
        while True:
            a = self.answer()
            assert a is not None
            if a.op == 0x64:
                dn, values = ber.entry(a.body)
                found.append((dn, {k.lower(): v[0].decode() for k, v in values.items()}))
            elif a.code is not None:
                return a, found

    def window(self, base, what, keys, before, after, *more, **where):
        """code, names, (position, count, result)"""
        a, found = self.ask(base, what, ber.control(SORT, True, sort_keys(*keys)),
                            ber.control(VLV, True, vlv_value(before, after, **where)), *more)
        state = tuple(int.from_bytes(b, "big") for _, b in ber.elements(ber.split(a.controls[PLACE])[1])[:3])
        return a.code, [dn for dn, _ in found], state

    def sorted(self, base, what, keys, *more):
        """All DNs and the values of the first key, in order."""
        a, found = self.ask(base, what, ber.control(SORT, True, sort_keys(*keys)), *more)
        assert a.code == 0, (a.code, a.text)
        name = keys[0].lstrip("-").partition(":")[0].lower()
        return [dn for dn, _ in found], [values.get(name, "").casefold() for _, values in found]

    def pages(self, base, what, keys, size):
        cookie, dns = b"", []
        while True:
            a, found = self.ask(base, what, ber.control(SORT, True, sort_keys(*keys)), ber.control(
                PAGED, True, ber.tlv(0x30, ber.integer(size), ber.octets(cookie))))
            assert a.code == 0, (a.code, a.text)
            dns += [dn for dn, _ in found]
            cookie = ber.elements(ber.split(a.controls[PAGED])[1])[1][1]
            if not cookie:
                return dns


class Case(unittest.TestCase):
    maxDiff = 3000

    def setUp(self):
        self.c = Session()
        self.addCleanup(self.c.__exit__)
        self.dice = random.Random(self.id())

    def code(self, want, *argv, **kw):
        status, out, err = run(*argv, check=False, **kw)
        self.assertEqual(status, want, out + err)
        return out

    def tool(self, *words, want=0):
        return self.code(want, *words[:3], "--config", SITE.path("dird.conf"), *words[3:])

    def ready(self, cn, site=None):
        """Wait until a view is built; its number of entries."""
        def look():
            out = (site or SITE).search(f"cn={cn},{LISTS}", "(objectClass=*)", "viewState", "viewEntries", scope="base",
                                        check=False)[1]
            m = re.search(r"^viewEntries: (\d+)$", out, re.M)
            return m if m and "viewState: ready" in out else None
        return int(wait_for(f"view {cn}", look)[1])

    def compare(self, base, what, keys, session=None):
        """Windows at many places, pages and the whole list, beside what sorting gives."""
        c = session or self.c
        want, values = c.sorted(base, both(what, ODD), keys)
        got, got_values = c.sorted(base, what, keys)
        self.assertEqual(sorted(got), sorted(want))
        self.assertEqual(got_values, values)
        self.assertEqual(c.pages(base, what, keys, 7), got)
        n = len(got)
        for at in [1, 2, n - 1, n] + [self.dice.randrange(1, n) for _ in range(6)]:
            before, after = self.dice.randrange(4), self.dice.randrange(9)
            code, dns, state = c.window(base, what, keys, before, after, offset=at)
            self.assertEqual((code, state), (0, (at, n, 0)))
            self.assertEqual(dns, got[max(0, at - 1 - before):at + after])
        for value in ["a", "ä", "m", "z", "о", "李", "", "\U0001f600"]:
            where = {"value": value} if value else {"offset": 1}
            odd = c.window(base, both(what, ODD), keys, 1, 2, **where)
            code, dns, state = c.window(base, what, keys, 1, 2, **where)
            self.assertEqual((code, state), (odd[0], odd[2]), value)
            self.assertEqual([values[got.index(dn)] for dn in dns], [values[want.index(dn)] for dn in odd[1]])
        self.assertEqual(c.window(base, what, keys, 0, 1, offset=0)[0], 76)


class Lists(Case):
    """Lists of the whole directory, without any definition."""

    def test_every_filter_and_order(self):
        orders = [["displayName"], ["cn"], ["sn"], ["-cn"], ["-displayName"], ["sn", "givenName"], ["cn:2.5.13.3"],
                  ["-sn", "-givenName"]]
        for name, what in FILTERS.items():
            for keys in orders if name == "people" else self.dice.sample(orders, 2):
                with self.subTest(name, keys=keys):
                    self.compare(ROOT, what, keys)

    def test_order_of_scripts(self):
        """As a reader expects: not by code points."""
        dns, _ = self.c.sorted(ROOT, both(PERSON, MAIL), ["cn"])
        first = [re.match(r"cn=(.*?) \d+,", dn)[1] for dn in dns]
        kept = [n for i, n in enumerate(first) if n not in first[:i]]
        for earlier, later in (("Ada", "Ägir"), ("Ägir", "de la Cruz"), ("Łukasz", "McKay"), ("Zoë", "Zz Top"),
                               ("Zz Top", "Ελένη"), ("Ελένη", "Иван"), ("Ёлкин", "Иван"), ("Иван", "שרה"),
                               ("שרה", "أحمد"), ("さくら", "李娜")):
            self.assertLess(kept.index(earlier), kept.index(later), (earlier, later))

    def test_after_changes(self):
        admin = ldap.initialize("ldap://" + SITE.ldap)
        admin.simple_bind_s(ADMIN, PASSWORD)
        self.addCleanup(admin.unbind_s)
        dns = []
        for i in range(150):
            dice = self.dice.randrange(5) if dns else 0
            if dice < 2:
                cn = f"{self.dice.choice(NAMES)} new {i}"
                dns.append(f"cn={cn},{PEOPLE}")
                admin.add_s(dns[-1], [("objectClass", [b"inetOrgPerson"]), ("cn", cn.encode()),
                                      ("sn", self.dice.choice(NAMES).encode()), ("mail", b"a@b.c")])
            elif dice == 2:
                admin.delete_s(dns.pop(self.dice.randrange(len(dns))))
            elif dice == 3:
                dn = self.dice.choice(dns)
                admin.modify_s(dn, [(ldap.MOD_REPLACE, "displayName", [self.dice.choice(NAMES).encode()]),
                                    (ldap.MOD_REPLACE, "mail", [b"x@y.z"] if i % 2 else None)])
            else:
                k = self.dice.randrange(len(dns))
                rdn = f"cn={self.dice.choice(NAMES)} moved {i}"
                admin.rename_s(dns[k], rdn)
                dns[k] = f"{rdn},{PEOPLE}"
        for keys in (["cn"], ["-displayName"]):
            self.compare(ROOT, MAIL, keys)
        SITE.stop("dird", signal.SIGKILL)
        run("dirctl", "check", "--config", SITE.path("dird.conf"))
        SITE.start("dird")
        self.c = Session()
        self.addCleanup(self.c.__exit__)
        for keys in (["displayName"], ["sn"]):
            self.compare(ROOT, PERSON, keys)

    def test_reindex(self):
        before = {key: self.c.sorted(ROOT, PERSON, [key])[0] for key in ("cn", "-displayName")}
        status, _, err = run("dirctl", "reindex", "--config", SITE.path("dird.conf"), check=False)
        self.assertEqual(status, 1)
        self.assertIn("stop dird first", err)
        SITE.stop("dird")
        run("dirctl", "reindex", "--config", SITE.path("dird.conf"))
        run("dirctl", "check", "--config", SITE.path("dird.conf"))
        SITE.start("dird")
        c = Session()
        self.addCleanup(c.__exit__)
        for key, want in before.items():
            self.assertEqual(c.sorted(ROOT, PERSON, [key])[0], want)
            self.assertEqual(c.window(ROOT, PERSON, [key], 0, 4, offset=7)[1], want[6:11])
        self.assertEqual(SITE.count(ROOT, "(mail=p1@s1.example.com)"), 1)

    def test_while_others_write(self):
        """Two windows side by side from one snapshot each: none is torn, and who stays is never missed."""
        admin = Session(ADMIN, PASSWORD)
        self.addCleanup(admin.__exit__)
        stable = set(self.c.sorted(ROOT, MAIL, ["cn"])[0])
        n = 10
        for i in range(60):
            dn = f"cn={NAMES[i % len(NAMES)]} guest {i},{PEOPLE}"
            admin.send(ber.add(n, dn, {"objectClass": ["inetOrgPerson"], "sn": ["x"], "mail": ["g@x.org"]}),
                       ber.delete(n + 1, dn))
            code, dns, (at, count, _) = self.c.window(ROOT, MAIL, ["cn"], 0, 400, offset=1)
            self.assertEqual((code, at, len(dns)), (0, 1, count))
            self.assertLessEqual(stable, set(dns))
            self.assertEqual({admin.result(n).code, admin.result(n + 1).code}, {0})
            n += 2


class Clients(Case):
    """The same through other people's clients."""

    def test_ldapsearch(self):
        want, _ = self.c.sorted(ROOT, MAIL, ["cn"])
        # It asks for the next window for ever, so the first one is read and the program ended.
        with subprocess.Popen(["ldapsearch", "-x", "-H", "ldap://" + SITE.ldap, "-LLL", "-o", "ldif-wrap=no", "-b", ROOT,
                               "-E", "!sss=cn", "-E", "!vlv=1/3/20/0", "(mail=*)", "1.1"], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as p:
            watch = threading.Timer(60, p.kill)
            watch.start()
            lines = []
            for line in p.stdout:
                lines.append(line)
                if "pos=" in line:
                    break
            watch.cancel()
            p.kill()
        self.assertEqual(sum(line.startswith("dn:") for line in lines), 5)
        self.assertIn(f"pos=20 count={len(want)}", lines[-1])
        out = self.code(0, "ldapsearch", "-x", "-H", "ldap://" + SITE.ldap, "-LLL", "-b", ROOT, "-E", "!sss=-cn:2.5.13.3",
                        "-E", "pr=50/noprompt", "(mail=*)", "1.1")
        self.assertEqual(len(re.findall("^dn:", out, re.M)), len(want))

    def test_python_ldap(self):
        want, _ = self.c.sorted(ROOT, PERSON, ["displayName"])
        c = ldap.initialize("ldap://" + SITE.ldap)
        self.addCleanup(c.unbind_s)
        sort = ldap.controls.sss.SSSRequestControl(True, ["displayName"])
        place = ldap.controls.vlv.VLVRequestControl(True, 2, 5, 30, 0)
        number = c.search_ext(ROOT, ldap.SCOPE_SUBTREE, "(objectClass=person)", ["cn"], serverctrls=[sort, place])
        _, found, _, _ = c.result3(number)
        self.assertEqual([dn for dn, _ in found], want[27:35])

    def test_ldap3(self):
        want, _ = self.c.sorted(ROOT, PERSON, ["-sn"])
        host, port = SITE.ldap.split(":")
        c = ldap3.Connection(ldap3.Server(host, int(port)), auto_bind=True)
        self.addCleanup(c.unbind)
        c.search(ROOT, "(objectClass=person)", attributes=["cn"], controls=[
            (SORT, True, sort_keys("-sn")), (VLV, True, vlv_value(0, 9, offset=11))])
        self.assertEqual([e["dn"] for e in c.response if e["type"] == "searchResEntry"], want[10:20])
        self.assertIn(PLACE, c.result["controls"])


class Views(Case):
    """addressBookView entries."""

    def setUp(self):
        super().setUp()
        if not SITE.count(ROOT, "(cn=Address Lists)"):
            SITE.add(f"dn: {LISTS}\nobjectClass: container\n")

    def define(self, cn, *lines):
        SITE.add(f"dn: cn={cn},{LISTS}\nobjectClass: addressBookView\n" + "".join(x + "\n" for x in lines))
        self.addCleanup(run, *SITE._client("ldapdelete"), f"cn={cn},{LISTS}", check=False)
        self.ready(cn)
        return f"cn={cn},{LISTS}"

    def tree(self, c, what, *controls, base=ROOT, keys=("cn",)):
        return c.sorted(base, both(what, ODD), keys, *controls)[0]

    def test_container_shows_its_members(self):
        dn = self.define("Turin", "viewFilter: (l=Turin)", "viewSort: cn")
        turin = ber.equal("l", "Turin")
        want = self.tree(self.c, turin)
        for scope in (1, 2, 3):
            a, found = self.c.ask(dn, ber.PRESENT, scope=scope)
            self.assertEqual((a.code, [name for name, _ in found]), (0, want))
            self.assertNotIn(SORTED, a.controls)
        a, found = self.c.ask(dn, ber.PRESENT, scope=0)
        self.assertEqual([name for name, _ in found], [dn])
        self.assertEqual([n for n, _ in self.c.ask(dn, MAIL)[1]], self.tree(self.c, both(turin, MAIL)))
        self.assertEqual([n for n, _ in self.c.ask(dn, both(MAIL, ODD))[1]], self.tree(self.c, both(turin, MAIL)))
        self.assertEqual(self.ready("Turin"), len(want))
        for keys in (["cn"], ["-cn"], ["displayName"], ["sn"]):
            for what in (ber.PRESENT, turin, MAIL, PERSON):
                with self.subTest(keys=keys, what=what):
                    self.compare(dn, what, keys)

    def test_a_search_that_says_the_same_uses_the_view(self):
        """Whatever its words: the answers are those of the definition."""
        self.define("People of S1", "viewBase: ou=S1," + ROOT, "viewSort: l,cn",
                    "viewFilter: (&(objectClass=inetOrgPerson)(|(l=Oslo)(l=Turin)))")
        what = ber.tlv(0xa0, ber.tlv(0xa1, ber.equal("l", "turin"), ber.equal("l", "OSLO"), ber.equal("l", "Turin")),
                       ber.PRESENT, ber.tlv(0xa0, ber.equal("objectclass", "2.16.840.1.113730.3.2.2")))
        self.compare("ou=S1," + ROOT, what, ["l", "cn"])

    def test_one_level(self):
        SITE.add(f"dn: cn=Deep,{PEOPLE}\nobjectClass: container\n\n"
                 f"dn: cn=Below,cn=Deep,{PEOPLE}\nobjectClass: inetOrgPerson\nsn: x\n")
        dn = self.define("Flat", "viewScope: one", "viewFilter: (objectClass=person)", "viewBase: " + PEOPLE)
        names = [name for name, _ in self.c.ask(dn, ber.PRESENT)[1]]
        self.assertNotIn(f"cn=Below,cn=Deep,{PEOPLE}", names)
        self.assertEqual(sorted(names), sorted(
            n for n, _ in self.c.ask(PEOPLE, PERSON, scope=1)[1]))
        SITE.modify(f"dn: cn=Below,cn=Deep,{PEOPLE}\nchangetype: moddn\nnewrdn: cn=Below\ndeleteoldrdn: 1\n"
                    f"newsuperior: {PEOPLE}\n")
        self.assertIn(f"cn=Below,{PEOPLE}", [name for name, _ in self.c.ask(dn, ber.PRESENT)[1]])
        run(*SITE._client("ldapdelete"), f"cn=Below,{PEOPLE}", f"cn=Deep,{PEOPLE}")

    def test_administrator(self):
        """Who may delete sees members only when he asks for a list, so that nothing deletes them by mistake."""
        dn = self.define("Care", "viewFilter: (l=Oslo)")
        before = SITE.count(ROOT, "(l=Oslo)")
        admin = Session(ADMIN, PASSWORD)
        self.addCleanup(admin.__exit__)
        self.assertEqual([n for n, _ in admin.ask(dn, ber.PRESENT)[1]], [dn])
        self.assertEqual(len(admin.sorted(dn, ber.PRESENT, ["cn"])[0]), before)
        self.assertEqual(len(self.c.ask(dn, ber.PRESENT)[1]), before)
        self.assertEqual([n for n, _ in self.c.ask(dn, ber.PRESENT, ber.control(MANAGE, True))[1]], [dn])
        self.code(0, *SITE._client("ldapdelete"), "-r", dn)
        self.assertEqual(SITE.count(ROOT, "(l=Oslo)"), before)
        self.assertEqual(SITE.count(LISTS, "(cn=Care)"), 0)

    def test_definitions_change_while_others_read(self):
        dn = self.define("Changing", "viewFilter: (l=Turin)", "viewSort: cn")
        contents = {f: self.tree(self.c, ber.equal("l", f)) for f in ("Turin", "Oslo")}
        for i in range(8):
            city = ("Oslo", "Turin")[i % 2]
            SITE.modify(f"dn: {dn}\nchangetype: modify\nreplace: viewFilter\nviewFilter: (l={city})\n")
            for _ in range(5):
                a, found = self.c.ask(dn, ber.PRESENT)
                self.assertEqual((a.code, [n for n, _ in found]), (0, contents[city]))
                code, dns, state = self.c.window(dn, ber.PRESENT, ["cn"], 0, 2, offset=2)
                self.assertEqual((code, dns, state), (0, contents[city][1:4], (2, len(contents[city]), 0)))
            self.ready("Changing")
        code, out, _ = SITE.modify(f"dn: {dn}\nchangetype: modify\nreplace: viewFilter\nviewFilter: (l=\n", check=False)
        self.assertEqual(code, 19, out)
        run("dirctl", "check", "--config", SITE.path("dird.conf"))

    def test_hidden_recipients(self):
        dn = self.define("Secret", "viewFilter: (l=Secret)", "viewSort: cn")
        SITE.add("".join(
            f"dn: cn=Secret {i},{PEOPLE}\nobjectClass: inetOrgPerson\nobjectClass: mailRecipient\nsn: s\nl: Secret\n"
            f"userPassword: secret\n{'hideFromAddressLists: TRUE' if i == 2 else 'title: x'}\n\n" for i in range(4)))
        names = [f"cn=Secret {i},{PEOPLE}" for i in range(4)]
        seen = names[:2] + names[3:]
        admin, himself, other = (Session(who, secret) for who, secret in (
            (ADMIN, PASSWORD), (names[2], "secret"), (names[1], "secret")))
        for c, want in ((self.c, seen), (other, seen), (himself, names), (admin, names)):
            self.addCleanup(c.__exit__) if c is not self.c else None
            self.assertEqual(c.window(dn, ber.PRESENT, ["cn"], 0, 9, offset=1), (0, want, (1, len(want), 0)))
            self.assertEqual(c.sorted(dn, ber.PRESENT, ["-cn"])[0], want[::-1])
            self.compare(ROOT, PERSON, ["cn"], c)
        SITE.modify(f"dn: {names[2]}\nchangetype: modify\ndelete: hideFromAddressLists\n")
        self.assertEqual(self.c.window(dn, ber.PRESENT, ["cn"], 0, 9, offset=1), (0, names, (1, 4, 0)))
        run(*SITE._client("ldapdelete"), *names)
        self.assertEqual(self.c.window(dn, ber.PRESENT, ["cn"], 0, 9, offset=1), (0, [], (1, 0, 0)))

    def test_referrals_and_subentries_are_no_members(self):
        dn = self.define("Everything", "viewFilter: (objectClass=*)", "viewSort: cn")
        run(*SITE._client("ldapadd"), "-M", stdin=f"dn: cn=Elsewhere,{PEOPLE}\nobjectClass: referral\n"
            "objectClass: extensibleObject\ncn: Elsewhere\nref: ldap://else.example.com/cn=x\n")
        self.addCleanup(run, *SITE._client("ldapdelete"), "-M", f"cn=Elsewhere,{PEOPLE}")
        self.assertNotIn(f"cn=Elsewhere,{PEOPLE}", [n for n, _ in self.c.ask(dn, ber.PRESENT)[1]])
        self.compare(ROOT, PERSON, ["cn"])
        manage = ber.control(MANAGE, True)
        self.assertIn(f"cn=Elsewhere,{PEOPLE}", self.c.sorted(ROOT, ber.PRESENT, ["cn"], manage)[0])

    def test_state(self):
        SITE.add(f"dn: cn=No Base,{LISTS}\nobjectClass: addressBookView\nviewBase: ou=Nowhere,{ROOT}\n")
        self.addCleanup(run, *SITE._client("ldapdelete"), f"cn=No Base,{LISTS}")
        wait_for("state", lambda: "viewState: empty: there is no entry with the name in viewBase" in SITE.search(
            f"cn=No Base,{LISTS}", "(objectClass=*)", "viewState", scope="base"))
        self.assertEqual(self.c.ask(f"cn=No Base,{LISTS}", ber.PRESENT)[1], [])
        self.assertNotIn("viewState", SITE.search(f"cn=No Base,{LISTS}", "(objectClass=*)", "*", "+", scope="base"))


class Tool(Case):
    """galctl view"""

    def view(self, verb, *words, want=0):
        status, out, err = run("galctl", "view", verb, "--config", SITE.path("dird.conf"), *words, check=False)
        self.assertEqual(status, want, out + err)
        return out + err

    def rows(self):
        return {row["view"]: row for row in map(json.loads, self.view("list", "--json").splitlines())}

    def test_life_of_a_view(self):
        out = self.view("add", "Oslo, Norway", "--filter", "(l=Oslo)", "--sort", "sn,cn", "--dry-run")
        self.assertIn("would add cn=Oslo\\, Norway,cn=Address Lists,o=Example", out)
        self.assertNotIn("Oslo, Norway", self.rows())
        self.view("add", "Oslo, Norway", "--filter", "(l=Oslo)", "--sort", "sn,cn")
        wait_for("view", lambda: self.rows()["Oslo, Norway"]["state"] == "ready")
        row = self.rows()["Oslo, Norway"]
        self.assertEqual((row["entries"], row["sort"], row["filter"]), (SITE.count(ROOT, "(l=Oslo)"), "sn,cn", "(l=Oslo)"))
        self.assertIn("viewSort", self.view("show", "Oslo, Norway"))
        self.assertEqual(json.loads(self.view("show", "--json", "Oslo, Norway"))["viewState"], ["ready"])
        self.view("set", "Oslo, Norway", "--filter", "(&(l=Oslo)(mail=*))", "--sort", "")
        wait_for("view", lambda: self.rows()["Oslo, Norway"]["state"] == "ready")
        row = self.rows()["Oslo, Norway"]
        self.assertEqual((row["entries"], row["sort"]), (SITE.count(ROOT, "(&(l=Oslo)(mail=*))"), "displayName"))
        self.assertIn("viewFilter", self.view("set", "Oslo, Norway", "--filter", "(l=", want=1))
        self.assertIn("nothing to change", self.view("set", "Oslo, Norway", want=1))
        self.assertIn("would remove", self.view("remove", "--dry-run", "Oslo, Norway"))
        self.view("remove", "Oslo, Norway")
        self.assertNotIn("Oslo, Norway", self.rows())
        self.assertIn("no view", self.view("show", "Oslo, Norway", want=1))
        self.assertIn("no view", self.view("remove", "Recipients", want=1))


class Replicated(Case):
    def test_other_sites_have_the_views(self):
        other = Site(os.path.join(FOLDER, "S2"), "S2", "s2.example.com")
        self.addCleanup(other.close)
        other.join(SITE.token("S2"), ROOT, "--anonymous-read")
        other.start("dird")
        if not SITE.count(ROOT, "(cn=Address Lists)"):
            SITE.add(f"dn: {LISTS}\nobjectClass: container\n")
        SITE.add(f"dn: cn=Oslo,{LISTS}\nobjectClass: addressBookView\nviewFilter: (l=Oslo)\nviewSort: cn\n")
        wait_for("definition", lambda: other.count(ROOT, "(objectClass=addressBookView)"))
        want = self.c.sorted(ROOT, both(ber.equal("l", "Oslo"), ODD), ["cn"])[0]
        wait_for("people", lambda: other.count(ROOT, "(l=Oslo)") == len(want), timeout=60)
        self.ready("Oslo", other)
        c = Session(address=other.ldap)
        self.addCleanup(c.__exit__)
        self.assertEqual([n for n, _ in c.ask(f"cn=Oslo,{LISTS}", ber.PRESENT)[1]], want)
        self.assertEqual(c.window(ROOT, PERSON, ["cn"], 0, 3, offset=9),
                         self.c.window(ROOT, PERSON, ["cn"], 0, 3, offset=9))
        SITE.modify(f"dn: {want[0]}\nchangetype: modify\nreplace: l\nl: Turin\n")
        wait_for("change", lambda: [n for n, _ in c.ask(f"cn=Oslo,{LISTS}", ber.PRESENT)[1]] == want[1:])
        run(*SITE._client("ldapdelete"), f"cn=Oslo,{LISTS}")


if __name__ == "__main__":
    tap.main()
