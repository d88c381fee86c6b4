"""The servers on which cases are played, with the same schema and the same entries: dird, slapd."""
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "lib")]
import ber  # noqa: E402
from cases import Session  # noqa: E402
from dird_site import DirdSite  # noqa: E402
from waypost import free_port, run, wait_for  # noqa: E402

ROOT = "o=Example"
WORK = "ou=work," + ROOT
ADMIN = "cn=admin," + ROOT
SECRET = "secret"
PEOPLE = {"ada": "hunter2", "bob": "builder"}
MANAGE_DSA_IT = ber.control("2.16.840.1.113730.3.4.2", True)
SUBENTRIES = ber.control("1.3.6.1.4.1.4203.1.10.1", True, b"\1\1\xff")
SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/lib/openldap:/usr/libexec")
MODULES = next((d for d in ("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap")
                if os.path.exists(os.path.join(d, "back_mdb.so"))), None)


class Server:
    """What playing needs: session(identity), empty_work()."""

    uri = ""  # where its clients go
    manager = None  # a connection of the administrator

    def address(self, identity):
        raise NotImplementedError

    def become(self, session, identity):
        raise NotImplementedError

    def session(self, identity):
        """A new connection as admin, nobody, or one of PEOPLE."""
        session = Session(self.address(identity))
        if identity in PEOPLE:
            self.bound(session, ber.bind(9000, f"uid={identity},ou=people,{ROOT}", PEOPLE[identity]))
        elif identity == "admin":
            self.become(session, identity)
        return session

    @staticmethod
    def bound(session, request):
        session.raw.send(request)
        code = session.raw.result(9000).code
        assert code == 0, f"bind: {code}"

    def load(self):
        run("ldapadd", "-H", self.uri, *self.credentials, "-M", "-f",
            os.path.join(HERE, "directory.ldif"))
        self.manager = self.session("admin").raw

    def below_work(self, *controls):
        c = self.manager
        c.send(ber.search(9001, WORK, 2, ber.PRESENT, ["1.1"], 0, MANAGE_DSA_IT, *controls))
        below = []
        while (a := c.answer()).code is None:
            below.append(ber.entry(a.body)[0])
        return below

    def empty_work(self):
        """ou=work is there, and nothing below it."""
        c = self.manager
        for dn in sorted(self.below_work() + self.below_work(SUBENTRIES), key=lambda dn: -dn.count(",")):
            c.send(ber.delete(9002, dn, MANAGE_DSA_IT))
            code = c.result(9002).code
            assert code == 0, f"{dn}: {code}"
        c.send(ber.add(9003, WORK, {"objectClass": ["organizationalUnit"], "ou": ["work"]}))
        assert c.result(9003).code == 0


class Dird(Server):
    def __init__(self, *conf):
        self.site = DirdSite(*conf)
        schema = self.site.path("schema")
        os.mkdir(schema)
        shipped = os.environ.get("WAYPOST_SCHEMA", os.path.join(HERE, "..", "..", "schema"))
        for name in os.listdir(shipped):
            if name.endswith(".schema"):
                os.symlink(os.path.abspath(os.path.join(shipped, name)), os.path.join(schema, name))
        os.symlink(os.path.join(HERE, "test.schema"), os.path.join(schema, "zz-test.schema"))
        with open(self.site.path("dird.conf"), "a", encoding="ascii") as f:
            f.write("schema schema\n")
        self.uri, self.credentials = self.site.ldapi, ("-Q", "-Y", "EXTERNAL")
        try:
            self.site.start()
            self.load()
        except BaseException:
            self.site.close()
            raise

    def address(self, identity):
        return self.site.path("ldapi") if identity == "admin" else ("127.0.0.1", self.site.port)

    def become(self, session, identity):
        self.bound(session, ber.bind_external(9000))

    def close(self):
        self.site.close()


class Slapd(Server):
    MODULES = ("back_mdb", "sssvlv")
    SCHEMAS = ("core", "cosine", "inetorgperson", "nis")

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="waypost-slapd-")
        self.port = free_port()
        self.uri = f"ldap://127.0.0.1:{self.port}"
        self.credentials = ("-x", "-D", ADMIN, "-w", SECRET)
        os.mkdir(self.folder + "/db")
        with open(self.folder + "/slapd.conf", "w", encoding="ascii") as f:
            for name in self.SCHEMAS:
                f.write(f"include /etc/ldap/schema/{name}.schema\n")
            f.write(f"include {HERE}/test.schema\nmodulepath {MODULES}\n")
            for name in self.MODULES:
                f.write(f"moduleload {name}\n")
            f.write(f"pidfile {self.folder}/pid\nsizelimit unlimited\n"
                    f"database mdb\nmaxsize 67108864\ndbnosync\nsuffix \"{ROOT}\"\n"
                    f"rootdn \"{ADMIN}\"\nrootpw {SECRET}\ndirectory {self.folder}/db\n"
                    "index objectClass,uid eq\n"
                    "access to attrs=userPassword by self =w by anonymous auth by * none\n"
                    "access to * by users read\noverlay sssvlv\n")
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(
                [SLAPD, "-d", "0", "-h", self.uri, "-f", self.folder + "/slapd.conf"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_for("slapd answers", self.answers)
            self.load()
        except BaseException:
            self.close()
            raise

    def answers(self):
        if self.process.poll() is not None:
            with open(self.folder + "/log", encoding="utf-8") as f:
                raise AssertionError("slapd ended:\n" + f.read())
        try:
            ber.Raw(("127.0.0.1", self.port)).s.close()
        except OSError:
            return False
        return True

    def address(self, identity):
        return ("127.0.0.1", self.port)

    def become(self, session, identity):
        self.bound(session, ber.bind(9000, ADMIN, SECRET))

    def close(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder)
