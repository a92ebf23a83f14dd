# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What is done if a release fails after its schema was migrated: decided and said before, carried out as it was said. Pure: no I/O.

Both shapes are dicts, because they go through Ansible. `_migration.jobs.parse_plan` reads a MigrationPlan from a Job's log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict, cast

from .._finding import Finding
from .._kube.objects import Object, pod_template

MigrationClass = Literal["expand", "contract", "irreversible"]
CLASSES: tuple[MigrationClass, ...] = ("expand", "contract", "irreversible")  # from harmless to worst


MigrationStep = TypedDict(
    "MigrationStep",
    {
        "revision": str,
        "title": str,
        "applied": bool,  # it is in the database
        "class": MigrationClass,
        "reasons": list[str],
        "declared": bool,  # the class is written in the migration, not derived from the SQL
        "transactional": NotRequired[bool],  # a failure leaves nothing of it; an older image does not say
        "sql": str,
    },
)


class MigrationPlan(TypedDict, total=False):
    """What ``app.migrate --current`` prints. since: the oldest revision that counts. ahead: number of the release whose record allows
    a database that is newer than the image.
    """

    current: str | None
    head: str
    pending: list[str]
    since: str
    steps: list[MigrationStep]
    ahead: int


# The functional form, because "class" is a keyword.
RollbackPolicy = TypedDict(
    "RollbackPolicy",
    {
        "action": Literal["code", "restore", "hold"],  # roll back the code; restore the snapshot too; stop and let a person decide
        "class": MigrationClass | Literal[""],  # the worst class of the revisions that the release before was not made for
        "database": str,  # revision at which the new code will run
        "applied": bool,  # whether such a revision is in the database; until then a rollback concerns the code alone
        "text": str,  # one sentence for the operator
        "commands": list[str],  # rollback, then restore; empty where the code alone is rolled back
    },
    total=False,
)


def worst(steps: Sequence[MigrationStep]) -> MigrationClass:
    """The class that decides for several; ``expand`` for none at all."""
    return max((step["class"] for step in steps), key=CLASSES.index, default="expand")


def store_steps(before: Sequence[Object], wanted: Sequence[Object], live: Mapping[str, Mapping[str, str]]) -> list[MigrationStep]:
    """A step for each data store whose image the release changes: an older server may not read the files that a newer one wrote.

    before, wanted: the objects of the running release and of the new one. live: image by container, by name of the StatefulSet; the step
    is applied where the new image runs already.
    """
    steps: list[MigrationStep] = []
    old = {obj["metadata"]["name"]: store_images(obj) for obj in before if obj["kind"] == "StatefulSet"}
    for obj in (one for one in wanted if one["kind"] == "StatefulSet" and one["metadata"]["name"] in old):
        name, images = obj["metadata"]["name"], store_images(obj)
        changed = {container: image for container, image in images.items() if old[name].get(container, image) != image}
        if changed:
            title = "; ".join(f"{old[name][container]} becomes {image}" for container, image in changed.items())
            applied = all(live.get(name, {}).get(container) == image for container, image in changed.items())
            reasons = ["the server before may not read the files that the new one writes"]
            step = {"revision": f"image:{name}", "title": title, "applied": applied, "reasons": reasons, "declared": False, "sql": ""}
            steps.append(cast(MigrationStep, {**step, "class": "contract"}))
    return steps


def store_images(stateful_set: Object) -> dict[str, str]:
    """Image by container."""
    return {one["name"]: one["image"] for one in ((pod_template(stateful_set) or {}).get("spec") or {}).get("containers") or []}


def changed_stores(before: Sequence[Object], target: Sequence[Object]) -> list[str]:
    """Names of the StatefulSets that have another image in ``target``."""
    return [step["revision"].removeprefix("image:") for step in store_steps(before, target, {})]


def ahead(told: Mapping[str, Any], since: str, release: int) -> MigrationPlan:
    """The plan of an image that is older than the schema, where the migrations since then only add: nothing is done.

    told: ``{refused, unknown, head}``. release: number of the one whose record says so.
    """
    return {"current": told["unknown"], "head": told["head"], "pending": [], "since": since, "steps": [], "ahead": release}


def way_back(plan: MigrationPlan, release: int, snapshot: Mapping[str, Any], restore: bool, inventory: Sequence[str]) -> RollbackPolicy:
    """What a failure after these revisions leads to.

    release: number of the release that would be put back; 0: there is none. snapshot: the Snapshot; empty before it is taken.
    restore: release_restore_on_failure. inventory: what ansible-playbook was called with, for the commands. database, in what is
    returned: the revision at which the new code will run.
    """
    database = (plan["current"] or "") if plan.get("ahead") else plan["head"]
    kind = worst(plan["steps"])
    applied = worst([step for step in plan["steps"] if step["applied"]]) != "expand"
    before = f"release {release}" if release else "no release"
    if kind == "expand" or not release:
        text = f"If this fails: roll back code; {before} runs on the new schema." if release else "If this fails: nothing is put back."
        return {"action": "code", "class": kind, "database": database, "applied": applied, "text": text, "commands": []}
    options = "".join(f" -i {source}" for source in inventory)
    commands = [
        f"ansible-playbook playbooks/rollback.yml{options} -e release_to={release}",
        f"ansible-playbook playbooks/restore.yml{options} -e restore_snapshot={snapshot.get('id') or 'SNAPSHOT'}",
    ]
    taken = f"snapshot {snapshot['id']}" if snapshot.get("id") else "the snapshot that this run takes"
    if restore:
        text = f"If this fails: roll back code to {before} and restore {taken}; what was written since then is lost."
        return {"action": "restore", "class": kind, "database": database, "applied": applied, "text": text, "commands": commands}
    text = f"If this fails: stop and hold; {before} does not run on the new schema, so the new code stays and a person decides."
    return {"action": "hold", "class": kind, "database": database, "applied": applied, "text": text, "commands": commands}


def finding(plan: MigrationPlan, way: RollbackPolicy, accepted: Sequence[str], restore: bool) -> Finding:
    """MG-02. accepted: revisions that a person allowed by name; a contract is also allowed by ``restore``, never what is irreversible."""
    evidence = {**plan, "way_back": dict(way)}
    steps = plan["steps"]
    if plan["current"] is None:
        return Finding("MG-02", "pass", f"The schema is made for the first time ({plan['head']}). {way['text']}", evidence)
    if plan.get("ahead") and not steps:
        message = f"The database is at {plan['current']}, not in this image ({plan['head']}): newer, and allowed by release "
        message += f"{plan['ahead']}'s record, as the migrations between only add. Nothing is migrated. {way['text']}"
        return Finding("MG-02", "pass", message, evidence)
    if not steps:
        return Finding("MG-02", "pass", f"The schema is at {plan['head']} already. {way['text']}", evidence)
    listed = "; ".join(map(_told, steps))
    refused = [
        step["revision"]
        for step in steps
        if step["revision"] not in accepted
        and not step["applied"]
        and (step["class"] == "irreversible" or (step["class"] == "contract" and not restore))
    ]
    if refused:
        step = (
            "Split it: first add what the code before can live with, remove in a later release. If there is no other way, allow it "
            "by name: "
            f"migrate_accept: {json.dumps(refused)}"
        )
        if all(one["class"] != "irreversible" for one in steps):
            step += ", or say with -e release_restore_on_failure=true that a failure restores the snapshot"
        return Finding("MG-02", "fail", f"Not safe to go back from, and not allowed: {listed}. {way['text']}", evidence, f"{step}.")
    return Finding("MG-02", "pass" if way["class"] == "expand" else "warn", f"{listed}. {way['text']}", evidence, _then(way))


def at_failure(way: RollbackPolicy) -> Finding | None:
    """RO-03 where the release must not be put back now; None where it is."""
    if not way.get("applied") or way.get("action") != "hold":
        return None
    message = f"Held, nothing was rolled back: the data was changed ({way['class']}) and the release before does not run on it."
    return Finding("RO-03", "fail", message, {"way_back": dict(way)}, _then(way))


def after_code(way: RollbackPolicy) -> Finding | None:
    """RO-03 after the code was put back: what is still missing; None if nothing is."""
    if not way.get("applied") or way.get("action") != "restore":
        return None
    message = "The code of the release before is back; its schema and data are not yet."
    return Finding("RO-03", "fail", message, {"way_back": dict(way)}, f"Restore the snapshot now: {way['commands'][-1]}")


def preview(plan: MigrationPlan) -> list[dict[str, Any]]:
    """The SQL of what is pending, as Ansible's diff."""
    sql = "\n\n".join(f"-- {step['revision']}: {step['class']}\n{step['sql']}" for step in plan["steps"] if not step["applied"])
    header = {"before_header": f"schema {plan['current'] or 'none'}", "after_header": f"schema {plan['head']}"}
    return [{**header, "before": "", "after": f"{sql}\n"}] if sql else []


def _told(step: MigrationStep) -> str:
    declared = ", declared" if step["declared"] else ""
    apart = "" if step.get("transactional", True) else ", not transactional: a failure may leave a part of it"
    reasons = "" if step["class"] == "expand" and not declared else f": {', '.join(step['reasons'])}"
    return f"{step['revision']} ({step['class']}{declared}{', applied already' if step['applied'] else ''}{apart}{reasons})"


def _then(way: RollbackPolicy) -> str:
    """The exact commands, as far as a person has to give them."""
    if not way["commands"]:
        return ""
    if way["action"] == "restore":
        return f"After a failure: {way['commands'][-1]}"
    return f"After a failure, forward: correct it and deploy again. Back: {' && '.join(way['commands'])}"
