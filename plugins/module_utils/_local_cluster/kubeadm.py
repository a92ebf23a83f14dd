# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The control plane by kubeadm's own phases, and the workers' credentials."""

from __future__ import annotations

import shutil
from typing import Any

import yaml

from .node import SOCKET, run_inside
from .settings import IMAGES, KUBERNETES_VERSION, Node

_PHASES_BEFORE_KUBELET = ("certs all", "kubeconfig all", "etcd local", "control-plane all", "kubelet-start")
_PHASES_AFTER = ("upload-config all", "mark-control-plane", "bootstrap-token", "addon coredns")
_CONFIG = "/etc/kubernetes/kubeadm.yaml"
_PLUGINS = "/var/lib/kubelet/volume-plugins"  # the default lies under /usr, outside the node's folder

# There is one of each: after a kill, nobody shall wait until the dead one's lease has run out.
_ALONE = {"name": "leader-elect", "value": "false"}

# By default the controllers hold themselves to 20 requests a second: fifty workloads are ready 6 s later for it, whatever the machine.
_UNTHROTTLED = [{"name": "kube-api-qps", "value": "100"}, {"name": "kube-api-burst", "value": "200"}]


def configuration(node: Node, may_raise_limits: bool) -> list[dict[str, Any]]:
    """kubeadm's configuration as documents."""
    cluster = node.cluster
    return [
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": node.address, "bindPort": 6443},
            "nodeRegistration": {"name": node.name, "criSocket": f"unix://{SOCKET}", "imagePullPolicy": "IfNotPresent", "taints": []},
        },
        {
            "apiVersion": "kubeadm.k8s.io/v1beta4",
            "kind": "ClusterConfiguration",
            "kubernetesVersion": KUBERNETES_VERSION,
            "imageRepository": IMAGES,
            "clusterName": f"hsc-jit-{cluster.name}",
            "networking": {"podSubnet": str(cluster.pods), "serviceSubnet": str(cluster.services)},
            # our nodes know their own pod ranges
            "controllerManager": {
                "extraArgs": [
                    _ALONE,
                    {"name": "allocate-node-cidrs", "value": "false"},
                    {"name": "flex-volume-plugin-dir", "value": _PLUGINS},
                    *_UNTHROTTLED,
                ]
            },
            "scheduler": {"extraArgs": [_ALONE]},
        },
        kubelet_configuration(node, may_raise_limits),
    ]


def kubelet_configuration(node: Node, may_raise_limits: bool) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "clusterDNS": [str(node.cluster.services[10])],
        "clusterDomain": "cluster.local",
        "staticPodPath": "/etc/kubernetes/manifests",
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{node.cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {} if may_raise_limits else {"KubeletInUserNamespace": True},
        "resolvConf": "/etc/kubernetes/resolv.conf",
        "volumePluginDir": _PLUGINS,
        # the disk is the developer's: images of ours are never collected, and pods are evicted late
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "200Mi", "nodefs.available": "3%", "imagefs.available": "3%", "nodefs.inodesFree": "3%"},
        "rotateCertificates": True,
    }


def prepare_control_plane(node: Node, may_raise_limits: bool) -> None:
    folder = node.private("/etc/kubernetes")
    (folder / "kubeadm.yaml").write_text(yaml.safe_dump_all(configuration(node, may_raise_limits)))
    (folder / "resolv.conf").write_text(f"nameserver {node.cluster.gateway}\n")
    for phase in _PHASES_BEFORE_KUBELET:
        run_inside(node, node.cluster.command("kubeadm"), "init", "phase", *phase.split(), "--config", _CONFIG)
    _proxy_credentials(node, node)


def finish_control_plane(node: Node) -> None:
    """Needs the API server."""
    for phase in _PHASES_AFTER:
        run_inside(node, node.cluster.command("kubeadm"), "init", "phase", *phase.split(), "--config", _CONFIG)


def prepare_worker(node: Node, may_raise_limits: bool) -> None:
    """A worker's credentials from the control plane's CA, as kubeadm makes them for users."""
    first, folder = node.cluster.node(0), node.private("/etc/kubernetes")
    (folder / "pki").mkdir(parents=True, exist_ok=True)
    shutil.copy2(first.private("/etc/kubernetes") / "pki/ca.crt", folder / "pki/ca.crt")
    (folder / "resolv.conf").write_text(f"nameserver {node.cluster.gateway}\n")
    (node.private("/var/lib/kubelet") / "config.yaml").write_text(yaml.safe_dump(kubelet_configuration(node, may_raise_limits)))
    user = _user(first, f"system:node:{node.name}", "--org=system:nodes")
    (folder / "kubelet.conf").write_text(user)
    _proxy_credentials(first, node)


def _proxy_credentials(first: Node, node: Node) -> None:
    (node.private("/etc/kubernetes") / "kube-proxy.conf").write_text(_user(first, "system:kube-proxy"))


def _user(first: Node, name: str, *options: str) -> str:
    command = first.cluster.command("kubeadm")
    return run_inside(first, command, "kubeconfig", "user", f"--client-name={name}", *options, "--config", _CONFIG)
