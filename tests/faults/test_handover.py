"""A legal change takes no pod down: autoscalers, objects of other tools, copies of our objects, rotated Secrets."""

import copy
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import drift as release_drift
from private_namespace import private_namespace
from small_release import Small, container, run, stamped
from waiting import until

pytestmark = pytest.mark.cluster
DEPLOYMENT = "/apis/apps/v1"


@pytest.fixture(scope="module")
def cluster(kubeconfig):
    with private_namespace(kubeconfig, "test-handover") as cluster:
        yield cluster


def released(cluster, *objects, **params):
    """The outcome of a release of exactly these objects; it must become good."""
    outcome, _ = run(cluster, "present", objects=stamped(objects, cluster.namespace), **params)
    assert not [one for one in outcome.findings if one.verdict in ("fail", "error")], outcome.findings
    return outcome


def kubectl(kubeconfig, cluster, *words, stdin=""):
    program = shutil.which("kubectl") or str(Path(kubeconfig).parent / "bin/kubectl")
    argv = [program, f"--kubeconfig={kubeconfig}", f"--namespace={cluster.namespace}", *words]
    return subprocess.run(argv, check=True, capture_output=True, text=True, input=stdin).stdout


def workload(image, name, replicas=None, **more):
    obj = Small.workload("Deployment", name, container(image, envFrom=None, **more), replicas or 1)
    if replicas is None:
        del obj["spec"]["replicas"]
    return obj


def autoscaler(name):
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}, "minReplicas": 2, "maxReplicas": 4}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name}, "spec": spec}


def pods(cluster, name):
    listed = cluster.list(cluster.namespaced("pods"), labelSelector=f"app={name}")
    return {pod["metadata"]["uid"] for pod in listed if not pod["metadata"].get("deletionTimestamp")}


def live(cluster, name, plural="deployments", api=DEPLOYMENT):
    return cluster.get(f"{cluster.namespaced(plural, api)}/{name}")


def test_an_autoscaler_comes_and_goes_and_no_pod_is_killed(cluster, images):
    plain, scaled = workload(images["service"], "scaled", 3), workload(images["service"], "scaled", 3)
    released(cluster, plain)
    before = pods(cluster, "scaled")
    outcome, _ = run(cluster, "planned", check_mode=True, objects=stamped([scaled, autoscaler("scaled")], cluster.namespace))
    assert "spec.replicas" not in json.dumps(outcome.facts["plan"])
    released(cluster, scaled, autoscaler("scaled"))
    assert pods(cluster, "scaled") == before and live(cluster, "scaled")["spec"]["replicas"] == 3
    path = f"{cluster.namespaced('deployments', DEPLOYMENT)}/scaled/scale"
    cluster.patch_merge(path, {"spec": {"replicas": 2}}, fieldManager="kube-controller-manager")  # what the HPA does
    released(cluster, scaled, autoscaler("scaled"))
    assert live(cluster, "scaled")["spec"]["replicas"] == 2
    outcome, _ = run(cluster, "previous", release_to=1, run="by-hand")
    assert [one.verdict for one in outcome.findings if one.id == "RO-03"] == ["pass"], outcome.findings
    assert live(cluster, "scaled")["spec"]["replicas"] == 3
    assert cluster.find(f"{cluster.namespaced('horizontalpodautoscalers', '/apis/autoscaling/v2')}/scaled") is None


def test_a_field_with_a_harmful_default_is_told_before_it_changes(cluster, images):
    obj = workload(images["service"], "defaults", 1)
    obj["spec"]["strategy"] = {"type": "Recreate"}
    released(cluster, obj)
    del obj["spec"]["strategy"]
    outcome, _ = run(cluster, "planned", check_mode=True, objects=stamped([obj], cluster.namespace))
    assert "spec.strategy.type is not in the manifest" in str([one.message for one in outcome.findings if one.verdict == "warn"])


def test_what_kubectl_apply_made_is_taken_over_whole(cluster, images, kubeconfig):
    """Live equals rendered afterwards: what kubectl had and the release does not is gone, nothing conflicts, drift is silent."""
    obj = workload(images["service"], "applied", 2)
    theirs = copy.deepcopy(obj)
    theirs["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "OLD", "value": "1"}]
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"kept": "1", "gone": "1"}}
    for one in stamped([theirs, settings], cluster.namespace):
        kubectl(kubeconfig, cluster, "apply", "-f", "-", stdin=json.dumps(one))
    settings = {**settings, "data": {"kept": "1"}}
    outcome = released(cluster, obj, settings)
    assert "kubectl-client-side-apply" in str([one.message for one in outcome.findings])
    assert live(cluster, "applied", "configmaps", "/api/v1")["data"] == {"kept": "1"}
    there = live(cluster, "applied")
    assert "env" not in there["spec"]["template"]["spec"]["containers"][0] and there["spec"]["replicas"] == 2
    assert "kubectl-client-side-apply" not in str(there["metadata"]["managedFields"])
    again, _ = run(cluster, "present", objects=stamped([obj, settings], cluster.namespace))
    assert again.before == again.after
    drift = release_drift.look(Context({"field_manager": "hsc.jit"}, False, Progress(), cluster))
    assert [one.verdict for one in drift] == ["pass"], drift


def test_a_copy_of_our_object_stays_and_is_named(cluster, images, kubeconfig):
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "original"}, "data": {"a": "1"}}
    released(cluster, settings)
    copied = live(cluster, "original", "configmaps", "/api/v1")
    for name in ("uid", "resourceVersion", "creationTimestamp", "managedFields"):
        del copied["metadata"][name]
    copied["metadata"]["name"] = "copied"
    kubectl(kubeconfig, cluster, "create", "-f", "-", stdin=json.dumps(copied))
    outcome = released(cluster, {**settings, "data": {"a": "2"}})
    assert "ConfigMap copied" in str([one.message for one in outcome.findings if one.verdict == "warn"])
    assert live(cluster, "copied", "configmaps", "/api/v1")["data"] == {"a": "1"}


def test_a_rotated_secret_reaches_the_pods_that_read_it(cluster, images):
    env = [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "rotated", "key": "key"}}}]
    reader, other = workload(images["service"], "reader", 1, env=env), workload(images["service"], "other", 1)
    released(cluster, reader, other, secrets={"rotated": {"key": "one"}})
    before = pods(cluster, "reader"), pods(cluster, "other")
    again, _ = run(cluster, "present", objects=stamped([reader, other], cluster.namespace), secrets={"rotated": {"key": "one"}})
    assert again.before == again.after
    released(cluster, reader, other, secrets={"rotated": {"key": "two"}})
    until(lambda: not pods(cluster, "reader") & before[0], 60)
    assert pods(cluster, "other") == before[1]
    (name,) = [pod["metadata"]["name"] for pod in cluster.list(cluster.namespaced("pods"), labelSelector="app=reader")
               if not pod["metadata"].get("deletionTimestamp")]  # fmt: skip
    assert cluster.exec(name, "web", ["printenv", "KEY"]).stdout == b"two\n"
