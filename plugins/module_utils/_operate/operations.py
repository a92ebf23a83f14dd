# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What operators do to a running release. To add an operation: a method of Operation, its id in _checklist.py, its choice in the module."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

from .._backup.backup import CACHE
from .._errors import OperatorError
from .._finding import Finding, good
from .._kube.discovery import Kinds
from .._kube.objects import Object, title
from .._module import Context, Outcome
from .._product import SELECTOR
from .._readiness.waiter import Watch
from .._release import applier, record
from .._verify import logs as verify_logs
from .._verify import tasks
from .drain import Drain

_WORKLOADS = ("deployments", "statefulsets")
_MOST_REPLICAS = 100
_MOST_LINES = 10_000


@dataclass
class Operation:
    """One call of the module. component: name of a workload, with or without ``hsc-jit-``."""

    context: Context

    def __post_init__(self) -> None:
        self.cluster, self.params = self.context.cluster, self.context.params

    def restart(self) -> Outcome:
        """OP-01: new pods one after the other, as ``kubectl rollout restart`` makes them, and wait for all."""
        workload = self._workload()
        moment = self.context.now().isoformat(timespec="seconds")
        before = (workload["spec"]["template"]["metadata"].get("annotations") or {}).get(applier.RESTARTED, "")
        if not self.context.check_mode:
            applier.restart(self.cluster, self._path(workload), moment)
        done = self._done("OP-01", workload, f"{title(workload)} was restarted.", f"{title(workload)} would be restarted.")
        return Outcome({"restarted": before}, {"restarted": moment}, done)

    def celery(self) -> Outcome:
        """OP-02: what the workers do, and what waits."""
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=SELECTOR)
        found = tasks.check_tasks(self.cluster, pods, "hsc-jit-worker", ["fetch", "maintenance"], self.params["queue_length"])
        return Outcome(findings=[replace(finding, id="OP-02") for finding in found])

    def flush(self) -> Outcome:
        """OP-03: empty the cache Redis. Sessions and queues lie in the other one."""
        pod, container = self._ready_pod(CACHE)
        before = int(self._redis(pod, container, "DBSIZE"))
        if not self.context.check_mode:
            self._confirmed(f"This empties the cache: {before} keys. Until it is warm again, pods ask PostgreSQL and read manuals anew.")
            self._redis(pod, container, "FLUSHDB")
        verb = "would be" if self.context.check_mode else "were"
        finding = Finding("OP-03", "pass", f"{before} keys of {CACHE} {verb} removed.", {"pod": pod, "keys": before})
        return Outcome({"keys": before}, {"keys": 0}, [finding])

    def logs(self) -> Outcome:
        """OP-04: the last lines of each pod of a component, without secrets."""
        lines, name = self.params["lines"], self._name()
        if not 1 <= lines <= _MOST_LINES:
            raise OperatorError(f"lines is {lines}.", f"Give a number from 1 to {_MOST_LINES}.")
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=f"app={name}")
        if not pods:
            self._workload()  # names the components that there are
        texts = {
            pod["metadata"]["name"]: verify_logs.redact(self.cluster.logs(pod["metadata"]["name"], container["name"], tailLines=lines))
            for pod in pods
            for container in pod["spec"]["containers"][:1]
        }
        finding = Finding("OP-04", "pass", f"The last {lines} lines of {len(texts)} pods of {name}.", {"pods": sorted(texts)})
        return Outcome(findings=[finding], facts={"logs": {pod: text.splitlines() for pod, text in texts.items()}})

    def scale(self) -> Outcome:
        """OP-05: as many pods as said, until the next deployment. Not where an autoscaler decides."""
        replicas, workload = self.params["replicas"], self._workload()
        name = workload["metadata"]["name"]
        self._scalable(workload, replicas)
        obj = copy.deepcopy(dict(self._recorded(name)))
        before, obj["spec"]["replicas"] = workload["spec"]["replicas"], replicas
        if before != replicas and not self.context.check_mode:
            engine = applier.Applier(self.cluster, self.params["field_manager"], False, self.context.progress)
            changes, refused = engine.plan([obj], prune=False)
            if refused := [*refused, *(engine.apply(changes) if not refused else [])]:
                return Outcome(findings=refused)
        key = name.removeprefix("hsc-jit-")
        stays = f"To keep it beyond the next deployment: release_replicas.{key}: {replicas}."
        done = self._done("OP-05", obj, f"{title(obj)} has {replicas} pods. {stays}", f"{title(obj)} would have {replicas} pods.")
        return Outcome({"replicas": before}, {"replicas": replicas}, done)

    def drain(self) -> Outcome:
        """OP-08: cordon a node and evict what can be made elsewhere."""
        node = self.params["node"]
        drain = Drain(self.cluster, node, self.context.progress, self.context.clock)
        pods = drain.pods()
        if self.context.check_mode:
            message = f"Node {node} would be cordoned, and {len(pods)} pods evicted."
            return Outcome({"pods": len(pods)}, {"pods": 0}, [Finding("OP-08", "pass", message, {})])
        self._confirmed(f"This moves {len(pods)} pods away from node {node}, whosever they are.")
        return Outcome({"pods": len(pods)}, {"pods": 0}, [drain.run(self.params["wait_seconds"])])

    def _name(self) -> str:
        component: str = self.params["component"]
        return component if component.startswith("hsc-jit-") else f"hsc-jit-{component}"

    def _workload(self) -> dict[str, Any]:
        found = {
            one["metadata"]["name"]: one
            for plural in _WORKLOADS
            for one in self.cluster.list(self.cluster.namespaced(plural, "/apis/apps/v1"), labelSelector=SELECTOR)
        }
        if self._name() not in found:
            there = ", ".join(sorted(name.removeprefix("hsc-jit-") for name in found)) or "none; deploy first"
            raise OperatorError(f"component is {self.params['component']!r}; there is no such workload.", f"Components: {there}.")
        return found[self._name()]

    def _path(self, workload: Object) -> str:
        plural = f"{workload['kind'].lower()}s"
        return f"{self.cluster.namespaced(plural, '/apis/apps/v1')}/{workload['metadata']['name']}"

    def _scalable(self, workload: Object, replicas: int) -> None:
        """Problem: it must not be scaled by hand, or not to that number."""
        name = workload["metadata"]["name"]
        if not 0 <= replicas <= _MOST_REPLICAS:
            raise OperatorError(f"replicas is {replicas}.", f"Give a number from 0 to {_MOST_REPLICAS}.")
        for scaler in self.cluster.list(self.cluster.namespaced("horizontalpodautoscalers", "/apis/autoscaling/v2")):
            if scaler["spec"]["scaleTargetRef"]["name"] == name:
                low, high = scaler["spec"].get("minReplicas", 1), scaler["spec"]["maxReplicas"]
                key = name.removeprefix("hsc-jit-")
                raise OperatorError(
                    f"{title(workload)} is scaled by its HPA, from {low} to {high} pods by load.",
                    f"Set release_replicas.{key}_min and {key}_max, and deploy.",
                )
        if workload["kind"] == "StatefulSet" or name in (CACHE, "hsc-jit-beat", "hsc-jit-prometheus"):
            raise OperatorError(f"{title(workload)} is made for one pod: a second one would have data of its own.", "Scale what uses it.")
        if replicas == 0:
            self._confirmed(f"This leaves no pod of {name}.")

    def _recorded(self, name: str) -> Object:
        """The object as the newest release has it: applied by the same manager, so that the next deployment finds no foreign hand."""
        newest = record.newest(applier.read_releases(self.cluster))
        for obj in newest.objects if newest else ():
            if (obj["kind"], obj["metadata"]["name"]) == ("Deployment", name):
                return obj
        raise OperatorError(f"No recorded release has a Deployment {name}.", "Deploy first: ansible-playbook deploy.yml.")

    def _confirmed(self, what: str) -> None:
        if self.params["confirm"] != self.params["environment"]:
            raise OperatorError(
                f"{what} Nothing was changed.", f"If that is meant, run again with -e confirm={self.params['environment']}."
            )

    def _ready_pod(self, app: str) -> tuple[str, str]:
        pods = self.cluster.list(self.cluster.namespaced("pods"), labelSelector=f"app={app}")
        ready = tasks.ready_pods(pods, app)
        if not ready:
            raise OperatorError(f"No pod of {app} is ready.", f"kubectl get pods -l app={app}")
        return ready[0]

    def _redis(self, pod: str, container: str, *words: str) -> str:
        done = self.cluster.exec(pod, container, ["redis-cli", "-e", *words], timeout_seconds=30)
        if done.returncode:
            said = (done.stderr or done.stdout.decode("utf-8", "replace")).strip()[:200]
            raise OperatorError(f"redis-cli {' '.join(words)} in {pod} ended with {done.returncode}: {said}", f"kubectl logs {pod}")
        return done.stdout.decode()

    def _done(self, row: str, obj: Object, did: str, would: str) -> list[Finding]:
        """The operation's own pass after the wait, or what the wait found."""
        if self.context.check_mode:
            return [Finding(row, "pass", would, {})]
        watch = Watch(self.cluster, Kinds(self.cluster), self.context.progress, self.context.clock.monotonic)
        found = watch.wait([obj], self.params["wait_seconds"])
        findings = [replace(finding, id=row) for finding in found]
        if not good(found):
            return findings
        return [Finding(row, "pass", did, dict(found[0].evidence)), *(one for one in findings if one.verdict == "warn")]
