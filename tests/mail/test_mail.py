#!/usr/bin/python3
# tests/run: build=gcc timeout=900
"""Real mail between three sites (KB article Q223385).

Hub, Site1 and Site2 are network namespaces, each with a Postfix, a dird and a routed; NSD knows the
MX records of their three domains. The directory is replicated hub-and-spoke. The Received headers
of a message from Site1 to Site2 tell which way it went.

Postfix keeps an answer for up to 30 seconds, so after a change we send until one goes the new way.
"""
import collections
import os
import re
import shutil
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import exim  # noqa: E402
import network  # noqa: E402
import servers  # noqa: E402
import tap  # noqa: E402
from waypost import Site, wait_for  # noqa: E402

NAMES = ("Hub", "Site1", "Site2")
NUMBERS = {"Hub": 10, "Site1": 11, "Site2": 12}
NEIGHBOURS = {"Hub": ("Site1", "Site2"), "Site1": ("Hub",), "Site2": ("Hub",)}
SOCKETMAP_PORT = 2600
SHARED_DOMAIN = "example.org"
POLICY_PORT = 2601
SYSTEM_ADDRESS = "system-attendant@site2.example.com"
SYSTEM_SENDER = "directory@site1.example.com"
# Somebody without an address at the site's own domain.
CID = f"""dn: cn=Cid \\+ Co,cn=Recipients,ou=Site2,o=Example
changetype: add
objectClass: inetOrgPerson
objectClass: mailRecipient
sn: Site2
mail: cid@{SHARED_DOMAIN}
proxyAddresses: SMTP:cid@{SHARED_DOMAIN}
"""
ARRIVES_S = 60
REPLACEMENTS = 100
BATCH = 50
CHANGES_S = 120
FLIGHT, SENDERS = 1000, 4


def domain(name):
    return name.lower() + ".example.com"


def mx(name):
    return "mx." + domain(name)


def ims(name):
    return (f"cn=Internet Mail Service ({name}),cn=Connections,cn=Configuration,"
            f"ou={name},o=Example")


def site_ldif(name, users):
    """The connected domains of the site's connector, and some people."""
    lines = [f"dn: {ims(name)}", "changetype: modify", "replace: connectedDomains"]
    lines += [f"connectedDomains: {n};1;SMTP:{domain(n)}" for n in NEIGHBOURS[name]]
    lines += ["", f"dn: ou={name},o=Example", "changetype: modify", "add: siteSharedDomain",
              f"siteSharedDomain: {SHARED_DOMAIN}"]
    for user in users:
        lines += ["", f"dn: cn={user} {name},cn=Recipients,ou={name},o=Example",
                  "changetype: add", "objectClass: inetOrgPerson", "objectClass: mailRecipient", f"sn: {name}",
                  f"mail: {user.lower()}@{domain(name)}",
                  f"proxyAddresses: SMTP:{user.lower()}@{domain(name)}",
                  f"proxyAddresses: smtp:{user.lower()}.{name.lower()}@{SHARED_DOMAIN}"]
    return "\n".join(lines) + "\n"


def hosts(message):
    """The mail hosts it crossed, in order."""
    return [re.search(r"\bby (\S+)", r).group(1) for r in reversed(message.get_all("Received"))]


class World:
    """Everything that runs; built step by step so that close() can undo any beginning."""

    def __init__(self):
        # Postfix daemons run as their own user and must reach their folders below this one.
        self.folder = tempfile.mkdtemp(prefix="waypost-mail-")
        os.chmod(self.folder, 0o755)
        self.network, self.children, self.sites, self.postfix, self.hosts = None, [], {}, {}, {}
        self.exim = None

    def build(self):
        self.network = network.Network(self.folder)
        self.hosts = {n: self.network.add(n.lower(), NUMBERS[n]) for n in NAMES}
        records = []
        for name, host in self.hosts.items():
            records += [f"{name.lower()} MX 10 mx.{name.lower()}",
                        f"mx.{name.lower()} A {host.address}"]
        self.children.append(servers.start_nameserver(
            os.path.join(self.folder, "dns"), self.network, "example.com", records))
        for name in NAMES:
            self._start_site(name)
        for name in NAMES:
            self.sites[name].modify(site_ldif(name, ("Ada", "Bob")))
        self.sites["Site2"].modify("dn: ou=Site2,o=Example\nchangetype: modify\n"
                                   f"add: systemAddress\nsystemAddress: {SYSTEM_ADDRESS}\n")
        self.sites["Site2"].modify(CID)
        self.sites["Site1"].modify("dn: ou=Site1,o=Example\nchangetype: modify\n"
                                   f"add: systemAddress\nsystemAddress: {SYSTEM_SENDER}\n")
        for name in NAMES:
            self._start_postfix(name)
        self._make_exim()

    def _start_site(self, name):
        host = self.hosts[name]
        site = Site(os.path.join(self.folder, name), name, domain(name), host.address,
                    (3890, 6360), host.prefix())
        self.sites[name] = site
        if name == "Hub":
            site.init("o=Example")
        else:
            site.join(self.sites["Hub"].token(name), "o=Example")
        with open(site.path("routed.conf"), "a", encoding="ascii") as f:
            f.write(f"socketmap inet:127.0.0.1:{SOCKETMAP_PORT}\n"
                    f"policy inet:127.0.0.1:{POLICY_PORT}\nnull-sender system\n"
                    "exim unix:routed/exim\nrender lmdb:maps\n")
        site.start("dird")
        site.start("routed")

    def _start_postfix(self, name):
        """The hub's reads a rendered file and asks over the local socket, the others ask over TCP."""
        site = self.sites[name]
        maps = (f"socketmap:unix:{site.path('routed', 'socketmap')}" if name == "Hub"
                else f"socketmap:inet:127.0.0.1:{SOCKETMAP_PORT}")
        transport = "lmdb:" + site.path("maps", "transport") if name == "Hub" else maps + ":transport"
        postfix = servers.Postfix(os.path.join(self.folder, name + "-postfix"), self.hosts[name],
                                  domain(name), SHARED_DOMAIN, transport, maps + ":recipient",
                                  f"inet:127.0.0.1:{POLICY_PORT}")
        self.postfix[name] = postfix
        self.children.append(postfix)

    def _make_exim(self):
        """Beside Site1's Postfix: to send only."""
        folder = os.path.join(self.folder, "exim")
        unpacked = os.path.join(self.folder, "exim-packages")
        for new in (folder, unpacked):
            os.mkdir(new)
        exim.unpack(unpacked)
        self.exim = exim.Exim(folder, unpacked, domain("Site1"),
                              self.sites["Site1"].path("routed", "exim"), self.hosts["Site1"].prefix())

    def replicated(self):
        """Does every site hold the connectors and people of all?"""
        wanted = "(|(objectClass=imsConnector)(mail=*)(systemAddress=*))"
        return all(s.count("o=Example", wanted) == 12
                   for s in self.sites.values())

    def set_flag(self, *values):
        """Site1's onlySystemMessagesUseCDs; none clears it."""
        self.sites["Site1"].modify(
            f"dn: {ims('Site1')}\nchangetype: modify\nreplace: onlySystemMessagesUseCDs\n"
            + "".join(f"onlySystemMessagesUseCDs: {v}\n" for v in values))

    def process_ids(self):
        return [p.pid for s in self.sites.values() for p in s.processes.values()] + \
            [p.process.pid for p in self.postfix.values()]

    def logs(self):
        text = []
        for name, site in self.sites.items():
            for program in site.processes:
                text.append(f"--- {program} of {name}\n{site.log(program)[-4000:]}")
        for name, postfix in self.postfix.items():
            text.append(f"--- Postfix of {name}\n{postfix.mail_log()[-4000:]}")
        if self.exim:
            text.append(f"--- Exim of Site1\n{self.exim.mail_log()[-4000:]}")
        return "\n".join(text)

    def close(self):
        for child in reversed(self.children):
            child.close()
        for site in self.sites.values():
            site.close()
        if self.network:
            self.network.close()
        shutil.rmtree(self.folder)


class Mail(unittest.TestCase):
    """The steps build on each other and run in the order of their names."""

    number = 0

    def setUp(self):
        self.before = world.process_ids()

    def tearDown(self):
        self.assertEqual(world.process_ids(), self.before)
        for child in world.children:
            child.check_alive()
        if self._outcome.result.failures or self._outcome.result.errors:
            print(world.logs())

    def way(self, recipient="bob@" + domain("Site2"), timeout=ARRIVES_S,
            sender="ada@" + domain("Site1")):
        """Send one message from Site1; the mail hosts it crossed, in order."""
        return self.letter(recipient, timeout, sender)[0]

    def letter(self, recipient, timeout=ARRIVES_S, sender="ada@" + domain("Site1")):
        """The same, and the message as it arrived."""
        Mail.number += 1
        subject = f"message {Mail.number}"
        world.postfix["Site1"].send(sender, recipient, subject)
        message = wait_for(f"{subject} arrives at Site2",
                           lambda: world.postfix["Site2"].delivered(subject), timeout)
        return hosts(message), message

    def becomes(self, *names):
        """Send until a message goes this way."""
        expected = [mx(n) for n in names]
        seen = []

        def new_way():
            seen.append(self.way())
            return seen[-1] == expected
        start = time.monotonic()
        wait_for(f"a message goes over {expected}", new_way, CHANGES_S, step=1)
        print(f"# {len(seen)} messages, {time.monotonic() - start:.1f} s until {expected}")

    def test_1_flag_absent_two_hops(self):
        self.becomes("Site1", "Hub", "Site2")
        self.assertEqual(self.way(), [mx("Site1"), mx("Hub"), mx("Site2")])

    def test_2_flag_set_one_hop(self):
        world.set_flag("TRUE")
        self.becomes("Site1", "Site2")
        self.assertEqual(self.way(), [mx("Site1"), mx("Site2")])

    def test_3_system_message_keeps_to_the_hub(self):
        """M3: by its recipient, its sender, and the null sender as configured here."""
        over_the_hub = [mx("Site1"), mx("Hub"), mx("Site2")]
        self.assertEqual(self.way(SYSTEM_ADDRESS), over_the_hub)
        self.assertEqual(self.way(sender=SYSTEM_SENDER), over_the_hub)
        self.assertEqual(self.way(sender=SYSTEM_SENDER.upper()), over_the_hub)
        self.assertEqual(self.way(sender=""), over_the_hub)
        self.assertEqual(self.way(), [mx("Site1"), mx("Site2")])

    def test_4_flag_set_hub_down(self):
        world.hosts["Hub"].link("down")
        try:
            self.assertEqual(self.way(), [mx("Site1"), mx("Site2")])
        finally:
            world.hosts["Hub"].link("up")

    def test_5_shared_domain_finds_the_home_site(self):
        """A domain of all three sites, without an MX: only the address list tells where bob is."""
        self.assertEqual(self.way(f"bob.site2@{SHARED_DOMAIN}"), [mx("Site1"), mx("Site2")])

    def test_5b_name_in_place_of_an_address(self):
        """R10: the DN travels as an address of the home site, which gives the mailbox its own again."""
        way, message = self.letter(f"cid+tag@{SHARED_DOMAIN}")
        self.assertEqual(way, [mx("Site1"), mx("Site2")])
        self.assertEqual(message["Delivered-To"], f"cid@{SHARED_DOMAIN}")
        self.assertEqual(message["X-Original-To"],
                         f"IMCEAEX-_o=Example_ou=Site2_cn=Recipients_cn=Cid+20+5c+2b+20Co@{domain('Site2')}")

    def test_6_flag_cleared_two_hops(self):
        world.set_flag()
        self.becomes("Site1", "Hub", "Site2")

    def test_7_flag_flips_under_way(self):
        """None of many messages is lost, bounced or doubled. Postfix keeps the answer for one recipient: there
        are many, so that new answers are asked for all the time."""
        recipients = [f"user{i}@{domain('Site2')}" for i in range(FLIGHT // SENDERS)]
        senders = [world.postfix["Site1"].send_many("ada@" + domain("Site1"), recipients, f"flight {n}")
                   for n in range(SENDERS)]
        flips = 0
        while any(p.poll() is None for p in senders):
            world.set_flag(*[["TRUE"], [], ["FALSE"]][flips % 3])
            flips += 1
            time.sleep(0.3)
        self.assertEqual([p.returncode for p in senders], [0] * SENDERS)

        def flight():
            return [m for m in world.postfix["Site2"].mailbox() if m["Subject"].startswith("flight ")]
        wait_for("all arrive", lambda: len(flight()) >= FLIGHT, 300, step=0.5)
        ways = collections.Counter("-".join(hosts(m)) for m in flight())
        print(f"# {flips} flips: {dict(ways)}")
        self.assertEqual(ways.keys(), {"-".join(mx(n) for n in names)
                                       for names in (("Site1", "Site2"), ("Site1", "Hub", "Site2"))})
        subjects = collections.Counter(m["Subject"] for m in flight())
        self.assertEqual(subjects, {f"flight {n} {i}": 1 for n in range(SENDERS)
                                    for i in range(FLIGHT // SENDERS)})
        for name in NAMES:
            self.assertNotIn("status=bounced", world.postfix[name].mail_log())

    def test_7b_routed_is_replaced_a_hundred_times(self):
        """M15: while Postfix sends mail, and it never calls a look-up a failure."""
        site, batches = world.sites["Site1"], []
        for n in range(REPLACEMENTS):
            while sum(p.poll() is None for p in batches) < SENDERS:
                batches.append(world.postfix["Site1"].send_many(
                    "ada@" + domain("Site1"), [f"user{i}@{domain('Site2')}" for i in range(BATCH)],
                    f"batch {len(batches)}"))
            old, ready = site.processes["routed"], site.log("routed").count("server.ready")
            site.start("routed", "--takeover")    # the old one may be who answers
            self.assertEqual(old.wait(30), 0, n)
            wait_for("the new one serves", lambda k=ready: site.log("routed").count("server.ready") > k)
        self.before = world.process_ids()
        self.assertEqual([p.wait(100) for p in batches], [0] * len(batches))

        def arrived():
            return collections.Counter(m["Subject"] for m in world.postfix["Site2"].mailbox()
                                       if m["Subject"].startswith("batch "))
        sent = {f"batch {b} {i}": 1 for b in range(len(batches)) for i in range(BATCH)}
        wait_for("all arrive", lambda: len(arrived()) >= len(sent), 300, step=0.5)
        self.assertEqual(arrived(), sent)
        print(f"# {REPLACEMENTS} replacements, {len(sent)} messages")
        for word in ("resolver failure", "table lookup problem", "status=bounced"):
            self.assertNotIn(word, world.postfix["Site1"].mail_log())

    def test_8_exim(self):
        """It asks by its own protocol and delivers the same ways."""
        for values, names in (((), ("Hub", "Site2")), (("TRUE",), ("Site2",))):
            world.set_flag(*values)
            way = [mx(n) for n in names]
            wait_for(f"Exim's messages go over {way}", lambda w=way: self.way_of_exim() == w, CHANGES_S)
        self.assertEqual(self.way_of_exim(SYSTEM_ADDRESS), [mx("Hub"), mx("Site2")])
        self.assertEqual(self.way_of_exim(f"bob.site2@{SHARED_DOMAIN}"), [mx("Site2")])
        self.assertEqual(self.way_of_exim(f"cid@{SHARED_DOMAIN}"), [mx("Site2")])

    def way_of_exim(self, recipient="bob@" + domain("Site2")):
        """The hosts after Exim's own."""
        Mail.number += 1
        subject = f"message {Mail.number}"
        status, out = world.exim.send("ada@" + domain("Site1"), recipient, subject)
        self.assertEqual(status, 0, out)
        return hosts(wait_for(f"{subject} arrives at Site2",
                              lambda: world.postfix["Site2"].delivered(subject), ARRIVES_S))[1:]

    def test_9_clean_stop(self):
        for site in world.sites.values():
            for program in ("routed", "dird"):
                site.stop(program)
        self.before = world.process_ids()


lacking = servers.missing()
if lacking:
    tap.skip_all(f"{lacking} is not installed (tools/install-deps --test)")
world = World()
try:
    world.build()
    wait_for("all sites hold everything", world.replicated, 60)
    tap.main()
except network.Unavailable as e:
    tap.skip_all(str(e))
except Exception:
    print(world.logs())
    raise
finally:
    world.close()
