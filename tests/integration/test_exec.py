"""Commands in containers, on a real API server: exit codes, bytes both ways, many at once, and what cannot be run."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup.redis import copy_in
from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError

pytestmark = pytest.mark.cluster
POD, CONTAINER = "hsc-jit-redis-0", "redis"


def test_exit_code_output_and_errors_are_kept_apart(product):
    result = product.exec(POD, CONTAINER, ["sh", "-c", "echo out; echo err >&2; exit 7"])
    assert (result.returncode, result.stdout, result.stderr) == (7, b"out\n", "err\n")


def test_many_at_once_all_end(product):
    """The client of two threads a connection lost 2 of 100 handshakes."""
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda number: product.exec(POD, CONTAINER, ["echo", str(number)]).stdout, range(40)))
    assert results == [f"{number}\n".encode() for number in range(40)]


def test_a_large_file_goes_in_and_comes_out_unchanged(product, tmp_path):
    sent, got = tmp_path / "sent", tmp_path / "got"
    sent.write_bytes(os.urandom(30_000_000))
    assert product.exec(POD, CONTAINER, ["cat"], stdin=sent, stdout=got).returncode == 0
    assert got.read_bytes() == sent.read_bytes()


@pytest.mark.parametrize(("pod", "command", "said"), [("nobody", "true", "not found"), (POD, "no-such-program", "no-such-program")])
def test_what_cannot_be_run_says_why(product, pod, command, said):
    with pytest.raises(ApiError, match=said):
        product.exec(pod, CONTAINER, [command])


def test_a_command_without_end_is_given_up(product):
    began = time.monotonic()
    with pytest.raises(TimeoutError, match="command sleep did not end within 1 s"):
        product.exec(POD, CONTAINER, ["sleep", "20"], timeout_seconds=1)
    assert time.monotonic() - began < 5


def test_a_file_arrives_whole(product, tmp_path):
    """As a restore copies it; with dd, every fourth was cut."""
    source = tmp_path / "file"
    source.write_bytes(os.urandom(47_000))
    for _ in range(10):
        copy_in(product, POD, CONTAINER, source, "/tmp/file")
    product.exec(POD, CONTAINER, ["rm", "/tmp/file"])


def test_a_small_input_is_never_lost(product):
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda number: product.exec(POD, CONTAINER, ["cat"], stdin=b"%05d" % number).stdout, range(40)))
    assert results == [b"%05d" % number for number in range(40)]
