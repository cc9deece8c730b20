"""Groups: one that gives up on every event of the shop or handles it, and one that is given events and keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from queue import Queue
from typing import Any

import redis
from command_kit import Esb

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Retry, Side, Unhandled, event
from esb_runtime._ports import SeatOptions
from esb_runtime.operations import Operations


class Parcels(EventContract[Side], uri="shop"):
    """The events of the shop's lock that need no order."""

    @event(version=2)
    async def packed(self, email: str, count: int = 1) -> None: ...


class Handler(Parcels[Consume]):
    """Fails while it is broken."""

    def __init__(self, *, broken: bool) -> None:
        self.broken = broken
        self.seen: list[tuple[str, int]] = []

    async def packed(self, ctx: ConsumerContext, email: str, count: int = 1) -> None:
        if self.broken:
            raise ValueError(f"no parcel for {email}")
        self.seen.append((email, ctx.metadata.attempt))


def consume(esb: Esb, *, broken: bool = False, group: str = "main") -> Handler:
    """Have a group handle everything that waits for it; `broken`: fail at each."""
    handler = Handler(broken=broken)

    async def run() -> None:
        async with Backbone.connect(endpoint=esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"]) as backbone:
            backbone.subscribe(handler, group=group, retry=Retry(attempts=1), unhandled=Unhandled.ERROR)
            task = asyncio.create_task(backbone.run())
            client = redis.asyncio.Redis.from_url(esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"])
            async with asyncio.timeout(30), client:
                while not await settled(client, group):  # noqa: ASYNC110 - a server tells nobody
                    await asyncio.sleep(0.02)
            await backbone.stop()
            await task

    asyncio.run(run())
    return handler


@contextmanager
def failing(esb: Esb, group: str) -> Iterator[None]:
    """A consumer of a group that fails at every event and tries each again and again, until the block ends."""
    told: Queue[tuple[asyncio.AbstractEventLoop, Backbone]] = Queue()

    async def run() -> None:
        async with Backbone.connect(endpoint=esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"]) as backbone:
            patient = Retry(attempts=1000, first_delay=timedelta(milliseconds=50), max_delay=timedelta(milliseconds=50))
            backbone.subscribe(Handler(broken=True), group=group, retry=patient, concurrency=10)
            told.put((asyncio.get_running_loop(), backbone))
            await backbone.run()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(asyncio.run, run())
        loop, backbone = told.get(timeout=30)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(backbone.stop(), loop).result(30)
            running.result(30)


async def settled(client: Any, group: str) -> bool:
    """Whether the group has settled every event of the shop."""
    groups = {each["name"].decode(): each for each in await client.xinfo_groups("shop")}
    last = (await client.xinfo_stream("shop"))["last-generated-id"]
    return group in groups and not groups[group]["pending"] and groups[group]["last-delivered-id"] == last


def packed(number: int) -> tuple[str, int, dict[str, Any]]:
    """An event that can be packed."""
    return ("packed", 2, {"email": f"ann{number}@example.org", "count": number})


def take(esb: Esb, stream: str, group: str, consumer: str, count: int) -> None:
    """A consumer of a group is given so many events, and lives until its lease runs out."""

    async def work() -> None:
        endpoint = esb.variables["REDIS_EVENT_SOURCE_ENDPOINT"]
        async with Backbone.connect(endpoint=endpoint) as backbone:
            channel = Operations(backbone)._channel
            options = SeatOptions(
                stream=stream, group=group, consumer=consumer, lease=timedelta(minutes=5), owned=False
            )
            seat = channel.seat(options)
            await seat.open()
            await seat.acquire()
            await seat.read(count, timedelta(0))

    asyncio.run(work())
