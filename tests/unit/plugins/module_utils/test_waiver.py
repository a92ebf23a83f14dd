from datetime import date

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _waiver
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding

GOOD = {"id": "QG-02", "owner": "Ada", "reason": "scanner is being replaced", "until": "2026-12-31"}
TODAY = date(2026, 11, 26)


def test_a_skipped_row_is_waived_with_owner_reason_and_end():
    skipped, other = Finding("QG-02", "skipped", "No report."), Finding("QG-01", "skipped", "No review.")
    found = _waiver.applied([skipped, other], _waiver.parse([GOOD]), TODAY)
    assert found[0].message == "No report. (Waived until 2026-12-31 by Ada: scanner is being replaced.)"
    assert [_waiver.counts(one.verdict, one.evidence, ["fail", "skipped"]) for one in found] == [False, True]
    assert found[1] == other


@pytest.mark.parametrize("verdict", ["fail", "error", "warn"])
def test_nothing_but_not_looked_at_can_be_waived(verdict):
    finding = Finding("QG-02", verdict, "Bad.")
    (found,) = _waiver.applied([finding], _waiver.parse([GOOD]), TODAY)
    assert found == finding


def test_a_waiver_ends():
    (found,) = _waiver.applied([Finding("QG-02", "skipped", "No report.")], _waiver.parse([GOOD]), date(2027, 1, 1))
    assert found.message == "No report. (Its waiver by Ada ended on 2026-12-31.)"
    assert _waiver.counts(found.verdict, found.evidence, ["skipped"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "QG-99"}, r"release_waivers\[0\]\.id is 'QG-99'; rows are QG-01"),
        ({"owner": " "}, r"release_waivers\[0\]\.owner is missing"),
        ({"until": None}, r"release_waivers\[0\]\.until is missing"),
        ({"until": "next year"}, r"release_waivers\[0\]\.until is 'next year'; write a day as 2026-12-31"),
        ({"untill": "2026-12-31"}, r"release_waivers\[0\]\.untill: there is no such field; did you mean until\?"),
    ],
)
def test_a_waiver_that_is_none_is_named(change, said):
    with pytest.raises(ValueError, match=said):
        _waiver.parse([{**GOOD, **change}])
