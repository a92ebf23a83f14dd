from datetime import UTC, datetime, timedelta

from ansible_collections.hsc.jit.plugins.module_utils._quality.checks import Asked, look
from ansible_collections.hsc.jit.plugins.module_utils._quality.load import Wanted

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def asked(folder, **changes):
    settings = {
        "checkout": folder,
        "images": {"x": "r/x@sha256:aa"},
        "test_reports": [],
        "dirty_tree": "fail",
        "lock_files": [],
        "scan_reports": [],
        "scan_severities": ["HIGH"],
        "scan_max_age": timedelta(hours=24),
        "sboms": [],
        "audit_reports": [],
        "load_reports": [],
        "load": Wanted(100, 0.01, 0.2, timedelta(hours=168)),
    }
    return Asked(**{**settings, **changes})


def test_without_any_evidence_everything_is_skipped_and_nothing_passes(tmp_path):
    findings = look(asked(tmp_path, lock_files=["requirements.txt"]), NOW)
    assert [(one.id, one.verdict) for one in findings] == [("QG-01", "skipped"), *[("QG-02", "skipped")] * 3, ("QG-03", "skipped")]
    assert all(one.next_step for one in findings)


def test_reports_are_found_by_relative_and_absolute_patterns(tmp_path):
    (tmp_path / "sbom.json").write_text('{"bomFormat": "CycloneDX", "metadata": {"version": "sha256:aa"}, "components": [{}]}')
    for pattern in ("*.json", str(tmp_path / "*.json")):
        assert [one.message for one in look(asked(tmp_path, sboms=[pattern]), NOW) if one.verdict == "pass"] == [
            "SBOM: 1 images list their contents (CycloneDX)."
        ]


def test_a_broken_report_is_an_error_and_not_a_missing_one(tmp_path):
    (tmp_path / "scan.json").write_text("{")
    broken = [one for one in look(asked(tmp_path, scan_reports=["scan.json"]), NOW) if one.verdict == "error"]
    assert len(broken) == 1 and "scan.json is no JSON" in broken[0].message
