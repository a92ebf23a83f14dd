"""The steps of a canary on an API server in memory. Its measured answers are given; `test_traffic.py` tests how they are judged."""

import copy

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._canary.canary import Canary
from ansible_collections.hsc.jit.plugins.module_utils._canary.traffic import Comparison
from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import desired, manifests
from ansible_collections.hsc.jit.plugins.modules.canary import SPEC
from controllers import never_ready, ready_at_once
from fake_clock import TickingClock
from memory_api import MemoryApiServer

DEFAULTS = {name: option.get("default") for name, option in SPEC.items()} | {
    "workload": "web",
    "percent": [20.0, 50.0],
    "wait_seconds": 5.0,
}
DEPLOYMENTS, CONFIGS = "/apis/apps/v1/namespaces/hsc-jit/deployments", "/api/v1/namespaces/hsc-jit/configmaps"


def stamped(obj, wave):
    return manifests.stamp(obj, wave, "hsc-jit")


def release(image, **settings):
    """A Deployment of four pods that reads one ConfigMap, rendered."""
    container = {"name": "web", "image": image, "envFrom": [{"configMapRef": {"name": "settings"}}]}
    spec = {"replicas": 4, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {"containers": [container]}}}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": settings}
    web = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    return manifests.complete([("a", stamped(config, "10-config")), ("b", stamped(web, "30-workloads"))])


@pytest.fixture
def server():
    server = MemoryApiServer()
    server.controllers.append(ready_at_once)
    cluster = server.cluster()
    config, web = release("web:1")
    cluster.patch_apply(f"{CONFIGS}/settings", desired.marked(config), "hsc.jit")
    cluster.patch_apply(f"{DEPLOYMENTS}/web", desired.marked(web), "hsc.jit")
    server.requests.clear()
    return server


def comparison(*, bad=0, pairs=200, due=200):
    seen = Comparison(due)
    for number in range(pairs):
        seen.add(None if number < bad else 0.01, 0.01)
    return seen


def canary(server, objects, *measured, check_mode=False, **params):
    cluster, given = server.cluster(), {**DEFAULTS, **params, "objects": copy.deepcopy(objects)}
    one = Canary(Context(given, check_mode, Progress(), cluster, clock=TickingClock()))
    answers = list(measured)
    one.asker.compare = lambda seconds, rate: answers.pop(0)
    outcome = one.run()
    assert not answers, "a step was not measured"
    return outcome


def verdicts(outcome):
    return [finding.verdict for finding in outcome.findings]


def names(server):
    return sorted(name for group, plural, _, name in server.objects if plural in ("deployments", "configmaps"))


def test_a_good_canary_goes_through_its_steps_and_stays(server):
    outcome = canary(server, release("web:2", NEW="1"), comparison(), comparison())
    assert verdicts(outcome) == ["pass", "pass"]
    assert names(server) == ["settings", "settings-canary", "web", "web-canary"]
    assert server.find("apps/v1", "Deployment", "web-canary")["spec"]["replicas"] == 4, "half of all beside four"
    assert server.find("v1", "ConfigMap", "settings")["data"] == {}, "stable pods keep their settings"
    written = [path for _, path in server.writes()]
    assert f"{DEPLOYMENTS}/web" not in written and f"{CONFIGS}/settings" not in written


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ([comparison(bad=60)], "with 20 % of the pods is worse: 60 of 200 answers were errors"),
        ([comparison(), comparison(bad=60)], "with 50 % of the pods is worse"),
        ([comparison(pairs=20)], "not enough data, 20 of 200 pairs"),
    ],
)
def test_a_worse_canary_is_withdrawn(server, measured, message):
    outcome = canary(server, release("web:2"), *measured)
    assert verdicts(outcome)[-1] == "fail" and message in outcome.findings[-1].message
    assert names(server) == ["settings", "web"]
    assert outcome.after == {"withdrawn": "web-canary"}


def test_a_canary_that_does_not_start_is_withdrawn_without_a_measurement(server):
    server.controllers[:] = [never_ready]
    outcome = canary(server, release("web:2"))
    assert verdicts(outcome) == ["fail"] and "The canary does not start." in outcome.findings[0].message
    assert names(server) == ["settings", "web"]


@pytest.mark.parametrize(
    ("objects", "params", "message"),
    [
        (release("web:1"), {}, "the release does not change web"),
        (release("web:2"), {"way_back": {"action": "hold"}}, "does not run on the new schema"),
    ],
)
def test_no_canary_where_nothing_can_be_compared(server, objects, params, message):
    outcome = canary(server, objects, **params)
    assert verdicts(outcome) == ["pass"] and message in outcome.findings[0].message
    assert server.writes() == []


def test_no_canary_in_a_first_deployment():
    server = MemoryApiServer()
    outcome = canary(server, release("web:1"))
    assert "no pod of web runs" in outcome.findings[0].message and server.writes() == []


def test_check_mode_says_the_steps_and_writes_nothing(server):
    outcome = canary(server, release("web:2"), check_mode=True)
    assert "20 % and 50 % of the pods" in outcome.findings[0].message and server.writes() == []


def test_an_unknown_workload_is_refused(server):
    with pytest.raises(OperatorError, match="the release has no Deployment api"):
        canary(server, release("web:2"), workload="api")
