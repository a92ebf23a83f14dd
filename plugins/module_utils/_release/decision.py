# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What a run does with a release: which record it writes, what a rollback goes back to, how it ends. Pure: no I/O.

`engine` reads the cluster, asks here, and carries out the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .._finding import Finding
from .._kube.objects import Object
from . import record, rollback_policy
from .plan import Change
from .record import Release
from .rollback_policy import RollbackPolicy


@dataclass(frozen=True)
class Request:
    """What the release module was asked to do, and by whom. Options of the module have the same names.

    objects: the whole set, also where only some components are applied. run: id of this run. who: ``user@host``. time: ISO 8601.
    """

    objects: Sequence[Object] = ()
    images: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    who: str = ""
    time: str = ""
    inventory_hash: str = ""
    schema_revision: str = ""
    policy: RollbackPolicy = field(default_factory=RollbackPolicy)
    release_to: int = 0
    only_this_run: bool = False
    namespace: str = ""
    field_manager: str = "hsc.jit"

    @property
    def rolls_back_run(self) -> str:
        """The run whose release alone may be rolled back; empty for any run, because a person asked for a release by number."""
        return self.run if self.only_this_run and not self.release_to else ""


def release_record(releases: Sequence[Release], request: Request, changes: Sequence[Change]) -> Release:
    """The record of this deployment.

    The newest one if it has the same set of objects and either nothing changes or it was started and not finished; else a new one.
    """
    newest, digest = record.newest(releases), record.set_digest(request.objects)
    if newest and newest.digest == digest and (not changes or newest.status == "started"):
        return at_schema(replace(newest, run=request.run), request) if newest.status == "started" else newest
    following = replace(_next(releases, request, digest), secrets_changed=_secret_keys(changes))
    if newest:
        following = replace(following, schema_revision=newest.schema_revision, database=newest.database)
    return at_schema(following, request)


def deployed(release: Release, request: Request, owned: Mapping[str, str]) -> Release:
    """The record once all objects are ready. owned: hash of the owned fields of each object, by title."""
    return at_schema(replace(release, status="deployed", owned=owned), request)


def at_schema(release: Release, request: Request) -> Release:
    """With the schema that this run's migration reached; unchanged where no migration ran."""
    if not request.schema_revision:
        return release
    policy = request.policy
    return replace(
        release,
        schema_revision=request.schema_revision,
        schema_class=policy.get("class", ""),
        database=policy.get("database", ""),
    )


def verified(releases: Sequence[Release], request: Request) -> Release | None:
    """The newest record with the run that verified it; None if it needs no change."""
    newest = record.newest(releases)
    return replace(newest, verified=request.run or "verified") if newest and newest.status == "deployed" and not newest.verified else None


@dataclass(frozen=True)
class Rollback:
    """A rollback that can be carried out. target: the release to apply again; withdrawn: the newest one; record: what is written first."""

    target: Release
    withdrawn: Release | None
    record: Release


def rollback(releases: Sequence[Release], request: Request) -> Rollback | Finding:
    """What to go back to, or RO-03 that says why nothing is rolled back."""
    if held := rollback_policy.at_failure(request.policy):
        return held
    target = record.to_put_back(releases, request.release_to, request.rolls_back_run)
    if target is None:
        return _no_target(releases, request)
    newest = record.newest(releases)
    stores = rollback_policy.changed_stores(newest.objects, target.objects) if newest else []
    if stores and not request.release_to:
        names = ", ".join(stores)
        message = f"Held, nothing was rolled back: release {target.number} has another image of {names}, which may not read the files."
        step = f"If both versions read the same files: playbooks/rollback.yml -e release_to={target.number}. Else restore the snapshot."
        return Finding("RO-03", "fail", message, {"release": target.number, "stores": stores}, step)
    # A schema that only grew runs with the code of before; another class proves nothing about the next time.
    only_adds = request.policy.get("class") == "expand"
    following = replace(
        _next(releases, request, record.set_digest(target.objects)),
        images=target.images,
        objects=target.objects,
        schema_revision=target.schema_revision,
        restores=target.number,
        verified=target.verified,
        inventory=target.inventory,
        database=request.policy.get("database", "") if only_adds else "",
    )
    return Rollback(target, record.newest(releases), following)


def rolled_back(done: Rollback, ready: bool, seconds: float) -> Finding:
    """RO-03 after the rollback was applied. ready: all its objects became ready, after ``seconds``."""
    target, withdrawn = done.target, done.withdrawn
    evidence = {"release": target.number, "recorded_as": done.record.number, "seconds": seconds, "images": dict(target.images)}
    if not ready:
        message = f"Release {target.number} was applied again, but did not become ready within {seconds} s."
        return Finding("RO-03", "fail", message, evidence, "See the RO-02 findings; `ansible-playbook playbooks/rollback.yml` tries again.")
    message = f"Release {target.number} is back (as release {done.record.number}) and ready after {seconds} s."
    if withdrawn and withdrawn.schema_revision != target.schema_revision:
        message += f" The schema stays at {withdrawn.schema_revision}; that release was made for {target.schema_revision or 'none'}."
    if withdrawn and withdrawn.secrets_changed:
        message += f" These values of Secrets stay as release {withdrawn.number} set them: {', '.join(withdrawn.secrets_changed)}."
    return Finding("RO-03", "pass", message, evidence)


def _next(releases: Sequence[Release], request: Request, digest: str) -> Release:
    newest = record.newest(releases)
    return Release(
        number=newest.number + 1 if newest else 1,
        status="started",
        digest=digest,
        images=request.images,
        run=request.run,
        who=request.who,
        time=request.time,
        inventory=request.inventory_hash,
        verified="",
        field_manager=request.field_manager,
        objects=request.objects,
    )


def _secret_keys(changes: Sequence[Change]) -> list[str]:
    """``hsc-secrets/gemini-key`` for each key of a Secret that is changed."""
    changed = [change for change in changes if change.obj["kind"] == "Secret" and change.action == "update"]
    return [f"{change.obj['metadata']['name']}/{field.removeprefix('data.')}" for change in changed for field, _, _ in change.fields]


def _no_target(releases: Sequence[Release], request: Request) -> Finding:
    newest, known = record.newest(releases), ", ".join(str(release.number) for release in releases) or "none"
    if request.release_to:
        step = f"Recorded are: {known}."
        return Finding("RO-03", "fail", f"There is no release {request.release_to} to roll back to.", {"recorded": known}, step)
    if request.rolls_back_run and (newest is None or newest.run != request.run):
        return Finding("RO-03", "pass", "This run applied nothing, so there is nothing to roll back.", {"run": request.run})
    remove = f"kubectl delete namespace {request.namespace}"
    step = f"What was applied stays for inspection. Correct the cause and deploy again, or remove it with all its data: `{remove}`."
    unverified = [str(release.number) for release in releases if release.status == "deployed" and not release.verified]
    message = "There is no earlier good release to roll back to."
    if unverified:
        message += f" Never verified: {', '.join(unverified)} (playbooks/rollback.yml -e release_to=N applies one all the same)."
    return Finding("RO-03", "warn", message, {"recorded": known, "unverified": unverified}, step)
