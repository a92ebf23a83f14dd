# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""PF-08: did the nightly backup work lately? Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding

CRON_JOB = "hsc-jit-backup"
_STEP = "kubectl get jobs -l app=hsc-jit-backup; kubectl logs job/<the newest>. Back up now with playbooks/backup.yml."


def check(cron_job: Mapping[str, Any] | None, now: datetime, hours: float) -> Finding:
    """One that is too old is a warning: a deployment takes and proves a backup of its own before anything changes."""
    if cron_job is None:
        return Finding("PF-08", "pass", f"CronJob {CRON_JOB} is not there yet; this release brings it.", {"exists": False})
    status = cron_job.get("status") or {}
    last = status.get("lastSuccessfulTime")
    since = datetime.fromisoformat(last or cron_job["metadata"]["creationTimestamp"])
    age = round((now - since).total_seconds() / 3600, 1)
    evidence = {"last_success": last, "last_schedule": status.get("lastScheduleTime"), "age_hours": age, "allowed_hours": hours}
    if cron_job["spec"].get("suspend"):
        step = f'kubectl patch cronjob {CRON_JOB} -p \'{{"spec":{{"suspend":false}}}}\''
        return Finding("PF-08", "warn", f"CronJob {CRON_JOB} is suspended: there is no nightly backup.", evidence, step)
    what = f"The last nightly backup that succeeded is {age} h old" if last else f"No nightly backup yet: {CRON_JOB} is {age} h old"
    if age > hours:
        return Finding("PF-08", "warn", f"{what}; {hours:g} h are allowed.", evidence, _STEP)
    return Finding("PF-08", "pass", f"{what} ({hours:g} h are allowed).", evidence)
