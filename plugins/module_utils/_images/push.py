# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Pushing to a registry by the OCI distribution protocol: what it has already is not sent again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

from .layer import MANIFEST, Blob


@dataclass
class Registry:
    """host: ``localhost:5001``. Plain HTTP: only registries on this machine are pushed to."""

    host: str
    pool: Any = None  # urllib3.PoolManager

    def __post_init__(self) -> None:
        if self.pool is None:
            import urllib3

            self.pool = urllib3.PoolManager(timeout=60.0)

    def _url(self, name: str, path: str) -> str:
        return f"http://{self.host.replace('localhost', '127.0.0.1')}/v2/{name}/{path}"

    def _send(self, method: str, url: str, expected: int, **options: Any) -> Any:
        response = self.pool.request(method, url, **options)
        if response.status != expected:
            raise RuntimeError(f"The registry {self.host} answered {method} {url} with {response.status}: {response.data[:300]!r}")
        return response

    def has(self, name: str, digest: str) -> bool:
        try:
            return bool(self.pool.request("HEAD", self._url(name, f"manifests/{digest}"), headers={"Accept": MANIFEST}).status == 200)
        except Exception as error:  # urllib3's family of errors: all mean the same here
            raise RuntimeError(f"The registry {self.host} does not answer: {error}. Run `make cluster`.") from error

    def push(self, name: str, manifest: Blob, blobs: list[Blob]) -> None:
        for blob in blobs:
            if self.pool.request("HEAD", self._url(name, f"blobs/{blob.digest}")).status == 200:
                continue
            start = self._url(name, "blobs/uploads/")
            place = urljoin(start, self._send("POST", start, 202).headers["Location"])
            joined = f"{place}{'&' if '?' in place else '?'}digest={blob.digest}"
            with blob.path.open("rb") as file:
                headers = {"Content-Type": "application/octet-stream", "Content-Length": str(blob.size)}
                self._send("PUT", joined, 201, body=file, headers=headers)
        # A garbage collection removes what has no tag. Each digest has its own, so that an earlier release can still be pulled.
        tag = manifest.digest.replace(":", "-")
        for reference in (tag, manifest.digest):
            url = self._url(name, f"manifests/{reference}")
            self._send("PUT", url, 201, body=manifest.path.read_bytes(), headers={"Content-Type": MANIFEST})
