"""The small release that is broken, and the table of what was seen: each fault, what was reported after how long, and the way back."""

import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_namespace import private_namespace
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
        run(self.cluster, "verified", run="base")
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
    with private_namespace(kubeconfig, "test-faults") as cluster:
        yield Base(cluster, images["service"])


@pytest.fixture
def quota(base):
    """As many pods as there are, and none beside them. Pods that have ended do not count, and one that is about to would leave room."""

    def there():
        pods = base.cluster.list(base.cluster.namespaced("pods"))
        return [pod for pod in pods if pod["status"]["phase"] not in ("Failed", "Succeeded")]

    until(lambda: not any(pod["metadata"].get("deletionTimestamp") for pod in there()), 90)
    pods = there()
    path, full = base.cluster.namespaced("resourcequotas"), str(len(pods))
    base.cluster.create(path, {"metadata": {"name": "full"}, "spec": {"hard": {"pods": full}}})
    until(lambda: (base.cluster.get(f"{path}/full").get("status") or {}).get("used", {}).get("pods") == full, 30)
    yield
    base.cluster.delete(f"{path}/full")


@pytest.fixture
def cluster_has_one_node(base):
    if len(base.cluster.list("/api/v1/nodes")) > 1:
        pytest.skip("with several nodes the two pods find room on two of them")


@pytest.fixture
def node_files(base, kubeconfig):
    """Where the local cluster keeps the files of its first node; the folder has the node's name."""
    return Path(kubeconfig).parent / "nodes" / base.cluster.list("/api/v1/nodes")[0]["metadata"]["name"]


@pytest.fixture
def broken_for():
    """broken_for(seconds, breaks, mends): a context whose function breaks something; it is mended later, and surely in the end."""

    @contextmanager
    def broken_for(seconds, breaks, mends):
        again = threading.Timer(seconds, mends)

        def now():
            breaks()
            again.start()

        try:
            yield now
        finally:
            again.cancel()
            mends()

    return broken_for


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
