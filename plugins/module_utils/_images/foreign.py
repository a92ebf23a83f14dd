# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A base from somebody's registry, for example ``docker.io/library/python@sha256:...``: fetched by digest, checked, unpacked once."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .availability import parse
from .debian import execute
from .layer import Base, Blob
from .registry import _ACCEPT, _authorization

_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


class Source:
    """One repository of a registry, read with the token that it gives to anybody."""

    def __init__(self, reference: str) -> None:
        import urllib3

        named = parse(reference)
        self.pool, self.reference, self.headers = urllib3.PoolManager(timeout=60.0), reference, {"Accept": _ACCEPT}
        self.url = named.url.rsplit("/manifests/", 1)[0].replace("//localhost", "//127.0.0.1")

    def get(self, path: str, digest: str, file: Path) -> Path:
        """Content by digest into file; RuntimeError if it is something else."""
        response = self._open(f"{self.url}/{path}/{digest}")
        if response.status != 200:
            raise RuntimeError(f"{self.reference}: the registry answered {response.status} for {path}/{digest}. Check images_base.")
        with file.open("wb") as target:
            shutil.copyfileobj(response, target)
        with file.open("rb") as content:
            found = f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"
        if found != digest:
            file.unlink()
            raise RuntimeError(f"{self.reference}: the registry sent {found} for {digest}. Do not use this registry.")
        return file

    def get_json(self, path: str, digest: str, folder: Path) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.get(path, digest, folder / "fetched.json").read_text())
        return content

    def _open(self, url: str) -> Any:
        import urllib3

        try:
            response = self.pool.request("GET", url, headers=self.headers, preload_content=False)
            if response.status == 401 and (token := _authorization(response.headers.get("WWW-Authenticate", ""), None)):
                self.headers["Authorization"] = token
                response = self.pool.request("GET", url, headers=self.headers, preload_content=False)
        except urllib3.exceptions.HTTPError as error:
            raise RuntimeError(
                f"{self.reference}: its registry does not answer ({error}). Leave images_base empty to stand on Debian."
            ) from error
        return response


def base(reference: str, folder: Path, blobs: Path) -> Base:
    """The image that the reference names, for this machine's architecture, unpacked below folder."""
    root, record = folder / "root", folder / "base.json"
    known = Base.load(record, root, blobs)
    if known:
        return known
    shutil.rmtree(folder, ignore_errors=True)
    root.mkdir(parents=True)
    blobs.mkdir(parents=True, exist_ok=True)
    source = Source(reference)
    manifest = source.get_json("manifests", reference.rpartition("@")[2], folder)
    if manifest.get("mediaType") in _INDEXES:
        manifest = source.get_json("manifests", choose(manifest, reference), folder)
    config = source.get_json("blobs", manifest["config"]["digest"], folder)
    layers = []
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        path = source.get("blobs", layer["digest"], blobs / layer["digest"].removeprefix("sha256:"))
        layers.append(Blob(layer["digest"], layer["size"], path, media_type(layer["mediaType"]), diff_id))
        unpack(path, root)
    made = Base(root, tuple(layers), dict(entry.split("=", 1) for entry in config["config"].get("Env") or []))
    made.save(record)
    return made


def media_type(given: str) -> str:
    """OCI's word for Docker's: one manifest must not mix them."""
    return "application/vnd.oci.image.layer.v1.tar+gzip" if given == "application/vnd.docker.image.rootfs.diff.tar.gzip" else given


def choose(index: Mapping[str, Any], reference: str) -> str:
    """Digest of the manifest for this machine."""
    wanted = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    for entry in index["manifests"]:
        if entry.get("platform", {}).get("os") == "linux" and entry["platform"].get("architecture") == wanted:
            return str(entry["digest"])
    raise RuntimeError(f"{reference} has no image for linux/{wanted}. Choose another images_base.")


def unpack(layer: Path, root: Path) -> None:
    """A layer over what is there; its whiteouts (``.wh.name``) remove what lower layers had."""
    execute(["tar", "--extract", "--file", str(layer), "--directory", str(root), "--exclude=dev/*", "--keep-directory-symlink"])
    for mark in list(root.rglob(".wh.*")):
        mark.unlink()
        hidden = mark.with_name(mark.name.removeprefix(".wh."))
        if hidden.is_dir() and not hidden.is_symlink():
            shutil.rmtree(hidden)
        else:
            hidden.unlink(missing_ok=True)
