"""Change records (RFC 2849) as text."""


def change(dn, lines):
    return f"dn: {dn}\nchangetype: {lines}\n\n"


def replace(dn, attribute, value):
    return change(dn, f"modify\nreplace: {attribute}\n{attribute}: {value}")


def delete(dn):
    return change(dn, "delete")


def rename(dn, rdn, superior=None):
    more = f"\nnewsuperior: {superior}" if superior else ""
    return change(dn, f"modrdn\nnewrdn: {rdn}\ndeleteoldrdn: 1{more}")
