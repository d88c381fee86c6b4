#!/usr/bin/python3
# tests/run: build=gcc timeout=600
"""routectl compute against an independent calculation: random topologies, every site row compared.

The calculation here is the naive one: all simple paths by depth-first search, then the rules R3-R5,
R8 and R9 word by word. Spaces of addresses are compared by their cost only.
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402

TOPOLOGIES = 4000 if os.environ.get("WAYPOST_SOAK") else 300
KINDS = {"imsConnector": "SMTP", "siteConnector": "EX", "x400Connector": "X400"}


class Connector:
    def __init__(self, site, name, kind):
        self.site, self.name, self.kind = site, name, kind
        self.edges = {}        # site name -> (cost, routing address)
        self.enabled, self.flag, self.restriction, self.mode = True, None, "none", "both"
        self.smart_host, self.domain_route, self.spaces = None, {}, []

    @property
    def ims(self):
        return self.kind == "imsConnector"

    def sends(self, cls):
        return (self.enabled and self.mode in ("both", "out")
                and self.restriction != "no" + cls.capitalize())

    def ldif(self):
        yield f"dn: cn={self.name},cn=Connections,cn=Configuration,ou={self.site},o=Example"
        yield f"objectClass: {self.kind}"
        for site, (cost, address) in self.edges.items():
            yield f"connectedDomains: {site};{cost};{KINDS[self.kind]}:{address}"
        for pattern, cost, scope in self.spaces:
            yield f"routingList: SMTP:{pattern};{cost}" + (f";{scope}" if scope else "")
        if not self.enabled:
            yield "connectorEnabled: FALSE"
        if self.restriction != "none":
            yield f"messageClassRestriction: {self.restriction}"
        if self.ims:
            if self.flag is not None:
                yield f"onlySystemMessagesUseCDs: {str(self.flag).upper()}"
            if self.mode != "both":
                yield f"transferMode: {self.mode}"
            if self.smart_host:
                yield f"smartHost: {self.smart_host}"
            for domain, host in self.domain_route.items():
                yield f"domainRoute: {domain};{host}"


class World:
    """A random organisation: sites with an object, ghosts that are only mentioned, connectors."""

    def __init__(self, seed):
        rng = self.rng = random.Random(seed)
        self.sites = {}        # name -> {"domain": str or None, "flag": bool or None}
        count = rng.randrange(2, 7)
        names = [f"S{n}" for n in range(count)]
        for name in names:
            domain = rng.choice([f"{name.lower()}.example.com"] * 6
                                + ["shared.example.com"] * 2 + [None])
            self.sites[name] = {"domain": domain, "flag": rng.choice([None, None, True, False])}
        self.ghosts = ["Ghost"] if rng.random() < 0.4 else []
        self.connectors = []
        for name in names:
            for number in range(rng.randrange(1, 3)):
                self._connector(name, number, names)

    def _connector(self, site, number, names):
        rng = self.rng
        kind = rng.choice(["imsConnector"] * 5 + ["siteConnector", "x400Connector"])
        c = Connector(site, f"{kind[0].upper()}{number} ({site})", kind)
        for other in names + self.ghosts:
            if rng.random() < (0.45 if other != site else 0.05):
                spelled = other.lower() if rng.random() < 0.2 and other in names else other
                c.edges[spelled] = (rng.choice([1, 1, 1, 2, 5, 100]), f"{other.lower()}.example.com")
        c.enabled = rng.random() > 0.1
        c.restriction = rng.choice(["none"] * 8 + ["noUser", "noSystem"])
        if c.ims:
            c.flag = rng.choice([None, None, True, True, False])
            c.mode = rng.choice(["both"] * 7 + ["in", "out", "none"])
            if rng.random() < 0.1:
                c.smart_host = f"smart.{site.lower()}.example.com"
            if rng.random() < 0.15:
                to = rng.choice(names).lower()
                c.domain_route[f"{to}.example.com"] = f"pinned.{to}.example.com"
        self.connectors.append(c)

    def ldif(self):
        lines = ["version: 1", "", "dn: o=Example", "objectClass: organization",
                 "objectClass: mailOrganization", "o: Example", ""]
        for name, site in self.sites.items():
            lines += [f"dn: ou={name},o=Example", "objectClass: organizationalUnit",
                      "objectClass: mailSite", f"ou: {name}"]
            if site["domain"]:
                lines.append(f"siteSmtpDomain: {site['domain']}")
            if site["flag"] is not None:
                lines.append(f"onlySystemMessagesUseCDs: {str(site['flag']).upper()}")
            for container in ("cn=Configuration", "cn=Connections,cn=Configuration"):
                lines += ["", f"dn: {container},ou={name},o=Example", "objectClass: container"]
            lines.append("")
        for c in self.connectors:
            lines += [*c.ldif(), ""]
        return "\n".join(lines)

    # --- the independent calculation ------------------------------------------------------------

    def named(self, name):
        """A site by the name a connected domain gives it, in the object's spelling."""
        return next((s for s in self.sites if s.lower() == name.lower()), name)

    def edges(self, cls, site):
        for c in self.connectors:
            if c.site == site and c.sends(cls):
                for name, (cost, address) in c.edges.items():
                    if self.named(name) != site:
                        yield c, self.named(name), cost, address

    def paths(self, cls, at, target, seen):
        """Every simple path as a list of (connector, next site, cost, address)."""
        for edge in self.edges(cls, at):
            to = edge[1]
            if to == target:
                yield [edge]
            elif to not in seen and to in self.sites:
                for rest in self.paths(cls, to, target, seen | {to}):
                    yield [edge, *rest]

    @staticmethod
    def key(path):
        return (sum(e[2] for e in path), len(path),
                [f"{e[0].site}/{e[0].name}".lower().encode() for e in path])

    def candidates(self, cls, local, target):
        best = {}
        for path in self.paths(cls, local, target, {local}):
            pair = (path[0][0].name, path[0][1])
            if pair not in best or self.key(path) < self.key(best[pair]):
                best[pair] = path
        least = min((self.key(p)[0] for p in best.values()), default=None)
        return sorted((p for p in best.values() if self.key(p)[0] == least), key=self.key)

    def direct_reason(self, path, target):
        first = path[0][0]
        flag = first.flag if first.flag is not None else self.sites[first.site]["flag"]
        domain = self.sites.get(target, {}).get("domain")
        for reason, holds in (
                ("FIRST_HOP_NOT_IMS", first.ims),
                ("FLAG_OFF", bool(flag)),
                ("SMART_HOST", not first.smart_host),
                ("MIXED_PATH", all(e[0].ims for e in path)),
                ("SITE_NOT_LIVE", target in self.sites),
                ("NO_INBOUND_IMS", any(c.site == target and c.ims and c.enabled
                                       and c.mode in ("both", "in") for c in self.connectors)),
                ("NO_SITE_DOMAIN", domain is not None),
                ("SHARED_DOMAIN", [s["domain"] for s in self.sites.values()].count(domain) == 1)):
            if not holds:
                return reason
        return "OK"

    @staticmethod
    def connected_hop(edge):
        c, address = edge[0], edge[3]
        if not c.ims:
            return f"{KINDS[c.kind]}:{address}"
        if c.smart_host:
            return "host:" + c.smart_host
        if address in c.domain_route:
            return "host:" + c.domain_route[address]
        return "mx:" + address

    def row(self, cls, target, path):
        row = {"class": cls, "type": "EX", "target": target}
        if path is None:
            return {**row, "cost": None, "hops": None, "mode": "none", "nexthop": None,
                    "reason": "SYSTEM" if cls == "system" else "NO_ROUTE"}
        first = path[0][0]
        reason = "SYSTEM" if cls == "system" else self.direct_reason(path, target)
        row.update(cost=self.key(path)[0], hops=len(path), mode="connected",
                   nexthop=self.connected_hop(path[0]), connector=first.name,
                   path=[f"{e[0].site}/{e[0].name}" for e in path], reason=reason)
        if reason == "OK":
            domain = self.sites[target]["domain"]
            pin = first.domain_route.get(domain)
            row.update(hops=1, mode="direct", nexthop=f"host:{pin}" if pin else f"mx:{domain}")
        return row

    def table(self, local):
        mentioned = {self.named(n) for c in self.connectors for n in c.edges}
        rows = []
        for cls in ("system", "user"):
            for target in sorted((set(self.sites) | mentioned) - {local}, key=str.lower):
                found = [self.row(cls, target, p)
                         for p in self.candidates(cls, local, target) or [None]]
                direct = [r for r in found if r["mode"] == "direct"]
                rows += direct or found
        return rows


def compute(ldif, site):
    with tempfile.NamedTemporaryFile("w", suffix=".ldif", encoding="utf-8") as f:
        f.write(ldif)
        f.flush()
        p = subprocess.run(["routectl", "compute", "--ldif", f.name, "--site", site, "--json"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return p.returncode, p.stdout, p.stderr.decode()


class Compute(unittest.TestCase):
    maxDiff = None

    def check_topology(self, seed):
        world = World(seed)
        ldif = world.ldif()
        local = world.rng.choice(list(world.sites))
        rc, out, err = compute(ldif, local)
        self.assertEqual(rc, 0, f"seed {seed}: {err}")
        rows = [json.loads(line) for line in out.decode().splitlines()]
        got = [r for r in rows if r["type"] == "EX"]
        expected = world.table(local)
        for g, e in zip(got, expected):
            self.assertEqual({k: g.get(k) for k in e}, e, f"seed {seed}, at {local}\n{ldif}")
        self.assertEqual(len(got), len(expected), f"seed {seed}, at {local}\n{ldif}")
        self.assertEqual(compute(ldif, local)[1], out, f"seed {seed}: another output")
        return {r["reason"] for r in rows}

    def test_random_topologies(self):
        seen = set()
        for seed in range(TOPOLOGIES):
            seen |= self.check_topology(seed)
        for reason in ("OK", "SYSTEM", "NO_ROUTE", "FIRST_HOP_NOT_IMS", "FLAG_OFF", "SMART_HOST",
                       "MIXED_PATH", "SITE_NOT_LIVE", "NO_INBOUND_IMS", "NO_SITE_DOMAIN",
                       "SHARED_DOMAIN"):
            self.assertIn(reason, seen, "no topology led to it")

    def test_keys_in_order(self):
        out = compute(World(1).ldif(), "S0")[1].decode()
        for line in out.splitlines():
            self.assertEqual(list(json.loads(line)), [
                "class", "type", "target", "cost", "hops", "mode", "nexthop", "connector", "path",
                "reason"])

    def test_bad_object_disables_itself_only(self):
        world = World(3)
        ldif = world.ldif()
        good = compute(ldif, "S0")
        bad = ldif + ("\ndn: cn=Bad,cn=Connections,cn=Configuration,ou=S0,o=Example\n"
                      "objectClass: imsConnector\nconnectedDomains: S1;0;SMTP:x.example.com\n")
        rc, out, err = compute(bad, "S0")
        self.assertEqual(rc, 1)
        self.assertEqual(out, good[1])
        for word in ("cn=Bad,cn=Connections", "connectedDomains", "S1;0;SMTP:x.example.com"):
            self.assertIn(word, err)


tap.main()
