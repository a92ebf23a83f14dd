# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""How an API server serves the kinds of objects, and which kinds a set of objects brings itself. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .objects import at

STAND_IN = "default"  # where namespaced objects are tried while their own namespace does not exist
Kind = tuple[str, str]  # apiVersion, kind


@dataclass(frozen=True)
class Resource:
    """How the API server serves a kind. prefix: ``/apis/apps/v1``."""

    prefix: str
    group: str
    plural: str
    namespaced: bool

    def path(self, namespace: str, name: str) -> str:
        return f"{self.prefix}/namespaces/{namespace}/{self.plural}/{name}" if self.namespaced else f"{self.prefix}/{self.plural}/{name}"


def prefix(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def served(api_version: str, answer: Mapping[str, Any]) -> dict[Kind, Resource]:
    """The kinds of an APIResourceList; subresources left out."""
    group = api_version.rpartition("/")[0]
    return {
        (api_version, one["kind"]): Resource(prefix(api_version), group, one["name"], one["namespaced"])
        for one in answer.get("resources") or []
        if "/" not in one["name"]
    }


def defined(objects: Sequence[Mapping[str, Any]]) -> dict[Kind, Resource]:
    """The kinds that the CustomResourceDefinitions among ``objects`` bring; of a malformed one none, which its dry run will tell."""
    found = {}
    for obj in (one for one in objects if one["kind"] == "CustomResourceDefinition"):
        group, kind, plural = at(obj, "spec.group"), at(obj, "spec.names.kind"), at(obj, "spec.names.plural")
        for version in (f"{group}/{at(one, 'name')}" for one in at(obj, "spec.versions") or () if at(one, "served") and kind and plural):
            found[version, kind] = Resource(prefix(version), str(group), plural, at(obj, "spec.scope") == "Namespaced")
    return found
