#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Migrate the product's schema, once, after a proved backup, knowing the way back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: schema_migrate
short_description: Migrate the product's schema, once, after a proved backup
version_added: 0.1.0
description:
  - Asks the image that is being released which revisions are pending and whether the present code can run on them (MG-02).
  - What each revision does to that code is read from its own SQL; the way back is said before anything changes.
  - Then runs the migration as one Job and tells what it logs (MG-01). A Job that has succeeded for this image does not run again.
  - Refuses without a Snapshot that was restored and compared.
author:
  - The HSC-JIT deployment engineers (@hsc-jit)
extends_documentation_fragment:
  - hsc.jit.target
  - hsc.jit.target.run
options:
  state:
    description:
      - V(planned) says the way back (MG-02) and changes nothing; it needs no Snapshot yet.
      - V(present) says it again and migrates.
    type: str
    choices: [planned, present]
    default: present
  objects:
    description: The rendered manifests; the Job takes its settings from Deployment C(hsc-jit-answer).
    type: list
    elements: dict
    required: true
  image:
    description: The service's image that is being released.
    type: str
    required: true
  snapshot:
    description: The Snapshot that M(hsc.jit.backup_snapshot) returned.
    type: dict
    default: {}
  snapshot_max_age_minutes:
    description: How old the Snapshot may be.
    type: int
    default: 60
  accept:
    description: Revisions that the running release does not run on, or without a way back, that are allowed by name.
    type: list
    elements: str
    default: []
  restore_on_failure:
    description: Whether a failure after a migration that the release before does not run on restores the Snapshot, instead of holding.
    type: bool
    default: false
  inventory:
    description: Inventory sources of this run, for the commands that are shown.
    type: list
    elements: str
    default: []
  lock_timeout_seconds:
    description: How long the migration waits for its turn and for each lock of a table.
    type: float
    default: 15
  statement_timeout_seconds:
    description: How long each statement of the migration may take; 0 is without a limit.
    type: float
    default: 0
  timeout_seconds:
    description: How long one Job may take. It is ended then.
    type: int
    default: 900
"""

EXAMPLES = r"""
- name: Migrate
  hsc.jit.schema_migrate:
    objects: "{{ release_objects }}"
    image: "{{ release_images.service }}"
    snapshot: "{{ backup.snapshot }}"
"""

RETURN = r"""
plan:
  description:
    - What was pending - C(current), C(head), C(pending), C(since).
    - C(steps) has of each revision C(revision), C(title), C(applied), C(class), C(reasons), C(declared), C(sql).
  returned: success
  type: dict
way_back:
  description: What a failure leads to - C(action) (C(code), C(restore) or C(hold)), C(class), C(applied), C(text), C(commands);
    and C(database), the revision at which the new code will run.
  returned: always, empty if it was not found out
  type: dict
revision:
  description: The schema's revision now.
  returned: success
  type: str
log:
  description: The last lines of the migration's log.
  returned: success
  type: list
  elements: str
"""

from ..module_utils._finding import Finding
from ..module_utils._migration.steps import Migration
from ..module_utils._module import Context, Outcome, run

SPEC = {
    "state": {"type": "str", "choices": ["planned", "present"], "default": "present"},
    "objects": {"type": "list", "elements": "dict", "required": True},
    "image": {"type": "str", "required": True},
    "snapshot": {"type": "dict", "default": {}},
    "snapshot_max_age_minutes": {"type": "int", "default": 60},
    "accept": {"type": "list", "elements": "str", "default": []},
    "restore_on_failure": {"type": "bool", "default": False},
    "inventory": {"type": "list", "elements": "str", "default": []},
    "lock_timeout_seconds": {"type": "float", "default": 15},
    "statement_timeout_seconds": {"type": "float", "default": 0},
    "timeout_seconds": {"type": "int", "default": 900},
}


def work(context: Context) -> Outcome:
    planned = context.params["state"] == "planned"
    if context.check_mode:
        message = "A Job would ask the new image what is pending and migrate; check mode starts none."
        findings = [Finding(row, "skipped", message) for row in (["MG-02"] if planned else ["MG-02", "MG-01"])]
        return Outcome(findings=findings, facts={"plan": {}, "way_back": {}, "revision": "", "log": []})
    migration = Migration(context)
    return migration.planned() if planned else migration.migrated()


def main() -> None:
    run(SPEC, work, check_id=lambda options: "MG-02" if options["state"] == "planned" else "MG-01")


if __name__ == "__main__":
    main()
