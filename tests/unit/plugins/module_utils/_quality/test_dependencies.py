from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._quality.dependencies import (
    check_audits,
    check_locks,
    check_sboms,
    check_scans,
    unpinned,
)
from ansible_collections.hsc.jit.plugins.module_utils._quality.reports import Audit, Sbom, Scan

HASH = "--hash=sha256:" + "a" * 64
NOW = datetime(2026, 11, 24, tzinfo=UTC)
IMAGES = {"service": "localhost:5001/x@sha256:aa"}
GOOD = f"# a comment\n-r other.txt\nflask==3.0 ; python_version > '3' \\\n    {HASH} \\\n    {HASH}\n    # via x\n"


@pytest.mark.parametrize(
    ("text", "loose"),
    [
        (GOOD, []),
        ("flask==3.0", ["flask==3.0"]),
        (f"flask>=3.0 {HASH}", ["flask>=3.0"]),
        (f"flask==3.0 {HASH}\nrequests==2 # --hash=sha256:{'a' * 64}", ["requests==2"]),
        ("-e .", ["-e"]),
        (f"x @ https://example.com/x.whl {HASH}", []),
        ("flask==3.0 --hash=sha256:short", ["flask==3.0"]),
    ],
)
def test_every_requirement_needs_a_version_and_a_hash(text, loose):
    assert unpinned(text) == loose


def test_locks():
    assert [one.verdict for one in check_locks({"a.txt": GOOD})] == ["pass"]
    assert [one.message for one in check_locks({"a.txt": None, "b.txt": "x==1", "c.txt": GOOD})] == [
        "Lock file a.txt does not exist.",
        "Lock file b.txt: 1 requirements are not pinned by hash (first: x==1).",
    ]
    assert check_locks({})[0].verdict == "skipped"


def scan(digests=("sha256:aa",), hours=1, targets=2, severities=()):
    found = [{"id": "CVE-1", "severity": severity, "package": "openssl", "fixed": ""} for severity in severities]
    return Scan(Path("r.json"), frozenset(digests), NOW - timedelta(hours=hours), targets, found)


@pytest.mark.parametrize(
    ("scans", "verdict", "says"),
    [
        ([], "skipped", "there is no scanner's report"),
        ([scan()], "pass", "none of severity CRITICAL or HIGH in 2 targets"),
        ([scan(severities=["LOW"])], "pass", "none of severity"),
        ([scan(severities=["LOW", "HIGH"])], "fail", "1 vulnerabilities of severity CRITICAL or HIGH (first: CVE-1 HIGH in openssl)"),
        ([scan(digests=["sha256:bb"])], "skipped", "no report names its digest sha256:aa"),
        ([scan(hours=25)], "skipped", "25 hours old; 24 are allowed"),
        ([scan(targets=0)], "skipped", "found nothing that it knows"),
        ([scan(hours=9, severities=["HIGH"]), scan(hours=1)], "pass", "none"),
    ],
)
def test_a_scan_counts_only_for_its_digest_fresh_and_with_results(scans, verdict, says):
    (finding,) = check_scans(IMAGES, scans, ["CRITICAL", "HIGH"], timedelta(hours=24), NOW)
    assert (finding.id, finding.verdict) == ("QG-02", verdict) and says in finding.message


@pytest.mark.parametrize(
    ("images", "sboms", "verdict"),
    [
        (IMAGES, [Sbom(Path("a"), 3, "sha256:aa")], "pass"),
        (IMAGES, [Sbom(Path("sbom-aa.json"), 3, "")], "pass"),
        (IMAGES, [Sbom(Path("x"), 0, "sha256:aa")], "skipped"),
        (IMAGES, [], "skipped"),
        ({}, [], "skipped"),
    ],
)
def test_each_image_lists_its_contents(images, sboms, verdict):
    assert [one.verdict for one in check_sboms(images, sboms)] == [verdict]


LOCK = "".join(f"{name} {HASH}\n" for name in ("flask==3.0", "Flask-Cors==6.0", "jinja2==3.1 ; python_version > '3'", "colorama==1"))


def audit(audited=("flask", "flask-cors", "jinja2"), hours=1, unknown=(), vulnerabilities=()):
    return Audit(Path("audit.json"), NOW - timedelta(hours=hours), frozenset(audited), unknown, vulnerabilities)


@pytest.mark.parametrize(
    ("audits", "verdict", "said"),
    [
        ([audit()], "pass", "no known vulnerability in 3 packages"),
        ([], "skipped", "there is no report of pip-audit"),
        ([audit(audited=["celery"])], "skipped", "none of 1 reports of pip-audit is of it"),
        ([audit(audited=["flask"])], "skipped", "none of 1 reports"),
        ([audit(audited=[])], "skipped", "none of 1 reports"),
        ([audit(hours=200)], "skipped", "200 hours old; 168 are allowed"),
        ([audit(unknown=["ours: not found"])], "skipped", "1 could not be looked up (first: ours: not found)"),
        ([audit(vulnerabilities=[{"id": "PYSEC-1", "package": "jinja2 3.1", "fixed": ""}])], "fail", "PYSEC-1 in jinja2 3.1"),
        ([audit(hours=1), audit(hours=200)], "pass", "no known"),
    ],
)
def test_what_pip_audit_found_in_a_lock(audits, verdict, said):
    (finding,) = check_audits({"a.txt": LOCK, "gone.txt": None}, audits, timedelta(hours=168), NOW)
    assert (finding.id, finding.verdict, said in finding.message) == ("QG-02", verdict, True), finding.message
