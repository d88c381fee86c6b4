#!/usr/bin/python3
# tests/run: timeout=200
"""Indexes as a client sees them: random filters, each beside its double negation, which no index can answer; behind
random writes, behind a kill in the middle of them, and behind `dirctl reindex`.

WAYPOST_SOAK: 100,000 filters (test_index_random.c has as many below the protocol)."""
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import unittest

import ldap
from ldap.filter import escape_filter_chars

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")]
import tap  # noqa: E402
from waypost import PASSWORD, Site, run  # noqa: E402

ROOT = "o=Example"
PEOPLE = f"cn=Recipients,ou=S1,{ROOT}"
COUNT = 800
FILTERS = 100000 if os.environ.get("WAYPOST_SOAK") else 3000
TYPES = ["cn", "sn", "givenName", "displayName", "mail", "title", "telephoneNumber", "description", "name"]
SYLLABLES = ["an", "ber", "li", "mül", "o", "王", "建国", "Мо", "ster", "x", "Ås", " ", "q-", "7", "42"]
FOLDER = SITE = None


def setUpModule():
    global FOLDER, SITE
    FOLDER = tempfile.mkdtemp(prefix="waypost-reindex-")
    SITE = Site(os.path.join(FOLDER, "S1"), "S1", "s1.example.com")
    SITE.init(ROOT)


def tearDownModule():
    SITE.close()
    shutil.rmtree(FOLDER, ignore_errors=True)


class World:
    """Random people, and what is asked of them."""

    def __init__(self, seed):
        self.dice = random.Random(seed)

    def word(self, most):
        return "".join(self.dice.choices(SYLLABLES, k=self.dice.randint(1, most))).strip() or "o"

    def person(self):
        attrs = {"cn": self.word(4), "sn": self.word(2), "givenName": self.word(2), "displayName": self.word(5),
                 "title": self.word(2), "description": self.word(6), "mail": f"m{self.dice.randint(0, 99)}@x.org",
                 "telephoneNumber": f"+47 {self.dice.randint(0, 9999)}"}
        keep = ["cn", "sn", *self.dice.sample(list(attrs), 5)]
        return {k: v.encode() for k, v in attrs.items() if k in keep}

    def item(self):
        what, value = self.dice.choice(TYPES), escape_filter_chars(self.word(2))
        return self.dice.choice([f"({what}={value})", f"({what}={value}*)", f"({what}=*{value}*)", f"({what}=*{value})",
                                 f"({what}=*)", f"({what}>={value})", f"({what}<={value})", f"({what}~={value})",
                                 f"({what}={value}*{escape_filter_chars(self.word(1))}*)"])

    def filter(self, depth=2):
        if depth == 0 or self.dice.random() < 0.5:
            return self.item()
        parts = "".join(self.filter(depth - 1) for _ in range(self.dice.randint(1, 3)))
        return self.dice.choice([f"(&{parts})", f"(|{parts})", f"(!{self.filter(depth - 1)})"])


class Reindex(unittest.TestCase):
    def connect(self):
        host, port = SITE.ldap.rsplit(":", 1)
        c = ldap.initialize(f"ldap://{host}:{port}")
        c.simple_bind_s(f"cn=admin,{ROOT}", PASSWORD)
        return c

    def write(self, world, c, n):
        """Adds, changes and deletions, until there were n, or the server is gone."""
        try:
            for _ in range(n):
                self.write_one(world, c, f"uid=p{world.dice.randrange(COUNT)},{PEOPLE}", world.person())
        except ldap.SERVER_DOWN:
            pass

    @staticmethod
    def write_one(world, c, dn, person):
        kind = world.dice.random()
        try:
            if kind < 0.6:
                c.add_s(dn, [("objectClass", b"inetOrgPerson"), *person.items()])
            elif kind < 0.9:
                c.modify_s(dn, [(ldap.MOD_REPLACE, k, v) for k, v in person.items()])
            else:
                c.delete_s(dn)
        except (ldap.ALREADY_EXISTS, ldap.NO_SUCH_OBJECT):
            pass

    def ask(self, world, n, moment):
        c, matched = self.connect(), 0
        for _ in range(n):
            text = world.filter()
            by_index, by_look = (sorted(dn for dn, _ in c.search_s(PEOPLE, ldap.SCOPE_SUBTREE, f, ["1.1"]))
                                 for f in (text, f"(!(!{text}))"))
            self.assertEqual(by_index, by_look, f"{moment}: {text}")
            matched += 0 < len(by_index) < COUNT // 3
        c.unbind_s()
        self.assertGreater(matched, n // 10, "most filters were to match some")

    def test_random_filters(self):
        world = World(int(os.environ.get("WAYPOST_SEED", "1")))
        SITE.start("dird")
        self.write(world, self.connect(), 2 * COUNT)
        self.ask(world, FILTERS // 3, "behind writes")
        writer = threading.Thread(target=self.write, args=(World(2), self.connect(), 10**6))
        writer.start()
        threading.Event().wait(0.5)
        SITE.stop("dird", signal.SIGKILL)
        writer.join()
        SITE.start("dird")
        self.ask(world, FILTERS // 3, "behind a kill")
        SITE.stop("dird")
        for verb in ("check", "reindex", "check"):
            run("dirctl", verb, "--config", SITE.path("dird.conf"))
        SITE.start("dird")
        self.ask(world, FILTERS // 3, "behind dirctl reindex")


if __name__ == "__main__":
    tap.main()
