"""An LDAP server for tests that speaks just enough RFC 4511 and RFC 4533, and lies on request.

A Provider holds sites and connectors and follows RFC 4533. A test may give it scripts: each next
content sync search is handled by the next script instead, which may send whatever bytes it wants.
"""
import hashlib
import queue
import socket
import threading

SYNC_REQUEST = b"1.3.6.1.4.1.4203.1.9.1.1"
SYNC_STATE = b"1.3.6.1.4.1.4203.1.9.1.2"
SYNC_DONE = b"1.3.6.1.4.1.4203.1.9.1.3"
SYNC_INFO = b"1.3.6.1.4.1.4203.1.9.1.4"
PRESENT, ADD, MODIFY, DELETE = range(4)


# --- BER -------------------------------------------------------------------------------------------

def tlv(tag, *parts):
    value = b"".join(parts)
    n = len(value)
    if n < 0x80:
        head = bytes([tag, n])
    else:
        size = (n.bit_length() + 7) // 8
        head = bytes([tag, 0x80 | size]) + n.to_bytes(size, "big")
    return head + value


def integer(n, tag=0x02):
    return tlv(tag, n.to_bytes(n.bit_length() // 8 + 1, "big"))


def octets(value, tag=0x04):
    return tlv(tag, value if isinstance(value, bytes) else str(value).encode())


def boolean(value):
    return tlv(0x01, b"\xff" if value else b"\x00")


def seq(*parts):
    return tlv(0x30, *parts)


def read_tlv(data, at=0):
    """(tag, value, position behind it), or None if data ends before it."""
    if at + 2 > len(data):
        return None
    n, start = data[at + 1], at + 2
    if n >= 0x80:
        size = n & 0x7f
        if start + size > len(data):
            return None
        n, start = int.from_bytes(data[start:start + size], "big"), start + size
    if start + n > len(data):
        return None
    return data[at], data[start:start + n], start + n


def elements(data):
    at, out = 0, []
    while at < len(data):
        tag, value, at = read_tlv(data, at)
        out.append((tag, value))
    return out


# --- protocol messages -------------------------------------------------------------------------------

def control(oid, value):
    return seq(octets(oid), octets(value))


def state_value(kind, uuid, cookie=None):
    return seq(integer(kind, 0x0a), octets(uuid), b"" if cookie is None else octets(cookie))


def done_value(cookie=None, refresh_deletes=False):
    return seq(b"" if cookie is None else octets(cookie),
               boolean(True) if refresh_deletes else b"")


def entry_op(dn, attributes):
    return tlv(0x64, octets(dn), seq(*(
        seq(octets(name), tlv(0x31, *(octets(v) for v in values)))
        for name, values in attributes.items())))


def result_op(tag, code, text=""):
    return tlv(tag, integer(code, 0x0a), octets(""), octets(text))


def info_op(value):
    return tlv(0x79, octets(SYNC_INFO, 0x80), octets(value, 0x81))


def uuid_of(name):
    return hashlib.md5(name.encode()).digest()


class Entry:
    def __init__(self, dn, **attributes):
        self.dn, self.uuid = dn, uuid_of(dn.lower())
        self.attributes = {k: v if isinstance(v, list) else [v] for k, v in attributes.items()}


class Session:
    """One connection: what a script uses to answer a sync search."""

    def __init__(self, provider, sock):
        self.provider, self.sock = provider, sock
        self.lock = threading.Lock()
        self.id = None          # message id of the sync search
        self.cookie = None      # of its request; None = none
        self.closed = threading.Event()
        self.binds = self.probes = 0
        self.answer_probes = True
        self.seen = set()       # ids whose persist changes were sent

    def raw(self, data):
        with self.lock:
            try:
                self.sock.sendall(data)
            except OSError:
                self.closed.set()

    def message(self, op, *controls, message_id=None):
        self.raw(seq(integer(self.id if message_id is None else message_id), op,
                     tlv(0xa0, *controls) if controls else b""))

    def entry(self, kind, entry, cookie=None, uuid=None):
        self.message(entry_op(entry.dn, {} if kind in (PRESENT, DELETE) else entry.attributes),
                     control(SYNC_STATE, state_value(kind, uuid or entry.uuid, cookie)))

    def bare_entry(self, entry):
        """An entry without its control."""
        self.message(entry_op(entry.dn, entry.attributes))

    def new_cookie(self, cookie):
        self.message(info_op(octets(cookie, 0x80)))

    def refresh_delete(self, cookie=None, done=True):
        self._phase(0xa1, cookie, done)

    def refresh_present(self, cookie=None, done=True):
        self._phase(0xa2, cookie, done)

    def _phase(self, tag, cookie, done):
        self.message(info_op(tlv(tag, b"" if cookie is None else octets(cookie),
                                 b"" if done else boolean(False))))

    def id_set(self, uuids, deletes=False, cookie=None):
        self.message(info_op(tlv(0xa3, b"" if cookie is None else octets(cookie),
                                 boolean(True) if deletes else b"",
                                 tlv(0x31, *(octets(u) for u in uuids)))))

    def done(self, code, *controls, text=""):
        self.message(result_op(0x65, code, text), *controls)

    def refresh_required(self, cookie=None):
        self.done(4096, *([control(SYNC_DONE, done_value(cookie))] if cookie else []))

    def everything(self, cookie):
        """An honest initial refresh."""
        for entry in self.provider.entries():
            self.entry(ADD, entry)
        self.refresh_present(cookie)

    def hang_up(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.closed.set()

    def stay(self, timeout=60):
        """Keep the session open until the client leaves."""
        self.closed.wait(timeout)


class Provider:
    def __init__(self, port=0):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(20)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.content = {}           # normal DN -> Entry
        self.recipients = []        # Entry list, for address searches
        self.written = {}           # normal DN -> attributes; what clients added
        self.scripts = queue.Queue()
        self.syncs = []             # cookie of each sync search, in order
        self.sessions = []
        self.problems = []          # exceptions of scripts
        self.generation = 1
        self.closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def uri(self):
        return f"ldap://127.0.0.1:{self.port}"

    def script(self, function):
        """The next sync search is handled by function(session)."""
        self.scripts.put(function)

    def entries(self):
        with self.lock:
            return list(self.content.values())

    def put(self, dn, **attributes):
        """Change the content; sessions in the persist stage of the honest script learn it."""
        entry = Entry(dn, **attributes)
        with self.lock:
            known = dn.lower() in self.content
            self.content[dn.lower()] = entry
            self.generation += 1
        self._tell(MODIFY if known else ADD, entry)

    def remove(self, dn):
        with self.lock:
            entry = self.content.pop(dn.lower())
            self.generation += 1
        self._tell(DELETE, entry)

    def _tell(self, kind, entry):
        for s in list(self.sessions):
            if s.id is not None and s.persist and not s.closed.is_set():
                s.entry(kind, entry, f"g{self.generation}")

    def hang_up_all(self):
        for s in list(self.sessions):
            s.hang_up()

    def close(self):
        if self.closing:
            return
        self.closing = True
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.hang_up_all()

    # --- serving --------------------------------------------------------------------------------

    def _accept(self):
        while not self.closing:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s = Session(self, sock)
            s.persist = False
            self.sessions.append(s)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        data = b""
        try:
            while True:
                got = read_tlv(data)
                if got is None:
                    piece = s.sock.recv(65536)
                    if not piece:
                        break
                    data += piece
                    continue
                data = data[got[2]:]
                if not self._request(s, elements(got[1])):
                    break
        except OSError:
            pass
        s.closed.set()
        s.sock.close()

    def _request(self, s, parts):
        message_id, (tag, op) = int.from_bytes(parts[0][1], "big"), parts[1]
        controls = elements(parts[2][1]) if len(parts) > 2 and parts[2][0] == 0xa0 else []
        if tag == 0x60:
            s.binds += 1
            s.message(result_op(0x61, 0), message_id=message_id)
        elif tag == 0x42:
            return False
        elif tag == 0x77:
            s.probes += 1
            if s.answer_probes:
                s.message(tlv(0x78, integer(0, 0x0a), octets(""), octets("")),
                          message_id=message_id)
        elif tag == 0x63:
            self._search(s, message_id, op, controls)
        elif tag in (0x68, 0x66, 0x4a):
            self._write(s, message_id, tag, op)
        else:
            s.message(result_op(0x78, 2), message_id=message_id)
        return True

    def _search(self, s, message_id, op, controls):
        for _, value in controls:
            c = elements(value)
            if c[0][1] == SYNC_REQUEST:
                request = elements(elements(c[-1][1])[0][1])
                s.id = message_id
                s.cookie = next((v.decode() for t, v in request if t == 0x04), None)
                s.persist = False
                self.syncs.append(s.cookie)
                self._start(s)
                return
        base = elements(op)[0][1].decode().lower()
        if base.startswith("cn=routes"):
            self._list_routes(s, message_id, base)
            return
        if elements(op)[1][1] == b"\0":      # baseObject
            there = [e for e in self.recipients if e.dn.lower() == base]
            for e in there:
                s.message(entry_op(e.dn, e.attributes), message_id=message_id)
            s.message(result_op(0x65, 0 if there else 32), message_id=message_id)
            return
        for e in self.recipients:
            if any(a.lower() in op.lower() for a in self._addresses(e)):
                s.message(entry_op(e.dn, e.attributes), message_id=message_id)
        s.message(result_op(0x65, 0), message_id=message_id)

    @staticmethod
    def _addresses(entry):
        for value in entry.attributes.get("proxyAddresses", []) + entry.attributes.get("mail", []):
            address = value.split(":", 1)[-1].encode()
            yield tlv(0x04, b"smtp:" + address)[2:]
            yield tlv(0x04, address)

    def _list_routes(self, s, message_id, base):
        with self.lock:
            routes = {dn: a for dn, a in self.written.items() if dn.endswith("," + base)}
            there = base in self.written
        for dn, attributes in routes.items():
            s.message(entry_op(dn, attributes), message_id=message_id)
        s.message(result_op(0x65, 0 if there else 32), message_id=message_id)

    def _write(self, s, message_id, tag, op):
        code = 0
        with self.lock:
            if tag == 0x4a:
                self.written.pop(op.decode().lower(), None)
            elif tag == 0x68:
                parts = elements(op)
                self.written[parts[0][1].decode().lower()] = {
                    elements(a)[0][1].decode(): [v.decode() for _, v in
                                                 elements(elements(a)[1][1])]
                    for _, a in elements(parts[1][1])}
            else:
                code = self._modify(elements(op))
        s.message(result_op({0x68: 0x69, 0x66: 0x67, 0x4a: 0x6b}[tag], code),
                  message_id=message_id)

    def _modify(self, parts):
        entry = self.written.get(parts[0][1].decode().lower())
        if entry is None:
            return 32
        for _, change in elements(parts[1][1]):
            name, values = (v for _, v in elements(elements(change)[1][1]))
            entry.pop(name.decode(), None)
            if values:
                entry[name.decode()] = [v.decode() for _, v in elements(values)]
        return 0

    def _start(self, s):
        try:
            function = self.scripts.get_nowait()
        except queue.Empty:
            function = honest

        def run():
            try:
                function(s)
            except Exception as e:  # shown by the test
                self.problems.append(e)
        threading.Thread(target=run, daemon=True).start()


def honest(s):
    """Everything, each time (RFC 4533 allows it); then changes as they come."""
    with s.provider.lock:
        entries, generation = list(s.provider.content.values()), s.provider.generation
        s.persist = True
    for entry in entries:
        s.entry(ADD, entry)
    s.refresh_present(f"g{generation}")
