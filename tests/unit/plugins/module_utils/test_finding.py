import pytest
from ansible_collections.hsc.jit.plugins.module_utils._finding import VERDICTS, Finding, worst


def test_a_line_names_row_verdict_reason_and_next_step():
    finding = Finding("PF-02", "fail", "node-0: 9.0 GB free, 10 GB are needed.", {"free_bytes": 9e9}, "Delete old images.")
    assert finding.as_line() == "PF-02 fail: node-0: 9.0 GB free, 10 GB are needed. Delete old images."
    assert finding.as_dict()["evidence"] == {"free_bytes": 9e9}


@pytest.mark.parametrize("verdict", ["ok", "PASS", ""])
def test_an_unknown_verdict_is_refused(verdict):
    with pytest.raises(ValueError, match="must be one of pass, warn"):
        Finding("PF-01", verdict, "x")


def test_a_verdict_without_a_reason_is_refused():
    with pytest.raises(ValueError, match="always says why"):
        Finding("PF-01", "pass", "")


def test_worst_never_calls_nothing_a_pass():
    assert worst([]) == "skipped"
    assert worst(["pass", "warn"]) == "warn"
    assert worst(["pass", "skipped", "warn"]) == "skipped"
    assert worst(VERDICTS) == "error"
