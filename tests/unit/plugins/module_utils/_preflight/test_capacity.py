import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.workloads import workloads
from ansible_collections.hsc.jit.plugins.module_utils._preflight.capacity import added_pods, check, tolerated


def node(name="n0", cpu="2", memory="4Gi", pods="10", **spec):
    return {"metadata": {"name": name, "labels": {}}, "spec": spec, "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}}


def deployment(name="web", cpu="500m", memory="1Gi", **spec):
    containers = [{"name": "c", "resources": {"requests": {"cpu": cpu, "memory": memory}}}]
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template, **spec},
    }


def pod(app="web", on="n0", cpu="500m", namespace="hsc-jit"):
    spec = {"nodeName": on, "containers": [{"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}}]}
    return {"metadata": {"namespace": namespace, "labels": {"app": app}}, "spec": spec, "status": {"phase": "Running"}}


def verdicts(objects, nodes, pods=()):
    return [(one.verdict, one.evidence["added_pods"]) for one in check(objects, nodes, pods, "hsc-jit")]


def test_what_fits_passes():
    assert verdicts([deployment(replicas=3)], [node()]) == [("pass", 3)]


def test_what_runs_is_counted_once_and_a_rolling_update_needs_one_more():
    assert verdicts([deployment(replicas=3)], [node()], [pod(), pod(), pod()]) == [("pass", 1)]
    assert verdicts([deployment(replicas=4)], [node()], [pod(), pod(), pod(), pod()]) == [("pass", 0)]


def test_too_much_fails_and_names_the_workload_and_the_numbers():
    (finding,) = check([deployment(replicas=9)], [node()], [], "hsc-jit")
    assert finding.verdict == "fail" and finding.evidence["needed"]["cpu"] == 4.5 and finding.evidence["free"]["cpu"] == 2
    assert "Deployment web" in finding.message and "needed: 4.5 cores" in finding.message


def test_an_autoscaler_may_make_the_room():
    (finding,) = check([deployment(replicas=9)], [node()], [], "hsc-jit", node_scale_up_seconds=180)
    assert finding.verdict == "warn" and "autoscaler has 180 s" in finding.message


def test_a_pod_larger_than_any_node_is_seen_though_the_sum_is_enough():
    (finding,) = check([deployment(cpu="3", replicas=1)], [node("a"), node("b")], [], "hsc-jit")
    assert finding.verdict == "warn" and "No node has room for 1 of 1 pods" in finding.message


def test_other_peoples_pods_take_room():
    assert verdicts([deployment(replicas=2)], [node()], [pod("x", cpu="1500m", namespace="other")])[0][0] == "fail"


def test_cordoned_and_tainted_nodes_take_nothing():
    assert verdicts([deployment(replicas=1)], [node(unschedulable=True)])[0][0] == "fail"
    assert verdicts([deployment(replicas=1)], [node(taints=[{"key": "k", "effect": "NoSchedule"}])])[0][0] == "warn"


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"operator": "Exists"}, True),
        ({"key": "k", "operator": "Exists"}, True),
        ({"key": "k", "value": "v", "effect": "NoSchedule"}, True),
        ({"key": "k", "value": "w"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False),
    ],
)
def test_tolerations(toleration, expected):
    tainted = node(taints=[{"key": "k", "value": "v", "effect": "NoSchedule"}, {"key": "soft", "effect": "PreferNoSchedule"}])
    assert tolerated(tainted, {"tolerations": [toleration]}) is expected


@pytest.mark.parametrize(
    ("spec", "running", "least", "expected"),
    [
        ({"replicas": 3}, 0, {}, 3),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}, 3, {}, 1),
        ({"replicas": 3, "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "50%"}}}, 3, {}, 2),
        ({"replicas": 4, "strategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 2}}}, 4, {}, 0),
        ({"replicas": 1, "strategy": {"type": "Recreate"}}, 1, {}, 0),
        ({}, 7, {"web": 2}, 0),  # an HPA holds 7, and 25 % of them may be away
        ({}, 3, {"web": 2}, 1),
        ({}, 0, {"web": 2}, 2),
    ],
)
def test_how_many_pods_must_run_beside_those_that_run(spec, running, least, expected):
    assert added_pods(workloads([deployment(**spec)])[0], running, least) == expected
