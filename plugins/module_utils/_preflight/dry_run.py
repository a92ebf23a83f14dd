# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-03: what the API server says to a dry run of every object with strict field validation. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._errors import ApiError, OperatorError
from .._finding import Finding
from .._kube.kinds import STAND_IN
from .._kube.objects import at, may_go_first, title
from .._kube.workloads import Workload
from .._release import refusals


def pod_of(workload: Workload) -> dict[str, Any]:
    """The pod that a controller will make: only a pod meets Pod Security, LimitRanges and quotas; its controller is let through.

    Its account is left out, because it may come with the release; PF-04 looks for it.
    """
    template = at(workload.obj, workload.path.rpartition(".")[0]) if "." in workload.path else workload.obj
    labels = at(template, "metadata.labels") or {}
    spec = {key: value for key, value in workload.spec.items() if key != "serviceAccountName"}
    claims = [one["metadata"]["name"] for one in at(workload.obj, "spec.volumeClaimTemplates") or []]  # a StatefulSet adds them itself
    spec["volumes"] = [*(spec.get("volumes") or []), *({"name": one, "persistentVolumeClaim": {"claimName": one}} for one in claims)]
    name = f"{workload.obj['metadata']['name']}-"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": name, "labels": labels}, "spec": spec}


def replaced_one_by_one(live: Mapping[str, Any], problem: ApiError) -> bool:
    """Whether a quota that is used up only makes the rollout slower: an old pod may end first, and gives its share back.

    live: the object as the dry run answered it, with the status of what is there.
    """
    running = int(at(live, "status.replicas") or 0)
    if "exceeded quota" not in problem.message or not running:
        return False
    return live["kind"] == "StatefulSet" or (live["kind"] == "Deployment" and may_go_first(live, running))


@dataclass(frozen=True)
class Refused:
    """what: what was tried, of which object. said: the server's answer, an OperatorError where it does not serve the kind at all.

    slower: whether it is a quota by which the rollout only takes longer.
    """

    what: str
    obj: Mapping[str, Any]
    said: ApiError | OperatorError
    slower: bool = False


def check(
    objects: Sequence[Mapping[str, Any]], refused: Sequence[Refused], namespace: str, exists: bool, later: Sequence[str] = ()
) -> list[Finding]:
    """PF-03. later: titles of the objects whose kind comes with this release, so that nobody can try them yet."""
    tried = len(objects) - len(later)
    evidence: dict[str, Any] = {"objects": tried, "tried_in_namespace": namespace if exists else STAND_IN}
    if exists:
        message = f"All {tried} objects, and the pods they make, pass a server-side dry run with strict field validation."
    else:
        message = f"All {tried} objects pass a strict server-side dry run, in namespace {STAND_IN}: {namespace} does not exist yet."
    found = [_finding(one) for one in refused] or [Finding("PF-03", "pass", message, evidence)]
    if later:
        message = f"Not tried, because its CustomResourceDefinition comes with this release: {', '.join(later)}."
        found.append(Finding("PF-03", "skipped", message, {"objects": list(later)}, "Nothing; they are applied once the kind is served."))
    return found


def _finding(refused: Refused) -> Finding:
    what, obj, problem = refused.what, refused.obj, refused.said
    evidence: dict[str, Any] = {"object": title(obj), "apiVersion": obj["apiVersion"]}
    if isinstance(problem, OperatorError):
        return Finding("PF-03", "fail", problem.message, evidence, problem.next_step)
    said = f"{problem.message.rstrip('.')}."
    evidence |= {"http_status": problem.status, "reason": problem.reason, "causes": list(problem.causes)}
    if refusals.lacks_right(problem):
        return Finding("PF-03", "skipped", f"{what}: not tried, {said}", evidence, "See PF-05: the deployer lacks that right.")
    if refused.slower:
        next_step = "An old pod ends first, and gives its share of the quota back; raise the quota to have no pod less meanwhile."
        return Finding("PF-03", "warn", f"{what}: {said}", evidence, next_step)
    verdict, next_step = refusals.judged(obj, problem)
    untried = "" if verdict == "fail" else "not tried, "
    return Finding("PF-03", verdict, f"{what}: {untried}{said}", evidence, next_step)
