"""A module does not outlive its playbook: what it had begun would go on unseen beside the next run."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster import process
from written_kubeconfig import written_kubeconfig

ROOT = Path(__file__).parents[4]
PLAY = """
- hosts: localhost
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - hsc.jit.release: {state: previous, run: one, namespace: nowhere, kubeconfig: "%s"}
"""


@pytest.fixture
def silent_api(tmp_path):
    """A kubeconfig whose server takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        written_kubeconfig(path := tmp_path / "kubeconfig", {"token": "none"}, server=address)
        yield server, path


def descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [one for child in map(int, children) for one in (child, *descendants(child))]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_module_ends_with_its_playbook(silent_api, tmp_path, how):
    server, kubeconfig = silent_api
    (tmp_path / "play.yml").write_text(PLAY % kubeconfig)
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", "-c", "local", tmp_path / "play.yml"]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    with (tmp_path / "log").open("wb") as log:
        playbook = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        server.settimeout(30)
        connection, _ = server.accept()
    with connection:  # open to the end: the module waits for an answer
        family = descendants(playbook.pid)
        assert len(family) >= 2, "a worker and its module"
        playbook.send_signal(how)  # to the playbook alone
        playbook.wait()
        deadline = time.monotonic() + 5  # it takes half a second
        while alive := [pid for pid in family if process.started(pid)]:
            assert time.monotonic() < deadline, alive
            time.sleep(0.05)
