#!/usr/bin/python3
# tests/run: timeout=180
"""Transactions (RFC 5805)."""
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
import ber  # noqa: E402
from ber import Raw, octets, tlv  # noqa: E402
from dird_site import DirdSite  # noqa: E402

START, CONTROL, END, ABORTED = ("1.3.6.1.1.21." + n for n in "1234")
TREE_DELETE = ber.control("1.2.840.113556.1.4.805", True)
BASE = "ou=t,o=Example"
SITE = None


def person(name, **more):
    return dict({"objectClass": ["inetOrgPerson"], "cn": [name], "sn": [name]}, **more)


def setUpModule():
    global SITE
    SITE = DirdSite()
    SITE.start()
    SITE.add_root()


def tearDownModule():
    SITE.close()


class Case(unittest.TestCase):
    def setUp(self):
        self.c, self.other = SITE.admin(), SITE.admin()
        self.addCleanup(self.c.__exit__)
        self.addCleanup(self.other.__exit__)
        self.n = 100
        self.ok(ber.add, BASE, {"objectClass": ["organizationalUnit"], "ou": ["t"]})
        self.ok(ber.add, "cn=Ann," + BASE, person("Ann"))

    def tearDown(self):
        with SITE.admin() as c:
            c.send(ber.delete(2, BASE, TREE_DELETE))
            assert c.result(2).code == 0

    def ask(self, make, *args, **named):
        """An answer to a request on the connection that has the transaction."""
        self.n += 1
        self.c.send(make(self.n, *args, **named))
        return self.c.result(self.n)

    def ok(self, make, *args, **named):
        a = self.ask(make, *args, **named)
        self.assertEqual(a.code, 0, a.text)
        return a

    def start(self):
        a = self.ok(ber.extended, START)
        [(tag, self.txn)] = ber.elements(a.extra)
        self.assertEqual(tag, 0x8b)
        self.control = ber.control(CONTROL, True, self.txn)

    def end(self, commit=True, number=None):
        flag = b"" if commit is True else tlv(0x01, b"\0" if commit is False else b"\xff")
        return self.ask(ber.extended, END, tlv(0x30, flag, octets(number or self.txn)))

    def value(self, answer):
        """txnEndRes: (message id at fault, {message id: OIDs of its controls})"""
        values = [v for tag, v in ber.elements(answer.extra) if tag == 0x8b]
        fault, controls = None, {}
        for tag, body in ber.elements(ber.split(values[0])[1]) if values else ():
            if tag == 0x02:
                fault = int.from_bytes(body, "big")
            for _, one in ber.elements(body) if tag == 0x30 else ():
                (_, number), (_, list_) = ber.elements(one)
                controls[int.from_bytes(number, "big")] = [
                    ber.elements(x)[0][1].decode() for _, x in ber.elements(list_)]
        return fault, controls

    def notice(self):
        a = self.c.answer()
        self.assertEqual((a.id, a.op, dict(ber.elements(a.extra))),
                         (0, 0x78, {0x8a: ABORTED.encode(), 0x8b: self.txn}))
        return a.code

    def names(self):
        """As another client sees it."""
        self.other.send(ber.search(5, BASE, 2, ber.PRESENT, ["1.1"]))
        out = set()
        while True:
            a = self.other.answer()
            if a.op == 0x64:
                out.add(ber.entry(a.body)[0].split(",")[0])
            elif a.code is not None:
                return out


class Commit(Case):
    def test_all_or_none(self):
        self.start()
        self.ok(ber.add, "cn=Bob," + BASE, person("Bob"), self.control)
        self.ok(ber.modify, "cn=Bob," + BASE, [(2, "title", ["x"])], self.control)
        self.ok(ber.moddn, "cn=Ann," + BASE, "cn=Eve", self.control)
        self.ok(ber.delete, "cn=Bob," + BASE, self.control)
        self.ok(ber.add, "cn=Cid," + BASE, person("Cid"), self.control)
        self.assertEqual(self.names(), {"ou=t", "cn=Ann"})
        a = self.end()
        self.assertEqual((a.code, self.value(a)), (0, (None, {})))
        self.assertEqual(self.names(), {"ou=t", "cn=Eve", "cn=Cid"})

    def test_one_that_fails_undoes_all(self):
        self.start()
        self.ok(ber.add, "cn=Bob," + BASE, person("Bob"), self.control)
        self.ok(ber.modify, "cn=Nobody," + BASE, [(2, "title", ["x"])], self.control)
        failed = self.n
        self.ok(ber.add, "cn=Cid," + BASE, person("Cid"), self.control)
        a = self.end(commit="yes")
        self.assertEqual((a.code, a.matched.decode(), self.value(a)), (32, BASE, (failed, {})))
        self.assertEqual(self.names(), {"ou=t", "cn=Ann"})
        self.start()
        self.assertEqual(self.end().code, 0)

    def test_abort(self):
        self.start()
        self.ok(ber.delete, "cn=Ann," + BASE, self.control)
        self.assertEqual(self.end(commit=False).code, 0)
        self.assertEqual(self.names(), {"ou=t", "cn=Ann"})
        self.assertEqual(self.end().code, 53)

    def test_controls_of_updates(self):
        """Assertions hold, and read controls look, where the update stands in the transaction."""
        read = tlv(0x30, octets("title"))
        pre, post = "1.3.6.1.1.13.1", "1.3.6.1.1.13.2"
        self.start()
        self.ok(ber.modify, "cn=Ann," + BASE, [(2, "title", ["x"])], self.control)
        self.ok(ber.modify, "cn=Ann," + BASE, [(2, "title", ["y"])], self.control,
                ber.control("1.3.6.1.1.12", True, ber.equal("title", "x")),
                ber.control(pre, True, read), ber.control(post, True, read))
        asked = self.n
        a = self.end()
        self.assertEqual((a.code, self.value(a)), (0, (None, {asked: [pre, post]})))
        self.start()
        self.ok(ber.delete, "cn=Ann," + BASE, self.control,
                ber.control("1.3.6.1.1.12", True, ber.equal("title", "x")))
        asked = self.n
        a = self.end()
        self.assertEqual((a.code, self.value(a)), (122, (asked, {})))

    def test_passwords_are_hashed_first(self):
        """All in one packet: the end waits for the updates, whose order is kept."""
        self.start()
        self.c.send(ber.add(1000, "cn=Bob," + BASE, person("Bob", userPassword=["hunter2"]), self.control),
                    ber.modify(1001, "cn=Bob," + BASE, [(2, "title", ["x"])], self.control),
                    ber.modify(1002, "cn=Ann," + BASE, [(2, "userPassword", ["other"])], self.control),
                    ber.extended(1003, END, tlv(0x30, octets(self.txn))))
        self.assertEqual(self.c.result(1003).code, 0)
        for name, password in ("Bob", "hunter2"), ("Ann", "other"):
            with Raw(SITE.path("ldapi")) as c:
                c.send(ber.bind(1, f"cn={name},{BASE}", password))
                self.assertEqual(c.result(1).code, 0)

    def test_other_operations_between(self):
        self.start()
        self.ok(ber.add, "cn=Bob," + BASE, person("Bob"), self.control)
        self.ok(ber.add, "cn=Cid," + BASE, person("Cid"))
        self.assertEqual(self.names(), {"ou=t", "cn=Ann", "cn=Cid"})
        self.other.send(ber.add(6, "cn=Bob," + BASE, person("Bob")))
        self.assertEqual(self.other.result(6).code, 0)
        a = self.end()
        self.assertEqual(a.code, 68)

    def test_ldapmodify(self):
        """OpenLDAP's client."""
        ldif = f"dn: cn=Bob,{BASE}\nchangetype: add\nobjectClass: inetOrgPerson\ncn: Bob\nsn: Bob\n\n" \
               f"dn: cn=Ann,{BASE}\nchangetype: delete\n\n"

        def run(how, text):
            p = subprocess.run(["ldapmodify", "-QY", "EXTERNAL", "-H", SITE.ldapi, "-E", "txn=" + how],
                               input=text, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            return p.returncode, p.stdout

        status, out = run("abort", ldif)
        self.assertEqual((status, self.names()), (0, {"ou=t", "cn=Ann"}), out)
        status, out = run("commit", ldif)
        self.assertEqual((status, self.names()), (0, {"ou=t", "cn=Bob"}), out)
        status, out = run("commit", ldif)
        self.assertEqual((status, self.names()), (68, {"ou=t", "cn=Bob"}), out)


class Refused(Case):
    def test_identifier(self):
        self.assertEqual(self.ask(ber.delete, "cn=Ann," + BASE,
                                  ber.control(CONTROL, True, b"1")).code, 53)
        self.start()
        self.assertEqual(self.ask(ber.delete, "cn=Ann," + BASE,
                                  ber.control(CONTROL, True, b"x")).code, 53)
        self.assertEqual(self.end(number=b"x").code, 53)
        self.assertEqual(self.ask(ber.extended, START).code, 51)
        self.other.send(ber.delete(5, "cn=Ann," + BASE, self.control))
        self.assertEqual(self.other.result(5).code, 53)

    def test_malformed(self):
        self.assertEqual(self.ask(ber.extended, START, b"").code, 2)
        self.start()
        for value in None, b"", tlv(0x30), tlv(0x30, octets("1"), octets("1")):
            self.assertEqual(self.ask(ber.extended, END, value).code, 2)
        self.assertEqual(self.ask(ber.delete, "cn=Ann," + BASE, ber.control(CONTROL, True)).code, 2)
        self.assertEqual(self.ask(ber.delete, "cn=Ann," + BASE,
                                  ber.control(CONTROL, False, self.txn)).code, 2)
        self.assertEqual(self.ask(ber.search, BASE, 0, ber.PRESENT, (), 0, self.control).code, 12)

    def test_an_update_that_is_refused_at_once_ends_it(self):
        """RFC 5805 §3.4: the aborted transaction notice."""
        for make, code in ((lambda: self.ask(ber.delete, BASE, TREE_DELETE, self.control), 53),
                           (lambda: self.ask(ber.delete, "no name", self.control), 34)):
            self.start()
            self.ok(ber.delete, "cn=Ann," + BASE, self.control)
            self.assertEqual(make().code, code)
            self.assertEqual(self.notice(), code)
            self.assertEqual(self.end().code, 53)
            self.assertEqual(self.names(), {"ou=t", "cn=Ann"})

    def test_who_may_not_write(self):
        self.ok(ber.modify, "cn=Ann," + BASE, [(2, "userPassword", ["hunter2"])])
        with Raw(SITE.path("ldapi")) as self.c:
            self.ok(ber.bind, "cn=Ann," + BASE, "hunter2")
            self.start()
            self.assertEqual(self.ask(ber.delete, "cn=Ann," + BASE, self.control).code, 50)
            self.assertEqual(self.notice(), 50)

    def test_a_bind_forgets_it(self):
        self.start()
        self.ok(ber.delete, "cn=Ann," + BASE, self.control)
        self.ok(lambda n: ber.bind_external(n))
        self.assertEqual(self.end().code, 53)
        self.assertEqual(self.names(), {"ou=t", "cn=Ann"})

    def test_connections_that_end_inside(self):
        """Where slapd 2.5 dies; with updates waiting, and with one whose password is being hashed."""
        for i in range(20):
            with SITE.admin() as self.c:
                self.start()
                self.ok(ber.delete, "cn=Ann," + BASE, self.control)
                self.c.send(ber.add(999, f"cn=X{i},{BASE}", person(f"X{i}", userPassword=["hunter2"]),
                                    self.control))
        self.assertEqual(self.names(), {"ou=t", "cn=Ann"})


class Limits(Case):
    def test_1000_updates_and_one_more(self):
        self.start()
        updates = [ber.add(1000 + i, f"cn=m{i},{BASE}", person(f"m{i}"), self.control)
                   for i in range(1001)]
        self.c.send(*updates[:1000])
        for _ in range(1000):
            self.assertEqual(self.c.answer().code, 0)
        self.assertEqual(self.end().code, 0)
        self.assertEqual(len(self.names()), 1002)
        self.start()
        self.c.send(*(ber.modify(1000 + i, f"cn=m0,{BASE}", [(2, "title", ["x"])], self.control)
                      for i in range(1001)))
        codes = [self.c.answer().code for _ in range(1001)]
        self.assertEqual((codes[:1000], codes[1000]), ([0] * 1000, 11))
        self.assertEqual(self.notice(), 11)

    def test_16_mib(self):
        self.start()
        for i in range(15):
            self.ok(ber.modify, "cn=Ann," + BASE, [(2, "description", ["x" * (1 << 20)])], self.control)
        a = self.ask(ber.modify, "cn=Ann," + BASE, [(2, "description", ["x" * (1 << 20)])], self.control)
        self.assertEqual(a.code, 11)
        self.assertEqual(self.notice(), 11)

    def test_advertised(self):
        self.c.send(ber.search(7, "", 0, ber.PRESENT, ["supportedControl", "supportedExtension"]))
        _, got = ber.entry(self.c.answer().body)
        self.assertIn(CONTROL.encode(), got["supportedControl"])
        self.assertLessEqual({START.encode(), END.encode()}, set(got["supportedExtension"]))


if __name__ == "__main__":
    tap.main()
