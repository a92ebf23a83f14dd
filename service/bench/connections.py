"""What does a connection cost, and a message on it? The service beside Flask-SocketIO and a bare uvicorn echo, in turns, in one run.

    python -m bench.connections            # about eight minutes; --rounds 1 --connections 500 for a look

Each round starts every server anew, one after the other, in another order than the round before. Memory: PSS of the server's processes at
growing numbers of connections, the slope by least squares. Connecting: --connections with 50 under way at once, until each can be used.
Messages: 100 clients, five a second each, open loop: latency counts from when a message was due. The service's `echo` is `typing` with an
empty text; its `typing` predicts and answers with three products. Ratios are peer ÷ service of the same round. Prints one line of JSON for
each round and a summary. The peers (bench/peers.txt) are installed into .cache/bench-peers first.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from bench.served import SERVICE, backend_environment
from bench.typing import TEXTS
from bench.wire import Wire

import servers  # isort: skip  (bench.served has put it on the path)

PEERS = SERVICE.parent / ".cache/bench-peers"
AT_ONCE, WARM = 50, 50
CLIENTS, RATE = 100, 5.0
RID = b'"rid":'


@dataclass(frozen=True)
class Kind:
    """A server and how one talks to it.

    command: argv for a port, in SERVICE. join: makes a connection usable. say: the message with a number, and the text of `typing`.
    loads: names of the message loads to run, each with its texts.
    """

    name: str
    command: Callable[[int], list[str]]
    join: Callable[[int], asyncio.Future[Wire]]
    say: Callable[[int, str], str]
    loads: dict[str, tuple[str, ...]]


def must(condition: bool, otherwise: str) -> None:
    """A run that measured something else is none."""
    if not condition:
        raise SystemExit(otherwise)


# ── how each is started and joined ──


def service(_port: int) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "-c", "app/gunicorn.conf.py", "app.wiring:create_app()"]


def socketio(port: int) -> list[str]:
    gunicorn = [str(PEERS / "bin/python"), "-m", "gunicorn", "-k", "gevent", "-w", "1", "--worker-connections", "10000"]
    return [*gunicorn, "--backlog", "2048", "--log-level", "warning", "-b", f"127.0.0.1:{port}", "bench.peers:socketio_app()"]


def uvicorn(port: int) -> list[str]:
    return [
        str(PEERS / "bin/python"),
        "-m",
        "uvicorn",
        "bench.peers:echo",
        "--port",
        str(port),
        "--ws",
        "websockets",
        "--log-level",
        "warning",
    ]


async def join_bare(port: int) -> Wire:
    return await Wire.open(port, "/ws")


async def join_session(port: int) -> Wire:
    """A session that was resumed: its pod is subscribed to it and checks its position."""
    first = await Wire.open(port, "/ws?proto=1")
    hello = json.loads(await first.next())
    first.close()
    known = {key: hello[key] for key in ("session", "token", "epoch", "offset")}
    wire = await Wire.open(port, f"/ws?{urlencode({'proto': 1, **known})}")
    must(json.loads(await wire.next())["recovered"], "a session was not resumed")
    return wire


async def join_socketio(port: int) -> Wire:
    wire = await Wire.open(port, "/socket.io/?EIO=4&transport=websocket")
    await wire.next()
    wire.send("40")
    await wire.next()
    return wire


async def join_plain(port: int) -> Wire:
    return await Wire.open(port, "/")


def plainly(number: int, text: str) -> str:
    return json.dumps({"type": "typing", "content": text, "rid": number})


def as_event(number: int, text: str) -> str:
    return "42" + json.dumps(["typing", {"content": text, "rid": number}])


KINDS = (
    Kind("service", service, join_bare, plainly, {"echo": ("",), "typing": TEXTS}),
    Kind("service_session", service, join_session, plainly, {}),
    Kind("flask_socketio", socketio, join_socketio, as_event, {"echo": TEXTS}),
    Kind("uvicorn", uvicorn, join_plain, plainly, {"echo": TEXTS}),
)


# ── measuring ──


def family(pid: int) -> list[int]:
    """A process and all that came from it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def pss_kilobytes(pid: int) -> int:
    """Memory of the family, shared pages divided among those who share them."""
    lines = (line for member in family(pid) for line in Path(f"/proc/{member}/smaps_rollup").read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def processor_seconds(pid: int) -> float:
    """User and system time of the family."""
    fields = (Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split() for member in family(pid))
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


async def join_many(kind: Kind, port: int, count: int) -> tuple[list[Wire], list[float]]:
    """`count` usable connections, AT_ONCE under way at a time, and what each took in seconds."""
    gate, took = asyncio.Semaphore(AT_ONCE), []

    async def one() -> Wire:
        async with gate:
            started = time.perf_counter()
            wire = await kind.join(port)
            took.append(time.perf_counter() - started)
            return wire

    return list(await asyncio.gather(*(one() for _ in range(count)))), took


async def memory(kind: Kind, port: int, pid: int, most: int) -> dict[str, float]:
    """KiB a connection: the slope over five numbers of idle connections."""
    wires: list[Wire] = []
    counts, sizes = [], []
    for step in range(1, 6):
        more, _ = await join_many(kind, port, most * step // 5 - len(wires))
        wires += more
        await asyncio.sleep(1.5)
        counts.append(len(wires))
        sizes.append(pss_kilobytes(pid))
    must(not any(wire.closed for wire in wires), f"{kind.name} closed connections")
    for wire in wires:
        wire.close()
    await asyncio.sleep(1.5)
    return {"kib_a_connection": round(statistics.linear_regression(counts, sizes).slope, 2), "kib_at_the_end": sizes[-1]}


async def connecting(kind: Kind, port: int, count: int) -> dict[str, float]:
    started = time.perf_counter()
    wires, took = await join_many(kind, port, count)
    seconds = time.perf_counter() - started
    for wire in wires:
        wire.close()
    return {"connects_a_second": round(count / seconds, 1), "connect_p95_ms": milliseconds(took, 95)}


async def messages(kind: Kind, port: int, pid: int, texts: tuple[str, ...], seconds: float) -> dict[str, float]:
    """Latency, and the server's processor time a message."""
    wires, _ = await join_many(kind, port, CLIENTS)
    took: list[float] = []
    due: dict[int, float] = {}

    def hear(text: bytes) -> None:
        if RID in text:
            took.append(time.perf_counter() - due[int(text.partition(RID)[2].lstrip().split(b",")[0].rstrip(b"}] "))])
        elif text == b"2":
            return

    for wire in wires:
        wire.hear = hear
    await asyncio.sleep(0.5)
    spent, begin, total = processor_seconds(pid), time.perf_counter() + 0.2, int(CLIENTS * RATE * seconds)
    for number in range(total):
        due[number] = begin + number / (CLIENTS * RATE)
        await asyncio.sleep(max(0.0, due[number] - time.perf_counter()))
        text = texts[number % len(texts)]
        wires[number % CLIENTS].send(kind.say(number, text[: 2 + number % max(1, len(text))]))
    deadline = time.perf_counter() + 15
    while len(took) < total and time.perf_counter() < deadline:
        await asyncio.sleep(0.05)
    must(len(took) == total, f"{kind.name} answered {len(took)} of {total}")
    spent = processor_seconds(pid) - spent
    for wire in wires:
        wire.close()
    return {"p50_ms": milliseconds(took, 50), "p95_ms": milliseconds(took, 95), "cpu_ms": round(spent / total * 1000, 3)}


def milliseconds(seconds: list[float], percent: int) -> float:
    return round(statistics.quantiles(seconds, n=100)[percent - 1] * 1000, 2)


# ── a run ──


@contextmanager
def running(kind: Kind, environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Port and process id of a fresh server."""
    port = servers.free_port()
    own = {**environment, "HSC_BIND": f"127.0.0.1:{port}", "HSC_MAX_CONNECTIONS": "100000"}
    process = subprocess.Popen(kind.command(port), cwd=SERVICE, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        servers.wait_until(lambda: servers.accepts(port), kind.name, 30, process)
        yield port, process.pid
    finally:
        servers.stop(process)


async def measure(kind: Kind, port: int, pid: int, connections: int, seconds: float) -> dict[str, float]:
    """Everything about one fresh server. Memory first: what earlier connections gave back would hide what new ones take."""
    await asyncio.sleep(2)  # the service reads its catalogue
    for wire in (await join_many(kind, port, WARM))[0]:
        wire.close()
    await asyncio.sleep(1)
    found = {**await memory(kind, port, pid, connections), **await connecting(kind, port, connections)}
    for load, texts in kind.loads.items():
        await messages(kind, port, pid, texts, 1)
        found |= {f"{load}_{name}": value for name, value in (await messages(kind, port, pid, texts, seconds)).items()}
    return found


def summary(rounds: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """[median, lowest, highest] of every figure, and of peer ÷ service of the same round."""
    found: dict[str, dict[str, list[float]]] = {}
    for kind in KINDS:
        for name in rounds[0][kind.name]:
            mine = [each[kind.name][name] for each in rounds]
            found.setdefault(kind.name, {})[name] = _spread(mine)
            if not kind.name.startswith("service") and name in rounds[0]["service"]:
                ratios = [each[kind.name][name] / each["service"][name] for each in rounds if each["service"][name]]
                found.setdefault(f"{kind.name} over service", {})[name] = _spread(ratios)
    return found


def _spread(values: list[float]) -> list[float]:
    return [round(value, 3) for value in (statistics.median(values), min(values), max(values))] if values else []


def install_peers() -> None:
    """The peers' own Python; done once for each content of peers.txt."""
    wanted, stamp = Path(__file__).with_name("peers.txt"), PEERS / ".installed"
    if not stamp.exists() or stamp.read_text() != wanted.read_text():
        venv.create(PEERS, clear=True, with_pip=True)
        subprocess.run([PEERS / "bin/python", "-m", "pip", "install", "-q", "-r", wanted], check=True)
        stamp.write_text(wanted.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each load of messages")
    chosen = parser.parse_args()
    install_peers()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    rounds: list[dict[str, dict[str, float]]] = []
    with backend_environment() as environment:
        for number in range(chosen.rounds):
            order = KINDS[number % len(KINDS) :] + KINDS[: number % len(KINDS)]
            results: dict[str, dict[str, float]] = {}
            for kind in order:
                with running(kind, environment) as (port, pid):
                    results[kind.name] = asyncio.run(measure(kind, port, pid, chosen.connections, chosen.seconds))
            rounds.append(results)
            sys.stdout.write(json.dumps({"round": number + 1, "load_average": os.getloadavg()[0], **results}) + "\n")
            sys.stdout.flush()
    sys.stdout.write(json.dumps({"python": platform.python_version(), "connections": chosen.connections, **summary(rounds)}) + "\n")


if __name__ == "__main__":
    main()
