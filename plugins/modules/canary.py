#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Try a release on a part of the users first."""

from __future__ import annotations

DOCUMENTATION = r"""
module: canary
short_description: Compare a release with the running one on a part of its pods
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Makes a second Deployment of the release's own O(workload) behind the same Service, with copies of the ConfigMaps it reads, and compares
    it with the stable pods step by step (RO-04).
  - Pairs of requests go to a canary's and a stable pod at the same moment; users' requests are counted by the pods. A sequential test says
    at any moment whether the canary has more errors or slower answers; an equal one is blamed in one of a hundred runs at most.
  - A canary that is worse, or does not start, is removed. A good one stays until M(hsc.jit.release) with state=present prunes it.
  - Nothing is tried where O(workload) does not change, does not run yet, or would not run on the schema any more.
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  objects:
    description: The release's objects, as the P(hsc.jit.manifests#lookup) lookup returns them.
    type: list
    elements: dict
    required: true
  workload:
    description: Name of the Deployment.
    type: str
    default: hsc-jit-backend
  percent:
    description: The canary's share of the pods in each step.
    type: list
    elements: float
    default: [20, 50]
  seconds:
    description: How long each step lasts.
    type: float
    default: 60
  rate_per_second:
    description: Pairs of requests of our own. They are load like any other, and an autoscaler may answer it with more pods.
    type: float
    default: 10
  path:
    description: What is asked.
    type: str
    default: /api/search?q=td17
  port:
    description: The pods' port.
    type: int
    default: 8000
  way_back:
    description: What M(hsc.jit.schema_migrate) said that a failure leads to.
    type: dict
    default: {}
  wait_seconds:
    description: How long the canary may take to become ready.
    type: float
    default: 300
  field_manager:
    description: Name under which the fields are owned.
    type: str
    default: hsc.jit
"""

EXAMPLES = r"""
- name: RO-04 | Try the release on a fifth and then on half of the pods
  hsc.jit.canary:
    objects: "{{ query('hsc.jit.manifests', 'roles/rollout/templates', namespace='hsc-jit') }}"
    percent: [20, 50]
    seconds: 120
"""

RETURN = r"""
findings:
  description: RO-04, one for each step.
  returned: always
  type: list
  elements: dict
"""

from ..module_utils._canary.canary import Canary
from ..module_utils._errors import OperatorError
from ..module_utils._module import Context, Outcome, run

SPEC = {
    "objects": {"type": "list", "elements": "dict", "required": True},
    "workload": {"type": "str", "default": "hsc-jit-backend"},
    "percent": {"type": "list", "elements": "float", "default": [20, 50]},
    "seconds": {"type": "float", "default": 60},
    "rate_per_second": {"type": "float", "default": 10},
    "path": {"type": "str", "default": "/api/search?q=td17"},
    "port": {"type": "int", "default": 8000},
    "way_back": {"type": "dict", "default": {}},
    "wait_seconds": {"type": "float", "default": 300},
    "field_manager": {"type": "str", "default": "hsc.jit"},
}


def work(context: Context) -> Outcome:
    params = context.params
    if not params["percent"] or not all(0 < percent < 100 for percent in params["percent"]):
        raise OperatorError(f"percent is {params['percent']}.", "Give shares above 0 and below 100, as [20, 50].")
    for name in ("seconds", "rate_per_second", "wait_seconds"):
        if params[name] <= 0:
            raise OperatorError(f"{name} is {params[name]:g}.", "Give a number above 0.")
    return Canary(context).run()


def main() -> None:
    run(SPEC, work, check_id="RO-04")


if __name__ == "__main__":
    main()
