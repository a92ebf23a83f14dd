# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Runs checks of the checklist. A check that cannot be carried out becomes a finding, and the other checks still report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from ._errors import ApiError, HscError, os_error_advice, place_of
from ._finding import Finding, worst

_UNEXPECTED = "Compare the object that the check reads with its schema (kubectl get -o yaml). If it is valid, report a bug of hsc.jit."
Check = tuple[str, Callable[[], Iterable[Finding]]]  # id of the checklist, and what returns its findings


def run_checks(checks: Sequence[Check], workers: int, report: Callable[[int, str], None] = lambda done, verdict: None) -> list[Finding]:
    """All checks, ``workers`` at the same time. Returns their findings in the order of the checks.

    report: called in this thread after each check, with the number of finished checks and for example ``PF-02 pass``.
    """
    results: dict[int, list[Finding]] = {}
    with ThreadPoolExecutor(workers) as pool:
        running = {pool.submit(run_check, *check): number for number, check in enumerate(checks)}
        for future in as_completed(running):
            number = running[future]
            results[number] = future.result()
            report(len(results), f"{checks[number][0]} {verdict_of(results[number])}")
    return [finding for number in sorted(results) for finding in results[number]]


def run_check(check_id: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """The findings of one check, or one finding that says why it could not be carried out."""
    try:
        return list(check())
    except ApiError as error:
        return [not_checked(check_id, error)]
    except HscError as error:
        return [Finding(check_id, "error", error.message, {}, error.next_step)]
    except OSError as error:
        message, step = os_error_advice(error)
        return [Finding(check_id, "error", f"Not checked. {message}", {"error": type(error).__name__}, step)]
    except Exception as error:  # one check that stops must not hide what the others found
        message = f"Not checked: {type(error).__name__} at {place_of(error)}: {error}. An object or an answer has an unexpected form."
        return [Finding(check_id, "error", message, {"error": type(error).__name__}, _UNEXPECTED)]


def verdict_of(findings: Sequence[Finding]) -> str:
    return worst(finding.verdict for finding in findings) if findings else "not asked for"


def not_checked(check_id: str, error: ApiError) -> Finding:
    """The finding of a check that the API server refused: ``skipped`` for a missing right, otherwise ``error``. Never a pass."""
    evidence, message = {"http_status": error.status, "reason": error.reason}, f"Not checked: {error.message.rstrip('.')}."
    if error.status == 403:
        step = "Give the deployer the right that the message names, if this is to be checked."
        return Finding(check_id, "skipped", message, evidence, step)
    return Finding(check_id, "error", message, evidence, "Run again when the API server answers.")
