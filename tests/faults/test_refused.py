"""What the API server would not take: said before anything is written, with the field and the next step."""

import secrets

import pytest
from small_release import run, versions
from waiting import until

pytestmark = pytest.mark.cluster


def selector(small):
    small.web["spec"]["selector"] = {"matchLabels": {"app": "web", "tier": "front"}}
    small.web["spec"]["template"]["metadata"] = {"labels": {"app": "web", "tier": "front"}}


def larger(small):
    small.store["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "128Mi"


def misspelt(small):
    small.one["redinessProbe"] = small.one.pop("readinessProbe")


def foreign_kind(small):
    small.more.append({"apiVersion": "example.com/v1", "kind": "Certificate", "metadata": {"name": "c"}, "spec": {}})


def too_large(small):
    small.settings["data"]["x"] = "x" * 1_100_000


def secret(small):
    small.more.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "x"}})


REFUSED = [
    ("selector of a Deployment changes", selector, "field is immutable", "--cascade=orphan"),
    ("volume of a StatefulSet grows", larger, "forbidden", "--cascade=orphan"),
    ("field is misspelt", misspelt, "redinessProbe", "template"),
    ("kind that the cluster does not have", foreign_kind, "no Certificate of example.com/v1", "CustomResourceDefinition"),
    ("ConfigMap over a mebibyte", too_large, "Too long", "template"),
    ("Secret among the manifests", secret, "would stand in plans and records", "Pass them as secrets"),
]


@pytest.mark.parametrize(("name", "change", "said", "step"), REFUSED, ids=[one[0] for one in REFUSED])
def test_nothing_is_written(base, seen, name, change, said, step):
    from ansible_collections.hsc.jit.plugins.module_utils._errors import OperatorError

    small, before = base.small(), versions(base.cluster)
    small.settings["data"]["NEW"] = "1"
    change(small)
    try:
        outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run="r")
        message, next_step = outcome.findings[0].message, outcome.findings[0].next_step
        assert outcome.findings[0].verdict == "fail"
    except OperatorError as problem:
        message, next_step, seconds = problem.message, problem.next_step, 0.0
    assert said in message
    assert step in next_step
    assert versions(base.cluster) == before
    seen(name, message[:200], seconds, 5, "nothing was written")
    assert seconds <= 5


def webhook(cluster, name, rules, policy):
    """Nobody listens there: the address is of a Service that does not exist."""
    client = {"service": {"namespace": cluster.namespace, "name": "nobody", "path": "/"}, "caBundle": ""}
    one = {
        "name": f"{name}.example.com", "clientConfig": client, "rules": rules, "failurePolicy": policy, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}},
    }  # fmt: skip
    api = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
    cluster.create(api, {"metadata": {"name": name}, "webhooks": [one]})
    return f"{api}/{name}"


@pytest.mark.parametrize(
    ("resource", "group", "row", "left"),
    [("configmaps", "", "RO-01", "nothing was written"), ("pods", "", "RO-02", "old pods serve; put back when the webhook has gone")],
)
def test_a_webhook_that_refuses_is_named(base, seen, resource, group, row, left):
    name, serving = f"{base.cluster.namespace}-{secrets.token_hex(2)}", base.serving()
    rules = [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}]
    path = webhook(base.cluster, name, rules, "Fail")
    try:
        until(lambda: base.cluster.find(path))
        small = base.small()
        small.one["env"] = [{"name": "NEW", "value": "1"}]
        small.more.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {}})
        outcome, seconds = run(base.cluster, "present", objects=small.objects(base.cluster.namespace), run="r")
    finally:
        base.cluster.delete(path)
    bad = [finding for finding in outcome.findings if finding.verdict in ("fail", "error")]
    assert {finding.id for finding in bad} == {row}, outcome.findings
    assert any(f"{name}.example.com" in finding.message for finding in bad), bad
    assert serving <= base.serving()
    seen(f"webhook that refuses {resource}", bad[0].message[:200], seconds, 10, left)
    base.deploy()
    assert seconds <= 10


def test_a_namespace_that_is_being_deleted_is_said(kubeconfig, images, seen):
    """A finalizer that nobody serves holds it; nothing here takes that away."""
    from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
    from small_release import Small

    cluster = connect({"kubeconfig": kubeconfig, "namespace": f"test-ending-{secrets.token_hex(3)}"})
    cluster.create("/api/v1/namespaces", {"metadata": {"name": cluster.namespace}})
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    cluster.create(cluster.namespaced("configmaps"), held)
    cluster.delete(f"/api/v1/namespaces/{cluster.namespace}")
    try:
        until(lambda: "example.com/hold" in str(cluster.get(f"/api/v1/namespaces/{cluster.namespace}")["status"].get("conditions")), 60)
        outcome, seconds = run(cluster, "present", objects=Small(images["service"]).objects(cluster.namespace))
        (bad,) = outcome.findings
        assert bad.verdict == "fail"
        assert "Terminating" in bad.message
        assert "example.com/hold" in bad.message
        seen("namespace that is being deleted", bad.message[:200], seconds, 5, "nothing was written")
        assert seconds <= 5
    finally:
        cluster.patch_merge(cluster.namespaced("configmaps/held"), {"metadata": {"finalizers": None}})
