#!/usr/bin/python3
# tests/run: timeout=200
"""Commands that change a site's files are killed in the middle, or find no room, and are given again."""
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
import unittest

import writes
import tap
from waypost import Site, run, wait_for

PEOPLE = 20000
BASE = "cn=Recipients,ou=Hub,o=Example"


class KillTools(unittest.TestCase):
    def setUp(self):
        writes.use_memory()
        seed = int(os.environ.get("WAYPOST_SEED", time.time_ns() & 0xffffffff))
        print(f"# WAYPOST_SEED={seed}")
        self.random = random.Random(seed)
        self.folder = tempfile.mkdtemp(prefix="waypost-tools-")
        self.addCleanup(shutil.rmtree, self.folder)

    def site(self, name):
        site = Site(os.path.join(self.folder, name), name, name.lower() + ".example.com")
        self.addCleanup(site.close)
        return site

    def killed(self, argv, longest):
        """Run and kill after a random part of `longest` seconds: True if it was still running."""
        p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT)
        try:
            p.communicate(timeout=self.random.uniform(0, longest))
        except subprocess.TimeoutExpired:
            p.kill()
            p.communicate()
            return True
        return False

    def test_load(self):
        """dirctl load is whole or not at all."""
        hub = self.site("Hub")
        hub.init()
        path = os.path.join(self.folder, "people.ldif")
        with open(path, "w", encoding="ascii") as f:
            for i in range(PEOPLE):
                f.write(f"dn: cn=P{i},{BASE}\nobjectClass: inetOrgPerson\nsn: P{i}\n\n")
        config = hub.path("dird.conf")
        empty = self.entries(config)
        kills = 0
        for i in range(8):
            kills += self.killed(["dirctl", "load", "--config", config, path], 0.1 * i)
            run("dirctl", "check", "--config", config)
            if self.entries(config) != empty:
                break
        self.assertGreater(kills, 0)
        if self.entries(config) == empty:
            hub.load(path)
        self.assertEqual(self.entries(config), empty + PEOPLE)
        run("dirctl", "check", "--config", config)

    @staticmethod
    def entries(config):
        out = run("dirctl", "stat", "--json", "--config", config)
        return json.loads(out.splitlines()[0])["entries"]

    def join_argv(self, site, token, password):
        return ["sitectl", "join", "--dir", site.folder, "--token", token, "--site", site.name,
                "--domain", site.domain, *site._listeners(), "--admin-password-file", password]

    def test_join(self):
        """After a killed join the new site is whole and known at the hub, or its token is still good."""
        hub = self.site("Hub")
        hub.init()
        hub.start("dird")
        for i in range(6):
            one = self.site(f"One{i}")
            one.root = hub.root
            password = one._password_file()
            token = hub.token(one.name)
            was_killed = self.killed(self.join_argv(one, token, password), 0.25)
            if was_killed:
                self.again(one, token, password)
            one.start("dird")
            wait_for(f"{one.name} holds the hub's entries",
                     lambda s=one: s.count("o=Example", "(objectClass=mailSite)") == i + 2, 30)
            wait_for(f"the hub holds {one.name}",
                     lambda s=one: hub.count(f"ou={s.name},o=Example", "(cn=Connections)") == 1, 30)
            one.stop("dird")
            run("dirctl", "check", "--config", one.path("dird.conf"))

    def again(self, one, token, password):
        aside = one.folder + ".killed"
        if os.path.exists(one.folder):
            os.rename(one.folder, aside)
        status, out, err = run(*self.join_argv(one, token, password), check=False)
        if status != 0:  # then the killed one had done its work
            self.assertIn("has been used", out + err)
            os.rename(aside, one.folder)

    def test_init(self):
        """A killed init can be given again, after its folder has been removed at the latest."""
        for i in range(6):
            hub = self.site(f"Hub{i}")
            password = hub._password_file()
            argv = ["sitectl", "init", "--dir", hub.folder, "--organisation", "o=Example", "--site",
                    hub.name, "--domain", hub.domain, *hub._listeners(), "--admin-password-file",
                    password]
            hub.root = "o=Example"
            if self.killed(argv, 0.15):
                status, out, err = run(*argv, check=False)
                if status != 0:
                    self.assertIn(hub.folder, out + err)
                    shutil.rmtree(hub.folder)
                    run(*argv)
            hub.start("dird")
            self.assertEqual(hub.count("o=Example", "(objectClass=mailSite)"), 1)
            hub.stop("dird")


if __name__ == "__main__":
    tap.main()
