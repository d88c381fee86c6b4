#!/usr/bin/python3
"""A slow cable: carries frames between two network namespaces. Usage: relay.py NAMESPACE DEVICE NAMESPACE DEVICE

Makes a TAP device in each namespace and copies what one sends to the other. Lines on standard input
set how: `delay MS` (one way), `rate BITS` (a second, each way; 0: as fast as it goes). `quit` ends it,
and the devices with it. The kernel of a test machine seldom has netem.
"""
import collections
import ctypes
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI, CLONE_NEWNET = 0x400454ca, 2, 0x1000, 0x40000000
QUEUE_BYTES = 64 * 1024  # of a link's buffer; more is dropped, as a router would


def device(namespace, name):
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + namespace, os.O_RDONLY)
    if libc.setns(there, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns " + namespace)
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    libc.setns(home, CLONE_NEWNET)
    os.close(there)
    os.close(home)
    return tap


class Way:
    """One direction."""

    def __init__(self, source, target):
        self.source, self.target = source, target
        self.queue, self.waiting = collections.deque(), 0
        self.free_at = 0.0  # when the line has sent what it took so far

    def take(self, now, delay, rate):
        while True:
            try:
                frame = os.read(self.source, 65536)
            except BlockingIOError:
                return
            if rate and self.waiting + len(frame) > QUEUE_BYTES:
                continue
            begin = max(now, self.free_at)
            self.free_at = begin + (len(frame) * 8 / rate if rate else 0)
            self.queue.append((self.free_at + delay, frame))
            self.waiting += len(frame)

    def give(self, now):
        while self.queue and self.queue[0][0] <= now:
            _, frame = self.queue.popleft()
            self.waiting -= len(frame)
            try:
                os.write(self.target, frame)
            except (BlockingIOError, OSError):
                pass

    def wait(self, now):
        return max(0.0, self.queue[0][0] - now) if self.queue else 3600.0


def main():
    a, b = device(*sys.argv[1:3]), device(*sys.argv[3:5])
    ways = (Way(a, b), Way(b, a))
    delay = rate = 0.0
    print("ready", flush=True)
    while True:
        now = time.monotonic()
        ready = select.select([a, b, 0], [], [], min(w.wait(now) for w in ways))[0]
        now = time.monotonic()
        if 0 in ready:
            for line in os.read(0, 4096).decode().splitlines() or ["quit"]:
                word, _, value = line.partition(" ")
                if word == "quit":
                    return
                if word == "delay":
                    delay = float(value) / 1000
                else:
                    rate = float(value)
        for way in ways:
            if way.source in ready:
                way.take(now, delay, rate)
            way.give(now)


main()
