# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Options that several modules share, described once."""

from __future__ import annotations


class ModuleDocFragment:
    """``hsc.jit.target``: which cluster. ``hsc.jit.target.run``: what every module of this collection accepts."""

    DOCUMENTATION = r"""
options:
  kubeconfig:
    description:
      - Path of the kubeconfig file.
      - Without it the environment's E(KUBECONFIG) and then C(~/.kube/config) are used; inside a pod its service account.
    type: path
    aliases: [config_file]
  context:
    description: Context of the kubeconfig; the current one if not given.
    type: str
  namespace:
    description: Namespace of the release.
    type: str
    default: hsc-jit
  node_scale_up_seconds:
    description:
      - Seconds that a node autoscaler of the cluster may take to add a node for a pod without place, and the node until network and storage
        serve its first pods; 0 if it has none.
    type: float
    default: 0
"""

    RUN = r"""
options:
  journal:
    description: File to which findings and changes of this run are appended, each line chained to the one before by its SHA-256.
    type: path
  fail_on:
    description: Verdicts that fail the task. Production adds V(skipped), because what was not looked at is not clean.
    type: list
    elements: str
    choices: [pass, warn, fail, skipped, error]
    default: [fail, error]
  waivers:
    description:
      - Rows that may stay V(skipped) although O(fail_on) has it, each with C(id), C(owner), C(reason) and C(until), the last day.
      - Only V(skipped) can be waived; after C(until) the row counts again.
    type: list
    elements: dict
    default: []
  progress_file:
    description: File to which live progress is written. Set by the action plugin of the same name; not for playbooks.
    type: path
attributes:
  check_mode:
    description: Can run in check mode and predicts what would change.
    support: full
  diff_mode:
    description: Returns what changed, or would change.
    support: full
"""
