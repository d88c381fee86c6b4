#!/usr/bin/python3
# tests/run: timeout=300
"""dird and clients that no library would be: bad bytes, odd timing, deaf ears; its start and end."""
import os
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import unittest
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from waypost import free_port, wait_for  # noqa: E402
import ber  # noqa: E402
from ber import Raw  # noqa: E402
from dird_site import ADMIN, PEOPLE, DirdSite, tree  # noqa: E402

NOTICE = b"1.3.6.1.4.1.1466.20036"
WHOAMI = "1.3.6.1.4.1.4203.1.11.3"
CANCEL = "1.3.6.1.1.8"
STARTTLS = "1.3.6.1.4.1.1466.20037"
BASE = "o=Example"
SITE = None


def setUpModule():
    global SITE
    SITE = DirdSite()
    SITE.start()
    fill(SITE)


def tearDownModule():
    SITE.close()


def add(number, dn, attributes):
    parts = [ber.tlv(0x30, ber.octets(name), ber.tlv(0x31, *map(ber.octets, values)))
             for name, values in attributes.items()]
    return ber.message(number, ber.tlv(0x68, ber.octets(dn), ber.tlv(0x30, *parts)))


def fill(site):
    with Raw(site.path("ldapi")) as c:
        c.send(ber.bind_external(1))
        assert c.result(1).code == 0
        entries = list(tree(site))
        for n, (dn, attributes) in enumerate(entries):
            c.send(add(n + 2, dn, attributes))
            got = c.result(n + 2)
            assert got.code == 0, (dn, got.code, got.text)


def tcp():
    return Raw(("127.0.0.1", SITE.port))


def local():
    c = Raw(SITE.path("ldapi"))
    c.send(ber.bind_external(1))
    assert c.result(1).code == 0
    return c


def memory(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("RssAnon:"))


class Frames(unittest.TestCase):
    def ends_with_notice(self, data, code=2):
        with tcp() as c:
            c.send(data)
            answers = c.answers()
            self.assertEqual([a.id for a in answers], [0], data[:40])
            self.assertEqual(answers[0].code, code)
            self.assertIn(NOTICE, answers[0].extra)
            self.assertTrue(answers[0].text)

    def test_broken(self):
        whoami = ber.extended(1, WHOAMI)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x30\x80\2\1\1B\0\0\0", b"\x30\x85\0\0\0\0\5\2\1\1B\0",
                     ber.message(0, ber.tlv(0x42)), ber.message(-1, ber.tlv(0x42)),
                     ber.tlv(0x30, ber.tlv(2), ber.tlv(0x42)), ber.tlv(0x30),
                     ber.message(1, ber.tlv(0x71)), ber.message(1, ber.tlv(0x64)),
                     b"\x30\x84\x7f\xff\xff\xff\2\1\1", b"\x31" + whoami[1:],
                     whoami[:1] + bytes([whoami[1] + 1]) + whoami[2:] + b"\0",
                     ber.message(1, ber.tlv(0x77))):
            with self.subTest(data[:20]):
                self.ends_with_notice(data)

    def test_wrong_values_get_an_answer(self):
        with local() as c:
            c.send(ber.search(2, BASE, scope=7), ber.search(3, BASE, limit=-1),
                   ber.search(4, BASE, what=ber.tlv(0xa3, ber.octets("cn"))), ber.extended(5, WHOAMI))
            self.assertEqual([c.result(n).code for n in (2, 3, 4, 5)], [2, 2, 2, 0])

    def test_33_controls(self):
        with local() as c:
            controls = [ber.control("1.2.3")] * 33
            op = ber.split(ber.search(2, BASE, scope=0)[2:])[2]
            c.send(ber.message(2, op, *controls), ber.message(3, op, *controls[:32]))
            self.assertEqual((c.result(2).code, c.result(3).code), (11, 0))

    def test_size_before_and_after_bind(self):
        big = ber.message(2, ber.tlv(0x77, ber.tlv(0x80, b"1.2"), ber.tlv(0x81, bytes(1 << 20))))
        with tcp() as c:
            c.send(big[:20])
            self.assertEqual([a.code for a in c.answers()], [2])
        with local() as c:
            c.send(big)
            self.assertEqual(c.result(2).code, 2)  # unknown operation, after it was read
            c.send(b"\x30\x84\x01\x00\x00\x01")
            self.assertEqual([a.id for a in c.answers()], [0])

    def test_filter_depth(self):
        def deep(n):
            what = ber.PRESENT
            for _ in range(n):
                what = ber.tlv(0xa2, what)
            return what
        with local() as c:
            c.send(ber.search(2, BASE, 0, deep(150)), ber.search(3, BASE, 0, deep(300)),
                   ber.search(4, BASE, 0, deep(50000)))
            self.assertEqual([c.result(n).code for n in (2, 3, 4)], [0, 11, 11])

    def test_windows_lengths(self):
        with tcp() as c:
            c.send(b"\x30\x84\0\0\0\x10\2\1\1\x60\x84\0\0\0\7\2\1\3\4\0\x80\0")
            self.assertEqual(c.result(1).code, 0)

    def test_damaged_requests(self):
        """Every byte of a search and an add changed: always an answer or a notice, never silence."""
        good = [ber.search(9, BASE, 2, ber.tlv(0xa3, ber.octets("cn"), ber.octets("x")), ["cn"]),
                add(9, "cn=x,ou=no,o=Example", {"objectClass": ["person"], "cn": ["x"], "sn": ["y"]})]
        for request in good:
            for at in range(len(request)):
                data = bytearray(request)
                data[at] ^= 0x55
                with local() as c:
                    c.send(bytes(data))
                    c.s.shutdown(socket.SHUT_WR)
                    c.answers()
        with local() as c:
            c.send(ber.extended(2, WHOAMI))
            self.assertEqual(c.result(2).code, 0)

    def test_one_byte_at_a_time(self):
        with tcp() as c:
            c.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in ber.bind(1) + ber.search(2, "", 0, attributes=["namingContexts"]):
                c.send(bytes([byte]))
            self.assertEqual(c.result(1).code, 0)
            self.assertIn(b"o=Example", c.answer().body)
            self.assertEqual(c.result(2).code, 0)

    def test_version_2_and_other_mechanism(self):
        with tcp() as c:
            c.send(ber.bind(1, version=2))
            got = c.result(1)
            self.assertEqual(got.code, 2)
            self.assertIn(b"LDAPv2", got.text)
            c.send(ber.message(2, ber.tlv(0x60, ber.integer(3), ber.octets(""),
                                          ber.tlv(0xa3, ber.octets("PLAIN")))))
            self.assertEqual(c.result(2).code, 7)


class Order(unittest.TestCase):
    def test_requests_behind_a_bind(self):
        """They run as the new identity (requirement L1)."""
        with Raw(SITE.path("ldapi")) as c:
            c.send(ber.bind_external(1), ber.extended(2, WHOAMI), ber.search(3, BASE, 0),
                   ber.bind(4), ber.extended(5, WHOAMI), ber.search(6, BASE, 0))
            self.assertEqual(c.result(1).code, 0)
            self.assertIn(ADMIN.encode(), c.result(2).extra)
            self.assertEqual(c.result(3).code, 0)
            self.assertEqual(c.result(4).code, 0)
            self.assertNotIn(ADMIN.encode(), c.result(5).extra)
            self.assertEqual(c.result(6).code, 50)

    def test_a_bind_waits_for_what_runs(self):
        with local() as c:
            c.send(ber.search(2, BASE, 2), add(3, "cn=behind,ou=people,o=Example",
                                               {"objectClass": ["person"], "cn": ["behind"], "sn": ["x"]}),
                   ber.message(4, b"\x4a\x1dcn=behind,ou=people,o=Example"), ber.bind(5),
                   ber.extended(6, WHOAMI))
            order = []
            while not order or order[-1][0] != 6:
                a = c.answer()
                if a.code is not None:
                    order.append((a.id, a.code))
            self.assertEqual(sorted(order[:3]), [(2, 0), (3, 0), (4, 0)])
            self.assertEqual(order[3:], [(5, 0), (6, 0)])

    def test_a_bind_ends_a_persistent_search(self):
        sync = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True,
                           ber.tlv(0x30, ber.integer(3, 0x0a)))
        op = ber.split(ber.split(ber.search(2, BASE))[1])[2]
        with local() as c:
            c.send(ber.message(2, op, sync), ber.bind(3), ber.extended(4, WHOAMI))
            self.assertEqual((c.result(3).code, c.result(4).code), (0, 0))

    def test_half_closed(self):
        with local() as c:
            c.send(*[ber.search(n, BASE, 0) for n in range(2, 100)])
            c.s.shutdown(socket.SHUT_WR)
            self.assertEqual(len([a for a in c.answers() if a.code == 0]), 98)

    def test_a_slow_bind_holds_back_what_follows(self):
        with tcp() as c:
            c.send(ber.bind(1, "cn=Ada Hill,ou=people,o=Example", "hunter2"), ber.extended(2, WHOAMI))
            self.assertEqual(c.result(1).code, 0)
            self.assertIn(b"cn=Ada Hill", c.result(2).extra)

    def test_3000_at_once(self):
        with local() as c:
            sender = threading.Thread(target=c.send, args=[ber.search(n, BASE, 0)
                                                           for n in range(2, 3002)])
            sender.start()
            codes = {}
            while len(codes) < 3000:
                a = c.answer()
                if a.code is not None:
                    codes[a.id] = a.code
            sender.join()
            self.assertEqual(set(codes.values()), {0})

    def test_small_overtakes_large(self):
        with local() as c:
            c.send(ber.search(2, BASE, 2), ber.search(3, BASE, 0, attributes=["1.1"]))
            order = []
            while len(order) < 2:
                a = c.answer()
                if a.code is not None:
                    order.append(a.id)
            self.assertEqual(order, [3, 2])

    def test_abandon(self):
        with local() as c:
            c.send(ber.search(2, BASE, 2), ber.message(3, b"\x50\1\2"), ber.message(4, b"\x50\1\4"),
                   ber.message(5, b"\x50\1\x63"), ber.extended(6, WHOAMI))
            self.assertEqual(c.result(6).code, 0)
            c.send(ber.extended(7, WHOAMI))
            answers = [c.answer()]
            while answers[-1].id != 7:
                answers.append(c.answer())
            self.assertFalse([a for a in answers if a.id == 2 and a.code is not None])

    def test_cancel(self):
        def cancel(number, target):
            return ber.extended(number, CANCEL, ber.tlv(0x30, ber.integer(target)))
        sync = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True,
                           ber.tlv(0x30, ber.integer(3, 0x0a)))
        op = ber.split(ber.split(ber.search(2, BASE))[1])[2]
        with local() as c:
            c.send(ber.message(2, op, sync), cancel(3, 2), cancel(4, 2), cancel(5, 5), cancel(6, 77))
            codes = {}
            while len(codes) < 5:
                a = c.answer()
                if a.code is not None:
                    codes[a.id] = a.code
            self.assertEqual(codes, {2: 118, 3: 0, 4: 119, 5: 119, 6: 119})

    def test_unbind(self):
        with local() as c:
            c.send(ber.extended(2, WHOAMI), ber.message(3, ber.tlv(0x42)), ber.extended(4, WHOAMI))
            self.assertEqual([a.id for a in c.answers()], [2])


class Pressure(unittest.TestCase):
    def test_client_that_never_reads(self):
        """Requirement L14: it costs little, and nobody else anything."""
        before = memory(SITE.process.pid)
        deaf = []
        try:
            for _ in range(50):
                c = local()
                c.s.setblocking(False)
                request = b"".join(ber.search(n, BASE, 2) for n in range(2, 500))
                try:
                    while request:
                        request = request[c.s.send(request):]
                except BlockingIOError:
                    pass
                deaf.append(c)
            with local() as c:
                for n in range(2, 50):
                    begin = time.monotonic()
                    c.send(ber.search(n, BASE, 2, ber.tlv(0xa3, ber.octets("cn"),
                                                          ber.octets("person 0007"))))
                    self.assertEqual(c.result(n).code, 0)
                    self.assertLess(time.monotonic() - begin, 10)
            self.assertLess(memory(SITE.process.pid) - before, 50 * 1024)
            deaf[0].s.setblocking(True)
            deaf[0].s.settimeout(20)
            entries = 0
            while True:
                a = deaf[0].answer()
                entries += a.op == 0x64
                if a.id == 2 and a.code is not None:
                    break
            self.assertGreaterEqual(entries, PEOPLE)
        finally:
            for c in deaf:
                c.s.close()

    def test_flood_of_binds(self):
        """Requirement S15: some are told to come later, all are answered, others go on."""
        clients = [Raw(("127.0.0.1", SITE.port), 200) for _ in range(300)]
        try:
            for c in clients:
                c.send(ber.bind(1, ADMIN, "x"))
            with local() as c:
                c.send(ber.search(2, BASE, 0))
                self.assertEqual(c.result(2).code, 0)
            for c in clients[30:260]:
                c.s.close()
            codes = [c.result(1).code for c in clients[:30] + clients[260:]]
            self.assertLessEqual(set(codes), {49, 51})
            self.assertIn(49, codes)
        finally:
            for c in clients:
                c.s.close()
        with tcp() as c:
            c.send(ber.bind(1, "cn=Ada Hill,ou=people,o=Example", "hunter2"))
            self.assertEqual(c.result(1).code, 0)

    def test_time_limit(self):
        """A search that its client holds up ends with 3 and what was found so far."""
        with local() as c:
            op = ber.split(ber.split(ber.search(2, BASE))[1])[2]
            limited = op.replace(ber.integer(0) + ber.integer(0), ber.integer(0) + ber.integer(1), 1)
            self.assertNotEqual(op, limited)
            c.send(*[ber.message(n, limited) for n in range(2, 42)])
            end = time.monotonic() + 1.2
            wait_for("the time limit", lambda: time.monotonic() > end)
            codes = []
            while len(codes) < 40:
                a = c.answer()
                if a.code is not None:
                    codes.append(a.code)
            self.assertEqual(set(codes) - {0}, {3})

    def test_closing_in_the_middle(self):
        for _ in range(50):
            c = local()
            c.send(*[ber.search(n, BASE, 2) for n in range(2, 20)])
            c.answer()
            c.s.close()
        with local() as c:
            c.send(ber.extended(2, WHOAMI))
            self.assertEqual(c.result(2).code, 0)


class Tls(unittest.TestCase):
    def context(self, maximum=None, certificate=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if maximum:
            context.maximum_version = maximum
        if certificate:
            context.load_cert_chain(SITE.path(certificate + ".crt"), SITE.path(certificate + ".key"))
        return context

    def ldaps(self, **options):
        c = Raw(("127.0.0.1", SITE.tls_port))
        c.s = self.context(**options).wrap_socket(c.s)
        return c

    def external(self, **options):
        with self.ldaps(**options) as c:
            c.send(ber.bind_external(1))
            return c.result(1).code

    def test_site_key_and_version(self):
        """Requirement S1: a pinned key counts over TLS 1.3 only."""
        self.assertEqual(self.external(certificate="site1"), 0)
        self.assertEqual(self.external(certificate="site1", maximum=ssl.TLSVersion.TLSv1_2), 49)
        self.assertEqual(self.external(), 49)

    def test_old_tls(self):
        context = self.context(maximum=ssl.TLSVersion.TLSv1_2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1_1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", SITE.tls_port), 20) as s:
            with self.assertRaises((ssl.SSLError, OSError)):
                context.wrap_socket(s)

    def test_starttls(self):
        with tcp() as c:
            c.send(ber.extended(1, STARTTLS))
            self.assertEqual(c.result(1).code, 0)
            c.s = self.context().wrap_socket(c.s)
            c.send(ber.extended(2, STARTTLS), ber.extended(3, WHOAMI))
            self.assertEqual((c.result(2).code, c.result(3).code), (1, 0))

    def test_clear_text_behind_starttls(self):
        """Nothing of it may be taken for the TLS session's first request."""
        with tcp() as c:
            c.send(ber.extended(1, STARTTLS), ber.extended(2, WHOAMI))
            self.assertEqual([(a.id, a.code) for a in c.answers()], [(0, 2)])

    def test_starttls_beside_a_search(self):
        with local() as c:
            c.send(ber.search(2, BASE, 2))
            c.answer()
            c.send(ber.extended(3, STARTTLS))
            got = c.result(3) if not c.data else None
            while got is None:
                a = c.answer()
                got = a if a.id == 3 else None
            self.assertIn(got.code, (0, 1))

    def test_garbage_instead_of_a_handshake(self):
        with Raw(("127.0.0.1", SITE.tls_port)) as c:
            c.send(ber.bind(1))
            self.assertIsNone(c.answer() if not c.is_silent(0) else None)

    def test_large_answers(self):
        with self.ldaps(certificate="site1") as c:
            c.send(ber.bind_external(1))
            self.assertEqual(c.result(1).code, 0)
            c.send(ber.search(2, BASE, 2))
            entries = 0
            while True:
                a = c.answer()
                entries += a.op == 0x64
                if a.code is not None:
                    break
            self.assertGreaterEqual(entries, PEOPLE)


class Daemon(unittest.TestCase):
    def setUp(self):
        self.site = DirdSite("idle-timeout 1s", "log-level debug")
        self.addCleanup(self.site.close)

    def run_dird(self, *argv):
        p = subprocess.run(["dird", *argv], text=True, timeout=60, check=False,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return p.returncode, p.stdout, p.stderr

    def test_second_daemon_is_refused(self):
        self.site.start()
        conf = self.site.path("second.conf")
        with open(self.site.path("dird.conf"), encoding="ascii") as f:
            lines = [line for line in f if not line.startswith("listen")]
        with open(conf, "w", encoding="ascii") as f:
            f.writelines(lines + [f"listen-ldap 127.0.0.1:{free_port()}\n"])
        status, _, err = self.run_dird("--config", conf)
        self.assertEqual(status, 1)
        self.assertIn(str(self.site.process.pid), err)
        with Raw(self.site.path("ldapi")) as c:
            c.send(ber.extended(1, WHOAMI))
            self.assertEqual(c.result(1).code, 0)

    def test_clean_stop(self):
        self.site.start()
        idle = Raw(("127.0.0.1", self.site.port))
        idle.send(ber.bind(1))
        self.assertEqual(idle.result(1).code, 0)
        begin = time.monotonic()
        self.assertEqual(self.site.stop(), 0)
        self.assertLess(time.monotonic() - begin, 10)
        answers = idle.answers()
        self.assertEqual([(a.id, a.code) for a in answers], [(0, 52)])
        idle.s.close()
        self.assertFalse(os.path.exists(self.site.path("ldapi")))
        self.assertIn("stopped site=Hub", self.site.log())

    def test_stop_with_a_deaf_client(self):
        self.site.start()
        fill(self.site)
        c = Raw(self.site.path("ldapi"))
        c.send(ber.bind_external(1))
        self.assertEqual(c.result(1).code, 0)
        c.send(*[ber.search(n, BASE, 2) for n in range(2, 40)])
        self.assertIsNotNone(c.answer())
        self.assertEqual(self.site.stop(), 0)
        c.s.close()

    def test_restart_keeps_entries(self):
        self.site.start()
        fill(self.site)
        self.assertEqual(self.site.stop(), 0)
        self.site.start()
        with Raw(self.site.path("ldapi")) as c:
            c.send(ber.bind_external(1), ber.search(2, "cn=Person 0007,ou=people,o=Example", 0))
            self.assertEqual(c.result(2).code, 0)

    def test_start_after_a_kill(self):
        self.site.start()
        fill(self.site)
        self.site.signal(signal.SIGKILL)
        self.site.process.wait(20)
        self.assertTrue(os.path.exists(self.site.path("ldapi")))
        self.site.start()
        with Raw(self.site.path("ldapi")) as c:
            c.send(ber.bind_external(1), ber.search(2, "cn=Person 0007,ou=people,o=Example", 0))
            self.assertEqual(c.result(2).code, 0)

    def test_idle_connection(self):
        self.site.start()
        with Raw(("127.0.0.1", self.site.port)) as c:
            self.assertEqual([(a.id, a.code) for a in c.answers()], [(0, 52)])

    def served(self):
        pem = ssl.get_server_certificate(("127.0.0.1", self.site.tls_port))
        return pem.strip()

    def test_certificate_reload(self):
        self.site.start()
        old = self.served()
        self.site.certificate("site", "/CN=new.example.com")
        self.assertEqual(self.served(), old)
        self.site.signal(signal.SIGHUP)
        wait_for("the new certificate", lambda: self.served() != old)
        with open(self.site.path("site.crt"), "w", encoding="ascii") as f:
            f.write("no certificate\n")
        new = self.served()
        self.site.signal(signal.SIGHUP)
        wait_for("a complaint", lambda: "reload.failed" in self.site.log())
        self.assertEqual(self.served(), new)

    def test_configuration_errors(self):
        conf = self.site.path("bad.conf")
        good = "organisation o=Example\nsite Hub\ndatabase db\nlisten-ldapi ldapi\n"
        for text, what in ((good + "nosuch 1\n", "bad.conf:5"),
                           (good + "loops many\n", "bad.conf:5"),
                           (good + "loops 0\n", "bad.conf:5"),
                           (good.replace("o=Example", "Example"), "organisation"),
                           (good.replace("listen-ldapi ldapi\n", ""), "listen"),
                           (good + "listen-ldaps 127.0.0.1:1\n", "tls-certificate"),
                           (good + "tls-key site.key\n", "tls-certificate"),
                           (good + "log-level loud\n", "log-level"),
                           (good.replace("site Hub\n", ""), "site"),
                           (good + "schema nowhere\n", "nowhere"),
                           (good + "admin-password-file nowhere\n", "nowhere")):
            with self.subTest(what):
                with open(conf, "w", encoding="ascii") as f:
                    f.write(text)
                status, _, err = self.run_dird("--check", "--config", conf)
                self.assertEqual(status, 2, err)
                self.assertIn(what, err)
        with open(conf, "w", encoding="ascii") as f:
            f.write(good)
        self.assertEqual(self.run_dird("--check", "--config", conf)[0], 0)
        self.assertEqual(self.run_dird("--config", "/nonexistent")[0], 2)

    def test_key_that_others_may_read(self):
        os.chmod(self.site.path("site.key"), 0o644)
        status, _, err = self.run_dird("--check", "--config", self.site.path("dird.conf"))
        self.assertEqual(status, 2)
        self.assertIn("site.key", err)

    def test_port_in_use(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", self.site.port))
            s.listen()
            status, _, err = self.run_dird("--config", self.site.path("dird.conf"))
        self.assertEqual(status, 1)
        self.assertIn(str(self.site.port), err)

    def test_options(self):
        self.assertEqual(self.run_dird("--version")[0], 0)
        status, out, _ = self.run_dird("--help")
        self.assertEqual(status, 0)
        self.assertIn("listen-ldaps", out)
        for argv in ((), ("--nosuch",), ("--config",), ("x",)):
            self.assertEqual(self.run_dird(*argv)[0], 2)


class Configured(unittest.TestCase):
    def cpu_seconds(self, site):
        with open(f"/proc/{site.process.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_out_of_descriptors(self):
        """Requirement F8: clients too many are turned away, no loop spins, all recovers."""
        site = DirdSite()
        self.addCleanup(site.close)
        site.start()
        resource.prlimit(site.process.pid, resource.RLIMIT_NOFILE, (64, 64))
        clients = [Raw(("127.0.0.1", site.port)) for _ in range(100)]
        for c in clients:
            try:
                c.send(ber.bind(1))
            except OSError:
                pass
        served = [c for c in clients if c.answer() is not None]
        self.assertTrue(10 < len(served) < 64, len(served))
        before, begin = self.cpu_seconds(site), time.monotonic()
        self.assertTrue(served[0].is_silent(2))
        self.assertLess(self.cpu_seconds(site) - before, (time.monotonic() - begin) * 0.25)
        for c in clients:
            c.s.close()

        def works():
            with Raw(("127.0.0.1", site.port)) as c:
                try:
                    c.send(ber.bind(1))
                    return c.answer() is not None
                except OSError:
                    return False
        wait_for("a client is served again", works)

    def make(self, *conf):
        site = DirdSite(*conf)
        self.addCleanup(site.close)
        site.start()
        fill(site)
        return site

    def test_anonymous_read(self):
        site = self.make("anonymous-read yes", "size-limit 20")
        with Raw(("127.0.0.1", site.port)) as c:
            c.send(ber.search(2, "cn=Ada Hill,ou=people,o=Example", 0,
                              attributes=["mail", "userPassword"]))
            entry = c.answer()
            self.assertIn(b"ada@example.com", entry.body)
            self.assertNotIn(b"userPassword", entry.body)
            self.assertEqual(c.result(2).code, 0)
            c.send(ber.search(3, BASE), ber.search(4, "cn=none,o=Example", 0))
            self.assertEqual((c.result(3).code, c.result(4).code), (4, 32))
            c.send(ber.search(5, BASE, limit=5, what=ber.tlv(0xa3, ber.octets("userPassword"),
                                                             ber.octets("x"))))
            self.assertEqual(c.result(5).code, 0)
        with Raw(site.path("ldapi")) as c:  # no limit for the administrator
            c.send(ber.bind_external(1), ber.search(2, BASE))
            self.assertEqual(c.result(2).code, 0)

    def test_password_in_clear_text_from_afar(self):
        """Requirement S11. An address that is no loopback, in a network namespace of its own."""
        script = (f"ip link set lo up && ip addr add 10.9.9.9/32 dev lo && "
                  f"exec {sys.executable} {os.path.abspath(__file__)} --afar")
        p = subprocess.run(["unshare", "--net", "sh", "-c", script], text=True, check=False,
                           timeout=120, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if "unshare failed" in p.stdout or "not permitted" in p.stdout:
            self.skipTest("no network namespaces here")
        self.assertEqual(p.returncode, 0, p.stdout)


def afar():
    site = DirdSite("listen-ldap 10.9.9.9:3890")
    try:
        site.start()
        with Raw(("10.9.9.9", 3890)) as c:
            c.send(ber.bind(1, ADMIN, "x"))
            assert c.result(1).code == 13
            c.send(ber.bind(2))
            assert c.result(2).code == 0
        with Raw(("127.0.0.1", site.port)) as c:
            c.send(ber.bind(1, ADMIN, "x"))
            assert c.result(1).code == 49
    finally:
        site.close()


if __name__ == "__main__" and sys.argv[1:] == ["--afar"]:
    afar()
elif __name__ == "__main__":
    tap.main()
