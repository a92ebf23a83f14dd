# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Pre-flight: reads all that the rows need, in parallel, and has it judged by the pure checks. Writes nothing.

To add a row: a function ``(Look) -> list[Finding]`` in CHECKS, its judgement in a file without I/O, its id in _checklist.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from .._checks import run_checks
from .._errors import ApiError, OperatorError
from .._finding import Finding
from .._images import availability, registry
from .._kube.client import POOL_SIZE, Cluster
from .._kube.discovery import Kinds
from .._kube.kinds import defined
from .._kube.objects import title
from .._kube.workloads import claims_mounted, of_kind, workloads
from .._product import SELECTOR
from .._progress import Progress
from .._readiness.pods import PodState
from .._release import applier, plan, record
from .._verify.logs import redact
from . import backup_age, capacity, consistency, data_stores, disruptions, dry_run, permissions, references
from . import nodes as preflight_nodes

Key = TypeVar("Key", bound=Hashable)
_LIVING = "status.phase!=Succeeded,status.phase!=Failed"


@dataclass(frozen=True)
class Asked:
    """What the playbook wants to release, and the thresholds."""

    objects: Sequence[Mapping[str, Any]]
    images: Mapping[str, str]
    secret_keys_provided: Mapping[str, Sequence[str]]
    disk_free_bytes: int
    inodes_free_percent: int
    volume_free_percent: int
    broker: str
    lease_namespace: str
    field_manager: str
    force_conflicts: bool
    now: datetime
    backup_age_hours: float = 26


@dataclass
class Look:
    """One look at the cluster: what is asked, and the connection."""

    cluster: Cluster
    asked: Asked
    pool: ThreadPoolExecutor
    kinds: Kinds = field(init=False)
    namespace_exists: bool = False
    ending: Finding | None = None  # of a namespace that is being deleted
    # What several rows ask, listed once; or the API's refusal, which each of them tells.
    nodes: Any = ()
    pods: Any = ()  # of all namespaces, those that have not ended

    def __post_init__(self) -> None:
        self.kinds = Kinds(self.cluster, coming=defined(self.asked.objects))

    def each(self, calls: Mapping[Key, Callable[[], Any]]) -> dict[Key, Any]:
        """All calls in parallel; the API's refusals are values, so that one does not hide the others."""
        futures = {key: self.pool.submit(_answer, call) for key, call in calls.items()}
        return {key: future.result() for key, future in futures.items()}


def _answer(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ApiError as problem:
        return problem


def _value(answer: Any) -> Any:
    if isinstance(answer, ApiError):
        raise answer
    return answer


def look(cluster: Cluster, asked: Asked, progress: Progress) -> list[Finding]:
    """Every row's findings, in the order of the rows. ApiError if the server does not answer at all."""
    with ThreadPoolExecutor(POOL_SIZE) as pool:
        one = Look(cluster, asked, pool)
        _orient(one)
        checks = [(check_id, partial(check, one)) for check_id, check in CHECKS]
        return run_checks(checks, len(checks), lambda done, verdict: progress.say("Pre-flight", done, len(checks), verdict))


def _orient(one: Look) -> None:
    """Which kinds the server serves, whether the namespace is there, and what several rows look at."""
    answers = one.each(
        {
            "kinds": partial(one.kinds.learn, [obj["apiVersion"] for obj in one.asked.objects]),
            "namespace": partial(one.cluster.find, f"/api/v1/namespaces/{one.cluster.namespace}"),
            "nodes": partial(one.cluster.list, "/api/v1/nodes"),
            "pods": partial(one.cluster.list, "/api/v1/pods", fieldSelector=_LIVING),
        }
    )
    _value(answers["kinds"])
    namespace, one.nodes, one.pods = (answers[name] for name in ("namespace", "nodes", "pods"))
    # A deployer who may not read namespaces has one that exists: nobody gives rights in a namespace that is not there.
    may_not_say = isinstance(namespace, ApiError) and namespace.status == 403
    one.namespace_exists = may_not_say or _value(namespace) is not None
    one.ending = None if may_not_say else plan.ending(_value(namespace))


def _pf01(one: Look) -> list[Finding]:
    cluster = one.cluster
    answers = one.each(
        {
            "version": partial(cluster.get, "/version"),
            "metrics": partial(cluster.list, "/apis/metrics.k8s.io/v1beta1/nodes"),
        }
    )
    nodes, metrics = _value(one.nodes), answers["metrics"]
    needed_by = [title(hpa) for hpa in of_kind(one.asked.objects, "HorizontalPodAutoscaler")]
    status, items = (metrics.status, 0) if isinstance(metrics, ApiError) else (200, len(metrics))
    found = (
        preflight_nodes.check_clock(cluster.clock_skew)
        + preflight_nodes.check_nodes(nodes, _value(answers["version"]))
        + preflight_nodes.check_metrics(needed_by, status, items)
    )
    if isinstance(one.pods, ApiError) and one.pods.status == 403:
        message = f"Room for new pods was not looked at: {one.pods.message}."
        return [*found, Finding("PF-01", "skipped", message, {}, "Let the deployer list pods.")]
    return found + capacity.check(one.asked.objects, nodes, _value(one.pods), cluster.namespace, cluster.node_scale_up_seconds)


def _pf02(one: Look) -> list[Finding]:
    asked = one.asked
    nodes = [node["metadata"]["name"] for node in _value(one.nodes)]
    answers = one.each({node: partial(one.cluster.get, f"/api/v1/nodes/{node}/proxy/stats/summary") for node in nodes})
    silent = {node: answer for node, answer in answers.items() if isinstance(answer, ApiError)}
    summaries = {node: answer for node, answer in answers.items() if node not in silent}
    found = preflight_nodes.check_disk(summaries, asked.disk_free_bytes, asked.inodes_free_percent) if summaries else []
    mounted = claims_mounted(_own_pods(one), asked.now)
    found += preflight_nodes.check_volumes(summaries, one.cluster.namespace, asked.volume_free_percent, asked.inodes_free_percent, mounted)
    return found + [preflight_nodes.silent_kubelet(node, problem.status, problem.message) for node, problem in silent.items()]


def _own_pods(one: Look) -> list[Mapping[str, Any]]:
    """Of the namespace, also for a deployer who may list no others; none where these are hidden too, which PF-05 says."""
    if not isinstance(one.pods, ApiError):
        return [pod for pod in one.pods if pod["metadata"]["namespace"] == one.cluster.namespace]
    own = _answer(partial(one.cluster.list, one.cluster.namespaced("pods"), fieldSelector=_LIVING))
    return own if isinstance(own, list) else []


def _pf03(one: Look) -> list[Finding]:
    if one.ending:
        return [replace(one.ending, id="PF-03")]
    asked, cluster = one.asked, one.cluster
    refused: list[dry_run.Refused] = []
    later = [title(obj) for obj in asked.objects if one.kinds.is_coming(obj)]
    trials: dict[int, Callable[[], Any]] = {}
    pods: dict[int, Callable[[], Any]] = {}
    for number, obj in enumerate(asked.objects):
        if one.kinds.is_coming(obj):
            continue
        try:
            path, body = one.kinds.trial(obj, stand_in=not one.namespace_exists)
        except OperatorError as unserved:
            refused.append(dry_run.Refused(title(obj), obj, unserved))
            continue
        trials[number] = partial(cluster.patch_apply, path, body, asked.field_manager, asked.force_conflicts, dry_run=True)
        for workload in workloads([obj] if one.namespace_exists else []):
            where = cluster.namespaced("pods", namespace=obj["metadata"].get("namespace"))
            pods[number] = partial(cluster.create, where, dry_run.pod_of(workload), dryRun="All", fieldValidation="Strict")
    tried = one.each(trials)
    for number, answer in tried.items():
        if isinstance(answer, ApiError):
            refused.append(dry_run.Refused(title(asked.objects[number]), asked.objects[number], answer))
            pods.pop(number, None)
    for number, answer in one.each(pods).items():
        if isinstance(answer, ApiError):
            what, slower = f"Pods of {title(asked.objects[number])}", dry_run.replaced_one_by_one(tried[number], answer)
            refused.append(dry_run.Refused(what, asked.objects[number], answer, slower))
    return dry_run.check(asked.objects, refused, cluster.namespace, one.namespace_exists, later)


def _pf04(one: Look) -> list[Finding]:
    wanted = references.references(one.asked.objects)
    known = references.delivered(one.asked.objects, one.asked.secret_keys_provided)
    targets = references.unanswered(wanted, known)
    paths = {target: f"{one.cluster.namespaced(references.PLURALS[target[0]])}/{target[1]}" for target in targets}
    answers = one.each({target: partial(one.cluster.find, path) for target, path in paths.items()})
    unreadable = {target: answer.message for target, answer in answers.items() if isinstance(answer, ApiError)}
    there: dict[references.Target, Any] = {**known}
    for target, answer in answers.items():
        if target not in unreadable and answer is not None:
            there[target] = known.get(target, set()) | references.keys_of(answer)
    return references.check(wanted, there, unreadable, one.cluster.namespace)


def _pf05(one: Look) -> list[Finding]:
    resources = {(kind.group, kind.plural, kind.namespaced) for kind in map(one.kinds.find, one.asked.objects) if kind}
    rights = permissions.needed(resources, one.cluster.namespace, one.asked.lease_namespace)
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    answers = one.each({right: partial(one.cluster.create, path, right.review()) for right in rights})
    statuses = {right: _value(answer)["status"] for right, answer in answers.items()}
    denied = {right: status.get("reason", "no rule allows it") for right, status in statuses.items() if not status.get("allowed")}
    return permissions.check(rights, denied)


def _pf06(one: Look) -> list[Finding]:
    places = availability.used(one.asked.objects, one.asked.images)
    for reference, where in availability.of_rollback(_releases(one)).items():
        places.setdefault(reference, []).extend(where)
    images = [image for image in map(availability.parse, places) if image.digest]
    pull_secrets = {ref.name for ref in references.references(one.asked.objects) if ".imagePullSecrets[" in ref.field}
    secrets = one.each({name: partial(one.cluster.find, f"{one.cluster.namespaced('secrets')}/{name}") for name in pull_secrets})
    known = registry.credentials(secret for secret in secrets.values() if isinstance(secret, dict))
    answers = one.each({image.reference: partial(registry.ask, image.url, image.registry, known) for image in images})
    return availability.check(places, answers)


def _pf07(one: Look) -> list[Finding]:
    budgets = _answer(partial(one.cluster.list, one.cluster.namespaced("poddisruptionbudgets", "/apis/policy/v1")))
    found = consistency.check(one.asked.objects, one.asked.broker)
    told = {finding.evidence.get("object") for finding in found}  # of a budget that never allows one, its manifest was named already
    return [
        *found,
        *(one for one in disruptions.check_budgets(budgets) if one.evidence.get("object") not in told),
        *disruptions.check_side_by_side(one.asked.objects, one.nodes),
    ]


def _pf08(one: Look) -> list[Finding]:
    jobs = ((backup_age.BACKUP, one.asked.backup_age_hours), (backup_age.DRILL, backup_age.DRILL_HOURS))
    path = one.cluster.namespaced("cronjobs", "/apis/batch/v1")
    return [backup_age.check(job, one.cluster.find(f"{path}/{job.name}"), one.asked.now, hours) for job, hours in jobs]


def _releases(one: Look) -> list[record.Release]:
    """The recorded releases; none where the deployer may not read them, which PF-05 says."""
    found = _answer(partial(applier.read_releases, one.cluster))
    return found if isinstance(found, list) else []


def _pf09(one: Look) -> list[Finding]:
    stores = one.cluster.list(one.cluster.namespaced("statefulsets", "/apis/apps/v1"), labelSelector=SELECTOR)

    def log(state: PodState) -> str:
        answer = _answer(partial(one.cluster.logs, state.pod, state.container, tailLines=10, previous=state.restarted))
        return redact(answer) if isinstance(answer, str) else ""

    return data_stores.check(stores, _own_pods(one), log)


CHECKS: tuple[tuple[str, Callable[[Look], list[Finding]]], ...] = (
    ("PF-01", _pf01),
    ("PF-02", _pf02),
    ("PF-03", _pf03),
    ("PF-04", _pf04),
    ("PF-05", _pf05),
    ("PF-06", _pf06),
    ("PF-07", _pf07),
    ("PF-08", _pf08),
    ("PF-09", _pf09),
)
