"""The role notify as a play runs it: the report is there whatever happened, and a webhook never decides about a deployment."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils import _journal
from playbook import play

ROOT = Path(__file__).parents[2]
PLAY = """
- hosts: localhost
  gather_facts: false
  vars:
    release_environment: test
    release_url: http://127.0.0.1:8000
    release_run_id: run-1
  module_defaults:
    group/hsc.jit.controller: {journal: "{{ folder }}/run-1/journal.jsonl"}
  tasks:
    - block:
        - ansible.builtin.fail: {msg: the API server is away}
      rescue:
        - ansible.builtin.debug: {msg: putting back}
      always:
        - ansible.builtin.include_role: {name: hsc.jit.notify}
"""


@pytest.fixture
def webhook():
    """A chat system: what it was told, and what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(server.answer)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.told, server.answer = [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def notify(folder, webhook_url=""):
    book = folder / "play.yml"
    book.write_text(PLAY)
    settings = {"folder": str(folder), "notify_webhook_url": webhook_url, "ansible_python_interpreter": sys.executable}
    return play(book, "-c", "local", inventory="localhost,", **settings)


def test_a_run_that_failed_before_its_first_check_has_a_report_that_says_why(tmp_path):
    run = notify(tmp_path)
    assert run.returncode == 0, run.stdout
    checklist = json.loads((tmp_path / "run-1/checklist.json").read_text())
    assert (checklist["verdict"], checklist["totals"]) == ("no-go", {"not run": len(checklist["rows"])})
    assert "NO-GO  This release is not good" in run.stdout
    assert str(tmp_path / "run-1/report.html") in run.stdout


def test_the_webhook_is_told_once_with_the_reason(tmp_path, webhook):
    data = {"id": "VF-01", "verdict": "fail", "message": "the door is shut", "evidence": {}, "next_step": "", "check_mode": False}
    _journal.append(tmp_path / "run-1/journal.jsonl", "2026-11-24T04:00:00+00:00", "verify_check", "finding", data)
    run = notify(tmp_path, f"http://127.0.0.1:{webhook.server_port}/secret-path")
    assert run.returncode == 0, run.stdout
    (told,) = webhook.told
    assert (told["verdict"], told["totals"]["fail"], "the door is shut" in told["text"]) == ("no-go", 1, True)
    assert "secret-path" not in run.stdout


@pytest.mark.parametrize("answer", [500, None])
def test_a_webhook_that_does_not_take_it_fails_nothing(tmp_path, webhook, answer):
    webhook.answer = answer or 200
    url = f"http://127.0.0.1:{webhook.server_port}/" if answer else "http://127.0.0.1:9/"
    run = notify(tmp_path, url)
    assert run.returncode == 0, run.stdout
    assert "the report is complete all the same" in run.stdout
