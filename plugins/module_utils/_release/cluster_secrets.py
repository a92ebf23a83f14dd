# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The Secrets of a release: which are created or changed, and which workloads restart because they read a changed value.

Values are read and compared here. They go to the API server, and nowhere else.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from .._errors import ApiError
from .._kube.client import Cluster
from .._kube.discovery import in_parallel
from .._kube.objects import Object, contains, pod_template
from .._product import PART_OF
from . import secret_readers
from .plan import Change
from .secret_readers import Key

GENERATED = ("redis-password", "postgres-password", "token-key")
GENERATED_NAME = "hsc-jit-generated"
RESTART_KEY = "restart-key"  # key of the HMAC; created when a workload first needs it
_PENDING = "pending"  # in a plan: the HMAC key is created when the release is applied


class ClusterSecrets:
    """The Secrets that the pods of a release read, and those that the inventory sets (``values``: by key, by name of the Secret)."""

    def __init__(self, cluster: Cluster, rotated: Collection[Key] = ()) -> None:
        """rotated: the keys that recorded releases changed. A release may be applied by several calls of the module."""
        self.cluster, self.rotated = cluster, frozenset(rotated)
        self.values: Mapping[str, Mapping[str, str]] = {}
        self.live: dict[str, dict[str, str] | None] = {}  # base64 by key, by name; None: there is no such Secret
        self.unreadable: set[str] = set()  # names of the Secrets that the deployer may not read
        self.changed: set[Key] = set()  # what ``values`` changes
        self.needs_restart_key = False

    def read(self, objects: Sequence[Object], values: Mapping[str, Mapping[str, str]] | None) -> None:
        """Read the Secrets that the objects and the inventory name, and compute which keys change. values: None changes nothing."""
        names = {name for obj in objects for name, _ in secret_readers.keys_read(obj)} | set(values or {})
        self._read_live(names | {GENERATED_NAME} if names or values is not None else names)
        self.values = values or {}
        self.changed = {
            (name, key)
            for name, data in self.values.items()
            for key, value in data.items()
            if name not in self.unreadable and (self.live[name] or {}).get(key) != _encoded(value)
        }

    def read_again(self) -> None:
        """Read the same Secrets once more, after ``write``."""
        self._read_live(self.live)

    def _read_live(self, names: Iterable[str]) -> None:
        asked = sorted(names)
        for name, answer in zip(asked, in_parallel(self._read_one, asked), strict=True):
            if isinstance(answer, ApiError):
                self.unreadable.add(name)
            else:
                self.live[name] = None if answer is None else answer.get("data") or {}

    def _read_one(self, name: str) -> dict[str, Any] | ApiError | None:
        try:
            return self.cluster.find(self._path(name))
        except ApiError as error:
            if error.status == 403:
                return error
            raise

    def with_fingerprint(self, obj: Object, live: Object | None) -> Object:
        """The workload with the hash of the values that its pods read. live: the object in the cluster.

        A workload without the hash (an older version of the collection made it) gets it with the next change of its pod template: a new
        version of the collection by itself restarts nothing.
        """
        keys = secret_readers.keys_read(obj)
        if not keys:
            return obj
        present = secret_readers.fingerprint_of(live)
        if self.unreadable & {GENERATED_NAME, *(name for name, _ in keys)}:
            return secret_readers.with_fingerprint(obj, present) if present else obj
        if (
            live is not None
            and present is None
            and not secret_readers.reads(keys, self.changed | self.rotated)
            and contains(pod_template(live), pod_template(obj))
        ):
            return obj
        hmac_key = (self.live.get(GENERATED_NAME) or {}).get(RESTART_KEY)
        if hmac_key is None:
            self.needs_restart_key = True
            return secret_readers.with_fingerprint(obj, _PENDING)
        return secret_readers.with_fingerprint(obj, secret_readers.fingerprint(keys, self._future(keys), base64.b64decode(hmac_key)))

    def _future(self, keys: Iterable[Key]) -> dict[str, dict[str, str]]:
        """The stored values as they are after ``write``."""
        return {
            name: {**(self.live.get(name) or {}), **{key: _encoded(value) for key, value in self.values.get(name, {}).items()}}
            for name, _ in keys
        }

    def planned(self) -> list[Change]:
        """Which Secrets are created or changed. Comes after ``with_fingerprint`` of all objects."""
        changes = []
        for name in sorted(set(self.values) - self.unreadable):
            keys = sorted(key for changed, key in self.changed if changed == name)
            if keys or self.live[name] is None:
                fields = tuple((f"data.{key}", "(hidden)", "(hidden, other)") for key in keys)
                changes.append(Change("update" if self.live[name] is not None else "create", _secret(name, {}), fields))
        if GENERATED_NAME in self.live and self.live[GENERATED_NAME] is None:
            changes.append(Change("create", _secret(GENERATED_NAME, {})))
        elif self.needs_restart_key:
            changes.append(Change("update", _secret(GENERATED_NAME, {}), ((f"data.{RESTART_KEY}", None, "(hidden)"),)))
        return changes

    def write(self, change: Change) -> None:
        """Create or change one Secret.

        A generated value is made once and never replaced: the data stores keep the passwords that they were made with.
        """
        name = change.obj["metadata"]["name"]
        if name == GENERATED_NAME:
            names = [*GENERATED, RESTART_KEY] if change.action == "create" else [RESTART_KEY]
            secret = _secret(name, {key: secrets.token_urlsafe(32) for key in names})
        else:
            secret = _secret(name, self.values[name])
        if change.action == "create":
            self.cluster.create(self.cluster.namespaced("secrets"), secret)
        else:
            self.cluster.patch_merge(self._path(name), {"data": secret["data"]})

    def _path(self, name: str) -> str:
        return f"{self.cluster.namespaced('secrets')}/{name}"


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def _secret(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    encoded = {key: _encoded(value) for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": PART_OF}, "data": encoded}
