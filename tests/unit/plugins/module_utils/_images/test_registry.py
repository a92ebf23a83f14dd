import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images.registry import Answer, ask, credentials

ANN = base64.b64encode(b"ann:secret").decode()
GOOD, MISSING = "/v2/a/b/manifests/sha256:1", "/v2/a/b/manifests/sha256:2"


@contextmanager
def registry(challenge=""):
    """A registry that has one manifest; with a challenge, only for those who follow it. Yields (address, requests seen)."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            seen.append((self.path, self.headers.get("Authorization"), self.headers["Accept"]))
            if challenge and self.headers.get("Authorization") not in ("Bearer t0ken", f"Basic {ANN}"):
                self.send_response(401)
                self.send_header("WWW-Authenticate", challenge.format(address=self.headers["Host"]))
            else:
                self.send_response(200 if self.path == GOOD else 404)
            self.end_headers()

        def do_GET(self):
            seen.append((self.path, self.headers.get("Authorization"), ""))
            body = json.dumps({"token": "t0ken"}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()


def test_a_manifest_is_there_or_not_in_whatever_format():
    with registry() as (address, seen):
        assert ask(f"http://{address}{GOOD}", address, {}) == Answer(200)
        assert ask(f"http://{address}{MISSING}", address, {}) == Answer(404)
    assert "oci.image.manifest.v1+json" in seen[0][2] and "docker.distribution.manifest.v2+json" in seen[0][2]
    assert ask(f"http://{address}{GOOD}", address, {}).status == 0, "a registry that is gone gives a reason, not an exception"


@pytest.mark.parametrize("known", [{}, {"registry": ANN}])
def test_a_token_is_fetched_as_the_registry_says_with_credentials_if_there_are_any(known):
    challenge = 'Bearer realm="http://{address}/token",service="s",scope="repository:a/b:pull"'
    with registry(challenge) as (address, seen):
        assert ask(f"http://{address}{GOOD}", "registry", known) == Answer(200)
    assert seen[1][0] == "/token?service=s&scope=repository%3Aa%2Fb%3Apull"
    assert seen[1][1] == (f"Basic {ANN}" if known else None)


def test_basic_credentials():
    with registry("Basic realm=x") as (address, _):
        assert ask(f"http://{address}{GOOD}", "registry", {"registry": ANN}) == Answer(200)
        assert ask(f"http://{address}{GOOD}", "registry", {"other": ANN}) == Answer(401)


def test_a_challenge_that_nobody_understands_stays_401():
    with registry("Digest nonce=1") as (address, _):
        assert ask(f"http://{address}{GOOD}", "registry", {"registry": ANN}) == Answer(401)


def secret(config):
    return {"data": {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()}}


def test_credentials_of_pull_secrets():
    auths = {"https://index.docker.io/v1/": {"auth": ANN}, "ghcr.io": {"username": "ann", "password": "secret"}}
    assert credentials([secret({"auths": auths})]) == {"index.docker.io": ANN, "registry-1.docker.io": ANN, "ghcr.io": ANN}


@pytest.mark.parametrize("broken", [{}, {"data": {".dockerconfigjson": "!"}}, secret({}), secret({"auths": {"x": {}}})])
def test_a_pull_secret_that_cannot_be_read_gives_nothing(broken):
    assert credentials([broken]) == {}
