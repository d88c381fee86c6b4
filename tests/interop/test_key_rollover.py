#!/usr/bin/python3
# tests/run: build=san timeout=400
"""A site gets another key while partners compare what is passed on of it with the heads that it signs.

Site1 - Hub - Site2: Site2 hears of Site1 through the hub alone, as in a star.
"""
import base64
import hashlib
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from fake_partner import Said, listen_to, split_address  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402

ROOT = "o=Example"
BODY = 15 + 16 + 4 + 16 + 8 + 8 + 8 + 32  # of a head, dird/head.h
NOT_ITS_KEY = "its head is signed by a key that the site which writes it does not have"
NO_HEAD = "comes without a head that its site has signed"


def public_key(path):
    return subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True,
                          capture_output=True).stdout


def pin(path):
    return "sha256:" + base64.b64encode(hashlib.sha256(public_key(path)).digest()).decode()


class KeyRollover(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1", "Site2")
    CONF = "heartbeat 500ms\nrelayed-changes verified\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one, cls.two = cls.sites.values()
        cls.n = 0

    # --- what is done ------------------------------------------------------------------------------

    def make_key(self, name):
        """A key and a certificate that are not used yet; where they are, without their endings."""
        path = os.path.join(self.folder, name)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "30", "-subj", f"/CN={name}", "-keyout", path + ".key",
                        "-out", path + ".crt"], check=True, capture_output=True)
        os.chmod(path + ".key", 0o600)
        return path

    def kept_key(self, name):
        path = os.path.join(self.folder, name)
        for ending in (".key", ".crt"):
            shutil.copy(self.one.path("site" + ending), path + ending)
        return path

    def use(self, key):
        for ending in (".key", ".crt"):
            shutil.copy(key + ending, self.one.path("site" + ending))
        self.one.processes["dird"].send_signal(signal.SIGHUP)
        with open(key + ".crt", encoding="ascii") as f:
            certificate = f.read()
        wait_for("the key is used", lambda: ssl.get_server_certificate(
            split_address(self.one.ldaps)).strip() == certificate.strip())

    def set_pins(self, *words):
        run("sitectl", "site", "set", "Site1", *words, "--config", self.one.path("dird.conf"))

    def roll_over(self, key, known_by):
        """As docs/replication.md has it; known_by: sites that run."""
        former = pin(self.one.path("site.key"))
        self.set_pins(f"siteKey+={pin(key + '.key')}")
        self.arrives(*known_by)
        self.use(key)
        self.arrives(*known_by)
        self.set_pins(f"siteKey-={former}")
        self.arrives(*known_by)

    def change(self):
        type(self).n += 1
        self.one.modify(f"dn: cn=Person{self.n},cn=Recipients,ou=Site1,{ROOT}\nchangetype: add\n"
                        f"objectClass: inetOrgPerson\nsn: {self.n}\n\n")
        return f"(cn=Person{self.n})"

    def arrives(self, *sites):
        change = self.change()
        for site in sites:
            wait_for(f"{change} at {site.name}", lambda s=site: s.count(ROOT, change) == 1, 60)

    # --- what is seen ------------------------------------------------------------------------------

    def proof(self, site):
        out = site.search("cn=Replication,cn=monitor", f"(&(ncName={self.one.dn})(position=*))")
        return re.search(r"^contextProof: (.*)$", out, re.M).group(1)

    def status(self):
        return run("sitectl", "status", "--json", "--config", self.two.path("dird.conf"))

    def signer(self):
        """The key that has signed what the hub passes on."""
        nc = re.search(r"^entryUUID: (.*)$", self.one.search(self.one.dn, "(ou=Site1)", "entryUUID"), re.M)
        head = Said(listen_to(ROOT, self.hub, self.two.folder, ""), nc.group(1)).head
        n = int.from_bytes(head[BODY:BODY + 2], "big")
        return head[BODY + 2:BODY + 2 + n]

    def believe(self, site, word):
        with open(site.path("dird.conf"), encoding="ascii") as f:
            conf = re.sub(r"(?m)^relayed-changes .*", f"relayed-changes {word}", f.read())
        with open(site.path("dird.conf"), "w", encoding="ascii") as f:
            f.write(conf)
        site.stop("dird")
        site.start("dird")

    # --- steps -------------------------------------------------------------------------------------

    def test_1_in_good_order(self):
        """Nothing is refused at any time, and in the end the new key alone counts."""
        self.arrives(self.hub, self.two)
        key = self.make_key("second")
        self.roll_over(key, (self.hub, self.two))
        wait_for("proven", lambda: self.proof(self.two) == "proven")
        wait_for("by the new key", lambda: self.signer() == public_key(key + ".key"))
        for site in (self.hub, self.two):
            self.assertNotIn("repl.unproven", site.log("dird"))
            self.assertNotIn("repl.stale", site.log("dird"))

    def test_2_partners_know_only_the_former_key(self):
        """Used before its pin was known. Sessions that run go on, so the hub has what Site1 writes, but can prove
        it to nobody. The former key mends it."""
        former = self.kept_key("former")
        self.use(self.make_key("third"))
        waiting = self.change()
        wait_for("it is at the hub", lambda: self.hub.count(ROOT, waiting) == 1)
        wait_for("the reason", lambda: NO_HEAD in self.status(), 60)
        wait_for("the alarm", lambda: '"proof":"stale"' in self.status(), 60)
        for event in ("repl.unproven", "repl.stale"):
            wait_for(event, lambda e=event: e in self.two.log("dird"))
        # telling it now is too late for those who hear it from the hub
        self.set_pins(f"siteKey+={pin(self.one.path('site.key'))}")
        wait_for("the other reason", lambda: NOT_ITS_KEY in self.status(), 60)
        self.assertEqual(self.two.count(ROOT, waiting), 0)
        self.use(former)
        wait_for("what waited", lambda: self.two.count(ROOT, waiting) == 1, 90)
        wait_for("proven", lambda: self.proof(self.two) == "proven")
        wait_for("no alarm", lambda: "repl.fresh" in self.two.log("dird"))
        self.use(os.path.join(self.folder, "third"))  # its pin is known by now
        self.set_pins(f"siteKey-={pin(former + '.key')}")
        self.arrives(self.hub, self.two)

    def test_3_away_at_that_time(self):
        """A site that has missed it all takes nothing of Site1 from anybody, until it is told to."""
        self.two.stop("dird")
        self.roll_over(self.make_key("fourth"), (self.hub,))
        self.two.start("dird")
        wait_for("the reason", lambda: NOT_ITS_KEY in self.status(), 60)
        self.assertEqual(self.two.count(ROOT, f"(cn=Person{self.n})"), 0)
        # Site1 can not be called either: its pin here is the former one
        self.link("add")
        wait_for("refused", lambda: "not the one pinned for its site" in self.two.log("dird"), 60)
        self.link("delete")
        self.believe(self.two, "all")
        wait_for("all of it", lambda: self.two.count(ROOT, f"(cn=Person{self.n})") == 1, 60)
        self.believe(self.two, "verified")
        self.arrives(self.hub, self.two)
        wait_for("proven", lambda: self.proof(self.two) == "proven")

    def link(self, verb):
        run("sitectl", "link", verb, "Site1", "--config", self.two.path("dird.conf"))

    def test_90_stores_are_sound(self):
        for site in self.sites.values():
            site.stop("dird")
            run("dirctl", "check", "--config", site.path("dird.conf"))


if __name__ == "__main__":
    tap.main()
