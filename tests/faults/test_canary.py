"""A canary that is good is promoted, one that is worse is withdrawn before the release touches anything."""

import secrets
import time

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._canary.canary import Canary
from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.modules.canary import SPEC
from small_release import SERVE, python, run
from waiting import until

pytestmark = pytest.mark.cluster
ASK = {"workload": "web", "path": "/", "percent": [50.0], "seconds": 30.0, "rate_per_second": 50.0, "wait_seconds": 60.0}
ERRORS = SERVE.replace(
    "def do_GET(self):", "def do_GET(self):\n        import random\n        if random.random() < .05: return self.send_error(500)"
)
SLOW = SERVE.replace("def do_GET(self):", "def do_GET(self):\n        import time\n        time.sleep(.06)")


def tried(base, small, check_mode=False, **more):
    params = {
        **{name: option.get("default") for name, option in SPEC.items()},
        **ASK,
        **more,
        "objects": small.objects(base.cluster.namespace),
    }
    began = time.monotonic()
    outcome = Canary(Context(params, check_mode, Progress(), base.cluster)).run()
    return outcome.findings[-1], time.monotonic() - began


def canary(base):
    return base.cluster.find(base.cluster.namespaced("deployments/web-canary", "/apis/apps/v1"))


def test_a_good_one_is_promoted_and_the_release_takes_it_away(base, seen):
    small, run_id = base.small(), f"run-{secrets.token_hex(3)}"
    small.settings["data"]["NEW"] = "1"
    finding, seconds = tried(base, small, seconds=8.0)
    assert finding.verdict == "pass", finding
    assert finding.evidence["canary"]["asked"] > 200
    assert canary(base)
    assert "NEW" not in base.cluster.get(base.cluster.namespaced("configmaps/settings"))["data"]
    outcome, _ = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run=run_id)
    assert "2 deleted" in outcome.findings[0].message, "the Deployment and its copy of the settings"
    until(lambda: canary(base) is None, 20)
    seen("canary that is as good (no fault)", finding.message, seconds, 30, "the new release")
    base.deploy()


@pytest.mark.parametrize(
    ("name", "code", "said", "within"),
    [("canary with 5 % errors", ERRORS, "answers were errors", 15), ("canary that needs 60 ms longer", SLOW, "took longer", 30)],
)
def test_a_worse_one_is_withdrawn(base, seen, name, code, said, within):
    small, before, serving = base.small(), base.specs(), base.serving()
    small.one["command"] = python(code)
    finding, seconds = tried(base, small)
    assert finding.verdict == "fail"
    assert said in finding.message
    until(lambda: canary(base) is None, 20)
    assert base.specs() == before
    assert serving <= base.serving()
    seen(name, finding.message, seconds, within, "the release before; the canary was removed")
    assert seconds <= within


def test_one_that_does_not_start_is_withdrawn_with_its_reason(base, seen):
    small = base.small()
    small.one["command"] = python("raise SystemExit('no licence')")
    finding, seconds = tried(base, small)
    assert finding.verdict == "fail"
    assert finding.message.startswith("The canary does not start.")
    assert "no licence" in finding.message
    assert canary(base) is None or canary(base)["metadata"].get("deletionTimestamp")
    seen("canary that does not start", finding.message[:200], seconds, 10, "the release before; the canary was removed")
    assert seconds <= 10


def test_without_a_change_there_is_nothing_to_try(base):
    finding, _ = tried(base, base.small())
    assert (finding.verdict, finding.message) == ("pass", "No canary: the release does not change web.")


def test_limits_alone_are_tried_too(base):
    small = base.small()
    small.one["resources"]["limits"]["memory"] = "63Mi"
    finding, _ = tried(base, small, check_mode=True)
    assert "a canary would get 50 % of the pods" in finding.message


def test_a_workload_that_the_release_does_not_have_is_named(base):
    with pytest.raises(OperatorError, match="no Deployment elsewhere"):
        tried(base, base.small(), workload="elsewhere")


def test_check_mode_says_what_it_would_do_and_makes_nothing(base):
    small = base.small()
    small.settings["data"]["NEW"] = "1"
    finding, _ = tried(base, small, check_mode=True)
    assert "a canary would get 50 % of the pods" in finding.message
    assert canary(base) is None
