#!/usr/bin/python3
# tests/run: timeout=400 soak=14400
"""kill -9 of hub and spokes while all of them write (F1, R3, R7): nothing answered is lost, at quiet all hold
the same, and nobody is sent again what it had."""
import json
import os
import random
import shutil
import signal
import tempfile
import time
import unittest

import writes
from writes import SOAK, Model, Writer, connect, settle
import ldap
import tap
from waypost import Site, run, wait_for

ROOT = "o=Example"
NAMES = ("Hub", "Site1", "Site2")
PARTNERS = {"Hub": ("Site1", "Site2"), "Site1": ("Hub",), "Site2": ("Hub",)}
WRITERS = 2  # at each site
ROUNDS, LONGEST_S = (10000, 13000) if SOAK else (40, 60)
STOPPED_S = 60 if SOAK else 15
PEOPLE = 20000
BATCH = 1000  # entries that may be under way when a session is cut
SHOWN = ["*", "entryUUID", "originStamp", "createTimestamp", "creatorsName", "modifyTimestamp",
         "modifiersName", "parentUUID"]


class KillSites(unittest.TestCase):
    def setUp(self):
        writes.use_memory()
        seed = int(os.environ.get("WAYPOST_SEED", time.time_ns() & 0xffffffff))
        print(f"# WAYPOST_SEED={seed}")
        self.random = random.Random(seed)
        folder = tempfile.mkdtemp(prefix="waypost-kill-")
        self.addCleanup(shutil.rmtree, folder)
        self.sites = {n: Site(os.path.join(folder, n), n, n.lower() + ".example.com") for n in NAMES}
        self.addCleanup(self.show_logs)
        for site in self.sites.values():
            self.addCleanup(site.close)
        self.models = {n: [Model(f"{n}w{i}", f"cn=Recipients,ou={n},{ROOT}", f"{seed}/{n}/{i}")
                           for i in range(WRITERS)] for n in NAMES}
        self.writers = []
        hub = self.sites["Hub"]
        hub.init()
        self.begin(hub)
        for name in NAMES[1:]:
            self.sites[name].join(hub.token(name))
            self.begin(self.sites[name])
        self.converge()

    @staticmethod
    def begin(site):
        with open(site.path("dird.conf"), "a", encoding="ascii") as f:
            f.write("\nheartbeat 500ms\n")
        site.start("dird")

    def show_logs(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            for name, site in self.sites.items():
                print(f"--- dird of {name}\n{site.log('dird')[-4000:]}")

    # --- what sites hold ------------------------------------------------------------------------------

    @staticmethod
    def content(site):
        c = connect(site.ldapi)
        found = c.search_ext_s(ROOT, ldap.SCOPE_SUBTREE, "(!(objectClass=siteLocal))", SHOWN)
        return {dn: sorted((a, sorted(v)) for a, v in attributes.items())
                for dn, attributes in found if dn}

    def converge(self, timeout=60):
        held = {}

        def same():
            for name, site in self.sites.items():
                held[name] = self.content(site)
            return held["Hub"] == held["Site1"] == held["Site2"]
        try:
            wait_for("all sites hold the same", same, timeout, step=0.02)
        except AssertionError:
            for name in NAMES[1:]:
                odd = [(dn, held["Hub"].get(dn), held[name].get(dn))
                       for dn in sorted(held["Hub"].keys() | held[name].keys())
                       if held["Hub"].get(dn) != held[name].get(dn)]
                print(f"# {name} differs from Hub in {len(odd)} entries:", *odd[:5], sep="\n#  ")
            raise

    @staticmethod
    def positions(site):
        """{name of a context: usn} of a site whose dird does not run."""
        out = run("dirctl", "stat", "--json", "--config", site.path("dird.conf"))
        rows = [json.loads(line) for line in out.splitlines()]
        return {r["context"]: int(r["usn"]) for r in rows if "usn" in r}

    @staticmethod
    def entries_in(site, partner="*"):
        """{partner: entries}, once every link persists, or the one to this partner."""
        def links():
            found = connect(site.ldapi).search_ext_s("cn=monitor", ldap.SCOPE_SUBTREE,
                                                     f"(partnerName={partner})",
                                                     ["partnerName", "linkState", "entriesIn"])
            if all(a["linkState"] == [b"persisting"] for _, a in found):
                return {a["partnerName"][0].decode(): int(a["entriesIn"][0]) for _, a in found}
            return None
        return wait_for(f"all links of {site.name} persist", links, 60)

    # --- writing and dying ----------------------------------------------------------------------------

    def write(self, name):
        """python-ldap's SASL bind lets no other thread run until it has its answer: it must not wait for a
        daemon that this program has stopped."""
        started = [Writer(self.sites[name].ldapi, m) for m in self.models[name]]
        for w in started:
            w.start()
        wait_for("every writer writes", lambda: all(w.acknowledged or not w.is_alive() for w in started),
                 60, step=0.001)
        self.writers += started

    def wait_written(self, writers, n):
        begin = sum(w.acknowledged for w in writers)
        wait_for(f"{n} answered writes",
                 lambda: sum(w.acknowledged for w in writers) >= begin + n
                 or not any(w.is_alive() for w in writers), 60, step=0.001)

    def stop_writing(self):
        for w in self.writers:
            w.stop()
        for w in self.writers:
            w.check()
        self.acknowledged += sum(w.acknowledged for w in self.writers)
        self.writers.clear()

    def kill(self, name):
        site = self.sites[name]
        site.stop("dird", signal.SIGKILL)
        run("dirctl", "check", "--config", site.path("dird.conf"))
        return self.positions(site)

    def settle(self):
        for name in NAMES:
            settle(connect(self.sites[name].ldapi), f"ou={name},{ROOT}", self.models[name])

    # --- tests ----------------------------------------------------------------------------------------

    def test_rounds(self):
        self.acknowledged = done = 0
        end = time.monotonic() + LONGEST_S
        while done < ROUNDS and time.monotonic() < end:
            self.one_round()
            done += 1
        print(f"# {done} rounds, {self.acknowledged} answered writes")
        self.assertGreater(done, 3)
        self.restart_all()

    def one_round(self):
        victims = self.random.sample(NAMES, self.random.choice((1, 1, 1, 2, 3)))
        for name in NAMES:
            self.write(name)
        self.wait_written(self.writers, self.random.randint(1, 300))
        at = {name: self.kill(name) for name in victims}
        others = [w for w in self.writers if w.is_alive()]
        if self.random.random() < 0.5 and len(victims) < 3:
            self.wait_written(others, self.random.randint(1, 200))
        for name in victims:
            self.sites[name].start("dird")
        self.stop_writing()
        self.settle()
        self.converge()
        self.check_resent(victims, at)

    def check_resent(self, victims, at):
        """Who was killed gets at most what it did not have, and once more what a partner's death cut."""
        now = self.heads()
        for name in victims:
            for partner, entries in self.entries_in(self.sites[name]).items():
                missed = sum(usn - at[name][context] for context, usn in now.items())
                cut = BATCH if partner in victims else 0
                self.assertLessEqual(entries, missed + cut,
                                     f"{name} was sent {entries} entries by {partner} and missed "
                                     f"{missed} changes")

    def heads(self):
        """{name of a context: usn} at quiet, as the running hub shows it."""
        found = connect(self.sites["Hub"].ldapi).search_ext_s(
            "cn=monitor", ldap.SCOPE_SUBTREE, "(position=*)", ["ncName", "position"])
        return {a["ncName"][0].decode(): int(a["position"][0].decode().split(":")[1])
                for _, a in found}

    def test_rolling_restart(self):
        """One site after the other is stopped and started, as for an upgrade, while all others write: who is
        stopped loses no answered write, the others notice nothing, and nothing is sent twice."""
        self.acknowledged = 0
        for _ in range(5 if SOAK else 2):
            for victim in NAMES:
                for name in NAMES:
                    self.write(name)
                self.wait_written(self.writers, 50)
                site = self.sites[victim]
                site.stop("dird")
                run("dirctl", "check", "--config", site.path("dird.conf"))
                at = {victim: self.positions(site)}
                others = [w for w in self.writers if w.model.name.split("w")[0] != victim]
                self.wait_written(others, 50)
                site.start("dird")
                self.wait_written(others, 50)
                self.assertTrue(all(w.is_alive() for w in others))
                self.stop_writing()
                self.settle()
                self.converge()
                self.check_resent([victim], at)
        print(f"# {self.acknowledged} answered writes")

    def test_first_load_is_cut(self):
        """R20: a new site dies again and again, and the one it loads from, while it gets everything. Each
        life goes on where the last one ended."""
        one = self.sites["Site1"]
        path = one.path("people.ldif")
        with open(path, "w", encoding="ascii") as f:
            for i in range(PEOPLE):
                f.write(f"dn: cn=P{i},cn=Recipients,ou=Site1,{ROOT}\nobjectClass: inetOrgPerson\n"
                        f"sn: P{i}\ndescription: {'x' * 300}\n\n")
        for site in self.sites.values():
            site.stop("dird")
        one.load(path)
        one.start("dird")
        for victim, source in (("Hub", "Site1"), ("Site2", "Hub")):
            self.load_with_deaths(self.sites[victim], self.sites[source])
        self.converge()
        for name in NAMES:
            self.kill(name)

    def load_with_deaths(self, victim, source):
        held = deaths = 0
        while held < PEOPLE:
            victim.start("dird")
            enough = held + self.random.randint(1, PEOPLE // 4)
            c = connect(victim.ldapi)
            wait_for("some more entries", lambda n=enough: self.database_entries(c) > min(n, PEOPLE),
                     60, step=0.002)
            if self.random.random() < 0.3:
                source.stop("dird", signal.SIGKILL)
                source.start("dird")
            before, held = held, self.kill_and_count(victim)
            self.assertGreaterEqual(held, before)
            deaths += 1
        victim.start("dird")
        self.assertLess(self.entries_in(victim, source.name)[source.name], BATCH)
        print(f"# {victim.name}: {deaths} deaths during the first load")

    @staticmethod
    def database_entries(c):
        [(_, found)] = c.search_ext_s("cn=Database,cn=monitor", ldap.SCOPE_BASE, "(objectClass=*)",
                                      ["entries"])
        return int(found["entries"][0])

    def kill_and_count(self, site):
        self.kill(site.name)
        out = run("dirctl", "stat", "--json", "--config", site.path("dird.conf"))
        return int(json.loads(out.splitlines()[0])["entries"])

    def test_stopped_partner(self):
        """SIGSTOP of a spoke, then of the hub (F13): the others notice, go on, and reconcile after it."""
        self.acknowledged = 0
        for victim in ("Site2", "Hub"):
            others = [n for n in NAMES if n != victim]
            for name in NAMES:
                self.write(name)
            self.wait_written(self.writers, 50)
            self.sites[victim].processes["dird"].send_signal(signal.SIGSTOP)
            self.addCleanup(self.sites[victim].processes["dird"].send_signal, signal.SIGCONT)
            end = time.monotonic() + STOPPED_S
            for name in others:
                if victim in PARTNERS[name]:
                    wait_for(f"{name} notices", lambda n=name: self.link(n, victim) != "persisting", 30)
            alive = [w for w in self.writers if w.model.name.split("w")[0] in others]
            while time.monotonic() < end:
                self.wait_written(alive, 20)
                self.assertTrue(all(w.is_alive() for w in alive))
            if victim == "Site2":
                for w in alive:
                    w.stop()
                for w in alive:
                    w.check()
                wait_for("the two others hold the same", lambda: self.content(self.sites["Hub"])
                         == self.content(self.sites["Site1"]), 60)
            self.sites[victim].processes["dird"].send_signal(signal.SIGCONT)
            self.stop_writing()
            self.settle()
            self.converge()

    def test_stopped_for_moments(self):
        """Shorter than a heartbeat, or just about one, many times."""
        self.acknowledged = 0
        for name in NAMES:
            self.write(name)
        end = time.monotonic() + STOPPED_S / 2
        while time.monotonic() < end:
            name = self.random.choice(NAMES)
            process = self.sites[name].processes["dird"]
            others = [w for w in self.writers if w.model.name.split("w")[0] != name]
            process.send_signal(signal.SIGSTOP)
            try:
                self.wait_written(others, self.random.randint(1, 1500))
            finally:
                process.send_signal(signal.SIGCONT)
        self.stop_writing()
        self.settle()
        self.converge()

    def link(self, name, partner):
        [(_, found), *_] = connect(self.sites[name].ldapi).search_ext_s(
            "cn=monitor", ldap.SCOPE_SUBTREE, f"(partnerName={partner})", ["linkState"])
        return found["linkState"][0].decode()

    def restart_all(self):
        """Nothing changes meanwhile: nothing is sent."""
        for name in NAMES:
            self.kill(name)
        for name in NAMES:
            self.sites[name].start("dird")
        for name in NAMES:
            self.assertEqual(self.entries_in(self.sites[name]), dict.fromkeys(PARTNERS[name], 0))
        self.converge()
        for name in NAMES:
            self.sites[name].stop("dird")
            run("dirctl", "check", "--config", self.sites[name].path("dird.conf"))


if __name__ == "__main__":
    tap.main()
