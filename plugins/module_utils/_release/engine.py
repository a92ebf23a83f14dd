# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Carries out a release: plan, prepare, record, apply, wait, record. `decision` says what is recorded and what a rollback goes back to."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from .. import _atomic_file, _process
from .._errors import OperatorError
from .._finding import Finding, good
from .._kube import objects as kube_objects
from .._kube.objects import Object
from .._module import Context, Outcome
from .._readiness.waiter import Watch
from . import applier, decision, desired, record, rollback_policy, saved_plan
from . import plan as release_plan
from .decision import Request
from .plan import Change, PlanDocument
from .record import Release
from .unblock import Stuck

_SHOWN = 25  # changes of a plan that are shown line by line; all of them are in the result


@dataclass(frozen=True)
class Planned:
    """The result of planning.

    findings: what the server refuses. objects: how many were planned. before: the live objects, as they were then. notes: RO-01 of what
    an operator should know before the plan is carried out.
    """

    changes: Sequence[Change]
    findings: Sequence[Finding]
    objects: int
    before: Sequence[Object]
    notes: Sequence[Finding]


class Engine:
    """One call of the release module. Its public methods return Outcomes."""

    def __init__(self, context: Context) -> None:
        params = context.params
        self.context, self.cluster = context, context.cluster
        self.releases: list[Release] = applier.read_releases(self.cluster)
        self.applier = applier.Applier(
            self.cluster,
            params["field_manager"],
            params["force_conflicts"],
            context.progress,
            owned=self.current.owned if self.current else {},
            recorded=[obj for release in self.releases for obj in release.objects],
            earlier={release.field_manager for release in self.releases},
            rotated={(name, key) for release in self.releases for name, key in release.changed_keys()},
            clock=context.clock,
        )
        self.request = Request(
            objects=params["objects"],
            images=params["images"],
            run=params["run"] or (Path(params["journal"]).parent.name if params["journal"] else ""),
            who=f"{_process.user_name()}@{socket.gethostname()}",
            time=context.now().isoformat(timespec="seconds"),
            inventory_hash=params["inventory_hash"],
            schema_revision=params["schema_revision"],
            policy=params["way_back"],
            release_to=params["release_to"],
            only_this_run=params["only_this_run"],
            namespace=self.cluster.namespace,
            field_manager=params["field_manager"],
        )

    @property
    def current(self) -> Release | None:
        """The newest recorded release."""
        return record.newest(self.releases)

    # --- what the module does ---
    def planned(self) -> Outcome:
        """What ``present`` would change. Writes nothing."""
        params = self.context.params
        planned = self._plan(self._wanted(), prune=not params["components"], secrets=params["secrets"])
        summary = self._summary(planned)
        findings = planned.findings or self._compare_saved_plan(planned.changes)
        for change in planned.changes[:_SHOWN]:
            self.context.progress.say(f"would {change.action} {change.title}", detail=", ".join(name for name, _, _ in change.fields[:3]))
        self.context.progress.say("Plan", detail=summary.message)
        return self._plan_outcome(planned.changes, findings or [summary, *planned.notes])

    def present(self) -> Outcome:
        """Apply, wait, record. An unchanged set is not written at all, only checked for readiness."""
        params, wanted = self.context.params, self._wanted()
        planned = self._plan(wanted, prune=not params["components"], secrets=params["secrets"])
        if planned.findings:
            return self._outcome([], planned.findings)
        if self.context.check_mode:
            return self._outcome(planned.changes, [self._summary(planned), *planned.notes])
        never_good = record.never_good(self.releases, self.request.run)
        release = decision.release_record(self.releases, self.request, planned.changes)
        if planned.changes and (findings := self._carry_out(planned.changes, release)):
            return self._outcome(planned.changes, findings)
        self._unblock(wanted, never_good=never_good)
        findings = [self._summary(planned), *planned.notes, *self._wait(wanted, planned.before)]
        if not params["components"] and good(findings):
            owned = self.applier.ownership(wanted) if release.status == "started" else release.owned
            self._finish(decision.deployed(release, self.request, owned))
        return self._outcome(planned.changes, [*findings, *self.applier.held(planned.changes)])

    def previous(self) -> Outcome:
        """Roll back: apply a recorded release again, whole, and wait for it (RO-03). Secrets stay as they are.

        Nothing is rolled back where the rollback policy of the migration says hold.
        """
        rollback = decision.rollback(self.releases, self.request)
        if isinstance(rollback, Finding):
            return Outcome(findings=[rollback])
        target, started = rollback.target, self.context.clock.monotonic()
        planned = self._plan(target.objects, prune=True, secrets=None)
        kept, refused = release_plan.cannot_go_back(planned.findings)
        if refused:
            return self._outcome([], [*kept, *refused])
        if self.context.check_mode:
            return self._outcome(planned.changes, [*kept, self._summary(planned), *planned.notes])
        findings = self._carry_out(planned.changes, rollback.record)
        if not findings:
            self._unblock(target.objects, never_good=True)
            findings = self._wait(target.objects, planned.before)
        seconds = round(self.context.clock.monotonic() - started, 1)
        if good(findings):
            if rollback.withdrawn and rollback.withdrawn.number != target.number:
                self._write(replace(rollback.withdrawn, status="withdrawn"))
            self._finish(replace(rollback.record, status="deployed", owned=self.applier.ownership(target.objects)))
        policy = rollback_policy.after_code(self.request.policy)
        result = [decision.rolled_back(rollback, good(findings), seconds), *([policy] if policy else [])]
        held = self.applier.held(planned.changes)
        return self._outcome(planned.changes, [*findings, *kept, *planned.notes, *held, *result])

    def verified(self) -> Outcome:
        """Record that the newest release passed its verification, so that a rollback may go back to it."""
        release = decision.verified(self.releases, self.request)
        before = self.current.verified if self.current else ""
        if release is None:
            return Outcome(before, before)
        if not self.context.check_mode:
            self._write(release)
        return Outcome(before, release.verified, facts={"release": release.as_dict()})

    # --- its steps ---
    def _wanted(self) -> list[Object]:
        """The objects to apply. OperatorError: one is malformed or a Secret, or the chosen components have none."""
        params = self.context.params
        for number, obj in enumerate(params["objects"]):
            if not (obj.get("apiVersion") and obj.get("kind") and (obj.get("metadata") or {}).get("name")):
                raise OperatorError(
                    f"objects[{number}] has no apiVersion, kind or metadata.name.", "Pass what the hsc.jit.manifests lookup returns."
                )
            if obj["kind"] == "Secret":
                raise OperatorError(f"objects[{number}] is a Secret: its values would stand in plans and records.", "Pass them as secrets.")
        objects = kube_objects.without_scaled_replicas(params["objects"])
        chosen = [obj for obj in objects if not params["components"] or desired.component(obj) in params["components"]]
        if not chosen:
            there = sorted({desired.component(obj) for obj in params["objects"]})
            raise OperatorError(
                f"components {params['components']} choose no object.", f"objects has the components {', '.join(there) or '(none)'}."
            )
        return chosen

    def _plan(self, objects: Sequence[Object], *, prune: bool, secrets: Mapping[str, Mapping[str, str]] | None) -> Planned:
        """secrets: the values to write; None in a rollback, which leaves the Secrets as they are."""
        self.context.progress.say("Planning", detail=f"{len(objects)} objects")
        changes, findings = self.applier.plan(objects, prune=prune, secrets=secrets)
        notes = [*release_plan.one_way(changes), *release_plan.defaults(changes), *self.applier.findings()]
        return Planned(changes, findings, len(objects), list(self.applier.live.values()), notes)

    def _compare_saved_plan(self, changes: Sequence[Change]) -> list[Finding]:
        """Write plan.json beside the journal; RO-01 if the plan that was to be carried out differs."""
        params, number = self.context.params, self.current.number if self.current else 0
        plan = saved_plan.document(self.cluster.namespace, number, record.set_digest(params["objects"]), changes)
        if params["journal"]:
            _atomic_file.write(Path(params["journal"]).parent / "plan.json", json.dumps(plan, indent=1))
        path = params["saved_plan"]
        if not path:
            return []
        try:
            found = saved_plan.compare(path, saved_plan.read(Path(path).read_text(encoding="utf-8")), plan)
        except (OSError, ValueError) as error:
            raise OperatorError(f"release_saved_plan is {path}: {error}.", "Give the plan.json that a run with --check left.") from error
        return [found] if found.verdict == "fail" else []

    def _carry_out(self, changes: Sequence[Change], release: Release) -> list[Finding]:
        if refused := self.applier.create_namespace(changes):
            return refused
        self._write(release)  # before the Secrets: whoever continues after a kill must know which keys were changed
        self.applier.write_secrets(changes)
        return self.applier.apply(changes)

    def _unblock(self, objects: Sequence[Object], *, never_good: bool) -> None:
        now = self.context.now() - timedelta(seconds=self.cluster.clock_skew)
        Stuck(self.cluster, self.applier.live, now, self.context.clock, never_good).try_again(objects)

    def _wait(self, objects: Sequence[Object], before: Sequence[Object]) -> list[Finding]:
        context = self.context
        watch = Watch(self.cluster, self.applier.kinds, context.progress, context.clock.monotonic, before=before)
        return watch.wait(kube_objects.without_scaled_replicas(objects), context.params["wait_seconds"])

    def _write(self, release: Release) -> None:
        """To the cluster, unless the same record is there already."""
        if release not in self.releases:
            applier.write_release(self.cluster, release, self.releases)
            self.releases = [*(known for known in self.releases if known.number != release.number), release]

    def _finish(self, release: Release) -> None:
        self._write(release)
        applier.forget_releases(self.cluster, record.superfluous(self.releases, self.context.params["history_limit"]))

    # --- what it returns ---
    def _summary(self, planned: Planned) -> Finding:
        """RO-01: how many objects are created, updated, deleted and unchanged."""
        changed = sum(1 for change in planned.changes if change.action != "delete" and change.obj["kind"] != "Secret")
        text = release_plan.summary(planned.changes, planned.objects - changed)
        evidence = {"objects": planned.objects, "changes": len(planned.changes), "requests": dict(self.cluster.requests)}
        return Finding("RO-01", "pass", f"Objects of the release: {text}.", evidence)

    def _outcome(self, changes: Sequence[Change], findings: Sequence[Finding]) -> Outcome:
        before, after = release_plan.as_diff(changes)
        release = self.current.as_dict() if self.current else None
        return Outcome(before, after, findings, {"release": release, "changes": len(changes)})

    def _plan_outcome(self, changes: Sequence[Change], findings: Sequence[Finding]) -> Outcome:
        release = self.current.as_dict() if self.current else None
        # A release that was started and not finished is not unchanged: its migration may have been killed.
        empty = not changes and (self.current is None or self.current.status != "started")
        plan = PlanDocument(
            changes=[change.as_dict() for change in changes],
            empty=empty,
            release=release,
            schema={"current": self.current.schema_revision if self.current else ""},
        )
        return Outcome(findings=findings, facts={"plan": plan, "release": release, "changes": len(changes)})
