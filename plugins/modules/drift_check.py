#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Who changed what by hand?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: drift_check
short_description: Compare what runs with what the newest release put there
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Compares every object of the newest recorded release with the live one, by one list for each kind; the server's dry run tells the fields
    of what differs (OP-06). Nothing is changed.
  - Names each field, both values, and who wrote it when, as managedFields have it. What a person added beside the release's fields counts
    too; labels, annotations, restarts and what Kubernetes' own controllers write do not.
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  field_manager:
    description: Who owns the fields of the release.
    type: str
    default: hsc.jit
"""

EXAMPLES = r"""
- name: OP-06 | Has anybody changed something by hand?
  hsc.jit.drift_check:
    kubeconfig: ~/.kube/config
"""

RETURN = r"""
findings:
  description: OP-06, one for each object that differs, or one that says that none does.
  returned: always
  type: list
  elements: dict
"""

from ..module_utils._module import Context, Outcome, run
from ..module_utils._release import drift

SPEC = {"field_manager": {"type": "str", "default": "hsc.jit"}}


def work(context: Context) -> Outcome:
    return Outcome(findings=drift.look(context))


def main() -> None:
    run(SPEC, work, check_id="OP-06")


if __name__ == "__main__":
    main()
