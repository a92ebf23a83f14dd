"""OP-08 against a cluster in memory: who stays, who is asked to go, and what is said of those that do not."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError, OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._operate.drain import Drain
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from fake_clock import FakeClock
from memory_api import MemoryApiServer

BUDGET = "Cannot evict pod as it would violate the pod's disruption budget."


def pod(name, owner="ReplicaSet", phase="Running"):
    owners = [{"kind": owner, "uid": f"uid-{owner}"}] if owner else []
    metadata = {"name": name, "namespace": "ns", "ownerReferences": owners}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": "n1"}, "status": {"phase": phase}}


def cluster_of(*pods):
    """Two empty nodes, and the pods on the first."""
    nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in ("n1", "n2")]
    return MemoryApiServer(*nodes, *pods, namespaces=("ns",)).cluster("ns")


def refuse(cluster, name, status, reason, message, causes=()):
    """Every eviction of that pod is answered with this."""
    cluster.pool.fail(status, "POST", f"/pods/{name}/eviction", reason=reason, message=message, times=999, causes=causes)


def cordoned(cluster):
    return (cluster.get("/api/v1/nodes/n1").get("spec") or {}).get("unschedulable", False)


def drain(cluster, node="n1"):
    return Drain(cluster, node, Progress(), FakeClock())


def test_what_can_be_made_elsewhere_goes_and_the_rest_stays():
    cluster = cluster_of(
        pod("web"), pod("store", "StatefulSet"), pod("agent", "DaemonSet"), pod("static", "Node"), pod("done", "", "Failed")
    )
    finding = drain(cluster).run(60)
    assert sorted(cluster.pool.evicted) == ["store", "web"]
    assert (finding.verdict, finding.evidence["pods"]) == ("pass", 2)
    assert "stays cordoned" in finding.message
    assert finding.next_step == "kubectl uncordon n1"


def test_a_budget_that_allows_nothing_ends_it_in_bounded_time_and_is_named():
    cluster = cluster_of(pod("web"), pod("other"))
    causes = [("DisruptionBudget", "The disruption budget web needs 2 healthy pods and has 2 currently")]
    refuse(cluster, "web", 429, "TooManyRequests", BUDGET, causes)
    finding = drain(cluster).run(10)
    assert finding.verdict == "fail"
    assert cluster.pool.evicted == ["other"]
    assert "after 10 s, 1 pods are still there (ns/web): ns/web: Cannot evict pod" in finding.message
    assert "The disruption budget web needs 2 healthy pods" in finding.message
    assert "No pod was forced; the node stays cordoned." in finding.message


def test_a_pod_that_is_gone_meanwhile_is_no_problem():
    cluster = cluster_of(pod("web"))
    cluster.pool.before_write = lambda method, path: "eviction" in path and cluster.pool.objects.pop(("", "pods", "ns", "web"), None)
    assert drain(cluster).run(10).verdict == "pass"


def test_a_right_that_is_missing_is_not_taken_for_a_budget():
    cluster = cluster_of(pod("web"))
    refuse(cluster, "web", 403, "Forbidden", "cannot create resource pods/eviction")
    with pytest.raises(ApiError, match="cannot create"):
        drain(cluster).run(10)


def test_before_anything_is_changed_a_node_that_is_not_there_and_a_pod_that_nobody_would_make_again_are_named():
    cluster = cluster_of(pod("alone", ""))
    with pytest.raises(OperatorError, match="Nobody would make ns/alone again"):
        drain(cluster).pods()
    with pytest.raises(OperatorError, match="node is 'n9'"):
        drain(cluster, "n9").pods()
    assert not cordoned(cluster)
