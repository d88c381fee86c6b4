#!/usr/bin/python3
# tests/run: timeout=240 soak=14400
"""kill -9 of dird under concurrent writers, again and again: requirement F1 at one site."""
import os
import random
import signal
import time
import unittest

import writes
from writes import SOAK, Model, Writer, connect, own_position, settle
import tap
from dird_site import DirdSite
from waypost import run, wait_for

ROUNDS, LONGEST_S = (10000, 13000) if SOAK else (300, 60)
WRITERS = 4
BASE = "ou=people,o=Example"


class Kill(unittest.TestCase):
    def setUp(self):
        writes.use_memory()
        seed = int(os.environ.get("WAYPOST_SEED", time.time_ns() & 0xffffffff))
        print(f"# WAYPOST_SEED={seed}")
        self.random = random.Random(seed)
        self.site = DirdSite()
        self.addCleanup(self.site.close)
        self.site.start()
        c = connect(self.site.ldapi)
        c.add_s("o=Example", [("objectClass", [b"organization", b"mailOrganization"]),
                              ("o", b"Example")])
        c.add_s(BASE, [("objectClass", b"organizationalUnit"), ("ou", b"people")])
        self.models = [Model(f"w{i}", BASE, f"{seed}/{i}") for i in range(WRITERS)]
        self.acknowledged = 0

    def dirctl(self, *words):
        return run("dirctl", words[0], "--config", self.site.path("dird.conf"), *words[1:])

    def position(self):
        return own_position(self.dirctl("stat", "--json"))

    def kill(self):
        self.site.signal(signal.SIGKILL)
        self.site.process.wait()

    def test_rounds(self):
        self.kill()
        usn, life = self.position()
        self.site.start()
        end = time.monotonic() + LONGEST_S
        done = 0
        while done < ROUNDS and time.monotonic() < end:
            self.write_and_kill()
            self.dirctl("check")
            before, (usn, now) = usn, self.position()
            self.assertEqual(now, life, "a crash begins no new life of the context")
            if self.random.random() < 0.2:
                self.kill_while_starting()
            self.site.start()
            least, most = settle(connect(self.site.ldapi), "o=Example", self.models)
            self.assertTrue(least <= usn - before <= most,
                            f"{usn - before} USNs given for {least} to {most} changes")
            done += 1
        print(f"# {done} rounds, {self.acknowledged} answered writes, last USN {usn}")
        self.assertEqual(self.site.stop(), 0)
        self.assertGreater(done, 5)

    def write_and_kill(self):
        threads = [Writer(self.site.ldapi, m) for m in self.models]
        enough = self.random.randint(1, 400)
        for t in threads:
            t.start()

        def written():
            return sum(t.acknowledged for t in threads) >= enough or any(t.error for t in threads)
        wait_for(f"{enough} answered writes", written, 60, step=0.001)
        self.kill()
        for t in threads:
            t.check()
            self.acknowledged += t.acknowledged

    def kill_while_starting(self):
        """Somewhere between exec and the listeners."""
        polls = self.random.randint(0, 30)
        before = len(self.site.log())
        self.site.spawn()

        def is_time():
            nonlocal polls
            polls -= 1
            return polls < 0 or len(self.site.log()) > before + 400
        wait_for("a moment of the start", is_time, step=0.002)
        self.kill()


if __name__ == "__main__":
    tap.main()
