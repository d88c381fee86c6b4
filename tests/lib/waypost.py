"""Sites for tests: made with sitectl, their daemons started and stopped, asked and changed.

Finds the programs in PATH (tests/run puts the build's there). Every process started here is ended
by its own id when the Site is closed.
"""
import errno
import os
import random
import re
import signal
import socket
import subprocess
import time

PASSWORD = "test-secret"
PORTS = iter(random.sample(range(10000, 32768), 20000))


def free_port():
    """A TCP port of 127.0.0.1 that nobody uses now. It lies below those that the system gives to outgoing
    connections: one of them may otherwise have it by the time somebody listens on it, or listens again."""
    for port in PORTS:
        try:
            with socket.socket() as s:
                s.bind(("127.0.0.1", port))
                return port
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise
    raise AssertionError("no free TCP port")


def wait_for(what, condition, timeout=30.0, step=0.05):
    """The first true value of condition(); AssertionError naming `what` when time is up."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout:g} s: {what}")
        time.sleep(step)


def run(*argv, stdin=None, check=True, prefix=(), timeout=60):
    """Run a program to its end; its output (stdout). A bad status raises with all it printed."""
    p = subprocess.run([*prefix, *argv], input=stdin, text=True, check=False, timeout=timeout,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and p.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit status {p.returncode}\n{p.stdout}{p.stderr}")
    return p.stdout if check else (p.returncode, p.stdout, p.stderr)


class Site:
    """One site's folder and its dird and routed.

    prefix   argv put before every program, e.g. ("ip", "netns", "exec", NAME)
    address  where dird listens; ports are free ones of this machine unless given
    """

    def __init__(self, folder, name, domain, address="127.0.0.1", ports=None, prefix=()):
        self.folder, self.name, self.domain = str(folder), name, domain
        self.prefix = tuple(prefix)
        ldap, ldaps = ports or (free_port(), free_port())
        self.ldap, self.ldaps = f"{address}:{ldap}", f"{address}:{ldaps}"
        self.processes = {}
        self.root = None

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    @property
    def ldapi(self):
        return "ldapi://" + self.path("ldapi").replace("/", "%2F")

    @property
    def dn(self):
        return f"ou={self.name},{self.root}"

    # --- making -----------------------------------------------------------------------------------

    def _listeners(self):
        return ("--ldap", self.ldap, "--ldaps", self.ldaps, "--ldapi", self.path("ldapi"))

    def _password_file(self):
        path = self.folder + ".password"
        with open(path, "w", encoding="ascii") as f:
            f.write(PASSWORD + "\n")
        os.chmod(path, 0o600)
        return path

    def init(self, organisation="o=Example", *more):
        self.root = organisation
        run("sitectl", "init", "--dir", self.folder, "--organisation", organisation,
            "--site", self.name, "--domain", self.domain, *self._listeners(),
            "--admin-password-file", self._password_file(), *more, prefix=self.prefix)

    def token(self, site_name):
        out = run("sitectl", "token", "--config", self.path("dird.conf"), site_name,
                  prefix=self.prefix)
        return out.strip().splitlines()[-1]

    def join(self, token, organisation="o=Example", *more):
        self.root = organisation
        run("sitectl", "join", "--dir", self.folder, "--token", token, "--site", self.name,
            "--domain", self.domain, *self._listeners(),
            "--admin-password-file", self._password_file(), *more, prefix=self.prefix)

    def load(self, ldif_path):
        """Offline load; dird must be stopped."""
        return run("dirctl", "load", "--config", self.path("dird.conf"), str(ldif_path),
                   prefix=self.prefix, timeout=300)

    def hurry_routed(self):
        """routed computes at once, and comes back soon."""
        with open(self.path("routed.conf"), "r+", encoding="ascii") as f:
            text = re.sub("(?m)^(quiet|ceiling).*", r"\1 0ms", f.read())
            f.seek(0)
            f.write(text + "reconnect-max 500ms\n")
            f.truncate()

    # --- daemons ----------------------------------------------------------------------------------

    def start(self, program, *more):
        """Start dird or routed, with these options, and wait until it answers."""
        log = open(self.path(program + ".log"), "ab")
        self.processes[program] = subprocess.Popen(
            [*self.prefix, program, "--config", self.path(program + ".conf"), *more],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        ready = self.dird_answers if program == "dird" else self.routed_answers
        wait_for(f"{program} of {self.name} ready", lambda: self._alive(program) and ready())

    def _alive(self, program):
        status = self.processes[program].poll()
        if status is not None:
            raise AssertionError(f"{program} of {self.name} ended with status {status}\n"
                                 + self.log(program))
        return True

    def log(self, program):
        with open(self.path(program + ".log"), encoding="utf-8", errors="replace") as f:
            return f.read()

    def dird_answers(self):
        return self.search("", "(objectClass=*)", "namingContexts", scope="base", check=False)[0] == 0

    def routed_answers(self):
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(self.path("routed", "socketmap"))
                return True
        except OSError:
            return False

    def stop(self, program, sig=signal.SIGTERM, timeout=30):
        """End it; its exit status. After SIGTERM a status other than 0 is an error."""
        p = self.processes.pop(program)
        p.send_signal(sig)
        status = p.wait(timeout)
        if sig == signal.SIGTERM and status != 0:
            raise AssertionError(f"{program} of {self.name}: exit status {status} after SIGTERM\n"
                                 + self.log(program))
        return status

    def close(self):
        """End whatever runs."""
        for p in self.processes.values():
            if p.poll() is None:
                p.terminate()
        for p in self.processes.values():
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        self.processes.clear()

    # --- the directory, as its administrator over the local socket ---------------------------------

    def _client(self, tool):
        return (tool, "-H", self.ldapi, "-Y", "EXTERNAL", "-Q")

    def search(self, base, search_filter, *attributes, scope="sub", check=True, options=()):
        """ldapsearch; LDIF text, or with check=False (status, stdout, stderr)."""
        return run(*self._client("ldapsearch"), "-LLL", "-o", "ldif-wrap=no", *options, "-b", base,
                   "-s", scope, search_filter, *attributes, check=check)

    def count(self, base, search_filter):
        out = self.search(base, search_filter, "1.1")
        return len(re.findall(r"^dn:", out, re.M))

    def modify(self, ldif, check=True):
        return run(*self._client("ldapmodify"), stdin=ldif, check=check)

    def add(self, ldif, check=True):
        return run(*self._client("ldapadd"), stdin=ldif, check=check)

    # --- the routes -------------------------------------------------------------------------------

    def lookup(self, table, key):
        """Ask routed's socketmap: (status word, rest)."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.path("routed", "socketmap"))
            request = f"{table} {key}".encode()
            s.sendall(b"%d:%s," % (len(request), request))
            answer = b""
            while not re.fullmatch(rb"\d+:.*,", answer, re.S):
                piece = s.recv(65536)
                if not piece:
                    raise AssertionError(f"socketmap closed after {answer!r}")
                answer += piece
        word, _, rest = answer.split(b":", 1)[1][:-1].decode().partition(" ")
        return word, rest
