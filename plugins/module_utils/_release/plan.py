# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What would change: each wanted object against the live one and the server's dry run. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypedDict

from .._errors import ApiError
from .._finding import Finding
from .._kube import managed_fields
from .._kube import objects as kube_objects
from .._kube.objects import NEVER_PRUNED, Object, ObjectKey, pod_template, title
from .._product import HASH
from . import desired, refusals, takeover

Action = Literal["create", "update", "delete"]


class PlanDocument(TypedDict):
    """The plan as the module returns it, for the phases that follow.

    changes: `Change.as_dict` of each; empty: nothing is to be done; release: the newest record's summary; schema: its revision.
    """

    changes: list[dict[str, Any]]
    empty: bool
    release: dict[str, Any] | None
    schema: dict[str, str]


@dataclass(frozen=True)
class Change:
    """One object that would change. obj: what is sent (for delete: what is there). fields: (field, before, after)."""

    action: Action
    obj: Object
    fields: tuple[tuple[str, Any, Any], ...] = ()

    @property
    def title(self) -> str:
        return title(self.obj)

    def as_dict(self) -> dict[str, Any]:
        diff = [{"field": name, "before": before, "after": after} for name, before, after in self.fields]
        return {"object": self.title, "action": self.action, "diff": diff}


class Pruned(NamedTuple):
    """deleted: what the release deletes. copies: what carries our marks, and no release made."""

    deleted: list[Change]
    copies: list[Object]


def change_of(wanted: Object, live: Object | None, dry_run: Object, field_manager: str, replaced: Collection[str] = ()) -> Change | None:
    """What applying ``wanted`` would do, from the server's dry run of it; None if nothing.

    replaced: managers whose fields are taken over. Their fields that the release does not have are removed.
    """
    if live is None:
        return Change("create", wanted)
    fields = tuple(kube_objects.differences(desired.cleaned(live), desired.cleaned(dry_run)))
    if replaced:
        fields = (*fields, *takeover.removed_fields(wanted, live, replaced), ("(fields owned)", ", ".join(sorted(replaced)), field_manager))
    if fields:
        return Change("update", wanted, fields)
    before, after = (kube_objects.ownership(obj, field_manager) for obj in (live, dry_run))
    return Change("update", wanted, (("(fields owned)", "others", field_manager),)) if before != after else None


def defaults(changes: Sequence[Change]) -> list[Finding]:
    """RO-01 for a field that is no longer in a manifest, so that the API server sets its default in place of the present value."""
    findings = []
    for change in changes:
        for field, before, after in change.fields if change.action == "update" else ():
            if before is None or after is None or field.startswith(("metadata", "data", "(")) or _has(change.obj, field):
                continue
            message = f"{change.title}: {field} is not in the manifest, so the API server changes it from {before} to its default, {after}."
            step = f"If that is not meant, write {field} into the template."
            findings.append(Finding("RO-01", "warn", message, {"object": change.title, "field": field}, step))
    return findings


def _has(obj: Object, field: str) -> bool:
    """Whether the manifest has the field, or fields within it."""
    return any(leaf == field or leaf.startswith((f"{field}.", f"{field}[")) for leaf in managed_fields.leaves(obj))


def pruned(live: Sequence[Object], wanted: Sequence[Object], recorded: Collection[ObjectKey], managers: Collection[str]) -> Pruned:
    """What a release applied and this one does not have. Never volumes, and never what somebody else made.

    Labels and annotations are no proof: whoever copies an object copies them. recorded: keys of the objects of all recorded releases.
    managers: our field manager, and those of recorded releases.
    """
    keys = {kube_objects.key(obj) for obj in wanted}
    marked = [
        obj
        for obj in sorted(live, key=title)
        if kube_objects.key(obj) not in keys
        and HASH in (obj["metadata"].get("annotations") or {})
        and obj["kind"] not in NEVER_PRUNED
        and not obj["metadata"].get("ownerReferences")
        and not obj["metadata"].get("deletionTimestamp")
    ]
    ours = [obj for obj in marked if kube_objects.key(obj) in recorded or managed_fields.applies(obj, managers)]
    return Pruned([Change("delete", obj) for obj in ours], [obj for obj in marked if obj not in ours])


def refusal(obj: Object, problem: ApiError) -> Finding:
    """RO-01 for an object that the server does not take."""
    verdict, next_step = refusals.judged(obj, problem)
    evidence = {"object": title(obj), "http_status": problem.status, "reason": problem.reason, "causes": list(problem.causes)}
    return Finding("RO-01", verdict, f"{title(obj)}: {problem.message}", evidence, next_step)


def ending(namespace: Object | None) -> Finding | None:
    """RO-01 for a namespace that is being deleted: nothing can be made in it, and nothing here removes what holds it."""
    since = (namespace or {}).get("metadata", {}).get("deletionTimestamp")
    if namespace is None or not since:
        return None
    name, conditions = namespace["metadata"]["name"], (namespace.get("status") or {}).get("conditions") or []
    held = " ".join(str(one.get("message", "")) for one in conditions if one["status"] == "True") or "What holds it is not said yet."
    step = f"Wait until it has gone (kubectl get namespace {name} -o yaml says what holds it), then deploy anew."
    return Finding("RO-01", "fail", f"Namespace {name} is Terminating since {since}. {held}", {"object": f"Namespace {name}"}, step)


def not_established(definition: Object) -> Finding:
    """RO-01 for a CustomResourceDefinition whose kind the server does not serve."""
    conditions = (definition.get("status") or {}).get("conditions") or []
    why = "; ".join(str(one.get("message")) for one in conditions if one["status"] == "False") or "it says nothing of why"
    step = f"`kubectl describe crd {definition['metadata']['name']}`; correct it, then run again."
    return Finding("RO-01", "fail", f"{title(definition)} is not served: {why}.", {"object": title(definition)}, step)


def cannot_go_back(refused: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """(kept as they are, really refused): a claim that grew cannot shrink, and the rest must go back all the same."""
    claims = [one for one in refused if one.evidence["object"].startswith("PersistentVolumeClaim ")]
    step = "Nothing: a larger volume does no harm. To have the smaller one, restore a backup onto a new claim."
    kept = [Finding("RO-03", "warn", f"{one.evidence['object']} cannot go back and stays as it is.", one.evidence, step) for one in claims]
    return kept, [one for one in refused if one not in claims]


def one_way(changes: Sequence[Change]) -> list[Finding]:
    """RO-01: what no rollback takes back, said in the plan."""
    grows = [
        (change.title, before, after)
        for change in changes
        for field, before, after in change.fields
        if change.obj["kind"] == "PersistentVolumeClaim" and field == "spec.resources.requests.storage"
    ]
    return [
        Finding("RO-01", "warn", f"{name} grows from {before} to {after}: a rollback leaves it so.", {"object": name})
        for name, before, after in grows
    ]


def not_gone(obj: Object) -> Finding:
    """RO-01 for an object of an earlier release that was deleted and is still there."""
    finalizers = obj["metadata"].get("finalizers") or []
    since, held = obj["metadata"]["deletionTimestamp"], ", ".join(finalizers) or "no finalizer, so the server is at it"
    step = f"Find who serves {', '.join(finalizers)}; nothing here removes a finalizer by force." if finalizers else ""
    message = f"{title(obj)} was deleted at {since} and is still there: held by {held}."
    return Finding("RO-01", "warn", message, {"object": title(obj), "finalizers": finalizers}, step)


def as_diff(changes: Sequence[Change]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(before, after) by object and field, as a reader of the journal wants to see what changed."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for change in changes:
        if change.action != "update":
            there, gone = ("present", "absent") if change.action == "delete" else ("absent", "present")
            before[change.title], after[change.title] = there, gone
        for name, old, new in change.fields if change.action == "update" else ():
            before[f"{change.title}: {name}"], after[f"{change.title}: {name}"] = old, new
    return before, after


def summary(changes: Sequence[Change], unchanged: int) -> str:
    """``3 created, 1 updated, 0 deleted, 42 unchanged``"""
    count = {action: sum(1 for change in changes if change.action == action) for action in ("create", "update", "delete")}
    return f"{count['create']} created, {count['update']} updated, {count['delete']} deleted, {unchanged} unchanged"


def images(objects: Sequence[Object]) -> Mapping[str, str]:
    """Image by container, ``{"hsc-jit-backend/backend": "…@sha256:…"}``."""
    found = {}
    for obj in objects:
        spec = (pod_template(obj) or {}).get("spec") or {}
        for container in [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]:
            found[f"{obj['metadata']['name']}/{container['name']}"] = container["image"]
    return found
