"""How soon is it known that many workloads have become ready? Fifty Deployments of one pod each, ready after ten seconds.

    PYTHONPATH=.collections .venv/bin/python tests/bench/ready.py --rounds 3
    PYTHONPATH=.collections .venv/bin/python tests/bench/ready.py --rounds 3 --after-start
    PYTHONPATH=.collections .venv/bin/python tests/bench/ready.py --rounds 3 --stand-in

What is measured, in a namespace of each round's own: seconds from the first write until the verdict, and how many of them passed after the
cluster itself had said of the last Deployment that it is available (known to the second only); and the processor seconds that the whole
machine and this process spent meanwhile. The ten seconds begin with the first write: each pod has a readiness gate that is opened then.
With --after-start they begin with each pod's own start, so that the time to start fifty containers comes on top. With --stand-in as well,
but the pods are on a node that says they are ready and starts nothing.
"""

import argparse
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from ansible_collections.hsc.jit.plugins.module_utils._kube.discovery import in_parallel
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._readiness.waiter import Watch
from ansible_collections.hsc.jit.plugins.module_utils._release.applier import Applier

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/integration")]
from private_namespace import private_namespace  # noqa: E402
from stand_in_node import PLACEMENT, stand_in_node  # noqa: E402
from waiting import until  # noqa: E402

GATE = "hsc.jit/bench"
READY_SECONDS = 10
CONFINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def sandbox_image(cluster):
    """One that is on every node and only waits."""
    images = [name for node in cluster.list("/api/v1/nodes") for one in node["status"]["images"] for name in one["names"]]
    return next(name for name in images if "pause" in name)


def workload(name, image, *, gate, **placement):
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65535, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "pause", "image": image, "securityContext": CONFINED}],
        "automountServiceAccountToken": False,
        "readinessGates": [{"conditionType": GATE}] if gate else [],
        **placement,
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    wait = 0 if gate else READY_SECONDS
    spec = {"replicas": 1, "minReadySeconds": wait, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def open_gates(cluster, count):
    """Of all pods, when their time has come."""
    time.sleep(READY_SECONDS)
    path = cluster.namespaced("pods")
    until(lambda: len(cluster.list(path)) == count, 60)

    gate = {"apiVersion": "v1", "kind": "Pod", "status": {"conditions": [{"type": GATE, "status": "True"}]}}
    names = [pod["metadata"]["name"] for pod in cluster.list(path)]
    in_parallel(lambda name: cluster.patch_apply(f"{path}/{name}/status", {**gate, "metadata": {"name": name}}, "bench"), names)


def last_available(cluster):
    """When the cluster says that the last of them became available, in seconds since 1970."""
    found = cluster.list(cluster.namespaced("deployments", "/apis/apps/v1"))
    conditions = [one for deployment in found for one in deployment["status"]["conditions"] if one["type"] == "Available"]
    return max(datetime.fromisoformat(one["lastTransitionTime"]).timestamp() for one in conditions)


def spent():
    """Processor seconds so far: of the whole machine, and of this process."""
    _, user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(map(int, (user, nice, system, *interrupts[:2]))) / os.sysconf("SC_CLK_TCK"), time.process_time()


def measured(kubeconfig, count, image, *, gate, placement):
    with private_namespace(kubeconfig, "bench") as cluster, ThreadPoolExecutor(1) as beside:
        applier = Applier(cluster, "hsc.jit", False, Progress())
        began, (machine, ours) = time.time(), spent()
        opened = beside.submit(open_gates, cluster, count) if gate else None
        wanted = [workload(f"web-{number:02}", image, gate=gate, **placement) for number in range(count)]
        changes, refused = applier.plan(wanted, prune=False)
        assert not (refused or applier.apply(changes))
        findings = Watch(cluster, applier.kinds, Progress(), time.monotonic).wait([change.obj for change in changes], 300)
        ended, (machine_then, ours_then) = time.time(), spent()
        if opened:
            opened.result()
        assert {one.verdict for one in findings} == {"pass"}, findings
        after = ended - last_available(cluster)
    until(lambda: cluster.find(f"/api/v1/namespaces/{cluster.namespace}") is None, 300)  # a node has room for 110 pods
    return ended - began, after, machine_then - machine, ours_then - ours


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", default="/var/lib/hsc-jit-local/kubeconfig")
    parser.add_argument("--workloads", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--after-start", action="store_true", help="ten seconds from each pod's own start, not from the first write")
    parser.add_argument("--stand-in", action="store_true", help="pods on a node that starts nothing")
    chosen = parser.parse_args()
    image = sandbox_image(connect({"kubeconfig": chosen.kubeconfig}))
    node, placement = (stand_in_node(chosen.kubeconfig), PLACEMENT) if chosen.stand_in else (nullcontext(), {})
    gate = not (chosen.after_start or chosen.stand_in)
    with node:
        rounds = [measured(chosen.kubeconfig, chosen.workloads, image, gate=gate, placement=placement) for _ in range(chosen.rounds)]
    titles = ("until the verdict", "of that, after the last was available", "processor time of the machine", "of that, ours")
    for title, values in zip(titles, zip(*rounds, strict=True), strict=True):
        print(f"{title}: {statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
