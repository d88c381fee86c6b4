#!/usr/bin/python3
# tests/run: build=san timeout=300
"""routed beside dird: changes, recipients, published routes, restarts and kills of either one."""
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402
from test_routed import domain, ims_dn, site_dn  # noqa: E402
from waypost import Site, run, wait_for  # noqa: E402

ROOT = "o=Example"
BOB = "bob@s2.example.com"
VIA_HUB = ("OK", "smtp:hub.example.com")
DIRECT = ("OK", "smtp:s2.example.com")
NO_ROUTE = ("OK", "retry:4.4.4 no mail route to site S2")


def ldif():
    """Two spokes and a hub, as S1 would hold them."""
    out = ""
    for name, neighbours in (("S1", ["H"]), ("S2", ["H"]), ("H", ["S1", "S2"])):
        out += (f"dn: {site_dn(name)}\nobjectClass: organizationalUnit\nobjectClass: mailSite\n"
                f"ou: {name}\nsiteSmtpDomain: {domain(name)}\nsiteSharedDomain: example.com\n\n")
        for container in ("cn=Configuration", "cn=Connections,cn=Configuration", "cn=Recipients"):
            out += f"dn: {container},{site_dn(name)}\nobjectClass: container\n\n"
        out += (f"dn: {ims_dn(name)}\nobjectClass: imsConnector\ncn: IMS-{name}\n"
                + "".join(f"connectedDomains: {n};1;SMTP:{domain(n)}\n" for n in neighbours) + "\n")
    return out + (f"dn: cn=Bob,cn=Recipients,{site_dn('S2')}\nobjectClass: inetOrgPerson\n"
                  "objectClass: mailRecipient\ncn: Bob\nsn: B\n"
                  "proxyAddresses: SMTP:bob@example.com\nproxyAddresses: smtp:bob@s2.example.com\n")


class BesideDird(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="waypost-routed-")
        self.addCleanup(shutil.rmtree, folder)
        self.site = Site(os.path.join(folder, "S1"), "S1", "s1.example.com")
        self.site.init(ROOT)
        path = os.path.join(folder, "all.ldif")
        with open(path, "w", encoding="ascii") as f:
            f.write(ldif())
        self.site.load(path)
        self.site.hurry_routed()
        self.addCleanup(self.site.close)
        self.site.start("dird")
        self.site.start("routed")
        self.becomes(VIA_HUB)

    def becomes(self, answer, key=BOB, table="transport"):
        def same():
            return self.site.lookup(table, key) == answer
        try:
            wait_for(f"{key} -> {answer}", same, step=0.005)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.site.log('routed')[-4000:]}\n"
                                 f"{self.site.log('dird')[-2000:]}") from e

    def status(self):
        out = run("routectl", "status", "--config", self.site.path("routed.conf"))
        return dict(line.split("=", 1) for line in out.splitlines())

    def flag(self, *values):
        self.site.modify(
            f"dn: {ims_dn('S1')}\nchangetype: modify\nreplace: onlySystemMessagesUseCDs\n"
            + "".join(f"onlySystemMessagesUseCDs: {v}\n" for v in values))

    def published(self):
        return self.site.search(f"cn=Routes,cn=Configuration,{site_dn('S1')}",
                                "(&(objectClass=mailRoute)(routeClass=user)(routeTarget=S2))",
                                "routeMode")

    def test_changes_both_ways(self):
        """The figure is printed for the reader; nothing here depends on it."""
        times = []
        for i in range(20):
            self.flag(*(["TRUE"] if i % 2 == 0 else []))
            begin = time.monotonic()
            self.becomes(DIRECT if i % 2 == 0 else VIA_HUB)
            times.append(time.monotonic() - begin)
        print(f"# from the answered change to the new route: median {sorted(times)[10] * 1e3:.1f} ms")
        generation = self.status()["generation"]
        self.site.modify(f"dn: cn=Bob,cn=Recipients,{site_dn('S1')}\nchangetype: add\n"
                         "objectClass: inetOrgPerson\ncn: Bob\nsn: X\n")
        self.flag("TRUE")
        self.becomes(DIRECT)
        self.assertEqual(int(self.status()["generation"]), int(generation) + 1)

    def test_published_routes(self):
        wait_for("connected route", lambda: "routeMode: connected" in self.published())
        self.flag("TRUE")
        wait_for("direct route", lambda: "routeMode: direct" in self.published())

    def test_routectl_over_the_directory(self):
        """What simulate foretells comes true; until then nothing has changed."""
        def tool(*args):
            return run("routectl", args[0], "--config", self.site.path("routed.conf"), *args[1:],
                       check=False)[:2]

        trace = json.loads(tool("trace", "--from-site", "S1", "--json", BOB)[1])
        self.assertEqual([h["site"] for h in trace["hops"]], ["S1", "H", "S2"])
        rc, out = tool("simulate", "--json", "--set", "IMS-S1 (S1):onlySystemMessagesUseCDs=TRUE")
        self.assertEqual(rc, 0)
        foretold = [c for c in map(json.loads, out.splitlines())
                    if "after" in c and c["target"] == "S2"]
        self.assertEqual([(c["site"], c["class"], c["after"][0]["mode"]) for c in foretold],
                         [("S1", "user", "direct")])
        self.becomes(VIA_HUB)
        self.assertIn("EX,/O=Example/OU=S2;,2,IMS-S1\n", tool("show", "--gwart")[1])
        self.assertEqual(tool("check", "--json"), (0, ""))
        self.flag("TRUE")
        self.becomes(DIRECT)
        rows = [json.loads(line) for line in tool("show", "--json")[1].splitlines()]
        now = [r for r in rows if (r["class"], r["target"]) == ("user", "S2")]
        self.assertEqual([{k: r[k] for k in foretold[0]["after"][0]} for r in now],
                         foretold[0]["after"])
        self.assertIn("FLAG_ONE_WAY", tool("check")[1])

    def test_recipients(self):
        # Bob of S2 cannot be changed here, but found.
        self.assertEqual(self.site.lookup("recipient", "Bob@Example.com"), ("OK", BOB))
        self.assertEqual(self.site.lookup("recipient", "nobody@example.com"), ("NOTFOUND", ""))

    def test_tls_policy(self):
        """M17: the own site's object is the only one that can be changed here; its hosts follow."""
        self.assertEqual(self.site.lookup("tlspolicy", "s1.example.com"), ("NOTFOUND", ""))
        self.site.modify(f"dn: {site_dn('S1')}\nchangetype: modify\nreplace: mailTlsLevel\n"
                         "mailTlsLevel: dane-only\n")
        self.becomes(("OK", "dane-only"), "[mx.s1.example.com]:25", "tlspolicy")
        self.site.modify(f"dn: {site_dn('S1')}\nchangetype: modify\nreplace: mailTlsLevel\n"
                         "mailTlsLevel: strong\n")
        wait_for("doubt", lambda: self.site.lookup("tlspolicy", "s1.example.com")[0] == "TEMP")
        self.assertEqual(self.site.lookup("relaydomains", "s2.example.com"),
                         ("OK", "s2.example.com"))

    def test_over_ldaps(self):
        """A split host: TLS, simple bind; a certificate of nobody we trust is refused."""
        self.site.stop("routed")
        with open(self.site.path("routed.conf"), encoding="ascii") as f:
            text = f.read()
        text = re.sub("(?m)^directory.*", f"directory ldaps://{self.site.ldaps}\n"
                      f"bind-dn cn=admin,{ROOT}\nbind-password-file {self.site.folder}.password\n"
                      "tls-ca site.crt", text)
        shutil.rmtree(self.site.path("routed"))
        with open(self.site.path("routed.conf"), "w", encoding="ascii") as f:
            f.write(text)
        self.site.start("routed")
        self.becomes(VIA_HUB)
        self.site.stop("routed")
        shutil.rmtree(self.site.path("routed"))
        other = Site(self.site.folder + "-other", "S1", "s1.example.com")
        other.init(ROOT)
        with open(self.site.path("routed.conf"), "w", encoding="ascii") as f:
            f.write(text.replace("tls-ca site.crt", "tls-ca " + other.path("site.crt")))
        self.site.start("routed")
        wait_for("refusals", lambda: int(self.status()["failures"]) >= 2)
        self.assertEqual(self.site.lookup("transport", BOB)[0], "TEMP")

    def test_dird_killed_and_back(self):
        self.site.stop("dird", signal.SIGKILL)
        wait_for("session lost", lambda: self.status()["directory"] != "current")
        self.assertEqual(self.site.lookup("transport", BOB), VIA_HUB)
        self.site.start("dird")
        self.flag("TRUE")
        self.becomes(DIRECT)
        self.site.stop("dird")
        self.site.start("dird")
        self.site.modify(f"dn: {ims_dn('S1')}\nchangetype: delete\n")
        self.becomes(NO_ROUTE)
        self.assertEqual(self.status()["entries"], "6")

    def test_routed_killed_and_back(self):
        self.site.stop("routed", signal.SIGKILL)
        self.flag("TRUE")
        self.site.start("routed")
        self.becomes(DIRECT)
        self.site.stop("routed")
        self.site.stop("dird")
        self.site.start("routed")
        self.assertEqual(self.site.lookup("transport", BOB), DIRECT)
        self.assertEqual(self.site.lookup("recipient", "bob@example.com")[0], "TEMP")


if __name__ == "__main__":
    tap.main()
