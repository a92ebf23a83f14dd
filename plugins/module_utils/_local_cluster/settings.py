# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Names, addresses and folders of one local cluster, derived from its options. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

KUBERNETES_VERSION = "v1.36.3"
MOST_NODES = 9
IMAGES = "localhost/hsc-jit"  # repository of the images that a node needs before it has a network
PROGRAMS = ("pause", "node")
COMMANDS = (  # all of the node's program
    "etcd", "coredns", "forward", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubeadm", "kubectl",
    "kubelet", "metrics-server", "provisioner", "registry",
)  # fmt: skip
# What a node sees as its own: folder inside the node -> folder of the node's folder.
PRIVATE_FOLDERS = {
    "/etc/kubernetes": "etc-kubernetes",
    "/etc/cni": "etc-cni",
    "/etc/containerd": "etc-containerd",
    "/var/lib/kubelet": "kubelet",
    "/var/lib/etcd": "etcd",
    "/var/lib/containerd": "containerd",
    "/var/lib/cni": "cni",
    "/run/containerd": "run-containerd",
    "/run/netns": "run-netns",
    "/var/log/pods": "log-pods",
    "/var/log/containers": "log-containers",
}


@dataclass(frozen=True)
class Settings:
    """One cluster. ports: loopback port -> NodePort on the first node."""

    name: str
    state: Path
    cache: Path
    source: Path
    subnet: IPv4Network
    pods: IPv4Network
    services: IPv4Network
    nodes: int
    registry_port: int
    ports: Mapping[int, int]

    @property
    def bridge(self) -> str:
        return f"hj-{self.name}"

    @property
    def gateway(self) -> str:
        return str(self.subnet[1])

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def server(self) -> str:
        return f"https://{self.node(0).address}:6443"

    @property
    def cgroup(self) -> str:
        return f"hsc-jit-{self.name}"

    def node(self, index: int) -> Node:
        return Node(self, index)

    def all_nodes(self) -> list[Node]:
        return [self.node(index) for index in range(self.nodes)]

    def command(self, name: str) -> str:
        return str(self.state / "bin" / name)

    def identity(self) -> dict[str, Any]:
        """What cannot be changed without making the cluster anew."""
        return {"subnet": str(self.subnet), "pods": str(self.pods), "services": str(self.services), "registry_port": self.registry_port}


@dataclass(frozen=True)
class Node:
    """One node: a folder, a network namespace and a mount namespace."""

    cluster: Settings
    index: int

    @property
    def name(self) -> str:
        return f"{self.cluster.name}-{self.index}"

    @property
    def folder(self) -> Path:
        return self.cluster.state / "nodes" / self.name

    @property
    def veth(self) -> str:
        return f"hj-{self.cluster.name[:8]}-{self.index}"

    @property
    def address(self) -> str:
        return str(self.cluster.subnet[10 + self.index])

    @property
    def pods(self) -> IPv4Network:
        return list(self.cluster.pods.subnets(new_prefix=24))[self.index]

    @property
    def cgroup(self) -> str:
        return f"{self.cluster.cgroup}/{self.name}"

    def private(self, inside: str) -> Path:
        """Where the node's own ``inside`` folder lies on the host."""
        return self.folder / PRIVATE_FOLDERS[inside]


def from_options(options: Mapping[str, Any]) -> Settings:
    """Settings from the module's options; ValueError names the option, what is wrong with it and what it must be."""
    name = options["name"]
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,10}", name):
        raise ValueError(f"name is {name!r}; it must be 1 to 11 characters of a-z, 0-9 and -, beginning with a letter.")
    if not 1 <= options["nodes"] <= MOST_NODES:
        raise ValueError(f"nodes is {options['nodes']}; it must be from 1 to {MOST_NODES}.")
    networks = {key: _network(key, options[key], prefix) for key, prefix in (("subnet", 24), ("pod_cidr", 16), ("service_cidr", 16))}
    for key, other in (("subnet", "pod_cidr"), ("subnet", "service_cidr"), ("pod_cidr", "service_cidr")):
        if networks[key].overlaps(networks[other]):
            raise ValueError(f"{key} {networks[key]} overlaps {other} {networks[other]}; choose another private network for one of them.")
    ports = {_port("ports", listen): _port("ports", target) for listen, target in options["ports"].items()}
    return Settings(
        name=name,
        state=Path(options["state_root"]) / f"hsc-jit-{name}",
        cache=Path(options["cache_dir"]).expanduser(),
        source=Path(options["source_dir"]),
        subnet=networks["subnet"],
        pods=networks["pod_cidr"],
        services=networks["service_cidr"],
        nodes=options["nodes"],
        registry_port=_port("registry_port", options["registry_port"]),
        ports=ports,
    )


def _network(key: str, text: str, prefix: int) -> IPv4Network:
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{key} is {text!r}: {error}. Example: 10.89.0.0/{prefix}") from error
    if network.prefixlen != prefix or not network.is_private:
        raise ValueError(f"{key} is {network}; it must be a private /{prefix} network.")
    return network


def _port(key: str, value: Any) -> int:
    try:
        port = int(value)
    except (TypeError, ValueError):
        port = 0
    if not 1 <= port <= 65535:
        raise ValueError(f"{key}: {value!r} is not a port from 1 to 65535.")
    return port
