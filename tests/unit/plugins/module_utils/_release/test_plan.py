"""What would change, and what may be deleted."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._product import HASH
from ansible_collections.hsc.jit.plugins.module_utils._release import plan
from ansible_collections.hsc.jit.plugins.module_utils._release.desired import marked


def obj(name="a", kind="ConfigMap", **more):
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, **more.pop("metadata", {})}, **more}


def owned(fields, manager="hsc.jit"):
    return {"managedFields": [{"manager": manager, "operation": "Apply", "fieldsV1": fields, "time": "now"}]}


def test_equal_is_no_change_although_the_server_added_its_own():
    live = obj(data={"a": "1"}, status={"x": 1}, metadata={"uid": "u", "resourceVersion": "1", **owned({"f:data": {}})})
    dry = obj(data={"a": "1"}, metadata={"uid": "u", "resourceVersion": "2", **owned({"f:data": {}})})
    assert plan.change_of(obj(), live, dry, "hsc.jit") is None


def test_create_update_and_mere_ownership():
    assert plan.change_of(obj(), None, obj(), "hsc.jit").action == "create"
    update = plan.change_of(obj(), obj(data={"a": "1"}), obj(data={"a": "2"}), "hsc.jit")
    assert (update.action, update.fields) == ("update", (("data.a", "1", "2"),))
    adopted = plan.change_of(obj(), obj(metadata=owned({}, "kubectl")), obj(metadata=owned({"f:data": {}})), "hsc.jit")
    assert adopted.action == "update"


def test_only_what_a_release_made_is_pruned():
    ours = {"annotations": {HASH: "x"}}
    applied = {**ours, "managedFields": [{"manager": "hsc.jit", "operation": "Apply", "fieldsV1": {}}]}
    created = {**ours, "managedFields": [{"manager": "kubectl-create", "operation": "Update", "fieldsV1": {}}]}
    live = [
        obj("recorded", metadata=ours),
        obj("applied", metadata=applied),
        obj("copied", metadata=created),
        obj("wanted", metadata=ours),
        obj("somebodys"),
        obj("claim", "PersistentVolumeClaim", metadata=ours),
        obj("secret", "Secret", metadata=ours),
        obj("owned", metadata={**ours, "ownerReferences": [{"uid": "1"}]}),
        obj("ending", metadata={**ours, "deletionTimestamp": "now"}),
    ]
    recorded = {("", one["kind"], one["metadata"]["name"]) for one in live if one["metadata"]["name"] not in ("applied", "copied")}
    deleted, copies = plan.pruned(live, [marked(obj("wanted"))], recorded, {"hsc.jit"})
    assert [change.title for change in deleted] == ["ConfigMap applied", "ConfigMap recorded"]
    assert [one["metadata"]["name"] for one in copies] == ["copied"]


@pytest.mark.parametrize(
    ("problem", "verdict", "words"),
    [
        (ApiError(409, "Conflict", 'conflict with "kubectl-edit": .spec.replicas'), "fail", "release_force_conflicts"),
        (ApiError(422, "Invalid", "spec: Forbidden: updates to statefulset spec are forbidden"), "fail", "--cascade=orphan"),
        (ApiError(422, "Invalid", "spec.template: field is immutable"), "fail", "--cascade=orphan"),
        (ApiError(403, "Forbidden", "exceeded quota"), "fail", "quota"),
        (ApiError(403, "Forbidden", "is attempting to grant RBAC permissions not currently held: nodes"), "fail", "escalate"),
        (ApiError(500, "", "failed to create typed patch object: .spec.x: field not declared in schema"), "fail", "template"),
        (ApiError(503, "ServiceUnavailable", "try later"), "error", "Run again"),
    ],
)
def test_a_refusal_says_what_to_do(problem, verdict, words):
    finding = plan.refusal(obj(), problem)
    assert finding.verdict == verdict
    assert words in finding.next_step
    assert problem.message in finding.message


@pytest.mark.parametrize(
    ("problem", "command"),
    [
        (ApiError(409, "Conflict", 'conflict with "kubectl-edit"'), "`kubectl get configmap a{} -o yaml --show-managed-fields`"),
        (ApiError(422, "Invalid", "field is immutable"), "`kubectl delete configmap a{} --cascade=orphan`"),
    ],
)
def test_the_command_of_a_next_step_works_as_written(problem, command):
    assert command.format(" -n ns") in plan.refusal(obj(metadata={"namespace": "ns"}), problem).next_step
    assert command.format("") in plan.refusal(obj(), problem).next_step


def test_the_diff_is_by_object_and_field():
    changes = [
        plan.Change("create", obj("new")),
        plan.Change("update", obj("a"), (("data.a", 1, 2),)),
        plan.Change("delete", obj("old")),
    ]
    before, after = plan.as_diff(changes)
    assert before == {"ConfigMap new": "absent", "ConfigMap a: data.a": 1, "ConfigMap old": "present"}
    assert after == {"ConfigMap new": "present", "ConfigMap a: data.a": 2, "ConfigMap old": "absent"}
    assert plan.summary(changes, 5) == "1 created, 1 updated, 1 deleted, 5 unchanged"
