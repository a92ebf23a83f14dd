"""Forms of a kubeconfig that kubectl takes: each works here too, commands in pods included, or says in one sentence what is wrong."""

import shutil
import socket
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from certificates import Authority, name
from cryptography import x509
from forwarder import Forwarder, api_server, changed
from playbook import play

pytestmark = pytest.mark.cluster


@pytest.fixture
def server(kubeconfig):
    return api_server(kubeconfig)


@pytest.fixture
def forwarder(server):
    made = []

    def make(**more):
        made.append(Forwarder(server, **more))
        return made[-1]

    yield make
    for one in made:
        one.cut()


@pytest.fixture
def config(kubeconfig, tmp_path):
    """The kubeconfig with other fields of its cluster, or another user."""

    return lambda user=None, **cluster: changed(kubeconfig, tmp_path / "config", user, **cluster)


def works(path, product):
    """A list and a command in a pod, through this kubeconfig."""
    cluster = connect({"kubeconfig": path, "namespace": "hsc-jit"})
    assert cluster.get("/version")["gitVersion"]
    assert cluster.exec("hsc-jit-redis-0", "redis", ["echo", "hello"]).stdout == b"hello\n"


def test_a_proxy_of_the_kubeconfig(config, forwarder, product):
    proxy = forwarder(proxy=True)
    works(config(proxy_url=f"http://127.0.0.1:{proxy.port}"), product)
    assert proxy.links >= 2


def test_a_proxy_that_speaks_tls(config, forwarder, product, tmp_path, monkeypatch):
    authority = Authority.made("proxies")
    authority.own(tmp_path / "ca.crt")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.crt"))
    proxy = forwarder(proxy=True, tls=authority.server(tmp_path / "proxy", x509.IPAddress(ip_address("127.0.0.1"))))
    works(config(proxy_url=f"https://127.0.0.1:{proxy.port}"), product)
    assert proxy.links >= 2


def test_a_dead_proxy_is_named(config):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    cluster = connect({"kubeconfig": config(proxy_url=f"http://127.0.0.1:{port}"), "namespace": "hsc-jit"})
    with pytest.raises(ApiError, match=r"[Pp]roxy"):
        cluster.get("/version")
    with pytest.raises(ApiError, match=rf"proxy 127\.0\.0\.1:{port}"):
        cluster.exec("hsc-jit-redis-0", "redis", ["true"])


def test_a_proxy_of_the_environment_and_what_it_is_not_for(monkeypatch, kubeconfig, server, product):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", f"{server[0].rpartition('.')[0]}.0/24")
    works(kubeconfig, product)


def test_another_address_than_the_certificates_name(config, forwarder, product):
    """An address of IPv6, and tls-server-name says whose certificate it is."""
    if not Path("/proc/net/if_inet6").exists() or "lo" not in Path("/proc/net/if_inet6").read_text():
        pytest.skip("this machine has no IPv6 on loopback")
    door = forwarder(address="::1")
    works(config(server=f"https://[::1]:{door.port}", tls_server_name="kubernetes"), product)


def test_a_client_certificate_that_has_ended_is_named_with_its_day(config, kubeconfig, tmp_path):
    found = sorted(Path(kubeconfig).parent.glob("nodes/*/etc-kubernetes/pki/ca.key"))
    if not found:
        pytest.skip("only the local cluster's authority can be asked to sign a certificate of yesterday")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    days = {"begin": yesterday - timedelta(days=9), "end": yesterday}
    Authority.found(found[0]).pair(tmp_path / "ada", name("ada", "system:masters"), **days)
    path = config({"client-certificate": str(tmp_path / "ada.crt"), "client-key": str(tmp_path / "ada.key")})
    text = yaml.safe_load(Path(path).read_text())
    for part in ("client-certificate-data", "client-key-data"):
        text["users"][0]["user"].pop(part, None)
    Path(path).write_text(yaml.safe_dump(text))
    began = time.monotonic()
    done = play("playbooks/drift.yml", kubeconfig=path)
    assert done.returncode == 2
    assert f"kubeconfig {path}: the client certificate of CN=ada,O=system:masters ended at {yesterday:%Y-%m-%d}" in " ".join(
        done.stdout.split()
    )
    assert time.monotonic() - began < 15
    shutil.rmtree(tmp_path, ignore_errors=True)
