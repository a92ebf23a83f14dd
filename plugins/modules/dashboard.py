#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Draw the release's dashboards from its live Prometheus."""

from __future__ import annotations

DOCUMENTATION = r"""
module: dashboard
short_description: Draw the dashboards of a release as pages
version_added: 0.1.0
author: The HSC-JIT deployment engineers (@hsc-jit)
description:
  - Asks the live Prometheus what each panel of ConfigMap C(hsc-jit-dashboards) asks, and draws the answers into an HTML file without a
    script or an outside resource. For environments that have no Grafana, and for evidence.
  - The cluster is only looked at; the files are written anew at each run.
extends_documentation_fragment: [hsc.jit.target, hsc.jit.target.run]
options:
  dest:
    description: Folder to write into, one file for each dashboard.
    type: path
    required: true
  hours:
    description: How far back to look.
    type: float
    default: 1
  prometheus_url:
    description: Address of Prometheus. Without it, the API server's service proxy is asked.
    type: str
    default: ""
  ca_file:
    description: Certificate authority of O(prometheus_url), if the system does not know it.
    type: path
"""

EXAMPLES = r"""
- name: Draw the last day
  hsc.jit.dashboard:
    dest: evidence/dashboards
    hours: 24
"""

RETURN = r"""
files:
  description: The files written, or in check mode those that would be.
  returned: always
  type: list
  elements: str
  sample: [evidence/dashboards/overview.html]
"""

from pathlib import Path

from ..module_utils import _atomic_file
from ..module_utils._errors import OperatorError
from ..module_utils._module import Context, Outcome, run
from ..module_utils._report import dashboard
from ..module_utils._verify.monitoring import Prometheus, ask, dashboards

SPEC = {
    "dest": {"type": "path", "required": True},
    "hours": {"type": "float", "default": 1},
    "prometheus_url": {"type": "str", "default": ""},
    "ca_file": {"type": "path"},
}
_POINTS = 200


def work(context: Context) -> Outcome:
    params = context.params
    if not 0 < params["hours"] <= 24 * 30:
        raise OperatorError(f"hours is {params['hours']:g}.", "Give a number of hours from 0.1 to 720: Prometheus keeps 30 days.")
    found = dashboards(context.cluster)
    if not found:
        raise OperatorError(f"Namespace {context.cluster.namespace} has no ConfigMap hsc-jit-dashboards.", "Deploy the release first.")
    end = context.now().timestamp()
    begin = end - params["hours"] * 3600
    prometheus = Prometheus(params["prometheus_url"], params["ca_file"])
    span = {"start": f"{begin:.0f}", "end": f"{end:.0f}", "step": f"{max(10, (end - begin) / _POINTS):.0f}"}
    files = []
    for name, text in sorted(found.items()):
        title, panels = dashboard.panels(text)
        drawn = [(panel, dashboard.lines(ask(context, prometheus, "query_range", query=panel.query, **span))) for panel in panels]
        files.append(str(Path(params["dest"]) / Path(name).with_suffix(".html").name))
        if not context.check_mode:
            _atomic_file.write(Path(files[-1]), dashboard.as_page(title, drawn, begin, end))
    return Outcome(before={}, after={"written": files}, facts={"files": files})


def main() -> None:
    run(SPEC, work)


if __name__ == "__main__":
    main()
