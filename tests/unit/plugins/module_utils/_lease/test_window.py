from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._lease.window import check, parse

OFFICE = {"timezone": "Europe/Berlin", "days": ["tue", "Wednesday", "thu"], "from": "09:00", "to": "16:00"}
CHRISTMAS = {"from": "2026-12-18", "to": "2027-01-04", "reason": "holidays"}


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "verdict", "says"),
    [
        ("2026-11-24T08:00", "pass", "Tue 2026-11-24 09:00 Europe/Berlin lies in it"),
        ("2026-11-24T15:00", "pass", "lies in it"),
        ("2026-11-24T07:59", "fail", "It opens Tue 2026-11-24 09:00 Europe/Berlin."),
        ("2026-11-24T15:01", "fail", "It opens Wed 2026-11-25 09:00"),
        ("2026-11-26T20:00", "fail", "It opens Tue 2026-12-01 09:00"),
        ("2026-07-01T07:00", "pass", "Wed 2026-07-01 09:00"),
        ("2026-12-22T10:00", "fail", "is in a freeze (2026-12-18 to 2027-01-04: holidays)"),
        ("2027-01-04T10:00", "fail", "It opens Tue 2027-01-05 09:00"),
    ],
)
def test_the_window_is_in_local_time_and_the_next_one_is_named(now, verdict, says):
    finding = check(parse({**OFFICE, "freezes": [CHRISTMAS]}), at(now))
    assert (finding.id, finding.verdict) == ("PF-90", verdict) and says in f"{finding.message} {finding.next_step}"


@pytest.mark.parametrize(
    ("now", "inside"),
    [
        ("2026-11-24T22:59:59", False),
        ("2026-11-24T23:00", True),
        ("2026-11-25T03:59", True),
        ("2026-11-25T04:00:59", True),
        ("2026-11-25T04:01", False),
        ("2026-11-26T02:00", False),
        ("2026-12-16T02:00", False),
    ],
)
def test_a_window_over_midnight_opens_on_its_day_and_closes_on_the_next(now, inside):
    window = parse(
        {"days": ["tue"], "from": "23:00", "to": "04:00", "freezes": [{"from": "2026-12-16", "to": "2026-12-16", "reason": "sale"}]}
    )
    assert window.has(at(now)) is inside


def test_without_times_the_whole_day_is_in_it():
    assert parse({}).has(at("2026-11-24T23:59:59"))


def test_an_unquoted_time_in_yaml_is_a_number_of_minutes():
    assert parse({"from": 600, "to": 1439}).begin.isoformat("minutes") == "10:00"


def test_a_freeze_without_end_is_not_searched_for_ever():
    freeze = {"from": "2026-01-01", "to": "2036-01-01", "reason": "sold"}
    assert "not within 120 days" in check(parse({"freezes": [freeze]}), at("2026-11-24T08:00")).next_step


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"begin": "1"}, "begin is not known"),
        ({"timezone": "Mars/Base"}, "window.timezone is 'Mars/Base'"),
        ({"days": ["today"]}, "window.days"),
        ({"from": "9 o'clock"}, "window.from"),
        ({"from": "10:00", "to": "10:00"}, "from and to are both 10:00"),
        ({"freezes": [{"from": "2026-12-18"}]}, "window.freezes"),
    ],
)
def test_bad_input_is_refused_by_field(wrong, says):
    with pytest.raises(ValueError, match=says):
        parse(wrong)
