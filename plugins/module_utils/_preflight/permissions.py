# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-05: may the deployer do what the phases will do? Pure: no I/O; the reviews are asked by ``_preflight/checks``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._finding import Finding

_APPLY = ("get", "list", "watch", "create", "patch", "delete")


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource (``pods/exec`` is a resource of its own), in a namespace or, without one, in the cluster."""

    group: str
    resource: str
    verb: str
    namespace: str | None

    def review(self) -> dict[str, Any]:
        """The body of a SelfSubjectAccessReview."""
        resource, _, subresource = self.resource.partition("/")
        attributes = {"group": self.group, "resource": resource, "subresource": subresource, "verb": self.verb, "namespace": self.namespace}
        given = {key: value for key, value in attributes.items() if value}
        return {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": given}}


# What phases do beside applying objects: watch pods, read logs and events, back up and restore in pods, migrate, ask Prometheus, ask a
# canary's pods by themselves, keep the records of releases and the release's own Secrets.
_PHASES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("", "pods", ("get", "list", "watch", "create", "delete")),
    ("", "pods/log", ("get",)),
    ("", "pods/exec", ("get", "create")),
    ("", "pods/proxy", ("get",)),
    ("", "events", ("list", "watch")),
    ("", "secrets", ("get", "create", "patch")),
    ("", "configmaps", ("list", "create", "patch", "delete")),
    ("", "services/proxy", ("get",)),
    ("apps", "replicasets", ("list", "watch", "patch")),
    ("batch", "jobs", ("get", "list", "watch", "create", "delete")),
)


def needed(resources: Collection[tuple[str, str, bool]], namespace: str, lease_namespace: str) -> list[Right]:
    """Rights for the rendered objects' resources (group, plural, namespaced), the phases and the lease."""
    rights = {Right(group, plural, verb, namespace if namespaced else None) for group, plural, namespaced in resources for verb in _APPLY}
    rights |= {Right(group, plural, verb, namespace) for group, plural, verbs in _PHASES for verb in verbs}
    rights |= {Right("coordination.k8s.io", "leases", verb, lease_namespace) for verb in ("get", "create", "update")}
    # Deleting a cluster-wide object is never part of a deployment: only what lies in the release's namespace is pruned.
    return sorted((right for right in rights if right.namespace or right.verb != "delete"), key=lambda right: (right.resource, right.verb))


def check(asked: Sequence[Right], denied: Mapping[Right, str]) -> list[Finding]:
    """PF-05. denied: the authorizer's reason by right; one finding for each resource, with all verbs that are missing."""
    if not denied:
        resources = sorted({right.resource for right in asked})
        return [Finding("PF-05", "pass", f"All {len(asked)} rights that the release needs are given.", {"resources": resources})]
    found: dict[tuple[str, str, str | None], list[Right]] = {}
    for right in denied:
        found.setdefault((right.group, right.resource, right.namespace), []).append(right)
    findings = []
    for (group, resource, namespace), rights in sorted(found.items(), key=lambda item: item[0][:2]):
        verbs = ", ".join(right.verb for right in rights)
        what = f"{resource}.{group}" if group else resource
        where = f"in namespace {namespace}" if namespace else "in the cluster"
        kind = "Role" if namespace else "ClusterRole"
        evidence = {"group": group, "resource": resource, "namespace": namespace, "verbs": verbs.split(", "), "reason": denied[rights[0]]}
        next_step = f'Add to the deployer\'s {kind}: apiGroups: ["{group}"], resources: ["{resource}"], verbs: [{verbs}].'
        findings.append(Finding("PF-05", "fail", f"The deployer may not {verbs} {what} {where}.", evidence, next_step))
    return findings
