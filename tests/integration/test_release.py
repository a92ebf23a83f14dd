"""The release engine on a real cluster: what is written, what is not, what is reported and how fast, and the way back."""

import time

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._product import PART_OF
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._release import drift as release_drift
from small_release import run, stamped, versions, writes

pytestmark = pytest.mark.cluster
SECURITY = {"runAsNonRoot": True, "runAsUser": 65535, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture(scope="session")
def pause(kubeconfig):
    """An image that is on every node: the sandbox's."""
    from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect

    images = [
        name for node in connect({"kubeconfig": kubeconfig}).list("/api/v1/nodes") for i in node["status"]["images"] for name in i["names"]
    ]
    return next(name for name in images if "pause" in name)


@pytest.fixture
def release(cluster):
    """Carry out one call of the module's work: release("present", objects=[…], check_mode=…) -> Outcome"""

    def call(state, **params):
        return run(cluster, state, **params)[0]

    return call


def config(name="settings", **data):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def workload(image, name="web", **container):
    one = {
        "name": "web",
        "image": image,
        "securityContext": CONTAINER,
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
        **container,
    }
    spec = {"securityContext": SECURITY, "terminationGracePeriodSeconds": 0, "containers": [one]}
    selector = {"matchLabels": {"app": name}}
    body = {"replicas": 2, "selector": selector, "template": {"spec": spec}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body}


def verdicts(outcome):
    return {finding.id: finding.verdict for finding in outcome.findings}


@pytest.fixture
def definition(cluster):
    """A kind that the cluster does not have yet; nobody prunes one, so the test takes it away."""
    word = f"gadget{cluster.namespace.replace('-', '')}"
    names = {"kind": word.capitalize(), "plural": f"{word}s", "singular": word}
    schema = {
        "openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}
    }
    versions = [{"name": "v1", "served": True, "storage": True, "schema": schema}]
    body = {"group": "test.example", "names": names, "scope": "Namespaced", "versions": versions}
    name = f"{word}s.test.example"
    yield {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name}, "spec": body}
    cluster.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")


def gadget(definition):
    return {"apiVersion": "test.example/v1", "kind": definition["spec"]["names"]["kind"], "metadata": {"name": "one"}, "spec": {"size": 3}}


def test_first_again_changed_and_back(release, cluster, pause):
    objects = stamped([config(A="1"), workload(pause), config("gone", B="2")], cluster.namespace)
    first = release("present", objects=objects, run="one", secrets={"hsc-secrets": {"redis-url": "redis://x", "gemini-key": "k"}})
    assert verdicts(first) == {"RO-01": "pass", "RO-02": "pass"}
    assert first.before != first.after
    assert first.facts["release"]["number"] == 1
    assert len(cluster.get(f"{cluster.namespaced('secrets')}/hsc-jit-generated")["data"]) == 4

    before, cluster.requests = versions(cluster), {}
    again = release("present", objects=objects, run="two", secrets={"hsc-secrets": {"redis-url": "redis://x", "gemini-key": "k"}})
    assert (again.before, writes(cluster), versions(cluster)) == (again.after, {}, before)
    assert again.facts["release"]["number"] == 1
    release("verified", run="two")

    changed = stamped([config(A="2"), workload(pause, args=["new"])], cluster.namespace)
    assert release("present", objects=changed, run="three").facts["release"]["number"] == 2
    with pytest.raises(ApiError):
        cluster.get(f"{cluster.namespaced('configmaps')}/gone")

    assert verdicts(release("previous", run="four", only_this_run=True))["RO-03"] == "pass"
    assert cluster.get(f"{cluster.namespaced('configmaps')}/settings")["data"] == {"A": "2"}, "run four had applied nothing"
    way_back = {"action": "code", "class": "expand", "database": "0007", "applied": False, "text": "", "commands": []}
    back = release("previous", run="three", only_this_run=True, way_back=way_back)
    assert verdicts(back)["RO-03"] == "pass"
    assert cluster.get(f"{cluster.namespaced('configmaps')}/settings")["data"] == {"A": "1"}
    assert cluster.get(f"{cluster.namespaced('configmaps')}/gone")["data"] == {"B": "2"}
    assert back.facts["release"] | {"number": 3, "restores": 1, "status": "deployed", "database": "0007"} == back.facts["release"]


def test_check_mode_predicts_and_writes_nothing(release, cluster, pause):
    objects = stamped([config(A="1"), workload(pause)], cluster.namespace)
    before, cluster.requests = versions(cluster), {}
    predicted = release("present", objects=objects, check_mode=True)
    assert versions(cluster) == before
    assert predicted.before != predicted.after
    actual = release("present", objects=objects)
    assert (predicted.before, predicted.after) == (actual.before, actual.after)


def test_one_refused_object_and_nothing_is_applied(release, cluster, pause):
    wrong = workload(pause)
    wrong["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = "Sometimes"
    outcome = release("present", objects=stamped([config(A="1"), wrong], cluster.namespace))
    (finding,) = outcome.findings
    assert finding.verdict == "fail"
    assert "imagePullPolicy" in finding.message
    with pytest.raises(ApiError):
        cluster.get(f"{cluster.namespaced('configmaps')}/settings")


def test_a_change_by_hand_is_named_and_overwritten_only_when_told_to(release, cluster):
    objects = stamped([config(A="1")], cluster.namespace)
    release("present", objects=objects)
    path = f"{cluster.namespaced('configmaps')}/settings"
    cluster.patch_merge(path, {"data": {"A": "by hand"}}, fieldManager="kubectl-edit")
    (finding,) = release("present", objects=objects).findings
    assert "kubectl-edit" in finding.message
    assert "release_force_conflicts" in finding.next_step
    release("present", objects=objects, force_conflicts=True)
    assert cluster.get(path)["data"] == {"A": "1"}


def test_what_others_made_is_not_pruned(release, cluster):
    theirs = {**config("theirs"), "metadata": {"name": "theirs", "labels": PART_OF}}
    cluster.create(cluster.namespaced("configmaps"), theirs)
    release("present", objects=stamped([config(A="1")], cluster.namespace))
    release("present", objects=stamped([config("other", A="1")], cluster.namespace))
    names = {item["metadata"]["name"] for item in cluster.list(cluster.namespaced("configmaps"))}
    assert "theirs" in names
    assert "settings" not in names


def test_replicas_are_the_autoscalers(release, cluster, pause):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    spec = {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 9, "metrics": [metric]}
    hpa = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec}
    release("present", objects=stamped([workload(pause), hpa], cluster.namespace))
    path = f"{cluster.namespaced('deployments', '/apis/apps/v1')}/web"
    cluster.patch_merge(f"{path}/scale", {"spec": {"replicas": 3}})
    release("present", objects=stamped([workload(pause, args=["new"]), hpa], cluster.namespace))
    assert cluster.get(path)["spec"]["replicas"] == 3


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"image": "localhost:5001/none@sha256:" + "0" * 64}, "ImagePull"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "hsc-jit-generated", "key": "none"}}}]}, "none"),
        ({"command": ["/does-not-exist"]}, "does-not-exist"),
        ({"resources": {"requests": {"cpu": "999"}}}, "Insufficient cpu"),
    ],
    ids=["image", "key", "command", "cpu"],
)
def test_a_fault_is_reported_with_its_reason_within_seconds(release, cluster, pause, fault, words):
    started = time.monotonic()
    outcome = release("present", objects=stamped([workload(**{"image": pause, **fault})], cluster.namespace), run="r")
    took = time.monotonic() - started
    assert verdicts(outcome)["RO-02"] == "fail"
    assert words in outcome.findings[-1].message
    assert took < 15
    assert outcome.facts["release"]["status"] == "started"


def test_a_first_release_that_fails_stays_for_inspection_and_says_how_to_remove_it(release, cluster, pause):
    broken = stamped([workload(pause, command=["/does-not-exist"])], cluster.namespace)
    assert verdicts(release("present", objects=broken, run="r"))["RO-02"] == "fail"
    (finding,) = release("previous", run="r", only_this_run=True).findings
    assert (finding.id, finding.verdict) == ("RO-03", "warn")
    assert f"kubectl delete namespace {cluster.namespace}" in finding.next_step
    assert cluster.find(f"{cluster.namespaced('deployments', '/apis/apps/v1')}/web")


def test_quota_is_reported_before_or_during_the_rollout(release, cluster, pause):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}}
    cluster.create(cluster.namespaced("resourcequotas"), quota)
    outcome = release("present", objects=stamped([workload(pause)], cluster.namespace))
    assert "exceeded quota" in outcome.findings[-1].message


@pytest.mark.slow
def test_what_was_corrected_outside_is_seen_by_the_next_run_at_once(release, cluster, pause):
    """The pod waits in ImagePullBackOff or CrashLoopBackOff; its cause is gone; nobody wants to wait for the kubelet's next try."""
    objects = stamped([workload(pause, command=["/does-not-exist"])], cluster.namespace)
    assert verdicts(release("present", objects=objects))["RO-02"] == "fail"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pods = cluster.list(cluster.namespaced("pods"))
        waiting = [
            (one["state"].get("waiting") or {}).get("reason") for pod in pods for one in pod["status"].get("containerStatuses") or []
        ]
        if "CrashLoopBackOff" in waiting:
            break
        time.sleep(1)
    before = {pod["metadata"]["uid"] for pod in pods}
    release("present", objects=objects)
    stay = {pod["metadata"]["uid"] for pod in cluster.list(cluster.namespaced("pods")) if not pod["metadata"].get("deletionTimestamp")}
    assert not before <= stay


def test_what_the_server_writes_otherwise_needs_no_request_either(release, cluster, pause):
    """2000m is stored as 2: that our entry in managedFields is as it was after the apply is proof enough."""
    objects = stamped([workload(pause, resources={"limits": {"cpu": "2000m"}, "requests": {"cpu": "1m"}})], cluster.namespace)
    release("present", objects=objects)
    cluster.requests = {}
    again = release("present", objects=objects)
    assert (again.before, writes(cluster)) == (again.after, {})


def drift(cluster):
    found = release_drift.look(Context({"field_manager": "hsc.jit"}, False, Progress(), cluster))
    return [finding.verdict for finding in found], "\n".join(finding.message for finding in found)


def test_drift_names_who_changed_what(release, cluster, pause):
    release("present", objects=stamped([config(A="1"), config("gone", B="2"), workload(pause)], cluster.namespace))
    assert drift(cluster) == (["pass"], "All 3 objects are as release 1 left them.")
    cluster.patch_merge(f"{cluster.namespaced('configmaps')}/settings", {"data": {"A": "by hand", "C": "3"}}, fieldManager="kubectl-edit")
    cluster.delete(f"{cluster.namespaced('configmaps')}/gone")
    web = f"{cluster.namespaced('deployments', '/apis/apps/v1')}/web"
    cluster.patch_merge(f"{web}/scale", {"spec": {"replicas": 1}}, fieldManager="kubectl-scale")
    env = {"containers": [{**cluster.get(web)["spec"]["template"]["spec"]["containers"][0], "env": [{"name": "DEBUG", "value": "1"}]}]}
    cluster.patch_merge(web, {"spec": {"template": {"spec": env}}}, fieldManager="kubectl-set")
    before, cluster.requests = versions(cluster), {}
    verdicts, said = drift(cluster)
    assert verdicts == ["fail"] * 3
    for words in [
        "ConfigMap settings: data.A is by hand, not 1 (kubectl-edit",
        "data.C was added (kubectl-edit",
        "ConfigMap gone of release 1 is gone",
        "spec.replicas is 1, not 2 (kubectl-scale",
        "spec.template.spec.containers[web].env[DEBUG].value was added (kubectl-set",
    ]:
        assert words in said
    assert versions(cluster) == before


def test_a_saved_plan_is_carried_out_as_it_was_looked_at_or_not_at_all(release, cluster, tmp_path):
    release("present", objects=stamped([config(A="1")], cluster.namespace))
    wanted = stamped([config(A="2")], cluster.namespace)
    release("planned", objects=wanted, journal=str(tmp_path / "journal.jsonl"))
    saved = str(tmp_path / "plan.json")
    assert verdicts(release("planned", objects=wanted, saved_plan=saved)) == {"RO-01": "pass"}
    cluster.patch_merge(f"{cluster.namespaced('configmaps')}/settings", {"data": {"B": "by hand"}}, fieldManager="hsc.jit")
    cluster.patch_merge(f"{cluster.namespaced('configmaps')}/settings", {"data": {"A": "by hand"}}, fieldManager="kubectl-edit")
    (finding,) = release("planned", objects=wanted, saved_plan=saved, force_conflicts=True).findings
    assert finding.verdict == "fail"
    assert "ConfigMap settings would be changed otherwise" in finding.message


def test_what_a_finalizer_holds_is_named_and_the_rest_goes_on(release, cluster):
    held = config("held", A="1")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    release("present", objects=stamped([held, config(A="1")], cluster.namespace))
    path = f"{cluster.namespaced('configmaps')}/held"
    try:
        outcome = release("present", objects=stamped([config(A="2")], cluster.namespace))
        assert cluster.get(f"{cluster.namespaced('configmaps')}/settings")["data"] == {"A": "2"}
        assert outcome.facts["release"]["status"] == "deployed"
        (warning,) = [finding for finding in outcome.findings if finding.verdict == "warn"]
        assert "ConfigMap held was deleted" in warning.message
        assert "example.com/hold" in warning.message
    finally:
        cluster.patch_merge(path, {"metadata": {"finalizers": None}})


@pytest.fixture
def elastic(cluster):
    """The cluster's StorageClass, whose claims may grow meanwhile."""
    (own, *_) = cluster.list("/apis/storage.k8s.io/v1/storageclasses")
    path = f"/apis/storage.k8s.io/v1/storageclasses/{own['metadata']['name']}"
    cluster.patch_merge(path, {"allowVolumeExpansion": True})
    yield own["metadata"]["name"]
    cluster.patch_merge(path, {"allowVolumeExpansion": own.get("allowVolumeExpansion")})


def test_a_claim_that_grew_stays_and_the_rest_goes_back(release, cluster, pause, elastic):
    def objects(size, value):
        spec = {"storageClassName": elastic, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": spec}
        web = workload(pause, volumeMounts=[{"name": "data", "mountPath": "/data"}])
        web["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
        return stamped([claim, web, config(A=value)], cluster.namespace)

    first = release("present", objects=objects("1Gi", "1"))
    assert verdicts(first) == {"RO-01": "pass", "RO-02": "pass"}, first.findings
    release("verified", run="r")
    grown = objects("2Gi", "2")
    planned = release("planned", objects=grown).findings
    assert "PersistentVolumeClaim data grows from 1Gi to 2Gi: a rollback leaves it so." in [finding.message for finding in planned]
    release("present", objects=grown, run="r")
    found = release("previous", run="r", only_this_run=True).findings
    assert [finding.verdict for finding in found if finding.id == "RO-03"] == ["warn", "pass"]
    assert "PersistentVolumeClaim data cannot go back" in found[-2].message
    assert cluster.get(f"{cluster.namespaced('configmaps')}/settings")["data"] == {"A": "1"}
    assert cluster.get(f"{cluster.namespaced('persistentvolumeclaims')}/data")["spec"]["resources"]["requests"]["storage"] == "2Gi"


def test_a_kind_that_comes_with_its_first_object(release, cluster, definition):
    """Both in one set and one wave, the object first; nothing of it can be tried before."""
    objects = stamped([gadget(definition), definition], cluster.namespace)
    planned = release("present", objects=objects, check_mode=True)
    assert verdicts(planned) == {"RO-01": "pass"} and planned.facts["changes"] == 3  # and the generated secret
    first = release("present", objects=objects, run="one")
    assert verdicts(first) == {"RO-01": "pass", "RO-02": "pass"}, first.findings
    path = cluster.namespaced(definition["spec"]["names"]["plural"], "/apis/test.example/v1")
    assert [one["spec"] for one in cluster.list(path)] == [{"size": 3}]
    cluster.requests.clear()
    assert release("present", objects=objects, run="two").facts["changes"] == 0
    assert not writes(cluster)


@pytest.mark.slow
def test_a_kind_whose_definition_the_server_does_not_serve(release, cluster, definition):
    """Its singular is another definition's, so it is never established."""
    names = definition["spec"]["names"]
    taken = {"kind": f"Other{names['kind']}", "plural": f"other{names['plural']}", "singular": names["singular"]}
    name = f"{taken['plural']}.test.example"
    other = {**definition, "metadata": {"name": name}, "spec": {**definition["spec"], "names": taken}}
    assert verdicts(release("present", objects=stamped([definition], cluster.namespace))) == {"RO-01": "pass", "RO-02": "pass"}
    try:
        outcome = release("present", objects=stamped([definition, other], cluster.namespace))
        (finding,) = outcome.findings  # the one that is served is not named
        assert (finding.id, finding.verdict) == ("RO-01", "fail")
        assert "already in use" in finding.message
    finally:
        cluster.delete(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
