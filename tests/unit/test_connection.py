"""How the API server is reached: TLS as kubectl has it, a proxy, and a client certificate that has an end."""

import http.server
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import urllib3
from ansible_collections.hsc.jit.plugins.module_utils import _connection
from certificates import Authority, name
from cryptography import x509

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
    assert _connection.proxy_url(str(path), context) == proxy


def test_several_files_are_one_and_a_missing_one_is_none(tmp_path):
    (tmp_path / "a").write_text("current-context: away\n")
    (tmp_path / "b").write_text(FILE)
    assert _connection.proxy_url(f"{tmp_path}/a:{tmp_path}/none:{tmp_path}/b", None) == "http://proxy.example.com:3128"


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
    found = _connection.ended(SimpleNamespace(cert_file=str(tmp_path / "ada.crt")), NOW)
    assert said in found
    assert bool(found) == bool(said)


def test_a_token_has_no_certificate():
    assert _connection.ended(SimpleNamespace(cert_file=None), NOW) == ""


@pytest.fixture
def api_server(tmp_path):
    """An HTTPS server; (its port, its authority's file)."""
    authority = Authority.made("kubernetes")
    authority.own(tmp_path / "ca.crt")
    authority.pair(tmp_path / "server", name("server"), x509.SubjectAlternativeName([x509.DNSName("kubernetes")]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, str(tmp_path / "ca.crt")
    server.shutdown()
    thread.join()
    server.server_close()


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
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_who_the_server_is_is_looked_at_as_kubectl_does(api_server, given, problem):
    port, authority = api_server
    plain = {"proxy": "", "no_proxy": "", "cert_file": None, "key_file": None, "verify_ssl": True}
    one = SimpleNamespace(host=f"https://127.0.0.1:{port}", **{**plain, "ssl_ca_cert": authority, "tls_server_name": "kubernetes", **given})
    pool = _connection.pool(one, 2)
    if problem:
        with pytest.raises(urllib3.exceptions.HTTPError, match=problem):
            pool.request("GET", one.host, retries=False)
        with pytest.raises(OSError, match=problem):
            _connection.open_socket(one)
        return
    assert pool.request("GET", one.host, retries=False).status == 501
    _connection.open_socket(one).close()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"ssl_ca_cert": "/none"}, "its certificate-authority cannot be read .*No such file"),
        ({"cert_file": "/none", "key_file": "/none"}, "its client-certificate and client-key cannot be read .*No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_as_such(given, problem):
    with pytest.raises(ValueError, match=problem):
        _connection.tls(SimpleNamespace(**{"ssl_ca_cert": None, "cert_file": None, "key_file": None, "verify_ssl": True, **given}))


@pytest.fixture
def proxy():
    """A proxy for one connection: answers what it is told to, then echoes; ``asked`` is what it read."""
    server = socket.create_server(("127.0.0.1", 0))
    told = SimpleNamespace(port=server.getsockname()[1], answer=b"HTTP/1.1 200 Connection established\r\n\r\n", asked=b"")

    def serve():
        link, _ = server.accept()
        with link:
            while b"\r\n\r\n" not in told.asked:
                told.asked += link.recv(4096)
            link.sendall(told.answer)
            while block := link.recv(4096):
                link.sendall(block)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield told
    server.close()


def settings(proxy, **more):
    return SimpleNamespace(host="http://[fd00::1]:6443", proxy=proxy, no_proxy="", **more)


def test_the_tunnel_goes_through_the_proxy_with_its_password(proxy):
    with _connection.open_socket(settings(f"http://ops:s%40fe@127.0.0.1:{proxy.port}")) as link:
        link.sendall(b"hello")
        assert link.recv(10) == b"hello"
    assert proxy.asked.startswith(b"CONNECT [fd00::1]:6443 HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic b3BzOnNAZmU=" in proxy.asked


def test_the_pool_gives_the_proxy_its_password_too(proxy):
    proxy.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
    one = settings(f"http://ops:s%40fe@127.0.0.1:{proxy.port}")
    assert _connection.pool(one, 2).request("GET", one.host, retries=False).status == 204
    assert b"proxy-authorization: basic b3bzonnazmu=" in proxy.asked.lower()


def test_a_proxy_that_refuses_is_named_with_its_words(proxy):
    proxy.answer = b"HTTP/1.1 403 Forbidden\r\n\r\n"
    with pytest.raises(OSError, match=rf"proxy 127.0.0.1:{proxy.port} refused \[fd00::1\]:6443: HTTP/1.1 403 Forbidden"):
        _connection.open_socket(settings(f"http://127.0.0.1:{proxy.port}"))


def test_a_proxy_that_is_not_there_is_named():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OSError, match=f"proxy 127.0.0.1:{port}: .*refused"):
        _connection.open_socket(settings(f"http://127.0.0.1:{port}"))


def test_no_proxy_goes_straight():
    with socket.create_server(("127.0.0.1", 0)) as server:
        given = SimpleNamespace(host=f"http://127.0.0.1:{server.getsockname()[1]}", proxy="http://127.0.0.1:9", no_proxy="127.0.0.0/8")
        assert _connection.proxy_for(given) == ""
        _connection.open_socket(given).close()
