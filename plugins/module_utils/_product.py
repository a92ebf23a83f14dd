# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The names by which the product is known in a cluster: namespace, labels, annotations. Pure data."""

from __future__ import annotations

NAMESPACE = "hsc-jit"
PART_OF = {"app.kubernetes.io/part-of": "hsc-jit", "app.kubernetes.io/managed-by": "hsc.jit"}  # labels of every object of a release
SELECTOR = ",".join(f"{name}={value}" for name, value in sorted(PART_OF.items()))  # label selector of the same
HASH = "hsc.jit/hash"  # annotation: hash of the manifest that was applied
WAVE = "hsc.jit/wave"  # annotation: the template's directory; waves are applied in the order of their names
CONFIG = "hsc.jit/config"  # annotation of pods: hash of the ConfigMaps they use, so that a changed setting restarts them
SECRETS = "hsc.jit/secrets"  # annotation of pods: keyed hash of the Secret values they read, so that a changed value restarts them
