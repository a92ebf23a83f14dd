#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Back up Redis and PostgreSQL, and prove the backup by restoring it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_snapshot
short_description: Back up Redis and PostgreSQL, and prove the backup by restoring it
version_added: 0.1.0
description:
  - Dumps both data stores out of their pods, restores each dump into a scratch pod of the same image and compares what is in it.
  - Reports the rows BK-01 to BK-04 of the checklist. Passwords never leave the containers' environment.
  - Where no data store exists yet there is nothing to back up, and it says so.
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
    description: Folder of the snapshots on the controller; each is a folder of its own that only the owner can read.
    type: path
    required: true
  images:
    description: Images of C(redis) and C(postgres) for the scratch pods; what is left out is the image of the running data store.
    type: dict
    default: {}
  keep:
    description: How many snapshots stay; older ones are removed once the new one is proved.
    type: int
    default: 10
  age_recipients:
    description:
      - Public keys (age or SSH) to which the files are encrypted; empty means not encrypted.
      - The proof is made from the encrypted file, with a key of this run's own that is kept in memory only.
    type: list
    elements: str
    default: []
  age_identity_file:
    description: File of a private key of one of the recipients. With it, the proof is made with that key instead.
    type: path
    default: ""
  s3:
    description:
      - Where a copy of each proved snapshot goes - C(bucket), and if need be C(endpoint), C(prefix), C(region) and C(secret), the name of a
        Secret of the namespace with C(access-key) and C(secret-key). Without C(secret) boto3 finds credentials by itself.
      - Each file is read back and its hash compared; O(keep) counts there too. Empty means no copy.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Back up and prove
  hsc.jit.backup_snapshot:
    directory: evidence/snapshots
  register: backup
"""

RETURN = r"""
snapshot:
  description: The Snapshot - C(id), C(created), C(folder), C(artefacts) with size, hash, facts and proof, C(empty), C(proved).
  returned: success
  type: dict
removed:
  description: Older snapshots that were removed.
  returned: success
  type: list
  elements: str
"""

from pathlib import Path

from ..module_utils._backup import s3
from ..module_utils._backup.backup import new_snapshot, of_run
from ..module_utils._errors import BackupError, OperatorError
from ..module_utils._finding import Finding
from ..module_utils._module import Context, Outcome, run

SPEC = {
    "directory": {"type": "path", "required": True},
    "images": {"type": "dict", "default": {}},
    "keep": {"type": "int", "default": 10},
    "age_recipients": {"type": "list", "elements": "str", "default": []},
    "age_identity_file": {"type": "path", "default": ""},
    "s3": {"type": "dict", "default": {}},
}
_IDS = ("BK-01", "BK-02", "BK-03", "BK-04")


def work(context: Context) -> Outcome:
    folder = Path(context.params["directory"])
    snapshot = new_snapshot(folder, context.now(), context.cluster.namespace)
    backup = of_run(context)
    try:
        stores = backup.stores()
    except BackupError as error:
        step = error.next_step or "Bring the data store back (kubectl describe, kubectl logs), then run again."
        raise OperatorError(str(error), step) from error
    if not stores:
        snapshot.empty = True
        message = "There is no data store yet, so there is nothing to back up."
        findings = [Finding(row, "pass", message, {"exists": False}) for row in _IDS]
        return Outcome(findings=findings, facts={"snapshot": snapshot.as_dict(), "removed": []})
    if context.check_mode:
        return Outcome(None, snapshot.id, facts={"snapshot": {}, "removed": []})
    offsite = s3.connect(context.params["s3"], context.cluster)
    backup.whole(snapshot, stores)
    findings = backup.findings
    removed: list[str] = []
    if snapshot.proved:
        context.progress.say("Keeping copies", detail=context.params["s3"].get("bucket", str(folder)))
        kept, removed = s3.keep_copies(offsite, snapshot, folder, context.params["keep"])
        findings.append(kept)
    return Outcome(None, snapshot.id, findings, {"snapshot": snapshot.as_dict(), "removed": removed})


def main() -> None:
    run(SPEC, work, check_id="BK-01")


if __name__ == "__main__":
    main()
