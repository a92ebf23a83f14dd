"""The deployed pods from inside, by testinfra's kubectl backend."""

import json
import os
import subprocess

import pytest
import testinfra

NAMESPACE = os.environ.get("HSC_NAMESPACE", "hsc-jit")


def pod(workload):
    output = subprocess.run(
        ["kubectl", "get", "pods", "-n", NAMESPACE, "-l", f"app={workload}", "-o", "json"], capture_output=True, check=True, text=True
    ).stdout
    running = [item for item in json.loads(output)["items"] if item["status"]["phase"] == "Running"]
    assert running, f"no running pod of {workload}"
    return running[0]["metadata"]["name"]


def inside(workload):
    return testinfra.get_host(f"kubectl://{pod(workload)}?namespace={NAMESPACE}")


@pytest.mark.parametrize("workload", ["hsc-jit-backend", "hsc-jit-answer", "hsc-jit-worker", "hsc-jit-beat"])
def test_the_service_runs_without_root_on_a_read_only_root(workload):
    host = inside(workload)
    assert host.check_output("id -u") == "10001"
    assert host.run("touch /srv/app/x").rc != 0
    assert host.run("touch /tmp/x").rc == 0


def test_the_guides_celery_command_works_in_the_workers_pod():
    result = inside("hsc-jit-worker").run("celery -A app.core.tasks inspect active")
    assert result.rc == 0, result.stderr
    assert "1 node online" in result.stdout


def test_redis_keeps_state_and_wants_a_password():
    host = inside("hsc-jit-redis")
    without = host.run("env -u REDISCLI_AUTH redis-cli PING")  # the pod itself knows the password
    assert "NOAUTH" in without.stdout + without.stderr
