# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""An action plugin that shows a module's progress while it runs, and ends it with its playbook.

A module gets it by a three-line ``plugins/action/<module>.py``.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._progress import as_line
from ._stream import to_stderr

_POLL_SECONDS = 0.3
_SHOWN_SECONDS = 2.0  # a line that has not arrived by then never will
_showing = threading.Lock()  # while a line is on its way to ansible-playbook
_ending = threading.Event()


class ProgressAction(ActionBase):
    """Runs the module of the same name; a thread reads the progress file that the module appends to."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        worker_of = multiprocessing.parent_process()  # ansible-playbook forks a worker for each task
        if worker_of:
            threading.Thread(target=_end_with, args=(worker_of.pid,), daemon=True).start()
        with _whole_lines() if worker_of else nullcontext(), tempfile.NamedTemporaryFile(prefix="hsc-jit-progress-") as file:
            done = threading.Event()
            follower = threading.Thread(target=_follow, args=(Path(file.name), done), daemon=True)
            follower.start()
            try:
                arguments = {**self._task.args, "progress_file": file.name}
                result.update(self._execute_module(module_name=self._task.action, module_args=arguments, task_vars=task_vars))
            finally:
                done.set()
                follower.join()
        result.get("invocation", {}).get("module_args", {}).pop("progress_file", None)
        return result


def _follow(path: Path, done: threading.Event) -> None:
    """Show each new line; one last look after the module ended."""
    display = Display()
    rest = b""
    with path.open("rb") as file:
        while True:
            last = done.wait(_POLL_SECONDS)
            *lines, rest = (rest + file.read()).split(b"\n")
            for line in lines:
                with _showing:
                    if _ending.is_set():
                        return
                    display.display("  " + as_line(json.loads(line)), color="bright gray", stderr=to_stderr())
            if last:
                return


@contextmanager
def _whole_lines() -> Iterator[None]:
    """Let no signal end this worker within a line.

    It would take the lock of the queue to ansible-playbook with it, which then waits for that for ever and keeps the lease.
    """
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def end(number: int, frame: FrameType | None) -> None:
        _ending.set()
        _showing.acquire(timeout=_SHOWN_SECONDS)
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    for one in before:
        signal.signal(one, end)
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _end_with(playbook: int) -> None:
    """End this worker and its module when ansible-playbook has gone, even by kill -9.

    Ansible gives each worker a process group of its own, so they would work on, unseen, beside the next run.
    """
    while os.getppid() == playbook:
        time.sleep(_POLL_SECONDS)
    os.killpg(os.getpid(), signal.SIGTERM)  # no group of that name: an error, and nobody else is hurt
