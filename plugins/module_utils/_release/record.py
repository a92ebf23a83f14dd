# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The release as it stands in the cluster: ConfigMap ``hsc-jit-release-<n>``, whole enough to put it back. Pure: no I/O.

Status: ``started`` (objects are being applied, or the run was killed), ``deployed`` (all of it became ready), ``withdrawn`` (another
release was put back in its place). Secrets are never part of a record.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from .._kube.objects import Object, digest
from .._product import PART_OF

PREFIX = "hsc-jit-release-"
LABELS = {"hsc.jit/record": "release", **PART_OF}
SELECTOR = "hsc.jit/record=release"
Status = Literal["started", "deployed", "withdrawn"]


@dataclass(frozen=True)
class Release:
    """One recorded release.

    images: {name: reference}; digest: of its whole set of objects; inventory: hash of its settings (`rules.hashed`); restores: number
    of the one it put back; owned: hash of the fields that we own of each object (by title) since it was applied. schema_revision: what
    its image was made for; schema_class: of the migrations since the release before it, empty if none ran; database: the revision at
    which it was deployed, a newer one where the schema was ahead, empty if that is not known.
    verified: the run that verified it, empty until then; a record that was written before this field existed counts as verified.
    field_manager: who applied the objects. secrets_changed: ``name/key`` of each Secret's value that it changed; never the value.
    """

    number: int
    status: Status
    digest: str
    images: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    who: str = ""
    time: str = ""
    inventory: str = ""
    schema_revision: str = ""
    schema_class: str = ""
    database: str = ""
    restores: int = 0
    verified: str = "before it was recorded"
    field_manager: str = "hsc.jit"
    secrets_changed: Sequence[str] = field(default_factory=list)
    owned: Mapping[str, str] = field(default_factory=dict)
    objects: Sequence[Object] = ()

    def changed_keys(self) -> list[tuple[str, str]]:
        """(name of the Secret, key) of each value that this release changed."""
        return [(name, key) for name, _, key in (text.partition("/") for text in self.secrets_changed)]

    def as_dict(self) -> dict[str, Any]:
        """What a reader wants to see, for return values: of the objects their number."""
        told = [one.name for one in fields(self) if one.name not in ("objects", "owned")]
        return {**{name: getattr(self, name) for name in told}, "objects": len(self.objects)}


def without_secrets(objects: Sequence[Object]) -> list[Object]:
    return [obj for obj in objects if obj["kind"] != "Secret"]


def set_digest(objects: Sequence[Object]) -> str:
    """One hash of the whole set, whatever its order."""
    return digest(sorted(digest(obj) for obj in without_secrets(objects)))[:32]


def as_data(release: Release) -> dict[str, str]:
    """What may change after the release was begun."""
    return {
        "release.json": json.dumps(release.as_dict(), sort_keys=True, indent=1),
        "owned.json": json.dumps(dict(release.owned), sort_keys=True),
    }


def as_config_map(release: Release) -> dict[str, Any]:
    """The record. Objects are packed: a ConfigMap holds 1 MiB."""
    packed = gzip.compress(json.dumps(without_secrets(release.objects), sort_keys=True).encode(), compresslevel=6, mtime=0)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{PREFIX}{release.number}", "labels": LABELS},
        "data": as_data(release),
        "binaryData": {"objects.json.gz": base64.b64encode(packed).decode()},
    }


def from_config_map(config_map: Object) -> Release:
    """ValueError: the record was damaged; the message names it."""
    try:
        told = json.loads(config_map["data"]["release.json"])
        objects = json.loads(gzip.decompress(base64.b64decode(config_map["binaryData"]["objects.json.gz"])))
        if len(objects) != told.pop("objects"):
            raise ValueError("objects are missing")
        owned = json.loads(config_map["data"].get("owned.json", "{}"))  # earlier records have none
        known = {one.name for one in fields(Release)}  # a record of a later version may have more
        return Release(objects=objects, owned=owned, **{name: value for name, value in told.items() if name in known})
    except (KeyError, TypeError, ValueError, OSError, EOFError) as error:
        name = config_map["metadata"]["name"]
        raise ValueError(f"ConfigMap {name} is no release record any more ({error}). Delete it; releases before it can be used.") from error


def newest(releases: Sequence[Release]) -> Release | None:
    return max(releases, key=lambda release: release.number, default=None)


def deployed(releases: Sequence[Release]) -> Release | None:
    """The newest that became ready and was not withdrawn."""
    return newest([release for release in releases if release.status == "deployed"])


def verified(releases: Sequence[Release]) -> Release | None:
    """The newest that became ready, passed its verification and was not withdrawn: what a rollback goes back to."""
    return newest([release for release in releases if release.status == "deployed" and release.verified])


def never_good(releases: Sequence[Release], run: str) -> bool:
    """Whether the newest was begun and never became ready. run: whose own release is not meant; it is applied in two steps."""
    before = newest([release for release in releases if not run or release.run != run])
    return before is not None and before.status == "started"


def newer_schema(releases: Sequence[Release], revision: str, head: str) -> Release | None:
    """The release that says that code made for ``head`` runs on a schema of ``revision``, because all migrations between only add.

    It was deployed so itself, or it brought the schema there; the first outlives the history's limit. None: nobody recorded how the
    schema came there, or one of the migrations does more than add.
    """
    if ran := deployed([one for one in releases if (one.schema_revision, one.database) == (head, revision)]):
        return ran
    brought = min((one for one in releases if one.schema_revision == revision), key=lambda one: one.number, default=None)
    if brought is None:
        return None
    made_for = newest([one for one in releases if one.schema_revision == head and one.number < brought.number])
    if made_for is None:
        return None
    between = [one for one in releases if made_for.number < one.number <= brought.number]
    return brought if all(one.schema_class == "expand" for one in between) else None


def to_put_back(releases: Sequence[Release], number: int, run: str) -> Release | None:
    """Which release to put back: ``number``, or (0) the last verified one before the newest.

    run: only if the newest release was begun by that run; otherwise that run changed nothing and there is nothing to put back.
    Without run somebody asks by hand, and wants another release than the one that runs now (which may be one that was put back).
    """
    if number:
        return next((release for release in releases if release.number == number), None)
    current = newest(releases)
    if current is None or (run and current.run != run):
        return None
    return verified([release for release in releases if release.number < current.number and (run or release.digest != current.digest)])


def superfluous(releases: Sequence[Release], limit: int) -> list[Release]:
    """Those beyond the history's limit, oldest first; the two newest that a rollback can go back to always stay."""
    good = (release for release in releases if release.status == "deployed" and release.verified)
    kept = sorted(good, key=lambda release: -release.number)[:2]
    surplus = sorted(releases, key=lambda release: release.number)[: max(0, len(releases) - limit)]
    return [release for release in surplus if release not in kept]
