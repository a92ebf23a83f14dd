import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._process import has_ended, is_missing, process_mark


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_is_known_to_have_ended_only_on_its_own_machine():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mark = process_mark(child.pid)
        assert not has_ended(mark) and not is_missing(child.pid)
        child.kill()
        child.wait()
    assert has_ended(mark) and is_missing(child.pid)
    assert not has_ended("other-boot/1/" + mark.split("/", 2)[2])
    assert not has_ended("") and not has_ended(process_mark(os.getpid()))


def test_a_number_used_again_is_another_process():
    machine, _, started = process_mark(os.getpid()).rpartition("/")
    assert has_ended(f"{machine}/{int(started) - 1}")


def test_without_proc_nothing_is_known(tmp_path):
    assert process_mark(1, tmp_path) == "" and not has_ended("a/b/1/2", tmp_path) and not is_missing(1, tmp_path)
