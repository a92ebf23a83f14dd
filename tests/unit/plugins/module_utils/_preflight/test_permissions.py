from ansible_collections.hsc.jit.plugins.module_utils._preflight.permissions import Right, check, needed

DEPLOYMENTS, NAMESPACES = ("apps", "deployments", True), ("", "namespaces", False)


def test_rights_of_objects_phases_and_lease():
    rights = needed({DEPLOYMENTS, NAMESPACES}, "hsc-jit", "default")
    assert {right.verb for right in rights if right.resource == "deployments"} == {"get", "list", "watch", "create", "patch", "delete"}
    assert {right.verb for right in rights if right.resource == "namespaces"} == {"get", "list", "watch", "create", "patch"}
    assert {right.verb for right in rights if right.resource == "pods/exec"} == {"get", "create"}
    assert {right.namespace for right in rights if right.resource == "leases"} == {"default"}


def test_a_review_names_the_subresource_apart():
    attributes = Right("", "pods/exec", "create", "hsc-jit").review()["spec"]["resourceAttributes"]
    assert attributes == {"resource": "pods", "subresource": "exec", "verb": "create", "namespace": "hsc-jit"}
    assert "namespace" not in Right("", "namespaces", "get", None).review()["spec"]["resourceAttributes"]


def test_what_is_missing_is_one_finding_for_each_resource_with_the_rule_to_add():
    rights = needed({DEPLOYMENTS}, "hsc-jit", "default")
    denied = {right: "" for right in rights if right.resource == "deployments" and right.verb in ("create", "patch")}
    (finding,) = check(rights, denied)
    assert finding.message == "The deployer may not create, patch deployments.apps in namespace hsc-jit."
    assert finding.next_step == 'Add to the deployer\'s Role: apiGroups: ["apps"], resources: ["deployments"], verbs: [create, patch].'


def test_all_given():
    (finding,) = check(needed({DEPLOYMENTS}, "hsc-jit", "default"), {})
    assert finding.verdict == "pass" and "deployments" in finding.evidence["resources"]
