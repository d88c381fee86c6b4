#!/usr/bin/python3
# tests/run: timeout=240
"""dird beside OpenLDAP's slapd, with the same schema and entries, asked the same.

The protocol cases of tests/proto, then searches, compares and updates made by chance (a fixed seed;
SEED= in the environment for another). Where slapd may answer otherwise is listed below with the
reason, and nowhere else; docs/ldap.md explains it. A difference that is listed and no longer there
fails, too.
"""
import glob
import itertools
import os
import random
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
PROTO = os.path.join(HERE, "..", "proto")
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), PROTO]
import tap  # noqa: E402
import cases  # noqa: E402
import servers  # noqa: E402

if not servers.SLAPD or not servers.MODULES:
    tap.skip_all("slapd is not installed")
SEED = os.environ.get("SEED", "1")

# Reason: the cases of tests/proto in which slapd does not give the RFC's answer.
DIFFERS = {
    "it stores the object classes as they were given, without those above them": [
        "rfc4511 no selection is all user attributes (§4.5.1.8)",
        "rfc4511 an asterisk is all user attributes (§4.5.1.8)",
        "rfc4512 operational attributes do not come unasked (§3.4)",
        "rfc4529 @class brings what a class needs and allows (§2)",
        "rfc4529 @class with a class and a type (§2)",
        "clients Evolution browses everything, all attributes",
        "clients Roundcube expands a list by base reads"],
    "locality, asked for as a type, is taken as the class of that name": [
        "clients Thunderbird asks for the whole card under all its names"],
    "a modify that takes the RDN's value away is a namingViolation": [
        "rfc4511 modify must not take the RDN's value away (§4.6)",
        "rfc4511 modify must not replace the RDN's value (§4.6)",
        "rfc4511 modify must not delete the RDN's type (§4.6)",
        "rfc4514 a value of an RDN with two must stay (RFC 4511 §4.6)"],
    "names are checked against schema and syntaxes when they are read, and are invalidDNSyntax": [
        "rfc4511 add with an RDN of an unknown type (§4.7)",
        "rfc4514 two values of one type in an RDN (X.501 §9.3)",
        "rfc4514 broken UTF-8 in hex pairs names nothing (§2.4)",
        "rfc4514 broken UTF-8 in hex pairs is no name for an entry (§2.4)",
        "rfc4514 an empty value is a name, of nothing (§3)",
        "rfc4514 an entry has no empty name (RFC 4517 §3.3.6)",
        "rfc4514 an unknown type in the base of a search names nothing"],
    "it does not read #hex values of types with a string syntax": [
        "rfc4514 a value in hex of its BER encoding (§2.4)"],
    "an unknown class is a value of the wrong syntax": [
        "rfc4512 an unknown class (§2.4)"],
    "EXTERNAL is not offered where nothing outside has said who it is": [
        "rfc4511 EXTERNAL without anything outside (§4.2, RFC 4513 §5.2.3)"],
    "a malformed filter ends the session": [
        "rfc4511 an empty AND inside an envelope that is cut (§4.5.1.7)"],
    "it takes substrings in any order, empty ones, and extensible items about nothing": [
        "rfc4511 substrings without any part (§4.5.1.7.2)",
        "rfc4511 substrings with the last part first (§4.5.1.7.2)",
        "rfc4511 substrings with two first parts (§4.5.1.7.2)",
        "rfc4515 extensible match without type and rule (RFC 4511 §4.5.1.7.7)"],
    "no matched name for a new superior": [
        "rfc4511 a move below what is not there (§4.9)"],
    "a new superior that is a referral is other(80)": [
        "rfc3296 a new superior that is one (§5.6.2)"],
    "nothing is mapped to nothing, control characters included; no full case folding": [
        "rfc4518 a tab and a line feed are spaces (§2.2)",
        "rfc4518 a soft hyphen is nothing (§2.2)",
        "rfc4518 a zero width space is nothing (§2.2)",
        "rfc4518 a byte order mark is nothing (§2.2)",
        "rfc4518 control characters are nothing (§2.2)",
        "rfc4518 sharp s folds to ss (§2.2)",
        "rfc4518 final sigma folds to sigma (§2.2)",
        "rfc4518 an unassigned code point makes an assertion Undefined (§2.4)",
        "rfc4518 telephone numbers lose spaces and every kind of hyphen (§2.6.3)"],
    "first component rules: any type, and not by an extensible item": [
        "rfc4517 integerFirstComponentMatch is for definitions (§4.2.18)",
        "rfc4517 objectIdentifierFirstComponentMatch (§4.2.25)"],
    "a sort key that can not be used fails the search, critical or not, without a response control": [
        "rfc2891 an unknown type, not critical: the search is done unsorted (§2)",
        "rfc2891 an unknown type, critical (§2)",
        "rfc2891 an unknown rule, critical (§2)"],
    "no response control at the end of pages that the client gave up, or that met the size limit": [
        "rfc2696 the client gives up with a page of 0 (§3)",
        "rfc2696 the size limit counts over the pages (§3)"],
    "a cancel may name itself": [
        "rfc3909 of itself (§2.2)"],
    "proxied authorization: not critical is taken, and so is a name that is not there": [
        "rfc4370 it must be critical (§3)",
        "rfc4370 somebody who is not there (§3)"],
    "aliases in a circle are aliases of nothing": [
        "aliases aliases in a circle end (§4.5.1.3)"],
    "entryDN can not be compared": [
        "rfc5020 compared (§2)"],
    "list views: offset 0 is taken, ratios are cut off, the result says 76 again, counts may be negative": [
        "vlv a ratio is rounded to the nearest integer (§5)",
        "vlv without sorting (§6.1, §6.2)",
        "vlv an offset of zero (§6.2)",
        "vlv malformed values (§6.1)"],
}
DIRD = SLAPD = None


def setUpModule():
    global DIRD, SLAPD
    SLAPD = servers.Slapd()
    try:
        DIRD = servers.Dird()
    except BaseException:
        SLAPD.close()
        raise


def tearDownModule():
    DIRD.close()
    SLAPD.close()


class Cases(unittest.TestCase):
    def test_protocol_cases(self):
        every = [c for path in sorted(glob.glob(PROTO + "/*.case")) for c in cases.read(path)]
        listed = set(itertools.chain(*DIFFERS.values()))
        unknown = listed - {c.name for c in every}
        self.assertFalse(unknown, "listed, but there is no such case")
        played = 0
        for case, difference, _ in cases.play_all(every, SLAPD, "slapd"):
            played += 1
            if case.name in listed:
                with self.subTest(case.name):
                    self.assertTrue(difference, "slapd gives the RFC's answer now; take it off the list")
            elif difference:
                with self.subTest(case.name):
                    self.fail(difference)
        self.assertGreater(played, 400)


# --- by chance ------------------------------------------------------------------------------------

TYPES = {  # values to ask for, and to write
    "uid": ["ada", "ADA", "t1", "none", "a"],
    "cn": ["Ada Hill", "ada  hill", "Bob", "Barker", "hügel", "dora van dyk", "x"],
    "cn;lang-de": ["Ada Hügel", "ada hill"],
    "name": ["Hill", "director", "people"],
    "sn": ["Hill", "van Dyk", "smith", "ill"],
    "title": ["engineer", "Director", "n"],
    "description": ["likes \\28round\\29 brackets", "\\2a", "x"],
    "mail": ["ada@example.com", "BOB@EXAMPLE.COM", "@example", "."],
    "telephoneNumber": ["+49 30 1234-567", "0800", "1234", "12-34"],
    "member": ["uid=ada,ou=people,o=Example", "UID=Bob, ou=people,o=example", "nonsense"],
    "postalAddress": ["main street 1$10115 berlin$germany", "Germany", "street"],
    "tstBoolean": ["TRUE", "FALSE", "maybe"],
    "tstTime": ["20240101120000Z", "20240101130000+0100", "20240101", "soon"],
    "tstInteger": ["1", "20", "-3", "0", "123456789012345678901234567890", "one"],
    "tstNumeric": ["1234", "12 34", "99", "3"],
    "tstOctets": ["abc", "abd", "b"],
    "tstUuid": ["597ae2f6-16a6-1027-98f4-d28b5365dc14", "597AE2F6-16A6-1027-98F4-D28B5365DC15", "1"],
    "tstExact": ["Apple Tree", "apple tree", "Zebra", "Apple"],
    "tstIgnore": ["APPLE TREE", "banana", "cherry", "date", "e"],
    "tstSub": ["cherry", "banana"],
    "tstDn": ["cn=Manager+ou=sales,o=example", "OU=Sales+CN=manager,o=Example", "x"],
    "objectClass": ["person", "inetOrgPerson", "account", "top", "nosuch", "2.5.6.6"],
    "nosuch": ["x"],
    "entryDN": ["uid=ada,ou=people,o=Example", "x"],
    "hasSubordinates": ["TRUE", "FALSE"],
}
# dird orders every text type (clients ask for sn>=, cn<=), slapd only those whose definition has a rule.
ORDERED = ["tstTime", "tstInteger", "tstNumeric", "tstOctets", "tstUuid", "tstExact", "tstIgnore",
           "tstSub", "member", "nosuch"]
# A rule by name: dird takes caseIgnoreMatch for every kind of text, slapd for Directory Strings only.
RULED = ["cn", "name", "sn", "title", "description", "tstInteger", "tstExact", "tstIgnore", "tstDn", "nosuch"]
NO_SUBSTRINGS = {"objectClass", "entryDN", "hasSubordinates", "tstDn", "member"}
BASES = ["o=Example", "ou=people,o=Example", "uid=ada,ou=people,o=Example", "ou=things,o=Example",
         "OU=Things , O=example", "uid=t3,ou=things,o=Example", "uid=none,ou=people,o=Example"]
RULES = ["caseIgnoreMatch", "caseExactMatch", "integerMatch", "distinguishedNameMatch",
         "octetStringMatch", "nosuchMatch"]


def item(r):
    kind = r.choice(list(TYPES))
    value = r.choice(TYPES[kind])
    how = r.random()
    if how < 0.1:
        return f"({kind}=*)"
    if how < 0.35 and kind not in NO_SUBSTRINGS and "\\" not in value:
        cut = sorted(r.sample(range(len(value) + 1), min(2, len(value))))
        a, b = (cut + cut)[:2]
        parts = [value[:a], value[a:b], value[b:]]
        parts[r.randrange(3)] = ""
        middle = f"*{parts[1].strip()}*" if parts[1].strip() else "*"
        return f"({kind}={parts[0].strip()}{middle}{parts[2].strip()})"
    if how < 0.45 and kind in ORDERED:
        return f"({kind}{r.choice(('>=', '<='))}{value})"
    if how < 0.53 and kind in RULED:
        return f"({kind}{r.choice(('', ':dn'))}:{r.choice(RULES)}:={value})"
    return f"({kind}={value})"


def search_filter(r, depth=0):
    if depth == 3 or r.random() < 0.45:
        return item(r)
    sign = r.choice("&|!")
    n = 1 if sign == "!" else r.randrange(4)
    return f"({sign}{''.join(search_filter(r, depth + 1) for _ in range(n))})"


class Both:
    """A connection to each, on which the same is asked."""

    def __init__(self):
        self.sessions = [s.session("admin") for s in (DIRD, SLAPD)]

    def ask(self, *lines):
        step = cases.Step()
        step.requests.append(list(lines))
        return [s.play(step) for s in self.sessions]

    def close(self):
        for s in self.sessions:
            s.close()


class Chance(unittest.TestCase):
    # (dird, slapd): codes of a compare that may differ: slapd looks at the value, then for the entry
    COMPARED = {("noSuchAttribute", "invalidAttributeSyntax"),
                ("noSuchObject", "invalidAttributeSyntax"), ("noSuchObject", "undefinedAttributeType")}

    def setUp(self):
        for server in (DIRD, SLAPD):
            server.empty_work()
        self.both = Both()
        self.addCleanup(self.both.close)
        self.r = random.Random(SEED)

    def same(self, *lines):
        ours, theirs = self.both.ask(*lines)
        if ours != theirs:
            self.fail("\n".join([*lines, "dird:", *ours, "slapd:", *theirs]))
        return ours

    def test_filters(self):
        found = 0
        for _ in range(1500):
            base, scope = self.r.choice(BASES), self.r.choice(("base", "one", "sub", "subordinate"))
            text = search_filter(self.r)
            with self.subTest(f"{text} {base} {scope}"):
                found += self.same(f'find "{text}" "{base}" {scope}')[0] != "found"
        self.assertGreater(found, 300)

    def test_selections(self):
        kinds = [k for k in TYPES if k not in ("objectClass", "nosuch")] + [
            "1.1", "2.5.4.4", "SURNAME", "nosuch", "cn;lang-fr", "creatorsName", "hasSubordinates",
            "subschemaSubentry", "structuralObjectClass"]
        for _ in range(300):
            chosen = self.r.sample(kinds, self.r.randrange(1, 5))
            base = self.r.choice(BASES[:2] + BASES[3:5])
            line = f'search "{base}" one (!(objectClass=referral)) {" ".join(chosen)}'
            types_only = self.r.choice(("", " types-only"))
            with self.subTest(line + types_only):
                ours, theirs = (sorted(x.lower() for x in a) for a in self.both.ask(line + types_only))
                self.assertEqual(ours, theirs)

    def test_compares(self):
        for _ in range(500):
            kind = self.r.choice([k for k in TYPES if k not in ("entryDN", "hasSubordinates")])
            value = self.r.choice(TYPES[kind]).replace("\\28", "(").replace("\\29", ")")
            line = f'compare "{self.r.choice(BASES)}" {kind} "{value}"'
            with self.subTest(line):
                ours, theirs = self.both.ask(line)
                if (ours[0].split(" ")[0], theirs[0]) not in self.COMPARED:
                    self.assertEqual(ours, theirs)


WORK = servers.WORK
NAMES = ["a", "b", "c", "d e", "ä"]
WRITES = {  # type: values to write, good and bad
    "description": ["one", "ONE", "two", "x y", "x  y"],
    "title": ["one", "two"],
    "tstInteger": ["1", "2", "02", "x", "-7"],
    "tstSingle": ["one", "two"],
    "tstTime": ["20240101120000Z", "2024010112Z", "soon"],
    "tstExact": ["a", "A", "b"],
    "tstDn": ["o=x", "O=X", "x"],
    "nosuch": ["x"],
    "cn": ["one", "ONE", "two"],
    "ou": ["a", "b"],
    "telephoneNumber": ["1-2", "12", "3"],
    "mail": ["a@b.c"],
}


class Updates(unittest.TestCase):
    """Writes by chance, good and bad: the same codes, and the same tree at the end."""

    # A request with two faults: each server looks for them in an order of its own, slapd at all
    # values first. A change that is one value to or from one entry has to get the same code.
    FAULTS = {"noSuchObject", "entryAlreadyExists", "noSuchAttribute", "invalidAttributeSyntax",
              "objectClassViolation", "undefinedAttributeType", "constraintViolation",
              "attributeOrValueExists", "protocolError", "unwillingToPerform", "namingViolation"}
    PLACE = {"noSuchObject", "entryAlreadyExists"}

    def agree(self, lines, ours, theirs):
        if ours == theirs or (ours, theirs) == ("notAllowedOnRDN", "namingViolation"):
            return True
        several = (len(lines) > 2 or " | " in lines[-1] or ours in self.PLACE or
                   lines[-1].startswith("increment"))
        return several and {ours, theirs} <= self.FAULTS

    def name(self, r):
        depth = r.choice((1, 1, 2, 2, 3))
        return "".join(f"ou={r.choice(NAMES)}," for _ in range(depth)) + WORK

    def change(self, r):
        how = r.choice(("add", "add", "delete", "replace", "replace", "increment"))
        kind = r.choice(list(WRITES))
        n = r.choice((0, 1, 1, 1, 2)) if how != "add" else r.choice((1, 1, 2))
        values = [r.choice(WRITES[kind]) for _ in range(1 if how == "increment" else n)]
        return f"{how} {kind}: {' | '.join(values)}".rstrip(": ")

    def request(self, r):
        name = self.name(r)
        how = r.random()
        if how < 0.4:
            kinds = r.sample(list(WRITES), r.randrange(0, 3))
            return [f'add "{name}"', "objectClass: organizationalUnit | tstThing",
                    *(f"{k}: {r.choice(WRITES[k])}" for k in kinds)]
        if how < 0.75:
            return [f'modify "{name}"', *(self.change(r) for _ in range(r.choice((1, 1, 2, 3))))]
        if how < 0.85:
            return [f'delete "{name}"']
        keep = r.choice(("", " keep"))
        under = f' "under={self.name(r)}"' if r.random() < 0.5 else ""
        return [f'modrdn "{name}" "ou={r.choice(NAMES)}"{keep}{under}']

    @staticmethod
    def code(lines):
        return lines[0].split(" ")[0]

    def test_updates(self):
        for server in (DIRD, SLAPD):
            server.empty_work()
        both, r = Both(), random.Random(SEED)
        self.addCleanup(both.close)
        codes, log = {}, []
        for _ in range(1500):
            lines = self.request(r)
            ours, theirs = (self.code(x) for x in both.ask(*lines))
            log.append(f"{lines} {ours}")
            codes[ours] = codes.get(ours, 0) + 1
            if not self.agree(lines, ours, theirs):
                with self.subTest(f"{ours}, slapd {theirs}: {lines}"):
                    self.fail("\n".join(log[-8:]))
        self.assertGreater(len(codes), 10, codes)
        self.assertGreater(codes["success"], 200)
        kinds = " ".join(WRITES)
        trees = both.ask(f"search {WORK} sub (objectClass=*) {kinds} hasSubordinates")
        self.assertEqual(*[[x.lower() for x in t] for t in trees])
        self.assertGreater(len(trees[0]), 20)


if __name__ == "__main__":
    tap.main()
