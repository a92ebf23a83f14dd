# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Deterministic OCI layers and manifests: the same files give the same digest, wherever and whenever they are packed.

Layers are not compressed: they go to a registry on the same machine, and decompressing would only cost a pod's start.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
_MOMENT = 1700000000  # any fixed time; 0 makes some programs think a file is missing


@dataclass(frozen=True)
class Blob:
    """Content by digest (``sha256:<hex>``); size in bytes; path of the file that holds it.

    media_type and diff_id (digest of the uncompressed tar) matter for layers; our own are not compressed, so both digests are one.
    """

    digest: str
    size: int
    path: Path
    media_type: str = LAYER
    diff_id: str = ""

    @property
    def description(self) -> dict[str, Any]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class Base:
    """What an image stands on. root: its unpacked root filesystem; environment: variables that its programs need."""

    root: Path
    layers: tuple[Blob, ...]
    environment: Mapping[str, str] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        layers = [{**layer.description, "diff_id": layer.diff_id} for layer in self.layers]
        path.write_text(json.dumps({"layers": layers, "environment": dict(self.environment)}))

    @staticmethod
    def load(path: Path, root: Path, blobs: Path) -> Base | None:
        """None if it must be made: nothing is recorded, or a blob is gone."""
        if not path.exists():
            return None
        known = json.loads(path.read_text())
        layers = tuple(
            Blob(one["digest"], one["size"], blobs / one["digest"].removeprefix("sha256:"), one["mediaType"], one["diff_id"])
            for one in known["layers"]
        )
        return Base(root, layers, known["environment"]) if all(layer.path.exists() for layer in layers) else None


def pack(folder: Path, target: Path) -> None:
    """A tar of the folder: sorted, root's, one moment in time, no device files, no setuid bits."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).parts):
            entry = tar.gettarinfo(str(path), str(path.relative_to(folder)))
            if entry is None or not (entry.isreg() or entry.isdir() or entry.issym() or entry.islnk()):
                continue
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = _MOMENT
            entry.mode &= 0o1777  # nobody becomes root by a program in an image
            entry.pax_headers = {}
            if entry.isreg():
                with path.open("rb") as file:
                    tar.addfile(entry, file)
            else:
                tar.addfile(entry)


def store(path: Path, blobs: Path) -> Blob:
    """Move a file among the blobs, under its digest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    blobs.mkdir(parents=True, exist_ok=True)
    target = blobs / digest
    size = path.stat().st_size
    path.replace(target)
    return Blob(f"sha256:{digest}", size, target)


def store_json(content: Mapping[str, Any], blobs: Path) -> Blob:
    blobs.mkdir(parents=True, exist_ok=True)
    path = blobs / "new.json"
    path.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")))
    return store(path, blobs)


def image(layers: list[Blob], settings: Mapping[str, Any], architecture: str, blobs: Path) -> tuple[Blob, Blob]:
    """(manifest, configuration). settings: the configuration's ``config`` (User, Entrypoint, Env, WorkingDir, Labels)."""
    config = store_json(
        {
            "architecture": architecture,
            "os": "linux",
            "created": "2023-11-14T22:13:20Z",
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id or layer.digest for layer in layers]},
            "history": [{"created_by": "hsc.jit.image_build"} for _ in layers],
        },
        blobs,
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {**config.description, "mediaType": CONFIG},
        "layers": [layer.description for layer in layers],
    }
    return store_json(manifest, blobs), config
