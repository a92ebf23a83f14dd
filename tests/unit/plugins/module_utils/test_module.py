import pytest
from ansible.module_utils.common import parameters
from ansible_collections.hsc.jit.plugins.module_utils import _journal
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError, ExecTimeoutError, OperatorError
from ansible_collections.hsc.jit.plugins.module_utils._finding import Finding
from ansible_collections.hsc.jit.plugins.module_utils._module import Outcome

PASS = Finding("PF-01", "pass", "3 of 3 nodes are Ready.")
SKIPPED = Finding("QG-02", "skipped", "no scanner's report.", next_step="Set quality_scan_report.")


def test_changed_is_before_and_after_and_the_diff_shows_them(run_module):
    result, code = run_module(lambda context: Outcome({"replicas": 1}, {"replicas": 2}), _ansible_diff=True)
    assert (result["changed"], code) == (True, 0)
    assert result["diff"] == {"before": {"replicas": 1}, "after": {"replicas": 2}}
    assert run_module(lambda context: Outcome(1, 1))[0]["changed"] is False


def test_what_it_was_called_with_is_told_but_no_whole_set_of_manifests(run_module):
    asked = {"_ansible_inject_invocation": True} if "inject_invocation" in parameters.PASS_VARS else {}  # before ansible-core 2.20: always
    result, _ = run_module(lambda context: Outcome(), **asked, waivers=[{"id": "x" * 50}] * 100, fail_on=["fail"])
    assert result["invocation"]["module_args"]["fail_on"] == ["fail"]
    assert result["invocation"]["module_args"]["waivers"] == "(100 elements, not shown)"


def test_check_mode_reaches_the_work(run_module):
    result, _ = run_module(lambda context: Outcome(facts={"checked": context.check_mode}), _ansible_check_mode=True)
    assert result["checked"] is True


def test_the_inventory_decides_which_verdicts_fail(run_module):
    result, code = run_module(lambda context: Outcome(findings=[PASS, SKIPPED]))
    assert code == 0 and len(result["findings"]) == 2
    result, code = run_module(lambda context: Outcome(findings=[PASS, SKIPPED]), fail_on=["fail", "error", "skipped"])
    assert code == 1 and result["msg"] == "QG-02 skipped: no scanner's report. Set quality_scan_report."


@pytest.mark.parametrize(
    ("error", "said", "next_step"),
    [
        (OperatorError("No snapshot.", "Run playbooks/backup.yml."), "No snapshot.", "Run playbooks/backup.yml."),
        (ApiError(401, "Unauthorized", "Unauthorized"), "Unauthorized", "expired"),
        (ApiError(0, "Unreachable", "https://k does not answer"), "does not answer", "API server is up"),
        (ValueError("subnet: not a network"), "subnet: not a network", ""),
    ],
)
def test_what_goes_wrong_is_said_with_the_next_step(run_module, error, said, next_step):
    def work(context):
        raise error

    result, code = run_module(work)
    assert code == 1 and said in result["msg"] and next_step in result["next_step"]


def test_findings_and_changes_are_journalled_also_when_the_task_fails(run_module, tmp_path):
    path = tmp_path / "run-7" / "journal.jsonl"
    bad = Finding("PF-02", "fail", "disk is full.")
    run_module(lambda context: Outcome(1, 2, [PASS, bad]), journal=str(path))
    kinds = [(entry["kind"], entry["data"].get("id")) for entry in _journal.read(path)]
    assert kinds == [("finding", "PF-01"), ("finding", "PF-02"), ("change", None), ("module", None)]


def test_unexpected_error_is_journalled_with_its_place(run_module, tmp_path):
    def work(context):
        return {}["field"]

    path = tmp_path / "journal.jsonl"
    result, code = run_module(work, journal=str(path))
    assert code == 1
    assert result["msg"].startswith("Module ") and "unexpected KeyError: 'field' (test_module.py:" in result["msg"]
    (entry,) = _journal.read(path)
    assert entry["data"]["failed"] and "Traceback" in entry["data"]["traceback"]


@pytest.mark.parametrize(
    ("error", "message", "next_step"),
    [
        (OSError(28, "No space left on device", "/e"), "Controller: [Errno 28] No space left on device: '/e'.", "Free disk"),
        (PermissionError(13, "Permission denied", "/e"), "Permission denied: '/e'", "right to the path"),
        (ConnectionRefusedError(111, "Connection refused"), "Network connection from the controller", "reaches the address"),
        (TimeoutError("timed out"), "Network connection from the controller", "reaches the address"),
        (KeyError("spec"), "unexpected KeyError", "bug of hsc.jit"),
    ],
)
def test_every_error_becomes_a_finding_of_the_modules_check(run_module, error, message, next_step):
    def work(context):
        raise error

    result, code = run_module(work, check_id=lambda options: "RO-01")
    (finding,) = result["findings"]
    assert code == 1 and (finding["id"], finding["verdict"]) == ("RO-01", "error")
    assert message in finding["message"] and next_step in finding["next_step"] and next_step in result["next_step"]


def test_exec_timeout_keeps_its_message_and_is_a_timeout_error():
    error = ExecTimeoutError("Pod a did not answer.", "Look at it.")
    assert isinstance(error, TimeoutError)
    assert (str(error), error.next_step) == ("Pod a did not answer.", "Look at it.")
