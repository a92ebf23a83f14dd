"""Three alerts from end to end: something dies, Prometheus sees it, Alertmanager tells a webhook, and tells it again when it is over."""

import json
import time

import pytest
from deployment import Deployment
from waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
# alert: the workload without which it fires
BROKEN = {
    "CeleryWorkerDown": "/apis/apps/v1/namespaces/hsc-jit/deployments/hsc-jit-worker",
    "CacheDown": "/apis/apps/v1/namespaces/hsc-jit/deployments/hsc-jit-redis-cache",
    "PostgresDown": "/apis/apps/v1/namespaces/hsc-jit/statefulsets/hsc-jit-postgres",
}
RECEIVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(200)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.HTTPServer(("", 8080), Handler).serve_forever()
"""


@pytest.fixture
def receiver(cluster, images):
    """A webhook in a pod of its own: (address, a function that returns what it was told)."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "receiver", "image": images["service"], "command": ["python", "-c", RECEIVER], "securityContext": security}
    pod_security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    body = {"metadata": {"name": "receiver"}, "spec": {"containers": [container], "securityContext": pod_security}}
    cluster.create(cluster.namespaced("pods"), body)
    path = cluster.namespaced("pods") + "/receiver"

    def status():
        found = cluster.get(path)["status"]
        return found["podIP"] if found["phase"] == "Running" else ""

    address = until(status, 60, lambda: json.dumps(cluster.get(path)["status"]))
    return f"http://{address}:8080/", lambda: [json.loads(line) for line in cluster.logs("receiver", "receiver").splitlines() if line]


def told(messages, alert, status):
    """When the alert first came with this status, by its own time."""
    return [one for message in messages for one in message["alerts"] if (one["labels"]["alertname"], one["status"]) == (alert, status)]


def test_what_dies_is_told_and_what_is_back_too(product, receiver, tmp_path):
    url, messages = receiver
    inventory_values = {"redis-url": "redis://hsc-jit-redis:6379/0", "gemini-key": "not-set-offline-answers-only"}
    run = Deployment(tmp_path / "with", release_alert_webhook=True, release_secret_values={**inventory_values, "alert-webhook-url": url})
    assert run.returncode == 0, run.output[-4000:]
    before = {alert: product.get(path)["spec"]["replicas"] for alert, path in BROKEN.items()}
    try:
        seconds = {"firing": {}, "resolved": {}}
        for status in ("firing", "resolved"):
            began = time.monotonic()
            for alert, path in BROKEN.items():
                product.patch_merge(path, {"spec": {"replicas": 0 if status == "firing" else before[alert]}})
            for alert in BROKEN:
                until(lambda alert=alert, status=status: told(messages(), alert, status), 300, f"for {alert} {status}".format)
                seconds[status][alert] = round(time.monotonic() - began)
        print(f"seconds from the fault to the message: {seconds['firing']}; from its end: {seconds['resolved']}")
        first = told(messages(), "PostgresDown", "firing")[0]
        assert first["labels"]["severity"] == "critical"
        assert first["annotations"]["runbook_url"].endswith("/PostgresDown.md")
        assert first["annotations"]["summary"].startswith("PostgreSQL does not answer")
    finally:
        for alert, path in BROKEN.items():
            product.patch_merge(path, {"spec": {"replicas": before[alert]}})
        last = Deployment(tmp_path / "without")
        product.patch_merge(product.namespaced("secrets") + "/hsc-secrets", {"data": {"alert-webhook-url": None}})
    assert last.returncode == 0, last.output[-4000:]
