"""As AWX runs it, through ansible-runner: what a controller stores of a run holds no secret, and no event is too big for it."""

import base64
import json
import os
import sys
from pathlib import Path

import ansible_runner
import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.discovery import in_parallel
from deployment import SHORT_LOAD
from playbook import ROOT

FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # ansible-runner starts the playbook in a pty
pytestmark = [pytest.mark.cluster, pytest.mark.slow, FORKS]
SEED = "CANARY-7f3a-not-a-key"
KEPT = ("configmaps", "events", "pods")  # what a run leaves in the namespace beside Secrets
EVENT_BYTES, STATS_BYTES = 64 * 1024, 16 * 1024


class Job:
    """A playbook's run under ansible-runner. written: {file: content} of all that it left but its inputs."""

    def __init__(self, folder, book, kubeconfig, **values):
        private, evidence = folder / "private", folder / "evidence"
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "KUBECONFIG": kubeconfig, "PATH": programs}
        private.mkdir()
        run = ansible_runner.run(
            private_data_dir=str(private), project_dir=str(ROOT), inventory=str(ROOT / "inventories/local"), playbook=book,
            cmdline="-vvv --diff", envvars=environment, extravars={"release_evidence_dir": str(evidence), **values}, ident="run",
            quiet=True,
        )  # fmt: skip
        self.returncode = run.rc
        paths = [path for part in (private / "artifacts", evidence) for path in part.rglob("*") if path.is_file()]
        self.written = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
        self.events = [json.loads(content) for name, content in self.written.items() if "/job_events/" in name]
        self.output = (private / "artifacts/run/stdout").read_text()

    def big_events(self):
        sizes = [(len(json.dumps(one)), one["event"], (one.get("event_data") or {}).get("task")) for one in self.events]
        return [one for one in sizes if one[0] > EVENT_BYTES]

    def stats(self):
        """What the job hands to the next one of a workflow."""
        (end,) = [one["event_data"] for one in self.events if one["event"] == "playbook_on_stats"]
        return end.get("artifact_data") or {}


@pytest.fixture
def secret(product):
    path = product.namespaced("secrets/hsc-secrets")
    before = product.get(path)["data"]
    yield path
    product.patch_merge(path, {"data": before})


def test_a_rotated_secret_shows_nowhere_and_no_event_is_too_big(product, kubeconfig, images, secret, tmp_path):
    address = base64.b64decode(product.get(secret)["data"]["redis-url"]).decode()
    job = Job(
        tmp_path, "deploy.yml", kubeconfig, release_images=images, release_log_level="WARNING", verify_load=SHORT_LOAD,
        release_secret_values={"redis-url": address, "gemini-key": SEED}, verify_expected_product="No such product",
    )  # fmt: skip
    assert job.returncode == 2, job.output[-3000:]
    assert "VF-02 fail" in job.output and "No such product" in job.output, "the failing row still says what is wrong"
    assert base64.b64decode(product.get(secret)["data"]["gemini-key"]).decode() == SEED, "it was rotated"
    words = (SEED, base64.b64encode(SEED.encode()).decode())
    assert len(job.written) > 100
    assert [name for name, content in job.written.items() if any(word.encode() in content for word in words)] == []
    left = json.dumps([product.list(product.namespaced(plural)) for plural in KEPT])
    assert not [word for word in words if word in left]
    assert job.big_events() == []
    assert len(json.dumps(job.stats())) <= STATS_BYTES
    told = job.stats()["hsc_jit"]
    assert told["verdict"] == "no-go" and Path(told["report"]).is_file()


@pytest.fixture
def crowd(product):
    """3,000 ConfigMaps that are not ours."""
    path, label = product.namespaced("configmaps"), {"test": "crowd"}

    def create(number):
        product.create(path, {"metadata": {"name": f"foreign-{number}", "labels": label}, "data": {"text": "x" * 200}})

    in_parallel(create, range(3000))
    yield
    product.request("DELETE", path, {"labelSelector": "test=crowd"})


def test_thousands_of_foreign_objects_change_nothing(product, kubeconfig, crowd, tmp_path):
    job = Job(tmp_path, "playbooks/drift.yml", kubeconfig)
    assert job.returncode == 0, job.output[-3000:]
    assert "foreign-" not in job.output
    assert job.big_events() == []
