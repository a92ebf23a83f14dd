"""Somebody used kubectl meanwhile: it is named, refused or taken back, and nothing of it is left over."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import drift as release_drift
from small_release import run
from waiting import until

pytestmark = pytest.mark.cluster


def kubectl(kubeconfig, cluster, *words):
    program = shutil.which("kubectl") or str(Path(kubeconfig).parent / "bin/kubectl")
    subprocess.run([program, f"--kubeconfig={kubeconfig}", f"--namespace={cluster.namespace}", *words], check=True, capture_output=True)


def test_rollout_undo_by_hand(base, seen, kubeconfig):
    """kubectl's undo takes the pods back and leaves everything else: drift says who, a deployment stops, forced it is whole again."""
    small = base.small()
    for value in ("1", "2"):
        small.one["env"] = [{"name": "NEW", "value": value}]
        objects = small.objects(base.cluster.namespace)
        outcome, _ = run(base.cluster, "present", objects=objects)
        assert not [one for one in outcome.findings if one.verdict == "fail"], outcome.findings
    path = base.cluster.namespaced("deployments/web", "/apis/apps/v1")
    wanted = base.cluster.get(path)["spec"]["template"]["spec"]["containers"]
    kubectl(kubeconfig, base.cluster, "rollout", "undo", "deployment/web")
    until(lambda: base.cluster.get(path)["spec"]["template"]["spec"]["containers"] != wanted, 20)

    (drift,) = release_drift.look(Context({"field_manager": "hsc.jit"}, False, Progress(), base.cluster))
    assert drift.verdict == "fail"
    assert "(kubectl, " in drift.message  # so it calls itself there
    forced, seconds = run(base.cluster, "present", objects=objects, force_conflicts=True)
    assert not [one for one in forced.findings if one.verdict == "fail"], forced.findings
    assert base.cluster.get(path)["spec"]["template"]["spec"]["containers"] == wanted
    assert [one.verdict for one in release_drift.look(Context({"field_manager": "hsc.jit"}, False, Progress(), base.cluster))] == ["pass"]
    seen("kubectl rollout undo by hand", drift.message[:200], seconds, 30, "exactly the release's containers, after a forced deployment")
    base.deploy()
