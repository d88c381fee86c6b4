"""LDAP messages from words and back: how the case files of this folder write requests and answers.

README describes the words. Encoding follows RFC 4511 and RFC 4515 and takes what a client would not
send (empty sets, odd numbers); decoding takes only what RFC 4511 §4 allows and says what is wrong.
"""
import os
import re
import shlex
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import ber  # noqa: E402
from ber import integer, octets, tlv  # noqa: E402

RESULTS = {
    0: "success", 1: "operationsError", 2: "protocolError", 3: "timeLimitExceeded",
    4: "sizeLimitExceeded", 5: "compareFalse", 6: "compareTrue", 7: "authMethodNotSupported",
    8: "strongerAuthRequired", 10: "referral", 11: "adminLimitExceeded",
    12: "unavailableCriticalExtension", 13: "confidentialityRequired", 14: "saslBindInProgress",
    16: "noSuchAttribute", 17: "undefinedAttributeType", 18: "inappropriateMatching",
    19: "constraintViolation", 20: "attributeOrValueExists", 21: "invalidAttributeSyntax",
    32: "noSuchObject", 33: "aliasProblem", 34: "invalidDNSyntax", 36: "aliasDereferencingProblem",
    48: "inappropriateAuthentication", 49: "invalidCredentials", 50: "insufficientAccessRights",
    51: "busy", 52: "unavailable", 53: "unwillingToPerform", 54: "loopDetect",
    64: "namingViolation", 65: "objectClassViolation", 66: "notAllowedOnNonLeaf",
    67: "notAllowedOnRDN", 68: "entryAlreadyExists", 69: "objectClassModsProhibited",
    71: "affectsMultipleDSAs", 76: "virtualListViewError", 80: "other", 118: "canceled",
    119: "noSuchOperation", 120: "tooLate", 121: "cannotCancel", 122: "assertionFailed",
    123: "authorizationDenied", 4096: "e-syncRefreshRequired", 16654: "noOperation",
}
SCOPES = {"base": 0, "one": 1, "sub": 2, "subordinate": 3}
DEREF = {"never": 0, "searching": 1, "finding": 2, "always": 3}
MODS = {"add": 0, "delete": 1, "replace": 2, "increment": 3}
CONTROLS = {
    "manage-dsa-it": "2.16.840.1.113730.3.4.2", "assertion": "1.3.6.1.1.12",
    "pre-read": "1.3.6.1.1.13.1", "post-read": "1.3.6.1.1.13.2",
    "paged": "1.2.840.113556.1.4.319", "sort": "1.2.840.113556.1.4.473",
    "sort-response": "1.2.840.113556.1.4.474", "values": "1.2.826.0.1.3344810.2.3",
    "subentries": "1.3.6.1.4.1.4203.1.10.1", "proxy": "2.16.840.1.113730.3.4.18",
    "sync": "1.3.6.1.4.1.4203.1.9.1.1", "sync-state": "1.3.6.1.4.1.4203.1.9.1.2",
    "sync-done": "1.3.6.1.4.1.4203.1.9.1.3", "permissive": "1.2.840.113556.1.4.1413",
    "tree-delete": "1.2.840.113556.1.4.805", "no-op": "1.3.6.1.4.1.4203.1.10.2",
    "relax": "1.3.6.1.4.1.4203.666.5.12", "domain-scope": "1.2.840.113556.1.4.1339",
    "dont-use-copy": "1.3.6.1.1.22", "vlv": "2.16.840.1.113730.3.4.9",
    "vlv-response": "2.16.840.1.113730.3.4.10",
    "password-policy": "1.3.6.1.4.1.42.2.27.8.5.1", "transaction": "1.3.6.1.1.21.2",
    "psearch": "2.16.840.1.113730.3.4.3", "change": "2.16.840.1.113730.3.4.7",
}
STATES = ("present", "add", "modify", "delete")
CONTROL_NAMES = {oid: name for name, oid in CONTROLS.items()}
EXTENSIONS = {
    "whoami": "1.3.6.1.4.1.4203.1.11.3", "passwd": "1.3.6.1.4.1.4203.1.11.1",
    "cancel": "1.3.6.1.1.8", "start-tls": "1.3.6.1.4.1.1466.20037",
    "start": "1.3.6.1.1.21.1", "end": "1.3.6.1.1.21.3", "aborted": "1.3.6.1.1.21.4",
}
SYNC_INFO = "1.3.6.1.4.1.4203.1.9.1.4"
CHANGES = {"add": 1, "delete": 2, "modify": 4, "moddn": 8}
NOTICE = "1.3.6.1.4.1.1466.20036"


class Bad(Exception):
    """The case file, or an answer, is not as it should be."""


# --- words ----------------------------------------------------------------------------------------

def words(line):
    """Split at spaces; quotes hold a word together; \\u{AD} is a code point."""
    lexer = shlex.shlex(line, posix=True)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", ""
    try:
        found = list(lexer)
    except ValueError as e:
        raise Bad(f"{line}: {e}") from None
    return [re.sub(r"\\u\{([0-9A-Fa-f]+)\}", lambda m: chr(int(m[1], 16)), w) for w in found]


def data(word):
    """The bytes of a value: text, or hex behind 0x."""
    return bytes.fromhex(word[2:]) if re.fullmatch(r"0x([0-9a-fA-F]{2})*", word) else word.encode()


def braces(text):
    """BER: {30 {02 01} 'text'} is a tag, then contents; lengths are computed, with {30w ...} in the
    four bytes that Windows sends. Bare hex stays."""
    out = [b""]
    tags = []
    for m in re.finditer(r"\s*(?:\{\s*([0-9a-f]{2}w?)|(\})|'([^']*)'|([0-9a-f]+)|(\S))", text):
        if m[5]:
            raise Bad(f"not BER: {text}")
        if m[1]:
            tags.append(m[1])
            out.append(b"")
        elif m[2]:
            body, tag = out.pop(), tags.pop()
            out[-1] += (tlv(int(tag, 16), body) if len(tag) == 2 else
                        bytes([int(tag[:2], 16), 0x84]) + len(body).to_bytes(4, "big") + body)
        else:
            out[-1] += m[3].encode() if m[3] is not None else bytes.fromhex(m[4])
    if tags:
        raise Bad(f"an open brace: {text}")
    return out[0]


# --- filters (RFC 4515) ----------------------------------------------------------------------------

def assertion(text):
    return re.sub(rb"\\([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())


def substrings(kind, text):
    parts = text.split("*")
    inner = [tlv(0x81, assertion(p)) for p in parts[1:-1] if p]
    first = [tlv(0x80, assertion(parts[0]))] if parts[0] else []
    last = [tlv(0x82, assertion(parts[-1]))] if parts[-1] else []
    return tlv(0xa4, octets(kind), tlv(0x30, *first, *inner, *last))


def filter_item(text):
    m = re.fullmatch(r"([^:=<>~]*)((?::dn)?)((?::[^:=]+)?):=(.*)", text, re.S | re.I)
    if m:
        return tlv(0xa9, tlv(0x81, m[3][1:].encode()) if m[3] else b"",
                   tlv(0x82, m[1].encode()) if m[1] else b"", tlv(0x83, assertion(m[4])),
                   tlv(0x84, b"\xff") if m[2] else b"")
    m = re.fullmatch(r"([^=<>~]*)([<>~]?=)(.*)", text, re.S)
    if not m:
        raise Bad(f"not a filter item: {text}")
    kind, sign, value = m.groups()
    if sign == "=" and value == "*":
        return tlv(0x87, kind.encode())
    if sign == "=" and "*" in value:
        return substrings(kind, value)
    tag = {"=": 0xa3, ">=": 0xa5, "<=": 0xa6, "~=": 0xa8}[sign]
    return tlv(tag, octets(kind), octets(assertion(value)))


def filter_at(text, at):
    """The filter that begins with the parenthesis at `at`: (BER, position behind it)."""
    if text[at:at + 1] != "(":
        raise Bad(f"no filter at {at}: {text}")
    at += 1
    if text[at:at + 1] in ("&", "|", "!"):
        tag = {"&": 0xa0, "|": 0xa1, "!": 0xa2}[text[at]]
        parts, at = [], at + 1
        while text[at:at + 1] == "(":
            part, at = filter_at(text, at)
            parts.append(part)
        return tlv(tag, *parts), at + 1
    end = text.index(")", at)
    return filter_item(text[at:end]), end + 1


def search_filter(text):
    if text.startswith("{"):
        return braces(text)
    value, end = filter_at(text, 0)
    if end != len(text):
        raise Bad(f"something behind the filter: {text[end:]}")
    return value


# --- requests -------------------------------------------------------------------------------------

def take(arguments, *names, flags=()):
    """Options name=value and flags out of the words: (rest, options)."""
    rest, found = [], {}
    for w in arguments:
        name, eq, value = w.partition("=")
        if eq and name in names:
            found[name] = value
        elif w in flags:
            found[w] = True
        else:
            rest.append(w)
    return rest, found


def bind(arguments, _):
    rest, o = take(arguments, "version")
    dn, password = rest
    return tlv(0x60, integer(int(o.get("version", 3))), octets(dn), tlv(0x80, data(password)))


def sasl(arguments, _):
    mechanism, *credentials = arguments
    return tlv(0x60, integer(3), octets(""), tlv(0xa3, octets(mechanism),
                                                 *(octets(data(c)) for c in credentials)))


def search(arguments, _):
    rest, o = take(arguments, "size", "time", "deref", flags=("types-only", "in-order"))
    base, scope, what, *attributes = rest
    return tlv(0x63, octets(base), integer(SCOPES.get(scope) if scope in SCOPES else int(scope), 0x0a),
               integer(DEREF[o.get("deref", "never")], 0x0a), integer(int(o.get("size", 0))),
               integer(int(o.get("time", 0))), tlv(0x01, b"\xff" if "types-only" in o else b"\0"),
               search_filter(what), tlv(0x30, *map(octets, attributes)))


def find(arguments, more):
    """`find FILTER [BASE [SCOPE]]`: the answer is the uid of each entry found."""
    rest, o = take(arguments, "size", "deref", flags=("in-order",))
    what, base, scope = (rest + ["ou=people,o=Example", "sub"][len(rest) - 1:])[:3]
    options = [f"{k}={v}" for k, v in o.items() if v is not True]
    return search([base, scope, what, "uid", *options], more)


def values(text):
    return tlv(0x31, *(octets(data(v.strip())) for v in text.split(" | "))) if text else tlv(0x31)


def add(arguments, more):
    parts = []
    for line in more:
        kind, _, text = line.partition(":")
        parts.append(tlv(0x30, octets(kind), values(unescape(text.strip()))))
    return tlv(0x68, octets(arguments[0]), tlv(0x30, *parts))


def unescape(text):
    return re.sub(r"\\u\{([0-9A-Fa-f]+)\}", lambda m: chr(int(m[1], 16)), text)


def modify(arguments, more):
    parts = []
    for line in more:
        head, _, text = line.partition(":")
        how, kind = head.split(" ", 1)
        number = MODS.get(how) if how in MODS else int(how)
        parts.append(tlv(0x30, integer(number, 0x0a),
                         tlv(0x30, octets(kind), values(unescape(text.strip())))))
    return tlv(0x66, octets(arguments[0]), tlv(0x30, *parts))


def modrdn(arguments, _):
    rest, o = take(arguments, "under", flags=("keep",))
    dn, rdn = rest
    return tlv(0x6c, octets(dn), octets(rdn), tlv(0x01, b"\0" if "keep" in o else b"\xff"),
               tlv(0x80, o["under"].encode()) if "under" in o else b"")


def compare(arguments, _):
    dn, kind, value = arguments
    return tlv(0x6e, octets(dn), tlv(0x30, octets(kind), octets(data(value))))


def extended(arguments, _):
    oid, *value = arguments
    return tlv(0x77, tlv(0x80, EXTENSIONS.get(oid, oid).encode()),
               tlv(0x81, braces(" ".join(value))) if value else b"")


def passwd(arguments, _):
    _, o = take(arguments, "user", "old", "new")
    parts = [tlv(tag, o[name].encode()) for tag, name in ((0x80, "user"), (0x81, "old"), (0x82, "new"))
             if name in o]
    return tlv(0x77, tlv(0x80, EXTENSIONS["passwd"].encode()),
               tlv(0x81, tlv(0x30, *parts)) if parts else b"")


def cancel(arguments, _):
    return tlv(0x77, tlv(0x80, EXTENSIONS["cancel"].encode()),
               tlv(0x81, tlv(0x30, integer(int(arguments[0])))))


def end(arguments, _):
    """Of the transaction that was started last; of another one with its identifier behind it."""
    how, *given = arguments
    flag = {"commit": b"", "abort": tlv(0x01, b"\0")}[how]
    return tlv(0x77, tlv(0x80, EXTENSIONS["end"].encode()),
               tlv(0x81, tlv(0x30, flag, octets(data(given[0])))))


REQUESTS = {
    "start": lambda a, m: extended(["start"], m), "end": end,
    "bind": bind, "sasl": sasl, "search": search, "find": find, "add": add, "modify": modify,
    "modrdn": modrdn, "compare": compare, "extended": extended, "passwd": passwd, "cancel": cancel,
    "whoami": lambda a, m: extended(["whoami"], m),
    "unbind": lambda a, m: tlv(0x42),
    "delete": lambda a, m: tlv(0x4a, a[0].encode()),
    "abandon": lambda a, m: integer(int(a[0]), 0x50),
    "op": lambda a, m: braces(" ".join(a)),
}
WITHOUT_ANSWER = ("unbind", "abandon")


def sort_key(word):
    m = re.fullmatch(r"(-?)([^:]+)(?::(.+))?", word)
    return tlv(0x30, octets(m[2]), tlv(0x80, m[3].encode()) if m[3] else b"",
               tlv(0x81, b"\xff") if m[1] else b"")


def control_value(name, arguments, cookie):
    """The value of a control that has words of its own; None: it has no value."""
    if name in ("pre-read", "post-read"):
        return tlv(0x30, *map(octets, arguments))
    if name == "assertion":
        return search_filter(arguments[0])
    if name == "values":
        return tlv(0x30, *map(search_filter, arguments))
    if name == "paged":
        given = cookie if arguments[1:] == ["again"] else data("".join(arguments[1:]))
        return tlv(0x30, integer(int(arguments[0])), octets(given))
    if name == "sort":
        return tlv(0x30, *map(sort_key, arguments))
    if name == "vlv":
        before, after, *target = arguments
        by = (tlv(0x81, target[0][1:].encode()) if target[0].startswith("=") else
              tlv(0xa0, *(integer(int(n)) for n in target)))
        return tlv(0x30, integer(int(before)), integer(int(after)), by)
    if name == "subentries":
        return tlv(0x01, b"\xff" if arguments == ["true"] else b"\0")
    if name == "proxy":
        return data(" ".join(arguments))
    if name == "sync":
        rest, o = take(arguments, "cookie", flags=("again", "reload"))
        given = cookie if "again" in o else data(o["cookie"]) if "cookie" in o else None
        return tlv(0x30, integer(int(rest[0]), 0x0a), octets(given) if given is not None else b"",
                   tlv(0x01, b"\xff") if "reload" in o else b"")
    if name == "transaction":
        return data(arguments[0]) if arguments else cookie
    if name == "psearch":
        rest, o = take(arguments, flags=("changes-only", "notes"))
        return tlv(0x30, integer(sum(CHANGES[r] for r in rest)),
                   *(tlv(0x01, b"\xff" if flag in o else b"\0") for flag in ("changes-only", "notes")))
    return None


def control(line, cookie):
    """`control NAME [critical] WORDS`, or `control OID [critical] [BER]`."""
    _, name, *arguments = words(line)
    critical = arguments[:1] == ["critical"]
    arguments = arguments[critical:]
    value = None
    if arguments and (arguments[0].startswith("{") or name not in CONTROLS):
        text = line.split(name, 1)[1].strip()
        value = braces(text[len("critical"):] if critical else text)
    elif name in CONTROLS:
        value = control_value(name, arguments, cookie)
    return ber.control(CONTROLS.get(name, name), critical, value)


def request(lines, number, cookie=b""):
    """One request from its lines: (bytes, word it began with)."""
    first, *more = lines
    if first.startswith("raw "):
        return braces(first[4:]), "raw"
    if first.startswith("op "):
        word, arguments = "op", [first[3:]]
    elif first.startswith("extended "):
        word, oid, *rest = first.split(" ", 2)
        arguments = [oid, *rest]
    else:
        word, *arguments = words(first)
    if word not in REQUESTS:
        raise Bad(f"no such request: {word}")
    controls = [control(line, cookie) for line in more if line.startswith("control ")]
    more = [line for line in more if not line.startswith("control ")]
    if word == "end" and len(arguments) == 1:
        arguments.append("0x" + cookie.hex())
    try:
        return ber.message(number, REQUESTS[word](arguments, more), *controls), word
    except (ValueError, KeyError, IndexError) as e:
        raise Bad(f"{first}: {e!r}") from e


# --- answers --------------------------------------------------------------------------------------

def shown(value):
    """A value as the case files write it."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return "0x" + value.hex()
    if not text.isprintable() or text.startswith("0x"):
        return "0x" + value.hex()
    return text


def quoted(text):
    return f"'{text}'" if text == "" or " " in text else text


def items(body, *allowed):
    found = ber.elements(body)
    for tag, _ in found:
        if allowed and tag not in allowed:
            raise Bad(f"tag {tag:02x} where {[f'{a:02x}' for a in allowed]} belong")
    return found


def number_of(value):
    return int.from_bytes(value, "big", signed=True)


def attribute_lines(body):
    """PartialAttributeList, sorted: one line a value."""
    lines = []
    for _, one in items(body, 0x30):
        (_, name), (_, found) = items(one, 0x04, 0x31)
        found = sorted(shown(v) for _, v in items(found, 0x04))
        lines += [f"  {name.decode()}: {v}" for v in found] or [f"  {name.decode()}:"]
    return sorted(lines)


def control_lines(body):
    """The lines of all controls in a fixed order, and a cookie if one of them has it."""
    blocks, cookie = [], None
    for _, one in items(body, 0x30):
        parts = items(one, 0x04, 0x01)
        oid = parts[0][1].decode()
        name = CONTROL_NAMES.get(oid, oid)
        value = parts[-1][1] if len(parts) > 1 and parts[-1][0] == 0x04 else None
        line = f"  control {name}"
        if name == "paged":
            (_, size), (_, cookie) = items(items(value, 0x30)[0][1], 0x02, 0x04)
            line += f" {number_of(size)} {'more' if cookie else 'end'}"
        elif name == "sort-response":
            line += " " + " ".join([RESULTS[number_of(v)] if tag == 0x0a else v.decode()
                                    for tag, v in items(items(value, 0x30)[0][1], 0x0a, 0x80)])
        elif name == "vlv-response":
            (_, at), (_, count), (_, code), *_ = items(items(value, 0x30)[0][1], 0x02, 0x0a, 0x04)
            line += f" {number_of(at)} of {number_of(count)} {RESULTS.get(number_of(code), number_of(code))}"
        elif name == "sync-done":
            cookie = next((v for t, v in items(items(value, 0x30)[0][1]) if t == 0x04), None)
            deletes = any(t == 0x01 and v != b"\0" for t, v in items(items(value, 0x30)[0][1]))
            line += " deletes" * deletes + " " + ("with" if cookie else "without") + " cookie"
        elif name in ("pre-read", "post-read"):
            (_, dn), (_, attributes) = items(items(value, 0x64)[0][1], 0x04, 0x30)
            blocks.append([f"{line} {dn.decode()}", *attribute_lines(attributes)])
            continue
        elif name == "sync-state":
            parts = items(items(value, 0x30)[0][1])
            line += f" {STATES[number_of(parts[0][1])]}"
            cookie = parts[2][1] if len(parts) > 2 else cookie
        elif name == "change":
            (_, kind), *was = items(items(value, 0x30)[0][1], 0x0a, 0x04)
            line += " " + next(k for k, v in CHANGES.items() if v == number_of(kind))
            line += "".join(f" was {v.decode()}" for _, v in was)
        elif value is not None:
            line += " " + value.hex()
        blocks.append([line])
    return [line for block in sorted(blocks) for line in block], cookie


def sync_info(value):
    """What a Sync Info Message says, and its cookie."""
    [(tag, body)] = items(value, 0x80, 0xa1, 0xa2, 0xa3)
    if tag == 0x80:
        return "sync-info newcookie", body
    parts = items(body, 0x04, 0x01, 0x31)
    cookie = next((v for t, v in parts if t == 0x04), None)
    flag = next((v != b"\0" for t, v in parts if t == 0x01), tag != 0xa3)
    line = {0xa1: "refreshDelete", 0xa2: "refreshPresent", 0xa3: "syncIdSet"}[tag]
    if tag == 0xa3:
        line += f" {'deleted' if flag else 'present'} {sum(len(items(v)) for t, v in parts if t == 0x31)}"
    elif flag:
        line += " done"
    return "sync-info " + line, cookie


class Answer:
    """One message of the server: id, lines, is_last (a result), cookie (of its controls)."""

    def __init__(self, body):
        parts = items(body)
        if parts[0][0] != 0x02 or len(parts) not in (2, 3) or parts[2:] and parts[2][0] != 0xa0:
            raise Bad(f"not an LDAPMessage: {body.hex()}")
        self.id = number_of(parts[0][1])
        self.op, self.body = parts[1]
        self.is_last = self.op not in (0x64, 0x73, 0x79)
        self.text, self.cookie = b"", None
        self.lines = {0x64: self.entry, 0x73: self.reference, 0x79: self.intermediate}.get(
            self.op, self.result)()
        if parts[2:]:
            lines, cookie = control_lines(parts[2][1])
            self.cookie = self.cookie if cookie is None else cookie
            self.lines += lines

    def entry(self):
        (_, dn), (_, attributes) = items(self.body, 0x04, 0x30)
        self.dn = dn.decode()
        return [f"entry {self.dn}".rstrip()] + attribute_lines(attributes)

    def reference(self):
        return ["reference " + " ".join(v.decode() for _, v in items(self.body, 0x04))]

    def intermediate(self):
        parts = dict(items(self.body, 0x80, 0x81))
        if parts[0x80].decode() == SYNC_INFO:
            line, self.cookie = sync_info(parts[0x81])
            return [line]
        return [f"intermediate {parts[0x80].decode()}"]

    def result(self):
        if self.op not in (0x61, 0x65, 0x67, 0x69, 0x6b, 0x6d, 0x6f, 0x78):
            raise Bad(f"no answer has tag {self.op:02x}")
        parts = items(self.body)
        if [t for t, _ in parts[:3]] != [0x0a, 0x04, 0x04]:
            raise Bad(f"not an LDAPResult: {self.body.hex()}")
        self.code, self.text = number_of(parts[0][1]), parts[2][1]
        self.value = next((v for t, v in parts[3:] if t == 0x8b), b"")
        line = RESULTS.get(self.code, str(self.code))
        if parts[1][1]:
            line += " matched=" + quoted(parts[1][1].decode())
        for tag, value in parts[3:]:
            if tag == 0xa3:
                line += " to=" + ",".join(quoted(v.decode()) for _, v in items(value, 0x04))
            elif tag == 0x8a and self.id == 0 and value.decode() == NOTICE:
                line = "notice " + line
            elif tag == 0x8a and self.id == 0 and value.decode() == EXTENSIONS["aborted"]:
                line = "aborted " + line
            elif tag == 0x8a:
                line += f" name={value.decode()}"
            else:
                line += f" value={quoted(shown(value))}"
        return [line]

    def uid(self):
        """Of an entry that `find` asked for."""
        found = [x.split(": ", 1)[1] for x in self.lines if x.lower().startswith("  uid: ")]
        return found[0] if found else self.dn
