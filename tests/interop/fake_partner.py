"""Answers at a site's address, with that site's key, as a partner whose program was changed would."""
import os
import socket
import ssl
import threading

import ber

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

    def run(self):
        while not self.ends:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(raw,), daemon=True).start()

    def serve(self, raw):
        try:
            with self.context.wrap_socket(raw, server_side=True) as s:
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
        self.ends = True
        self.listener.close()
