#!/usr/bin/python3
# tests/run: build=san timeout=300
"""A proxy address is one recipient's in the organisation (L12): refused at home, told between sites."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402

CONVERGES_S = 60


def base(site):
    return f"cn=Recipients,ou={site},o=Example"


def person(site, name, *lines, recipient=True):
    return (f"dn: cn={name},{base(site)}\nobjectClass: inetOrgPerson\n"
            + ("objectClass: mailRecipient\n" if recipient else "")
            + "sn: Person\n" + "".join(line + "\n" for line in lines) + "\n")


def modify(site, name, *lines):
    return f"dn: cn={name},{base(site)}\nchangetype: modify\n" + "".join(line + "\n" for line in lines) + "\n"


class Addresses(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "One")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one = cls.sites.values()

    def refused(self, result, address, owner):
        rc, out, err = result
        self.assertEqual(rc, 19, out + err)
        self.assertIn(f"proxyAddresses: {address} is an address of {owner}", out + err)

    def conflicts(self, site):
        rc, out, _ = run("galctl", "conflicts", "--json", "--config", site.path("dird.conf"), check=False)
        found = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(rc, 1 if found else 0)
        return sorted((f["address"], f["site"], f["dn"]) for f in found)

    def test_1_refused_at_home(self):
        hub = self.hub
        hub.add(person("Hub", "Ann", "mail: ann@example.com", "proxyAddresses: SMTP:Ann@example.com",
                       "proxyAddresses: smtp:second@example.com", "proxyAddresses: X400:c=DE;s=Ann"))
        ann = f"cn=Ann,{base('Hub')}"
        for line, address in (("mail: ANN@Example.com", "smtp:ann@example.com"),
                              ("proxyAddresses: smtp:SECOND@example.com", "smtp:second@example.com"),
                              ("mail: second@example.com", "smtp:second@example.com"),
                              ("proxyAddresses: x400:C=de;s=ann", "x400:c=de;s=ann")):
            self.refused(hub.add(person("Hub", "Bob", line), check=False), address, ann)
        hub.add(person("Hub", "Bob", "mail: bob@example.com"))
        self.refused(hub.modify(modify("Hub", "Bob", "add: proxyAddresses", "proxyAddresses: smtp:ann@example.com"),
                                check=False), "smtp:ann@example.com", ann)
        self.refused(hub.modify(modify("Hub", "Ann", "add: proxyAddresses", "proxyAddresses: smtp:bob@example.com"),
                                check=False), "smtp:bob@example.com", f"cn=Bob,{base('Hub')}")
        self.refused(hub.modify(f"dn: cn=Bob,{base('Hub')}\nchangetype: modrdn\n"
                                "newrdn: cn=Bob+mail=second@example.com\ndeleteoldrdn: 0\n\n", check=False),
                     "smtp:second@example.com", ann)
        # its own, in another place, and one that is free again
        hub.modify(modify("Hub", "Ann", "replace: mail", "mail: second@example.com"))
        hub.modify(modify("Hub", "Ann", "delete: proxyAddresses", "proxyAddresses: smtp:ann@example.com"))
        hub.modify(modify("Hub", "Bob", "add: proxyAddresses", "proxyAddresses: smtp:ann@example.com"))

    def test_2_who_is_no_recipient(self):
        """A plain person's mail is no proxy address, until it becomes a recipient."""
        self.hub.add(person("Hub", "Family 1", "mail: family@example.com", recipient=False)
                     + person("Hub", "Family 2", "mail: family@example.com", recipient=False)
                     + person("Hub", "Family 3", "mail: family@example.com"))
        self.refused(self.hub.modify(modify("Hub", "Family 1", "add: objectClass", "objectClass: mailRecipient"),
                                     check=False), "smtp:family@example.com", f"cn=Family 3,{base('Hub')}")

    def test_3_of_another_site(self):
        wait_for("Bob is known", lambda: self.one.count(base("Hub"), "(cn=Bob)") == 1, CONVERGES_S)
        self.refused(self.one.add(person("One", "Bob", "mail: bob@example.com"), check=False),
                     "smtp:bob@example.com", f"cn=Bob,{base('Hub')}")
        for site in (self.hub, self.one):
            self.assertEqual(self.conflicts(site), [])

    def test_4_two_sites_at_once(self):
        """Both entries stay, both sites tell, and other changes of them are not held up."""
        self.one.stop("dird")
        self.hub.add(person("Hub", "Twin", "mail: twin@example.com"))
        self.hub.stop("dird")
        self.one.start("dird")
        self.one.add(person("One", "Twin", "proxyAddresses: SMTP:twin@example.com"))
        self.hub.start("dird")
        expected = [("smtp:twin@example.com", n, f"cn=Twin,{base(n)}") for n in ("Hub", "One")]
        for site in (self.hub, self.one):
            wait_for(f"{site.name} knows", lambda s=site: self.conflicts(s) == expected, CONVERGES_S)
            wait_for(f"{site.name} says so", lambda s=site: "address.conflict" in s.log("dird"), CONVERGES_S)
            self.assertIn("address=smtp:twin@example.com", site.log("dird"))
            _, out, err = run("sitectl", "status", "--config", site.path("dird.conf"), check=False)
            self.assertIn("galctl conflicts", out + err)
        self.hub.modify(modify("Hub", "Twin", "add: title", "title: Clerk"))
        self.refused(self.hub.add(person("Hub", "Third", "mail: twin@example.com"), check=False),
                     "smtp:twin@example.com", "cn=Twin,")

    def test_5_mended(self):
        self.one.modify(modify("One", "Twin", "delete: proxyAddresses"))
        for site in (self.hub, self.one):
            wait_for(f"{site.name} has none", lambda s=site: self.conflicts(s) == [], CONVERGES_S)
        _, out, err = run("galctl", "conflicts", "--config", self.hub.path("dird.conf"), check=False)
        self.assertIn("one recipient's", out + err)


if __name__ == "__main__":
    tap.main()
