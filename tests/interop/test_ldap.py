#!/usr/bin/python3
# tests/run: timeout=300
"""dird as an LDAP server, asked by python-ldap: operations, controls, result codes, limits."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402

try:
    import ldap
    import ldap.modlist
    import ldap.sasl
    import ldap.schema
    from ldap.controls import LDAPControl, SimplePagedResultsControl
except ImportError:
    tap.skip_all("python3-ldap is not installed")
import unittest  # noqa: E402

from dird_site import ADMIN, PASSWORD, PEOPLE, DirdSite, tree  # noqa: E402

BASE = "o=Example"
PEOPLE_BASE = "ou=people,o=Example"
ADA = "cn=Ada Hill,ou=people,o=Example"
MANAGE = "2.16.840.1.113730.3.4.2"
SITE = None


def setUpModule():
    global SITE
    SITE = DirdSite("admin-password-file admin.password", "tls-ca ca.crt")
    SITE.certificate("ca", "/CN=ca")
    SITE.certificate("stranger", "/CN=stranger")
    SITE.certificate("ada", "/O=Example/OU=people/CN=Ada Hill", ca="ca")
    write_admin_password(PASSWORD)
    SITE.start()
    c = admin()
    for dn, attributes in tree(SITE):
        c.add_s(dn, list(attributes.items()))


def tearDownModule():
    SITE.close()


def write_admin_password(password):
    import base64
    import hashlib
    salt = os.urandom(16)

    def text(b):
        return base64.b64encode(b).decode().rstrip("=").replace("+", ".")
    hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10000)
    with open(SITE.path("admin.password"), "w", encoding="ascii") as f:
        f.write("{PBKDF2-SHA512}10000$" + text(salt) + "$" + text(hashed) + "\n")
    os.chmod(SITE.path("admin.password"), 0o600)


def admin():
    c = ldap.initialize(SITE.ldapi)
    c.sasl_interactive_bind_s("", ldap.sasl.external())
    return c


def over_tls(certificate=None, starttls=False):
    c = ldap.initialize(SITE.uri if starttls else SITE.ldaps)
    c.set_option(ldap.OPT_X_TLS_REQUIRE_CERT, ldap.OPT_X_TLS_NEVER)
    if certificate:
        c.set_option(ldap.OPT_X_TLS_CERTFILE, SITE.path(certificate + ".crt"))
        c.set_option(ldap.OPT_X_TLS_KEYFILE, SITE.path(certificate + ".key"))
    c.set_option(ldap.OPT_X_TLS_NEWCTX, 0)
    if starttls:
        c.start_tls_s()
    return c


def user():
    c = over_tls()
    c.simple_bind_s(ADA, "hunter2")
    return c


def dns(result):
    return sorted(dn for dn, _ in result if dn is not None)


class Case(unittest.TestCase):
    def fails(self, error, call, *args, **kwargs):
        """The call raises this error; its description."""
        with self.assertRaises(error) as caught:
            call(*args, **kwargs)
        return caught.exception.args[0]


class Bind(Case):
    def test_ldapi_external_is_administrator(self):
        self.assertEqual(admin().whoami_s(), "dn:" + ADMIN)

    def test_administrator_by_password(self):
        for c in (over_tls(), over_tls(starttls=True), ldap.initialize(SITE.ldapi),
                  ldap.initialize(SITE.uri)):
            c.simple_bind_s("CN=Admin, O=example", PASSWORD)
            self.assertEqual(c.whoami_s(), "dn:" + ADMIN)

    def test_wrong_password_leaves_anonymous(self):
        c = over_tls()
        c.simple_bind_s(ADMIN, PASSWORD)
        for name, password in ((ADMIN, "x"), (ADA, "x"), ("cn=nobody,o=Example", "x"), ("", "x")):
            self.fails(ldap.INVALID_CREDENTIALS, c.simple_bind_s, name, password)
            self.assertEqual(c.whoami_s(), "")

    def test_unknown_name_and_wrong_password_look_alike(self):
        c = over_tls()
        one = self.fails(ldap.INVALID_CREDENTIALS, c.simple_bind_s, ADA, "x")
        other = self.fails(ldap.INVALID_CREDENTIALS, c.simple_bind_s, "cn=nobody,o=Example", "x")
        self.assertEqual({k: one.get(k) for k in ("info", "matched", "result")},
                         {k: other.get(k) for k in ("info", "matched", "result")})

    def test_name_without_password(self):
        c = over_tls()
        self.fails(ldap.UNWILLING_TO_PERFORM, c.simple_bind_s, ADMIN, "")

    def test_malformed_name(self):
        c = over_tls()
        self.fails(ldap.INVALID_DN_SYNTAX, c.simple_bind_s, "no dn", "x")

    def test_user(self):
        c = user()
        self.assertEqual(c.whoami_s(), "dn:" + ADA)

    def test_version_2(self):
        c = ldap.initialize(SITE.uri)
        c.protocol_version = 2
        why = self.fails(ldap.PROTOCOL_ERROR, c.simple_bind_s, "", "")
        self.assertIn("LDAPv2", why["info"])

    def test_site_by_pinned_key(self):
        c = over_tls("site1")
        c.sasl_interactive_bind_s("", ldap.sasl.external())
        self.assertEqual(c.whoami_s(), "dn:ou=Site1,o=Example")
        self.fails(ldap.INSUFFICIENT_ACCESS, c.delete_s, ADA)

    def test_trusted_certificate_names_an_entry(self):
        c = over_tls("ada")
        c.sasl_interactive_bind_s("", ldap.sasl.external())
        self.assertEqual(c.whoami_s(), "dn:" + ADA)

    def test_other_certificates_are_nobody(self):
        c = over_tls("stranger")
        self.fails(ldap.INVALID_CREDENTIALS, c.sasl_interactive_bind_s, "", ldap.sasl.external())

    def test_authorization_identity(self):
        c = ldap.initialize(SITE.ldapi)
        c.sasl_interactive_bind_s("", ldap.sasl.sasl(
            {ldap.sasl.CB_USER: "dn:CN=admin,O=Example"}, "EXTERNAL"))
        self.assertEqual(c.whoami_s(), "dn:" + ADMIN)
        self.fails(ldap.INVALID_CREDENTIALS, c.sasl_interactive_bind_s, "", ldap.sasl.sasl(
            {ldap.sasl.CB_USER: "dn:" + ADA}, "EXTERNAL"))

    def test_starttls_twice(self):
        c = over_tls(starttls=True)
        self.fails(ldap.LDAPError, c.start_tls_s)


class Search(Case):
    @classmethod
    def setUpClass(cls):
        cls.c = user()

    def find(self, what, base=BASE, scope=ldap.SCOPE_SUBTREE, attributes=("1.1",)):
        return dns(self.c.search_s(base, scope, what, list(attributes)))

    def test_root_dse(self):
        c = ldap.initialize(SITE.uri)
        dn, dse = c.search_s("", ldap.SCOPE_BASE, "(objectClass=*)", ["*", "+"])[0]
        self.assertEqual(dn, "")
        self.assertEqual(dse["namingContexts"], [b"o=Example"])
        self.assertEqual(dse["subschemaSubentry"], [b"cn=Subschema"])
        self.assertIn(b"1.2.840.113556.1.4.319", dse["supportedControl"])
        self.assertIn(b"1.3.6.1.4.1.1466.20037", dse["supportedExtension"])
        self.assertEqual(dse["supportedSASLMechanisms"], [b"EXTERNAL"])
        self.assertEqual(c.search_s("", ldap.SCOPE_BASE, "(objectClass=*)", ["VendorName"]),
                         [("", {"vendorName": [b"Waypost"]})])
        self.assertEqual(c.search_s("", ldap.SCOPE_BASE, "(vendorName=slapd)"), [])

    def test_subschema(self):
        dn, schema = ldap.schema.urlfetch(SITE.uri)
        self.assertEqual(dn, "cn=Subschema")
        person = schema.get_obj(ldap.schema.ObjectClass, "inetOrgPerson")
        self.assertIn("mail", person.may)
        cn = schema.get_obj(ldap.schema.AttributeType, "commonName")
        self.assertEqual(cn.oid, "2.5.4.3")
        self.assertGreater(len(schema.listall(ldap.schema.MatchingRule)), 20)
        self.assertGreater(len(schema.listall(ldap.schema.LDAPSyntax)), 10)

    def test_monitor(self):
        self.fails(ldap.INSUFFICIENT_ACCESS, user().search_s, "cn=monitor", ldap.SCOPE_BASE)
        self.c = admin()
        names = self.find("(objectClass=*)", base="cn=Monitor")
        self.assertIn("cn=Database,cn=monitor", names)
        self.assertIn("cn=Replication,cn=monitor", names)
        self.assertEqual(self.find("(cn=*)", "cn=monitor", ldap.SCOPE_BASE), ["cn=monitor"])
        [(_, figures)] = self.c.search_s("cn=Database,cn=monitor", ldap.SCOPE_BASE)
        self.assertGreater(int(figures["entries"][0]), PEOPLE)
        self.fails(ldap.NO_SUCH_OBJECT, self.find, "(cn=*)", "cn=x,cn=monitor")
        self.fails(ldap.INSUFFICIENT_ACCESS, ldap.initialize(SITE.uri).search_s, "cn=monitor",
                   ldap.SCOPE_BASE)

    def test_scopes(self):
        every = "(objectClass=*)"
        self.assertEqual(self.find(every, BASE, ldap.SCOPE_BASE), [BASE])
        self.assertEqual(self.find(every, BASE, ldap.SCOPE_ONELEVEL),
                         ["ou=Site1,o=Example", "ou=people,o=Example"])
        self.assertEqual(len(self.find(every)), PEOPLE + 5)
        self.assertEqual(len(self.find(every, scope=ldap.SCOPE_SUBORDINATE)), PEOPLE + 4)
        self.assertEqual(len(self.find(every, PEOPLE_BASE, ldap.SCOPE_ONELEVEL)), PEOPLE + 2)
        self.assertEqual(len(self.find(every, "OU=People , O=Example")), PEOPLE + 3)
        self.assertEqual(len(self.find(every, "")), PEOPLE + 5)
        self.assertEqual(self.find(every, ADA, ldap.SCOPE_ONELEVEL), [])

    def test_filters(self):
        two = ["cn=Person 0001,ou=people,o=Example", "cn=Person 0002,ou=people,o=Example"]
        for what, want in (
                ("(cn=Person 0001)", two[:1]),
                ("(CN=pErSoN  0001)", two[:1]),
                ("(2.5.4.3=person 0001)", two[:1]),
                ("(cn=Ada Hügel)", [ADA]),
                ("(cn;lang-de=Ada Hügel)", [ADA]),
                ("(cn;lang-de=Ada Hill)", []),
                ("(cn=ada h*)", [ADA]),
                ("(cn=*a h*l)", [ADA]),
                ("(mail=*A@EX*)", [ADA]),
                ("(cn=a*d*h*)", [ADA]),
                ("(telephoneNumber=+4930 00-01)", two[:1]),
                ("(employeeNumber=*)", [ADA]),
                ("(jpegPhoto=*)", [ADA]),
                ("(mail~=ada@example.com)", [ADA]),
                ("(&(givenName=ada)(|(cn=person 0001)(mail=p0002@example.com)))", two),
                ("(&(cn=person 000*)(!(cn=*0))(!(cn=*3)))",
                 [f"cn=Person {i:04},ou=people,o=Example" for i in (1, 2, 4, 5, 6, 7, 8, 9)]),
                ("(cn:=person 0001)", two[:1]),
                ("(cn:caseExactMatch:=person 0001)", []),
                ("(cn:caseExactMatch:=Person 0001)", two[:1]),
                ("(&(cn=person 0001)(ou:dn:=people))", two[:1]),
                ("(&(cn=person 0001)(ou:dn:=Site1))", []),
                ("(name=ada hill)", [ADA]),
                ("(member=CN=ada hill, OU=people,o=example)", ["cn=All,ou=people,o=Example"]),
                ("(nosuchattribute=x)", []),
                ("(!(nosuchattribute=x))", []),
                ("(|(nosuchattribute=x)(cn=ada hill))", [ADA]),
                ("(objectClass=nosuchclass)", []),
                ("(objectClass=person)", None),
                ("(&(objectClass=groupOfNames)(hasSubordinates=FALSE))",
                 ["cn=All,ou=people,o=Example"]),
                ("(&(sn=Hill)(entryDN=cn=ada hill,ou=people,o=example))", [ADA]),
                ("(userPassword=*)", []),
        ):
            with self.subTest(what):
                got = self.find(what)
                if want is None:
                    self.assertEqual(len(got), PEOPLE + 1)
                else:
                    self.assertEqual(got, sorted(want))
        self.assertEqual(len(self.find("(&)")), PEOPLE + 5)
        self.assertEqual(self.find("(|)"), [])

    def test_ordering(self):
        low = self.find("(&(objectClass=person)(createTimestamp>=20000101000000Z))")
        self.assertEqual(len(low), PEOPLE + 1)
        self.assertEqual(self.find("(createTimestamp<=20000101000000Z)"), [])

    def attributes(self, *asked, c=None, dn=ADA, types_only=0):
        [(_, found)] = (c or self.c).search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)",
                                              list(asked) or None, types_only)
        return found

    def test_selection(self):
        names = {"objectClass", "cn", "cn;lang-de", "sn", "mail", "employeeNumber", "jpegPhoto"}
        self.assertEqual(set(self.attributes()), names)
        self.assertEqual(set(self.attributes("*")), names)
        self.assertEqual(self.attributes("1.1"), {})
        self.assertEqual(set(self.attributes("1.1", "SN")), {"sn"})
        self.assertEqual(set(self.attributes("cn")), {"cn", "cn;lang-de"})
        self.assertEqual(set(self.attributes("cn;lang-de")), {"cn;lang-de"})
        self.assertEqual(set(self.attributes("cn;lang-fr")), set())
        self.assertEqual(set(self.attributes("cn;lang-de", "cn", "CN", "2.5.4.3")),
                         {"cn", "cn;lang-de"})
        self.assertEqual(set(self.attributes("name")), {"cn", "cn;lang-de", "sn"})
        self.assertEqual(set(self.attributes("@person")), {"objectClass", "cn", "cn;lang-de", "sn"})
        self.assertEqual(set(self.attributes("nosuch", "surname")), {"sn"})
        self.assertEqual(self.attributes("jpegPhoto")["jpegPhoto"], [bytes(range(256)) * 8])
        self.assertEqual(self.attributes("sn", "mail", types_only=1), {"sn": [], "mail": []})

    def test_operational(self):
        plus = self.attributes("+")
        for name in ("entryUUID", "createTimestamp", "modifyTimestamp", "creatorsName",
                     "modifiersName", "structuralObjectClass", "entryDN", "hasSubordinates",
                     "subschemaSubentry"):
            self.assertIn(name, plus)
        self.assertNotIn("cn", plus)
        self.assertNotIn("originStamp", plus)
        self.assertEqual(plus["entryDN"], [ADA.encode()])
        self.assertEqual(plus["hasSubordinates"], [b"FALSE"])
        self.assertEqual(plus["structuralObjectClass"], [b"inetOrgPerson"])
        named = self.attributes("originStamp", "parentUUID", "numSubordinates", dn=PEOPLE_BASE)
        self.assertEqual(named["numSubordinates"], [str(PEOPLE + 2).encode()])
        root = self.attributes("entryUUID", dn=BASE)["entryUUID"][0]
        self.assertTrue(named["originStamp"][0].startswith(root + b":"))
        self.assertEqual(named["parentUUID"], [root])

    def test_protected(self):
        self.assertNotIn("userPassword", self.attributes("*"))
        self.assertEqual(self.attributes("userPassword"), {})
        seen = self.attributes("userPassword", c=admin())["userPassword"][0]
        self.assertTrue(seen.startswith(b"{PBKDF2-SHA512}"), seen)

    def test_size_limit(self):
        got = []
        number = self.c.search_ext(BASE, ldap.SCOPE_SUBTREE, "(cn=person*)", ["1.1"], sizelimit=7)
        with self.assertRaises(ldap.SIZELIMIT_EXCEEDED):
            while True:
                kind, data = self.c.result(number, all=0)
                if kind == ldap.RES_SEARCH_RESULT:
                    break
                got += data
        self.assertEqual(len(got), 7)
        self.assertEqual(len(self.c.search_ext_s(PEOPLE_BASE, ldap.SCOPE_SUBTREE,
                                                 "(cn=person 000*)", ["1.1"], sizelimit=10)), 10)

    def test_missing_base(self):
        why = self.fails(ldap.NO_SUCH_OBJECT, self.find, "(cn=*)", "cn=x,ou=y,ou=people,o=Example")
        self.assertEqual(why["matched"], PEOPLE_BASE)
        why = self.fails(ldap.NO_SUCH_OBJECT, self.find, "(cn=*)", "o=Other")
        self.assertEqual(why.get("matched", ""), "")
        self.fails(ldap.INVALID_DN_SYNTAX, self.find, "(cn=*)", "not a name")

    def test_anonymous_reads_nothing(self):
        c = ldap.initialize(SITE.uri)
        for base in (BASE, "cn=no,o=Example"):
            self.fails(ldap.INSUFFICIENT_ACCESS, c.search_s, base, ldap.SCOPE_BASE)
        self.fails(ldap.INSUFFICIENT_ACCESS, c.compare_s, ADA, "sn", b"Hill")

    def test_referral_entry(self):
        result = self.c.search_s(BASE, ldap.SCOPE_SUBTREE, "(cn=ada hill)", ["1.1"])
        self.assertEqual([uris for dn, uris in result if dn is None],
                         [["ldap://other.example.com/ou=elsewhere,o=Example??sub"]])
        self.c.set_option(ldap.OPT_REFERRALS, 0)
        for base in ("ou=elsewhere,o=Example", "cn=x,ou=elsewhere,o=Example"):
            why = self.fails(ldap.REFERRAL, self.find, "(cn=*)", base, ldap.SCOPE_BASE)
            self.assertIn("ldap://other.example.com/", why["info"])
        control = LDAPControl(MANAGE, True)
        [(dn, found)] = self.c.search_ext_s("ou=elsewhere,o=Example", ldap.SCOPE_BASE,
                                            attrlist=["ref"], serverctrls=[control])
        self.assertIn("ref", found)


class Paging(Case):
    def pages(self, c, size, what="(objectClass=*)", between=lambda: None):
        control, names = SimplePagedResultsControl(True, size, ""), []
        while True:
            number = c.search_ext(PEOPLE_BASE, ldap.SCOPE_SUBTREE, what, ["1.1"],
                                  serverctrls=[control])
            _, data, _, controls = c.result3(number)
            self.assertLessEqual(len(data), size)
            names += [dn for dn, _ in data]
            control.cookie = controls[0].cookie
            if not control.cookie:
                return names
            between()

    def test_all_pages(self):
        c = user()
        for size in (1, 7, 100, PEOPLE + 2, PEOPLE + 3, 5000):
            what = "(cn=person 000*)" if size == 1 else "(objectClass=*)"
            names = self.pages(c, size, what)
            self.assertEqual(len(names), 10 if size == 1 else PEOPLE + 3)
            self.assertEqual(len(set(names)), len(names))

    def test_under_writes(self):
        c, writer, count = user(), admin(), [0]

        def write():
            n = count[0] = count[0] + 1
            writer.modify_s(ADA, [(ldap.MOD_REPLACE, "description", str(n).encode())])
            writer.add_s(f"cn=New {n},ou=people,o=Example",
                         [("objectClass", [b"person"]), ("sn", [b"x"]), ("cn", [b"New %d" % n])])
        try:
            names = self.pages(c, 50, between=write)
            old = [n for n in names if not n.startswith("cn=New")]
            self.assertEqual(len(old), PEOPLE + 3)
            self.assertEqual(len(set(names)), len(names))
            self.assertGreater(count[0], 10)
        finally:
            for n in range(1, count[0] + 1):
                writer.delete_s(f"cn=New {n},ou=people,o=Example")
            writer.modify_s(ADA, [(ldap.MOD_REPLACE, "description", None)])

    def first(self, c, size=10):
        control = SimplePagedResultsControl(True, size, "")
        number = c.search_ext(BASE, ldap.SCOPE_SUBTREE, "(cn=*)", ["1.1"], serverctrls=[control])
        return c.result3(number)[3][0].cookie

    def next(self, c, cookie, size=10, what="(cn=*)"):
        control = SimplePagedResultsControl(True, size, cookie)
        number = c.search_ext(BASE, ldap.SCOPE_SUBTREE, what, ["1.1"], serverctrls=[control])
        return c.result3(number)

    def test_wrong_cookies(self):
        c, other = user(), user()
        cookie = self.first(c)
        self.fails(ldap.UNWILLING_TO_PERFORM, self.next, other, cookie)
        self.fails(ldap.UNWILLING_TO_PERFORM, self.next, c, cookie, what="(sn=*)")
        for bad in (b"x", b"\0" * 8, b"y" * 1000):
            self.fails(ldap.UNWILLING_TO_PERFORM, self.next, c, bad)
        cookie = self.first(c)
        c.simple_bind_s(ADMIN, PASSWORD)
        self.fails(ldap.UNWILLING_TO_PERFORM, self.next, c, cookie)

    def test_giving_up(self):
        c = user()
        cookie = self.first(c)
        _, data, _, controls = self.next(c, cookie, size=0)
        self.assertEqual((data, controls[0].cookie), ([], b""))
        self.fails(ldap.UNWILLING_TO_PERFORM, self.next, c, cookie)

    def test_many_unfinished(self):
        c = user()
        cookies = [self.first(c) for _ in range(40)]
        self.fails(ldap.UNWILLING_TO_PERFORM, self.next, c, cookies[0])
        self.assertEqual(len(self.next(c, cookies[-1])[1]), 10)

    def test_malformed_control(self):
        c = user()
        for value in (b"", b"0", b"0\0", b"0\5\2\1\xff\4\0"):
            number = c.search_ext(BASE, ldap.SCOPE_BASE, serverctrls=[
                LDAPControl("1.2.840.113556.1.4.319", True, value)])
            self.fails(ldap.PROTOCOL_ERROR, c.result3, number)


class Controls(Case):
    def test_unknown(self):
        c = user()
        number = c.search_ext(BASE, ldap.SCOPE_BASE, serverctrls=[LDAPControl("1.2.3", True)])
        self.fails(ldap.UNAVAILABLE_CRITICAL_EXTENSION, c.result3, number)
        number = c.search_ext(BASE, ldap.SCOPE_BASE, serverctrls=[LDAPControl("1.2.3", False)])
        self.assertEqual(len(c.result3(number)[1]), 1)

    def test_advertised_are_known(self):
        c = user()
        [(_, dse)] = c.search_s("", ldap.SCOPE_BASE, "(objectClass=*)", ["supportedControl"])
        self.assertIn(MANAGE.encode(), dse["supportedControl"])

    def test_unknown_extended(self):
        c = user()
        from ldap.extop import ExtendedRequest
        self.fails(ldap.PROTOCOL_ERROR, c.extop_s, ExtendedRequest("1.2.3", None))

    def test_abandon(self):
        c = user()
        number = c.search_ext(BASE, ldap.SCOPE_SUBTREE)
        c.abandon(number)
        c.abandon(number)
        self.assertEqual(c.whoami_s(), "dn:" + ADA)


class Write(Case):
    @classmethod
    def setUpClass(cls):
        cls.c = admin()
        cls.base = "ou=writing,o=Example"
        cls.c.add_s(cls.base, [("objectClass", [b"organizationalUnit"]), ("ou", [b"writing"])])

    def tearDown(self):
        below = dns(self.c.search_s(self.base, ldap.SCOPE_SUBORDINATE, attrlist=["1.1"]))
        for dn in sorted(below, key=lambda d: -d.count(",")):
            self.c.delete_s(dn)

    def person(self, cn, **more):
        dn = f"cn={cn},{self.base}"
        attributes = {"objectClass": [b"inetOrgPerson"], "cn": [cn.encode()], "sn": [b"Test"]}
        attributes.update({k: [v] if isinstance(v, bytes) else v for k, v in more.items()})
        self.c.add_s(dn, list(attributes.items()))
        return dn

    def get(self, dn, *attributes):
        [(_, found)] = self.c.search_s(dn, ldap.SCOPE_BASE, "(objectClass=*)",
                                       list(attributes) or None)
        return found

    def test_add(self):
        dn = self.person("One", mail=b"one@example.com")
        self.assertEqual(self.get(dn)["mail"], [b"one@example.com"])
        self.assertIn(b"top", self.get(dn)["objectClass"])
        self.fails(ldap.ALREADY_EXISTS, self.person, "ONE")

    def test_add_refusals(self):
        def add(dn, **attributes):
            return self.c.add_s, dn, [(k, v if isinstance(v, list) else [v])
                                      for k, v in attributes.items()]
        person = {"objectClass": b"person", "cn": b"a", "sn": b"b"}
        dn = "cn=a," + self.base
        for error, call in (
                (ldap.NO_SUCH_OBJECT, add("cn=a,ou=missing," + self.base, **person)),
                (ldap.INVALID_DN_SYNTAX, add("a", **person)),
                (ldap.OBJECT_CLASS_VIOLATION, add(dn, objectClass=b"person", cn=b"a")),
                (ldap.OBJECT_CLASS_VIOLATION, add(dn, **person, mail=b"x@y")),
                (ldap.UNDEFINED_TYPE, add(dn, **person, nosuch=b"x")),
                (ldap.UNDEFINED_TYPE, add("nosuch=z," + self.base, **person)),
                (ldap.OBJECT_CLASS_VIOLATION, add("l=z," + self.base, **person)),
                (ldap.CONSTRAINT_VIOLATION, add(dn, **person, createTimestamp=b"20260101000000Z")),
                (ldap.TYPE_OR_VALUE_EXISTS, add(dn, **dict(person, sn=[b"b", b"B"]))),
                (ldap.INVALID_SYNTAX, add(dn, **person, seeAlso=b"not a name")),
        ):
            with self.subTest(error.__name__ + " " + str(call[1:])):
                why = self.fails(error, *call)
                if error is not ldap.NO_SUCH_OBJECT:
                    self.assertTrue(why.get("info"), why)
                else:
                    self.assertEqual(why["matched"], self.base)

    def test_modify(self):
        dn = self.person("Two", description=b"a")
        self.c.modify_s(dn, [(ldap.MOD_ADD, "description", [b"b", b"c"]),
                             (ldap.MOD_DELETE, "description", b"a"),
                             (ldap.MOD_REPLACE, "title", b"Dr"),
                             (ldap.MOD_ADD, "employeeNumber", b"41")])
        found = self.get(dn)
        self.assertEqual(sorted(found["description"]), [b"b", b"c"])
        self.assertEqual(found["title"], [b"Dr"])
        self.c.modify_s(dn, [(ldap.MOD_DELETE, "title", None), (ldap.MOD_REPLACE, "mail", None)])
        self.assertNotIn("title", self.get(dn))

    def test_upper_bounds_are_advice(self):
        """RFC 4512 §4.1.2: what a server takes at least."""
        long = b"x" * 5000
        dn = self.person("Long", description=b"a")
        room = ldap.schema.urlfetch(SITE.uri)[1].get_obj(ldap.schema.AttributeType, "roomNumber")
        self.assertEqual(room.syntax_len, 256)
        self.c.modify_s(dn, [(ldap.MOD_REPLACE, "roomNumber", long)])
        self.assertEqual(self.get(dn)["roomNumber"], [long])

    def test_modify_refusals(self):
        dn = self.person("Three", description=b"a")
        for error, mods in (
                (ldap.TYPE_OR_VALUE_EXISTS, [(ldap.MOD_ADD, "description", b"A")]),
                (ldap.NO_SUCH_ATTRIBUTE, [(ldap.MOD_DELETE, "description", b"z")]),
                (ldap.NO_SUCH_ATTRIBUTE, [(ldap.MOD_DELETE, "title", None)]),
                (ldap.OBJECT_CLASS_VIOLATION, [(ldap.MOD_DELETE, "sn", None)]),
                (ldap.UNDEFINED_TYPE, [(ldap.MOD_ADD, "nosuch", b"z")]),
                (ldap.NOT_ALLOWED_ON_RDN, [(ldap.MOD_DELETE, "cn", b"Three")]),
                (ldap.CONSTRAINT_VIOLATION, [(ldap.MOD_REPLACE, "entryUUID",
                                              b"00000000-0000-4000-8000-000000000001")]),
        ):
            with self.subTest(error.__name__):
                self.fails(error, self.c.modify_s, dn, [(ldap.MOD_ADD, "l", b"kept?")] + mods)
                self.assertNotIn("l", self.get(dn))
        self.fails(ldap.NO_SUCH_OBJECT, self.c.modify_s, "cn=no," + self.base,
                   [(ldap.MOD_ADD, "l", b"x")])

    def test_delete(self):
        dn = self.person("Four")
        self.fails(ldap.NOT_ALLOWED_ON_NONLEAF, self.c.delete_s, self.base)
        self.c.delete_s(dn)
        self.fails(ldap.NO_SUCH_OBJECT, self.c.delete_s, dn)

    def unit(self, name, parent):
        dn = f"ou={name},{parent}"
        self.c.add_s(dn, [("objectClass", [b"organizationalUnit"]), ("ou", [name.encode()])])
        return dn

    def test_rename(self):
        dn = self.person("Five")
        self.c.rename_s(dn, "cn=Five B", delold=0)
        self.assertEqual(sorted(self.get("cn=Five B," + self.base)["cn"]), [b"Five", b"Five B"])
        self.c.rename_s("cn=Five B," + self.base, "cn=Five C")
        self.assertEqual(sorted(self.get("cn=Five C," + self.base)["cn"]), [b"Five", b"Five C"])
        self.fails(ldap.NO_SUCH_OBJECT, self.get, dn)

    def test_move_subtree(self):
        a, b = self.unit("a", self.base), self.unit("b", self.base)
        deep = self.unit("deep", a)
        leaf = self.unit("leaf", deep)
        before = self.get(leaf, "entryUUID")
        self.c.rename_s(deep, "ou=deeper", newsuperior=b)
        moved = f"ou=leaf,ou=deeper,{b}"
        self.assertEqual(self.get(moved, "entryUUID"), before)
        self.assertEqual(self.get(moved, "entryDN")["entryDN"], [moved.encode()])
        self.fails(ldap.NO_SUCH_OBJECT, self.get, leaf)
        self.fails(ldap.LDAPError, self.c.rename_s, b, "ou=b", newsuperior=f"ou=deeper,{b}")
        self.fails(ldap.NO_SUCH_OBJECT, self.c.rename_s, a, "ou=a", newsuperior="ou=no," + BASE)
        self.fails(ldap.ALREADY_EXISTS, self.c.rename_s, a, "ou=B")
        self.fails(ldap.INVALID_DN_SYNTAX, self.c.rename_s, a, "b")

    def test_compare(self):
        dn = self.person("Six", mail=b"six@example.com")
        self.assertTrue(self.c.compare_s(dn, "MAIL", b"Six@Example.com"))
        self.assertFalse(self.c.compare_s(dn, "sn", b"x"))
        self.assertTrue(self.c.compare_s(dn, "hasSubordinates", b"FALSE"))
        self.fails(ldap.NO_SUCH_ATTRIBUTE, self.c.compare_s, dn, "title", b"x")
        self.fails(ldap.UNDEFINED_TYPE, self.c.compare_s, dn, "nosuch", b"x")
        self.fails(ldap.NO_SUCH_OBJECT, self.c.compare_s, "cn=no," + self.base, "sn", b"x")
        self.fails(ldap.NO_SUCH_ATTRIBUTE, user().compare_s, ADA, "userPassword", b"hunter2")

    def test_passwords_are_hashed(self):
        dn = self.person("Seven", userPassword=b"first")
        c = over_tls()
        c.simple_bind_s(dn, "first")
        self.c.modify_s(dn, [(ldap.MOD_REPLACE, "userPassword", b"second")])
        self.assertNotIn(b"second", self.get(dn, "userPassword")["userPassword"][0])
        self.fails(ldap.INVALID_CREDENTIALS, c.simple_bind_s, dn, "first")
        c.simple_bind_s(dn, "second")

    def test_only_the_administrator_writes(self):
        dn = self.person("Eight")
        c = user()
        self.fails(ldap.INSUFFICIENT_ACCESS, c.modify_s, dn, [(ldap.MOD_ADD, "l", b"x")])
        self.fails(ldap.INSUFFICIENT_ACCESS, c.delete_s, dn)
        self.fails(ldap.STRONG_AUTH_REQUIRED, ldap.initialize(SITE.uri).delete_s, dn)

    def test_increment(self):
        dn = self.person("Nine")
        self.c.modify_s(dn, [(ldap.MOD_REPLACE, "objectClass",
                              [b"inetOrgPerson", b"posixAccount"]),
                             (ldap.MOD_ADD, "uid", b"nine"), (ldap.MOD_ADD, "uidNumber", b"9"),
                             (ldap.MOD_ADD, "gidNumber", b"1"),
                             (ldap.MOD_ADD, "homeDirectory", b"/")])
        self.c.modify_s(dn, [(ldap.MOD_INCREMENT, "uidNumber", b"5")])
        self.assertEqual(self.get(dn, "uidNumber")["uidNumber"], [b"14"])

    def test_modify_is_seen_at_once(self):
        dn = self.person("Ten")
        reader, begin = user(), time.monotonic()
        for i in range(50):
            self.c.modify_s(dn, [(ldap.MOD_REPLACE, "l", str(i).encode())])
            found = reader.search_s(self.base, ldap.SCOPE_SUBTREE, f"(&(cn=ten)(l={i}))", ["l"])
            self.assertEqual(found, [(dn, {"l": [str(i).encode()]})])
        self.assertLess(time.monotonic() - begin, 60)


if __name__ == "__main__":
    tap.main()
