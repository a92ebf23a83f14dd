"""The whole pre-flight on an API server in memory; the judgements have tests of their own."""

from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._images.registry import Answer
from ansible_collections.hsc.jit.plugins.module_utils._preflight import checks
from ansible_collections.hsc.jit.plugins.module_utils._preflight.checks import Asked, look
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import record
from memory_api import MemoryApiServer

IMAGE = "localhost:5001/x@sha256:" + "a" * 64
ENV = [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "hsc-secrets", "key": "gemini-key"}}}]
POD = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": IMAGE, "env": ENV}]}}
WEB = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "hsc-jit"},
    "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": POD},
}
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "n0"},
    "spec": {},
    "status": {
        "nodeInfo": {"kubeletVersion": "v1.36.3"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
    },
}
SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hsc-secrets"}, "data": {"gemini-key": "dmFsdWU=", "redis-url": ""}}
SUMMARY = {"node": {"fs": {"availableBytes": 5e10, "capacityBytes": 8e10, "inodesFree": 9, "inodes": 10}}}
NODES, PODS = "^/api/v1/nodes$", "^/api/v1/pods$"


def healthy(*objects, namespaces=("default", "hsc-jit"), denied=()):
    """A cluster on which every check passes. denied: {(resource, verb)} that the deployer may not do."""
    server = MemoryApiServer(NODE, *objects, namespaces=namespaces)

    def review(method, query, body):
        attributes = body["spec"]["resourceAttributes"]
        return {"status": {"allowed": (attributes["resource"], attributes["verb"]) not in denied}}

    server.answers |= {
        "/version": {"gitVersion": "v1.36.3"},
        "/apis/metrics.k8s.io/v1beta1/nodes": {"kind": "NodeMetricsList", "items": [{}]},
        "/api/v1/nodes/n0/proxy/stats/summary": SUMMARY,
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": review,
    }
    return server


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(checks.registry, "ask", lambda url, registry, known: Answer(200))


@pytest.fixture
def server():
    return healthy(SECRET)


def asked(server, method):
    return [path for asked_method, path, _ in server.requests if asked_method == method]


def run(server, objects=(WEB,), clock_skew=0.0, **changes):
    settings = {
        "objects": objects,
        "images": {"x": IMAGE},
        "secret_keys_provided": {},
        "disk_free_bytes": 10**10,
        "inodes_free_percent": 5,
        "volume_free_percent": 10,
        "broker": "web",
        "lease_namespace": "default",
        "field_manager": "hsc.jit",
        "force_conflicts": False,
        "now": datetime.now(UTC),
    }
    cluster = server.cluster(clock_skew=clock_skew)
    return look(cluster, Asked(**{**settings, **changes}), Progress())


def bad(findings):
    return [(one.id, one.verdict) for one in findings if one.verdict != "pass"]


def test_a_healthy_cluster_passes_every_row(server):
    findings = run(server)
    assert bad(findings) == []
    assert sorted({one.id for one in findings}) == [f"PF-0{number}" for number in range(1, 10)]
    assert asked(server, "PATCH") == ["/apis/apps/v1/namespaces/hsc-jit/deployments/web"]
    assert server.writes() == [("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews")] * len(server.writes()), "writes nothing"


def test_all_findings_come_together():
    server = healthy({**SECRET, "data": {"redis-url": ""}}, denied={("deployments", "create")})
    server.fail(400, "PATCH", reason="BadRequest", message=".spec.x: field not declared in schema")
    findings = run(server, disk_free_bytes=6 * 10**10)
    assert bad(findings) == [("PF-02", "fail"), ("PF-03", "fail"), ("PF-04", "fail"), ("PF-05", "fail")]


def test_a_row_that_may_not_look_is_skipped_and_the_others_are_judged(server):
    server.fail(403, "GET", NODES, "Forbidden", 'cannot list resource "nodes"')
    findings = run(server)
    assert bad(findings) == [("PF-01", "skipped"), ("PF-02", "skipped")]
    assert 'cannot list resource "nodes"' in findings[0].message


def test_nodes_are_judged_though_pods_of_others_may_not_be_seen(server):
    server.fail(403, "GET", PODS, "Forbidden", 'cannot list resource "pods"')
    assert [(one.id, one.verdict) for one in run(server) if one.id == "PF-01"] == [("PF-01", "pass"), ("PF-01", "skipped")]


def test_a_row_that_could_not_be_carried_out_is_an_error(server):
    server.fail(500, "GET", "^/version$", message="etcd is away", times=99)
    assert bad(run(server)) == [("PF-01", "error")]


def test_an_object_without_its_fields_does_not_hide_what_the_server_says_about_it(server):
    server.fail(422, "PATCH", reason="Invalid", message="spec.maxReplicas: Required value")
    broken = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": {}}
    assert bad(run(server, objects=[broken])) == [("PF-03", "fail"), ("PF-07", "error")]


def test_an_api_server_that_is_away_is_one_message(server):
    server.fail(0, "GET", "^/api/v1/namespaces/hsc-jit$", message="no answer", times=999)
    with pytest.raises(ApiError, match="no answer"):
        run(server)


def test_before_the_namespace_exists_its_objects_are_tried_in_default():
    server = healthy(namespaces=("default",))
    findings = run(server, secret_keys_provided={"hsc-secrets": ["gemini-key"]})
    assert bad(findings) == []
    assert asked(server, "PATCH") == ["/apis/apps/v1/namespaces/default/deployments/web"]
    assert not [path for path in asked(server, "GET") if "/secrets/" in path]


def test_a_kind_that_is_not_served_is_named(server):
    (finding,) = [one for one in run(server, objects=[{**WEB, "apiVersion": "apps/v9"}]) if one.verdict == "fail"]
    assert finding.message == "Deployment web: the API server serves no Deployment of apps/v9."


def test_no_value_of_a_secret_leaves(server):
    assert "dmFsdWU=" not in str([one.as_dict() for one in run(server)])


def test_a_clock_that_is_wrong_comes_before_all_that_it_judges(server):
    first = run(server, clock_skew=10_800.4)[0]
    assert (first.id, first.verdict) == ("PF-01", "fail")
    assert "differs from the API server's by +10,800 s" in first.message
    assert bad(run(server, clock_skew=-4.0)) == []


def store(ready=True, **container):
    """A StatefulSet and its pod."""
    metadata = {"name": "hsc-jit-redis", "uid": "s", "labels": PART_OF}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "hsc-jit-redis-0", "ownerReferences": [{"uid": "s", "kind": "StatefulSet"}]},
        "spec": {"containers": [{"name": "redis"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "redis", "restartCount": 4, "ready": ready, "state": {"running": {}}, **container}],
        },
    }
    stateful_set = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": {"replicas": 1}}
    server = healthy(SECRET, stateful_set)
    pod["metadata"]["ownerReferences"][0]["uid"] = server.find("apps/v1", "StatefulSet", "hsc-jit-redis")["metadata"]["uid"]
    server.add(pod)
    return server


def test_a_data_store_that_does_not_run_is_named_with_its_log():
    last = {"terminated": {"exitCode": 1, "reason": "Error"}}
    server = store(ready=False, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState=last)
    log = "Can't handle RDB format version 99\n"
    server.answers["/api/v1/namespaces/hsc-jit/pods/hsc-jit-redis-0/log"] = log.encode()
    (finding,) = [one for one in run(server) if one.id == "PF-09"]
    assert finding.verdict == "fail"
    assert "container redis: CrashLoopBackOff: exit code 1" in finding.message and "RDB format version 99" in finding.message
    assert "kubectl logs hsc-jit-redis-0 --previous" in finding.next_step


def test_data_stores_that_run_pass():
    (finding,) = [one for one in run(store()) if one.id == "PF-09"]
    assert (finding.verdict, finding.evidence["stores"]) == ("pass", ["StatefulSet hsc-jit-redis"])


def test_an_image_that_a_rollback_needs_must_be_in_its_registry(monkeypatch):
    gone = "localhost:5001/x@sha256:" + "b" * 64
    objects = [{**WEB, "spec": {**WEB["spec"], "template": {**POD, "spec": {"containers": [{"name": "c", "image": gone}]}}}}]
    release = record.Release(7, "deployed", "d", objects=objects, verified="run-1")
    server = healthy(SECRET, record.as_config_map(release))
    monkeypatch.setattr(checks.registry, "ask", lambda url, registry, known: Answer(404 if "bbbb" in url else 200))
    (finding,) = [one for one in run(server) if one.id == "PF-06"]
    assert finding.verdict == "fail" and "release 7, which a rollback needs" in finding.message
    assert "waiver" in finding.next_step
