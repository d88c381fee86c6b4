#!/usr/bin/python3
# tests/run: timeout=240 soak=7200
"""Each call by which dird writes its database goes wrong once, in a script of 200 operations: the process
ends before it or in the middle of it (F2), it fails (F4), it writes less than asked (F6)."""
import glob
import os
import shutil
import subprocess
import tempfile
import unittest

import writes
from shim import EXIT_FAULT, Shim
from writes import LOST, SOAK, Model, Writer, connect, own_position, settle
import ldap
import tap
from dird_site import DirdSite
from waypost import run, wait_for

OPERATIONS = 200
SEED = "fixed"
BASE = "ou=people,o=Example"
COUNTED = {"eio-sync": "syncs"}
EXIT_IO = 74  # EX_IOERR: dird(8)
HEAD = [("o=Example", [("objectClass", [b"organization", b"mailOrganization"]), ("o", b"Example")]),
        (BASE, [("objectClass", b"organizationalUnit"), ("ou", b"people")])]


class DiskCalls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        writes.use_memory()
        folder = tempfile.mkdtemp(prefix="waypost-shim-")
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.shim = Shim(folder)
        cls.site = DirdSite()
        cls.addClassCleanup(cls.site.close)
        cls.total, cls.first = cls.measure()

    @classmethod
    def measure(cls):
        """The calls of the whole script, and those until dird is ready for the first time."""
        cls.site.start(**cls.shim.environment("count:0"))
        first = cls.shim.report()
        writer, head = cls.script()
        writer.check()
        total = cls.shim.report()
        if (writer.acknowledged, head) != (OPERATIONS, len(HEAD)) or cls.site.stop() != 0:
            raise AssertionError(f"the script does not run without a fault\n{cls.site.log()}")
        print(f"# {OPERATIONS} operations: {total}; to be ready: {first}")
        return total, first

    @classmethod
    def script(cls):
        """The same 200 operations each time; (the writer, entries of HEAD that were answered)."""
        writer = Writer(cls.site.ldapi, Model("script", BASE, SEED, padding=3000), OPERATIONS,
                        pipeline=1)
        done = 0
        try:
            c = connect(cls.site.ldapi)
            for dn, attributes in HEAD:
                c.add_s(dn, attributes)
                done += 1
            c.unbind_s()
            writer.run()
        except LOST:
            pass
        return writer, done

    def broken_run(self, fault, prefix=(), shim=True):
        """From an empty database: (writer, answered entries of HEAD, exit status)."""
        for path in glob.glob(self.site.path("db/*")):
            os.unlink(path)
        environment = self.shim.environment(fault) if shim else {}
        self.site.spawn(prefix=prefix, **environment)
        starts = self.site.starts

        def is_settled():
            return (self.site.process.poll() is not None
                    or self.site.log().count("ready site=Hub") == starts)
        wait_for("dird ready or ended", is_settled, step=0.005)
        writer, head = self.script()
        self.assertIsNone(writer.error)
        if shim and self.shim.report()[COUNTED.get(fault.split(":")[0], "calls")] < int(
                fault.split(":")[1]):
            self.skipTest("this time the script made fewer calls")  # random UUIDs split other pages
        return writer, head, self.site.process.wait(30)

    def verify(self, writer, head):
        """Every answered operation is there, nothing by halves, no USN missing; it takes writes."""
        if glob.glob(self.site.path("db/data.mdb")):
            self.dirctl("check", check=head > 0)
        self.site.start()
        c = connect(self.site.ldapi)
        for i, (dn, attributes) in enumerate(HEAD):
            try:
                c.add_s(dn, attributes)
                self.assertGreaterEqual(i, head, f"{dn} was answered and is gone")
            except ldap.ALREADY_EXISTS:
                pass
        least, most = settle(c, "o=Example", [writer.model])
        c.add_s(f"cn=after,{BASE}", [("objectClass", b"inetOrgPerson"), ("sn", b"x")])
        self.assertEqual(self.site.stop(), 0)
        self.dirctl("check")
        usn, _ = own_position(self.dirctl("stat", "--json"))
        self.assertTrue(least <= usn - len(HEAD) - 1 <= most, f"USN {usn} of {least} to {most}")

    def dirctl(self, *words, check=True):
        return run("dirctl", words[0], "--config", self.site.path("dird.conf"), *words[1:],
                   check=check)

    def spread(self, total, wanted):
        return range(1, total + 1) if SOAK else range(1, total * 9 // 10, max(1, total // wanted))

    def test_ends_before_a_call(self):
        self.each("exit", self.spread(self.total["calls"], 40))

    def test_ends_inside_a_write(self):
        self.each("torn", self.spread(self.total["calls"], 40))

    def each(self, kind, numbers):
        for n in numbers:
            with self.subTest(fault=f"{kind}:{n}"):
                writer, head, status = self.broken_run(f"{kind}:{n}")
                self.assertEqual(status, EXIT_FAULT)
                self.verify(writer, head)
        print(f"# {kind}: {len(numbers)} calls")

    def test_call_fails(self):
        """No answer after it, no other try, the named status."""
        for kind, counted in (("eio", "calls"), ("eio-sync", "syncs")):
            for n in self.spread(self.total[counted], 15):
                with self.subTest(fault=f"{kind}:{n}"):
                    begin = len(self.site.log())
                    writer, head, status = self.broken_run(f"{kind}:{n}")
                    if n > self.first[counted]:
                        self.assertEqual(status, EXIT_IO)
                        self.assertIn("write.failed", self.site.log()[begin:])
                    else:
                        self.assertGreater(status, 0)
                    self.assertEqual(self.shim.report()["after"], 0, "another try after the failure")
                    self.verify(writer, head)

    def test_call_fails_by_strace(self):
        """The same without our shim."""
        probe = subprocess.run(["strace", "-f", "-o", os.devnull, "true"], check=False,
                               stderr=subprocess.PIPE) if shutil.which("strace") else None
        if probe is None or probe.returncode != 0:
            self.skipTest("strace is not installed or may not trace")
        writer, head, status = self.broken_run(None, shim=False, prefix=(
            "strace", "-f", "-qq", "-o", self.site.path("strace"),
            "-e", "inject=fdatasync:error=EIO:when=50"))
        self.assertEqual(status, EXIT_IO)
        self.verify(writer, head)

    def test_write_is_short(self):
        """As on a disk that is full: that operation is refused, the next ones are taken. Only where the
        database's own head was hit nothing can be trusted any more."""
        lived = 0
        for n in self.spread(self.total["calls"], 25):
            if n <= self.first["calls"]:
                continue
            with self.subTest(fault=f"short:{n}"):
                for path in glob.glob(self.site.path("db/*")):
                    os.unlink(path)
                self.site.start(**self.shim.environment(f"short:{n}"))
                c = connect(self.site.ldapi)
                for dn, attributes in HEAD:
                    try:
                        c.add_s(dn, attributes)
                    except ldap.UNAVAILABLE:
                        c.add_s(dn, attributes)
                writer = Writer(self.site.ldapi, Model("script", BASE, SEED, padding=3000), OPERATIONS,
                                refusals=(ldap.UNAVAILABLE,))
                writer.run()
                writer.check()
                self.assertLessEqual(writer.refused, 1)
                if writer.sent == OPERATIONS:
                    lived += writer.refused
                    self.assertEqual(self.site.stop(), 0)
                else:
                    self.assertEqual(self.site.process.wait(30), EXIT_IO)
                self.verify(writer, len(HEAD))
        self.assertGreater(lived, 0)


if __name__ == "__main__":
    tap.main()
