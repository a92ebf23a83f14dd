"""An API server on loopback that counts: plain HTTP in, the real server with the kubeconfig's credentials behind it."""

import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect

_AT_ONCE = 64  # helm sends a thousand: over one HTTP/2 connection to a real server, which slows it down; this one would only be refused


class _Counted:
    """What came through the proxy: methods, with WATCH by itself, and what was to change something."""

    def __init__(self):
        self.methods, self.writes, self.lock = Counter(), [], threading.Lock()

    def add(self, method, path):
        with self.lock:
            self.methods["WATCH" if "watch=true" in path else method] += 1
            if method != "GET" and "dryRun=All" not in path and "accessreviews" not in path:
                self.writes.append(f"{method} {path}")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 1024  # helm opens hundreds of connections at once

    def __init__(self, cluster):
        super().__init__(("127.0.0.1", 0), _Forward)
        self.cluster, self.counted, self.places = cluster, _Counted(), threading.Semaphore(_AT_ONCE)


class _Forward(BaseHTTPRequestHandler):
    """One connection of a client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is written in parts: each would wait for the client's acknowledgement of the one before

    def forward(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.counted.add(self.command, self.path)
        with self.server.places:
            self.answer(body)

    def answer(self, body):
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length", "accept-encoding")}
        cluster = self.server.cluster
        answer = cluster.pool.request(self.command, self.path, body, kept, 60, whole=False)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for chunk in answer.parts():
                self.wfile.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True  # whoever watched has enough
        finally:
            answer.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward

    def log_message(self, *_):
        pass


@contextmanager
def counting(kubeconfig):
    """(address, Counter of methods with WATCH by itself, what was to change something). It makes every request slower."""
    server = _Server(connect({"kubeconfig": kubeconfig}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", server.counted.methods, server.counted.writes
    finally:
        server.shutdown()
