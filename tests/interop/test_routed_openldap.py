#!/usr/bin/python3
# tests/run: build=gcc timeout=300
"""routed beside slapd over TCP: recipients, published routes, deletions over a restart, a renamed site."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402
from test_routed import DIRECT, NOTFOUND, ROOT, VIA_HUB, Routed, domain, ims_dn, site_dn  # noqa: E402
from waypost import free_port, run, wait_for  # noqa: E402

SCHEMA = os.path.join(HERE, "..", "..", "schema")
SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap:/usr/libexec")
MODULES = next((d for d in ("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap")
                if os.path.exists(os.path.join(d, "syncprov.so"))), None)
STANDARD = "/etc/ldap/schema"
ADMIN = f"cn=admin,{ROOT}"


def foreign_schema(folder):
    """Copies of our schema files without what slapd's own define, and operational types."""
    standard = ""
    for name in ("core", "cosine", "inetorgperson"):
        with open(f"{STANDARD}/{name}.schema", encoding="utf-8") as f:
            standard += f.read()
    for name in ("exchange", "waypost"):
        with open(f"{SCHEMA}/{name}.schema", encoding="utf-8") as f:
            blocks = re.split(r"\n(?=\S)", f.read())
        path = os.path.join(folder, name + ".schema")
        with open(path, "w", encoding="utf-8") as f:
            for block in blocks:
                m = re.match(r"attributetype \( \S+ NAME '(\w+)'", block)
                if "USAGE" not in block and not (m and f"'{m.group(1)}'" in standard):
                    f.write(block + "\n")
        yield path


class Slapd:
    def __init__(self, folder):
        self.folder, self.process = folder, None
        self.uri = f"ldap://127.0.0.1:{free_port()}"
        os.makedirs(os.path.join(folder, "db"))
        self.password = os.path.join(folder, "password")
        with open(self.password, "w", encoding="ascii") as f:
            f.write("secret\n")
        with open(os.path.join(folder, "slapd.conf"), "w", encoding="ascii") as f:
            for name in ("core", "cosine", "inetorgperson"):
                f.write(f"include {STANDARD}/{name}.schema\n")
            for path in foreign_schema(folder):
                f.write(f"include {path}\n")
            f.write(f"""modulepath {MODULES}
moduleload back_mdb
moduleload syncprov
pidfile {folder}/pid
database mdb
maxsize 67108864
dbnosync
suffix "{ROOT}"
rootdn "{ADMIN}"
rootpw secret
directory {folder}/db
overlay syncprov
""")

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                [SLAPD, "-d", "0", "-h", self.uri, "-f", os.path.join(self.folder, "slapd.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("slapd answers", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8") as f:
                raise AssertionError("slapd ended:\n" + f.read())
        return run("ldapsearch", "-x", "-H", self.uri, "-b", "", "-s", "base", check=False)[0] == 0

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def modify(self, ldif):
        run("ldapmodify", "-x", "-H", self.uri, "-D", ADMIN, "-w", "secret", stdin=ldif)

    def search(self, base, what, *attributes):
        return run("ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.uri, "-D", ADMIN,
                   "-w", "secret", "-b", base, what, *attributes)


def add(dn, *lines):
    return f"dn: {dn}\nchangetype: add\n" + "\n".join(lines) + "\n\n"


def organisation():
    out = add(ROOT, "objectClass: organization", "objectClass: mailOrganization", "o: Example")
    for name, neighbours in (("S1", ["H"]), ("S2", ["H"]), ("H", ["S1", "S2"])):
        out += add(site_dn(name), "objectClass: organizationalUnit", "objectClass: mailSite",
                   f"ou: {name}", f"siteSmtpDomain: {domain(name)}",
                   "siteSharedDomain: example.com")
        for container in ("cn=Configuration", "cn=Connections,cn=Configuration", "cn=Recipients"):
            out += add(f"{container},{site_dn(name)}", "objectClass: container")
        out += add(ims_dn(name), "objectClass: imsConnector", f"cn: IMS-{name}",
                   *(f"connectedDomains: {n};1;SMTP:{domain(n)}" for n in neighbours))
    return out + add(f"cn=Bob,cn=Recipients,{site_dn('S2')}", "objectClass: inetOrgPerson",
                     "objectClass: mailRecipient", "cn: Bob", "sn: B",
                     "proxyAddresses: SMTP:bob@example.com",
                     "proxyAddresses: smtp:bob@s2.example.com")


def flag(*values):
    return (f"dn: {ims_dn('S1')}\nchangetype: modify\nreplace: onlySystemMessagesUseCDs\n"
            + "".join(f"onlySystemMessagesUseCDs: {v}\n" for v in values))


class BesideSlapd(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="routed-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.slapd = Slapd(os.path.join(self.folder, "slapd"))
        self.addCleanup(self.slapd.stop)
        self.slapd.start()
        self.slapd.modify(organisation())
        self.routed = Routed(os.path.join(self.folder, "routed"), self.slapd.uri, **{
            "bind-dn": ADMIN, "bind-password-file": self.slapd.password})
        self.addCleanup(self.routed.stop)
        self.routed.start()
        self.routed.becomes(VIA_HUB)

    def published(self):
        out = self.slapd.search(f"cn=Configuration,{site_dn('S1')}", "(objectClass=mailRoute)",
                                "routeMode", "routeTarget", "routeClass")
        return sorted(re.findall(r"^dn: cn=([^,]*)", out, re.M)), out

    def test_changes_recipients_and_routes(self):
        d = self.routed
        wait_for("routes", lambda: len(self.published()[0]) == 4)
        self.slapd.modify(flag("TRUE"))
        d.becomes(DIRECT)
        wait_for("route of S2", lambda: "routeMode: direct" in self.published()[1])
        self.assertEqual(d.ask("bob@example.com", "recipient"), "OK bob@s2.example.com")
        self.assertEqual(d.ask("nobody@example.com", "recipient"), NOTFOUND)
        self.slapd.modify(f"dn: {ims_dn('S1')}\nchangetype: delete\n")
        d.becomes("OK retry:4.4.4 no mail route to site S2")

    def test_restart_of_slapd(self):
        """Its session log is gone then: the refresh has a present phase."""
        d = self.routed
        self.slapd.stop()
        wait_for("session lost", lambda: d.status()["directory"] != "current")
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)
        self.slapd.start()
        self.slapd.modify(flag("TRUE") + f"\ndn: {ims_dn('H')}\nchangetype: delete\n")
        d.becomes("OK retry:4.4.4 no mail route to site S2")
        self.assertEqual(d.status()["entries"], "5")
        self.slapd.modify(add(ims_dn("H"), "objectClass: imsConnector", "cn: IMS-H",
                              "connectedDomains: S2;1;SMTP:" + domain("S2")))
        d.becomes(DIRECT)

    def test_rename_of_a_site(self):
        self.slapd.modify(f"dn: {ims_dn('H')}\nchangetype: modify\nadd: connectedDomains\n"
                          f"connectedDomains: S9;1;SMTP:{domain('S2')}\n\n"
                          f"dn: {site_dn('S2')}\nchangetype: modrdn\nnewrdn: ou=S9\n"
                          "deleteoldrdn: 1\n")
        out = ""

        def explained():
            nonlocal out
            out = run("routectl", "explain", "--config", self.routed.path("routed.conf"),
                      "bob@s2.example.com")
            return "belongs to site S9" in out
        wait_for("site S9", explained)


if __name__ == "__main__":
    if SLAPD is None or MODULES is None or not os.path.exists(STANDARD):
        tap.skip_all("slapd with syncprov is not installed")
    tap.main()
