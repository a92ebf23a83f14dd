"""The API server is away for twenty seconds in the middle of a rollout: it is said, waited for, and the release is good."""

import threading
import time

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from forwarder import Forwarder, api_server, changed
from small_release import SERVE, python, run
from waiting import until

pytestmark = pytest.mark.cluster


@pytest.fixture
def door(kubeconfig):
    one = Forwarder(api_server(kubeconfig))
    yield one
    one.cut()


@pytest.fixture
def through(base, door, kubeconfig, tmp_path):
    """The base's namespace, by a way that can be cut."""
    server = f"https://127.0.0.1:{door.port}"
    path = changed(kubeconfig, tmp_path / "config", server=server, tls_server_name="kubernetes")
    return connect({"kubeconfig": path, "namespace": base.cluster.namespace})


def test_twenty_seconds_are_survived(base, door, through, seen):
    small, results = base.small(), []
    small.one["command"] = python("import time; time.sleep(6)\n" + SERVE)
    objects = small.objects(base.cluster.namespace)
    work = threading.Thread(target=lambda: results.append(run(through, "present", objects=objects, wait_seconds=120.0)))
    work.start()
    until(lambda: len(base.serving()) > 2, 30)  # the first new pod is there: the wait has begun
    door.cut()
    time.sleep(20)
    door.mend()
    work.join(120)
    ((outcome, seconds),) = results
    assert [finding.verdict for finding in outcome.findings if finding.verdict != "warn"] == ["pass", "pass"], outcome.findings
    seen("API server away for 20 s during the wait (no fault)", "ready", seconds, 90, "the new release")
    base.deploy()
    assert seconds <= 90


def test_forty_seconds_are_said_with_the_address(base, door, through, seen):
    small = base.small()
    small.one["command"] = python("import time; time.sleep(60)\n" + SERVE)
    failed = []

    def work():
        try:
            run(through, "present", objects=small.objects(base.cluster.namespace), run="away")
        except ApiError as problem:
            failed.append((problem.message, time.monotonic()))

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: len(base.serving()) > 2, 30)
    door.cut()
    cut = time.monotonic()
    thread.join(90)
    ((message, when),) = failed
    assert f"127.0.0.1:{door.port}" in message
    back = base.put_back("away")
    seen("API server away for good during the wait", message[:200], when - cut, 40, f"release before, after {back:.1f} s, by the next run")
    assert when - cut <= 40
