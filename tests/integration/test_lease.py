"""One run at a time, with real playbooks on a real API server: refused, killed, given back."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._lease.lease import Holder, Keeper, Slot
from ansible_collections.hsc.jit.plugins.module_utils._process import has_ended
from leased import PLAYBOOK, leased
from playbook import ROOT, command, environment
from waiting import until

pytestmark = pytest.mark.cluster


@pytest.fixture
def slot(namespace):
    return Slot(namespace, "hsc-jit", 20)


@pytest.fixture
def play(kubeconfig, slot, tmp_path):
    """play(name, seconds=120) as a context: (process, file with its result)."""
    return partial(leased, kubeconfig, slot, tmp_path)


def keeper(cluster, slot, name="test", pid=0):
    return Keeper(cluster, slot, Holder(f"{name}@test:{pid}/run"), lambda: datetime.now(UTC), time.sleep, has_ended)


def holder(cluster, slot):
    lease = keeper(cluster, slot).read()
    return ((lease or {}).get("spec") or {}).get("holderIdentity")


def test_of_many_runs_at_the_same_moment_exactly_one_goes_on(cluster, slot):
    for number in range(5):
        one = Slot(slot.namespace, f"race-{number}", 20)
        with ThreadPoolExecutor(20) as pool:
            verdicts = list(pool.map(lambda run, one=one: keeper(cluster, one, f"run{run}").take()[0].verdict, range(20)))
        assert sorted(verdicts) == ["fail"] * 19 + ["pass"]


def test_the_second_playbook_is_refused_and_told_who_works(cluster, slot, play):
    with play("first") as (_, result):
        until(result.exists, 30)
        with play("second") as (second, _):
            output, _ = second.communicate(timeout=30)
        assert second.returncode == 2
        assert "PF-90 fail: Release hsc-jit:" in output and "/first is at work since" in output
        assert holder(cluster, slot) == json.loads(result.read_text())["lease"]["holder"]
        began = time.monotonic()
        assert keeper(cluster, slot).take()[0].verdict == "fail"
        assert time.monotonic() - began < 3


def test_a_killed_run_frees_the_lease_within_seconds(cluster, slot, play):
    with play("killed") as (process, result):
        until(result.exists, 30)
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not holder(cluster, slot), 5)
    with play("next", seconds=0) as (process, _):
        process.communicate(timeout=30)
        assert process.returncode == 0


def test_a_run_whose_keeper_was_lost_too_is_replaced_at_once(cluster, slot, play):
    with play("killed") as (process, result):
        until(result.exists, 30)
        os.kill(process.pid, signal.SIGSTOP)  # the run stands still, so its keeper goes on
        before = keeper(cluster, slot).read()["spec"]["renewTime"]
        until(lambda: keeper(cluster, slot).read()["spec"]["renewTime"] != before, 10)
        lease = keeper(cluster, slot).read()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not holder(cluster, slot), 5)
        now = keeper(cluster, slot).read()["metadata"]["resourceVersion"]
        path = f"/apis/coordination.k8s.io/v1/namespaces/{slot.namespace}/leases/{slot.name}"
        lease["metadata"]["resourceVersion"] = now  # as if the machine had lost both processes in the same moment
        cluster.replace(path, lease)
    began = time.monotonic()
    finding, _ = keeper(cluster, slot).take()
    assert finding.verdict == "pass" and "process has ended" in finding.message
    assert time.monotonic() - began < 3


def test_a_run_that_was_killed_on_the_way_takes_no_lease(cluster, kubeconfig, slot, tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    mine = PLAYBOOK.replace('run: "%s"', f'run: "%s", pid: {gone.pid}')
    playbook = tmp_path / "gone.yml"
    playbook.write_text(mine % (kubeconfig, slot.release, slot.namespace, "gone", tmp_path, 0))
    line = command(playbook, "-c", "local", inventory="localhost,", ansible_python_interpreter=sys.executable)
    run = subprocess.run(line, check=False, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert run.returncode == 2
    assert f"pid {gone.pid}: the run has ended" in run.stdout
    assert holder(cluster, slot) is None


def test_a_run_that_ends_gives_the_lease_back(cluster, slot, play):
    with play("short", seconds=0) as (process, result):
        process.communicate(timeout=30)
        assert process.returncode == 0 and json.loads(result.read_text())["changed"] is False
        until(lambda: not holder(cluster, slot), 5)
