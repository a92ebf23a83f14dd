from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._verify import logs

START = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
STAMP = "2026-11-24T04:00:00.123456789Z"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"level": "error", "message": "request failed", "exception": "Traceback ...\\nValueError: x"}', "request failed: ValueError: x"),
        ('{"level": "info", "message": "no error here"}', None),
        ('{"level": "warning", "message": "ERROR in the text only"}', None),
        ('ts=2026-11-24T04:00:00Z level=error msg="scrape failed"', 'ts=2026-11-24T04:00:00Z level=error msg="scrape failed"'),
        ('ts=2026 level=info msg="error=none"', None),
        ("[2026-11-24 04:00:00,1: ERROR/MainProcess] consumer: lost", "[2026-11-24 04:00:00,1: ERROR/MainProcess] consumer: lost"),
        ("2026-11-24 04:00:00 UTC [1] FATAL:  the database system is starting up", "FATAL"),
        ("2026-11-24 04:00:00 UTC [1] LOG:  database system is ready", None),
        ("E1124 04:00:00.1 1 reflector.go:1] failed", "E1124"),
        ("1:M 24 Nov 2026 04:00:00.1 # Can't save in background: fork", "Can't save"),
        ("GET /error?x=ERRORS 200", None),
    ],
)
def test_what_is_an_error_line(line, error):
    found = [one.text for one in logs.error_lines("a", f"{STAMP} {line}")]
    assert found == [] if error is None else error in found[0]


def test_a_traceback_is_one_error_named_by_its_last_line():
    log = "\n".join(
        f"{STAMP} {line}" for line in ["Traceback (most recent call last):", '  File "x", line 1', "    f()", "KeyError: 'a'", "fine"]
    )
    assert [one.text for one in logs.error_lines("a", log)] == ["KeyError: 'a'"]


def test_numbers_and_ids_do_not_make_another_kind():
    one = logs.fingerprint("request 17 of 0x7f00 by 5f1c2d3e-1111-2222-3333-444455556666 failed after 0.5 s")
    two = logs.fingerprint("request 18 of 0x7f99 by 00000000-9999-2222-3333-444455557777 failed after 12.25 s")
    assert one == two


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("cannot connect to redis://:hunter2secret@redis:6379/0", "hunter2secret"),
        ("postgresql+psycopg://hsc:p%40ss@db/hsc refused", "p%40ss"),
        ("HSC_REDIS_PASSWORD=hunter2secret", "hunter2secret"),
        ('{"api_key": "abcdef123456"}', "abcdef123456"),
        ("token-key: Zm9vYmFyYmF6", "Zm9vYmFyYmF6"),
        ("Authorization: Bearer abcdefgh.ijklmnop", "abcdefgh.ijklmnop"),
        ("key AIzaSyA1234567890abcdefghijklmno rejected", "AIzaSyA1234567890abcdefghijklmno"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl bad", "eyJzdWIiOiIx"),
    ],
)
def test_secrets_never_come_out_of_a_log(text, secret):
    assert secret not in logs.redact(text)
    (line,) = logs.error_lines("a", f"{STAMP} ERROR {text}")
    assert secret not in line.text


def errors(count, before=0, text="boom"):
    return [
        *(logs.ErrorLine("api", START + timedelta(seconds=1), text) for _ in range(count)),
        *(logs.ErrorLine("api", START - timedelta(seconds=60), text) for _ in range(before)),
    ]


def judge(lines, seconds=60, before=600.0, allowed=5.0):
    window = logs.Window(START - timedelta(seconds=30), START, START + timedelta(seconds=seconds))
    return logs.judge(lines, window, {"api": before, "worker": before}, allowed)


def test_no_error_is_one_pass_for_all_components():
    (finding,) = judge([])
    assert (finding.verdict, finding.evidence["components"]) == ("pass", ["api", "worker"])


@pytest.mark.parametrize(
    ("after", "before", "observed", "verdict"),
    [
        (2, 20, 600.0, "pass"),  # the same kind, as often as ever
        (2, 0, 600.0, "warn"),  # a new kind, but few
        (6, 0, 600.0, "fail"),  # a spike
        (6, 60, 600.0, "pass"),  # many, but as many as before
        (6, 0, 0.0, "fail"),  # many, and nothing to compare with
        (20, 60, 600.0, "fail"),  # more than twice as many
    ],
)
def test_a_spike_is_judged_against_before(after, before, observed, verdict):
    (finding,) = judge(errors(after, before), before=observed)
    assert finding.verdict == verdict
    assert (finding.evidence["errors"], finding.evidence["errors_before"]) == (after, before)


def test_each_component_is_judged_alone():
    found = judge([*errors(6), logs.ErrorLine("worker", START, "one")])
    assert [(one.evidence["component"], one.verdict) for one in found] == [("api", "fail"), ("worker", "warn")]
    assert "kubectl logs -l app=api" in found[0].next_step


def test_what_starting_pods_complain_about_is_neither_before_nor_after():
    during = [logs.ErrorLine("api", START - timedelta(seconds=10), "FATAL: the database system is starting up")] * 50
    (finding,) = judge(during)
    assert (finding.verdict, finding.evidence["errors_during_the_change"]) == ("pass", 50)
    (finding,) = judge([*during, *errors(6)])
    assert (finding.verdict, finding.evidence["errors_before"]) == ("fail", 0)
