#!/usr/bin/python3
# tests/run: build=san timeout=300
"""A partner whose program was changed: it holds a site's key and says what it likes (S2, R8, R16)."""
import os
import re
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402
import ber  # noqa: E402
from fake_partner import FakePartner  # noqa: E402

ROOT = "o=Example"
SYNC_STATE, SYNC_INFO = "1.3.6.1.4.1.4203.1.9.1.2", "1.3.6.1.4.1.4203.1.9.1.4"
ADD, DELETE = 1, 3


def state(kind, entry):
    return ber.control(SYNC_STATE, value=ber.tlv(0x30, ber.integer(kind, 0x0a), ber.octets(entry.bytes)))


def entry(dn, values, kind, entry_uuid):
    return ber.message(2, ber.tlv(0x64, ber.octets(dn), ber.attributes(values)), state(kind, entry_uuid))


def info(value):
    return ber.message(2, ber.tlv(0x79, ber.tlv(0x80, SYNC_INFO.encode()), ber.tlv(0x81, value)))


def new_cookie(cookie):
    return info(ber.tlv(0x80, cookie.encode()))


def end_of_present_phase(cookie):
    return info(ber.tlv(0xa2, ber.octets(cookie)))


def cookie_of(*positions):
    return "wp1," + "0" * 16 + "".join(f",{nc}:{epoch}:{life}:{usn}"
                                       for nc, epoch, life, usn in sorted(positions))


class ModifiedPeer(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1", "Site2")
    CONF = "heartbeat 500ms\nrelayed-changes indirect\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one, cls.two = cls.sites.values()
        for site in cls.sites.values():
            site.modify(f"dn: cn=Victim,cn=Recipients,ou={site.name},{ROOT}\nchangetype: add\n"
                        "objectClass: inetOrgPerson\nsn: Victim\n\n")
        wait_for("everything everywhere", lambda: all(
            s.count(ROOT, "(cn=Victim)") == 3 for s in (cls.hub, cls.one, cls.two)))
        cls.victims = {s.name: cls.read(s) for s in (cls.hub, cls.one, cls.two)}
        cls.two.stop("dird")
        cls.mallory = FakePartner(cls.two)
        cls.addClassCleanup(cls.mallory.close)
        cls.mallory.start()

    @classmethod
    def read(cls, site):
        out = cls.hub.search(f"cn=Victim,cn=Recipients,ou={site.name},{ROOT}", "(objectClass=*)", "*",
                             "entryUUID", "originStamp", "parentUUID", scope="base")
        got = dict(re.findall(r"^(\w+): (.*)$", out, re.M))
        nc, epoch, usn = got["originStamp"].split(":")
        stat = run("dirctl", "stat", "--json", "--config", cls.hub.path("dird.conf"))
        got["life"] = re.search(rf'"id":"{nc}","invocation":"([^"]*)"', stat).group(1)
        got.update(nc=nc, epoch=int(epoch), usn=int(usn))
        return got

    def content(self, site, where):
        out = site.search(where, "(!(objectClass=siteLocal))", "*", "entryUUID", "originStamp")
        return sorted("\n".join(sorted(e.splitlines())) for e in out.split("\n\n"))

    def others(self):
        """What Mallory may not touch, as the hub and the site itself show it; counters too."""
        stat = run("dirctl", "stat", "--json", "--config", self.hub.path("dird.conf"))
        return re.findall(r'^{"context":"ou=(?:Hub|Site1),.*$', stat, re.M) + [self.content(s, f"ou={s.name},{ROOT}") for s in (self.hub, self.one)] + [
            self.content(self.hub, f"ou=Site1,{ROOT}")]

    def say(self, *messages):
        """Have it said in a new session of the hub."""
        self.mallory.script = b"".join(messages)
        before = self.mallory.sessions
        self.hub.stop("dird")
        self.hub.start("dird")
        wait_for("the hub listens to the modified partner", lambda: self.mallory.sessions > before, 60)

    def forged(self, victim, dn, kind=ADD, usn=1000, **more):
        values = {"objectClass": ["top", "person", "organizationalPerson", "inetOrgPerson"],
                  "cn": ["Victim"], "sn": ["forged"],
                  "originStamp": [f"{victim['nc']}:{victim['epoch']}:{victim['usn'] + usn}"],
                  "parentUUID": [victim["parentUUID"]]}
        values.update(more)
        return entry(dn, values, kind, uuid.UUID(victim["entryUUID"]))

    def believe_partners(self, site):
        with open(site.path("dird.conf"), encoding="ascii") as f:
            conf = f.read().replace("relayed-changes indirect", "relayed-changes all")
        with open(site.path("dird.conf"), "w", encoding="ascii") as f:
            f.write(conf)
        site.stop("dird")
        site.start("dird")

    def test_01_other_contexts_stay_as_they_are(self):
        """S2: changed entries, new ones, removals, positions, an empty present phase."""
        before = self.others()
        said, positions = [], []
        for name in ("Hub", "Site1"):
            v = self.victims[name]
            dn = f"cn=Victim,cn=Recipients,ou={name},{ROOT}"
            said.append(self.forged(v, dn))
            said.append(self.forged(dict(v, entryUUID=str(uuid.uuid4())),
                                    f"cn=Planted,cn=Recipients,ou={name},{ROOT}"))
            said.append(self.forged(v, dn, DELETE, 2000))
            if name != "Hub":  # of the hub's own it would ask at the start (docs/replication.md)
                positions.append((v["nc"], v["epoch"], v["life"], v["usn"] + 5000))
        said.append(end_of_present_phase(cookie_of(*positions)))
        self.say(*said)
        # it may say what it likes of its own context, and that comes last
        own = self.victims["Site2"]
        self.say(*said[:-1], self.forged(own, f"cn=Victim,cn=Recipients,ou=Site2,{ROOT}"),
                 new_cookie(cookie_of((own["nc"], own["epoch"], own["life"], own["usn"] + 1000))))
        wait_for("its own context follows", lambda: self.hub.count(
            f"ou=Site2,{ROOT}", "(sn=forged)") == 1)
        self.assertEqual(self.others(), before)
        self.assertEqual(self.hub.count(ROOT, "(cn=Planted)"), 0)
        self.assertIn("repl.foreign", self.hub.log("dird"))
        # Site1 still gets through by its own link
        self.one.modify(f"dn: cn=Victim,cn=Recipients,ou=Site1,{ROOT}\nchangetype: modify\n"
                        "replace: sn\nsn: genuine\n\n")
        wait_for("Site1's change", lambda: self.hub.count(ROOT, "(sn=genuine)") == 1)

    def test_02_poison_does_not_stop_a_context(self):
        """R16: counted, shown with the reason, passed on; what comes behind it is applied."""
        self.believe_partners(self.one)  # nobody signs what comes here
        own = self.victims["Site2"]
        poison = self.forged(dict(own, entryUUID=str(uuid.uuid4())), "no name at all", usn=2000)
        good = self.forged(own, f"cn=Victim,cn=Recipients,ou=Site2,{ROOT}", usn=2001, sn=["behind"],
                           telepathicNumber=["42"])
        self.say(poison, good, new_cookie(cookie_of(
            (own["nc"], own["epoch"], own["life"], own["usn"] + 2001))))
        for site in (self.hub, self.one):
            wait_for("what is behind it", lambda s=site: s.count(ROOT, "(sn=behind)") == 1)
            wait_for("the poison is kept", lambda s=site: "no name at all" in run(
                "dirctl", "quarantine", "--json", "--config", s.path("dird.conf")))
            self.assertIn("quarantinedEntries: 1", site.search("cn=monitor", "(cn=Database)"))
            out = site.search(ROOT, "(sn=behind)", "telepathicNumber")
            self.assertIn("telepathicNumber: 42", out)  # no schema knows it
        self.assertEqual(self.hub.log("dird").count("repl.quarantined"), 1)
        run("dirctl", "check", "--config", self.hub.path("dird.conf"))
        out = run("dirctl", "quarantine", "--retry", "--config", self.hub.path("dird.conf"))
        self.assertIn("RDN: ", out)
        self.hub.stop("dird")
        out = run("dirctl", "quarantine", "--retry", "--json", "--config", self.hub.path("dird.conf"))
        self.assertEqual(out.count("no name at all"), 1)
        self.hub.start("dird")


if __name__ == "__main__":
    tap.main()
