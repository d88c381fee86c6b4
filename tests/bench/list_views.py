#!/usr/bin/python3
"""What a window of a list costs dird (P4). Usage: list_views.py [--keep FOLDER] [ENTRIES]...

For each number of entries (10000 100000 1000000) makes a site with so many people, and prints a line for each kind
of window: CPU of dird per window in microseconds, and the median time until it is answered; then the same while
eight clients write, what a write costs with views, and memory. Nothing else should run meanwhile.
"""
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "lib")]
import ber  # noqa: E402
from test_views import SORT, VLV, sort_keys, vlv_value  # noqa: E402
from ber import Raw  # noqa: E402
from waypost import PASSWORD, Site  # noqa: E402

ROOT = "o=Example"
PEOPLE = "cn=Recipients,ou=S1,o=Example"
TICKS = os.sysconf("SC_CLK_TCK")
FIRST = ["Ada", "Émile", "Zoë", "Иван", "Ελένη", "王伟", "さくら", "Øyvind", "Łukasz", "محمد", "Mary", "John"]
SYLLABLES = ["an", "ber", "cho", "de", "el", "fa", "gul", "hi", "is", "jo", "ka", "lo", "mi", "no", "or"]


def person(i, dice):
    given = dice.choice(FIRST)
    sn = "".join(dice.choice(SYLLABLES) for _ in range(3)).title()
    cn = f"{given} {sn} {i}"
    return (f"dn: cn={cn},{PEOPLE}\nobjectClass: inetOrgPerson\nobjectClass: mailRecipient\ncn: {cn}\nsn: {sn}\n"
            f"givenName: {given}\ndisplayName: {sn}, {given} {i}\nmail: p{i}@s1.example.com\nuid: u{i}\n"
            f"telephoneNumber: +1 555 {i:07}\ntitle: Engineer\nl: Turin\ndescription: {'x' * 300}\n\n")


def make(folder, count):
    site = Site(folder, "S1", "s1.example.com")
    if os.path.exists(folder):
        raise SystemExit(f"{folder} exists")
    site.init(ROOT, "--anonymous-read")
    ldif = folder + ".ldif"
    dice = random.Random(1)
    with open(ldif, "w", encoding="utf-8") as f:
        for i in range(count):
            f.write(person(i, dice))
    begin = time.monotonic()
    subprocess.run(["dirctl", "load", "--config", site.path("dird.conf"), ldif], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(f"{count:8} load {time.monotonic() - begin:6.1f} s, with views", flush=True)
    os.unlink(ldif)
    return site


class Dird:
    def __init__(self, site):
        self.pid = site.processes["dird"].pid

    def cpu(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def thread_cpu(self, name):
        """Nanoseconds of the threads with this name."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/comm", encoding="ascii") as f:
                if not f.read().startswith(name):
                    continue
            with open(f"/proc/{self.pid}/task/{task}/schedstat", encoding="ascii") as f:
                total += int(f.read().split()[0])
        return total

    def anonymous_memory(self):
        """Without the map."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))


def window(number, keys, what, before, after, offset=None, value=None):
    return ber.search(number, ROOT, 2, what, ["cn", "mail"], 0, ber.control(SORT, True, sort_keys(*keys)),
                      ber.control(VLV, True, vlv_value(before, after, offset, 0, value)))


PERSON = ber.equal("objectClass", "person")
MAIL = ber.tlv(0x87, b"mail")


def kinds(count, dice):
    letters = "ABCDEFGHIKLMNOабвгд"
    return [
        ("first window, displayName", lambda n: window(n, ["displayName"], PERSON, 0, 19, 1)),
        ("any offset, displayName", lambda n: window(n, ["displayName"], PERSON, 0, 19, dice.randrange(1, count))),
        ("any offset, reversed", lambda n: window(n, ["-cn"], PERSON, 0, 19, dice.randrange(1, count))),
        ("any offset, (mail=*), sn", lambda n: window(n, ["sn"], MAIL, 0, 19, dice.randrange(1, count))),
        ("by value, cn", lambda n: window(n, ["cn"], PERSON, 5, 14, None,
                                          dice.choice(letters) + dice.choice(letters))),
        ("one entry, any offset", lambda n: window(n, ["cn"], PERSON, 0, 0, dice.randrange(1, count))),
    ]


def measure(site, dird, label, make_request, rounds):
    with Raw(("127.0.0.1", int(site.ldap.split(":")[1]))) as c:
        for n in range(1, 200):
            c.send(make_request(n))
            assert c.result(n).code == 0
        times, begin = [], dird.thread_cpu("loop-")
        for n in range(1000, 1000 + rounds):
            started = time.perf_counter()
            c.send(make_request(n))
            answer = c.result(n)
            times.append(time.perf_counter() - started)
            assert answer.code == 0, answer.text
        used = (dird.thread_cpu("loop-") - begin) / 1e3
    times.sort()
    print(f"{label:55} {used / rounds:8.1f} us CPU {times[rounds // 2] * 1e6:8.0f} us median", flush=True)


def read_everything(site):
    """Else the first windows would measure how the map comes into memory."""
    with Raw(("127.0.0.1", int(site.ldap.split(":")[1]))) as c:
        c.s.settimeout(300)
        c.send(ber.bind(1, f"cn=admin,{ROOT}", PASSWORD), ber.search(2, ROOT, 2, PERSON, ["cn"]))
        assert c.result(2).code == 0


class Writers:
    """Eight clients that add, rename and delete people of their own until told to stop."""

    def __init__(self, site):
        self.port, self.done, self.count = int(site.ldap.split(":")[1]), False, 0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(8)]

    def run(self, who):
        with Raw(("127.0.0.1", self.port)) as c:
            c.send(ber.bind(1, f"cn=admin,{ROOT}", PASSWORD))
            assert c.result(1).code == 0
            n = 1
            while not self.done:
                dn = f"cn=Writer {who} {n},{PEOPLE}"
                n += 2
                c.send(ber.add(n, dn, {"objectClass": ["inetOrgPerson"], "sn": [f"w{n % 97}"],
                                       "displayName": [f"W{n % 89} {who}"], "mail": [f"w{who}.{n}@x.org"]}),
                       ber.delete(n + 1, dn))
                codes = {c.result(n).code, c.result(n + 1).code}
                assert codes == {0}, codes
                self.count += 2

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *args):
        self.done = True
        for t in self.threads:
            t.join()


def measure_writes(site, dird, count, rounds=4000):
    with Raw(("127.0.0.1", int(site.ldap.split(":")[1]))) as c:
        c.send(ber.bind(1, f"cn=admin,{ROOT}", PASSWORD))
        assert c.result(1).code == 0
        for what in ("add", "modify title", "modify displayName", "delete"):
            begin, started = dird.thread_cpu("writer"), time.perf_counter()
            for first in range(0, rounds, 64):
                wanted = range(first, min(first + 64, rounds))
                for i in wanted:
                    dn = f"cn=Cost {i * 7919 % rounds},{PEOPLE}"
                    if what == "add":
                        c.send(ber.add(i + 2, dn, {"objectClass": ["inetOrgPerson"], "sn": [FIRST[i % 12]],
                                                   "displayName": [f"{FIRST[i % 12]} {i}"], "mail": [f"c{i}@x.org"]}))
                    elif what == "delete":
                        c.send(ber.delete(i + 2, dn))
                    else:
                        c.send(ber.modify(i + 2, dn, [(2, what.split()[1], [f"{FIRST[i % 11]} {i}"])]))
                for i in wanted:
                    assert c.result(i + 2).code == 0
            used = (dird.thread_cpu("writer") - begin) / 1e3 / rounds
            print(f"{count:8} {what + ', 64 in flight':46} {used:8.1f} us CPU "
                  f"{(time.perf_counter() - started) / rounds * 1e6:8.0f} us each", flush=True)


def bench(folder, count, keep):
    site = make(folder, count)
    try:
        site.start("dird")
        dird = Dird(site)
        dice = random.Random(2)
        read_everything(site)
        for name, make_request in kinds(count, dice):
            measure(site, dird, f"{count:8} {name}", make_request, 2000)
        print(f"{count:8} memory without the map {dird.anonymous_memory()} KiB", flush=True)
        with Writers(site) as w:
            time.sleep(1)
            before, begin = w.count, time.monotonic()
            for name, make_request in kinds(count, dice)[:5]:
                measure(site, dird, f"{count:8} {name}, with 8 writers", make_request, 1000)
            rate = (w.count - before) / (time.monotonic() - begin)
        print(f"{count:8} meanwhile {rate:.0f} writes a second", flush=True)
        measure_writes(site, dird, count)
        size = os.stat(site.path("db", "data.mdb")).st_size
        print(f"{count:8} database {size / count:.0f} bytes an entry", flush=True)
    finally:
        site.close()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def main():
    argv = sys.argv[1:]
    keep = argv[1] if argv[:1] == ["--keep"] else None
    counts = [int(n) for n in argv[2 if keep else 0:]] or [10000, 100000, 1000000]
    folder = keep or tempfile.mkdtemp(prefix="waypost-bench-")
    try:
        for count in counts:
            bench(os.path.join(folder, f"s{count}"), count, keep)
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


main()
