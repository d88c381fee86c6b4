#!/usr/bin/python3
"""Case files that can not be played everywhere are refused, with file and line."""
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402
import cases  # noqa: E402

FAMILY = """case a family
> add ou=p,$W
  objectClass: organizationalUnit
{between}> {child}
  objectClass: inetOrgPerson
< success
"""


class RequestsInARow(unittest.TestCase):
    """They may be done at once (RFC 4511 §3.1)."""

    def read(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".case", encoding="utf-8") as f:
            f.write(text)
            f.flush()
            return cases.read(f.name)

    def refused(self, child):
        with self.assertRaisesRegex(cases.Bad, r"\.case:4: .*add ou=p,ou=work,o=example$"):
            self.read(FAMILY.format(between="", child=child))

    def test_what_needs_an_added_entry_is_refused(self):
        self.refused("add uid=x,ou=p,$W")
        self.refused("add UID=x,OU=p,$W")
        self.refused("modify ou=p,$W")
        self.refused("modrdn ou=p,$W ou=q")
        self.refused("delete uid=x,ou=p,$W")

    def test_behind_the_answer_it_is_taken(self):
        [case] = self.read(FAMILY.format(between="< success\n", child="add uid=x,ou=p,$W"))
        self.assertEqual(len(case.steps), 2)

    def test_neighbours_are_taken(self):
        for other in ("add ou=pp,$W", "add uid=x,$W", "add uid=x,ou=pp,$W", "search ou=p,$W base"):
            [case] = self.read(FAMILY.format(between="", child=other))
            self.assertEqual(len(case.steps[0].requests), 2)

    def test_dird_alone_keeps_the_order_of_updates(self):
        text = FAMILY.format(between="", child="add uid=x,ou=p,$W")
        self.assertEqual(len(self.read("only dird\n" + text)), 1)
        self.assertEqual(len(self.read(text.replace("family\n", "family\nonly dird\n"))), 1)


tap.main()
