#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Check an inventory's settings. The work is done on the controller, by the action plugin of this name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: settings_check
short_description: Check the settings of an inventory before anything else happens
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Looks at every variable that the play has, and fails with all that is wrong at once, each with what is right instead; that is settings
    which do not exist (with the nearest that does), values of the wrong kind or unit, fields that are missing or unknown, and values that
    exclude each other.
  - Asks no cluster and runs on the controller alone. A required setting that is not given is left to the task that needs it.
attributes:
  check_mode:
    description: Changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Check the inventory's settings
  hsc.jit.settings_check:
"""

RETURN = r"""
settings:
  description: How many settings were looked at.
  returned: success
  type: int
sha256:
  description: >-
    One hash of the environment's settings; secrets, paths of this machine, and what installs nothing (notifications, operations,
    restores) are left out. The release's record keeps it.
  returned: success
  type: str
problems:
  description: What is wrong, a sentence each.
  returned: failure
  type: list
  elements: str
  sample: ["release_storage.redis is '5GB': write a size with its unit, as 5Gi."]
"""
