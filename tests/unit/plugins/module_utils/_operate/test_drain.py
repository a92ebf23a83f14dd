"""OP-08 against a cluster in memory: who stays, who is asked to go, and what is said of those that do not."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError, OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._operate.drain import Drain
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from fake_clock import FakeClock

BUDGET = "Cannot evict pod as it would violate the pod's disruption budget."


def pod(name, owner="ReplicaSet", phase="Running"):
    owners = [{"kind": owner}] if owner else []
    return {"metadata": {"name": name, "namespace": "ns", "ownerReferences": owners}, "status": {"phase": phase}}


class FakeCluster:
    """Evicted pods are gone at the next look. held: name -> what the eviction is answered with."""

    def __init__(self, *pods, held=None):
        self.pods, self.held, self.cordoned, self.evicted = list(pods), held or {}, False, []

    def list(self, path, **query):
        if path == "/api/v1/nodes":
            return [{"metadata": {"name": "n1"}}, {"metadata": {"name": "n2"}}]
        assert query == {"fieldSelector": "spec.nodeName=n1"}
        return list(self.pods)

    def patch_merge(self, path, changes, **query):
        assert (path, changes) == ("/api/v1/nodes/n1", {"spec": {"unschedulable": True}})
        self.cordoned = True

    def impatient(self):
        return self

    def create(self, path, body):
        name = body["metadata"]["name"]
        assert path == f"/api/v1/namespaces/ns/pods/{name}/eviction" and self.cordoned
        if name in self.held:
            raise self.held[name]
        self.evicted.append(name)
        self.pods = [one for one in self.pods if one["metadata"]["name"] != name]


def drain(cluster, node="n1"):
    return Drain(cluster, node, Progress(), FakeClock())


def test_what_can_be_made_elsewhere_goes_and_the_rest_stays():
    cluster = FakeCluster(
        pod("web"), pod("store", "StatefulSet"), pod("agent", "DaemonSet"), pod("static", "Node"), pod("done", "", "Failed")
    )
    finding = drain(cluster).run(60)
    assert cluster.evicted == ["web", "store"]
    assert (finding.verdict, finding.evidence["pods"]) == ("pass", 2)
    assert "stays cordoned" in finding.message
    assert finding.next_step == "kubectl uncordon n1"


def test_a_budget_that_allows_nothing_ends_it_in_bounded_time_and_is_named():
    held = ApiError(429, "TooManyRequests", BUDGET, [{"message": "The disruption budget web needs 2 healthy pods and has 2 currently"}])
    cluster = FakeCluster(pod("web"), pod("other"), held={"web": held})
    finding = drain(cluster).run(10)
    assert finding.verdict == "fail"
    assert cluster.evicted == ["other"]
    assert "after 10 s, 1 pods are still there (ns/web): ns/web: Cannot evict pod" in finding.message
    assert "The disruption budget web needs 2 healthy pods" in finding.message
    assert "No pod was forced; the node stays cordoned." in finding.message


def test_a_pod_that_is_gone_meanwhile_is_no_problem():
    cluster = FakeCluster(pod("web"), held={"web": ApiError(404, "NotFound", "gone")})
    cluster.impatient = lambda: cluster.pods.clear() or cluster
    assert drain(cluster).run(10).verdict == "pass"


def test_a_right_that_is_missing_is_not_taken_for_a_budget():
    with pytest.raises(ApiError, match="cannot create"):
        drain(FakeCluster(pod("web"), held={"web": ApiError(403, "Forbidden", "cannot create resource pods/eviction")})).run(10)


def test_before_anything_is_changed_a_node_that_is_not_there_and_a_pod_that_nobody_would_make_again_are_named():
    cluster = FakeCluster(pod("alone", ""))
    with pytest.raises(OperatorError, match="Nobody would make ns/alone again"):
        drain(cluster).pods()
    with pytest.raises(OperatorError, match="node is 'n9'"):
        drain(cluster, "n9").pods()
    assert not cluster.cordoned
