# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Runs hsc.jit.report and shows its table; colours only where Ansible uses them, so a log file stays plain."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils._stream import to_stderr

_COLOURS = {
    "pass": "green",
    "go": "green",
    "warn": "yellow",
    "incomplete": "yellow",
    "skipped": "cyan",
    "checked": "cyan",
    "fail": "red",
    "error": "red",
    "no-go": "red",
    "not run": "dark gray",
}


class ActionModule(ActionBase):
    """The table is the end of a run: what an operator looks for."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(module_name=self._task.action, module_args=self._task.args, task_vars=task_vars))
        display = Display()
        for verdict, line in result.get("table", []):
            display.display(f"  {line}".rstrip(), color=_COLOURS.get(verdict), stderr=to_stderr())
        return result
