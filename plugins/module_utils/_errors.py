# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Every error that this collection raises for an operator. Imports nothing of the collection.

`_module.run` reports an HscError with its next step and writes it into the journal. Any other exception is a bug of the collection.
"""

from __future__ import annotations

import errno
import json
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class HscError(Exception):
    """What failed, in one sentence, and what the operator does next (empty if the message says it)."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step


def explain(error: Exception) -> str:
    """The message, followed by the next step if there is one: for a sentence that reports several errors."""
    step = error.next_step if isinstance(error, HscError) else ""
    return f"{error} {step}" if step else str(error)


_OS_STEPS = {
    errno.ENOSPC: "Free disk space on the controller (df -h) and run again.",
    errno.EDQUOT: "Free disk space in this user's quota (quota -s) and run again.",
    errno.EACCES: "Give this user the right to the path that the message names, or choose another path in the inventory.",
    errno.EPERM: "Give this user the right to the path that the message names, or choose another path in the inventory.",
    errno.EROFS: "Choose a folder on a writable file system in the inventory (release_evidence_dir, backup_directory).",
    errno.ENOENT: "Check the path that the message names in the inventory.",
}


def os_error_advice(error: OSError) -> tuple[str, str]:
    """(message, next step) of an operating system's error on the controller: a file, a process or a network connection."""
    if error.errno in _OS_STEPS:
        return f"Controller: {error}.", _OS_STEPS[error.errno]
    if error.filename is not None:
        return f"Controller: {error}.", "Look at the controller's disks (df -h, dmesg), remove the cause and run again."
    return f"Network connection from the controller: {error}.", "Check that the controller reaches the address (curl, openssl s_client)."


def place_of(error: BaseException) -> str:
    """The source line that raised the error, for example ``_plan.py:48``."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


class OperatorError(HscError):
    """The request cannot be carried out as it was given. Raised before anything changed, or after the change was rolled back."""


_API_NEXT_STEPS = {
    0: "Check that the cluster's API server is up and that this machine reaches it (kubectl version).",
    401: "The credentials in the kubeconfig have expired or are wrong: renew them and run again.",
    403: "Give the deployer the right that the message names, or use another context.",
}


class ApiError(HscError):
    """The API server refused a request, or was unreachable (status 0). reason: Kubernetes' word, for example NotFound."""

    def __init__(self, status: int, reason: str, message: str, causes: Sequence[dict[str, Any]] | None = None) -> None:
        terminating = "being terminated" in message
        step = "Wait until the namespace is deleted; its status names what blocks the deletion." if terminating else ""
        super().__init__(message, step or _API_NEXT_STEPS.get(status, ""))
        self.status, self.reason, self.causes = status, reason, causes or []
        self.retry_after = 0.0  # seconds that the server asks to wait before the next attempt

    @property
    def transient(self) -> bool:
        """True if a retry may help: no connection, too many requests, server error."""
        # The API server answers an unknown field in a server-side apply with 500. A retry does not help.
        schema = "failed to create typed patch object" in self.message
        return not schema and (self.status in (0, 429) or self.status >= 500)

    @classmethod
    def of_answer(cls, status: int, body: bytes) -> ApiError:
        """From an HTTP status and the server's Status object. Keeps the server's message, because it names the field."""
        try:
            answer = json.loads(body)
            return cls(status, answer.get("reason", ""), answer.get("message", ""), (answer.get("details") or {}).get("causes"))
        except (ValueError, AttributeError):
            return cls(status, "", body[:500].decode("utf-8", "replace") or f"HTTP {status}")


class ExecTimeoutError(HscError, TimeoutError):
    """A command in a container did not end in time."""


class BackupError(HscError):
    """A step of a backup or a restore failed. The message has the command's own words."""


class ManifestError(HscError, ValueError):
    """A rendered template is not an object that can be applied. The message names the file and the field."""


class JournalError(HscError):
    """A journal was changed after it was written, or cut in the middle. The message names the first wrong line."""


class LockHeldError(HscError):
    """Another process holds the lock. The message names the process, its program and its folder."""


class UnsupportedHostError(HscError):
    """This machine cannot run the local cluster. Nothing was changed. The message has one sentence for each missing thing."""


class WorkTreeError(HscError):
    """There is no git work tree to read. The message says why."""


class BrowserError(HscError):
    """Chromium ended, refused a command or did not answer in time."""


class BrowserStartError(BrowserError):
    """Chromium does not start on this machine. This says nothing about the page."""
