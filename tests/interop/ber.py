"""Just enough BER and LDAP to send requests that no client library would send."""
import select
import socket


def tlv(tag, *parts):
    body = b"".join(parts)
    n = len(body)
    if n < 128:
        return bytes([tag, n]) + body
    length = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def octets(s):
    return tlv(0x04, s.encode() if isinstance(s, str) else s)


def integer(n, tag=0x02):
    return tlv(tag, n.to_bytes(n.bit_length() // 8 + 1, "big", signed=True))


def message(number, op, *controls):
    tail = (tlv(0xa0, *controls),) if controls else ()
    return tlv(0x30, integer(number), op, *tail)


def control(oid, critical=False, value=None):
    return tlv(0x30, octets(oid), tlv(0x01, b"\xff") if critical else b"",
               octets(value) if value is not None else b"")


def bind(number, dn="", password="", version=3):
    return message(number, tlv(0x60, integer(version), octets(dn), tlv(0x80, password.encode())))


def bind_external(number):
    return message(number, tlv(0x60, integer(3), octets(""), tlv(0xa3, octets("EXTERNAL"))))


PRESENT = tlv(0x87, b"objectClass")


def search(number, base, scope=2, what=PRESENT, attributes=(), limit=0, *controls):
    return message(number, tlv(0x63, octets(base), integer(scope, 0x0a), integer(0, 0x0a),
                               integer(limit), integer(0), tlv(0x01, b"\0"), what,
                               tlv(0x30, *map(octets, attributes))), *controls)


def attributes(values, tag=0x30):
    """A list of attributes from a dict."""
    return tlv(tag, *(tlv(0x30, octets(name), tlv(0x31, *map(octets, v)))
                      for name, v in values.items()))


def add(number, dn, values, *controls):
    return message(number, tlv(0x68, octets(dn), attributes(values)), *controls)


def modify(number, dn, mods, *controls):
    """mods: (0 add, 1 delete, 2 replace, 3 increment; attribute; values)."""
    return message(number, tlv(0x66, octets(dn), tlv(0x30, *(
        tlv(0x30, integer(op, 0x0a), tlv(0x30, octets(name), tlv(0x31, *map(octets, values))))
        for op, name, values in mods))), *controls)


def delete(number, dn, *controls):
    return message(number, tlv(0x4a, dn.encode()), *controls)


def moddn(number, dn, rdn, *controls, superior=None, keep=False):
    return message(number, tlv(0x6c, octets(dn), octets(rdn), tlv(0x01, b"\0" if keep else b"\xff"),
                               tlv(0x80, superior.encode()) if superior is not None else b""),
                   *controls)


def compare(number, dn, name, value, *controls):
    return message(number, tlv(0x6e, octets(dn), tlv(0x30, octets(name), octets(value))), *controls)


def equal(name, value):
    return tlv(0xa3, octets(name), octets(value))


def extended(number, oid, value=None, *controls):
    return message(number, tlv(0x77, tlv(0x80, oid.encode()),
                               tlv(0x81, value) if value is not None else b""), *controls)


def split(data):
    """The first element of data: (tag, body, rest), or None while it is not whole."""
    if len(data) < 2:
        return None
    n, at = data[1], 2
    if n & 0x80:
        count = n & 0x7f
        if len(data) < 2 + count:
            return None
        n, at = int.from_bytes(data[2:2 + count], "big"), 2 + count
    if len(data) < at + n:
        return None
    return data[0], data[at:at + n], data[at + n:]


def elements(data):
    """All elements of data: [(tag, body)]."""
    out = []
    while data:
        tag, body, data = split(data)
        out.append((tag, body))
    return out


def entry(body):
    """DN and attributes of a SearchResultEntry's contents."""
    _, dn, rest = split(body)
    return dn.decode(), {
        name.decode(): [v for _, v in elements(split(rest_)[1])]
        for _, one in elements(split(rest)[1]) for _, name, rest_ in [split(one)]}


class Answer:
    """id, op (the APPLICATION tag) and, of a result, code, matched and text."""

    def __init__(self, body):
        _, number, rest = split(body)
        self.id = int.from_bytes(number, "big")
        self.op, self.body, self.rest = split(rest)
        self.code = None
        if self.op not in (0x64, 0x73, 0x79):
            _, code, rest = split(self.body)
            self.code = int.from_bytes(code, "big")
            _, self.matched, rest = split(rest)
            _, self.text, self.extra = split(rest)

    @property
    def controls(self):
        """{OID: value} of the answer's controls."""
        out = {}
        for _, one in elements(split(self.rest)[1]) if self.rest else []:
            parts = elements(one)
            out[parts[0][1].decode()] = parts[-1][1] if parts[-1][0] == 4 and len(parts) > 1 else None
        return out

    @property
    def referrals(self):
        """URIs of a referral result or of a continuation reference."""
        if self.op == 0x73:
            return [uri.decode() for _, uri in elements(self.body)]
        return [uri.decode() for tag, body in elements(self.extra) if tag == 0xa3
                for _, uri in elements(body)]


class Raw:
    """A socket that sends bytes as they are and cuts what comes into answers."""

    def __init__(self, address, timeout=20):
        if isinstance(address, str):
            self.s = socket.socket(socket.AF_UNIX)
        else:
            self.s = socket.socket()
        self.s.settimeout(timeout)
        self.s.connect(address)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.s.close()

    def send(self, *messages):
        self.s.sendall(b"".join(messages))

    def answer(self):
        """The next answer; None when the server has closed."""
        while True:
            whole = split(self.data)
            if whole:
                self.data = whole[2]
                return Answer(whole[1])
            try:
                piece = self.s.recv(65536)
            except ConnectionResetError:
                piece = b""
            if not piece:
                return None
            self.data += piece

    def answers(self):
        """Everything until the server closes."""
        out = []
        while True:
            a = self.answer()
            if a is None:
                return out
            out.append(a)

    def result(self, number):
        """Skip to the result of one request."""
        while True:
            a = self.answer()
            assert a is not None, "closed by the server"
            if a.id == number and a.code is not None:
                return a

    def is_silent(self, seconds):
        return not self.data and not select.select([self.s], [], [], seconds)[0]
