# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What changes the cluster for a release: applies, prunes, makes secrets, writes records."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from operator import not_
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube import discovery, managed_fields
from .._kube import objects as kube_objects
from .._kube.client import Cluster
from .._kube.kinds import Kind, defined
from .._kube.objects import AUTOSCALERS, Object, ObjectKey, at
from .._poll import CLOCK, CONTROLLER_SECONDS, Clock, poll
from .._product import SELECTOR
from .._progress import Progress
from . import desired, record, takeover
from . import plan as release_plan
from .cluster_secrets import ClusterSecrets
from .plan import Change
from .secret_readers import Key

RESTARTED = "kubectl.kubernetes.io/restartedAt"  # kubectl's own, so that its rollout history reads as always


@dataclass
class Applier:
    """Brings a set of objects into the namespace of ``cluster``, as ``field_manager``.

    owned: what the newest release recorded of each object's ownership, by title. recorded: the objects of all recorded releases.
    earlier: their field managers. rotated: the keys of Secrets that they changed. live: what the last plan saw, then what was applied.
    """

    cluster: Cluster
    field_manager: str
    force: bool
    progress: Progress
    owned: Mapping[str, str] = field(default_factory=dict)
    recorded: Sequence[Object] = ()
    earlier: Collection[str] = ()
    rotated: Collection[Key] = ()
    live: dict[ObjectKey, dict[str, Any]] = field(default_factory=dict)
    clock: Clock = CLOCK

    def __post_init__(self) -> None:
        self.kinds = discovery.Kinds(self.cluster)
        self.managers = frozenset({self.field_manager, *self.earlier})
        self.secrets = ClusterSecrets(self.cluster, self.rotated)
        self.bare: dict[ObjectKey, Object] = {}  # the planned objects without what _complete adds
        self.freed: set[tuple[Any, Any]] = set()  # (kind, name) of what a deleted autoscaler scaled
        self.taken: dict[str, Collection[str]] = {}
        self.copies: list[Finding] = []

    def plan(
        self, objects: Sequence[Object], *, prune: bool, secrets: Mapping[str, Mapping[str, str]] | None = None
    ) -> tuple[list[Change], list[Finding]]:
        """What applying would change, by server-side dry run of all that is not surely unchanged; RO-01 for what is refused.

        prune: delete what recorded releases have and ``objects`` do not. secrets: values to write; None leaves all Secrets as they are.
        """
        bare = kube_objects.without_scaled_replicas(objects)
        also = {(obj["apiVersion"], obj["kind"]) for obj in self.recorded} if prune else set()
        self.live = discovery.live(self.kinds, bare, also, SELECTOR)
        self.secrets = ClusterSecrets(self.cluster, self.rotated)
        self.secrets.read(bare, secrets)
        self.bare = {kube_objects.key(obj): obj for obj in bare}
        wanted = [self._complete(obj) for obj in bare]
        candidates = [obj for obj in wanted if not self._unchanged(obj)]
        namespace = discovery.namespace(self.cluster) if candidates else {}
        if ending := release_plan.ending(namespace):
            return [], [ending]
        recorded = {kube_objects.key(obj) for obj in self.recorded}
        pruned = release_plan.pruned(list(self.live.values()), wanted, recorded, self.managers) if prune else release_plan.Pruned([], [])
        self.freed = {(at(change.obj, "spec.scaleTargetRef.kind"), at(change.obj, "spec.scaleTargetRef.name")) for change in pruned.deleted}
        self.copies = takeover.copies(pruned.copies)
        changes, findings = self._try_all(candidates, stand_in=namespace is None)
        return [*self.secrets.planned(), *changes, *pruned.deleted], findings

    def _try_all(self, candidates: Sequence[Object], *, stand_in: bool) -> tuple[list[Change], list[Finding]]:
        changes, findings, self.taken = [], [], {}
        answers = discovery.in_parallel(lambda obj: self._try(obj, stand_in), candidates)
        for obj, answer in zip(candidates, answers, strict=True):
            live, replaced = self.live.get(kube_objects.key(obj)), self._replaced(obj)
            if answer is None:
                changes.append(Change("create", obj))
            elif isinstance(answer, ApiError):
                findings.append(release_plan.refusal(obj, answer))
            elif change := release_plan.change_of(obj, live, answer, self.field_manager, replaced):
                changes.append(change)
                if replaced:
                    self.taken[change.title] = replaced
        return changes, findings

    def _complete(self, obj: Object) -> Object:
        """What is sent: the manifest with the hash of its Secrets' values, the hash of itself, and the live number of replicas."""
        live = self.live.get(kube_objects.key(obj))
        marked = desired.marked(self.secrets.with_fingerprint(obj, live))
        return desired.keeping_replicas(marked, live, self.managers | self._replaced(obj))

    def _replaced(self, obj: Object) -> frozenset[str]:
        """The managers whose fields of the object are taken over."""
        return takeover.managers_to_replace(self.live.get(kube_objects.key(obj)), self.field_manager, self.managers, force=self.force)

    def _unchanged(self, obj: Object) -> bool:
        owned = self.owned.get(kube_objects.title(obj), "")
        return not self._replaced(obj) and desired.surely_unchanged(self.live.get(kube_objects.key(obj)), obj, owned, self.field_manager)

    def ownership(self, objects: Sequence[Object]) -> dict[str, str]:
        """What the release's record keeps, so that the next run knows without a request what nobody touched."""
        return {
            kube_objects.title(obj): kube_objects.ownership(self.live.get(kube_objects.key(obj)), self.field_manager) for obj in objects
        }

    def _try(self, obj: Object, stand_in: bool) -> dict[str, Any] | ApiError | None:
        """The server's answer to a dry run; None where nobody can try it yet, because its kind comes with this set."""
        if self.kinds.is_coming(obj):
            return None
        path, body = self.kinds.trial(obj, stand_in=stand_in)
        try:
            return self.cluster.patch_apply(path, body, self.field_manager, self.force, dry_run=True)
        except ApiError as problem:
            if not self._may_force(obj, problem):
                return problem
        try:
            return self.cluster.patch_apply(path, body, self.field_manager, True, dry_run=True)
        except ApiError as problem:
            return problem

    def _may_force(self, obj: Object, problem: ApiError) -> bool:
        """Whether all conflicts are with tools that we take over from, or with an autoscaler that this release deletes."""
        freed = (obj["kind"], obj["metadata"]["name"]) in self.freed and takeover.conflicts_only_on(problem, "spec.replicas")
        return freed or takeover.conflicts_only_with(problem, self._replaced(obj))

    def create_namespace(self, changes: Sequence[Change]) -> list[Finding]:
        """The namespace, if it is planned. RO-01 if the server refuses it."""
        return self._apply_wave([change.obj for change in changes if change.action != "delete" and change.obj["kind"] == "Namespace"])

    def write_secrets(self, changes: Sequence[Change]) -> None:
        """The planned Secrets, which everything else needs."""
        for change in changes:
            if change.obj["kind"] == "Secret":
                self.secrets.write(change)

    def apply(self, changes: Sequence[Change]) -> list[Finding]:
        """Wave after wave, the objects of one wave at once; then what is to go. Stops at the first wave with a refusal (RO-01).

        The namespace and the Secrets are written before. An autoscaler that is deleted goes first: it must not change what the waves set.
        """
        wanted = [change.obj for change in changes if change.action != "delete" and change.obj["kind"] not in ("Namespace", "Secret")]
        self.secrets.read_again()
        wanted = [self._complete(self.bare.get(kube_objects.key(obj), obj)) for obj in wanted]
        deleted = sorted((change.obj for change in changes if change.action == "delete"), key=lambda obj: obj["kind"] not in AUTOSCALERS)
        for obj in (one for one in deleted if one["kind"] in AUTOSCALERS):
            self.cluster.delete(self.kinds.path(obj))
        done = 0
        for wave in desired.waves(wanted):
            if refused := self._apply_wave(wave) or self._not_served(wave):
                return refused
            done += len(wave)
            self.progress.say("Applying", done, len(wanted), desired.component(wave[0]))
        for obj in (one for one in deleted if one["kind"] not in AUTOSCALERS):
            self.cluster.delete(self.kinds.path(obj))
        return []

    def held(self, changes: Sequence[Change]) -> list[Finding]:
        """RO-01 for what was deleted and does not go, because a finalizer holds it that nobody serves. It is left as it is."""
        findings = []
        for change in changes:
            there = self.cluster.find(self.kinds.path(change.obj)) if change.action == "delete" else None
            if there and there["metadata"].get("deletionTimestamp"):
                findings.append(release_plan.not_gone(there))
        return findings

    def _not_served(self, wave: Sequence[Object]) -> list[Finding]:
        """RO-01 where the server does not serve the kinds that a wave defines within seconds: later waves have objects of them."""
        coming = defined(wave)

        def missing_kinds() -> set[Kind]:
            self.kinds.learn({version for version, _ in coming}, again=True)
            if missing := set(coming) - set(self.kinds.known):
                self.progress.say("Applying", detail=f"waiting until {', '.join(kind for _, kind in sorted(missing))} is served")
            return missing

        missing = poll(missing_kinds, CONTROLLER_SECONDS, until=not_, clock=self.clock)
        return [release_plan.not_established(self.cluster.get(self.kinds.path(one))) for one in wave if missing & set(defined([one]))]

    def _apply_wave(self, wave: Sequence[Object]) -> list[Finding]:
        answers = discovery.in_parallel(self._apply_one, wave)
        return [release_plan.refusal(obj, answer) for obj, answer in zip(wave, answers, strict=True) if answer is not None]

    def _apply_one(self, obj: Object) -> ApiError | None:
        """Its fields were validated by the dry run, which the server need not do twice, unless nobody could try it."""
        strict = (obj["apiVersion"], obj["kind"]) in self.kinds.coming
        path, name = self.kinds.path(obj), kube_objects.key(obj)
        try:
            if replaced := self._replaced(obj):
                self._take_over(path, obj, replaced)
            live = self._send(path, obj, strict)
        except ApiError as problem:
            return problem
        self.live[name] = live
        return None

    def _send(self, path: str, obj: Object, strict: bool) -> dict[str, Any]:
        try:
            return self.cluster.patch_apply(path, obj, self.field_manager, self.force, strict=strict)
        except ApiError as problem:
            if self._may_force(obj, problem):
                return self.cluster.patch_apply(path, obj, self.field_manager, True, strict=strict)
            bare = self.bare.get(kube_objects.key(obj), obj)
            if takeover.conflicts_only_on(problem, "spec.replicas") and "replicas" not in bare["spec"]:
                # Since the plan an autoscaler has set the number. It owns the field now.
                return self.cluster.patch_apply(path, kube_objects.without_replicas(obj), self.field_manager, self.force, strict=strict)
            raise

    def _take_over(self, path: str, obj: Object, managers: Collection[str]) -> None:
        """Move the managers' entries in managedFields to ours. Tried again while somebody else changes the object."""

        def attempt() -> ApiError | None:
            live = self.cluster.get(path)
            entries = managed_fields.transferred(live, managers, self.field_manager, obj["apiVersion"], merge=takeover.merges(obj))
            metadata = {"managedFields": entries, "resourceVersion": live["metadata"]["resourceVersion"]}
            try:
                self.cluster.patch_merge(path, {"metadata": metadata}, fieldManager=self.field_manager)
            except ApiError as problem:
                if problem.status == 409:
                    return problem
                raise
            return None

        if problem := poll(attempt, CONTROLLER_SECONDS, until=not_, clock=self.clock):
            raise problem

    def findings(self) -> list[Finding]:
        """RO-01 for what the last plan takes over from other tools, and for copies of our objects that stay."""
        return [*takeover.told(self.taken), *self.copies]


def read_releases(cluster: Cluster) -> list[record.Release]:
    return [record.from_config_map(item) for item in cluster.list(cluster.namespaced("configmaps"), labelSelector=record.SELECTOR)]


def write_release(cluster: Cluster, release: record.Release, releases: Sequence[record.Release]) -> None:
    """Create the record. Of one that is there already only what is told of the release can be new: its objects stay what they were."""
    path = cluster.namespaced("configmaps")
    if any(known.number == release.number for known in releases):
        cluster.patch_merge(f"{path}/{record.PREFIX}{release.number}", {"data": record.as_data(release)})
    else:
        cluster.create(path, record.as_config_map(release))


def forget_releases(cluster: Cluster, releases: Sequence[record.Release]) -> None:
    for release in releases:
        cluster.delete(f"{cluster.namespaced('configmaps')}/{record.PREFIX}{release.number}")


def restart(cluster: Cluster, path: str, moment: str) -> None:
    """New pods for the workload at ``path``. The release owns no such annotation, so the next deployment changes nothing of it."""
    template = {"metadata": {"annotations": {RESTARTED: moment}}}
    cluster.patch_merge(path, {"spec": {"template": template}}, fieldManager="hsc.jit-operate")
