from types import SimpleNamespace

from ansible_collections.hsc.jit.plugins.module_utils._errors import ApiError
from ansible_collections.hsc.jit.plugins.module_utils._lease.renewer import keep


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
    away = ApiError(0, "Unreachable", "no answer")
    assert run(Recorder(away, away, True), 7) == (["renew", "renew", "renew", "give_back"], 7)


def test_it_ends_quietly_if_nothing_can_be_given_back():
    recorder = SimpleNamespace(renew=None, give_back=lambda: (_ for _ in ()).throw(ApiError(0, "Unreachable", "no answer")))
    keep(recorder, lives(1), lambda seconds: None)
