# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The order of a release's steps: plan, prepare, record, apply, wait, record. What each step does lies in the file named like it."""

from __future__ import annotations

import getpass
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from .. import _atomic_file
from .._errors import OperatorError
from .._finding import Finding, good
from .._kube import objects as kube_objects
from .._kube.objects import Object
from .._module import Context, Outcome
from .._readiness.waiter import Watch
from . import applier, desired, record, rollback_policy, saved_plan
from . import plan as release_plan
from .plan import Change
from .record import Release
from .unblock import Stuck

_SHOWN = 25  # changes of a plan that are shown line by line; all of them are in the result


@dataclass
class Engine:
    """One call of the release module. Its methods return Outcomes."""

    context: Context

    def __post_init__(self) -> None:
        params = self.context.params
        self.cluster = self.context.cluster
        self.releases = applier.read_releases(self.cluster)
        self.current = record.newest(self.releases)
        owned = self.current.owned if self.current else {}
        self.applier = applier.Applier(
            self.cluster, params["field_manager"], params["force_conflicts"], self.context.progress, owned, clock=self.context.clock
        )
        self.run = params["run"] or (Path(params["journal"]).parent.name if params["journal"] else "")

    def planned(self) -> Outcome:
        """What ``present`` would change. Writes nothing."""
        changes, findings = self._plan(self._wanted(), prune=not self.context.params["components"])
        told = self._told(changes)
        findings = findings or self._as_saved(changes)
        for change in changes[:_SHOWN]:
            self.context.progress.say(f"would {change.action} {change.title}", detail=", ".join(name for name, _, _ in change.fields[:3]))
        self.context.progress.say("Plan", detail=told.message)
        return self._outcome(changes, findings or [told, *release_plan.one_way(changes)], planned=True)

    def _as_saved(self, changes: Sequence[Change]) -> list[Finding]:
        """Leave plan.json beside the journal; RO-01 if another plan was to be carried out."""
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

    def present(self) -> Outcome:
        """Apply, wait, record. An unchanged set is not written at all, only looked at."""
        params = self.context.params
        whole, wanted = params["objects"], self._wanted()
        changes, findings = self._plan(wanted, prune=not params["components"])
        if findings or self.context.check_mode:
            return self._outcome(changes if not findings else [], findings or [self._told(changes)])
        never_good = record.never_good(self.releases, self.run)
        release = self._record_for(whole, changes)
        if changes:
            findings = self._carry_out(changes, release, params["secrets"])
            if findings:
                return self._outcome(changes, findings)
        self._try_again(wanted, never_good=never_good)
        findings = [self._told(changes), *self._wait(wanted)]
        if not params["components"] and good(findings):
            owned = self.applier.ownership(wanted) if release.status == "started" else release.owned
            self._finish(self._at_schema(replace(release, status="deployed", owned=owned)))
        return self._outcome(changes, [*findings, *self.applier.held(changes)])

    def previous(self) -> Outcome:
        """Put a recorded release back, whole, and wait for it (RO-03). Secrets stay as they are.

        Not where the migration said beforehand that the release before does not run on the new schema: then it holds.
        """
        number, way_back = self.context.params["release_to"], self.context.params["way_back"]
        if held := rollback_policy.at_failure(way_back):
            return Outcome(findings=[held])
        target = record.to_put_back(self.releases, number, self._only_run())
        if target is None:
            return Outcome(findings=[self._nothing_to_put_back(number)])
        started = self.context.clock.monotonic()
        changes, refused = self._plan(target.objects, prune=True, secrets={})
        kept, findings = release_plan.cannot_go_back(refused)
        if findings or self.context.check_mode:
            return self._outcome(changes if not findings else [], [*kept, *(findings or [self._told(changes)])])
        withdrawn, digest = self.current, record.set_digest(target.objects)
        latest = self._next(digest, target.objects, target.images, target.schema_revision, target.number)
        only_adds = way_back.get("class") == "expand"  # else that it starts on this schema proves nothing for the next time
        latest = replace(latest, inventory=target.inventory, database=way_back.get("database", "") if only_adds else "")
        self._write(latest)
        findings = self.applier.apply(changes)
        if not findings:
            self._try_again(target.objects, never_good=True)
            findings = self._wait(target.objects)
        seconds = round(self.context.clock.monotonic() - started, 1)
        if good(findings):
            if withdrawn and withdrawn.number != target.number:
                self._write(replace(withdrawn, status="withdrawn"))
            self._finish(replace(latest, status="deployed", owned=self.applier.ownership(target.objects)))
        told = [_put_back(target, withdrawn, latest, good(findings), seconds), rollback_policy.after_code(way_back)]
        return self._outcome(changes, [*findings, *kept, *self.applier.held(changes), *(one for one in told if one)])

    def _wanted(self) -> list[Object]:
        params = self.context.params
        for number, obj in enumerate(params["objects"]):
            if not (obj.get("apiVersion") and obj.get("kind") and (obj.get("metadata") or {}).get("name")):
                raise OperatorError(
                    f"objects[{number}] has no apiVersion, kind or metadata.name.", "Pass what the hsc.jit.manifests lookup returns."
                )
            if obj["kind"] == "Secret":
                raise OperatorError(f"objects[{number}] is a Secret: its values would stand in plans and records.", "Pass them as secrets.")
        chosen = [obj for obj in params["objects"] if not params["components"] or desired.component(obj) in params["components"]]
        if not chosen:
            there = sorted({desired.component(obj) for obj in params["objects"]})
            raise OperatorError(
                f"components {params['components']} choose no object.", f"objects has the components {', '.join(there) or '(none)'}."
            )
        return chosen

    def _plan(
        self, objects: Sequence[Object], *, prune: bool, secrets: Mapping[str, Any] | None = None
    ) -> tuple[list[Change], list[Finding]]:
        self.context.progress.say("Planning", detail=f"{len(objects)} objects")
        changes, findings = self.applier.plan(objects, self.current.objects if self.current else (), prune=prune)
        values = self.context.params["secrets"] if secrets is None else secrets
        self.planned_objects, self.before = len(objects), list(self.applier.live.values())
        return [*self.applier.secrets_to_write(values), *changes] if secrets is None else changes, findings

    def _carry_out(self, changes: Sequence[Change], release: Release, secrets: Mapping[str, Mapping[str, str]]) -> list[Finding]:
        findings = self.applier.prepare(changes, secrets)
        if findings:
            return findings
        self._write(release)
        return self.applier.apply(changes)

    def _try_again(self, objects: Sequence[Object], *, never_good: bool) -> None:
        now = self.context.now() - timedelta(seconds=self.cluster.clock_skew)
        Stuck(self.cluster, self.applier.live, now, self.context.clock, never_good).try_again(objects)

    def _wait(self, objects: Sequence[Object]) -> list[Finding]:
        context = self.context
        watch = Watch(self.cluster, self.applier.kinds, context.progress, context.clock.monotonic, before=self.before)
        return watch.wait(kube_objects.without_scaled_replicas(objects), context.params["wait_seconds"])

    def _record_for(self, objects: Sequence[Object], changes: Sequence[Change]) -> Release:
        """The newest record if it is of this very set and nothing changes, or was begun and not finished; else the next one."""
        newest, digest = self.current, record.set_digest(objects)
        if newest and newest.digest == digest and (not changes or newest.status == "started"):
            return self._at_schema(replace(newest, run=self.run)) if newest.status == "started" else newest
        following = self._next(digest, objects, self.context.params["images"], newest.schema_revision if newest else "")
        return self._at_schema(replace(following, database=newest.database if newest else ""))

    def _at_schema(self, release: Release) -> Release:
        """With where this run's migration brought the schema; where none ran, as it is."""
        params = self.context.params
        if not params["schema_revision"]:
            return release
        way = params["way_back"]
        return replace(
            release, schema_revision=params["schema_revision"], schema_class=way.get("class", ""), database=way.get("database", "")
        )

    def _next(self, digest: str, objects: Sequence[Object], images: Mapping[str, str], schema: str, restores: int = 0) -> Release:
        return Release(
            number=self.current.number + 1 if self.current else 1,
            status="started",
            digest=digest,
            images=images,
            run=self.run,
            who=f"{getpass.getuser()}@{socket.gethostname()}",
            time=self.context.now().isoformat(timespec="seconds"),
            inventory=self.context.params["inventory_hash"],
            schema_revision=schema,
            restores=restores,
            objects=objects,
        )

    def _write(self, release: Release) -> None:
        """To the cluster, unless the same stands there already."""
        if release not in self.releases:
            applier.write_release(self.cluster, release, self.releases)
            self.releases = [*(known for known in self.releases if known.number != release.number), release]
        self.current = record.newest(self.releases)

    def _finish(self, release: Release) -> None:
        self._write(release)
        applier.forget_releases(self.cluster, record.superfluous(self.releases, self.context.params["history_limit"]))

    def _told(self, changes: Sequence[Change]) -> Finding:
        unchanged = self.planned_objects - sum(1 for change in changes if change.action != "delete" and change.obj["kind"] != "Secret")
        text = release_plan.summary(changes, unchanged)
        evidence = {"objects": self.planned_objects, "changes": len(changes), "requests": dict(self.cluster.requests)}
        return Finding("RO-01", "pass", f"Objects of the release: {text}.", evidence)

    def _outcome(self, changes: Sequence[Change], findings: Sequence[Finding], *, planned: bool = False) -> Outcome:
        before, after = release_plan.as_diff(changes)
        release = self.current.as_dict() if self.current else None
        schema = {"current": self.current.schema_revision if self.current else ""}
        if not planned:
            return Outcome(before, after, findings, {"release": release, "changes": len(changes)})
        # a release that was begun and not finished is not unchanged: its migration may have been killed
        empty = not changes and (self.current is None or self.current.status != "started")
        plan = {"changes": [change.as_dict() for change in changes], "empty": empty, "release": release, "schema": schema}
        return Outcome(findings=findings, facts={"plan": plan, "release": release, "changes": len(changes)})

    def _only_run(self) -> str:
        """The run whose release alone may be taken away; empty: anybody's, because a person asked."""
        return self.run if self.context.params["only_this_run"] and not self.context.params["release_to"] else ""

    def _nothing_to_put_back(self, number: int) -> Finding:
        """RO-03 where there is no target: why, and whether that is well."""
        known = ", ".join(str(release.number) for release in self.releases) or "none"
        if number:
            return Finding("RO-03", "fail", f"There is no release {number} to put back.", {"recorded": known}, f"Recorded are: {known}.")
        if self._only_run() and (self.current is None or self.current.run != self.run):
            return Finding("RO-03", "pass", "This run applied nothing, so there is nothing to put back.", {"run": self.run})
        remove = f"kubectl delete namespace {self.cluster.namespace}"
        step = f"What was applied stays for you to look at. Correct the cause and deploy again, or remove it with all its data: `{remove}`."
        return Finding("RO-03", "warn", "There is no earlier good release to put back.", {"recorded": known}, step)


def _put_back(target: Release, withdrawn: Release | None, latest: Release, whole: bool, seconds: float) -> Finding:
    evidence = {"release": target.number, "recorded_as": latest.number, "seconds": seconds, "images": dict(target.images)}
    if not whole:
        message = f"Release {target.number} was applied again, but did not become ready within {seconds} s."
        return Finding("RO-03", "fail", message, evidence, "See the RO-02 findings; `ansible-playbook playbooks/rollback.yml` tries again.")
    message = f"Release {target.number} is back (as release {latest.number}) and ready after {seconds} s."
    if withdrawn and withdrawn.schema_revision != target.schema_revision:
        message += f" The schema stays at {withdrawn.schema_revision}; that release was made for {target.schema_revision or 'none'}."
    return Finding("RO-03", "pass", message, evidence)
