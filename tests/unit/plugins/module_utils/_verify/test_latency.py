import pytest
from ansible_collections.hsc.jit.plugins.module_utils._verify.latency import Load, judge
from ansible_collections.hsc.jit.plugins.module_utils._verify.load_generator import Sample, Samples

LOAD = Load(rate=50, seconds=10, sockets=0, p95_milliseconds=200, error_share=0.01)


def samples(count=500, slow=0, failed=0):
    made = [Sample(number / 50, 0.3 if number < slow else 0.01, "/api/search") for number in range(count)]
    return Samples([*made[failed:], *(Sample(1.0, 0.0, "/api/price/x", "HTTP 503 key=geheim") for _ in range(failed))])


@pytest.mark.parametrize(
    ("measured", "verdict", "words"),
    [
        (samples(), "pass", "0 of 500 requests failed, p95 10 ms"),
        (samples(slow=60), "fail", "too slow"),
        (samples(failed=25), "fail", "more failures than 1.0% explains"),
        (samples(count=20), "skipped", "not enough data"),
        (samples(count=0), "skipped", "not enough data"),
    ],
)
def test_the_numbers_decide_and_stand_in_the_message(measured, verdict, words):
    finding = judge("HTTP", measured, LOAD)
    assert (finding.verdict, words in finding.message) == (verdict, True), finding.message


def test_evidence_is_json_without_infinities_and_without_secrets():
    evidence = judge("HTTP", samples(failed=25), LOAD).evidence
    assert evidence["p95_bounds_ms"][1] is None
    assert evidence["failed_by_second"][1] == 25
    assert evidence["by_path"]["/api/price"] == {"requests": 25, "p95_ms": None}
    assert "geheim" not in str(evidence)
