#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Look at everything that a release needs, before anything changes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: preflight_check
short_description: Check that a cluster is ready for a release
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Looks at nodes, disks, the rendered objects, what they refer to, the deployer's rights and the images, all at once, and reports every
    finding together (PF-01 to PF-09). Nothing is written; dry runs are the API server's.
  - What may not be looked at is V(skipped) with the reason, never V(pass).
  - While the namespace does not exist, its objects are tried in V(default), and PF-03 says so. Quotas and admission rules of the namespace
    are then not part of the answer.
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  objects:
    description: The rendered Kubernetes objects of the release.
    type: list
    elements: dict
    required: true
  images:
    description: Images of the release by name, each as C(registry/name@sha256:digest).
    type: dict
    default: {}
  secret_keys_provided:
    description: Secrets that the release itself makes, with their keys. They need not exist yet.
    type: dict
    default: {}
  disk_free_bytes:
    description: Bytes that must be free on each node, on the filesystem of the kubelet and on that of the images.
    type: int
    default: 10000000000
  inodes_free_percent:
    description: Share of the inodes that must be free there.
    type: int
    default: 5
  volume_free_percent:
    description: Share that must be free on each mounted PersistentVolumeClaim of the namespace.
    type: int
    default: 10
  broker:
    description: Workload whose Redis holds Celery's queues; it must not evict keys.
    type: str
    default: hsc-jit-redis
  lease_namespace:
    description: Namespace of the run's lease, see M(hsc.jit.lease).
    type: str
    default: default
  field_manager:
    description: Name under which the rollout applies the objects, so that the dry run meets the same conflicts.
    type: str
    default: hsc.jit
  force_conflicts:
    description: Whether the rollout takes fields over from other managers.
    type: bool
    default: false
  backup_age_hours:
    description: How old the last nightly backup that succeeded may be without a warning.
    type: float
    default: 26
"""

EXAMPLES = r"""
- name: PF-01 to PF-09 | Look before anything changes
  hsc.jit.preflight_check:
    objects: "{{ release_objects }}"
    images: "{{ release_images }}"
    secret_keys_provided:
      hsc-jit-generated: [redis-password, postgres-password, token-key]
"""

RETURN = r"""
findings:
  description: All findings of all rows.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: Row of the checklist., type: str, sample: PF-02}
    verdict: {description: One of pass, warn, fail, skipped, error., type: str, sample: fail}
    message:
      description: Object, what, evidence.
      type: str
      sample: "Node hsc-jit-local-0: 9.0 GB of 80.0 GB free on nodefs; 10.0 GB are needed."
    evidence: {description: Raw numbers with their units in the names., type: dict}
    next_step: {description: What to do now., type: str}
requests:
  description: How many requests were sent to the API server, by method. PATCH is dry runs, POST is access reviews.
  returned: success
  type: dict
  sample: {GET: 22, PATCH: 41, POST: 95}
"""

from ..module_utils._errors import OperatorError
from ..module_utils._module import Context, Outcome, run
from ..module_utils._preflight.checks import Asked, look

SPEC = {
    "objects": {"type": "list", "elements": "dict", "required": True},
    "images": {"type": "dict", "default": {}},
    "secret_keys_provided": {"type": "dict", "default": {}},
    "disk_free_bytes": {"type": "int", "default": 10_000_000_000},
    "inodes_free_percent": {"type": "int", "default": 5},
    "volume_free_percent": {"type": "int", "default": 10},
    "broker": {"type": "str", "default": "hsc-jit-redis"},
    "lease_namespace": {"type": "str", "default": "default"},
    "field_manager": {"type": "str", "default": "hsc.jit"},
    "force_conflicts": {"type": "bool", "default": False},
    "backup_age_hours": {"type": "float", "default": 26},
}


def work(context: Context) -> Outcome:
    if not context.params["objects"]:
        raise OperatorError("objects is empty: there is nothing to release.", "Render the manifests first (release_objects).")
    for number, obj in enumerate(context.params["objects"]):
        if not (obj.get("apiVersion") and obj.get("kind") and (obj.get("metadata") or {}).get("name")):
            raise OperatorError(f"objects[{number}] has no apiVersion, kind or metadata.name.", "Give rendered Kubernetes objects.")
    for name in ("inodes_free_percent", "volume_free_percent"):
        if not 0 <= context.params[name] <= 100:
            raise OperatorError(f"{name} is {context.params[name]}.", "Set a percentage from 0 to 100.")
    params = {name: context.params[name] for name in SPEC}
    findings = look(context.cluster, Asked(**params, now=context.now()), context.progress)
    return Outcome(findings=findings, facts={"requests": context.cluster.requests})


def main() -> None:
    run(SPEC, work)


if __name__ == "__main__":
    main()
