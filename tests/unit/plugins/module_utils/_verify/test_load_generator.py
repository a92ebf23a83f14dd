import math
import random

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._verify import load_generator


def test_the_binomial_distribution_is_exact():
    assert load_generator.binomial_cdf(0, 10, 0.5) == pytest.approx(1 / 1024)
    assert load_generator.binomial_cdf(5, 10, 0.5) == pytest.approx(638 / 1024)
    assert load_generator.binomial_cdf(94, 100, 0.95) == pytest.approx(0.38400, abs=1e-5)
    assert [load_generator.binomial_cdf(count, 3, 0.2) for count in (-1, 3, 9)] == [0.0, 1.0, 1.0]


def test_a_quantile_is_bounded_only_by_enough_values():
    few, enough = [0.01] * 89, [0.01] * 90  # 0.95 ** 89 > 1 % >= 0.95 ** 90
    assert load_generator.quantile_bounds(few, 0.95)[1] == math.inf
    assert load_generator.quantile_bounds(enough, 0.95)[1] == 0.01


def test_bounds_hold_as_often_as_they_promise():
    """1 000 loads of 200 requests with a known p95: each bound is wrong in at most 1 % of them (here with room for chance)."""
    chance, p95 = random.Random(1), -math.log(0.05)
    wrong = 0
    for _turn in range(1000):
        lower, upper = load_generator.quantile_bounds(sorted(chance.expovariate(1) for _ in range(200)), 0.95)
        wrong += not lower <= p95 <= upper
    assert wrong <= 30


@pytest.mark.parametrize(
    ("slow", "judgement"),
    [(0, "pass"), (10, "pass"), (20, "not enough data"), (25, "not enough data"), (30, "not enough data"), (45, "fail"), (500, "fail")],
)
def test_latency_is_judged_by_its_bounds(slow, judgement):
    """500 requests, so many of them slower than the threshold; 25 would be the p95 itself."""
    assert load_generator.judge_latency(sorted([0.01] * (500 - slow) + [0.3] * slow), 0.2) == judgement


def test_few_requests_never_pass_and_none_is_no_data():
    assert load_generator.judge_latency([0.001] * 20, 0.2) == "not enough data"
    assert load_generator.judge_latency([], 0.2) == "not enough data"
    assert load_generator.judge_errors(0, 0, 0.01) == "not enough data"


@pytest.mark.parametrize(("failed", "judgement"), [(0, "pass"), (5, "pass"), (7, "not enough data"), (12, "fail"), (25, "fail")])
def test_errors_fail_only_beyond_chance(failed, judgement):
    assert load_generator.judge_errors(failed, 500, 0.01) == judgement


def test_a_failed_request_is_infinitely_slow():
    samples = load_generator.Samples([load_generator.Sample(0, 0.001, "/", "HTTP 500"), load_generator.Sample(0, 0.002, "/")])
    assert samples.latencies() == [0.002, math.inf]
    assert len(samples.failed) == 1


def test_a_load_keeps_its_times_on_a_clock_of_its_own():
    """One worker, a clock that only sleeping and answering move: the second request is late because the first took 3 s."""
    clock = [0.0]

    class Closed:
        def close(self):
            pass

    def attempt(door):
        clock[0] += 3.0 if clock[0] == 0 else 0.5
        return ""

    samples = load_generator.run_load(
        [("x", attempt)] * 3,
        Closed,
        1.0,
        workers=1,
        sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds),
        monotonic=lambda: clock[0],
    )
    assert [(sample.due, sample.latency) for sample in samples.all] == [(0, 3.0), (1, 2.5), (2, 2.0)]


def test_an_attempt_that_breaks_is_a_failed_request():
    class Closed:
        def close(self):
            pass

    def attempt(door):
        raise ConnectionResetError("gone")

    (sample,) = load_generator.run_load([("x", attempt)], Closed, 1000).all
    assert sample.problem == "ConnectionResetError: gone"


def test_our_own_late_waking_is_not_the_servers_latency():
    """The machine wakes us 0.3 s late each time; the server answers in 0.1 s."""
    clock = [0.0]

    def late_sleep(seconds):
        clock[0] += seconds + 0.3

    begin = load_generator.wait_until(1.0, late_sleep, lambda: clock[0])
    assert begin == pytest.approx(1.3)
    assert load_generator.wait_until(1.0, late_sleep, lambda: clock[0]) == 1.0
