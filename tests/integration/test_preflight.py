"""Pre-flight on a real cluster: what it sees, how long it takes, and that it writes nothing."""

import copy
import re
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube import connection
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import POOL_SIZE, Cluster
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from ansible_collections.hsc.jit.plugins.module_utils._preflight.checks import Asked, look
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from deployer_account import deployer_account, token
from waiting import until

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER = {
    "name": "c",
    "image": "localhost:5001/x@sha256:" + "0" * 64,
    "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    "securityContext": HARDENED,
    "env": [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "hsc-secrets", "key": "gemini-key"}}}],
}


def deployment(namespace, name="web", **container):
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{**copy.deepcopy(CONTAINER), **container}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def preflight(cluster, objects, **changes):
    settings = {
        "objects": objects,
        "images": {},
        "secret_keys_provided": {"hsc-secrets": ["gemini-key"]},
        "disk_free_bytes": 10**9,
        "inodes_free_percent": 1,
        "volume_free_percent": 1,
        "broker": "web-0",
        "lease_namespace": cluster.namespace,
        "field_manager": "hsc.jit",
        "force_conflicts": False,
        "now": datetime.now(UTC),
    }
    return look(cluster, Asked(**{**settings, **changes}), Progress())


def of(findings, row):
    return [one for one in findings if one.id == row]


def only(findings, row):
    (finding,) = of(findings, row)
    return finding


def everything_in(cluster):
    kinds = [
        "/api/v1/{}/configmaps",
        "/api/v1/{}/secrets",
        "/api/v1/{}/pods",
        "/apis/apps/v1/{}/deployments",
        "/apis/coordination.k8s.io/v1/{}/leases",
    ]
    paths = [kind.format(f"namespaces/{cluster.namespace}") for kind in kinds]
    return {one["metadata"]["uid"]: one["metadata"]["resourceVersion"] for path in paths for one in cluster.list(path)}


def test_forty_objects_are_looked_at_within_five_seconds_and_nothing_is_written(cluster, namespace):
    before = everything_in(cluster)
    began = time.monotonic()
    findings = preflight(cluster, [deployment(namespace, f"web-{number}") for number in range(40)])
    seconds = time.monotonic() - began
    assert {one.id for one in findings} == {f"PF-0{number}" for number in range(1, 10)}
    assert {one.verdict for row in ("PF-02", "PF-03", "PF-04", "PF-05", "PF-07") for one in of(findings, row)} == {"pass"}
    assert {one.verdict for one in of(findings, "PF-01")} <= {"pass", "warn"}
    assert everything_in(cluster) == before
    assert cluster.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/web-0") is None
    assert seconds < 5, f"{seconds:.1f} s"


def test_nine_gigabytes_where_more_are_needed(cluster, namespace):
    free = min(fs["availableBytes"] for fs in only(preflight(cluster, []), "PF-02").evidence["filesystems"].values())
    finding = of(preflight(cluster, [], disk_free_bytes=free + 10**9), "PF-02")[0]
    assert finding.verdict == "fail" and "free on nodefs" in finding.message and "are needed" in finding.message


@pytest.fixture
def ghost(cluster):
    """A node whose kubelet never reports, and on which nothing can start."""
    spec = {"unschedulable": True, "taints": [{"key": "hsc.jit/test", "effect": "NoExecute"}]}
    cluster.create("/api/v1/nodes", {"metadata": {"name": "test-ghost"}, "spec": spec})
    yield "test-ghost"
    cluster.delete("/api/v1/nodes/test-ghost")


def test_a_node_that_is_not_ready_and_cordoned(cluster, ghost):
    findings = preflight(cluster, [])
    bad = [one for one in findings if one.verdict != "pass" and one.evidence.get("node") == ghost]
    assert [(one.id, one.verdict) for one in bad] == [("PF-01", "fail"), ("PF-01", "warn"), ("PF-02", "fail")]
    assert "Node test-ghost: not Ready since" in bad[0].message
    assert "its kubelet does not say how full the disk is" in bad[2].message


def test_a_misspelt_field_is_found_by_the_server_itself(cluster, namespace):
    finding = only(preflight(cluster, [deployment(namespace, livenessProb={})]), "PF-03")
    assert finding.verdict == "fail" and finding.message.startswith("Deployment web:")
    assert "livenessProb" in finding.message


def test_a_pod_that_the_namespaces_rules_forbid(cluster, namespace):
    finding = only(preflight(cluster, [deployment(namespace, securityContext={"privileged": True})]), "PF-03")
    assert finding.verdict == "fail" and finding.message.startswith("Pods of Deployment web:")
    assert 'violates PodSecurity "restricted' in finding.message


def test_a_quota_that_is_too_small(cluster, namespace):
    quota = {"metadata": {"name": "small"}, "spec": {"hard": {"requests.memory": "8Mi"}}}
    cluster.create(f"/api/v1/namespaces/{namespace}/resourcequotas", quota)
    until(lambda: (cluster.get(f"/api/v1/namespaces/{namespace}/resourcequotas/small").get("status") or {}).get("hard"))
    finding = only(preflight(cluster, [deployment(namespace)]), "PF-03")
    assert finding.verdict == "fail" and "exceeded quota: small" in finding.message


def test_a_full_quota_of_pods_and_a_workload_that_may_go_first(cluster, namespace):
    web = deployment(namespace)
    web["spec"]["replicas"] = 1
    cluster.patch_apply(f"/apis/apps/v1/namespaces/{namespace}/deployments/web", web, "hsc.jit")
    until(lambda: len(cluster.list(cluster.namespaced("pods"))) == 1, 30)
    quota = {"metadata": {"name": "full"}, "spec": {"hard": {"pods": "1"}}}
    cluster.create(f"/api/v1/namespaces/{namespace}/resourcequotas", quota)
    until(lambda: (cluster.get(f"/api/v1/namespaces/{namespace}/resourcequotas/full").get("status") or {}).get("used"))
    finding = only(preflight(cluster, [web]), "PF-03")
    assert (finding.verdict, "exceeded quota: full" in finding.message) == ("fail", True)
    web["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 1}}
    finding = only(preflight(cluster, [web]), "PF-03")
    assert (finding.verdict, "An old pod ends first" in finding.next_step) == ("warn", True)


def test_a_budget_that_allows_no_pod_to_go(cluster, namespace):
    web = deployment(namespace)
    cluster.patch_apply(f"/apis/apps/v1/namespaces/{namespace}/deployments/web", web, "hsc.jit")
    spec = {"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}}
    path = cluster.namespaced("poddisruptionbudgets", "/apis/policy/v1")
    cluster.create(path, {"metadata": {"name": "all"}, "spec": spec})
    until(lambda: (cluster.get(f"{path}/all").get("status") or {}).get("expectedPods"), 30)
    (found,) = [one for one in of(preflight(cluster, [web]), "PF-07") if one.verdict == "warn"]
    assert "PodDisruptionBudget all: 0 disruptions allowed now, so no drain can finish" in found.message


def test_a_kind_that_is_not_installed(cluster, namespace):
    thing = {"apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor", "metadata": {"name": "s"}}
    assert "serves no ServiceMonitor" in only(preflight(cluster, [thing]), "PF-03").message


def test_a_kind_that_comes_with_the_release_is_not_tried_and_says_so(cluster, namespace):
    names = {"kind": "Gadget", "plural": "gadgets", "singular": "gadget"}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
    spec = {"group": "test.example", "names": names, "scope": "Namespaced", "versions": [version]}
    named = {"metadata": {"name": "gadgets.test.example"}}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", **named, "spec": spec}
    gadget = {"apiVersion": "test.example/v1", "kind": "Gadget", "metadata": {"name": "one"}}
    tried, later = of(preflight(cluster, [gadget, definition]), "PF-03")
    assert (tried.verdict, tried.evidence["objects"], later.verdict) == ("pass", 1, "skipped")
    assert "CustomResourceDefinition comes with this release: Gadget one" in later.message


def test_a_field_that_someone_else_owns(cluster, namespace):
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}, "data": {"a": "1"}}
    path = f"/api/v1/namespaces/{namespace}/configmaps/c"
    cluster.patch_apply(path, config, "someone")
    mine = {**config, "data": {"a": "2"}}
    finding = only(preflight(cluster, [mine]), "PF-03")
    assert finding.verdict == "fail" and '"someone"' in finding.message and "release_force_conflicts" in finding.next_step
    assert only(preflight(cluster, [mine], force_conflicts=True), "PF-03").verdict == "pass"
    assert cluster.get(path)["data"] == {"a": "1"}


def test_a_secret_that_is_missing_and_one_that_lacks_the_key(cluster, namespace):
    objects = [deployment(namespace)]
    finding = only(preflight(cluster, objects, secret_keys_provided={}), "PF-04")
    assert finding.verdict == "fail" and "Secret hsc-secrets does not exist" in finding.message
    cluster.create(
        f"/api/v1/namespaces/{namespace}/secrets", {"metadata": {"name": "hsc-secrets"}, "stringData": {"redis-url": "redis://x"}}
    )
    finding = only(preflight(cluster, objects, secret_keys_provided={}), "PF-04")
    assert "has no key gemini-key (it has: redis-url); needed by Deployment web: spec.template.spec.containers[0].env[0]" in finding.message


def test_an_image_that_is_not_in_the_registry_or_only_tagged(cluster, namespace):
    findings = of(preflight(cluster, [deployment(namespace), deployment(namespace, "tagged", image="localhost:5001/x:v3.2")]), "PF-06")
    assert [one.verdict for one in findings] == ["fail", "fail"]
    assert "Deployment tagged: spec.template.spec.containers[0].image): not named by digest." in findings[1].message


def test_more_than_the_nodes_can_hold(cluster, namespace):
    huge = deployment(namespace, resources={"requests": {"cpu": "900", "memory": "1Gi"}})
    finding = of(preflight(cluster, [huge]), "PF-01")[-1]
    assert finding.verdict == "fail" and "Deployment web" in finding.message and "needed: 900.0 cores" in finding.message


def test_before_the_namespace_exists(kubeconfig):
    cluster = connect({"kubeconfig": kubeconfig, "namespace": "test-never-made"})
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "test-never-made"}}
    finding = only(preflight(cluster, [namespace, deployment("test-never-made")], lease_namespace="default"), "PF-03")
    assert finding.verdict == "pass" and finding.evidence["tried_in_namespace"] == "default"
    assert cluster.find("/api/v1/namespaces/test-never-made") is None


def as_account(cluster, name) -> Cluster:
    """The same cluster, as a service account of the test's namespace."""
    bearer, without_certificate = token(cluster, name), copy.copy(cluster.configuration)
    without_certificate.cert_file = without_certificate.key_file = None
    pool = connection.pool(without_certificate, POOL_SIZE)
    return Cluster(cluster.server, cluster.namespace, pool, lambda: {"Authorization": f"Bearer {bearer}"})


@pytest.fixture
def visitor(cluster, namespace) -> Cluster:
    """An account that may do nothing."""
    cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "visitor"}})
    return as_account(cluster, "visitor")


@pytest.fixture
def deployer(cluster, namespace):
    """The account of docs/operations/deployer-rbac.yaml, in the test's namespace."""
    with deployer_account(cluster, namespace) as name:
        yield as_account(cluster, name)


def test_the_documented_rights_are_enough_to_look_at_everything_and_for_every_kind_of_the_release(deployer, namespace):
    kinds = set()
    for path in (ROOT / "roles/rollout/templates").glob("*/*.j2"):
        text = path.read_text()
        if "rollout_for_kubectl" not in text:  # what kubectl alone needs is applied by an administrator
            kinds.add((re.search(r"^apiVersion: (\S+)", text, re.M)[1], re.search(r"^kind: (\S+)", text, re.M)[1]))
    assert len(kinds) > 8
    objects = [{"apiVersion": version, "kind": kind, "metadata": {"name": "x"}} for version, kind in sorted(kinds)]
    denied = [one.as_line() for one in of(preflight(deployer, objects), "PF-05") if one.verdict != "pass"]
    assert denied == []
    findings = preflight(deployer, [deployment(namespace)])
    assert [
        one.as_line() for row in ("PF-01", "PF-02", "PF-03", "PF-04", "PF-05") for one in of(findings, row) if one.verdict != "pass"
    ] == []


def test_a_deployer_without_rights_is_told_each_rule_and_nothing_passes_unseen(visitor, namespace):
    findings = preflight(visitor, [deployment(namespace)], secret_keys_provided={})
    verdicts = {row: {one.verdict for one in of(findings, row)} for row in ("PF-01", "PF-02", "PF-03", "PF-04", "PF-05")}
    assert verdicts == {"PF-01": {"skipped"}, "PF-02": {"skipped"}, "PF-03": {"skipped"}, "PF-04": {"skipped"}, "PF-05": {"fail"}}
    steps = [one.next_step for one in of(findings, "PF-05")]
    assert any('apiGroups: ["apps"], resources: ["deployments"]' in step for step in steps)
    assert any('resources: ["pods/exec"]' in step for step in steps)


def test_a_right_that_is_given_by_name_is_none_to_create(visitor, cluster, namespace):
    """RBAC cannot allow to create by name, and `pods/exec` is no pod called exec: both are missing, and both are said at once."""
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list", "watch", "patch", "update", "delete"]}
    by_name = {"apiGroups": [""], "resources": ["configmaps", "pods"], "resourceNames": ["hsc-jit-config", "exec"], "verbs": ["create"]}
    rbac, subject = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}", {"kind": "ServiceAccount", "name": "visitor"}
    cluster.create(f"{rbac}/roles", {"metadata": {"name": "named"}, "rules": [everything, by_name]})
    reference = {"kind": "Role", "name": "named", "apiGroup": "rbac.authorization.k8s.io"}
    cluster.create(f"{rbac}/rolebindings", {"metadata": {"name": "named"}, "roleRef": reference, "subjects": [subject]})
    began = time.monotonic()
    said = [one.as_line() for one in of(preflight(visitor, [deployment(namespace)]), "PF-05")]
    assert time.monotonic() - began < 5
    assert any("configmaps" in line and "create" in line for line in said), said
    assert any("pods/exec" in line and "create" in line for line in said), said
