"""A port on loopback that leads to the API server, so that a test can stand between, or cut the way."""

import contextlib
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
    """links: connections so far. proxy: it is asked to CONNECT first, and leads to its target whatever it was asked for."""

    def __init__(self, target, address="127.0.0.1", proxy=False):
        self.target, self.address, self.proxy, self.links, self.open, self.port = target, address, proxy, 0, [], 0
        self.mend()

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
            if self.proxy:
                asked = b""
                while b"\r\n\r\n" not in asked:
                    asked += link.recv(4096)
                link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            there = socket.create_connection(self.target, 10)
            self.open += [link, there]
            threading.Thread(target=_pump, args=(there, link), daemon=True).start()
            _pump(link, there)


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while block := source.recv(65536):
            sink.sendall(block)
        sink.shutdown(socket.SHUT_WR)
