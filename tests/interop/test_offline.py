#!/usr/bin/python3
# tests/run: build=san timeout=600
"""What works on a site's folder without a server: sitectl init, token and join, dirctl."""
import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from waypost import PASSWORD, Site, run, wait_for  # noqa: E402


def people(first, count, site="ou=Hub,o=Example"):
    return "".join(f"dn: cn=P{n},cn=Recipients,{site}\nobjectClass: inetOrgPerson\nsn: S{n}\n\n"
                   for n in range(first, first + count))


def edit_token(token, **fields):
    text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    for name, value in fields.items():
        text = re.sub(f"^{name}=.*$", f"{name}={value}", text, flags=re.M)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class Offline(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="waypost-offline-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.site = Site(os.path.join(self.folder, "hub"), "Hub", "hub.example.com")
        self.addCleanup(self.site.close)

    def dirctl(self, verb, *args, check=True, stdin=None):
        return run("dirctl", verb, "--config", self.site.path("dird.conf"), *args, check=check,
                   stdin=stdin, timeout=120)

    def load(self, ldif, *options, check=True):
        return self.dirctl("load", *options, "-", stdin=ldif, check=check)

    def refused(self, result, *parts):
        status, _, err = result
        self.assertEqual(status, 1, err)
        for part in parts:
            self.assertIn(part, err)

    # --- init ---------------------------------------------------------------------------------

    def test_init_makes_what_is_private_private(self):
        self.site.init()
        for name in ("site.key", "admin.password"):
            mode = stat.S_IMODE(os.stat(self.site.path(name)).st_mode)
            self.assertEqual(mode, 0o600, name)
        self.assertEqual(stat.S_IMODE(os.stat(self.site.path("db")).st_mode), 0o700)
        with open(self.site.path("admin.password"), encoding="ascii") as f:
            self.assertNotIn(PASSWORD, f.read())
        self.dirctl("check")

    def test_init_twice(self):
        self.site.init()
        before = self.dirctl("dump")
        with self.assertRaisesRegex(AssertionError, "is there already"):
            self.site.init()
        self.assertEqual(self.dirctl("dump"), before)

    def test_init_refuses_and_leaves_nothing(self):
        for more in (["--organisation", "no dn"], ["--organisation", "cn=x"], ["--site", "a,b"],
                     ["--domain", "-x"], ["--ldap", "nowhere"], ["--cert", "/nonexistent"],
                     ["--admin-password-file", "/nonexistent"]):
            options = {"--dir": self.site.folder, "--organisation": "o=Example", "--site": "Hub",
                       "--domain": "hub.example.com", **dict([more])}
            words = [w for pair in options.items() for w in pair]
            status, _, err = run("sitectl", "init", *words, check=False)
            self.assertEqual(status, 1, more)
            self.assertIn("sitectl init: ", err)
            self.assertEqual(os.listdir(self.folder), [], more)

    def test_other_roots(self):
        for root in ("dc=example,dc=com", "ou=People,c=DE", "l=Hamburg"):
            site = Site(os.path.join(self.folder, root), "Hub", "hub.example.com")
            run("sitectl", "init", "--dir", site.folder, "--organisation", root, "--site", "Hub",
                "--domain", "hub.example.com")
            out = run("dirctl", "dump", "--config", site.path("dird.conf"))
            self.assertIn(f"dn: ou=Hub,{root}\n", out)

    # --- load and dump ------------------------------------------------------------------------

    def test_load_is_all_or_nothing(self):
        self.site.init()
        before = self.dirctl("dump")
        bad = people(0, 50) + "dn: cn=bad,o=Example\nobjectClass: noSuchClass\n\n" + people(50, 9)
        self.refused(self.load(bad, check=False), "stdin:201: cn=bad,o=Example", "noSuchClass",
                     "the database is as before")
        self.assertEqual(self.dirctl("dump"), before)
        self.assertEqual(sorted(os.listdir(self.folder)), ["hub", "hub.password"])
        self.assertFalse([n for n in os.listdir(self.site.folder) if n.startswith("db.")])
        self.refused(self.load(bad, "--continue", check=False), "noSuchClass")
        self.assertEqual(self.dirctl("dump").count("dn: cn=P"), 59)
        self.dirctl("check")

    def test_load_and_single_changes_are_alike(self):
        """New entries are gathered and indexed together; behind a change each is indexed alone; and so it is by
        LDAP. All three give the same."""
        ldif = "".join(
            f"dn: cn=P{n * 7 % 300},cn=Recipients,ou=Hub,o=Example\nobjectClass: inetOrgPerson\n"
            f"objectClass: mailRecipient\nsn: Hül{n % 9}\ngivenName: {'x' * (n * 3 % 700 + 1)}\n"
            f"mail: p{n}@hub.example.com\nproxyAddresses: smtp:q{n}@hub.example.com\n"
            f"entryUUID: 550e8400-e29b-41d4-a716-{n:012d}\ncreateTimestamp: 20260101000000Z\n"
            f"modifyTimestamp: 20260101000000Z\n\n" for n in range(300))
        # a second one with an address that is taken
        taken = ("dn: cn=Late,cn=Recipients,ou=Hub,o=Example\nobjectClass: inetOrgPerson\nsn: Late\n"
                 "objectClass: mailRecipient\nmail: Q7@hub.example.com\n\n")
        missing = "dn: cn=Missing,o=Example\nchangetype: delete\n\n"
        self.site.init()
        aside = os.path.join(self.folder, "aside")
        shutil.copytree(self.site.path("db"), aside)
        roads = []
        for text in (ldif + taken + missing, missing + ldif + taken):
            shutil.rmtree(self.site.path("db"))
            shutil.copytree(aside, self.site.path("db"))
            outcome = self.load(text, "--continue", check=False)
            self.refused(outcome, "smtp:q7@hub.example.com is an address of cn=P49", "noSuchObject")
            self.assertIn("300 entries added, 0 changed, 2 errors", outcome[1])
            self.dirctl("check")
            roads.append((self.dirctl("dump"), self.index_rows()))
        self.assertEqual(roads[0], roads[1])
        shutil.rmtree(self.site.path("db"))
        shutil.copytree(aside, self.site.path("db"))
        self.site.start("dird")
        self.site.add(re.sub(r"(?m)^(entryUUID|createTimestamp|modifyTimestamp): .*\n", "", ldif))
        self.site.stop("dird")
        self.dirctl("check")
        plain = [re.sub(r"(?m)^(entryUUID|createTimestamp|modifyTimestamp): .*\n", "", d)
                 for d in (roads[0][0], self.dirctl("dump"))]
        self.assertEqual(plain[0], plain[1])
        self.assertEqual(self.index_rows(), roads[0][1])

    def index_rows(self):
        return json.loads(self.dirctl("stat", "--json").splitlines()[0])["indexRows"]

    def test_load_names_every_line(self):
        self.site.init()
        bad = ("dn: cn=a,cn=none,o=Example\nobjectClass: container\n\n"
               "dn: not a dn\nobjectClass: container\n\n"
               "nonsense\n\n"
               "dn: cn=b,ou=Hub,o=Example\nobjectClass: container\ncreateTimestamp: x\n\n")
        self.refused(self.load(bad, check=False), "stdin:1:", "noSuchObject", "stdin:4:",
                     "stdin:7:")

    def test_a_dump_can_be_loaded_elsewhere(self):
        self.site.init()
        self.load(people(0, 20))
        dump = self.dirctl("dump")
        other = Site(os.path.join(self.folder, "other"), "Hub", "hub.example.com")
        other.init()
        run("dirctl", "load", "--config", other.path("dird.conf"), "-", stdin=dump)
        again = run("dirctl", "dump", "--config", other.path("dird.conf"))
        uuid = re.compile(r"^dn: (cn=P\d+,.*)\n(?:.+\n)*?entryUUID: (.*)$", re.M)
        self.assertEqual(len(uuid.findall(dump)), 20)
        self.assertEqual(sorted(uuid.findall(dump)), sorted(uuid.findall(again)))

    def test_an_organisation_in_one_file(self):
        self.site.init()
        self.load("dn: o=Example\nobjectClass: organization\nobjectClass: mailOrganization\n"
                  "description: new\n\n"
                  "dn: ou=Hub,o=Example\nobjectClass: organizationalUnit\nobjectClass: mailSite\n"
                  "siteSmtpDomain: other.example.com\n\n"
                  "dn: cn=Recipients,ou=Hub,o=Example\nobjectClass: container\n\n"
                  "dn: ou=Far,o=Example\nobjectClass: organizationalUnit\nobjectClass: mailSite\n"
                  "siteSmtpDomain: far.example.com\n\n"
                  "dn: cn=Recipients,ou=Far,o=Example\nobjectClass: container\n\n"
                  + people(0, 3, "ou=Far,o=Example") + people(0, 3))
        out = self.dirctl("dump")
        self.assertIn("description: new\n", out)
        self.assertIn("masterSite: Hub\n", out)
        self.assertIn("siteSmtpDomain: other.example.com\n", out)
        self.assertNotIn("siteSmtpDomain: hub.example.com\n", out)
        self.assertIn("siteKey: sha256:", out)
        self.dirctl("check")
        self.refused(self.load(people(0, 1), check=False), "entryAlreadyExists")

    def test_load_needs_dird_to_be_stopped(self):
        self.site.init()
        self.site.start("dird")
        self.refused(self.load(people(0, 1), check=False), "in use by process", "stop dird")
        self.dirctl("check")
        self.assertIn("dn: ou=Hub,o=Example", self.dirctl("dump"))
        self.assertIn('"entries":', self.dirctl("stat", "--json"))

    def test_killed_load(self):
        self.site.init()
        before = self.dirctl("dump")
        p = subprocess.Popen(["dirctl", "load", "--config", self.site.path("dird.conf"), "-"],
                             stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        p.stdin.write(people(0, 3000).encode())
        p.stdin.flush()
        wait_for("a copy", lambda: [n for n in os.listdir(self.site.folder)
                                    if n.startswith("db.load.")])
        p.send_signal(signal.SIGKILL)
        p.wait(30)
        p.stdin.close()
        self.assertEqual(self.dirctl("dump"), before)
        self.load(people(0, 3))
        self.dirctl("check")

    # --- token and join -----------------------------------------------------------------------

    def join(self, token, **more):
        options = {"--dir": os.path.join(self.folder, "s1"), "--token": token, "--site": "Site1",
                   "--domain": "site1.example.com", "--ldaps": "127.0.0.1:1", **more}
        return run("sitectl", "join", *(w for pair in options.items() for w in pair), check=False)

    def test_join_refusals_leave_nothing(self):
        self.site.init()
        token = self.site.token("Site1")  # dird is stopped
        self.refused(self.join(token), self.site.ldaps, "Connection refused")
        self.site.start("dird")
        second = self.site.token("Site2")  # dird runs
        pin = "sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        before = self.site.search("o=Example", "(objectClass=*)", "*")
        for bad, part in ((edit_token(token, pin=pin), "key of the other side"),
                          (edit_token(token, secret="x"), "invalidCredentials"),
                          (edit_token(token, expires="20200101000000Z"), "good until"),
                          (second, "it is for site Site2"),
                          (edit_token(second, site="Site1"), "for another site"),
                          ("nonsense", "neither a token nor a file")):
            self.refused(self.join(bad), part)
        self.refused(self.join(token, **{"--domain": "hub.example.com"}), "is in use")
        self.assertEqual(sorted(os.listdir(self.folder)), ["hub", "hub.password"])
        self.assertEqual(self.site.search("o=Example", "(objectClass=*)", "*"), before)
        self.assertEqual(self.join(token)[0], 0)
        self.refused(self.join(token, **{"--dir": os.path.join(self.folder, "s2")}),
                     "invalidCredentials")
        self.refused(run("sitectl", "token", "--config", self.site.path("dird.conf"), "Site1",
                         check=False), "exists already")
        out = run("dirctl", "dump", "--config", os.path.join(self.folder, "s1", "dird.conf"))
        self.assertIn("connectedDomains: Hub;1;SMTP:hub.example.com\n", out)
        self.assertIn(f"replicationURI: ldaps://{self.site.ldaps}\n", out)
        run("dirctl", "check", "--config", os.path.join(self.folder, "s1", "dird.conf"))


if __name__ == "__main__":
    tap.main()
