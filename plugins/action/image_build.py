# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Live progress of hsc.jit.image_build."""

from ..plugin_utils._follow import ProgressAction


class ActionModule(ProgressAction):
    """Shows the progress of hsc.jit.image_build."""
