"""A thousand answers while the product's parts are killed, on the deployed product: all arrive whole, once, in order.

    make soak        HSC_SOAK_SEED=7  HSC_SOAK_WAVES=36  HSC_SOAK_CLIENTS=40

All clients ask in waves; in each wave something dies while its answers are made, and in the middle one backend and answer workers are
restarted by a rollout. Ends in about five minutes; the figures are printed and stand in .cache/test/soak.json.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._kube.client import Cluster
from asker import Answer, Asker
from kills import ROLLOUT, Kill, Killer, schedule, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

SEED, WAVES, CLIENTS = (int(os.environ.get(f"HSC_SOAK_{name}", value)) for name, value in (("SEED", 7), ("WAVES", 36), ("CLIENTS", 40)))
# An answer whose manual is at hand takes 10 ms: only many questions at once leave work for a kill to interrupt.
WAVE_SECONDS, ASK_SECONDS, STRIKE_SECONDS = 8.0, 0.15, (0.02, 0.25)
ROLLOUT_SECONDS, LAST_SECONDS = 150.0, 120.0
SEARCHES = (
    *(
        "td17",
        "moog",
        "korg",
        "nord stage",
        "scarlett",
        "sm58",
        "juno",
        "digitakt",
        "yamaha",
        "hx stomp",
        "prophet",
        "boss",
        "akai",
        "rode",
    ),
    *(
        "behringer",
        "pioneer",
        "arturia",
        "fender",
        "marshall",
        "zoom",
        "tascam",
        "neumann",
        "sennheiser",
        "allen heath",
        "presonus",
        "casio",
    ),
)
QUESTIONS = ("How do I do a factory reset?", "How do I connect it?", "What does the warranty cover?", "How do I update the firmware?")


def product_ids(door: str) -> list[str]:
    """Three products for each of some searches, with manuals of many brands."""
    found: list[str] = []
    for text in SEARCHES:
        with urllib.request.urlopen(f"{door}/api/search?q={quote(text)}", timeout=10) as answer:
            found += [entry["product"]["id"] for entry in json.load(answer)["results"][:3]]
    return sorted(set(found))


async def ask_later(asker: Asker, wave: int, number: int, products: list[str], chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, ASK_SECONDS))
    await asker.ask(f"soak-{SEED}-{number}-{wave}", chance.choice(products), chance.choice(QUESTIONS))


async def run_wave(askers: list[Asker], wave: int, products: list[str], chance: random.Random, strike: Any) -> None:
    """Everybody asks; `strike` happens at some moment of it."""
    asking = [asyncio.create_task(ask_later(asker, wave, number, products, chance)) for number, asker in enumerate(askers)]
    await asyncio.sleep(chance.uniform(*STRIKE_SECONDS))
    await asyncio.to_thread(strike)
    await asyncio.gather(*asking)


async def soak(door: str, killer: Killer, chance: random.Random) -> list[Asker]:
    """Carry out the schedule; returns the clients with what they saw."""
    products = await asyncio.to_thread(product_ids, door)
    askers = [Asker(door.replace("http", "ws", 1) + "/ws", random.Random(f"{SEED}-{number}")) for number in range(CLIENTS)]
    living = [asyncio.create_task(asker.live()) for asker in askers]
    for wave, (kind, how) in enumerate(schedule(WAVES, chance)):
        began = time.monotonic()
        strike = killer.restart if kind == ROLLOUT else await asyncio.to_thread(killer.aim, kind, how)
        await run_wave(askers, wave, products, chance, strike)
        if kind == ROLLOUT:
            await asyncio.to_thread(wait_for, killer.is_rolled_out, "the rolling restart", ROLLOUT_SECONDS)
        print(f"{kind:7} {how:7} open answers {sum(len(asker.open) for asker in askers)}", flush=True)
        await asyncio.sleep(max(0.0, began + WAVE_SECONDS * chance.uniform(0.8, 1.2) - time.monotonic()))
    deadline = time.monotonic() + LAST_SECONDS
    while any(asker.open or asker.waiting for asker in askers) and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
    for asker in askers:
        await asker.end()
    await asyncio.wait(living, timeout=10)
    return askers


def spread(seconds: list[float]) -> dict[str, float]:
    """count, p50, p95 and max in milliseconds."""
    if len(seconds) < 2:
        return {"count": len(seconds)}
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"count": len(seconds)} | {
        name: round(value * 1000, 1) for name, value in (("p50_ms", cuts[9]), ("p95_ms", cuts[18]), ("max_ms", max(seconds)))
    }


def takeovers(answers: list[Answer], kills: list[Kill]) -> list[float]:
    """From the death of an answer worker that left another one to the next message of each answer that was taken over."""
    deaths = [kill.at for kill in kills if kill.kind in ("answer", "both") and kill.pods]
    alone = {kill.at for kill in kills if not kill.answerers_left}
    found = []
    for answer in answers:
        for attempt, at in answer.attempts.items():
            death = max((death for death in deaths if answer.asked < death < at), default=None)
            if attempt > 1 and death is not None and death not in alone:
                found.append(at - death)
    return found


def figures(askers: list[Asker], killer: Killer, wall: float) -> dict[str, Any]:
    """What there is to say about a run."""
    answers = [answer for asker in askers for answer in asker.answers.values()]
    resumes = [resume for asker in askers for resume in asker.resumes]
    calm, stormy = [], []
    for resume in resumes:
        away = any(begin < resume.at and resume.at - resume.seconds < end for begin, end in killer.redis_away)
        (stormy if away else calm).append(resume)
    return {
        "seed": SEED,
        "answers": len(answers),
        "complete": sum(answer.finals == 1 for answer in answers),
        "faults": [fault for asker in askers for fault in asker.faults],
        "sessions_lost": Counter(reason for asker in askers for reason in asker.renewed),
        "taken_over": sum(len(answer.attempts) > 1 for answer in answers),
        "kills": Counter(f"{kill.kind} by {kill.how}" for kill in killer.kills),
        "pods_killed": sum(len(kill.pods) for kill in killer.kills),
        "rolling_restarts": 1,
        "breaks_healed": len(resumes),
        "refused_while_redis_was_away": sum(asker.retries for asker in askers),
        "resume": spread([resume.seconds for resume in calm]),
        "from_break_to_resumed": spread([resume.outage for resume in calm]),
        "resume_while_redis_was_away": spread([resume.seconds for resume in stormy]),
        "redis_away": spread([end - begin for begin, end in killer.redis_away]),
        "next_message_after_a_workers_death": spread(takeovers(answers, killer.kills)),
        "answer": spread([answer.done - answer.asked for answer in answers if answer.done]),
        "wall_seconds": round(wall, 1),
    }


def test_every_answer_arrives_whole_and_once(product: Cluster, door: str, results: Path) -> None:
    chance = random.Random(SEED)
    killer = Killer(product, chance)
    began = time.monotonic()
    stop = threading.Event()
    watching = threading.Thread(target=killer.watch_redis, args=(stop,))
    with killer.second_answerer():
        watching.start()
        try:
            askers = asyncio.run(soak(door, killer, chance))
        finally:
            stop.set()
            watching.join()
    wait_for(killer.is_rolled_out, "backend and answer workers as before", 120)
    found = figures(askers, killer, time.monotonic() - began)
    (results / "soak.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    assert found["faults"] == []
    assert found["sessions_lost"] == {}
    assert (found["complete"], found["answers"]) == (WAVES * CLIENTS, WAVES * CLIENTS)
    assert all(answer.finals == 1 and answer.acknowledged for asker in askers for answer in asker.answers.values())
    assert {kill.kind for kill in killer.kills if kill.pods} == {"web", "answer", "both", "redis"}
    assert found["breaks_healed"] > 0
    assert found["taken_over"] > 0, "no answer was interrupted: nothing was proved"
