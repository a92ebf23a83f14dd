"""The whole pre-flight against an API server that answers from a dict; the judgements have tests of their own."""

import re
import threading
from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._images.registry import Answer
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from ansible_collections.hsc.jit.plugins.module_utils._preflight import checks
from ansible_collections.hsc.jit.plugins.module_utils._preflight.checks import Asked, look
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress

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
    "metadata": {"name": "n0"},
    "spec": {},
    "status": {
        "nodeInfo": {"kubeletVersion": "v1.36.3"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
    },
}
ANSWERS = {
    "/apis/apps/v1": {"resources": [{"name": "deployments", "kind": "Deployment", "namespaced": True}]},
    "/api/v1/namespaces/hsc-jit": {"metadata": {"name": "hsc-jit"}},
    "/api/v1/nodes": {"kind": "NodeList", "items": [NODE]},
    "/apis/policy/v1/namespaces/hsc-jit/poddisruptionbudgets": {"kind": "PodDisruptionBudgetList", "items": []},
    "/api/v1/pods": {"kind": "PodList", "items": []},
    "/version": {"gitVersion": "v1.36.3"},
    "/apis/metrics.k8s.io/v1beta1/nodes": {"kind": "NodeMetricsList", "items": [{}]},
    "/api/v1/nodes/n0/proxy/stats/summary": {
        "node": {"fs": {"availableBytes": 5e10, "capacityBytes": 8e10, "inodesFree": 9, "inodes": 10}}
    },
    "/api/v1/namespaces/hsc-jit/secrets/hsc-secrets": {"data": {"gemini-key": "dmFsdWU=", "redis-url": ""}},
}


class Server(Cluster):
    """Answers GET from a dict; PATCH must be a dry run, POST an access review. Anything else would be a write."""

    def __init__(self, **changes):
        super().__init__("https://k", "hsc-jit", None, dict)
        self.answers, self.denied, self.refused = {**ANSWERS}, set(), None
        self.seen, self.lock = [], threading.Lock()

    def get(self, path, **query):
        with self.lock:
            self.seen.append(("GET", path))
        answer = self.answers.get(path, ApiError(404, "NotFound", f"{path} not found"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def patch_apply(self, path, obj, field_manager, force=False, dry_run=False):
        assert dry_run and field_manager == "hsc.jit"
        with self.lock:
            self.seen.append(("PATCH", path))
        if self.refused:
            raise self.refused
        return obj

    def create(self, path, obj, **query):
        if path.endswith("/pods"):
            assert query["dryRun"] == "All" and obj["metadata"]["generateName"] == "web-"
            return obj
        assert path.endswith("/selfsubjectaccessreviews")
        attributes = obj["spec"]["resourceAttributes"]
        return {"status": {"allowed": (attributes["resource"], attributes["verb"]) not in self.denied}}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(checks.registry, "ask", lambda url, registry, known: Answer(200))
    return Server()


def run(server, objects=(WEB,), **changes):
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
    return look(server, Asked(**{**settings, **changes}), Progress())


def bad(findings):
    return [(one.id, one.verdict) for one in findings if one.verdict != "pass"]


def test_a_healthy_cluster_passes_every_row(server):
    findings = run(server)
    assert bad(findings) == []
    assert sorted({one.id for one in findings}) == [f"PF-0{number}" for number in range(1, 9)]
    assert ("PATCH", "/apis/apps/v1/namespaces/hsc-jit/deployments/web") in server.seen


def test_all_findings_come_together(server):
    server.answers["/api/v1/namespaces/hsc-jit/secrets/hsc-secrets"] = {"data": {"redis-url": ""}}
    server.refused = ApiError(400, "BadRequest", ".spec.x: field not declared in schema")
    server.denied = {("deployments", "create")}
    findings = run(server, disk_free_bytes=6 * 10**10)
    assert bad(findings) == [("PF-02", "fail"), ("PF-03", "fail"), ("PF-04", "fail"), ("PF-05", "fail")]


def test_a_row_that_may_not_look_is_skipped_and_the_others_are_judged(server):
    server.answers["/api/v1/nodes"] = ApiError(403, "Forbidden", 'cannot list resource "nodes"')
    findings = run(server)
    assert bad(findings) == [("PF-01", "skipped"), ("PF-02", "skipped")]
    assert 'cannot list resource "nodes"' in findings[0].message


def test_nodes_are_judged_though_pods_of_others_may_not_be_seen(server):
    server.answers["/api/v1/pods"] = ApiError(403, "Forbidden", 'cannot list resource "pods"')
    assert [(one.id, one.verdict) for one in run(server) if one.id == "PF-01"] == [("PF-01", "pass"), ("PF-01", "skipped")]


def test_a_row_that_could_not_be_carried_out_is_an_error(server):
    server.answers["/version"] = ApiError(500, "InternalError", "etcd is away")
    assert bad(run(server)) == [("PF-01", "error")]


def test_an_object_without_its_fields_does_not_hide_what_the_server_says_about_it(server):
    server.refused = ApiError(422, "Invalid", "spec.maxReplicas: Required value")
    server.answers["/apis/autoscaling/v2"] = {
        "resources": [{"name": "horizontalpodautoscalers", "kind": "HorizontalPodAutoscaler", "namespaced": True}]
    }
    broken = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}, "spec": {}}
    assert bad(run(server, objects=[broken])) == [("PF-03", "fail"), ("PF-07", "error")]


def test_an_api_server_that_is_away_is_one_message(server):
    server.answers["/api/v1/namespaces/hsc-jit"] = ApiError(0, "Unreachable", "no answer")
    with pytest.raises(ApiError, match="no answer"):
        run(server)


def test_before_the_namespace_exists_its_objects_are_tried_in_default(server):
    del server.answers["/api/v1/namespaces/hsc-jit"]
    findings = run(server, secret_keys_provided={"hsc-secrets": ["gemini-key"]})
    assert bad(findings) == []
    assert ("PATCH", "/apis/apps/v1/namespaces/default/deployments/web") in server.seen
    assert not [path for method, path in server.seen if re.search("/secrets/", path)]


def test_a_kind_that_is_not_served_is_named(server):
    (finding,) = [one for one in run(server, objects=[{**WEB, "apiVersion": "apps/v9"}]) if one.verdict == "fail"]
    assert finding.message == "Deployment web: the API server serves no Deployment of apps/v9."


def test_no_value_of_a_secret_leaves(server):
    assert "dmFsdWU=" not in str([one.as_dict() for one in run(server)])


def test_a_clock_that_is_wrong_comes_before_all_that_it_judges(server):
    server.clock_skew = 10_800.4
    first = run(server)[0]
    assert (first.id, first.verdict) == ("PF-01", "fail")
    assert "differs from the API server's by +10,800 s" in first.message
    server.clock_skew = -4.0
    assert bad(run(server)) == []
