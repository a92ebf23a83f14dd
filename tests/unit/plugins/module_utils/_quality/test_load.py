import json
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._quality.load import Wanted, check_load, read_load

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
IMAGES = {"service": f"registry.example/hsc-jit-service@{DIGEST}"}
WANTED = Wanted(100, 0.01, 0.2, timedelta(hours=168))
REPORT = {
    "created": "2026-11-26T10:00:00+00:00",
    "image": f"localhost:5001/hsc-jit-service@{DIGEST}",
    "users": 120,
    "kinds": [
        {"name": "GET /api/search", "requests": 3000, "failures": 3, "p95_ms": 20},
        {"name": "WebSocket typing", "requests": 9000, "failures": 0, "p95_ms": 6},
    ],
}


def check(tmp_path, **changes):
    path = tmp_path / "load.json"
    path.write_text(json.dumps({**REPORT, **changes}))
    (finding,) = check_load(IMAGES, [read_load(path)], WANTED, NOW)
    assert finding.id == "QG-03"
    return finding


def test_a_good_load_test_passes_with_its_numbers(tmp_path):
    finding = check(tmp_path)
    assert (finding.verdict, finding.message) == ("pass", "Load test: 120 users, 12000 requests, 3 failed, slowest p95 20 ms.")
    assert finding.evidence["kinds"]["WebSocket typing"]["p95_ms"] == 6


@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({"image": "x@sha256:" + "b" * 64}, "skipped", "none of 1 reports is of the digest"),
        ({"created": "2026-11-01T10:00:00+00:00"}, "skipped", "602 hours old; 168 are allowed"),
        ({"users": 99}, "skipped", "99 users at once; 100 are wanted"),
        ({"kinds": [{"name": "x", "requests": 999, "failures": 0, "p95_ms": 1}]}, "skipped", "999 requests are not enough"),
        ({"kinds": [{"name": "x", "requests": 2000, "failures": 21, "p95_ms": 1}]}, "fail", "21 of 2000 requests failed"),
        ({"kinds": [{"name": "x", "requests": 2000, "failures": 0, "p95_ms": 201}]}, "fail", "p95 above 200 ms: x 201 ms"),
    ],
)
def test_what_is_not_enough_is_not_clean(tmp_path, changes, verdict, said):
    finding = check(tmp_path, **changes)
    assert (finding.verdict, said in finding.message) == (verdict, True), finding.message


def test_without_a_report_it_is_skipped_with_the_command():
    (finding,) = check_load(IMAGES, [], WANTED, NOW)
    assert (finding.verdict, "make load" in finding.next_step) == ("skipped", True)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kinds": [{"name": "x"}]}'])
def test_what_is_no_report_says_so(tmp_path, text):
    (tmp_path / "load.json").write_text(text)
    with pytest.raises(ValueError, match=r"is no load test's report"):
        read_load(tmp_path / "load.json")
