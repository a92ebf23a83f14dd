"""Takeover of an answer: silent while equal, reset at the first difference, exactly one end. Pure, on a fake stream."""

from __future__ import annotations

import json

import pytest

from app.core.answers import Speaker
from app.core.stream import History, Job, Taken
from app.ws_session import resume_reason


class Recorded:
    """Stands for Streams: remembers what was appended."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def append(self, taken: Taken, kind: str, **fields: str) -> int:
        self.said.append((kind, fields.get("content", fields.get("msg", ""))))
        return len(self.said)

    def finish(self, taken: Taken, messages: list[str], *, dead: str = "") -> int:
        for message in messages:
            data = json.loads(message)
            self.said.append((data["type"], data.get("content", "")))
        return len(self.said)


def speak(shown: list[str], now: list[str], attempt: int = 2, statuses: int = 1) -> list[tuple[str, str]]:
    stream = Recorded()
    speaker = Speaker(stream, Taken(Job("s", "e", "c", "p", "q"), "1-0", attempt, statuses, tuple(shown)))  # type: ignore[arg-type]
    speaker.status("Working…")
    for text in now:
        speaker.paragraph(text)
    speaker.finish({})
    return stream.said


END = [("context", ""), ("final_answer", "A\n\nB")]


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ([], [("answer_chunk", "A"), ("answer_chunk", "B")]),
        (["A"], [("answer_chunk", "B")]),
        (["A", "B"], []),
        (["A", "X"], [("answer_reset", ""), ("answer_chunk", "A"), ("answer_chunk", "B")]),
        (["X"], [("answer_reset", ""), ("answer_chunk", "A"), ("answer_chunk", "B")]),
        (["A", "B", "C"], [("answer_reset", ""), ("answer_chunk", "A"), ("answer_chunk", "B")]),
    ],
)
def test_after_a_takeover(shown, said) -> None:
    assert speak(shown, ["A", "B"]) == said + END


def test_first_attempt_says_how_far_it_is_at_most_three_times() -> None:
    stream = Recorded()
    speaker = Speaker(stream, Taken(Job("s", "e", "c", "p", "q"), "1-0", 1, 0, ()))  # type: ignore[arg-type]
    for number in range(5):
        speaker.status(str(number))
    assert [kind for kind, _ in stream.said] == ["status"] * 3


def test_old_clients_always_get_a_status() -> None:
    assert speak([], ["A", "B"], attempt=2, statuses=0)[2] == ("status", "Answering")


@pytest.mark.parametrize(
    ("history", "epoch", "offset", "reason"),
    [
        (History("e", 3, ((3, ""),)), "e", 2, None),
        (History("e", 3, ()), "e", 3, None),
        (History("e", 3, ((3, ""),)), "e", 0, "trimmed"),
        (History("e", 3, ()), "e", 1, "trimmed"),
        (History("e", 3, ()), "e", 4, "unknown"),
        (History("f", 3, ()), "e", 1, "epoch"),
        (History("", 0, ()), "e", 0, None),
        (History("", 0, ()), "e", 5, "unknown"),
    ],
)
def test_what_a_reconnecting_client_is_told(history, epoch, offset, reason) -> None:
    assert resume_reason(history, epoch, offset) == reason
