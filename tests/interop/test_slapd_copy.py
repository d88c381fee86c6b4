#!/usr/bin/python3
# tests/run: timeout=300
"""OpenLDAP's slapd as a consumer of dird (R31): its cookies, its way to delete, its restarts.

docs/replication.md, "slapd as a consumer".
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from ldif import change, delete, rename, replace  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import PASSWORD, free_port, run, wait_for  # noqa: E402

ROOT = "o=Example"
BASE = f"cn=Copied,cn=Recipients,ou=Hub,{ROOT}"
SLAPD = shutil.which("slapd", path=os.environ["PATH"] + ":/usr/sbin:/usr/lib/openldap")


def person(name, base=BASE):
    return change(f"cn={name},{base}", f"add\nobjectClass: inetOrgPerson\nsn: {name}")


def box(name, base=BASE):
    return change(f"cn={name},{base}", "add\nobjectClass: container")


def entries(ldif):
    """{DN: set of lines} of LDIF text."""
    return {lines[0][4:].lower(): set(lines[1:])
            for lines in (e.splitlines() for e in ldif.split("\n\n")) if lines}


class Copy:
    """A slapd that copies one content. options: of its syncrepl statement."""

    def __init__(self, folder, provider, base=BASE, options="", name="slapd"):
        self.folder, self.base, self.process = os.path.join(folder, name), base, None
        self.uri = f"ldap://127.0.0.1:{free_port()}"
        self.conf, self.log = os.path.join(self.folder, "conf"), os.path.join(self.folder, "log")
        os.makedirs(os.path.join(self.folder, "db"))
        if "type=" not in options:
            options += " type=refreshAndPersist"
        if "searchbase=" not in options:
            options += f' searchbase="{base}"'
        with open(self.conf, "w", encoding="ascii") as f:
            f.write("".join(f"include /etc/ldap/schema/{schema}.schema\n"
                            for schema in ("core", "cosine", "inetorgperson"))
                    + "objectclass ( 1.2.840.113556.1.3.23 NAME 'container' SUP top STRUCTURAL"
                    " MUST cn )\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\n"
                    f'database mdb\nsuffix "{base}"\ndirectory {self.folder}/db\n'
                    f'rootdn "cn=root,{base}"\nindex entryUUID eq\n'
                    f"syncrepl rid=001 provider=ldap://{provider} {options}"
                    f' retry="1 +" keepalive=10:3:5 bindmethod=simple'
                    f' binddn="cn=admin,{ROOT}" credentials={PASSWORD}\n')

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([SLAPD, "-f", self.conf, "-h", self.uri, "-d", "sync"],
                                            stdout=log, stderr=log)

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(sig)
            self.process.wait(30)
            self.process = None

    def search(self, what="(objectClass=*)", *attributes, scope="sub"):
        status, out, _ = run("ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.uri,
                             "-b", self.base, "-s", scope, what, *attributes, check=False)
        return out if status == 0 else ""

    def sent(self):
        """What slapd has logged: lines of entries that came, with their state."""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def forget_log(self):
        open(self.log, "w", encoding="ascii").close()


@unittest.skipIf(SLAPD is None, "slapd is not installed")
class SlapdCopy(SitesCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub = cls.sites["Hub"]

    def setUp(self):
        self.copies = []
        self.hub.modify(change(BASE, "add\nobjectClass: container")
                        + "".join(person(f"P{n}") for n in range(30)))
        self.addCleanup(self.clear)

    def clear(self):
        failed = self._outcome.result.failures or self._outcome.result.errors
        for copy in self.copies:
            copy.stop()
            if failed:
                print(f"--- {copy.folder}\n{copy.sent()[-3000:]}")
        if failed:
            print("--- dird\n" + self.hub.log("dird")[-2000:])
        if "dird" not in self.hub.processes:
            self.hub.start("dird")
        while True:
            dns = re.findall(r"^dn: (.*)$", self.hub.search(BASE, "(objectClass=*)", "1.1",
                                                           check=False)[1], re.M)
            if not dns:
                break
            self.hub.modify("".join(delete(dn) for dn in sorted(dns, key=lambda d: -d.count(","))))

    def copy(self, options="", name=None):
        copy = Copy(self.folder, self.hub.ldap, options=options, name=name or self.id())
        self.copies.append(copy)
        copy.start()
        return copy

    def mine(self, what="(objectClass=*)", *attributes):
        return entries(self.hub.search(BASE, what, *attributes))

    def wait_same(self, copy, what="(objectClass=*)", attributes=("*", "entryUUID")):
        """Until the copy has exactly the content."""
        def same():
            theirs = entries(copy.search("(objectClass=*)", *attributes))
            return theirs == self.mine(what, *attributes)
        try:
            wait_for("slapd has the same", same, 40)
        except AssertionError:
            print("slapd has", entries(copy.search("(objectClass=*)", *attributes)),
                  "dird has", self.mine(what, *attributes))
            raise

    # --- while it runs ----------------------------------------------------------------------------

    def test_follows(self):
        """Adds, modifications, renames, moves with children, deletions as they happen."""
        copy = self.copy()
        self.wait_same(copy)
        self.hub.modify(replace(f"cn=P1,{BASE}", "sn", "Changed") + rename(f"cn=P2,{BASE}", "cn=Q2")
                        + delete(f"cn=P3,{BASE}") + person("P40") + box("In")
                        + rename(f"cn=P4,{BASE}", "cn=P4", f"cn=In,{BASE}"))
        self.wait_same(copy)
        self.hub.modify(rename(f"cn=In,{BASE}", "cn=Out") + box("Deep")
                        + rename(f"cn=Out,{BASE}", "cn=Out", f"cn=Deep,{BASE}")
                        + delete(f"cn=P5,{BASE}") + person("P5"))
        self.wait_same(copy)

    def test_cookie_and_entry_csn(self):
        """The cookie's text form, and entryCSN no newer than contextCSN."""
        copy = self.copy()
        self.wait_same(copy)
        context = wait_for("a contextCSN", lambda: re.findall(
            r"^contextCSN: (.*)$", copy.search("(objectClass=*)", "contextCSN", scope="base"), re.M))
        newest = {csn.split("#")[2]: csn for csn in context}
        out = copy.search("(objectClass=*)", "entryCSN")
        csns = re.findall(r"^entryCSN: (.*)$", out, re.M)
        self.assertEqual(len(csns), 31)
        for csn in csns:
            self.assertRegex(csn, r"^\d{14}\.\d{6}Z#[0-9a-f]{6}#[0-9a-f]{3}#[0-9a-f]{6}$")
            self.assertLessEqual(csn, newest[csn.split("#")[2]])
        self.assertNotIn("entryCSN", self.hub.search(BASE, "(objectClass=*)", "+"))
        cookie = ",csn=" + ";".join(context)
        status, out, _ = run("ldapsearch", "-H", self.hub.ldapi, "-Y", "EXTERNAL", "-Q", "-o",
                             "ldif-wrap=no", "-E", "!sync=ro/rid=007" + cookie, "-b", BASE,
                             "(objectClass=*)", check=False)
        self.assertIn("rid=007,csn=", out)  # another content: everything, in the client's form
        self.assertEqual((status, len(re.findall("^dn:", out, re.M))), (0, 31))

    # --- while it is away -------------------------------------------------------------------------

    def test_away(self):
        """What was changed and deleted meanwhile; nothing else is sent again."""
        copy = self.copy()
        self.wait_same(copy)
        self.hub.modify(box("Box") + person("Inner", f"cn=Box,{BASE}"))
        self.wait_same(copy)
        copy.stop()
        self.hub.modify(delete(f"cn=P1,{BASE}") + replace(f"cn=P2,{BASE}", "sn", "Changed")
                        + rename(f"cn=P3,{BASE}", "cn=Q3") + person("P30")
                        + delete(f"cn=P4,{BASE}") + person("P4")
                        + rename(f"cn=Box,{BASE}", "cn=Bin") + delete(f"cn=Inner,cn=Bin,{BASE}"))
        copy.forget_log()
        copy.start()
        self.wait_same(copy)
        names = set(re.findall(r"syncrepl_message_to_entry: \S+ DN: (cn=\w+),", copy.sent()))
        self.assertEqual(names & {f"cn=P{n}" for n in range(5, 30)}, set())

    def test_deleted_before_the_cookie_came(self):
        """An entry that slapd got while it persisted, killed before anything else, then deleted."""
        copy = self.copy()
        self.wait_same(copy)
        for n in range(5):
            self.hub.modify(person(f"Late{n}"))
            wait_for("it is there", lambda: copy.search(f"(cn=Late{n})", "1.1"))
            copy.stop(signal.SIGKILL)
            self.hub.modify(delete(f"cn=Late{n},{BASE}"))
            copy.start()
            self.wait_same(copy)

    def test_all_deleted(self):
        """More removals than entries that stay: a present phase is the shorter way (§3.3.2)."""
        copy = self.copy()
        self.wait_same(copy)
        copy.stop()
        self.hub.modify("".join(delete(f"cn=P{n},{BASE}") for n in range(2, 30)))
        copy.start()
        self.wait_same(copy)

    def test_names_exchanged(self):
        """Two entries exchange their names, live and while slapd is away."""
        copy = self.copy()
        self.wait_same(copy)
        swap = (rename(f"cn=P1,{BASE}", "cn=tmp") + rename(f"cn=P2,{BASE}", "cn=P1")
                + rename(f"cn=tmp,{BASE}", "cn=P2"))
        self.hub.modify(swap)
        self.wait_same(copy)
        copy.stop()
        self.hub.modify(swap)
        copy.start()
        self.wait_same(copy)

    def test_provider_restarts(self):
        """dird stops, or is killed, and comes back; slapd goes on where it was."""
        copy = self.copy()
        self.wait_same(copy)
        for sig in (signal.SIGTERM, signal.SIGKILL):
            copy.forget_log()
            self.hub.stop("dird", sig)
            self.hub.start("dird")
            self.hub.modify(delete(f"cn=P{10 + sig},{BASE}") + replace(f"cn=P7,{BASE}", "sn", f"{sig}"))
            self.wait_same(copy)
            came = set(re.findall(r"syncrepl_message_to_entry: \S+ DN: (cn=\w+),", copy.sent()))
            self.assertEqual(came, {"cn=P7", f"cn=P{10 + sig}"})

    def test_both_away(self):
        """Deleted while slapd was away, dird restarted before it came back."""
        copy = self.copy()
        self.wait_same(copy)
        copy.stop()
        self.hub.modify(delete(f"cn=P1,{BASE}"))
        self.hub.stop("dird", signal.SIGKILL)
        self.hub.start("dird")
        copy.start()
        self.wait_same(copy)

    # --- other contents ---------------------------------------------------------------------------

    def test_poll(self):
        """type=refreshOnly: the delete and the present phase end with SearchResultDone."""
        copy = self.copy("type=refreshOnly interval=00:00:00:01")
        self.wait_same(copy)
        self.hub.modify(delete(f"cn=P1,{BASE}") + replace(f"cn=P2,{BASE}", "sn", "Changed"))
        self.wait_same(copy)
        copy.stop()
        self.hub.modify("".join(delete(f"cn=P{n},{BASE}") for n in range(3, 30)))
        copy.start()
        self.wait_same(copy)

    def test_filter(self):
        """Entries enter and leave a filtered content, live and while slapd is away."""
        what = "(|(objectClass=container)(sn=In*))"
        copy = self.copy(f'filter="{what}"')
        self.wait_same(copy, what)
        self.hub.modify(replace(f"cn=P1,{BASE}", "sn", "In 1") + replace(f"cn=P2,{BASE}", "sn", "In 2"))
        self.wait_same(copy, what)
        self.hub.modify(replace(f"cn=P1,{BASE}", "sn", "Out"))
        self.wait_same(copy, what)
        copy.stop()
        self.hub.modify(replace(f"cn=P2,{BASE}", "sn", "Out") + replace(f"cn=P3,{BASE}", "sn", "In 3"))
        copy.start()
        self.wait_same(copy, what)

    def test_some_attributes(self):
        """attrs=: the copy has these, and still deletes what it missed."""
        self.hub.modify("".join(replace(f"cn=P{n},{BASE}", "mail", f"p{n}@example.com")
                                for n in range(5)))
        copy = self.copy('attrs="objectClass,cn,sn"')
        self.wait_same(copy, attributes=("objectClass", "cn", "sn", "entryUUID"))
        self.assertNotIn("mail:", copy.search())
        copy.stop()
        self.hub.modify(delete(f"cn=P1,{BASE}") + replace(f"cn=P2,{BASE}", "sn", "Changed"))
        copy.start()
        self.wait_same(copy, attributes=("objectClass", "cn", "sn", "entryUUID"))
        self.assertNotIn("mail:", copy.search())

    def test_one_level(self):
        self.hub.modify(box("Box") + person("Inner", f"cn=Box,{BASE}"))
        copy = self.copy("scope=one")

        def same():
            theirs = set(entries(copy.search("(objectClass=*)", "1.1"))) - {BASE.lower()}
            return theirs == {dn for dn in self.mine("(objectClass=*)", "1.1")
                              if dn.count(",") == BASE.count(",") + 1}
        wait_for("one level", same, 40)
        self.hub.modify(rename(f"cn=P1,{BASE}", "cn=P1", f"cn=Box,{BASE}")
                        + rename(f"cn=Inner,cn=Box,{BASE}", "cn=Inner", BASE))
        wait_for("one level after moves", same, 40)

    def test_parent_is_newer_than_its_children(self):
        """In the change order the parent comes last; slapd starts from nothing."""
        self.hub.modify(box("Box") + person("Inner", f"cn=Box,{BASE}")
                        + rename(f"cn=Box,{BASE}", "cn=Bin"))
        copy = self.copy()
        self.wait_same(copy)


if __name__ == "__main__":
    tap.main()
