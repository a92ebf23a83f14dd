# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""The one place that talks to Ansible: options, check mode, ``changed``, diff, verdicts, journal, exit.

A module is ``run(SPEC, work)``. ``work(context)`` reads what is there, acts unless ``context.check_mode``, and returns an Outcome;
it never sees AnsibleModule. ``changed`` is ``before != after`` for every module.
"""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from . import _journal, _waiver
from ._errors import ApiError, HscError, os_error_advice, place_of
from ._finding import VERDICTS, Finding
from ._kube.client import Cluster
from ._kube.kubeconfig import connect
from ._poll import CLOCK, Clock
from ._product import NAMESPACE
from ._progress import Progress

RUN_SPEC: dict[str, Any] = {
    "journal": {"type": "path"},
    "fail_on": {"type": "list", "elements": "str", "choices": [*VERDICTS], "default": ["fail", "error"]},
    "waivers": {"type": "list", "elements": "dict", "default": []},
    "progress_file": {"type": "path"},
}

TARGET_SPEC: dict[str, Any] = {
    "kubeconfig": {"type": "path", "aliases": ["config_file"]},
    "context": {"type": "str"},
    "namespace": {"type": "str", "default": NAMESPACE},
    "node_scale_up_seconds": {"type": "float", "default": 0},
}


_SHOWN = 4000  # characters


@dataclass
class Context:
    """What ``work`` may use. Times are arguments, so that tests take no time."""

    params: Mapping[str, Any]
    check_mode: bool
    progress: Progress
    cluster: Cluster = None  # type: ignore[assignment]  # given to every module that asks for it
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Clock = CLOCK


@dataclass
class Outcome:
    """before/after: JSON values, what was and what is (in check mode: would be). facts: the module's own return values.

    diff: Ansible's diff entries, when before/after are not what a reader wants to see.
    """

    before: Any = field(default_factory=dict)
    after: Any = field(default_factory=dict)
    findings: Sequence[Finding] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    diff: list[dict[str, Any]] | None = None


CheckId = str | Callable[[Mapping[str, Any]], str]  # of the checklist; the callable gets the module's options


def run(
    spec: Mapping[str, Any], work: Callable[[Context], Outcome], *, cluster: bool = True, check_id: CheckId = "", **module_options: Any
) -> None:
    """Carry out ``work`` as an Ansible module.

    check_id: the check that the module carries out. An error that ends the module becomes a finding of this check, so that the report
    names it. module_options: AnsibleModule's, for example required_if.
    """
    target = TARGET_SPEC if cluster else {}
    module = AnsibleModule({**target, **RUN_SPEC, **spec}, supports_check_mode=True, **module_options)
    name = str(module._name).rsplit(".", 1)[-1]
    started = time.monotonic()
    outcome, failure = Outcome(), {}
    context = Context(module.params, module.check_mode, Progress(module.params["progress_file"]))
    check = check_id(module.params) if callable(check_id) else check_id
    try:
        waivers = _waiver.parse(module.params["waivers"])
        if cluster:
            context.cluster = connect(module.params)
            context.cluster.on_wait = lambda words: context.progress.say("API server", detail=words)
        outcome = work(context)
        outcome.findings = _waiver.applied(outcome.findings, waivers, context.now().date())
    except Exception as error:
        failure = _failure(error) if isinstance(error, HscError | ValueError | OSError) else _bug(error, name)
        if check:
            outcome.findings = [Finding(check, "error", failure["msg"], {"error": type(error).__name__}, failure["next_step"])]
    result = _result(outcome, module.params["fail_on"], failure, module._diff)
    result["seconds"] = round(time.monotonic() - started, 3)
    result["invocation"] = {"module_args": {option: _shown(value) for option, value in module.params.items()}}
    if module.params["journal"]:
        _record(Path(module.params["journal"]), name, module.check_mode, outcome, result)
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(**result)


def _shown(value: Any) -> Any:
    """An option's value as the result tells it. A whole set of manifests in each task's event is too much for those who store events."""
    if isinstance(value, list | dict) and len(json.dumps(value, default=str)) > _SHOWN:
        return f"({len(value)} elements, not shown)"
    return value


def _failure(error: Exception) -> dict[str, Any]:
    """The result fields of an error that an operator can act on: msg and next_step."""
    if isinstance(error, ApiError):
        return {"msg": f"Kubernetes API: {error.message} ({error.reason or error.status})", "next_step": error.next_step}
    if isinstance(error, OSError) and not isinstance(error, HscError):
        return dict(zip(("msg", "next_step"), os_error_advice(error), strict=True))
    return {"msg": str(error), "next_step": error.next_step if isinstance(error, HscError) else ""}


def _bug(error: Exception, name: str) -> dict[str, Any]:
    """The result fields of an error that nobody expected. It is in the journal like every failure; -vvv shows the traceback."""
    msg = f"Module {name} ended with an unexpected {type(error).__name__}: {error} ({place_of(error)})."
    step = "This is a bug of hsc.jit. Run again with -vvv and report the traceback. Check what the run changed: playbooks/drift.yml."
    return {"msg": msg, "next_step": step, "exception": "".join(traceback.format_exception(error))}


def _result(outcome: Outcome, fail_on: Sequence[str], failure: Mapping[str, Any], diff: bool) -> dict[str, Any]:
    findings = [finding.as_dict() for finding in outcome.findings]
    result = {**outcome.facts, "changed": outcome.before != outcome.after, "findings": findings, **failure}
    if diff:
        result["diff"] = outcome.diff if outcome.diff is not None else {"before": outcome.before, "after": outcome.after}
    bad = [finding for finding in outcome.findings if _waiver.counts(finding.verdict, finding.evidence, fail_on)]
    if bad and "msg" not in result:
        result["msg"] = "\n".join(finding.as_line() for finding in bad)
        result["next_step"] = bad[0].next_step
    return result


def _record(path: Path, name: str, check_mode: bool, outcome: Outcome, result: Mapping[str, Any]) -> None:
    def append(kind: str, data: Mapping[str, Any]) -> None:
        _journal.append(path, datetime.now(UTC).isoformat(timespec="milliseconds"), name, kind, {**data, "check_mode": check_mode})

    for finding in outcome.findings:
        append("finding", finding.as_dict())
    if result["changed"]:
        append("change", {"before": outcome.before, "after": outcome.after})
    trace = {"traceback": result["exception"]} if "exception" in result else {}
    append("module", {"seconds": result["seconds"], "failed": "msg" in result, "message": result.get("msg", ""), **trace})
