# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-07: the cluster enforces the release's NetworkPolicies. An API server accepts them also where nothing does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .._errors import ApiError
from .._finding import Finding
from .._kube.client import Cluster
from .tasks import ready_pods

# A worker may ask Redis (hsc-jit-product-egress) and has no business with Prometheus, which no policy lets it reach.
ALLOWED, FORBIDDEN = "hsc-jit-redis:6379", "hsc-jit-prometheus:9090"
# Prints {door: "" if it opened, else why not}.
KNOCK = """
import json, socket, sys
def knock(door):
    host, port = door.split(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return ""
print(json.dumps({door: knock(door) for door in sys.argv[1:]}))
"""


def check_network(cluster: Cluster, pods: list[dict[str, Any]], app: str) -> list[Finding]:
    """Knock from inside one of the app's pods at a door that a policy opens to it, and at one that none does."""
    knockers = ready_pods(pods, app)
    if not knockers:
        return [Finding("VF-07", "error", f"Not tried: no pod of {app} is ready.", {"ready": 0}, f"kubectl get pods -l app={app}")]
    pod, container = knockers[0]
    try:
        result = cluster.exec(pod, container, ["python", "-c", KNOCK, ALLOWED, FORBIDDEN], timeout_seconds=20)
        answers = json.loads(result.stdout)
    except (ApiError, TimeoutError, ValueError) as problem:
        if isinstance(problem, ApiError) and problem.status == 403:
            raise
        return [Finding("VF-07", "error", f"Not tried from {pod}: {problem}", {"pod": pod}, "Verify again.")]
    return [judge(pod, answers)]


def judge(pod: str, answers: Mapping[str, str]) -> Finding:
    """Pure. answers: {door: "" if it opened, else why not}. That the forbidden door stays shut proves nothing where the other does too."""
    evidence = {"pod": pod, "allowed": {ALLOWED: answers[ALLOWED] or "open"}, "forbidden": {FORBIDDEN: answers[FORBIDDEN] or "open"}}
    if answers[ALLOWED]:
        message = f"{pod} does not reach {ALLOWED}, which a policy allows: {answers[ALLOWED]}"
        return Finding(
            "VF-07", "fail", message, evidence, "kubectl describe networkpolicy hsc-jit-product-egress hsc-jit-data-stores-ingress"
        )
    if not answers[FORBIDDEN]:
        message = f"NetworkPolicies are not enforced by this cluster: {pod} reaches {FORBIDDEN}, which none of them allows."
        step = "Use a network plugin that enforces them (Calico, Cilium, Antrea); the policies themselves are applied."
        return Finding("VF-07", "skipped", message, evidence, step)
    if answers[FORBIDDEN].startswith("gaierror"):
        return Finding(
            "VF-07", "error", f"{pod} cannot look up {FORBIDDEN}: {answers[FORBIDDEN]}", evidence, "Look at CoreDNS, verify again."
        )
    return Finding("VF-07", "pass", f"NetworkPolicies hold: {pod} reaches {ALLOWED}, and is kept from {FORBIDDEN}.", evidence)
