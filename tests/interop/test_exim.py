#!/usr/bin/python3
# tests/run: build=gcc timeout=300
"""Exim asks routed (readsocket): routes, rewriting, deferral, and the end of each line.

Debian does not install exim4 beside postfix, so its packages are unpacked into a folder of the test.
"""
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib")]
import fake_provider as fake  # noqa: E402
import tap  # noqa: E402
from test_routed import ROOT, Routed, net_n1, put_site  # noqa: E402
from waypost import wait_for  # noqa: E402

PACKAGES = ("exim4-daemon-light", "exim4-base", "libidn12")
RELAY_PORT = 2525  # nobody is asked there
SYSTEM = "dirsync@s1.example.com"

# The routers are those of routed(8).
CONFIG = r"""
primary_hostname = s1.example.com
exim_path = {exim}
spool_directory = {folder}/spool
log_file_path = {folder}/log-%slog
exim_user = nobody
exim_group = nogroup
qualify_domain = s1.example.com
host_lookup =
keep_environment =
disable_ipv6

begin routers
waypost_ask:
  driver = redirect
  address_data = ${{readsocket{{{socket}}}\
      {{route $local_part@$domain <$sender_address>\n}}{{5s}}{{ }}\
      {{defer no answer from routed}}}}
  data = ${{if match{{$address_data}}{{\N^defer (.*)\N}}{{:defer: $1}}\
      {{${{if match{{$address_data}}{{\N^rewrite (\S+)\N}}{{$1}}}}}}}}
  allow_defer
waypost:
  driver = manualroute
  route_data = ${{if match{{$address_data}}{{\N^route (\S+)\N}}{{$1}}}}
  self = send
  transport = remote_smtp
rest:
  driver = accept
  transport = file

begin transports
remote_smtp:
  driver = smtp
file:
  driver = appendfile
  file = {folder}/mailbox
  user = root
"""


def unpack(folder):
    """Exim's folder; or skips, saying why."""
    if os.geteuid() != 0:
        tap.skip_all("Exim needs root")
    p = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, text=True, check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    archives = glob.glob(os.path.join(folder, "*.deb"))
    if p.returncode != 0 or len(archives) != len(PACKAGES):
        tap.skip_all("cannot download exim4-daemon-light: " + " ".join(p.stdout.split())[-200:])
    for archive in archives:
        subprocess.run(["dpkg-deb", "-x", archive, os.path.join(folder, "root")], check=True)
    return os.path.join(folder, "root")


class Exim(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="waypost-exim-")
        self.addCleanup(shutil.rmtree, self.folder)
        shutil.chown(self.folder, "nobody")
        self.provider = fake.Provider()
        self.addCleanup(self.provider.close)
        net_n1(self.provider, onlySystemMessagesUseCDs="TRUE")
        put_site(self.provider, "S1", systemAddress=SYSTEM, siteSharedDomain="example.com")
        put_site(self.provider, "S2", siteSharedDomain="example.com")
        self.provider.put(f"cn=R,cn=Connections,cn=Configuration,ou=S1,{ROOT}",
                          objectClass=["mailConnector", "imsConnector"], cn="R",
                          smartHost=f"[127.0.0.1]:{RELAY_PORT}",
                          routingList="SMTP:*@relayed.example;1")
        self.routed = Routed(os.path.join(self.folder, "routed"), self.provider.uri, publish="no",
                             exim="unix:routed/exim")
        self.addCleanup(self.routed.stop)
        self.routed.start()
        self.routed.becomes("OK smtp:s2.example.com")
        self.write("exim.conf", CONFIG.format(folder=self.folder, exim=EXIM,
                                              socket=self.routed.path("routed", "exim")))
        with open("/etc/passwd", encoding="utf-8") as f:
            self.write("passwd", f.read() + "Debian-exim:x:60999:60999::/:/bin/false\n")
        with open("/etc/group", encoding="utf-8") as f:
            self.write("group", f.read() + "Debian-exim:x:60999:\n")

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def exim(self, *argv, stdin=None):
        """Run it with users of its own, seen by it alone; (status, output)."""
        script = ('mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && '
                  'exec "$@"')
        p = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, self.folder,
             EXIM, "-C", os.path.join(self.folder, "exim.conf"), *argv],
            input=stdin, text=True, check=False, timeout=60, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ,
                 "LD_LIBRARY_PATH": glob.glob(os.path.join(ROOT_FOLDER, "usr/lib/*-linux-gnu"))[0]})
        return p.returncode, p.stdout

    def asks(self, recipient, sender):
        """What readsocket reads."""
        path = self.routed.path("routed", "exim")
        text = f"${{readsocket{{{path}}}{{route {recipient} <{sender}>\\n}}{{5s}}{{|}}}}"
        status, out = self.exim("-be", text)
        self.assertEqual(status, 0, out)
        return out.strip()

    def test_answers(self):
        for recipient, sender, answer in [
                ("bob@s2.example.com", "ada@s1.example.com", "route s2.example.com/mx|"),
                ("Bob+x@S2.example.com", SYSTEM, "route hub.example.com/mx|"),
                ("bob@s2.example.com", "", "route s2.example.com/mx|"),
                ("ada@s1.example.com", "", "local|"),
                ("x@elsewhere.org", "", "none|"),
                ("x@relayed.example", "", f"route 127.0.0.1::{RELAY_PORT}|")]:
            with self.subTest(recipient=recipient, sender=sender):
                self.assertEqual(self.asks(recipient, sender), answer)

    def test_routers(self):
        status, out = self.exim("-f", "ada@s1.example.com", "-bt", "x@relayed.example")
        self.assertEqual(status, 0, out)
        self.assertRegex(out, rf"router = waypost, transport = remote_smtp\s+"
                              rf"host 127.0.0.1 \[127.0.0.1\]\s+port={RELAY_PORT}")
        for local in ("ada@s1.example.com", "x@elsewhere.org"):
            status, out = self.exim("-bt", local)
            self.assertEqual(status, 0, out)
            self.assertIn("router = rest, transport = file", out)

    def test_shared_domain(self):
        """Exim rewrites it and routes the new address."""
        self.provider.recipients.append(fake.Entry(
            f"cn=Bob,cn=Recipients,ou=S2,{ROOT}", objectClass=["inetOrgPerson"],
            proxyAddresses=["SMTP:bob@example.com", "smtp:bob@s2.example.com"]))
        wait_for("rewritten", lambda: self.asks("Bob+x@example.com", "")
                 == "rewrite bob+x@s2.example.com|")
        wait_for("local", lambda: self.asks("nobody@example.com", "") == "local|")

    def test_defer(self):
        put_site(self.provider, "S9")
        wait_for("S9 known", lambda: self.asks("x@s9.example.com", "")
                 == "defer no mail route to site S9|")
        status, out = self.exim("-bt", "x@s9.example.com")
        self.assertEqual(status, 1, out)
        self.assertIn("no mail route to site S9", out)
        self.routed.stop()
        status, out = self.exim("-bt", "bob@s2.example.com")
        self.assertEqual(status, 1, out)
        self.assertIn("no answer from routed", out)

    def test_protocol(self):
        """A line in pieces, a line that the end of the stream ends, and what is no request."""
        def ask(*pieces, end=False):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(15)
                s.connect(self.routed.path("routed", "exim"))
                for piece in pieces:
                    s.sendall(piece)
                if end:
                    s.shutdown(socket.SHUT_WR)
                data = b""
                while piece := s.recv(4096):
                    data += piece
                return data
        self.assertEqual(ask(*(bytes([b]) for b in b"route bob@s2.example.com\n")),
                         b"route s2.example.com/mx\n")
        self.assertEqual(ask(b"route bob@s2.example.com", end=True), b"route s2.example.com/mx\n")
        self.assertEqual(ask(b"route ada@s1.example.com\nroute bob@s2.example.com\n"), b"local\n")
        self.assertRegex(ask(b"hello\n"), b"^defer the request is not")
        self.assertEqual(ask(end=True), b"")
        self.assertEqual(ask(b"route " + b"x" * 15994), b"")


unpacked = tempfile.mkdtemp(prefix="waypost-exim-")
try:
    os.chmod(unpacked, 0o755)
    ROOT_FOLDER = unpack(unpacked)
    EXIM = os.path.join(ROOT_FOLDER, "usr", "sbin", "exim4")
    tap.main()
finally:
    shutil.rmtree(unpacked)
