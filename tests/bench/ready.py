"""How soon is it known that many workloads have become ready? Fifty Deployments of one pod each, available ten seconds after their start.

    PYTHONPATH=.collections .venv/bin/python tests/bench/ready.py --rounds 3
    PYTHONPATH=.collections .venv/bin/python tests/bench/ready.py --rounds 3 --stand-in

What is measured, in a namespace of each round's own: seconds from the first write until the verdict, and how many of them passed after the
cluster itself had said of the last Deployment that it is available (known to the second only); and the processor seconds that the whole
machine and this process spent meanwhile. With --stand-in their pods are on a node that says they are ready and starts nothing, so that the
time to start fifty containers is left out.
"""

import argparse
import os
import statistics
import sys
import time
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from ansible_collections.hsc.jit.plugins.module_utils._apply import Applier
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._target import connect
from ansible_collections.hsc.jit.plugins.module_utils._watch import Watch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/integration")]
from private_namespace import private_namespace  # noqa: E402
from stand_in_node import PLACEMENT, stand_in_node  # noqa: E402
from waiting import until  # noqa: E402

CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def sandbox_image(cluster):
    """One that is on every node and only waits."""
    images = [name for node in cluster.list("/api/v1/nodes") for one in node["status"]["images"] for name in one["names"]]
    return next(name for name in images if "pause" in name)


def workload(name, image, **placement):
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65535, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "pause", "image": image, "securityContext": CONFINED}],
        "automountServiceAccountToken": False,
        **placement,
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    spec = {"replicas": 1, "minReadySeconds": 10, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def last_available(cluster):
    """When the cluster says that the last of them became available, in seconds since 1970."""
    found = cluster.list(cluster.namespaced("deployments", "/apis/apps/v1"))
    conditions = [one for deployment in found for one in deployment["status"]["conditions"] if one["type"] == "Available"]
    return max(datetime.fromisoformat(one["lastTransitionTime"]).timestamp() for one in conditions)


def spent():
    """Processor seconds so far: of the whole machine, and of this process."""
    _, user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(map(int, (user, nice, system, *interrupts[:2]))) / os.sysconf("SC_CLK_TCK"), time.process_time()


def measured(kubeconfig, count, image, placement):
    with private_namespace(kubeconfig, "bench") as cluster:
        applier = Applier(cluster, "hsc.jit", False, Progress())
        began, (machine, ours) = time.time(), spent()
        changes, refused = applier.plan([workload(f"web-{number:02}", image, **placement) for number in range(count)], (), prune=False)
        assert not (refused or applier.apply(changes))
        findings = Watch(cluster, applier.kinds, Progress(), time.monotonic).wait([change.obj for change in changes], 300)
        ended, (machine_then, ours_then) = time.time(), spent()
        assert {one.verdict for one in findings} == {"pass"}, findings
        after = ended - last_available(cluster)
    until(lambda: cluster.find(f"/api/v1/namespaces/{cluster.namespace}") is None, 300)  # a node has room for 110 pods
    return ended - began, after, machine_then - machine, ours_then - ours


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", default="/var/lib/hsc-jit-local/kubeconfig")
    parser.add_argument("--workloads", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stand-in", action="store_true", help="pods on a node that starts nothing")
    chosen = parser.parse_args()
    image = sandbox_image(connect({"kubeconfig": chosen.kubeconfig}))
    node, placement = (stand_in_node(chosen.kubeconfig), PLACEMENT) if chosen.stand_in else (nullcontext(), {})
    with node:
        rounds = [measured(chosen.kubeconfig, chosen.workloads, image, placement) for _ in range(chosen.rounds)]
    titles = ("until the verdict", "of that, after the last was available", "processor time of the machine", "of that, ours")
    for title, values in zip(titles, zip(*rounds, strict=True), strict=True):
        print(f"{title}: {statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
