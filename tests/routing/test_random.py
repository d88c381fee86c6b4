#!/usr/bin/python3
# tests/run: build=san timeout=900
"""routectl compute against reference.py: random organisations, every row of every kind compared.

Beside topology these vary what reference.py has to read: malformed values, mixed case, escapes, several
connected domains of one site, address spaces, double spellings, non-ASCII names, order of the file.
A failing seed prints itself: tests/routing/test_random.py SEED shows both tables.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import reference  # noqa: E402
import tap  # noqa: E402

SEEDS = 6000 if os.environ.get("WAYPOST_SOAK") else 400
SPACES = ["SMTP:*", "SMTP:*@partner.example", "SMTP:*@Partner.example", "smtp:", "FAX:",
          "SMTP:boss@partner.example", "X400:c=US\\;a= \\;p=Partner", "CCMAIL:*"]
MALFORMED = [
    ("connectedDomains", ["S1;0;SMTP:a.example", "S1;101;SMTP:a.example", "S1;;SMTP:a.example",
                          "S1;x;SMTP:a.example", "S1;01;SMTP:a.example", "S1;1;a.example",
                          "S1;1;SMTP:", ";1;SMTP:a.example", "S1;1", "S1;1;SMTP:a.example;x",
                          "S1;1;SMTP:a..example", "S1;1;S MTP:a.example", "S1;-1;SMTP:a.example",
                          "S1;1;SMTP:u@a.example", "S1;1 ;SMTP:a.example"]),
    ("routingList", ["SMTP:*", "SMTP:*;0", "SMTP:*;1;world", "SMTP:*;1;", "*;1", "EX:S1;1",
                     "SMTP:*;1;org;x", ":*;1"]),
    ("connectorEnabled", ["maybe"]),
    ("messageClassRestriction", ["noNothing"]),
    ("transferMode", ["sideways"]),
    ("onlySystemMessagesUseCDs", ["1"]),
    ("smartHost", ["host:25", "[host", "[host]:0", "[host]:x", "[]:25", "two words"]),
    ("domainRoute", ["a.example", "a.example;", ";host", "a.example;h;x", "a b;host"]),
    ("mtaTransport", ["x 400", "a:b"]),
]


def organisation(seed):
    """A list of entries, each a list of LDIF lines."""
    rng = random.Random(seed)
    names = [f"S{n}" for n in range(1, rng.randrange(3, 7))]
    if rng.random() < 0.3:
        names[-1] = rng.choice(["Zürich", "New York", "S-1", "a/b", "Quote\"d", "Acme, Inc"])
    mentioned = names + (["Ghost"] if rng.random() < 0.4 else [])
    entries = [["dn: o=Example", "objectClass: organization", "o: Example"]]
    for name in names:
        lines = [f"dn: ou={escaped(name)},o=Example", "objectClass: organizationalUnit",
                 "objectClass: mailSite", f"ou: {name}"]
        domain = rng.choice([f"d{names.index(name)}.example"] * 6 + ["Both.example", "both.Example",
                                                                    None])
        if domain:
            lines.append(f"siteSmtpDomain: {domain}")
        if rng.random() < 0.4:
            lines.append("onlySystemMessagesUseCDs: " + rng.choice(["TRUE", "FALSE"]))
        if rng.random() < 0.02:
            lines.append("siteSmtpDomain: not a domain")
        entries.append(lines)
        for number in range(rng.choice([1, 1, 1, 2, 3])):
            entries.append(connector(rng, name, number, mentioned))
    return rng, names, entries


def escaped(name):
    """As a value in a DN (RFC 4514 §2.4)."""
    return name.replace('"', '\\"').replace(",", "\\,")


def case(rng, name):
    return rng.choice([name] * 5 + [name.upper(), name.lower()])


def connector(rng, site, number, mentioned):
    kind = rng.choice(["imsConnector"] * 7 + ["siteConnector", "x400Connector", "gatewayConnector"])
    name = f"{kind[:2]}{number}" if rng.random() < 0.9 else "Same Name"
    extra = f",cn=C{number}" if name == "Same Name" else ",cn=Connections"
    lines = [f"dn: cn={name}{extra},cn=Configuration,ou={escaped(case(rng, site))},o=Example",
             "objectClass: mailConnector", f"objectClass: {kind}", f"cn: {name}"]
    own = "SMTP" if kind == "imsConnector" else rng.choice(["X400", "RPC", "SMTP"])
    for other in mentioned:
        while rng.random() < (0.5 if other != site else 0.05):
            cd = f"{case(rng, other)};{rng.choice([1, 1, 1, 2, 2, 3, 7, 100])};"
            to = f"r{mentioned.index(other)}.example"
            if own == "X400" or rng.random() < 0.03:
                cd += f"X400:c=US\\;a= \\;o={to}"
            else:
                cd += f"{own}:{to}"
            lines.append("connectedDomains: " + cd)
    while rng.random() < 0.4:
        lines.append(f"routingList: {rng.choice(SPACES)};{rng.choice([1, 1, 2, 3, 50])}"
                     + rng.choice(["", "", ";org", ";site"]))
    for chance, line in (
            (0.08, "connectorEnabled: FALSE"),
            (0.10, "messageClassRestriction: " + rng.choice(["noUser", "noSystem", "none"])),
            (0.15, "transferMode: " + rng.choice(["in", "out", "none", "both"])),
            (0.60, "onlySystemMessagesUseCDs: " + rng.choice(["TRUE", "TRUE", "FALSE"])),
            (0.07, "smartHost: " + rng.choice(["smart.example", "[smart.example]:2525"])),
            (0.15, f"domainRoute: {rng.choice('rd')}{rng.randrange(4)}.Example;pinned.example"),
            (0.10, "mtaTransport: x400")):
        if rng.random() < chance and (kind == "imsConnector" or chance in (0.08, 0.10)):
            lines.append(line)
    if rng.random() < 0.08:
        attribute, values = rng.choice(MALFORMED)
        lines.append(f"{attribute}: {rng.choice(values)}")
    return lines


def write(entries, file):
    file.write("version: 1\n\n" + "\n\n".join("\n".join(e) for e in entries) + "\n")
    file.flush()


def compute(path, site):
    p = subprocess.run(["routectl", "compute", "--ldif", path, "--site", site, "--json"],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def shuffled(rng, entries):
    """The same directory in another order: of entries, and of each entry's values."""
    entries = [e[:1] + rng.sample(e[1:], len(e) - 1) for e in entries]
    rng.shuffle(entries)
    return entries


class Random(unittest.TestCase):
    maxDiff = None

    def check(self, seed):
        rng, names, entries = organisation(seed)
        site = rng.choice(names)
        with tempfile.NamedTemporaryFile("w", suffix=".ldif", encoding="utf-8") as f:
            write(entries, f)
            status, out, err = compute(f.name, site)
            world = reference.World(f.name)
            expected = world.table(site)
        with tempfile.NamedTemporaryFile("w", suffix=".ldif", encoding="utf-8") as f:
            write(shuffled(rng, entries), f)
            again = compute(f.name, case(rng, site))
        where = f"seed {seed} at {site}"
        rows = [json.loads(line) for line in out.splitlines()]
        for got, want in zip(rows, expected):
            self.assertEqual(got, want, where)
        self.assertEqual(len(rows), len(expected), where)
        self.assertEqual(status, 1 if world.ignored else 0, where + "\n" + err)
        told = err.splitlines()
        self.assertEqual(len(told), len(world.ignored), where + "\n" + err)
        for dn, attribute, value in world.ignored:
            self.assertTrue(any(t.startswith(f'{dn}: {attribute}: "{value}": ') for t in told),
                            f"{where}: {dn} {attribute} {value}\n{err}")
        self.assertEqual(again, (status, out, err), where + ", shuffled")
        return rows, world.ignored

    def test_every_row(self):
        seen, ignored = set(), 0
        for seed in range(SEEDS):
            rows, left_out = self.check(seed)
            ignored += len(left_out)
            for row in rows:
                seen.update(("reason " + row["reason"], "mode " + row["mode"],
                             "type " + row["type"], str(row["nexthop"]).split(":")[0] + ":"))
        for what in ("OK", "SYSTEM", "SPACE", "NO_ROUTE", "FIRST_HOP_NOT_IMS", "FLAG_OFF",
                     "SMART_HOST", "MIXED_PATH", "SITE_NOT_LIVE", "NO_INBOUND_IMS",
                     "NO_SITE_DOMAIN", "SHARED_DOMAIN"):
            self.assertIn("reason " + what, seen, "no seed led to it")
        for what in ("mode direct", "mode connected", "mode none", "mode local", "type SMTP",
                     "type X400", "type FAX", "mx:", "host:", "X400:", "None:"):
            self.assertIn(what, seen, "no seed led to it")
        self.assertGreater(ignored, 0, "no malformed value was met")

    def test_no_loop(self):
        """Follow every row of every site's table: each hop leads on, and the target is reached."""
        followed = 0
        for seed in range(SEEDS // 4):
            _, names, entries = organisation(seed)
            with tempfile.NamedTemporaryFile("w", suffix=".ldif", encoding="utf-8") as f:
                write(entries, f)
                tables = {n: [json.loads(line) for line in compute(f.name, n)[1].splitlines()]
                          for n in names}
            followed += sum(self.follow(seed, tables, at, row) for at in names
                            for row in tables[at] if row["type"] == "EX")
        self.assertGreater(followed, 1000)

    def follow(self, seed, tables, at, row):
        """The message that takes `row` at site `at`; every later site uses its own first row."""
        visited, cls, target = [at], row["class"], row["target"]
        while at != target:
            if row["mode"] == "none":
                self.assertEqual(len(visited), 1, f"seed {seed}: {cls} {target} stuck: {visited}")
                return 0
            on_the_way = [e.rsplit("/", 1)[0] for e in row["path"][1:]] + [target]
            at = target if row["mode"] == "direct" else on_the_way[0]
            self.assertNotIn(at, visited, f"seed {seed}: {cls} mail for {target} is in a circle")
            visited.append(at)
            if at != target:
                row = next(r for r in tables[at]
                           if (r["class"], r["type"], r["target"]) == (cls, "EX", target))
        return 1


class Alternates(unittest.TestCase):
    """R5: routectl explain shows the candidates behind those of the table, cheapest first."""

    def explain(self, path, site, cls, address):
        p = subprocess.run(["routectl", "explain", "--ldif", path, "--site", site, "--class", cls, "--json",
                            address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return json.loads(p.stdout)

    def check(self, seed):
        rng, names, entries = organisation(seed)
        site, seen = rng.choice(names), 0
        with tempfile.NamedTemporaryFile("w", suffix=".ldif", encoding="utf-8") as f:
            write(entries, f)
            world = reference.World(f.name)
            local = reference.fold(site)
            for cls in ("user", "system"):
                candidates = world.all_candidates(cls, local)
                for target, pairs in candidates.items():
                    domain = target in world.sites and world.sites[target].domain
                    if not domain or domain.lower() == "both.example":
                        continue
                    got = self.explain(f.name, site, cls, "x@" + domain)
                    self.assertEqual(got["type"], "EX")
                    want = self.rows(world, cls, local, target, pairs)
                    used = got["candidates"]
                    self.assertEqual(got["alternates"], [r for r in want if r not in want[:used]]
                                     if want[0]["mode"] != "direct" else self.behind_direct(want))
                    self.assertEqual(got["alternatesTotal"], len(got["alternates"]))
                    seen += len(got["alternates"])
        return seen

    @staticmethod
    def behind_direct(rows):
        return [r for r in rows if r["mode"] != "direct" or r["cost"] != rows[0]["cost"]]

    @staticmethod
    def rows(world, cls, local, target, pairs):
        """All candidates as rows; those that the table has come first."""
        rows = []
        for cost, path in sorted(pairs.values(), key=lambda p: (p[0], world.order(p[1]))):
            one = world.site_rows(cls, local, target, {0: (cost, path)})[0]
            name = world.sites[target].name
            rows.append({"class": cls, "type": "EX", "target": name, **one})
        least = rows[0]["cost"]
        direct = [r for r in rows if r["cost"] == least and r["mode"] == "direct"]
        return direct + [r for r in rows if r not in direct]

    def test_as_the_reference(self):
        self.assertGreater(sum(self.check(seed) for seed in range(SEEDS // 8)), 50)


def show(seed):
    _, names, entries = organisation(seed)
    with tempfile.NamedTemporaryFile("w", suffix=".ldif", encoding="utf-8") as f:
        write(entries, f)
        print(open(f.name, encoding="utf-8").read())
        for site in names:
            print(f"--- {site}: routectl, then the reference")
            print(*compute(f.name, site)[1:], sep="\n")
            for row in reference.World(f.name).table(site):
                print(json.dumps(row, ensure_ascii=False, separators=(",", ":")))


if len(sys.argv) > 1:
    show(int(sys.argv[1]))
else:
    tap.main()
