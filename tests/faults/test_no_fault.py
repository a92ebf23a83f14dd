"""What looks like a fault and heals by itself is no reason to put anything back: it is told, and the release is good."""

import threading
import time

import pytest
from small_release import POD, SERVE, container, python, run
from waiting import until

pytestmark = pytest.mark.cluster


def deployed(base, small):
    """(seconds, warnings) of a release that must be good."""
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
    assert [finding.verdict for finding in outcome.findings if finding.verdict != "warn"] == ["pass", "pass"], outcome.findings
    assert outcome.facts["release"]["status"] == "deployed"
    return seconds, [finding.message for finding in outcome.findings if finding.verdict == "warn"]


ONCE = """
import pathlib, sys
mark = pathlib.Path("/shared/started")
if not mark.exists():
    mark.touch()
    sys.exit("the broker is not there yet")
"""


def test_a_container_that_ends_once_and_then_serves(base, seen):
    small = base.small()
    small.pod["volumes"] = [{"name": "shared", "emptyDir": {}}]
    small.one.update(command=python(ONCE + SERVE), volumeMounts=[{"name": "shared", "mountPath": "/shared"}])
    seconds, warnings = deployed(base, small)
    assert any("container web was restarted 1 times meanwhile" in message for message in warnings), warnings
    seen("each container ends once, then serves (no fault)", warnings[0][:200], seconds, 60, "the new release")
    base.deploy()


def test_a_slow_start_is_not_a_failure(base, seen):
    small = base.small()
    small.one["command"] = python("import time; time.sleep(12)\n" + SERVE)
    seconds, warnings = deployed(base, small)
    assert seconds > 20, "two pods, one after the other"
    seen("pods that need 12 s to start (no fault)", "ready", seconds, 60, "the new release")
    assert warnings == []
    base.deploy()


def test_what_was_missing_is_there_when_it_is_run_again(base, seen):
    """A kubelet looks for a volume's ConfigMap only once in two minutes in the end, and its word that there is none stays for an hour."""
    small = base.small()
    small.pod["volumes"] = [{"name": "late", "configMap": {"name": "late"}}]
    small.one.update(command=python("import time; time.sleep(5)\n" + SERVE), volumeMounts=[{"name": "late", "mountPath": "/late"}])
    outcome, _ = run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
    assert 'configmap "late" not found' in outcome.findings[-1].message
    time.sleep(30)  # the kubelet's next look is later than a minute by then
    base.cluster.create(base.cluster.namespaced("configmaps"), {"metadata": {"name": "late"}})
    seconds, _ = deployed(base, small)
    seen("volume whose ConfigMap has come since the run before (no fault)", "ready", seconds, 60, "the new release")
    assert seconds < 60
    base.deploy()


DEPENDS = """
import http.server, socket
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            socket.create_connection(("catalogue", 8000), 0.5).close()
        except OSError:
            return self.send_error(503)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""


def test_what_it_depends_on_is_back_when_it_is_run_again(base, seen):
    """The Deployment's own word that it made no progress stays until it does, and is of the run before."""
    path = base.cluster.namespaced("services")
    base.cluster.create(path, {"metadata": {"name": "catalogue"}, "spec": {"selector": {"app": "none"}, "ports": [{"port": 8000}]}})
    small = base.small()
    small.web["spec"]["progressDeadlineSeconds"] = 5
    small.one["command"] = python(DEPENDS)
    outcome, _ = run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
    assert "no progress within 5 s" in outcome.findings[-1].message
    base.cluster.patch_merge(f"{path}/catalogue", {"spec": {"selector": {"app": "store"}}})
    seconds, _ = deployed(base, small)
    seen("another service that is back when it is run again (no fault)", "ready", seconds, 30, "the new release")
    base.cluster.delete(f"{path}/catalogue")
    base.deploy()


def test_a_store_that_is_never_ready_is_corrected_by_the_next_release(base, seen):
    """Its controller would wait for the pod of the bad revision for ever before it makes one of the good."""
    small = base.small()
    small.settings["data"]["ANSWER"] = "503"
    outcome, _ = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), wait_seconds=10.0)
    assert any("StatefulSet store: 0 of 1 ready" in finding.message for finding in outcome.findings), outcome.findings
    seconds, _ = deployed(base, base.small())
    seen("a store that is never ready, then a release that corrects it (no fault)", "ready", seconds, 30, "the new release")


RECOVERS = """
import pathlib, time
log = pathlib.Path("/data/log")
with log.open("a") as lines:
    print("begins", file=lines, flush=True)
    time.sleep(8)
    print("is back", file=lines, flush=True)
"""


def test_a_store_that_recovers_is_not_ended_by_a_release_that_changes_it(base, seen):
    """A database that was killed reads its log again; ended meanwhile, it would begin anew."""
    small = base.small()
    small.store["spec"]["template"]["spec"]["containers"][0]["command"] = python(RECOVERS + SERVE)
    deployed(base, small)
    path = base.cluster.namespaced("pods/store-0")
    before = base.cluster.get(path)["metadata"]["uid"]

    def recovers():
        one = base.cluster.find(path)
        containers = one["status"].get("containerStatuses", []) if one and one["metadata"]["uid"] != before else []
        return any("running" in container["state"] for container in containers)

    base.cluster.delete(path)
    until(recovers, 30)
    small.settings["data"]["NEW"] = "1"
    seconds, _ = deployed(base, small)
    lines = base.cluster.exec("store-0", "store", ["cat", "/data/log"]).stdout.decode().splitlines()
    assert lines == ["begins", "is back"] * 3, "for the first release, for the pod that was killed, and for the second release"
    seen("a store that recovers while it is changed (no fault)", "ready", seconds, 60, "the new release")
    base.deploy()


def test_a_storage_class_that_has_come_since_the_run_before(base, seen, tmp_path):
    """The volume's controller looks every 15 s; until then its event of the run before stands there."""
    small, name = base.small(), f"{base.cluster.namespace}-late"
    wants = {"accessModes": ["ReadWriteOnce"], "storageClassName": name}
    claim = {**wants, "resources": {"requests": {"storage": "64Mi"}}}
    small.more.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "late"}, "spec": claim})
    small.pod["volumes"] = [{"name": "late", "persistentVolumeClaim": {"claimName": "late"}}]
    classes, volumes = "/apis/storage.k8s.io/v1/storageclasses", "/api/v1/persistentvolumes"
    volume = {**wants, "capacity": {"storage": "64Mi"}, "hostPath": {"path": str(tmp_path)}}

    def looks():
        said = base.cluster.list(base.cluster.namespaced("events"), fieldSelector="reason=ProvisioningFailed")
        return sum(one["count"] for one in said if one["involvedObject"]["name"] == "late")

    try:
        outcome, _ = run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
        assert any(f'"{name}" not found' in finding.message for finding in outcome.findings), outcome.findings
        before = looks()
        until(lambda: looks() > before, 30)  # the next look is 15 s away now
        base.cluster.create(classes, {"metadata": {"name": name}, "provisioner": "kubernetes.io/no-provisioner"})
        base.cluster.create(volumes, {"metadata": {"name": name}, "spec": volume})
        seconds, _ = deployed(base, small)
    finally:
        base.deploy()
        base.cluster.delete(base.cluster.namespaced("persistentvolumeclaims/late"))
        base.cluster.delete(f"{volumes}/{name}")
        base.cluster.delete(f"{classes}/{name}")
    seen("a storage class that has come since the run before (no fault)", "ready", seconds, 45, "the new release")
    assert seconds < 45


def owner(event):
    """``reader`` of a pod's or of its ReplicaSet's: what was refused."""
    return event["involvedObject"]["name"].partition("-")[0]


def test_a_quota_that_was_raised_since_the_run_before(base, seen, quota):
    """Its controllers try again later and later, 17 minutes apart in the end."""
    small = base.small()
    small.alone("reader")
    small.more.append(small.workload("StatefulSet", "shelf", container(base.image), 1))
    outcome, _ = run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
    assert any("exceeded quota" in finding.message for finding in outcome.findings), outcome.findings
    events = base.cluster.namespaced("events")
    until(lambda: {"reader", "shelf"} <= {owner(one) for one in base.cluster.list(events, fieldSelector="reason=FailedCreate")}, 10)
    time.sleep(45)  # the controllers' next try is later than half a minute by then
    base.cluster.patch_merge(base.cluster.namespaced("resourcequotas/full"), {"spec": {"hard": {"pods": "9"}}})
    seconds, _ = deployed(base, small)
    seen("a quota that was raised since the run before (no fault)", "ready", seconds, 20, "the new release")
    assert seconds < 20
    base.deploy()


def test_a_node_that_an_autoscaler_adds(base, seen, cluster_has_one_node, monkeypatch):
    """No pod of the release has a place until another one has gone: as if a node had come."""
    small, pods = base.small(), base.cluster.namespaced("pods")
    metadata = {"name": "in-the-way", "labels": {"app": "in-the-way"}}
    asleep = container(base.image, command=python("import time; time.sleep(600)"), envFrom=None, readinessProbe=None)
    base.cluster.create(pods, {"metadata": metadata, "spec": {"securityContext": POD, "containers": [asleep]}})
    until(lambda: base.cluster.get(f"{pods}/in-the-way")["spec"].get("nodeName"), 20)
    rule = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": metadata["labels"]}}
    small.pod["affinity"] = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}
    monkeypatch.setattr(base.cluster, "node_scale_up_seconds", 30.0)
    threading.Timer(8, base.cluster.delete, [f"{pods}/in-the-way", "Background", 0]).start()
    seconds, _ = deployed(base, small)
    assert 8 < seconds < 60
    seen("no node with room for 8 s, and an autoscaler (no fault)", "ready", seconds, 60, "the new release")
    base.deploy()


def test_an_evicted_pod_beside_its_replacement(base, seen):
    """It writes more than its volume may hold; the kubelet evicts it, and its replacement is well."""
    small = base.small()
    small.pod["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]
    small.one["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    deployed(base, small)
    pod = next(one for one in base.pods() if one["metadata"]["labels"]["app"] == "web")["metadata"]["name"]
    base.cluster.exec(pod, "web", ["python", "-c", "open('/scratch/x', 'wb').write(bytes(5_000_000))"])
    path = base.cluster.namespaced(f"pods/{pod}")
    until(lambda: (base.cluster.find(path) or {"status": {"phase": "Failed"}})["status"]["phase"] == "Failed", 120)
    small.settings["data"]["NEW"] = "1"
    seconds, _ = deployed(base, small)
    seen("evicted pod beside its replacement (no fault)", "ready", seconds, 60, "the new release")
    base.deploy()


def test_old_pods_that_take_their_time_to_end(base, seen):
    small = base.small()
    small.pod["terminationGracePeriodSeconds"] = 25
    small.one["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", "20"]}}}
    deployed(base, small)
    small.settings["data"]["NEW"] = "1"
    outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace))
    (ready,) = [finding for finding in outcome.findings if finding.id == "RO-02"]
    assert "Old pods that still end, out of the endpoints" in ready.message
    seen("old pods that need 20 s to end (no fault)", ready.message, seconds, 20, "the new release; old pods out of the endpoints")
    assert seconds < 20
    base.deploy()


def test_a_claim_that_only_a_cron_job_uses_is_not_waited_for(base, seen):
    small = base.small()
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}
    small.more.append({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "later"}, "spec": spec})
    one = container(small.image, name="job", command=python("pass"), envFrom=None, ports=None, readinessProbe=None)

    pod = {
        "restartPolicy": "Never", "securityContext": POD, "containers": [one],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "later"}}],
    }  # fmt: skip
    job = {"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": {"spec": pod}}}}
    small.more.append({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "later"}, "spec": job})
    seconds, _ = deployed(base, small)
    seen("claim that waits for a CronJob (no fault)", "ready", seconds, 10, "the new release")
    base.deploy()


def test_a_full_quota_where_one_pod_may_go_first(base, seen, quota):
    """The controller is refused once, ends an old pod, and has the room: slower, and no failure."""
    small = base.small()
    small.web["spec"]["strategy"]["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 1}
    small.settings["data"]["NEW"] = "1"  # for the store too, whose pod ends first as well
    seconds, _ = deployed(base, small)
    seen("full quota, and one pod may go first (no fault)", "ready", seconds, 60, "the new release")
    base.cluster.delete(base.cluster.namespaced("resourcequotas/full"))  # the release before may send none first: it would have no room
    base.deploy()
