# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Bring a local Kubernetes up, or repair it, stop it, or take it away. Each step looks first; `up` on a whole cluster does nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from operator import not_
from pathlib import Path
from typing import Any

import yaml

from .. import _atomic_file
from .._errors import ApiError, UnsupportedHostError
from .._kube.client import Cluster
from .._kube.kubeconfig import connect
from .._kube.objects import holds
from .._poll import poll
from .._readiness.readiness import World
from . import build, host, kubeadm, process
from . import node as nodes
from .settings import MOST_NODES, Node, Settings

_READY_SECONDS = 180


def up(settings: Settings, say: host.Say) -> list[str]:
    """What was made or repaired; empty if the cluster was whole."""
    running = process.pid_of(nodes.pid_file(settings.node(0), "kubelet")) is not None
    ours = {name for name in ("registry", "forward") if process.pid_of(settings.state / "run" / f"{name}.pid")}
    problems = host.missing(settings, running, ours)
    if problems:
        raise UnsupportedHostError("\n".join(problems))
    _refuse_other_identity(settings)
    done = host.install_packages(say)
    program, built = build.program(settings, say)
    done += ["program"] if built else []
    _forget_half_made(settings, say)
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o711)
    build.install(settings, program, say)
    _atomic_file.write(settings.state / "settings.json", json.dumps(settings.identity()))
    done += _ensure_bridge(settings) + _ensure_forwarding(settings) + _ensure_registry(settings)
    for node in settings.all_nodes():
        done += _ensure_node(node, build.pause_image(program / "images.tar"), program / "images.tar", say)
    done += _ensure_addons(settings, say) + _ensure_doors(settings)
    _wait_ready(settings, say)
    return done


def _refuse_other_identity(settings: Settings) -> None:
    path = settings.state / "settings.json"
    if path.exists() and (found := json.loads(path.read_text())) != settings.identity():
        differs = ", ".join(
            f"{key} is {found.get(key)}, wanted {value}" for key, value in settings.identity().items() if found.get(key) != value
        )
        raise UnsupportedHostError(f"The local cluster {settings.name} was made with other settings ({differs}). Run `make destroy` first.")


def _forget_half_made(settings: Settings, say: host.Say) -> None:
    """A control plane that was never finished holds nothing worth keeping: begin again rather than guess how far it came."""
    if settings.state.exists() and not (settings.state / "initialised").exists() and (settings.state / "nodes").exists():
        say("A half-made cluster was found; beginning again")
        down(settings, say)


def _ensure_bridge(settings: Settings) -> list[str]:
    if settings.gateway in host.execute(["ip", "-4", "address", "show", "dev", settings.bridge], check=False):
        return []
    host.execute(["ip", "link", "delete", settings.bridge], check=False)
    host.execute(["ip", "link", "add", settings.bridge, "type", "bridge"])
    host.execute(["ip", "address", "add", f"{settings.gateway}/{settings.subnet.prefixlen}", "dev", settings.bridge])
    host.execute(["ip", "link", "set", settings.bridge, "up"])
    for node in settings.all_nodes():  # legs of an older bridge, after a repair
        host.execute(["ip", "link", "set", node.veth, "master", settings.bridge], check=False)
    return ["bridge"]


def _ensure_forwarding(settings: Settings) -> list[str]:
    """A Docker engine has bridges' traffic filtered as well, and drops what no rule allows: nodes would lose each other."""
    rule = _forwarding(settings)
    rules = host.execute(["iptables", "-S", "FORWARD"], check=False)
    if not rules or f"-A {' '.join(rule)}" in rules:  # no rules: this kernel filters nothing
        return []
    host.execute(["iptables", "-I", *rule])
    return ["forwarding"]


def _forwarding(settings: Settings) -> list[str]:
    return ["FORWARD", "-i", settings.bridge, "-o", settings.bridge, "-j", "ACCEPT"]


def _ensure_registry(settings: Settings) -> list[str]:
    addresses = [f"{address}:{settings.registry_port}" for address in ("127.0.0.1", settings.gateway)]
    command = [settings.command("registry"), "-dir", str(settings.state / "registry"), *addresses]
    return _ensure_process(settings, "registry", command)


def _ensure_process(settings: Settings, name: str, command: list[str]) -> list[str]:
    made = process.ensure(settings.state / "run" / f"{name}.pid", command, settings.state / "log" / f"{name}.log")
    return [name] if made else []


def _ensure_node(node: Node, pause_image: str, images: Path, say: host.Say) -> list[str]:
    limits = host.may_raise_limits()
    fresh = not (node.folder / "joined").exists()
    say(f"Node {node.name}", node.index + 1, node.cluster.nodes, "namespaces and container runtime")
    made = [
        ("namespaces", nodes.ensure_namespaces(node, node.cluster.state / "made.json")),
        ("cgroups", nodes.ensure_cgroups(node)),
        ("containerd", nodes.ensure_containerd(node, pause_image, images, limits)),
    ]
    if fresh:
        say(f"Node {node.name}", node.index + 1, node.cluster.nodes, "certificates and configuration")
        kubeadm.prepare_control_plane(node, limits) if node.index == 0 else kubeadm.prepare_worker(node, limits)
    made.append(("kubelet", nodes.ensure_kubelet(node)))
    if node.index == 0:
        _ensure_control_plane(node, fresh, say)
    made.append(("kube-proxy", nodes.ensure_proxy(node)))
    (node.folder / "joined").touch()
    return [f"{what} of {node.name}" for what, was_made in made if was_made]


def _ensure_control_plane(node: Node, fresh: bool, say: host.Say) -> None:
    admin = node.private("/etc/kubernetes") / "admin.conf"
    _atomic_file.write(node.cluster.kubeconfig, admin.read_text())
    _wait("the API server", lambda: _answers(node.cluster), say, [node])
    if fresh:
        kubeadm.finish_control_plane(node)
        (node.cluster.state / "initialised").touch()


def _api(settings: Settings) -> Cluster:
    return connect({"kubeconfig": str(settings.kubeconfig), "namespace": "kube-system"})


def _answers(settings: Settings) -> str:
    """Empty when the API server is ready; otherwise why not."""
    try:
        _api(settings).request("GET", "/readyz", timeout=5)
    except ApiError as problem:
        return problem.message.splitlines()[-1] if problem.message else problem.reason
    return ""


def _wait(what: str, waiting_for: Callable[[], str], say: host.Say, those: Iterable[Node], seconds: float = _READY_SECONDS) -> None:
    """Until ``waiting_for`` has nothing more to wait for, those nodes' kubelets alive. RuntimeError says what was still missing."""

    def obstacle() -> str:
        if reason := waiting_for():
            say(f"Waiting for {what}", detail=reason[:300])
            for node in those:  # a kubelet ends where containerd serves already but has not found its containers again
                nodes.ensure_kubelet(node)
        return reason

    if reason := poll(obstacle, seconds, until=not_, every=0.5):
        raise RuntimeError(f"{what} is not ready after {seconds:.0f} s: {reason} Run `make destroy`, then `make cluster`, to start over.")


def _ensure_addons(settings: Settings, say: host.Say) -> list[str]:
    """metrics-server, the default StorageClass, a quicker CoreDNS. Server-side apply: what is as wanted stays untouched."""
    text = (settings.source / "addons.yaml").read_text().replace("API_SERVER", settings.node(0).address)
    marker = settings.state / "addons.yaml"
    if marker.exists() and marker.read_text() == text:
        return []
    say("Applying the addons")
    cluster = _api(settings)
    for obj in yaml.safe_load_all(text):
        group = obj["apiVersion"]
        base = f"/apis/{group}" if "/" in group else "/api/v1"
        plural = {"APIService": "apiservices", "StorageClass": "storageclasses"}.get(obj["kind"], obj["kind"].lower() + "s")
        namespace = f"/namespaces/{obj['metadata']['namespace']}" if obj["metadata"].get("namespace") else ""
        cluster.patch_apply(f"{base}{namespace}/{plural}/{obj['metadata']['name']}", obj, "hsc.jit.local_cluster", force=True)
    _atomic_file.write(marker, text)
    return ["addons"]


def _ensure_doors(settings: Settings) -> list[str]:
    """The provisioner of volumes, and loopback ports into the first node."""
    provisioner = [settings.command("provisioner"), "-kubeconfig", str(settings.kubeconfig), "-nodes", str(settings.state / "nodes")]
    pairs = [f"127.0.0.1:{listen}={settings.node(0).address}:{target}" for listen, target in settings.ports.items()]
    made = _ensure_process(settings, "provisioner", provisioner)
    return made + (_ensure_process(settings, "forward", [settings.command("forward"), *pairs]) if pairs else [])


def _wait_ready(settings: Settings, say: host.Say) -> None:
    cluster = _api(settings)
    _wait("the cluster", lambda: _not_ready(cluster, settings), say, settings.all_nodes())


def _not_ready(cluster: Cluster, settings: Settings) -> str:
    """What is still missing: nodes, DNS, metrics."""
    try:
        ready = {node["metadata"]["name"] for node in cluster.list("/api/v1/nodes") if holds(node, "Ready")}
        waiting = [f"node {node.name}" for node in settings.all_nodes() if node.name not in ready]
        deployments = cluster.list(cluster.namespaced("deployments", "/apis/apps/v1"))
        late = [deployment for deployment in deployments if not deployment.get("status", {}).get("availableReplicas")]
        pods = cluster.list(cluster.namespaced("pods")) if late else []
        waiting += [f"{deployment['metadata']['name']}{_why(deployment, pods)}" for deployment in late]
        if not holds(cluster.get("/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"), "Available"):
            waiting.append("metrics API")
    except ApiError as problem:
        return problem.message
    return f"{', '.join(waiting)} not ready yet." if waiting else ""


def _why(deployment: dict[str, Any], pods: list[dict[str, Any]]) -> str:
    """`` (container coredns: CrashLoopBackOff: its last words)``; may be empty, and old right after a kill."""
    labels = deployment["spec"]["selector"]["matchLabels"].items()
    mine = [pod for pod in pods if labels <= pod["metadata"].get("labels", {}).items()]
    reasons = [state.reason for state in map(World().pod_state, mine) if state.reason]
    return f" ({reasons[0]})" if reasons else ""


def state(settings: Settings) -> str:
    """present, stopped or absent, from what lies and runs on this machine; a broken cluster counts as stopped."""
    if not is_there(settings):
        return "absent"
    return "present" if process.pid_of(nodes.pid_file(settings.node(0), "kubelet")) else "stopped"


def is_there(settings: Settings) -> bool:
    return settings.state.exists() or settings.bridge in host.execute(["ip", "-o", "link", "show", "type", "bridge"], check=False)


def stop(settings: Settings, say: host.Say) -> list[str]:
    """End every process and take the networks away; data, images and configuration stay, and `up` goes on from them."""
    ended = []
    for node in (settings.node(index) for index in range(MOST_NODES)):
        if node.folder.exists():
            say(f"Ending node {node.name}")
            ended += [f"node {node.name}"] if nodes.remove(node) else []
    for path in (settings.state / "run").glob("*.pid"):
        pid = process.pid_of(path)
        if pid:
            process.end([pid])
            ended.append(path.stem)
    host.execute(["iptables", "-D", *_forwarding(settings)], check=False)
    host.execute(["ip", "link", "delete", settings.bridge], check=False)
    return ended


def down(settings: Settings, say: host.Say) -> list[str]:
    """Take everything away, in the order in which nothing can come back; the cache stays."""
    if not is_there(settings):
        return []
    (settings.state / "initialised").unlink(missing_ok=True)  # killed from here on, it is a half-made one
    stop(settings, say)
    made = settings.state / "made.json"
    folders = sorted(json.loads(made.read_text()), key=len, reverse=True) if made.exists() else []
    for folder in map(Path, folders):
        if folder.is_dir() and not folder.is_mount() and not any(folder.iterdir()):
            folder.rmdir()
    shutil.rmtree(settings.state)
    return [f"cluster {settings.name}"]
