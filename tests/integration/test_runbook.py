"""Every command of the runbook and of the alerts' pages works as written, on the product that `make deploy` left.

What only looks is run. What would change something is tried by the API server (--dry-run=server), or its syntax is checked.
"""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from playbook import ROOT, environment

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
PAGES = [ROOT / "docs/operations/RUNBOOK.md", *sorted((ROOT / "docs/operations/alerts").glob("*.md"))]
PROGRAMS = ("kubectl", "curl", "make", "ansible-playbook", "git", "ls", "grep", "getent")
TRIED = ("create", "delete", "scale", "uncordon")
# Of a healthy product, or of one that was not restarted, these are not there.
ABSENT = ("hsc-jit-restore", "--previous", "resourcequota")
SHAPES = ("...", "<")  # a command with something left out, to be written by the reader
ELSEWHERE = re.compile(r"rollout (restart|undo)|logs -f")  # in test_guide.py: they change something, or never end


def commands():
    words = (" ".join(found.split()) for page in PAGES for found in re.findall(r"`([^`]+)`", page.read_text()))
    ours = (one for one in words if one.startswith(tuple(f"{program} " for program in PROGRAMS)))
    return sorted({one for one in ours if not any(shape in one for shape in SHAPES) and not ELSEWHERE.search(one)})


@pytest.fixture(scope="module")
def names(product, images):
    """What stands in a page in capitals, and what it is here."""
    (pod, *_) = product.list(product.namespaced("pods"), labelSelector="app=hsc-jit-backend")
    (node, *_) = product.list("/api/v1/nodes")
    return {
        "POD": pod["metadata"]["name"],
        "NODE": node["metadata"]["name"],
        "NAME": "hsc-secrets",
        "HOST": "localhost",
        "DIGEST": images["service"].rpartition(":")[2],
        "NAMESPACE": "hsc-jit",
    }


def prepared(words, names):
    """The words to run instead, so that nothing changes."""
    pattern = re.compile("|".join(rf"\b{name}\b" for name in names))
    words = [pattern.sub(lambda found: names[found[0]], word) for word in words]
    program, verb = words[0], words[1]
    if program == "ansible-playbook":
        return [*words, "--syntax-check"]
    if program == "make":
        return ["make", "--dry-run", *words[1:]]
    return [*words, "--dry-run=server"] if program == "kubectl" and verb in TRIED else words


def test_there_are_commands_to_run():
    assert len(commands()) > 100


@pytest.mark.parametrize("line", commands())
def test_command(line, names, kubeconfig):
    line = line.partition(" | ")[0]
    words = prepared(shlex.split(line), names)
    path = f"{Path(kubeconfig).parent / 'bin'}:{ROOT / '.venv/bin'}:{os.environ['PATH']}"
    given = {**environment(kubeconfig), "PATH": path}
    done = subprocess.run(words, cwd=ROOT, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=90)
    if any(name in line for name in ABSENT):
        assert done.returncode == 0 or re.search("not found|previous terminated container", done.stderr), done.stderr
    elif words[0] in ("ls", "grep"):
        assert done.returncode in (0, 2), done.stderr  # a folder that no test has written yet
    else:
        assert done.returncode == 0, f"{json.dumps(words)}: {done.stderr[-1500:]}{done.stdout[-500:]}"
