import os
import subprocess
import sys

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._browser import complaint

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
