# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The production checklist as data: one row for each id that a check really reports. Pure: no I/O.

``docs/CHECKLIST.md`` is generated from here, and a test compares ids with tasks, checks and document.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """id; phase = the role that reports it; line = the guide's line it carries out; proof = what makes it true."""

    id: str
    phase: str
    line: str
    proof: str

    @property
    def runbook(self) -> str:
        return f"docs/operations/RUNBOOK.md#{self.id.lower()}"


ROWS: tuple[Row, ...] = (
    Row(
        "QG-01",
        "quality",
        "Code: all tests passing, lints clean, code reviewed",
        "test report and clean tree at the commit that is deployed",
    ),
    Row(
        "QG-02",
        "quality",
        "Security: image scan clean, dependencies updated",
        "hash-pinned locks, an SBOM for each digest, a fresh scan report",
    ),
    Row(
        "QG-03",
        "quality",
        "Load Test: validated for 100+ concurrent users (Locust/K6)",
        "report for this digest: users, requests, failures, p95",
    ),
    Row(
        "QG-04",
        "quality",
        "Infra: cluster provisioned, Ingress configured, TLS certs ready",
        "version, Ingress class, certificate's chain, name, days",
    ),
    Row(
        "QG-05",
        "quality",
        "Access: DNS updated, Secrets configured in vault/k8s",
        "the name resolves to the Ingress; no placeholder among the secrets",
    ),
    Row(
        "PF-01",
        "preflight",
        "Pre-Flight: verify cluster health `kubectl get nodes`",
        "nodes Ready without pressure; metrics API answers for the HPA",
    ),
    Row("PF-02", "preflight", "Disk Space: ensure > 10 GB free for logs/metrics", "free bytes and inodes of every node, from its kubelet"),
    Row("PF-03", "preflight", "Manifests fit this cluster", "server-side dry run of every object with strict field validation"),
    Row("PF-04", "preflight", "Secrets configured in vault/k8s", "each referenced Secret and ConfigMap exists and has the keys"),
    Row("PF-05", "preflight", "The deployer may do what follows", "SelfSubjectAccessReview for each verb and kind of the release"),
    Row("PF-06", "preflight", "Docker registry access for pulling images", "each image is a digest and its manifest is there"),
    Row("PF-07", "preflight", "HPA, PDB and replicas agree", "cross-check of the rendered objects"),
    Row("PF-08", "preflight", "Nightly backup and restore drill work", "age of the last Job of each CronJob that succeeded"),
    Row("PF-09", "preflight", "Data stores run", "ready pods of each; container, exit code and log of one that does not"),
    Row("PF-90", "preflight", "One run at a time", "Kubernetes Lease with holder and expiry"),
    Row("BK-01", "backup", "Backups: trigger pre-migration backup of Redis", "RDB out of the pod with sha256, keys by type, TTLs"),
    Row("BK-02", "backup", "Backups: trigger pre-migration backup of SQL", "pg_dump -Fc out of the pod with sha256, rows by table"),
    Row("BK-03", "backup", "The backup restores", "restored into scratch servers and compared with the source"),
    Row("BK-04", "backup", "Old backups go, copies lie elsewhere", "the newest stay; off-site copies are read back and compared"),
    Row(
        "BK-05",
        "restore",
        "Restore: a snapshot's data is back in the product",
        "compared with a scratch server; workloads back, /ready answers",
    ),
    Row("MG-01", "migrate", "Migration: run schema migrations if applicable", "one Job at one revision with its log; needs a Snapshot"),
    Row(
        "MG-02",
        "migrate",
        "The way back is known before",
        "each revision is expand, contract or irreversible by its SQL; what a failure leads to is said first",
    ),
    Row(
        "RO-01",
        "rollout",
        "Rollout: apply manifests `kubectl apply -f kubernetes/`",
        "server-side apply of every object, recorded as a release",
    ),
    Row("RO-02", "rollout", "Rollout status of every workload", "one shared wait that reports failures with reason, log and events"),
    Row("RO-03", "rollout", "Automatic rollback", "whole product back to the recorded release, verified again"),
    Row("RO-04", "rollout", "Canary: a part of the users first", "pairs of answers and users' errors, by a sequential test"),
    Row("VF-01", "verify", "Health: `curl http://api.link/health` returns 200 OK", "through the door that users use"),
    Row("VF-02", "verify", "Frontend: main UI loads, search functions correctly", "headless Chromium types a product's name and sees it"),
    Row("VF-03", "verify", "Latency: API response time < 200ms", "p95 of an open-loop load of our own"),
    Row("VF-04", "verify", "Logs: no error spikes in `kubectl logs`", "error lines by component, before and after"),
    Row("VF-05", "verify", "Background tasks work", "every worker consumes its queues, and a task of our own passes each queue"),
    Row("VF-06", "verify", "Monitoring is alive", "every scrape target is up; the query of every alert and panel returns series"),
    Row("VF-07", "verify", "NetworkPolicies are enforced", "from inside a pod: an allowed door opens, a forbidden one does not"),
    Row("VF-08", "verify", 'Grafana: check "HSC-JIT Overview"', "Grafana answers, and its database is well"),
    Row(
        "VF-09",
        "verify",
        "Stability: no container ends after the rollout",
        "every container's last exit, until 30 s after the last new pod",
    ),
    Row("OP-01", "operate", "Restart: `kubectl rollout restart deployment/hsc-jit-backend`", "new pods one after the other, all ready"),
    Row("OP-02", "operate", "Celery: `celery -A app.core.tasks inspect active`", "each ready worker answers; what runs and what waits"),
    Row(
        "OP-03", "operate", "Flush: `redis-cli FLUSHDB`", "confirmed by the environment's name; of the cache alone, with the number of keys"
    ),
    Row("OP-04", "operate", "Logs: `kubectl logs -f -l app=hsc-jit-backend`", "the last lines of each pod, without secrets"),
    Row("OP-05", "operate", "Scale a workload", "refused where an autoscaler decides or one pod is the rule; all ready"),
    Row("OP-06", "operate", "Nobody changed anything by hand", "each object against the newest release; field, values, who and when"),
    Row("OP-07", "operate", "Evidence is what the run wrote", "the journal's chain of hashes; those of reports and backups in it"),
    Row("OP-08", "operate", "A node can be emptied for work on it", "by evictions alone, in bounded time; budgets and pods named"),
)
# Phases that are runs of their own: a deployment does not miss them.
APART = frozenset({"restore", "operate"})
BY_ID = {row.id: row for row in ROWS}


def as_markdown() -> str:
    """``docs/CHECKLIST.md``, whole."""
    lines = [
        "# The production checklist",
        "",
        "Generated from `plugins/module_utils/_checklist.py` by `make docs`; do not edit.",
        "",
        "| id | phase | line of the guide | what proves it | when it fails |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in ROWS:
        anchor = row.runbook.removeprefix("docs/")
        lines.append(f"| {row.id} | [{row.phase}](../roles/{row.phase}/tasks/main.yml) | {row.line} | {row.proof} | [runbook]({anchor}) |")
    return "\n".join(lines) + "\n"
