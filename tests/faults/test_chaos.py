"""Everything at once, against real processes and a real server: what is promised is counted afterwards.

Three groups handle every event: in the order of keys, with `idempotent=True`, and with effects once in a database.
`ESB_CHAOS_SEED` repeats a run, `ESB_CHAOS_EVENTS` sets its length, `ESB_CHAOS_REPORT` names a file that gets a line of
JSON per run. What only chance decides (the order of processes) differs between two runs of one seed; the faults do not.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen

import pytest

from esb_runtime.testing._binary import find_binary

from . import clocks
from .chaos import LEASE, Fate, start_server
from .effects import count_effects, make_database
from .memory import Memory
from .proxy import FaultProxy
from .run import Consumers, client, delivered, drained, examine, four_producers, leftovers, wait_until
from .story import GROUPS, ONCE

SHORT = (int(os.environ.get("ESB_CHAOS_EVENTS", "2000")), 0.5)
LONG = (int(os.environ.get("ESB_CHAOS_EVENTS", "1000000")), 3.0)
"""Events, and the seconds between two faults."""
INSTALLED = shutil.which("redis-server")
NOT_INSTALLED = pytest.mark.skipif(not INSTALLED, reason="no redis-server on the PATH")


@pytest.mark.parametrize(
    ("events", "rhythm", "program"),
    [
        pytest.param(*SHORT, None, id="short"),
        pytest.param(*LONG, None, id="long", marks=pytest.mark.full),
        pytest.param(*LONG, INSTALLED, id="long-installed", marks=[pytest.mark.full, NOT_INSTALLED]),
    ],
)
@pytest.mark.timeout(7200)
def test_chaos(
    events: int, rhythm: float, program: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing lost, stored twice, out of order or left behind; effects once; repeats only of what was in flight."""
    seed = int(os.environ.get("ESB_CHAOS_SEED") or random.randrange(1 << 31))
    print(f"chaos: {events} events, ESB_CHAOS_SEED={seed}")
    began = time.monotonic()
    with (
        hostile(tmp_path, monkeypatch, seed, program) as (fate, memory),
        four_producers(fate.proxy, "keyed", events) as producers,
    ):
        unleash(fate, memory, producers, rhythm)
        with client(fate.server) as look:
            wait_until(lambda: drained(look, GROUPS), seconds=600, what="everything is handled")
            wait_until(lambda: fate.consumers.only_living(look), seconds=60, what="the dead ones' names are gone")
            assert fate.consumers.stop() == [0, 0, 0]
            seconds = time.monotonic() - began
            left = leftovers(look, GROUPS)
    logs = tmp_path / "logs"
    ordered, remembering, once = (examine(logs / group) for group in GROUPS)
    effects = asyncio.run(count_effects(logs / ONCE))
    report = {
        "events": events, "seed": seed, "server": fate.server.description, "seconds": round(seconds),
        "faults": dict(fate.done), "through the proxy": dict(fate.proxy.faults), "MiB": dict(memory.most),
        "lost": 3 * events - ordered.handled - remembering.handled - effects["events"],
        "changed": ordered.changed + remembering.changed + effects["changed"],
        "out of order": ordered.out_of_order, "effects twice": effects["twice"], **left,
        "repeated in order": ordered.repeated, "repeated once": once.again,
        "repeated idempotent": remembering.repeated, "in flight": fate.in_flight,
    }  # fmt: skip
    line = json.dumps(report)
    print(line)
    if file := os.environ.get("ESB_CHAOS_REPORT"):
        with Path(file).open("a", encoding="utf-8") as reports:
            reports.write(line + "\n")
    never = ("lost", "changed", "out of order", "effects twice", *left)
    assert {what: report[what] for what in never} == dict.fromkeys(never, 0)
    assert remembering.repeated <= fate.in_flight
    memory.check(events)


@contextmanager
def hostile(
    folder: Path, monkeypatch: pytest.MonkeyPatch, seed: int, program: str | None
) -> Iterator[tuple[Fate, Memory]]:
    """A server, a proxy before it, and three consumer processes behind that."""
    logs, data = folder / "logs", folder / "server"
    (logs / ONCE).mkdir(parents=True)
    asyncio.run(make_database(logs / ONCE))
    time_of = clocks.Clocks(folder)
    monkeypatch.setenv(clocks.VARIABLE, str(time_of.clients))
    binary = time_of.program(Path(program) if program else find_binary().path)
    server = start_server(data, binary)
    with (
        FaultProxy(server, seed) as proxy,
        Consumers(server=proxy, arguments=["all", str(logs), str(LEASE)], count=3, groups=GROUPS) as consumers,
    ):
        fate = Fate(
            server=server, folder=data, program=binary, proxy=proxy, consumers=consumers, clocks=time_of, seed=seed
        )
        yield fate, Memory()
    fate.server.stop()


def unleash(fate: Fate, memory: Memory, producers: list[Popen[bytes]], rhythm: float) -> None:
    """Faults until everything was delivered, and at least one of each."""

    def to_come() -> bool:
        if any(producer.poll() is None for producer in producers):
            return True
        with client(fate.server) as look:
            return not delivered(look, GROUPS)

    ready = Path(fate.consumers.arguments[1])
    wait_until(lambda: len(list(ready.glob("*.ready"))) >= 3, seconds=60, what="the consumers are up")
    while fate.done.total() < fate.round or to_come():
        memory.sample("server", [fate.server.pid or 0])
        memory.sample("producer", [process.pid for process in producers])
        memory.sample("consumer", [process.pid for process in fate.consumers.processes])
        fate.strike()
        time.sleep(rhythm)  # the rhythm of the faults, not a wait for something
    assert [producer.wait(60) for producer in producers] == [0, 0, 0, 0]
