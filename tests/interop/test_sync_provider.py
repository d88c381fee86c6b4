#!/usr/bin/python3
# tests/run: build=san timeout=300
"""What RFC 4533 obliges a provider to do, message by message; the tests are named after the duty."""
import os
import re
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import tap  # noqa: E402
from ldif import change, delete, rename, replace  # noqa: E402
from sites import SitesCase  # noqa: E402
from waypost import PASSWORD, run  # noqa: E402
import ber  # noqa: E402
from ber import Raw  # noqa: E402

REQUEST, STATE, DONE, INFO = (f"1.3.6.1.4.1.4203.1.9.1.{n}" for n in range(1, 5))
CANCEL = "1.3.6.1.1.8"
ROOT = "o=Example"
BASE = f"cn=Sync,cn=Recipients,ou=Hub,{ROOT}"
PRESENT, ADD, MODIFY, DELETE = range(4)
REFRESH_REQUIRED = 4096


def person(name, base=BASE, sn=None):
    return change(f"cn={name},{base}", f"add\nobjectClass: inetOrgPerson\nsn: {sn or name}")


def box(name, base=BASE):
    return change(f"cn={name},{base}", "add\nobjectClass: container")


class Message:
    """One message of a sync session.

    kind   "entry" (state, uuid, dn, attributes), "cookie", "present" or "delete" (a phase's end:
           done), "set" (uuids, deletes), "result" (code, deletes, text)
    cookie bytes or None
    """

    def __init__(self, answer):
        self.cookie = None
        if answer.op == 0x64:
            self.kind = "entry"
            self.dn, self.attributes = ber.entry(answer.body)
            parts = ber.elements(ber.split(answer.controls[STATE])[1])
            self.state, self.uuid = parts[0][1][0], parts[1][1]
            if len(parts) > 2:
                self.cookie = parts[2][1]
        elif answer.op == 0x79:
            self._info(answer.body)
        else:
            self.kind, self.code, self.text = "result", answer.code, answer.text.decode()
            self.deletes = False
            for tag, body in ber.elements(ber.split(answer.controls[DONE])[1]) \
                    if DONE in answer.controls else ():
                if tag == 0x04:
                    self.cookie = body
                else:
                    self.deletes = body != b"\0"

    def _info(self, body):
        parts = dict(ber.elements(body))
        assert parts[0x80] == INFO.encode()
        tag, value, _ = ber.split(parts[0x81])
        if tag == 0x80:
            self.kind, self.cookie = "cookie", value
            return
        self.kind = {0xa1: "delete", 0xa2: "present", 0xa3: "set"}[tag]
        flags = []
        for inner, content in ber.elements(value):
            if inner == 0x04:
                self.cookie = content
            elif inner == 0x01:
                flags.append(content != b"\0")
            else:
                self.uuids = {uuid for _, uuid in ber.elements(content)}
        if self.kind == "set":
            self.deletes = bool(flags and flags[0])
        else:
            self.done = flags[0] if flags else True


class Consumer:
    """A copy kept as RFC 4533 tells a client to, and all messages that made it."""

    def __init__(self, site, **search):
        self.site, self.search = site, search
        self.copy, self.named, self.cookie = {}, set(), None
        self.c = None

    def connect(self):
        host, port = self.site.ldap.split(":")
        self.c = Raw((host, int(port)))
        self.c.send(ber.bind(1, f"cn=admin,{ROOT}", PASSWORD))
        assert self.c.result(1).code == 0
        return self

    def close(self):
        if self.c is not None:
            self.c.s.close()
            self.c = None

    def ask(self, number, mode, cookie=None, hint=None, more=(), behind=b"", **search):
        """behind: another request, sent with this one in one piece."""
        search = {"base": BASE, "scope": 2, "what": ber.PRESENT, "attributes": (), "deref": 0,
                  "limit": 0, **self.search, **search}
        value = ber.tlv(0x30, ber.integer(mode, 0x0a),
                        ber.octets(cookie) if cookie is not None else b"",
                        ber.tlv(0x01, b"\xff" if hint else b"\0") if hint is not None else b"")
        body = ber.tlv(0x63, ber.octets(search["base"]), ber.integer(search["scope"], 0x0a),
                       ber.integer(search["deref"], 0x0a), ber.integer(search["limit"]),
                       ber.integer(0), ber.tlv(0x01, b"\0"), search["what"],
                       ber.tlv(0x30, *map(ber.octets, search["attributes"])))
        self.c.send(ber.message(number, body, ber.control(REQUEST, True, value), *more) + behind)

    def next(self):
        answer = self.c.answer()
        assert answer is not None, "closed by the server"
        m = Message(answer)
        self.take(m)
        return m

    def take(self, m):
        if m.kind == "entry" and m.state == DELETE:
            self.copy.pop(m.uuid, None)
        elif m.kind == "entry" and m.state == PRESENT:
            self.named.add(m.uuid)
        elif m.kind == "entry":
            self.copy[m.uuid] = (m.dn, m.attributes)
            self.named.add(m.uuid)
        elif m.kind == "set" and m.deletes:
            for uuid in m.uuids:
                self.copy.pop(uuid, None)
        elif m.kind == "set":
            assert m.uuids <= set(self.copy), "names what the client does not have"
            self.named |= m.uuids
        elif m.kind == "present" or m.kind == "result" and m.code == 0 and not m.deletes:
            self.copy = {u: e for u, e in self.copy.items() if u in self.named}
        if m.kind in ("present", "result"):
            self.named = set()
        if m.cookie is not None:
            self.cookie = m.cookie

    def poll(self, **how):
        """refreshOnly: all messages, the result last."""
        self.connect()
        how.setdefault("cookie", self.cookie)
        self.ask(2, 1, **how)
        out = [self.next()]
        while out[-1].kind != "result":
            out.append(self.next())
        self.close()
        return out

    def persist(self, **how):
        """refreshAndPersist: the messages of the refresh stage."""
        self.connect()
        how.setdefault("cookie", self.cookie)
        self.ask(2, 3, **how)
        out = [self.next()]
        while not (out[-1].kind == "result" or out[-1].kind in ("present", "delete")
                   and out[-1].done):
            out.append(self.next())
        return out

    def until_cookie(self):
        """The messages of a persist stage up to the next new cookie."""
        out = [self.next()]
        while out[-1].cookie is None:
            out.append(self.next())
        return out

    def dns(self):
        return sorted(dn for dn, _ in self.copy.values())


class Provider(SitesCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.hub = cls.sites["Hub"]

    def setUp(self):
        super().setUp()
        self.hub.modify(change(BASE, "add\nobjectClass: container")
                        + "".join(person(f"P{n}") for n in range(20)))
        self.addCleanup(self.clear)
        self.consumers = []

    def clear(self):
        for c in self.consumers:
            c.close()
        while True:
            dns = self.names(BASE, check=False)
            if not dns:
                break
            self.hub.modify("".join(delete(dn) for dn in sorted(dns, key=lambda d: -d.count(","))))

    def consumer(self, **search):
        c = Consumer(self.hub, **search)
        self.consumers.append(c)
        return c

    def names(self, base=BASE, what="(objectClass=*)", check=True):
        out = self.hub.search(base, what, "1.1", check=False)
        if check:
            self.assertEqual(out[0], 0)
        return sorted(re.findall(r"^dn: (.*)$", out[1], re.M))

    def uuid(self, dn):
        out = self.hub.search(dn, "(objectClass=*)", "entryUUID", scope="base")
        return bytes.fromhex(re.search(r"entryUUID: (\S+)", out)[1].replace("-", ""))

    def assert_same(self, c, **where):
        self.assertEqual(c.dns(), self.names(**where))

    # --- §2: what is said, and who may ask --------------------------------------------------------

    def test_discovery(self):
        """§2: the request control is in supportedControl."""
        self.assertIn(REQUEST, self.hub.search("", "(objectClass=*)", "supportedControl",
                                               scope="base"))

    def test_request_control(self):
        """§2.2: an unknown mode, a value that is none, and no value are protocol errors."""
        for value in (ber.tlv(0x30, ber.integer(2, 0x0a)), ber.tlv(0x30, ber.integer(0, 0x0a)),
                      ber.tlv(0x30), b"\x30\x80", ber.tlv(0x30, ber.integer(1, 0x0a), b"\x02\x00"),
                      b"", None):
            c = self.consumer().connect()
            c.c.send(ber.message(2, ber.split(ber.search(2, BASE))[1][3:],
                                 ber.control(REQUEST, True, value)))
            self.assertEqual(c.c.result(2).code, 2, value)
            c.close()

    def test_only_with_the_right(self):
        """S14, S23: a user who may search may not synchronize, and so hears of no tombstone; none is found."""
        dn, gone = f"cn=User,{BASE}", f"cn=Gone,{BASE}"
        self.hub.modify(change(dn, "add\nobjectClass: inetOrgPerson\nsn: U\nuserPassword: secret"))
        self.hub.modify(change(gone, "add\nobjectClass: inetOrgPerson\nsn: G"))
        [number] = re.findall("^entryUUID: (.*)$", self.hub.search(gone, "(cn=*)", "entryUUID"), re.M)
        self.hub.modify(change(gone, "delete"))
        c = self.consumer()
        c.c = Raw(self.hub.path("ldapi"))
        c.c.send(ber.bind(1, dn, "secret"))
        self.assertEqual(c.c.result(1).code, 0)
        c.ask(2, 1)
        self.assertEqual(c.next().code, 50)
        for i, (name, value) in enumerate((("entryUUID", number), ("cn", "Gone"), ("isDeleted", "TRUE")), 3):
            c.c.send(ber.search(i, BASE, what=ber.tlv(0xa3, ber.octets(name), ber.octets(value))))
            self.assertEqual(c.c.answer().code, 0, name)

    def test_other_controls(self):
        """Paging, sorting and views do not go with synchronization."""
        for oid, value in (("1.2.840.113556.1.4.319", ber.tlv(0x30, ber.integer(5), ber.octets(""))),
                           ("1.2.840.113556.1.4.473", ber.tlv(0x30, ber.tlv(0x30, ber.octets("cn"))))):
            c = self.consumer().connect()
            c.ask(2, 1, more=(ber.control(oid, True, value),))
            self.assertIn(c.next().code, (2, 53))
            c.close()

    # --- §3.3: refresh ----------------------------------------------------------------------------

    def test_initial_poll(self):
        """§3.3.1: every entry as `add`, no cookie on it, refreshDeletes FALSE, a cookie."""
        c = self.consumer()
        messages = c.poll()
        self.assertEqual({(m.kind, m.state, m.cookie) for m in messages[:-1]},
                         {("entry", ADD, None)})
        self.assertEqual((messages[-1].code, messages[-1].deletes), (0, False))
        self.assertIsNotNone(messages[-1].cookie)
        self.assert_same(c)
        for uuid, (dn, _) in c.copy.items():
            self.assertEqual(uuid, self.uuid(dn))

    def test_empty_cookie_is_none(self):
        """§3.1: a cookie of the initial state asks for the initial content."""
        self.assertEqual(len(self.consumer().poll(cookie=b"")), 22)

    def test_nothing_changed(self):
        """§3.9: no message but the result, refreshDeletes TRUE."""
        c = self.consumer()
        c.poll()
        messages = c.poll()
        self.assertEqual([(m.kind, m.deletes) for m in messages], [("result", True)])
        self.assertEqual([(m.kind, m.done) for m in c.persist()], [("delete", True)])

    def test_update_poll_delete_phase(self):
        """§3.3.2: what changed in full, what went in a set with refreshDeletes."""
        c = self.consumer()
        c.poll()
        gone = {self.uuid(f"cn=P{n},{BASE}") for n in (1, 2)}
        self.hub.modify(delete(f"cn=P1,{BASE}") + delete(f"cn=P2,{BASE}") + person("P20")
                        + replace(f"cn=P3,{BASE}", "sn", "Changed"))
        messages = c.poll()
        self.assertEqual(sorted((m.dn.split(",")[0], m.state) for m in messages
                                if m.kind == "entry"), [("cn=P20", ADD), ("cn=P3", ADD)])  # RFC 4533 §3.3.2
        sets = [m for m in messages if m.kind == "set"]
        self.assertEqual(([m.deletes for m in sets], set().union(*(m.uuids for m in sets))),
                         ([True], gone))
        self.assertTrue(messages[-1].deletes)
        self.assert_same(c)

    def test_several_changes_are_one(self):
        """§3.9: of several changes of an entry only the last is told."""
        c = self.consumer()
        c.poll()
        self.hub.modify("".join(replace(f"cn=P3,{BASE}", "sn", f"S{n}") for n in range(10))
                        + person("Brief") + delete(f"cn=Brief,{BASE}"))
        messages = c.poll()
        self.assertEqual([m.attributes["sn"] for m in messages if m.kind == "entry"], [[b"S9"]])
        self.assertLessEqual(len(messages), 3)

    def test_present_phase_is_chosen_by_size(self):
        """§3.3.2, §3.9: more removals than entries: those that stay are named in a set."""
        c = self.consumer()
        c.poll()
        self.hub.modify("".join(delete(f"cn=P{n},{BASE}") for n in range(3, 20))
                        + replace(f"cn=P2,{BASE}", "sn", "Changed"))
        stay = {self.uuid(dn) for dn in (BASE, f"cn=P0,{BASE}", f"cn=P1,{BASE}")}
        messages = c.poll()
        self.assertEqual([m.dn.split(",")[0] for m in messages if m.kind == "entry"], ["cn=P2"])
        sets = [m for m in messages if m.kind == "set"]
        self.assertEqual([(m.deletes, m.uuids) for m in sets], [(False, stay)])
        self.assertFalse(messages[-1].deletes)
        self.assert_same(c)

    def test_delete_phase_is_chosen_by_size(self):
        """As many removals as entries that stay: they are told."""
        c = self.consumer()
        c.poll()
        self.hub.modify("".join(delete(f"cn=P{n},{BASE}") for n in range(10)))
        messages = c.poll()
        self.assertEqual([(m.kind, m.deletes) for m in messages], [("set", True), ("result", True)])
        self.assert_same(c)

    def test_present_phase_after_a_move(self):
        """What came into the scope below something that moved is sent, not named."""
        outside = f"cn=Recipients,ou=Hub,{ROOT}"
        self.hub.modify(box("Outer", outside) + person("Inner", f"cn=Outer,{outside}"))
        c = self.consumer()
        c.poll()
        self.hub.modify(rename(f"cn=Outer,{outside}", "cn=Outer", BASE)
                        + "".join(delete(f"cn=P{n},{BASE}") for n in range(1, 20)))
        messages = c.poll()
        self.assertFalse(messages[-1].deletes)
        self.assertEqual(sorted(m.dn.split(",")[0] for m in messages if m.kind == "entry"),
                         ["cn=Inner", "cn=Outer"])
        self.assert_same(c)

    # --- §3.1, §3.2: cookies that do not fit --------------------------------------------------------

    def strange_cookies(self, c):
        mine = c.cookie.decode()
        other = self.consumer(base=f"cn=Recipients,ou=Hub,{ROOT}")
        other.poll()
        yield "nonsense"
        yield mine[:-1]
        yield mine + "0"
        yield re.sub(r":(\d+)(?=,|$)", ":99999999", mine)  # a state that never was
        yield re.sub(r"wp1,[0-9a-f]{16}", "wp1,0000000000000000", mine)
        yield other.cookie.decode()

    def test_unknown_cookie_reload_hint_false(self):
        """§3.1, §3.8: 4096, empty content, and no cookie: a full refresh is needed."""
        c = self.consumer()
        c.poll()
        for cookie in list(self.strange_cookies(c)):
            for hint in (None, False):
                messages = Consumer(self.hub).poll(cookie=cookie, hint=hint)
                self.assertEqual([(m.kind, m.code, m.cookie) for m in messages],
                                 [("result", REFRESH_REQUIRED, None)], cookie)

    def test_unknown_cookie_reload_hint_true(self):
        """§3.1: the initial content, as if no cookie had come."""
        c = self.consumer()
        c.poll()
        for cookie in list(self.strange_cookies(c)):
            messages = c.poll(cookie=cookie, hint=True)
            self.assertEqual({m.kind for m in messages[:-1]}, {"entry"})
            self.assertEqual((messages[-1].code, messages[-1].deletes), (0, False))
            self.assertEqual(len(messages), 22)
            self.assert_same(c)

    def test_other_content(self):
        """§3.2: another filter, scope, base or list of attributes is another content."""
        c = self.consumer()
        c.poll()
        for other in ({"scope": 1}, {"what": ber.equal("sn", "P1")}, {"attributes": ("sn",)},
                      {"base": f"cn=P1,{BASE}"}):
            self.assertEqual(c.poll(**other)[-1].code, REFRESH_REQUIRED, other)
        self.assertEqual(c.poll(limit=1000)[-1].code, 0)  # sizeLimit does not control the content

    def test_other_identity(self):
        """S14: a cookie is bound to the class of the identity it was given to."""
        c = self.consumer()
        c.poll()
        self.assertEqual(c.poll()[-1].code, 0)
        # the administrator of the local socket is of the same class
        status, out, _ = run("ldapsearch", "-H", self.hub.ldapi, "-Y", "EXTERNAL", "-Q", "-E",
                             "!sync=ro/" + c.cookie.decode(), "-b", BASE, check=False)
        self.assertEqual((status, out.count("dn:")), (0, 0), out)

    # --- §3.4: persist ----------------------------------------------------------------------------

    def test_persist(self):
        """§3.4: no result behind the refresh; then add, modify, delete, and a cookie."""
        c = self.consumer()
        messages = c.persist()
        self.assertEqual((messages[-1].kind, messages[-1].done), ("present", True))
        self.assertIsNotNone(messages[-1].cookie)
        self.assert_same(c)
        for ldif, state in ((person("P20"), ADD), (replace(f"cn=P20,{BASE}", "sn", "x"), MODIFY),
                            (rename(f"cn=P20,{BASE}", "cn=P21"), None), (delete(f"cn=P21,{BASE}"), DELETE)):
            self.hub.modify(ldif)
            messages = c.until_cookie()
            self.assertEqual(len(messages), 2)
            if state is not None:
                self.assertEqual(messages[0].state, state)
            self.assert_same(c)
        c.close()
        self.assertEqual(len(c.poll()), 1)

    def test_moves(self):
        """§1.3.2, §3.6: into the scope is add, out of it delete, within it modify. Below
        what moved it is not known which it is, and modify is told."""
        outside = f"cn=Recipients,ou=Hub,{ROOT}"
        self.hub.modify(box("Dir") + "".join(person(f"I{n}", f"cn=Dir,{BASE}") for n in range(3)))
        c = self.consumer()
        c.persist()
        self.hub.modify(rename(f"cn=Dir,{BASE}", "cn=Kir"))
        messages = c.until_cookie()  # what may have entered or left the scope is looked at, too
        self.assertEqual({m.state for m in messages if m.kind == "entry"}, {ADD, MODIFY})
        self.assert_same(c)
        self.hub.modify(rename(f"cn=Kir,{BASE}", "cn=Kir", outside))
        self.assertEqual([m.state for m in c.until_cookie() if m.kind == "entry"], [DELETE] * 4)
        self.assert_same(c)
        self.hub.modify(rename(f"cn=Kir,{outside}", "cn=Kir", BASE))
        messages = [m for m in c.until_cookie() if m.kind == "entry"]
        self.assertEqual([m.state for m in messages], [ADD] + [MODIFY] * 3)
        self.assert_same(c)

    def test_filtered_content(self):
        """§3.6: an entry that no longer matches is told as deleted, one that begins to as added."""
        c = self.consumer(what=ber.equal("sn", "In"))
        c.persist()
        self.hub.modify(replace(f"cn=P1,{BASE}", "sn", "In"))
        self.assertEqual([m.state for m in c.until_cookie() if m.kind == "entry"], [MODIFY])
        self.assertEqual(len(c.copy), 1)
        self.hub.modify(replace(f"cn=P1,{BASE}", "sn", "Out"))
        self.assertEqual([m.state for m in c.until_cookie() if m.kind == "entry"], [DELETE])

    # --- §3.5: special cases ----------------------------------------------------------------------

    def test_no_base(self):
        """§3.5.1"""
        self.assertEqual(self.consumer().poll(base=f"cn=None,{ROOT}")[-1].code, 32)

    def test_base_vanishes(self):
        """§3.5.1: deleted, renamed, or another entry of the same name: noSuchObject."""
        for what in (lambda: delete(f"cn=Base,{BASE}"), lambda: rename(f"cn=Base,{BASE}", "cn=Other"),
                     lambda: delete(f"cn=Base,{BASE}") + box("Base")):
            self.hub.modify(box("Base"))
            c = self.consumer(base=f"cn=Base,{BASE}")
            c.persist()
            self.hub.modify(what())
            m = c.next()
            while m.kind != "result":
                m = c.next()
            self.assertEqual(m.code, 32)
            self.hub.modify(delete(f"cn=Other,{BASE}") if self.names(f"cn=Other,{BASE}", check=False)
                            else "".join(map(delete, self.names(f"cn=Base,{BASE}", check=False))))

    def test_aliases(self):
        """§3.5.2: derefInSearching and derefAlways are protocol errors, derefFindingBase is none."""
        for deref, code in ((0, 0), (1, 2), (2, 0), (3, 2)):
            self.assertEqual(self.consumer().poll(deref=deref)[-1].code, code, deref)

    # --- §3.7: the client ends it -----------------------------------------------------------------

    def test_cancel(self):
        """§3.7, RFC 3909: canceled for the search, success for the Cancel; the rest goes on."""
        c = self.consumer()
        c.persist()
        c.c.send(ber.extended(3, CANCEL, ber.tlv(0x30, ber.integer(2))))
        codes = {}
        while len(codes) < 2:
            a = c.c.answer()
            if a.code is not None:
                codes[a.id] = a.code
        self.assertEqual(codes, {2: 118, 3: 0})
        c.ask(4, 1, cookie=c.cookie)
        m = c.next()
        self.assertEqual((m.kind, m.code), ("result", 0))

    def test_abandon(self):
        """RFC 4511 §4.11: nothing more comes of it."""
        c = self.consumer()
        c.persist()
        c.c.send(ber.message(3, ber.integer(2, 0x50)))
        self.hub.modify(replace(f"cn=P1,{BASE}", "sn", "x"))
        c.ask(4, 1, cookie=c.cookie)
        answers = [c.c.answer() for _ in range(2)]
        self.assertEqual({a.id for a in answers}, {4})

    # --- §3.10, R28: cookies last -----------------------------------------------------------------

    def test_cookie_after_restart_and_crash(self):
        """R28: history is not in memory: one modify and one delete cost at most 3 messages."""
        for sig in (signal.SIGTERM, signal.SIGKILL):
            c = self.consumer()
            c.poll()
            n = int(sig) % 20
            self.hub.modify(replace(f"cn=P{n},{BASE}", "sn", "x") + delete(f"cn=P{(n + 1) % 20},{BASE}"))
            self.hub.stop("dird", sig)
            self.hub.start("dird")
            messages = c.poll()
            self.assertEqual(len(messages), 3)
            self.assert_same(c)

    def test_cut_present_phase(self):
        """R14: a refresh that is cut leaves no cookie, so nothing is missed by the next one."""
        self.hub.modify("".join(person(f"X{n}", sn="x" * 2000) for n in range(300)))
        c = self.consumer()
        c.connect()
        c.ask(2, 3)
        for _ in range(50):
            self.assertIsNone(c.next().cookie)
        c.close()
        self.assertIsNone(c.cookie)
        c.poll()
        self.assert_same(c)

    def test_fair_turns(self):
        """§3.10: other requests are answered while a large refresh is under way."""
        self.hub.modify("".join(person(f"X{n}", sn="x" * 4000) for n in range(1000)))
        c = self.consumer().connect()
        c.ask(2, 1, behind=ber.search(3, BASE, 0))  # in two, the first may be over before the second comes
        order = []
        while 2 not in order or 3 not in order:
            a = c.c.answer()
            if a.op == 0x65:
                order.append(a.id)
        self.assertEqual(order, [3, 2])


if __name__ == "__main__":
    tap.main()
