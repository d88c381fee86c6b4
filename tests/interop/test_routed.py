#!/usr/bin/python3
# tests/run: build=gcc timeout=600
"""routed against a scripted directory: answers, changes, faults of the provider, its own restarts."""
import contextlib
import grp
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import fake_provider as fake  # noqa: E402
import postfix  # noqa: E402
import tap  # noqa: E402
from waypost import free_port, run, wait_for  # noqa: E402

ROOT = "o=Example"
ROUTES = f"cn=Routes,cn=Configuration,ou=S1,{ROOT}"


def site_dn(name):
    return f"ou={name},{ROOT}"


def ims_dn(name):
    return f"cn=IMS-{name},cn=Connections,cn=Configuration,{site_dn(name)}"


def domain(name):
    return {"H": "hub"}.get(name, name.lower()) + ".example.com"


def put_site(provider, name, **more):
    provider.put(site_dn(name), objectClass=["organizationalUnit", "mailSite"], ou=name,
                 siteSmtpDomain=domain(name), **more)


def put_ims(provider, name, *neighbours, **more):
    provider.put(ims_dn(name), objectClass=["mailConnector", "imsConnector"], cn="IMS-" + name,
                 connectedDomains=[f"{n};1;SMTP:{domain(n)}" for n in neighbours], **more)


def net_n1(provider, **flag):
    """docs/routing.md, worked examples: two spokes and a hub."""
    for name in ("S1", "S2", "H"):
        put_site(provider, name)
    put_ims(provider, "S1", "H", **flag)
    put_ims(provider, "S2", "H")
    put_ims(provider, "H", "S1", "S2")


class Routed:
    """A routed with a folder of its own."""

    def __init__(self, folder, uri, site="S1", **more):
        self.folder, self.process = folder, None
        os.makedirs(folder, exist_ok=True)
        settings = {"quiet": "0ms", "ceiling": "0ms", "timeout": "700ms", "heartbeat": "700ms",
                    "reconnect-max": "300ms", **more}
        with open(self.path("routed.conf"), "w", encoding="ascii") as f:
            f.write(f"organisation {ROOT}\nsite {site}\ndirectory {uri}\nstate routed\n"
                    "socketmap unix:routed/socketmap\ncontrol routed/control\n")
            for key, value in settings.items():
                f.write(f"{key} {value}\n")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    @property
    def socketmap(self):
        return self.path("routed", "socketmap")

    def start(self):
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(["routed", "--config", self.path("routed.conf")],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("routed listens", self.listens)
        return self

    def listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"routed ended: {self.process.returncode}\n{self.log()}")
        try:
            for path in (self.socketmap, self.path("routed", "control")):
                with socket.socket(socket.AF_UNIX) as s:
                    s.connect(path)
            return True
        except OSError:
            return False

    def log(self):
        with open(self.path("log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(15)
        s.connect(self.socketmap)
        return s

    def ask(self, key, table="transport"):
        with self.connect() as s:
            s.sendall(frame(f"{table} {key}"))
            return read_frames(s, 1)[0]

    def control(self, line):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(self.path("routed", "control"))
            s.sendall(line.encode() + b"\n")
            data = b""
            while piece := s.recv(65536):
                data += piece
            return data

    def status(self):
        return dict(line.split("=", 1) for line in self.control("status").decode().splitlines())

    def becomes(self, answer, key="bob@s2.example.com", table="transport", timeout=20):
        seen = []

        def same():
            seen[:] = [self.ask(key, table)]
            return seen[0] == answer
        try:
            wait_for(f"{key} -> {answer}", same, timeout, step=0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}; last {seen[0]}\n{self.log()[-6000:]}") from e

    def stop(self):
        """SIGTERM; the exit status must be 0."""
        if self.process is None:
            return
        p, self.process = self.process, None
        if p.poll() is None:
            p.send_signal(signal.SIGTERM)
        status = p.wait(20)
        if status != 0:
            raise AssertionError(f"routed: exit status {status}\n{self.log()[-6000:]}")


def frame(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"%d:%s," % (len(data), data)


def read_frames(sock, count):
    """Replies as text; fewer when the server closes."""
    data, out = b"", []
    while len(out) < count:
        m = re.match(rb"(\d+):", data)
        end = m.end() + int(m.group(1)) if m else None
        if m and len(data) > end:
            assert data[end:end + 1] == b",", data[:200]
            out.append(data[m.end():end].decode())
            data = data[end + 1:]
            continue
        piece = sock.recv(65536)
        if not piece:
            break
        data += piece
    return out


VIA_HUB = "OK smtp:hub.example.com"
DIRECT = "OK smtp:s2.example.com"
NOTFOUND = "NOTFOUND "


class Base(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="routed-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.provider = fake.Provider()
        self.addCleanup(self.close_provider)
        self.daemons = []
        self.addCleanup(self.stop_daemons)

    def close_provider(self):
        self.provider.close()
        self.assertEqual(self.provider.problems, [])

    def stop_daemons(self):
        for d in self.daemons:
            d.stop()

    def routed(self, start=True, **more):
        more.setdefault("publish", "no")
        d = Routed(os.path.join(self.folder, f"d{len(self.daemons)}"), self.provider.uri, **more)
        self.daemons.append(d)
        return d.start() if start else d

    def n1(self, **more):
        net_n1(self.provider)
        d = self.routed(**more)
        d.becomes(VIA_HUB)
        return d


class Answers(Base):
    def test_keys(self):
        """M13: what Postfix sends, and what comes back."""
        put_site(self.provider, "S3", siteSharedDomain="shared.example.com")
        net_n1(self.provider)
        put_ims(self.provider, "S1", "H", routingList=["SMTP:*.partner.example;3",
                                                       "SMTP:vip@else.example;1"])
        d = self.routed()
        d.becomes(VIA_HUB)
        for key, answer in [
                ("bob@S2.Example.COM", VIA_HUB), ("BOB@s2.example.com", VIA_HUB),
                ("Bob+Ext@s2.example.com", VIA_HUB), ("bob@s2.example.com.", VIA_HUB),
                ('"b o b"@s2.example.com', VIA_HUB), ("s2.example.com", VIA_HUB),
                ("bob@host.s2.example.com", VIA_HUB), ("bob@a.b.s2.example.com", VIA_HUB),
                ("j\u00fcrgen@s2.example.com", VIA_HUB), ("a@b@s2.example.com", VIA_HUB),
                ("eve@hub.example.com", VIA_HUB),
                ("x@www.partner.example", "OK smtp:"),
                ("vip@else.example", "OK smtp:"), ("vip+tag@else.example", "OK smtp:"),
                ("nobody@else.example", NOTFOUND),
                ("ada@s1.example.com", NOTFOUND), ("ada@x.s1.example.com", NOTFOUND),
                ("x@elsewhere.org", NOTFOUND), ("example.com", NOTFOUND),
                ("x@xs2.example.com", NOTFOUND), ("*", NOTFOUND), ("<>", NOTFOUND),
                ('"<>"', NOTFOUND), ("", NOTFOUND), ("@s2.example.com", NOTFOUND),
                ("bob@", NOTFOUND), ("bob@s3.example.com",
                                     "OK retry:4.4.4 no mail route to site S3")]:
            with self.subTest(key=key):
                self.assertEqual(d.ask(key), answer)
        self.assertRegex(d.ask("x", "sndtransport"), "^PERM unknown map name sndtransport")
        self.assertEqual(d.ask("a\x01b@s2.example.com"), "PERM key is no mail address")
        self.assertEqual(d.ask("a" * 10001), "PERM key is too long")
        self.assertEqual(d.ask("a" * 9980 + "@s2.example.com"), VIA_HUB)
        with d.connect() as s:
            s.sendall(frame(b"transport \xff\xfe@s2.example.com") + frame("nothing"))
            self.assertEqual(read_frames(s, 2), ["PERM key is no mail address",
                                                 "PERM request is not: map, blank, key"])

    def test_pipelining_keeps_order(self):
        d = self.n1()
        keys = [("bob@s2.example.com", VIA_HUB), ("x@elsewhere.org", NOTFOUND)] * 3000
        with d.connect() as s:
            data = b"".join(frame("transport " + k) for k, _ in keys)
            sender = threading.Thread(target=s.sendall, args=(data,))
            sender.start()
            self.assertEqual(read_frames(s, len(keys)), [a for _, a in keys])
            sender.join()
        with d.connect() as s:
            for byte in frame("transport bob@s2.example.com"):
                s.sendall(bytes([byte]))
            self.assertEqual(read_frames(s, 1), [VIA_HUB])

    def test_slow_reader_stops_only_itself(self):
        d = self.n1()
        with d.connect() as slow:
            slow.setblocking(False)
            data = frame("transport bob@s2.example.com") * 2000
            sent, total = 1, 0
            while sent and total < 1 << 24:
                try:
                    sent = slow.send(data)
                except BlockingIOError:
                    sent = 0
                total += sent
            self.assertLess(total, 1 << 24)
            self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)

    def test_broken_frames_end_the_connection(self):
        d = self.n1()
        for bad in (b"x", b"-1:a,", b"0000010:", b"1000000000:", b"3:abcd", b":", b"11000:"):
            with self.subTest(bad=bad), d.connect() as s:
                s.sendall(frame("transport bob@s2.example.com") + bad)
                self.assertIn(read_frames(s, 2), ([VIA_HUB], []))
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)

    def test_flag_and_back(self):
        """docs/routing.md, worked examples: E1 becomes E2 without a restart, and E1 again."""
        d = self.n1()
        put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        d.becomes(DIRECT)
        put_ims(self.provider, "S1", "H")
        d.becomes(VIA_HUB)
        put_site(self.provider, "S1", onlySystemMessagesUseCDs="TRUE")
        d.becomes(DIRECT)

    def test_system_recipient_keeps_to_the_hub(self):
        """M3"""
        net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        put_site(self.provider, "S2", systemAddress=["dirsync@s2.example.com"])
        d = self.routed()
        d.becomes(DIRECT)
        for key in ("dirsync@s2.example.com", "DirSync@S2.example.com", "dirsync+7@s2.example.com"):
            self.assertEqual(d.ask(key), VIA_HUB)

    def test_deleted_objects_vanish(self):
        """M9"""
        d = self.n1()
        self.provider.remove(ims_dn("S1"))
        self.assertNotIn("table.unreachable", d.log())
        d.becomes("OK retry:4.4.4 no mail route to site S2")
        wait_for("the event (R12)", lambda: "table.unreachable sites=2 first=H" in d.log())
        self.provider.remove(site_dn("S2"))
        self.provider.remove(ims_dn("S2"))
        self.provider.remove(ims_dn("H"))
        d.becomes(NOTFOUND)

    def test_one_bad_value_disables_itself_only(self):
        """M8"""
        d = self.n1()
        put_ims(self.provider, "S2", "H", routingList=["SMTP:*@good.example;1", "SMTP:bad;101"])
        d.becomes(VIA_HUB, "x@good.example")
        self.assertEqual(d.status()["ignored"], "1")
        self.assertIn("table.ignored", d.log())

    def test_site_rename_takes_its_connectors_along(self):
        """Rule 3: no message comes for the entries below."""
        d = self.n1()
        entry = fake.Entry("ou=S9," + ROOT, objectClass=["organizationalUnit", "mailSite"],
                           ou="S9", siteSmtpDomain=domain("S2"))
        entry.uuid = fake.uuid_of(site_dn("S2").lower())
        put_ims(self.provider, "H", "S1", "S9")
        session = self.provider.sessions[-1]
        d.becomes("OK retry:4.4.4 no mail route to site S2")
        session.entry(fake.MODIFY, entry, "g99")
        d.becomes(VIA_HUB)

    def test_postmap(self):
        """The real client."""
        d = self.n1()
        conf = postfix.config_folder()
        postmap = shutil.which("postmap", path="/usr/sbin:/usr/bin")
        if postmap is None:
            self.skipTest("no postmap")
        os.chmod(self.folder, 0o755)

        def query(key, table="transport"):
            status, out, err = run(postmap, "-c", conf, "-q", key,
                                   f"socketmap:unix:{d.socketmap}:{table}", check=False)
            return status, out.strip(), err
        self.assertEqual(query("Bob+x@S2.example.com")[:2], (0, "smtp:hub.example.com"))
        self.assertEqual(query("x@elsewhere.org")[:2], (1, ""))
        self.assertIn("unknown map", query("x@y", "nonsense")[2])


class Directory(Base):
    def test_starts_before_the_directory(self):
        self.provider.close()
        port = self.provider.port
        d = self.routed()
        self.assertEqual(d.ask("bob@s2.example.com"), "TEMP no route table yet")
        self.assertEqual(d.ask("*"), NOTFOUND)
        self.assertEqual(d.ask("x@y.example", "recipient"), "TEMP no route table yet")
        self.provider = fake.Provider(port)
        net_n1(self.provider)
        self.provider.hang_up_all()
        d.becomes(VIA_HUB)

    def test_last_table_serves_while_the_directory_is_away(self):
        """M14, also over a restart of routed."""
        d = self.n1()
        self.provider.close()
        wait_for("session lost", lambda: d.status()["directory"] != "current")
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)
        d.stop()
        d.start()
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)
        self.assertEqual(d.status()["table"], "disk")
        self.assertIn("table.loaded", d.log())
        self.provider = fake.Provider(self.provider.port)
        net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        self.provider.hang_up_all()
        d.becomes(DIRECT)
        self.assertEqual(d.status()["table"], "directory")

    def test_damaged_table_is_refused(self):
        d = self.n1()
        d.stop()
        self.provider.close()
        with open(d.path("routed", "table"), "r+b") as f:
            f.seek(-3, os.SEEK_END)
            byte = f.read(1)
            f.seek(-3, os.SEEK_END)
            f.write(bytes([byte[0] ^ 0x40]))
        d.start()
        self.assertEqual(d.ask("bob@s2.example.com"), "TEMP no route table yet")
        self.assertIn("table.load ", d.log())

    def test_table_of_another_site_is_refused(self):
        d = self.n1()
        d.stop()
        self.provider.close()
        with open(d.path("routed.conf"), encoding="ascii") as f:
            text = f.read().replace("site S1", "site S2")
        with open(d.path("routed.conf"), "w", encoding="ascii") as f:
            f.write(text)
        d.start()
        self.assertEqual(d.ask("bob@hub.example.com"), "TEMP no route table yet")
        self.assertIn("table of site S1", d.log())

    def test_disk_that_takes_nothing_is_tried_again(self):
        """The table in use is not the one a restart would find: that is told, and mended."""
        d = self.n1()
        wait_for("saved", lambda: os.path.exists(d.path("routed", "table")))
        os.unlink(d.path("routed", "table"))
        os.makedirs(d.path("routed", "table", "in the way"))
        put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        d.becomes(DIRECT)
        wait_for("it is told", lambda: d.status()["table_saved"] == "0")
        self.assertIn("routed/table: ", d.status()["save_error"])
        shutil.rmtree(d.path("routed", "table"))
        wait_for("saved after all", lambda: d.status()["table_saved"] == "1")
        self.assertNotIn("save_error", d.status())
        self.assertEqual((d.log().count("table.save "), d.log().count("table.saved ")), (1, 1))
        self.provider.close()
        d.stop()
        d.start()
        self.assertEqual(d.ask("bob@s2.example.com"), DIRECT)

    def test_cookie_is_used_on_reconnect(self):
        d = self.n1()
        self.provider.script(lambda s: s.refresh_delete("g50"))
        self.provider.hang_up_all()
        wait_for("second search", lambda: len(self.provider.syncs) == 2)
        self.assertEqual(self.provider.syncs, [None, "g7"])
        wait_for("current", lambda: d.status()["directory"] == "current")
        self.provider.hang_up_all()
        wait_for("third search", lambda: len(self.provider.syncs) == 3)
        self.assertEqual(self.provider.syncs[2], "g50")
        d.becomes(VIA_HUB)

    def test_silent_provider_is_replaced(self):
        """Rule 9: heartbeat by Who am I?"""
        d = self.n1()
        first = self.provider.sessions[-1]
        wait_for("heartbeat", lambda: first.probes > 2)
        self.assertEqual(len(self.provider.syncs), 1)
        first.answer_probes = False
        wait_for("new session", lambda: len(self.provider.syncs) == 2)
        self.assertIn("no answer to the heartbeat", d.log())

    def test_silent_tls_handshake_hurts_nobody(self):
        """M30: libldap has no bound of its own there."""
        d = self.n1()
        d.stop()
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(20)
            with open(d.path("routed.conf"), encoding="ascii") as f:
                text = f.read()
            with open(d.path("routed.conf"), "w", encoding="ascii") as f:
                f.write(text.replace(self.provider.uri,
                                     f"ldaps://127.0.0.1:{silent.getsockname()[1]}"))
            d.start()
            wait_for("the watchdog", lambda: "sub.hang" in d.log())
            wait_for("another try", lambda: int(d.status()["sessions"]) >= 2)
            self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)
            d.stop()

    def test_own_site_unknown_keeps_the_table(self):
        d = self.n1()
        self.provider.remove(site_dn("S1"))
        wait_for("complaint", lambda: "table.no-site" in d.log())
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)

    def test_table_that_loses_most_routes_is_held(self):
        net_n1(self.provider)
        names = [f"X{i}" for i in range(12)]
        for name in names:
            put_site(self.provider, name)
        put_ims(self.provider, "H", "S1", "S2", *names)
        d = self.routed()
        d.becomes(VIA_HUB, "a@x11.example.com")
        put_ims(self.provider, "H", "S1")
        wait_for("held", lambda: "table.held" in d.log())
        self.assertEqual(d.ask("a@x11.example.com"), VIA_HUB)
        run("routectl", "accept", "--config", d.path("routed.conf"))
        d.becomes("OK retry:4.4.4 no mail route to site X11", "a@x11.example.com")

    def test_burst_gives_one_recompute(self):
        d = self.n1(quiet="200ms", ceiling="5s")
        before = int(d.status()["generation"])
        for i in range(50):
            put_ims(self.provider, "S2", "H", routingList=[f"SMTP:*@d{i}.example;1"])
        d.becomes(VIA_HUB, "x@d49.example")
        self.assertLessEqual(int(d.status()["generation"]) - before, 3)


class Stranger(fake.Entry):
    """An entry that the provider's content does not have."""

    def __init__(self):
        super().__init__("cn=IMS-X,cn=Connections,cn=Configuration," + site_dn("S1"),
                         objectClass=["imsConnector"], cn="IMS-X",
                         connectedDomains=["S2;1;SMTP:wrong.example.com"])


def misbehaviours():
    """name -> (script, does the next search send the old cookie?)

    Each script gets a search with a cookie, and does or sends something wrong. What it sends would
    change the routes if it were believed: a cheaper way to S2 over wrong.example.com."""
    x = Stranger()

    def s2(s):
        return next(e for e in s.provider.entries() if e.dn == site_dn("S2"))

    def in_persist(wrong):
        def script(s):
            s.refresh_delete()
            wrong(s)
        return script

    def wrong_state(value, *more):
        return lambda s: s.message(fake.entry_op(x.dn, x.attributes),
                                   fake.control(fake.SYNC_STATE, value), *more)

    def info(value):
        return lambda s: s.message(fake.info_op(value))

    def cut(*steps):
        def script(s):
            for step in steps:
                step(s)
            s.hang_up()
        return script

    def stall(s):
        message = fake.seq(fake.integer(s.id), fake.entry_op(x.dn, x.attributes))
        s.raw(message[:len(message) // 2])

    def dead(s):
        s.answer_probes = False
        s.entry(fake.ADD, x)

    good = fake.state_value(fake.ADD, x.uuid)
    yield "entry without control", lambda s: s.bare_entry(x), True
    yield "uuid of 15 octets", wrong_state(fake.state_value(fake.ADD, x.uuid[:15])), True
    yield "uuid of 17 octets", wrong_state(fake.state_value(fake.ADD, x.uuid + b"x")), True
    yield "unknown state", wrong_state(fake.state_value(7, x.uuid)), True
    yield "octets behind the state", wrong_state(good + b"\0"), True
    yield "empty control value", wrong_state(b""), True
    yield "indefinite length", wrong_state(b"\x30\x80" + good[2:] + b"\0\0"), True
    yield "two state controls", wrong_state(good, fake.control(fake.SYNC_STATE, good)), True
    yield "unknown info choice", info(b"\xa4\x00"), True
    yield "info without value", lambda s: s.message(
        fake.tlv(0x79, fake.octets(fake.SYNC_INFO, 0x80))), True
    yield "id set with a short uuid", info(
        fake.tlv(0xa3, fake.tlv(0x31, fake.octets(b"short")))), True
    yield "boolean of two octets", info(b"\xa1\x04\x01\x02\xff\xff"), True
    yield "delete phase that does not end", lambda s: s.refresh_delete(done=False), True
    yield "end of refresh without control", lambda s: s.done(0), True
    yield "malformed done control", lambda s: s.done(
        0, fake.control(fake.SYNC_DONE, b"\x30\x03\x01\x02\xff")), True
    yield "cut in the present phase", cut(lambda s: s.id_set([s2(s).uuid])), True
    yield "cut behind an entry, before its cookie", cut(lambda s: s.entry(fake.ADD, x)), True
    yield "cut behind a cookie, before the end", cut(
        lambda s: s.entry(fake.ADD, x, "ahead"), lambda s: s.new_cookie("ahead2")), True
    yield "cut in the delete phase", cut(
        lambda s: s.id_set([e.uuid for e in s.provider.entries()], deletes=True)), True
    yield "stall in mid message", stall, True
    yield "stall in the refresh", dead, True
    yield "garbage instead of a message", lambda s: s.raw(b"\xde\xad\xbe\xef" * 64), True
    yield "message longer than memory", lambda s: s.raw(b"\x30\x84\x7f\xff\xff\xff\x02"), True
    yield "notice of disconnection", lambda s: s.message(fake.tlv(
        0x78, fake.integer(52, 0x0a), fake.octets(""), fake.octets(""),  # libldap 2.5 leaks a text
        fake.octets("1.3.6.1.4.1.1466.20036", 0x8a)), message_id=0), True
    yield "busy", lambda s: s.done(51, text="come back later"), True
    yield "rolled back", lambda s: s.done(53, text="consumer state is newer than provider"), True
    yield "refresh required, no cookie", lambda s: s.refresh_required(), False
    yield "refresh required behind entries", lambda s: (
        s.entry(fake.ADD, x), s.refresh_required()), False
    yield "present entry that is not here", lambda s: s.entry(fake.PRESENT, x), False
    yield "present set with an unknown entry", lambda s: s.id_set([x.uuid]), False
    yield "persist: state present", in_persist(lambda s: s.entry(fake.PRESENT, s2(s))), True
    yield "persist: present set", in_persist(lambda s: s.id_set([s2(s).uuid])), True
    yield "persist: second end", in_persist(lambda s: s.refresh_delete()), True
    yield "persist: entry without control", in_persist(lambda s: s.bare_entry(x)), True


class Misbehaviour(Base):
    """M31: whatever the provider does, the routes stay right, and the next session mends it."""

    def check_one(self, d, script, keeps_cookie):
        p = self.provider
        before = len(p.syncs)
        p.script(script)
        p.hang_up_all()
        wait_for("the bad search and the one after it", lambda: len(p.syncs) >= before + 2)
        self.assertNotEqual(p.syncs[before], None)
        self.assertEqual(p.syncs[before + 1], p.syncs[before] if keeps_cookie else None)
        wait_for("current again", lambda: d.status()["directory"] == "current")
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)
        self.assertEqual(d.status()["entries"], str(len(p.entries())))

    def test_scripts(self):
        d = self.n1()
        asked = []
        stop = threading.Event()

        def keep_asking():
            with d.connect() as s:
                while not stop.is_set():
                    s.sendall(frame("transport bob@s2.example.com"))
                    asked.extend(read_frames(s, 1))
        thread = threading.Thread(target=keep_asking)
        thread.start()
        count = 0
        try:
            for name, script, keeps_cookie in misbehaviours():
                with self.subTest(name):
                    self.check_one(d, script, keeps_cookie)
                count += 1
        finally:
            stop.set()
            thread.join()
        self.assertGreaterEqual(count, 25)
        self.assertEqual(set(asked), {VIA_HUB})
        self.assertIn("sub.rollback", d.log())
        put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        d.becomes(DIRECT)

    def test_first_refresh_that_breaks_gives_no_table(self):
        """M10"""
        net_n1(self.provider)
        gate = threading.Event()

        def half(s):
            for entry in s.provider.entries()[:4]:
                s.entry(fake.ADD, entry)
            gate.wait(20)
            s.hang_up()
        self.provider.script(half)
        d = self.routed(heartbeat="30s")
        wait_for("half a refresh", lambda: self.provider.syncs)
        self.assertEqual(d.ask("bob@s2.example.com"), "TEMP no route table yet")
        gate.set()
        d.becomes(VIA_HUB)

    def test_refresh_required_with_a_cookie_goes_on_at_once(self):
        d = self.n1()
        s = self.provider.sessions[-1]
        self.provider.script(lambda s: (s.id_set([fake.uuid_of(ims_dn("S1").lower())], True),
                                        s.refresh_delete("k9")))
        s.refresh_required("k8")
        d.becomes("OK retry:4.4.4 no mail route to site S2")
        self.assertEqual(self.provider.syncs, [None, "k8"])
        self.assertEqual(len([x for x in self.provider.sessions if x.id]), 1)

    def test_present_then_delete_phase(self):
        d = self.n1()
        keep = [e.uuid for e in self.provider.entries() if e.dn != ims_dn("S1")]

        def script(s):
            s.id_set(keep[:3])
            s.id_set(keep[3:])
            s.refresh_present(done=False)
            s.id_set([], deletes=True)
            s.refresh_delete("k2")
        self.provider.script(script)
        self.provider.hang_up_all()
        d.becomes("OK retry:4.4.4 no mail route to site S2")

    def test_slow_refresh_is_waited_for(self):
        """A provider that searches for long answers the heartbeat meanwhile."""
        net_n1(self.provider)

        def slow(s):
            wait_for("heartbeats", lambda: s.probes >= 4)
            s.everything("k1")
        self.provider.script(slow)
        d = self.routed(heartbeat="200ms")
        d.becomes(VIA_HUB)
        self.assertEqual(self.provider.syncs, [None])

    def test_refresh_without_an_end_is_given_up(self):
        net_n1(self.provider)
        self.provider.script(lambda s: s.entry(fake.ADD, Stranger()))
        d = self.routed(heartbeat="100ms")
        d.becomes(VIA_HUB)
        self.assertIn("the refresh stalled", d.log())

    def test_empty_provider_does_not_wipe_the_table(self):
        d = self.n1()
        d.stop()

        def empty(s):
            s.refresh_present("e1")
        self.provider.script(empty)
        d.start()
        wait_for("complaint", lambda: "table.no-site" in d.log())
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)

    def test_many_messages_in_one_segment(self):
        net_n1(self.provider)

        def packed(s):
            pieces = []
            s.raw = pieces.append
            s.everything("k1")
            del s.raw
            s.raw(b"".join(pieces))
        self.provider.script(packed)
        self.routed().becomes(VIA_HUB)


S1_PEOPLE = "IMCEAEX-_o=Example_ou=S1_cn=Recipients_cn="
S2_PEOPLE = "IMCEAEX-_o=Example_ou=S2_cn=Recipients_cn="


class Recipients(Base):
    """R10: recipients of shared domains."""

    SHARED = "example.com"

    def person(self, name, site, *addresses, mail=None):
        self.provider.recipients.append(fake.Entry(
            f"cn={name},cn=Recipients,{site_dn(site)}", objectClass=["inetOrgPerson"],
            proxyAddresses=list(addresses), **({"mail": mail} if mail else {})))

    def start(self):
        for name in ("S1", "S2", "H"):
            put_site(self.provider, name, siteSharedDomain=self.SHARED)
        self.provider.put(site_dn("Bare"), objectClass=["mailSite"], ou="Bare", siteSharedDomain=self.SHARED)
        put_ims(self.provider, "S1", "H")
        put_ims(self.provider, "H", "S1", "S2")
        d = self.routed()
        d.becomes(VIA_HUB)
        return d

    def test_lookups(self):
        self.person("Bob", "S2", "SMTP:bob@example.com", "smtp:bob@s2.example.com")
        self.person("Ada", "S1", "SMTP:ada@example.com", "smtp:ada@s1.example.com")
        self.person("Cid", "H", "smtp:C.Id@Hub.example.com", "X400:c=us;s=cid",
                    mail="cid@example.com")
        self.person("Dan", "S2", "SMTP:dan@example.com")
        self.person("Fay", "Bare", "SMTP:fay@example.com")
        self.person("Eve1", "S2", "smtp:eve@example.com")
        self.person("Eve2", "H", "smtp:eve@example.com")
        d = self.start()
        for key, answer in [
                ("bob@example.com", "OK bob@s2.example.com"),
                ("BOB+x@Example.com", "OK bob+x@s2.example.com"),
                ("nobody+x@example.com", NOTFOUND),
                ("cid@example.com", "OK C.Id@Hub.example.com"),
                ("ada@example.com", NOTFOUND), ("nobody@example.com", NOTFOUND),
                ("bob@s2.example.com", NOTFOUND), ("x@elsewhere.org", NOTFOUND),
                ("example.com", NOTFOUND), ("*", NOTFOUND), ("<>", NOTFOUND),
                ("dan@example.com", f"OK {S2_PEOPLE}Dan@s2.example.com"),
                ("dan+x@example.com", f"OK {S2_PEOPLE}Dan@s2.example.com"),
                ("fay@example.com", "TEMP the directory gives no clear answer now"),
                ("eve@example.com", "TEMP the directory gives no clear answer now")]:
            with self.subTest(key=key):
                self.assertEqual(d.ask(key, "recipient"), answer)
        self.assertEqual(d.ask("bob@example.com"), NOTFOUND)
        self.assertIn("gal.no-address", d.log())
        self.assertIn("gal.ambiguous", d.log())

    def test_encapsulated_names(self):
        """R10 at the home site: the person's mailbox here, or the way to where the person is now."""
        self.person("Ada Hill", "S1", "SMTP:ada.hill@example.com", "smtp:ada@elsewhere.org")
        self.person("Bob", "S2", "SMTP:bob@example.com", "smtp:bob@s2.example.com")
        self.person("Dan", "S2", "SMTP:dan@example.com")
        self.person("Out", "S1", "SMTP:out@elsewhere.org")
        d = self.start()
        here = "@s1.example.com"
        for local, answer in [
                (S1_PEOPLE + "Ada+20Hill", "OK ada.hill@example.com"),
                ((S1_PEOPLE + "ada+20hill").lower(), "OK ada.hill@example.com"),
                (S2_PEOPLE + "Bob", "OK bob@s2.example.com"),
                (S2_PEOPLE + "Dan", f"OK {S2_PEOPLE}Dan@s2.example.com"),
                (S1_PEOPLE + "Out", "TEMP the directory gives no clear answer now"),
                (S1_PEOPLE + "Nobody", NOTFOUND),
                ("IMCEAEX-_cn=config", NOTFOUND), ("IMCEAEX-_o=Other_cn=Ada", NOTFOUND),
                ("IMCEAEX-_o=Example_cn=x+2a+29+28cn=+2a", NOTFOUND),
                ("IMCEAEX-nothing", NOTFOUND), ("IMCEAEX-_o=Example_ou=S1_cn=+zz", NOTFOUND)]:
            with self.subTest(local=local):
                self.assertEqual(d.ask(local + here, "recipient"), answer)
        self.assertEqual(d.ask(S1_PEOPLE + "Ada+20Hill@s2.example.com", "recipient"), NOTFOUND)
        self.assertEqual(d.ask(S1_PEOPLE + "Ada+20Hill@example.com", "recipient"), NOTFOUND)
        searched = d.status()["recipients_searched"]
        self.assertEqual(d.ask(S1_PEOPLE + "Ada+20Hill" + here, "recipient"), "OK ada.hill@example.com")
        self.assertEqual(d.status()["recipients_searched"], searched)

    def test_waits_for_the_model_after_a_start(self):
        """M15: with the last table and the directory at hand, nobody is told to come again."""
        self.person("Bob", "S2", "SMTP:bob@example.com", "smtp:bob@s2.example.com")
        d = self.start()
        d.stop()
        searched = threading.Event()

        def slow(s):
            self.assertTrue(searched.wait(20))
            s.everything("k1")
        self.provider.script(slow)
        d.start()
        with d.connect() as s:
            s.sendall(frame("recipient bob@example.com"))
            wait_for("the search for bob", lambda: d.status()["recipients_searched"] == "1")
            self.assertEqual((d.status()["table"], d.status()["entries"]), ("disk", "0"))
            searched.set()
            self.assertEqual(read_frames(s, 1), ["OK bob@s2.example.com"])

    def test_model_that_never_comes(self):
        """Then it is temporary, when patience ends."""
        self.person("Bob", "S2", "SMTP:bob@example.com", "smtp:bob@s2.example.com")
        d = self.start()
        d.stop()
        ended = threading.Event()
        self.addCleanup(ended.set)
        self.provider.script(lambda s: ended.wait(60))
        d.start()
        self.assertRegex(d.ask("bob@example.com", "recipient"), "^TEMP ")
        self.assertEqual(d.status()["table"], "disk")

    def test_order_is_kept_around_a_search(self):
        self.person("Bob", "S2", "SMTP:bob@example.com", "smtp:bob@s2.example.com")
        d = self.start()
        with d.connect() as s:
            s.sendall(frame("transport bob@s2.example.com") + frame("recipient bob@example.com")
                      + frame("transport x@elsewhere.org") + frame("recipient no@example.com")
                      + frame("recipient bob@example.com"))
            self.assertEqual(read_frames(s, 5), [VIA_HUB, "OK bob@s2.example.com", NOTFOUND,
                                                 NOTFOUND, "OK bob@s2.example.com"])
        self.assertEqual(d.status()["recipients_searched"], "2")

    def test_directory_away_is_temporary(self):
        self.person("Bob", "S2", "SMTP:bob@example.com", "smtp:bob@s2.example.com")
        d = self.start()
        self.provider.close()
        wait_for("session lost", lambda: d.status()["directory"] != "current")
        self.assertRegex(d.ask("bob@example.com", "recipient"), "^TEMP ")
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)

    def test_caller_that_leaves(self):
        d = self.start()
        for _ in range(20):
            with d.connect() as s:
                s.sendall(frame("recipient someone@example.com"))
        self.assertEqual(d.ask("someone@example.com", "recipient"), NOTFOUND)


class Published(Base):
    def routes(self):
        with self.provider.lock:
            return {a["cn"][0]: a for dn, a in self.provider.written.items()
                    if dn != ROUTES.lower()}

    def test_routes_follow_the_table(self):
        net_n1(self.provider)
        self.provider.written[f"cn=old,{ROUTES}".lower()] = {
            "objectClass": ["mailRoute"], "cn": ["old"], "routeClass": ["user"]}
        self.provider.written[ROUTES.lower()] = {"cn": ["Routes"]}
        d = self.routed(publish="yes")
        d.becomes(VIA_HUB)
        wait_for("routes", lambda: "old" not in self.routes() and len(self.routes()) == 4)
        self.assertEqual(self.routes()["user EX S2 1"], {
            "objectClass": ["mailRoute"], "cn": ["user EX S2 1"], "routeClass": ["user"],
            "routeType": ["EX"], "routeTarget": ["S2"], "routeCost": ["2"], "routeHops": ["2"],
            "routeMode": ["connected"], "routeNextHop": ["mx:hub.example.com"],
            "routeConnector": ["IMS-S1"], "routePath": ["1 S1/IMS-S1", "2 H/IMS-H"],
            "routeReason": ["FLAG_OFF"]})
        put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        wait_for("changed route", lambda: self.routes()["user EX S2 1"]["routeMode"] == ["direct"])
        self.assertEqual(self.routes()["user EX S2 1"]["routeHops"], ["1"])
        self.provider.remove(ims_dn("S1"))
        wait_for("attributes gone",
                 lambda: "routeNextHop" not in self.routes()["user EX S2 1"])
        wait_for("published", lambda: d.status()["published"] == d.status()["generation"])

    def test_container_is_created(self):
        net_n1(self.provider)
        self.routed(publish="yes").becomes(VIA_HUB)
        wait_for("routes", lambda: len(self.routes()) == 4)
        container = self.provider.written[ROUTES.lower()]
        self.assertEqual(sorted(container["objectClass"]), ["container", "siteLocal"])


class Tools(Base):
    def tool(self, d, verb, *args, status=0):
        code, out, err = run("routectl", verb, "--config", d.path("routed.conf"), *args,
                             check=False)
        self.assertEqual(code, status, out + err)
        return out, err

    def test_show(self):
        d = self.n1()
        out, _ = self.tool(d, "show")
        self.assertIn("Site S1, generation 1", out)
        self.assertRegex(out, r"user +EX +S2 ")
        self.assertNotRegex(self.tool(d, "show", "--class", "system")[0], r"user +EX +S2 ")
        rows = [json.loads(line) for line in self.tool(d, "show", "--json")[0].splitlines()]
        self.assertEqual([(r["class"], r["target"]) for r in rows],
                         [("system", "H"), ("system", "S2"), ("user", "H"), ("user", "S2")])
        put_ims(self.provider, "S2", "H", routingList=["SMTP:bad;0"])
        wait_for("complaint", lambda: "table.ignored" in d.log())
        out, _ = self.tool(d, "show", status=1)
        self.assertRegex(out, "ignored: .*routingList.*SMTP:bad;0")

    def test_explain(self):
        d = self.n1()
        out, _ = self.tool(d, "explain", "Bob+x@S2.example.com")
        for text in ("message class user", "domain s2.example.com belongs to site S2",
                     "over the connected sites, 2 hops, cost 2", "1. S1/IMS-S1: Internet Mail",
                     "onlySystemMessagesUseCDs FALSE (set nowhere)\n              " + ims_dn("S1"), "FLAG_OFF",
                     "Postfix:   smtp:hub.example.com"):
            self.assertIn(text, out)
        put_site(self.provider, "S1", onlySystemMessagesUseCDs="TRUE",
                 systemAddress="dirsync@s1.example.com")
        d.becomes(DIRECT)
        out, _ = self.tool(d, "explain", "bob@s2.example.com")
        self.assertIn("TRUE (the site's default)", out)
        self.assertIn("direct, one hop", out)
        out, _ = self.tool(d, "explain", "bob@s2.example.com", "--from", "dirsync@s1.example.com")
        self.assertIn("because the sender is a system address", out)
        self.assertIn("smtp:hub.example.com", out)
        one = json.loads(self.tool(d, "explain", "bob@s2.example.com", "--json")[0])
        self.assertEqual((one["mode"], one["reason"], one["transport"], one["verdict"]),
                         ("direct", "OK", "smtp:s2.example.com", "route"))
        self.assertEqual(one["path"][0]["flagFrom"], "site")
        self.assertEqual(one["nextSite"], "S2")
        put_ims(self.provider, "S1", "H", domainRoute="s2.example.com;relay.hub.example.com")
        d.becomes("OK smtp:[relay.hub.example.com]")
        self.assertIn("that is a host of site H, not of S2",
                      self.tool(d, "explain", "bob@s2.example.com")[0])
        one = json.loads(self.tool(d, "explain", "bob@s2.example.com", "--json")[0])
        self.assertEqual((one["mode"], one["nextSite"]), ("direct", "H"))
        self.assertIn("own (S1)", self.tool(d, "explain", "ada@s1.example.com")[0])
        self.assertIn("no site and no address", self.tool(d, "explain", "a@else.example")[0])
        self.assertIn("no mail address", self.tool(d, "explain", "<>", status=1)[1])
        self.tool(d, "explain", "a b", status=2)

    def test_resync(self):
        d = self.n1()
        self.tool(d, "resync")
        wait_for("full load", lambda: self.provider.syncs == [None, None])
        wait_for("current", lambda: d.status()["directory"] == "current")

    def history(self, d, *more):
        out = run("routectl", "history", "--config", d.path("routed.conf"), "--json", *more)
        return [json.loads(line) for line in out.splitlines()]

    def test_change_that_touches_no_route(self):
        """P10: a dearer link that nobody takes costs no computation, and what follows is right."""
        net_n1(self.provider)
        d = self.routed()
        d.becomes(VIA_HUB)
        self.provider.put(ims_dn("S2"), objectClass=["mailConnector", "imsConnector"], cn="IMS-S2",
                          connectedDomains=["H;7;SMTP:hub.example.com"])
        wait_for("looked at", lambda: d.status()["untouched_changes"] == "1")
        self.assertEqual(d.status()["generation"], "1")
        put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        d.becomes(DIRECT)
        wait_for("two records", lambda: len(self.history(d)) == 2)
        self.assertEqual(self.history(d)[1]["causes"], [f"entry {ims_dn('S1')} (stamp none)"])

    def test_history(self):
        """M27: the entry with its stamp, what changed, when; and what an operator did."""
        net_n1(self.provider)
        d = self.routed()
        d.becomes(VIA_HUB)
        put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE", originStamp="x:1:7")
        d.becomes(DIRECT)
        self.provider.remove(ims_dn("S2"))
        d.becomes(VIA_HUB)  # S2 takes no mail in any more
        wait_for("three records", lambda: len(self.history(d)) == 3)
        first, flag, gone = self.history(d)
        self.assertEqual(first["causes"],
                         ["the directory was read for the first time since the start"])
        self.assertEqual(flag["causes"], [f"entry {ims_dn('S1')} (stamp x:1:7)"])
        self.assertEqual(gone["causes"], [f"deleted entry {ims_dn('S2')} (stamp none)"])
        self.assertEqual([r["generation"] for r in (first, flag, gone)], [1, 2, 3])
        self.assertEqual(len(flag["changes"]), 4)  # the rows of S2 and H, before and after
        self.assertRegex(flag["time"], r"^\d{4}-\d\d-\d\dT[\d:.]+Z$")
        (only,) = self.history(d, "--why", "bob@s2.example.com", "--last", "1")
        self.assertEqual((only["generation"], len(only["changes"])), (3, 2))
        self.assertEqual(len(self.history(d, "--why", "hub.example.com")), 1)
        text = run("routectl", "history", "--config", d.path("routed.conf"), "--why", "S2")
        self.assertIn(f"because: entry {ims_dn('S1')}", text)
        # An operator is a cause, too; a table that stays the same is none.
        self.assertIn("ok", run("routectl", "recalc", "--config", d.path("routed.conf")))
        wait_for("recalculated", lambda: d.log().count("table.unchanged"))
        self.assertEqual(len(self.history(d)), 3)
        # The record goes on after a restart, and a torn end does no harm.
        d.stop()
        with open(d.path("routed", "history"), "a", encoding="utf-8") as f:
            f.write("table torn generation=9")
        d.start()
        put_ims(self.provider, "S2", "H")
        d.becomes(DIRECT)
        wait_for("a fourth record", lambda: len(self.history(d)) == 4)

    def test_history_is_bounded(self):
        """Of more than enough records the newest are kept."""
        net_n1(self.provider)
        d = self.routed(start=False)
        os.makedirs(d.path("routed"))
        with open(d.path("routed", "history"), "w", encoding="utf-8") as f:
            for i in range(1500):
                f.write(f"table 2026-01-01T00:00:00.000Z generation={i} rows=1\nwhy number {i}\n\n")
        d.start().becomes(VIA_HUB)
        wait_for("one more record", lambda: self.history(d)[-1]["generation"] == 1)
        records = self.history(d)
        self.assertEqual(len(records), 1000)
        self.assertEqual(records[0]["causes"], ["number 501"])
        with open(d.path("routed", "history"), encoding="utf-8") as f:
            self.assertEqual(f.read().count("\n\n"), 1001)

    def test_status_forms(self):
        d = self.n1()
        config = d.path("routed.conf")
        status = json.loads(run("routectl", "status", "--config", config, "--json"))
        self.assertEqual((status["site"], status["generation"], status["routes_connected"],
                          status["routes_direct"], status["ignored_objects"]),
                         ("S1", 1, 2, 0, []))
        self.assertEqual(run("routectl", "status", "--config", config, "--json", "--metrics",
                             check=False)[0], 2)

    # M28, and what each is called.
    METRICS = {"table generation": "generation", "age": "age_s", "direct": "routes_direct",
               "by the hub": "routes_connected", "without a route": "routes_none",
               "held back": "routes_held", "of class system": "routes_system_connected",
               "class system waits": "routes_system_none", "ignored objects": "ignored",
               "recompute time": "compute_ms", "longest": "compute_max_ms",
               "look-ups": "requests", "found": "ok", "not found": "notfound",
               "temporary": "temp", "permanent": "perm", "DNS good": "dns_up",
               "DNS bad": "dns_down", "DNS unknown": "dns_unconfirmed", "suppressed": "dampened",
               "session": "directory_current", "lag": "directory_age_s", "sessions": "sessions",
               "failures": "failures"}

    def test_metrics(self):
        net_n1(self.provider)
        d = self.routed(**{"dns-check": "yes", "dns-server": "127.0.0.1:9", "dampen": "all"})
        d.becomes(VIA_HUB)
        with d.connect() as s:
            s.sendall(frame("transport bob@s2.example.com") * 100)
            read_frames(s, 100)
        text = run("routectl", "status", "--config", d.path("routed.conf"), "--metrics")
        types, values = {}, {}
        for line in text.splitlines():
            self.assertRegex(line, r'^(# TYPE [a-z_]+ (counter|gauge|histogram)'
                                   r'|[a-z_]+(\{.*\})? \d+)$')
            words = line.split(" ")
            if words[0] == "#":
                types[words[2]] = words[3]
            else:
                values[words[0]] = int(words[1])
        self.assertRegex(text, r'(?m)^waypost_routed_info\{site="S1",table="directory",.*\} 1$')
        for what, name in self.METRICS.items():
            self.assertIn(f"waypost_routed_{name}", values, what)
        for name, kind in (("generation", "counter"), ("requests", "counter"), ("age_s", "gauge"),
                           ("lookup_us", "histogram"), ("info", "gauge")):
            self.assertEqual(types[f"waypost_routed_{name}"], kind)
        bare = {re.sub(r"\{.*", "", n) for n in values}
        self.assertEqual({re.sub("lookup_us_.*", "lookup_us", n) for n in bare}, set(types))
        self.assertEqual((values["waypost_routed_directory_current"],
                          values["waypost_routed_routes_system_connected"]), (1, 2))
        bounds = [(float(m[1]), n) for k, n in values.items()
                  if (m := re.fullmatch(r'waypost_routed_lookup_us_bucket\{le="(.*)"\}', k))]
        self.assertEqual([b for b, _ in bounds], sorted(b for b, _ in bounds))
        self.assertEqual([n for _, n in bounds], sorted(n for _, n in bounds))
        self.assertEqual(bounds[-1], (float("inf"), values["waypost_routed_requests"]))
        self.assertIn(200.0, [b for b, _ in bounds])  # the bound of M12
        self.assertEqual(values["waypost_routed_lookup_us_count"], bounds[-1][1])
        self.assertGreater(values["waypost_routed_requests"], 100)
        self.assertGreater(values["waypost_routed_lookup_us_sum"], 0)

    def test_no_daemon(self):
        d = self.routed(start=False)
        self.assertIn("does not answer", self.tool(d, "show", status=1)[1])
        d.process = None


class Process(Base):
    def test_check_and_bad_files(self):
        d = self.routed(start=False)
        path = d.path("routed.conf")
        self.assertIn("ok", run("routed", "--config", path, "--check"))
        with open(path, "a", encoding="ascii") as f:
            f.write("no-such-keyword 1\ntls-ca\n")
        status, _, err = run("routed", "--config", path, "--check", check=False)
        self.assertEqual(status, 2)
        self.assertIn("routed.conf:14", err)
        self.assertIn("routed.conf:13", err)
        self.assertEqual(run("routed", "--config", "/nonexistent", check=False)[0], 2)
        self.assertEqual(run("routed", check=False)[0], 2)
        self.assertIn("Usage", run("routed", "--help"))
        self.assertIn("Waypost", run("routed", "--version"))
        d.process = None

    def test_second_daemon_is_refused(self):
        d = self.n1()
        status, _, err = run("routed", "--config", d.path("routed.conf"), check=False)
        self.assertEqual(status, 1)
        self.assertIn("server.locked", err)
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)

    def test_modes_of_sockets(self):
        d = self.n1()
        self.assertEqual(os.stat(d.path("routed", "control")).st_mode & 0o777, 0o600)
        self.assertEqual(os.stat(d.socketmap).st_mode & 0o777, 0o666)

    def test_access_to_sockets(self):
        """S18: mode and group of the mail server's, and who asks at the control socket."""
        net_n1(self.provider)
        d = self.routed(**{"socket-mode": "0660", "socket-group": "mail"})
        d.becomes(VIA_HUB)
        st = os.stat(d.socketmap)
        self.assertEqual((st.st_mode & 0o777, st.st_gid), (0o660, grp.getgrnam("mail").gr_gid))
        if os.geteuid() != 0:
            self.skipTest("needs root")
        for folder in (self.folder, d.folder, d.path("routed")):
            os.chmod(folder, 0o755)
        os.chmod(d.path("routed", "control"), 0o666)
        script = ("import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
                  "s.sendall(b'status\\n')\nprint(len(s.recv(9)))\n")
        ask = ["/usr/bin/python3", "-c", script, d.path("routed", "control")]
        self.assertEqual(subprocess.run(ask, stdout=subprocess.PIPE, check=True).stdout, b"9\n")
        p = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *ask],
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertIn((p.returncode, p.stdout), [(0, b"0\n"), (1, b"")], p.stderr)
        wait_for("it is told", lambda: "ctl.denied uid=65534" in d.log())

    def test_remote_addresses_have_to_be_allowed(self):
        """S18"""
        for address, remote, works in (("0.0.0.0", "no", False), ("192.0.2.1", "no", False),
                                       ("[::]", "no", False), ("127.8.9.1", "no", True),
                                       ("0.0.0.0", "yes", True)):
            with self.subTest(address=address, remote=remote):
                net_n1(self.provider)
                d = self.routed(start=False, **{"listen-remote": remote,
                                                "policy": f"inet:{address}:{free_port()}"})
                if works:
                    d.start().stop()
                    continue
                status, _, err = run("routed", "--config", d.path("routed.conf"), check=False)
                self.assertEqual(status, 1)
                self.assertIn("not loopback: listen-remote yes", err)

    def test_bad_access_settings(self):
        d = self.routed(start=False, **{"socket-mode": "rw", "socket-group": "no-such-group-here"})
        status, _, err = run("routed", "--config", d.path("routed.conf"), "--check", check=False)
        self.assertEqual(status, 2)
        self.assertIn('socket-mode: "rw" is no octal mode', err)
        self.assertIn('there is no group "no-such-group-here"', err)

    def test_inet_socketmap(self):
        net_n1(self.provider)
        d = self.routed(start=False)
        port = free_port()
        with open(d.path("routed.conf"), "a", encoding="ascii") as f:
            f.write(f"socketmap inet:127.0.0.1:{port}\n")
        d.start()
        d.becomes(VIA_HUB)
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.sendall(frame("transport bob@s2.example.com"))
            self.assertEqual(read_frames(s, 1), [VIA_HUB])

    def test_reload(self):
        d = self.n1()
        with open(d.path("routed.conf"), "a", encoding="ascii") as f:
            f.write("log-level debug\n")
        d.process.send_signal(signal.SIGHUP)
        wait_for("reload", lambda: "server.reload" in d.log())
        wait_for("recompute", lambda: "table.unchanged" in d.log())
        self.assertEqual(d.ask("bob@s2.example.com"), VIA_HUB)

    def test_signal_storm(self):
        """F21: hundreds of reloads while look-ups run; none fails, and the last one counts."""
        d = self.n1()
        with d.connect() as s:
            for i in range(300):
                d.process.send_signal(signal.SIGHUP)
                s.sendall(frame("transport bob@s2.example.com") * 10)
                self.assertEqual(set(read_frames(s, 10)), {VIA_HUB}, i)
        with open(d.path("routed.conf"), "a", encoding="ascii") as f:
            f.write("log-level debug\n")
        d.process.send_signal(signal.SIGHUP)
        wait_for("debug lines", lambda: "table.unchanged" in d.log())
        put_ims(self.provider, "S1", "H", onlySystemMessagesUseCDs="TRUE")
        d.becomes(DIRECT)

    def test_stop_with_many_sessions(self):
        """F21: open sessions, idle and in mid request, hold nothing up."""
        d = self.n1()
        with contextlib.ExitStack() as stack:
            for i in range(1000):
                s = stack.enter_context(wait_for("room to connect", lambda: self.try_connect(d)))
                if i % 2 == 0:
                    s.sendall(b"50:transport")
            d.stop()

    @staticmethod
    def try_connect(d):
        try:
            return d.connect()
        except BlockingIOError:
            return None

    def test_broken_streams_do_not_fill_the_log(self):
        """F23: whatever they send, and however differently."""
        d = self.n1()
        before = d.log().count("\n")
        for i in range(1000):
            with d.connect() as s:
                s.sendall(b"x" * (i + 1))
                with contextlib.suppress(ConnectionResetError):
                    s.recv(1)
        wait_for("they are counted", lambda: d.status()["broken"] == "1000")
        self.assertLess(d.log().count("\n") - before, 10)

    def test_lookups_keep_no_memory(self):
        """M12: after the first ten thousand nothing grows."""
        d = self.n1()

        def look_up(rounds):
            with d.connect() as s:
                for i in range(rounds):
                    s.sendall(b"".join(frame(f"transport user{i}.{n}+x@Host{n}.S2.Example.com")
                                       for n in range(100)))
                    read_frames(s, 100)
            with open(f"/proc/{d.process.pid}/status", encoding="ascii") as f:
                return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1])
        first = look_up(100)
        self.assertLess(look_up(1000), first + 256)

    def test_stop_is_quick_whatever_goes_on(self):
        net_n1(self.provider)
        self.provider.script(lambda s: s.raw(b"\x30\x50\x02"))
        d = self.routed(timeout="20s", heartbeat="20s")
        wait_for("search", lambda: self.provider.syncs)
        with d.connect() as s:
            s.sendall(b"50:transport")
            d.stop()
        self.assertFalse(os.path.exists(d.socketmap))


if __name__ == "__main__":
    tap.main()
