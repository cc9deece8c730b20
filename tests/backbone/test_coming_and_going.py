"""Consumers that join and leave in good order while events flow."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from random import Random
from typing import Any

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering
from esb_runtime._endpoint import Endpoint

from .kit import Orders, eventually, settled, until

CONSUMERS, KEYS = 10, 50
MANY = 200_000


class Ledger:
    """What all consumers together did: who came how often, and whether an event overtook one of its key."""

    def __init__(self) -> None:
        self.handled: Counter[tuple[str, int]] = Counter()
        self.finished: defaultdict[str, int] = defaultdict(int)
        self.overtaken: list[tuple[str, int]] = []
        self.visits: Counter[int] = Counter()
        self.at_work: set[int] = set()


class Clerk(Orders[Consume]):
    """Handles orders, each after its predecessor or it is noted."""

    def __init__(self, ledger: Ledger, number: int) -> None:
        self.ledger = ledger
        self.number = number

    async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
        self.ledger.at_work.add(self.number)
        if n != self.ledger.finished[customer]:
            self.ledger.overtaken.append((customer, n))
        if n % 20 == 0:
            await asyncio.sleep(0)
        self.ledger.handled[customer, n] += 1
        self.ledger.finished[customer] = n + 1


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("ordering", [Ordering.KEY, Ordering.NONE])
@pytest.mark.parametrize("events", [5_000, pytest.param(MANY, marks=pytest.mark.full)])
async def test_ten_consumers_come_and_go(events: int, ordering: Ordering, redis_endpoint: Endpoint, raw: Any) -> None:
    """Ten consumers join and leave all the time: every event is handled exactly once, by many, and no name stays."""
    ledger, random = Ledger(), Random(20261125)
    over = asyncio.Event()
    produced = 0

    async def visitor(number: int) -> None:
        while not over.is_set():
            async with Backbone.connect() as backbone:
                clerk = Clerk(ledger, number)
                subscription = backbone.subscribe(clerk, group="g", ordering=ordering, concurrency=8)
                run = asyncio.create_task(subscription.run())
                enough = ledger.handled.total() + random.randint(1, 300)
                # it stays until something was done meanwhile: the machine's speed does not matter
                await until(lambda enough=enough: ledger.handled.total() >= min(enough, produced), seconds=300)
                await asyncio.sleep(0.02)
                await subscription.stop()
                await run
                ledger.visits[number] += 1

    async with Backbone.connect() as backbone:
        visitors = [asyncio.create_task(visitor(number)) for number in range(CONSUMERS)]
        for first in range(0, events // KEYS, 2):  # few at a time, so that no visitor can do most of them
            await backbone.batch(Orders.placed(f"c{key}", n) for n in range(first, first + 2) for key in range(KEYS))
            produced = (first + 2) * KEYS
            await until(lambda first=first: ledger.handled.total() >= first * KEYS, seconds=120)  # they keep up
        await until(lambda: len(ledger.handled) == events, seconds=600)
        await until(lambda: min(ledger.visits[n] for n in range(CONSUMERS)) >= 2, seconds=120)
        await eventually(lambda: settled(raw, "orders", "g"), seconds=60)
        over.set()
        await asyncio.gather(*visitors)
    print(f"{ordering.name}: {events} events, {ledger.visits.total()} visits, {len(ledger.at_work)} had work")
    assert ledger.handled.total() == events, "who leaves in good order finishes, or hands back what it has not begun"
    assert len(ledger.at_work) > 1
    if ordering is Ordering.KEY:
        assert ledger.overtaken == []
    assert await raw.xlen("orders") == events
    assert await raw.exists("{orders}:dlq:g") == 0
    assert await raw.xinfo_consumers("orders", "g") == []
