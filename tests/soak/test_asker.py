"""The client of the soak test sees what it is there to see."""

import random

import pytest
from asker import Answer, Asker
from kills import ROLLOUT, VICTIMS, schedule


def durable(seq, kind="answer_chunk", content="a", attempt=1):
    return {"type": kind, "seq": seq, "cmd": "c", "attempt": attempt, "content": content}


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        ([durable(1), durable(2, "final_answer")], None),
        ([durable(1), durable(2, "answer_reset"), durable(3, content="b", attempt=2), durable(4, "final_answer", "b", 2)], None),
        ([durable(1), durable(3)], "gap: seq 3 after 1"),
        ([durable(1), durable(1)], "repetition: seq 1 after 1"),
        ([durable(1), durable(2, "final_answer", "b")], "the final answer to c is not its chunks"),
        ([durable(1), durable(2, "final_answer"), durable(3, "final_answer")], "final_answer after the final answer to c"),
    ],
)
def test_faults(messages, fault):
    asker = Asker("ws://unused", random.Random(1))
    asker.answers["c"] = Answer(0.0)
    for message in messages:
        asker._durable(message)
    assert asker.faults == ([] if fault is None else [fault])


def test_the_schedule_is_the_seeds_alone_and_kills_everything():
    plans = [schedule(26, random.Random(seed)) for seed in (7, 7, 8)]
    assert plans[0] == plans[1] != plans[2]
    kinds = [kind for kind, _ in plans[0]]
    assert min(kinds.count(kind) for kind in VICTIMS) >= 4
    assert kinds[12] == ROLLOUT
    assert kinds.count(ROLLOUT) == 1
