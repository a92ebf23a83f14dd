# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The node's programs and their image archive: built once for each version of the source, kept in the cache outside the checkout."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from .. import _atomic_file
from .._errors import LockHeldError
from .host import Say, go_problem
from .lock import alone
from .settings import COMMANDS, IMAGES, KUBERNETES_VERSION, PROGRAMS, Settings

BUILD_SECONDS = 1800  # on two slow cores, and once more
_VERSION = "k8s.io/component-base/version"
# kubeadm refuses a program that calls itself v0.0.0
_LD_FLAGS = (
    f"-s -w -X {_VERSION}.gitVersion={KUBERNETES_VERSION} -X {_VERSION}.gitMajor=1 "
    f"-X {_VERSION}.gitMinor={KUBERNETES_VERSION.split('.')[1]} -X {_VERSION}.gitTreeState=clean -X {_VERSION}.gitCommit=hsc-jit"
)
# What the linker strips need not be written by the compiler first.
_COMPILER_FLAGS = ("-gcflags=all=-dwarf=false",)


def key(source: Path) -> str:
    """What the programs are made of: Kubernetes' version, the Go source and the module versions."""
    digest = hashlib.sha256(repr((_COMPILER_FLAGS, _LD_FLAGS, COMMANDS)).encode())
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes())
    return f"{KUBERNETES_VERSION}-{digest.hexdigest()[:12]}"


def program(settings: Settings, say: Say) -> tuple[Path, bool]:
    """(folder with PROGRAMS and ``images.tar``, whether it was built now)."""
    source = settings.source / "node"
    folder = settings.cache / "bin" / key(source)
    if (folder / "images.tar").is_file():
        return folder, False
    if problem := go_problem(settings.source):
        raise RuntimeError(problem)
    say("Taking turns with other builds of this program")
    try:
        with alone("build", wait_seconds=BUILD_SECONDS):
            if not (folder / "images.tar").is_file():
                _build(source, folder, say)
    except LockHeldError as holder:
        raise RuntimeError(f"{holder} has been compiling the node's program for {BUILD_SECONDS // 60} minutes. End it.") from holder
    return folder, True


def _build(source: Path, folder: Path, say: Say) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    _compile(source, folder, say)
    say("Packing the node's images")
    _pack(folder, _image_names(folder / "node"), folder / "images.tar.new")
    (folder / "images.tar.new").replace(folder / "images.tar")


def _compile(source: Path, folder: Path, say: Say) -> None:
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -trimpath", "GOWORK": "off"}
    say("Fetching the sources of Kubernetes")
    listed = subprocess.run(["go", "list", "-deps", "./..."], cwd=source, env=environment, capture_output=True, text=True, check=False)
    if listed.returncode:
        raise RuntimeError(f"Fetching the Go modules of the local cluster failed: {listed.stderr.strip()[-1500:]}")
    total = len(listed.stdout.splitlines())
    command = ["nice", "go", "build", "-v", *_COMPILER_FLAGS, "-ldflags", _LD_FLAGS, "-o", f"{folder}/", "./..."]
    done = 0
    said: list[str] = []
    with subprocess.Popen(command, cwd=source, env=environment, stderr=subprocess.PIPE, text=True) as build:
        for line in build.stderr or ():
            done += 1
            said = [*said[-20:], line]
            if done % 25 == 0:
                say("Compiling Kubernetes (once; at most this many packages)", done, total, line.strip())
    if build.returncode:
        raise RuntimeError(f"Compiling the local cluster's program failed: {''.join(said)}")


def _image_names(node: Path) -> list[str]:
    """The names that kubeadm will ask for, in our repository; and metrics-server's."""
    with Path(os.devnull).open() as nothing:
        wanted = [f"--kubernetes-version={KUBERNETES_VERSION}", f"--image-repository={IMAGES}"]
        command = [str(node), "kubeadm", "config", "images", "list", *wanted]
        output = subprocess.run(command, stdin=nothing, capture_output=True, text=True, check=True).stdout
    return [*output.split(), f"{IMAGES}/metrics-server:node"]


def pause_image(archive: Path) -> str:
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json") or io.BytesIO(b"{}"))
    names: list[str] = [manifest["annotations"]["io.containerd.image.name"] for manifest in index["manifests"]]
    return next(name for name in names if "/pause:" in name)


def _pack(folder: Path, names: list[str], target: Path) -> None:
    """An OCI archive: one layer with the programs and a symlink for each command, and one small image for each name."""
    layer = target.with_suffix(".layer")
    with tarfile.open(layer, "w") as tar:
        for name in PROGRAMS:
            entry = tar.gettarinfo(str(folder / name), f"usr/local/bin/{name}")
            entry.uid = entry.gid = entry.mtime = 0
            entry.uname = entry.gname = ""
            entry.mode = 0o755
            with (folder / name).open("rb") as file:
                tar.addfile(entry, file)
        for command in COMMANDS:
            link = tarfile.TarInfo(f"usr/local/bin/{command}")
            link.type, link.linkname = tarfile.SYMTYPE, "node"
            tar.addfile(link)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with tarfile.open(target, "w") as tar:
        _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        tar.add(layer, f"blobs/sha256/{digest}")
        manifests = [_image(tar, name, digest, layer.stat().st_size) for name in names]
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())
    layer.unlink()


def _image(tar: tarfile.TarFile, name: str, layer: str, size: int) -> dict[str, object]:
    command = name.rsplit("/", 1)[-1].split(":")[0]
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": [f"/usr/local/bin/{command}"], "Env": ["PATH=/usr/local/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer}"]},
        "history": [{"created_by": command}],
    }
    config_digest, config_size = _blob(tar, config)
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": f"sha256:{layer}", "size": size}],
    }
    digest, length = _blob(tar, manifest)
    annotations = {"io.containerd.image.name": name}
    return {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": length, "annotations": annotations}


def _blob(tar: tarfile.TarFile, content: object) -> tuple[str, int]:
    body = json.dumps(content, sort_keys=True).encode()
    digest = hashlib.sha256(body).hexdigest()
    _add(tar, f"blobs/sha256/{digest}", body)
    return f"sha256:{digest}", len(body)


def _add(tar: tarfile.TarFile, name: str, body: bytes) -> None:
    if name not in tar.getnames():
        entry = tarfile.TarInfo(name)
        entry.size = len(body)
        tar.addfile(entry, io.BytesIO(body))


def install(settings: Settings, folder: Path, say: Say) -> None:
    """The programs under the cluster's own folder, so that clearing the cache never stops a running node.

    A cluster keeps the version that made it: the checkouts that share it must not restart it under each other.
    """
    target, version = settings.state / "bin", settings.state / "program"
    target.mkdir(parents=True, exist_ok=True)
    if not (target / "node").exists():
        _atomic_file.write(version, folder.name)
        for name in PROGRAMS:  # the node's last: with it, all is there
            shutil.copy2(folder / name, target / f"{name}.new")
            (target / f"{name}.new").replace(target / name)
    if (made := version.read_text()) != folder.name:
        say(f"This cluster keeps program {made}; `make destroy` and then `make cluster` would bring {folder.name}")
    for command in COMMANDS:
        if not (target / command).is_symlink():
            (target / command).symlink_to("node")
