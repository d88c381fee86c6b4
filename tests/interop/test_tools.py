#!/usr/bin/python3
# tests/run: timeout=240
"""sitectl's online verbs and galctl against two real sites."""
import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap
from waypost import Site, run, wait_for

IMS = "Internet Mail Service (Site1)"
ADMIN = "cn=admin,o=Example"


class World:
    """Hub and Site1, linked; made once for all tests."""

    folder = None
    hub = site1 = None

    @classmethod
    def make(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="waypost-tools-")
        cls.hub = Site(os.path.join(cls.folder.name, "hub"), "Hub", "hub.example.com")
        cls.site1 = Site(os.path.join(cls.folder.name, "site1"), "Site1", "site1.example.com")
        cls.hub.init()
        cls.hub.start("dird")
        cls.site1.join(cls.hub.token("Site1"))
        cls.site1.start("dird")

    @classmethod
    def end(cls):
        for site in (cls.hub, cls.site1):
            if site:
                site.close()
        if cls.folder:
            cls.folder.cleanup()


def setUpModule():
    try:
        World.make()
    except BaseException:
        World.end()
        raise


def tearDownModule():
    World.end()


def tool(site, *words, stdin=None):
    """Run "sitectl connector list" or the like at a site: (status, stdout, stderr)."""
    verbs = 2 if words[0] == "sitectl" and words[1] in ("site", "connector", "link") else 1
    argv = [*words[:verbs + 1], "--config", site.path("dird.conf"), *words[verbs + 1:]]
    return run(*argv, stdin=stdin, check=False)


def rows(site, *words):
    """The rows of a --json verb."""
    status, out, err = tool(site, *words, "--json")
    assert status == 0, f"{words}: exit status {status}\n{err}"
    return [json.loads(line) for line in out.splitlines()]


class Tools(unittest.TestCase):
    def good(self, site, *words, **more):
        status, out, err = tool(site, *words, **more)
        self.assertEqual(status, 0, f"{words}\n{out}{err}")
        return out

    def bad(self, site, *words, status=1, **more):
        got, out, err = tool(site, *words, **more)
        self.assertEqual(got, status, f"{words}\n{out}{err}")
        self.assertNotEqual(err, "")
        return out + err


class Galctl(Tools):
    def test_add_show_list(self):
        s = World.site1
        self.good(s, "galctl", "add", "person", "Ada Hill", "mail=ada@site1.example.com")
        self.good(s, "galctl", "add", "person", "Jörg Müller", "mail=jm@site1.example.com",
                  "telephoneNumber=+49 1")
        self.good(s, "galctl", "add", "list", "Sales", "member=Ada Hill",
                  "member=jm@site1.example.com")
        self.good(s, "galctl", "add", "custom", "Partner Desk",
                  "targetAddress=SMTP:desk@example.net")
        self.assertIn("lready exists", self.bad(s, "galctl", "add", "person", "Ada Hill"))
        self.assertIn("member=WHO", self.bad(s, "galctl", "add", "list", "Empty"))
        self.bad(s, "galctl", "add", "robot", "R2", status=2)
        names = [r["name"] for r in rows(s, "galctl", "list", "--site", "Site1")]
        self.assertEqual([n for n in names if n in ("Ada Hill", "Jörg Müller", "Partner Desk",
                                                    "Sales")],
                         ["Ada Hill", "Jörg Müller", "Partner Desk", "Sales"])
        self.assertEqual([r["name"] for r in rows(s, "galctl", "list", "müll")], ["Jörg Müller"])
        self.assertEqual([r["kind"] for r in rows(s, "galctl", "list", "--kind", "list")], ["list"])
        ada = json.loads(self.good(s, "galctl", "show", "--json", "ada@site1.example.com"))
        self.assertEqual(ada["sn"], ["Hill"])
        self.assertEqual(ada["proxyAddresses"], ["SMTP:ada@site1.example.com"])
        sales = json.loads(self.good(s, "galctl", "show", "--json", "Sales"))
        self.assertEqual(len(sales["member"]), 2)
        self.assertIn("Müller", self.good(s, "galctl", "list", "müller"))
        self.assertIn("nobody", self.bad(s, "galctl", "show", "No Such One"))

    def test_import_export(self):
        s = World.site1
        base = "cn=Recipients,ou=Site1,o=Example"
        people = "".join(
            f"dn: cn=Import {i:03},{base}\nobjectClass: inetOrgPerson\n"
            f"objectClass: mailRecipient\ncn: Import {i:03}\nsn: {i:03}\n"
            f"mail: import{i}@site1.example.com\n\n" for i in range(150))
        self.assertIn("150 added, 0 changed, 0 refused",
                      self.good(s, "galctl", "import", "-", stdin=people))
        self.assertIn("0 added, 1 changed, 149 unchanged, 0 refused",
                      self.good(s, "galctl", "import", "--update", "-",
                                stdin=people.replace("import7@", "seven@")))
        self.assertEqual(s.count(base, "(mail=seven@site1.example.com)"), 1)
        broken = (f"dn: cn=Import 900,{base}\nobjectClass: inetOrgPerson\ncn: Import 900\nsn: x\n\n"
                  f"dn: cn=Import 901,{base}\nno colon\n\n"
                  f"dn: cn=Import 902,{base}\nobjectClass: inetOrgPerson\ncn: Import 902\n\n"
                  f"dn: cn=Import 900,{base}\nchangetype: modify\nreplace: sn\nsn: y\n-\n")
        text = self.bad(s, "galctl", "import", "-", stdin=broken)
        self.assertIn("1 added, 1 changed, 2 refused", text)
        self.assertIn("standard input:7: ", text)   # not LDIF
        self.assertIn("standard input:9: ", text)   # no sn: refused by the schema
        path = os.path.join(World.folder.name, "export.ldif")
        self.assertIn("151 entries",
                      self.good(s, "galctl", "export", "-f", "(cn=Import*)", "-o", path))
        before = s.search(base, "(cn=Import*)")
        for i in [*range(150), 900]:
            s.modify(f"dn: cn=Import {i:03},{base}\nchangetype: delete\n")
        self.assertIn("151 added", self.good(s, "galctl", "import", path))
        self.assertEqual(sorted(s.search(base, "(cn=Import*)").splitlines()),
                         sorted(before.splitlines()))
        self.assertIn("not a filter", self.bad(s, "galctl", "export", "-f", "(cn="))

    def test_entry_of_another_site(self):
        here, home = World.site1, World.hub
        dn = "cn=Hub Person,cn=Recipients,ou=Hub,o=Example"
        self.good(home, "galctl", "add", "person", "Hub Person")
        wait_for("the person of Hub at Site1", lambda: here.count("o=Example", "(cn=Hub Person)"))
        change = f"dn: {dn}\nchangetype: modify\nreplace: title\ntitle: Chief\n-\n"
        text = self.bad(here, "galctl", "import", "-", stdin=change)
        self.assertIn("belongs to another site", text)
        self.assertIn("-D " + ADMIN, text)
        password = home.folder + ".password"
        self.good(here, "galctl", "import", "-D", ADMIN, "-y", password, "-", stdin=change)
        self.assertIn("title: Chief", home.search(dn, "(objectClass=*)", "title", scope="base"))
        wait_for("the change at Site1", lambda: here.count("o=Example", "(title=Chief)"))


class Sitectl(Tools):
    def connector(self):
        found = [r for r in rows(World.site1, "sitectl", "connector", "list")
                 if r["connector"] == IMS]
        return found[0] if found else None

    def test_connector(self):
        s = World.site1
        if self.connector():
            self.good(s, "sitectl", "connector", "delete", IMS)
        self.good(s, "sitectl", "connector", "add", IMS, "routingList=SMTP:*;10")
        self.good(s, "sitectl", "connector", "connect", IMS, "Hub", "--cost", "3")
        self.assertEqual(self.connector()["connectedDomains"], ["Hub;3;SMTP:hub.example.com"])
        self.good(s, "sitectl", "connector", "connect", IMS, "hub", "--address", "SMTP:x.example.com")
        self.assertEqual(self.connector()["connectedDomains"], ["Hub;1;SMTP:x.example.com"])
        out = self.good(s, "sitectl", "connector", "set", IMS, "onlySystemMessagesUseCDs=TRUE")
        self.assertIn("+ onlySystemMessagesUseCDs: TRUE", out)
        self.assertIs(self.connector()["onlySystemMessagesUseCDs"], True)
        self.assertIn("nothing to change", self.good(s, "sitectl", "connector", "set", IMS,
                                                     "onlySystemMessagesUseCDs=true"))
        self.good(s, "sitectl", "connector", "set", "--dry-run", IMS, "onlySystemMessagesUseCDs=")
        self.assertIs(self.connector()["onlySystemMessagesUseCDs"], True)
        self.good(s, "sitectl", "connector", "set", IMS, "onlySystemMessagesUseCDs=")
        self.assertIsNone(self.connector()["onlySystemMessagesUseCDs"])
        text = self.bad(s, "sitectl", "connector", "set", IMS, "connectedDomains=Hub;200;SMTP:x")
        self.assertIn("column 5", text)
        self.assertIn("no connector", self.bad(s, "sitectl", "connector", "show", "Nix"))
        self.assertIn(IMS, self.good(s, "sitectl", "connector", "show", IMS))
        self.good(s, "sitectl", "connector", "disconnect", IMS, "HUB")
        self.assertEqual(self.connector()["connectedDomains"], [])
        self.bad(s, "sitectl", "connector", "disconnect", IMS, "HUB")
        self.good(s, "sitectl", "connector", "delete", IMS)
        self.assertIsNone(self.connector())

    def test_site(self):
        s = World.site1
        sites = {r["site"]: r for r in rows(s, "sitectl", "site", "list")}
        self.assertEqual(sorted(sites), ["Hub", "Site1"])
        self.assertEqual([sites["Hub"]["here"], sites["Site1"]["here"]], [False, True])
        self.assertEqual(sites["Site1"]["domain"], "site1.example.com")
        self.assertEqual(sites["Hub"]["keys"], 1)
        self.good(s, "sitectl", "site", "set", "Site1", "siteSharedDomain+=example.com")
        self.assertIn("example.com", self.good(s, "sitectl", "site", "show"))
        self.good(s, "sitectl", "site", "set", "Site1", "siteSharedDomain=")
        self.assertIn("empty label", self.bad(s, "sitectl", "site", "set", "Site1",
                                              "siteSharedDomain=a..b"))
        self.assertIn("site list", self.bad(s, "sitectl", "site", "show", "Site99"))

    def test_link(self):
        s = World.site1
        links = rows(s, "sitectl", "link", "list")
        self.assertEqual([r["remoteSite"] for r in links], ["Hub"])
        self.assertEqual(links[0]["replicationURI"], "ldaps://" + World.hub.ldaps)
        self.bad(s, "sitectl", "link", "add", "Site99")
        self.good(s, "sitectl", "link", "delete", "Hub")
        self.assertEqual(rows(s, "sitectl", "link", "list"), [])
        self.good(s, "sitectl", "link", "add", "Hub", "--partner-uri", "ldaps://localhost:6361")
        self.assertEqual([r["replicationURI"] for r in rows(s, "sitectl", "link", "list")],
                         ["ldaps://localhost:6361"])
        self.good(s, "sitectl", "link", "delete", "Hub")
        self.good(s, "sitectl", "link", "add", "Hub")
        self.assertEqual(rows(s, "sitectl", "link", "list"), links)
        self.assertIn("lready exists", self.bad(s, "sitectl", "link", "add", "Hub"))

    def test_status(self):
        s = World.site1

        def hub_context():
            found = [r for r in rows(s, "sitectl", "status")
                     if r["context"].lower() == "ou=hub,o=example"]
            return found[0] if found else {}

        wait_for("the Hub's context is up to date at Site1", lambda: hub_context().get("behind") == 0)
        row = hub_context()
        self.assertEqual((row["master"], row["partner"]), ("Hub", "Hub"))
        self.assertRegex(row["position"], r"^\d+:\d+$")
        table = self.good(s, "sitectl", "status")
        self.assertIn("CONTEXT", table)
        self.assertIn("(written here)", table)


class Manner(Tools):
    VERBS = [("galctl", v) for v in ("list", "show", "add", "import", "export")] + [
        ("sitectl", v) for v in ("init", "join", "token", "status")] + [
        ("sitectl", "site", v) for v in ("list", "show", "set")] + [
        ("sitectl", "link", v) for v in ("list", "add", "delete")] + [
        ("sitectl", "connector", v) for v in ("list", "show", "add", "set", "connect", "disconnect",
                                              "delete")]

    def test_help(self):
        for verb in self.VERBS:
            out = run(*verb, "--help")
            self.assertTrue(out.startswith("usage: " + " ".join(verb)), out)
            self.assertIn("Examples:", out, verb)

    def test_wrong_usage(self):
        for words in (("galctl",), ("galctl", "lsit"), ("sitectl", "connector"),
                      ("sitectl", "connector", "sett"), ("galctl", "list", "--nonsense"),
                      ("sitectl", "link", "add"), ("galctl", "list", "--limit", "x")):
            status, _, err = run(*words, check=False)
            self.assertEqual(status, 2, words)
            self.assertIn(words[0], err)

    def test_no_server(self):
        status, _, err = run("galctl", "list", "-H", "ldap://127.0.0.1:9", check=False)
        self.assertEqual(status, 1)
        self.assertIn("ldap://127.0.0.1:9", err)
        status, _, err = run("sitectl", "status", "--config", "/nonexistent/dird.conf", check=False)
        self.assertEqual(status, 1)
        self.assertIn("/nonexistent/dird.conf", err)
        status, _, err = run("sitectl", "status", check=False)
        self.assertEqual(status, 1)
        self.assertIn("--config", err)


if __name__ == "__main__":
    tap.main()
