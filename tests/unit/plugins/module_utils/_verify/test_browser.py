import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import BrowserStartError
from ansible_collections.hsc.jit.plugins.module_utils._verify import page
from ansible_collections.hsc.jit.plugins.module_utils._verify.browser import Browser, complaint

# Answers every command, and talks on its standard error like Chromium does.
TALKATIVE = f"""#!{sys.executable}
import json, os, sys
print("[1125/062900.1:ERROR:bus.cc] Failed to connect", file=sys.stderr, flush=True)
while block := os.read(3, 65536):
    for line in block.split(bytes(1))[:-1]:
        answer = {{"id": json.loads(line)["id"], "result": {{"targetId": "t", "sessionId": "s"}}}}
        os.write(4, json.dumps(answer).encode() + bytes(1))
"""
# The second start of it is a talkative one.
HANGS_ONCE = f"""#!{sys.executable}
import os, sys, time
try:
    os.mkdir(sys.argv[0] + ".started")
except FileExistsError:
    exec({TALKATIVE!r})
time.sleep(30)
"""
SILENT = f"""#!{sys.executable}
import sys, time
print("[1125/062900.1:ERROR:bus.cc] Failed to connect", file=sys.stderr, flush=True)
time.sleep(30)
"""
# taken: the lowest descriptors that are in use when the browser starts; its log then gets the next one.
START = """
import os, sys
from ansible_collections.hsc.jit.plugins.module_utils._verify.browser import Browser
taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(int(sys.argv[2]))]
with Browser(sys.argv[1]) as browser:
    print(browser.command("Page.enable")["targetId"], browser._last_words())
"""


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_what_chromium_logs_is_never_taken_for_its_answer(tmp_path, taken):
    program = chromium(tmp_path / "chromium", TALKATIVE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", START, program, str(taken)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=30)
    assert done.stdout.startswith("t [1125/062900.1:ERROR"), done.stderr


def chromium(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def test_a_chromium_that_hangs_at_its_start_is_started_once_more(tmp_path):
    with Browser(chromium(tmp_path / "chromium", HANGS_ONCE), start_seconds=1.0) as browser:
        assert browser.command("Page.enable")["targetId"] == "t"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SILENT, r"Chromium did not answer in time.*ERROR:bus\.cc"),
        ("#!/nowhere/python\n", "it cannot be carried out: No such file or directory"),
    ],
    ids=["hangs", "cannot be carried out"],
)
def test_a_chromium_that_does_not_start_says_nothing_of_the_page(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    program, open_before = chromium(tmp_path / "chromium", text), [*Path("/proc/self/fd").iterdir()]
    with pytest.raises(BrowserStartError, match=f"2 times: {said}") as problem, Browser(program, start_seconds=0.5):
        pass
    assert ([*Path("/proc/self/fd").iterdir()], [*tmp_path.iterdir()]) == (open_before, [tmp_path / "chromium"])
    with mock.patch.object(page, "Browser", side_effect=problem.value):
        finding = page.check_page(program, "https://support.example.com", "td17", "Roland TD-17", None)
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
