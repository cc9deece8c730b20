"""How long recovery takes: from a death to the take-over, from a server's return to the first event."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext
from esb_runtime._endpoint import Endpoint
from esb_runtime.testing import RedisServer

from .run import start, wait_until
from .story import GROUP, Keyed, Parcel, parcel

LEASE = 1.0
SLACK = 0.5
"""Seconds that a busy machine may add."""


class Notes(Keyed[Consume]):
    """Notes when it handled what."""

    def __init__(self) -> None:
        self.at: dict[int, float] = {}

    async def moved(self, ctx: ConsumerContext, key: str, number: int, parcel: Parcel) -> None:
        self.at[number] = time.monotonic()


async def test_a_killed_consumer_is_followed(
    redis_endpoint: Endpoint, redis_server: RedisServer, tmp_path: Path
) -> None:
    """What a killed process held is handled by another within its lease and a second."""
    doomed = start(redis_server, "consume", "keyed", str(tmp_path), str(LEASE), "kill:k/1")
    try:
        await asyncio.to_thread(wait_until, lambda: list(tmp_path.glob("*.ready")), seconds=30, what="it is up")
        notes = Notes()
        async with Backbone.connect() as backbone:
            await asyncio.sleep(1)  # it owns the stream by now, or the other one handles the event at once
            subscription = backbone.subscribe(notes, group=GROUP, lease=timedelta(seconds=LEASE))
            run = asyncio.create_task(subscription.run())
            await Keyed.producer(backbone).moved("k", 1, parcel("k", 1))
            assert await asyncio.to_thread(doomed.wait, 20) < 0
            died = time.monotonic()
            await asyncio.to_thread(wait_until, lambda: 1 in notes.at, seconds=20, what="it is handled")
            await subscription.stop()
            await run
    finally:
        doomed.kill()
        doomed.wait()
    assert notes.at[1] - died <= LEASE + 1 + SLACK


@pytest.mark.parametrize("pause", [0.0, 4.0])
async def test_a_server_that_returns(pause: float, tmp_path: Path) -> None:
    """Two seconds after a server answers again, the first event is handled, however long it was away."""
    notes = Notes()
    server = await RedisServer.start_async(tmp_path, ends_with_process=True)
    async with Backbone.connect(endpoint=server.endpoint.display) as backbone:
        subscription = backbone.subscribe(notes, group=GROUP)
        run = asyncio.create_task(subscription.run())
        producer = Keyed.producer(backbone)
        await producer.moved("k", 1, parcel("k", 1))
        await asyncio.to_thread(wait_until, lambda: 1 in notes.at, seconds=20, what="the first is handled")
        await asyncio.to_thread(server.kill)
        call = asyncio.create_task(producer.moved("k", 2, parcel("k", 2)))
        await asyncio.sleep(pause)  # how long the server is away
        server = await RedisServer.start_async(tmp_path, ends_with_process=True)
        back = time.monotonic()
        await asyncio.to_thread(wait_until, lambda: 2 in notes.at, seconds=20, what="the second is handled")
        await call
        await subscription.stop()
        await run
    await server.stop_async()
    assert notes.at[2] - back <= 2 + SLACK
