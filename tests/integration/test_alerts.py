"""Every alert by promtool, of the very version and with the very rules that the product runs: it must fire, and must not."""

import pytest
import yaml
from ansible_collections.hsc.jit.plugins.module_utils._verify import prometheus

pytestmark = pytest.mark.cluster


def histogram(name, le, share):
    """Of 100 observations a step, the share that took no longer than le; all took less than twice as long."""
    within = {le: 100 * share, 2 * le: 100, "+Inf": 100}
    return {f'{name}_bucket{{le="{bound}"}}': f"0+{count:g}x90" for bound, count in within.items()}


def up(job, value):
    return {f'up{{job="{job}", instance="10.0.0.1", pod="{job}-1"}}': f"{value}x90"}


def http(errors):
    """Errors among 1000 requests a step."""
    return {'http_requests_total{status="200"}': f"0+{1000 - errors}x90", 'http_requests_total{status="503"}': f"0+{errors}x90"}


def disk(device, size, used):
    labels = f'{{id="/", node="a", device="{device}"}}'
    return {f"container_fs_limit_bytes{labels}": f"{size * GIB}x90", f"container_fs_usage_bytes{labels}": f"{used * GIB}x90"}


GIB = 1024**3
STATE, CACHE = '{job="hsc-jit-redis-exporter"}', '{job="hsc-jit-redis-cache"}'
ANSWERS = 'answer_generation_seconds_count{outcome="%s"}'
# alert: (what is well, what is not), each 15 minutes of a value every 10 seconds
CASES = {
    "BackendDown": (up("hsc-jit-backend", 1), up("hsc-jit-backend", 0)),
    "TargetDown": (up("hsc-jit-worker", 1), up("hsc-jit-worker", 0)),
    "PodRestarts": (
        {'process_start_time_seconds{job="a", pod="a-1"}': "100x40 200x40"},
        {'process_start_time_seconds{job="a", pod="a-1"}': "100x20 200x20 300x20 400x20"},
    ),
    "HttpErrors": (http(9), http(12)),
    "HttpSlow": (histogram("http_request_duration_seconds", 0.2, 0.96), histogram("http_request_duration_seconds", 0.2, 0.94)),
    "TypingSlow": (histogram("prediction_latency_seconds", 0.05, 0.96), histogram("prediction_latency_seconds", 0.05, 0.94)),
    "AnswersSlow": (histogram("answer_generation_seconds", 30, 0.96), histogram("answer_generation_seconds", 30, 0.94)),
    "AnswersFail": (
        {ANSWERS % "answered": "0+96x90", ANSWERS % "gave_up": "0+4x90"},
        {ANSWERS % "answered": "0+94x90", ANSWERS % "gave_up": "0+3x90", ANSWERS % "provider_failed": "0+3x90"},
    ),
    "RedisDown": ({f"redis_up{STATE}": "1x90"}, {f"redis_up{STATE}": "0x90", f"redis_up{CACHE}": "1x90"}),
    "RedisMemoryHigh": (
        {f"redis_memory_used_bytes{STATE}": "84x90", f"redis_memory_max_bytes{STATE}": "100x90"},
        {f"redis_memory_used_bytes{STATE}": "86x90", f"redis_memory_max_bytes{STATE}": "100x90"},
    ),
    "RedisCannotSave": ({f"redis_aof_last_write_status{STATE}": "1x90"}, {f"redis_aof_last_write_status{STATE}": "0x90"}),
    "CacheDown": ({f"redis_up{CACHE}": "1x90", f"redis_up{STATE}": "0x90"}, {f"redis_up{CACHE}": "0x90"}),
    "PostgresDown": ({"pg_up": "1x90"}, {"pg_up": "0x90"}),
    "PostgresConnectionsHigh": (
        {'pg_stat_database_numbackends{datname="hsc"}': "79x90", "pg_settings_max_connections": "100x90"},
        {'pg_stat_database_numbackends{datname="hsc"}': "81x90", "pg_settings_max_connections": "100x90"},
    ),
    "CeleryWorkerDown": ({"celery_worker_up": "1x90"}, {"celery_worker_up": "0x90"}),
    "CeleryTasksFail": ({'celery_task_failed_total{name="t"}': "0x80 1x9"}, {'celery_task_failed_total{name="t"}': "0x40 20x49"}),
    "CeleryQueueLong": ({'celery_queue_length{queue_name="fetch"}': "100x90"}, {'celery_queue_length{queue_name="fetch"}': "101x90"}),
    "CeleryQueueStuck": (
        {'celery_queue_length{queue_name="fetch"}': "3x90", 'celery_task_succeeded_total{name="app.core.tasks.fetch_manual"}': "0+1x90"},
        {
            'celery_queue_length{queue_name="fetch"}': "3x90",
            'celery_task_succeeded_total{name="app.core.tasks.fetch_manual"}': "7x90",
            'celery_task_succeeded_total{name="app.core.tasks.clean_cache"}': "0+1x90",
        },
    ),
    "AlertsNotDelivered": (
        {'alertmanager_notifications_failed_total{integration="webhook"}': "3x90"},
        {'alertmanager_notifications_failed_total{integration="webhook"}': "0x70 1x19"},
    ),
    "NodeDiskLow": (
        {**disk("/dev/sda1", 100, 89), **disk("/dev/sda15", 1, 1), **disk("/dev/shm", 60, 59)},
        {**disk("/dev/sda1", 100, 89), **disk("/dev/sdb1", 100, 91)},
    ),
}


def promtool(product, *argv, stdin=b""):
    pods = product.list(product.namespaced("pods"), labelSelector="app=hsc-jit-prometheus")
    (pod,) = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"]
    done = product.exec(pod, "prometheus", ["promtool", *argv], stdin=stdin, timeout_seconds=60)
    return done.returncode, done.stdout.decode() + done.stderr


def firing(alert, series, count):
    """One of promtool's tests: how many times the alert fires in the fifteenth minute."""
    return {
        "name": f"{alert} {'fires' if count else 'does not fire'}",
        "interval": "10s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
                "eval_time": "14m50s",
                "exp_samples": [{"labels": "{}", "value": count}] if count else [],
            }
        ],
    }


def test_prometheus_own_tool_finds_no_fault_in_its_configuration(product):
    code, said = promtool(product, "check", "config", "/etc/prometheus/prometheus.yml")
    assert code == 0, said
    assert f"{len(CASES)} rules found" in said


def test_every_alert_fires_and_stays_silent_when_it_should(product):
    tests = [firing(alert, series, count) for alert, cases in CASES.items() for count, series in enumerate(cases)]
    document = {"rule_files": ["/etc/prometheus/rules.yml"], "evaluation_interval": "10s", "tests": tests}
    code, said = promtool(product, "test", "rules", "/dev/stdin", stdin=yaml.safe_dump(document).encode())
    assert code == 0, said


def test_a_test_of_an_alert_can_fail(product):
    document = {"rule_files": ["/etc/prometheus/rules.yml"], "tests": [firing("PostgresDown", {"pg_up": "1x90"}, 1)]}
    code, said = promtool(product, "test", "rules", "/dev/stdin", stdin=yaml.safe_dump(document).encode())
    assert code != 0
    assert "PostgresDown" in said


def test_each_alert_of_the_live_product_has_a_test(product):
    rules = product.get(product.namespaced("services") + "/hsc-jit-prometheus:9090/proxy/api/v1/rules", type="alert")
    assert {rule["name"] for rule in prometheus.alerts(rules["data"])} == set(CASES)
