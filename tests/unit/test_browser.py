import os
import subprocess
import sys
from unittest import mock

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _verify_page
from ansible_collections.hsc.jit.plugins.module_utils._browser import Browser, NotStarted, complaint

# Answers every command, and talks on its standard error like Chromium does.
TALKATIVE = f"""#!{sys.executable}
import json, os, sys
print("[1125/062900.1:ERROR:bus.cc] Failed to connect", file=sys.stderr, flush=True)
while block := os.read(3, 65536):
    for line in block.split(bytes(1))[:-1]:
        answer = {{"id": json.loads(line)["id"], "result": {{"targetId": "t", "sessionId": "s"}}}}
        os.write(4, json.dumps(answer).encode() + bytes(1))
"""
# taken: the lowest descriptors that are in use when the browser starts; its log then gets the next one.
START = """
import os, sys
from ansible_collections.hsc.jit.plugins.module_utils._browser import Browser
taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(int(sys.argv[2]))]
with Browser(sys.argv[1]) as browser:
    print(browser.command("Page.enable")["targetId"], browser._last_words())
"""


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_chromium_logs_is_never_taken_for_its_answer(tmp_path, taken):
    program = tmp_path / "chromium"
    program.write_text(TALKATIVE)
    program.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", START, str(program), str(taken)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.startswith("t [1125/062900.1:ERROR"), done.stderr


def chromium(path, hangs):
    """A program that answers nothing as often as said, and then everything."""
    path.write_text(
        TALKATIVE.replace(
            "while block",
            f"""starts = os.open({str(path.with_suffix(".starts"))!r}, os.O_RDWR | os.O_CREAT | os.O_APPEND)
os.write(starts, b".")
while block""",
        ).replace("        answer", f"        if os.fstat(starts).st_size <= {hangs}: continue\n        answer")
    )
    path.chmod(0o755)
    return str(path)


def test_a_chromium_that_hangs_at_its_start_is_started_once_more(tmp_path):
    with Browser(chromium(tmp_path / "chromium", hangs=1), start_seconds=1.0) as browser:
        assert browser.command("Page.enable")["targetId"] == "t"


def test_a_chromium_that_does_not_start_says_nothing_of_the_page(tmp_path):
    program = chromium(tmp_path / "chromium", hangs=9)
    with (
        pytest.raises(NotStarted, match=r"twice: Chromium did not answer in time.*ERROR:bus\.cc") as problem,
        Browser(program, start_seconds=0.5),
    ):
        pass
    with mock.patch.object(_verify_page, "Browser", side_effect=problem.value):
        finding = _verify_page.check_page(program, "https://support.example.com", "td17", "Roland TD-17", None)
    assert (finding.verdict, "only the WebSocket was tried" in finding.message) == ("skipped", True)
    assert "--dump-dom about:blank" in finding.next_step


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        (
            "Runtime.exceptionThrown",
            {"exceptionDetails": {"text": "Uncaught", "exception": {"description": "Error: x\n at y"}}},
            "exception: Error: x",
        ),
        ("Runtime.consoleAPICalled", {"type": "error", "args": [{"value": "bad"}, {"value": 7}]}, "console: bad 7"),
        ("Runtime.consoleAPICalled", {"type": "log", "args": [{"value": "fine"}]}, None),
        ("Log.entryAdded", {"entry": {"level": "error", "source": "security", "text": "refused", "url": "/x"}}, "security: refused /x"),
        ("Log.entryAdded", {"entry": {"level": "warning", "source": "other", "text": "slow"}}, None),
        ("Network.loadingFailed", {"errorText": "net::ERR_FAILED", "type": "Image"}, "network: net::ERR_FAILED (Image)"),
        ("Network.loadingFailed", {"errorText": "net::ERR_ABORTED", "type": "Fetch", "canceled": True}, None),
        ("Network.loadingFailed", {"errorText": "", "blockedReason": "csp", "type": "Script"}, "network: csp (Script)"),
        ("Page.loadEventFired", {}, None),
    ],
)
def test_what_a_page_complains_about(method, params, said):
    assert complaint({"method": method, "params": params}) == said
