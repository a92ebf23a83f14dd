import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError, OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._kube.workloads import workloads
from ansible_collections.hsc.jit.plugins.module_utils._preflight.dry_run import Refused, check, pod_of

CONFIG = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "hsc-jit"}}


def test_where_objects_were_tried_without_their_namespace_is_said():
    (finding,) = check([CONFIG], [], "hsc-jit", False)
    assert finding.verdict == "pass" and "hsc-jit does not exist yet" in finding.message
    assert finding.evidence["tried_in_namespace"] == "default"


@pytest.mark.parametrize(
    ("problem", "verdict", "next_step"),
    [
        (ApiError(400, "BadRequest", ".spec.imagez: field not declared in schema"), "fail", "Correct the manifest"),
        (ApiError(500, "", "failed to create typed patch object (w; apps/v1): .x: field not declared in schema"), "fail", "Correct"),
        (ApiError(409, "Conflict", 'conflict with "kubectl-edit": .data.a'), "fail", "release_force_conflicts"),
        (ApiError(403, "Forbidden", 'User "x" cannot patch resource "configmaps"'), "skipped", "PF-05"),
        (ApiError(403, "Forbidden", "exceeded quota: small"), "fail", "quota"),
        (ApiError(403, "Forbidden", "is attempting to grant RBAC permissions not currently held: nodes"), "fail", "escalate"),
        (ApiError(0, "Unreachable", "no answer"), "error", "Run again"),
        (OperatorError("ConfigMap c: the API server serves no ConfigMap of v9.", "Install it."), "fail", "Install it"),
    ],
)
def test_each_refusal_keeps_the_servers_words_and_says_what_to_do(problem, verdict, next_step):
    (finding,) = check([CONFIG], [Refused("ConfigMap c", CONFIG, problem)], "hsc-jit", True)
    assert (finding.id, finding.verdict) == ("PF-03", verdict) and next_step in finding.next_step
    assert problem.message in finding.message


def test_a_quota_that_only_makes_it_slower_is_a_warning():
    refused = Refused("Pods of ConfigMap c", CONFIG, ApiError(403, "Forbidden", "exceeded quota: small"), slower=True)
    (finding,) = check([CONFIG], [refused], "hsc-jit", True)
    assert finding.verdict == "warn" and "An old pod ends first" in finding.next_step


def test_the_pod_that_a_controller_will_make_is_tried_without_its_account():
    spec = {"serviceAccountName": "later", "containers": []}
    template = {"metadata": {"labels": {"app": "w"}}, "spec": spec}
    cron = {"kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    bare = {"kind": "Pod", "metadata": {"name": "c", "labels": {"app": "w"}}, "spec": spec}
    for obj in (cron, bare):
        pod = pod_of(workloads([obj])[0])
        assert pod["metadata"] == {"generateName": "c-", "labels": {"app": "w"}} and pod["spec"] == {"containers": [], "volumes": []}


def test_a_statefulset_gives_its_pods_the_volumes_of_its_claims():
    template = {"metadata": {}, "spec": {"containers": [], "volumes": [{"name": "conf"}]}}
    spec = {"template": template, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    pod = pod_of(workloads([{"kind": "StatefulSet", "metadata": {"name": "s"}, "spec": spec}])[0])
    assert [one["name"] for one in pod["spec"]["volumes"]] == ["conf", "data"] and template["spec"]["volumes"] == [{"name": "conf"}]
