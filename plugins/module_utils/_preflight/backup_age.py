# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-08: did the nightly backup and the weekly restore drill work lately? Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from .._finding import Finding

_STEP = "kubectl get jobs -l app={name}; kubectl logs job/<the newest> --all-containers. {now}"


@dataclass(frozen=True)
class Nightly:
    """A CronJob that must have succeeded lately. what: as people say it; now: how to have it at once."""

    name: str
    what: str
    now: str


BACKUP = Nightly("hsc-jit-backup", "nightly backup", "Back up now with playbooks/backup.yml.")
DRILL = Nightly("hsc-jit-restore-drill", "restore drill", "Now: kubectl create job drill-now --from=cronjob/hsc-jit-restore-drill.")
DRILL_HOURS = 8 * 24.0  # it comes each week


def check(job: Nightly, cron_job: Mapping[str, Any] | None, now: datetime, hours: float) -> Finding:
    """One that is too old is a warning: a deployment takes and proves a backup of its own before anything changes."""
    if cron_job is None:
        return Finding("PF-08", "pass", f"CronJob {job.name} is not there yet; this release brings it.", {"exists": False})
    status = cron_job.get("status") or {}
    last = status.get("lastSuccessfulTime")
    since = datetime.fromisoformat(last or cron_job["metadata"]["creationTimestamp"])
    age = round((now - since).total_seconds() / 3600, 1)
    evidence = {"last_success": last, "last_schedule": status.get("lastScheduleTime"), "age_hours": age, "allowed_hours": hours}
    if cron_job["spec"].get("suspend"):
        step = f'kubectl patch cronjob {job.name} -p \'{{"spec":{{"suspend":false}}}}\''
        return Finding("PF-08", "warn", f"CronJob {job.name} is suspended: there is no {job.what}.", evidence, step)
    what = f"The last {job.what} that succeeded is {age} h old" if last else f"No {job.what} yet: {job.name} is {age} h old"
    if age > hours:
        step = _STEP.format(name=job.name, now=job.now)
        return Finding("PF-08", "warn", f"{what}; {hours:g} h are allowed.", evidence, step)
    return Finding("PF-08", "pass", f"{what} ({hours:g} h are allowed).", evidence)
