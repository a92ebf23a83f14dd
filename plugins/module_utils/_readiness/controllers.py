# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""What controllers say of their objects: whether they have seen them, what they hold back, what they said before. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from .._kube.objects import Object, condition, status_of


def observed(obj: Object) -> bool:
    """Whether its controller has seen its newest spec, so that its status is about that."""
    return int(status_of(obj).get("observedGeneration", 0)) >= int(obj["metadata"].get("generation", 1))


def held_back(stateful_set: Object) -> str:
    """The field by which it keeps old pods although its template is newer; empty if none does."""
    strategy, status = stateful_set["spec"].get("updateStrategy") or {}, status_of(stateful_set)
    if status.get("updateRevision") == status.get("currentRevision"):
        return ""
    if strategy.get("type") == "OnDelete":
        return "updateStrategy OnDelete"
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    return f"rollingUpdate.partition {partition}" if partition > 0 else ""


def passed_deadline(deployment: Object) -> str:
    """Of whom and when its progress deadline passed; empty if it has not."""
    progress = condition(deployment, "Progressing")
    passed = progress.get("reason") == "ProgressDeadlineExceeded"
    return f"{deployment['metadata']['uid']} {progress.get('lastUpdateTime')}" if passed else ""


def unbound(claim: Object) -> str:
    """Of whom, where it has no volume; empty if it has. A volume's controller looks again every 15 s, and its event stays for an hour."""
    return f"{claim['metadata']['uid']} unbound" if status_of(claim).get("phase") == "Pending" else ""


_WORDS = {"Deployment": passed_deadline, "PersistentVolumeClaim": unbound}


def old_words(objects: Iterable[Object]) -> frozenset[str]:
    """What stood there before somebody corrected it, perhaps, and ran again: no fault of today until it is said anew."""
    return frozenset(word for obj in objects if obj["kind"] in _WORDS and (word := _WORDS[obj["kind"]](obj)))
