#!/usr/bin/python3
# tests/run: timeout=240
"""dird at its limits: a map that must grow (F7), no file descriptors (F8), a thousand sessions at a stop,
a storm of SIGHUP (F21)."""
import shutil
import signal
import socket
import ssl
import tempfile
import threading
import time
import unittest

import writes
from proc import descriptors, load_while, resident
from shim import Shim
from writes import Model, Writer, connect, own_position, settle
import ber
import ldap
import tap
from dird_site import DirdSite
from waypost import run, wait_for

BASE = "ou=people,o=Example"
KIB, MIB = 1 << 10, 1 << 20
STOP_MOST_S = 2
SPIN_WATCH_S = 3


class Limits(unittest.TestCase):
    def setUp(self):
        writes.use_memory()
        self.site = DirdSite()
        self.addCleanup(self.site.close)
        self.addCleanup(self.show_log)

    def show_log(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            print(self.site.log()[-3000:])

    def start(self, prefix=(), **environment):
        self.site.spawn(prefix, **environment)
        wait_for("dird ready", self.site._is_ready)
        c = connect(self.site.ldapi)
        c.add_s("o=Example", [("objectClass", [b"organization", b"mailOrganization"]),
                              ("o", b"Example")])
        c.add_s(BASE, [("objectClass", b"organizationalUnit"), ("ou", b"people")])
        return c

    @property
    def pid(self):
        return self.site.process.pid

    def dirctl(self, *words):
        return run("dirctl", words[0], "--config", self.site.path("dird.conf"), *words[1:])

    def write(self, models):
        writers = [Writer(self.site.ldapi, m) for m in models]
        for w in writers:
            w.start()
        return writers

    def end(self, writers):
        for w in writers:
            w.stop()
        for w in writers:
            w.check()

    # --- the map --------------------------------------------------------------------------------------

    def database(self, c, attribute):
        [(_, found)] = c.search_ext_s("cn=Database,cn=monitor", ldap.SCOPE_BASE, "(objectClass=*)",
                                      [attribute])
        return int(found[attribute][0])

    def test_map_grows(self):
        """Ten times, under writers and readers of which some do not take their answers."""
        folder = tempfile.mkdtemp(prefix="waypost-shim-")
        self.addCleanup(shutil.rmtree, folder)
        shim = Shim(folder).environment(first_map=128 * KIB)
        c = self.start(**shim)
        self.assertLess(self.database(c, "mapBytes"), MIB)
        models = [Model(f"w{i}", BASE, i, padding=100 * KIB, live=10000) for i in range(2)]
        writers = self.write(models)
        stopping, errors, reads = threading.Event(), [], []
        lazy = [ber.Raw(self.site.path("ldapi")) for _ in range(5)]
        for raw in lazy:
            self.addCleanup(raw.s.close)
            raw.send(ber.bind_external(1))
            self.assertEqual(raw.result(1).code, 0)

        def read():
            try:
                mine = connect(self.site.ldapi)
                while not stopping.is_set():
                    mine.search_ext_s(BASE, ldap.SCOPE_SUBTREE, "(description=*)", ["cn"])
                    reads.append(1)
            except Exception as e:
                errors.append(e)
        readers = [threading.Thread(target=read, daemon=True) for _ in range(2)]
        for r in readers:
            r.start()
        wait_for("something to read", lambda: sum(w.acknowledged for w in writers) > 20, 60)
        for raw in lazy:
            raw.send(ber.search(2, BASE))
        wait_for("ten growths", lambda: errors or any(w.error for w in writers)
                 or self.database(c, "mapBytes") >= 128 * MIB, 120)
        self.end(writers)
        stopping.set()
        for r in readers:
            r.join(60)
            self.assertFalse(r.is_alive())
        self.assertEqual(errors, [])
        self.assertGreater(len(reads), 10)
        for raw in lazy:
            self.assertEqual(raw.result(2).code, 0)
        self.site.signal(signal.SIGKILL)
        self.site.process.wait()
        self.dirctl("check")
        self.site.start(**shim)
        least, most = settle(connect(self.site.ldapi), BASE, models)
        self.assertEqual(self.site.stop(), 0)
        usn, _ = own_position(self.dirctl("stat", "--json"))
        self.assertTrue(least <= usn - 2 <= most)

    # --- file descriptors -----------------------------------------------------------------------------

    def test_no_descriptors(self):
        c = self.start(("prlimit", "--nofile=64:64"))
        clients = []
        self.addCleanup(lambda: [s.close() for s in clients])
        for i in range(100):
            if i % 2:
                s = socket.create_connection(("127.0.0.1", self.site.port), timeout=20)
            else:
                s = socket.socket(socket.AF_UNIX)
                s.settimeout(20)
                s.connect(self.site.path("ldapi"))
            clients.append(s)
        wait_for("dird says so", lambda: "listen.full" in self.site.log())
        served, used = load_while(self.pid, SPIN_WATCH_S, lambda: c.search_s(BASE, ldap.SCOPE_BASE))
        print(f"# {served} searches of the old session, {used:.1%} of a processor")
        self.assertLess(used, 0.25, "the listeners spin")
        self.assertLess(self.site.log().count("listen.full"), 200)
        c.modify_s(BASE, [(ldap.MOD_REPLACE, "description", b"still")])
        for s in clients:
            s.close()
        clients.clear()

        def connects():
            try:
                return connect(self.site.ldapi).search_s(BASE, ldap.SCOPE_BASE)
            except ldap.SERVER_DOWN:
                return None
        wait_for("new clients are served again", connects)
        self.assertEqual(self.site.stop(), 0)

    # --- stopping -------------------------------------------------------------------------------------

    def test_stop_with_a_thousand_sessions(self):
        self.start()
        sockets = []
        self.addCleanup(lambda: [s.close() for s in sockets])
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        big = ber.message(3, ber.tlv(0x68, ber.octets("cn=big," + BASE), ber.tlv(
            0x30, *(ber.tlv(0x30, ber.octets(a), ber.tlv(0x31, ber.octets(v))) for a, v in (
                ("objectClass", "inetOrgPerson"), ("sn", "x"), ("description", "x" * 900000))))))
        for i in range(1000):
            if i % 4 == 0:    # bound, and reads nothing of a large answer
                raw = ber.Raw(self.site.path("ldapi"))
                raw.send(ber.bind_external(1))
                self.assertEqual(raw.result(1).code, 0)
                if i == 0:
                    raw.send(big)
                    self.assertEqual(raw.result(3).code, 0)
                if i % 8 == 0:
                    raw.send(ber.search(2, BASE))
                sockets.append(raw.s)
            elif i % 4 == 1:  # has said nothing
                sockets.append(socket.create_connection(("127.0.0.1", self.site.port)))
            elif i % 8 == 2:  # in the middle of a handshake
                s = socket.create_connection(("127.0.0.1", self.site.tls_port))
                s.sendall(b"\x16\x03\x01\x02\x00\x01")
                sockets.append(s)
            elif i % 8 == 6:
                s = socket.create_connection(("127.0.0.1", self.site.tls_port))
                sockets.append(context.wrap_socket(s))
            else:             # half a request
                s = socket.create_connection(("127.0.0.1", self.site.port))
                s.sendall(b"\x30\x7f\x02\x01")
                sockets.append(s)
        wait_for("all are accepted", lambda: descriptors(self.pid) > 1000)
        begin = time.monotonic()
        self.assertEqual(self.site.stop(), 0)
        took = time.monotonic() - begin
        print(f"# stopped in {took:.2f} s")
        self.assertLess(took, 2 * STOP_MOST_S)
        self.dirctl("check")

    # --- signals --------------------------------------------------------------------------------------

    def test_storm_of_sighup(self):
        """Sessions and writes go on, nothing leaks, a broken configuration changes nothing."""
        c = self.start()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        old = context.wrap_socket(socket.create_connection(("127.0.0.1", self.site.tls_port)))
        self.addCleanup(old.close)
        model = Model("w", BASE, 7)
        writers = self.write([model])

        def storm(n):
            for _ in range(n):
                for _ in range(20):
                    self.site.signal(signal.SIGHUP)
                c.search_s(BASE, ldap.SCOPE_BASE)
                self.assertIsNone(self.site.process.poll())
        storm(50)
        begin = descriptors(self.pid), resident(self.pid)
        storm(2000)
        self.assertLessEqual(descriptors(self.pid), begin[0] + 2)
        self.assertLess(resident(self.pid), begin[1] + 16 * MIB)
        with open(self.site.path("dird.conf"), "a", encoding="ascii") as f:
            f.write("nonsense here\n")
        storm(50)
        wait_for("dird says that it failed", lambda: "reload.failed" in self.site.log())
        self.end(writers)
        self.assertGreater(sum(w.acknowledged for w in writers), 0)
        settle(c, BASE, [model])
        old.sendall(ber.search(1, "", scope=0))
        self.assertNotEqual(old.recv(100), b"")
        self.assertEqual(self.site.stop(), 0)


if __name__ == "__main__":
    tap.main()
