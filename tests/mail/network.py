"""Hosts for the mail test: a network namespace each, joined by a bridge in one of their own.

Addresses are of 192.0.2.0/24 (RFC 5737); nothing outside the namespaces can be reached from them,
and nothing of the machine's own network is touched. Needs root.
"""
import os
import subprocess

PREFIX = "192.0.2."


class Unavailable(Exception):
    """This machine does not let us make namespaces; the text says what failed."""


def _ip(*argv):
    p = subprocess.run(["ip", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                       check=False)
    if p.returncode != 0:
        raise Unavailable(f"ip {' '.join(argv)}: {p.stdout.strip() or p.returncode}")


class Host:
    """A namespace with one address."""

    def __init__(self, network, name, number):
        self.network, self.name, self.address = network, name, PREFIX + str(number)
        self.namespace = f"waypost-{os.getpid()}-{name}"

    def prefix(self):
        """What to put before a command line to run it here. `ip netns exec` gives it mounts of its
        own, so the resolv.conf laid over the machine's is seen by that command only."""
        return ("ip", "netns", "exec", self.namespace, "sh", "-c",
                'mount --bind "$0" /etc/resolv.conf && exec "$@"', self.network.resolv_conf)

    def link(self, state):
        """Cut ("down") or restore ("up") its cable, at the bridge's end."""
        _ip("-n", self.network.bridge, "link", "set", self.name, state)


class Network:
    """Make hosts with add(); close() removes everything."""

    def __init__(self, folder):
        self.bridge = f"waypost-{os.getpid()}-net"
        self.resolv_conf = os.path.join(folder, "resolv.conf")
        self.made = []
        with open(self.resolv_conf, "w", encoding="ascii") as f:
            f.write(f"nameserver {PREFIX}1\n")
        if os.geteuid() != 0:
            raise Unavailable("network namespaces need root")
        try:
            self._namespace(self.bridge)
            for argv in (("link", "add", "br0", "type", "bridge"),
                         ("addr", "add", PREFIX + "1/24", "dev", "br0"),
                         ("link", "set", "br0", "up")):
                _ip("-n", self.bridge, *argv)
        except (Unavailable, FileNotFoundError) as e:
            self.close()
            raise Unavailable(f"cannot make network namespaces: {e}") from e

    def _namespace(self, name):
        _ip("netns", "add", name)
        self.made.append(name)
        _ip("-n", name, "link", "set", "lo", "up")

    def add(self, name, number):
        """A host with the address 192.0.2.number."""
        host = Host(self, name, number)
        self._namespace(host.namespace)
        _ip("-n", self.bridge, "link", "add", name, "type", "veth",
            "peer", "name", "eth0", "netns", host.namespace)
        _ip("-n", self.bridge, "link", "set", name, "master", "br0", "up")
        _ip("-n", host.namespace, "addr", "add", host.address + "/24", "dev", "eth0")
        _ip("-n", host.namespace, "link", "set", "eth0", "up")
        return host

    def infrastructure(self):
        """What to put before a command line that shall run where the bridge is, at 192.0.2.1."""
        return ("ip", "netns", "exec", self.bridge)

    def close(self):
        while self.made:
            subprocess.run(["ip", "netns", "del", self.made.pop()], check=False)
