#!/usr/bin/python3
# tests/run: build=san timeout=300
"""Links that have hours: replicationSchedule, `sitectl link set`, sync-now outside of them."""
import datetime
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402


def away():
    """An hour that begins in some eleven hours: the test runs outside of it."""
    begin = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=11)
    end = begin + datetime.timedelta(hours=1)
    return f"daily {begin:%H}:00-{end:%H}:00"


class LinkHours(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one = cls.sites.values()

    def sitectl(self, *args, check=True):
        return run("sitectl", *args, "--config", self.one.path("dird.conf"), check=check)

    def status(self):
        return self.link_status(self.one, "ou=Hub", "Hub")

    def wait_for_state(self, state):
        return wait_for(state, lambda: self.status()["state"] == state, 30)

    def add_to(self, site, name):
        site.modify(f"dn: cn={name},cn=Recipients,ou={site.name},o=Example\nchangetype: add\n"
                    f"objectClass: inetOrgPerson\nsn: {name}\n\n")

    def is_at(self, site, name):
        return "dn:" in site.search("o=Example", f"(cn={name})", "cn")

    def add_to_hub(self, name):
        self.add_to(self.hub, name)

    def is_here(self, name):
        return self.is_at(self.one, name)

    def wait_until_joined(self):
        """While two sites take each other's content for the first time, each ends the session of
        the other once, and a link that waits for its next attempt has none to end. What goes to
        and fro afterwards goes by the sessions that last."""
        for n in range(3):
            for here, there in ((self.one, self.hub), (self.hub, self.one)):
                name = f"{here.name}{n}"
                self.add_to(here, name)
                wait_for(name, lambda: self.is_at(there, name))
        self.wait_for_state("persisting")

    def test_1_outside_its_hours_a_link_rests(self):
        self.wait_until_joined()
        out = self.sitectl("link", "set", "Hub", f"replicationSchedule={away()}")
        self.assertIn(f"+ replicationSchedule: {away()}", out)
        self.wait_for_state("scheduled")
        self.assertIn("repl.ended", self.one.log("dird"))
        self.assertRegex(self.status()["nextAttempt"], "^20.*0000Z$")
        self.add_to_hub("Late")
        self.assertFalse(self.is_here("Late"))

    def test_2_sync_now_catches_up_and_rests_again(self):
        self.assertFalse(self.is_here("Late"))
        self.sitectl("link", "sync-now", "Hub")
        wait_for("the entry", lambda: self.is_here("Late"))
        self.wait_for_state("scheduled")

    def test_3_a_start_asks_partners_and_rests(self):
        self.one.stop("dird")
        self.one.start("dird")
        self.wait_for_state("scheduled")
        self.assertIn("repl.connected", self.one.log("dird").rsplit("dird.start", 1)[-1])
        self.add_to(self.one, "Ours")

    def test_4_a_value_that_is_none(self):
        code, _, err = self.sitectl("link", "set", "Hub", "replicationSchedule=Mon-Fri 8-18",
                                    check=False)
        self.assertEqual(code, 1)
        self.assertIn("replicationSchedule", err)
        self.assertIn("column 9", err)
        link = "cn=To Hub,cn=Directory Replication,cn=Configuration,ou=Site1,o=Example"
        self.one.modify(f"dn: {link}\nchangetype: modify\nreplace: replicationSchedule\n"
                        "replicationSchedule: nights\n\n")
        wait_for("the reason", lambda: 'replicationSchedule "nights", column 1' in
                 (self.status()["lastError"] or ""))

    def test_5_without_hours_the_link_stays(self):
        self.add_to_hub("Free")
        self.sitectl("link", "set", "Hub", "replicationSchedule=")
        self.wait_for_state("persisting")
        wait_for("the entry", lambda: self.is_here("Free"))
        self.sitectl("link", "set", "Hub", "replicationSchedule=daily 00:00-24:00",
                     f"replicationSchedule={away()}")
        rows = [json.loads(line) for line in self.sitectl("link", "list", "--json").splitlines()]
        self.assertEqual(sorted(rows[0]["replicationSchedule"]), sorted(["daily 00:00-24:00", away()]))
        self.add_to_hub("Always")
        wait_for("the entry", lambda: self.is_here("Always"))
        self.wait_for_state("persisting")

    def test_6_off_and_on(self):
        self.sitectl("link", "set", "Hub", "connectorEnabled=FALSE")
        self.wait_for_state("disabled")
        self.sitectl("link", "set", "Hub", "connectorEnabled=TRUE")
        self.wait_for_state("persisting")


if __name__ == "__main__":
    tap.main()
