"""Which process a lease is kept for."""

import multiprocessing
import os
import signal
from types import SimpleNamespace

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.hsc.jit.plugins.action.lease import ActionModule
from waiting import until

FORK = multiprocessing.get_context("fork")


def told(pipe, playbook):
    """A worker whose playbook has been killed: what it tells the module."""
    until(lambda: os.getppid() != playbook, 10)
    ActionBase.run = lambda self, tmp, task_vars: {}
    action = object.__new__(ActionModule)
    action._task = SimpleNamespace(args={}, action="hsc.jit.lease")
    action._execute_module = lambda **given: pipe.send(given["module_args"]) or {}
    action.run()


def killed(pipe):
    worker = FORK.Process(target=told, args=(pipe, os.getpid()))
    worker.start()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")  # what forks here does nothing else
def test_a_run_that_was_killed_is_still_the_one_that_is_named():
    mine, theirs = FORK.Pipe()
    run = FORK.Process(target=killed, args=(theirs,))
    run.start()
    assert mine.poll(20)
    assert mine.recv()["pid"] == run.pid
    run.join()
