#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Put a proved snapshot in the place of the live data."""

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_snapshot
short_description: Put a proved snapshot in the place of the live data
version_added: 0.1.0
description:
  - Restores Redis and PostgreSQL of the running product from a snapshot of M(hsc.jit.backup_snapshot) and reports BK-05.
  - Refuses without O(confirm), and a snapshot that was never proved or whose files are not the ones that were written.
  - The snapshot is first restored into scratch servers. Then what writes is scaled to zero, what is there now is backed up and proved, the
    snapshot is laid beside the live data, compared, put in its place and compared again. The workloads come back as many as they were.
  - A run that was killed is finished by the next one; until then the ConfigMap C(hsc-jit-restore) says how far it is.
  - Sessions of users end, and what was written after the snapshot is only in the safety backup.
requirements:
  - pyrage, for encrypted snapshots
  - boto3, for copies elsewhere
author:
  - The HSC-JIT deployment engineers (@hsc-jit)
extends_documentation_fragment:
  - hsc.jit.target
  - hsc.jit.target.run
options:
  directory:
    description: Folder of the snapshots on the controller.
    type: path
    required: true
  snapshot:
    description: Id of the snapshot, or V(newest) for the newest proved one that was not taken by a restore.
    type: str
    required: true
  confirm:
    description: Must be the same as O(environment), typed by a person. Not needed in check mode.
    type: str
    default: ""
  environment:
    description: Name of the environment whose data is replaced.
    type: str
    required: true
  images:
    description: Images of C(redis) and C(postgres) for the scratch pods; what is left out is the image of the running data store.
    type: dict
    default: {}
  age_recipients:
    description: Public keys (age or SSH) to which the safety backup is encrypted; empty means not encrypted.
    type: list
    elements: str
    default: []
  age_identity_file:
    description: File of the private key that opens an encrypted snapshot.
    type: path
    default: ""
  s3:
    description: Where copies lie, as in M(hsc.jit.backup_snapshot). A snapshot that is not in O(directory) is fetched from there.
    type: dict
    default: {}
  wait_seconds:
    description: How long the workloads may take to be ready again.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Put the newest snapshot back
  hsc.jit.restore_snapshot:
    directory: evidence/snapshots
    snapshot: newest
    environment: staging
    confirm: "{{ typed }}"
"""

RETURN = r"""
restored:
  description: The snapshot that was, or would be, restored - C(id), C(created), C(replicas) of the workloads that are stopped meanwhile,
    C(revision) of its schema and C(revision_now).
  returned: success
  type: dict
safety:
  description: Id of the snapshot of what was there before; empty if none was taken.
  returned: success
  type: str
"""

from pathlib import Path

from ..module_utils._backup import s3
from ..module_utils._backup.backup import FAILURES, new_snapshot, of_run
from ..module_utils._errors import BackupError, OperatorError
from ..module_utils._finding import Finding
from ..module_utils._module import Context, Outcome, run
from ..module_utils._restore.restore import Restore, obstacles

SPEC = {
    "directory": {"type": "path", "required": True},
    "snapshot": {"type": "str", "required": True},
    "confirm": {"type": "str", "default": ""},
    "environment": {"type": "str", "required": True},
    "images": {"type": "dict", "default": {}},
    "age_recipients": {"type": "list", "elements": "str", "default": []},
    "age_identity_file": {"type": "path", "default": ""},
    "s3": {"type": "dict", "default": {}},
    "wait_seconds": {"type": "int", "default": 300},
}


def work(context: Context) -> Outcome:
    params = context.params
    folder = Path(params["directory"])
    snapshot = s3.choose(s3.connect(params["s3"], context.cluster), folder, params["snapshot"])
    backup = of_run(context)
    safety = ""

    def take_safety() -> str:
        nonlocal safety
        one, other = of_run(context), new_snapshot(folder, context.now(), context.cluster.namespace, "safety")
        one.whole(other, pods)
        if not other.proved:
            raise BackupError(f"What is there now could not be backed up: {'; '.join(found.message for found in one.findings)}")
        safety = other.id
        return safety

    try:
        pods = backup.stores()
        restore = Restore(backup, snapshot, pods, take_safety, params["wait_seconds"])
        planned, found = restore.planned, obstacles(restore)
    except FAILURES as error:
        raise OperatorError(
            f"Nothing was changed: {error}", "Bring the data stores up (kubectl describe, kubectl logs), then run again."
        ) from error
    facts = {"restored": planned, "safety": safety}
    before, after = {"data": "live"}, {"data": snapshot.id}
    if any(finding.verdict == "fail" for finding in found):
        return Outcome(findings=found, facts=facts)
    if context.check_mode:
        message = f"Would restore snapshot {snapshot.id} of {snapshot.created} and stop {planned['replicas']} meanwhile."
        return Outcome(before, after, [*found, Finding("BK-05", "skipped", message, planned)], facts)
    if params["confirm"] != params["environment"]:
        message = f"Restoring snapshot {snapshot.id} of {snapshot.created} replaces all data of {context.cluster.namespace}."
        raise OperatorError(f"{message} Nothing was changed.", f"If that is meant, run again with -e confirm={params['environment']}.")
    finding = restore.carry_out()
    return Outcome(before, after if finding.verdict == "pass" else before, [*found, finding], {**facts, "safety": safety})


def main() -> None:
    run(SPEC, work, check_id="BK-05")


if __name__ == "__main__":
    main()
