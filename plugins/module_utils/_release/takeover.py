# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Fields that another deployment tool applied to objects of the release: our first deployment takes them over. Pure: no I/O.

Two owners of equal values do not conflict, but a field that leaves the release then stays in the cluster, because the other tool still
owns it. kubectl solves the same problem when it changes from client-side to server-side apply: it moves the entries in managedFields.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube import managed_fields
from .._kube.objects import NEVER_PRUNED, Object, at, title

# Tools that a person or a pipeline runs once. What a controller applies (Argo CD, Flux) is not here: it would apply its fields again.
TOOLS = frozenset({"before-first-apply", "helm", "kapp", "kubectl", "kubectl-client-side-apply", "kubectl-create", "kubectl-replace"})
_CONFLICT = re.compile(r'conflict with "([^"]+)"')
_SHOWN = 3


def managers_to_replace(live: Object | None, ours: str, earlier: Collection[str], *, force: bool) -> frozenset[str]:
    """Names of the managers whose fields our next apply takes over; empty for none.

    earlier: field managers of recorded releases. The tools' fields are taken over until we have applied the object for the first time,
    afterwards only with ``force``: a later `kubectl apply` is a change by hand, and a conflict tells it.
    """
    if live is None:
        return frozenset()
    own = {*earlier, ours}
    managers = (own - {ours}) | (TOOLS if force or not managed_fields.applies(live, own) else frozenset())
    return frozenset(managed_fields.held_by(live, managers))


def merges(obj: Object) -> bool:
    """Whether fields of the other tools that the release does not have are removed.

    Not of a namespace, whose labels may be an administrator's, and not of a claim, whose fields cannot change.
    """
    return obj["kind"] not in NEVER_PRUNED


def conflicts_only_with(problem: ApiError, managers: Collection[str]) -> bool:
    """Whether the server refused an apply for fields of these managers alone."""
    named = [match[1] for cause in problem.causes for match in [_CONFLICT.search(str(cause.get("message")))] if match]
    return problem.status == 409 and bool(named) and len(named) == len(problem.causes) and set(named) <= set(managers)


def conflicts_only_on(problem: ApiError, field: str) -> bool:
    """Whether the server refused an apply for this one field."""
    return problem.status == 409 and bool(problem.causes) and all(cause.get("field") == f".{field}" for cause in problem.causes)


def removed_fields(wanted: Object, live: Object, managers: Collection[str]) -> list[tuple[str, Any, Any]]:
    """(field, value, None) for each field of the managers that the release does not have. The server may fill in a default."""
    if not merges(wanted):
        return []
    ours = set(managed_fields.leaves(wanted))
    fields = managed_fields.fields_of(live, managers)
    return [(field, at(live, field), None) for field in fields if not any(managed_fields.overlap(field, known) for known in ours)]


def told(taken: Mapping[str, Collection[str]]) -> list[Finding]:
    """RO-01 for the objects that are taken over. taken: names of the managers, by title of the object."""
    if not taken:
        return []
    managers = sorted({name for names in taken.values() for name in names})
    shown = ", ".join(sorted(taken)[:_SHOWN]) + (f" and {len(taken) - _SHOWN} more" if len(taken) > _SHOWN else "")
    message = f"{len(taken)} objects were applied by {', '.join(managers)}; this release takes their fields over: {shown}."
    evidence = {"objects": sorted(taken), "managers": managers}
    if "helm" not in managers:
        return [Finding("RO-01", "pass", message, evidence)]
    step = "`helm uninstall` would delete these objects: delete Helm's own record of them (kubectl get secret -l owner=helm)."
    return [Finding("RO-01", "warn", message, evidence, step)]


def copies(live: Sequence[Object]) -> list[Finding]:
    """RO-01 for objects that carry our marks and that no release made: they stay."""
    if not live:
        return []
    made = {title(obj): _made_by(obj) for obj in live}
    shown = "; ".join(f"{name} ({by})" for name, by in made.items())
    message = f"These objects carry the marks of a release, but no release has them, so they stay: {shown}."
    names = " ".join(f"{obj['kind'].lower()}/{obj['metadata']['name']}" for obj in live)
    step = f"Remove the mark (kubectl annotate {names} hsc.jit/hash-), or delete the objects."
    return [Finding("RO-01", "warn", message, {"objects": made}, step)]


def _made_by(obj: Object) -> str:
    """``kubectl-create at 2026-11-30T10:00:00Z``"""
    entries = obj["metadata"].get("managedFields") or []
    first: Mapping[str, Any] = min(entries, key=lambda entry: str(entry.get("time") or ""), default={})
    return f"{first.get('manager', 'unknown')} at {obj['metadata'].get('creationTimestamp', 'an unknown time')}"
