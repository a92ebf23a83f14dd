# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The order of a migration's steps: ask what is pending, say the way back, refuse or migrate, say where the schema is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypedDict, cast

from .._backup.snapshot import refusal
from .._errors import ApiError, OperatorError
from .._finding import Finding
from .._module import Context, Outcome
from .._product import SELECTOR
from .._release import applier, record, rollback_policy
from .._release.rollback_policy import MigrationPlan, RollbackPolicy
from . import jobs

_STEP = "Read the log above; correct the migration and run again. The previous release still runs; its schema is as the log says."
_LOG_LINES = 20


class MigrationFacts(TypedDict):
    """The module's return values. Plan and way_back are empty where nothing could be asked; log: the Job's last lines."""

    plan: MigrationPlan
    way_back: RollbackPolicy
    revision: str
    log: list[str]


@dataclass
class Migration:
    """One call of the schema_migrate module. Its methods return Outcomes with MigrationFacts."""

    context: Context

    def __post_init__(self) -> None:
        context, self.params = self.context, self.context.params
        self.runner = jobs.Runner(context.cluster, context.progress, context.clock)
        self.releases = releases = applier.read_releases(context.cluster)
        # A release that was begun and not finished is none to go back to, and what its run migrated counts as pending still.
        self.before = record.deployed(releases)
        self.workload = jobs.workload_of(self.params["objects"])

    def planned(self) -> Outcome:
        """MG-02 before anything changes, asked with the settings that the running release has: the new ones are not applied yet."""
        path = f"{self.context.cluster.namespaced('deployments', '/apis/apps/v1')}/{self.workload['metadata']['name']}"
        live = self.context.cluster.find(path)
        if live is None or self.before is None:
            message = "This is the first release here: the schema is made with it, and there is nothing to go back to."
            return self._outcome([Finding("MG-02", "pass", message, {"release": 0})])
        plan, findings = self._ask(live)
        if findings:
            return self._outcome(findings)
        way = self._way_back(plan)
        return self._outcome([self._said(plan, way)], plan, way)

    def migrated(self) -> Outcome:
        """MG-02 and MG-01: once, and only after a proved backup."""
        age = timedelta(minutes=self.params["snapshot_max_age_minutes"])
        if reason := refusal(self.params["snapshot"], self.context.now(), age):
            step = "Run the backup phase first (playbooks/deploy.yml does)."
            raise OperatorError(f"MG-01: no migration without a proved backup. {reason}", step)
        plan, findings = self._ask(self.workload)
        if findings:
            return self._outcome(findings)
        way = self._way_back(plan)
        back = self._said(plan, way)
        if back.verdict == "fail":
            return self._outcome([back], plan, way)
        if plan.get("ahead"):
            nothing = Finding(
                "MG-01", "pass", f"Nothing was migrated: the schema stays at {plan['current']}.", {"revision": plan["current"]}
            )
            return self._outcome([back, nothing], plan, way, plan["head"])
        manifest = self._job("run", *self._timeouts())
        if self.runner.finished(manifest) and not plan["pending"]:
            message = f"This image has migrated before; the schema is at {plan['head']}."
            return self._outcome([back, Finding("MG-01", "pass", message, {"revision": plan["head"]})], plan, way, plan["head"])
        return self._run(manifest, plan, way, back)

    def _run(self, manifest: Mapping[str, Any], plan: MigrationPlan, way: RollbackPolicy, back: Finding) -> Outcome:
        done = way.copy()
        done["applied"] = way["class"] != "expand"
        try:
            ended, log = self.runner.run(manifest, self.params["timeout_seconds"], again=True)
            lines = log.splitlines()[-_LOG_LINES:]
            if ended.verdict != "pass":
                self.runner.stop(manifest)  # nothing may go on migrating unseen while the release before is put back
                left, _ = self._ask(self.workload)
                now = self._way_back(left) if left else done
                at = left["current"] or "no revision" if left else "an unknown revision"
                message = f"The migration failed; the schema is at {at}. {ended.message}"
                return self._outcome([back, Finding("MG-01", "fail", message, {"log": lines}, _STEP)], plan, now, log=lines)
        except ApiError as problem:
            message = f"The API server was lost while the migration ran ({problem.message}); whether it ended is not known."
            step = "Run again when it is back: the Job is found, and what is applied is not applied twice."
            return self._outcome([back, Finding("MG-01", "error", message, {}, step)], plan, done)
        message = f"Migrated from {plan['current'] or 'nothing'} to {plan['head']} in {ended.evidence.get('seconds')} s."
        finding = Finding("MG-01", "pass", message, {"from": plan["current"], "to": plan["head"], "log": lines})
        outcome = self._outcome([back, finding], plan, done, plan["head"], lines)
        outcome.before, outcome.after = {"schema": plan["current"]}, {"schema": plan["head"], "catalogue": self.params["image"]}
        outcome.diff = rollback_policy.preview(plan) or None
        return outcome

    def _ask(self, workload: Mapping[str, Any]) -> tuple[MigrationPlan, list[Finding]]:
        """The plan, or why there is none (MG-02)."""
        since = self.before.schema_revision if self.before else ""
        manifest = self._job("plan", *(["--since", since] if since else []), workload=workload)
        asked, log = self.runner.run(manifest, self.params["timeout_seconds"], again=True)
        lines = {"log": log.splitlines()[-_LOG_LINES:]}
        try:
            plan = jobs.parse_plan(log)
        except ValueError as problem:
            message, step = (str(problem), "") if asked.verdict == "pass" else (asked.message, asked.next_step)
            return {}, [Finding("MG-02", "fail", f"What is pending could not be asked. {message}", lines, step)]
        if why := plan.get("refused"):
            if brought := record.newer_schema(self.releases, str(plan.get("unknown", "")), str(plan.get("head", ""))):
                return self._with_stores(rollback_policy.ahead(plan, since, brought.number)), []
            return {}, [Finding("MG-02", "fail", f"The image's migrations are refused. {why}", lines, "Nothing was touched.")]
        return self._with_stores(cast(MigrationPlan, plan)), []

    def _with_stores(self, plan: MigrationPlan) -> MigrationPlan:
        """The plan, and a step for each data store whose image changes."""
        if self.before is None:
            return plan
        cluster = self.context.cluster
        listed = cluster.list(cluster.namespaced("statefulsets", "/apis/apps/v1"), labelSelector=SELECTOR)
        live = {one["metadata"]["name"]: rollback_policy.store_images(one) for one in listed}
        stores = rollback_policy.store_steps(self.before.objects, self.params["objects"], live)
        return {**plan, "steps": [*plan["steps"], *stores]}

    def _way_back(self, plan: MigrationPlan) -> RollbackPolicy:
        number = self.before.number if self.before else 0
        params = self.params
        return rollback_policy.way_back(plan, number, params["snapshot"], params["restore_on_failure"], params["inventory"])

    def _said(self, plan: MigrationPlan, way: RollbackPolicy) -> Finding:
        """MG-02, and the same on the screen before anything changes."""
        finding = rollback_policy.finding(plan, way, self.params["accept"], self.params["restore_on_failure"])
        self.context.progress.say("Way back", detail=finding.message)
        for number, one in enumerate(way["commands"], start=1):
            self.context.progress.say(f"Way back, command {number}", detail=one)
        return finding

    def _timeouts(self) -> list[str]:
        return [f"--{name.replace('_', '-')}={self.params[name]:g}" for name in ("lock_timeout_seconds", "statement_timeout_seconds")]

    def _job(self, action: str, *arguments: str, workload: Mapping[str, Any] | None = None) -> dict[str, Any]:
        seconds = self.params["timeout_seconds"]
        return jobs.job(workload or self.workload, self.params["image"], action, *arguments, seconds=seconds)

    def _outcome(
        self,
        findings: Sequence[Finding],
        plan: MigrationPlan | None = None,
        way: RollbackPolicy | None = None,
        revision: str = "",
        log: Sequence[str] = (),
    ) -> Outcome:
        facts = MigrationFacts(plan=plan or {}, way_back=way or {}, revision=revision, log=list(log))
        return Outcome(findings=findings, facts=facts)
