#!/usr/bin/python3
# tests/run: timeout=180
"""10,000 connections that never come to a bind (S8): nothing sent, half a request, handshakes that stop anywhere.
Others are served meanwhile, the handshake's time limit ends what it is for, and what is held for all of them is bounded."""
import os
import resource
import select
import socket
import ssl
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "fault")]
import tap  # noqa: E402
from waypost import wait_for  # noqa: E402
import ber  # noqa: E402
from ber import Raw  # noqa: E402
from dird_site import DirdSite  # noqa: E402
from proc import resident  # noqa: E402

COUNT, ADDRESSES = 10000, 5  # of one address 10,000 are allowed, those who work among them
STARTTLS, WHOAMI = "1.3.6.1.4.1.1466.20037", "1.3.6.1.4.1.4203.1.11.3"
KIB_EACH = 64


def client_hello(context):
    """What a client says first."""
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="hub.example.com").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


class HalfOpen(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard < COUNT + 1000:
            raise unittest.SkipTest(f"only {hard} descriptors are allowed, {COUNT} connections need more")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        cls.addClassCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        cls.site = DirdSite("idle-timeout 25s", "request-timeout 25s", "anonymous-read yes")
        cls.addClassCleanup(cls.site.close)
        cls.site.start()
        with cls.site.admin() as c:
            c.send(ber.add(2, "o=Example", {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}))
            assert c.result(2).code == 0
        cls.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        cls.tls.check_hostname, cls.tls.verify_mode = False, ssl.CERT_NONE

    def connect(self, i, port):
        s = socket.create_connection(("127.0.0.1", port), timeout=30,
                                     source_address=(f"127.0.0.{2 + i % ADDRESSES}", 0))
        self.addCleanup(s.close)
        return s

    def open(self, i, hello):
        """(kind, socket): one that stops at some place."""
        kind, is_tls, says = (
            ("silent", False, b""), ("half a request", False, ber.extended(1, WHOAMI)[:5]),
            ("silent TLS", True, b""), ("half a hello", True, hello[:len(hello) // 2]),
            ("after the hello", True, hello), ("StartTLS", False, ber.extended(1, STARTTLS)),
            ("StartTLS, half a hello", False, ber.extended(1, STARTTLS)))[i % 7]
        s = self.connect(i, self.site.tls_port if is_tls else self.site.port)
        s.sendall(says)
        return kind, s

    def works(self, c):
        begin = time.monotonic()
        c.send(ber.search(5, "o=Example", 0, ber.PRESENT, ["o"]))
        self.assertEqual(c.result(5).code, 0)
        return time.monotonic() - begin

    def others_are_served(self, old):
        """An old connection, new ones, and new ones with a whole handshake."""
        took = [self.works(old) for _ in range(300)]
        for i in range(20):
            with Raw(("127.0.0.1", self.site.port)) as c:
                took.append(self.works(c))
            s = self.tls.wrap_socket(socket.create_connection(("127.0.0.1", self.site.tls_port), timeout=30))
            s.sendall(ber.extended(1, WHOAMI))
            self.assertEqual(s.recv(1), b"0")
            s.close()
        took.sort()
        print(f"# search beside {COUNT} half-open connections: median {took[len(took) // 2] * 1000:.2f} ms, "
              f"p99 {took[len(took) * 99 // 100] * 1000:.2f} ms")

    @staticmethod
    def ended(sockets):
        """Those that the server has closed; what it said before is dropped."""
        poll = select.poll()
        by_number = {s.fileno(): s for s in sockets if s.fileno() >= 0}
        for n in by_number:
            poll.register(n, select.POLLIN)
        for n, _ in poll.poll(200):
            s = by_number[n]
            s.settimeout(5)
            try:
                if s.recv(65536) == b"":
                    s.close()
            except OSError:
                s.close()
        return sum(s.fileno() < 0 for s in sockets)

    def test_10000(self):
        old = Raw(("127.0.0.1", self.site.port), 60)
        self.addCleanup(old.__exit__)
        self.works(old)
        before = resident(self.site.process.pid)
        kinds, hello = {}, client_hello(self.tls)
        for i in range(COUNT):
            kind, s = self.open(i, hello)
            kinds.setdefault(kind, []).append(s)
        for s in kinds["StartTLS, half a hello"]:
            self.assertNotEqual(s.recv(64), b"")
            s.sendall(hello[:len(hello) // 2])
        self.others_are_served(old)
        self.assertEqual(self.ended(kinds["silent"]), 0)
        grown = (resident(self.site.process.pid) - before) / COUNT
        print(f"# {grown / 1024:.1f} KiB each")
        self.assertLess(grown, KIB_EACH * 1024)
        handshakes = [s for kind, some in kinds.items() if "TLS" in kind or "hello" in kind for s in some]
        wait_for("the handshakes' end", lambda: self.ended(handshakes) == len(handshakes), timeout=90)
        self.others_are_served(old)
        rest = kinds["silent"] + kinds["half a request"]
        wait_for("the silent ones' end", lambda: self.ended(rest) == len(rest), timeout=90)
        log = self.site.log()
        self.assertIn("TLS handshake timed out", log)
        self.works(Raw(("127.0.0.1", self.site.port), 60))


if __name__ == "__main__":
    tap.main()
