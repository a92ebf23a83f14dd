# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Live lines of hsc.jit.verify_check."""

from __future__ import annotations

from ..plugin_utils._follow import ProgressAction


class ActionModule(ProgressAction):
    """Shows the progress of hsc.jit.verify_check."""
