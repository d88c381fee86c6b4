#!/usr/bin/python3
"""From a change at the own dird to the new answer of routed (P12). Usage: change_to_answer.py [N]

Makes a site with dird and routed of PATH, flips onlySystemMessagesUseCDs N times and prints one line:
without quiet time, then with the default one; from the request of the change, which waits for the
disk, and from its commit on (M11). TMPDIR=/dev/shm leaves the disk out.
"""
import os
import re
import shutil
import socket
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "lib")]
from fake_provider import integer, octets, read_tlv, seq, tlv  # noqa: E402
from test_routed import frame, ims_dn  # noqa: E402
from test_routed_dird import ROOT, ldif  # noqa: E402
from waypost import PASSWORD, Site, wait_for  # noqa: E402


class Ldap:
    """As much of a client as one modify needs; a process per change would cost more than the change."""

    def __init__(self, address):
        host, port = address.split(":")
        self.sock = socket.create_connection((host, int(port)), 10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.id = 0
        self.call(tlv(0x60, integer(3), octets(f"cn=admin,{ROOT}"), octets(PASSWORD, 0x80)))

    def call(self, op):
        self.id += 1
        self.sock.sendall(seq(integer(self.id), op))
        data = b""
        while (message := read_tlv(data)) is None:
            data += self.sock.recv(65536)
        result = read_tlv(message[1], read_tlv(message[1])[2])[1]
        if read_tlv(result)[1] != b"\0":
            raise AssertionError(f"refused: {result!r}")

    def replace(self, dn, name, *values):
        self.call(tlv(0x66, octets(dn), seq(seq(
            integer(2, 0x0a), seq(octets(name), tlv(0x31, *(octets(v) for v in values)))))))


def measure(site, count):
    """Milliseconds of each change, ascending: from the request, and of that since it was committed."""
    ldap, whole, after = Ldap(site.ldap), [], []
    question = frame("transport bob@s2.example.com")
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(site.path("routed", "socketmap"))
        for i in range(count):
            new = b"s2.example" if i % 2 == 0 else b"hub.example"
            begin = time.perf_counter()
            ldap.replace(ims_dn("S1"), "onlySystemMessagesUseCDs", *(["TRUE"] if i % 2 == 0 else []))
            committed = time.perf_counter()
            while True:
                s.sendall(question)
                if new in s.recv(4096):
                    break
                time.sleep(0.0002)
            end = time.perf_counter()
            whole.append((end - begin) * 1e3)
            after.append((end - committed) * 1e3)
    return sorted(whole), sorted(after)


def figures(name, times):
    count = len(times)
    return (f"{name}_p50_ms={times[count // 2]:.2f} {name}_p99_ms={times[count * 99 // 100]:.2f} "
            f"{name}_max_ms={times[-1]:.2f}")


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    folder = tempfile.mkdtemp(prefix="waypost-bench-")
    site = Site(os.path.join(folder, "S1"), "S1", "s1.example.com")
    try:
        site.init(ROOT)
        with open(os.path.join(folder, "all.ldif"), "w", encoding="ascii") as f:
            f.write(ldif())
        site.load(os.path.join(folder, "all.ldif"))
        site.start("dird")
        with open(site.path("routed.conf"), encoding="ascii") as f:
            text = f.read()
        for quiet in ("0ms", "200ms"):
            with open(site.path("routed.conf"), "w", encoding="ascii") as f:
                f.write(re.sub("(?m)^quiet.*", "quiet " + quiet, text))
            site.start("routed")
            wait_for("routes", lambda: site.lookup("transport", "bob@s2.example.com")[0] == "OK")
            whole, after = measure(site, count)
            print(f"change_to_answer quiet={quiet} n={count} {figures('request', whole)} "
                  f"{figures('commit', after)}", flush=True)
            site.stop("routed")
    finally:
        site.close()
        shutil.rmtree(folder)


main()
