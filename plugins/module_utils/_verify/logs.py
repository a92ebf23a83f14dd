# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Error lines in the pods' logs: what is one, which are the same one, and whether there are suddenly more. Pure: no I/O.

A log is text as ``kubectl logs --timestamps`` gives it: an RFC 3339 time, a blank, the line.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from .._finding import Finding, Verdict

_BAD_LEVELS = frozenset({"error", "err", "critical", "crit", "fatal", "panic", "alert", "emerg", "emergency"})
# Lines that are not JSON: logfmt (Prometheus), bracketed or column levels (Celery, gunicorn, PostgreSQL), klog.
_BAD_LINE = re.compile(
    r"\blevel=(?:error|fatal|panic|critical)\b"
    r"|(?:^|[\s\[:])(?:ERROR|CRITICAL|FATAL|PANIC)(?=[\s\]:/])"
    r"|^[EF]\d{4} \d\d:\d\d:\d\d"
    r"|Out Of Memory|# (?:Fatal|Can't|Bad|Failed)",
)
_TRACEBACK = "Traceback (most recent call last):"
_NAMES = r"(?:[\w-]*(?:password|passwd|secret|token|api[_-]?key|apikey|credential)s?|key|pwd)"
_SECRETS = (
    (re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@"), r"\1:***@"),
    (re.compile(rf"(?i)\b({_NAMES}[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&}}]+"), r"\1***"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), r"\1 ***"),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{20,}|\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), "***"),
)
_VARIABLE = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{12,}\b", re.IGNORECASE), "<hex>"),
    (re.compile(r"\d+"), "<n>"),
)


@dataclass(frozen=True)
class ErrorLine:
    """One error of a component: when, and its text without secrets, at most 300 characters."""

    component: str
    time: datetime
    text: str

    @property
    def fingerprint(self) -> str:
        """The text without what differs from one occurrence to the next."""
        return fingerprint(self.text)


def redact(text: str) -> str:
    """The text without passwords in URLs, values of password-like names, bearer tokens and API keys."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def fingerprint(text: str) -> str:
    for pattern, replacement in _VARIABLE:
        text = pattern.sub(replacement, text)
    return text


def error_lines(component: str, log: str) -> Iterator[ErrorLine]:
    """Each error once; a traceback is one error, named by its last line."""
    in_traceback = False
    for line in log.splitlines():
        stamp, _, text = line.partition(" ")
        time = _time(stamp)
        if time is None:
            continue
        if in_traceback:
            if not text or text[:1].isspace():
                continue
            in_traceback = False
            yield ErrorLine(component, time, redact(text)[:300])
        elif text.strip() == _TRACEBACK:
            in_traceback = True
        elif message := _error(text):
            yield ErrorLine(component, time, redact(message)[:300])


def _time(stamp: str) -> datetime | None:
    """The kubelet writes nanoseconds, Python reads microseconds."""
    try:
        return datetime.fromisoformat(re.sub(r"\.(\d{6})\d*", r".\1", stamp))
    except ValueError:
        return None


def _error(text: str) -> str | None:
    """The error that a line reports, if it reports one."""
    if text.startswith("{"):
        try:
            entry = json.loads(text)
        except ValueError:
            return text if _BAD_LINE.search(text) else None
        level = str(entry.get("level", entry.get("levelname", entry.get("severity", "")))).lower()
        if level not in _BAD_LEVELS:
            return None
        last = str(entry.get("exception") or "").strip().rpartition("\n")[2]
        return ": ".join(part for part in (str(entry.get("message", entry.get("msg", text))), last) if part)
    return text if _BAD_LINE.search(text) else None


@dataclass(frozen=True)
class Window:
    """What is compared: the time before the change began, and the time since it was done. Between them starting pods complain, and may."""

    before_until: datetime
    after_from: datetime
    now: datetime

    @property
    def after_seconds(self) -> float:
        return max(1.0, (self.now - self.after_from).total_seconds())


def judge(
    errors: Iterable[ErrorLine], window: Window, observed_before_seconds: Mapping[str, float], allowed_per_minute: float
) -> list[Finding]:
    """VF-04 for each component with errors since the change was done, or one pass for all of them.

    observed_before_seconds: component -> how many seconds of its log before the change were there to compare with; 0 for a new one.
    A spike: more than ``allowed_per_minute``, and more than twice as many as before.
    """
    errors = list(errors)
    found = []
    for component in sorted({error.component for error in errors if error.time >= window.after_from}):
        own = [error for error in errors if error.component == component]
        found.append(_judge_one(component, own, window, observed_before_seconds.get(component, 0.0), allowed_per_minute))
    if found:
        return found
    names = sorted(observed_before_seconds)
    during = sum(window.before_until <= error.time for error in errors)
    evidence = {"components": names, "observed_seconds": round(window.after_seconds, 1), "errors": 0, "errors_during_the_change": during}
    return [Finding("VF-04", "pass", f"Logs of {len(names)} components: no error line in {window.after_seconds:.0f} s.", evidence)]


def _judge_one(component: str, errors: list[ErrorLine], window: Window, before_seconds: float, allowed_per_minute: float) -> Finding:
    after = Counter(error.fingerprint for error in errors if error.time >= window.after_from)
    before = Counter(error.fingerprint for error in errors if error.time < window.before_until)
    # A window shorter than a minute would make one line a high rate.
    rate = 60 * after.total() / max(60.0, window.after_seconds)
    old_rate = 60 * before.total() / max(60.0, before_seconds) if before_seconds else None
    spike = rate > allowed_per_minute and (old_rate is None or rate > 2 * old_rate)
    new = [text for text in after if text not in before]
    verdict: Verdict = "fail" if spike else "warn" if new else "pass"
    samples = [
        {"count": count, "new": text in new, "line": next(error.text for error in errors if error.fingerprint == text)}
        for text, count in after.most_common(5)
    ]
    compared = "nothing to compare with" if old_rate is None else f"{old_rate:.1f} a minute before"
    message = (
        f"Logs of {component}: {after.total()} error lines in {window.after_seconds:.0f} s = {rate:.1f} a minute ({compared}; "
        f"{allowed_per_minute:g} allowed), {len(new)} kinds not seen before: {str(samples[0]['line'])[:140]}"
    )
    evidence = {
        "component": component,
        "errors": after.total(),
        "errors_before": before.total(),
        "errors_per_minute": round(rate, 2),
        "errors_per_minute_before": None if old_rate is None else round(old_rate, 2),
        "errors_during_the_change": len(errors) - after.total() - before.total(),
        "samples": samples,
    }
    next_step = (
        f"Read them: kubectl logs -l app={component} --since {max(1, round(window.after_seconds / 60))}m" if verdict != "pass" else ""
    )
    return Finding("VF-04", verdict, message, evidence, next_step)
