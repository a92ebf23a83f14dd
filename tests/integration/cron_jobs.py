"""The product's CronJobs, run now, and a pod that sees the backups they write."""

import secrets
from contextlib import contextmanager
from dataclasses import dataclass

from ansible_collections.hsc.jit.plugins.module_utils._backup import scratch
from waiting import until


@dataclass
class Ended:
    """One Job. said: {container: its log}."""

    good: bool
    pod: str
    said: dict[str, str]


@contextmanager
def run_now(product, cron_job):
    """A Job as the CronJob of that name makes it, to its end; it is gone afterwards."""
    jobs, name = product.namespaced("jobs", "/apis/batch/v1"), f"{cron_job}-test-{secrets.token_hex(3)}"
    spec = product.get(product.namespaced("cronjobs", "/apis/batch/v1") + f"/{cron_job}")["spec"]["jobTemplate"]["spec"]
    product.create(jobs, {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {**spec, "backoffLimit": 0}})

    def ended():
        conditions = product.get(f"{jobs}/{name}")["status"].get("conditions", [])
        return [one["type"] for one in conditions if one["type"] in ("Complete", "Failed") and one["status"] == "True"]

    try:
        (verdict,) = until(ended, 120, f"for {name}".format)
        (pod,) = product.list(product.namespaced("pods"), labelSelector=f"job-name={name}")
        said = {one["name"]: product.logs(pod["metadata"]["name"], one["name"]) for one in pod["spec"]["containers"]}
        yield Ended(verdict == "Complete", pod["metadata"]["name"], said)
    finally:
        product.delete(f"{jobs}/{name}")


@contextmanager
def backups_pod(product, image):
    """The name of a pod whose container ``scratch`` has the backups under /backups."""
    pod = scratch.scratch_pod(f"hsc-jit-backups-test-{secrets.token_hex(3)}", image, {})
    pod["spec"]["volumes"].append({"name": "backups", "persistentVolumeClaim": {"claimName": "hsc-jit-backups"}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "backups", "mountPath": "/backups"})
    product.create(product.namespaced("pods"), pod)
    name = pod["metadata"]["name"]
    path = f"{product.namespaced('pods')}/{name}"
    try:
        until(lambda: product.get(path)["status"]["phase"] == "Running")
        yield name
    finally:
        product.delete(path, grace_seconds=0)
