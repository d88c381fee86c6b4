"""A real Exim for tests. Debian does not install exim4 beside postfix, so its packages are unpacked into a
folder of the test, and it runs with users of its own that it alone sees."""
import glob
import os
import shutil
import subprocess

import tap

PACKAGES = ("exim4-daemon-light", "exim4-base", "libidn12")

# The routers waypost_ask and waypost are those of routed(8).
CONFIG = r"""
primary_hostname = {host}
exim_path = {exim}
spool_directory = {folder}/spool
log_file_path = {folder}/log-%slog
exim_user = nobody
exim_group = nogroup
qualify_domain = {domain}
host_lookup =
keep_environment = LD_LIBRARY_PATH
disable_ipv6

begin routers
waypost_ask:
  driver = redirect
  address_data = ${{readsocket{{{socket}}}\
      {{route $local_part@$domain <$sender_address>\n}}{{5s}}{{ }}\
      {{defer no answer from routed}}}}
  data = ${{if match{{$address_data}}{{\N^defer (.*)\N}}{{:defer: $1}}\
      {{${{if match{{$address_data}}{{\N^rewrite (\S+)\N}}{{$1}}\
      {{${{if eq{{$address_data}}{{}}{{:defer: empty answer from routed}}}}}}}}}}}}
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
    """Unpack the packages below this folder, or skip all tests, saying why."""
    os.chmod(folder, 0o755)
    if os.geteuid() != 0:
        tap.skip_all("Exim needs root")
    p = subprocess.run(["apt-get", "download", *PACKAGES], cwd=folder, text=True, check=False,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    archives = glob.glob(os.path.join(folder, "*.deb"))
    if p.returncode != 0 or len(archives) != len(PACKAGES):
        tap.skip_all("cannot download exim4-daemon-light: " + " ".join(p.stdout.split())[-200:])
    for archive in archives:
        subprocess.run(["dpkg-deb", "-x", archive, os.path.join(folder, "root")], check=True)


class Exim:
    """Configured to ask the routed at this socket, with its files in `folder`.

    unpacked   the folder that unpack() filled
    prefix     argv put before every command line
    """

    def __init__(self, folder, unpacked, domain, routed_socket, prefix=()):
        self.folder, self.prefix = folder, tuple(prefix)
        self.root = os.path.join(unpacked, "root")
        self.program = os.path.join(self.root, "usr", "sbin", "exim4")
        os.chmod(self.program, 0o755)  # not setuid: then it would not find its library
        shutil.chown(folder, "nobody")
        self._write("exim.conf", CONFIG.format(folder=folder, exim=self.program, domain=domain,
                                               host="exim." + domain, socket=routed_socket))
        for name, line in (("passwd", "Debian-exim:x:60999:60999::/:/bin/false\n"),
                           ("group", "Debian-exim:x:60999:\n")):
            with open("/etc/" + name, encoding="utf-8") as f:
                self._write(name, f.read() + line)

    def _write(self, name, text):
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, *argv, stdin=None):
        """(status, output) of Exim with these arguments."""
        script = ('mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && '
                  'exec "$@"')
        p = subprocess.run(
            [*self.prefix, "unshare", "-m", "sh", "-c", script, self.folder,
             self.program, "-C", os.path.join(self.folder, "exim.conf"), *argv],
            input=stdin, text=True, check=False, timeout=60, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ,
                 "LD_LIBRARY_PATH": glob.glob(os.path.join(self.root, "usr/lib/*-linux-gnu"))[0]})
        return p.returncode, p.stdout

    def send(self, sender, recipient, subject):
        """Send a message; returns when Exim has tried to deliver it: (status, output)."""
        return self.run("-odf", "-f", sender, recipient,
                        stdin=f"From: {sender}\nTo: {recipient}\nSubject: {subject}\n\nHello.\n")

    def mail_log(self):
        path = os.path.join(self.folder, "log-mainlog")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
