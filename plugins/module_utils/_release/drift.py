# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""OP-06: is what runs still what the newest release put there, and who changed it by hand? Reads only; the server's dry run compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._errors import OperatorError
from .._finding import Finding
from .._kube import managed_fields, objects
from .._kube.objects import Object, title
from .._module import Context
from . import applier as release_applier
from . import record
from .plan import Change
from .record import Release

_SHOWN = 3  # fields named in a message; all of them are in the evidence
_LONGEST = 100
_BACK = "Take it into the release, or overwrite it: ansible-playbook deploy.yml -e release_force_conflicts=true."

_REMOVE = "What was added stays, whatever is deployed, until a hand removes it: kubectl edit."


def look(context: Context) -> list[Finding]:
    """Compare every object of the newest release with what is there."""
    cluster, manager = context.cluster, context.params["field_manager"]
    release = record.newest(release_applier.read_releases(cluster))
    if release is None:
        raise OperatorError(f"Namespace {cluster.namespace} has no recorded release.", "Deploy first: ansible-playbook deploy.yml.")
    context.progress.say("Drift", detail=f"{len(release.objects)} objects of release {release.number}")
    applier = release_applier.Applier(cluster, manager, True, context.progress, release.owned)
    changes, refused = applier.plan(release.objects, prune=False)
    return [*judge(release, changes, list(applier.live.values()), manager), *(replace(one, id="OP-06") for one in refused)]


def judge(release: Release, changes: Sequence[Change], live: Sequence[Object], manager: str) -> list[Finding]:
    """Pure. changes: what applying the release again would do. live: its objects as they are."""
    found = []
    if release.status != "deployed":
        message = f"Release {release.number} is {release.status}: it was begun by {release.who} at {release.time} and not finished."
        found.append(Finding("OP-06", "fail", message, {"release": release.number}, "Run the deployment again; it goes on from there."))
    there = {title(obj): obj for obj in live}
    recorded = {title(obj): obj for obj in release.objects}
    changed = {change.title: change for change in changes}
    for name in sorted(recorded):
        fields = _changed(changed[name], there.get(name), manager) if name in changed else []
        extra = managed_fields.added(there[name], recorded[name], manager, but=(release_applier.RESTARTED,)) if name in there else []
        known = {one["field"] for one in fields}
        fields += [{"field": field, "is": "added", "was": None, "by": str(owner)} for field, owner in extra if field not in known]
        if name in changed and changed[name].action == "create":
            found.append(Finding("OP-06", "fail", f"{name} of release {release.number} is gone.", {"object": name}, _BACK))
        elif fields:
            found.append(_finding(name, fields, release))
    message = f"All {len(recorded)} objects are as release {release.number} left them."
    return found or [Finding("OP-06", "pass", message, {"release": release.number, "objects": len(recorded)})]


def _changed(change: Change, live: Object | None, manager: str) -> list[dict[str, Any]]:
    if live is None:
        return []
    return [
        {"field": field, "is": _short(now), "was": _short(recorded), "by": str(managed_fields.owner_of(live, field, manager) or "")}
        for field, now, recorded in change.fields
    ]


def _finding(name: str, fields: Sequence[Mapping[str, Any]], release: Release) -> Finding:
    told = "; ".join(_told(one) for one in fields[:_SHOWN]) + (f"; and {len(fields) - _SHOWN} more" if len(fields) > _SHOWN else "")
    steps = [_BACK] if any(one["is"] != "added" for one in fields) else []
    steps += [_REMOVE] if any(one["is"] == "added" for one in fields) else []
    evidence = {"object": name, "release": release.number, "fields": list(fields)}
    return Finding("OP-06", "fail", f"{name}: {told}.", evidence, " ".join(steps))


def _told(one: Mapping[str, Any]) -> str:
    if one["is"] == "added":
        return f"{one['field']} was added ({one['by']})"
    who = f" ({one['by']})" if one["by"] else ""
    return f"{one['field']} is {one['is']}, not {one['was']}{who}"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else objects.as_text(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
