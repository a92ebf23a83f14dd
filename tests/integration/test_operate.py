"""The guide's everyday operations on the deployed product."""

from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._operate.operations import Operation
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from playbook import play
from stores import redis

pytestmark = pytest.mark.cluster
DEFAULTS = {
    "component": "backend",
    "replicas": None,
    "lines": 100,
    "queue_length": 100,
    "environment": "local",
    "confirm": "",
    "field_manager": "hsc.jit",
    "wait_seconds": 60.0,
}


@pytest.fixture
def operate(product):
    def _operate(operation, check_mode=False, **options):
        context = Context({**DEFAULTS, **options}, check_mode, Progress(), product, lambda: datetime.now(UTC))
        return getattr(Operation(context), operation)()

    return _operate


def deployment(product, name):
    return product.get(product.namespaced("deployments", "/apis/apps/v1") + f"/{name}")


def cached(product, *words):
    pod = product.list(product.namespaced("pods"), labelSelector="app=hsc-jit-redis-cache")[0]["metadata"]["name"]
    return product.exec(pod, "redis", ["redis-cli", *words]).stdout.decode().strip()


def test_the_playbook_does_what_make_op_says(tmp_path):
    done = play("playbooks/operate.yml", operation="celery", release_evidence_dir=str(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 of 1 workers answer" in done.stdout
    done = play("playbooks/operate.yml", operation="scale", component="worker", release_evidence_dir=str(tmp_path))
    assert done.returncode != 0
    assert "replicas" in done.stdout


def test_restart_makes_new_pods_and_waits_for_them(product, operate):
    before = deployment(product, "hsc-jit-manuals")["metadata"]["generation"]
    assert operate("restart", component="manuals", check_mode=True).findings[0].message.endswith("would be restarted.")
    assert deployment(product, "hsc-jit-manuals")["metadata"]["generation"] == before
    (finding,) = operate("restart", component="manuals").findings
    assert (finding.id, finding.verdict) == ("OP-01", "pass"), finding
    after = deployment(product, "hsc-jit-manuals")
    assert after["metadata"]["generation"] == before + 1
    assert after["status"]["updatedReplicas"] == after["status"]["readyReplicas"] == after["spec"]["replicas"]


def test_a_component_that_is_none_is_named_with_those_that_are(operate):
    with pytest.raises(OperatorError, match="component is 'frontend'; there is no such workload") as problem:
        operate("restart", component="frontend")
    assert "backend, beat, manuals" in problem.value.next_step


def test_the_cache_is_flushed_only_when_that_is_meant_and_nothing_else_is(product, operate):
    cached(product, "SET", "test:operate", "1")
    redis(product, "SET", "test:operate", "1")
    for confirm in ("", "production"):
        with pytest.raises(OperatorError) as problem:
            operate("flush", confirm=confirm)
        assert "-e confirm=local" in problem.value.next_step
    assert "would be removed" in operate("flush", check_mode=True).findings[0].message
    assert cached(product, "GET", "test:operate") == "1"
    outcome = operate("flush", confirm="local")
    assert outcome.before["keys"] >= 1
    assert cached(product, "GET", "test:operate") == ""
    assert redis(product, "GET", "test:operate") == "1"
    redis(product, "DEL", "test:operate")


def test_logs_are_shown_by_pod(operate):
    logs = operate("logs", lines=5).facts["logs"]
    assert len(logs) >= 2
    assert all(pod.startswith("hsc-jit-backend-") and 0 < len(lines) <= 5 for pod, lines in logs.items())
    with pytest.raises(OperatorError, match="lines is 0"):
        operate("logs", lines=0)


def test_scale_sets_the_pods_and_the_next_deployment_finds_no_foreign_hand(product, operate):
    for replicas in (2, 1):
        (finding,) = operate("scale", component="manuals", replicas=replicas).findings
        assert (finding.id, finding.verdict) == ("OP-05", "pass"), finding
        found = deployment(product, "hsc-jit-manuals")
        assert (found["spec"]["replicas"], found["status"]["readyReplicas"]) == (replicas, replicas)
    owners = {
        entry["manager"] for entry in found["metadata"]["managedFields"] if "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {})
    }
    assert owners == {"hsc.jit"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"component": "backend", "replicas": 3}, "is scaled by its HPA"),
        ({"component": "postgres", "replicas": 2}, "is made for one pod"),
        ({"component": "worker", "replicas": 0}, "This leaves no pod of hsc-jit-worker"),
        ({"component": "worker", "replicas": 1000}, "replicas is 1000"),
    ],
)
def test_what_must_not_be_scaled_is_refused_with_the_way_that_is_right(operate, options, said):
    with pytest.raises(OperatorError, match=said) as problem:
        operate("scale", **options)
    assert problem.value.next_step
