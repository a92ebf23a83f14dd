# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""A CycloneDX bill of materials of an image, from what dpkg and Python record in its files. Pure but for reading."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.parser import HeaderParser
from pathlib import Path
from typing import Any
from urllib.parse import quote


def debian_packages(root: Path) -> list[tuple[str, str]]:
    """(name, version) of dpkg's status and status.d below root."""
    texts = [path.read_text() for path in (root / "var/lib/dpkg/status.d").glob("*")]
    status = root / "var/lib/dpkg/status"
    texts += status.read_text().split("\n\n") if status.exists() else []
    found = []
    for text in texts:
        name, version = (re.search(rf"^{key}: (.+)$", text, re.MULTILINE) for key in ("Package", "Version"))
        if name and version:
            found.append((name[1], version[1]))
    return sorted(set(found))


def python_packages(root: Path) -> list[tuple[str, str]]:
    """(name, version) of every dist-info below root."""
    found = []
    for path in root.rglob("*.dist-info/METADATA"):
        headers = HeaderParser().parsestr(path.read_text(errors="replace"), headersonly=True)
        found.append((str(headers["Name"]), str(headers["Version"])))
    return sorted(set(found))


def bill(name: str, digest: str, debian: Iterable[tuple[str, str]], python: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """CycloneDX 1.5 as JSON values; a package that several layers have stands once."""
    components = [
        _component(package, version, f"pkg:deb/debian/{quote(package)}@{quote(version, safe='')}")
        for package, version in sorted(set(debian))
    ]
    components += [
        _component(package, version, f"pkg:pypi/{quote(package.lower().replace('_', '-'))}@{quote(version)}")
        for package, version in sorted(set(python))
    ]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {"type": "container", "name": name, "version": digest, "bom-ref": f"{name}@{digest}"},
            "tools": {"components": [{"type": "application", "name": "hsc.jit.image_build"}]},
        },
        "components": components,
    }


def _component(name: str, version: str, purl: str) -> dict[str, str]:
    return {"type": "library", "name": name, "version": version, "purl": purl, "bom-ref": purl}
