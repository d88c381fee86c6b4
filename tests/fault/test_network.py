#!/usr/bin/python3
# tests/run: timeout=400
"""Real daemons over networks that fail (F12): a hub and two sites in network namespaces. Site1's cable
is a veth, spoilt with nft, routes and link states; Site2's is a relay that is slow.

After each fault: while it lasts the partner is given up and the sites go on alone; after it, all hold
the same, and no connection is needed from outside.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "mail")]
import tap  # noqa: E402
from waypost import Site, run, wait_for  # noqa: E402
from network import Host, Network, Unavailable  # noqa: E402

ROOT = "o=Example"
SOAK = bool(os.environ.get("WAYPOST_SOAK"))
NAMES = ("Hub", "Site1", "Site2")


def person(site, name, value="x"):
    return (f"dn: cn={name},cn=Recipients,ou={site},{ROOT}\nchangetype: add\n"
            f"objectClass: inetOrgPerson\nsn: {value}\n\n")


class Relay:
    """Site2's cable."""

    def __init__(self, network, host):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "relay.py"), network.bridge, "slow",
             host.namespace, "eth0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            self.close()
            raise Unavailable("no TAP devices here")

    def set(self, delay=0, rate=0):
        self.process.stdin.write(f"delay {delay}\nrate {rate}\n")
        self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def ip(*argv):
    subprocess.run(["ip", *argv], check=True)


class Networks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="waypost-net-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        try:
            cls.network = Network(cls.folder)
            cls.addClassCleanup(cls.network.close)
            cls.hosts = {n: cls.network.add(n.lower(), 11 + i) for i, n in enumerate(NAMES[:2])}
            cls.hosts["Site2"] = cls.far_host()
        except (Unavailable, OSError, subprocess.CalledProcessError) as e:
            raise unittest.SkipTest(f"no network namespaces here: {e}") from e
        cls.sites = {n: Site(os.path.join(cls.folder, n), n, n.lower() + ".example.com",
                             address=cls.hosts[n].address, prefix=cls.hosts[n].prefix())
                     for n in NAMES}
        cls.hub, cls.one, cls.two = (cls.sites[n] for n in NAMES)
        for site in cls.sites.values():
            cls.addClassCleanup(site.close)
        cls.hub.init()
        cls.begin(cls.hub)
        for site in (cls.one, cls.two):
            site.join(cls.hub.token(site.name))
            cls.begin(site)
        cls.number = 0

    @classmethod
    def far_host(cls):
        host = Host(cls.network, "site2", 13)
        cls.network._namespace(host.namespace)
        cls.relay = Relay(cls.network, host)
        cls.addClassCleanup(cls.relay.close)
        ip("-n", cls.network.bridge, "link", "set", "slow", "master", "br0", "up")
        ip("-n", host.namespace, "addr", "add", host.address + "/24", "dev", "eth0")
        ip("-n", host.namespace, "link", "set", "eth0", "up")
        return host

    @staticmethod
    def begin(site, heartbeat="1s"):
        with open(site.path("dird.conf"), encoding="ascii") as f:
            lines = [line for line in f if not line.startswith("heartbeat ")]
        with open(site.path("dird.conf"), "w", encoding="ascii") as f:
            f.write("".join(lines) + f"\nheartbeat {heartbeat}\n")
        site.start("dird")

    def restart(self, heartbeat):
        """The hub and the far site, with another heartbeat."""
        for site in (self.hub, self.two):
            site.stop("dird")
            self.begin(site, heartbeat)
        for site, partner in ((self.hub, "Site2"), (self.two, "Hub")):
            wait_for("they are connected", lambda: self.states(site, partner) == {"persisting"})

    def setUp(self):
        self.addCleanup(self.show_logs)
        self.converge()

    def show_logs(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            for name, site in self.sites.items():
                print(f"--- dird of {name}\n{site.log('dird')[-2000:]}")

    # --- what sites show --------------------------------------------------------------------------

    @staticmethod
    def content(site):
        out = site.search(ROOT, "(!(objectClass=siteLocal))", "*", "entryUUID", "originStamp")
        return sorted("\n".join(sorted(e.splitlines())) for e in out.split("\n\n"))

    def converge(self, timeout=90):
        def same():
            first = self.content(self.hub)
            return all(self.content(s) == first for s in (self.one, self.two))
        wait_for("all sites show the same", same, timeout, 0.2)

    @staticmethod
    def states(site, partner):
        out = site.search("cn=monitor", f"(partnerName={partner})", "linkState")
        return set(re.findall(r"^linkState: (.*)$", out, re.M))

    def wait_lost(self, site, partner):
        wait_for(f"{site.name} gives {partner} up",
                 lambda: self.states(site, partner) not in ({"persisting"}, {"refreshing"}))

    def write_everywhere(self, count=5):
        """New entries at each site; their names."""
        type(self).number += 1
        for site in self.sites.values():
            site.modify("".join(person(site.name, f"W{self.number}-{i}") for i in range(count)))

    def nft(self, rules):
        """Rules for what Site1 receives (input) and sends (output); none: all is well."""
        namespace = self.hosts["Site1"].namespace
        text = "flush ruleset\n"
        if rules:
            text += "table inet t {\n" + "".join(
                f"chain {hook} {{ type filter hook {hook} priority 0; {rule} ; }}\n"
                for hook, rule in rules.items()) + "}\n"
        subprocess.run(["ip", "netns", "exec", namespace, "nft", "-f", "-"], input=text, text=True,
                       check=True)

    def spoilt(self, rules):
        self.nft(rules)
        self.addCleanup(self.nft, None)

    def given_up_and_back(self, heal):
        """Both sides give the other up and go on alone; then all is the same again."""
        self.wait_lost(self.one, "Hub")
        self.wait_lost(self.hub, "Site1")
        self.write_everywhere()
        wait_for("the others go on", lambda: self.two.count(ROOT, "(sn=x)") and
                 self.two.count(ROOT, f"(cn=W{self.number}-*)") >= 10)
        self.assertLess(self.one.count(ROOT, f"(cn=W{self.number}-*)"), 15)
        heal()
        self.converge()
        self.assertEqual(self.one.count(ROOT, f"(cn=W{self.number}-*)"), 15)

    # --- faults -----------------------------------------------------------------------------------

    def test_partition(self):
        """The cable is pulled."""
        self.hosts["Site1"].link("down")
        self.addCleanup(self.hosts["Site1"].link, "up")
        self.given_up_and_back(lambda: self.hosts["Site1"].link("up"))

    def test_one_way_in(self):
        """Site1 hears nothing; what it says arrives."""
        self.spoilt({"input": "tcp dport != 0 drop"})
        self.given_up_and_back(lambda: self.nft(None))

    def test_one_way_out(self):
        """Site1 hears everything; what it says is lost."""
        self.spoilt({"output": "tcp dport != 0 drop"})
        self.given_up_and_back(lambda: self.nft(None))

    def test_reset(self):
        """Each packet is answered with a reset."""
        self.spoilt({"input": "meta l4proto tcp reject with tcp reset",
                     "output": "meta l4proto tcp reject with tcp reset"})
        self.given_up_and_back(lambda: self.nft(None))

    def test_black_hole(self):
        """Site1's route to the hub leads nowhere."""
        namespace, hub = self.hosts["Site1"].namespace, self.hosts["Hub"].address
        route = ("route", "%s", "blackhole", hub + "/32")
        ip("-n", namespace, *(w.replace("%s", "add") for w in route))
        back = [w.replace("%s", "del") for w in route]
        self.addCleanup(subprocess.run, ["ip", "-n", namespace, *back], check=False,
                        stderr=subprocess.DEVNULL)
        self.given_up_and_back(lambda: ip("-n", namespace, *back))

    def test_mtu(self):
        """Large packets vanish without a word; small ones pass."""
        self.spoilt({"input": "meta length > 400 drop", "output": "meta length > 400 drop"})
        self.hub.modify(person("Hub", f"Large{self.number}", "x" * 3000))
        self.one.modify(person("Site1", f"Large{self.number}", "x" * 3000))
        self.given_up_and_back(lambda: self.nft(None))

    def test_loss(self):
        """One packet of twenty is lost: everything arrives all the same."""
        self.spoilt({"input": "numgen random mod 100 < 5 counter drop",
                     "output": "numgen random mod 100 < 5 counter drop"})
        for _ in range(5):
            self.write_everywhere(40)
        self.converge()
        rules = run("nft", "list", "ruleset", prefix=("ip", "netns", "exec",
                                                      self.hosts["Site1"].namespace))
        self.assertTrue(any(map(int, re.findall(r"counter packets (\d+)", rules))), rules)

    def test_long_way(self):
        """300 ms there and back: many changes do not take a round trip each, and nobody is dropped."""
        self.relay.set(delay=150)
        self.addCleanup(self.relay.set)
        lost = self.two.log("dird").count("repl.lost")
        self.write_everywhere(100)
        self.converge()
        self.assertEqual(self.two.log("dird").count("repl.lost"), lost)

    def test_narrow(self):
        """R24: a large value over 64 kbit/s and 300 ms: the link stays, and what the far site writes
        arrives before it."""
        size = 8 << 20 if SOAK else 60000
        self.restart("10s")  # a second is less than a TLS record takes
        self.addCleanup(self.restart, "1s")
        self.relay.set(delay=150, rate=64000)
        self.addCleanup(self.relay.set)
        lost = {s.name: s.log("dird").count("repl.lost") for s in (self.hub, self.two)}
        big = f"Big{self.number}"
        self.hub.modify(person("Hub", big, "y" * size))
        self.two.modify(person("Site2", f"Small{self.number}"))
        wait_for("the small one is here",
                 lambda: self.hub.count(ROOT, f"(cn=Small{self.number})") == 1, 60)
        self.assertEqual(self.two.count(ROOT, f"(cn={big})"), 0)
        wait_for("the big one is there", lambda: self.two.count(ROOT, f"(cn={big})") == 1,
                 3600 if SOAK else 120, 0.5)
        for site in (self.hub, self.two):
            self.assertEqual(site.log("dird").count("repl.lost"), lost[site.name], site.name)


if __name__ == "__main__":
    tap.main()
