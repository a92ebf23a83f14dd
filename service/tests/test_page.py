"""The page in a real browser: search, choose and ask by keyboard; reload, a killed server, no network, a Redis that forgot everything."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from browser import Page, chromium
from servers import stop, wait_until
from stack import Stack, running_stack

from app.core.stream import Job, Streams, Taken, body


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, postgres_port: int) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("stack"), postgres_port) as running:
        yield running


@pytest.fixture
def page(stack: Stack, tmp_path: Path) -> Iterator[Page]:
    with chromium(tmp_path) as made:
        made.open(f"{stack.backend.url}/")
        made.wait("document.getElementById('connection').dataset.state === 'open'")
        yield made


def choose_td17(page: Page, text: str = "td17") -> None:
    page.type(text)
    page.wait("document.querySelector('#results [data-product-id]')?.textContent.includes('Roland TD-')")
    page.press("Enter", 13)
    page.wait("!document.getElementById('ask').hidden")


DONE = "document.querySelector('article')?.getAttribute('aria-busy') === 'false'"


def test_search_choose_and_ask_by_keyboard_alone(page: Page, tmp_path: Path) -> None:
    page.type("td")
    page.wait("document.querySelectorAll('#results [data-product-id]').length === 3")
    page.press("ArrowDown", 40)
    assert page.js("document.querySelectorAll('#results [aria-selected=true]').length") == 1
    page.press("Escape", 27)
    page.wait("document.querySelectorAll('#results li').length === 0")
    choose_td17(page)
    assert page.js("document.activeElement.id") == "question"
    assert page.js("document.getElementById('name').textContent") == "Roland TD-17"
    page.type("How do I do a factory reset?")
    page.press("Enter", 13)
    page.wait(DONE, 40)
    assert "Hold the ENTER button" in page.js("document.querySelector('article').textContent")
    assert page.js("document.querySelector('article .page').textContent") == "(page 3)"
    page.screenshot(tmp_path / "page.png")
    assert [error for error in page.errors if "/static/assets/" not in error] == []


def test_reload_keeps_answers_and_finishes_what_was_asked(page: Page) -> None:
    choose_td17(page, "td07")
    page.type("factory reset")
    page.press("Enter", 13)
    page.wait("document.querySelector('article .status')?.textContent.includes('manual')")
    page.call("Page.reload")
    page.wait("document.readyState === 'complete' && !!document.querySelector('article')")
    page.wait(DONE, 40)
    assert "(page 3)" in page.js("document.querySelector('article').textContent")


class Hand:
    """The test in the answer worker's place: it says what it wants, when it wants."""

    def __init__(self, state: redis.Redis) -> None:
        self.streams = Streams(state)

    def take(self) -> Taken:
        """The job that the page asked for, also if it had been handed to the frozen worker."""
        jobs: list[tuple[str, Job | None]] = []
        wait_until(lambda: jobs.extend(self.streams.read_new("hand", 50) or self.streams.claim_stale("hand", 0)) or jobs, "a job", 10)
        [(entry, job)] = jobs
        assert job is not None
        taken = self.streams.take(entry, job)
        assert taken is not None
        return taken

    def say(self, taken: Taken, text: str) -> None:
        self.streams.append(taken, "answer_chunk", content=text)

    def finish(self, taken: Taken, text: str) -> None:
        context = {"brand": {}, "related_items": []}
        end = [
            body("context", taken.job.cmd, taken.attempt, data=context),
            body("final_answer", taken.job.cmd, taken.attempt, content=text),
        ]
        self.streams.finish(taken, end)


@contextmanager
def by_hand(stack: Stack) -> Iterator[Hand]:
    """The answer worker is frozen meanwhile."""
    stack.answerers[0].handle.send_signal(signal.SIGSTOP)
    try:
        yield Hand(redis.Redis.from_url(stack.state.url, protocol=2))
    finally:
        stack.answerers[0].handle.send_signal(signal.SIGCONT)


def ask_td17(page: Page, question: str = "pads cable") -> None:
    choose_td17(page)
    page.type(question)
    page.press("Enter", 13)


def shown(*paragraphs: str) -> str:
    """An expression: the newest answer's paragraphs are exactly these."""
    found = "JSON.stringify([...document.querySelectorAll('article:first-child p:not(.status)')].map((one) => one.textContent))"
    return f"{found} === JSON.stringify({list(paragraphs)!r})"


STATUS = "document.querySelector('article .status')?.textContent"
STATE = "document.getElementById('connection').dataset.state"


def test_reload_mid_answer_doubles_nothing(page: Page, stack: Stack) -> None:
    with by_hand(stack) as hand:
        ask_td17(page)
        taken = hand.take()
        for text in ("One.", "Two."):
            hand.say(taken, text)
        page.wait(shown("One.", "Two."))
        page.call("Page.reload")
        page.wait(f"document.readyState === 'complete' && {STATE} === 'open'")
        hand.say(taken, "Three.")
        page.wait(shown("One.", "Two.", "Three."))
        hand.finish(taken, "One.\n\nTwo.\n\nThree.")
        page.wait(DONE)
        assert page.js(shown("One.", "Two.", "Three."))


def test_server_killed_mid_answer(page: Page, stack: Stack) -> None:
    with by_hand(stack) as hand:
        ask_td17(page)
        taken = hand.take()
        hand.say(taken, "One.")
        page.wait(shown("One."))
        stop(stack.backend.handle, signal.SIGKILL)
        page.wait(f"{STATE} !== 'open'")
        hand.say(taken, "Two.")
        assert page.js(shown("One."))
        stack.backend.start().wait_ready()
        page.wait(shown("One.", "Two."))
        hand.finish(taken, "One.\n\nTwo.")
        page.wait(DONE)


def test_a_question_asked_while_the_server_is_away_is_answered_later(page: Page, stack: Stack) -> None:
    choose_td17(page)
    stop(stack.backend.handle, signal.SIGKILL)
    page.wait(f"{STATE} !== 'open'")
    page.type("pads cable")
    page.press("Enter", 13)
    page.wait(f"{STATUS} === 'Sending…'")
    stack.backend.start().wait_ready()
    page.wait(DONE, 40)
    assert "(page 2)" in page.js("document.querySelector('article').textContent")


@pytest.mark.slow
def test_connections_that_are_renewed_go_unnoticed(page: Page, stack: Stack) -> None:
    """A second and a half each: several pass before the question, one is held for its answer."""
    restless = stack.make_backend({**stack.environment, "HSC_CONNECTION_SECONDS": "1.5"})
    page.open(f"{restless.url}/")
    wait_until(lambda: 'resume_total{result="recovered"} 2.0' in restless.get("/metrics")[2].decode(), "two came back")
    choose_td17(page, "td07")
    page.type("factory reset")
    page.press("Enter", 13)
    page.wait(DONE, 40)
    assert "(page 3)" in page.js("document.querySelector('article').textContent")


def test_offline_mid_answer(page: Page, stack: Stack) -> None:
    """The socket of the lost network is not trusted: when there is a network again, the page resumes on a new one."""
    network = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
    with by_hand(stack) as hand:
        ask_td17(page)
        taken = hand.take()
        hand.say(taken, "One.")
        page.wait(shown("One."))
        page.call("Network.emulateNetworkConditions", offline=True, **network)
        page.wait(f"{STATE} === 'offline'")
        assert page.js("document.getElementById('connection').textContent") == "offline"
        hand.say(taken, "Two.")
        page.call("Network.emulateNetworkConditions", offline=False, **network)
        page.wait(f"{STATE} === 'open'")
        page.wait(shown("One.", "Two."))
        hand.finish(taken, "One.\n\nTwo.")
        page.wait(DONE)


@pytest.mark.slow
def test_what_redis_forgot_is_asked_again(page: Page, stack: Stack) -> None:
    with by_hand(stack) as hand:
        ask_td17(page)
        hand.say(hand.take(), "One.")
        page.wait(shown("One."))
        hand.streams.client.flushall()
        page.wait(f"{shown()} && {STATUS} === 'Accepted…'")
    page.wait(DONE, 40)
    assert "(page 2)" in page.js("document.querySelector('article').textContent")
