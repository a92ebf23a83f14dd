# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What an object means that the API server does not take, and what to do: PF-03 says it beforehand, RO-01 if it comes later. Pure."""

from __future__ import annotations

import re
from typing import Literal

from .._errors import ApiError
from .._kube.objects import Object

_MAY_NOT = re.compile(r"cannot (patch|create) resource")  # the authorizer's words; an admission rule uses others


def lacks_right(problem: ApiError) -> bool:
    """Whether the deployer may not even ask, rather than that what it asks for is forbidden."""
    return problem.status == 403 and bool(_MAY_NOT.search(problem.message))


def judged(obj: Object, problem: ApiError) -> tuple[Literal["fail", "error"], str]:
    """(verdict, next step); error: the server did not say whether it would take the object."""
    message, named = problem.message, f"{obj['kind'].lower()} {obj['metadata']['name']}"
    if namespace := obj["metadata"].get("namespace"):
        named += f" -n {namespace}"
    if "failed calling webhook" in message:
        return "fail", "Repair the webhook that the message names, or take this namespace out of its rules; a rollback cannot write either."
    if "denied the request" in message:
        return "fail", "Change what the webhook's message asks for, or take this namespace out of its rules."
    if problem.transient:
        return "error", "Run again when the API server answers."
    if problem.status == 409:
        look = f"kubectl get {named} -o yaml --show-managed-fields"
        return "fail", f"Another manager owns that field (`{look}`): take the change into the release, or set release_force_conflicts."
    if "RBAC permissions not currently held" in message:
        step = "Nobody can give away what they do not have: "
        return "fail", f"{step}add these rights to the deployer's own, or the verbs escalate and bind for this kind."
    if lacks_right(problem):
        return "fail", "Give the deployer that right (PF-05 prints the rule)."
    if problem.status == 403:
        return "fail", "A quota or an admission rule of the namespace forbids it: raise it, or change what the object asks for."
    if (problem.status == 422 and "immutable" in message.lower()) or "forbidden: updates to" in message.lower():
        step = f"`kubectl delete {named} --cascade=orphan`"
        return "fail", f"That field cannot change in place: {step}, then run again."
    return "fail", "Correct the manifest's template (roles/rollout/templates) or the variable behind it."
