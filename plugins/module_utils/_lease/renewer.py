# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The small process that renews a run's Lease while ansible-playbook lives, and gives it back when it does not.

A module ends with its task, so it cannot renew; a lease that outlives the longest phase would block the next run for an hour after a
crash. So ``start`` leaves a child behind that looks for the playbook's process every second.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from .._errors import ApiError
from .._process import has_ended
from .lease import RENEW_SECONDS, Keeper

_LOOK_SECONDS = 1.0


def keep(keeper: Keeper, alive: Callable[[], bool], sleep: Callable[[float], None]) -> None:
    """Renew until the run has ended (then give back) or until the lease is someone else's. An API server that is away is asked again."""
    since_renewal = 0.0
    while alive():
        sleep(_LOOK_SECONDS)
        since_renewal += _LOOK_SECONDS
        if since_renewal >= RENEW_SECONDS:
            with contextlib.suppress(ApiError):
                if not keeper.renew():
                    return
                since_renewal = 0.0
    with contextlib.suppress(ApiError):
        keeper.give_back()


def start(keeper: Keeper, mark: str) -> None:
    """Leave a child behind that keeps the lease as long as the marked process lives. Returns at once in the caller."""
    if not mark:
        return
    if os.fork():
        return
    try:
        os.setsid()  # Ctrl-C in the operator's terminal ends the playbook, not this: it still has the lease to give back
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)  # Ansible waits until the module's output is closed
        keeper.cluster.pool.clear()  # a TLS connection cannot be shared with the parent
        keeper.cluster = keeper.cluster.impatient()  # meanwhile the run may end
        keep(keeper, lambda: not has_ended(mark), keeper.sleep)
    finally:
        os._exit(0)
