#!/usr/bin/python3
"""A member more, a member less: one list of 100, 10,000 and 100,000 members.

Each size prints the median and the 99th percentile of a change's time to its answer, the processor time
of dird per change, and what the median is to that of 100 members. The database lies in memory, so that
the disk has no part in it. The last columns say what a change costs with one commit for 50 changes.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path[:0] = [os.path.join(TOP, "interop"), os.path.join(TOP, "lib")]
import ber  # noqa: E402
from ber import Raw  # noqa: E402
from dird_site import ADMIN, PASSWORD, DirdSite  # noqa: E402

SIZES = (100, 10000, 100000)
CHANGES, BATCH = 200, 50
LIST = "cn=All,ou=people,o=Example"


def member(i):
    return f"cn=Member {i:06},ou=people,o=Example"


def ldif(size):
    yield ("dn: o=Example\nobjectClass: organization\nobjectClass: mailOrganization\no: Example\n\n"
           "dn: ou=people,o=Example\nobjectClass: organizationalUnit\nou: people\n\n"
           f"dn: {LIST}\nobjectClass: groupOfNames\ncn: All\n")
    yield from (f"member: {member(i)}\n" for i in range(size))
    yield "\n"


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(site, size):
    with Raw(("127.0.0.1", site.port), timeout=300) as c:
        def ok(*requests):
            c.send(*requests)
            for n in range(len(requests)):
                a = c.answer()
                assert a.code == 0, a.text
        ok(ber.bind(1, ADMIN, PASSWORD))
        ok(ber.modify(2, LIST, [(0, "member", [member(999999)])]),
           ber.modify(2, LIST, [(1, "member", [member(999999)])]))
        times, cpu = [], cpu_s(site.process.pid)
        for i in range(CHANGES):
            who, op = (size // 2, 1) if i % 2 == 0 else (size // 2, 0)
            start = time.monotonic()
            ok(ber.modify(2, LIST, [(op, "member", [member(who)])]))
            times.append(time.monotonic() - start)
        cpu = (cpu_s(site.process.pid) - cpu) / CHANGES
        start = time.monotonic()
        for _ in range(2):
            for op in (0, 1):
                ok(*(ber.modify(10 + i, LIST, [(op, "member", [member(900000 + i)])]) for i in range(BATCH)))
        batched = (time.monotonic() - start) / (4 * BATCH)
    times.sort()
    return times[len(times) // 2], times[len(times) * 99 // 100], cpu, batched


def main():
    first = None
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    tempfile.tempdir = tempfile.mkdtemp(prefix="waypost-list-", dir=shm)
    try:
        for size in map(int, sys.argv[1:]) if sys.argv[1:] else SIZES:
            site = DirdSite("admin-password-file pw")
            try:
                with open(site.path("pw"), "w", encoding="ascii") as f:
                    f.write(PASSWORD + "\n")
                os.chmod(site.path("pw"), 0o600)
                subprocess.run(["dirctl", "load", "--config", site.path("dird.conf"), "-"], check=True,
                               input="".join(ldif(size)), text=True, stdout=subprocess.DEVNULL)
                site.start()
                p50, p99, cpu, batched = run(site, size)
            finally:
                site.close()
            first = first or p50
            print(f"list size={size} p50_ms={p50 * 1e3:.2f} p99_ms={p99 * 1e3:.2f} cpu_ms={cpu * 1e3:.2f} "
                  f"ratio={p50 / first:.1f} batched_ms={batched * 1e3:.2f}", flush=True)
    finally:
        shutil.rmtree(tempfile.tempdir)


if __name__ == "__main__":
    main()
