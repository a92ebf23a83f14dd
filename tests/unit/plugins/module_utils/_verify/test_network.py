import json
import subprocess
import sys

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import ExecResult
from ansible_collections.hsc.jit.plugins.module_utils._verify import network
from memory_api import MemoryApiServer

REFUSED = "ConnectionRefusedError: [Errno 111] Connection refused"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "worker-1", "labels": {"app": "hsc-jit-worker"}},
    "spec": {"containers": [{"name": "worker"}]},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


def check(pods=(POD,), allowed="", forbidden="TimeoutError: timed out", answer=None):
    server = MemoryApiServer(*pods)
    server.script(
        f"worker-1 worker: .*{network.ALLOWED} {network.FORBIDDEN}$",
        answer or json.dumps({network.ALLOWED: allowed, network.FORBIDDEN: forbidden}).encode(),
    )
    (finding,) = network.check_network(server.cluster(), list(pods), "hsc-jit-worker")
    return finding


def test_a_door_that_stays_shut_beside_one_that_opens_is_a_pass():
    assert check().verdict == "pass"
    assert check(forbidden=REFUSED).verdict == "pass"


def test_a_cluster_that_enforces_nothing_is_skipped_with_the_proof():
    finding = check(forbidden="")
    assert (finding.verdict, "worker-1 reaches hsc-jit-prometheus:9090" in finding.message) == ("skipped", True)


def test_a_policy_that_shuts_out_the_product_is_a_failure():
    assert check(allowed=REFUSED).verdict == "fail"


@pytest.mark.parametrize(
    "given",
    [
        {"forbidden": "gaierror: [Errno -3] Temporary failure in name resolution"},
        {"answer": ExecResult(1, b"", "python: not found")},
        {"answer": TimeoutError()},
        {"pods": ()},
    ],
)
def test_what_could_not_be_tried_proves_nothing(given):
    assert check(**given).verdict == "error"


def test_a_missing_right_is_left_to_the_caller_that_says_so_for_every_row():
    with pytest.raises(ApiError):
        check(answer=ApiError(403, "Forbidden", "pods/exec is forbidden"))


def test_the_knock_tells_open_from_shut():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        door = f"127.0.0.1:{server.getsockname()[1]}"
        done = subprocess.run([sys.executable, "-c", network.KNOCK, door, "127.0.0.1:1"], capture_output=True, check=True)
    assert json.loads(done.stdout) == {door: "", "127.0.0.1:1": REFUSED}
