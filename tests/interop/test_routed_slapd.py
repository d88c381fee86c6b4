#!/usr/bin/python3
# tests/run: build=san timeout=300
"""routed beside OpenLDAP's slapd: any server that speaks RFC 4533 and holds the schema will do."""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap  # noqa: E402
from waypost import Site, wait_for  # noqa: E402

SLAPD = "/usr/sbin/slapd"
MODULES = "/usr/lib/ldap"
SCHEMA = os.path.join(HERE, "..", "..", "schema")
IMS = "cn=IMS,cn=Connections,cn=Configuration,ou=Site1,o=Example"
LDIF = """dn: o=Example
objectClass: organization
objectClass: mailOrganization
"""
for _name in ("Hub", "Site1", "Site2"):
    _neighbours = ("Site1", "Site2") if _name == "Hub" else ("Hub",)
    LDIF += f"""
dn: ou={_name},o=Example
objectClass: organizationalUnit
objectClass: mailSite
siteSmtpDomain: {_name.lower()}.example.com

dn: cn=Configuration,ou={_name},o=Example
objectClass: container

dn: cn=Connections,cn=Configuration,ou={_name},o=Example
objectClass: container

dn: cn=Routes,cn=Configuration,ou={_name},o=Example
objectClass: container
objectClass: siteLocal

dn: cn=IMS,cn=Connections,cn=Configuration,ou={_name},o=Example
objectClass: imsConnector
""" + "".join(f"connectedDomains: {n};1;SMTP:{n.lower()}.example.com\n" for n in _neighbours)


class SlapdSite(Site):
    """A Site whose directory is slapd."""

    def configure(self):
        os.makedirs(self.path("db"))
        included = [f"/etc/ldap/schema/{n}.schema" for n in ("core", "cosine", "inetorgperson")]
        included += [self._for_slapd(n) for n in ("exchange.schema", "waypost.schema")]
        with open(self.path("slapd.conf"), "w", encoding="ascii") as f:
            f.write("".join(f"include {i}\n" for i in included) + f"""
modulepath {MODULES}
moduleload back_mdb
moduleload syncprov
pidfile {self.path("slapd.pid")}
authz-regexp "gidNumber=0\\\\+uidNumber=0,cn=peercred,cn=external,cn=auth" "cn=admin,o=Example"
database mdb
suffix o=Example
rootdn cn=admin,o=Example
directory {self.path("db")}
overlay syncprov
""")
        with open(self.path("routed.conf"), "w", encoding="ascii") as f:
            f.write(f"organisation o=Example\nsite {self.name}\ndirectory {self.ldapi}\n"
                    "state routed\nsocketmap unix:routed/socketmap\ncontrol routed/control\n"
                    "heartbeat 1s\nreconnect-max 1s\n")

    def _for_slapd(self, name):
        """A copy without what slapd refuses in a file (operational attributes) or has already."""
        with open(os.path.join(SCHEMA, name), encoding="utf-8") as f:
            text = re.sub(r"NO-USER-MODIFICATION|USAGE \w+", "", f.read())
        text = re.sub(r"attributetype \( \S+ NAME 'textEncodedORAddress'.*?\n(?=attr|\n|#)", "",
                      text, flags=re.S)
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)
        return self.path(name)

    def start_slapd(self):
        with open(self.path("slapd.log"), "ab") as log:
            self.processes["slapd"] = subprocess.Popen(
                [SLAPD, "-d", "0", "-h", self.ldapi, "-f", self.path("slapd.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("slapd answers", lambda: self._alive("slapd") and self.dird_answers())


class RoutedBesideSlapd(unittest.TestCase):
    """The steps build on each other and run in the order of their names."""

    @classmethod
    def setUpClass(cls):
        folder = tempfile.mkdtemp(prefix="waypost-slapd-")
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.site = SlapdSite(os.path.join(folder, "s"), "Site1", "site1.example.com")
        cls.site.root = "o=Example"
        os.mkdir(cls.site.folder)
        cls.addClassCleanup(cls.site.close)
        cls.site.configure()
        cls.site.start_slapd()
        cls.site.add(LDIF)
        cls.site.start("routed")

    def tearDown(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            print(self.site.log("routed")[-3000:], self.site.log("slapd")[-2000:])

    def answer(self, expected, address="ada@site2.example.com"):
        wait_for(f"{address} -> {expected}",
                 lambda: self.site.lookup("transport", address) == expected, 30)

    def flag(self, value):
        self.site.modify(f"dn: {IMS}\nchangetype: modify\nreplace: onlySystemMessagesUseCDs\n"
                         f"onlySystemMessagesUseCDs: {value}\n")

    def test_1_change_is_followed(self):
        self.answer(("OK", "smtp:hub.example.com"))
        self.flag("TRUE")
        self.answer(("OK", "smtp:site2.example.com"))
        self.flag("FALSE")
        self.answer(("OK", "smtp:hub.example.com"))

    def test_2_connector_deleted(self):
        hub = "cn=IMS,cn=Connections,cn=Configuration,ou=Hub,o=Example"
        self.site.modify(f"dn: {hub}\nchangetype: delete\n")
        wait_for("no route", lambda: self.site.lookup(
            "transport", "ada@site2.example.com")[1].startswith("retry:4.4.4 "), 30)
        self.site.add(LDIF[LDIF.index(f"dn: {hub}"):].split("\n\n")[0] + "\n")
        self.answer(("OK", "smtp:hub.example.com"))

    def test_3_change_while_the_directory_was_away(self):
        self.site.stop("slapd", signal.SIGTERM)
        self.answer(("OK", "smtp:hub.example.com"))
        self.site.start_slapd()
        self.flag("TRUE")
        self.answer(("OK", "smtp:site2.example.com"))

    def test_4_routes_are_published(self):
        wait_for("a mailRoute entry for Site2", lambda: self.site.count(
            "cn=Routes,cn=Configuration,ou=Site1,o=Example",
            "(&(objectClass=mailRoute)(routeTarget=Site2)(routeMode=direct))"), 30)

    def test_5_clean_stop(self):
        self.site.stop("routed")


if not os.path.exists(SLAPD):
    tap.skip_all("slapd is not installed (tools/install-deps --test)")
tap.main()
