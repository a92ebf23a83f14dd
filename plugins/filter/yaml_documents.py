# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Kubernetes objects as one YAML file that people can read."""

from __future__ import annotations

DOCUMENTATION = r"""
name: yaml_documents
short_description: Objects as YAML documents, text of several lines as a block
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Like P(ansible.builtin.to_nice_yaml#filter) for a list of objects, with C(---) between them. A configuration file inside an object
    stands there line by line, so that it can be read and its changes can be reviewed.
options:
  _input:
    description: The objects.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Write the manifests
  ansible.builtin.copy:
    dest: kubernetes/monitoring.yaml
    content: "{{ query('hsc.jit.manifests', templates, namespace='hsc-jit') | hsc.jit.yaml_documents }}"
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The text of the file.
  type: str
"""

from collections.abc import Callable, Sequence
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Lists indented under their key, text of several lines as a block."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def _plain(value: Any) -> Any:
    """Ansible's own kinds of text, list and dict as Python's."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def yaml_documents(objects: Sequence[dict[str, Any]]) -> str:
    return yaml.dump_all([_plain(one) for one in objects], Dumper=_Dumper, width=160, sort_keys=False, explicit_start=True)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"yaml_documents": yaml_documents}
