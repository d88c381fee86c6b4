#!/usr/bin/python3
# tests/run: timeout=200
"""A full disk (F6): writes are refused with 52 (unavailable), reads and replication to others go on, all is
well again when there is space. Two sites in file systems of their own, of a few MiB."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import writes
from writes import Model, Writer, connect, find, settle
import ldap
import tap
import test_routed_dird
from test_routed import domain, ims_dn
from waypost import Site, run, wait_for

MIB = 1 << 20
BALLAST = 3 * MIB
READERS = 150
IN_NAMESPACE = "WAYPOST_OWN_MOUNTS"


def need_mounts():
    """Go on in a mount namespace of our own: what is mounted here ends with us."""
    if os.environ.get(IN_NAMESPACE):
        return
    for argv in (["unshare", "-m", "--"], ["unshare", "-Urm", "--"]):
        probe = subprocess.run([*argv, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if probe.returncode == 0:
            os.environ[IN_NAMESPACE] = "1"
            os.execvp("unshare", [*argv, sys.executable, *sys.argv])
    tap.skip_all("cannot mount a file system here: " + probe.stdout.decode().strip())


def tmpfs(path, folder):
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m,mode=700", "tmpfs", path], check=True)


def ext4(path, folder):
    image = os.path.join(folder, "image")
    with open(image, "wb") as f:
        f.truncate(16 * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, path], check=True)


class DiskFull(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="waypost-full-")
        self.addCleanup(shutil.rmtree, self.folder)

    def mount(self, name, kind):
        path = os.path.join(self.folder, name)
        os.mkdir(path)
        try:
            kind(path, self.folder)
        except (OSError, subprocess.CalledProcessError) as e:
            self.skipTest(f"cannot mount {kind.__name__}: {e}")
        self.addCleanup(subprocess.run, ["umount", "-l", path], check=True)
        return path

    def make_site(self, name, token=None):
        site = Site(os.path.join(self.folder, name), name, name.lower() + ".example.com")
        self.addCleanup(site.close)
        if token is None:
            site.init()
        else:
            site.join(token)
        return site

    def small(self, site, kind):
        """Its database moves to a small file system, with a ballast that can be thrown off."""
        path = self.mount(site.name + "-disk", kind)
        for name in os.listdir(site.path("db")):
            shutil.move(site.path("db", name), path)
        os.rmdir(site.path("db"))
        os.symlink(path, site.path("db"))
        self.ballast = os.path.join(path, "ballast")
        with open(self.ballast, "wb") as f:
            f.write(bytes(BALLAST))
            os.fsync(f.fileno())

    def alive(self, site):
        status = site.processes["dird"].poll()
        self.assertIsNone(status, f"dird ended with status {status}\n{site.log('dird')[-3000:]}")

    def fill(self, site, model):
        """Write until the disk refuses often."""
        w = Writer(site.ldapi, model, refusals=(ldap.UNAVAILABLE,))
        w.start()
        wait_for("refused writes", lambda: w.refused >= 30 or not w.is_alive(), 60)
        w.stop()
        w.check()
        self.alive(site)
        self.assertGreaterEqual(w.refused, 30)
        self.assertIn("full", str(w.refusal))
        return w

    def read_at_once(self, site, base, quiet=True):
        """Many clients that read at one moment, each its own snapshot; quiet: nothing is written."""
        connections = [connect(site.ldapi) for _ in range(READERS)]
        numbers = [c.search_ext(base, ldap.SCOPE_SUBTREE, "(description=*)") for c in connections]
        sizes = {len([1 for dn, _ in c.result(n)[1] if dn]) for c, n in zip(connections, numbers)}
        if quiet:
            self.assertEqual(len(sizes), 1)
        self.assertGreater(min(sizes), 0)
        self.alive(site)

    def check(self, site):
        site.stop("dird")
        run("dirctl", "check", "--config", site.path("dird.conf"))

    def writer_side(self, kind):
        hub = self.make_site("Hub")
        self.small(hub, kind)
        hub.start("dird")
        base = "cn=Recipients,ou=Hub,o=Example"
        model = Model("w", base, 1, padding=20000, live=10000)
        self.fill(hub, model)
        c = connect(hub.ldapi)
        settle(c, base, [model])
        self.read_at_once(hub, base)
        out = run("ldapsearch", "-LLL", "-H", hub.ldapi, "-Y", "EXTERNAL", "-Q", "-b", base,
                  "-E", "!sync=ro", "(employeeNumber=*)", "cn")
        self.assertEqual(out.count("\ndn:") + out.startswith("dn:"), len(model.entries))
        self.fill(hub, model)
        os.unlink(self.ballast)
        again = Writer(hub.ldapi, model, limit=30)
        again.start()
        again.check()
        self.assertEqual(again.acknowledged, 30)
        settle(c, base, [model])
        self.alive(hub)
        self.check(hub)

    def test_writer_on_tmpfs(self):
        self.writer_side(tmpfs)

    def test_writer_on_ext4(self):
        self.writer_side(ext4)

    def test_killed_while_full(self):
        hub = self.make_site("Hub")
        self.small(hub, tmpfs)
        hub.start("dird")
        base = "cn=Recipients,ou=Hub,o=Example"
        model = Model("w", base, 2, padding=20000, live=10000)
        self.fill(hub, model)
        hub.stop("dird", signal.SIGKILL)
        hub.start("dird")
        c = connect(hub.ldapi)
        settle(c, base, [model])
        self.read_at_once(hub, base)
        self.fill(hub, model)
        os.unlink(self.ballast)
        again = Writer(hub.ldapi, model, limit=30)
        again.start()
        again.check()
        settle(connect(hub.ldapi), base, [model])
        self.check(hub)

    def test_consumer(self):
        """Its position stops, its partner goes on, it follows again when there is space."""
        hub = self.make_site("Hub")
        hub.start("dird")
        one = self.make_site("One", hub.token("One"))
        self.small(one, tmpfs)
        one.start("dird")
        base = "cn=Recipients,ou=Hub,o=Example"
        model = Model("w", base, 3, padding=100000, live=10000)
        self.write(hub, model, 250)
        self.alive(one)
        wait_for("the consumer says that its disk is full",
                 lambda: "full" in one.log("dird"), 60)
        self.alive(one)
        self.write(hub, model, 20)
        self.read_at_once(one, "o=Example", quiet=False)  # what still fits comes in
        os.unlink(self.ballast)

        def same():
            hubs, _ = find(connect(hub.ldapi), base, {"w"})
            return find(connect(one.ldapi), base, {"w"})[0] == hubs
        wait_for("the consumer holds what the hub holds", same, 90, step=0.3)
        self.alive(one)
        self.check(one)

    def test_load(self):
        """A load that finds no room says so, leaves nothing behind and the database as it was."""
        state = self.mount("state", tmpfs)
        site = Site(os.path.join(state, "Hub"), "Hub", "hub.example.com")
        self.addCleanup(site.close)
        site.init()
        config = site.path("dird.conf")
        self.assertEqual(self.load(config, 0, 1000)[0], 0)
        before = run("dirctl", "dump", "--config", config)
        status, _, err = self.load(config, 1000, 30000)
        self.assertEqual(status, 1)
        self.assertIn("no space", err)
        self.assertEqual(run("dirctl", "dump", "--config", config), before)
        self.assertFalse([n for n in os.listdir(site.folder) if n.startswith("db.")])
        run("dirctl", "check", "--config", config)

    def load(self, config, first, upto):
        path = os.path.join(self.folder, "people.ldif")
        with open(path, "w", encoding="ascii") as f:
            for i in range(first, upto):
                f.write(f"dn: cn=P{i},cn=Recipients,ou=Hub,o=Example\nobjectClass: inetOrgPerson\n"
                        f"sn: S{i}\ndescription: {i * 7919} {'x' * 600}\n\n")
        return run("dirctl", "load", "--config", config, path, check=False)

    def test_routed(self):
        """It cannot keep its table: it goes on answering by the new one, and keeps one when it can."""
        site = Site(os.path.join(self.folder, "S1"), "S1", domain("S1"))
        self.addCleanup(site.close)
        site.init()
        path = os.path.join(self.folder, "all.ldif")
        with open(path, "w", encoding="ascii") as f:
            f.write(test_routed_dird.ldif())
        site.load(path)
        state = self.mount("state", tmpfs)
        shutil.rmtree(site.path("routed"), ignore_errors=True)
        os.symlink(state, site.path("routed"))
        site.start("dird")
        site.start("routed")
        self.becomes(site, test_routed_dird.VIA_HUB)
        with open(os.path.join(state, "ballast"), "wb", buffering=0) as f:
            with self.assertRaises(OSError):
                while f.write(bytes(4096)) == 4096:
                    pass
                raise OSError("short")
        self.flag(site, "TRUE")
        self.becomes(site, test_routed_dird.DIRECT)
        wait_for("routed says why it kept none", lambda: "no space" in site.log("routed"))
        self.flag(site, "FALSE")
        self.becomes(site, test_routed_dird.VIA_HUB)
        os.unlink(os.path.join(state, "ballast"))
        self.flag(site, "TRUE")
        self.becomes(site, test_routed_dird.DIRECT)
        site.stop("dird")
        site.stop("routed", signal.SIGKILL)
        site.start("routed")
        self.becomes(site, test_routed_dird.DIRECT)

    @staticmethod
    def becomes(site, answer):
        wait_for(f"the route {answer}",
                 lambda: site.lookup("transport", test_routed_dird.BOB) == answer)

    @staticmethod
    def flag(site, value):
        site.modify(f"dn: {ims_dn('S1')}\nchangetype: modify\nreplace: onlySystemMessagesUseCDs\n"
                    f"onlySystemMessagesUseCDs: {value}\n")

    def write(self, site, model, n):
        w = Writer(site.ldapi, model, limit=n)
        w.start()
        w.check()
        self.assertEqual(w.acknowledged, n)


if __name__ == "__main__":
    need_mounts()
    writes.use_memory()
    tap.main()
