#!/usr/bin/python3
# tests/run: build=san timeout=300
"""F14: certificates that are expired, of tomorrow, of a stranger, weak, revoked, without names, changed
while everything runs: towards clients, and between sites, where the key decides and nothing else."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import ber  # noqa: E402
import tap  # noqa: E402
from dird_site import DirdSite, openssl  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import free_port, run, wait_for  # noqa: E402

PAST, YESTERDAY, TOMORROW, FUTURE = "20200101000000Z", "20260101000000Z", "20990101000000Z", "20991231000000Z"
P256 = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
RSA1024 = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024")


class Authority:
    """A certification authority in a folder of its own."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        os.makedirs(self.path("new"))
        open(self.path("index"), "w", encoding="ascii").close()
        for counter in ("serial", "crlnumber"):
            with open(self.path(counter), "w", encoding="ascii") as f:
                f.write("1000\n")
        with open(self.path("ca.cnf"), "w", encoding="ascii") as f:
            f.write("[ca]\ndefault_ca=own\n[own]\n"
                    f"database={self.path('index')}\nnew_certs_dir={self.path('new')}\n"
                    f"serial={self.path('serial')}\ncrlnumber={self.path('crlnumber')}\n"
                    f"certificate={self.path('ca.crt')}\nprivate_key={self.path('ca.key')}\n"
                    "default_md=sha256\ndefault_crl_days=30\npolicy=any\nunique_subject=no\n"
                    "[any]\ncommonName=supplied\n"
                    "[leaf]\nbasicConstraints=CA:FALSE\n[server]\nbasicConstraints=CA:FALSE\n"
                    "extendedKeyUsage=serverAuth\n[named]\nsubjectAltName=DNS:elsewhere.example.com\n")
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                "-subj", f"/CN={name}", "-keyout", self.path("ca.key"), "-out", self.path("ca.crt"))

    def path(self, name):
        return os.path.join(self.folder, name)

    def _ca(self, *argv):
        openssl("ca", "-batch", "-config", self.path("ca.cnf"), *argv)

    def issue(self, key, out, subject, begin=YESTERDAY, end=TOMORROW, extensions="leaf"):
        request = self.path("request.csr")
        openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        self._ca("-preserveDN", "-notext", "-startdate", begin, "-enddate", end, "-extensions", extensions,
                 "-in", request, "-out", out)
        return out

    def revoke(self, certificate):
        self._ca("-revoke", certificate)

    def list_revoked(self, out):
        self._ca("-gencrl", "-out", out)


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.wrap_bio(incoming, outgoing).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


HELLO = client_hello()


def make_key(path, kind=P256):
    openssl("genpkey", *kind, "-out", path)
    os.chmod(path, 0o600)
    return path


class TowardsClients(unittest.TestCase):
    """SASL EXTERNAL with a certificate whose subject names an entry (docs/ldap.md)."""

    @classmethod
    def setUpClass(cls):
        cls.site = DirdSite("tls-ca trust.pem")
        cls.addClassCleanup(cls.site.close)
        cls.ours = Authority(cls.site.path("ours"), "ours")
        cls.other = Authority(cls.site.path("other"), "other")
        cls.lists_trust()
        cls.site.start()
        cls.site.add_root()
        cls.person = cls.issue("person", "/CN=admin")

    @classmethod
    def lists_trust(cls):
        with open(cls.site.path("trust.pem"), "wb") as out:
            for name in ("ca.crt", "list.pem"):
                path = cls.ours.path(name)
                if os.path.exists(path):
                    with open(path, "rb") as f:
                        out.write(f.read())

    @classmethod
    def issue(cls, name, subject="/O=Example/CN=admin", authority=None, kind=P256, **more):
        key = make_key(cls.site.path(name + ".key"), kind)
        (authority or cls.ours).issue(key, cls.site.path(name + ".crt"), subject, **more)
        return name

    def context(self, name, version=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        if version is not None:
            context.maximum_version = version
        if name is not None:
            context.load_cert_chain(self.site.path(name + ".crt"), self.site.path(name + ".key"))
        return context

    def ask(self, context, request, session=None):
        """(answer, the session to resume, was it resumed) of one request on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.site.tls_port), 20) as plain, \
                context.wrap_socket(plain, session=session) as s:
            raw = ber.Raw.__new__(ber.Raw)
            raw.s, raw.data = s, b""
            raw.send(request)
            return raw.result(1), s.session, s.session_reused

    def bind(self, name, version=None):
        """(code, text) of a bind with SASL EXTERNAL."""
        answer, _, _ = self.ask(self.context(name, version), ber.bind_external(1))
        return answer.code, answer.text.decode()

    def refused(self, name, reason):
        code, text = self.bind(name)
        self.assertEqual(code, 49)
        self.assertIn(reason, text)
        self.assertIn(reason, self.site.log())

    def test_good(self):
        self.assertEqual(self.bind(self.issue("good")), (0, ""))
        self.assertEqual(self.bind("good", ssl.TLSVersion.TLSv1_2), (0, ""))

    def test_expired(self):
        self.refused(self.issue("expired", begin=PAST, end=YESTERDAY), "certificate has expired")

    def test_of_tomorrow(self):
        self.refused(self.issue("future", begin=TOMORROW, end=FUTURE), "certificate is not yet valid")

    def test_of_another_authority(self):
        self.refused(self.issue("strange", authority=self.other), "unable to get local issuer certificate")

    def test_for_servers_only(self):
        self.refused(self.issue("server", extensions="server"), "unsuitable certificate purpose")

    def test_weak(self):
        self.refused(self.issue("weak", kind=RSA1024), "the key of the client's certificate is too weak")

    def test_none(self):
        self.refused(None, "the client has given no certificate")

    def test_of_nobody(self):
        self.refused(self.issue("nobody", "/O=Example/CN=nobody"), "no entry its subject's name")

    def test_key_of_no_site(self):
        """What looks like a site's certificate, with another key."""
        self.refused(self.issue("copy", "/CN=hub.example.com", authority=self.other),
                     "no site has the client certificate's key pinned")

    def test_sessions_are_resumed(self):
        """But for those of clients with a certificate: it would outlive its date and its revocation."""
        search = ber.search(1, "", 0)
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.context(None, version)
            _, session, resumed = self.ask(context, search)
            self.assertFalse(resumed)
            answer, _, resumed = self.ask(context, search, session)
            self.assertTrue(resumed)
            self.assertEqual(answer.code, 0)
            context = self.context(self.issue("again"), version)
            answer, session, _ = self.ask(context, ber.bind_external(1))
            self.assertEqual(answer.code, 0)
            answer, _, resumed = self.ask(context, ber.bind_external(1), session)
            self.assertFalse(resumed)
            self.assertEqual(answer.code, 0)

    def test_revoked(self):
        for name in ("lost", "kept"):
            self.issue(name)
            self.assertEqual(self.bind(name), (0, ""))
        self.ours.revoke(self.site.path("lost.crt"))
        self.ours.list_revoked(self.ours.path("list.pem"))
        self.lists_trust()
        self.site.stop()
        self.site.start()
        self.refused("lost", "certificate revoked")
        self.assertEqual(self.bind("kept"), (0, ""))


class CostlyKey(unittest.TestCase):
    """A key whose signature takes a millisecond: handshakes are done beside the loops."""

    @classmethod
    def setUpClass(cls):
        cls.site = DirdSite()
        cls.addClassCleanup(cls.site.close)
        key = make_key(cls.site.path("site.key"), ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"))
        Authority(cls.site.path("ours"), "ours").issue(key, cls.site.path("site.crt"), "/CN=hub.example.com")
        cls.site.start()
        cls.site.add_root()

    def wrap(self, plain):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context.wrap_socket(plain)

    def test_many_at_once(self):
        """Also of clients that go in the middle of it, or send nonsense."""
        def come_and_go(i):
            for n in range(8):
                with socket.create_connection(("127.0.0.1", self.site.tls_port), 20) as plain:
                    if n % 4 == 1:
                        plain.sendall(b"nonsense" * 10)
                    elif n % 4 == 2:
                        plain.sendall(HELLO[:len(HELLO) - i])
                    elif n % 4 == 3:
                        plain.sendall(HELLO)
                    else:
                        with self.wrap(plain) as s:
                            s.sendall(ber.search(1, "", 0) + ber.search(2, "", 0))
                            data = b""
                            while data.count(b"\x65\x07\x0a\x01\x00") < 2:
                                data += s.recv(65536)
                            answered.append(i)
        answered = []
        threads = [threading.Thread(target=come_and_go, args=(i,)) for i in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(len(answered), 2 * len(threads))
        with self.site.admin() as c:
            c.send(ber.search(2, "o=Example", 0))
            self.assertEqual(c.result(2).code, 0)

    def test_start_tls(self):
        with socket.create_connection(("127.0.0.1", self.site.port), 20) as plain:
            raw = ber.Raw.__new__(ber.Raw)
            raw.s, raw.data = plain, b""
            raw.send(ber.message(1, ber.tlv(0x77, ber.tlv(0x80, b"1.3.6.1.4.1.1466.20037"))))
            self.assertEqual(raw.result(1).code, 0)
            with self.wrap(plain) as s:
                raw.s = s
                raw.send(ber.search(2, "", 0))
                self.assertEqual(raw.result(2).code, 0)

    def test_stop_in_the_middle(self):
        """Handshakes are under way when the server stops."""
        for _ in range(200):
            plain = socket.create_connection(("127.0.0.1", self.site.tls_port), 20)
            self.addCleanup(plain.close)
            plain.sendall(HELLO)
        self.assertEqual(self.site.stop(), 0)
        self.site.start()


class BetweenSites(SitesCase):
    """The steps build on each other and run in the order of their names."""

    NAMES = ("Hub", "Site1")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one = cls.sites.values()
        cls.ours = Authority(os.path.join(cls.folder, "ca"), "ours")
        cls.n = 0

    def status(self):
        return self.link_status(self.one, "ou=Hub", "Hub")

    def last_error(self, reason):
        wait_for(reason, lambda: reason in (self.status()["lastError"] or ""), 30)

    def change_arrives(self):
        type(self).n += 1
        name = f"Person{self.n}"
        self.hub.modify(f"dn: cn={name},cn=Recipients,ou=Hub,o=Example\nchangetype: add\n"
                        f"objectClass: inetOrgPerson\nsn: {name}\n\n")
        wait_for("the change", lambda: self.one.count("o=Example", f"(cn={name})") == 1)

    def restart_hub(self):
        self.hub.stop("dird")
        self.hub.start("dird")

    def pin(self, key):
        return subprocess.run(f"openssl pkey -in {key} -pubout -outform DER | openssl dgst -sha256 -binary "
                              "| base64", shell=True, check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def set_key(self, *words):
        run("sitectl", "site", "set", "Hub", *words, "--config", self.hub.path("dird.conf"))

    def take_key(self, key):
        shutil.copy(key, self.hub.path("site.key"))
        self.ours.issue(key, self.hub.path("site.crt"), "/CN=hub.example.com")

    def test_1_dates_names_and_issuers_do_not_count(self):
        """The key is the one that the directory pins: an expired certificate stops no mail."""
        for begin, end, extensions in ((PAST, YESTERDAY, "leaf"), (TOMORROW, FUTURE, "leaf"),
                                       (YESTERDAY, TOMORROW, "named"), (YESTERDAY, TOMORROW, "leaf")):
            self.ours.issue(self.hub.path("site.key"), self.hub.path("site.crt"), "/CN=hub", begin, end,
                            extensions)
            self.restart_hub()
            self.change_arrives()

    def test_2_another_sites_key_is_refused(self):
        """The partner's address is answered by a site with a good key of its own."""
        link = "dn: cn=To Hub,cn=Directory Replication,cn=Configuration,ou=Site1,o=Example\n"
        change = link + "changetype: modify\nreplace: replicationURI\nreplicationURI: ldaps://{}\n\n"
        self.one.modify(change.format(self.one.ldaps))
        self.last_error("the key of the other side is not the one pinned for its site")
        self.one.modify(change.format(self.hub.ldaps))
        self.change_arrives()

    def test_3_a_weak_key_is_refused(self):
        """Even where somebody has pinned it."""
        key = make_key(os.path.join(self.folder, "weak.key"), RSA1024)
        certificate = self.ours.issue(key, os.path.join(self.folder, "weak.crt"), "/CN=hub.example.com")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.load_cert_chain(certificate, key)
        port = free_port()
        listener = socket.create_server(("127.0.0.1", port))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    plain, _ = listener.accept()
                    context.wrap_socket(plain, server_side=True).close()
                except ssl.SSLError:
                    continue
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        self.set_key(f"siteKey+=sha256:{self.pin(key)}")
        self.change_arrives()
        link = "dn: cn=To Hub,cn=Directory Replication,cn=Configuration,ou=Site1,o=Example\n"
        change = link + "changetype: modify\nreplace: replicationURI\nreplicationURI: ldaps://{}\n\n"
        self.one.modify(change.format(f"127.0.0.1:{port}"))
        self.last_error("the key of the other side is too weak")
        self.one.modify(change.format(self.hub.ldaps))
        self.set_key(f"siteKey-=sha256:{self.pin(key)}")
        self.change_arrives()

    def test_4_a_key_is_changed_while_sites_run(self):
        """Two pins: the next key is known everywhere before it is used, the former is taken back after."""
        old, key = self.pin(self.hub.path("site.key")), make_key(os.path.join(self.folder, "next.key"))
        self.set_key(f"siteKey+=sha256:{self.pin(key)}")
        self.change_arrives()
        self.take_key(key)
        self.hub.processes["dird"].send_signal(signal.SIGHUP)
        wait_for("the new key", lambda: "reload" in self.hub.log("dird"))
        run("sitectl", "link", "set", "Hub", "connectorEnabled=FALSE", "--config", self.one.path("dird.conf"))
        run("sitectl", "link", "set", "Hub", "connectorEnabled=TRUE", "--config", self.one.path("dird.conf"))
        self.change_arrives()
        self.set_key(f"siteKey-=sha256:{old}")
        self.change_arrives()
        wait_for("the link", lambda: self.status()["state"] == "persisting")

    def test_5_a_key_that_was_taken_back(self):
        """Revoked: its pin is gone. Neither a session that runs nor a new one goes on with it."""
        stolen = self.pin(self.hub.path("site.key"))
        self.set_key(f"siteKey+=sha256:{self.pin(make_key(os.path.join(self.folder, 'third.key')))}")
        self.change_arrives()
        self.set_key(f"siteKey-=sha256:{stolen}")
        self.last_error("the key of the other side is not the one pinned for its site")
        wait_for("the hub's own link", lambda: "no site has the client certificate's key pinned"
                 in self.hub.log("dird") + self.one.log("dird"))
        self.take_key(os.path.join(self.folder, "third.key"))
        self.restart_hub()
        self.change_arrives()


if __name__ == "__main__":
    tap.main()
