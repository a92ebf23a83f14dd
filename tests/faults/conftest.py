"""The small release that is broken, and the table of what was seen: each fault, what was reported after how long, and the way back."""

import secrets
from functools import partial
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._target import connect
from small_release import Small, run
from waiting import until

TABLE = Path(__file__).parents[2] / ".cache/test/faults.md"
_ROWS = []


class Base:
    """A good release in a namespace of its own, that every fault starts from and must leave as it was."""

    def __init__(self, cluster, image):
        self.cluster, self.image = cluster, image
        self.deploy()

    def deploy(self):
        outcome, _ = run(self.cluster, "present", objects=self.small().objects(self.cluster.namespace))
        assert [one.verdict for one in outcome.findings if one.verdict != "warn"] == ["pass", "pass"], outcome.findings
        until(lambda: not any(pod["metadata"].get("deletionTimestamp") for pod in self.pods()), 90)

    def small(self):
        return Small(self.image)

    def pods(self):
        return self.cluster.list(self.cluster.namespaced("pods"), labelSelector="app in (web, store)")

    def serving(self):
        """The web pods. While they are these, nobody noticed anything; the store has one pod, which changes with its settings."""
        return {pod["metadata"]["uid"] for pod in self.pods() if pod["metadata"]["labels"]["app"] == "web"}

    def specs(self):
        """What a fault must leave as it was, of every object of the release: what we own, and its values."""
        kinds = [("configmaps", "/api/v1", "data"), ("services", "/api/v1", "spec"), ("deployments", "/apis/apps/v1", "spec")]
        return {
            (plural, item["metadata"]["name"]): item.get(part)
            for plural, api, part in [*kinds, ("statefulsets", "/apis/apps/v1", "spec")]
            for item in self.cluster.list(self.cluster.namespaced(plural, api))
            if item["metadata"]["name"] in ("settings", "web", "store")
        }

    def put_back(self, run_id):
        """Seconds until the release before is back, all of it."""
        outcome, seconds = run(self.cluster, "previous", run=run_id, only_this_run=True)
        assert [one.verdict for one in outcome.findings if one.id == "RO-03"] == ["pass"], outcome.findings
        return seconds


@pytest.fixture(scope="module")
def base(kubeconfig, images):
    name = f"test-faults-{secrets.token_hex(3)}"
    cluster = connect({"kubeconfig": kubeconfig, "namespace": name})
    labels = {"pod-security.kubernetes.io/enforce": "restricted", "app.kubernetes.io/managed-by": "hsc.jit-tests"}
    cluster.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    for path in (cluster.namespaced("configmaps") + "/kube-root-ca.crt", cluster.namespaced("serviceaccounts") + "/default"):
        until(partial(cluster.find, path), 20)
    yield Base(cluster, images["service"])
    cluster.delete(f"/api/v1/namespaces/{name}")


@pytest.fixture
def seen(request):
    """seen(fault, reported, seconds, allowed, left) puts a row into the table."""
    return lambda *row: _ROWS.append(row)


def pytest_sessionfinish():
    if not _ROWS:
        return
    TABLE.parent.mkdir(parents=True, exist_ok=True)
    lines = ["| what is broken | what is reported | after | at most | what is left |", "| --- | --- | --- | --- | --- |"]
    for fault, reported, seconds, allowed, left in _ROWS:
        words = reported.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {fault} | {words} | {seconds:.1f} s | {allowed:g} s | {left} |")
    TABLE.write_text("\n".join(lines) + "\n")
