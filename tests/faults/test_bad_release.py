"""A release that is bad in one way: reported with its reason in seconds, and the release before is back while its pods never stopped."""

import secrets
from dataclasses import dataclass
from typing import Any

import pytest
from small_release import CONTAINER, POD, container, python, run

pytestmark = pytest.mark.cluster
ZERO = "@sha256:" + "0" * 64
RESOURCES = {"requests": {"cpu": "5m", "memory": "16Mi"}}


@dataclass(frozen=True)
class Fault:
    """name: what is broken. change: breaks a Small. said: what the verdict must say. within: seconds from the first request to it."""

    name: str
    change: Any
    said: str
    within: float
    row: str = "RO-02"


def of(**more):
    """A fault of the web pods' container."""
    return lambda small: small.one.update(more)


def pod(**more):
    return lambda small: small.pod.update(more)


def init(small):
    small.pod["initContainers"] = [
        container(small.image, name="init", command=python("raise SystemExit('no route to the database')"), ports=None, readinessProbe=None)
    ]


def volume(source):
    def change(small):
        small.pod["volumes"] = [{"name": "v", **source}]
        small.one["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]

    return change


def claim(small):
    spec = {"storageClassName": "nobody-made-this", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    small.more.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "lost"}, "spec": spec})
    volume({"persistentVolumeClaim": {"claimName": "lost"}})(small)


def helped_job(small):
    small.job("print('migrated')")
    helper = container(
        small.image, name="helper", command=python("import time; time.sleep(600)"), envFrom=None, ports=None, readinessProbe=None
    )
    small.more[-1]["spec"]["template"]["spec"]["containers"].append(helper)


def tried_again(small):
    small.job("print('revision 8 is missing'); raise SystemExit(4)", backoffLimit=1)
    small.more[-1]["spec"]["template"]["spec"]["restartPolicy"] = "OnFailure"


def never_ready(small):
    small.web["spec"]["progressDeadlineSeconds"] = 5
    small.settings["data"]["ANSWER"] = "503"


def killed_by_its_probe(small):
    small.web["spec"]["minReadySeconds"] = 15
    small.one["livenessProbe"] = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}


BAD = [
    Fault("image that the registry does not have", of(image=f"localhost:5001/hsc-jit-service{ZERO}"), "not found", 8),
    Fault("image name that is none", of(image="Localhost/UPPER:x"), "InvalidImageName", 6),
    Fault(
        "process ends with 3", of(command=python("print('cannot open the catalogue'); raise SystemExit(3)")), "cannot open the catalogue", 8
    ),
    Fault("process takes more memory than it may", of(command=python("x = bytearray(10**9)")), "OOMKilled", 8),
    Fault("program is not in the image", of(command=["/usr/bin/none"]), "/usr/bin/none", 8),
    Fault(
        "key of a Secret is missing",
        of(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hsc-jit-generated", "key": "none"}}}]),
        "none",
        8,
    ),
    Fault("ConfigMap of the environment is missing", of(envFrom=[{"configMapRef": {"name": "nobody-made-this"}}]), "nobody-made-this", 8),
    Fault("Secret of a volume is missing", volume({"secret": {"secretName": "nobody-made-this"}}), "nobody-made-this", 8),
    Fault("more CPU than a node has", of(resources={"requests": {"cpu": "900"}}), "Insufficient cpu", 8),
    Fault("no node has the label", pod(nodeSelector={"disk": "none"}), "affinity/selector", 8),
    Fault("init container ends with an error", init, "no route to the database", 10),
    Fault("settings with which it is never ready", never_ready, "no progress within 5 s", 14),
    Fault("liveness probe that always fails", killed_by_its_probe, "container web", 20),
    Fault(
        "pods that Pod Security forbids", of(securityContext={**CONTAINER, "allowPrivilegeEscalation": True}), "allowPrivilegeEscalation", 5
    ),
    Fault("root user where it must not be", pod(securityContext={**POD, "runAsNonRoot": False, "runAsUser": 0}), "runAsNonRoot", 5),
    Fault("claim of a class that does not exist", claim, "nobody-made-this", 10),
    Fault("Job that fails", lambda small: small.job("print('revision 7 is missing'); raise SystemExit(1)"), "revision 7 is missing", 8),
    Fault("Job that a helper container keeps open", helped_job, "helper keeps the Job open", 12),
    Fault("Job that is tried again, whose pod is gone then", tried_again, "revision 8 is missing", 30),
    Fault("Job that never ends", lambda small: small.job("import time; time.sleep(600)", activeDeadlineSeconds=3), "DeadlineExceeded", 10),
]


@pytest.mark.parametrize("fault", BAD, ids=lambda fault: fault.name)
def test_it_is_reported_in_seconds_and_put_back_while_users_notice_nothing(base, seen, fault):
    small, run_id = base.small(), f"run-{secrets.token_hex(3)}"
    fault.change(small)
    before, serving = base.specs(), base.serving()
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run=run_id)
    bad = [finding for finding in outcome.findings if finding.verdict == "fail"]
    assert [finding.id for finding in bad] == [fault.row] * len(bad), outcome.findings
    assert any(fault.said in finding.message for finding in bad), bad
    assert bad[0].next_step
    back = base.put_back(run_id)
    assert base.specs() == before
    assert serving <= base.serving(), "a pod of the good release was replaced"
    seen(fault.name, bad[0].message[:200], seconds, fault.within, f"release before, after {back:.1f} s")
    assert seconds <= fault.within
    assert back <= 30


def test_one_bad_replica_among_three_is_seen(base, seen):
    """Two are ready, the third ends: two good ones must not hide it."""
    small, run_id = base.small(), f"run-{secrets.token_hex(3)}"
    small.store["spec"]["replicas"] = 3
    code = "import os, time\nif os.environ['HOSTNAME'] == 'store-2': raise SystemExit('store-2 has no licence')\ntime.sleep(600)"
    (store,) = small.store["spec"]["template"]["spec"]["containers"]
    store |= {"command": python(code), "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}}
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run=run_id)
    (bad,) = [finding for finding in outcome.findings if finding.verdict == "fail"]
    assert "store-2 has no licence" in bad.message
    back = base.put_back(run_id)
    seen("one replica of three ends", bad.message[:200], seconds, 20, f"release before, after {back:.1f} s")
    assert seconds <= 20


HELD = [
    ("StatefulSet with a partition left by hand", "statefulsets/store", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}}}),
    ("Deployment paused by hand", "deployments/web", {"spec": {"paused": True}}),
    (
        "StatefulSet set to OnDelete by hand",
        "statefulsets/store",
        {"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": None}}},
    ),
]


@pytest.mark.parametrize(("name", "what", "patch"), HELD, ids=[one[0] for one in HELD])
def test_a_field_that_holds_pods_back_is_named_with_whose_it_is(base, seen, name, what, patch):
    path = base.cluster.namespaced(what, "/apis/apps/v1")
    base.cluster.patch_merge(path, patch, fieldManager="kubectl-patch")
    try:
        small, run_id = base.small(), f"run-{secrets.token_hex(3)}"
        small.settings["data"]["NEW"] = "1"
        outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run=run_id)
        bad = [finding for finding in outcome.findings if finding.verdict == "fail"]
        assert any("set by kubectl-patch" in finding.message and "holds" in finding.message for finding in bad), outcome.findings
        seen(name, bad[0].message[:200], seconds, 8, "old pods serve; corrected by whoever set it")
        assert seconds <= 8
    finally:
        usual = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
        base.cluster.patch_merge(
            path, {"spec": {"updateStrategy": usual} if "store" in what else {"paused": False}}, fieldManager="kubectl-patch"
        )
        base.deploy()


def test_what_the_bad_release_dropped_is_back_too(base, seen):
    """It removes one object, changes another, and breaks the web pods: all three are as before."""
    small = base.small()
    small.more.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dropped"}, "data": {"a": "1"}})
    run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
    before, bad, run_id = base.specs(), base.small(), f"run-{secrets.token_hex(3)}"
    bad.settings["data"]["NEW"] = "1"
    bad.one["command"] = ["/usr/bin/none"]
    outcome, seconds = run(base.cluster, "present", objects=bad.objects(base.cluster.namespace), run=run_id)
    assert base.cluster.find(base.cluster.namespaced("configmaps/dropped")) is None
    back = base.put_back(run_id)
    assert base.specs() == before
    assert base.cluster.get(base.cluster.namespaced("configmaps/dropped"))["data"] == {"a": "1"}
    seen(
        "release that drops an object and breaks another", outcome.findings[-1].message[:200], seconds, 8, f"all of it, after {back:.1f} s"
    )
    base.deploy()


def test_a_quota_without_room_for_one_more_pod(base, seen, quota):
    small, run_id, serving = base.small(), f"run-{secrets.token_hex(3)}", base.serving()
    small.one["env"] = [{"name": "NEW", "value": "1"}]
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run=run_id)
    (finding,) = [one for one in outcome.findings if one.verdict == "fail"]
    assert "exceeded quota" in finding.message
    assert serving <= base.serving()
    base.put_back(run_id)
    seen("quota without room for the pod that comes first", finding.message[:200], seconds, 8, "the release before; its pods never stopped")
    assert seconds <= 8


def test_two_pods_of_a_workload_that_cannot_live_side_by_side(base, seen, cluster_has_one_node):
    """One replica, its own enemy, and the old pod may not go first: found when the scheduler says so, not when the time is over."""
    small, run_id = base.small(), f"run-{secrets.token_hex(3)}"
    solo = small.alone("solo")
    outcome, _ = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run=run_id)
    assert not [one for one in outcome.findings if one.verdict == "fail"], outcome.findings
    solo["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "NEW", "value": "1"}]
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run=f"{run_id}-2")
    (finding,) = [one for one in outcome.findings if one.verdict == "fail"]
    assert "anti-affinity" in finding.message, finding
    base.put_back(f"{run_id}-2")
    seen("workload that tolerates no second pod beside it", finding.message[:200], seconds, 10, "the release before")
    assert seconds <= 10
    base.deploy()
