#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Plan, apply, record and put back a release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Apply a whole release, wait for all of it, record it, put one back
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Applies objects by server-side apply, wave after wave (annotation C(hsc.jit/wave)), the objects of a wave in parallel (RO-01).
  - Everything that may change is tried by a server-side dry run first; if the server refuses one object, nothing is applied.
  - What is unchanged is not written at all. The replicas of what an autoscaler scales are left to it.
  - What an earlier release applied and this one no longer has is deleted; never claims, Secrets or what others made.
  - Then waits for all objects at once and reports a failure with its reason, log and events seconds after the kubelet says so (RO-02).
  - The release is recorded in ConfigMap C(hsc-jit-release-<n>), without Secrets, so that it can be put back whole (RO-03).
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  state:
    description:
      - V(planned) says what V(present) would change.
      - V(present) applies O(objects).
      - V(verified) records that the newest release passed its verification.
      - V(previous) rolls back to release O(release_to), or to the last verified one before the newest.
    type: str
    choices: [planned, present, verified, previous]
    default: present
  objects:
    description: The release's objects, as the P(hsc.jit.manifests#lookup) lookup returns them.
    type: list
    elements: dict
    default: []
  components:
    description: Only objects of these components (name of the wave without its number), e.g. V(data-stores). Nothing is pruned then.
    type: list
    elements: str
    default: []
  images:
    description: Images by name, for the record.
    type: dict
    default: {}
  secrets:
    description: Values by key by name of the Secrets to make or to bring up to date. Keys that are not named here stay.
    type: dict
    default: {}
  force_conflicts:
    description: Take over fields that another manager changed, instead of refusing and naming them.
    type: bool
    default: false
  field_manager:
    description: Name under which the fields are owned.
    type: str
    default: hsc.jit
  wait_seconds:
    description: How long the wait for all objects may take.
    type: float
    default: 300
  history_limit:
    description: How many records are kept; the two newest good ones always are.
    type: int
    default: 10
  release_to:
    description: Number of the release that V(previous) rolls back to; 0 is the last verified one before the newest.
    type: int
    default: 0
  run:
    description:
      - Id of the run, written into the record; the name of the directory of O(journal) if not given.
    type: str
  only_this_run:
    description: Whether V(previous) without O(release_to) leaves a release alone that another run made.
    type: bool
    default: false
  way_back:
    description:
      - What M(hsc.jit.schema_migrate) said that a failure leads to; V(previous) holds to it, V(present) records its class and the
        database's revision. Empty is the code's way.
    type: dict
    default: {}
  inventory_hash:
    description: Hash of the inventory's settings, as M(hsc.jit.settings_check) returns it; V(present) records it.
    type: str
    default: ""
  saved_plan:
    description:
      - A C(plan.json), as V(planned) leaves it beside O(journal). V(planned) then fails if what would happen now is anything else
        (RO-01).
    type: path
  schema_revision:
    description: Revision of the database's schema, for the record; as in the record before if not given.
    type: str
"""

EXAMPLES = r"""
- name: RO-01 RO-02 | Apply the release in waves and wait for all of it
  hsc.jit.release:
    objects: "{{ query('hsc.jit.manifests', 'roles/rollout/templates', namespace='hsc-jit') }}"
    images: "{{ release_images }}"

- name: RO-03 | Put release 4 back
  hsc.jit.release:
    state: previous
    release_to: 4
"""

RETURN = r"""
plan:
  description: What would change.
  returned: with state=planned
  type: dict
  contains:
    changes: {description: "{object, action, diff} of each.", type: list, elements: dict}
    empty: {description: Whether nothing changes., type: bool}
    release: {description: The newest recorded release., type: dict}
    schema: {description: "C(current): schema revision of that record.", type: dict}
changes:
  description: How many objects changed, or would change.
  returned: success
  type: int
release:
  description: The newest record after this task, without its objects.
  returned: success
  type: dict
findings:
  description: RO-01, RO-02, RO-03.
  returned: always
  type: list
  elements: dict
"""

from ..module_utils._module import Context, Outcome, run
from ..module_utils._release.engine import Engine

SPEC = {
    "state": {"type": "str", "choices": ["planned", "present", "verified", "previous"], "default": "present"},
    "objects": {"type": "list", "elements": "dict", "default": []},
    "components": {"type": "list", "elements": "str", "default": []},
    "images": {"type": "dict", "default": {}},
    "secrets": {"type": "dict", "default": {}, "no_log": True},
    "force_conflicts": {"type": "bool", "default": False},
    "field_manager": {"type": "str", "default": "hsc.jit"},
    "wait_seconds": {"type": "float", "default": 300},
    "history_limit": {"type": "int", "default": 10},
    "release_to": {"type": "int", "default": 0},
    "run": {"type": "str"},
    "only_this_run": {"type": "bool", "default": False},
    "way_back": {"type": "dict", "default": {}},
    "saved_plan": {"type": "path"},
    "schema_revision": {"type": "str"},
    "inventory_hash": {"type": "str", "default": ""},
}


def work(context: Context) -> Outcome:
    engine = Engine(context)
    steps = {"planned": engine.planned, "present": engine.present, "verified": engine.verified, "previous": engine.previous}
    return steps[context.params["state"]]()


def main() -> None:
    run(SPEC, work, check_id=lambda options: "RO-03" if options["state"] == "previous" else "RO-01")


if __name__ == "__main__":
    main()
