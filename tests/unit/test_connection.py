"""What kubectl takes from a kubeconfig: a proxy, and a client certificate that has an end."""

import socket
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

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


def certificate(tmp_path, begin, end):
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ada")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    signed = made.not_valid_before(begin).not_valid_after(end).sign(key, hashes.SHA256())
    path = tmp_path / "client.pem"
    path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    return SimpleNamespace(cert_file=str(path))


@pytest.mark.parametrize(
    ("begin", "end", "said"),
    [
        (-10, 10, ""),
        (-10, -1, "the client certificate of CN=ada ended at 2026-11-23 04:00 UTC"),
        (1, 10, "begins at 2026-11-25 04:00 UTC, and this machine's clock says 2026-11-24 04:00"),
    ],
)
def test_a_client_certificate_has_its_time(tmp_path, begin, end, said):
    found = _connection.ended(certificate(tmp_path, NOW + timedelta(days=begin), NOW + timedelta(days=end)), NOW)
    assert said in found
    assert bool(found) == bool(said)


def test_a_token_has_no_certificate():
    assert _connection.ended(SimpleNamespace(cert_file=None), NOW) == ""


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
