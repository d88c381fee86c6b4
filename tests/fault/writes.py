"""Writers that know what the directory must hold, whatever moment the server dies at.

A Model has one entry of each key it ever made and the states it went through: states[i] is what the entry is
after its first i operations, None where it does not exist. `acked` of them were answered with success.
After a crash the entry must be in one of states[acked:], whole; settle() finds which.
"""
import os
import random
import re
import shutil
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "interop")]
import tap  # noqa: E402

try:
    import ldap
    import ldap.modlist
except ImportError:
    tap.skip_all("python3-ldap is not installed")

SOAK = bool(os.environ.get("WAYPOST_SOAK"))
LIVE_ENTRIES = 40  # of one model, unless it says otherwise; more are deleted again
PIPELINE = 8
MEMORY_BYTES = 1 << 30
LOST = (ldap.SERVER_DOWN, ldap.CONNECT_ERROR, ldap.UNAVAILABLE)
VALUES = ("cn", "sn", "title", "description", "telephoneNumber", "jpegPhoto")


def use_memory():
    """Folders for databases are made in memory: a crash of a process loses no page of them."""
    if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > MEMORY_BYTES:
        tempfile.tempdir = "/dev/shm"


def connect(ldapi):
    c = ldap.initialize(ldapi)
    c.timeout = c.network_timeout = 60
    c.sasl_non_interactive_bind_s("EXTERNAL")
    return c


def compare_form(dn, attributes):
    return dn, tuple((a, tuple(sorted(attributes[a]))) for a in VALUES if a in attributes)


class Entry:
    def __init__(self, key):
        self.key, self.states, self.acked = key, [None], 0

    @property
    def last(self):
        return self.states[-1]


class Model:
    """What one writer has made below `base`. Names begin with `name`."""

    def __init__(self, name, base, seed, padding=0, live=LIVE_ENTRIES):
        self.name, self.base, self.padding, self.most_live = name, base, padding, live
        self.random = random.Random(seed)
        self.entries, self.live = {}, []
        self.made = self.version = 0

    # --- the next operation: what to send, and what it makes of which entry -----------------------

    def next(self):
        dice = self.random.random()
        if not self.live or (dice < 0.4 and len(self.live) < self.most_live):
            return self._add()
        if len(self.live) >= self.most_live or dice < 0.55:
            entry = self.live.pop(self.random.randrange(len(self.live)))
            return entry, None, lambda c, dn=entry.last[0]: c.delete(dn)
        entry = self.random.choice(self.live)
        return self._rename(entry) if dice < 0.7 else self._modify(entry)

    def _value(self):
        self.version += 1
        return f"v{self.version}".encode()

    def _add(self):
        self.made += 1
        key = f"{self.name}-{self.made}"
        entry = self.entries[key] = Entry(key)
        self.live.append(entry)
        value = self._value()
        dn = f"cn={key},{self.base}"
        attributes = {"objectClass": [b"inetOrgPerson"], "employeeNumber": [key.encode()],
                      "cn": [key.encode()], "sn": [value], "title": [value], "description": [value]}
        if self.padding:
            attributes["jpegPhoto"] = [value * (self.padding // len(value))]
        return entry, (dn, attributes), lambda c: c.add(dn, list(attributes.items()))

    def _modify(self, entry):
        """Several attributes at once: a half of it would show."""
        value = self._value()
        dn, attributes = entry.last
        attributes = dict(attributes, title=[value], description=[value],
                          telephoneNumber=[b"1", b"2 " + value])
        mods = [(ldap.MOD_REPLACE, a, attributes[a])
                for a in ("title", "telephoneNumber", "description")]
        return entry, (dn, attributes), lambda c: c.modify(dn, mods)

    def _rename(self, entry):
        dn, attributes = entry.last
        rdn = f"cn={entry.key} {self._value().decode()}"
        attributes = dict(attributes, cn=[rdn[3:].encode()])
        return (entry, (f"{rdn},{self.base}", attributes),
                lambda c: c.rename(dn, rdn, delold=1))

    # --- after a crash -------------------------------------------------------------------------------

    def settle(self, found):
        """found: {key: (dn, attributes)}. Take it as the new begin; how many operations took effect, as
        (least, most): a name that came and went without an answer tells nothing."""
        least = most = 0
        for entry in list(self.entries.values()):
            now = found.pop(entry.key, None)
            form = now and compare_form(*now)
            reached = [i for i, s in enumerate(entry.states)
                       if i >= entry.acked and (s and compare_form(*s)) == form]
            if not reached:
                raise AssertionError(
                    f"{entry.key}: {entry.acked} of {len(entry.states) - 1} operations were answered, "
                    f"the server has\n {now}\nbut it can only have one of\n "
                    + "\n ".join(map(repr, entry.states[entry.acked:])))
            least, most = least + reached[0], most + reached[-1]
            entry.states, entry.acked = [now and entry.states[reached[-1]]], 0
            if entry.last is None:
                del self.entries[entry.key]
        self.live = list(self.entries.values())
        return least, most


class Writer(threading.Thread):
    """Writes as its model says until the server is gone, stop() is called or `limit` operations were sent.

    acknowledged  operations answered with success
    refused       operations answered with one of `refusals`: they must have had no effect
    error         what went wrong otherwise; see check()
    """

    def __init__(self, ldapi, model, limit=None, pipeline=PIPELINE, refusals=()):
        super().__init__(daemon=True)
        self.ldapi, self.model, self.limit = ldapi, model, limit
        self.pipeline, self.refusals = pipeline, tuple(refusals)
        self.acknowledged = self.sent = self.refused = 0
        self.refusal = self.error = None
        self.stopping = threading.Event()

    def stop(self):
        self.stopping.set()

    def run(self):
        try:
            connection = connect(self.ldapi)
            while not self.stopping.is_set() and (self.limit is None or self.sent < self.limit):
                self._batch(connection)
            connection.unbind_s()
        except LOST:
            pass
        except Exception as e:  # told by check()
            self.error = e

    def _batch(self, connection):
        depth = 1 if self.refusals else self.model.random.randint(1, self.pipeline)
        if self.limit is not None:
            depth = min(depth, self.limit - self.sent)
        pending = []
        for _ in range(depth):
            entry, state, send = self.model.next()
            entry.states.append(state)  # before it is sent: it may take effect
            pending.append((entry, send(connection)))
            self.sent += 1
        for entry, number in pending:
            try:
                connection.result(number)
            except self.refusals as e:
                self._refuse(entry, e)
                continue
            entry.acked += 1
            self.acknowledged += 1

    def _refuse(self, entry, e):
        self.refused += 1
        self.refusal = e
        if entry.states.pop() is None:
            self.model.live.append(entry)
        elif entry.last is None:
            self.model.live.remove(entry)
            del self.model.entries[entry.key]

    def check(self):
        """After it has ended."""
        if self.ident is not None:  # else run() was called instead of start()
            self.join(120)
        if self.is_alive():
            raise AssertionError(f"writer {self.model.name} hangs")
        if self.error is not None:
            raise AssertionError(f"writer {self.model.name}: {self.error!r}") from self.error


def find(connection, base, names):
    """{key: (dn, attributes)} of all entries of these models, and {key: USN of the last change}."""
    found, usns = {}, {}
    for dn, attributes in connection.search_ext_s(base, ldap.SCOPE_SUBTREE, "(employeeNumber=*)",
                                                  ["*", "originStamp"]):
        key = attributes["employeeNumber"][0].decode()
        if dn and key.rsplit("-", 1)[0] in names:
            if key in found:
                raise AssertionError(f"{key} is there twice: {found[key][0]} and {dn}")
            usns[key] = int(attributes.pop("originStamp")[0].decode().rsplit(":", 1)[1])
            found[key] = dn, attributes
    return found, usns


def settle(connection, base, models):
    """Every model against the server's content; (least, most) operations that took effect."""
    found, usns = find(connection, base, {m.name for m in models})
    if len(set(usns.values())) != len(usns):
        raise AssertionError(f"two entries with one USN: {sorted(usns.items(), key=lambda i: i[1])}")
    total = [0, 0]
    for model in models:
        for i, n in enumerate(model.settle(found)):
            total[i] += n
    if found:
        raise AssertionError(f"entries that nobody made, or that were deleted: {sorted(found)}")
    return total


def own_position(stat):
    """Of what `dirctl stat --json` printed: (sum of the USNs of the own contexts, their lives)."""
    own = [line for line in stat.splitlines() if re.search(r'"own":\s*(true|"TRUE")', line)]
    if not own:
        raise AssertionError(f"no context of its own:\n{stat}")
    return (sum(int(re.search(r'"usn":\s*"?(\d+)', line)[1]) for line in own),
            sorted(re.search(r'"invocation":\s*"([^"]+)', line)[1] for line in own))
