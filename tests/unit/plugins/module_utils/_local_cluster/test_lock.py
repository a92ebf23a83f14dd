import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._errors import LockHeldError
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster import lock

HOLD = """
import sys
from ansible_collections.hsc.jit.plugins.module_utils._local_cluster.lock import alone
with alone(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def name():
    return f"test {secrets.token_hex(4)}"


@pytest.fixture
def other(name, tmp_path):
    """Another process that holds the lock."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(path).absolute()) for path in sys.path)}
    command = [sys.executable, "-c", HOLD, name]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_who_comes_second_is_told_who_works(name, other, tmp_path):
    with pytest.raises(LockHeldError, match=rf"process {other.pid} \(python.* in {tmp_path}$"), lock.alone(name):
        pass


def test_a_killed_holder_leaves_nothing_behind(name, other):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with lock.alone(name):
        pass


def test_who_waits_gets_it_when_the_other_ends(name, other):
    other.stdin.close()
    with lock.alone(name, wait_seconds=20):
        pass


def test_locks_of_other_names_do_not_matter(name, other):
    with lock.alone(name + "x"):
        pass


def test_a_playbook_is_named_instead_of_its_module(monkeypatch):
    commands = {os.getpid(): "python AnsiballZ_local_cluster.py", os.getppid(): "ansible-playbook deploy.yml"}
    monkeypatch.setattr(lock, "_command", lambda pid: commands.get(pid, ""))
    assert lock.describe(os.getpid()).startswith(f"process {os.getppid()} (ansible-playbook deploy.yml) in ")
