"""The phase verify as an operator runs it, on the product that `make deploy` left."""

import base64
import json
import os

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from playbook import play

pytestmark = pytest.mark.cluster


def test_the_product_is_verified_and_no_secret_gets_into_the_evidence(kubeconfig, tmp_path):
    """Afterwards every secret is looked for in every file of the evidence."""
    namespace = os.environ.get("HSC_TEST_NAMESPACE", "hsc-jit")
    settings = {
        "release_kubeconfig": kubeconfig,
        "release_namespace": namespace,
        "release_url": os.environ.get("HSC_TEST_URL", "http://127.0.0.1:8000"),
        "release_evidence_dir": str(tmp_path),
    }
    run = play("playbooks/verify.yml", **settings)
    assert run.returncode == 0, run.stdout

    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir()} == {
        "journal.jsonl",
        "checklist.json",
        "report.html",
        "junit.xml",
        "summary.md",
        "page.png",
    }
    checklist = json.loads((folder / "checklist.json").read_text())
    assert checklist["verdict"] == "go"
    rows = {row["id"]: row["verdict"] for row in checklist["rows"] if row["phase"] == "verify"}
    assert set(rows) == {f"VF-0{number}" for number in range(1, 10)}
    assert rows.pop("VF-07") in ("pass", "skipped")  # whether this cluster enforces NetworkPolicies
    assert rows.pop("VF-08") in ("pass", "skipped")  # whether this environment has a Grafana
    assert set(rows.values()) <= {"pass", "warn"}

    cluster = connect({"kubeconfig": kubeconfig, "namespace": namespace})
    secrets = [cluster.get(f"{cluster.namespaced('secrets')}/{name}")["data"] for name in ("hsc-secrets", "hsc-jit-generated")]
    written = run.stdout + "".join(path.read_text() for path in folder.iterdir() if path.suffix != ".png")
    values = {name: value for data in secrets for name, value in data.items() if len(value) >= 20}  # a shorter one is a word
    assert {"redis-password", "postgres-password", "token-key"} <= set(values)
    for name, value in values.items():
        assert base64.b64decode(value).decode() not in written, name
        assert value not in written, name
