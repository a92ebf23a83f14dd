# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What the machine must have before anything is made: each missing thing is one clear sentence."""

from __future__ import annotations

import os
import platform
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from .settings import Settings

Say = Callable[..., None]
PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/ptp": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
MIN_DISK_BYTES = 15 * 10**9
MIN_MEMORY_BYTES = 4 * 2**30
_CAP_SYS_RESOURCE = 24


def execute(argv: Sequence[str], *, check: bool = True, stdin: str | None = None, env: dict[str, str] | None = None) -> str:
    """stdout of a command. RuntimeError has the command, its exit code and the end of what it said."""
    result = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, env={**os.environ, **(env or {})})
    if check and result.returncode:
        said = (result.stderr or result.stdout).strip()[-1500:]
        raise RuntimeError(f"`{' '.join(argv)}` ended with {result.returncode}: {said}")
    return result.stdout


def missing(settings: Settings, running: bool, ours: Container[str] = ()) -> list[str]:
    """Everything that stands in the way, as sentences. A running cluster needs no free ports, disk or memory any more.

    ours: which of ``registry`` and ``forward`` run already, left by a run that was killed half-way: they hold their ports rightly.
    """
    if platform.system() != "Linux":
        return [
            f"The local cluster needs Linux; this is {platform.system()}. Use a Linux machine, or set KUBECONFIG to a cluster you have."
        ]
    problems = []
    if os.geteuid() != 0:
        problems.append("The local cluster makes namespaces, mounts and cgroups: run it as root, or set KUBECONFIG to a cluster you have.")
    built_before = (settings.cache / "bin").is_dir() and any((settings.cache / "bin").iterdir())  # the right version? The build sees that
    if not built_before and (problem := go_problem(settings.source)):
        problems.append(problem)
    if not running:
        problems += _capacity_problems(settings) + _port_problems(settings, ours)
    return problems


def go_problem(source: Path) -> str:
    """Why the node's program cannot be compiled here, and what to install; empty where it can."""
    wanted = _version(r"^go (\S+)", (source / "node" / "go.mod").read_text())
    install = f"Install Go {'.'.join(map(str, wanted))} or newer (https://go.dev/dl) and run again."
    if not shutil.which("go"):
        return f"Go is not installed, and the node's program is not in the cache. {install}"
    found = _version(r"go(\d\S*)", execute(["go", "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}, check=False))
    # From 1.21 on, Go fetches the version that a module asks for, unless it is told to stay what it is.
    if found >= wanted or (found >= (1, 21) and execute(["go", "env", "GOTOOLCHAIN"], check=False).strip() != "local"):
        return ""
    return f"Go {'.'.join(map(str, found)) or '?'} is too old. {install}"


def _version(pattern: str, text: str) -> tuple[int, ...]:
    """(1, 26, 8) of `go1.26.8`; () where the pattern is not found."""
    found = re.search(pattern, text, re.MULTILINE)
    return tuple(int(part) for part in re.findall(r"\d+", found[1])[:3]) if found else ()


def _capacity_problems(settings: Settings) -> list[str]:
    problems = []
    free = shutil.disk_usage(existing(settings.state)).free
    if free < MIN_DISK_BYTES:
        problems.append(
            f"{existing(settings.state)} has {free / 1e9:.1f} GB free; the local cluster needs 15 GB. Free some space and run again."
        )
    memory = int(re.findall(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text())[0]) * 1024
    if memory < MIN_MEMORY_BYTES:
        problems.append(f"{memory / 2**30:.1f} GiB of memory are available; the local cluster needs 4 GiB. Stop something and run again.")
    return problems


def _port_problems(settings: Settings, ours: Container[str]) -> list[str]:
    problems = []
    wanted = [] if "registry" in ours else [(settings.registry_port, "local_cluster_registry_port")]
    wanted += [] if "forward" in ours else [(port, "local_cluster_ports") for port in settings.ports]
    for port, variable in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                problems.append(f"Port {port} of 127.0.0.1 is taken by another program. End it, or choose another port in {variable}.")
    return problems


def existing(path: Path) -> Path:
    """The nearest folder above (or at) path that exists."""
    return path if path.exists() else existing(path.parent)


def install_packages(say: Say) -> list[str]:
    """Debian packages that are not there yet. Nothing that they would start is started."""
    wanted = sorted({package for program, package in PROGRAMS.items() if not _present(program)})
    if not wanted:
        return []
    if not shutil.which("apt-get"):
        raise RuntimeError(f"These programs are missing, and there is no apt-get to install them: {', '.join(wanted)}.")
    say("Installing packages", detail=" ".join(wanted))
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}  # runlevel 1: invoke-rc.d starts no service
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *wanted]
    try:
        execute(install, env=quiet)
    except RuntimeError:  # no package lists yet, or old ones
        execute(["apt-get", "update"], env=quiet)
        execute(install, env=quiet)
    return [f"package {name}" for name in wanted]


def _present(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def may_raise_limits() -> bool:
    """CAP_SYS_RESOURCE: without it rlimits and oom scores are refused, and kubelet and containerd must be told."""
    status = Path("/proc/self/status").read_text()
    effective = int(re.findall(r"CapEff:\s+([0-9a-f]+)", status)[0], 16)
    return bool(effective >> _CAP_SYS_RESOURCE & 1)


def cgroup_roots() -> tuple[bool, list[Path]]:
    """(is it cgroup v2, the root of every hierarchy that takes pods)."""
    root = Path("/sys/fs/cgroup")
    if (root / "cgroup.controllers").exists():
        return True, [root]
    return False, sorted(path for path in root.iterdir() if path.is_dir() and not path.is_symlink() and path.name != "unified")


def every_cgroup_root() -> list[Path]:
    """Those roots, and the one without controllers that a hybrid layout has beside v1: runc makes its cgroups there too."""
    return [*cgroup_roots()[1], *Path("/sys/fs/cgroup").glob("unified")]
