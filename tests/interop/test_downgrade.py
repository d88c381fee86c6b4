#!/usr/bin/python3
# tests/run: build=san timeout=400
"""S7: a partner that offers less than a site of this release is refused before anything is told or taken.

Site1 is what calls and what is called. The hub's part is taken by a modified program with the hub's key, which
passes on what Site2 has really written; for the called side a client has the hub's key.
"""
import os
import re
import socket
import ssl
import sys
import warnings

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import ber  # noqa: E402
import tap  # noqa: E402
from fake_partner import HEAD, OK, SYNC, FakePartner, Said, info, listen_to, split_address, tls_context  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import run, wait_for  # noqa: E402

ROOT = "o=Example"
PROTOCOL_ERROR, INVALID_CREDENTIALS, INSUFFICIENT_ACCESS = 2, 49, 50
START_TLS = "1.3.6.1.4.1.1466.20037"
VICTIM = f"cn=Victim,cn=Recipients,ou=Site2,{ROOT}"
SYNC_REQUEST = ber.control(SYNC + "1", True, ber.tlv(0x30, ber.integer(3, 0x0a)))
SYNC_SEARCH = ber.search(2, ROOT, 2, ber.PRESENT, ("*", "+", "originStamp", "parentUUID"), 0, SYNC_REQUEST,
                         ber.control(HEAD))


class OldTls(FakePartner):
    """Knows no TLS 1.3."""

    def __init__(self, site):
        super().__init__(site)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2


class Plain(FakePartner):
    """Knows no TLS: whatever comes is answered with protocolError, as StartTLS would be; it is kept."""

    ANSWER = ber.message(1, ber.tlv(0x78, ber.integer(2, 0x0a), *OK[1:]))

    def __init__(self, site):
        super().__init__(site)
        self.heard = b""

    def serve(self, raw):
        with raw:
            self.heard += raw.recv(65536)
            raw.sendall(self.ANSWER)
            self.sessions += 1


class InsistsOnOldTls(Plain):
    """Chooses TLS 1.2, and ECDHE-RSA-AES128-GCM-SHA256, though neither was offered."""

    HELLO = b"\x03\x03" + bytes(range(32)) + b"\0\xc0\x2f\0"
    ANSWER = b"\x16\x03\x03\0\x2a\x02\0\0\x26" + HELLO


class OldLdap(FakePartner):
    """Speaks LDAPv2."""

    def answer(self, s, number, request):
        if request[0] == 0x60:
            s.sendall(ber.message(number, ber.tlv(0x61, ber.integer(2, 0x0a), *OK[1:])))
            self.sessions += 1
        else:
            super().answer(s, number, request)


class Downgrade(SitesCase):
    NAMES = ("Hub", "Site1", "Site2")
    CONF = "heartbeat 500ms\n"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub, cls.one, cls.two = cls.sites.values()
        cls.two.modify(f"dn: {VICTIM}\nchangetype: add\nobjectClass: inetOrgPerson\nsn: before\n\n")
        wait_for("the change", lambda: cls.one.count(ROOT, "(sn=before)") == 1)
        wait_for("and proven", lambda: "contextProof: proven" in cls.one.search(
            "cn=Replication,cn=monitor", f"(ncName={cls.two.dn})"))
        cls.hub.stop("dird")
        cls.two.modify(f"dn: {VICTIM}\nchangetype: modify\nreplace: sn\nsn: after\n\n")
        nc = re.search(r"^entryUUID: (.*)$", cls.two.search(cls.two.dn, "(ou=Site2)", "entryUUID"), re.M)
        cls.said = Said(listen_to(ROOT, cls.two, cls.hub.folder, ""), nc.group(1))

    # --- Site1 calls -------------------------------------------------------------------------------

    def content(self):
        out = self.one.search(ROOT, "(!(objectClass=siteLocal))", "*", "entryUUID", "originStamp")
        stat = run("dirctl", "stat", "--json", "--config", self.one.path("dird.conf"))
        return sorted(out.split("\n\n")), re.findall(r'^{"context":"(?:ou=Site2|ou=Hub|o=).*$', stat, re.M)

    def status(self):
        return run("sitectl", "status", "--json", "--config", self.one.path("dird.conf"))

    def refused(self, partner, reason):
        """Site1 calls this partner: it takes nothing, and says why in the log and to its administrator."""
        before = self.content()
        partner.start()
        try:
            since = len(self.one.log("dird"))
            run("sitectl", "link", "sync-now", "Hub", "--config", self.one.path("dird.conf"))
            wait_for(f"in the log: {reason}", lambda: reason in self.one.log("dird")[since:])
            wait_for(f"in the status: {reason}", lambda: reason in self.status())
            self.assertEqual(self.content(), before)
        finally:
            partner.close()
        return partner

    def test_calls_tls_1_2(self):
        partner = self.refused(OldTls(self.hub), "alert protocol version")
        self.assertEqual(partner.sessions, 0)
        self.refused(InsistsOnOldTls(self.hub), "unsupported protocol")

    def test_calls_plain_text(self):
        """It begins with TLS and never falls back: nothing can be stripped, nothing leaves in clear text."""
        partner = self.refused(Plain(self.hub), "wrong version number")
        self.assertEqual(partner.heard[0], 22, "a TLS handshake record")
        self.assertNotIn(b"EXTERNAL", partner.heard)
        self.assertNotIn(START_TLS.encode(), partner.heard)

    def test_calls_by_a_link_without_tls(self):
        link = f"dn: cn=To Hub,cn=Directory Replication,cn=Configuration,{self.one.dn}\n"
        change = link + "changetype: modify\nreplace: replicationURI\nreplicationURI: {}\n\n"
        self.addCleanup(self.one.modify, change.format("ldaps://" + self.hub.ldaps))
        self.one.modify(change.format("ldap://" + self.hub.ldaps))
        reason = "replicationURI is not ldaps://host:port"
        wait_for("the link is read again", lambda: reason in self.status())
        partner = self.refused(Plain(self.hub), reason)
        self.assertEqual(partner.heard, b"")

    def test_calls_another_ldap(self):
        self.refused(OldLdap(self.hub), "bind refused: protocolError (2)")

    def session(self, reason, *messages):
        """What Site1 hears in a session that is well up to then."""
        partner = FakePartner(self.hub)
        partner.script = b"".join(messages)
        self.refused(partner, reason)
        self.assertTrue(partner.asked_for_heads)

    def test_calls_another_session_protocol(self):
        """Cookies of another form, and entries as other LDAP servers send them: without an origin."""
        for form in (b"wp0,", b"wp2,", b"", b"rid=001,csn=20260101000000.000000Z#000000#000#000000"):
            cookie = form + self.said.cookie_text()[len("wp1,"):] if form[:2] == b"wp" else form
            self.session("a cookie that is none of ours", *self.said.entries, info(ber.tlv(0x80, cookie)))
        for name in (b"originStamp", b"parentUUID"):
            foreign = [e.replace(name, bytes(reversed(name))) for e in self.said.entries]
            self.session(f"entry without a valid {name.decode()}", *foreign, self.said.cookie())

    def test_calls_without_signatures(self):
        """What Site2 has written, and no head: it waits, and that is told."""
        self.session("comes without a head that its site has signed", *self.said.entries,
                     self.said.cookie(), info(ber.tlv(0xa1)))

    # --- Site1 is called ---------------------------------------------------------------------------

    def called(self, address, context, *requests, start_tls=False):
        """Site1's results of these requests; `before`: the messages that precede one."""
        with socket.create_connection(split_address(address), 20) as plain:
            raw = ber.Raw.__new__(ber.Raw)
            raw.s, raw.data = plain, b""
            if start_tls:
                raw.send(ber.extended(1, START_TLS))
                self.assertEqual(raw.result(1).code, 0)
            if context is not None:
                raw.s = context.wrap_socket(plain)
            results = []
            for request in requests:
                raw.send(request)
                answers = [raw.answer()]
                while answers[-1].code is None:
                    answers.append(raw.answer())
                answers[-1].before = len(answers) - 1
                results.append(answers[-1])
            return results

    def turned_away(self, answers, code, reason):
        """The bind was refused, for that reason, and the search behind it told nothing."""
        *_, bind, search = answers
        self.assertEqual(bind.code, code)
        self.assertIn(reason, bind.text.decode())
        self.assertIn(reason, self.one.log("dird"))
        self.assertEqual(search.code, INSUFFICIENT_ACCESS)
        self.assertEqual((search.before, search.op), (0, 0x65))

    @staticmethod
    def old_tls(folder):
        context = tls_context(folder, False)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context

    def test_is_called_as_it_should(self):
        """What follows is refused for no other reason."""
        *_, bind = self.called(self.one.ldaps, tls_context(self.hub.folder, False), ber.bind_external(1))
        self.assertEqual(bind.code, 0)

    def test_is_called_by_tls_1_2(self):
        self.turned_away(self.called(self.one.ldaps, self.old_tls(self.hub.folder), ber.bind_external(1),
                                     SYNC_SEARCH), INVALID_CREDENTIALS, "by its key over TLS 1.3 only")

    def test_is_called_by_tls_1_1(self):
        """Nobody gets in with that, site or not."""
        context = self.old_tls(self.hub.folder)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.called(self.one.ldaps, context)
        wait_for("the reason", lambda: "unsupported protocol" in self.one.log("dird"))

    def test_is_called_in_plain_text(self):
        self.turned_away(self.called(self.one.ldap, None, ber.bind_external(1), SYNC_SEARCH),
                         INVALID_CREDENTIALS, "the client has given no certificate")

    def test_is_called_by_start_tls(self):
        """TLS 1.2 behind StartTLS is no way around."""
        self.turned_away(self.called(self.one.ldap, self.old_tls(self.hub.folder), ber.bind_external(1),
                                     SYNC_SEARCH, start_tls=True),
                         INVALID_CREDENTIALS, "by its key over TLS 1.3 only")

    def test_is_called_by_another_ldap(self):
        self.turned_away(self.called(self.one.ldaps, tls_context(self.hub.folder, False),
                                     ber.bind(1, version=2), SYNC_SEARCH),
                         PROTOCOL_ERROR, "LDAPv2 is not spoken here")


if __name__ == "__main__":
    tap.main()
