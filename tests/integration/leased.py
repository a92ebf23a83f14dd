"""A playbook that takes the lease and then works for some seconds."""

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress

from playbook import ROOT, command, environment

PLAYBOOK = """
- hosts: localhost
  gather_facts: false
  tasks:
    - hsc.jit.lease: {kubeconfig: "%s", namespace: "%s", lease_namespace: "%s", run: "%s"}
      register: lease
    - ansible.builtin.copy: {content: "{{ lease | to_json }}", dest: "%s", mode: "0600"}
    - ansible.builtin.pause: {seconds: %d}
"""


@contextmanager
def leased(kubeconfig, slot, folder, name, seconds=120):
    """(process, file with the lease's result once it has it) of a run of that name; ended with the block, if it has not ended by itself."""
    playbook, result = folder / f"{name}.yml", folder / f"{name}.json"
    playbook.write_text(PLAYBOOK % (kubeconfig, slot.release, slot.namespace, name, result, seconds))
    line = command(playbook, "-c", "local", inventory="localhost,", ansible_python_interpreter=sys.executable)
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(line, cwd=ROOT, env=environment(), start_new_session=True, **quiet)
    try:
        yield process, result
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its worker too, which sits in the pause
        process.communicate()
