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


tap.main()
