#!/usr/bin/python3
# tests/run: timeout=300
"""Every limit, at the limit and one above (S8, S9; the table of limits in docs/ldap.md)."""
import os
import resource
import socket
import ssl
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from waypost import wait_for  # noqa: E402
import ber  # noqa: E402
from ber import Raw, integer, octets, tlv  # noqa: E402
from dird_site import ADMIN, DirdSite  # noqa: E402

BASE, WHOAMI = "o=Example", "1.3.6.1.4.1.4203.1.11.3"
NOTICE = b"1.3.6.1.4.1.1466.20036"
SITE = SILENT_TLS = None


def setUpModule():
    """The TLS client that says nothing begins here, so that its 10 seconds pass during the tests."""
    global SITE, SILENT_TLS
    SITE = DirdSite("max-request 2M", "anonymous-read yes")
    SITE.start()
    SILENT_TLS = socket.create_connection(("127.0.0.1", SITE.tls_port))
    create(SITE)


def tearDownModule():
    SILENT_TLS.close()
    SITE.close()


def create(site):
    with admin(site) as c:
        c.send(ber.add(2, BASE, {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}))
        assert c.result(2).code == 0


def admin(site=None):
    c = Raw((site or SITE).path("ldapi"))
    c.send(ber.bind_external(1))
    assert c.result(1).code == 0
    return c


def started(test, *conf):
    """A server of the test's own."""
    site = DirdSite(*conf)
    test.addCleanup(site.close)
    site.start()
    return site


class Case(unittest.TestCase):
    def setUp(self):
        self.c = admin()
        self.addCleanup(self.c.__exit__)
        self.n = 100

    def code(self, make, *args, **named):
        self.n += 1
        self.c.send(make(self.n, *args, **named))
        return self.c.result(self.n).code

    def search(self, what, *controls):
        return self.code(ber.search, BASE, 0, what, ["1.1"], 0, *controls)


def resident_kib(site):
    with open(f"/proc/{site.process.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


def nested(depth):
    """A filter of so many elements, one in the other."""
    what = ber.PRESENT
    for _ in range(depth - 1):
        what = tlv(0xa2, what)
    return what


def wide(terms):
    return tlv(0xa1, b"\x87\x02cn" * (terms - 1))


class Requests(Case):
    def test_filter_depth(self):
        self.assertEqual((self.search(nested(200)), self.search(nested(201))), (0, 11))

    def test_filter_terms(self):
        self.assertEqual((self.search(wide(100000)), self.search(wide(100001))), (0, 11))

    def test_substring_parts_count_as_terms(self):
        def parts(n):
            return tlv(0xa4, octets("cn"), tlv(0x30, b"\x81\x01a" * n))

        self.assertEqual((self.search(parts(99999)), self.search(parts(100000))), (0, 11))

    def test_controls(self):
        many = [ber.control("1.2.3")] * 33
        self.assertEqual((self.search(ber.PRESENT, *many[:32]), self.search(ber.PRESENT, *many)), (0, 11))

    def test_sort_keys(self):
        def keys(n):
            return ber.control("1.2.840.113556.1.4.473", True, tlv(0x30, *(
                tlv(0x30, octets(name)) for name in ("cn", "sn", "o", "ou", "l", "st", "mail", "title",
                                                     "uid")[:n])))

        self.assertEqual((self.search(ber.PRESENT, keys(8)), self.search(ber.PRESENT, keys(9))), (0, 12))

    def test_matched_values_items(self):
        def items(n):
            return ber.control("1.2.826.0.1.3344810.2.3", True, tlv(0x30, b"\x87\x02cn" * n))

        self.assertEqual((self.search(ber.PRESENT, items(1000)), self.search(ber.PRESENT, items(1001))),
                         (0, 11))

    def test_dn_length(self):
        def dn(n):
            parts = ["o=Example"]
            while n - len(",".join(parts)) > 1010:
                parts.insert(0, "cn=" + "x" * 1000)
            rest = n - len(",".join(parts)) - 1
            return ",".join(["cn=" + "x" * (rest - 3)] + parts)

        self.assertEqual((len(dn(8192)), len(dn(8193))), (8192, 8193))
        self.assertEqual([self.code(ber.search, dn(n), 0) for n in (8192, 8193)], [32, 34])

    def test_rdns(self):
        names = [",".join(["cn=x"] * (n - 1) + ["o=Example"]) for n in (64, 65)]
        self.assertEqual([self.code(ber.search, name, 0) for name in names], [32, 34])

    def test_values_of_an_rdn(self):
        names = ["+".join(f"cn={i}" for i in range(n)) + ",o=Example" for n in (16, 17)]
        self.assertEqual([self.code(ber.search, name, 0) for name in names], [32, 34])

    def test_size_limit_of_the_client(self):
        self.assertEqual(self.code(ber.search, BASE, 2, ber.PRESENT, ["1.1"], 1), 0)
        self.assertEqual(self.code(ber.add, "cn=one,o=Example",
                                   {"objectClass": ["applicationProcess"], "cn": ["one"]}), 0)
        self.assertEqual(self.code(ber.search, BASE, 2, ber.PRESENT, ["1.1"], 2), 0)
        self.assertEqual(self.code(ber.search, BASE, 2, ber.PRESENT, ["1.1"], 1), 4)
        self.assertEqual(self.code(ber.delete, "cn=one,o=Example"), 0)


class Values(Case):
    """1,000 values of an attribute, but not of one that names entries (L12)."""

    DN = "cn=v,o=Example"

    def person(self, n, name="description"):
        return {"objectClass": ["inetOrgPerson"], "cn": ["v"], "sn": ["v"],
                name: [f"value {i}" for i in range(n)]}

    def tearDown(self):
        self.code(ber.delete, self.DN)

    def test_add(self):
        self.assertEqual(self.code(ber.add, self.DN, self.person(1001)), 11)
        self.assertEqual(self.code(ber.add, self.DN, self.person(1000)), 0)

    def test_modify(self):
        self.assertEqual(self.code(ber.add, self.DN, self.person(999)), 0)
        self.assertEqual(self.code(ber.modify, self.DN, [(0, "description", ["a", "b"])]), 11)
        self.assertEqual(self.code(ber.modify, self.DN, [(0, "description", ["a"])]), 0)
        self.assertEqual(self.code(ber.modify, self.DN, [(0, "description", ["b"])]), 11)
        self.assertEqual(self.code(ber.modify, self.DN, [(1, "description", ["a"]), (0, "title", ["x"])]), 0)
        for n, code in ((1000, 0), (1001, 11)):
            values = [f"new {i}" for i in range(n)]
            self.assertEqual(self.code(ber.modify, self.DN, [(2, "description", values)]), code)

    def test_lists_are_longer(self):
        members = [f"cn=m{i},o=Example" for i in range(1500)]
        self.assertEqual(self.code(ber.add, self.DN, {"objectClass": ["groupOfNames"], "cn": ["v"],
                                                      "member": members}), 0)


def sized(n):
    """A request of exactly n bytes that is answered with 2: an unknown operation."""
    fixed = len(ber.message(2, tlv(0x77, tlv(0x80, b"1.2"), tlv(0x81, bytes(1 << 20))))) - (1 << 20)
    request = ber.message(2, tlv(0x77, tlv(0x80, b"1.2"), tlv(0x81, bytes(n - fixed))))
    request = request if len(request) == n else \
        ber.message(2, tlv(0x77, tlv(0x80, b"1.2"), tlv(0x81, bytes(n - fixed + n - len(request)))))
    assert len(request) == n, (len(request), n)
    return request


class Sizes(unittest.TestCase):
    def taken(self, c, n):
        c.send(sized(n))
        self.assertEqual(c.result(2).code, 2)

    def refused(self, c, n):
        """Already by its head."""
        c.send(sized(n)[:100])
        answers = c.answers()
        self.assertEqual([(a.id, a.code) for a in answers], [(0, 2)])
        self.assertIn(NOTICE, answers[0].extra)

    def test_before_a_bind(self):
        with Raw(SITE.path("ldapi")) as c:
            self.taken(c, 1 << 20)
            self.refused(c, (1 << 20) + 1)

    def test_max_request(self):
        with admin() as c:
            self.taken(c, 2 << 20)
            self.refused(c, (2 << 20) + 1)

    def test_16_mib_by_default(self):
        site = started(self)
        with admin(site) as c:
            self.taken(c, 16 << 20)
            self.refused(c, (16 << 20) + 1)


class Looking(unittest.TestCase):
    """look-through-limit: what an ordinary client may make the server look at."""

    def test_at_the_limit(self):
        site = started(self, "look-through-limit 10", "anonymous-read yes")
        create(site)
        with admin(site) as c, Raw(("127.0.0.1", site.port)) as anyone:
            def people(n):
                c.send(ber.add(2, f"cn=p{n},o=Example", {"objectClass": ["inetOrgPerson"], "cn": [f"p{n}"],
                                                        "sn": ["x"], "description": ["odd"]}))
                self.assertEqual(c.result(2).code, 0)

            def search(client, what, *controls):
                client.send(ber.search(3, BASE, 2, what, ["1.1"], 0, *controls))
                found = 0
                while True:
                    a = client.answer()
                    found += a.op == 0x64
                    if a.code is not None:
                        return a.code, found

            sort = ber.control("1.2.840.113556.1.4.473", True, tlv(0x30, tlv(0x30, octets("cn"))))
            for n in range(9):
                people(n)
            self.assertEqual(search(anyone, ber.PRESENT), (0, 10))
            others = tlv(0xa2, ber.equal("cn", "nobody"))
            self.assertEqual(search(anyone, others, sort), (0, 10))
            people(9)
            self.assertEqual(search(anyone, ber.PRESENT), (11, 10))
            self.assertEqual(search(anyone, others, sort), (11, 0))
            self.assertEqual(search(anyone, ber.equal("cn", "p4")), (0, 1))
            self.assertEqual(search(c, ber.PRESENT), (0, 11))


class Connections(unittest.TestCase):
    """S8: caps in all and for each address, told to the client and in the log."""

    def start(self, *conf):
        self.site = started(self, *conf)

    def connect(self, source="127.0.0.1", tls=False):
        s = socket.create_connection(("127.0.0.1", self.site.tls_port if tls else self.site.port), 20,
                                     (source, 0))
        self.addCleanup(s.close)
        c = Raw.__new__(Raw)
        c.s, c.data = s, b""
        return c

    def works(self, c):
        c.send(ber.extended(1, WHOAMI))
        self.assertEqual(c.result(1).code, 0)

    def turned_away(self, c, why):
        answers = c.answers()
        self.assertEqual([(a.id, a.code, a.text.decode()) for a in answers], [(0, 52, why)])
        self.assertIn(NOTICE, answers[0].extra)

    def test_of_one_address(self):
        self.start("max-connections-per-address 3")
        some = [self.connect() for _ in range(3)]
        for c in some:
            self.works(c)
        self.turned_away(self.connect(), "too many connections from this address")
        self.assertRegex(self.site.log(), r"conn.refused ip=127.0.0.1 .*connections=3 "
                                          r"max-connections-per-address=3")
        self.assertEqual(self.connect(tls=True).answers(), [])
        self.works(self.connect("127.0.0.2"))
        with admin(self.site):
            pass
        some[0].s.close()
        wait_for("the place to be free", self.is_free)

    def is_free(self):
        c = self.connect()
        c.send(ber.extended(1, WHOAMI))
        a = c.answer()
        return a is not None and a.id == 1

    def test_of_all(self):
        self.start("max-connections 4")
        some = [self.connect(f"127.0.0.{i}") for i in range(1, 5)]
        for c in some:
            self.works(c)
        self.turned_away(self.connect("127.0.0.9"), "too many connections")
        self.assertRegex(self.site.log(), r"conn.refused ip=127.0.0.9 .*connections=4 max-connections=4")
        with admin(self.site):
            pass
        some[3].s.close()
        wait_for("the place to be free", self.is_free)

    def test_many_that_say_nothing(self):
        """Half-open connections, in clear and in the middle of a handshake, slow nobody."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.start()
        for i in range(min(3000, hard - 200)):
            self.connect(tls=i % 2 == 1)
        c = self.connect()
        for _ in range(50):
            self.works(c)


class Slow(unittest.TestCase):
    def test_a_request_that_never_ends(self):
        site = started(self, "request-timeout 300ms")
        request = ber.extended(1, WHOAMI)
        with Raw(("127.0.0.1", site.port)) as c, Raw(("127.0.0.1", site.port)) as other:
            c.send(request, request[:5])
            self.assertEqual(c.result(1).code, 0)
            answers = c.answers()
            self.assertEqual([(a.id, a.code) for a in answers], [(0, 52)])
            self.assertIn(b"too long", answers[0].text)
            other.send(request)  # one that says nothing is idle, not slow
            self.assertEqual(other.result(1).code, 0)

    def test_a_client_that_never_reads(self):
        site = started(self, "write-timeout 1s", "log-level debug")
        create(site)
        with admin(site) as c:
            for i in range(40):
                c.send(ber.add(2, f"cn=p{i},o=Example", {
                    "objectClass": ["inetOrgPerson"], "cn": [f"p{i}"], "sn": ["x"],
                    "description": ["x" * 100000]}))
                self.assertEqual(c.result(2).code, 0)
            c.send(ber.search(3, BASE), ber.search(4, BASE))
            wait_for("the client to be cut off",
                     lambda: "the client does not read its answers" in site.log())
            self.assertNotIn(4, [a.id for a in c.answers() if a.code is not None])

    def test_many_that_do_not_read_a_long_entry(self):
        """All of them together are bounded (L14): others are told to come later, until the deaf ones are cut."""
        site = started(self, "write-timeout 1h")
        create(site)
        with admin(site) as c:
            c.send(ber.add(2, "cn=long,o=Example", {
                "objectClass": ["inetOrgPerson"], "cn": ["long"], "sn": ["x"], "jpegPhoto": [b"x" * (4 << 20)]}))
            self.assertEqual(c.result(2).code, 0)

            def read(dn):
                c.send(ber.search(3, dn, 0))
                return c.result(3)

            before, deaf = resident_kib(site), []
            for _ in range(100):
                deaf.append(admin(site))
                self.addCleanup(deaf[-1].__exit__)
                deaf[-1].send(ber.search(2, "cn=long,o=Example", 0))
            refused = wait_for("a refusal", lambda: (a := read("cn=long,o=Example")).code and a)
            self.assertEqual(refused.code, 51, refused.text)
            self.assertEqual(read(BASE).code, 0)
            self.assertLess(resident_kib(site) - before, 330 * 1024)  # two loops of 128 MiB each, and some
            wait_for("room again", lambda: read("cn=long,o=Example").code == 0)

    def test_a_client_that_reads_slowly_is_served(self):
        """The limit is about taking nothing, not about taking little."""
        site = started(self, "write-timeout 3s")
        create(site)
        with admin(site) as c:
            for i in range(30):
                c.send(ber.add(2, f"cn=p{i},o=Example", {
                    "objectClass": ["inetOrgPerson"], "cn": [f"p{i}"], "sn": ["x"],
                    "description": ["x" * 100000]}))
                self.assertEqual(c.result(2).code, 0)
            c.send(ber.search(3, BASE))
            found = 0
            stop = socket.socketpair()[0]
            stop.settimeout(0.2)
            while True:
                a = c.answer()
                if a.code is not None:
                    break
                found += 1
                if found % 2 == 0:
                    try:
                        stop.recv(1)
                    except TimeoutError:
                        pass
            self.assertEqual((a.code, found), (0, 31))

    def test_tls_handshake(self):
        """10 seconds from the beginning; the client of setUpModule."""
        SILENT_TLS.settimeout(60)
        self.assertEqual(SILENT_TLS.recv(1), b"")
        wait_for("the log", lambda: "TLS handshake timed out" in SITE.log())

    def test_tls_one_byte_at_a_time(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", SITE.tls_port)) as s, \
                context.wrap_socket(s) as t:
            c = Raw.__new__(Raw)
            c.s, c.data = t, b""
            t.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in ber.bind(1, ADMIN, "x") + ber.extended(2, WHOAMI):
                c.send(bytes([byte]))
            self.assertEqual([c.result(1).code, c.result(2).code], [49, 0])


class Races(Case):
    """L14: abandon and cancel at any moment of an operation's life."""

    def setUp(self):
        super().setUp()
        self.names = [f"cn=r{i},o=Example" for i in range(300)]
        self.c.send(*(ber.add(1000 + i, dn, {"objectClass": ["applicationProcess"], "cn": [f"r{i}"]})
                      for i, dn in enumerate(self.names)))
        for _ in self.names:
            self.assertEqual(self.c.answer().code, 0)

    def tearDown(self):
        self.c.send(*(ber.delete(5000 + i, dn) for i, dn in enumerate(self.names)))
        for i in range(len(self.names)):
            self.assertEqual(self.c.result(5000 + i).code, 0)

    def results(self, numbers):
        out = {}
        while len(out) < len(numbers):
            a = self.c.answer()
            self.assertIsNotNone(a)
            if a.code is not None:
                self.assertNotIn(a.id, out)
                out[a.id] = a.code
        return out

    def test_cancel(self):
        """Each is answered once, and both answers agree."""
        for gap in range(0, 40, 2):
            pairs, requests = [], []
            for i in range(20):
                search, cancel = 2000 + 2 * i, 2001 + 2 * i
                requests.append((search, ber.search(search, BASE, 2, ber.PRESENT, ["1.1"])))
                pairs.append((search, cancel))
            order = [r for _, r in requests]
            for k, (search, cancel) in enumerate(pairs):
                at = min(len(order), order.index(requests[k][1]) + 1 + gap)
                order.insert(at, ber.extended(cancel, "1.3.6.1.1.8", tlv(0x30, integer(search))))
            self.c.send(*order)
            got = self.results([n for pair in pairs for n in pair])
            for search, cancel in pairs:
                self.assertIn((got[search], got[cancel]), ((118, 0), (0, 119), (0, 120)))

    def test_abandon(self):
        """An abandoned operation has no result, or had it before; others have theirs."""
        order = []
        for i in range(100):
            order.append(ber.search(2000 + i, BASE, 2, ber.PRESENT, ["1.1"]))
            if i >= 10:
                order.append(ber.message(3000 + i, tlv(0x50, integer(2000 + i - 10)[2:])))
        order += [ber.message(4000 + i, tlv(0x50, integer(2000 + i)[2:])) for i in range(90, 100)]
        self.c.send(*order, ber.extended(9, WHOAMI))
        answered = set()
        while True:
            a = self.c.answer()
            self.assertIsNotNone(a)
            if a.id == 9:
                break
            if a.code is not None:
                self.assertEqual(a.code, 0)
                self.assertNotIn(a.id, answered)
                answered.add(a.id)
        self.assertLessEqual(answered, set(range(2000, 2100)))
        self.assertEqual(self.search(ber.PRESENT), 0)

    def test_writes(self):
        """What a write has begun it ends; the answer is the truth or is not sent."""
        for i in range(100):
            n = 2000 + 3 * i
            self.c.send(ber.modify(n, self.names[i], [(2, "description", [str(i)])]),
                        ber.message(n + 1, tlv(0x50, integer(n)[2:])) if i % 2 else
                        ber.extended(n + 1, "1.3.6.1.1.8", tlv(0x30, integer(n))))
        self.c.send(ber.extended(9, WHOAMI))
        codes = {}
        while len(codes) < 101 or any(2000 + 3 * i not in codes for i in range(0, 100, 2)):
            a = self.c.answer()
            codes[a.id] = a.code
        self.assertLessEqual({codes[2001 + 3 * i] for i in range(0, 100, 2)}, {119, 121})
        wait_for("all writes", lambda: self.described() == 100)

    def described(self):
        self.n += 1
        self.c.send(ber.search(self.n, BASE, 2, tlv(0x87, b"description"), ["1.1"]))
        found = 0
        while True:
            a = self.c.answer()
            if a.id == self.n and a.code is not None:
                return found
            found += a.id == self.n


if __name__ == "__main__":
    tap.main()
