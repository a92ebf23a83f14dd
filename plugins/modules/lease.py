#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Take or give back the lease of a release."""

from __future__ import annotations

DOCUMENTATION = r"""
module: lease
short_description: Let one run at a time work on a release
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Takes a Kubernetes Lease C(<namespace>-deploy), or refuses at once and names the run that holds it, since when, and what to do (PF-90).
  - A small process stays behind that renews the lease every five seconds and gives it back as soon as the playbook's process has ended,
    however it ended. If the machine itself is lost, the lease expires after O(duration_seconds).
  - The lease of a process of this machine that has ended is taken over at once.
  - Holding a lease is not a change of the release, so the module never reports C(changed).
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  state:
    description:
      - V(held) takes or renews it. V(free) gives it back if this run holds it.
      - In check mode it is only looked at.
    type: str
    choices: [held, free]
    default: held
  lease_namespace:
    description:
      - Namespace in which the Lease lies.
      - Not the release's own by default, because that may not exist yet.
      - A deployer without rights in V(default) sets the release's namespace.
    type: str
    default: default
  duration_seconds:
    description: For how long one renewal counts; at least three renewals of five seconds.
    type: int
    default: 20
  window:
    description:
      - When this environment may be changed, with C(days) (mon to sun), C(from) and C(to) (times of day in C(timezone)), and C(freezes), a
        list of C(from), C(to) (dates) and C(reason) in which it may not. Empty means at any time.
      - With C(from) after C(to) it goes over midnight; C(days) are those on which it opens.
    type: dict
    default: {}
  run:
    description: Id of the run, shown to others. The name of the directory of O(journal) if not given.
    type: str
  pid:
    description: Process with whose end the lease ends. Set by the action plugin of the same name to ansible-playbook's; not for playbooks.
    type: int
"""

EXAMPLES = r"""
- name: PF-90 | One run at a time
  hsc.jit.lease:
    state: held

- name: Give the release free for the next run
  hsc.jit.lease:
    state: free
"""

RETURN = r"""
lease:
  description: The lease that was asked for.
  returned: success
  type: dict
  contains:
    namespace: {description: Where it lies., type: str, sample: default}
    name: {description: Its name., type: str, sample: hsc-jit-deploy}
    holder: {description: This run as others see it., type: str, sample: "ops@bastion:4711/20261124T034749Z"}
    held: {description: Whether this run holds it now., type: bool}
findings:
  description: PF-90; C(fail) if another run is at work.
  returned: always
  type: list
  elements: dict
"""

import socket
from pathlib import Path
from typing import Any

from ..module_utils import _process
from ..module_utils._errors import OperatorError
from ..module_utils._lease import lease as deploy_lease
from ..module_utils._lease import renewer
from ..module_utils._lease import window as lease_window
from ..module_utils._module import Context, Outcome, run

SPEC = {
    "state": {"type": "str", "choices": ["held", "free"], "default": "held"},
    "lease_namespace": {"type": "str", "default": "default"},
    "duration_seconds": {"type": "int", "default": 20},
    "window": {"type": "dict", "default": {}},
    "run": {"type": "str"},
    "pid": {"type": "int"},
}


def _holder(params: Any) -> deploy_lease.Holder:
    of_run = params["run"] or (Path(params["journal"]).parent.name if params["journal"] else "run")
    pid = params["pid"] or 0
    return deploy_lease.Holder(f"{_process.user_name()}@{socket.gethostname()}:{pid}/{of_run}", _process.process_mark(pid))


def work(context: Context) -> Outcome:
    params = context.params
    if params["duration_seconds"] < 3 * deploy_lease.RENEW_SECONDS:
        raise OperatorError(f"duration_seconds is {params['duration_seconds']}; one lost renewal would end the lease.", "Set 15 or more.")
    slot = deploy_lease.Slot(params["lease_namespace"], context.cluster.namespace, params["duration_seconds"])
    keeper = deploy_lease.Keeper(context.cluster, slot, _holder(params), context.now, context.clock.sleep, _process.has_ended)
    lease = {"namespace": slot.namespace, "name": slot.name, "holder": keeper.me.identity, "held": False}
    if params["state"] == "free":
        if not context.check_mode:
            keeper.give_back()
        return Outcome(facts={"lease": lease})
    window = params["window"] and lease_window.parse(params["window"])
    if window:
        keeper.read()  # the answer tells the server's time, by which the window is judged
    findings = [lease_window.check(window, keeper.server_time())] if window else []
    if context.check_mode:
        what, found = keeper.look()
        return Outcome(
            findings=[deploy_lease.finding(what, found, slot, keeper.me, keeper.server_time()), *findings], facts={"lease": lease}
        )
    if params["pid"] and _process.is_missing(params["pid"]):  # killed while this task was on its way
        raise OperatorError(f"pid {params['pid']}: the run has ended, so nobody would give the lease back.", "Start the playbook again.")
    finding, keep = keeper.take()
    if keep:
        renewer.start(keeper, keeper.me.process)
    return Outcome(findings=[finding, *findings], facts={"lease": {**lease, "held": finding.verdict == "pass"}})


def main() -> None:
    run(SPEC, work, check_id="PF-90")


if __name__ == "__main__":
    main()
