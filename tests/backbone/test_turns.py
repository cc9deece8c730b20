"""Calls of many tasks at once: two turns are on their way at a time, and still nobody overtakes anybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from esb_runtime import Backbone, ChannelUnavailable, EventKey, WrongKeyType, message_id
from esb_runtime._contract import stream_key
from esb_runtime._endpoint import Endpoint
from esb_runtime._identifiers import entry_order
from esb_runtime._producer import record_of
from esb_runtime.redis._channel import RedisChannel

from .kit import Jobs, Proxy

CALLS = 1500


async def numbers(backbone: Backbone) -> list[int]:
    """What the stream holds, in its order."""
    return [delivery.arguments["n"] async for delivery in backbone.read(Jobs)]


async def in_tasks(backbone: Backbone) -> list[EventKey]:
    """Calls in the order of their numbers, all waiting at the same time, and each followed by another one."""
    jobs, following = Jobs.producer(backbone), asyncio.Queue[int]()
    for n in range(CALLS):
        following.put_nowait(n)

    async def one() -> list[EventKey]:
        return [await jobs.job(following.get_nowait()) for _ in range(CALLS // 100)]

    kept = await asyncio.gather(*(one() for _ in range(100)))
    return [key for keys in kept for key in keys]


@asynccontextmanager
async def forgetful(raw: Any) -> AsyncIterator[None]:
    """A server whose memory runs out and comes back, again and again."""

    over = asyncio.Event()

    async def trouble() -> None:
        while not over.is_set():
            await raw.config_set("maxmemory", 1)
            await asyncio.sleep(0)
            await raw.config_set("maxmemory", 0)
            await asyncio.sleep(0.002)

    await raw.config_resetstat()
    running = asyncio.create_task(trouble())
    try:
        yield
    finally:
        over.set()
        await running
    assert (await raw.info("errorstats"))["errorstat_OOM"]["count"] > 0, "the fault did happen"


async def test_the_order_of_calls(backbone: Backbone) -> None:
    """Without faults the stream has the order of the calls, and each call got the key of its own event."""
    keys = await in_tasks(backbone)
    assert await numbers(backbone) == list(range(CALLS))
    assert len(set(keys)) == CALLS


async def test_a_server_that_refuses_now_and_then(redis_endpoint: Endpoint, raw: Any) -> None:
    """Memory that runs out and comes back between two turns: the second one is not written before the first one."""
    async with Backbone.connect() as backbone, forgetful(raw):
        for _ in range(10):
            await in_tasks(backbone)
        assert await numbers(backbone) == [*range(CALLS)] * 10


@pytest.mark.parametrize("cut", range(3))
async def test_a_connection_that_breaks(cut: int, redis_endpoint: Endpoint) -> None:
    """Replies that are lost with two turns on their way: both are sent again, in their order, and nothing twice."""
    async with Proxy(redis_endpoint).open() as proxy, Backbone.connect(endpoint=proxy.endpoint) as backbone:
        await Jobs.producer(backbone).job(-1)
        for _ in range(cut + 1):
            proxy.cut_after(b"EVALSHA")
            await in_tasks(backbone)
        assert proxy.cuts == cut + 1
        assert await numbers(backbone) == [-1, *[*range(CALLS)] * (cut + 1)]


@pytest.mark.parametrize("at", [0, 300, 700])
async def test_a_chunk_of_a_batch_that_is_refused(at: int, redis_endpoint: Endpoint, raw: Any) -> None:
    """What stands behind it in the batch is not stored, though it was on its way; what stands before it is."""
    await raw.set("{jobs}:p:taken", "no hash")
    async with Backbone.connect() as backbone:
        jobs = Jobs.producer(backbone)
        calls = [jobs.job(n) for n in range(1000)]
        with message_id("taken"):
            calls[at].close()
            calls[at] = jobs.job(at)
        with pytest.raises(WrongKeyType):
            await backbone.batch(calls)
        assert await numbers(backbone) == list(range(at - at % 256))


async def test_batches_while_a_server_refuses_now_and_then(redis_endpoint: Endpoint, raw: Any) -> None:
    """Chunks of a batch keep their order, whichever of them the server refused for a moment."""
    async with Backbone.connect() as backbone, forgetful(raw):
        for _ in range(10):
            await backbone.batch(Jobs.job(n) for n in range(CALLS))
        assert await numbers(backbone) == [*range(CALLS)] * 10


async def test_ids_that_are_known_are_no_landmark(backbone: Backbone, raw: Any) -> None:
    """Calls whose message ids their callers chose keep their order too, and are stored once."""
    jobs = Jobs.producer(backbone)

    async def chosen(n: int) -> EventKey:
        with message_id(f"order-{n}"):
            return await jobs.job(n)

    first = await asyncio.gather(*(chosen(n) for n in range(200)))
    again = await asyncio.gather(*(chosen(n) for n in range(300)))
    assert again[:200] == first
    assert await numbers(backbone) == list(range(300))
    assert sorted(again, key=lambda key: entry_order(key.id)) == again


async def test_behind_a_record(redis_endpoint: Endpoint, raw: Any) -> None:
    """The channel itself: nothing is stored behind a record that is not there."""
    channel = RedisChannel(redis_endpoint)
    one, two, three = (record_of(Jobs.events()["job", 1], {"n": n}) for n in range(3))
    stream = stream_key("jobs")
    with pytest.raises(ChannelUnavailable, match="the write before"):
        await channel.append_after(one, stream, [two, three])
    assert await raw.exists(stream) == 0
    await channel.append(stream, [one])
    assert all(isinstance(found, EventKey) for found in await channel.append_after(one, stream, [two, three]))
    assert await raw.xlen(stream) == 3
    await channel.aclose()
