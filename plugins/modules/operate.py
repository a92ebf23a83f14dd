#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Restart, inspect, flush, read logs, scale, drain."""

from __future__ import annotations

DOCUMENTATION = r"""
module: operate
short_description: Operate a running release
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - V(restart) makes new pods one after the other and waits for them (OP-01). V(celery) asks the workers what they do (OP-02).
    V(flush) empties the cache Redis (OP-03). V(logs) reads the last lines of a component, without secrets (OP-04). V(scale) sets a
    number of pods (OP-05). V(drain) cordons a node and evicts its pods, as far as disruption budgets allow (OP-08).
  - What takes something away from users wants O(confirm).
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  operation:
    description: What to do.
    type: str
    choices: [restart, celery, flush, logs, scale, drain]
    required: true
  component:
    description: Workload, with or without C(hsc-jit-).
    type: str
    default: backend
  replicas:
    description: Pods after V(scale).
    type: int
  node:
    description: The node that V(drain) empties. It stays cordoned; whoever works on it ends that (C(kubectl uncordon)).
    type: str
  lines:
    description: Lines of each pod's log.
    type: int
    default: 100
  queue_length:
    description: Tasks that may wait in each queue.
    type: int
    default: 100
  environment:
    description: The environment's name.
    type: str
    required: true
  confirm:
    description: The environment's name once more, typed by a person.
    type: str
    default: ""
  field_manager:
    description: Who owns the fields of the release.
    type: str
    default: hsc.jit
  wait_seconds:
    description: How long new pods may take, or a node to become empty.
    type: float
    default: 300
"""

EXAMPLES = r"""
- name: OP-01 | Restart the backend
  hsc.jit.operate:
    operation: restart
    environment: local

- name: OP-03 | Flush the cache
  hsc.jit.operate:
    operation: flush
    environment: local
    confirm: local
"""

RETURN = r"""
logs:
  description: Lines by pod.
  returned: with operation=logs
  type: dict
findings:
  description: OP-01 to OP-05, OP-08.
  returned: always
  type: list
  elements: dict
"""

from ..module_utils._module import Context, Outcome, run
from ..module_utils._operate.operations import Operation

CHECK_IDS = {"restart": "OP-01", "celery": "OP-02", "flush": "OP-03", "logs": "OP-04", "scale": "OP-05", "drain": "OP-08"}
SPEC = {
    "operation": {"type": "str", "choices": [*CHECK_IDS], "required": True},
    "component": {"type": "str", "default": "backend"},
    "replicas": {"type": "int"},
    "node": {"type": "str"},
    "lines": {"type": "int", "default": 100},
    "queue_length": {"type": "int", "default": 100},
    "environment": {"type": "str", "required": True},
    "confirm": {"type": "str", "default": ""},
    "field_manager": {"type": "str", "default": "hsc.jit"},
    "wait_seconds": {"type": "float", "default": 300},
}


def work(context: Context) -> Outcome:
    outcome: Outcome = getattr(Operation(context), context.params["operation"])()
    return outcome


def main() -> None:
    required = [("operation", "scale", ["replicas"]), ("operation", "drain", ["node"])]
    run(SPEC, work, check_id=lambda options: CHECK_IDS[options["operation"]], required_if=required)


if __name__ == "__main__":
    main()
