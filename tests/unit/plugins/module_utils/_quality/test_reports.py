import json

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._quality.reports import (
    read_cyclonedx,
    read_junit,
    read_pip_audit,
    read_scan,
    read_trivy,
)

JUNIT = """<?xml version="1.0"?><testsuites><testsuite name="a" tests="4">
<properties><property name="commit" value="abc"/></properties>
<testcase classname="t" name="good"/><testcase classname="t" name="bad"><failure message="x">y</failure></testcase>
<testcase classname="t" name="broken"><error/></testcase><testcase classname="t" name="left"><skipped/></testcase>
</testsuite></testsuites>"""


def write(tmp_path, content):
    path = tmp_path / "report"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_junit_counts_the_cases_and_names_what_failed(tmp_path):
    tests = read_junit(write(tmp_path, JUNIT))
    assert (tests.tests, tests.skipped, tests.failed, tests.commit) == (4, 1, ["t.bad", "t.broken"], "abc")


@pytest.mark.parametrize(
    ("read", "content"), [(read_junit, "<testsuite>"), (read_trivy, "no json"), (read_trivy, "[]"), (read_cyclonedx, {})]
)
def test_what_is_no_report_is_refused_by_name(tmp_path, read, content):
    with pytest.raises(ValueError, match="report"):
        read(write(tmp_path, content))


def trivy(**changes):
    return {
        "SchemaVersion": 2,
        "CreatedAt": "2026-11-24T03:00:00.123456789Z",
        "ArtifactName": "localhost:5001/x@sha256:1",
        "Metadata": {"RepoDigests": ["r/x@sha256:2"]},
        "Results": [
            {"Target": "debian", "Vulnerabilities": [{"VulnerabilityID": "CVE-1", "Severity": "HIGH", "PkgName": "p"}]},
            {"Target": "python"},
        ],
        **changes,
    }


def test_trivy_names_digests_time_and_findings(tmp_path):
    scan = read_trivy(write(tmp_path, trivy()))
    assert scan.digests == {"sha256:1", "sha256:2"} and scan.targets == 2 and scan.created.isoformat().startswith("2026-11-24T03:00:00")
    assert [dict(one) for one in scan.vulnerabilities] == [{"id": "CVE-1", "severity": "HIGH", "package": "p", "fixed": ""}]


@pytest.mark.parametrize("changes", [{"SchemaVersion": 1}, {"CreatedAt": None}])
def test_a_report_that_proves_nothing_is_refused(tmp_path, changes):
    with pytest.raises(ValueError, match="not a Trivy report of schema 2"):
        read_trivy(write(tmp_path, trivy(**changes)))


def test_an_sbom_names_its_image_in_its_metadata(tmp_path):
    document = {"bomFormat": "CycloneDX", "metadata": {"component": {"version": "sha256:aa"}}, "components": [{"name": "sha256:bb"}]}
    sbom = read_cyclonedx(write(tmp_path, document))
    assert sbom.components == 1 and sbom.names("sha256:aa") and not sbom.names("sha256:bb")


SNYK = {
    "vulnerabilities": [{"id": "SNYK-DEBIAN12-X", "severity": "high", "packageName": "openssl", "nearestFixedInVersion": "3.0.16"}],
    "dependencyCount": 90,
    "path": "registry.example/x@sha256:aa",
}


def test_the_scanners_are_told_apart_by_what_they_write(tmp_path):
    assert read_scan(write(tmp_path, trivy())).targets == 2
    scan = read_scan(write(tmp_path, SNYK))
    assert (scan.digests, scan.targets) == ({"sha256:aa"}, 1)
    assert scan.vulnerabilities == [{"id": "SNYK-DEBIAN12-X", "severity": "HIGH", "package": "openssl", "fixed": "3.0.16"}]
    assert read_scan(write(tmp_path, {**SNYK, "dependencyCount": 0})).targets == 0


def test_a_scanner_that_failed_gave_no_report(tmp_path):
    with pytest.raises(ValueError, match="neither a Trivy nor a Snyk report: Authentication failed"):
        read_scan(write(tmp_path, {"ok": False, "error": "Authentication failed"}))


def test_pip_audit_names_what_it_looked_up_and_what_it_could_not(tmp_path):
    report = {
        "dependencies": [
            {"name": "Flask_Cors", "version": "6", "vulns": []},
            {"name": "jinja2", "version": "3.1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3.2"]}]},
            {"name": "ours", "skip_reason": "Dependency not found on PyPI"},
        ]
    }
    audit = read_pip_audit(write(tmp_path, report))
    assert (audit.audited, audit.unknown) == ({"flask-cors", "jinja2"}, ["ours: Dependency not found on PyPI"])
    assert audit.vulnerabilities == [{"id": "PYSEC-1", "package": "jinja2 3.1", "fixed": "3.2"}]
