"""A port on loopback that leads to the API server, so that a test can stand between, or cut the way."""

import contextlib
import selectors
import socket
import threading
from pathlib import Path

import yaml


def api_server(kubeconfig):
    """(host, port)"""
    server = yaml.safe_load(Path(kubeconfig).read_text())["clusters"][0]["cluster"]["server"]
    host, _, port = server.removeprefix("https://").rpartition(":")
    return host, int(port)


def changed(kubeconfig, path, user=None, **cluster):
    """Path of a copy of the kubeconfig with other fields of its cluster (names with ``_`` for ``-``) or its user."""
    found = yaml.safe_load(Path(kubeconfig).read_text())
    found["clusters"][0]["cluster"] |= {name.replace("_", "-"): value for name, value in cluster.items()}
    found["users"][0]["user"] |= user or {}
    path.write_text(yaml.safe_dump(found))
    return str(path)


class Forwarder:
    """links: connections so far. ended: of those that reached the target, how many have both sides closed.

    proxy: it is asked to CONNECT first (``asked`` is what it read last), says ``answer``, and leads to its target whatever it was asked
    for. tls: a context, where it speaks TLS itself.
    """

    def __init__(self, target, address="127.0.0.1", *, proxy=False, tls=None):
        self.target, self.address, self.proxy, self.tls = target, address, proxy, tls
        self.links, self.ended, self.open, self.port, self.asked = 0, 0, [], 0, b""
        self.answer = b"HTTP/1.1 200 Connection established\r\n\r\n"
        self.mend()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()

    def mend(self):
        """Listen, on the same port as before."""
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.server = socket.create_server((self.address, self.port), family=family)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.server,), daemon=True).start()

    def cut(self):
        """Every connection ends, and nobody answers any more."""
        for link in [self.server, *self.open]:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
            link.close()
        self.open = []

    def _accept(self, server):
        with contextlib.suppress(OSError):
            while True:
                link, _ = server.accept()
                self.links += 1
                threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link):
        with contextlib.suppress(OSError):
            link = self.tls.wrap_socket(link, server_side=True) if self.tls else link
            if self.proxy:
                asked = b""
                while b"\r\n\r\n" not in asked and (block := link.recv(4096)):
                    asked += block
                self.asked = asked
                link.sendall(self.answer)
            there = socket.create_connection(self.target, 10)
            self.open += [link, there]
            with contextlib.suppress(OSError):
                _pump(link, there)
            self.ended += 1


def _pump(one, other):
    """Both directions in one thread, because two must not use one TLS connection, until one of the two ends."""
    with one, other, selectors.DefaultSelector() as both:
        both.register(one, selectors.EVENT_READ, other)
        both.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in both.select():
                if not (block := key.fileobj.recv(1 << 20)):  # a record of TLS is shorter, so nothing of one is left unseen
                    return
                key.data.sendall(block)
