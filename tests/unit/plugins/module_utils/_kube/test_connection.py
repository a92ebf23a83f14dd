"""How the API server is reached: TLS as kubectl has it, a proxy, and a client certificate that has an end."""

import http.server
import socket
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube import connection
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import proxy_url
from certificates import Authority, name
from cryptography import x509
from forwarder import Forwarder
from waiting import until

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
FILE = """
current-context: home
contexts:
  - {name: home, context: {cluster: near, user: u}}
  - {name: away, context: {cluster: far, user: u}}
clusters:
  - {name: near, cluster: {server: "https://10.0.0.1"}}
  - {name: far, cluster: {server: "https://10.0.0.2", proxy-url: "http://proxy.example.com:3128"}}
"""


@pytest.mark.parametrize(("context", "proxy"), [(None, ""), ("home", ""), ("away", "http://proxy.example.com:3128"), ("none", "")])
def test_the_proxy_is_the_contexts_clusters(tmp_path, context, proxy):
    path = tmp_path / "config"
    path.write_text(FILE)
    assert proxy_url(str(path), context) == proxy


def test_several_files_are_one_and_a_missing_one_is_none(tmp_path):
    (tmp_path / "a").write_text("current-context: away\n")
    (tmp_path / "b").write_text(FILE)
    assert proxy_url(f"{tmp_path}/a:{tmp_path}/none:{tmp_path}/b", None) == "http://proxy.example.com:3128"


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (-10, 10, ""),
        (-10, -1, "the client certificate of CN=ada ended at 2026-11-23 04:00 UTC"),
        (1, 10, "begins at 2026-11-25 04:00 UTC, and this machine's clock says 2026-11-24 04:00"),
    ],
)
def test_a_client_certificate_has_its_time(tmp_path, begin, end, said):
    days = {"begin": NOW + timedelta(days=begin), "end": NOW + timedelta(days=end)}
    Authority.made("kubernetes").pair(tmp_path / "ada", name("ada"), **days)
    found = connection.ended(SimpleNamespace(cert_file=str(tmp_path / "ada.crt")), NOW)
    assert said in found
    assert bool(found) == bool(said)


def test_a_token_has_no_certificate():
    assert connection.ended(SimpleNamespace(cert_file=None), NOW) == ""


LONG = b"0123456789" * 100_000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(LONG)))
        self.end_headers()
        self.wfile.write(LONG)

    def log_message(self, *_):
        pass


@pytest.fixture
def api_server(tmp_path):
    """An HTTPS server; (its port, its authority's file)."""
    authority = Authority.made("kubernetes")
    authority.own(tmp_path / "ca.crt")
    context = authority.server(tmp_path / "server", x509.DNSName("kubernetes"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, str(tmp_path / "ca.crt")
    server.shutdown()
    thread.join()
    server.server_close()


def kubeconfig(port, **more):
    """As the library reads one for a server on that port."""
    plain = {"proxy": "", "no_proxy": "", "cert_file": None, "key_file": None, "verify_ssl": True, "tls_server_name": "kubernetes"}
    return SimpleNamespace(host=f"https://127.0.0.1:{port}", **{**plain, **more})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, None),
        ({"tls_server_name": None}, "IP address mismatch"),
        ({"tls_server_name": "other"}, "[Hh]ostname mismatch"),
        ({"ssl_ca_cert": None}, "self-signed|unable to get local issuer"),
        ({"ssl_ca_cert": None, "tls_server_name": None, "verify_ssl": False}, None),
    ],
)
def test_who_the_server_is_is_looked_at_as_kubectl_does(api_server, given, problem):
    port, authority = api_server
    pool = connection.pool(kubeconfig(port, **{"ssl_ca_cert": authority, **given}), 2)
    if problem:
        with pytest.raises(OSError, match=problem):
            pool.request("GET", "/", None, {}, 30)
        return
    assert pool.request("GET", "/", None, {}, 30).data == LONG
    pool.clear()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"ssl_ca_cert": "/none"}, "its certificate-authority cannot be read .*No such file"),
        ({"cert_file": "/none", "key_file": "/none"}, "its client-certificate and client-key cannot be read .*No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_as_such(given, problem):
    with pytest.raises(ValueError, match=problem):
        connection.tls(SimpleNamespace(**{"ssl_ca_cert": None, "cert_file": None, "key_file": None, "verify_ssl": True, **given}))


def opened(configuration):
    return connection.pool(configuration, 1).open_socket(30)


def settings(proxy, **more):
    return SimpleNamespace(host="http://[fd00::1]:6443", proxy=proxy, no_proxy="", **more)


def test_the_tunnel_goes_through_the_proxy_with_its_password():
    with socket.create_server(("127.0.0.1", 0)) as target, Forwarder(target.getsockname(), proxy=True) as proxy:
        with opened(settings(f"http://ops:s%40fe@127.0.0.1:{proxy.port}")) as link, target.accept()[0] as far:
            link.sendall(b"hello")
            assert far.recv(10) == b"hello"
            far.sendall(b"and back")
            assert link.recv(10) == b"and back"
        assert proxy.asked.startswith(b"CONNECT [fd00::1]:6443 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic b3BzOnNAZmU=" in proxy.asked


def test_a_proxy_that_refuses_is_named_with_its_words():
    with Forwarder(("127.0.0.1", 9), proxy=True) as proxy:
        proxy.answer = b"HTTP/1.1 403 Forbidden\r\n\r\n"
        with pytest.raises(OSError, match=rf"proxy 127.0.0.1:{proxy.port} refused \[fd00::1\]:6443: HTTP/1.1 403 Forbidden"):
            opened(settings(f"http://127.0.0.1:{proxy.port}"))


@pytest.fixture
def tls_proxy(api_server, tmp_path):
    """A proxy that speaks TLS before the server; (it, its authority's file)."""
    authority = Authority.made("proxies")
    authority.own(tmp_path / "proxies.crt")
    context = authority.server(tmp_path / "proxy", x509.IPAddress(ip_address("127.0.0.1")))
    with Forwarder(("127.0.0.1", api_server[0]), proxy=True, tls=context) as door:
        yield door, tmp_path / "proxies.crt"


@pytest.mark.parametrize("trusted", ["system", "kubeconfig"])
def test_a_server_behind_a_tls_proxy(api_server, tls_proxy, tmp_path, monkeypatch, trusted):
    """TLS inside TLS, which Python's own sockets cannot do; the answer is longer than a record of TLS and than a socket takes at once."""
    door, authority = tls_proxy
    known = tmp_path / "known.crt"
    known.write_text(Path(api_server[1]).read_text() + (authority.read_text() if trusted == "kubeconfig" else ""))
    if trusted == "system":
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    pool = connection.pool(kubeconfig(api_server[0], ssl_ca_cert=str(known), proxy=f"https://127.0.0.1:{door.port}"), 1)
    for _ in range(2):
        answer = pool.request("GET", "/" + "x" * 40_000, None, {"Connection": "keep-alive"}, 30)
        assert (answer.status, answer.data) == (200, LONG)
    assert (door.links, door.ended) == (1, 0)
    pool.clear()
    until(lambda: door.ended == 1)


def test_a_tls_proxy_that_nobody_vouches_for_is_named(api_server, tls_proxy):
    door, _ = tls_proxy
    pool = connection.pool(kubeconfig(api_server[0], ssl_ca_cert=api_server[1], proxy=f"https://127.0.0.1:{door.port}"), 1)
    with pytest.raises(OSError, match=f"proxy 127.0.0.1:{door.port}: .*certificate verify failed"):
        pool.request("GET", "/", None, {}, 30)


def test_a_proxy_that_is_not_there_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OSError, match=f"proxy 127.0.0.1:{port}: .*refused"):
        opened(settings(f"http://127.0.0.1:{port}"))


def test_no_proxy_goes_straight():
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = SimpleNamespace(host=f"http://127.0.0.1:{server.getsockname()[1]}", proxy="http://127.0.0.1:9", no_proxy="127.0.0.0/8")
        assert connection.proxy_for(given) == ""
        opened(given).close()
