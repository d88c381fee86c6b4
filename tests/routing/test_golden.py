#!/usr/bin/python3
# tests/run: build=gcc timeout=120
"""Golden files: golden/NAME.ldif at SITE gives golden/NAME.SITE.json byte for byte (M5), and what is
left out gives NAME.SITE.errors. The same LDIF turned around gives the same bytes."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402

GOLDEN = sorted(glob.glob(os.path.join(HERE, "golden", "*.json")))


def content(path):
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8", newline="") as f:
        return f.read()


def compute(ldif, site):
    with tempfile.NamedTemporaryFile("w", suffix=".ldif", encoding="utf-8") as f:
        f.write(ldif)
        f.flush()
        p = subprocess.run(["routectl", "compute", "--ldif", f.name, "--site", site, "--json"],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


class Golden(unittest.TestCase):
    maxDiff = None

    def test_files(self):
        self.assertGreaterEqual(len(GOLDEN), 6)
        for path in GOLDEN:
            base, site = re.fullmatch(r"(.*)\.([^.]+)\.json", path).groups()
            ldif, errors = content(base + ".ldif"), content(f"{base}.{site}.errors")
            want = (1 if errors else 0, content(path), errors)
            self.assertEqual(compute(ldif, site), want, path)
            entries = ldif.split("\n\n")
            turned = "\n\n".join(entries[:1] + [e.strip("\n") for e in entries[:0:-1]]) + "\n"
            self.assertEqual(compute(turned, site.upper()), want, path + ", turned around")

    def run_tool(self, *args, text=""):
        p = subprocess.run(["routectl", "compute", *args], input=text.encode(),
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def test_usage(self):
        ldif = os.path.join(HERE, "golden", "hub-and-spoke.ldif")
        want = content(os.path.join(HERE, "golden", "hub-and-spoke.Site1.json"))
        self.assertEqual(self.run_tool("--ldif", "-", "--site", "site1", "--json",
                                       text=content(ldif)), (0, want, ""))
        rc, out, _ = self.run_tool("--ldif", ldif, "--site", "Site1")
        self.assertEqual(rc, 0)
        self.assertEqual(len(out.splitlines()), 1 + len(want.splitlines()))
        self.assertIn("mx:site2.example.com", out)
        for args, told in ((("--ldif", ldif, "--site", "Site9"), "Site9"),
                           (("--ldif", ldif + ".none", "--site", "Site1"), ldif + ".none"),
                           (("--ldif", ldif), "--site"), (("--site", "Site1"), "--ldif"),
                           (("--frobnicate",), "frobnicate")):
            rc, out, err = self.run_tool(*args)
            self.assertEqual((rc, out), (2, ""), args)
            self.assertIn(told, err)

    def test_broken_records(self):
        """A record that is none is left out, alone, and named by its line (M8)."""
        ldif = content(os.path.join(HERE, "golden", "hub-and-spoke.ldif"))
        want = content(os.path.join(HERE, "golden", "hub-and-spoke.Site1.json"))
        line = len(ldif.splitlines()) + 2
        for broken, told in (("this is no line\n", f"-:{line}: "),
                             ("dn: no dn at all\nobjectClass: mailSite\n", "no dn at all"),
                             ("dn: ou=X,o=Example\nchangetype: delete\n", "ou=X,o=Example")):
            rc, out, err = self.run_tool("--ldif", "-", "--site", "Site1", "--json",
                                         text=ldif + "\n" + broken)
            self.assertEqual((rc, out), (1, want), broken)
            self.assertEqual(len(err.splitlines()), 1)
            self.assertIn(told, err)


tap.main()
