#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Is a run's evidence what the run wrote?"""

from __future__ import annotations

DOCUMENTATION = r"""
module: evidence_check
short_description: Verify the journal, the reports and the backups of a run
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Follows the journal's chain of hashes to its end, and compares the reports and the backups of the run with the hashes in it (OP-07).
  - Works without a cluster, on a copy of the folder as well.
extends_documentation_fragment: [hsc.jit.target.run]
options:
  evidence:
    description: The run's C(journal.jsonl).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: OP-07 | Is this what the run wrote?
  hsc.jit.evidence_check:
    evidence: evidence/20261124T040000.000000Z/journal.jsonl
"""

RETURN = r"""
findings:
  description: OP-07, one for each file that was changed, or one pass with the last hash.
  returned: always
  type: list
  elements: dict
"""

from pathlib import Path

from ..module_utils._module import Context, Outcome, run
from ..module_utils._report import audit

SPEC = {"evidence": {"type": "path", "required": True}}


def work(context: Context) -> Outcome:
    return Outcome(findings=audit.check(Path(context.params["evidence"])))


def main() -> None:
    run(SPEC, work, cluster=False)


if __name__ == "__main__":
    main()
