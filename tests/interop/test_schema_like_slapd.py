#!/usr/bin/python3
# tests/run: timeout=300
"""Schema enforcement rule by rule, dird beside slapd with the same definitions (L10): every attribute type that both ship
with values good and bad, and every object class alone, in pairs, without what it needs, and changed."""
import os
import re
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "proto"), HERE, os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402

if not os.path.exists("/usr/sbin/slapd"):
    tap.skip_all("slapd is not installed")

import ber  # noqa: E402
import servers  # noqa: E402
from wording import RESULTS  # noqa: E402

WORK = servers.WORK
ENTRY = "ou=probe," + WORK
DIRD = SLAPD = None

# What is written to every type: text, numbers, names, times, and near misses of each.
PROBES = [b"", b" ", b"x", b"A b", b"\xc3\xa4", b"\xff", b"a\x00b", b"0", b"1", b"-1", b"01", b"-0", b"+1",
          b"123456789012345678901234567890", b"TRUE", b"true", b"FALSE", b"o=x", b"o=x,", b"o=x+o=y", b"=x", b"cn=a\\,b",
          b"nosuch=x", b"o=x#'01'B", b"o=x#'2'B", b"'0101'B", b"'0102'B", b"''B", b"20240101120000Z", b"2024010112Z",
          b"20240101120000", b"20241301120000Z", b"20240101120000.5+0130", b"2401011200Z", b"2.5.4.3", b"2.5.4.", b"2", b"cn",
          b"c_n", b"a@b.c", b"a$b", b"$", b"a$\\24", b"+49 30 1234-56", b"12 34", b"DE", b"DEU", b"d1",
          b"http://x/ label", b"(objectClass=*)", b"597ae2f6-16a6-1027-98f4-d28b5365dc14", b"597ae2f6", b"x$fine",
          b"p$1$2", b"g3fax$twoDimensional", b"telex", b"1$2$3", b"\x30\x00", b"x" * 300]


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


def definitions(server, kind):
    """{OID: definition} of a published schema."""
    c = server.session("admin").raw
    c.send(ber.search(7, "cn=Subschema", 0, ber.PRESENT, [kind]))
    _, values = ber.entry(c.answer().body)
    c.s.close()
    [(_, found)] = values.items()
    return {re.match(r"\( *([0-9.]+)", v.decode())[1]: v.decode() for v in found}


def name(definition):
    return re.search(r"NAME (?:\( *)?'([^']+)'", definition)[1]


def names(definition):
    return re.findall(r"'([^']+)'", re.search(r"NAME (\([^)]*\)|'[^']+')", definition)[1])


def words(definition, key):
    m = re.search(rf"\b{key} (?:\(([^)]*)\)|([^ ]+))", definition)
    return [w for w in re.split(r"[ $]+", (m[1] or m[2])) if w] if m else []


def rules(definition):
    """What the value of a type may be, as far as the definition says it itself."""
    return (words(definition, "SUP"), [w.split("{")[0] for w in words(definition, "SYNTAX")],
            "SINGLE-VALUE" in definition, "NO-USER-MODIFICATION" in definition, words(definition, "USAGE"))


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.clients = []
        for server in (DIRD, SLAPD):
            server.empty_work()
            self.clients.append(server.session("admin").raw)
        self.addCleanup(lambda: [c.s.close() for c in self.clients])
        ours, theirs = (definitions(s, "attributeTypes") for s in (DIRD, SLAPD))
        self.types = {name(theirs[oid]): theirs[oid] for oid in ours
                      if oid in theirs and rules(ours[oid]) == rules(theirs[oid])}
        self.canonical = {n.lower(): name(d) for d in theirs.values() for n in names(d)}
        ours, theirs = (definitions(s, "objectClasses") for s in (DIRD, SLAPD))
        self.classes = {name(theirs[oid]): theirs[oid] for oid in ours
                        if oid in theirs and self.needs(ours[oid]) == self.needs(theirs[oid])}
        del self.classes["referral"]  # tests/proto/rfc3296.case

    def needs(self, definition):
        """What a class is: its kind, the classes above it, and its types under one name each."""
        kind = next((k for k in ("ABSTRACT", "AUXILIARY") if k in definition), "STRUCTURAL")
        return kind, words(definition, "SUP"), *({self.canonical.get(w.lower(), w) for w in words(definition, key)}
                                                 for key in ("MUST", "MAY"))

    def codes(self, requests):
        """Result codes of both, by their names."""
        out = []
        for c in self.clients:
            out.append([])
            for i, make in enumerate(requests):  # one at a time: slapd does them in any order
                c.send(make(100 + i))
                out[-1].append(RESULTS.get(c.result(100 + i).code))
        return out

    def compare(self, what, requests, accepted):
        """what: a name for each request. accepted: {(ours, theirs): names that it stands for, or None for any}"""
        ours, theirs = self.codes(requests)
        wrong = []
        for w, a, b in zip(what, ours, theirs):
            known = accepted.get((a, b), ())
            if a != b and known is not None and w not in known:
                wrong.append((a, b, w))
        self.assertEqual(sorted(wrong), [])
        return ours


def parts(items, n):
    return [items[i:i + n] for i in range(0, len(items), n)]


class Types(Case):
    # Syntaxes that slapd has no check for, so that it refuses every value, or takes only ;binary.
    UNKNOWN_TO_SLAPD = {"1.3.6.1.4.1.1466.115.121.1." + n for n in ("8", "9", "10", "14", "21", "23", "25", "49", "51")} | {
        "1.3.6.1.1.1.0.0", "1.3.6.1.1.1.0.1"}

    def probed(self):
        """User attributes whose values both servers can check."""
        return [k for k, d in sorted(self.types.items()) if not words(d, "USAGE") and
                k not in ("objectClass", "userPassword", "ou", *OTHERWISE) and
                not self.UNKNOWN_TO_SLAPD & {w.split("{")[0] for w in words(d, "SYNTAX")}]

    def test_values(self):
        base = {"objectClass": ["organizationalUnit", "extensibleObject"], "ou": ["probe"]}
        self.compare(["base"], [lambda n: ber.add(n, ENTRY, base)], {})
        tried = 0
        for kind in self.probed():
            requests, what = [], []
            for probe in PROBES:
                requests += [lambda n, p=probe, k=kind: ber.modify(n, ENTRY, [(0, k, [p])]),
                             lambda n, k=kind: ber.modify(n, ENTRY, [(2, k, [])])]
                what += [f"{probe[:40]!r}", "away"]
            tried += len(requests)
            with self.subTest(kind):
                self.compare(what, requests, VALUES)
        self.assertGreater(tried, 5000)

    def test_single_valued(self):
        base = {"objectClass": ["organizationalUnit", "extensibleObject"], "ou": ["probe"]}
        self.compare(["base"], [lambda n: ber.add(n, ENTRY, base)], {})
        pairs = [(b"DE", b"FR"), (b"TRUE", b"FALSE"), (b"1", b"2"), (b"20240101120000Z", b"20240101120001Z"),
                 (b"o=x", b"o=y"), (b"telex", b"ia5")]
        single = 0
        for kind in self.probed():
            requests = [lambda n, k=kind, v=v: ber.modify(n, ENTRY, [(2, k, list(v))]) for v in pairs]
            with self.subTest(kind):
                ours = self.compare([str(v) for v in pairs], requests, VALUES)
                single += "constraintViolation" in ours
            self.codes([lambda n, k=kind: ber.modify(n, ENTRY, [(2, k, [])])])
        self.assertGreater(single, 5)

    def test_operational(self):
        """What nobody may write (RFC 4512 §2.5: NO-USER-MODIFICATION)."""
        base = {"objectClass": ["organizationalUnit", "extensibleObject"], "ou": ["probe"]}
        self.compare(["base"], [lambda n: ber.add(n, ENTRY, base)], {})
        kinds = [k for k, d in sorted(self.types.items()) if "NO-USER-MODIFICATION" in d]
        self.assertGreater(len(kinds), 8)
        for kind in kinds:
            good = {"entryUUID": b"597ae2f6-16a6-1027-98f4-d28b5365dc14", "createTimestamp": b"20240101120000Z",
                    "modifyTimestamp": b"20240101120000Z", "hasSubordinates": b"TRUE",
                    "structuralObjectClass": b"top",
                    **dict.fromkeys(("entryCSN", "contextCSN"), b"20240101120000.000000Z#000000#000#000000")}.get(kind, b"o=x")
            with self.subTest(kind):
                ours = self.compare(["replace", "add"], [
                    lambda n: ber.modify(n, ENTRY, [(2, kind, [good])]),
                    lambda n: ber.add(n, "ou=x," + WORK, {"objectClass": ["organizationalUnit"], "ou": ["x"], kind: [good]})],
                    {})
                self.assertEqual(ours, ["constraintViolation"] * 2)


class Classes(Case):
    def entry(self, classes, leave=None, more=()):
        """An entry of these classes with what they need."""
        needs = set()
        for c in classes:
            up = [c]
            while up:
                d = self.classes.get(up.pop())
                if d:
                    needs |= {self.canonical.get(w.lower(), w) for w in words(d, "MUST")}
                    up += words(d, "SUP")
        values = {k: [GOOD.get(k, b"x")] for k in needs - {"objectClass", leave}}
        return {"objectClass": list(classes), **values, **dict(more)}

    def adds(self, cases, accepted):
        """cases: {what: attributes}"""
        for what, values in cases.items():
            values = dict(values)
            values.setdefault("cn", [b"probe"])
            values["cn"] = [b"probe"]
            dn = "cn=probe," + WORK
            with self.subTest(what):
                self.compare([what], [lambda n, v=values: ber.add(n, dn, v)], accepted)
            self.codes([lambda n: ber.delete(n, dn, servers.MANAGE_DSA_IT)])

    def test_alone(self):
        """Structural, auxiliary or abstract; what it needs; without one of those."""
        cases = {}
        for c, d in self.classes.items():
            cases[c] = self.entry([c])
            for lost in words(d, "MUST"):
                cases[f"{c} without {lost}"] = self.entry([c], lost)
        self.adds(cases, CLASSES)

    def test_pairs(self):
        cases = {f"{a} {b}": self.entry([a, b]) for a in sorted(self.classes) for b in sorted(self.classes) if a < b}
        self.adds(cases, CLASSES)


GOOD = {"c": b"DE", "uidNumber": b"1", "gidNumber": b"1", "member": b"o=x", "uniqueMember": b"o=x",
        "aliasedObjectName": b"o=x", "ref": b"ldap://x/", "dITRedirect": b"o=x", "associatedName": b"o=x",
        "subtreeSpecification": b"{}", "ipServicePort": b"1", "ipProtocolNumber": b"1", "oncRpcNumber": b"1",
        "cn": b"probe", "userPassword": b"x", "dc": b"x", "tstSingle": b"x"}
# Types that are not compared, since slapd takes any printable text with dollars (RFC 4517 §3.3.11, §3.3.33); since it
# wants names of OIDs that it knows, and takes numbers without dots (RFC 4512 §1.4); since it is allowed in aliases only.
OTHERWISE = {"facsimileTelephoneNumber", "telexNumber", "tstOid", "aliasedObjectName"}
# (dird, slapd): what is accepted, for the reason behind it
VALUES = {
    # two faults: which one is told
    ("constraintViolation", "invalidAttributeSyntax"): None,
    # DNs: unknown types, blanks, and two values of one type are looked at where an entry gets the name
    ("success", "invalidAttributeSyntax"): {"b' '", "b'o=x+o=y'", "b'nosuch=x'"},
    # postal addresses: lines are not empty (RFC 4517 §3.3.28)
    ("invalidAttributeSyntax", "success"): {"b''", "b'$'"},
}
CLASSES = {}

if __name__ == "__main__":
    tap.main()
