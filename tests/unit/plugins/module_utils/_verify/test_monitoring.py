import json
from datetime import UTC, datetime

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._module import Context
from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress
from ansible_collections.hsc.jit.plugins.module_utils._verify import monitoring
from ansible_collections.hsc.jit.plugins.module_utils._verify.monitoring import Monitoring, Prometheus
from fake_clock import FakeClock
from memory_api import MemoryApiServer

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
BASE = "/api/v1/namespaces/hsc-jit"
PROMETHEUS = f"{BASE}/services/hsc-jit-prometheus:9090/proxy/api/v1"
RULE = {"type": "alerting", "name": "Slow", "query": "(slow) > 1", "health": "ok", "state": "inactive"}
DASHBOARD = json.dumps({"panels": [{"title": "Requests", "targets": [{"expr": "requests"}]}]})


def target(job="api", health="up"):
    return {"labels": {"job": job, "pod": f"{job}-1"}, "health": health}


def cluster_of(targets, series=None, dashboard=DASHBOARD):
    """Prometheus behind the API server: its targets and series come one after the other, the last answer stays; and a Grafana."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "hsc-jit-dashboards"}, "data": {"overview.json": dashboard}}
    server, targets, series = MemoryApiServer(*([config] if dashboard else [])), list(targets), series or {"slow": [[1]], "requests": [[1]]}

    def following(answers):
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def query(method, asked, body):
        found = following(series[asked["query"].strip("()")])
        return ApiError(400, "BadRequest", "parse error") if found == "refused" else {"status": "success", "data": {"result": found}}

    server.answers |= {
        f"{PROMETHEUS}/targets": lambda *_: {"data": {"activeTargets": following(targets)}},
        f"{PROMETHEUS}/rules": {"data": {"groups": [{"rules": [RULE]}]}},
        f"{PROMETHEUS}/query": query,
        f"{BASE}/services/hsc-jit-grafana:3000/proxy/api/health": {"database": "ok", "version": "12.0"},
    }
    return server.cluster()


def check(cluster):
    """(findings, seconds waited)"""
    clock = FakeClock()
    context = Context({}, False, Progress(), cluster, lambda: NOW, clock)
    found = monitoring.check_monitoring(context, Monitoring(Prometheus(), ["api"], 10.0))
    return found, clock.now


def test_targets_and_series_that_come_late_are_waited_for():
    cluster = cluster_of([[], [target(health="unknown")], [target()]], {"slow": [[1]], "requests": [[], [1]]})
    found, seconds = check(cluster)
    assert ([finding.verdict for finding in found], seconds) == (["pass", "pass"], 6.0)
    assert found[1].message == "The queries of all 1 alerts and 1 panels return series."


def test_a_target_that_stays_down_is_named_when_the_time_is_over():
    found, seconds = check(cluster_of([[target(), target("db", "down")]]))
    assert seconds == 10.0
    assert [finding.verdict for finding in found] == ["fail"]
    assert "db on db-1 is down after 10 s" in found[0].message


def test_a_panel_without_data_and_a_query_that_is_refused_are_failures():
    found, _ = check(cluster_of([[target()]], {"slow": ["refused"], "requests": [[]]}))
    assert [finding.verdict for finding in found] == ["pass", "fail", "fail"]
    assert "Alert Slow has no data after 10 s: parse error" in found[1].message
    assert 'Panel "Requests" has no data after 10 s: no series' in found[2].message


@pytest.mark.parametrize(
    ("dashboard", "said"), [("", "has no dashboard"), ("{}", "overview.json in ConfigMap hsc-jit-dashboards is no dashboard")]
)
def test_without_a_dashboard_nothing_is_clean(dashboard, said):
    found, _ = check(cluster_of([[target()]], dashboard=dashboard))
    assert [finding.verdict for finding in found] == ["fail"]
    assert said in found[0].message


def test_grafana_is_asked_where_there_is_one():
    assert monitoring.check_grafana(cluster_of([[]]), deployed=True).verdict == "pass"
    absent = monitoring.check_grafana(cluster_of([[]]), deployed=False)
    assert (absent.verdict, "release_grafana is false" in absent.message) == ("skipped", True)
