import hashlib
import io
import json
import platform
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images.foreign import base, choose, media_type

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


class Handler(BaseHTTPRequestHandler):
    """A registry that gives its content to whoever fetched a token."""

    def do_GET(self):
        if self.path.startswith("/token"):
            return self.answer(200, b'{"token": "t0ken"}')
        if self.headers.get("Authorization") != "Bearer t0ken":
            challenge = f'Bearer realm="http://{self.headers["Host"]}/token",service="s",scope="repository:python:pull"'
            return self.answer(401, b"", **{"WWW-Authenticate": challenge})
        content = self.server.content.get(self.path.rpartition("/")[2])
        return self.answer(404 if content is None else 200, content or b"")

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def layer(**files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


@contextmanager
def registry():
    """Yields (reference of a multi-platform image with two layers, content by digest)."""
    content = {}

    def keep(body):
        digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
        content[digest] = body
        return {"digest": digest, "size": len(body)}

    layers = [layer(etc__old="old", etc__stays="stays"), layer(**{"etc__.wh.old": "", "usr__new": "new"})]
    kept = [{**keep(one), "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"} for one in layers]
    config = keep(json.dumps({"config": {"Env": ["PYTHON_VERSION=3.13.9"]}, "rootfs": {"diff_ids": ["sha256:a", "sha256:b"]}}).encode())
    manifest = keep(
        json.dumps({"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": config, "layers": kept}).encode()
    )
    entries = [{"digest": "sha256:other", "platform": {"os": "linux", "architecture": "s390x"}}]
    entries.append({**manifest, "platform": {"os": "linux", "architecture": ARCHITECTURE}})
    index = keep(json.dumps({"mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}).encode())
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content = content
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield f"localhost:{server.server_port}/python@{index['digest']}", content, kept
        server.shutdown()


def test_a_base_is_fetched_for_this_machine_and_unpacked_with_its_whiteouts(tmp_path):
    with registry() as (reference, content, kept):
        made = base(reference, tmp_path / "base", tmp_path / "blobs")
        content.clear()
        assert base(reference, tmp_path / "base", tmp_path / "blobs") == made, "the second time nothing is fetched"
    assert sorted(path.name for path in made.root.rglob("*") if path.is_file()) == ["new", "stays"]
    assert made.environment == {"PYTHON_VERSION": "3.13.9"}
    assert [(one.digest, one.diff_id) for one in made.layers] == [(kept[0]["digest"], "sha256:a"), (kept[1]["digest"], "sha256:b")]
    assert {one.media_type for one in made.layers} == {"application/vnd.oci.image.layer.v1.tar+gzip"}


def test_content_that_is_not_what_its_digest_says_is_refused(tmp_path):
    with registry() as (reference, content, kept):
        content[kept[1]["digest"]] = b"something else"
        with pytest.raises(RuntimeError, match=f"sent sha256:.* for {kept[1]['digest']}"):
            base(reference, tmp_path / "base", tmp_path / "blobs")
        assert not (tmp_path / "base/base.json").exists(), "half a base is not a base"


def test_what_is_missing_is_named(tmp_path):
    with registry() as (reference, _, _), pytest.raises(RuntimeError, match="answered 404 for manifests/sha256:none"):
        base(reference.partition("@")[0] + "@sha256:none", tmp_path / "base", tmp_path / "blobs")
    with pytest.raises(RuntimeError, match="does not answer"):
        base("localhost:1/python@sha256:none", tmp_path / "base", tmp_path / "blobs")


def test_an_index_without_this_machine_is_refused():
    with pytest.raises(RuntimeError, match="has no image for linux/"):
        choose({"manifests": [{"digest": "sha256:1", "platform": {"os": "windows", "architecture": ARCHITECTURE}}]}, "x@sha256:1")


def test_only_dockers_own_word_is_translated():
    assert media_type("application/vnd.oci.image.layer.v1.tar+zstd") == "application/vnd.oci.image.layer.v1.tar+zstd"
