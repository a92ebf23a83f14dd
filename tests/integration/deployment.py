"""A test deploys as an operator does: deploy.yml to its end, and what it left as evidence."""

import json
import time

from playbook import play

SHORT_LOAD = {"rate_per_second": 50, "seconds": 3, "sockets": 40}  # enough answers to judge


class Deployment:
    """One run of deploy.yml. findings: its journal's. Without a kubeconfig the local cluster is brought up first, and images are built."""

    def __init__(self, evidence, *flags, kubeconfig="", **variables):
        extra = {"release_evidence_dir": str(evidence), "verify_load": SHORT_LOAD, **variables}
        started = time.monotonic()
        result = play("deploy.yml", *flags, kubeconfig=kubeconfig, **extra)
        self.seconds = time.monotonic() - started
        self.returncode, self.output = result.returncode, result.stdout
        journals = sorted(evidence.glob("*/journal.jsonl"))
        assert journals, self.output[-3000:]
        entries = map(json.loads, journals[-1].read_text().splitlines())
        self.findings = [entry["data"] for entry in entries if entry["kind"] == "finding"]

    def messages(self, row, verdict):
        return [f"{one['message']} {one['next_step']}" for one in self.findings if (one["id"], one["verdict"]) == (row, verdict)]
