"""Handlers that hang, take long, or block the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering
from esb_runtime._endpoint import Endpoint

from .kit import AT_ONCE, LEASE, Jobs, Orders, running, until


class Attempts(Jobs[Consume]):
    """Notes attempts and what became of them."""

    def __init__(self) -> None:
        self.attempts: list[int] = []
        self.ended = 0


async def test_a_handler_that_hangs(backbone: Backbone) -> None:
    """A handler past `handler_timeout` is cancelled and has failed; its event is tried again."""

    class HangsOnce(Attempts):
        async def job(self, ctx: ConsumerContext, n: int) -> None:
            self.attempts.append(ctx.metadata.attempt)
            if ctx.metadata.attempt == 1:
                await asyncio.Event().wait()

    consumer = HangsOnce()
    backbone.subscribe(consumer, group="g", handler_timeout=timedelta(seconds=0.1), retry=AT_ONCE)
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        await until(lambda: consumer.attempts == [1, 2])


async def test_progress(backbone: Backbone) -> None:
    """`progress` starts the time limit again, so a long handler that shows signs of life is left in peace."""

    class Long(Attempts):
        async def job(self, ctx: ConsumerContext, n: int) -> None:
            self.attempts.append(ctx.metadata.attempt)
            for _ in range(6):
                await asyncio.sleep(0.05)
                await ctx.progress()
            self.ended += 1

    consumer = Long()
    backbone.subscribe(consumer, group="g", handler_timeout=timedelta(seconds=0.2), retry=AT_ONCE)
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        await until(lambda: consumer.ended)
    assert consumer.attempts == [1]


async def test_a_timeout_of_its_own(backbone: Backbone, caplog: pytest.LogCaptureFixture) -> None:
    """A `TimeoutError` that a handler raises itself is not mistaken for the time limit."""

    class GivesUp(Attempts):
        async def job(self, ctx: ConsumerContext, n: int) -> None:
            self.attempts.append(ctx.metadata.attempt)
            raise TimeoutError("the printer is silent")

    consumer = GivesUp()
    backbone.subscribe(consumer, group="g", handler_timeout=timedelta(seconds=60), retry=AT_ONCE)
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        await until(lambda: len(consumer.attempts) == 3)
    assert "the printer is silent" in caplog.text
    assert "took longer" not in caplog.text


@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
async def test_a_handler_that_blocks_the_loop(ordering: Ordering, redis_endpoint: Endpoint) -> None:
    """A handler that blocks the event loop for several leases keeps them: nobody else gets its event."""
    seen: list[str] = []
    neighbour_runs = threading.Event()
    blocked_long_enough = threading.Event()

    class Blocks(Orders[Consume]):
        async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
            seen.append("blocks")
            await asyncio.to_thread(neighbour_runs.wait)
            time.sleep(LEASE.total_seconds() * 3)  # noqa: ASYNC251 - what this test is about
            blocked_long_enough.set()

    class Waits(Orders[Consume]):
        async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
            seen.append("taken over")

    async def neighbour() -> None:
        async with Backbone.connect() as other:
            other.subscribe(Waits(), group="g", lease=LEASE, ordering=ordering)
            async with running(other):
                neighbour_runs.set()
                await asyncio.to_thread(blocked_long_enough.wait)

    async with Backbone.connect() as backbone:
        backbone.subscribe(Blocks(), group="g", lease=LEASE, ordering=ordering)
        await Orders.producer(backbone).placed("ann", 1)
        async with running(backbone):
            await until(lambda: seen)
            await asyncio.to_thread(asyncio.run, neighbour())
    assert seen == ["blocks"]


@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
async def test_a_handler_that_blocks_past_its_limit(ordering: Ordering, redis_endpoint: Endpoint) -> None:
    """A handler that blocks the loop past its time limit lets the lease run out: another process takes over."""
    taken_over = threading.Event()
    attempts: list[int] = []

    class Blocks(Orders[Consume]):
        async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
            attempts.append(ctx.metadata.attempt)
            if len(attempts) == 1:
                taken_over.wait(10)  # the loop stands still meanwhile

    class TakesOver(Orders[Consume]):
        async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
            attempts.append(ctx.metadata.attempt)
            taken_over.set()

    async def run(consumer: Orders[Consume], until_set: threading.Event) -> None:
        async with Backbone.connect() as backbone:
            limit = timedelta(seconds=0.1)
            backbone.subscribe(consumer, group="g", lease=LEASE, ordering=ordering, handler_timeout=limit)
            async with running(backbone):
                await asyncio.to_thread(until_set.wait)

    async with Backbone.connect() as backbone:
        await Orders.producer(backbone).placed("ann", 1)
    blocking = asyncio.create_task(asyncio.to_thread(asyncio.run, run(Blocks(), taken_over)))
    await until(lambda: attempts)
    async with asyncio.timeout(20):
        await asyncio.gather(blocking, asyncio.to_thread(asyncio.run, run(TakesOver(), taken_over)))
    assert attempts[:2] == [1, 2]
