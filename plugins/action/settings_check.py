# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Hands the play's variables to ``_settings/rules``: a module would not see them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import is_trusted_as_template, trust_as_template

from ..module_utils._settings import rules

_COLLECTION = Path(__file__).parents[2]


class ActionModule(ActionBase):
    """Action of hsc.jit.settings_check."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        given = task_vars or {}
        names = known(_COLLECTION)
        hashed = rules.hashed(names)
        looked_at = (hashed | rules.LOOKED_AT) & set(given)
        values = {name: value for name in sorted(looked_at) if (value := self._value(name)) is not None}
        problems = rules.problems(values, given, names)
        problems += accidental_templates(given.get("release_secret_values"), given)
        if not self._task.check_mode and (problem := unwritable(self._value("release_evidence_dir"))):
            problems.append(problem)
        result |= {"changed": False, "settings": len(values)}
        result["sha256"] = rules.fingerprint({name: value for name, value in values.items() if name in hashed})
        if problems:
            result |= {
                "failed": True,
                "problems": problems,
                "msg": "\n".join(["The inventory's settings are wrong; nothing was changed.", *problems]),
            }
        return result

    def _value(self, name: str) -> Any:
        """None where it cannot be told yet: who needs it says so."""
        try:
            return self._templar.template(trust_as_template("{{ " + name + " }}"))
        except AnsibleError:
            return None


def accidental_templates(secrets: Any, given: Mapping[str, Any]) -> list[str]:
    """Secret values that Ansible would take for a template although they are the value itself. Names the key, never the value."""
    suspicious = [key for key, value in secrets.items() if _is_accidental(value, given)] if isinstance(secrets, Mapping) else []
    return [
        f"release_secret_values.{key} has {{{{ or {{% and names no variable, so Ansible would change it. If that is the value itself, "
        "mark it: write !unsafe before the quoted value in the YAML file."
        for key in suspicious
    ]


def _is_accidental(value: Any, given: Mapping[str, Any]) -> bool:
    if not isinstance(value, str) or not is_trusted_as_template(value):
        return False
    names = [expression.strip() for expression in re.findall(r"\{\{(.*?)\}\}", value, re.DOTALL)]
    return "{%" in value or "{#" in value or any(not _names_a_variable(name, given) for name in names)


def _names_a_variable(expression: str, given: Mapping[str, Any]) -> bool:
    first = re.match(r"[A-Za-z_]\w*", expression)
    return first is not None and (first[0] in given or first[0] in ("lookup", "query", "q", "hostvars", "vars"))


def unwritable(folder: Any) -> str:
    """Why no evidence can be written there; empty if it can be."""
    if not folder:
        return ""
    path = Path(str(folder)).absolute()
    there = next(one for one in (path, *path.parents) if one.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ""
    return f"release_evidence_dir is {path}: {there} is not writable. Set it to a folder in which this user may write."


def known(collection: Path) -> set[str]:
    """Names of all settings: the release's, the roles', and facts that the phases hand on."""
    names = set(_load(collection / "roles/release/defaults/main.yml")) | rules.FACTS
    for path in collection.glob("roles/*/meta/argument_specs.yml"):
        names |= set(_load(path)["argument_specs"]["main"].get("options") or {})
    return names


def _load(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
