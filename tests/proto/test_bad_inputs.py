#!/usr/bin/python3
# tests/run: build=san timeout=240
"""Inputs that nobody should send, to a dird built with sanitizers (requirement S10).

Each has an answer, an error or a notice of disconnection; afterwards another client is served as
before; at the end dird stops cleanly and has leaked nothing. The small ones are in the corpora of
tests/fuzz, too; the large ones are made here.
"""
import os
import sys
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402
import ber  # noqa: E402
from ber import integer, octets, tlv  # noqa: E402
from servers import PEOPLE, ROOT, Dird  # noqa: E402

WHOAMI = "1.3.6.1.4.1.4203.1.11.3"
CANCEL = "1.3.6.1.1.8"
PAGED = "1.2.840.113556.1.4.319"
SORT = "1.2.840.113556.1.4.473"
SYNC = "1.3.6.1.4.1.4203.1.9.1.1"
ADA = f"uid=ada,ou=people,{ROOT}"
SERVER = None


def setUpModule():
    global SERVER
    SERVER = Dird()


def tearDownModule():
    if SERVER.site.process is not None:
        SERVER.close()


def nested(tag, depth):
    """An element in an element in ..., `depth` deep."""
    heads, n = [], 4
    for _ in range(depth):
        length = bytes([n]) if n < 128 else b"\x84" + n.to_bytes(4, "big")
        heads.append(bytes([tag]) + length)
        n += len(heads[-1])
    return b"".join(reversed(heads)) + tlv(0x87, b"cn")


def paged(size, cookie=b""):
    return ber.control(PAGED, True, tlv(0x30, integer(size), octets(cookie)))


class Bad(unittest.TestCase):
    def connect(self, identity="admin"):
        c = SERVER.session(identity).raw
        self.addCleanup(c.s.close)
        return c

    def send(self, c, data):
        """While answers are read, or the server stops reading."""
        def work():
            try:
                c.s.sendall(data)
            except OSError:
                pass
        t = threading.Thread(target=work)
        t.start()
        self.addCleanup(t.join)

    def tearDown(self):
        with ber.Raw(("127.0.0.1", SERVER.site.port)) as c:
            c.send(ber.bind(1, ADA, PEOPLE["ada"]), ber.search(2, ADA, 0))
            self.assertEqual((c.result(1).code, c.result(2).code), (0, 0))

    def code(self, request, number=2, identity="admin"):
        c = self.connect(identity)
        self.send(c, request)
        a = c.answer()
        while a is not None and (a.code is None or a.id not in (0, number)):
            a = c.answer()
        self.assertIsNotNone(a, "closed without a word")
        return a.code if a.id else f"notice {a.code}"

    def expect(self, rows, identity="admin"):
        for name, request, want in rows:
            with self.subTest(name):
                got = self.code(request, 2, identity)
                self.assertIn(got, want if isinstance(want, tuple) else (want,))

    def test_a_framing(self):
        whoami = ber.extended(2, WHOAMI)
        for identity in ("admin", "nobody"):
            self.expect([
                ("indefinite", b"\x30\x80" + whoami[2:] + b"\0\0", "notice 2"),
                ("2^31-1 bytes", b"\x30\x84\x7f\xff\xff\xff", "notice 2"),
                ("2^32-1 bytes", b"\x30\x84\xff\xff\xff\xff", "notice 2"),
                ("5 bytes of length", b"\x30\x85\0\0\0\0\x05", "notice 2"),
                ("127 bytes of length", b"\x30\xff" + b"\0" * 127, "notice 2"),
                ("not minimal", b"\x30\x84" + (len(whoami) - 2).to_bytes(4, "big") + whoami[2:], 0),
                ("empty", b"\x30\0", "notice 2"),
                ("depth 10,000", nested(0x30, 10000), "notice 2"),
                ("two operations", tlv(0x30, integer(2), tlv(0x42), tlv(0x42)), "notice 2"),
                ("id 0", ber.message(0, tlv(0x42)), "notice 2"),
                ("id of 9 bytes", tlv(0x30, tlv(2, b"\1" * 9), tlv(0x42)), "notice 2"),
                ("nothing but zeros", bytes(100000), "notice 2"),
            ], identity)

    def test_a_message_id_in_use(self):
        """Twice the same id: each gets its answer, nothing is mixed up."""
        c = self.connect()
        c.send(*[ber.search(2, "o=Example")] * 2, ber.extended(3, WHOAMI))
        self.assertEqual(c.result(3).code, 0)

    def test_b_filters(self):
        half = tlv(0xa1, *[tlv(0x87, b"a")] * 1000000)
        self.expect([
            ("depth 100,000", ber.search(2, ROOT, 0, nested(0xa2, 100000)), 11),
            ("depth 200", ber.search(2, ROOT, 0, nested(0xa2, 199)), 0),
            ("10^6 items", ber.search(2, ROOT, 0, half), 11),
            ("NUL in a value", ber.search(2, ROOT, 2, ber.equal("cn", b"a\0b")), 0),
            ("NUL in a type", ber.search(2, ROOT, 2, ber.equal(b"c\0n", b"a")), (0, 2)),
            ("1 MiB of value", ber.search(2, ROOT, 0, ber.equal("cn", b"a" * (1 << 20))), 0),
            ("100,000 parts", ber.search(2, ROOT, 0, tlv(0xa4, octets("cn"), tlv(
                0x30, *[tlv(0x81, b"a")] * 100000))), (0, 11)),
            ("nothing at all", ber.search(2, ROOT, 0, b""), (2, "notice 2")),
            ("extensible, no type", ber.search(2, ROOT, 0, tlv(0xa9, tlv(0x83, b"x"))), 2),
        ])

    def test_c_names(self):
        self.expect([(name, ber.search(2, dn, 0), want) for name, dn, want in (
            ("64 KiB", "cn=" + "a" * 65536, 34), ("5,000 RDNs", "cn=a," * 5000 + "o=Example", 34),
            ("17 values", "+".join(f"cn={i}" for i in range(17)) + ",o=Example", 34),
            ("escape at the end", "cn=a\\", 34), ("broken BER", "cn=#0409", 34),
            ("a NUL", "cn=a\0b,o=Example", (32, 34)), ("commas", "," * 1000, 34),
            ("an empty RDN", ",o=Example", 34), ("quotes", 'cn="' + "a" * 1000, 34),
            ("backslashes", "cn=" + "\\5c" * 2000 + ",o=Example", 32))])
        self.expect([("no UTF-8", ber.message(2, tlv(0x4a, b"cn=\xff,o=Example")), 34)])

    def test_d_controls(self):
        many = [ber.control("1.2.3")] * 5000
        sync = ber.control(SYNC, True, tlv(0x30, integer(3, 0x0a)))
        sort = ber.control(SORT, True, tlv(0x30, tlv(0x30, octets("cn"))))
        self.expect([
            ("5,000", ber.search(2, ROOT, 0, ber.PRESENT, (), 0, *many), 11),
            ("unknown, critical", ber.search(2, ROOT, 0, ber.PRESENT, (), 0,
                                             ber.control("1.2.3", True)), 12),
            ("an OID that is none", ber.search(2, ROOT, 0, ber.PRESENT, (), 0,
                                               ber.control("x" * 1000, True)), 12),
            ("paged, sync and sort", ber.search(2, ROOT, 2, ber.PRESENT, (), 0, paged(1), sync, sort),
             (2, 53)),
            ("1 MiB of value", ber.search(2, ROOT, 0, ber.PRESENT, (), 0,
                                          ber.control(PAGED, True, bytes(1 << 20))), 2),
            ("pages of 2^31-1", ber.search(2, ROOT, 2, ber.PRESENT, (), 0, paged(0x7fffffff)), 0),
            ("pages of -1", ber.search(2, ROOT, 2, ber.PRESENT, (), 0, paged(-1)), 2),
        ])
        for cookie in (b"wp1", b"wp1,", b"wp1,0", b"rid=", b"rid=1,csn=", b"\0", b"x" * 100000,
                       b"wp1,0000000000000000" + b",a:1:b:1" * 10000, b"rid=001,csn=" + b";" * 50000):
            value = tlv(0x30, integer(1, 0x0a), octets(cookie))
            with self.subTest(cookie[:30]):
                self.assertIn(self.code(ber.search(2, ROOT, 2, ber.PRESENT, (), 0,
                                                   ber.control(SYNC, True, value))), (0, 2, 53, 4096))

    def page(self, c, cookie=b""):
        c.send(ber.search(2, ROOT, 2, ber.PRESENT, ["1.1"], 0, paged(1, cookie)))
        a = c.result(2)
        parts = a.controls.get(PAGED)
        return a.code, ber.elements(ber.split(parts)[1])[1][1] if parts else b""

    def test_d_cookies_of_others(self):
        first, second = self.connect(), self.connect()
        code, cookie = self.page(first)
        self.assertEqual(code, 0)
        self.assertEqual(self.page(second, cookie)[0], 53)
        for cut in range(len(cookie)):
            self.assertNotEqual(self.page(second, cookie[:cut])[0] if cut else 53, 80)
        first.send(ber.bind(3, ADA, PEOPLE["ada"]))
        self.assertEqual(first.result(3).code, 0)
        self.assertEqual(self.page(first, cookie)[0], 53)

    def test_e_values(self):
        thing = {"objectClass": ["account", "tstThing", "extensibleObject"], "uid": ["bad"]}
        rows = []
        for kind, value in (("tstTime", ""), ("tstTime", "2"), ("tstTime", "20"), ("tstTime", "202"),
                            ("tstTime", "9" * 100000 + "Z"), ("tstUuid", "a" * 15), ("tstUuid", "a" * 17),
                            ("tstInteger", "-"), ("tstInteger", "9" * 100000 + "x"),
                            ("tstBits", "'" + "1" * 100000), ("tstDn", "cn=" * 10000)):
            rows.append((f"{kind} {value[:10]}", ber.add(2, f"uid=bad,{ROOT}", {**thing, kind: [value]}),
                         21))
        for value in (b"", b"\x30", b"\x30\x80", b"\x30\x82\xff\xff", b"\x30\x03\x02\x01\x01", bytes(70000)):
            rows.append((f"certificate {value[:8]}", ber.search(
                2, ROOT, 2, tlv(0xa9, tlv(0x81, b"certificateExactMatch"), tlv(0x82, b"userCertificate"),
                                tlv(0x83, value))), 0))
        self.expect(rows)

    def test_f_cancel_and_abandon_in_a_loop(self):
        c = self.connect()
        self.send(c, b"".join(
            ber.extended(n, CANCEL, tlv(0x30, integer(n if n % 2 else n - 1))) +
            ber.message(20000 + n, integer(n, 0x50)) for n in range(2, 2000)) + ber.extended(2, WHOAMI))
        while (a := c.answer()).code != 0:
            self.assertIn(a.code, (119, 121, 120))

    def test_f_many_half_open(self):
        clients = [ber.Raw(("127.0.0.1", SERVER.site.port)) for _ in range(300)]
        for c in clients:
            self.addCleanup(c.s.close)
            c.send(b"\x30\x84")
        self.assertEqual(self.code(ber.extended(2, WHOAMI)), 0)

    def test_g_passwords(self):
        for name, password in (("none", ""), ("1 MiB", "a" * 1000000), ("*", "*"), ("a hash", "{SSHA}x")):
            with self.subTest(name), ber.Raw(("127.0.0.1", SERVER.site.port)) as c:
                self.send(c, ber.bind(2, ADA, password))
                self.assertIn(c.result(2).code, (49, 53))
        for n, stored in enumerate(("{SSHA}", "{SSHA}@", "{PBKDF2-SHA512}1$$", "{PBKDF2}0$a$b", "{SHA}x",
                                    "{PBKDF2-SHA512}99999999$aaaa$bbbb", "{SSHA512}" + "A" * 100000, "{",
                                    "{PBKDF2-SHA256}" + "9" * 1000)):
            dn = f"uid=p{n},{ROOT}"
            with self.subTest(stored[:30]):
                code = self.code(ber.add(2, dn, {"objectClass": ["account", "simpleSecurityObject"],
                                                 "uid": [f"p{n}"], "userPassword": [stored]}))
                self.assertIn(code, (0, 19, 21))
                with ber.Raw(("127.0.0.1", SERVER.site.port)) as c:
                    c.send(ber.bind(2, dn, "x"))
                    self.assertEqual(c.result(2).code, 49)

    def test_zz_clean_stop(self):
        """Nothing leaked, or the sanitizer's exit status says so."""
        SERVER.manager.s.close()
        self.assertEqual(SERVER.site.stop(), 0, SERVER.site.log()[-3000:])
        self.assertNotIn("Sanitizer", SERVER.site.log())
        SERVER.site.start()


if __name__ == "__main__":
    tap.main()
