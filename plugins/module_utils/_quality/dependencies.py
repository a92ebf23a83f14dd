# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""QG-02: dependencies pinned by hash, images scanned, contents listed. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from .._finding import Finding
from .reports import Audit, Sbom, Scan, normal

_OPTION = re.compile(r"^(-r|-c|--requirement|--constraint|--no-binary|--only-binary|--require-hashes)\b")
_HASH = re.compile(r"--hash[= ]sha(?:256|384|512):[0-9a-f]{64,128}\b")


def requirements(text: str) -> list[str]:
    """The logical lines of a pip requirements file, without comments."""
    lines = re.sub(r"\\\r?\n", " ", text).splitlines()
    return [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in lines) if line]


def unpinned(text: str) -> list[str]:
    """Requirements that could install something else tomorrow: no hash, or not one exact version."""
    lines = [line for line in requirements(text) if not _OPTION.match(line)]
    return [line.split()[0] for line in lines if not _HASH.search(line) or ("==" not in line and " @ " not in line)]


def check_locks(locks: Mapping[str, str | None]) -> list[Finding]:
    """locks: text by file name, None for a file that is not there."""
    found = []
    for name, text in locks.items():
        if text is None:
            found.append(Finding("QG-02", "fail", f"Lock file {name} does not exist.", {"file": name}, "`make lock` writes it."))
            continue
        if loose := unpinned(text):
            message = f"Lock file {name}: {len(loose)} requirements are not pinned by hash (first: {loose[0]})."
            found.append(Finding("QG-02", "fail", message, {"file": name, "not_pinned": loose[:50]}, "`make lock` pins them."))
    counts = {name: len(requirements(text)) for name, text in locks.items() if text}
    if not locks:
        return [Finding("QG-02", "skipped", "Dependencies: no lock file is named or there.", {}, "Set quality_lock_files.")]
    message = f"Dependencies: {sum(counts.values())} requirements in {len(counts)} lock files, each pinned by version and hash."
    return found or [Finding("QG-02", "pass", message, {"requirements": counts})]


def check_audits(locks: Mapping[str, str | None], audits: Sequence[Audit], max_age: timedelta, now: datetime) -> list[Finding]:
    """For each lock, the newest report that covers it. A package that could not be looked up is not clean: pip-audit alone would say so."""
    return [_audited(name, text, audits, max_age, now) for name, text in locks.items() if text]


def _audited(name: str, text: str, audits: Sequence[Audit], max_age: timedelta, now: datetime) -> Finding:
    wanted = {normal(re.split(r"[\s=<>!~;\[@]", line, maxsplit=1)[0]) for line in requirements(text) if not _OPTION.match(line)}
    # Requirements of other systems and Pythons stand in a lock and are not looked up: most of it must be there, and every part of a report.
    covering = [one for one in audits if one.audited and one.audited <= wanted and len(one.audited) * 2 > len(wanted)]
    step = f"`pip-audit --strict --require-hashes -r {name} --format json --output FILE`; set quality_audit_reports."
    if not covering:
        why = "there is no report of pip-audit" if not audits else f"none of {len(audits)} reports of pip-audit is of it"
        return Finding("QG-02", "skipped", f"Dependencies of {name}: {why}.", {"file": name}, step)
    audit = max(covering, key=lambda one: one.written)
    age = now - audit.written
    evidence = {
        "file": name,
        "report": str(audit.path),
        "packages": len(audit.audited),
        "age_hours": _hours(age),
        "unknown": list(audit.unknown),
    }
    if age > max_age:
        message = f"Dependencies of {name}: the report is {_hours(age)} hours old; {_hours(max_age)} are allowed."
        return Finding("QG-02", "skipped", message, evidence, step)
    if audit.vulnerabilities:
        first = audit.vulnerabilities[0]
        message = (
            f"Dependencies of {name}: {len(audit.vulnerabilities)} known vulnerabilities (first: {first['id']} in {first['package']})."
        )
        more = {**evidence, "vulnerabilities": list(audit.vulnerabilities[:50])}
        return Finding("QG-02", "fail", message, more, "Update them: `make lock`, test, build.")
    if audit.unknown:
        message = f"Dependencies of {name}: {len(audit.unknown)} could not be looked up (first: {audit.unknown[0]})."
        return Finding("QG-02", "skipped", message, evidence, step)
    return Finding("QG-02", "pass", f"Dependencies of {name}: no known vulnerability in {len(audit.audited)} packages.", evidence)


def check_scans(
    images: Mapping[str, str], scans: Sequence[Scan], severities: Sequence[str], max_age: timedelta, now: datetime
) -> list[Finding]:
    """images: reference by name. A report counts only if it names the image's digest, is fresh, and has looked at something."""
    if not scans:
        evidence = {"images": dict(images)}
        return [
            Finding(
                "QG-02",
                "skipped",
                "Image scan: there is no scanner's report.",
                evidence,
                "`trivy image --format json` or `snyk container test --json`; set quality_scan_reports.",
            )
        ]
    return [_judge(name, reference, scans, severities, max_age, now) for name, reference in images.items()]


def _judge(name: str, reference: str, scans: Sequence[Scan], severities: Sequence[str], max_age: timedelta, now: datetime) -> Finding:
    digest = reference.rpartition("@")[2]
    of_image = sorted((scan for scan in scans if digest in scan.digests), key=lambda scan: scan.created)
    evidence: dict[str, object] = {"image": reference}
    if not of_image:
        return Finding(
            "QG-02", "skipped", f"Image scan of {name}: no report names its digest {digest[:19]}.", evidence, "Scan this digest."
        )
    scan = of_image[-1]
    age = now - scan.created
    evidence |= {
        "report": str(scan.path),
        "created": scan.created.isoformat(),
        "age_hours": _hours(age),
        "targets": scan.targets,
    }
    if age > max_age:
        message = f"Image scan of {name}: the report is {_hours(age)} hours old; {_hours(max_age)} are allowed."
        return Finding("QG-02", "skipped", message, evidence, "Scan this digest again: new vulnerabilities are published daily.")
    if not scan.targets:
        return Finding(
            "QG-02", "skipped", f"Image scan of {name}: the scanner found nothing that it knows how to look at.", evidence, "See its log."
        )
    bad = [one for one in scan.vulnerabilities if one["severity"] in severities]
    if bad:
        first = f"{bad[0]['id']} {bad[0]['severity']} in {bad[0]['package']}"
        message = f"Image scan of {name}: {len(bad)} vulnerabilities of severity {' or '.join(severities)} (first: {first})."
        return Finding(
            "QG-02", "fail", message, {**evidence, "vulnerabilities": bad[:50]}, "Update those packages and build the image again."
        )
    return Finding(
        "QG-02", "pass", f"Image scan of {name}: none of severity {' or '.join(severities)} in {scan.targets} targets.", evidence
    )


def _hours(time: timedelta) -> int:
    return round(time / timedelta(hours=1))


def check_sboms(images: Mapping[str, str], sboms: Sequence[Sbom]) -> list[Finding]:
    listed = {
        name: one for name, reference in images.items() for one in sboms if one.components and one.names(reference.rpartition("@")[2])
    }
    missing = sorted(set(images) - set(listed))
    evidence = {"components": {name: one.components for name, one in listed.items()}, "missing": missing}
    if not images:
        return [Finding("QG-02", "skipped", "SBOM: no image is named.", evidence, "Set release_images.")]
    if missing:
        message = f"SBOM: no CycloneDX document names the digest of {', '.join(missing)}."
        return [Finding("QG-02", "skipped", message, evidence, "Write one beside each image and set quality_sboms.")]
    return [Finding("QG-02", "pass", f"SBOM: {len(listed)} images list their contents (CycloneDX).", evidence)]
