"""A real OpenSMTPD for tests. Debian does not install it beside postfix, so its package is unpacked into a folder
of the test, and it runs with users, spool and program folder of its own that it alone sees."""
import glob
import os
import shutil
import smtplib
import socket
import subprocess
import threading

import tap
from waypost import free_port, wait_for

PACKAGES = ("opensmtpd",)

# The tables, the actions "sites" and "system" and their matches are those of routed(8).
CONFIG = """
table relayhost waypost:{routed}
table systemrelayhost waypost:{routed}
table systemsender waypost:{routed}
listen on 127.0.0.1 port {port}
action "sites" relay domain <relayhost>
action "system" relay domain <systemrelayhost>
action "outside" relay host smtp://[127.0.0.1]:{mx}
match from any mail-from <systemsender> for domain <systemrelayhost> action "system"
match from any for rcpt-to <systemrelayhost> action "system"
match from any for domain <relayhost> action "sites"
match from any for any action "outside"
"""

MOUNTS = """
mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group &&
mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/libexec" /usr/libexec &&
mount -t tmpfs none /run && mount -t tmpfs none /var/spool && mount -t tmpfs none /var/lib &&
mkdir -p -m 711 /var/lib/opensmtpd/empty /var/spool/smtpd && exec "$@"
"""


def unpack(folder):
    """Unpack the package below this folder, or skip all tests, saying why."""
    os.chmod(folder, 0o755)
    if os.geteuid() != 0:
        tap.skip_all("OpenSMTPD needs root")
    p = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, text=True, check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    archives = glob.glob(os.path.join(folder, "*.deb"))
    if p.returncode != 0 or len(archives) != len(PACKAGES):
        tap.skip_all("cannot download opensmtpd: " + " ".join(p.stdout.split())[-200:])
    for archive in archives:
        subprocess.run(["dpkg-deb", "-x", archive, os.path.join(folder, "root")], check=True)
    p = subprocess.run([program(folder), "-h"], text=True, check=False, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT)
    if "OpenSMTPD" not in p.stdout:
        tap.skip_all("opensmtpd does not run here: " + " ".join(p.stdout.split())[:200])


def program(folder):
    return os.path.join(folder, "root", "usr", "sbin", "smtpd")


class Sink:
    """A mail host that takes everything: `messages` holds (sender, recipient) of each."""

    def __init__(self):
        self.messages = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(peer,), daemon=True).start()

    def _session(self, peer):
        sender, recipients = None, []
        with peer, peer.makefile("rb") as lines:
            peer.sendall(b"220 sink ESMTP\r\n")
            for line in lines:
                word = line[:4].upper()
                argument = line.decode().partition(":")[2].split(">")[0].strip(" <")
                if word == b"MAIL":
                    sender, recipients = argument, []
                elif word == b"RCPT":
                    recipients.append(argument)
                elif word == b"DATA":
                    peer.sendall(b"354 go on\r\n")
                    while lines.readline() != b".\r\n":
                        pass
                    self.messages += [(sender, r) for r in recipients]
                peer.sendall(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    def close(self):
        self.listener.close()


class OpenSmtpd:
    """Configured to ask the routed at this socket; mail that no table knows goes to the port `mx`."""

    def __init__(self, folder, unpacked, table_process, routed_socket, mx):
        self.folder, self.program, self.port = folder, program(unpacked), free_port()
        tables = os.path.join(folder, "libexec", "opensmtpd")
        os.makedirs(tables)
        os.chmod(folder, 0o755)
        shutil.copy(table_process, os.path.join(tables, "table-waypost"))
        self._write("resolv.conf", "nameserver 127.0.0.1\n")
        self._write("smtpd.conf", CONFIG.format(routed=routed_socket, port=self.port, mx=mx))
        for name, lines in (("passwd", "opensmtpd:x:60998:60998::/var/lib/opensmtpd/empty:/bin/false\n"
                                       "opensmtpq:x:60997:60997::/var/lib/opensmtpd/empty:/bin/false\n"),
                            ("group", "opensmtpd:x:60998:\nopensmtpq:x:60997:\n")):
            with open("/etc/" + name, encoding="utf-8") as f:
                self._write(name, f.read() + lines)
        with open(os.path.join(folder, "smtpd.log"), "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "-m", "sh", "-c", MOUNTS, folder, self.program, "-d", "-v", "-T", "lookup",
                 "-f", os.path.join(folder, "smtpd.conf")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("smtpd listens", self._listens)

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(os.path.join(self.folder, name), 0o600 if name == "smtpd.conf" else 0o644)

    def log(self):
        with open(os.path.join(self.folder, "smtpd.log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def _listens(self):
        if self.process.poll() is not None:
            raise AssertionError(f"smtpd ended: {self.process.returncode}\n{self.log()}")
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def send(self, sender, recipient):
        """Hand a message over: the reply code to the recipient (250, 451, ...)."""
        with smtplib.SMTP("127.0.0.1", self.port, "client.example", 30) as smtp:
            smtp.ehlo()
            smtp.mail(sender)
            code, _ = smtp.rcpt(recipient)
            if code == 250:
                code, _ = smtp.data(b"Subject: x\r\n\r\nHello.\r\n")
            return code

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
