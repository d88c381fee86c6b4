#!/usr/bin/python3
# tests/run: build=san timeout=400
"""A hub whose program was changed passes on another site's context as it likes (S2, S7, R32).

It has the hub's key, so everybody talks to it, and what Site1 really says, heads and all. Site2 hears of Site1
through it alone.
"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from ldif import replace  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402
import ber  # noqa: E402
from fake_partner import SYNC, FakePartner, Said, info, listen_to  # noqa: E402

ROOT = "o=Example"
SITE1 = f"ou=Site1,{ROOT}"
VICTIM = f"cn=Victim,cn=Recipients,{SITE1}"
BYSTANDER = f"cn=Bystander,cn=Recipients,{SITE1}"
BODY = 15 + 16 + 4 + 16 + 8 + 8 + 8 + 32  # of a head, dird/head.h


class LyingHub(SitesCase):
    """Each attack is made upon the same change, which comes through in the end as it was made."""

    NAMES = ("Hub", "Site1", "Site2")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one, cls.two = cls.sites.values()
        for dn in (VICTIM, BYSTANDER):
            cls.one.modify(f"dn: {dn}\nchangetype: add\nobjectClass: inetOrgPerson\nsn: before\n"
                           "description: as it was made\n\n")
        wait_for("everything everywhere", lambda: all(
            s.count(ROOT, "(sn=before)") == 2 for s in (cls.hub, cls.one, cls.two)))
        wait_for("and proven", lambda: cls.state(cls.two)["contextProof"] == "proven")
        cls.nc = cls.stat(cls.two)["id"]
        since = cls.vector(cls.two)
        cls.first = Said(listen_to(ROOT, cls.one, cls.hub.folder, ""), cls.nc)
        cls.hub.stop("dird")
        for text in ("older", "newest"):
            cls.one.modify(replace(VICTIM, "sn", text) + "\n")
            cls.one.modify(replace(BYSTANDER, "sn", text) + "\n")
            cls.said = Said(listen_to(ROOT, cls.one, cls.hub.folder, since), cls.nc)
            if text == "older":
                cls.older = cls.said
        cls.eve = FakePartner(cls.hub)
        cls.addClassCleanup(cls.eve.close)
        cls.eve.start()

    @classmethod
    def stat(cls, site):
        """Site1's context, as dirctl stat has it there."""
        out = run("dirctl", "stat", "--json", "--config", site.path("dird.conf"))
        line = next(x for x in out.splitlines() if f'"{SITE1}"' in x)
        return dict(re.findall(r'"(\w+)":"?([^",}]*)', line))

    @classmethod
    def vector(cls, site):
        out = run("dirctl", "stat", "--json", "--config", site.path("dird.conf"))
        rows = re.findall(r'"epoch":(\d+),"usn":(\d+),"floor":\d+,"id":"([^"]*)","invocation":"([^"]*)"',
                          out)
        return "wp1," + "0" * 16 + "".join(
            f",{nc}:{epoch}:{life}:{usn}" for epoch, usn, nc, life in sorted(rows, key=lambda r: r[2])
            if not nc.startswith("ffffffff"))

    @classmethod
    def state(cls, site):
        """Site1's context, as the monitor of a site has it."""
        out = site.search("cn=Replication,cn=monitor", f"(&(ncName={SITE1})(position=*))")
        return dict(re.findall(r"^(\w+): (.*)$", out, re.M))

    def content(self):
        out = self.two.search(SITE1, "(objectClass=*)", "*", "entryUUID", "originStamp")
        return sorted("\n".join(sorted(e.splitlines())) for e in out.split("\n\n")), self.stat(self.two)

    def say(self, *messages):
        """Have it said in a new session of Site2."""
        self.eve.script = b"".join(messages)
        before = self.eve.sessions
        self.two.stop("dird")
        self.two.start("dird")
        wait_for("Site2 listens to the modified hub", lambda: self.eve.sessions > before, 60)
        self.assertTrue(self.eve.asked_for_heads)

    def refused(self, reason, *messages):
        """Nothing changes, and everybody can see why."""
        before, count = self.content(), self.two.log("dird").count(reason)
        self.say(*messages)
        wait_for(f"an alarm: {reason}", lambda: self.two.log("dird").count(reason) > count)
        self.assertEqual(self.content(), before)
        return reason

    def altered(self, said=None):
        said = said or self.said
        entries = [e.replace(b"as it was made", b"as it was mad3") for e in said.entries]
        self.assertNotEqual(entries, said.entries)
        return entries

    def signed_by_hub(self, head):
        """The same head with the hub's key."""
        key = self.hub.path("site.key")
        public = subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"],
                                check=True, capture_output=True).stdout
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=head[:BODY],
                                   check=True, capture_output=True).stdout
        return head[:BODY] + b"".join(len(p).to_bytes(2, "big") + p for p in (public, signature))

    DIFFERS = "it is not what the head that its site has signed says"

    def test_01_one_byte(self):
        self.refused(self.DIFFERS, *self.altered(), self.said.send_head(), self.said.cookie())
        self.assertIn(f"refusedContext: {self.DIFFERS}",
                      self.two.search("cn=Replication,cn=monitor", "(refusedContext=*)"))
        self.assertIn(self.DIFFERS, run("sitectl", "status", "--json", "--config",
                                        self.two.path("dird.conf")))

    def test_02_removed(self):
        entry = self.said.entries[0]
        entry = entry[:entry.rindex((SYNC + "2").encode())]
        at = entry.index(b"originStamp")
        stamp = ber.split(ber.split(entry[at + 11:])[1])[1].decode()
        uuid = self.said.entries[0][-16:]
        removal = ber.message(2, ber.tlv(0x64, ber.octets(VICTIM), ber.attributes({"originStamp": [stamp]})),
                              ber.control(SYNC + "2", value=ber.tlv(0x30, ber.integer(3, 0x0a), ber.octets(uuid))))
        self.refused(self.DIFFERS, removal, *self.said.entries[1:], self.said.send_head(),
                     self.said.cookie())

    def test_03_withheld(self):
        self.refused(self.DIFFERS, *self.said.entries[1:], self.said.send_head(), self.said.cookie())
        self.refused(self.DIFFERS, self.said.send_head(), self.said.cookie())

    def test_04_old_entry_with_a_new_head(self):
        self.refused(self.DIFFERS, *self.older.entries, self.said.send_head(), self.said.cookie())

    def test_05_invented(self):
        """New entries, alone and beside the real ones; and one beyond the head."""
        planted = [e[:-16] + os.urandom(16) for e in self.said.entries[:1]]
        planted = [e.replace(b"cn=Victim", b"cn=Vicemi").replace(b"Victim", b"Vicemi") for e in planted]
        self.refused(self.DIFFERS, *self.said.entries, *planted, self.said.send_head(), self.said.cookie())
        usn = int(self.said.position.rsplit(b":", 1)[1])
        stamp = b":".join(self.said.position.split(b":")[:2]) + b":"
        beyond = self.said.entries[0].replace(stamp + b"%d" % (usn - 1), stamp + b"%d" % (usn + 1))
        self.assertNotEqual(beyond, self.said.entries[0])
        self.refused("a change beyond the head", beyond, *self.said.entries[1:],
                     self.said.send_head(), self.said.cookie())

    def test_06_everything_is_gone(self):
        """An empty present phase."""
        end = info(ber.tlv(0xa2, ber.octets(b"wp1," + b"0" * 16 + b"," + self.said.position)))
        self.refused(self.DIFFERS, self.said.send_head(), end)

    def test_07_no_head(self):
        """Held back, and not taken."""
        before = self.content()
        self.say(*self.altered(), self.said.cookie(), info(ber.tlv(0xa1)))
        wait_for("the end of the refresh", lambda: self.two.log("dird").rstrip().rfind(
            "repl.refreshed") > self.two.log("dird").rfind("repl.connected"))
        self.assertEqual(self.content(), before)

    def test_08_old_head(self):
        self.refused("a change beyond the head", *self.altered(), self.first.send_head(), self.first.cookie())
        before = self.content()
        self.say(*self.altered(), self.first.send_head(), self.said.cookie(), info(ber.tlv(0xa1)))
        wait_for("the end of the refresh", lambda: self.two.log("dird").rstrip().rfind(
            "repl.refreshed") > self.two.log("dird").rfind("repl.connected"))
        self.assertEqual(self.content(), before)

    def test_09_signed_by_another_site(self):
        """A signature that is good, by a key that is not Site1's."""
        self.refused("its head is signed by a key that the site which writes it does not have",
                     *self.said.entries, self.said.send_head(self.signed_by_hub(self.said.head)),
                     self.said.cookie())

    def test_10_forged_or_malformed(self):
        bent = bytearray(self.said.head)
        bent[BODY - 1] ^= 1
        self.refused("a head with a wrong signature", *self.said.entries,
                     self.said.send_head(bytes(bent)), self.said.cookie())
        for bad in (b"", self.said.head[:BODY], self.said.head[:-1], self.said.head + b"x", b"x" * 200):
            self.refused("a malformed head", *self.said.entries, self.said.send_head(bad),
                         self.said.cookie())

    def test_11_key_in_the_same_breath(self):
        """Site1's entry with the hub's key in it does not make the hub's signature good."""
        site = next(e for e in self.first.entries if b"siteKey" in e)
        pin = re.search(rb"sha256:[A-Za-z0-9+/=]{44}", site).group(0)
        mine = re.search(r"sha256:[A-Za-z0-9+/=]{44}", self.hub.search(ROOT, "(ou=Hub)", "siteKey")
                         if self.hub.dird_answers() else self.two.search(
                             f"ou=Hub,{ROOT}", "(objectClass=mailSite)", "siteKey", scope="base")).group(0)
        self.refused("a key that the site which writes it does not have",
                     site.replace(pin, mine.encode()), *self.said.entries,
                     self.said.send_head(self.signed_by_hub(self.said.head)), self.said.cookie())

    def test_20_stale(self):
        """R32: nothing is said any more, though the link is up."""
        self.say(info(ber.tlv(0xa1)))
        wait_for("an alarm", lambda: "repl.stale" in self.two.log("dird"), 60)
        self.assertEqual(self.state(self.two)["contextProof"], "stale")
        self.assertIn('"proof":"stale"', run("sitectl", "status", "--json", "--config",
                                             self.two.path("dird.conf")))

    def test_30_the_truth(self):
        """What Site1 has said is taken from the same hub."""
        self.say(*self.said.entries, self.said.send_head(), self.said.cookie(), info(ber.tlv(0xa1)))
        wait_for("the change", lambda: self.two.count(SITE1, "(sn=newest)") == 2)
        self.assertEqual(self.stat(self.two)["digest"], self.stat(self.one)["digest"])
        wait_for("proven", lambda: self.state(self.two)["contextProof"] == "proven")
        run("dirctl", "check", "--config", self.two.path("dird.conf"))


if __name__ == "__main__":
    tap.main()
