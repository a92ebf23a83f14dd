import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._lease_keeper import has_ended, keep, process_mark
from ansible_collections.hsc.jit.plugins.module_utils._target import ApiProblem


class Recorder:
    """A keeper whose answers to ``renew`` are given; an exception is raised."""

    def __init__(self, *answers):
        self.answers, self.calls = list(answers), []

    def renew(self):
        self.calls.append("renew")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def give_back(self):
        self.calls.append("give_back")


def lives(seconds):
    left = iter([True] * seconds + [False])
    return lambda: next(left)


def run(recorder, seconds):
    slept = []
    keep(recorder, lives(seconds), slept.append)
    return recorder.calls, sum(slept)


def test_it_renews_every_five_seconds_and_gives_back_at_the_end():
    assert run(Recorder(True, True), 12) == (["renew", "renew", "give_back"], 12)


def test_it_goes_when_the_lease_is_someone_elses():
    assert run(Recorder(False), 100) == (["renew"], 5)


def test_an_api_server_that_is_away_is_asked_again_each_second():
    away = ApiProblem(0, "Unreachable", "no answer")
    assert run(Recorder(away, away, True), 7) == (["renew", "renew", "renew", "give_back"], 7)


def test_it_ends_quietly_if_nothing_can_be_given_back():
    recorder = SimpleNamespace(renew=None, give_back=lambda: (_ for _ in ()).throw(ApiProblem(0, "Unreachable", "no answer")))
    keep(recorder, lives(1), lambda seconds: None)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_process_is_known_to_have_ended_only_on_its_own_machine():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mark = process_mark(child.pid)
        assert not has_ended(mark)
        child.kill()
        child.wait()
    assert has_ended(mark)
    assert not has_ended("other-boot/1/" + mark.split("/", 2)[2])
    assert not has_ended("") and not has_ended(process_mark(os.getpid()))


def test_a_number_used_again_is_another_process():
    machine, _, started = process_mark(os.getpid()).rpartition("/")
    assert has_ended(f"{machine}/{int(started) - 1}")


def test_without_proc_nothing_is_known(tmp_path):
    assert process_mark(1, tmp_path) == "" and not has_ended("a/b/1/2", tmp_path)
