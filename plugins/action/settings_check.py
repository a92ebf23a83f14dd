# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Hands the play's variables to ``_settings/rules``: a module would not see them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

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


def known(collection: Path) -> set[str]:
    """Names of all settings: the release's, the roles', and facts that the phases hand on."""
    names = set(_load(collection / "playbooks/group_vars/all.yml")) | rules.FACTS
    for path in collection.glob("roles/*/meta/argument_specs.yml"):
        names |= set(_load(path)["argument_specs"]["main"].get("options") or {})
    return names


def _load(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found
