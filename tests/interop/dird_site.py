"""A dird with a small tree, without any other program of the project: for tests of LDAP itself."""
import os
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from waypost import free_port, wait_for  # noqa: E402
import ber  # noqa: E402
from ber import Raw  # noqa: E402

PEOPLE = 600
ADMIN = "cn=admin,o=Example"
PASSWORD = "test-secret"


def openssl(*argv):
    subprocess.run(("openssl",) + argv, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class DirdSite:
    def __init__(self, *conf):
        self.folder = tempfile.mkdtemp(prefix="waypost-ldap-")
        self.port, self.tls_port = free_port(), free_port()
        self.process = None
        os.mkdir(self.path("db"))
        self.starts = 0
        self.certificate("site", "/CN=hub.example.com")
        self.certificate("site1", "/CN=site1")
        with open(self.path("dird.conf"), "w", encoding="ascii") as f:
            f.write("organisation o=Example\nsite Hub\ndatabase db\n"
                    f"listen-ldap 127.0.0.1:{self.port}\nlisten-ldaps 127.0.0.1:{self.tls_port}\n"
                    "listen-ldapi ldapi\ntls-certificate site.crt\ntls-key site.key\n"
                    "loops 2\n" + "".join(line + "\n" for line in conf))

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def uri(self):
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def ldaps(self):
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ldapi(self):
        return "ldapi://" + self.path("ldapi").replace("/", "%2F")

    def certificate(self, name, subject, ca=None):
        """name.key and name.crt, signed by itself or by `ca`."""
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", subject, "-keyout", self.path(name + ".key"), "-out",
                self.path(name + ".csr"))
        signer = (("-signkey", self.path(name + ".key")) if ca is None else
                  ("-CA", self.path(ca + ".crt"), "-CAkey", self.path(ca + ".key"), "-CAcreateserial"))
        extra = self.path("ca.ext")
        with open(extra, "w", encoding="ascii") as f:
            f.write("basicConstraints=CA:TRUE\n" if name == "ca" else "basicConstraints=CA:FALSE\n")
        openssl("x509", "-req", "-days", "30", "-in", self.path(name + ".csr"), "-extfile", extra,
                "-out", self.path(name + ".crt"), *signer)
        os.chmod(self.path(name + ".key"), 0o600)

    def pin(self, name):
        """The siteKey value of a key."""
        out = subprocess.run(
            f"openssl pkey -in {self.path(name)}.key -pubout -outform DER | "
            "openssl dgst -sha256 -binary | base64", shell=True, check=True, text=True,
            stdout=subprocess.PIPE)
        return "sha256:" + out.stdout.strip()

    def admin(self, timeout=20):
        """A raw connection over the local socket, bound."""
        c = Raw(self.path("ldapi"), timeout)
        c.send(ber.bind_external(1))
        assert c.result(1).code == 0
        return c

    def add_root(self):
        with self.admin() as c:
            c.send(ber.add(2, "o=Example", {"objectClass": ["organization", "mailOrganization"], "o": ["Example"]}))
            assert c.result(2).code == 0

    def start(self, **environment):
        self.spawn(**environment)
        wait_for("dird ready", self._is_ready)

    def spawn(self, prefix=(), **environment):
        """Start it and do not wait."""
        self.starts = self.log().count("ready site=Hub") + 1
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen([*prefix, "dird", "--config", self.path("dird.conf")],
                                            env=dict(os.environ, **environment),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"dird ended with {self.process.returncode}\n{self.log()}")
        return self.log().count("ready site=Hub") == self.starts

    def log(self):
        if not os.path.exists(self.path("log")):
            return ""
        with open(self.path("log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        status = self.process.wait(20)
        self.process = None
        return status

    def close(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder)


def tree(site):
    """What the tests find: (DN, attributes)."""
    def b(*values):
        return [v.encode() for v in values]

    yield "o=Example", {"objectClass": b("organization", "mailOrganization"), "o": b("Example")}
    yield "ou=people,o=Example", {"objectClass": b("organizationalUnit"), "ou": b("people")}
    for i in range(PEOPLE):
        attributes = {
            "objectClass": b("inetOrgPerson"),
            "cn": b(f"Person {i:04}"), "sn": b(f"Name{i % 50}"), "givenName": b("Ada"),
            "mail": b(f"p{i:04}@example.com"), "telephoneNumber": b(f"+49 30 {i:04}"),
            "description": b("x" * 200),
        }
        yield f"cn=Person {i:04},ou=people,o=Example", attributes
    yield "cn=Ada Hill,ou=people,o=Example", {
        "objectClass": b("inetOrgPerson"), "cn": b("Ada Hill"), "cn;lang-de": b("Ada Hügel"),
        "sn": b("Hill"), "mail": b("ada@example.com"), "userPassword": b("hunter2"),
        "employeeNumber": b("7"), "jpegPhoto": [bytes(range(256)) * 8]}
    yield "cn=All,ou=people,o=Example", {
        "objectClass": b("groupOfNames"), "cn": b("All"),
        "member": b("cn=Ada Hill,ou=people,o=Example", "cn=Person 0001,ou=people,o=Example")}
    yield "ou=elsewhere,o=Example", {
        "objectClass": b("referral", "extensibleObject"), "ou": b("elsewhere"),
        "ref": b("ldap://other.example.com/ou=elsewhere,o=Example")}
    yield "ou=Site1,o=Example", {
        "objectClass": b("organizationalUnit", "mailSite"), "ou": b("Site1"),
        "siteSmtpDomain": b("site1.example.com"), "siteKey": b(site.pin("site1"))}
