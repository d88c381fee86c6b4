#!/usr/bin/python3
"""Routing by brute force: slow, short and obviously right. Usage: reference.py LDIF SITE

Reads the same LDIF as `routectl compute`, enumerates every simple path, and prints the same lines. It shares
nothing with the C code but the text of docs/routing.md.
"""
import base64
import json
import re
import sys

CONNECTORS = ("imsconnector", "siteconnector", "x400connector", "gatewayconnector", "mailconnector")
TYPE = re.compile(r"[A-Za-z0-9_-]{1,16}")
DOMAIN = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_\x80-\U0010ffff-]{1,63}"
                    r"(\.[A-Za-z0-9_\x80-\U0010ffff-]{1,63})*")


def fold(text):
    """The form in which names and patterns are compared."""
    text = " ".join(text.split()).casefold()
    return text[:-1] if text.endswith(".") else text


def read_ldif(path):
    """Entries as (dn, {attribute in lower case: [values]})."""
    with open(path, encoding="utf-8") as f:
        text = f.read().replace("\n ", "")
    for block in re.split(r"\n\n+", text):
        entry, dn = {}, None
        for line in block.splitlines():
            m = re.match(r"([\w-]+)(::?) *(.*)", line)
            if not m or m.group(1) == "version":
                continue
            value = m.group(3)
            if m.group(2) == "::":
                value = base64.b64decode(value).decode()
            if m.group(1) == "dn":
                dn = value
            else:
                entry.setdefault(m.group(1).lower(), []).append(value)
        if dn is not None:
            yield dn, entry


def rdns(dn):
    return [re.sub(r"\\(.)", r"\1", r) for r in re.split(r"(?<!\\),", dn)]


def rdn_value(dn):
    return rdns(dn)[0].split("=", 1)[1]


class Bad(Exception):
    pass


def fields(value):
    if not value or any(ord(c) < 32 or ord(c) == 127 for c in value):
        raise Bad
    return [f.replace("\\;", ";") for f in re.split(r"(?<!\\);", value)]


def cost_of(text):
    if not re.fullmatch("[1-9][0-9]{0,2}", text) or int(text) > 100:
        raise Bad
    return int(text)


def typed(text):
    kind, colon, rest = text.partition(":")
    if not colon or not TYPE.fullmatch(kind):
        raise Bad
    return kind.upper(), rest


def domain_of(text):
    text = text[:-1] if text.endswith(".") else text
    if not DOMAIN.fullmatch(text):
        raise Bad
    return text


def check_host(text):
    m = re.fullmatch(r"\[([A-Za-z0-9_.:-]+)\](?::([0-9]{1,5}))?", text)
    if m:
        if m.group(2) and not 1 <= int(m.group(2)) <= 65535:
            raise Bad
    else:
        domain_of(text)
    return text


def connected_domain(value):
    f = fields(value)
    if len(f) != 3 or not f[0].strip():
        raise Bad
    kind, address = typed(f[2])
    if not address.strip():
        raise Bad
    if kind == "SMTP" and not address.startswith("["):
        address = domain_of(address)
    elif kind == "SMTP":
        check_host(address)
    return f[0].strip(), cost_of(f[1]), kind, address


def address_space(value):
    f = fields(value)
    if not 2 <= len(f) <= 3:
        raise Bad
    kind, pattern = typed(f[0])
    scope = f[2].lower() if len(f) == 3 else "org"
    if scope not in ("org", "site") or kind == "EX":
        raise Bad
    return kind, pattern.strip(), cost_of(f[1]), scope


def domain_route(value):
    f = fields(value)
    if len(f) != 2:
        raise Bad
    return fold(domain_of(f[0])), check_host(f[1])


class Reading:
    """Values of one entry; what breaks its grammar goes to `ignored` as (dn, attribute, value)."""

    def __init__(self, dn, entry, ignored):
        self.dn, self.entry, self.ignored = dn, entry, ignored

    def many(self, name, parse):
        good = []
        for value in sorted(set(self.entry.get(name.lower(), [])), key=str.encode):
            try:
                good.append(parse(value))
            except Bad:
                self.ignored.append((self.dn, name, value))
        return good

    def one(self, name, parse):
        values = sorted(set(self.entry.get(name.lower(), [])), key=str.encode)
        for value in values[1:]:
            self.ignored.append((self.dn, name, value))
        self.entry[name.lower()] = values[:1]
        return next(iter(self.many(name, parse)), None)

    def word(self, name, words):
        def parse(value):
            if value.lower() not in [w.lower() for w in words]:
                raise Bad
            return value.lower()
        return self.one(name, parse) or words[0].lower()

    def flag(self, name):
        def parse(value):
            if value.upper() not in ("TRUE", "FALSE"):
                raise Bad
            return value.upper() == "TRUE"
        return self.one(name, parse)


class Connector:
    def __init__(self, r, kind, site):
        self.site, self.name, self.dn, self.kind = site, rdn_value(r.dn), r.dn, kind
        self.ims = kind == "imsconnector"
        self.cds = r.many("connectedDomains", connected_domain)
        self.spaces = r.many("routingList", address_space)
        self.enabled = r.flag("connectorEnabled") is not False
        self.restriction = r.word("messageClassRestriction", ["none", "noUser", "noSystem"])
        r.one("mtaTransport", lambda v: v if re.fullmatch(r"[A-Za-z0-9_.-]+", v) else bad())
        self.flag, self.mode, self.smart, self.pins = None, "both", None, {}
        if self.ims:
            self.flag = r.flag("onlySystemMessagesUseCDs")
            self.mode = r.word("transferMode", ["both", "in", "out", "none"])
            self.smart = next(iter(r.many("smartHost", check_host)), None)
            for domain, host in r.many("domainRoute", domain_route):
                self.pins[domain] = min(host, self.pins.get(domain, host))

    def carries(self, cls):
        return (self.enabled and self.mode in ("both", "out")
                and self.restriction != "no" + cls)

    @property
    def element(self):
        return f"{self.site.name}/{self.name}"


def bad():
    raise Bad


class Site:
    def __init__(self, r):
        self.dn, self.name = r.dn, rdn_value(r.dn)
        self.domain = r.one("siteSmtpDomain", domain_of)
        r.many("siteSharedDomain", domain_of)
        self.flag = r.flag("onlySystemMessagesUseCDs")


class World:
    def __init__(self, path):
        self.ignored, self.sites, self.connectors = [], {}, []
        entries = list(read_ldif(path))
        for dn, entry in entries:
            if "mailsite" in [c.lower() for c in entry.get("objectclass", [])]:
                site = Site(Reading(dn, entry, self.ignored))
                self.sites[fold(site.name)] = site
        by_dn = {fold(",".join(rdns(s.dn))): s for s in self.sites.values()}
        for dn, entry in entries:
            classes = [c.lower() for c in entry.get("objectclass", [])]
            kind = next((k for k in CONNECTORS if k in classes), None)
            if not kind:
                continue
            parts = rdns(dn)
            above = [by_dn.get(fold(",".join(parts[i:]))) for i in range(1, len(parts))]
            connector = Connector(Reading(dn, entry, self.ignored), kind,
                                  next((s for s in above if s), None))
            if connector.site:
                self.connectors.append(connector)

    # An edge is (connector, remote name folded, cost, type, address).

    def edges(self, cls, name):
        for c in self.connectors:
            if fold(c.site.name) == name and c.carries(cls):
                for written, cost, kind, address in c.cds:
                    if fold(written) != name:
                        yield c, fold(written), cost, kind, address

    def paths(self, cls, at, seen):
        """Every simple path from a site that avoids the sites in `seen`."""
        for edge in self.edges(cls, at):
            if edge[1] not in seen:
                yield [edge]
                for rest in self.paths(cls, edge[1], seen | {edge[1]}):
                    yield [edge, *rest]

    @staticmethod
    def order(path):
        return (len(path), [fold(e[0].element).encode() for e in path],
                [fold(e[0].dn) for e in path], path[-1][1].encode(),
                [(e[3].encode(), e[4].encode()) for e in path])

    def all_candidates(self, cls, local):
        """{target: {(connector, first remote site): (cost, path)}}"""
        best = {}
        for path in self.paths(cls, local, {local}):
            target, pair = path[-1][1], (path[0][0].dn, path[0][1])
            one = (sum(e[2] for e in path), path)
            old = best.setdefault(target, {}).get(pair)
            if old is None or (one[0], self.order(path)) < (old[0], self.order(old[1])):
                best[target][pair] = one
        return best

    def primaries(self, pairs):
        least = min((cost for cost, _ in pairs.values()), default=None)
        return least, sorted((p for cost, p in pairs.values() if cost == least), key=self.order)

    def direct_reason(self, local, path, target):
        first = path[0][0]
        flag = first.flag if first.flag is not None else self.sites[local].flag
        site = self.sites.get(target)
        if not first.ims:
            return "FIRST_HOP_NOT_IMS"
        if not flag:
            return "FLAG_OFF"
        if first.smart:
            return "SMART_HOST"
        if not all(e[0].ims for e in path):
            return "MIXED_PATH"
        if site is None:
            return "SITE_NOT_LIVE"
        if not any(c.site is site and c.ims and c.enabled and c.mode in ("both", "in")
                   for c in self.connectors):
            return "NO_INBOUND_IMS"
        if site.domain is None:
            return "NO_SITE_DOMAIN"
        if any(s is not site and s.domain is not None and fold(s.domain) == fold(site.domain)
               for s in self.sites.values()):
            return "SHARED_DOMAIN"
        return "OK"

    @staticmethod
    def chain_row(path):
        c, _, _, kind, address = path[0]
        if not (c.ims and kind == "SMTP"):
            hop = f"{kind}:{address}"
        elif c.smart or fold(address) in c.pins:
            hop = "host:" + (c.smart or c.pins[fold(address)])
        else:
            hop = "mx:" + address
        return {"hops": len(path), "mode": "connected", "nexthop": hop, "connector": c.name,
                "path": [e[0].element for e in path]}

    def site_rows(self, cls, local, target, pairs):
        cost, paths = self.primaries(pairs)
        if not paths:
            return [{"cost": None, "hops": None, "mode": "none", "nexthop": None,
                     "connector": None, "path": [],
                     "reason": "SYSTEM" if cls == "system" else "NO_ROUTE"}]
        rows = []
        for path in paths:
            row = {"cost": cost, **self.chain_row(path), "reason": "SYSTEM"}
            if cls == "user":
                row["reason"] = self.direct_reason(local, path, target)
            if row["reason"] == "OK":
                domain = self.sites[target].domain
                pin = path[0][0].pins.get(fold(domain))
                row.update(hops=1, mode="direct", nexthop="host:" + pin if pin else "mx:" + domain)
            rows.append(row)
        return [r for r in rows if r["mode"] == "direct"] or rows

    def space_rows(self, cls, local, offers, candidates):
        """Rows of one type and folded pattern; offers are (connector, type, cost)."""
        ways = []
        for c, kind, cost in offers:
            if fold(c.site.name) == local:
                hop = ("host:" + c.smart if c.smart else "mx:") if c.ims else kind + ":"
                ways.append((cost, (0, [fold(c.element).encode()], [fold(c.dn)]), (c.dn, None),
                             {"hops": 0, "mode": "local", "nexthop": hop, "connector": c.name,
                              "path": []}))
            else:
                least, paths = self.primaries(candidates.get(fold(c.site.name), {}))
                ways += [(least + cost, self.order(p), (p[0][0].dn, p[0][1]), self.chain_row(p))
                         for p in paths]
        least = min((w[0] for w in ways), default=None)
        rows, seen = [], set()
        for cost, _, pair, row in sorted((w for w in ways if w[0] == least), key=lambda w: w[1]):
            if pair not in seen:
                seen.add(pair)
                rows.append({"cost": cost, **row,
                             "reason": "SYSTEM" if cls == "system" else "SPACE"})
        return rows

    def spelled(self):
        """Every name that is a site or is mentioned, folded, and how it is printed."""
        names = {}
        for c in self.connectors:
            for written, *_ in c.cds:
                names[fold(written)] = min(written.encode(),
                                           names.get(fold(written), written.encode()))
        names = {k: v.decode() for k, v in names.items()}
        names.update({k: s.name for k, s in self.sites.items()})
        return names

    def table(self, site):
        local, names, rows = fold(site), self.spelled(), []
        for cls in ("system", "user"):
            candidates = self.all_candidates(cls, local)
            groups = {}
            for c in self.connectors:
                for kind, pattern, cost, scope in c.spaces if c.carries(cls) else []:
                    at = fold(c.site.name)
                    if (scope == "org" or at == local) and (at == local or at in candidates):
                        groups.setdefault((kind, fold(pattern)), []).append((pattern, c, cost))
            block = [("EX", name, self.site_rows(cls, local, key, candidates.get(key, {})))
                     for key, name in names.items() if key != local]
            for (kind, _), offers in groups.items():
                block.append((kind, min((o[0] for o in offers), key=str.encode),
                              self.space_rows(cls, local, [(c, kind, k) for _, c, k in offers],
                                              candidates)))
            for kind, target, found in sorted(block, key=lambda b: (b[0], b[1].encode())):
                rows += [{"class": cls, "type": kind, "target": target, **row} for row in found]
        return rows


if __name__ == "__main__":
    world = World(sys.argv[1])
    for line in world.table(sys.argv[2]):
        print(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
    for what in world.ignored:
        print(*what, file=sys.stderr, sep=": ")
    sys.exit(1 if world.ignored else 0)
