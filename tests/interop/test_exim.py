#!/usr/bin/python3
# tests/run: build=gcc timeout=300
"""Exim asks routed (readsocket): routes, rewriting, deferral, and the end of each line."""
import contextlib
import os
import shutil
import socket
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import exim  # noqa: E402
import fake_provider as fake  # noqa: E402
import tap  # noqa: E402
from test_routed import ROOT, Routed, net_n1, put_site  # noqa: E402
from waypost import wait_for  # noqa: E402

RELAY_PORT = 2525  # nobody is asked there
SYSTEM = "dirsync@s1.example.com"

@contextlib.contextmanager
def closing_at_once(path):
    """A socket there whose server says nothing."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        listener.settimeout(60)

        def serve():
            client, _ = listener.accept()
            with client:
                client.recv(1000)
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


class Exim(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="waypost-exim-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.provider = fake.Provider()
        self.addCleanup(self.provider.close)
        net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        put_site(self.provider, "S1", systemAddress=SYSTEM, siteSharedDomain="example.com")
        put_site(self.provider, "S2", siteSharedDomain="example.com")
        self.provider.put(f"cn=R,cn=Connections,cn=Configuration,ou=S1,{ROOT}",
                          objectClass=["mailConnector", "imsConnector"], cn="R",
                          smartHost=f"[127.0.0.1]:{RELAY_PORT}",
                          routingList="SMTP:*@relayed.example;1")
        self.routed = Routed(os.path.join(self.folder, "routed"), self.provider.uri, publish="no",
                             exim="unix:routed/exim")
        self.addCleanup(self.routed.stop)
        self.routed.start()
        self.routed.becomes("OK smtp:s2.example.com")
        self.mta = exim.Exim(self.folder, unpacked, "s1.example.com", self.routed.path("routed", "exim"))

    def asks(self, recipient, sender):
        """What readsocket reads."""
        path = self.routed.path("routed", "exim")
        text = f"${{readsocket{{{path}}}{{route {recipient} <{sender}>\\n}}{{5s}}{{|}}}}"
        status, out = self.mta.run("-be", text)
        self.assertEqual(status, 0, out)
        return out.strip()

    def test_answers(self):
        for recipient, sender, answer in [
                ("bob@s2.example.com", "ada@s1.example.com", "route s2.example.com/mx|"),
                ("Bob+x@S2.example.com", SYSTEM, "route hub.example.com/mx|"),
                ("bob@s2.example.com", "", "route s2.example.com/mx|"),
                ("ada@s1.example.com", "", "local|"),
                ("x@elsewhere.org", "", "none|"),
                ("x@relayed.example", "", f"route 127.0.0.1::{RELAY_PORT}|")]:
            with self.subTest(recipient=recipient, sender=sender):
                self.assertEqual(self.asks(recipient, sender), answer)

    def test_routers(self):
        status, out = self.mta.run("-f", "ada@s1.example.com", "-bt", "x@relayed.example")
        self.assertEqual(status, 0, out)
        self.assertRegex(out, rf"router = waypost, transport = remote_smtp\s+"
                              rf"host 127.0.0.1 \[127.0.0.1\]\s+port={RELAY_PORT}")
        for local in ("ada@s1.example.com", "x@elsewhere.org"):
            status, out = self.mta.run("-bt", local)
            self.assertEqual(status, 0, out)
            self.assertIn("router = rest, transport = file", out)

    def test_shared_domain(self):
        """Exim rewrites it and routes the new address."""
        self.provider.recipients.append(fake.Entry(
            f"cn=Bob,cn=Recipients,ou=S2,{ROOT}", objectClass=["inetOrgPerson"],
            proxyAddresses=["SMTP:bob@example.com", "smtp:bob@s2.example.com"]))
        wait_for("rewritten", lambda: self.asks("Bob+x@example.com", "")
                 == "rewrite bob+x@s2.example.com|")
        wait_for("local", lambda: self.asks("nobody@example.com", "") == "local|")

    def test_defer(self):
        put_site(self.provider, "S9")
        wait_for("S9 known", lambda: self.asks("x@s9.example.com", "")
                 == "defer no mail route to site S9|")
        status, out = self.mta.run("-bt", "x@s9.example.com")
        self.assertEqual(status, 1, out)
        self.assertIn("no mail route to site S9", out)
        self.routed.stop()
        status, out = self.mta.run("-bt", "bob@s2.example.com")
        self.assertEqual(status, 1, out)
        self.assertIn("no answer from routed", out)
        with closing_at_once(self.routed.path("routed", "exim")):
            status, out = self.mta.run("-bt", "bob@s2.example.com")
        self.assertEqual(status, 1, out)
        self.assertIn("empty answer from routed", out)

    def test_protocol(self):
        """A line in pieces, a line that the end of the stream ends, and what is no request."""
        def ask(*pieces, end=False):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(15)
                s.connect(self.routed.path("routed", "exim"))
                for piece in pieces:
                    s.sendall(piece)
                if end:
                    s.shutdown(socket.SHUT_WR)
                data = b""
                while piece := s.recv(4096):
                    data += piece
                return data
        self.assertEqual(ask(*(bytes([b]) for b in b"route bob@s2.example.com\n")),
                         b"route s2.example.com/mx\n")
        self.assertEqual(ask(b"route bob@s2.example.com", end=True), b"route s2.example.com/mx\n")
        self.assertEqual(ask(b"route ada@s1.example.com\nroute bob@s2.example.com\n"), b"local\n")
        self.assertRegex(ask(b"hello\n"), b"^defer the request is not")
        self.assertEqual(ask(end=True), b"")
        self.assertEqual(ask(b"route " + b"x" * 15994), b"")


unpacked = tempfile.mkdtemp(prefix="waypost-exim-")
try:
    exim.unpack(unpacked)
    tap.main()
finally:
    shutil.rmtree(unpacked)
