"""A partner whose program was changed: it has a site's key, hears what others tell that site, and answers for it."""
import os
import re
import socket
import ssl
import threading

import ber

SYNC = "1.3.6.1.4.1.4203.1.9.1."
HEAD = "2.25.120308962880139523094286593576329080187.3.4"
OK = ber.integer(0, 0x0a), ber.octets(""), ber.octets("")


def split_address(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def tls_context(folder, server):
    """With the key of the site whose folder that is; a client takes whatever key the other side has."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    c.minimum_version = ssl.TLSVersion.TLSv1_3
    if not server:
        c.check_hostname, c.verify_mode = False, ssl.CERT_NONE
    c.load_cert_chain(os.path.join(folder, "site.crt"), os.path.join(folder, "site.key"))
    return c


def info(value, oid=SYNC + "4"):
    return ber.message(2, ber.tlv(0x79, ber.tlv(0x80, oid.encode()), ber.tlv(0x81, value)))


class Said:
    """What a site said in one session: entries (as messages), heads, positions."""

    def __init__(self, frames, nc):
        self.entries, self.head, self.position = [], None, None
        for frame in frames:
            if nc.encode() + b":" not in frame and HEAD.encode() not in frame:
                continue
            if HEAD.encode() in frame:
                at = frame.index(b"waypost head 1\0")
                if frame[at + 15:at + 31] == bytes.fromhex(nc.replace("-", "")):
                    self.head = frame[at:]
            elif b"originStamp" in frame:
                self.entries.append(frame)
            else:
                self.position = re.search(nc.encode() + rb":\d+:[0-9a-f-]+:\d+", frame).group(0)

    def cookie_text(self):
        return b"wp1," + b"0" * 16 + b"," + self.position

    def cookie(self):
        return info(ber.tlv(0x80, self.cookie_text()))

    def send_head(self, head=None):
        return info(self.head if head is None else head, HEAD)


def read_frames(s, enough):
    data, frames = b"", []
    while not enough(frames):
        one = ber.split(data)
        if one is None:
            more = s.recv(65536)
            if not more:
                return frames
            data += more
            continue
        frames.append(data[:len(data) - len(one[2])])
        data = one[2]
    return frames


def listen_to(root, site, as_folder, cookie):
    """All that a site tells the one whose folder that is, from the cookie to the end of the refresh."""
    with socket.create_connection(split_address(site.ldaps)) as raw, \
            tls_context(as_folder, False).wrap_socket(raw) as s:
        s.settimeout(20)
        s.sendall(ber.bind_external(1))
        read_frames(s, lambda f: len(f) == 1)
        request = ber.tlv(0x30, ber.integer(3, 0x0a), ber.octets(cookie))
        s.sendall(ber.search(2, root, 2, ber.PRESENT, ("*", "+", "originStamp", "parentUUID"), 0,
                             ber.control(SYNC + "1", True, request), ber.control(HEAD)))
        return read_frames(s, lambda f: f and (SYNC + "4").encode() in f[-1] and is_end(f[-1]))


def is_end(frame):
    """refreshDelete or refreshPresent with refreshDone TRUE, the default."""
    value = frame[frame.index((SYNC + "4").encode()) + len(SYNC) + 1:]
    choice = ber.split(value)[1]
    return choice[0] in (0xa1, 0xa2) and not choice.endswith(b"\x01\x01\x00")


class FakePartner(threading.Thread):
    """What to say in answer to a search is put into `script`.

    sessions         how many were told it
    asked_for_heads  whether the last one wanted heads
    """

    def __init__(self, site):
        super().__init__(daemon=True)
        self.context = tls_context(site.folder, True)
        self.listener = socket.create_server(split_address(site.ldaps))
        self.script, self.sessions, self.asked_for_heads, self.ends = b"", 0, False, False
        self.streams = []

    def run(self):
        while not self.ends:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            self.streams.append(raw)
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        try:
            with self.context.wrap_socket(raw, server_side=True) as s:
                self.streams.append(s)
                self.talk(s)
        except (OSError, ssl.SSLError):
            pass

    def talk(self, s):
        s.settimeout(60)
        data = b""
        while not self.ends:
            one = ber.split(data)
            if one is None:
                more = s.recv(65536)
                if not more:
                    return
                data += more
                continue
            data = one[2]
            _, number, rest = ber.split(one[1])
            self.answer(s, int.from_bytes(number, "big"), rest)

    def answer(self, s, number, request):
        op = request[0]
        if op == 0x60:
            s.sendall(ber.message(number, ber.tlv(0x61, *OK)))
        elif op == 0x63:
            self.asked_for_heads = HEAD.encode() in request
            s.sendall(self.script)
            self.sessions += 1
        elif op == 0x77:
            s.sendall(ber.message(number, ber.tlv(0x78, *OK)))

    def close(self):
        """The address is free again, and sessions are over."""
        self.ends = True
        for s in (self.listener, *self.streams):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.listener.close()
        self.join(20)
