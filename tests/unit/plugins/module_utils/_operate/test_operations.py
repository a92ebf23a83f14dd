"""Everyday operations on an API server in memory: what each one writes, and what it refuses."""

import copy
from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._kube.exec import ExecResult
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._operate.operations import Operation
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import desired, manifests, record
from ansible_collections.hsc.jit.plugins.modules.operate import SPEC
from controllers import ready_at_once
from fake_clock import TickingClock
from memory_api import MemoryApiServer

DEFAULTS = {name: option.get("default") for name, option in SPEC.items()} | {"environment": "staging", "wait_seconds": 5.0}
NOW = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
DEPLOYMENTS = "/apis/apps/v1/namespaces/hsc-jit/deployments"


def workload(name, kind="Deployment", replicas=2):
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "x"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return manifests.stamp({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}, "30-workloads", "hsc-jit")


def pod(name, app, *, ready=True):
    conditions = [{"type": "Ready", "status": str(ready)}]
    metadata = {"name": name, "labels": {"app": app, "app.kubernetes.io/part-of": "hsc-jit", "app.kubernetes.io/managed-by": "hsc.jit"}}
    spec = {"containers": [{"name": "main"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": "Running", "conditions": conditions}}


@pytest.fixture
def server():
    """A release with three workloads, one of them scaled by an HPA, and its record."""
    objects = [workload("hsc-jit-worker"), workload("hsc-jit-backend"), workload("hsc-jit-postgres", "StatefulSet", 1)]
    target = {"kind": "Deployment", "name": "hsc-jit-backend"}
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "hsc-jit-backend"},
           "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 6}}  # fmt: skip
    server = MemoryApiServer(hpa)
    server.controllers.append(ready_at_once)
    cluster = server.cluster()
    for obj in objects:
        path = cluster.namespaced(f"{obj['kind'].lower()}s", "/apis/apps/v1")
        cluster.patch_apply(f"{path}/{obj['metadata']['name']}", desired.marked(obj), "hsc.jit")
    release = record.Release(1, "deployed", "digest", {}, "run", "who", "2026-11-30T03:00:00+00:00", objects=copy.deepcopy(objects))
    cluster.create(cluster.namespaced("configmaps"), record.as_config_map(release))
    server.requests.clear()
    return server


def operate(server, operation, *, check_mode=False, **options):
    cluster = server.cluster()
    context = Context({**DEFAULTS, **options}, check_mode, Progress(), cluster, lambda: NOW, TickingClock())
    return getattr(Operation(context), operation)()


def verdicts(outcome):
    return [(finding.id, finding.verdict) for finding in outcome.findings]


def test_restart_writes_one_annotation_and_waits(server):
    outcome = operate(server, "restart", component="worker")
    assert verdicts(outcome) == [("OP-01", "pass")] and outcome.before != outcome.after
    assert server.writes() == [("PATCH", f"{DEPLOYMENTS}/hsc-jit-worker")]
    template = server.find("apps/v1", "Deployment", "hsc-jit-worker")["spec"]["template"]
    assert template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] == "2026-11-30T04:00:00+00:00"


def test_scale_writes_replicas_as_the_release_does(server):
    outcome = operate(server, "scale", component="worker", replicas=3)
    assert (outcome.before, outcome.after, verdicts(outcome)) == ({"replicas": 2}, {"replicas": 3}, [("OP-05", "pass")])
    live = server.find("apps/v1", "Deployment", "hsc-jit-worker")
    assert live["spec"]["replicas"] == 3
    assert {entry["manager"] for entry in live["metadata"]["managedFields"] if entry["operation"] == "Apply"} == {"hsc.jit"}


def test_scale_to_the_same_number_writes_nothing(server):
    operate(server, "scale", component="worker", replicas=2)
    assert server.writes() == []


@pytest.mark.parametrize(
    ("operation", "options", "message", "next_step"),
    [
        ("scale", {"component": "backend", "replicas": 3}, "is scaled by its HPA, from 2 to 6 pods", "release_replicas.backend_min"),
        ("scale", {"component": "postgres", "replicas": 2}, "is made for one pod", ""),
        ("scale", {"component": "worker", "replicas": 0}, "leaves no pod of hsc-jit-worker", "-e confirm=staging"),
        ("scale", {"component": "worker", "replicas": 101}, "replicas is 101", "from 0 to 100"),
        ("restart", {"component": "frontend"}, "there is no such workload", "backend, postgres, worker"),
        ("logs", {"component": "worker", "lines": 0}, "lines is 0", "from 1 to 10000"),
        ("flush", {}, "No pod of hsc-jit-redis-cache is ready", "kubectl get pods"),
        ("drain", {"node": "n9"}, "there is no such node", "Nodes: n1"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_before_any_write(server, operation, options, message, next_step):
    server.add({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}})
    with pytest.raises(OperatorError, match=message) as caught:
        operate(server, operation, **options)
    assert next_step in caught.value.next_step
    assert server.writes() == []


@pytest.mark.parametrize("operation", ["restart", "scale"])
def test_check_mode_writes_nothing(server, operation):
    outcome = operate(server, operation, component="worker", replicas=3, check_mode=True)
    assert "would" in outcome.findings[0].message and server.writes() == []


def test_flush_empties_the_cache_after_a_confirmation(server):
    server.add(pod("cache-1", "hsc-jit-redis-cache"))
    server.script("DBSIZE", b"12\n")
    server.script("FLUSHDB", b"OK\n")
    with pytest.raises(OperatorError, match="empties the cache: 12 keys"):
        operate(server, "flush")
    outcome = operate(server, "flush", confirm="staging")
    assert (outcome.before, outcome.after, verdicts(outcome)) == ({"keys": 12}, {"keys": 0}, [("OP-03", "pass")])
    assert server.commands[-1] == ("cache-1", "main", ["redis-cli", "-e", "FLUSHDB"])


def test_a_redis_error_is_reported_with_its_words(server):
    server.add(pod("cache-1", "hsc-jit-redis-cache"))
    server.script("DBSIZE", ExecResult(1, b"", "NOAUTH Authentication required."))
    with pytest.raises(OperatorError, match="redis-cli DBSIZE in cache-1 ended with 1: NOAUTH") as caught:
        operate(server, "flush")
    assert caught.value.next_step == "kubectl logs cache-1"


def test_logs_are_shown_without_secrets(server):
    server.add(pod("worker-1", "hsc-jit-worker"))
    server.answers["/api/v1/namespaces/hsc-jit/pods/worker-1/log"] = b"ready\nredis://:hunter2@redis:6379 refused\n"
    outcome = operate(server, "logs", component="worker")
    assert verdicts(outcome) == [("OP-04", "pass")]
    assert "hunter2" not in str(outcome.facts) and outcome.facts["logs"]["worker-1"][0] == "ready"
