"""Pairs of requests, one to the canary and one to the stable release, that fail by chance."""

from ansible_collections.hsc.jit.plugins.module_utils._canary.sequential import Evidence

PAIRS = 3000  # a minute at 50 pairs a second


def looked_at(chance, stable_bad, canary_bad):
    """After how many pairs the sequential test says worse; None if it never does.

    chance: random.Random. stable_bad, canary_bad: shares of answers that are errors.
    """
    evidence = Evidence()
    for number in range(1, PAIRS + 1):
        canary, stable = chance.random() < canary_bad, chance.random() < stable_bad
        evidence.add(int(canary and not stable), int(stable and not canary))
        if evidence.worse:
            return number
    return None
