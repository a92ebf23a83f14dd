"""What goes wrong with a deployment, for real, on the deployed product: each fault is refused or rolled back with its reason.

Needs the product in the local cluster (`make deploy`). Each test breaks one thing, runs the whole playbook, and mends it again.
"""

import json
import os
import threading
import urllib.error
import urllib.request
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
import yaml
from deployment import Deployment
from waiting import until

ROOT = Path(__file__).parents[2]
DOOR = os.environ.get("HSC_TEST_URL", "http://127.0.0.1:8000")
pytestmark = pytest.mark.cluster


@pytest.fixture
def deploy(kubeconfig, tmp_path, images, record_property):
    def _deploy(*flags, **variables):
        run = Deployment(tmp_path, *flags, kubeconfig=kubeconfig, release_images=variables.pop("images", images), **variables)
        record_property("seconds", round(run.seconds, 1))
        return run

    return _deploy


class Probe:
    """Asks /health ten times a second from a thread and counts what did not answer 200."""

    def __enter__(self):
        self.failed, self.asked, self.done = 0, 0, threading.Event()
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()
        return self

    def _ask(self):
        while not self.done.wait(0.1):
            self.asked += 1
            try:
                with urllib.request.urlopen(f"{DOOR}/health", timeout=5) as answer:
                    self.failed += answer.status != 200
            except (OSError, urllib.error.URLError):
                self.failed += 1

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def test_all_that_is_wrong_is_refused_at_once_before_anything_changes(product, deploy, images):
    """A tag instead of a digest, an image that is not in the registry, a Secret without a key: one run names all three."""
    path = product.namespaced("secrets") + "/hsc-secrets"
    secret = product.get(path)
    product.patch_merge(path, {"data": {"gemini-key": None}})
    wrong = {"service": "localhost:5001/hsc-jit-service:v3.2", "redis": "localhost:5001/redis@sha256:" + "0" * 64}
    try:
        before = versions(product)
        run = deploy(images={**images, **wrong}, release_secret_values={})
        assert run.returncode == 2
        refused = run.messages("PF-06", "fail")
        assert any("v3.2" in message for message in refused) and any("000000" in message for message in refused), run.findings
        assert any("gemini-key" in message and "hsc-secrets" in message for message in run.messages("PF-04", "fail")), run.findings
        assert versions(product) == before
    finally:
        product.patch_merge(path, {"data": secret["data"]})


def test_outside_of_the_change_window_nothing_begins(product, deploy):
    before, today = versions(product), datetime.now(UTC).date().isoformat()
    run = deploy(preflight_window={"freezes": [{"from": today, "to": today, "reason": "stocktaking"}]})
    assert run.returncode == 2
    assert any("stocktaking" in message for message in run.messages("PF-90", "fail")), run.findings
    assert {one["id"] for one in run.findings} == {"PF-90", "RO-03"}, "refused before anything else was looked at"
    assert versions(product) == before


@pytest.mark.slow
def test_too_little_disk_is_refused_with_the_figures(product, deploy, kubeconfig):
    """The disk is really filled, by a file without a name: it goes with this process, whatever happens."""
    folder = Path(kubeconfig).parent
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    path = folder / "filler"
    with path.open("wb") as file:
        path.unlink()
        os.posix_fallocate(file.fileno(), 0, max(free - 9 * 10**9, 1))
        node = product.list("/api/v1/nodes")[0]["metadata"]["name"]
        until(lambda: max(free_bytes(product, node)) < 10**10, 150)
        before = versions(product)
        run = deploy()
    assert run.returncode == 2
    assert any("GB free" in message and "10.0 GB" in message for message in run.messages("PF-02", "fail")), run.findings
    assert versions(product) == before
    until(lambda: min(free_bytes(product, node)) > 10**10, 150)


def free_bytes(product, node):
    """What the kubelet says of the node's file system and of each claim's volume: it looks at the latter once a minute only."""
    summary = product.get(f"/api/v1/nodes/{node}/proxy/stats/summary")
    volumes = [volume for pod in summary["pods"] for volume in pod.get("volume", []) if "pvcRef" in volume]
    return [one["availableBytes"] for one in [summary["node"]["fs"], *volumes]]


@pytest.mark.slow
def test_postgres_down_means_that_nothing_changes(product, deploy):
    path = product.namespaced("statefulsets", "/apis/apps/v1") + "/hsc-jit-postgres"
    product.patch_merge(path, {"spec": {"replicas": 0}})
    try:
        until(lambda: product.find(product.namespaced("pods") + "/hsc-jit-postgres-0") is None, 60)
        before = versions(product)
        # Forced, because whoever scaled it to 0 owns that field now: without, the dry run (PF-03) stops the release even earlier.
        run = deploy(release_log_level="DEBUG", release_force_conflicts=True)
        assert run.returncode == 2
        assert any("port 5432 failed: Connection refused" in message for message in run.messages("MG-02", "fail")), run.findings
        assert versions(product) == before
    finally:
        product.patch_merge(path, {"spec": {"replicas": 1}})
        until(lambda: ready(product, "hsc-jit-postgres-0"), 120)


def ready(product, pod):
    found = product.find(product.namespaced("pods") + f"/{pod}") or {}
    return any(one["type"] == "Ready" and one["status"] == "True" for one in (found.get("status") or {}).get("conditions", []))


def test_a_migration_that_fails_leaves_the_running_release(product, deploy, images):
    """The image of another program has no app.migrate: the Job fails, its log says so, and no workload was touched."""
    workloads = {key: value for key, value in versions(product).items() if key[0] == "deployments"}
    with Probe() as probe:
        run = deploy(images={**images, "service": images["redis"]})
    assert run.returncode == 2
    assert any("No module named 'app'" in message for message in run.messages("MG-02", "fail")), run.findings
    assert {key: value for key, value in versions(product).items() if key[0] == "deployments"} == workloads
    assert (probe.failed, probe.asked > 10) == (0, True)


def test_a_rollout_that_fails_is_put_back_while_users_notice_nothing(product, deploy):
    """Backend pods get too little memory to start: OOMKilled is reported, and the previous release stands again."""
    resources = {"backend": {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"memory": "24Mi"}}}
    defaults = yaml.safe_load((ROOT / "roles/rollout/defaults/main.yml").read_text())["rollout_resources"]
    path = product.namespaced("deployments", "/apis/apps/v1") + "/hsc-jit-backend"
    before = product.get(path)["spec"]["template"]
    with Probe() as probe:
        run = deploy(rollout_resources={**defaults, **resources})
    assert run.returncode == 2
    assert any("OOMKilled" in message for message in run.messages("RO-02", "fail")), run.findings
    back, again = run.messages("RO-03", "pass")
    assert "is back" in back and "verified again: nothing fails" in again
    assert product.get(path)["spec"]["template"]["spec"]["containers"] == before["spec"]["containers"]
    assert (probe.failed, probe.asked > 10) == (0, True)


@pytest.mark.slow
def test_a_node_that_is_not_ready_is_refused(product, deploy, kubeconfig):
    """The kubelet is stopped, as when a machine hangs."""
    import signal

    node = product.list("/api/v1/nodes")[0]["metadata"]["name"]
    pid_file = Path(kubeconfig).parent / "nodes" / node / "run" / "kubelet.pid"
    if not pid_file.exists():
        pytest.skip(f"node {node} is not one of the local cluster: its kubelet is not ours to stop")
    pid = int(pid_file.read_text().split()[0])
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: condition(product, node) != "True", 120)
        before = versions(product)
        run = deploy()
        assert run.returncode == 2
        assert any(node in message for message in run.messages("PF-01", "fail")), run.findings
        assert versions(product) == before
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: condition(product, node) == "True", 120)
    until(lambda: ready(product, "hsc-jit-postgres-0") and ready(product, "hsc-jit-redis-0"), 120)


def condition(product, node):
    conditions = product.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
    return next(one["status"] for one in conditions if one["type"] == "Ready")


@pytest.mark.slow
def test_nothing_to_do_changes_nothing(product, deploy):
    """Every object keeps its resourceVersion, and no task is `changed`. A product that is not as the inventory says is deployed first."""
    for _ in range(2):
        before = versions(product)
        run = deploy()
        assert run.returncode == 0, run.output[-3000:]
        if "changed=0" in run.output:
            break
    assert "changed=0" in run.output
    assert versions(product) == before


def test_check_mode_shows_what_would_change_and_writes_nothing(product, deploy):
    before = versions(product)
    run = deploy("--check", "--diff", release_log_level="DEBUG")
    assert run.returncode == 0, run.output[-3000:]
    assert "DEBUG" in run.output
    assert versions(product) == before


KINDS = [
    ("/api/v1", "configmaps secrets services serviceaccounts persistentvolumeclaims"),
    ("/apis/apps/v1", "deployments statefulsets"),
    ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    ("/apis/batch/v1", "cronjobs"),
    ("/apis/networking.k8s.io/v1", "networkpolicies"),
    ("/apis/policy/v1", "poddisruptionbudgets"),
]


def versions(product):
    """Of every object: our fields with the moment they were written, its data, and the generation where no autoscaler counts it up."""
    scaled = {
        one["spec"]["scaleTargetRef"]["name"]
        for one in product.list(product.namespaced("horizontalpodautoscalers", "/apis/autoscaling/v2"))
    }
    assert scaled
    found = {}
    for api, plurals in KINDS:
        for plural in plurals.split():
            for item in product.list(product.namespaced(plural, api)):
                metadata = item["metadata"]
                ours = [entry for entry in metadata.get("managedFields", []) if entry["manager"] == "hsc.jit"]
                generation = None if metadata["name"] in scaled else metadata.get("generation")
                # As a hash: a failed comparison is printed, and some of the data are passwords.
                data = sha256(json.dumps(item.get("data"), sort_keys=True).encode()).hexdigest()
                found[plural, metadata["name"]] = (ours, generation, data)
    assert sum(bool(ours) for ours, *_ in found.values()) > 40
    return found
