# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""VF-06 from what Prometheus' own API says: targets, alerts, and the data behind each alert and panel. Pure: no I/O."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._finding import Finding
from .logs import redact

_THRESHOLD = re.compile(r"\s*(?:==|!=|>=|<=|>|<)\s*[-+.\deE]+\s*$")


@dataclass(frozen=True)
class Question:
    """A query that must have an answer on a healthy product. what: ``alert HttpErrors`` or ``panel "HTTP errors"``."""

    what: str
    query: str


def unsettled(targets: Sequence[Mapping[str, Any]], jobs: Sequence[str]) -> list[str]:
    """Names of targets that are not up, and of jobs that have none (yet)."""
    found = {target.get("labels", {}).get("job") for target in targets}
    return [name(target) for target in targets if target.get("health") != "up"] + [job for job in jobs if job not in found]


def name(target: Mapping[str, Any]) -> str:
    """``hsc-jit-worker on hsc-jit-worker-5f7c`` or the instance's address."""
    labels = target.get("labels", {})
    where = labels.get("pod") or labels.get("node") or labels.get("instance") or target.get("scrapeUrl", "?")
    return f"{labels.get('job', '?')} on {where}"


def judge(targets: Sequence[Mapping[str, Any]], expected: Sequence[str], waited_seconds: float) -> list[Finding]:
    """Each target that is down and each expected job without a target, or one pass for all of them.

    A workload without pods has no target at all: only the list of jobs shows that it is not watched.
    """
    jobs = Counter(target.get("labels", {}).get("job", "?") for target in targets)
    evidence = {"targets": len(targets), "jobs": dict(jobs), "waited_seconds": round(waited_seconds, 1)}
    found = [_down(target, waited_seconds) for target in targets if target.get("health") != "up"]
    for job in [*expected] or ([] if targets else ["any job"]):
        if job not in jobs:
            step = f"kubectl get pods -l app={job}; kubectl logs deploy/hsc-jit-prometheus"
            found.append(Finding("VF-06", "fail", f"Prometheus has no target of {job} after {waited_seconds:.0f} s.", evidence, step))
    if found:
        return found
    return [Finding("VF-06", "pass", f"All {len(targets)} scrape targets of Prometheus are up, in {len(jobs)} jobs.", evidence)]


def _down(target: Mapping[str, Any], waited_seconds: float) -> Finding:
    error = redact(str(target.get("lastError") or "not scraped yet"))[:300]
    address = target.get("scrapeUrl", "?")
    message = f"Prometheus target {name(target)} is {target.get('health')} after {waited_seconds:.0f} s: {error}"
    evidence = {"url": address, "health": target.get("health"), "error": error, "last_scrape": target.get("lastScrape")}
    return Finding("VF-06", "fail", message, evidence, f"Look at what answers at {address}, and at the pod's NetworkPolicy.")


def alerts(rules: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The alerting rules in the answer of ``/api/v1/rules``."""
    return [rule for group in rules.get("groups") or [] for rule in group.get("rules") or [] if rule.get("type") == "alerting"]


def questions(rules: Sequence[Mapping[str, Any]], dashboards: Mapping[str, str]) -> list[Question]:
    """What alerts and panels ask. dashboards: Grafana's JSON by file name. ValueError: one of them is no dashboard."""
    found = [Question(f"alert {rule['name']}", _THRESHOLD.sub("", rule["query"])) for rule in rules]
    for file, text in dashboards.items():
        try:
            panels = json.loads(text)["panels"]
            found += [Question(f'panel "{panel["title"]}"', target["expr"]) for panel in panels for target in panel["targets"]]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{file} in ConfigMap hsc-jit-dashboards is no dashboard: {type(error).__name__}: {error}") from error
    return found


def unanswered(asked: Sequence[Question], answers: Mapping[Question, Mapping[str, Any]]) -> list[tuple[Question, str]]:
    """(question, why) for each that got an error or no series. answers: of ``/api/v1/query``."""
    return [(one, why) for one in asked if (why := _why_not(answers[one]))]


def _why_not(answer: Mapping[str, Any]) -> str:
    if answer.get("status") != "success":
        return redact(str(answer.get("error") or "Prometheus gave no answer"))[:300]
    return "" if (answer.get("data") or {}).get("result") else "no series"


def judge_rules(rules: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """A rule that cannot be evaluated fails; an alert that fires now is worth a look, and no fault of the monitoring."""
    if not rules:
        return [Finding("VF-06", "fail", "Prometheus has no alerting rule.", {}, "kubectl logs deploy/hsc-jit-prometheus")]
    found = []
    for rule in rules:
        if rule.get("health") != "ok":
            message = f"Alert {rule['name']} cannot be evaluated: {rule.get('lastError') or rule.get('health')}"
            found.append(Finding("VF-06", "fail", message, {"query": rule["query"]}, "Correct roles/rollout/vars/main/monitoring.yml."))
        elif rule.get("state") == "firing":
            page = (rule.get("annotations") or {}).get("runbook_url", "")
            said = [redact(str((one.get("annotations") or {}).get("summary", ""))) for one in rule.get("alerts") or []]
            message = f"Alert {rule['name']} is firing: {'; '.join(said) or 'see Prometheus'}"
            found.append(Finding("VF-06", "warn", message[:500], {"query": rule["query"], "since": _since(rule)}, f"See {page}"))
    return found


def _since(rule: Mapping[str, Any]) -> str:
    return min((str(one.get("activeAt")) for one in rule.get("alerts") or []), default="")


def judge_answers(asked: Sequence[Question], silent: Sequence[tuple[Question, str]], waited_seconds: float) -> list[Finding]:
    """Each alert and panel without data, or one pass for all of them."""
    step = "Who exports this metric? kubectl get --raw /api/v1/namespaces/NAMESPACE/services/hsc-jit-prometheus:9090/proxy/api/v1/targets"
    found = [
        Finding(
            "VF-06",
            "fail",
            f"{one.what[0].upper()}{one.what[1:]} has no data after {waited_seconds:.0f} s: {why}",
            {"query": one.query},
            step,
        )
        for one, why in silent
    ]
    kinds = Counter(one.what.partition(" ")[0] for one in asked)
    evidence = {**{f"{kind}s": count for kind, count in kinds.items()}, "waited_seconds": round(waited_seconds, 1)}
    message = f"The queries of all {kinds['alert']} alerts and {kinds['panel']} panels return series."
    return found or [Finding("VF-06", "pass", message, evidence)]
