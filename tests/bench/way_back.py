"""How long from the gate that fails to the release before it, running and verified? Whole deployments of the product, on its own cluster.

    PYTHONPATH=.collections .venv/bin/python tests/bench/way_back.py --rounds 5

Each round deploys another log level, so that every pod with settings is replaced, and asks the page for a product that nobody has, so that
VF-02 fails. What is measured, by the journal's times: from the last finding of the verification that failed to the first RO-03, which says
that the release before is back and ready; and to the last, which says how its own verification ended.
"""

import argparse
import json
import statistics
import sys
import tempfile
from datetime import datetime
from pathlib import Path

from ansible_collections.hsc.jit.plugins.module_utils._kube.kubeconfig import connect
from ansible_collections.hsc.jit.plugins.module_utils._release import applier, record

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/integration")]
from deployment import SHORT_LOAD  # noqa: E402
from playbook import play  # noqa: E402


def findings(folder):
    """(moment, row) of the journal."""
    (journal,) = folder.glob("*/journal.jsonl")
    entries = map(json.loads, journal.read_text().splitlines())
    return [(datetime.fromisoformat(one["time"]), one["data"]["id"]) for one in entries if one["kind"] == "finding"]


def measured(kubeconfig, images, level):
    """Seconds from the gate to the release before, and to its verification."""
    with tempfile.TemporaryDirectory() as folder:
        values = {"release_images": images, "release_log_level": level, "release_evidence_dir": folder}
        failing = {"verify_load": SHORT_LOAD, "verify_expected_product": "Nobody's product"}
        done = play("deploy.yml", kubeconfig=kubeconfig, **values, **failing)
        found = findings(Path(folder))
    gates, backs = ([moment for moment, row in found if row.startswith(rows)] for rows in ("VF-", "RO-03"))
    assert len(backs) > 1, f"nothing was put back and verified: {done.stdout[-3000:]}"
    gate, back, end = max(gates), min(backs), max(backs)
    return (back - gate).total_seconds(), (end - gate).total_seconds()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", default="/var/lib/hsc-jit-local/kubeconfig")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    cluster = connect({"kubeconfig": chosen.kubeconfig, "namespace": "hsc-jit"})
    images = record.newest(applier.read_releases(cluster)).images
    now = cluster.get(cluster.namespaced("configmaps/hsc-jit-config"))["data"]["HSC_LOG_LEVEL"]  # and after each round, too
    other = "WARNING" if now == "DEBUG" else "DEBUG"
    rounds = [measured(chosen.kubeconfig, images, other) for _ in range(chosen.rounds)]
    for title, values in zip(("back and ready", "verified"), zip(*rounds, strict=True), strict=True):
        print(f"{title}: {statistics.median(values):.1f} s ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
