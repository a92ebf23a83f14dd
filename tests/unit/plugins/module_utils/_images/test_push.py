import hashlib
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images.layer import store
from ansible_collections.hsc.jit.plugins.module_utils._images.push import Registry


class Handler(BaseHTTPRequestHandler):
    """As the distribution specification says: HEAD, POST an upload, PUT it whole with its digest, PUT the manifest."""

    def answer(self, status, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_HEAD(self):
        self.answer(200 if self.path in self.server.kept else 404)

    def do_POST(self):
        self.server.uploads += 1
        self.answer(self.server.refuse or 202, Location=f"{self.path}{self.server.uploads}?state=abc")

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        address, digest = urlsplit(self.path), f"sha256:{hashlib.sha256(body).hexdigest()}"
        if "/uploads/" in address.path:
            assert parse_qs(address.query) == {"state": ["abc"], "digest": [digest]}
            self.server.kept[f"{address.path.partition('/uploads/')[0]}/{digest}"] = body
        else:
            self.server.kept[self.path] = self.headers["Content-Type"]
        self.answer(201)

    def log_message(self, *arguments):
        pass


@contextmanager
def running():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.kept, server.uploads, server.refuse = {}, 0, 0
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server, Registry(f"localhost:{server.server_port}")
        server.shutdown()


def blob(tmp_path, text):
    (tmp_path / "new").write_text(text)
    return store(tmp_path / "new", tmp_path / "blobs")


def test_an_image_is_pushed_whole_and_what_is_there_is_not_sent_again(tmp_path):
    base, thin, manifest = (blob(tmp_path, text) for text in ("base", "thin", "manifest"))
    with running() as (server, registry):
        assert not registry.has("redis", manifest.digest)
        registry.push("redis", manifest, [base])
        assert registry.has("redis", manifest.digest)
        assert server.kept[f"/v2/redis/blobs/{base.digest}"] == b"base"
        assert server.kept[f"/v2/redis/manifests/{manifest.digest}"] == "application/vnd.oci.image.manifest.v1+json"
        registry.push("redis", manifest, [base, thin])
        assert server.uploads == 2, "the base was there already"


def test_a_refusal_is_told_with_what_the_registry_said(tmp_path):
    with running() as (server, registry):
        server.refuse = 507
        with pytest.raises(RuntimeError, match=r"POST .*/v2/redis/blobs/uploads/ with 507"):
            registry.push("redis", blob(tmp_path, "m"), [blob(tmp_path, "b")])


def test_no_registry_is_said_with_what_to_do():
    with pytest.raises(RuntimeError, match=r"registry localhost:1 does not answer.*make cluster"):
        Registry("localhost:1").has("redis", "sha256:1")
