#!/usr/bin/python3
# tests/run: build=gcc timeout=300
"""OpenSMTPD's table process (M16): both protocols by hand, and the smtpd of Debian for real."""
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import opensmtpd  # noqa: E402
import tap  # noqa: E402
import test_rendered as rendered  # noqa: E402
from test_routed import ROOT, ims_dn, put_site  # noqa: E402
from waypost import wait_for  # noqa: E402

SYSTEM = "dirsync@s1.example.com"
TABLE_PROCESS = os.path.join(os.environ.get("WAYPOST_BUILDDIR", "."), "routed", "table-waypost")
DOMAIN, MAILADDR, RELAYHOST = 0x2, 0x40, 0x200


class Lines:
    """What smtpd 7.6 and later says, smtpd-tables(7)."""

    def __init__(self, table, routed_socket, log):
        ours, theirs = socket.socketpair()
        self.table, self.number, self.stream = table, 0, ours.makefile("rwb")
        self.process = subprocess.Popen([TABLE_PROCESS, routed_socket], stdin=theirs, stdout=theirs,
                                        stderr=log)
        theirs.close()
        self.ours = ours
        self.stream.write(f"config|smtpd-version|7.8.0\nconfig|protocol|0.1\nconfig|tablename|{table}\n"
                          "config|ready\n".encode())
        self.stream.flush()
        while self.stream.readline() != b"register|ready\n":
            pass

    def ask(self, op, service, key):
        """(found, value); found is None after an error."""
        self.number += 1
        self.stream.write(f"table|0.1|1.5|{self.table}|{op}|{service}|{self.number:x}|{key}\n".encode())
        self.stream.flush()
        head, number, word, *value = self.stream.readline().decode().rstrip("\n").split("|", 3)
        if (head, number) != (f"{op}-result", f"{self.number:x}"):
            raise AssertionError(f"answer to another question: {head} {number}")
        return {"found": True, "not-found": False, "error": None}[word], (value or [None])[0]

    def lookup(self, key):
        return self.ask("lookup", "relayhost", key)

    def check(self, key):
        return self.ask("check", "domain", key)[0]

    def close(self):
        self.stream.close()
        self.ours.close()
        return self.process.wait(20)


class Imsg:
    """What smtpd up to 7.5 says."""
    OPEN, CLOSE, UPDATE, CHECK, LOOKUP = 2, 3, 4, 5, 6

    def __init__(self, table, routed_socket, log):
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(15)
        # smtpd passes the name as argv[0] and nothing for standard output
        self.process = subprocess.Popen([table, routed_socket], executable=TABLE_PROCESS, stdin=theirs,
                                        stdout=subprocess.DEVNULL, stderr=log)
        theirs.close()
        if self.call(self.OPEN, struct.pack("=I2048s", 2, table.encode())) != b"":
            raise AssertionError("open")

    def call(self, kind, data):
        self.ours.sendall(struct.pack("=IHHII", kind, 16 + len(data), 0, 0, 0) + data)
        head = self.ours.recv(16, socket.MSG_WAITALL)
        kind, length = struct.unpack("=IH", head[:6])
        if kind != 0:
            raise AssertionError(f"not PROC_TABLE_OK: {kind}")
        return self.ours.recv(length - 16, socket.MSG_WAITALL) if length > 16 else b""

    def ask(self, kind, service, key):
        data = self.call(kind, struct.pack("@IN", service, 0)[:4] + struct.pack("@N", 0)
                         + key.encode() + b"\0")
        found = {1: True, 0: False, -1: None}[struct.unpack("=i", data[:4])[0]]
        return found, data[4:-1].decode() if len(data) > 4 else None

    def lookup(self, key):
        return self.ask(self.LOOKUP, RELAYHOST, key)

    def check(self, key):
        return self.ask(self.CHECK, DOMAIN, key)[0]

    def close(self):
        self.ours.close()
        return self.process.wait(20)


def url_of(address, route):
    """What the relayhost map says of a route of the transport map: (found, URL)."""
    own = address.lower().rsplit("@", 1)[1]
    if route is None or route == "smtp:" or route == f"smtp:{own}":
        return False, None
    if route.startswith("retry:"):
        return None, None
    hop = route.removeprefix("smtp:")
    if hop.startswith("["):
        host, _, port = hop[1:].partition("]")
        hop = host + port
    # of what this net states, S2 wants encryption
    return True, ("smtp+tls://" if hop.split(":")[0].endswith("s2.example.com") else "smtp://") + hop


class Process(rendered.Net):
    def table(self, kind, name, d):
        with open(os.path.join(self.folder, "tables.log"), "ab") as log:
            t = kind(name, d.socketmap, log)
        self.addCleanup(t.close)
        return t

    def test_same_routes(self):
        """M16: 10,000 addresses; with spaces, and without them, where there is no way to a site."""
        for spaces in (rendered.SPACES, []):
            d = self.start(*spaces)
            addresses = self.random_addresses()
            live = self.by_socket(d, addresses)
            for kind in (Lines, Imsg):
                t = self.table(kind, "relayhost", d)
                seen = set()
                for a in addresses:
                    want = url_of(a, live[a])
                    found, value = t.lookup(a)
                    self.assertEqual((found, value if found else None), want, (kind, a, live[a]))
                    seen.add(want)
                self.assertGreater(len(seen), 3)
            d.stop()

    def test_classes(self):
        d = self.start(*rendered.SPACES)
        for kind in (Lines, Imsg):
            hosts, system, senders = (self.table(kind, n, d) for n in
                                      ("relayhost", "systemrelayhost", "systemsender"))
            self.assertIs(hosts.check("s2.example.com"), False)
            self.assertEqual(system.lookup("s2.example.com"), (True, "smtp://hub.example.com"))
            self.assertIs(system.check("s2.example.com"), True)
            self.assertIs(system.check("bob@s2.example.com"), False)
            self.assertIs(system.check("dirsync@s2.example.com"), True)
            self.assertIs(senders.check(SYSTEM), True)
            self.assertIs(senders.check("bob@s1.example.com"), False)

    def test_routed_comes_and_goes(self):
        """smtpd would end with it, so the process lives on and says that it does not know."""
        d = self.start()
        tables = [self.table(kind, "relayhost", d) for kind in (Lines, Imsg)]
        for t in tables:
            self.assertEqual(t.lookup("x.s2.example.com"), (True, "smtp+tls://s2.example.com"))
        d.stop()
        for t in tables:
            self.assertIsNone(t.lookup("x.s2.example.com")[0])
        d.start()
        for t in tables:
            self.assertEqual(t.lookup("x.s2.example.com"), (True, "smtp+tls://s2.example.com"))
            self.assertEqual(t.close(), 0)
        with open(os.path.join(self.folder, "tables.log"), encoding="utf-8") as f:
            self.assertIn('table.failed table=relayhost why="no', f.read())

    def test_forms_of_not_found(self):
        """M13: with the blank behind it and without."""
        with socket.socket(socket.AF_UNIX) as listener:
            path = os.path.join(self.folder, "short")
            listener.bind(path)
            listener.listen()
            with open(os.path.join(self.folder, "tables.log"), "ab") as log:
                t = Lines("relayhost", path, log)
            peer = None
            for answer in (b"8:NOTFOUND,", b"9:NOTFOUND ,", b"3:OK ,"):
                t.stream.write(b"table|0.1|1|relayhost|check|domain|1|x\n")
                t.stream.flush()
                peer = peer or listener.accept()[0]
                self.assertEqual(peer.recv(4096), b"11:relayhost x,")
                peer.sendall(answer)
                self.assertEqual(t.stream.readline(), b"check-result|1|" + (
                    b"found\n" if b"OK" in answer else b"not-found\n"))
            peer.close()
            self.assertEqual(t.close(), 0)

    def test_unknown_table(self):
        d = self.start()
        self.assertIn("unknown map name ours", self.table(Lines, "ours", d).lookup("x")[1])

    def test_nonsense_ends_it(self):
        for text in (bytes(16), b"config|ready\nfilter|0.1|1\n"):
            p = subprocess.run([TABLE_PROCESS, "/nowhere"], input=text, check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            self.assertEqual(p.returncode, 1)
            self.assertIn(b"table.ended", p.stderr)
        for argv in ([], ["-h"], ["a", "b"], ["x" * 200]):
            p = subprocess.run([TABLE_PROCESS, *argv], check=False, stderr=subprocess.PIPE,
                               stdin=subprocess.DEVNULL)
            self.assertEqual(p.returncode, 2, argv)
            self.assertIn(b"Usage", p.stderr)


class ForReal(rendered.Base):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)
        self.hub, self.mx = opensmtpd.Sink(), opensmtpd.Sink()
        self.addCleanup(self.hub.close)
        self.addCleanup(self.mx.close)
        rendered.net_n1(self.provider)
        put_site(self.provider, "S1", systemAddress=SYSTEM)
        put_site(self.provider, "Lost")
        self.flag("FALSE")
        self.daemon = self.routed()
        self.daemon.becomes(f"OK smtp:[127.0.0.1]:{self.hub.port}")
        self.smtpd = opensmtpd.OpenSmtpd(os.path.join(self.folder, "smtpd"), unpacked, TABLE_PROCESS,
                                         self.daemon.socketmap, self.mx.port)
        self.addCleanup(self.smtpd.stop)

    def flag(self, value):
        """The hub is a host on this machine; S2's own MX is what `relay` finds."""
        self.provider.put(ims_dn("S1"), objectClass=["mailConnector", "imsConnector"], cn="IMS-S1",
                          connectedDomains="H;1;SMTP:hub.example.com",
                          onlySystemMessagesUseCDs=value,
                          domainRoute=f"hub.example.com;[127.0.0.1]:{self.hub.port}")

    def arrives(self, sink, sender, recipient):
        self.assertEqual(self.smtpd.send(sender, recipient), 250, self.smtpd.log()[-4000:])
        try:
            wait_for(f"{sender} -> {recipient}", lambda: (sender, recipient) in sink.messages, 60)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.smtpd.log()[-6000:]}") from e
        sink.messages.remove((sender, recipient))

    def test_mail(self):
        ada, bob = "ada@s1.example.com", "bob@s2.example.com"
        self.arrives(self.hub, ada, bob)
        self.arrives(self.mx, ada, "x@elsewhere.org")
        self.flag("TRUE")
        self.daemon.becomes("OK smtp:s2.example.com")
        self.arrives(self.mx, ada, bob)
        self.arrives(self.hub, SYSTEM, bob)
        self.assertEqual((self.hub.messages, self.mx.messages), ([], []))
        # no route, no routed: the client keeps the mail
        self.assertIn(self.smtpd.send(ada, "x@lost.example.com"), range(400, 500))
        self.daemon.stop()
        self.assertIn(self.smtpd.send(ada, bob), range(400, 500))
        self.daemon.start()
        self.arrives(self.mx, ada, bob)
        self.assertIsNone(self.smtpd.process.poll())


unpacked = tempfile.mkdtemp(prefix="waypost-opensmtpd-")
try:
    opensmtpd.unpack(unpacked)
    tap.main()
finally:
    shutil.rmtree(unpacked)
