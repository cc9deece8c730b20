"""A clean stop: what runs may end, the rest is handed back, nobody is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from typing import Any

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering

from .conftest import Connect
from .kit import LEASE, Jobs, eventually, pending, running, until


class Held(Jobs[Consume]):
    """Handles one event at a time; each waits for the gate."""

    def __init__(self) -> None:
        self.started: list[tuple[int, int]] = []
        self.ended: list[int] = []
        self.cancelled = False
        self.gate = asyncio.Event()

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.started.append((n, ctx.metadata.attempt))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled = ctx.cancelled
            raise
        self.ended.append(n)


def free() -> Held:
    held = Held()
    held.gate.set()
    return held


@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
async def test_untouched_events_go_to_another_at_once(connect: Connect, ordering: Ordering) -> None:
    """A stop finishes what runs and hands back the rest: another process handles it within a second or so."""
    leaving, staying = connect(), connect()
    held, successor = Held(), free()
    leaving.subscribe(held, group="g", ordering=ordering)
    await leaving.batch(Jobs.job(n) for n in range(20))
    run = asyncio.create_task(leaving.run())
    await until(lambda: held.started)
    staying.subscribe(successor, group="g", ordering=ordering)
    async with running(staying):
        await leaving.stop()
        held.gate.set()
        await asyncio.wait_for(run, 5)
        began = time.monotonic()
        await until(lambda: len(successor.ended) == 19)
        assert time.monotonic() - began < 2.5
    assert held.ended == [0]
    assert successor.started == [(n, 1) for n in range(1, 20)]


async def test_nobody_is_left_behind(raw: Any) -> None:
    """After a stop the group has no consumer of this process, and the owner's lease is free."""
    async with Backbone.connect() as backbone:
        for ordering in (Ordering.NONE, Ordering.KEY):
            held = free()
            subscription = backbone.subscribe(held, group=ordering.value, ordering=ordering)
            await Jobs.producer(backbone).job(1)
            async with running(subscription):
                await until(lambda consumer=held: consumer.ended)
                assert await raw.xinfo_consumers("jobs", ordering.value)
            assert await raw.xinfo_consumers("jobs", ordering.value) == []
            assert await pending(raw, "jobs", ordering.value) == 0
        assert [key async for key in raw.scan_iter("*:own:*")] == []
        assert [key async for key in raw.scan_iter("*:live:*")] == []


async def test_the_time_to_drain(backbone: Backbone) -> None:
    """A handler that does not end within `drain` is cancelled and can see why; its event costs no attempt."""
    held, successor = Held(), free()
    subscription = backbone.subscribe(held, group="g", drain=timedelta(seconds=0.1))
    await Jobs.producer(backbone).job(1)
    async with running(subscription):
        await until(lambda: held.started)
    assert held.cancelled
    backbone._taken.clear()
    async with running(backbone.subscribe(successor, group="g")):
        await until(lambda: successor.ended)
    assert successor.started == [(1, 1)]


async def test_sigterm(backbone: Backbone) -> None:
    """SIGTERM and SIGINT end `Backbone.run` cleanly, and their handlers are put back."""
    held = free()
    backbone.subscribe(held, group="g")
    before = signal.getsignal(signal.SIGTERM)
    run = asyncio.create_task(backbone.run())
    await Jobs.producer(backbone).job(1)
    await until(lambda: held.ended)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(run, 5)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
async def test_a_cancelled_run_leaves_too(raw: Any, ordering: Ordering) -> None:
    """Cancelling `run`, as a TaskGroup does, is a clean stop as well."""
    async with Backbone.connect() as backbone:
        held = free()
        backbone.subscribe(held, group="g", ordering=ordering)
        run = asyncio.create_task(backbone.run())
        await Jobs.producer(backbone).job(1)
        await until(lambda: held.ended)
        run.cancel()
        await asyncio.wait((run,), timeout=5)
        assert run.cancelled()
        assert await raw.xinfo_consumers("jobs", "g") == []
        assert await pending(raw, "jobs", "g") == 0


async def test_stopping_before_running(backbone: Backbone) -> None:
    """A subscription that was stopped first returns from `run` at once."""
    subscription = backbone.subscribe(free(), group="g")
    await subscription.stop()
    await asyncio.wait_for(subscription.run(), 5)


async def test_stopping_during_an_outage(tmp_path: Any) -> None:
    """A stop ends in time also when the server is away."""
    from esb_runtime.testing import RedisServer

    server = await RedisServer.start_async(tmp_path, ends_with_process=True)
    async with Backbone.connect(endpoint=server.endpoint.display) as backbone:
        held = free()
        backbone.subscribe(held, group="g")
        await Jobs.producer(backbone).job(1)
        async with running(backbone):
            await until(lambda: held.ended)
            await server.stop_async()
            began = time.monotonic()
        assert time.monotonic() - began < 5


async def test_standing_by(raw: Any) -> None:
    """A process that waits for the ownership leaves just as cleanly."""
    async with Backbone.connect() as one, Backbone.connect() as other:
        owner, standby = free(), free()
        one.subscribe(owner, group="g", ordering=Ordering.KEY)
        other.subscribe(standby, group="g", ordering=Ordering.KEY)
        await Jobs.producer(one).job(1)
        async with running(one):
            await until(lambda: owner.ended)
            async with running(other):
                await eventually(lambda: _standing_by(other))
            await Jobs.producer(one).job(2)
            await until(lambda: owner.ended == [1, 2])
    assert standby.ended == []


async def _standing_by(backbone: Backbone) -> bool:
    return any(subscription.running for subscription in backbone._runnables)


@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
async def test_a_run_that_is_cancelled_while_it_drains_keeps_no_lease(connect: Connect, ordering: Ordering) -> None:
    """Cancelled twice, a run ends at once, its handlers with it, and its events are taken over within a lease."""
    leaving, staying = connect(), connect()
    held, successor = Held(), free()
    leaving.subscribe(held, group="g", ordering=ordering, lease=LEASE)
    await leaving.batch(Jobs.job(n) for n in range(3))
    run = asyncio.create_task(leaving.run())
    await until(lambda: held.started)
    await leaving.stop()
    await asyncio.wait((run,), timeout=0.1)
    assert not run.done(), "it drains: the handler has not ended"
    run.cancel()
    await asyncio.wait((run,), timeout=10)  # well below the time to drain
    assert run.cancelled()
    staying.subscribe(successor, group="g", ordering=ordering, lease=LEASE)
    async with running(staying):
        await until(lambda: len(successor.ended) == 3, seconds=5)
    assert held.cancelled
    assert held.ended == []
