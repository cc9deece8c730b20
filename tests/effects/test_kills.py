"""Processes killed at random points: database and stream agree, every effect is there once."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from esb_runtime import Backbone
from esb_runtime.sqlalchemy import Outbox
from esb_runtime.testing import RedisServer

from .kit import ORDERS, Billing, Shop, effects

TESTS = Path(__file__).parents[1]
SHORT = (150, 5.0)
LONG = (3000, 60.0)
"""Orders per seller, and seconds of killing."""


class Processes:
    """Processes that are killed at random and started again until they have done their part."""

    def __init__(self, server: RedisServer, database: str, chance: random.Random) -> None:
        self._environment = {**os.environ, **server.environment(), "PYTHONPATH": str(TESTS)}
        self._database = database
        self._chance = chance
        self._running: dict[tuple[str, ...], subprocess.Popen[bytes]] = {}
        self.kills = 0

    def start(self, *words: str) -> None:
        command = [sys.executable, "-m", "effects.shop_process", words[0], self._database, *words[2:]]
        self._running[words] = subprocess.Popen(command, env=self._environment, cwd=TESTS)

    def kill_one(self) -> None:
        """kill -9 for one of them that has not ended by itself, and a new one in its place."""
        alive = [words for words, process in self._running.items() if process.poll() is None]
        words = self._chance.choice(alive)
        self._running[words].kill()
        self._running[words].wait()
        self.kills += 1
        self.start(*words)

    def ended(self, kind: str) -> bool:
        """Whether all of a kind ended well."""
        mine = [process for words, process in self._running.items() if words[0] == kind]
        assert all(process.poll() in {None, 0} for process in mine)
        return all(process.poll() == 0 for process in mine)

    def stop(self) -> list[int]:
        """SIGTERM for those that run on; their exit codes."""
        living = [process for process in self._running.values() if process.poll() is None]
        for process in living:
            process.terminate()
        return [process.wait(60) for process in living]

    def end(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                process.kill()
            process.wait()


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


@pytest.mark.parametrize(("orders", "seconds"), [SHORT, pytest.param(*LONG, marks=pytest.mark.full)])
@pytest.mark.timeout(600)
async def test_database_and_stream_agree(
    engine: AsyncEngine, database: str, redis_server: RedisServer, orders: int, seconds: float
) -> None:
    """Sellers, relays and consumers die: each committed order is in the stream once, none else, each effect once."""
    redis_server.clear()
    processes = Processes(redis_server, database, random.Random(20261125))
    try:
        for n in range(2):
            processes.start("sell", str(n), str(n * 1_000_000 + 1), str(orders))
            processes.start("relay", str(n))
            processes.start("write", str(n))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await asyncio.sleep(0.3)  # the schedule of the kills, not a wait for something
            processes.kill_one()
        wait_until(lambda: processes.ended("sell"), 300, "all orders are placed")
        placed = await _placed(engine)
        assert len(placed) == 2 * (orders - orders // 5)
        await _until_all(engine, placed, redis_server)
        assert set(processes.stop()) <= {0, -15}  # -15: a signal before the program heard of signals
    finally:
        processes.end()
    print(f"{len(placed)} orders, {processes.kills} kills")
    assert await effects(engine) == placed
    for found in await _streams(redis_server):
        assert sorted(found.elements()) == placed


async def _placed(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return sorted((await connection.execute(select(ORDERS.c.n))).scalars())


async def _until_all(engine: AsyncEngine, placed: list[int], server: RedisServer) -> None:
    """Everything is sent, handled and sent on."""
    end = time.monotonic() + 120
    while True:
        async with engine.connect() as connection:
            waiting = await Outbox().waiting(connection)
        streams = await _streams(server)
        if not waiting and all(len(found) == len(placed) for found in streams):
            return
        assert time.monotonic() < end, (waiting, [len(found) for found in streams], len(await effects(engine)))
        await asyncio.sleep(0.1)


async def _streams(server: RedisServer) -> list[Counter[int]]:
    """How often each order's number is in either stream."""
    endpoint = server.endpoint
    async with Backbone.connect(endpoint=str(endpoint), password=endpoint.password) as backbone:
        ordered = Counter([each.argument("n", int) async for each in backbone.read(Shop.ordered)])
        billed = Counter([each.argument("n", int) async for each in backbone.read(Billing.billed)])
    return [ordered, billed]
