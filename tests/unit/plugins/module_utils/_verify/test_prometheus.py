import pytest
from ansible_collections.hsc.jit.plugins.module_utils._verify import prometheus


def target(health="up", **more):
    return {"labels": {"job": "worker", "pod": "worker-1"}, "scrapeUrl": "http://10.0.0.1:9808/metrics", "health": health, **more}


def test_all_up_is_one_pass():
    (finding,) = prometheus.judge([target(), target()], ["worker"], 3.0)
    assert (finding.verdict, finding.evidence["targets"], finding.evidence["jobs"]) == ("pass", 2, {"worker": 2})


def test_each_target_that_is_down_is_named_with_its_error():
    down = target("down", lastError='Get "http://u:geheim@10.0.0.1/": connection refused')
    found = prometheus.judge([target(), down, target("unknown")], [], 60.0)
    assert [finding.verdict for finding in found] == ["fail", "fail"]
    assert "worker on worker-1 is down after 60 s" in found[0].message
    assert "geheim" not in found[0].message
    assert "not scraped yet" in found[1].message
    assert prometheus.unsettled([target(), down], ["api"]) == ["worker on worker-1", "api"]


def test_no_target_at_all_is_a_failure():
    assert prometheus.judge([], [], 60.0)[0].verdict == "fail"


def test_a_workload_that_nobody_scrapes_is_a_failure_although_all_targets_are_up():
    (finding,) = prometheus.judge([target()], ["worker", "api"], 60.0)
    assert (finding.verdict, "no target of api" in finding.message) == ("fail", True)


def rule(name="Slow", query="(rate(x[5m])) > 0.2", **more):
    return {"type": "alerting", "name": name, "query": query, "health": "ok", "state": "inactive", "alerts": [], **more}


def test_an_alert_is_asked_without_its_threshold_and_a_panel_as_it_is():
    dashboards = {"overview.json": '{"panels": [{"title": "Up", "targets": [{"expr": "up > 0"}]}]}'}
    rules = [rule(), rule("Down", "(up) == 0"), rule("Disk", "(a - b) < 1.073741824e+10"), rule("Absent", "absent(up)")]
    assert [(one.what, one.query) for one in prometheus.questions(rules, dashboards)] == [
        ("alert Slow", "(rate(x[5m]))"),
        ("alert Down", "(up)"),
        ("alert Disk", "(a - b)"),
        ("alert Absent", "absent(up)"),
        ('panel "Up"', "up > 0"),
    ]


@pytest.mark.parametrize("text", ["", "{}", '{"panels": [{"title": "x"}]}', "[1]"])
def test_what_is_no_dashboard_is_named(text):
    with pytest.raises(ValueError, match=r"overview\.json in ConfigMap hsc-jit-dashboards is no dashboard"):
        prometheus.questions([], {"overview.json": text})


def test_a_query_without_series_and_one_that_is_refused_are_named():
    full, empty, wrong = (prometheus.Question(f"panel {name}", name) for name in ("full", "empty", "wrong"))
    answers = {
        full: {"status": "success", "data": {"result": [{"value": [0, "NaN"]}]}},
        empty: {"status": "success", "data": {"result": []}},
        wrong: {"status": "error", "error": "parse error"},
    }
    silent = prometheus.unanswered([full, empty, wrong], answers)
    assert silent == [(empty, "no series"), (wrong, "parse error")]
    found = prometheus.judge_answers([full, empty, wrong], silent, 60.0)
    assert [finding.message for finding in found] == [
        "Panel empty has no data after 60 s: no series",
        "Panel wrong has no data after 60 s: parse error",
    ]
    (good,) = prometheus.judge_answers([full], [], 1.0)
    assert good.verdict == "pass"


def test_a_rule_that_cannot_be_evaluated_fails_and_an_alert_that_fires_is_told():
    firing = rule(
        "RedisDown",
        state="firing",
        annotations={"runbook_url": "https://x/RedisDown.md"},
        alerts=[{"annotations": {"summary": "Redis is away"}, "activeAt": "2026-11-24T04:00:00Z"}],
    )
    broken, warned = prometheus.judge_rules([rule(health="err", lastError="many-to-many matching"), firing, rule("Fine")])
    assert (broken.verdict, "many-to-many matching" in broken.message) == ("fail", True)
    assert (warned.verdict, warned.message, warned.next_step) == (
        "warn",
        "Alert RedisDown is firing: Redis is away",
        "See https://x/RedisDown.md",
    )
    assert prometheus.judge_rules([])[0].verdict == "fail"
