# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-06: is each image named by digest, and does its registry have it? Pure: no I/O; ``_images/registry`` asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._finding import Finding
from .._kube.workloads import workloads
from .._release import record
from .._release.record import Release
from .registry import Answer

_DOCKER_HUB = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True)
class Image:
    """``registry/repository@sha256:...``; digest is empty if the reference has none."""

    reference: str
    registry: str
    repository: str
    digest: str

    @property
    def loopback(self) -> bool:
        return self.registry.partition(":")[0] in ("localhost", "127.0.0.1")

    @property
    def url(self) -> str:
        scheme = "http" if self.loopback else "https"
        return f"{scheme}://{self.registry}/v2/{self.repository}/manifests/{self.digest}"


def parse(reference: str) -> Image:
    """As container engines read it: without a host it is Docker Hub's."""
    name, _, digest = reference.partition("@")
    host, slash, rest = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, rest = "docker.io", name
    if host in _DOCKER_HUB:  # the names that people write lead to a web page
        host, rest = "registry-1.docker.io", rest if "/" in rest else f"library/{rest}"
    repository = re.sub(r":[^/:]+$", "", rest)
    return Image(reference, host, repository, digest if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else "")


def used(objects: Sequence[Mapping[str, Any]], named: Mapping[str, str]) -> dict[str, list[str]]:
    """Where each image reference is used: in the objects, and in release_images."""
    places: dict[str, list[str]] = {}
    for workload in workloads(objects):
        for field, container in workload.containers():
            places.setdefault(container["image"], []).append(f"{workload.title}: {field}.image")
    for name, reference in named.items():
        places.setdefault(reference, []).append(f"release_images.{name}")
    return places


def of_rollback(releases: Sequence[Release]) -> dict[str, list[str]]:
    """Where the images of the running release, and of the one that a rollback goes back to, are used."""
    places: dict[str, list[str]] = {}
    for release in {one.number: one for one in (record.deployed(releases), record.verified(releases)) if one}.values():
        for workload in workloads(release.objects):
            for _, container in workload.containers():
                if parse(container["image"]).digest:
                    places.setdefault(container["image"], []).append(f"release {release.number}, which a rollback needs")
    return places


def check(places: Mapping[str, Sequence[str]], answers: Mapping[str, Answer]) -> list[Finding]:
    """PF-06. answers: by reference, for those that have a digest."""
    found = [finding for reference, where in places.items() if (finding := _judge(parse(reference), where, answers.get(reference)))]
    images = sorted(places)
    if not images:
        return [Finding("PF-06", "skipped", "No image is named, neither in the objects nor in release_images.", {}, "Set release_images.")]
    return found or [
        Finding("PF-06", "pass", f"All {len(images)} images are named by digest and are in their registry.", {"images": images})
    ]


def _judge(image: Image, where: Sequence[str], answer: Answer | None) -> Finding | None:
    evidence: dict[str, Any] = {"image": image.reference, "used_by": list(where)}
    if not image.digest or answer is None:
        next_step = "Name it as <registry>/<name>@sha256:<digest>: a tag can mean another image tomorrow, and then there is no way back."
        return Finding("PF-06", "fail", f"Image {image.reference} ({where[0]}): not named by digest.", evidence, next_step)
    if answer.status == 200:
        return None
    evidence |= {"url": image.url, "http_status": answer.status}
    if answer.status == 404:
        next_step = "Push it, or correct the digest in release_images."
        if "rollback" in where[0]:
            next_step = "Push it again. To deploy without a rollback target: a waiver for PF-06 (release_waivers)."
        return Finding("PF-06", "fail", f"Image {image.reference} ({where[0]}): its registry does not have it.", evidence, next_step)
    if answer.status in (401, 403):
        message = f"Image {image.reference}: its registry wants other credentials than the pods' imagePullSecrets (HTTP {answer.status})."
        next_step = "If the nodes have credentials of their own, look from there; else add an imagePullSecret."
        return Finding("PF-06", "skipped", message, evidence, next_step)
    said = f"HTTP {answer.status}" if answer.status else answer.why
    if not image.loopback:
        message = f"Image {image.reference}: its registry does not answer this machine ({said}); the nodes may still reach it."
        return Finding("PF-06", "skipped", message, evidence, "Look from a node, or let this machine reach the registry.")
    return Finding(
        "PF-06", "fail", f"Image {image.reference}: its registry does not answer ({said}).", evidence, "`make cluster` starts it."
    )
