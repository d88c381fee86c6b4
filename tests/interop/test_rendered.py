#!/usr/bin/python3
# tests/run: build=gcc timeout=300
"""Files that routed renders for Postfix give the routes that its sockets give (M16)."""
import json
import os
import random
import re
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import postfix  # noqa: E402
import tap  # noqa: E402
from test_routed import ROOT, Base, domain, frame, ims_dn, net_n1, put_site, read_frames  # noqa: E402
from waypost import wait_for  # noqa: E402

ADDRESSES = 10000
SPACES = ["vip@partner.example;5", "*.branch.example;5", "*.com;9", "*@pinned.example;3", "*;20"]
SPACES_OF_THE_RELAY = ["*@partner.example;5", "*@*.deep.example;5", "a@elsewhere.org;1"]
NOT_IN_A_FILE = ["sales*@partner.example;5", "*ner.example;6"]
LOCALS = ["a", "bob", "ada", "vip", "dirsync", "Bob+Ext", "sales"]
DOMAINS = ["s1.example.com", "s2.example.com", "hub.example.com", "lost.example.com", "shared.example",
           "host.s2.example.com", "a.b.hub.example.com", "x.s1.example.com", "partner.example",
           "sub.partner.example", "branch.example", "a.branch.example", "a.b.branch.example",
           "deep.example", "x.deep.example", "other.com", "pinned.example", "y.pinned.example",
           "elsewhere.org", "S2.EXAMPLE.COM", "xn--bcher-kva.example", "mx.xn--bcher-kva.example"]


CONF = postfix.config_folder()


def postmap(table, keys):
    """{key: value} of those that the file has."""
    p = subprocess.run(["/usr/sbin/postmap", "-c", CONF, "-q", "-", table], input="".join(k + "\n" for k in keys),
                       text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if p.stderr or p.returncode not in (0, 1):
        raise AssertionError(f"postmap -q - {table}: {p.returncode} {p.stderr}")
    return dict(line.split("\t", 1) for line in p.stdout.splitlines())


def parts(address):
    """What Postfix asks a transport file with, in order."""
    local, at = address.lower().rsplit("@", 1)
    yield f"{local}@{at}"
    if "+" in local:
        yield f"{local.split('+')[0]}@{at}"
    yield at
    labels = at.split(".")
    for i in range(1, len(labels)):
        yield "." + ".".join(labels[i:])
    yield "*"


def by_file(table, addresses):
    """{address: route}, None where the file has none."""
    found = postmap(table, sorted({p for a in addresses for p in parts(a)}))
    routes = {a: next((found[p] for p in parts(a) if p in found), None) for a in addresses}
    return {a: None if r == ":" else r for a, r in routes.items()}


class Net(Base):
    """Sites, connectors and address spaces of all kinds, and the addresses to ask with."""

    def start(self, *spaces):
        net_n1(self.provider)
        put_site(self.provider, "S1", siteSharedDomain="shared.example",
                 systemAddress="dirsync@s1.example.com")
        put_site(self.provider, "S2", siteSharedDomain="shared.example", mailTlsLevel="encrypt",
                 systemAddress=["dirsync@s2.example.com", "ada@s2.example.com"])
        put_site(self.provider, "Lost")
        self.provider.put(f"ou=Books,{ROOT}", objectClass=["organizationalUnit", "mailSite"], ou="Books",
                          siteSmtpDomain="xn--bcher-kva.example")
        self.provider.put(ims_dn("H"), objectClass=["mailConnector", "imsConnector"], cn="IMS-H",
                          connectedDomains=[f"{n};1;SMTP:{domain(n)}" for n in ("S1", "S2", "Books")])
        self.provider.put(ims_dn("S1"), objectClass=["mailConnector", "imsConnector"], cn="IMS-S1",
                          connectedDomains="H;1;SMTP:hub.example.com", onlySystemMessagesUseCDs="TRUE",
                          routingList=["SMTP:" + s for s in spaces],
                          domainRoute="pinned.example;[pin.example.net]")
        if spaces:
            self.provider.put(f"cn=R,cn=Connections,cn=Configuration,ou=S1,{ROOT}", cn="R",
                              objectClass=["mailConnector", "imsConnector"],
                              smartHost="[host.s2.example.com]:2525",
                              routingList=["SMTP:" + s for s in SPACES_OF_THE_RELAY])
        d = self.routed(start=False, exim="unix:routed/exim", policy="unix:routed/policy",
                        render="lmdb:maps texthash:maps")
        d.start()
        d.becomes("OK smtp:s2.example.com")
        wait_for("files", lambda: os.path.exists(d.path("maps", "tlspolicy")))
        return d

    @staticmethod
    def files(d, name="transport"):
        return [f"{kind}:{d.path('maps', name)}" for kind in ("lmdb", "texthash")]

    @staticmethod
    def by_socket(d, addresses, table="transport"):
        with d.connect() as s:
            answers = []
            for i in range(0, len(addresses), 100):
                piece = addresses[i:i + 100]
                s.sendall(b"".join(frame(f"{table} {a}") for a in piece))
                answers += read_frames(s, len(piece))
        return {a: r[3:] if r.startswith("OK ") else None for a, r in zip(addresses, answers)}

    def random_addresses(self):
        dice = random.Random(7)
        return [f"{dice.choice(LOCALS)}{dice.choice(['', '', dice.randrange(1000)])}"
                f"@{dice.choice(DOMAINS)}" for _ in range(ADDRESSES)]

    def same(self, d, addresses):
        live = self.by_socket(d, addresses)
        for table in self.files(d):
            routes = by_file(table, addresses)
            odd = [(a, live[a], routes[a]) for a in addresses if live[a] != routes[a]]
            self.assertEqual(odd[:10], [], f"{table}: {len(odd)} of {len(addresses)} differ")
        return live


class Rendered(Net):
    def test_equal_routes(self):
        d = self.start(*SPACES)
        addresses = self.random_addresses()
        live = self.same(d, addresses)
        self.assertEqual(len(set(live.values())), 6)
        self.assertEqual(by_file(self.files(d)[0], ["ada@lost.example.com", "x@pinned.example",
                                                    "DirSync@s2.example.com", "bob@shared.example"]),
                         {"ada@lost.example.com": "smtp:", "x@pinned.example": "smtp:[pin.example.net]",
                          "DirSync@s2.example.com": "smtp:hub.example.com", "bob@shared.example": None})

    def test_without_spaces(self):
        """No way to a site is said, too."""
        d = self.start()
        live = self.same(d, self.random_addresses())
        self.assertEqual(live["ada@lost.example.com"], "retry:4.4.4 no mail route to site Lost")

    def test_exim_gives_the_same(self):
        d = self.start(*SPACES)
        addresses = sorted(set(self.random_addresses()))
        live = self.by_socket(d, addresses)
        for a in addresses:
            self.assertEqual(self.exim(d, a), self.words_of_exim(a, live[a]), a)

    def test_policy_gives_the_same(self):
        """M16: the policy service filters to what Exim is told about the same system sender."""
        d = self.start(*SPACES)
        sender = "dirsync@s1.example.com"
        addresses = sorted(set(self.random_addresses()))[::4]
        filtered = 0
        for a, action in zip(addresses, self.by_policy(d, sender, addresses)):
            word, _, route = action.partition(" ")
            self.assertIn(word, ("FILTER", "DUNNO", "DEFER_IF_PERMIT"), a)
            self.assertEqual(word == "DEFER_IF_PERMIT", a.lower().endswith("@lost.example.com"), a)
            self.assertEqual(self.exim(d, f"{a} <{sender}>"),
                             self.words_of_exim(a, route if word == "FILTER" else None), a)
            filtered += word == "FILTER"
        self.assertGreater(filtered, len(addresses) // 4)

    def test_explain_gives_the_same(self):
        """M24: what is explained is what is answered, for 10,000 addresses."""
        d = self.start(*SPACES)
        addresses = sorted(set(self.random_addresses()))
        live = self.by_socket(d, addresses)
        modes = set()
        for a in addresses:
            e = json.loads(d.control(f"explain user {a} json"))
            modes.add(e.get("mode", e["verdict"]))
            self.assertEqual(e["transport"], live[a], a)
        self.assertGreater(len(modes), 3)

    @staticmethod
    def by_policy(d, sender, addresses):
        """The action for each; every request is a message of its own."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(d.path("routed", "policy"))
            stream = s.makefile("rb")
            for i, a in enumerate(addresses):
                s.sendall(f"request=smtpd_access_policy\ninstance={i}\nsender={sender}\n"
                          f"recipient={a}\n\n".encode())
                yield re.fullmatch(r"action=(.*)\n", stream.readline().decode())[1]
                stream.readline()

    @staticmethod
    def words_of_exim(address, route):
        own = address.lower().rsplit("@", 1)[1]
        m = route and re.fullmatch(r"smtp:(?:\[(.*)\](?::(.*))?|(.*))", route)
        if not m:
            return None
        if m[1]:
            return m[1] + ("::" + m[2] if m[2] else "")
        return f"{m[3] or own}/mx"

    @staticmethod
    def exim(d, address):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(d.path("routed", "exim"))
            s.sendall(f"route {address}\n".encode())
            answer = b""
            while piece := s.recv(4096):
                answer += piece
        kind, _, rest = answer.decode().strip().partition(" ")
        return rest if kind == "route" else None

    def test_other_maps(self):
        d = self.start(*SPACES)
        for relay, tls in zip(self.files(d, "relaydomains"), self.files(d, "tlspolicy")):
            self.assertEqual(postmap(relay, ["s2.example.com", "s1.example.com", "shared.example",
                                             "xn--bcher-kva.example", ".s2.example.com"]),
                             {"s2.example.com": "s2.example.com",
                              "xn--bcher-kva.example": "xn--bcher-kva.example"})
            self.assertEqual(postmap(tls, ["s2.example.com", ".s2.example.com", "hub.example.com",
                                           "[host.s2.example.com]:2525"]),
                             {"s2.example.com": "encrypt", ".s2.example.com": "encrypt",
                              "[host.s2.example.com]:2525": "encrypt"})

    def test_follows_changes_and_tells_what_it_leaves_out(self):
        d = self.start("*@own.example;5", *NOT_IN_A_FILE)
        wait_for("told", lambda: "render.left-out" in d.log())
        self.assertIn(f"patterns={len(NOT_IN_A_FILE)}", d.log())
        for table in self.files(d):
            self.assertEqual(postmap(table, ["own.example"]), {"own.example": "smtp:"})
        self.provider.put(ims_dn("S1"), objectClass=["mailConnector", "imsConnector"], cn="IMS-S1",
                          connectedDomains="H;1;SMTP:hub.example.com")
        for table in self.files(d):
            wait_for("the new route", lambda t=table: postmap(t, ["s2.example.com"])
                     == {"s2.example.com": "smtp:hub.example.com"})
            self.assertEqual(postmap(table, ["own.example", "*"]), {})

    def test_folder_can_not_be_made(self):
        net_n1(self.provider)
        d = self.routed(start=False, render="lmdb:routed.conf/x texthash:maps")
        d.start()
        d.becomes("OK smtp:hub.example.com")
        wait_for("told", lambda: "render.failed target=lmdb:" in d.log())
        wait_for("in the status", lambda: "render_error" in d.status())
        self.assertTrue(os.path.exists(d.path("maps", "transport")))

    def test_rendered_anew_after_a_restart(self):
        """Also with the same table: the files may have been asked for since."""
        d = self.start(*SPACES)
        d.stop()
        for name in os.listdir(d.path("maps")):
            os.unlink(d.path("maps", name))
        d.start()
        wait_for("the file is back", lambda: os.path.exists(d.path("maps", "transport.lmdb")))


if __name__ == "__main__":
    for needed in ("/usr/sbin/postmap", "/usr/lib/postfix/postfix-lmdb.so"):
        if not os.path.exists(needed):
            tap.skip_all(f"{needed} is missing (tools/install-deps --test)")
    tap.main()
