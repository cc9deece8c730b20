"""The work that every contestant does: the same event, the same counts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 7, 1, 12, 30, 45, 123456, tzinfo=UTC)
NAME = "Ada Lovelace"
PRODUCT = "Blue widget"
PRICE = 19.99
TASKS = 100
BATCH = 1000

SEQUENTIAL = "produce, one after another"
CONCURRENT = "produce, 100 tasks"
BATCHES = "produce, batches of 1000"
CONSUME = "consume, handler per event"
CONSUME_BATCH = "consume, handler per 100"

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
RATE = float(os.environ.get("BENCH_RATE", "500"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))


def amount(count: int) -> int:
    """So many events, made smaller or larger by the run's scale, in whole batches."""
    return max(int(count * SCALE) // BATCH, 1) * BATCH


def email(number: int) -> str:
    """The one part of the event that differs from event to event."""
    return f"user{number}@example.com"


def run(main: Coroutine[Any, Any, None]) -> None:
    """On uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def in_tasks(count: int, send: Callable[[int], Awaitable[Any]]) -> None:
    """100 tasks, each awaiting its own events one after another."""

    async def one(first: int) -> None:
        for number in range(first, count, TASKS):
            await send(number)

    await asyncio.gather(*(one(first) for first in range(TASKS)))


async def in_flight(count: int, send: Callable[[range], Awaitable[Any]]) -> None:
    """Batches of 1000, two on their way at a time: one is made while the server has the other one."""

    async def one(first: int) -> None:
        for start in range(first, count, 2 * BATCH):
            await send(range(start, min(start + BATCH, count)))

    await asyncio.gather(one(0), one(BATCH))


async def paced(send: Callable[[int, int], Awaitable[Any]]) -> None:
    """Events at the fixed rate; each carries the monotonic time (ns) of its produce call."""
    due = time.monotonic()
    for number in range(int(RATE * SECONDS)):
        due += 1 / RATE
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        await send(number, time.monotonic_ns())


class Arrivals:
    """The delays that a latency consumer saw, in microseconds."""

    def __init__(self) -> None:
        self.delays: list[float] = []
        self.done = asyncio.Event()
        self._expected = int(RATE * SECONDS)

    def note(self, sent: int) -> None:
        """An event that was sent at this monotonic time (ns) is being handled."""
        self.delays.append((time.monotonic_ns() - sent) / 1000)
        if len(self.delays) >= self._expected:
            self.done.set()
