# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Render a directory of manifests."""

from __future__ import annotations

DOCUMENTATION = r"""
name: manifests
short_description: Render every manifest of a directory with the play's variables
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Each file C(<wave>/<name>.yml.j2) under the directory is one Kubernetes object; a file that renders to nothing is left out.
  - Adds what all objects share - namespace, labels, the wave as annotation, and on pods a hash of the ConfigMaps they use.
  - Looks at no cluster. Errors name the file and the field.
options:
  _terms:
    description: Directories.
    type: list
    elements: str
    required: true
  namespace:
    description: Namespace of the objects.
    type: str
    required: true
  pod_spec:
    description: Fields of every pod's C(spec), e.g. C(imagePullSecrets). What a template itself says wins.
    type: dict
    default: {}
  components:
    description: Only objects of these waves, by name without number; all if not given.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Render the manifests
  ansible.builtin.set_fact:
    release_objects: "{{ query('hsc.jit.manifests', role_path ~ '/templates', namespace=release_namespace) }}"
"""

RETURN = r"""
_list:
  description: The objects, in the order of their waves.
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.template import trust_as_template

from ..module_utils._errors import ManifestError
from ..module_utils._release import manifests
from ..module_utils._release.desired import component

_SUFFIX = ".yml.j2"


class LookupModule(LookupBase):
    """The manifests lookup."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        templar = self._templar.copy_with_new_env(available_variables=variables or {})
        found = []
        for directory in map(Path, terms):
            files = sorted(directory.glob(f"*/*{_SUFFIX}"))
            if not files:
                raise AnsibleError(f"{directory}: there are no files <wave>/<name>{_SUFFIX} in it.")
            found += [(path, str(path.relative_to(directory))) for path in files]
        try:
            objects = [(source, self._object(templar, path, source)) for path, source in found]
            whole = manifests.complete([(source, obj) for source, obj in objects if obj])
        except ManifestError as problem:
            raise AnsibleError(str(problem)) from problem
        chosen = self.get_option("components")
        return [obj for obj in whole if not chosen or component(obj) in chosen]

    def _object(self, templar: Any, path: Path, source: str) -> dict[str, Any] | None:
        try:
            text = templar.template(trust_as_template(path.read_text(encoding="utf-8")))
        except AnsibleError as error:
            raise AnsibleError(f"{source}: cannot be rendered: {error}") from error
        obj = manifests.parse(str(text or ""), source)
        return obj and manifests.stamp(obj, path.parent.name, str(self.get_option("namespace")), self.get_option("pod_spec"))
