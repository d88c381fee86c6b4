#!/usr/bin/python3
# tests/run: build=san timeout=300
"""dird and tools that people use: all of OpenLDAP's, Postfix's ldap tables, ldapvi, shelldap, and
ldapts from npm (fetched; skipped with the reason where npm is missing or its registry can not be
reached)."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"), os.path.join(HERE, "..", "proto")]
import postfix  # noqa: E402
import tap  # noqa: E402
from servers import ADMIN, ROOT, SECRET, Dird  # noqa: E402
from waypost import run  # noqa: E402

PEOPLE = "ou=people," + ROOT
WORK = "ou=work," + ROOT
LDAPTS = "ldapts@7"
FOLDER = SERVER = URI = None


def setUpModule():
    global FOLDER, SERVER, URI
    FOLDER = tempfile.mkdtemp(prefix="waypost-tools-")
    with open(path("password"), "w", encoding="ascii") as f:
        f.write(SECRET + "\n")
    os.chmod(path("password"), 0o600)
    SERVER = Dird("admin-password-file " + path("password"))
    URI = SERVER.site.uri


def tearDownModule():
    SERVER.close()
    shutil.rmtree(FOLDER)


def path(name):
    return os.path.join(FOLDER, name)


def write(name, text, mode=0o600):
    with open(path(name), "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path(name), mode)
    return path(name)


def tool(name, *argv, stdin=None):
    """(status, output) of an OpenLDAP tool as the administrator."""
    status, out, err = run(name, "-x", "-H", URI, "-D", ADMIN, "-w", SECRET, *argv, stdin=stdin,
                           check=False)
    return status, out + err


def read(base, *attributes, scope="base", what="(objectClass=*)", more=()):
    status, out = tool("ldapsearch", "-LLL", "-o", "ldif-wrap=no", *more, "-b", base, "-s", scope, what,
                       *attributes)
    return out if status == 0 else status


class Tool(unittest.TestCase):
    def setUp(self):
        SERVER.empty_work()

    def works(self, name, *argv, stdin=None, status=0):
        got, out = tool(name, *argv, stdin=stdin)
        self.assertEqual(got, status, f"{name} {argv}: {out}")
        return out

    def need(self, program):
        if shutil.which(program) is None:
            self.skipTest(f"{program} is not installed, see tools/install-deps --test")


class OpenLdapTools(Tool):
    def entry(self, uid, **more):
        lines = [f"dn: uid={uid},{WORK}", "objectClass: account", f"uid: {uid}"]
        return "\n".join(lines + [f"{k}: {v}" for k, v in more.items()]) + "\n\n"

    def test_ldapadd_and_ldapmodify(self):
        self.works("ldapadd", stdin=self.entry("a") + self.entry("b", description="two"))
        self.works("ldapmodify", stdin=f"""dn: uid=a,{WORK}
changetype: modify
add: description
description: one
-
add: l
l: here
l: there
-
delete: l
l: here

dn: uid=b,{WORK}
changetype: modrdn
newrdn: uid=c
deleteoldrdn: 1

dn: uid=d,{WORK}
changetype: add
objectClass: account
objectClass: tstThing
uid: d
tstInteger: 41

dn: uid=d,{WORK}
changetype: modify
increment: tstInteger
tstInteger: 1
-

dn: uid=a,{WORK}
changetype: modify
replace: description
description:: w7w=

""")
        self.assertIn("description:: w7w=", read(f"uid=a,{WORK}"))
        self.assertIn("l: there", read(f"uid=a,{WORK}"))
        self.assertIn("uid: c", read(f"uid=c,{WORK}"))
        self.assertIn("tstInteger: 42", read(f"uid=d,{WORK}"))
        self.works("ldapmodify", stdin=f"dn: uid=d,{WORK}\nchangetype: delete\n")
        self.assertEqual(read(f"uid=d,{WORK}"), 32)

    def test_ldapadd_goes_on_after_errors(self):
        out = self.works("ldapadd", "-c", stdin=self.entry("a") * 2 + self.entry("b"), status=68)
        self.assertIn("Already exists", out)
        self.assertIn("uid: b", read(f"uid=b,{WORK}"))

    def test_ldapadd_dry_run(self):
        self.works("ldapadd", "-n", stdin=self.entry("a"))
        self.assertEqual(read(f"uid=a,{WORK}"), 32)

    def test_ldapmodrdn(self):
        self.works("ldapadd", stdin=self.entry("a") + f"dn: ou=b,{WORK}\nobjectClass: organizationalUnit\n"
                   "ou: b\n\n")
        self.works("ldapmodrdn", "-r", f"uid=a,{WORK}", "uid=x")
        self.works("ldapmodrdn", "-s", f"ou=b,{WORK}", f"uid=x,{WORK}", "uid=y")
        out = read(f"uid=y,ou=b,{WORK}", "uid")
        self.assertIn("uid: x", out)
        self.assertIn("uid: y", out)
        self.works("ldapmodrdn", f"uid=none,{WORK}", "uid=x", status=32)

    def test_ldapcompare(self):
        self.works("ldapcompare", f"uid=ada,{PEOPLE}", "sn:HILL", status=6)
        self.works("ldapcompare", f"uid=ada,{PEOPLE}", "sn:none", status=5)
        self.works("ldapcompare", f"uid=ada,{PEOPLE}", "jpegPhoto::/9j/4AAQ", status=18)
        self.works("ldapcompare", f"uid=none,{PEOPLE}", "sn:x", status=32)
        self.works("ldapcompare", f"uid=ada,{PEOPLE}", "sn::SGlsbA==", status=6)

    def test_ldapdelete(self):
        self.works("ldapadd", stdin=f"dn: ou=b,{WORK}\nobjectClass: organizationalUnit\nou: b\n\n" +
                   self.entry("a"))
        self.works("ldapmodrdn", "-s", f"ou=b,{WORK}", f"uid=a,{WORK}", "uid=a")
        self.works("ldapdelete", f"ou=b,{WORK}", status=66)
        self.works("ldapdelete", "-r", f"ou=b,{WORK}")
        self.assertEqual(read(f"ou=b,{WORK}"), 32)

    def test_ldappasswd_and_ldapwhoami(self):
        dn = f"uid=a,{WORK}"
        self.works("ldapadd", stdin=self.entry("a", userPassword="first").replace(
            "account\n", "account\nobjectClass: simpleSecurityObject\n"))
        self.works("ldappasswd", "-s", "second", dn)
        made = re.search(r"New password: (\S+)", self.works("ldappasswd", dn))[1]
        as_user = ("ldapwhoami", "-x", "-H", URI, "-D", dn)
        self.assertIn(f"dn:{dn}", run(*as_user, "-w", made))
        self.assertEqual(run(*as_user, "-w", "second", check=False)[0], 49)
        self.assertIn("(49)", self.works("ldappasswd", "-a", "wrong", "-s", "third", dn, status=1))
        out = run("ldappasswd", "-x", "-H", URI, "-D", dn, "-w", made, "-a", made, "-s", "own")
        self.assertEqual(out, "")
        self.assertIn(f"dn:{dn}", run(*as_user, "-w", "own"))
        self.assertIn(f"dn:uid=ada,{PEOPLE}",
                      self.works("ldapwhoami", "-e", f"!authzid=dn:uid=ada,{PEOPLE}"))
        self.assertIn("anonymous", run("ldapwhoami", "-x", "-H", URI))

    def test_ldapexop(self):
        self.assertIn(f"dn:{ADMIN}", self.works("ldapexop", "whoami"))
        self.assertIn("(119)", self.works("ldapexop", "cancel", "77", status=1))
        self.assertIn("(2)", self.works("ldapexop", "1.1.99.3", status=1))

    def test_ldapurl(self):
        made = run("ldapurl", "-h", "127.0.0.1", "-p", str(SERVER.site.port)).strip()
        self.assertIn(f"dn:{ADMIN}", run("ldapwhoami", "-x", "-H", made, "-D", ADMIN, "-w", SECRET))
        parts = run("ldapurl", "-H", f"{made}/{PEOPLE}?sn,mail?one?(uid=ada)")
        found = dict(re.findall(r"^(\w+): (.*)$", parts, re.M))
        self.assertIn("sn: Hill", read(found["dn"], "sn", scope=found["scope"], what=found["filter"]))

    def test_ldapsearch_controls(self):
        pages = read(PEOPLE, "uid", scope="one", what="(uid=*)", more=("-E", "pr=1/noprompt"))
        self.assertEqual(len(re.findall("^dn:", pages, re.M)), 4)
        down = read(PEOPLE, "uid", scope="one", what="(uid=*)", more=("-E", "!sss=-cn"))
        self.assertEqual(re.findall(r"^uid: (.*)$", down, re.M), ["dora", "carl", "bob", "ada"])
        matched = read(f"uid=bob,{PEOPLE}", "cn", more=("-E", "!mv=(cn=rob*)"))
        self.assertNotIn("Bob", matched)
        self.assertIn("cn: Robert Barker", matched)
        self.assertEqual(read(PEOPLE, more=("-e", "!assert=(ou=none)")), 122)
        out = self.works("ldapmodify", "-e", "preread=description", "-e", "postread=description",
                         stdin=f"dn: {WORK}\nchangetype: modify\nadd: description\ndescription: new\n")
        self.assertIn("postread", out)
        self.assertIn("description: new", out)
        self.assertIn("ref:", read(f"ou=elsewhere,{ROOT}", "ref", more=("-M",)))

    def test_ldapsearch_forms(self):
        self.assertIn("dn: uid=ada", read(PEOPLE, "1.1", scope="children", what="(sn=hill)"))
        write("names", "ada\nbob\n")
        out = read(PEOPLE, "uid", scope="one", what="(uid=%s)", more=("-f", path("names")))
        self.assertEqual(re.findall(r"^uid: (.*)$", out, re.M), ["ada", "bob"])
        self.assertIn("description: likes (round) brackets",
                      read(PEOPLE, "description", scope="one", what=r"(description=likes \28round\29*)"))
        photo = read(f"uid=ada,{PEOPLE}", "jpegPhoto", more=("-t", "-T", FOLDER))
        with open(re.search(r"jpegPhoto:< file://(.*)", photo)[1], "rb") as f:
            self.assertEqual(f.read(), bytes.fromhex("ffd8ffe00010"))


class Postfix(Tool):
    conf = postfix.config_folder()

    def table(self, **more):
        values = {"server_host": URI, "version": "3", "bind": "yes", "bind_dn": f"uid=ada,{PEOPLE}",
                  "bind_pw": "hunter2", "search_base": ROOT, "query_filter": "(mail=%s)",
                  "result_attribute": "mail", **more}
        return write("table.cf", "".join(f"{k} = {v}\n" for k, v in values.items()))

    def ask(self, key, **more):
        self.need("postmap")
        table = "ldap:" + self.table(**more)
        if not postfix.knows_maps("ldap"):
            self.skipTest("postfix-ldap is not installed, see tools/install-deps --test")
        status, out, err = run("postmap", "-c", self.conf, "-q", key, table, check=False)
        self.assertLess(status, 2, err)
        return out.strip() if status == 0 else (err.strip() or None)

    def test_addresses(self):
        self.assertEqual(self.ask("ada@example.com"), "ada@example.com,ada.hill@example.com")
        self.assertEqual(self.ask("ADA.HILL@Example.COM", result_attribute="uid"), "ada")
        self.assertIsNone(self.ask("nobody@example.com"))
        self.assertEqual(self.ask("(round)*\\", query_filter="(description=%s)"), None)

    def test_members_of_a_list(self):
        got = self.ask("staff", query_filter="(cn=%s)", special_result_attribute="member")
        self.assertEqual(sorted(got.split(",")),
                         ["ada.hill@example.com", "ada@example.com", "bob@example.com"])

    def test_limits_and_version_2(self):
        self.assertIn("bob", self.ask("b*", query_filter="(uid=b*)", result_attribute="uid", size_limit="1"))
        got = self.ask("ada@example.com", version="2")
        self.assertIn("rotocol", got)


class Ldapvi(Tool):
    def ldapvi(self, *argv):
        self.need("ldapvi")
        return run("ldapvi", "-h", URI, "-D", ADMIN, "-w", SECRET, "--bind-dialog", "never", *argv,
                   check=False, stdin="")

    def test_edit(self):
        """An entry printed, added, edited as people do, renamed and deleted."""
        status, out, err = self.ldapvi("--quiet", "--out", "-b", PEOPLE, "(uid=bob)")
        self.assertEqual(status, 0, err)
        self.assertIn("cn: Robert Barker", out)
        new = write("new", f"dn: uid=vi,{WORK}\nobjectClass: account\nuid: vi\ndescription: first\n\n")
        status, _, err = self.ldapvi("--ldapmodify", "--add", new)
        self.assertEqual(status, 0, err)
        editor = write("editor", "#!/bin/sh\nfor f; do :; done\nsed -i s/first/second/ \"$f\"\n", 0o700)
        command = shlex.join(["ldapvi", "--noquestions", "-h", URI, "-D", ADMIN, "-w", SECRET,
                              "--bind-dialog", "never", "-b", WORK, "(uid=vi)"])
        p = subprocess.run(["script", "-qec", command, "/dev/null"], text=True, check=False, timeout=60,
                           env=dict(os.environ, EDITOR=editor, VISUAL=editor, TERM="dumb"),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertIn("description: second", str(read(f"uid=vi,{WORK}")), p.stdout)
        status, _, err = self.ldapvi("--ldapmoddn", f"uid=vi,{WORK}", f"uid=vj,{WORK}")
        self.assertEqual(status, 0, err)
        self.assertIn("uid: vj", str(read(f"uid=vj,{WORK}")))
        status, _, err = self.ldapvi("--ldapdelete", f"uid=vj,{WORK}")
        self.assertEqual(status, 0, err)
        self.assertEqual(read(f"uid=vj,{WORK}"), 32)


class Shelldap(Tool):
    def test_session(self):
        self.need("shelldap")
        rc = write("shelldap.rc", f"server: 127.0.0.1\nport: {SERVER.site.port}\nbinddn: {ADMIN}\n"
                   f"bindpass: {SECRET}\nbasedn: {ROOT}\ntls: no\n")
        tool("ldapadd", stdin=f"dn: uid=sh,{WORK}\nobjectClass: account\nuid: sh\nl: here\n\n")
        commands = ("ls", "cd ou=people", "pwd", "cat uid=bob", "search (uid=a*)", "whoami",
                    "cd", "cd ou=work", "cp uid=sh uid=sh2", "mv uid=sh2 uid=sh3", "exit")
        out = subprocess.run(["shelldap", "-f", rc], input="\n".join(commands) + "\n", text=True,
                             env=dict(os.environ, HOME=FOLDER), check=False, timeout=60,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
        for word in ("ou=people/", "telephoneNumber: +49 30 1234-000", f"uid=ada,{PEOPLE}", ADMIN):
            self.assertIn(word, out)
        self.assertIn("l: here", str(read(f"uid=sh3,{WORK}")), out)
        self.assertEqual(read(f"uid=sh2,{WORK}"), 32)


SCRIPT = """
import { Client, Attribute, Change, ResultCodeError } from 'ldapts';
const [uri, admin, secret, people, work] = process.argv.slice(2);
const out = {};
const fails = async (name, f) => {
  try { await f(); out[name] = 0; } catch (e) { out[name] = e.code; }
};
const c = new Client({ url: uri, timeout: 60000, connectTimeout: 60000 });
await fails('wrong', () => c.bind(admin, 'x'));
await c.bind(admin, secret);
const found = await c.search(people, { scope: 'one', filter: '(|(sn=hill)(cn=*bark*))', attributes: ['uid', 'cn'] });
out.found = found.searchEntries.map(e => e.uid).sort();
const pages = await c.search(people, { scope: 'one', filter: '(uid=*)', paged: { pageSize: 1 } });
out.pages = pages.searchEntries.length;
const photo = await c.search('uid=ada,' + people, { scope: 'base', attributes: ['jpegPhoto'], explicitBufferAttributes: ['jpegPhoto'] });
out.photo = photo.searchEntries[0].jpegPhoto.toString('hex');
const part = await c.search(people, { scope: 'one', filter: '(uid=*)', sizeLimit: 1 }).catch(e => e.code);
out.limit = part.searchEntries ? part.searchEntries.length : part;
const all = await c.search('ou=elsewhere,' + people.split(',').pop(), { scope: 'base' }).catch(e => e.code);
out.referral = all.searchEntries ? all.searchReferences.length : all;
const dn = 'uid=js,' + work;
await c.add(dn, { objectClass: ['account'], uid: 'js', description: ['eins', 'zw\\u00f6lf'] });
await fails('again', () => c.add(dn, { objectClass: ['account'], uid: 'js' }));
await c.modify(dn, [new Change({ operation: 'replace', modification: new Attribute({ type: 'description', values: ['drei'] }) })]);
out.compare = [await c.compare(dn, 'description', 'DREI'), await c.compare(dn, 'description', 'vier')];
await c.modifyDN(dn, 'uid=js2,' + work);
out.exop = (await c.exop('1.3.6.1.4.1.4203.1.11.3')).value;
await c.del('uid=js2,' + work);
await fails('gone', () => c.del('uid=js2,' + work));
await fails('syntax', () => c.search('nonsense', { scope: 'base' }));
await c.unbind();
const t = new Client({ url: uri, timeout: 60000, connectTimeout: 60000 });
await t.startTLS({ rejectUnauthorized: false });
await t.bind(admin, secret);
out.tls = (await t.search(people, { scope: 'base' })).searchEntries.length;
await t.unbind();
console.log(JSON.stringify(out));
"""


class Npm(Tool):
    def fetch(self):
        self.need("npm")
        folder = path("npm")
        os.mkdir(folder)
        try:
            p = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts",
                                "--prefix", folder, LDAPTS], text=True, check=False, timeout=90,
                               env=dict(os.environ, HOME=FOLDER), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            self.skipTest(f"npm could not fetch {LDAPTS} within 90 s")
        if p.returncode != 0:
            self.skipTest(f"npm could not fetch {LDAPTS}: {p.stdout.strip().splitlines()[-1:]}")
        return folder

    def test_ldapts(self):
        folder = self.fetch()
        write("npm/t.mjs", SCRIPT)
        p = subprocess.run(["node", "t.mjs", URI, ADMIN, SECRET, PEOPLE, WORK], cwd=folder, text=True,
                           check=False, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(p.returncode, 0, p.stderr)
        self.assertEqual(json.loads(p.stdout), {
            "wrong": 49, "found": ["ada", "bob"], "pages": 4, "photo": "ffd8ffe00010", "limit": 1,
            "referral": 10, "again": 68, "compare": [True, False], "exop": f"dn:{ADMIN}", "gone": 32,
            "syntax": 34, "tls": 1})


if __name__ == "__main__":
    tap.main()
