# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""RO-04: a part of the users get the new release first. Promoted in steps or withdrawn; nothing is installed in the cluster for it.

The canary is a second Deployment behind the same Service. It stays until the whole release is applied, whose prune removes it; one that is
withdrawn is removed here, and one that a killed run left is found and used again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._errors import OperatorError
from .._finding import Finding
from .._kube.discovery import Kinds
from .._kube.objects import Object, title
from .._module import Context, Outcome
from .._readiness.waiter import Watch
from .._release import applier
from .._release.plan import Change
from .._verify.tasks import ready_pods
from . import objects as canary_objects
from .objects import SUFFIX, TRACK
from .traffic import Asker, Comparison

_STEP = "The release before serves all users. Correct what is worse, or look at it with release_strategy rolling in a staging environment."


class Canary:
    """One call of the module."""

    def __init__(self, context: Context) -> None:
        self.context, self.cluster, params = context, context.cluster, context.params
        self.workload: str = params["workload"]
        self.applier = applier.Applier(self.cluster, params["field_manager"], True, context.progress)
        self.asker = Asker(self.cluster, params["path"], params["port"], self._pods, context.clock, self._say)

    def _say(self, words: str) -> None:
        self.context.progress.say("Canary", detail=words)

    def run(self) -> Outcome:
        params, wanted, stable = self.context.params, self._wanted(), self._stable()
        if why := self._needless(wanted, stable):
            return Outcome(findings=[Finding("RO-04", "pass", f"No canary: {why}.", {"workload": self.workload})])
        after = {"canary": f"{self.workload}{SUFFIX}", "steps": params["percent"]}
        if self.context.check_mode:
            shares = " and ".join(f"{percent:g} %" for percent in params["percent"])
            message = f"{self.workload}: a canary would get {shares} of the pods for {params['seconds']:g} s each."
            return Outcome({}, after, [Finding("RO-04", "pass", message, {})])
        findings = self._steps(stable)
        if findings[-1].verdict != "pass":
            self._withdraw()
            return Outcome({}, {"withdrawn": f"{self.workload}{SUFFIX}"}, findings)
        return Outcome({}, after, findings)

    def _needless(self, wanted: Object, stable: Object) -> str:
        """Why there is nothing to try; empty if there is."""
        if not int((stable.get("status") or {}).get("readyReplicas", 0)):
            return f"no pod of {self.workload} runs that it could be compared with"
        if not self._changes_pods(wanted):
            return f"the release does not change {self.workload}"
        if self.context.params["way_back"].get("action") in ("hold", "restore"):
            return "the release before does not run on the new schema, so all pods change at once"
        return ""

    def _wanted(self) -> Object:
        """The workload as the release has it."""
        try:
            return canary_objects.deployment(self.context.params["objects"], self.workload)
        except LookupError as error:
            raise OperatorError(f"workload is {self.workload!r}: {error}.", "Name a Deployment of the release.") from error

    def _changes_pods(self, wanted: Object) -> bool:
        """Whether the server says that the release changes the workload's pods: their image, settings (by their hash), limits, probes."""
        changes, refused = self.applier.plan([wanted], prune=False)
        return bool(refused) or any(field.startswith("spec.template") for change in changes for field, _, _ in change.fields)

    def _stable(self) -> dict[str, Any]:
        """Empty if there is none yet."""
        return self.cluster.find(f"{self.cluster.namespaced('deployments', '/apis/apps/v1')}/{self.workload}") or {}

    def _pods(self) -> tuple[list[str], list[str]]:
        """Names of the ready pods: (canary's, stable)."""
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=f"app={self.workload}")
        canary = [pod for pod in pods if TRACK in pod["metadata"]["labels"]]
        stable = [pod for pod in pods if TRACK not in pod["metadata"]["labels"]]
        return tuple([name for name, _ in ready_pods(side, self.workload)] for side in (canary, stable))  # type: ignore[return-value]

    def _steps(self, stable: Mapping[str, Any]) -> list[Finding]:
        """A finding for each step; the last one is no pass where it was worse."""
        params = self.context.params
        findings: list[Finding] = []
        for percent in params["percent"]:
            beside = int((self._stable() or stable)["status"].get("replicas", 1))  # an autoscaler may have changed it since the step before
            replicas = canary_objects.replicas_for(percent, beside)
            self._say(f"{percent:g} %: {replicas} pods beside {beside}")
            failed = self._made(replicas)
            if failed:
                return [*findings, *failed]
            finding = self._judged(percent, self.asker.compare(params["seconds"], params["rate_per_second"]))
            findings.append(finding)
            if finding.verdict != "pass":
                break
        return findings

    def _made(self, replicas: int) -> list[Finding]:
        """Nothing if the canary is ready; else why not."""
        objects = canary_objects.made_from(self.context.params["objects"], self.workload, replicas)
        changes, refused = self.applier.plan(objects, prune=False)
        refused = refused or self.applier.apply(changes)
        if not refused:
            watch = Watch(self.cluster, Kinds(self.cluster), self.context.progress, self.context.clock.monotonic)
            refused = [one for one in watch.wait(objects, self.context.params["wait_seconds"]) if one.verdict not in ("pass", "warn")]
        return [replace(one, id="RO-04", message=f"The canary does not start. {one.message}", next_step=one.next_step) for one in refused]

    def _judged(self, percent: float, seen: Comparison) -> Finding:
        evidence = {"percent": percent, **seen.as_dict()}
        lead = f"Canary of {self.workload} with {percent:g} % of the pods"
        if why := seen.why:
            return Finding("RO-04", "fail", f"{lead} is worse: {why}.", evidence, _STEP)
        canary, stable = seen.canary.as_dict(), seen.stable.as_dict()
        if not seen.enough:
            message = f"{lead}: not enough data, {canary['asked']} of {seen.due} pairs, {stable['bad']} errors of the stable pods."
            step = f"May the API server reach the pods (kubectl get --raw .../pods/POD:8000/proxy{self.context.params['path']})?"
            return Finding("RO-04", "fail", message, evidence, step)
        message = (
            f"{lead} is as good after {canary['asked']} pairs: {canary['bad']} errors against {stable['bad']}, "
            f"p95 {canary['p95_milliseconds']} ms against {stable['p95_milliseconds']} ms."
        )
        return Finding("RO-04", "pass", message, evidence)

    def _withdraw(self) -> None:
        """Remove the canary: its pods end as any pod does, and no request is lost."""
        objects: Sequence[Any] = canary_objects.made_from(self.context.params["objects"], self.workload, 0)
        self._say(f"withdrawing {title(objects[-1])}")
        self.applier.kinds.learn({obj["apiVersion"] for obj in objects})
        self.applier.apply([Change("delete", obj) for obj in reversed(objects)])
