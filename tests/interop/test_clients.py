#!/usr/bin/python3
# tests/run: build=san timeout=600
"""dird alone, asked and changed by other people's LDAP clients: OpenLDAP's tools, python-ldap,
ldap3 and Perl's Net::LDAP."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from waypost import PASSWORD, Site, run  # noqa: E402

ADMIN = "cn=admin,o=Example"
PEOPLE = "cn=Recipients,ou=Hub,o=Example"
COUNT = 60


def person(number, **more):
    lines = [f"dn: cn=Person {number:02},{PEOPLE}", "objectClass: inetOrgPerson",
             "objectClass: mailRecipient", f"sn: Family{number % 7}",
             f"mail: person{number}@hub.example.com", f"telephoneNumber: +1 555 01{number:02}"]
    return "\n".join(lines + [f"{k}: {v}" for k, v in more.items()]) + "\n\n"


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="waypost-clients-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.site = Site(os.path.join(cls.folder, "hub"), "Hub", "hub.example.com")
        cls.addClassCleanup(cls.site.close)
        cls.site.init()
        cls.site.start("dird")
        cls.site.add("".join(person(n) for n in range(COUNT)))
        os.environ["LDAPTLS_REQCERT"] = "never"
        cls.ldaps = "ldaps://" + cls.site.ldaps
        cls.ldap = "ldap://" + cls.site.ldap
        cls.simple = ("-x", "-H", cls.ldaps, "-D", ADMIN, "-w", PASSWORD)

    def names(self, search_filter, base=PEOPLE, scope="sub", *options):
        out = self.site.search(base, search_filter, "cn", scope=scope, options=options)
        return sorted(re.findall(r"^cn: (.*)$", out, re.M))

    # --- OpenLDAP's tools ---------------------------------------------------------------------

    def test_root_dse(self):
        out = self.site.search("", "(objectClass=*)", "+", scope="base")
        for word in ("namingContexts: o=Example", "supportedLDAPVersion: 3",
                     "supportedExtension: 1.3.6.1.4.1.1466.20037",
                     "supportedControl: 1.2.840.113556.1.4.319",
                     "supportedControl: 1.3.6.1.4.1.4203.1.9.1.1"):
            self.assertIn(word, out)

    def test_subschema(self):
        dn = re.search(r"subschemaSubentry: (.*)",
                       self.site.search("", "(objectClass=*)", "subschemaSubentry", scope="base"))
        out = self.site.search(dn.group(1), "(objectClass=subschema)", "attributeTypes",
                               "objectClasses", scope="base")
        for name in ("connectedDomains", "inetOrgPerson", "imsConnector", "proxyAddresses"):
            self.assertIn(f"'{name}'", out)

    def test_scopes(self):
        self.assertEqual(self.names("(cn=*)", scope="base"), ["Recipients"])
        self.assertEqual(len(self.names("(cn=Person*)", scope="one")), COUNT)
        self.assertEqual(len(self.names("(cn=Person*)", "o=Example")), COUNT)
        self.assertEqual(self.names("(cn=Person*)", "o=Example", "one"), [])

    def test_filters(self):
        for search_filter, expected in (
                ("(cn=person 07)", ["Person 07"]),
                ("(cn=PERSON  07)", ["Person 07"]),
                ("(cn=*son 0*)", [f"Person 0{n}" for n in range(10)]),
                ("(cn=Pers*08)", ["Person 08"]),
                ("(&(sn=family1)(cn=*1))", ["Person 01"]),
                ("(|(cn=Person 01)(cn=Person 02)(cn=Nobody))", ["Person 01", "Person 02"]),
                ("(&(cn=Person 0*)(!(sn=Family1)))",
                 [f"Person 0{n}" for n in range(10) if n % 7 != 1]),
                ("(&(cn>=Person 58)(cn<=Person 99))", ["Person 58", "Person 59"]),
                ("(mail=PERSON9@HUB.example.com)", ["Person 09"]),
                ("(telephoneNumber=+1555-0110)", ["Person 10"]),
                ("(cn:caseExactMatch:=person 07)", []),
                ("(cn:caseExactMatch:=Person 07)", ["Person 07"]),
                ("(noSuchAttribute=1)", []),
                ("(!(noSuchAttribute=1))", []),
                ("(&(title=*)(cn=Person*))", []),
                ("(|)", []),
                ("(cn=\\50erson 07)", ["Person 07"])):
            with self.subTest(search_filter):
                self.assertEqual(self.names(search_filter), expected)

    def test_attribute_selection(self):
        def types(*wanted):
            out = self.site.search(f"cn=Person 01,{PEOPLE}", "(objectClass=*)", *wanted,
                                   scope="base")
            return {m.lower() for m in re.findall(r"^([\w;-]+):", out, re.M)} - {"dn"}
        self.assertEqual(types("1.1"), set())
        self.assertEqual(types("MAIL", "sn"), {"mail", "sn"})
        self.assertIn("entryuuid", types("+"))
        self.assertNotIn("entryuuid", types("*"))
        self.assertIn("entryuuid", types("entryUUID"))

    def test_paged(self):
        out = self.site.search(PEOPLE, "(cn=Person*)", "cn", options=("-E", "pr=7/noprompt"))
        self.assertEqual(len(set(re.findall(r"^cn: (.*)$", out, re.M))), COUNT)

    def test_size_limit(self):
        rc, out, err = self.site.search(PEOPLE, "(cn=Person*)", "cn", check=False,
                                        options=("-z", "5"))
        self.assertEqual(rc, 4, err)
        self.assertEqual(len(re.findall(r"^dn:", out, re.M)), 5)

    def test_change_cycle(self):
        dn = f"cn=Cycle,{PEOPLE}"
        self.site.add(person(99).replace("Person 99", "Cycle"))
        self.site.modify(f"dn: {dn}\nchangetype: modify\nadd: title\ntitle: Clerk\n-\n"
                         "replace: sn\nsn: Other\n-\ndelete: telephoneNumber\n")
        out = self.site.search(dn, "(objectClass=*)", scope="base")
        self.assertIn("title: Clerk", out)
        self.assertIn("sn: Other", out)
        self.assertNotIn("telephoneNumber", out)
        run("ldapcompare", *self.simple, dn, "title:CLERK", check=False)
        self.assertEqual(run("ldapcompare", *self.simple, dn, "title:CLERK", check=False)[0], 6)
        self.assertEqual(run("ldapcompare", *self.simple, dn, "title:Boss", check=False)[0], 5)
        run("ldapmodrdn", *self.simple, "-r", dn, "cn=Cycle Two")
        self.assertEqual(self.names("(cn=cycle*)"), ["Cycle Two"])
        run("ldapdelete", *self.simple, f"cn=Cycle Two,{PEOPLE}")
        self.assertEqual(self.names("(cn=cycle*)"), [])

    def test_refusals(self):
        """RFC 4511 appendix A: each refusal with the code of its own."""
        def code(ldif):
            return self.site.modify(ldif, check=False)[0]
        dn = f"cn=Person 01,{PEOPLE}"
        change = f"dn: {dn}\nchangetype: modify\n"
        self.assertEqual(code(f"{change}add: mail\nmail: person1@hub.example.com\n"), 20)
        self.assertEqual(code(f"{change}delete: title\n"), 16)
        self.assertEqual(code(f"{change}add: noSuchType\nnoSuchType: 1\n"), 17)
        self.assertEqual(code(f"{change}delete: sn\n"), 65)
        self.assertEqual(code(f"{change}replace: entryUUID\n"
                              "entryUUID: 8a0c2f5e-0000-4000-8000-000000000001\n"), 19)
        self.assertEqual(code(f"dn: cn=Nobody,{PEOPLE}\nchangetype: delete\n"), 32)
        self.assertEqual(code(f"dn: {PEOPLE}\nchangetype: delete\n"), 66)
        self.assertEqual(code(person(1).replace("\nobjectClass", "\nchangetype: add\nobjectClass",
                                                1)), 68)

    def test_bind(self):
        who = run("ldapwhoami", *self.simple)
        self.assertEqual(who.strip().lower(), "dn:" + ADMIN.lower())
        for code, argv in ((49, ("-D", ADMIN, "-w", "wrong")),
                           (49, ("-D", "cn=nobody,o=Example", "-w", "wrong"))):
            self.assertEqual(run("ldapwhoami", "-x", "-H", self.ldaps, *argv, check=False)[0], code)
        # A password in clear is fine as long as it does not leave the machine.
        run("ldapwhoami", "-x", "-H", self.ldap, "-D", ADMIN, "-w", PASSWORD)

    def test_start_tls(self):
        who = run("ldapwhoami", "-x", "-ZZ", "-H", self.ldap, "-D", ADMIN, "-w", PASSWORD)
        self.assertEqual(who.strip().lower(), "dn:" + ADMIN.lower())

    def test_anonymous_reads_nothing(self):
        rc, out, _ = run("ldapsearch", "-x", "-LLL", "-H", self.ldap, "-b", PEOPLE, "(cn=*)",
                         check=False)
        self.assertNotIn("Person", out)
        self.assertNotEqual(rc, 0)

    def test_sync_refresh_only(self):
        out = run("ldapsearch", *self.simple, "-b", PEOPLE, "-E", "!sync=ro", "(cn=Person*)", "cn")
        self.assertEqual(len(re.findall(r"^dn:", out, re.M)), COUNT)

    # --- libraries ----------------------------------------------------------------------------

    def test_python_ldap(self):
        try:
            import ldap
        except ImportError:
            self.skipTest("python3-ldap is not installed")
        ldap.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_NEVER)
        c = ldap.initialize(self.ldaps)
        c.simple_bind_s(ADMIN, PASSWORD)
        dn = f"cn=Żaneta Ørsted,{PEOPLE}"
        c.add_s(dn, [("objectClass", [b"inetOrgPerson"]), ("sn", ["Ørsted".encode()])])
        try:
            c.modify_s(dn, [(ldap.MOD_ADD, "description", [b"one", b"two"])])
            found = c.search_s("o=Example", ldap.SCOPE_SUBTREE, "(cn=żaneta ørsted)")
            self.assertEqual([d for d, _ in found], [dn])
            self.assertEqual(sorted(found[0][1]["description"]), [b"one", b"two"])
            self.assertTrue(c.compare_s(dn, "sn", "ørsted".encode()))
            with self.assertRaises(ldap.ALREADY_EXISTS):
                c.add_s(dn, [("objectClass", [b"person"]), ("sn", [b"x"])])
            self.assertEqual(c.whoami_s().lower(), "dn:" + ADMIN.lower())
        finally:
            c.delete_s(dn)
        c.unbind_s()

    def test_ldap3(self):
        try:
            import ldap3
        except ImportError:
            self.skipTest("python3-ldap3 is not installed")
        host, port = self.site.ldaps.split(":")
        server = ldap3.Server(host, int(port), use_ssl=True, get_info=ldap3.ALL)
        with ldap3.Connection(server, ADMIN, PASSWORD, auto_bind=True) as c:
            self.assertIn("inetOrgPerson", server.schema.object_classes)
            self.assertEqual(server.info.naming_contexts, ["o=Example"])
            found = c.extend.standard.paged_search(PEOPLE, "(cn=Person*)", attributes=["mail"],
                                                   paged_size=11, generator=False)
            self.assertEqual(len(found), COUNT)
            dn = f"cn=Three,{PEOPLE}"
            self.assertTrue(c.add(dn, ["inetOrgPerson"], {"sn": "Three"}), c.result)
            self.assertTrue(c.modify(dn, {"title": [(ldap3.MODIFY_REPLACE, ["Clerk"])]}), c.result)
            self.assertTrue(c.modify_dn(dn, "cn=Four"), c.result)
            self.assertTrue(c.delete(f"cn=Four,{PEOPLE}"), c.result)

    def test_net_ldap(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "net_ldap.pl")
        if subprocess.run(["perl", "-MNet::LDAP", "-e", "1"], stderr=subprocess.DEVNULL,
                          check=False).returncode != 0:
            self.skipTest("libnet-ldap-perl is not installed")
        out = run("perl", script, self.ldap, ADMIN, PASSWORD, PEOPLE)
        self.assertEqual(out.strip(), f"found {COUNT}, all well")

    # --- the end ------------------------------------------------------------------------------

    def test_zz_clean_stop(self):
        self.site.stop("dird")
        run("dirctl", "check", "--config", self.site.path("dird.conf"))


tap.main()
