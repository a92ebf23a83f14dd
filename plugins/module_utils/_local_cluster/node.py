# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A node is a folder: a network namespace, a mount namespace that sees the folder's parts at the usual places, and processes in both.

Every function here makes sure of one thing and returns whether it had to do something, so that `up` repairs whatever is missing.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

from .. import _atomic_file
from .._poll import poll
from .._process import boot_id
from . import process
from .host import cgroup_roots, every_cgroup_root, execute
from .settings import PRIVATE_FOLDERS, Node

SOCKET = "/run/containerd/containerd.sock"


def pid_file(node: Node, name: str) -> Path:
    return node.folder / "run" / f"{name}.pid"


def inside(node: Node, *argv: str) -> list[str]:
    """The command that runs argv in the node's namespaces."""
    return ["nsenter", f"--target={process.pid_of(pid_file(node, 'holder'))}", "--mount", "--net", *argv]


def run_inside(node: Node, *argv: str, check: bool = True, stdin: str | None = None) -> str:
    return execute(inside(node, *argv), check=check, stdin=stdin)


def start_inside(node: Node, name: str, *argv: str) -> bool:
    if process.pid_of(pid_file(node, name)) is not None:
        return False
    return process.ensure(pid_file(node, name), inside(node, *argv), node.folder / "log" / f"{name}.log")


def ensure_namespaces(node: Node, created: Path) -> bool:
    """The holder is a process that does nothing and keeps the network and the mount namespace.

    ``created`` remembers which empty folders of the host were made as mount points, so that they can go again.
    """
    connected = node.folder / "run" / "connected"  # written last: a holder whose folders are not mounted would use the host's
    holder = pid_file(node, "holder")
    if process.pid_of(holder) is not None and connected.exists() and connected.read_text() == holder.read_text():
        return False
    remove(node)  # processes of a lost namespace cannot be saved; their data can
    _make_mount_points(node, created)
    pause = ["unshare", "--net", "--mount", "--propagation", "private", node.cluster.command("pause")]
    process.ensure(holder, pause, node.folder / "log" / "holder.log")
    pid = _holder(node)
    spaces = [_namespace(pid, kind) for kind in ("net", "mnt")]
    _atomic_file.write(node.folder / "run" / "namespaces.json", json.dumps({"boot": boot_id(), "spaces": spaces}))
    for target, folder in PRIVATE_FOLDERS.items():
        run_inside(node, "mount", "--bind", str(node.folder / folder), target)
    run_inside(node, "mount", "--make-rshared", "/")
    _connect(node, pid)
    _atomic_file.write(connected, holder.read_text())
    return True


def _make_mount_points(node: Node, created: Path) -> None:
    made = json.loads(created.read_text()) if created.exists() else []
    targets = [Path(target) for target in PRIVATE_FOLDERS]
    missing = {str(path) for target in targets for path in (target, *target.parents) if not path.exists()}
    _atomic_file.write(created, json.dumps([*made, *sorted(missing - set(made))]))  # before they are there: what is written can go again
    for target, folder in PRIVATE_FOLDERS.items():
        (node.folder / folder).mkdir(parents=True, exist_ok=True)
        Path(target).mkdir(parents=True, exist_ok=True)


def _holder(node: Node) -> int:
    """The holder's pid, once unshare has done its work and become it."""
    pid = process.pid_of(pid_file(node, "holder"))
    pause = node.cluster.command("pause").encode()
    if pid and poll(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(pause), 5.0, every=0.05):
        return pid
    log = (node.folder / "log" / "holder.log").read_text(errors="replace")
    raise RuntimeError(f"Node {node.name}: its namespaces could not be made: {log[-500:]}")


def _connect(node: Node, pid: int) -> None:
    """One leg in the cluster's bridge, and no way out of the machine: a cluster for tests needs none."""
    execute(["ip", "link", "delete", node.veth], check=False)
    execute(["ip", "link", "add", node.veth, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    execute(["ip", "link", "set", node.veth, "master", node.cluster.bridge, "up"])
    others = [other for other in node.cluster.all_nodes() if other.index != node.index]
    for command in (
        f"ip address add {node.address}/{node.cluster.subnet.prefixlen} dev eth0",
        "ip link set eth0 up",
        "ip link set lo up",
        f"ip route add default via {node.cluster.gateway}",
        "sysctl -q -w net.ipv4.ip_forward=1",
        *[f"ip route add {other.pods} via {other.address}" for other in others],
    ):
        run_inside(node, *command.split())


def ensure_cgroups(node: Node) -> bool:
    """A cgroup of the node's own in every hierarchy: kubelet puts its pods below it."""
    made = False
    unified, roots = cgroup_roots()
    for root in roots:
        parent = root
        for part in node.cgroup.split("/"):
            if unified:
                wanted = {"cpu", "cpuset", "io", "memory", "pids"} & set((parent / "cgroup.controllers").read_text().split())
                (parent / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(wanted)))
            child = parent / part
            if not child.exists():
                child.mkdir()
                made = True
            if root.name == "cpuset" and not (child / "cpuset.cpus").read_text().strip():
                for name in ("cpuset.cpus", "cpuset.mems"):  # on v1 an empty cpuset refuses every process
                    (child / name).write_text((parent / name).read_text())
            parent = child
    return made


def ensure_containerd(node: Node, pause_image: str, images: Path, may_raise_limits: bool) -> bool:
    _write(node.private("/etc/containerd") / "config.toml", _containerd_config(pause_image, may_raise_limits))
    registry = f"localhost:{node.cluster.registry_port}"
    address = f"http://{node.cluster.gateway}:{node.cluster.registry_port}"
    hosts = f'server = "{address}"\n[host."{address}"]\n  capabilities = ["pull", "resolve"]\n'
    _write(node.private("/etc/containerd") / "certs.d" / registry / "hosts.toml", hosts)
    _write(node.private("/etc/cni") / "net.d" / "10-hsc-jit.conflist", _cni_config(node))
    made = start_inside(node, "containerd", "containerd", "--config", "/etc/containerd/config.toml")
    imported = node.folder / "images"
    if not made and imported.exists():
        return False
    _wait(node, "containerd", "ctr", "version")
    if not imported.exists():
        run_inside(node, "ctr", "-n", "k8s.io", "images", "import", str(images))
        imported.touch()
    return made


def _wait(node: Node, name: str, *argv: str) -> None:

    def state() -> str:
        if subprocess.run(inside(node, *argv), capture_output=True, check=False).returncode == 0:
            return "up"
        return "starting" if process.pid_of(pid_file(node, name)) else "ended"

    if poll(state, 20.0, until=lambda found: found != "starting") == "up":
        return
    log = node.folder / "log" / f"{name}.log"
    raise RuntimeError(f"Node {node.name}: {name} did not come up; the end of {log}:\n{log.read_text(errors='replace')[-1500:]}")


def _containerd_config(pause_image: str, may_raise_limits: bool) -> str:
    return f"""version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause_image}"
  restrict_oom_score_adj = {str(not may_raise_limits).lower()}
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"""


def _cni_config(node: Node) -> str:
    """Point-to-point links instead of a bridge: replies of Services pass the node's netfilter without br_netfilter."""
    ranges = [[{"subnet": str(node.pods)}]]
    ptp = {"type": "ptp", "ipMasq": False, "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}}
    plugins = [ptp, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return json.dumps({"cniVersion": "1.0.0", "name": "hsc-jit", "plugins": plugins}, indent=1)


def ensure_kubelet(node: Node) -> bool:
    flags = [
        "--config=/var/lib/kubelet/config.yaml",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        f"--hostname-override={node.name}",
        f"--node-ip={node.address}",
    ]
    return start_inside(node, "kubelet", node.cluster.command("kubelet"), *flags)


def ensure_proxy(node: Node) -> bool:
    """kube-proxy as a process: it needs the host's iptables. maxPerCore 0: the host's conntrack table is not ours to size."""
    flags = [
        "--kubeconfig=/etc/kubernetes/kube-proxy.conf",
        f"--hostname-override={node.name}",
        f"--cluster-cidr={node.cluster.pods}",
        "--proxy-mode=iptables",
        "--conntrack-max-per-core=0",
    ]
    return start_inside(node, "kube-proxy", node.cluster.command("kube-proxy"), *flags)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        _atomic_file.write(path, text)


def processes(node: Node) -> list[int]:
    """Every process of the node: with a pid file, in its cgroups, or in the holder's mount or network namespace."""
    pids = {pid for path in (node.folder / "run").glob("*.pid") if (pid := process.pid_of(path))}
    for root in cgroup_roots()[1]:
        for folder, _, _ in os.walk(root / node.cgroup):
            with contextlib.suppress(OSError):  # a cgroup may go at any moment, with its last process; Path.rglob cannot bear that
                pids.update(int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split())
    spaces = _remembered_namespaces(node)
    for path in Path("/proc").glob("[0-9]*"):
        pid = int(path.name)
        if {_namespace(pid, "mnt"), _namespace(pid, "net")} & spaces:
            pids.add(pid)
    return sorted(pids)


_ENDING_SECONDS = 30.0  # a node whose pods are just being removed starts runc again and again


def end_processes(node: Node) -> list[int]:
    """The pids that were ended. Looks again until none is left: one that dies may just have started another."""
    ended: list[int] = []

    def end_all() -> bool:
        if pids := processes(node):
            process.end(pids)
            ended.extend(pids)
        return not pids

    if not poll(end_all, _ENDING_SECONDS, every=0.0):
        raise RuntimeError(f"Node {node.name}: processes {processes(node)} do not end, even by kill -9.")
    return ended


def _remembered_namespaces(node: Node) -> set[str]:
    """The node's namespaces, also when their holder is dead; after a reboot the same numbers may be somebody else's."""
    path = node.folder / "run" / "namespaces.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return set(found["spaces"]) if found.get("boot") == boot_id() else set()


def _namespace(pid: int | None, kind: str) -> str | None:
    try:
        return Path(f"/proc/{pid}/ns/{kind}").readlink().name
    except OSError:
        return None


def _remove_cgroup(path: Path) -> None:
    """A cgroup is busy until its last process is gone, a moment after the kill; and a dying kubelet may have started one more."""

    def removed() -> bool:
        try:
            path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            process.end([int(pid) for pid in (path / "cgroup.procs").read_text().split()])
            return False
        return True

    if not poll(removed, 10.0, every=0.1):
        path.rmdir()  # raises the reason


def remove(node: Node) -> bool:
    """End the node's processes and take its namespaces and cgroups away; its folder stays."""
    ended = end_processes(node)
    execute(["ip", "link", "delete", node.veth], check=False)
    for root in every_cgroup_root():
        for path in sorted((root / node.cgroup).rglob("*"), reverse=True):
            if path.is_dir():
                _remove_cgroup(path)
        for path in (root / node.cgroup, (root / node.cgroup).parent):
            if path.is_dir() and not any(child.is_dir() for child in path.iterdir()):
                path.rmdir()
    return bool(ended)
