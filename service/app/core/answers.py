"""The answer worker, `python -m app.core.answers`: takes questions from the jobs stream, writes answers to the session's stream.

A worker that dies stops its heartbeat; another takes the job after TAKEOVER_MS, knows what clients saw already, says nothing while the
new text is equal to it, and says `answer_reset` at the first difference. Every path ends with exactly one final answer.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator

import redis
from prometheus_client import start_http_server
from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError

from app.core import catalog, retrieval
from app.core.background import spawn
from app.core.catalog import Catalogue, Product
from app.core.database import transcripts
from app.core.library import Library
from app.core.llm import Material, Provider, ProviderFailed
from app.core.manuals import Chunk
from app.core.stream import Fenced, Job, Open, Streams, Taken, body
from app.metrics import ANSWER_SECONDS, FENCED, LLM_ERRORS, REDIS_ERRORS, TAKEOVERS, TASKS_ACTIVE

log = logging.getLogger(__name__)

THREADS = 8
BLOCK_MS = 1000
BEAT_SECONDS = 0.8
TAKEOVER_MS = 2500
ATTEMPTS = 3
DEADLINE_SECONDS = 60.0
# A job that workers have had for this long is stuck, not slow: every attempt could have used its deadline three times over.
ORPHAN_SECONDS = 3 * ATTEMPTS * DEADLINE_SECONDS
STATUSES = 3
STOP_SECONDS = 20.0
METRICS_PORT = 9809
OUTCOMES = ("answered", "no_manual", "unknown_product", "provider_failed", "gave_up")
CATALOGUE_SECONDS = 10.0
SORRY = "Sorry, this question could not be answered just now. Please ask it again."


class Speaker:
    """Writes one answer to the session, aware of what an earlier attempt already showed."""

    def __init__(self, streams: Streams, taken: Taken) -> None:
        self.streams, self.taken = streams, taken
        self._shown = list(taken.parts)
        self._statuses = taken.statuses
        self.parts: list[str] = []

    def status(self, text: str) -> None:
        """Tell how far it is; not again after a takeover, and at most STATUSES times."""
        if self.taken.attempt == 1 and self._statuses < STATUSES:
            self._statuses += 1
            self.streams.append(self.taken, "status", msg=text)

    def paragraph(self, text: str) -> None:
        """The next paragraph: silent if clients have exactly it, else shown (after a reset if they have something else there)."""
        place = len(self.parts)
        self.parts.append(text)
        if place < len(self._shown):
            if self._shown[place] == text:
                return
            self._reset()
        else:
            self._show(text)

    def finish(self, context: dict[str, object], *, dead: str = "") -> None:
        """The rest of the contract: context, then the one final answer."""
        if len(self._shown) > len(self.parts):
            self._reset()
        job, attempt = self.taken.job, self.taken.attempt
        if not self._statuses:
            self.streams.append(self.taken, "status", msg="Answering")
        final = body("final_answer", job.cmd, attempt, content="\n\n".join(self.parts))
        self.streams.finish(self.taken, [body("context", job.cmd, attempt, data=context), final], dead=dead)

    def start_over(self) -> None:
        """Forget what this attempt said so far (clients are told only if they saw any of it)."""
        self.parts = []

    def _show(self, text: str) -> None:
        self.streams.append(self.taken, "answer_chunk", content=text)
        self._shown.append(text)

    def _reset(self) -> None:
        self.streams.append(self.taken, "answer_reset")
        self._shown = []
        for text in list(self.parts):
            self._show(text)


class Answerer:
    """Makes the answer to one job: product, manual, passages, words. Knows no streams besides its Speaker."""

    def __init__(
        self, catalogue: Callable[[], Catalogue], library: Library, provider: Provider, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.catalogue, self.library, self.provider, self._clock = catalogue, library, provider, clock

    def answer(self, job: Job, speaker: Speaker) -> str:
        """Say everything but the end. Returns the outcome for metrics. Raises Fenced, redis.RedisError."""
        catalogue = self.catalogue()
        product = catalogue.products.get(job.product_id)
        if product is None:
            speaker.status("Looking for the product…")
            speaker.paragraph("This product is not in our catalogue, so there is no manual to look into. Please search for it again.")
            return "unknown_product"
        facts = catalogue.product_shape(product)
        speaker.status(f"Looking for the manual of the {facts['brand']} {facts['name']}…")
        passages, note = self._passages(job, product, speaker)
        material = Material(job.query, facts, passages, note, job.image)
        deadline = self._clock() + DEADLINE_SECONDS
        try:
            for paragraph in self.provider.paragraphs(material):
                if self._clock() > deadline:
                    raise ProviderFailed(f"not within {DEADLINE_SECONDS:g} s")
                speaker.paragraph(paragraph)
        except ProviderFailed as problem:
            LLM_ERRORS.labels(self.provider.name).inc()
            log.warning("provider failed", extra={"reason": str(problem), "provider": self.provider.name})
            speaker.start_over()
            speaker.paragraph(SORRY)
            return "provider_failed"
        return "answered" if passages else "no_manual"

    def _passages(self, job: Job, product: Product, speaker: Speaker) -> tuple[list[Chunk], str]:
        """The best passages of the manual, or why there are none."""
        if not product.manual_url:
            return [], "There is no manual for this product in our library yet."
        url = self.library.absolute(product.manual_url)
        try:
            document = self.library.find(url)
            if document is None:
                speaker.status("Fetching the manual…")
                document = self.library.wait_for(url)
        except SQLAlchemyError as problem:
            log.warning("library unavailable", extra={"reason": type(problem).__name__})
            document = None
        if document is None or document["error"]:
            return [], "The manual of this product can't be read at the moment."
        speaker.status(f"Reading {document['pages']} pages…")
        return retrieval.best(job.query, document["chunks"]), ""


class Worker:
    """Threads that take jobs, one that beats for all of them, one that takes over jobs of the dead."""

    def __init__(self, streams: Streams, answerer: Answerer, engine: Engine | None, name: str = "") -> None:
        self.streams, self.answerer, self.engine = streams, answerer, engine
        self.name = f"{name or 'answer'}-{os.getpid()}-{secrets.token_hex(3)}"
        self._running: dict[str, Taken] = {}
        self._stopping = threading.Event()

    def run(self, threads: int = THREADS) -> None:
        """Work until `stop`; then finish what is at hand, at most STOP_SECONDS."""
        self._when_redis_is_there(self.streams.ensure_group)
        workers = [threading.Thread(target=self._take_jobs, name=f"answer-{number}", daemon=True) for number in range(threads)]
        workers.append(threading.Thread(target=self._take_over, name="takeover", daemon=True))
        for worker in workers:
            worker.start()
        spawn(self._beat)
        self._stopping.wait()
        deadline = time.monotonic() + STOP_SECONDS
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))

    def stop(self) -> None:
        self._stopping.set()

    def _when_redis_is_there(self, work: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            try:
                work()
                return
            except (redis.RedisError, OSError) as problem:
                self._redis_failed(problem)

    def _redis_failed(self, problem: Exception) -> None:
        REDIS_ERRORS.labels("state").inc()
        log.warning("Redis failed, trying again", extra={"reason": str(problem)})
        self._stopping.wait(0.5)

    def _for_ever(self, jobs: Callable[[], list[tuple[str, Job | None]]]) -> Iterator[tuple[str, Job | None]]:
        """Entries from `jobs` until we stop, across outages of Redis."""
        while not self._stopping.is_set():
            try:
                entries = jobs()
            except redis.ResponseError as problem:
                if "NOGROUP" in str(problem):
                    self._when_redis_is_there(self.streams.ensure_group)
                self._redis_failed(problem)
            except (redis.RedisError, OSError) as problem:
                self._redis_failed(problem)
            else:
                yield from entries

    def _take_jobs(self) -> None:
        for entry, job in self._for_ever(lambda: self.streams.read_new(self.name, BLOCK_MS)):
            self._work(entry, job)

    def _take_over(self) -> None:
        def stale() -> list[tuple[str, Job | None]]:
            self._stopping.wait(0.5)
            return self.streams.claim_stale(self.name, TAKEOVER_MS)

        for entry, job in self._for_ever(stale):
            TAKEOVERS.inc()
            threading.Thread(target=self._work, args=(entry, job), name="taken-over", daemon=True).start()

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            for entry, taken in list(self._running.items()):
                try:
                    if not self.streams.beat(taken, self.name):
                        self._running.pop(entry, None)
                except (redis.RedisError, OSError):
                    REDIS_ERRORS.labels("state").inc()

    def _work(self, entry: str, job: Job | None) -> None:
        """One job to its end. When Redis fails in the middle, a new attempt of our own continues it: a reply that was lost may have
        been an append that happened, and only a fresh look at what clients saw tells."""
        while True:
            try:
                if job is None:
                    log.error("job can't be read, dropped", extra={"entry": entry})
                    self.streams.drop(entry)
                else:
                    self._attempt(entry, job)
                return
            except Fenced as problem:
                FENCED.inc()
                log.info("job given up", extra={"reason": str(problem), "entry": entry})
                if "session" in str(problem):
                    self._when_redis_is_there(lambda: self.streams.drop(entry))
                return
            except (redis.RedisError, OSError) as problem:
                self._redis_failed(problem)
                if self._stopping.is_set():
                    return
            except Exception:
                # The heartbeat ends with this frame, so the job is taken again, at most ATTEMPTS times.
                log.exception("job failed", extra={"entry": entry})
                return

    def _attempt(self, entry: str, job: Job) -> None:
        taken = self.streams.take(entry, job)
        if taken is None:
            return
        self._running[entry] = taken
        started = time.monotonic()
        TASKS_ACTIVE.inc()
        try:
            speaker = Speaker(self.streams, taken)
            if taken.attempt > ATTEMPTS:
                speaker.paragraph(SORRY)
                outcome = "gave_up"
            else:
                outcome = self.answerer.answer(job, speaker)
            context = self.answerer.catalogue().context_of(job.product_id)
            speaker.finish(context, dead=f"{ATTEMPTS} attempts failed" if outcome == "gave_up" else "")
            seconds = time.monotonic() - started
            ANSWER_SECONDS.labels(outcome).observe(seconds)
            log.info("answered", extra={"cmd": job.cmd, "session": job.session, "outcome": outcome, "attempt": taken.attempt})
            self._keep(taken, "\n\n".join(speaker.parts), outcome, seconds)
        finally:
            TASKS_ACTIVE.dec()
            self._running.pop(entry, None)

    def _keep(self, taken: Taken, answer: str, outcome: str, seconds: float) -> None:
        """The transcript. The client has its answer; a database that is away costs only this row."""
        if self.engine is None:
            return
        job = taken.job
        row = {"session": job.session, "cmd": job.cmd, "product_id": job.product_id, "question": job.query, "answer": answer}
        values = {**row, "outcome": outcome, "attempt": taken.attempt, "seconds": seconds}
        try:
            with self.engine.begin() as connection:
                connection.execute(insert(transcripts).values(**values).on_conflict_do_nothing())
        except SQLAlchemyError as problem:
            log.warning("transcript not kept", extra={"cmd": job.cmd, "reason": type(problem).__name__})


def bury_orphans(streams: Streams, catalogue: Callable[[], Catalogue], seconds: float = ORPHAN_SECONDS) -> int:
    """Dead-letter the jobs that nobody will finish; returns how many. Where the session lives, it gets the one final answer.

    Such a job is taken like any other, so that a worker which hangs in it while its heart beats is fenced from then on.
    """
    buried = 0
    for job in list(streams.open_jobs()):
        if not job.session_lives:
            buried += streams.bury(job.entry, job.job, "the session is gone")
        elif job.seconds > seconds:
            # Before the job is taken: a catalogue that can't be had must not cost it an attempt.
            context = catalogue().context_of(job.job.product_id)
            buried += _give_up(streams, job, context, f"not finished within {seconds:g} s")
    return buried


def _give_up(streams: Streams, orphan: Open, context: dict[str, object], reason: str) -> bool:
    """Say the final answer of a job and dead-letter it; False if somebody else finished it or took it just now."""
    taken = streams.take(orphan.entry, orphan.job)
    if taken is None:
        return False
    speaker = Speaker(streams, taken)
    try:
        speaker.paragraph(SORRY)
        speaker.finish(context, dead=reason)
    except Fenced:
        return False
    return True


class CatalogueSource:
    """The catalogue of PostgreSQL, read again when its digest changed, looked at no more often than CATALOGUE_SECONDS."""

    def __init__(self, engine: Engine, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._clock = engine, clock
        self._catalogue: Catalogue | None = None
        self._looked_at = -CATALOGUE_SECONDS
        self._lock = threading.Lock()

    def __call__(self) -> Catalogue:
        """The newest catalogue that could be had. Raises SQLAlchemyError or LookupError when there was never one."""
        with self._lock:
            if self._catalogue is None or self._clock() - self._looked_at >= CATALOGUE_SECONDS:
                self._look()
            if self._catalogue is None:
                raise LookupError("the catalogue is not imported yet: run python -m app.migrate")
            return self._catalogue

    def _look(self) -> None:
        try:
            with self._engine.connect() as connection:
                digest = catalog.current_digest(connection)
                if digest and (self._catalogue is None or digest != self._catalogue.digest):
                    self._catalogue = catalog.read(connection)
            self._looked_at = self._clock()
        except SQLAlchemyError:
            if self._catalogue is None:
                raise


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    from app.wiring import answer_worker

    worker = answer_worker()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: worker.stop())
    for outcome in OUTCOMES:  # from the start: none of them is 0, and not "no data"
        ANSWER_SECONDS.labels(outcome)
    start_http_server(int(os.environ.get("HSC_METRICS_PORT", METRICS_PORT)))
    log.info("answer worker started", extra={"consumer": worker.name})
    worker.run()
    log.info("answer worker stopped")


if __name__ == "__main__":
    main()
