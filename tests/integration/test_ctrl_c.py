"""Ctrl-C while a module tells its progress: ansible-playbook ends, whatever line is on its way to it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACTION = "from ansible_collections.hsc.jit.plugins.plugin_utils._follow import ProgressAction as ActionModule\n"
MODULE = """
import json, time
from ansible.module_utils.basic import AnsibleModule

module = AnsibleModule(argument_spec={"progress_file": {"type": "str"}})
with open(module.params["progress_file"], "a") as file:
    for number in range(200_000):
        print(json.dumps({"what": "Talking", "detail": str(number), "seconds": 0}), file=file)
time.sleep(60)
module.exit_json()
"""
PLAYBOOK = "[{hosts: localhost, gather_facts: false, tasks: [{chatty: {}}]}]"


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_a_module_talks(tmp_path, how):
    """A worker that is ended within a line takes the lock of the queue with it, and ansible-playbook waits for that for ever."""
    for name, text in (("action_plugins/chatty.py", ACTION), ("library/chatty.py", MODULE), ("play.yml", PLAYBOOK)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    program, python = Path(sys.executable).with_name("ansible-playbook"), f"ansible_python_interpreter={sys.executable}"
    command = [program, "-i", "localhost,", "-c", "local", "-e", python, tmp_path / "play.yml"]
    playbook = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert any("Talking" in line for line in playbook.stdout)
        playbook.send_signal(how)
        playbook.communicate(timeout=20)
        assert playbook.returncode != 0
    finally:
        playbook.kill()
