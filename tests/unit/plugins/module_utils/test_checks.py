"""The check runner: order, and what a check that cannot be carried out reports."""

import threading

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._checks import run_checks
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError, BackupError
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding


def passed(check_id):
    return [Finding(check_id, "pass", "Good.")]


def test_findings_come_in_the_order_of_the_checks():
    first_may_end, reports = threading.Event(), []

    def slow():
        assert first_may_end.wait(10)
        return passed("PF-01")

    def quick():
        first_may_end.set()
        return passed("PF-02")

    findings = run_checks([("PF-01", slow), ("PF-02", quick)], 2, lambda done, verdict: reports.append((done, verdict)))
    assert [finding.id for finding in findings] == ["PF-01", "PF-02"]
    assert sorted(done for done, _ in reports) == [1, 2]
    assert {verdict for _, verdict in reports} == {"PF-01 pass", "PF-02 pass"}


@pytest.mark.parametrize(
    ("error", "verdict", "message", "step"),
    [
        (ApiError(403, "Forbidden", "nodes is forbidden."), "skipped", "Not checked: nodes is forbidden.", "Give the deployer the right"),
        (ApiError(500, "Internal", "etcd is slow"), "error", "Not checked: etcd is slow.", "Run again"),
        (BackupError("No pod.", "Deploy first."), "error", "No pod.", "Deploy first."),
        (KeyError("spec"), "error", "KeyError at test_checks.py:", "kubectl get -o yaml"),
        (ZeroDivisionError("division by zero"), "error", "ZeroDivisionError at test_checks.py:", "report a bug"),
        (OSError(28, "No space left on device", "/evidence/page.png"), "error", "/evidence/page.png", "Free disk space"),
    ],
)
def test_a_check_that_fails_becomes_a_finding_and_hides_no_other(error, verdict, message, step):
    def check():
        raise error

    bad, good = run_checks([("PF-04", check), ("PF-05", lambda: passed("PF-05"))], 1)
    assert (bad.id, bad.verdict, good.verdict) == ("PF-04", verdict, "pass")
    assert message in bad.message and step in bad.next_step
