# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Build the product's images, each only when its input changed, and put them into a registry by digest."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import _atomic_file
from . import debian, foreign, service
from . import sbom as images_sbom
from .layer import Blob, image, pack, store
from .push import Registry
from .recipes import BASE_PACKAGES, NOT_NEEDED, RECIPES, SUITE, USER, Recipe, image_name

Say = Callable[..., None]
_BY_DIGEST = re.compile(r"^[^@\s]+@sha256:[0-9a-f]{64}$")
_VERSION = "2"  # of the way images are made: another value builds everything anew


@dataclass(frozen=True)
class Workshop:
    """Where images are made, and of what.

    cache: outside the checkout. source: the product. programs: the role's files/. edition: of the Debian packages.
    base: reference by digest of the image that the product's image stands on; empty: Debian. ready: images that are not built here.
    """

    cache: Path
    source: Path
    programs: Path
    edition: str
    base: str = ""
    ready: Mapping[str, str] = field(default_factory=dict)

    @property
    def blobs(self) -> Path:
        return self.cache / "images" / "blobs"

    @property
    def wanted(self) -> list[str]:
        return [name for name in RECIPES if name not in self.ready]

    def key(self, *parts: str) -> str:
        return hashlib.sha256("\0".join([_VERSION, *parts]).encode()).hexdigest()[:16]

    def base_key(self, recipe: Recipe) -> str:
        debian_input = [self.edition, SUITE, *BASE_PACKAGES, *sorted(NOT_NEEDED)]
        return self.key(self.base) if recipe.service and self.base else self.key(*debian_input)

    def parts(self, recipe: Recipe) -> dict[str, str]:
        """Each layer over the base, and the key of its input."""
        base = self.base_key(recipe)
        if recipe.service:
            dependencies = self.key(base, "dependencies", service.locked(self.source))
            return {"dependencies": dependencies, "code": self.key(base, "code", service.key(self.source))}
        return {"programs": self.key(base, "programs", repr(recipe), *((self.programs / file).read_text() for file in recipe.files))}

    def record(self, name: str) -> Path:
        """The file that says what the present input was built into."""
        recipe = RECIPES[name]
        return (
            self.cache / "images" / f"{image_name(name)}-{self.key(self.base_key(recipe), repr(recipe), *self.parts(recipe).values())}.json"
        )


def built(workshop: Workshop, name: str) -> dict[str, Any] | None:
    """{manifest, blobs, sbom} of the present input, or None if it must be built."""
    path = workshop.record(name)
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    whole = all((workshop.blobs / digest.removeprefix("sha256:")).exists() for digest in [found["manifest"], *found["blobs"]])
    return found if whole and Path(found["sbom"]).exists() else None


def ensure(workshop: Workshop, registry: Registry, say: Say) -> tuple[dict[str, str], list[str]]:
    """({name: reference by digest}, what was built or pushed)."""
    references, done = dict(workshop.ready), []
    with _locked(workshop.cache):
        for number, name in enumerate(workshop.wanted, start=1):
            found = built(workshop, name)
            if found is None:
                say("Building image", number, len(workshop.wanted), image_name(name))
                found = _build(workshop, name, say)
                done.append(f"built {image_name(name)}")
            if not registry.has(image_name(name), found["manifest"]):
                say("Pushing image", number, len(workshop.wanted), image_name(name))
                registry.push(image_name(name), _blob(workshop, found["manifest"]), [_blob(workshop, digest) for digest in found["blobs"]])
                done.append(f"pushed {image_name(name)}")
            references[name] = reference(registry.host, name, found)
    return references, done


def reference(host: str, name: str, found: Mapping[str, Any]) -> str:
    return f"{host}/{image_name(name)}@{found['manifest']}"


@contextmanager
def _locked(cache: Path) -> Iterator[None]:
    """Two runs on one machine share the cache; one builds, the other then finds it built."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "images.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _blob_path(workshop: Workshop, digest: str) -> Path:
    return workshop.blobs / digest.removeprefix("sha256:")


def _blob(workshop: Workshop, digest: str) -> Blob:
    path = _blob_path(workshop, digest)
    return Blob(digest, path.stat().st_size, path)


def _build(workshop: Workshop, name: str, say: Say) -> dict[str, Any]:
    recipe = RECIPES[name]
    folder = workshop.cache / "base" / workshop.base_key(recipe)
    foreign_base = workshop.base if recipe.service else ""
    base = foreign.base(foreign_base, folder, workshop.blobs) if foreign_base else debian.base(folder, workshop.blobs)
    layers, packages, python = [*base.layers], images_sbom.debian_packages(base.root), images_sbom.python_packages(base.root)
    for part, key in workshop.parts(recipe).items():
        say(f"Image {image_name(name)}", detail=part)
        found = _layer(workshop, base.root, recipe, part, key)
        layers.append(_blob(workshop, found["digest"]))
        packages += [(package, version) for package, version in found["debian"]]
        python += [(package, version) for package, version in found["python"]]
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    manifest, config = image(layers, _settings(name, recipe, base.environment), architecture, workshop.blobs)
    sbom = workshop.cache / "images" / f"{image_name(name)}-{manifest.digest.removeprefix('sha256:')}.cdx.json"
    _atomic_file.write(sbom, json.dumps(images_sbom.bill(image_name(name), manifest.digest, packages, python), indent=1))
    record = {"manifest": manifest.digest, "blobs": [blob.digest for blob in [config, *layers]], "sbom": str(sbom)}
    _atomic_file.write(workshop.record(name), json.dumps(record, indent=1))
    return record


def _layer(workshop: Workshop, root: Path, recipe: Recipe, part: str, key: str) -> dict[str, Any]:
    """{digest, debian, python}: a layer and its packages, made once for each input."""
    record = workshop.cache / "images" / "layers" / f"{key}.json"
    if record.exists():
        known: dict[str, Any] = json.loads(record.read_text())
        if _blob_path(workshop, known["digest"]).exists():
            return known
    work = root.parent / "work"
    shutil.rmtree(work, ignore_errors=True)
    layer = work / "layer"
    layer.mkdir(parents=True)
    if recipe.service:
        {"dependencies": service.dependencies, "code": service.code}[part](workshop.source, root, layer)
    else:
        debian.add(root, recipe.packages, layer, workshop.cache / "debs" / workshop.edition, recipe.suite)
        for file in recipe.files:
            place = layer / "usr/local/bin" / file
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(workshop.programs / file, place)
            place.chmod(0o755)
    if part != "code":
        debian.prove(root, layer, recipe.proof)
    pack(layer, work / "layer.tar")
    found = {"debian": images_sbom.debian_packages(layer), "python": images_sbom.python_packages(layer)}
    made = {"digest": store(work / "layer.tar", workshop.blobs).digest, **found}
    shutil.rmtree(work)
    _atomic_file.write(record, json.dumps(made, indent=1))
    return made


def _settings(name: str, recipe: Recipe, inherited: Mapping[str, str]) -> dict[str, Any]:
    environment = {**inherited, "PATH": recipe.path, "LANG": "C.UTF-8", **recipe.environment}
    return {
        "User": f"{USER}:{USER}",
        "Entrypoint": [],
        "Cmd": list(recipe.command),
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "WorkingDir": recipe.working_dir,
        "StopSignal": recipe.stop_signal,
        "Labels": {"org.opencontainers.image.title": image_name(name), "org.opencontainers.image.vendor": "HSC-JIT"},
    }


def problems(workshop: Workshop) -> list[str]:
    """What stands in the way, as sentences; nothing was made yet. A machine that has everything in its cache needs no tools."""
    found = [
        f"images_ready.{name} is {given!r}: {why}"
        for name, given in workshop.ready.items()
        for why in [
            *([] if name in RECIPES else [f"there is no such image; there are {', '.join(RECIPES)}."]),
            *([] if _BY_DIGEST.search(given) else ["name it by digest, <registry>/<name>@sha256:<64 hex digits>."]),
        ]
    ]
    if workshop.base and not _BY_DIGEST.search(workshop.base):
        found.append(f"images_base is {workshop.base!r}: name it by digest, <registry>/<name>@sha256:<64 hex digits>, or leave it empty.")
    if not (workshop.source / "requirements.txt").is_file():
        return [*found, f"images_source is {workshop.source}; it has no requirements.txt. Set it to the product's folder service/."]
    return found if found or all(built(workshop, name) for name in workshop.wanted) else _missing_tools()


def _missing_tools() -> list[str]:
    own = "Or set images_ready to images that your pipeline built."
    found = [] if os.geteuid() == 0 else [f"Images are built in a chroot: run as root. {own}"]
    if not service.find_uv():
        found.append("uv is not installed beside the controller's Python: run `make env`, or `pip install uv`.")
    release = Path("/etc/os-release").read_text() if Path("/etc/os-release").exists() else ""
    if not shutil.which("apt-get") or f"VERSION_CODENAME={SUITE}" not in release:
        found.append(f"Images are built from the packages of Debian {SUITE}, and this machine is not one. {own}")
    return found
