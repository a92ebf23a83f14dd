"""Images built as `make deploy` builds them, by the role, from a source that a test may change."""

import json
import os
import shutil
from pathlib import Path

from playbook import play

SERVICE = Path(__file__).parents[1] / "service"
REGISTRY = os.environ.get("HSC_TEST_REGISTRY", "localhost:5001")
PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
  tasks:
    - ansible.builtin.include_role: {name: hsc.jit.images}
    - ansible.builtin.copy: {content: "{{ __images_result | to_json }}", dest: "{{ result }}", mode: "0600"}
"""


def source(folder):
    """The product as it is now: somebody who edits it meanwhile does not change what is compared."""
    copied = folder / "service"
    shutil.copytree(SERVICE, copied, ignore=shutil.ignore_patterns(".venv", "__pycache__", "tests", "bench"))
    return copied


def build(folder, **variables):
    """What the role says: {images: {name: reference}, ...}."""
    (folder / "play.yml").write_text(PLAYBOOK)
    result = folder / "result.json"
    done = play(folder / "play.yml", inventory="localhost,", images_registry=REGISTRY, result=str(result), **variables)
    assert done.returncode == 0, done.stdout[-3000:]
    return json.loads(result.read_text())
