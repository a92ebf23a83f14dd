# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Reports that other tools leave: JUnit (tests), Trivy and Snyk (images), pip-audit (locks), CycloneDX (SBOM).

ValueError says why one cannot be used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.parsers import expat

_TRIVY_SCHEMA = 2


@dataclass
class JUnit:
    """One JUnit file. commit: of a property of that name, else empty; failed: names of tests that failed or broke."""

    path: Path
    written: datetime
    commit: str = ""
    tests: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        numbers = {"tests": self.tests, "skipped": self.skipped, "failed": len(self.failed)}
        return {"path": str(self.path), "written": self.written.isoformat(), "commit": self.commit, **numbers}


def read_junit(path: Path) -> JUnit:
    """Counts test cases themselves, because the sums in the attributes differ from tool to tool."""
    tests = JUnit(path, datetime.fromtimestamp(path.stat().st_mtime, UTC))
    case = ""

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal case
        if name == "testcase":
            case = f"{attributes.get('classname', '')}.{attributes.get('name', '')}"
            tests.tests += 1
        elif name in ("failure", "error") and case not in tests.failed:
            tests.failed.append(case)
        elif name == "skipped":
            tests.skipped += 1
        elif name == "property" and attributes.get("name") == "commit":
            tests.commit = attributes.get("value", "")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise ValueError(f"{path} is no JUnit report: {error}. Remove it and run the tests again.") from error
    return tests


@dataclass(frozen=True)
class Scan:
    """One scanner's report. digests: what it says it looked at; targets: how many things had a result."""

    path: Path
    digests: frozenset[str]
    created: datetime
    targets: int
    vulnerabilities: Sequence[Mapping[str, str]]


def read_trivy(path: Path) -> Scan:
    """Trivy's JSON, schema 2. ValueError: another schema, or no time in it, so that nothing can be concluded from it."""
    report = _json(path)
    if report.get("SchemaVersion") != _TRIVY_SCHEMA or not report.get("CreatedAt"):
        raise ValueError(f"{path}: not a Trivy report of schema {_TRIVY_SCHEMA} with CreatedAt. Write it by `trivy image --format json`.")
    results = report.get("Results") or []
    references = [report.get("ArtifactName", ""), *((report.get("Metadata") or {}).get("RepoDigests") or [])]
    digests = frozenset(reference.rpartition("@")[2] for reference in references if "@sha256:" in reference)
    found = [
        {
            "id": one["VulnerabilityID"],
            "severity": one.get("Severity", "UNKNOWN"),
            "package": one.get("PkgName", ""),
            "fixed": one.get("FixedVersion", ""),
        }
        for result in results
        for one in result.get("Vulnerabilities") or []
    ]
    return Scan(path, digests, datetime.fromisoformat(report["CreatedAt"]), len(results), found)


def read_scan(path: Path) -> Scan:
    """A report of either scanner, told apart by its content."""
    return read_trivy(path) if "SchemaVersion" in _json(path) else read_snyk(path)


def read_snyk(path: Path) -> Scan:
    """``snyk container test IMAGE@DIGEST --json``. It has no time in it, so the file's counts. ValueError: not that, or Snyk failed."""
    report = _json(path)
    if "vulnerabilities" not in report or "dependencyCount" not in report:
        why = f": {report['error']}" if report.get("error") else ""
        raise ValueError(f"{path}: neither a Trivy nor a Snyk report{why}. `trivy image --format json` or `snyk container test --json`.")
    name = str(report.get("path") or report.get("projectName") or "")
    digests = frozenset([name.rpartition("@")[2]] if "@sha256:" in name else [])
    found = [
        {
            "id": one["id"],
            "severity": str(one.get("severity", "unknown")).upper(),
            "package": one.get("packageName", ""),
            "fixed": one.get("nearestFixedInVersion") or ", ".join(one.get("fixedIn") or []),
        }
        for one in report["vulnerabilities"]
    ]
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Scan(path, digests, written, 1 if report["dependencyCount"] else 0, found)


@dataclass(frozen=True)
class Audit:
    """One pip-audit report. audited: names of the packages it looked up; unknown: those it could not; vulnerabilities: as of a Scan."""

    path: Path
    written: datetime
    audited: frozenset[str]
    unknown: Sequence[str]
    vulnerabilities: Sequence[Mapping[str, str]]


def read_pip_audit(path: Path) -> Audit:
    """``pip-audit --strict --format json``."""
    report = _json(path)
    if not isinstance(report.get("dependencies"), list):
        raise ValueError(f"{path}: not a pip-audit report. Write it by `pip-audit --strict -r LOCK --format json --output {path.name}`.")
    known = [one for one in report["dependencies"] if "skip_reason" not in one]
    found = [
        {"id": flaw["id"], "package": f"{one['name']} {one['version']}", "fixed": ", ".join(flaw.get("fix_versions") or [])}
        for one in known
        for flaw in one.get("vulns") or []
    ]
    unknown = [f"{one['name']}: {one['skip_reason']}" for one in report["dependencies"] if "skip_reason" in one]
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return Audit(path, written, frozenset(normal(one["name"]) for one in known), unknown, found)


def normal(name: str) -> str:
    """A package's name as the index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class Sbom:
    """One CycloneDX file: how many components it lists, and all that it says, to look a digest up in."""

    path: Path
    components: int
    text: str

    def names(self, digest: str) -> bool:
        return digest in self.text or digest.removeprefix("sha256:") in self.text + self.path.name


def read_cyclonedx(path: Path) -> Sbom:
    document = _json(path)
    if document.get("bomFormat") != "CycloneDX":
        raise ValueError(f"{path}: not a CycloneDX document.")
    return Sbom(path, len(document.get("components") or []), json.dumps(document.get("metadata") or {}))


def _json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError(f"{path}: a JSON object is expected.")
    return document
