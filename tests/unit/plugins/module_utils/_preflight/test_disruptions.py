"""PF-07: budgets that allow nothing, and rollouts that can never begin."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._preflight.disruptions import check_budgets, check_side_by_side


def budget(allowed, healthy=2, pods=2, wanted=2):
    status = {"disruptionsAllowed": allowed, "currentHealthy": healthy, "expectedPods": pods, "desiredHealthy": wanted}
    return {"kind": "PodDisruptionBudget", "metadata": {"name": "web"}, "status": status}


def test_a_budget_that_allows_no_pod_to_go():
    (found,) = check_budgets([budget(1), budget(0), budget(0, pods=0, healthy=0)])
    assert (found.id, found.verdict) == ("PF-07", "warn")
    assert "0 disruptions allowed now, so no drain can finish: 2 of 2 pods are well, 2 must be" in found.message
    assert "maxUnavailable: 1" in found.next_step


def test_a_budget_that_sick_pods_use_up():
    (found,) = check_budgets([budget(0, healthy=1, wanted=1)])
    assert found.next_step == "Mend its pods."


def test_budgets_that_may_not_be_read_are_no_pass():
    assert [one.verdict for one in check_budgets(ApiError(403, "Forbidden", "cannot list"))] == ["skipped"]


def deployment(replicas=1, key="kubernetes.io/hostname", app="web", **strategy):
    rule = {"topologyKey": key, "labelSelector": {"matchLabels": {"app": app}}}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"affinity": affinity, "containers": []}}
    return {"kind": "Deployment", "metadata": {"name": "web"}, "spec": {"replicas": replicas, "template": template, "strategy": strategy}}


NODE = {"metadata": {"name": "n"}, "spec": {}}
ONE_FIRST = {"rollingUpdate": {"maxUnavailable": 1}}


@pytest.mark.parametrize(
    ("obj", "nodes", "verdicts"),
    [
        (deployment(), [NODE], ["fail"]),  # 25 % of one is none
        (deployment(), [NODE, NODE], []),
        (deployment(), [NODE, {**NODE, "spec": {"unschedulable": True}}], ["fail"]),
        (deployment(3), [NODE] * 3, ["fail"]),
        (deployment(4), [NODE] * 4, []),  # 25 % of four is one
        (deployment(**ONE_FIRST), [NODE], []),
        (deployment(type="Recreate"), [NODE], []),
        (deployment(app="other"), [NODE], []),
        (deployment(key="zone"), [NODE], []),
        (deployment(0), [NODE], []),
        (deployment(), ApiError(403, "Forbidden", "cannot list nodes"), ["skipped"]),
        (deployment(app="other"), ApiError(403, "Forbidden", "cannot list nodes"), []),
    ],
)
def test_pods_that_cannot_live_side_by_side(obj, nodes, verdicts):
    found = check_side_by_side([obj], nodes)
    assert [one.verdict for one in found] == verdicts
    assert all("maxUnavailable rounds to 0" in one.message for one in found if one.verdict == "fail")
