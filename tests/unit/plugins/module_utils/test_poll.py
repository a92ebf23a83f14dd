"""The polling loop: when it ends, and what it returns."""

from ansible_collections.hsc.jit.plugins.module_utils._poll import poll
from fake_clock import FakeClock


def test_first_attempt_needs_no_sleep():
    clock = FakeClock()
    assert poll(lambda: "ready", 10, clock=clock) == "ready"
    assert clock.slept == []


def test_value_is_returned_as_soon_as_it_is_true():
    clock, values = FakeClock(), iter(["", "", "ready"])
    assert poll(lambda: next(values), 10, every=0.5, clock=clock) == "ready"
    assert clock.now == 1.0


def test_last_attempt_is_at_the_deadline():
    clock, times = FakeClock(5.0), []
    assert poll(lambda: times.append(clock.now), 1.0, every=0.4, clock=clock) is None
    assert [round(time, 1) for time in times] == [5.0, 5.4, 5.8, 6.0]


def test_slow_attempt_ends_the_wait():
    clock = FakeClock()

    def slow():
        clock.now += 7
        return 0

    assert poll(slow, 10, clock=clock) == 0
    assert clock.now < 10 + 7 + 1
