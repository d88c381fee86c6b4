#!/usr/bin/python3
# tests/run: timeout=200 soak=7200
"""routed and dird are killed and restarted while mail asks for its way (M10, M14): between right answers there
may be "cannot tell" or nobody who answers, but never a wrong one."""
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "interop")]
import postfix  # noqa: E402
import tap  # noqa: E402
from proc import load_while  # noqa: E402
from test_routed import domain, ims_dn, site_dn  # noqa: E402
from waypost import Site, wait_for  # noqa: E402

SOAK = bool(os.environ.get("WAYPOST_SOAK"))
ROUNDS, LONGEST_S = (2000, 6000) if SOAK else (60, 60)
SPIN_WATCH_S = 3
SPOKES = 60
ASKERS = 3
ROOT = "o=Example"


def ldif():
    """A hub and many spokes, as S1 would hold them."""
    out = ""
    for name in ["H"] + [f"S{i}" for i in range(1, SPOKES + 1)]:
        neighbours = [f"S{i}" for i in range(1, SPOKES + 1)] if name == "H" else ["H"]
        out += (f"dn: {site_dn(name)}\nobjectClass: organizationalUnit\nobjectClass: mailSite\n"
                f"ou: {name}\nsiteSmtpDomain: {domain(name)}\n\n")
        for container in ("cn=Configuration", "cn=Connections,cn=Configuration", "cn=Recipients"):
            out += f"dn: {container},{site_dn(name)}\nobjectClass: container\n\n"
        out += (f"dn: {ims_dn(name)}\nobjectClass: imsConnector\ncn: IMS-{name}\n"
                + "".join(f"connectedDomains: {n};1;SMTP:{domain(n)}\n" for n in neighbours) + "\n")
    return out


class Asker(threading.Thread):
    """Asks the socketmap again and again; `wrong` lists what must not have been said."""

    def __init__(self, site, seed):
        super().__init__(daemon=True)
        self.path, self.random = site.path("routed", "socketmap"), random.Random(seed)
        self.stopping, self.wrong = threading.Event(), []
        self.right = self.cannot_tell = self.nobody = 0

    def run(self):
        while not self.stopping.is_set():
            try:
                self._session()
            except OSError:
                self.nobody += 1
                self.stopping.wait(0.005)  # as a mail server would not ask a closed door at once

    def _session(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(30)
            s.connect(self.path)
            for _ in range(200):
                if self.stopping.is_set():
                    return
                self.ask(s)

    def ask(self, s):
        i = self.random.randint(1, SPOKES)
        request = b"transport user@%s" % domain(f"S{i}").encode()
        s.sendall(b"%d:%s," % (len(request), request))
        answer = b""
        while not re.fullmatch(rb"\d+:.*,", answer, re.S):
            piece = s.recv(65536)
            if not piece:
                if answer:
                    self.wrong.append(("cut", answer))
                raise ConnectionError
            answer += piece
        text = answer.split(b":", 1)[1][:-1].decode()
        if text in self.right_answers(i):
            self.right += 1
        elif text.startswith("TEMP "):
            self.cannot_tell += 1
        else:
            self.wrong.append((i, text))

    @staticmethod
    def right_answers(i):
        """The flag of S1 goes up and down: both ways are right."""
        return (("NOTFOUND", "NOTFOUND ") if i == 1 else
                ("OK smtp:hub.example.com", f"OK smtp:{domain(f'S{i}')}"))


class KillRouted(unittest.TestCase):
    def setUp(self):
        seed = int(os.environ.get("WAYPOST_SEED", time.time_ns() & 0xffffffff))
        print(f"# WAYPOST_SEED={seed}")
        self.random = random.Random(seed)
        folder = tempfile.mkdtemp(prefix="waypost-routed-")
        self.addCleanup(shutil.rmtree, folder)
        self.site = Site(os.path.join(folder, "S1"), "S1", domain("S1"))
        self.addCleanup(self.show_logs)
        self.addCleanup(self.site.close)
        self.site.init(ROOT)
        path = os.path.join(folder, "all.ldif")
        with open(path, "w", encoding="ascii") as f:
            f.write(ldif())
        self.site.load(path)
        self.site.hurry_routed()

    def show_logs(self):
        if self._outcome.result.failures or self._outcome.result.errors:
            for program in ("dird", "routed"):
                print(f"--- {program}\n{self.site.log(program)[-4000:]}")

    def answers_right(self):
        i = self.random.randint(2, SPOKES)
        try:
            return " ".join(self.site.lookup("transport", f"a@{domain(f'S{i}')}")) in (
                Asker.right_answers(i))
        except (OSError, AssertionError):
            return False

    def flag(self, value):
        self.site.modify(f"dn: {ims_dn('S1')}\nchangetype: modify\nreplace: onlySystemMessagesUseCDs\n"
                         f"onlySystemMessagesUseCDs: {value}\n")

    def ask_by(self, count):
        askers = [Asker(self.site, f"{self.random.random()}") for _ in range(count)]
        for a in askers:
            a.start()
        return askers

    def end(self, askers):
        for a in askers:
            a.stopping.set()
        for a in askers:
            a.join(60)
            self.assertFalse(a.is_alive())
            self.assertEqual(a.wrong, [])
        print(f"# {sum(a.right for a in askers)} right, {sum(a.cannot_tell for a in askers)} cannot "
              f"tell, {sum(a.nobody for a in askers)} without answer")
        self.assertGreater(sum(a.right for a in askers), 0)

    def disturb(self):
        """One of the ways in which a daemon goes and comes back."""
        program = self.random.choice(("routed", "routed", "dird"))
        other = {"routed": "dird", "dird": "routed"}[program]
        sig = self.random.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        if self.random.random() < 0.5:
            self.flag(self.random.choice(("TRUE", "FALSE")))
        self.site.stop(program, sig)
        if self.random.random() < 0.2:
            self.site.stop(other, signal.SIGKILL)
            self.site.start(self.random.choice((program, other)))
            for p in (program, other):
                if p not in self.site.processes:
                    self.site.start(p)
        else:
            self.site.start(program)
        wait_for("a right answer", self.answers_right)

    def test_while_lookups_run(self):
        self.site.start("dird")
        self.site.start("routed")
        wait_for("the first table", self.answers_right)
        askers = self.ask_by(ASKERS)
        done, end = 0, time.monotonic() + LONGEST_S
        while done < ROUNDS and time.monotonic() < end:
            self.disturb()
            for a in askers:
                self.assertEqual(a.wrong, [])
            done += 1
        print(f"# {done} rounds")
        self.end(askers)

    def test_first_start_of_all(self):
        """No table has ever been: nobody is told that a site does not exist, however often it is killed."""
        askers = self.ask_by(ASKERS)
        polls = self.random.randint(1, 20)
        for _ in range(20 if SOAK else 5):
            shutil.rmtree(self.site.path("routed"), ignore_errors=True)
            os.mkdir(self.site.path("routed"), 0o700)
            self.site.start("routed")
            self.assertEqual(self.site.lookup("transport", f"a@{domain('S2')}")[0], "TEMP")
            self.site.start("dird")
            count = polls

            def is_time():
                nonlocal count
                count -= 1
                return count < 0 or self.answers_right()
            wait_for("a moment of the first refresh", is_time, step=0.002)
            self.site.stop("routed", signal.SIGKILL)
            self.site.start("routed")
            wait_for("a right answer", self.answers_right)
            self.site.stop("dird", signal.SIGKILL)
            self.site.stop("routed", signal.SIGKILL)
            polls = self.random.randint(1, 20)
        self.end(askers)

    def test_no_descriptors(self):
        """F8: who is connected is served, the listener does not spin, and it recovers."""
        self.site.start("dird")
        self.site.prefix = ("prlimit", "--nofile=64:64")
        self.site.start("routed")
        self.site.prefix = ()
        wait_for("the first table", self.answers_right)
        asker = Asker(self.site, "old")
        clients = [socket.socket(socket.AF_UNIX) for _ in range(101)]
        for s in clients:
            self.addCleanup(s.close)
            s.settimeout(20)
            s.connect(self.site.path("routed", "socketmap"))
            if s is clients[0]:
                asker.ask(s)
        pid = self.site.processes["routed"].pid
        asked, used = load_while(pid, SPIN_WATCH_S, lambda: asker.ask(clients[0]))
        print(f"# {asked} answers of the old session, {used:.1%} of a processor")
        self.assertLess(used, 0.25, "the listener spins")
        self.assertEqual(asker.wrong, [])
        for s in clients:
            s.close()
        wait_for("a right answer", self.answers_right)
        self.site.stop("routed")

    def test_postmap(self):
        """The same, asked by Postfix's own client."""
        postmap = shutil.which("postmap")
        if postmap is None:
            self.skipTest("postmap is not installed")
        self.site.start("dird")
        self.site.start("routed")
        wait_for("the first table", self.answers_right)
        conf, stopping, wrong, right = postfix.config_folder(), threading.Event(), [], []

        def ask():
            while not stopping.is_set():
                p = subprocess.run([postmap, "-c", conf, "-q", f"a@{domain('S7')}",
                                    f"socketmap:unix:{self.site.path('routed', 'socketmap')}:transport"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   check=False, timeout=120)
                if "OK " + p.stdout.strip() in Asker.right_answers(7):
                    right.append(1)
                elif p.stdout or p.returncode == 0 or not p.stderr:
                    wrong.append((p.returncode, p.stdout, p.stderr))  # 1 without a word is "not found"
        asker = threading.Thread(target=ask, daemon=True)
        asker.start()
        for _ in range(100 if SOAK else 6):
            self.disturb()
            self.assertEqual(wrong, [])
        enough = len(right) + 3
        wait_for("Postfix asks again", lambda: len(right) >= enough or not asker.is_alive(), 100)
        stopping.set()
        asker.join(130)
        self.assertFalse(asker.is_alive())
        self.assertEqual(wrong, [])
        print(f"# postmap: {len(right)} right answers")


if __name__ == "__main__":
    tap.main()
