"""ansible-playbook as an operator starts it: from the checkout, with its ansible.cfg, and no cluster but the one that is named."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def command(book, *flags, inventory="inventories/local", **values):
    program = Path(sys.executable).parent / "ansible-playbook"
    return [str(program), "-i", inventory, str(book), "-e", json.dumps(values), *flags]


def environment(kubeconfig=""):
    """Without a kubeconfig the inventory decides: the local one makes its own cluster."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "KUBECONFIG": kubeconfig}


def start(book, *flags, kubeconfig="", **values):
    """The process at work; both outputs come from its stdout."""
    return subprocess.Popen(
        command(book, *flags, **values),
        cwd=ROOT,
        env=environment(kubeconfig),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def play(book, *flags, kubeconfig="", **values):
    """The finished process; its stdout has both outputs, in their order."""
    with start(book, *flags, kubeconfig=kubeconfig, **values) as process:
        output, _ = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output)
