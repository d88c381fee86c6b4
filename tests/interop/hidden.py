"""Two servers for tests of what is hidden: one with hidden entries and values, one that never had them."""
import os
import re
import subprocess
import uuid

import ber
from ber import Raw
from dird_site import PASSWORD, DirdSite

BASE, LAB = "o=Example", "ou=lab,o=Example"
ANN, BOB, EVE = (f"cn={n},{LAB}" for n in ("Ann", "Bob", "Eve"))
GHOST, CELLAR = f"cn=Ghost,{LAB}", f"ou=cellar,{LAB}"
BELOW, CROWD = f"cn=Below,{CELLAR}", f"cn=Crowd,{LAB}"
SECRET, QUIET = f"cn=Secret list,{LAB}", f"cn=Quiet,{LAB}"
ONLY, AWAY, WRAITH = f"cn=Only,{LAB}", f"ou=away,{LAB}", f"cn=Wraith,{LAB}"
FARTHER = f"ou=farther,{CELLAR}"
HIDDEN = [GHOST, CELLAR, BELOW, SECRET, AWAY, WRAITH, FARTHER]
MANY = 300  # members of CROWD: stored apart, and more than are looked up one by one
YES = "TRUE"
VIEWS = {
    "Everybody": {"viewFilter": ["(objectClass=mailRecipient)"], "viewSort": ["cn"]},
    "Gone": {"viewFilter": ["(|(cn=ghost)(ou=cellar)(cn=below))"], "viewSort": ["cn"]},
}


def person(name, **more):
    return {"objectClass": ["inetOrgPerson", "mailRecipient"], "cn": [name], "sn": [name],
            "mail": [name.replace(" ", ".").lower() + "@example.com"], **more}


def group(name, *members, **more):
    return {"objectClass": ["groupOfNames", "mailRecipient"], "cn": [name], **more,
            **({"member": list(members)} if members else {})}


def tree(with_hidden):
    """(DN, attributes): what both servers have, and at the end what only one has."""
    def maybe(*hidden):
        return list(hidden) if with_hidden else []

    yield BASE, {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}
    yield LAB, {"objectClass": ["organizationalUnit"], "ou": ["lab"]}
    yield ANN, person("Ann", manager=[BOB] + maybe(GHOST), userPassword=["hunter2"])
    yield BOB, {**person("Bob"), **({"manager": [GHOST], "secretary": [WRAITH],
                                     "userPassword": ["protected"]} if with_hidden else {})}
    yield EVE, person("Eve", manager=[ANN])
    for i in range(MANY):
        yield f"cn=P{i:03},{LAB}", person(f"P{i:03}")
    yield f"cn=Mixed,{LAB}", group("Mixed", ANN, *maybe(GHOST, BELOW), BOB, owner=[ANN] + maybe(SECRET))
    yield ONLY, group("Only", *maybe(GHOST))
    yield CROWD, group("Crowd", *(f"cn=P{i:03},{LAB}" for i in range(MANY)),
                       *maybe("CN=ghost, ou=LAB,o=example", BELOW))
    yield QUIET, group("Quiet", *maybe(ANN, BOB), hideDLMembership=[YES])
    yield f"cn=Unique,{LAB}", {
        "objectClass": ["groupOfUniqueNames"], "cn": ["Unique"],
        "uniqueMember": [ANN, *maybe(GHOST, WRAITH + "#'0101'B")]}
    for name, target in (("gate", GHOST), ("door", BELOW), ("way", CELLAR), ("ann", ANN)):
        yield f"ou={name},{LAB}", {"objectClass": ["alias", "extensibleObject"], "ou": [name],
                                   "aliasedObjectName": [target]}
    yield f"cn=Address Lists,{BASE}", {"objectClass": ["container"], "cn": ["Address Lists"]}
    for name, more in VIEWS.items():
        yield f"cn={name},cn=Address Lists,{BASE}", {"objectClass": ["addressBookView"], "cn": [name], **more}
    if not with_hidden:
        return
    yield GHOST, person("Ghost", hideFromAddressLists=[YES], userPassword=["boo"], manager=[ANN],
                        description=["a hidden one"])
    yield WRAITH, person("Wraith", hideFromAddressLists=[YES])
    yield SECRET, group("Secret list", ANN, BOB, hideFromAddressLists=[YES])
    yield CELLAR, {"objectClass": ["organizationalUnit", "mailRecipient"], "ou": ["cellar"],
                   "hideFromAddressLists": [YES]}
    yield BELOW, person("Below")
    yield AWAY, {"objectClass": ["referral", "extensibleObject"], "ou": ["away"],
                 "ref": ["ldap://b.example.com/"], "hideFromAddressLists": [YES]}
    yield FARTHER, {"objectClass": ["referral", "extensibleObject"], "ou": ["farther"],
                    "ref": ["ldap://c.example.com/"]}


def ldif(with_hidden):
    """With entryUUIDs and times that are the same for both."""
    out = []
    for dn, values in tree(with_hidden):
        out.append(f"dn: {dn}\nentryUUID: {uuid.uuid5(uuid.NAMESPACE_X500, dn)}\n"
                   "createTimestamp: 20260101000000Z\nmodifyTimestamp: 20260101000000Z\n"
                   + "".join(f"{name}: {v}\n" for name, list_ in values.items() for v in list_))
    return "\n".join(out)


def make(with_hidden):
    """A dird with that tree; readers may be anonymous."""
    site = DirdSite("anonymous-read yes", f"admin-password-file {'pw'}")
    with open(site.path("pw"), "w", encoding="ascii") as f:
        f.write(PASSWORD + "\n")
    os.chmod(site.path("pw"), 0o600)
    subprocess.run(["dirctl", "load", "--config", site.path("dird.conf"), "-"], check=True,
                   input=ldif(with_hidden), text=True, stdout=subprocess.PIPE)
    site.start()
    return site


def flt(text):
    """RFC 4515 text to BER; no escapes."""
    text = text.strip()
    if text[1] in "&|!":
        depth, parts, start = 0, [], 2
        for i in range(2, len(text) - 1):
            depth += {"(": 1, ")": -1}.get(text[i], 0)
            if depth == 0:
                parts.append(flt(text[start:i + 1]))
                start = i + 1
        return ber.tlv({"&": 0xa0, "|": 0xa1, "!": 0xa2}[text[1]], *parts)
    name, kind, value = re.match(r"\(([^=~<>:]*)((?::[^=]*)?[~<>:]?=)(.*)\)$", text).groups()
    if kind.endswith(":="):
        words = [w for w in kind[1:-2].split(":") if w]
        rule = [w for w in words if w != "dn"]
        return ber.tlv(0xa9, *(ber.tlv(0x81, r.encode()) for r in rule),
                       ber.tlv(0x82, name.encode()) if name else b"",
                       ber.tlv(0x83, value.encode()), ber.tlv(0x84, b"\xff") if "dn" in words else b"")
    if kind == "=" and value == "*":
        return ber.tlv(0x87, name.encode())
    if kind == "=" and "*" in value:
        first, *middle, last = value.split("*")
        return ber.tlv(0xa4, ber.octets(name), ber.tlv(
            0x30, *([ber.tlv(0x80, first.encode())] if first else []),
            *(ber.tlv(0x81, m.encode()) for m in middle if m),
            *([ber.tlv(0x82, last.encode())] if last else [])))
    tag = {"=": 0xa3, ">=": 0xa5, "<=": 0xa6, "~=": 0xa8}[kind]
    return ber.tlv(tag, ber.octets(name), ber.octets(value))


def sort(*keys, rule=None):
    return ber.control("1.2.840.113556.1.4.473", True, ber.tlv(0x30, *(
        ber.tlv(0x30, ber.octets(k.lstrip("-")), *([ber.tlv(0x80, rule.encode())] if rule else []),
                ber.tlv(0x81, b"\xff") if k.startswith("-") else b"") for k in keys)))


def vlv(before, after, offset=None, count=0, value=None):
    place = (ber.tlv(0x81, value.encode()) if value is not None else
             ber.tlv(0xa0, ber.integer(offset), ber.integer(count)))
    return ber.control("2.16.840.1.113730.3.4.9", True,
                       ber.tlv(0x30, ber.integer(before), ber.integer(after), place))


def with_control(message, one):
    """The message with one more control, which comes first."""
    parts = ber.elements(ber.split(message)[1])
    controls = [ber.tlv(*c) for tag, body in parts if tag == 0xa0 for c in ber.elements(body)]
    return ber.tlv(0x30, *(ber.tlv(*p) for p in parts if p[0] != 0xa0), ber.tlv(0xa0, one, *controls))


class Client:
    def __init__(self, site, dn="", password=""):
        self.raw = Raw(("127.0.0.1", site.port))
        self.n = 1
        self.raw.send(ber.bind(1, dn, password))
        assert self.raw.result(1).code == 0

    def ask(self, request):
        """The answers' bytes, without message ids."""
        self.n = 2
        self.raw.send(request(self.n))
        out = []
        while True:
            a = self.raw.answer()
            assert a is not None, "closed by the server"
            out.append((a.op, a.body, a.rest))
            if a.code is not None:
                return out
