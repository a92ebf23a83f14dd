"""The role notify as a play runs it: the report is there whatever happened, and a webhook never decides about a deployment."""

import email
import email.header
import json
import socketserver
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
    release_run_id: "{{ run }}"
  module_defaults:
    group/hsc.jit.controller: {journal: "{{ folder }}/{{ run }}/journal.jsonl"}
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
            server.asked.append((self.path, self.headers.get("Authorization")))
            self.send_response(server.answer)
            self.end_headers()

        def log_message(self, *words):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.told, server.asked, server.answer = [], [], 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def notify(folder, webhook_url="", run="run-1", **more):
    book = folder / "play.yml"
    book.write_text(PLAY)
    settings = {"folder": str(folder), "run": run, "notify_webhook_url": webhook_url, "ansible_python_interpreter": sys.executable, **more}
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


def test_grafana_and_slack_are_told_and_no_secret_is_shown(tmp_path, webhook):
    """What each of the two wants, at its own address; with 1970's milliseconds for the one."""
    data = {"id": "VF-01", "verdict": "pass", "message": "open", "evidence": {}, "next_step": "", "check_mode": False}
    _journal.append(tmp_path / "run-1/journal.jsonl", "2026-11-24T04:00:00+00:00", "verify_check", "finding", data)
    door = f"http://127.0.0.1:{webhook.server_port}"
    run = notify(tmp_path, notify_slack_url=f"{door}/services/s3cret", notify_grafana={"url": door, "token": "t0ken"})
    assert run.returncode == 0, run.stdout
    assert webhook.asked == [("/services/s3cret", None), ("/api/annotations", "Bearer t0ken")]
    slack, grafana = webhook.told
    assert set(slack) == {"text"}
    assert grafana["tags"] == ["hsc-jit", "test", "no-go"]
    assert grafana["time"] <= grafana["timeEnd"]
    assert grafana["timeEnd"] > 1_700_000_000_000
    assert "s3cret" not in run.stdout
    assert "t0ken" not in run.stdout


@pytest.fixture
def mail_server():
    """The few words of SMTP that a mail needs; ``letters`` is what came."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"220 test\r\n")
            while line := self.rfile.readline():
                word = line.split()[0].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    letter = b""
                    while (line := self.rfile.readline()) != b".\r\n":
                        letter += line
                    server.letters.append(letter.decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.letters, server.daemon_threads = [], True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_mail_has_the_summary_and_the_report(tmp_path, mail_server):
    mail = {
        "host": "127.0.0.1",
        "port": mail_server.server_address[1],
        "secure": "never",
        "from": "ci@example.com",
        "to": ["ops@example.com"],
    }
    run = notify(tmp_path, notify_mail=mail)
    assert run.returncode == 0, run.stdout
    assert "did not take it" not in run.stdout
    (letter,) = map(email.message_from_string, mail_server.letters)
    assert str(email.header.make_header(email.header.decode_header(letter["Subject"]))) == "NO-GO: HSC-JIT test"
    assert "ops@example.com" in letter["To"]
    assert [part.get_filename() for part in letter.walk() if part.get_filename()] == ["report.html"]


def test_a_mail_server_that_is_not_there_fails_nothing(tmp_path):
    run = notify(tmp_path, notify_mail={"host": "127.0.0.1", "port": 9, "from": "ci@example.com", "to": ["ops@example.com"]})
    assert run.returncode == 0, run.stdout
    assert "The mail server did not take it" in run.stdout


def test_scheduled_runs_tell_only_a_change_of_the_verdict(tmp_path, webhook):
    door = f"http://127.0.0.1:{webhook.server_port}/"
    for run, told in [("run-1", 1), ("run-2", 1), ("run-3", 1)]:
        assert notify(tmp_path, door, run=run, notify_when="change").returncode == 0
        assert len(webhook.told) == told
    report = tmp_path / "run-3/checklist.json"
    report.write_text(report.read_text().replace('"verdict": "no-go"', '"verdict": "go"'))
    notify(tmp_path, door, run="run-4", notify_when="change")
    assert len(webhook.told) == 2
