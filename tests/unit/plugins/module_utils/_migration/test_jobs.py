"""What a migration's Job is made of, and what it says."""

import json

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._migration import jobs

IMAGE = "registry/hsc-jit@sha256:" + "a" * 64
WORKLOAD = {
    "kind": "Deployment",
    "metadata": {"name": "hsc-jit-answer"},
    "spec": {
        "template": {
            "spec": {
                "affinity": {"podAntiAffinity": {}},
                "containers": [
                    {
                        "name": "answer",
                        "image": "old",
                        "command": ["python", "-m", "app.answer"],
                        "ports": [{"containerPort": 8000}],
                        "livenessProbe": {},
                        "readinessProbe": {},
                        "lifecycle": {"preStop": {}},
                        "env": [{"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "hsc-jit", "key": "database-url"}}}],
                        "securityContext": {"readOnlyRootFilesystem": True},
                    }
                ],
                "securityContext": {"runAsNonRoot": True},
            }
        }
    },
}


def test_the_job_has_the_workloads_settings_and_security_and_nothing_that_serves():
    spec = jobs.job(WORKLOAD, IMAGE, "run")["spec"]
    pod = spec["template"]["spec"]
    container = pod["containers"][0]
    assert container["env"] == WORKLOAD["spec"]["template"]["spec"]["containers"][0]["env"]
    assert container["securityContext"] == {"readOnlyRootFilesystem": True}
    assert container["image"] == IMAGE
    assert pod["securityContext"] == {"runAsNonRoot": True}
    assert pod["restartPolicy"] == "Never"
    assert spec["backoffLimit"] == 0
    assert {"ports", "lifecycle", "livenessProbe", "readinessProbe"} & container.keys() == set()
    assert "affinity" not in pod
    assert WORKLOAD["spec"]["template"]["spec"]["containers"][0]["image"] == "old"


def test_one_image_has_one_name():
    names = {jobs.job(WORKLOAD, image, action)["metadata"]["name"] for image in (IMAGE, IMAGE, "other") for action in ("plan", "run")}
    assert len(names) == 4


def test_a_plan_looks_and_a_run_acts():
    pods = [jobs.job(WORKLOAD, IMAGE, action)["spec"]["template"]["spec"] for action in ("plan", "run")]
    assert [pod["containers"][0]["command"] for pod in pods] == [
        ["python", "-m", "app.migrate", "--current"],
        ["python", "-m", "app.migrate"],
    ]


def test_objects_without_the_workload_are_an_error_that_says_which():
    with pytest.raises(ValueError, match="hsc-jit-answer"):
        jobs.workload_of([{"kind": "Deployment", "metadata": {"name": "other"}}])


def test_a_job_ends_when_nobody_waits_for_it_any_more():
    made = jobs.job(WORKLOAD, IMAGE, "run", "--lock-timeout-seconds=3", seconds=77)
    assert made["spec"]["activeDeadlineSeconds"] == 77
    assert made["spec"]["template"]["spec"]["containers"][0]["command"][-1] == "--lock-timeout-seconds=3"


@pytest.mark.parametrize("plan", [{"head": "9", "steps": []}, {"refused": "There are 2 heads, a and b"}])
def test_the_plan_is_found_among_log_lines(plan):
    assert jobs.parse_plan(f'{{"level": "info"}}\n{json.dumps(plan)}\nbye\n') == plan


@pytest.mark.parametrize("log", ["", "Traceback ...", '["head"]', '{"level": "info"}'])
def test_no_plan_is_an_error_with_the_logs_own_words(log):
    with pytest.raises(ValueError, match="printed no plan"):
        jobs.parse_plan(log)
