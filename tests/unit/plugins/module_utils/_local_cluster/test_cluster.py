"""The local cluster's words and predictions; that it runs is seen in tests/integration/test_local_cluster.py."""

import secrets

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _poll
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster import build, cluster
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster.lock import alone
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster.settings import PROGRAMS, from_options
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.modules import local_cluster

OPTIONS = {name: option.get("default") for name, option in local_cluster.SPEC.items()}


@pytest.fixture
def options(tmp_path):
    source = tmp_path / "source"
    (source / "node").mkdir(parents=True)
    return {**OPTIONS, "name": "none", "source_dir": str(source), "state_root": str(tmp_path), "cache_dir": str(tmp_path / "cache")}


def test_a_waiting_addon_says_which_of_its_pods_fails_and_why():
    deployment = {"spec": {"selector": {"matchLabels": {"k8s-app": "dns"}}}}
    crashed = {"reason": "Error", "exitCode": 1, "message": "no route to host"}
    container = {
        "name": "coredns",
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": crashed},
    }
    pods = [
        {"metadata": {"name": "other", "labels": {"k8s-app": "other"}}, "status": {"phase": "Failed"}},
        {"metadata": {"name": "coredns-1", "labels": {"k8s-app": "dns", "hash": "1"}}, "status": {"containerStatuses": [container]}},
    ]
    told = cluster._why(deployment, pods)
    assert told == " (container coredns: CrashLoopBackOff: exit code 1: no route to host, restarted 2 times)"
    assert cluster._why(deployment, pods[:1]) == ""
    container["state"] = {"waiting": {"reason": "ContainerCreating"}}
    assert cluster._why(deployment, pods) == " (pulling image or mounting volumes)"


@pytest.mark.parametrize(("wanted", "predicted"), [("present", "present"), ("stopped", "absent"), ("absent", "absent")])
def test_check_mode_predicts_what_would_be_where_nothing_is(options, wanted, predicted):
    outcome = local_cluster.work(Context({**options, "state": wanted}, True, Progress()))
    assert (outcome.before, outcome.after) == ("absent", predicted)


def test_a_build_that_never_ends_is_told_as_such(options, monkeypatch):
    monkeypatch.setattr(build, "BUILD_SECONDS", 0)
    mine = f"test {secrets.token_hex(4)}"
    monkeypatch.setattr(build, "alone", lambda _, wait_seconds: alone(mine, wait_seconds))
    monkeypatch.setattr(build, "go_problem", lambda _: "")
    with alone(mine), pytest.raises(RuntimeError, match=r"^process .* has been compiling"):
        build.program(from_options(options), lambda *_: None)


def test_a_cluster_keeps_the_program_that_made_it_and_says_so(options, tmp_path):
    settings, said = from_options(options), []
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        for name in PROGRAMS:
            (tmp_path / version / name).write_text(version)
        build.install(settings, tmp_path / version, said.append)
    assert {(settings.state / "bin" / name).read_text() for name in PROGRAMS} == {"one"}
    assert said == ["This cluster keeps program one; `make destroy` and then `make cluster` would bring two"]


def test_a_version_that_must_be_built_without_go_says_what_to_install(options, tmp_path, monkeypatch):
    """Another version in the cache is no help, and is not taken for this one."""
    (tmp_path / "source/node/go.mod").write_text("module node\n\ngo 1.26.0\n")
    (tmp_path / "cache/bin/another").mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match=r"^Go is not installed.*Install Go 1\.26\.0 or newer"):
        build.program(from_options(options), lambda *_: None)


def test_a_kubelet_that_came_before_its_containerd_is_started_again(options, monkeypatch):
    """Its first start ends with "server is not initialized yet"; seen when a killed node with many containers came up from a cold disk."""
    settings, alive, answers = from_options(options), [], iter(["refused", "refused", ""])
    monkeypatch.setattr(cluster.nodes, "ensure_kubelet", lambda node: alive.append(node.name))
    monkeypatch.setattr(_poll.CLOCK, "sleep", lambda seconds: None)
    cluster._wait("the API server", lambda: next(answers), lambda *words, **more: None, settings.all_nodes())
    assert alive == [node.name for node in settings.all_nodes()] * 2
