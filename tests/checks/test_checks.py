#!/usr/bin/python3
"""The checks of the source must be able to fail: plant a violation and see each one find it."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
import tap  # noqa: E402


def run(check, *args):
    p = subprocess.run([os.path.join(HERE, check), *args], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, check=False)
    return p.returncode, p.stdout


class Checks(unittest.TestCase):
    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="waypost-checks-")
        self.addCleanup(shutil.rmtree, self.tmp)
        for room in ("lib", "dird", "routed", "tools", "tests"):
            os.mkdir(os.path.join(self.tmp, room))
        shutil.copy(os.path.join(TOP, ".clang-format"), self.tmp)

    def write(self, path, text):
        path = os.path.join(self.tmp, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def planted(self, path, text, words):
        """The tree with this file breaks the layers, and the complaint names it."""
        self.write(path, text)
        rc, out = run("layers", self.tmp)
        self.assertEqual(rc, 1, out)
        for word in (path, *words):
            self.assertIn(word, out)

    def test_layers_good(self):
        self.write("lib/a.h", "#pragma once\n#include <stddef.h>\n")
        self.write("dird/b.c", '#include "lib/a.h"\n')
        rc, out = run("layers", self.tmp)
        self.assertEqual(rc, 0, out)
        self.assertIn("2 files read, 0 bad", out)

    def test_layers_empty_tree(self):
        self.assertEqual(run("layers", self.tmp)[0], 1)

    def test_layers_lmdb_outside_store(self):
        self.planted("dird/op_add.c", "#include <lmdb.h>\n", ["lmdb.h"])

    def test_layers_routed_includes_dird(self):
        self.planted("routed/sub.c", '#include "dird/tlv.h"\n', ["dird/tlv.h"])

    def test_layers_lib_includes_room(self):
        self.planted("lib/dn.c", '#include "dird/entry.h"\n', ["dird/entry.h"])

    def test_layers_pure_does_io(self):
        self.planted("routed/compute.c", "#include <sys/socket.h>\n", ["pure"])

    def test_layers_own_header_first(self):
        self.write("lib/a.h", "#pragma once\n")
        self.planted("lib/a.c", '#include <stddef.h>\n#include "lib/a.h"\n', ["own header"])

    def test_docs(self):
        self.write("lib/a.h", "#pragma once\n\n/** Adds. */\nint a_add(int x);\n")
        self.assertEqual(run("docs", self.tmp)[0], 0)
        self.write("lib/b.h", "#pragma once\n\nint b_sub(int x);\n")
        rc, out = run("docs", self.tmp)
        self.assertEqual(rc, 1)
        self.assertIn("lib/b.h:3: b_sub", out)

    def test_docs_empty_tree(self):
        self.assertEqual(run("docs", self.tmp)[0], 1)

    def test_failures(self):
        row = "| {} | it breaks | it can not | {} |\n"
        rows = [row.format(n, "`unit/test_a.c: mends`") for n in range(1, 36)]
        self.write("tests/unit/test_a.c", "static void mends(void **state)\n")
        self.write("docs/replication.md", "".join(rows))
        begin = "| R1 | a rule | elsewhere |\n\n## Requirements and their tests\n"
        self.write("docs/routing.md", begin + "| M1, P12 | it routes | `unit/test_a.c: mends` |\n")
        self.write("tests/proto/a-b.case", "case it answers: so (§1)\n")
        ldap = "".join(f"| L{n}, S{n} | it answers | `proto/a-b.case: it answers: so` |\n" for n in range(1, 16))
        self.write("docs/ldap.md", begin + ldap)
        rc, out = run("failures", self.tmp)
        self.assertEqual(rc, 0, out)
        for table, said in ((ldap.replace("L7, ", ""), "nothing of L7"),
                            (ldap.replace("it answers: so", "answers: so"), "row L1, S1: no answers: so")):
            self.write("docs/ldap.md", begin + table)
            rc, out = run("failures", self.tmp)
            self.assertEqual(rc, 1)
            self.assertIn(said, out)
        self.write("docs/ldap.md", begin + ldap)
        for cell, said in (("`unit/test_a.c: mend`", "row 2: no mend"), ("later", "row 2: no test"),
                           ("`unit/test_b.c: mends`", "test_b.c is not there")):
            self.write("docs/replication.md", "".join([rows[0], row.format(2, cell), *rows[2:]]))
            rc, out = run("failures", self.tmp)
            self.assertEqual(rc, 1)
            self.assertIn(said, out)
        self.write("docs/replication.md", "".join(rows) + "| R7, S1 | it goes on | `unit/test_a.c: rends` |\n")
        rc, out = run("failures", self.tmp)
        self.assertEqual(rc, 1)
        self.assertIn("row R7, S1: no rends", out)
        self.write("docs/replication.md", "".join(rows))
        for table in ("| M1 | it routes | `unit/test_a.c: rends` |\n", "no table\n"):
            self.write("docs/routing.md", begin + table)
            self.assertEqual(run("failures", self.tmp)[0], 1, table)
        self.write("docs/routing.md", begin + "| M1 | it routes | none |\n")
        self.write("docs/replication.md", "".join(rows[:34]))
        self.assertEqual(run("failures", self.tmp)[0], 1)

    def test_manuals(self):
        def manual(path, *keywords):
            self.write(path, ".Sh CONFIGURATION\n" + "".join(f".It Cm {k} Ar x\n" for k in keywords) + ".Sh SIGNALS\n.It Cm x\n")

        self.write("dird/server_config.c", '{"site", CONF_STRING, x},\n{"loops", CONF_UINT, y},\n')
        self.write("routed/settings.c", '{"tls-key", CONF_PATH, x},\n')
        manual("dird/dird.8", "site Ar name , Cm loops")
        manual("routed/routed.8", "tls-key")
        rc, out = run("manuals", self.tmp)
        self.assertEqual(rc, 0, out)
        self.assertIn("3 keywords", out)
        for keywords, said in ((["site"], "dird/dird.8: nothing of loops"),
                               (["site", "loops", "hoops"], "dird/server_config.c: no keyword hoops")):
            manual("dird/dird.8", *keywords)
            rc, out = run("manuals", self.tmp)
            self.assertEqual(rc, 1)
            self.assertIn(said, out)
        self.write("dird/server_config.c", "")
        manual("dird/dird.8")
        self.assertEqual(run("manuals", self.tmp)[0], 1)

    def test_format(self):
        self.write("lib/a.c", "int a;\n")
        rc, out = run("format", self.tmp)
        if rc == 77:
            self.skipTest(out.strip())
        self.assertEqual(rc, 0, out)
        self.write("lib/b.c", "int  b ;\n")
        self.assertEqual(run("format", self.tmp)[0], 1)

    def test_format_empty_tree(self):
        self.assertIn(run("format", self.tmp)[0], (1, 77))

    def compile(self, name, *flags):
        self.write(name + ".c", "#include <stdio.h>\n#include <string.h>\n"
                   "int main(int n, char **v) { char b[64]; strcpy(b, v[n - 1]);"
                   " return puts(b) < 0; }\n")
        out = os.path.join(self.tmp, name)
        subprocess.run(["gcc", "-O1", "-o", out, out + ".c", *flags], check=True)
        return out

    def test_hardening(self):
        good = ["-fPIE", "-pie", "-fstack-protector-strong", "-Wl,-z,relro,-z,now,-z,noexecstack"]
        rc, out = run("hardening", self.compile("good", *good))
        self.assertEqual(rc, 0, out)
        for name, flags, word in (
                ("nopie", ["-no-pie", "-fno-pie", *good[2:]], "position independent"),
                ("lazy", [*good[:3], "-Wl,-z,relro,-z,lazy"], "lazy"),
                ("stack", [*good[:3], "-Wl,-z,relro,-z,now,-z,execstack"], "executable stack"),
                ("naked", [*good[:2], "-fno-stack-protector", good[3]], "stack protector")):
            rc, out = run("hardening", self.compile(name, *flags))
            self.assertEqual(rc, 1, name)
            self.assertIn(word, out)

    def test_hardening_nothing_to_look_at(self):
        self.assertEqual(run("hardening")[0], 1)


tap.main()
