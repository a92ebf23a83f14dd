# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What changes the cluster for a release: applies, prunes, makes secrets, writes records."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import not_
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube import discovery
from .._kube import objects as kube_objects
from .._kube.client import Cluster
from .._kube.kinds import Kind, defined
from .._kube.objects import Object
from .._poll import CLOCK, CONTROLLER_SECONDS, Clock, poll
from .._product import PART_OF, SELECTOR
from .._progress import Progress
from . import desired, record
from . import plan as release_plan
from .plan import Change

GENERATED = ("redis-password", "postgres-password", "token-key")
GENERATED_NAME = "hsc-jit-generated"
RESTARTED = "kubectl.kubernetes.io/restartedAt"  # kubectl's own, so that its rollout history reads as always


@dataclass
class Applier:
    """Brings a set of objects into the namespace of ``cluster``, as ``field_manager``.

    owned: what the newest release recorded of each object's ownership, by title. live: what the last plan saw, then what was applied.
    """

    cluster: Cluster
    field_manager: str
    force: bool
    progress: Progress
    owned: Mapping[str, str] = field(default_factory=dict)
    live: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    clock: Clock = CLOCK

    def __post_init__(self) -> None:
        self.kinds = discovery.Kinds(self.cluster)

    def plan(self, objects: Sequence[Object], before: Sequence[Object], *, prune: bool) -> tuple[list[Change], list[Finding]]:
        """What applying would change, by server-side dry run of all that is not surely unchanged; RO-01 for what is refused.

        before: objects of earlier releases; their kinds are looked at too when pruning.
        """
        wanted = [desired.marked(obj) for obj in kube_objects.without_scaled_replicas(objects)]
        also = {(obj["apiVersion"], obj["kind"]) for obj in before} if prune else set()
        self.live = live = discovery.live(self.kinds, wanted, also, SELECTOR)
        candidates = [obj for obj in wanted if not self._unchanged(obj)]
        namespace = discovery.namespace(self.cluster) if candidates else {}
        if ending := release_plan.ending(namespace):
            return [], [ending]
        stand_in = namespace is None
        changes, findings = [], []
        answers = discovery.in_parallel(lambda obj: self._try(obj, stand_in), candidates)
        for obj, answer in zip(candidates, answers, strict=True):
            if answer is None:
                changes.append(Change("create", obj))
            elif isinstance(answer, ApiError):
                findings.append(release_plan.refusal(obj, answer))
            elif change := release_plan.change_of(obj, live.get(kube_objects.key(obj)), answer, self.field_manager):
                changes.append(change)
        return [*changes, *(release_plan.pruned(list(live.values()), wanted) if prune else [])], findings

    def _unchanged(self, obj: Object) -> bool:
        owned = self.owned.get(kube_objects.title(obj), "")
        return desired.surely_unchanged(self.live.get(kube_objects.key(obj)), obj, owned, self.field_manager)

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
            return problem

    def prepare(self, changes: Sequence[Change], values: Mapping[str, Mapping[str, str]]) -> list[Finding]:
        """The namespace, and in it the secrets that everything else needs, of those that are planned. RO-01 if the server refuses."""
        findings = self._apply_wave([change.obj for change in changes if change.action != "delete" and change.obj["kind"] == "Namespace"])
        for change in changes if not findings else ():
            if change.obj["kind"] == "Secret":
                self._write_secret(change, values)
        return findings

    def apply(self, changes: Sequence[Change]) -> list[Finding]:
        """Wave after wave, the objects of one wave at once; then what is to go. Stops at the first wave with a refusal (RO-01).

        What ``prepare`` brings is left out.
        """
        wanted = [change.obj for change in changes if change.action != "delete" and change.obj["kind"] not in ("Namespace", "Secret")]
        done = 0
        for wave in desired.waves(wanted):
            if refused := self._apply_wave(wave) or self._not_served(wave):
                return refused
            done += len(wave)
            self.progress.say("Applying", done, len(wanted), desired.component(wave[0]))
        for change in changes:
            if change.action == "delete":
                self.cluster.delete(self.kinds.path(change.obj))
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
        try:
            live = self.cluster.patch_apply(self.kinds.path(obj), obj, self.field_manager, self.force, strict=strict)
        except ApiError as problem:
            return problem
        self.live[kube_objects.key(obj)] = live
        return None

    def secrets_to_write(self, values: Mapping[str, Mapping[str, str]]) -> list[Change]:
        """Which Secrets would be made or changed. Values are compared here and go nowhere else."""
        changes = []
        for name, data in values.items():
            live = self.cluster.find(self._secret(name))
            if live is None or any((live.get("data") or {}).get(key) != _encoded(value) for key, value in data.items()):
                changes.append(Change("update" if live else "create", _secret_object(name, {}), (("data", "(hidden)", "(hidden, other)"),)))
        if self.cluster.find(self._secret(GENERATED_NAME)) is None:
            changes.append(Change("create", _secret_object(GENERATED_NAME, {})))
        return changes

    def _secret(self, name: str) -> str:
        return f"{self.cluster.namespaced('secrets')}/{name}"

    def _write_secret(self, change: Change, values: Mapping[str, Mapping[str, str]]) -> None:
        """What is generated is random once, and never again: the data stores keep the passwords that they were made with."""
        name = change.obj["metadata"]["name"]
        data = {key: secrets.token_urlsafe(32) for key in GENERATED} if name == GENERATED_NAME else values[name]
        secret = _secret_object(name, data)
        if change.action == "create":
            self.cluster.create(self.cluster.namespaced("secrets"), secret)
        else:
            self.cluster.patch_merge(self._secret(name), {"data": secret["data"]})


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _secret_object(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    encoded = {key: _encoded(value) for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": PART_OF}, "data": encoded}


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
