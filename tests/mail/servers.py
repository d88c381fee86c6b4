"""The foreign servers of the mail test: NSD with one zone, and Postfix.

Each runs as a child of the test with all its files below a folder of its own.
"""
import email
import os
import shutil
import subprocess

from waypost import wait_for

DAEMONS = "/usr/lib/postfix/sbin"
LMDB_PLUGIN = "/usr/lib/postfix/postfix-lmdb.so"
POSTFIX_FILES = "/etc/postfix"
MAILBOX_UID = 65534


def missing():
    """Which program the test lacks on this machine, or None."""
    for program in ("ip", "nsd", "postfix", os.path.join(DAEMONS, "master")):
        if shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            return program
    return None if os.path.exists(LMDB_PLUGIN) else LMDB_PLUGIN


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def read(path):
    """The file's text; empty when there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


class Child:
    """A foreground server process."""

    def __init__(self, argv, log):
        with open(log, "ab") as out:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            start_new_session=True)
        self.log = log

    def check_alive(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{' '.join(self.process.args)}\nended with status "
                                 f"{self.process.returncode}\n{read(self.log)}")

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def start_nameserver(folder, network, zone, records):
    """NSD at 192.0.2.1, the authority for one zone. records: lines of a zone file."""
    write(os.path.join(folder, "zone"),
          f"$ORIGIN {zone}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 900 86400 60\n@ NS ns\n"
          "ns A 192.0.2.1\n" + "\n".join(records) + "\n")
    write(os.path.join(folder, "nsd.conf"), f"""server:
	ip-address: 192.0.2.1
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
	name: {zone}
	zonefile: zone
""")
    return Child([*network.infrastructure(), "nsd", "-d", "-c", os.path.join(folder, "nsd.conf")],
                 os.path.join(folder, "nsd.log"))


MAIN_CF = """compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
meta_directory = {folder}/etc
daemon_directory = {daemons}
command_directory = /usr/sbin
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
mail_owner = postfix
setgid_group = postdrop

myhostname = mx.{domain}
mydomain = {domain}
myorigin = {domain}
mydestination =
inet_interfaces = all
inet_protocols = ipv4
mynetworks = 127.0.0.0/8 192.0.2.0/24
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_policy_service {policy}
smtpd_peername_lookup = no
smtp_tls_security_level = none
biff = no

transport_maps = {transport}
recipient_canonical_maps = {recipient}
virtual_mailbox_domains = {domain} {shared}
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:all/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
minimal_backoff_time = 2s
maximal_backoff_time = 4s
queue_run_delay = 2s
"""

MASTER_CF = """smtp      inet  n - n - - smtpd
pickup    unix  n - n 60 1 pickup
cleanup   unix  n - n - 0 cleanup
qmgr      unix  n - n 2 1 qmgr
rewrite   unix  - - n - - trivial-rewrite
bounce    unix  - - n - 0 bounce
defer     unix  - - n - 0 bounce
trace     unix  - - n - 0 bounce
verify    unix  - - n - 1 verify
flush     unix  n - n 1000? 0 flush
proxymap  unix  - - n - - proxymap
smtp      unix  - - n - - smtp
relay     unix  - - n - - smtp
error     unix  - - n - - error
retry     unix  - - n - - error
discard   unix  - - n - - discard
local     unix  - n n - - local
virtual   unix  - n n - - virtual
anvil     unix  - - n - 1 anvil
scache    unix  - - n - 1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix(Child):
    """A Postfix of its own on one host. All users of its domain share one Maildir.

    shared                 a domain of other sites, too
    transport, recipient   tables of routed
    policy                 its policy service: "unix:PATH" or "inet:ADDRESS:PORT"
    """

    def __init__(self, folder, host, domain, shared, transport, recipient, policy):
        self.folder, self.host, self.domain = folder, host, domain
        etc = os.path.join(folder, "etc")
        mail = os.path.join(folder, "mail")
        for new in (os.path.join(folder, "queue"), os.path.join(folder, "data"), mail):
            os.makedirs(new)
        shutil.chown(os.path.join(folder, "data"), "postfix")
        os.chown(mail, MAILBOX_UID, MAILBOX_UID)
        write(os.path.join(etc, "main.cf"), MAIN_CF.format(
            folder=folder, domain=domain, shared=shared, transport=transport, recipient=recipient, policy=policy,
            daemons=DAEMONS, uid=MAILBOX_UID))
        write(os.path.join(etc, "master.cf"), MASTER_CF)
        for name in ("postfix-files", "postfix-script", "post-install", "dynamicmaps.cf"):
            shutil.copy(os.path.join(POSTFIX_FILES, name), etc)
        subprocess.run([*host.prefix(), "postfix", "-c", etc, "check"], check=True)
        super().__init__([*host.prefix(), os.path.join(DAEMONS, "master"), "-d", "-c", etc],
                         os.path.join(folder, "master.log"))
        wait_for(f"Postfix of {domain} answers", self._answers)

    def _answers(self):
        self.check_alive()
        p = subprocess.run([*self.host.prefix(), "/usr/bin/python3", "-c",
                            "import smtplib; smtplib.SMTP('127.0.0.1', 25, timeout=5).quit()"],
                           stderr=subprocess.DEVNULL, check=False)
        return p.returncode == 0

    def mail_log(self):
        return read(os.path.join(self.folder, "mail.log")) + read(self.log)

    def send(self, sender, recipient, subject):
        """Hand it a message, as a user's mail program on this host does."""
        script = ("import smtplib, sys\n"
                  "with smtplib.SMTP('127.0.0.1', 25, timeout=30) as s:\n"
                  "    s.sendmail(sys.argv[1], [sys.argv[2]], sys.stdin.read())\n")
        subprocess.run([*self.host.prefix(), "/usr/bin/python3", "-c", script, sender, recipient],
                       input=f"From: {sender}\nTo: {recipient}\nSubject: {subject}\n\nHello.\n",
                       text=True, check=True)

    def send_many(self, sender, recipients, subject):
        """Start to hand it a message for each recipient over one connection; the process that does it. Their
        subjects are `subject` and a number from 0."""
        script = ("import smtplib, sys\n"
                  "sender, subject, *recipients = sys.argv[1:]\n"
                  "with smtplib.SMTP('127.0.0.1', 25, timeout=60) as s:\n"
                  "    for i, r in enumerate(recipients):\n"
                  "        s.sendmail(sender, [r], f'From: {sender}\\nTo: {r}\\n'\n"
                  "                   f'Subject: {subject} {i}\\n\\nHello.\\n')\n")
        return subprocess.Popen([*self.host.prefix(), "/usr/bin/python3", "-c", script, sender, subject,
                                 *recipients])

    def mailbox(self):
        """All messages delivered here."""
        new = os.path.join(self.folder, "mail", "all", "new")
        for name in os.listdir(new) if os.path.isdir(new) else ():
            with open(os.path.join(new, name), encoding="utf-8") as f:
                yield email.message_from_file(f)

    def delivered(self, subject):
        """The message with this subject in the mailbox here, or None."""
        return next((m for m in self.mailbox() if m["Subject"] == subject), None)
