#!/usr/bin/python3
# tests/run: build=gcc timeout=120
"""routectl diff, trace, simulate, check over LDIF: what they print, what they refuse, their exit status."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402

NET = os.path.join(HERE, "golden", "hub-and-spoke.ldif")
FLAG_ON = "Internet Mail Service (Site2) (Site2):onlySystemMessagesUseCDs=TRUE"


def run(*args, text=None):
    p = subprocess.run(["routectl", *args], input=text, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, check=False, encoding="utf-8")
    return p.returncode, p.stdout, p.stderr


def lines(out):
    return [json.loads(line) for line in out.splitlines()]


class Routectl(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        with open(NET, encoding="utf-8") as f:
            self.net = f.read()

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def flagged(self):
        entry = "dn: cn=Internet Mail Service (Site2),cn=Connections,cn=Configuration,ou=Site2,o=Example\n"
        return self.net.replace(entry, entry + "onlySystemMessagesUseCDs: TRUE\n")

    # --- diff ---

    def test_diff_of_ldif_and_json_agree(self):
        """E1 to E2 (docs/routing.md), whatever form the two sides have."""
        other = self.file("other.ldif", self.flagged())
        rc, want, err = run("diff", "--site", "Site2", "--json", NET, other)
        self.assertEqual((rc, err), (1, ""))
        changes = lines(want)
        self.assertEqual([(c["class"], c["type"], c["target"]) for c in changes],
                         [("user", "EX", "Hub"), ("user", "EX", "Site1")])
        self.assertEqual([c["before"][0]["mode"] for c in changes], ["connected"] * 2)
        self.assertEqual(changes[1]["after"][0]["nexthop"], "mx:site1.example.com")
        now = self.file("now.json", run("compute", "--ldif", NET, "--site", "Site2", "--json")[1])
        rc, out, _ = run("diff", "--site", "Site2", "--json", now, other)
        self.assertEqual((rc, lines(out)), (1, changes))
        self.assertEqual(run("diff", now, now), (0, "", ""))
        self.assertEqual(run("diff", now, "--site", "site2", NET), (0, "", ""))
        rc, out, _ = run("diff", "--site", "Site2", NET, other)
        self.assertEqual([line[:18] for line in out.splitlines()],
                         ["- user EX Hub: con", "+ user EX Hub: dir",
                          "- user EX Site1: c", "+ user EX Site1: d"])

    def test_diff_refuses(self):
        bad = self.file("bad.json", '{"class":"user"}\n')
        table = self.file("table", "WPRTnonsense")
        for args, told in (((NET, NET), "--site"), ((bad, bad), bad + ":1:"),
                           ((table, table), table), ((NET + ".none", NET), NET + ".none"),
                           (("--site", "Site9", NET, NET), "Site9"), ((NET,), "")):
            rc, out, err = run("diff", *args)
            self.assertEqual((rc, out), (2, ""), args)
            self.assertIn(told, err)

    # --- trace ---

    def trace(self, address, site, *more, ldif=NET):
        rc, out, err = run("trace", "--ldif", ldif, "--from-site", site, "--json", *more, address)
        self.assertEqual(err, "")
        got = json.loads(out)
        return rc, [h["site"] for h in got["hops"]], got["end"]

    def test_trace(self):
        self.assertEqual(self.trace("u@site2.example.com", "Site1"),
                         (0, ["Site1", "Site2"], "delivered"))
        self.assertEqual(self.trace("u@site2.example.com", "site1", "--class", "system"),
                         (0, ["Site1", "Hub", "Site2"], "delivered"))
        self.assertEqual(self.trace("U@Site1.Example.COM.", "Site2"),
                         (0, ["Site2", "Hub", "Site1"], "delivered"))
        self.assertEqual(self.trace("u@elsewhere.test", "Site2"),
                         (0, ["Site2", "Hub"], "leaves"))
        self.assertEqual(self.trace("u@hub.example.com", "Hub"), (0, ["Hub"], "delivered"))

    def test_trace_follows_hosts(self):
        """A smart host or domainRoute of another site leads there, also back (M6)."""
        ims = "cn=Internet Mail Service ({0}),cn=Connections,cn=Configuration,ou={0},o=Example\n"

        def pinned(**hosts):
            text = self.net
            for site, host in hosts.items():
                entry = "dn: " + ims.format(site)
                self.assertIn(entry, text)
                text = text.replace(entry, f"{entry}domainRoute: hub.example.com;{host}\n")
            return self.file("pinned.ldif", text)
        self.assertEqual(self.trace("u@hub.example.com", "Site1", "--class", "system",
                                    ldif=pinned(Site1="[relay.site2.example.com]:2525")),
                         (0, ["Site1", "Site2", "Hub"], "delivered"))
        self.assertEqual(self.trace("u@hub.example.com", "Site1", "--class", "system",
                                    ldif=pinned(Site1="site2.example.com", Site2="mx.site1.example.com")),
                         (1, ["Site1", "Site2", "Site1"], "loop"))
        self.assertEqual(self.trace("u@hub.example.com", "Site1", "--class", "system",
                                    ldif=pinned(Site1="[192.0.2.1]")),
                         (0, ["Site1", "Hub"], "delivered"))

    def test_trace_ends(self):
        no_way = self.file("noway.ldif", self.net +
                           "\ndn: ou=Lost,o=Example\nobjectClass: mailSite\n"
                           "siteSmtpDomain: lost.example\n")
        self.assertEqual(self.trace("u@lost.example", "Hub", "--class", "system", ldif=no_way),
                         (1, ["Hub"], "noroute"))
        shared = self.file("shared.ldif", self.net.replace(
            "siteSmtpDomain: site1.example.com",
            "siteSmtpDomain: site1.example.com\nsiteSharedDomain: example.com"))
        self.assertEqual(self.trace("u@example.com", "Site2", ldif=shared),
                         (0, ["Site2"], "shared"))
        alone = self.file("alone.ldif", "dn: ou=A,o=E\nobjectClass: mailSite\n\n"
                          "dn: cn=IMS,ou=A,o=E\nobjectClass: imsConnector\n"
                          "connectedDomains: Ghost;1;SMTP:ghost.example\n")
        self.assertEqual(self.trace("u@elsewhere.test", "A", ldif=alone), (0, ["A"], "dns"))
        for args, told in ((("--from-site", "Nowhere", "u@x.test"), "Nowhere"),
                           (("--from-site", "Hub", "no address"), "no blanks"),
                           (("--from-site", "Hub", "u@"), "no mail address"),
                           (("--from-site", "Hub", "--class", "odd", "u@x.test"), "--class"),
                           (("u@x.test",), "--from-site")):
            rc, out, err = run("trace", "--ldif", NET, *args)
            self.assertEqual((rc, out), (2, ""), args)
            self.assertIn(told, err)
        rc, out, err = run("trace", "--from-site", "Hub", "u@x.test")
        self.assertEqual((rc, out), (2, ""))
        self.assertIn("--config", err)

    # --- simulate ---

    def test_unknown_object_names_what_there_is(self):
        rc, out, err = run("simulate", "--ldif", NET, "--set", "IMS (Site1):smartHost=x.test")
        self.assertEqual((rc, out), (2, ""))
        self.assertIn("there is no such site or connector", err)
        self.assertIn("there are ou=Hub,o=Example", err)
        self.assertIn("cn=Internet Mail Service (Site1),cn=Connections", err)

    def simulate(self, *args, ldif=NET):
        rc, out, err = run("simulate", "--ldif", ldif, "--json", *args)
        self.assertIn(rc, (0, 1), err)
        return rc, lines(out)

    def test_set_is_the_real_change(self):
        """What simulate shows is what computing the changed organisation gives, at every site."""
        want = []
        other = self.file("other.ldif", self.flagged())
        for site in ("Hub", "Site1", "Site2"):
            want += lines(run("diff", "--site", site, "--json", NET, other)[1])
        for name in (FLAG_ON, FLAG_ON.replace(" (Site2):", ":"),
                     "cn=Internet Mail Service (Site2),cn=Connections,cn=Configuration,ou=Site2,"
                     "o=Example:OnlySystemMessagesUseCDs=TRUE"):
            rc, got = self.simulate("--set", name)
            self.assertEqual((rc, [g for g in got if "before" in g]), (0, want), name)

    def test_change_records(self):
        """The hub's link to Site2 goes by way of a new site: routes change, and may loop meanwhile."""
        dn = "cn=Internet Mail Service (%s),cn=Connections,cn=Configuration,ou=%s,o=Example"
        change = self.file("change.ldif", "\n".join((
            "dn: ou=Far,o=Example", "changetype: add", "objectClass: mailSite",
            "siteSmtpDomain: far.example.com", "",
            "dn: cn=IMS,ou=Far,o=Example", "changetype: add", "objectClass: imsConnector",
            "connectedDomains: Site2;1;SMTP:site2.example.com", "",
            "dn: " + dn % ("Hub", "Hub"), "changetype: modify", "delete: connectedDomains",
            "connectedDomains: site2;1;smtp:SITE2.example.com", "-", "add: connectedDomains",
            "connectedDomains: Far;3;SMTP:far.example.com", "-", "")))
        rc, got = self.simulate("--change", change)
        self.assertEqual(rc, 0)
        targets = {(g["site"], g["class"], g["target"]) for g in got if "before" in g}
        self.assertIn(("Hub", "system", "Site2"), targets)
        self.assertIn(("Far", "user", "Site2"), targets)
        one = self.simulate("--change", change, "--site", "far")[1]
        self.assertEqual({g["site"] for g in one if "before" in g}, {"Far"})
        rename = self.file("rename.ldif", "dn: ou=Site2,o=Example\nchangetype: modrdn\n"
                           "newrdn: ou=Second\ndeleteoldrdn: 1\n")
        rc, got = self.simulate("--change", rename)
        self.assertIn(("Second", "user", "Hub"),
                      {(g["site"], g["class"], g["target"]) for g in got if "before" in g})
        self.assertIn("UNKNOWN_SITE", [g.get("warning") for g in got])

    def test_loop_while_the_change_travels(self):
        net = self.file("net.ldif", "".join(
            f"dn: ou={s},o=E\nobjectClass: mailSite\nsiteSmtpDomain: {s.lower()}.example\n\n"
            for s in "ABC") +
            "dn: cn=IMS,ou=A,o=E\nobjectClass: imsConnector\nconnectedDomains: B;1;SMTP:b.example\n"
            "connectedDomains: C;1;SMTP:c.example\n\n"
            "dn: cn=IMS,ou=B,o=E\nobjectClass: imsConnector\n"
            "connectedDomains: A;1;SMTP:a.example\n")
        move = ("--set", "IMS (A):connectedDomains-=C;1;SMTP:c.example",
                "--set", "IMS (B):connectedDomains+=C;1;SMTP:c.example")
        rc, got = self.simulate(*move, ldif=net)
        loops = [g["loop"] for g in got if "loop" in g]
        self.assertEqual(rc, 1)
        self.assertEqual({(x["class"], x["target"], x["lasting"]) for x in loops},
                         {(c, t, False) for c in ("user", "system")
                          for t in ("EX:C", "SMTP:x@c.example")})
        self.assertEqual(sorted((s["site"], s["table"]) for s in loops[0]["sites"]),
                         [("A", "new"), ("B", "old")])
        rc, out, _ = run("simulate", "--ldif", net, *move)
        self.assertEqual(rc, 1)
        self.assertIn("while the change travels", out)

    def test_simulate_refuses(self):
        add = self.file("add.ldif", "dn: ou=Hub,o=Example\nchangetype: add\nobjectClass: mailSite\n")
        delete = self.file("delete.ldif", "dn: ou=Hub,o=Example\nchangetype: delete\n")
        broken = self.file("broken.ldif", "no change\n")
        for args, told in (((), "--set"), (("--set", "nonsense"), "OBJECT:ATTRIBUTE=VALUE"),
                           (("--set", "Site9:siteSmtpDomain=x.example"), "no such site"),
                           (("--set", "Hub:siteSmtpDomain-=x.example"), "does not have the value"),
                           (("--change", add), "exists already"),
                           (("--change", delete), "entries below it"),
                           (("--change", broken), broken + ":1"),
                           (("--change", add + ".none"), "add.ldif.none")):
            rc, out, err = run("simulate", "--ldif", NET, *args)
            self.assertEqual((rc, out), (2, ""), (args, err))
            self.assertIn(told, err)

    # --- check ---

    def test_check(self):
        rc, out, err = run("check", "--ldif", NET, "--json")
        self.assertEqual((rc, err), (1, ""))
        self.assertEqual([(w["warning"], w["dn"]) for w in lines(out)],
                         [("FLAG_ONE_WAY", "ou=Site1,o=Example")])
        fine = self.file("fine.ldif", self.flagged())
        rc, out, err = run("check", "--ldif", fine)
        self.assertEqual((rc, out, err),
                         (0, "Loop check: 7 destinations at 3 sites: no loop\n", ""))

    # --- import-reg, and the classic form ---

    def reg(self, name, data, encoding):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data.replace("\n", "\r\n").encode(encoding))
        return path

    def test_import_reg(self):
        """The proposal is a change that simulate takes, and makes the flag effective (E3 to E2)."""
        key = "[HKEY_LOCAL_MACHINE\\SYSTEM\\%s\\Services\\MSExchangeIMC\\Parameters]\n"
        value = '"OnlySystemMessagesUseCDs"=dword:%08x\n'
        on = key % "CurrentControlSet" + value % 1
        old = key % "ControlSet001" + value % 0
        want = None
        for path in (self.reg("a.reg", "REGEDIT4\n\n" + on, "latin-1"),
                     self.reg("b.reg", "Windows Registry Editor Version 5.00\n\n" + old + on + old,
                              "utf-16")):
            rc, out, err = run("import-reg", "--ldif", NET, "--site", "Site2", path)
            self.assertEqual((rc, err), (0, ""))
            self.assertIn("# sitectl connector set --config dird.conf --site 'Site2' "
                          "'Internet Mail Service (Site2)' onlySystemMessagesUseCDs=TRUE\n", out)
            got = self.simulate("--change", self.file("proposal.ldif", out))
            self.assertEqual(got, self.simulate("--set", FLAG_ON))
            self.assertIn(want, (None, out))
            want = out
        rc, out, _ = run("import-reg", "--ldif", NET, "--site", "Site1",
                         self.reg("c.reg", "REGEDIT4\n" + on, "latin-1"))
        self.assertEqual((rc, out.split(":")[0]), (0, "# nothing to change"))
        off = self.reg("off.reg", "REGEDIT4\n" + old, "latin-1")
        self.assertIn("onlySystemMessagesUseCDs: FALSE\n",
                      run("import-reg", "--ldif", NET, "--site", "Site1", off)[1])

    def test_import_reg_refuses(self):
        key = "REGEDIT4\n[HKLM\\CurrentControlSet\\MSExchangeIMC\\Parameters]\n"
        on = self.reg("on.reg", key + '"OnlySystemMessagesUseCDs"=dword:1\n', "latin-1")
        for text, args, status, told in (
                (key, (), 1, "does not set"),
                (key + '"OnlySystemMessagesUseCDs"="1"\n', (), 2, "no DWORD"),
                (key + '"OnlySystemMessagesUseCDs"=dword:1\n"OnlySystemMessagesUseCDs"=-\n', (), 1,
                 "does not set"),
                (key + "nonsense\n", (), 2, ":3: "), ("no export\n", (), 2, "no registry export")):
            rc, out, err = run("import-reg", "--ldif", NET, "--site", "Site1", *args,
                               self.reg("x.reg", text, "latin-1"))
            self.assertEqual((rc, out), (status, ""), text)
            self.assertIn(told, err)
        for args, told in ((("--site", "Site9"), "Site9"),
                           (("--site", "Hub", "--connector", "Other"), "Other")):
            rc, out, err = run("import-reg", "--ldif", NET, *args, on)
            self.assertEqual((rc, out), (2, ""))
            self.assertIn(told, err)

    def test_gwart(self):
        self.assertEqual(run("compute", "--ldif", NET, "--site", "Site1", "--gwart"),
                         (0, "EX,/O=Example/OU=Hub;,1,Internet Mail Service (Site1)\n"
                          "EX,/O=Example/OU=Site2;,2,Internet Mail Service (Site1)\n"
                          "SMTP,*;,2,Internet Mail Service (Site1),\n", ""))


tap.main()
