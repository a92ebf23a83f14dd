# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Copies of snapshots in another place: S3-compatible. ``<prefix>/<id>/<file>``; the description comes last, so what has one is whole.

Credentials are references: a Secret of the release's namespace (keys ``access-key``, ``secret-key``), or what boto3 finds by itself
(AWS_ACCESS_KEY_ID …, a profile, the machine's role). They are in no message.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .._errors import BackupError
from .._finding import Finding
from .._kube.client import Cluster
from . import snapshot as backup_snapshot
from .snapshot import DESCRIPTION, Snapshot, damage, prune, read

SETTINGS = {"endpoint", "bucket", "prefix", "region", "secret"}
_BLOCK = 1 << 20
_WITHOUT_BUCKET = (
    "Correct backup_s3 or its credentials and run again. To restore a snapshot of this machine without the bucket: "
    "-e '{\"backup_s3\": {}}' -e restore_snapshot=<id>."
)


@dataclass
class Offsite:
    """One bucket and prefix. Every method raises BackupError with the store's own words."""

    client: Any  # boto3's S3 client
    bucket: str
    prefix: str = ""
    errors: tuple[type[Exception], ...] = field(default=(Exception,))

    def push(self, snapshot: Snapshot) -> int:
        """Upload and read each file back: what arrived is what was proved. Answers the bytes. A description is uploaded last."""
        sent = 0
        names = [Path(artefact.path).name for artefact in snapshot.artefacts]
        for name in [*names, DESCRIPTION]:
            path = Path(snapshot.folder) / name
            key = self._key(f"{snapshot.id}/{name}")
            try:
                self.client.upload_file(str(path), self.bucket, key)
                body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
                digest = hashlib.sha256()
                for block in body.iter_chunks(_BLOCK):
                    digest.update(block)
            except self.errors as error:
                raise BackupError(f"{key} could not be copied to bucket {self.bucket}: {error}") from error
            with path.open("rb") as file:
                if digest.digest() != hashlib.file_digest(file, "sha256").digest():
                    raise BackupError(f"{key} in bucket {self.bucket} is not the file that was sent: its SHA-256 differs.")
            sent += path.stat().st_size
        return sent

    def ids(self) -> list[str]:
        """Of whole snapshots, newest first."""
        return sorted((name.partition("/")[0] for name in self._names() if name.endswith(f"/{DESCRIPTION}")), reverse=True)

    def pull(self, name: str, folder: Path) -> Snapshot:
        """Into ``folder``/``name``, checked by its description. Nothing is left of a snapshot that does not arrive whole."""
        target, partial = folder / name, folder / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        try:
            for key in [key for key in self._names() if key.startswith(f"{name}/") and key.count("/") == 1]:
                self.client.download_file(self.bucket, self._key(key), str(partial / Path(key).name))
                (partial / Path(key).name).chmod(0o600)
            for artefact in read(partial).artefacts:
                if problem := damage(artefact):
                    raise BackupError(f"Bucket {self.bucket}: {problem}")
            partial.rename(target)
        except self.errors as error:
            raise BackupError(f"Snapshot {name} could not be fetched from bucket {self.bucket}: {error}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return read(target)

    def prune(self, keep: int) -> list[str]:
        """Whole snapshots beyond ``keep``, and what a killed run left that is older than the newest."""
        names, whole = self._names(), self.ids()
        kept = set(whole[: max(keep, 1)])
        newest = whole[0] if whole else ""
        going = [name for name in names if (folder := name.partition("/")[0]) not in kept and folder < newest]
        try:
            for name in going:
                self.client.delete_object(Bucket=self.bucket, Key=self._key(name))
        except self.errors as error:
            raise BackupError(f"Old snapshots could not be removed from bucket {self.bucket}: {error}") from error
        return sorted({name.partition("/")[0] for name in going})

    def _names(self) -> list[str]:
        """``<id>/<file>`` of everything below the prefix."""
        try:
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(""))
            keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        except self.errors as error:
            raise BackupError(f"Bucket {self.bucket} cannot be listed: {error}") from error
        return [key[len(self._key("")) :] for key in keys]

    def _key(self, name: str) -> str:
        return f"{self.prefix.strip('/')}/{name}".lstrip("/")


def connect(settings: Mapping[str, Any], cluster: Cluster) -> Offsite | None:
    """Of option ``s3``; None if there is none. ValueError: a setting is missing, unknown, or the Secret is not there."""
    if not settings:
        return None
    unknown = set(settings) - SETTINGS
    if unknown or not settings.get("bucket"):
        what = f"unknown: {', '.join(sorted(unknown))}" if unknown else "bucket is missing"
        raise ValueError(f"backup_s3: {what}. It has {', '.join(sorted(SETTINGS))}.")
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    retries = Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 3, "mode": "standard"})
    given = {"endpoint_url": settings.get("endpoint") or None, "region_name": settings.get("region") or None, "config": retries}
    if settings.get("secret"):
        given |= _credentials(cluster, settings["secret"])
    try:
        client = boto3.client("s3", **given)
    except (BotoCoreError, ValueError) as error:
        raise ValueError(f"backup_s3: {error}.") from error
    errors = (BotoCoreError, ClientError, boto3.exceptions.Boto3Error, OSError, ValueError)
    return Offsite(client, settings["bucket"], settings.get("prefix", ""), errors)


def _credentials(cluster: Cluster, name: str) -> dict[str, str]:
    secret = cluster.find(f"{cluster.namespaced('secrets')}/{name}")
    data = (secret or {}).get("data") or {}
    if missing := {"access-key", "secret-key"} - data.keys():
        raise ValueError(f"backup_s3: Secret {name} of namespace {cluster.namespace} has no {' and no '.join(sorted(missing))}.")
    decoded = {key: base64.b64decode(data[key]).decode() for key in ("access-key", "secret-key")}
    return {"aws_access_key_id": decoded["access-key"], "aws_secret_access_key": decoded["secret-key"]}


def choose(offsite: Offsite | None, folder: Path, wanted: str) -> Snapshot:
    """The snapshot to restore, fetched if it is only there. ValueError, BackupError: there is none, or it does not arrive whole."""
    if offsite is not None:
        try:
            ids = offsite.ids()
        except BackupError as error:
            raise BackupError(str(error), _WITHOUT_BUCKET) from error
        there = [name for name in ids if name == wanted or (wanted == "newest" and not name.endswith("-safety"))]
        here = {path.parent.name for path in folder.glob(f"*/{DESCRIPTION}")}
        if there and there[0] not in here and (wanted != "newest" or there[0] > max(here, default="")):
            return offsite.pull(there[0], folder)
    return backup_snapshot.choose(folder, wanted)


def keep_copies(offsite: Offsite | None, snapshot: Snapshot, folder: Path, keep: int) -> tuple[Finding, list[str]]:
    """BK-04 for a proved snapshot: copy it, and only then remove older ones, here and there. Also the ids that went from here."""
    if offsite is None:
        removed = prune(folder, keep)
        message = f"{_count(folder)} snapshots lie in {folder}, at most {keep}; no copy elsewhere is asked for (backup_s3)."
        return Finding("BK-04", "pass", message, {"keep": keep, "removed": removed, "bucket": ""}), removed
    try:
        sent = offsite.push(snapshot)
        gone, there = offsite.prune(keep), offsite.ids()
    except BackupError as error:
        step = "Correct backup_s3 or its credentials and run again; or leave it out for this run (-e '{\"backup_s3\": {}}')."
        return Finding("BK-04", "fail", f"{error}. Nothing was removed, here or there.", {"bucket": offsite.bucket}, step), []
    removed = prune(folder, keep)
    evidence = {"bucket": offsite.bucket, "bytes": sent, "snapshots": len(there), "keep": keep, "removed": removed, "removed_there": gone}
    plain = [artefact.kind for artefact in snapshot.artefacts if not artefact.encryption]
    message = f"Copied to bucket {offsite.bucket} and read back whole ({sent} bytes); {len(there)} snapshots there, {_count(folder)} here."
    if plain:
        step = "Set backup_age_recipients, so that only who has the identity can read the copies."
        return Finding("BK-04", "warn", f"{message} They are not encrypted: {', '.join(plain)}.", evidence, step), removed
    return Finding("BK-04", "pass", message, evidence), removed


def _count(folder: Path) -> int:
    return len(list(folder.glob(f"*/{DESCRIPTION}")))
