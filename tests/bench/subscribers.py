"""Subscribers (RFC 4533, refreshAndPersist) of one server while others write at a given rate."""
import multiprocessing
import os
import re
import selectors
import socket
import sys
import time
from urllib.parse import unquote, urlsplit

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "interop"))
import ber  # noqa: E402

import ldap  # noqa: E402

SYNC = ber.control("1.3.6.1.4.1.4203.1.9.1.1", True, ber.tlv(0x30, ber.integer(3, 0x0a)))
STAMP = re.compile(rb"at(\d{19})\.")
LONGEST_STAMP = 22
WRITERS = 4


class Subscriber:
    """Takes note of the stamps that come, each once."""

    def __init__(self, uri, bind, base):
        parts = urlsplit(uri)
        if parts.scheme == "ldapi":
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(unquote(parts.netloc))
        else:
            self.socket = socket.create_connection((parts.hostname, parts.port))
        self.socket.sendall(bind)
        self.socket.recv(4096)
        self.socket.sendall(ber.search(2, base, 2, ber.PRESENT, ("title",), 0, SYNC))
        self.rest, self.seen = b"", {}

    def read(self):
        data = self.rest + self.socket.recv(1 << 20)
        now = time.time_ns()
        for stamp in STAMP.findall(data):
            self.seen.setdefault(int(stamp), now)
        self.rest = data[-LONGEST_STAMP:]


def write_for(connect, dn, first, rate, seconds, done):
    """One change an entry at even distances; answers are read when they are there."""
    c, sent, answered, k = connect(), [], 0, 0
    begin = time.perf_counter()
    while (k := k + 1) <= rate * seconds:
        due = begin + k / rate
        while time.perf_counter() < due:
            time.sleep(max(0.0, due - time.perf_counter()))
        stamp = time.time_ns()
        c.modify(dn(first + k), [(ldap.MOD_REPLACE, "title", [b"at%d." % stamp])])
        sent.append(stamp)
        while c.result(ldap.RES_ANY, 0, 0)[0] is not None:
            answered += 1
    took = time.perf_counter() - begin
    while answered < len(sent):
        c.result(ldap.RES_ANY, 0)
        answered += 1
    done.put((sent, took))


def watch(uris, bind, base, connect, dn, rate, seconds):
    """(subscribers, one for each URI; stamps sent; how many a second)."""
    subscribers = [Subscriber(uri, bind, base) for uri in uris]
    selector = selectors.DefaultSelector()
    for s in subscribers:
        selector.register(s.socket, selectors.EVENT_READ, s)

    def read_until(is_over, quiet):
        last = time.monotonic()
        while not is_over() and time.monotonic() - last < quiet:
            for key, _ in selector.select(0.1):
                key.data.read()
                last = time.monotonic()

    read_until(lambda: False, 1)  # the content
    done = multiprocessing.Queue()
    each = rate // WRITERS
    writers = [multiprocessing.Process(target=write_for, args=(connect, dn, i * each * seconds, each, seconds,
                                                               done)) for i in range(WRITERS)]
    for p in writers:
        p.start()
    read_until(lambda: not any(p.is_alive() for p in writers) or not done.empty(), 60)
    results = [done.get() for _ in writers]
    sent = {stamp for stamps, _ in results for stamp in stamps}
    read_until(lambda: all(sent <= s.seen.keys() for s in subscribers), 5)
    for p in writers:
        p.join()
    for s in subscribers:
        s.socket.close()
    return subscribers, sent, len(sent) / max(took for _, took in results)


def measure(uri, bind, base, connect, dn, count, rate, seconds):
    """(changes/s sent, share of them that came to everybody, milliseconds from sending to arrival)."""
    subscribers, sent, achieved = watch([uri] * count, bind, base, connect, dn, rate, seconds)
    times = [(s.seen[stamp] - stamp) / 1e6 for s in subscribers for stamp in sent & s.seen.keys()]
    return achieved, len(times) / (count * len(sent)), times
