import io
import json
import sys

import pytest
from ansible.module_utils import basic
from ansible.module_utils.common import parameters
from ansible.module_utils.testing import patch_module_args
from ansible_collections.hsc.jit.plugins.module_utils import _journal
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiProblem, Problem
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._module import Outcome, run

PASS = Finding("PF-01", "pass", "3 of 3 nodes are Ready.")
SKIPPED = Finding("QG-02", "skipped", "no scanner's report.", next_step="Set quality_scan_report.")


@pytest.fixture
def call(monkeypatch):
    """Run ``work`` as a module; its JSON and exit code."""

    def _call(work, **arguments):
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with patch_module_args(arguments), pytest.raises(SystemExit) as exit_info:
            run({}, work, cluster=False)
        return json.loads(sys.stdout.getvalue().strip().splitlines()[-1]), exit_info.value.code

    monkeypatch.setattr(basic.AnsibleModule, "_log_invocation", lambda self: None)
    return _call


def test_changed_is_before_and_after_and_the_diff_shows_them(call):
    result, code = call(lambda context: Outcome({"replicas": 1}, {"replicas": 2}), _ansible_diff=True)
    assert (result["changed"], code) == (True, 0)
    assert result["diff"] == {"before": {"replicas": 1}, "after": {"replicas": 2}}
    assert call(lambda context: Outcome(1, 1))[0]["changed"] is False


def test_what_it_was_called_with_is_told_but_no_whole_set_of_manifests(call):
    asked = {"_ansible_inject_invocation": True} if "inject_invocation" in parameters.PASS_VARS else {}  # before ansible-core 2.20: always
    result, _ = call(lambda context: Outcome(), **asked, waivers=[{"id": "x" * 50}] * 100, fail_on=["fail"])
    assert result["invocation"]["module_args"]["fail_on"] == ["fail"]
    assert result["invocation"]["module_args"]["waivers"] == "(100 elements, not shown)"


def test_check_mode_reaches_the_work(call):
    result, _ = call(lambda context: Outcome(facts={"checked": context.check_mode}), _ansible_check_mode=True)
    assert result["checked"] is True


def test_the_inventory_decides_which_verdicts_fail(call):
    result, code = call(lambda context: Outcome(findings=[PASS, SKIPPED]))
    assert code == 0 and len(result["findings"]) == 2
    result, code = call(lambda context: Outcome(findings=[PASS, SKIPPED]), fail_on=["fail", "error", "skipped"])
    assert code == 1 and result["msg"] == "QG-02 skipped: no scanner's report. Set quality_scan_report."


@pytest.mark.parametrize(
    ("error", "said", "next_step"),
    [
        (Problem("No snapshot.", "Run playbooks/backup.yml."), "No snapshot.", "Run playbooks/backup.yml."),
        (ApiProblem(401, "Unauthorized", "Unauthorized"), "Unauthorized", "expired"),
        (ApiProblem(0, "Unreachable", "https://k does not answer"), "does not answer", "API server is up"),
        (ValueError("subnet: not a network"), "subnet: not a network", ""),
    ],
)
def test_what_goes_wrong_is_said_with_the_next_step(call, error, said, next_step):
    def work(context):
        raise error

    result, code = call(work)
    assert code == 1 and said in result["msg"] and next_step in result["next_step"]


def test_findings_and_changes_are_journalled_also_when_the_task_fails(call, tmp_path):
    path = tmp_path / "run-7" / "journal.jsonl"
    bad = Finding("PF-02", "fail", "disk is full.")
    call(lambda context: Outcome(1, 2, [PASS, bad]), journal=str(path))
    kinds = [(entry["kind"], entry["data"].get("id")) for entry in _journal.read(path)]
    assert kinds == [("finding", "PF-01"), ("finding", "PF-02"), ("change", None), ("module", None)]
