"""The module operate: errors while an operation talks to a pod."""

from ansible_collections.hsc.jit.plugins.module_utils import _journal
from ansible_collections.hsc.jit.plugins.module_utils._errors import ExecTimeoutError
from ansible_collections.hsc.jit.plugins.modules import operate

CACHE_POD = {
    "metadata": {"name": "cache-1", "namespace": "hsc-jit", "labels": {"app": "hsc-jit-redis-cache"}},
    "spec": {"containers": [{"name": "redis"}]},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


class HangingRedis:
    """A cluster with one ready cache pod, whose commands never end."""

    def namespaced(self, plural, api="/api/v1", namespace=None):
        return plural

    def list(self, path, **query):
        return [CACHE_POD] if path == "pods" else []

    def exec(self, pod, container, argv, *, timeout_seconds):
        raise ExecTimeoutError(f"Pod hsc-jit/{pod}: command {argv[0]} did not end within {timeout_seconds:.0f} s.", "Look at the pod.")


def test_timed_out_command_is_a_finding_with_a_next_step(run_main, tmp_path):
    journal = tmp_path / "run/journal.jsonl"
    result, code = run_main(operate, HangingRedis(), operation="flush", environment="local", confirm="local", journal=str(journal))
    assert code == 1 and "exception" not in result
    assert result["msg"] == "Pod hsc-jit/cache-1: command redis-cli did not end within 30 s."
    (finding,) = result["findings"]
    assert (finding["id"], finding["verdict"], finding["next_step"]) == ("OP-03", "error", "Look at the pod.")
    assert [entry["kind"] for entry in _journal.read(journal)] == ["finding", "module"]
