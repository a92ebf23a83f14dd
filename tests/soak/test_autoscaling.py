"""The backend's autoscaler under real load: more pods within a minute, none of the requests failed, and back when the load has ended."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from ansible_collections.hsc.jit.plugins.module_utils._verify import load_generator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
RATE, SECONDS = 250, 75  # requests a second; two pods on two slow cores are busy with that
WORDS = ("td17", "roland piano", "moog", "behringer mixer", "korg", "shure microphone", "yamaha", "fender")


def replicas(product: Cluster) -> int:
    """Pods of the backend that are ready."""
    deployment = product.get(product.namespaced("deployments", "/apis/apps/v1") + "/hsc-jit-backend")
    return int(deployment["status"].get("readyReplicas", 0))


def seconds_until(product: Cluster, wanted: range, limit: float) -> float:
    began = time.monotonic()
    while replicas(product) not in wanted:
        assert time.monotonic() - began < limit, f"{replicas(product)} pods are ready, not {wanted.start} to {wanted.stop - 1}"
        time.sleep(1)
    return time.monotonic() - began


def test_more_pods_under_load_and_fewer_afterwards(product: Cluster, door: str, results: Path) -> None:
    path = product.namespaced("horizontalpodautoscalers", "/apis/autoscaling/v2") + "/hsc-jit-backend"
    least, most = (product.get(path)["spec"][key] for key in ("minReplicas", "maxReplicas"))
    found = {"back_before_load_seconds": seconds_until(product, range(least, least + 1), 400)}

    attempts = [load_generator.get_ok(f"/api/search?q={WORDS[n % len(WORDS)].replace(' ', '%20')}%20{n}") for n in range(RATE * SECONDS)]
    loads: list[load_generator.Samples] = []
    load = threading.Thread(target=lambda: loads.append(load_generator.run_load(attempts, lambda: load_generator.Door(door), RATE)))
    load.start()
    found["up_seconds"] = seconds_until(product, range(least + 1, most + 1), SECONDS + 30)
    load.join()
    found["requests"], found["failed"] = len(loads[0].all), len(loads[0].failed)
    found["down_seconds"] = seconds_until(product, range(least, least + 1), 420)

    (results / "autoscaling.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    assert found["failed"] == 0, loads[0].failed[:3]
