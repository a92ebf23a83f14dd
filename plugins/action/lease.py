# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Tells hsc.jit.lease which process the run is: the module is a process of its own and ends with its task."""

from __future__ import annotations

import multiprocessing
import os
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """This code runs in a worker that ansible-playbook forked, so the parent is the run.

    Its pid is that of the fork: when the run was killed meanwhile, getppid() is init's, and a lease kept for init would never end.
    """

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        playbook = multiprocessing.parent_process()
        arguments = {"pid": playbook.pid if playbook else os.getpid(), **self._task.args}
        result.update(self._execute_module(module_name=self._task.action, module_args=arguments, task_vars=task_vars))
        return result
