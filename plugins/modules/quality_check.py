#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Look at the evidence that a release was tested, reviewed and scanned."""

from __future__ import annotations

DOCUMENTATION = r"""
module: quality_check
short_description: Check that what is deployed was tested, reviewed and scanned
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - QG-01, is the work tree one commit, do JUnit reports of this commit show no failure, does the commit name a reviewer.
  - QG-02, is every dependency pinned by hash, does a fresh scanner's report name each image's digest and find nothing severe, is there an
    SBOM of each image.
  - Evidence that is not there is V(skipped) with the reason and the command that makes it, never V(pass).
extends_documentation_fragment: [hsc.jit.target.run]
options:
  checkout:
    description: A folder of the git work tree that is deployed. Relative paths of the other options are relative to the tree's root.
    type: path
    required: true
  images:
    description: Images of the release by name, each as C(registry/name@sha256:digest).
    type: dict
    default: {}
  test_reports:
    description:
      - JUnit files; patterns are allowed.
      - A file with a property C(commit) counts for that commit; one without it, if it is younger than the commit and the tree is clean.
    type: list
    elements: str
    default: []
  dirty_tree:
    description: Verdict on a work tree with changes that are in no commit.
    type: str
    choices: [warn, fail]
    default: fail
  lock_files:
    description: Requirements files in which every line must have a version and a hash.
    type: list
    elements: str
    default: []
  scan_reports:
    description: Reports of C(trivy image --format json) or C(snyk container test --json); patterns are allowed.
    type: list
    elements: str
    default: []
  scan_severities:
    description: Severities that fail.
    type: list
    elements: str
    default: [CRITICAL, HIGH]
  scan_max_age_hours:
    description: Age after which a scanner's report does not count any more.
    type: int
    default: 168
  audit_reports:
    description: Reports of C(pip-audit --strict --format json) on the lock files; patterns are allowed.
    type: list
    elements: str
    default: []
  load_reports:
    description: Reports of load tests, as C(make load) writes them; patterns are allowed. One counts if it names the digest of the service.
    type: list
    elements: str
    default: []
  load_users:
    description: Users at once that a load test must have had.
    type: int
    default: 100
  load_error_percent:
    description: Share of its requests that may have failed.
    type: float
    default: 1
  load_p95_milliseconds:
    description: What 95 of 100 answers of each kind must have been faster than.
    type: float
    default: 200
  load_max_age_hours:
    description: Age after which a load test does not count any more.
    type: int
    default: 168
  sboms:
    description: CycloneDX documents in JSON; patterns are allowed. Each must name the digest of its image in its metadata or file name.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: QG-01 QG-02 QG-03 | Quality gates
  hsc.jit.quality_check:
    checkout: "{{ playbook_dir }}"
    images: "{{ release_images }}"
    test_reports: [.cache/test/*.xml]
    lock_files: [requirements/controller.txt, service/requirements.txt]
"""

RETURN = r"""
findings:
  description: All findings of QG-01 to QG-03, as M(hsc.jit.preflight_check) returns them.
  returned: always
  type: list
  elements: dict
"""

from datetime import timedelta
from pathlib import Path

from ..module_utils._errors import OperatorError
from ..module_utils._module import Context, Outcome, run
from ..module_utils._quality.checks import Asked, look
from ..module_utils._quality.load import Wanted

_LIST = {"type": "list", "elements": "str", "default": []}
SPEC = {
    "checkout": {"type": "path", "required": True},
    "images": {"type": "dict", "default": {}},
    "test_reports": _LIST,
    "dirty_tree": {"type": "str", "choices": ["warn", "fail"], "default": "fail"},
    "lock_files": _LIST,
    "scan_reports": _LIST,
    "scan_severities": {**_LIST, "default": ["CRITICAL", "HIGH"]},
    "scan_max_age_hours": {"type": "int", "default": 168},
    "sboms": _LIST,
    "audit_reports": _LIST,
    "load_reports": _LIST,
}
LOAD = {
    "load_users": {"type": "int", "default": 100},
    "load_error_percent": {"type": "float", "default": 1},
    "load_p95_milliseconds": {"type": "float", "default": 200},
    "load_max_age_hours": {"type": "int", "default": 168},
}


def work(context: Context) -> Outcome:
    params = {name: context.params[name] for name in SPEC}
    if params["scan_max_age_hours"] < 1:
        raise OperatorError(f"scan_max_age_hours is {params['scan_max_age_hours']}: no report would count.", "Set 1 or more.")
    params["checkout"] = Path(params["checkout"])
    params["scan_max_age"] = timedelta(hours=params.pop("scan_max_age_hours"))
    params["load"] = Wanted(
        context.params["load_users"],
        context.params["load_error_percent"] / 100,
        context.params["load_p95_milliseconds"] / 1000,
        timedelta(hours=context.params["load_max_age_hours"]),
    )
    return Outcome(findings=look(Asked(**params), context.now()))


def main() -> None:
    run({**SPEC, **LOAD}, work, cluster=False)


if __name__ == "__main__":
    main()
