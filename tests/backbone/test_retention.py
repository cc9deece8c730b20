"""Retention that consumers apply: one of them, in the background, never what a group has yet to handle."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Retention, Store, UsageError
from esb_runtime._endpoint import Endpoint
from esb_runtime._retainer import Retainer
from esb_runtime.operations import Operations
from esb_runtime.redis._trimming import ROOM, SLICE

from .conftest import Connect
from .kit import LEASE, Jobs, eventually, running, until

SOON = timedelta(milliseconds=200)


class Counter(Jobs[Consume]):
    """Counts what it handles."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.append(n)


async def length(backbone: Backbone) -> int:
    """How many events there are."""
    return len([event async for event in backbone.read(Jobs)])


async def test_consumers_apply_it(connect: Connect) -> None:
    """Handled events go, one process working at a time; everything is handled before it goes."""
    producer, *consumers = [connect() for _ in range(4)]
    counters = [Counter() for _ in consumers]
    for backbone, counter in zip(consumers, counters, strict=True):
        backbone.subscribe(counter, group="g", retention=Retention(maxlen=10, every=SOON))
    async with running(*consumers):
        await producer.batch([Jobs.job(n) for n in range(1000)])
        await until(lambda: sum(len(counter.seen) for counter in counters) >= 1000)

        async def trimmed() -> bool:
            return await length(producer) <= 10

        await eventually(trimmed)
    # a process that a busy machine held up past its lease repeats events; none may be missing
    assert sorted({n for counter in counters for n in counter.seen}) == list(range(1000))


async def test_a_dead_group_is_an_alarm(connect: Connect, caplog: pytest.LogCaptureFixture) -> None:
    """A group without a process keeps its events; that is said once, is seen by tools, and is over when it lives."""
    backbone, late = connect(), connect()
    counter = Counter()
    dead = late.subscribe(counter, group="dead", lease=LEASE)
    async with running(dead):
        await backbone.batch([Jobs.job(0)])
        await until(lambda: counter.seen == [0])
    await backbone.batch([Jobs.job(n) for n in range(1, 20)])
    working = Counter()
    backbone.subscribe(working, group="g", lease=LEASE, retention=Retention(handled=True, every=SOON))
    operations = Operations(backbone)

    async def pinned() -> str:
        kept = await operations.retention("jobs")
        return kept.pinned if kept is not None else ""

    async def is_dead() -> bool:
        return await pinned() == "dead"

    async def is_over() -> bool:
        return await pinned() == ""

    with caplog.at_level(logging.INFO, "esb_runtime"):
        async with running(backbone):
            await eventually(is_dead)
            assert await length(backbone) == 19
            await asyncio.sleep(3 * SOON.total_seconds())  # several turns: they have nothing new to say
            again = connect()
            again.subscribe(Counter(), group="dead", lease=LEASE)
            async with running(again):
                await eventually(is_over)
    assert sum("jobs: group dead holds up retention" in r.getMessage() for r in caplog.records) == 1
    assert sum("no longer holds up" in r.getMessage() for r in caplog.records) == 1


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"handled": True, "maxlen": 3},
        {"keep": timedelta(0)},
        {"maxlen": -1},
        {"keep": timedelta(days=1), "every": timedelta(0)},
    ],
)
def test_what_cannot_work(options: dict[str, Any]) -> None:
    """A policy that says nothing, or too much, is refused where it is written."""
    with pytest.raises(UsageError, match="Retention"):
        Retention(**options)


@pytest.mark.parametrize("policy", [Retention(keep=timedelta(days=1)), Retention(maxlen=500), Retention(handled=True)])
async def test_a_turn_with_nothing_to_do(policy: Retention, redis_endpoint: Endpoint, raw: Any) -> None:
    """Twice a minute a consumer looks whether anything is to go: that costs few commands, those in scripts included."""
    async with Backbone.connect() as backbone:
        await backbone.batch([Jobs.job(n) for n in range(300)])
        await raw.xgroup_create("jobs", "g", "$")
        retainer = Retainer(backbone._channel, "jobs", policy, holder="me")
        await retainer._turn()
        before = await raw.xlen("jobs")
        await raw.config_resetstat()
        await retainer._turn()
        stats = await raw.info("commandstats")
        assert before == await raw.xlen("jobs") == (0 if policy.handled else 300)
    ours = {name: found["calls"] for name, found in stats.items() if name != "cmdstat_config|resetstat"}
    assert sum(ours.values()) <= 8, ours


async def steps(backbone: Backbone, maxlen: int) -> list[int]:
    """How many entries each step of a trim removed."""
    operations = Operations(backbone)
    cut = await operations.cut("jobs", Retention(maxlen=maxlen))
    so_far = [0, *[done.entries async for done in operations.trim("jobs", cut)]]
    return [after - before for before, after in pairwise(so_far)]


async def test_a_step_is_bounded(redis_endpoint: Endpoint, raw: Any) -> None:
    """A step takes at most 50 events with their payloads; nothing is left of what went."""
    async with Backbone.connect() as backbone:
        await backbone.batch([Jobs.job(n) for n in range(1050)])
        assert await steps(backbone, maxlen=100) == [*[SLICE] * 19, 0]
    assert await raw.xlen("jobs") == 100
    assert len([key async for key in raw.scan_iter("{jobs}:p:*", count=5000)]) == 100


async def test_a_step_of_large_events_is_bounded(redis_endpoint: Endpoint, raw: Any) -> None:
    """Payloads inside entries are read with them: a step takes few large ones, and none is too large to go."""
    size = 100_000
    async with Backbone.connect(store=Store.INLINE) as backbone:
        await backbone.batch([Jobs.note("x" * size, n) for n in range(20)] + [Jobs.note("y" * 10 * size, 20)])
        taken = await steps(backbone, maxlen=0)
    assert sum(taken) == 21
    assert max(taken) * size < 2 * ROOM + size
    assert await raw.xlen("jobs") == 0


async def test_a_step_of_large_hashes_is_bounded(redis_endpoint: Endpoint, raw: Any) -> None:
    """A step frees a bounded amount of memory; a dry run counts alike; no payload is too large to go."""
    size = 5_000_000
    async with Backbone.connect() as backbone:
        for n in range(10):
            await Jobs.producer(backbone).note("x" * (5 if n == 3 else 1) * size, n)
        operations = Operations(backbone)
        cut = await operations.cut("jobs", Retention(maxlen=0))
        counted = [so_far.payloads async for so_far in operations.trim("jobs", cut, dry_run=True)]
        taken = await steps(backbone, maxlen=0)
    assert sum(taken) == counted[-1] == 10
    assert max(taken) <= 3
    assert not [key async for key in raw.scan_iter("{jobs}:p:*", count=5000)]
