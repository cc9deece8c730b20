"""Everything at once: consumers come and go, connections are cut, the group is lost, handlers fail."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering, Retry
from esb_runtime._endpoint import Endpoint

from .kit import AT_ONCE, LEASE, Orders, eventually, settled, until

EVENTS, KEYS = 2000, 40


class Ledger:
    """What all consumers together did, and whether an event overtook one of its key."""

    def __init__(self) -> None:
        self.done: dict[str, set[int]] = defaultdict(set)
        self.overtaken: list[tuple[str, int]] = []
        self.failures = 0

    @property
    def handled(self) -> int:
        return sum(map(len, self.done.values()))


class Clerk(Orders[Consume]):
    """Handles orders, and fails now and then."""

    def __init__(self, ledger: Ledger, random: Random) -> None:
        self.ledger = ledger
        self.random = random

    async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
        if n and n - 1 not in self.ledger.done[customer]:
            self.ledger.overtaken.append((customer, n))
        if self.random.random() < 0.02:
            self.ledger.failures += 1
            raise ValueError("now and then")
        if self.random.random() < 0.2:
            await asyncio.sleep(self.random.random() * 0.002)
        self.ledger.done[customer].add(n)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("ordering", [Ordering.KEY, Ordering.NONE])
async def test_nothing_is_lost_or_overtaken(
    ordering: Ordering, seed: int, redis_endpoint: Endpoint, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever happens, every event is handled, with keys in order, and nothing is left pending or buried."""
    caplog.set_level("CRITICAL", "esb_runtime")
    random, ledger = Random(seed), Ledger()
    retry = Retry(attempts=1000, first_delay=AT_ONCE.first_delay, max_delay=AT_ONCE.max_delay)
    over = asyncio.Event()

    async def consumer() -> None:
        while not over.is_set():
            async with Backbone.connect() as backbone:
                clerk = Clerk(ledger, random)
                subscription = backbone.subscribe(
                    clerk, group="g", ordering=ordering, concurrency=8, retry=retry, lease=LEASE
                )
                run = asyncio.create_task(subscription.run())
                await asyncio.wait((asyncio.create_task(over.wait()),), timeout=random.random() * 0.5)
                if random.random() < 0.3:
                    run.cancel()
                await subscription.stop()
                await asyncio.wait((run,))
                assert run.cancelled() or run.exception() is None

    async def harm() -> None:
        while not over.is_set():
            seen = ledger.handled
            await asyncio.sleep(0.02)
            # on a busy machine a connection must live long enough for something to happen on it
            with suppress(TimeoutError):
                await until(lambda seen=seen: ledger.handled > seen, seconds=0.2)
            if random.random() < 0.05 and await raw.exists("{orders}:floor:g"):
                await raw.xgroup_destroy("orders", "g")
            else:
                await raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async with Backbone.connect() as backbone:
        chaos = [asyncio.create_task(work()) for work in (consumer, consumer, consumer, harm)]
        orders = Orders.producer(backbone)
        for n in range(EVENTS // KEYS):
            await asyncio.gather(*(orders.placed(f"c{key}", n) for key in range(KEYS)))
        await until(lambda: ledger.handled == EVENTS, seconds=120)
        chaos.pop().cancel()
        await eventually(lambda: settled(raw, "orders", "g"), seconds=20)
        over.set()
        await asyncio.gather(*chaos)
    assert await raw.xlen("orders") == EVENTS
    assert await raw.exists("{orders}:dlq:g") == 0
    assert ledger.failures
    if ordering is Ordering.KEY:
        assert ledger.overtaken == []
