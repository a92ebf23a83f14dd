"""The sequential test: how seldom it is wrong, and how soon it is right. Simulated with a fixed seed, thousands of runs."""

import random

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._canary import sequential
from ansible_collections.hsc.jit.plugins.module_utils._canary.sequential import Evidence, slower
from simulated_canary import PAIRS, looked_at


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2])
def test_of_equals_one_in_a_hundred_is_blamed_at_most(share):
    chance = random.Random(7)
    alarms = sum(looked_at(chance, share, share) is not None for _ in range(500))
    assert alarms <= 5


def test_five_percent_errors_are_seen_within_fifteen_seconds():
    chance = random.Random(7)
    took = sorted(looked_at(chance, 0.0, 0.05) or PAIRS for _ in range(200))
    assert took[int(200 * 0.95)] / 50 <= 15


def test_a_better_canary_is_not_blamed():
    chance = random.Random(7)
    assert all(looked_at(chance, 0.05, 0.0) is None for _ in range(50))


def test_where_the_canary_has_a_tenth_of_the_requests_a_tenth_of_the_errors_is_fair():
    chance, alarms = random.Random(7), 0
    for _ in range(500):
        evidence = Evidence()
        for _ in range(200):
            canary = chance.random() < 0.1
            evidence.add(int(canary), int(not canary), expected=0.1)
            if evidence.worse:
                alarms += 1
                break
    assert alarms <= 5
    evidence = Evidence()
    evidence.add(canary=12, stable=0, expected=0.1)
    assert evidence.worse


def test_what_counts_as_slower():
    assert not slower(0.004, 0.001), "three milliseconds are noise"
    assert not slower(0.220, 0.200), "a tenth is noise"
    assert slower(0.260, 0.200)


def test_no_observation_is_no_evidence():
    evidence = Evidence()
    evidence.add(0, 0)
    assert (evidence.log_ratio, evidence.worse) == (0.0, False)
    assert 0 < sequential.ALPHA * 6 <= 0.01
