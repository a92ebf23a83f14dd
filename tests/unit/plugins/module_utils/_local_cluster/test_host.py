import random
import socket
from collections import namedtuple
from contextlib import suppress
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster import host
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster.settings import from_options

Usage = namedtuple("Usage", "total used free")
GO = {"GOVERSION": "go1.26.8\n", "GOTOOLCHAIN": "auto\n"}


@pytest.fixture
def port():
    """A free one, and below those that the kernel gives to the near end of a connection."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@pytest.fixture
def settings(tmp_path, port):
    (tmp_path / "node").mkdir()
    (tmp_path / "node/go.mod").write_text("module node\n\ngo 1.26.0\n")
    return from_options(
        {
            "name": "unit", "state_root": tmp_path, "cache_dir": tmp_path / "cache", "source_dir": tmp_path, "nodes": 1,
            "subnet": "10.89.0.0/24", "pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/16",
            "registry_port": port, "ports": {},
        }
    )  # fmt: skip


@pytest.fixture(autouse=True)
def good_machine(monkeypatch):
    """Everything that is asked for is there; a test takes one thing away."""
    monkeypatch.setattr(host.platform, "system", lambda: "Linux")
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    monkeypatch.setattr(host.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(host.shutil, "disk_usage", lambda path: Usage(10**12, 0, 10**12))
    monkeypatch.setattr(host, "execute", lambda argv, **options: GO[argv[-1]])


def test_nothing_stands_in_the_way_of_a_good_machine(settings):
    assert host.missing(settings, running=False) == []


def test_another_system_is_the_only_thing_said(settings, monkeypatch):
    monkeypatch.setattr(host.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(host.os, "geteuid", lambda: 501)
    (said,) = host.missing(settings, running=False)
    assert "needs Linux; this is Darwin" in said and "KUBECONFIG" in said


def test_all_that_is_missing_is_said_at_once(settings, monkeypatch):
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(host.shutil, "which", lambda name: None)
    monkeypatch.setattr(host.shutil, "disk_usage", lambda path: Usage(10**12, 0, 9 * 10**9))
    monkeypatch.setattr(host, "MIN_MEMORY_BYTES", 2**60)
    said = host.missing(settings, running=False)
    assert [any(word in one for one in said) for word in ("as root", "Go 1.26.0 or newer", "9.0 GB free", "GiB of memory")] == [True] * 4
    assert len(said) == 4


def test_a_running_cluster_needs_no_free_disk_or_memory(settings, monkeypatch):
    monkeypatch.setattr(host.shutil, "disk_usage", lambda path: Usage(10**12, 0, 0))
    monkeypatch.setattr(host, "MIN_MEMORY_BYTES", 2**60)
    assert host.missing(settings, running=True) == []


@pytest.mark.parametrize(
    ("version", "toolchain", "good"),
    [
        ("go1.26.0", "local", True),
        ("go1.27", "local", True),
        ("go1.25.9", "auto", True),
        ("go1.25.9", "local", False),
        ("go1.19.8", "", False),
        ("", "", False),
    ],
)
def test_go_is_new_enough_or_fetches_a_newer_one(settings, monkeypatch, version, toolchain, good):
    monkeypatch.setattr(host, "execute", lambda argv, **options: {"GOVERSION": version, "GOTOOLCHAIN": toolchain}[argv[-1]])
    said = host.missing(settings, running=False)
    assert said == [] if good else "too old. Install Go 1.26.0 or newer" in said[0]


def test_go_is_not_asked_for_once_the_program_is_built(settings, monkeypatch, tmp_path):
    (tmp_path / "cache/bin/v1").mkdir(parents=True)
    monkeypatch.setattr(host.shutil, "which", lambda name: None)
    assert host.missing(settings, running=False) == []


def test_a_taken_port_is_named_with_its_setting(settings, port):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        (said,) = host.missing(settings, running=False)
        assert f"Port {port} of 127.0.0.1 is taken" in said and "local_cluster_registry_port" in said
        assert host.missing(settings, running=False, ours={"registry"}) == []


def test_the_module_asks_for_the_go_that_kubernetes_needs():
    source = Path(__file__).parents[5] / "roles/local_cluster/files/node/go.mod"
    assert host._version(r"^go (\S+)", source.read_text()) >= (1, 26)
