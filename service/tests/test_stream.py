"""The Lua scripts against a real Redis."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import redis

from app.core import stream
from app.core.stream import Fenced, Job, Streams
from app.ws_session import resume_reason


@pytest.fixture
def streams(state_redis) -> Streams:
    made = Streams(redis.Redis.from_url(state_redis.url, protocol=2))
    made.ensure_group()
    made.ensure_group()
    return made


JOB = Job("s1", "e1", "c1", "roland-td-17", "how do I reset it?")


def take_new(streams: Streams, consumer: str = "w1"):
    [(entry, job)] = streams.read_new(consumer, 10)
    assert job is not None
    return streams.take(entry, job)


def test_submit_is_idempotent_by_cmd(streams) -> None:
    assert [streams.submit(JOB), streams.submit(JOB)] == ["new", "dup"]
    assert streams.client.xlen(stream.JOBS) == 1


def test_submit_refuses_another_epoch_and_a_full_backlog(streams) -> None:
    assert streams.submit(JOB) == "new"
    assert streams.submit(Job("s1", "e2", "c2", "p", "q")) == "epoch"
    assert Streams(streams.client, backlog=1).submit(Job("s2", "e", "c", "p", "q")) == "busy"


def test_messages_have_contiguous_seq_and_one_final(streams) -> None:
    streams.submit(JOB)
    taken = take_new(streams)
    assert streams.append(taken, "status", msg="Looking") == 1
    assert streams.append(taken, "answer_chunk", content="Hold ENTER.") == 2
    finals = [stream.body("context", "c1", 1, data={}), stream.body("final_answer", "c1", 1, content="Hold ENTER.")]
    assert streams.finish(taken, finals) == 4
    history = streams.history("s1", 0)
    assert (history.epoch, history.top) == ("e1", 4)
    assert [json.loads(text)["seq"] for _, text in history.messages] == [1, 2, 3, 4]
    assert [json.loads(text)["type"] for _, text in history.messages] == ["status", "answer_chunk", "context", "final_answer"]
    with pytest.raises(Fenced):
        streams.finish(taken, finals)
    assert streams.client.xlen(stream.JOBS) == 0
    assert streams.submit(JOB) == "dup"


def test_takeover_fences_the_zombie_and_knows_what_was_shown(streams) -> None:
    streams.submit(JOB)
    zombie = take_new(streams, "w1")
    streams.append(zombie, "status", msg="Looking")
    streams.append(zombie, "answer_chunk", content="One.")
    [(entry, job)] = streams.claim_stale("w2", 0)
    heir = streams.take(entry, job)
    assert (heir.attempt, heir.statuses, heir.parts) == (2, 1, ("One.",))
    with pytest.raises(Fenced):
        streams.append(zombie, "answer_chunk", content="Two.")
    assert not streams.beat(zombie, "w1")
    assert streams.beat(heir, "w2")
    assert streams.append(heir, "answer_reset") == 3
    assert streams.client.llen(f"{job.key}:parts") == 0


def test_beat_keeps_a_job_out_of_reach(streams) -> None:
    import time

    streams.submit(JOB)
    taken = take_new(streams)
    time.sleep(0.15)
    assert streams.beat(taken, "w1")
    assert streams.claim_stale("w2", 100) == []
    time.sleep(0.15)
    assert len(streams.claim_stale("w2", 100)) == 1


def test_finished_and_forgotten_jobs_leave_the_stream(streams) -> None:
    streams.submit(JOB)
    taken = take_new(streams)
    streams.client.delete(JOB.key)
    assert streams.take(taken.entry, JOB) is None
    assert streams.client.xlen(stream.JOBS) == 0


def test_a_forgotten_session_fences(streams) -> None:
    streams.submit(JOB)
    taken = take_new(streams)
    streams.client.delete(stream.session_key("s1"))
    with pytest.raises(Fenced, match="session is gone"):
        streams.append(taken, "status", msg="x")


def test_dead_letter(streams) -> None:
    streams.submit(JOB)
    streams.finish(take_new(streams), [stream.body("final_answer", "c1", 1, content="Sorry.")], dead="deadline")
    [(_, fields)] = streams.client.xrange(stream.DEAD)
    assert json.loads(fields[b"dead"])["reason"] == "deadline"


def test_trim_forgets_only_what_was_seen(streams) -> None:
    streams.submit(JOB)
    taken = take_new(streams)
    for number in range(4):
        streams.append(taken, "answer_chunk", content=str(number))
    streams.trim("s1", 2)
    assert [seq for seq, _ in streams.history("s1", 0).messages] == [3, 4]
    assert streams.tops(["s1", "nope"]) == [4, None]


def test_trim_keeps_the_last_answer_for_who_comes_back_with_less(streams) -> None:
    streams.submit(JOB)
    taken = take_new(streams)
    streams.append(taken, "answer_chunk", content="One.")
    streams.finish(taken, [stream.body("context", "c1", 1, data={}), stream.body("final_answer", "c1", 1, content="One.")])
    streams.trim("s1", 3)
    history = streams.history("s1", 0)
    assert [json.loads(text)["type"] for _, text in history.messages] == ["context", "final_answer"]
    assert resume_reason(history, "e1", 0) == "trimmed"
    streams.submit(replace(JOB, cmd="c2"))
    streams.finish(take_new(streams), [stream.body("final_answer", "c2", 1, content="Two.")])
    streams.trim("s1", 4)
    assert [json.loads(text)["content"] for _, text in streams.history("s1", 0).messages] == ["Two."]


@pytest.mark.parametrize(
    ("epoch", "offset", "reason"),
    [
        ("e1", 6, None),
        ("e1", 5, None),
        ("e1", 3, None),
        ("e1", 2, "trimmed"),
        ("e1", 0, "trimmed"),
        ("e1", 7, "unknown"),
        ("e2", 6, "epoch"),
        ("e2", 0, "epoch"),
        ("", 0, "epoch"),
    ],
)
def test_what_a_client_can_have_of_a_history_that_was_trimmed_to_its_last_three(streams, epoch, offset, reason) -> None:
    streams.submit(JOB)
    taken = take_new(streams)
    for number in range(6):
        streams.append(taken, "answer_chunk", content=str(number))
    streams.trim("s1", 3)
    assert resume_reason(streams.history("s1", offset, 1), epoch, offset) == reason


def test_what_a_client_can_have_of_a_history_that_is_gone(streams) -> None:
    streams.submit(JOB)
    streams.append(take_new(streams), "answer_chunk", content="One.")
    streams.client.delete(stream.log_key("s1"))
    assert resume_reason(streams.history("s1", 1, 1), "e1", 1) is None, "it has everything"
    assert resume_reason(streams.history("s1", 0, 1), "e1", 0) == "trimmed"
    streams.client.delete(stream.session_key("s1"))
    assert resume_reason(streams.history("s1", 1, 1), "e1", 1) == "unknown"
    assert resume_reason(streams.history("s1", 0, 1), "e1", 0) is None, "nothing was asked yet, or it is asked again"
    assert resume_reason(streams.history("s1", 0, 1), "", 0) == "unknown"


def test_a_log_that_grew_too_long_is_trimmed_by_redis_itself(streams, monkeypatch) -> None:
    monkeypatch.setattr(stream, "LOG_LENGTH", 100)
    streams.submit(JOB)
    taken = take_new(streams)
    for number in range(400):
        streams.append(taken, "answer_chunk", content=str(number))
    assert resume_reason(streams.history("s1", 50, 1), "e1", 50) == "trimmed"
    [(first, _)] = streams.history("s1", 50, 1).messages
    assert [seq for seq, _ in streams.history("s1", first - 1).messages] == list(range(first, 401)), "the rest is whole"


def test_bury_only_what_has_no_session_and_is_still_there(streams) -> None:
    streams.submit(JOB)
    [(entry, _)] = streams.read_new("w1", 10)
    assert not streams.bury(entry, JOB, "gone"), "its session lives"
    streams.client.delete(stream.session_key("s1"))
    assert [streams.bury(entry, JOB, "gone"), streams.bury(entry, JOB, "gone")] == [True, False]
    [(_, fields)] = streams.client.xrange(stream.DEAD)
    assert json.loads(fields[b"dead"]) == {"cmd": "c1", "session": "s1", "product_id": "roland-td-17", "reason": "gone"}
    assert streams.client.xpending(stream.JOBS, stream.GROUP)["pending"] == 0


def test_open_jobs_pages_through_all_and_keeps_waiting_ones_from_expiring(streams, monkeypatch) -> None:
    monkeypatch.setattr(stream, "PAGE", 3)
    for number in range(7):
        streams.submit(replace(JOB, cmd=f"c{number}"))
    streams.client.xadd(stream.JOBS, {"job": "{not json"})
    streams.client.expire(f"job:{JOB.session}:c0", 5)
    take_new(streams)
    streams.client.hincrby(f"job:{JOB.session}:c0", "since", -50)
    found = list(streams.open_jobs())
    assert [job.job.cmd for job in found] == [f"c{number}" for number in range(7)]
    assert all(job.session_lives for job in found)
    assert 50 <= found[0].seconds < 60
    assert {job.seconds for job in found[1:]} == {0.0}, "nobody has had them yet"
    assert streams.client.ttl(f"job:{JOB.session}:c0") > 1000


def test_a_job_that_cannot_be_read_is_none(streams) -> None:
    streams.client.xadd(stream.JOBS, {"job": "{not json"})
    [(_, job)] = streams.read_new("w1", 10)
    assert job is None


def test_token_belongs_to_one_session_and_key() -> None:
    token = stream.sign("s1", b"k")
    assert stream.verify("s1", token, b"k")
    assert not stream.verify("s2", token, b"k")
    assert not stream.verify("s1", token, b"other")
