#!/usr/bin/python3
# tests/run: build=gcc timeout=300
"""M15: routed is replaced again and again while mail servers ask, and no look-up fails."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import fake_provider as fake  # noqa: E402
import postfix  # noqa: E402
import tap  # noqa: E402
from test_routed import VIA_HUB, Routed, net_n1  # noqa: E402
from waypost import free_port, wait_for  # noqa: E402

RESTARTS = 100
BOB = "bob@s2.example.com"


class Asker(threading.Thread):
    """Calls ask() until stopped; keeps what went wrong."""

    def __init__(self, ask):
        super().__init__(daemon=True)
        self.ask, self.asked, self.problem, self.ending = ask, 0, None, False

    def run(self):
        try:
            while not self.ending:
                self.ask()
                self.asked += 1
        except Exception as e:  # told by end()
            self.problem = e

    def end(self):
        self.ending = True
        self.join(60)
        return self.problem


class Restart(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="routed-restart-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.provider = fake.Provider()
        self.addCleanup(self.provider.close)
        net_n1(self.provider)
        self.port = free_port()
        self.routed = Routed(os.path.join(self.folder, "d"), self.provider.uri, publish="no",
                             exim="unix:routed/exim", policy=f"inet:127.0.0.1:{self.port}")
        self.addCleanup(self.routed.stop)
        self.routed.start().becomes(VIA_HUB)

    def spawn(self, *more, **how):
        with open(self.routed.path("log"), "ab") as log:
            return subprocess.Popen(["routed", "--config", self.routed.path("routed.conf"), *more],
                                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, **how)

    def replace(self):
        old, self.routed.process = self.routed.process, self.spawn("--takeover")
        self.assertEqual(old.wait(20), 0, self.routed.log()[-3000:])
        wait_for("the new one is ready", lambda: self.routed.listens() and self.has_control())

    def has_control(self):
        try:
            return self.routed.status()["table"] != "none"
        except OSError:
            return False

    def exim(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(self.routed.path("routed", "exim"))
            s.sendall(f"route {BOB}\n".encode())
            answer = s.makefile("rb").read()
        self.assertEqual(answer, b"route hub.example.com/mx\n")

    def test_postmap_loses_nothing(self):
        """One postmap that keeps its connection, one process for each look-up, and Exim's way."""
        if shutil.which("postmap") is None:
            self.skipTest("postmap is not installed")
        # Like Postfix's daemons, and unlike postmap by itself, these ignore SIGPIPE.
        argv = ["postmap", "-c", postfix.config_folder(), "-q"]
        where = f"socketmap:unix:{self.routed.socketmap}:transport"
        stream = subprocess.Popen([*argv, "-", where], stdin=subprocess.PIPE, bufsize=0,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  restore_signals=False)

        def ask_stream():
            stream.stdin.write(f"{BOB}\n".encode() * 50)
            time.sleep(0.001)

        def ask_once():
            p = subprocess.run([*argv, BOB, where], text=True, check=False, restore_signals=False,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual((p.returncode, p.stdout), (0, "smtp:hub.example.com\n"))
        output = []
        reader = threading.Thread(target=lambda: output.extend(stream.stdout), daemon=True)
        reader.start()
        askers = [Asker(ask) for ask in (ask_stream, ask_once, self.exim)]
        for a in askers:
            a.start()
        for _ in range(RESTARTS):
            before = [a.asked for a in askers]
            self.replace()
            wait_for("questions after the restart",
                     lambda: all(a.problem or a.asked > b for a, b in zip(askers, before)))
        problems = [a.end() for a in askers]
        stream.stdin.close()
        reader.join(60)
        self.assertEqual(problems, [None] * 3, self.routed.log()[-3000:])
        self.assertEqual(stream.wait(20), 0, output[-3:])
        self.assertEqual(set(output), {f"{BOB}\tsmtp:hub.example.com\n".encode()})
        self.assertEqual(len(output), 50 * askers[0].asked)
        print(f"# {RESTARTS} restarts, {[a.asked for a in askers]} look-ups")

    def test_without_a_predecessor(self):
        self.routed.stop()
        self.routed.process = self.spawn("--takeover")
        wait_for("answers", self.routed.listens)
        self.assertEqual(self.routed.ask(BOB), VIA_HUB)

    def test_second_one_stays_away(self):
        second = self.spawn()
        self.assertEqual(second.wait(20), 1)
        self.assertEqual(self.routed.ask(BOB), VIA_HUB)

    def test_killed_predecessor(self):
        self.routed.process.kill()
        self.routed.process.wait()
        self.routed.process = self.spawn("--takeover")
        wait_for("answers", self.routed.listens)
        self.assertEqual(self.routed.ask(BOB), VIA_HUB)

    def test_sockets_of_the_service_manager(self):
        """LISTEN_FDS: they stay open while nobody runs, and who connects then is answered later."""
        self.routed.stop()
        path = self.routed.socketmap
        if os.path.exists(path):
            os.unlink(path)
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
            listener.bind(path)
            listener.listen(16)
            client.settimeout(15)
            client.connect(path)
            client.sendall(b"28:transport bob@s2.example.com,")
            script = 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&0 </dev/null'
            with open(self.routed.path("log"), "ab") as log:
                self.routed.process = subprocess.Popen(
                    ["sh", "-c", script, "sh", "routed", "--config",
                     self.routed.path("routed.conf")], stdin=listener, stdout=log, stderr=log)
            self.assertEqual(client.recv(4096), b"23:OK smtp:hub.example.com,")


if __name__ == "__main__":
    tap.main()
