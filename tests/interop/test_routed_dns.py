#!/usr/bin/python3
# tests/run: build=gcc timeout=300
"""DNS checks of direct routes (M18, M20) and dampening (M21): routed, a scripted directory, NSD.

Times are short here; the unit tests have the real ones.
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import tap  # noqa: E402
import test_routed as base  # noqa: E402
from waypost import free_port, run, wait_for  # noqa: E402

GOOD = "s2 MX 10 mx.s2\nmx.s2 A 203.0.113.2\n"
QUICK = {"dns-check": "yes", "dns-confirm": "300ms", "dns-recheck-min": "100ms",
         "dns-recheck-max": "100ms"}


class Nsd:
    """NSD on a port of the loopback, the authority for example.com."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        os.makedirs(folder)
        self.zone(GOOD, reload=False)
        with open(self._path("nsd.conf"), "w", encoding="ascii") as f:
            f.write(f"""server:
	ip-address: 127.0.0.1@{self.port}
	server-count: 1
	username: ""
	zonesdir: "{folder}"
	database: ""
	pidfile: "{folder}/nsd.pid"
	xfrdfile: "{folder}/xfrd.state"
	xfrdir: "{folder}"
	zonelistfile: "{folder}/zone.list"
remote-control:
	control-enable: no
zone:
	name: example.com
	zonefile: zone
""")
        self.process = None
        self.start()

    def _path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        with open(self._path("log"), "ab") as log:
            self.process = subprocess.Popen(["nsd", "-d", "-c", self._path("nsd.conf")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("nsd answers", self._answers)

    def _answers(self):
        query = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x06\0\x01"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.connect(("127.0.0.1", self.port))
            try:
                s.send(query)
                return s.recv(512)[3] & 15 == 0
            except OSError:
                return False

    def zone(self, records, reload=True):
        """Serve these records, with a TTL of 0."""
        with open(self._path("zone"), "w", encoding="ascii") as f:
            f.write("$ORIGIN example.com.\n$TTL 0\n"
                    "@ SOA ns hostmaster 1 3600 900 86400 0\n@ NS ns\nns A 203.0.113.1\n" + records)
        os.utime(self._path("zone"), ns=(Nsd.stamp(), Nsd.stamp()))
        if reload:
            self.process.send_signal(signal.SIGHUP)

    _stamp = 1_700_000_000

    @classmethod
    def stamp(cls):
        """NSD reads a zone again when its time is another, in seconds."""
        cls._stamp += 1
        return cls._stamp * 1_000_000_000

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)


class DnsBase(base.Base):
    def setUp(self):
        super().setUp()
        self.nsd = Nsd(os.path.join(self.folder, "nsd"))
        self.addCleanup(self.nsd.stop)

    def checked(self, **more):
        """A routed with the flag on, which checks."""
        base.net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        d = self.routed(**{**QUICK, "dns-server": f"127.0.0.1:{self.nsd.port}", **more})
        wait_for("a table", lambda: d.status()["table"] == "directory")
        return d

    def explain(self, d, address="bob@s2.example.com"):
        return json.loads(d.control(f"explain user {address} json"))

    def reason(self, d, *wanted):
        """Wait for (reason, DNS state, verdict)."""
        seen = []

        def same():
            e = self.explain(d)
            seen[:] = [(e["reason"], e.get("dns"), e.get("dnsVerdict"))]
            return seen[0] == wanted
        try:
            wait_for(f"{wanted}", same, 30, step=0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}; last {seen}\n{d.log()[-4000:]}") from e


class Health(DnsBase):
    def test_on_after_two_checks_and_off_after_two(self):
        d = self.checked(dampen="no")
        d.becomes(base.DIRECT)
        self.reason(d, "OK", "up", "GOOD")
        explained = d.control("explain user bob@s2.example.com text").decode()
        self.assertIn("DNS:       up, last check GOOD (mx.s2.example.com), TTL 0 s", explained)
        for records, verdict in (("s2 MX 0 .\n", "NULL_MX"),
                                 ("other A 203.0.113.9\n", "NO_DOMAIN"),
                                 ("s2 TXT x\n", "NO_ADDRESS"),
                                 ("s2 MX 10 mx.s2\nmx.s2 A 127.0.0.5\n", "BAD_ADDRESS"),
                                 ("s2 MX 10 mx.s2\nmx.s2 AAAA ::\n", "BAD_ADDRESS")):
            with self.subTest(verdict=verdict, records=records):
                self.nsd.zone(records)
                self.reason(d, "DNS_UNHEALTHY", "down", verdict)
                d.becomes(base.VIA_HUB)
                self.nsd.zone(GOOD)
                d.becomes(base.DIRECT)
        # The site without an MX is mailed at its address.
        self.nsd.zone("s2 A 203.0.113.2\n")
        wait_for("the implicit MX is seen", lambda: self.explain(d)["dnsTarget"] == "s2.example.com")
        self.assertEqual(d.ask("bob@s2.example.com"), base.DIRECT)

    def test_own_host_is_no_target(self):
        """By name as configured, and by an address of this machine."""
        d = self.checked(**{"dns-self": "mx.s2.example.com"})
        self.reason(d, "DNS_UNHEALTHY", "down", "OWN_HOST")
        d.stop()
        d = self.checked(**{"dns-self": "203.0.113.2"})
        self.reason(d, "DNS_UNHEALTHY", "down", "OWN_HOST")

    def test_exchange_that_is_an_alias(self):
        self.nsd.zone("s2 MX 10 mx.s2\nmx.s2 CNAME host\nhost A 203.0.113.2\n")
        d = self.checked(**{"log-level": "debug"})
        d.becomes(base.DIRECT)
        self.assertRegex(d.log(), r"dns\.alias domain=s2\.example\.com exchange=mx\.s2\.example\.com")
        wait_for("more checks", lambda: d.log().count("dns.checked domain=s2.example.com") > 20)
        self.assertEqual(d.log().count("dns.alias domain=s2"), 1)  # once, not at each check

    def test_no_answer_keeps_the_state_then_not(self):
        d = self.checked(**{"dns-hold": "4s"})
        d.becomes(base.DIRECT)
        self.nsd.stop()
        wait_for("a check without an answer",
                 lambda: self.explain(d)["dnsVerdict"] == "NO_ANSWER")
        self.assertEqual(self.explain(d)["reason"], "OK")
        self.reason(d, "DNS_UNHEALTHY", "down", "NO_ANSWER")
        d.becomes(base.VIA_HUB)
        self.nsd.start()
        d.becomes(base.DIRECT)

    def test_restart_keeps_a_direct_route(self):
        d = self.checked()
        d.becomes(base.DIRECT)
        self.nsd.stop()
        d.stop()
        d.start()
        wait_for("read from the directory", lambda: d.status()["table"] == "directory")
        self.assertEqual(d.ask("bob@s2.example.com"), base.DIRECT)
        self.assertEqual(self.explain(d)["dns"], "up")

    def test_unconfirmed_shows(self):
        d = self.checked(**{"dns-confirm": "1h"})
        self.reason(d, "DNS_UNCONFIRMED", "unconfirmed", "GOOD")
        status = d.status()
        self.assertEqual((status["dns_unconfirmed"], status["routes_held"], status["routes_direct"]),
                         ("2", "2", "0"))
        self.assertEqual(d.ask("bob@s2.example.com"), base.VIA_HUB)

    def test_without_checks_routes_switch_at_once(self):
        base.net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        d = self.routed(**{"dns-server": f"127.0.0.1:{self.nsd.port}"})
        d.becomes(base.DIRECT)
        self.assertNotIn("dns_domains", d.status())
        self.assertNotIn("dns", self.explain(d))


class Liar(threading.Thread):
    """A name server whose answers are wrong in one way each: to the id, the question, the size."""

    def __init__(self, spoil):
        super().__init__(daemon=True)
        self.spoil, self.asked = spoil, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            try:
                query, peer = self.socket.recvfrom(4096)
                self.peer = peer
            except OSError:
                return
            self.asked += 1
            end = query.index(b"\0", 12) + 5
            question = query[12:end]
            address = b"\xc0\x0c\0\x01\0\x01\0\0\0\0\0\x04\xcb\0\x71\x02"
            wants_a = question[-3] == 1
            head = query[:2] + b"\x81\x80\0\x01" + (b"\0\x01" if wants_a else b"\0\0") + b"\0\0\0\0"
            answer = self.spoil(head, question, address if wants_a else b"")
            if answer:
                self.socket.sendto(answer, peer)

    def close(self):
        self.socket.close()


class Stranger(Liar):
    """Its answers are right, and come from another port than was asked."""

    def __init__(self):
        self.other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.other.bind(("127.0.0.1", 0))
        super().__init__(None)
        self.spoil = self.answer

    def answer(self, head, question, address):
        self.other.sendto(head + question + address, self.peer)
        return b""

    def close(self):
        super().close()
        self.other.close()


class Lies(DnsBase):
    """M20: what does not fit the question is no answer. The last row shows that the others fail for
    what was spoilt, not for something else."""

    ROWS = {
        "another id": lambda h, q, a: bytes([h[0] ^ 1]) + h[1:] + q + a,
        "a query": lambda h, q, a: h[:2] + b"\x01\0" + h[4:] + q + a,
        "another question": lambda h, q, a: h + q.replace(b"s2", b"s3") + a,
        "cut": lambda h, q, a: (h + q + a)[:20],
        "more records than there are": lambda h, q, a: h[:6] + b"\xff\xff" + h[8:] + q + a,
        "garbage": lambda h, q, a: h[:2] + b"\xff" * 40,
    }

    def test_wrong_answers(self):
        for name, spoil in self.ROWS.items():
            with self.subTest(name):
                liar = Liar(spoil)
                d = self.checked(**{"dns-server": f"127.0.0.1:{liar.port}"})
                self.reason(d, "DNS_UNCONFIRMED", "unconfirmed", "NO_ANSWER")
                self.assertGreater(liar.asked, 0)
                d.stop()
                liar.close()

    def test_answer_from_somebody_else(self):
        liar = Stranger()
        self.addCleanup(liar.close)
        d = self.checked(**{"dns-server": f"127.0.0.1:{liar.port}"})
        self.reason(d, "DNS_UNCONFIRMED", "unconfirmed", "NO_ANSWER")
        self.assertGreater(liar.asked, 0)

    def test_answer_too_long_for_a_datagram(self):
        """It is asked for again over TCP."""
        many = "".join(f"s2 MX 20 a-rather-long-name-of-a-mail-exchange-number-{i}\n" for i in range(60))
        self.nsd.zone(GOOD + many)
        d = self.checked()
        d.becomes(base.DIRECT)

    def test_right_answers(self):
        liar = Liar(lambda h, q, a: h + q + a)
        self.addCleanup(liar.close)
        d = self.checked(**{"dns-server": f"127.0.0.1:{liar.port}"})
        d.becomes(base.DIRECT)


class SplitHorizon(DnsBase):
    """M20: another resolver is asked, too; what it says is told and changes nothing."""

    def setUp(self):
        super().setUp()
        self.outside = Nsd(os.path.join(self.folder, "outside"))
        self.addCleanup(self.outside.stop)

    def differs(self, d, *wanted):
        wait_for(f"{wanted}", lambda: (lambda e: (e.get("dnsElsewhere"), e.get("dnsDiffers")))(
            self.explain(d)) == wanted, 30, step=0.02)

    def test_differences(self):
        d = self.checked(**{"dns-compare": f"127.0.0.1:{self.outside.port}"})
        d.becomes(base.DIRECT)
        self.differs(d, "GOOD", "none")
        self.assertEqual(d.status()["dns_views_differ"], "0")
        generation = d.status()["generation"]
        for records, elsewhere, what in (
                ("s2 MX 0 .\n", "NULL_MX", "verdict"),
                ("s2 MX 10 other.s2\nother.s2 A 203.0.113.2\n", "GOOD", "exchanges"),
                ("s2 MX 20 mx.s2\nmx.s2 A 203.0.113.2\n", "GOOD", "exchanges"),
                ("s2 MX 10 mx.s2\nmx.s2 A 198.51.100.7\n", "GOOD", "addresses"),
                ("s2 MX 10 mx.s2\nmx.s2 A 203.0.113.2\nmx.s2 AAAA 2001:db8::2\n", "GOOD", "addresses"),
                ("other A 203.0.113.9\n", "NO_DOMAIN", "verdict")):
            with self.subTest(records):
                self.outside.zone(records)
                self.differs(d, elsewhere, what)
                status = d.status()
                self.assertIn(f"s2.example.com:{what}", status["dns_views"].split(" "))
                self.assertNotEqual(status["dns_views_differ"], "0")
                self.assertRegex(d.log(), r"dns\.views-differ domain=s2\.example\.com "
                                          rf"what={what} own=GOOD:mx\.s2\.example\.com second={elsewhere}:")
                text = d.control("explain user bob@s2.example.com text").decode()
                self.assertRegex(text, rf"\n +elsewhere {elsewhere}.*, which differs in {what}\n")
                self.outside.zone(GOOD)
                self.differs(d, "GOOD", "none")
        self.assertEqual(d.ask("bob@s2.example.com"), base.DIRECT)
        self.assertEqual(d.status()["generation"], generation)
        self.assertIn("dns.views-agree domain=s2.example.com", d.log())
        self.assertNotIn("dns_views", d.status())

    def test_told_once(self):
        self.outside.zone("s2 MX 0 .\n")
        d = self.checked(**{"dns-compare": f"127.0.0.1:{self.outside.port}", "log-level": "debug"})
        self.differs(d, "NULL_MX", "verdict")
        wait_for("many checks", lambda: d.log().count("dns.checked domain=s2.example.com") > 20)
        self.assertEqual(d.log().count("dns.views-differ domain=s2.example.com"), 1)

    def test_second_resolver_is_silent(self):
        self.outside.stop()
        d = self.checked(**{"dns-compare": f"127.0.0.1:{self.outside.port}"})
        d.becomes(base.DIRECT)
        self.differs(d, "NO_ANSWER", "none")
        self.assertEqual(d.status()["dns_views_differ"], "0")

    def test_order_is_no_difference(self):
        many = "".join(f"mx.s2 A 203.0.113.{i}\n" for i in range(2, 12))
        self.nsd.zone("s2 MX 10 mx.s2\ns2 MX 10 my.s2\nmy.s2 A 203.0.113.2\n" + many)
        self.outside.zone("s2 MX 10 my.s2\ns2 MX 10 mx.s2\n"
                          + "".join(reversed(many.splitlines(True))) + "my.s2 A 203.0.113.2\n")
        d = self.checked(**{"dns-compare": f"127.0.0.1:{self.outside.port}"})
        self.differs(d, "GOOD", "none")
        d.becomes(base.DIRECT)
        self.assertNotIn("dns.views-differ", d.log())


class Dampening(DnsBase):
    QUICK_DAMP = {"dampen-half-life": "2s", "dampen-max": "6s"}

    def flap(self, d, until, times=12):
        for i in range(times):
            generation = int(d.status()["generation"])
            base.put_ims(self.provider, "S1", "H",
                         onlySystemMessagesUseCDs="FALSE" if i % 2 == 0 else "TRUE")
            wait_for("the change is computed or suppressed",
                     lambda g=generation: int(d.status()["generation"]) > g or until())
            if until():
                return i + 1
        self.fail("never dampened\n" + d.log())

    def test_directory_flips_with_dampen_all(self):
        base.net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        d = self.routed(dampen="all", **{**self.QUICK_DAMP, "dampen-half-life": "15min",
                                         "dampen-max": "60min"})
        d.becomes(base.DIRECT)
        suppressed = lambda: int(d.status()["dampened"]) > 0  # noqa: E731
        self.assertLessEqual(self.flap(d, suppressed), 5)
        base.put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        d.becomes(base.VIA_HUB)
        self.reason(d, "DAMPENED", None, None)
        # While it is suppressed, further flips do not show in the table of user routes.
        generation = d.status()["generation"]
        for value in ("FALSE", "TRUE", "FALSE", "TRUE"):
            base.put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs=value)
            d.control("recalc")
        base.put_site(self.provider, "S9")
        wait_for("all of it is computed", lambda: d.ask("x@s9.example.com") != base.NOTFOUND)
        self.assertLessEqual(int(d.status()["generation"]), int(generation) + 2)
        self.assertEqual(d.ask("bob@s2.example.com"), base.VIA_HUB)

    def test_dns_flips(self):
        d = self.checked()
        d.becomes(base.DIRECT)
        for _ in range(3):
            self.nsd.zone("s2 MX 0 .\n")
            wait_for("down", lambda: self.explain(d)["dns"] == "down")
            self.nsd.zone(GOOD)
            wait_for("up", lambda: self.explain(d)["dns"] == "up")
        self.reason(d, "DAMPENED", "up", "GOOD")
        self.assertEqual(d.ask("bob@s2.example.com"), base.VIA_HUB)
        self.assertRegex(d.control("explain user bob@s2.example.com text").decode(),
                         r"Dampening: penalty \d{4}, suppressed")

    def test_restart_keeps_the_suppression(self):
        """M21: neither an ordinary restart nor kill -9 is a way out; a damaged file is told and left."""
        base.net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        d = self.routed(dampen="all")
        d.becomes(base.DIRECT)
        self.flap(d, lambda: int(d.status()["dampened"]) > 0)
        base.put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        self.reason(d, "DAMPENED", None, None)
        saved = d.path("routed", "dampening")
        wait_for("it is on disk", lambda: os.path.exists(saved))
        d.process.kill()
        d.process.wait()
        d.start()
        wait_for("read from the directory", lambda: d.status()["table"] == "directory")
        self.reason(d, "DAMPENED", None, None)
        d.stop()
        d.start()
        self.reason(d, "DAMPENED", None, None)
        self.assertNotEqual(d.status()["dampened"], "0")
        d.stop()
        with open(saved, "r+b") as f:
            f.seek(30)
            f.write(b"x")
        d.start()
        d.becomes(base.DIRECT)
        self.assertIn("dampening.load path=", d.log())

    def test_suppression_ends(self):
        base.net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        d = self.routed(dampen="all", **{**self.QUICK_DAMP, "dampen-suppress": "1500"})
        d.becomes(base.DIRECT)
        self.flap(d, lambda: int(d.status()["dampened"]) > 0)
        base.put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        self.reason(d, "DAMPENED", None, None)
        d.becomes(base.DIRECT)
        self.assertEqual(d.status()["dampened"], "0")

    def test_operators_changes_are_not_dampened_by_default(self):
        d = self.checked()
        for value in ("FALSE", "TRUE") * 5:
            base.put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs=value)
            d.becomes(base.DIRECT if value == "TRUE" else base.VIA_HUB)
        self.assertEqual(d.status()["dampened"], "0")


class Settings(base.Base):
    def test_bad_values(self):
        d = self.routed(start=False, **{"dns-compare": "192.0.2.1", "dampen": "some", "dns-recheck-min": "2min",
                                        "dns-recheck-max": "1min", "dampen-reuse": "3000"})
        status, _, err = run("routed", "--config", d.path("routed.conf"), "--check", check=False)
        self.assertEqual(status, 2)
        for text in ('dampen: "some" is not dns, all or no',
                     "dns-compare without dns-check",
                     "dns-recheck-min is longer than dns-recheck-max",
                     "dampen-reuse is not below dampen-suppress"):
            self.assertIn(text, err)


if __name__ == "__main__":
    if shutil.which("nsd", path="/usr/sbin:/usr/bin:/sbin:/bin") is None:
        tap.skip_all("nsd is not installed (tools/install-deps --test)")
    tap.main()
