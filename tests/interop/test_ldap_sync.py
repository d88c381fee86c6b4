#!/usr/bin/python3
# tests/run: timeout=120
"""libldap's ldap_sync API and `ldapsearch -E sync` as consumers of dird (R31)."""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from ldif import change  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import PASSWORD, run, wait_for  # noqa: E402

ROOT = "o=Example"
BASE = f"cn=Sync,cn=Recipients,ou=Hub,{ROOT}"
CLIENT = os.path.join(os.environ.get("WAYPOST_BUILDDIR", "build"), "tests/interop/ldap_sync_client")


class LdapSync(SitesCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub = cls.sites["Hub"]
        cls.hub.modify(change(BASE, "add\nobjectClass: container"))

    def add(self, *names):
        self.hub.modify("".join(change(f"cn={n},{BASE}", f"add\nobjectClass: inetOrgPerson\nsn: {n}")
                                for n in names))

    def delete(self, *names):
        self.hub.modify("".join(change(f"cn={n},{BASE}", "delete") for n in names))

    def uuid(self, name):
        out = self.hub.search(f"cn={name},{BASE}", "(objectClass=*)", "entryUUID", scope="base")
        return re.search(r"entryUUID: (\S+)", out)[1].replace("-", "")

    def argv(self, mode, cookie):
        return [CLIENT, f"ldap://{self.hub.ldap}", f"cn=admin,{ROOT}", PASSWORD, BASE, mode,
                *([cookie] if cookie else [])]

    def poll(self, cookie=None):
        """Lines of a poll without the cookie, and the cookie."""
        status, out, _ = run(*self.argv("poll", cookie), check=False)
        last = re.findall(r"^cookie (\S+)$", out, re.M)
        lines = [line for line in out.splitlines() if not line.startswith("cookie")]
        return status, lines, last[-1] if last else None

    def test_poll(self):
        """Everything, nothing, then a delete phase and a present phase."""
        names = [f"A{n}" for n in range(10)]
        self.add(*names)
        status, lines, cookie = self.poll()
        self.assertEqual((status, lines[-2:]), (0, ["result 0 0", "end 0"]))
        self.assertEqual(len([x for x in lines if x.startswith("entry 1 ")]), 11)
        status, lines, again = self.poll(cookie)
        self.assertEqual((lines, again), (["result 0 1", "end 0"], cookie))
        gone = self.uuid("A1")
        self.delete("A1")
        self.hub.modify(change(f"cn=A2,{BASE}", "modify\nreplace: sn\nsn: x"))
        status, lines, cookie = self.poll(cookie)
        self.assertIn(f"set 0x33 {gone}", lines)
        self.assertEqual([x.split(" ")[-1] for x in lines if x.startswith("entry")],
                         [f"cn=A2,{BASE}"])
        stay = {self.uuid("A2"), self.uuid("A3")}
        self.delete("A0", *names[4:])
        status, lines, cookie = self.poll(cookie)
        named = [set(x.split(" ")[2:]) for x in lines if x.startswith("set 0x30 ")]
        self.assertEqual(len(named), 1)
        self.assertEqual(len(named[0]), 3)
        self.assertLess(stay, named[0])
        self.assertIn("result 0 0", lines)

    def test_cookie_that_does_not_fit(self):
        """The API does not set reloadHint: 4096 is its result."""
        _, lines, _ = self.poll("nonsense")
        self.assertEqual(lines[-1], "end 4096")

    def test_persist(self):
        path = os.path.join(self.folder, "persist")
        with open(path, "wb") as out, subprocess.Popen(self.argv("persist", None), stdout=out) as p:
            try:
                def lines():
                    with open(path, encoding="utf-8") as f:
                        return f.read().splitlines()
                wait_for("the refresh is done",
                         lambda: [x for x in lines() if x.startswith("phase")])
                self.add("Live")
                uuid = self.uuid("Live")
                wait_for("it is added", lambda: f"entry 1 {uuid} cn=Live,{BASE}" in lines())
                self.hub.modify(change(f"cn=Live,{BASE}", "modify\nreplace: sn\nsn: x"))
                wait_for("it is modified", lambda: f"entry 2 {uuid} cn=Live,{BASE}" in lines())
                self.delete("Live")
                wait_for("it is deleted", lambda: f"entry 3 {uuid} cn=Live,{BASE}" in lines())
                wait_for("a cookie behind it", lambda: lines()[-1].startswith("cookie "))
                cookie = lines()[-1].split(" ")[1]
            finally:
                p.kill()
        self.assertEqual(self.poll(cookie)[1], ["result 0 1", "end 0"])

    def search(self, mode, timeout=None):
        argv = ["ldapsearch", "-H", self.hub.ldapi, "-Y", "EXTERNAL", "-Q", "-o", "ldif-wrap=no",
                "-E", "!sync=" + mode, "-b", BASE, "(objectClass=*)", "sn"]
        return run(*argv, check=False) if timeout is None else argv

    def test_ldapsearch(self):
        """-E sync=ro/cookie and rp/cookie."""
        self.add("B1", "B2", "B3", "B4")
        status, out, _ = self.search("ro")
        cookie = re.search(r"^# cookie: (\S+)$", out, re.M)[1]
        self.assertEqual(status, 0)
        self.delete("B1")
        status, out, _ = self.search("ro/" + cookie)
        self.assertEqual((status, out.count("dn:")), (0, 0))
        self.assertIn("refreshDeletes=1", out)
        path = os.path.join(self.folder, "rp")
        with open(path, "wb") as f, subprocess.Popen(self.search("rp/" + cookie, 1), stdout=f) as p:
            try:
                def seen(text):
                    with open(path, encoding="utf-8") as f:
                        return text in f.read()
                wait_for("the deletion is told", lambda: seen("syncUUIDs"))
                self.hub.modify(change(f"cn=B2,{BASE}", "modify\nreplace: sn\nsn: Followed"))
                wait_for("the change comes", lambda: seen("sn: Followed"))
            finally:
                p.kill()
        self.assertFalse(seen("cn=B3"))
        self.delete("B2", "B3", "B4")


if __name__ == "__main__":
    tap.main()
