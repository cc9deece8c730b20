"""Waiting for more than the server's word: on its disk, on its replicas; and what a call learns when that fails."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from redis.exceptions import ResponseError

from esb_runtime import (
    Backbone,
    Durability,
    DurabilityUnavailable,
    EventKey,
    NotConfirmed,
    Sync,
    SyncBackbone,
    UsageError,
    deadline,
    message_id,
)
from esb_runtime._endpoint import Endpoint
from esb_runtime.testing import RedisServer, memory_backbone

from .kit import Jobs, Proxy, calls, client, eventually

SOON = timedelta(seconds=0.5)
TWO = Durability.REPLICATED(2)
ONE = Durability.REPLICATED(1)


@pytest.fixture(scope="module")
def second_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Another server, which may become a replica."""
    with RedisServer.start(tmp_path_factory.mktemp("second"), ends_with_process=True) as server:
        yield server


@pytest_asyncio.fixture
async def replica(redis_endpoint: Endpoint, second_server: RedisServer) -> AsyncIterator[Any]:
    """A replica of the server, in step with it; a plain client of it."""
    async with client(redis_endpoint) as first, client(second_server.endpoint) as plain:
        await first.config_set("repl-diskless-sync-delay", 0)
        await plain.replicaof(redis_endpoint.host, redis_endpoint.port)
        await eventually(lambda: _in_step(first))
        yield plain
        await plain.replicaof("NO", "ONE")


async def _in_step(first: Any) -> bool:
    return (await first.info("replication")).get("slave0", {}).get("state") == "online"


async def has_waitaof(raw: Any) -> bool:
    try:
        return bool(await raw.execute_command("WAITAOF", 0, 0, 0))
    except ResponseError:
        return False


async def test_replicated(replica: Any, raw: Any) -> None:
    """A call returns when the replica has the event; a lone call needs two round trips."""
    async with Backbone.connect(durability=ONE) as backbone:
        jobs = Jobs.producer(backbone)
        await jobs.job(0)
        await raw.config_resetstat()
        key = await jobs.job(1)
        assert await replica.xrange("jobs", key.id, key.id)
        assert await calls(raw, "wait") == 1


async def test_concurrent_calls_wait_together(replica: Any, raw: Any) -> None:
    """Hundreds of calls share a handful of waits, each with its own key."""
    async with Backbone.connect() as backbone:
        jobs = Jobs.producer(backbone, durability=ONE)
        await jobs.job(0)
        await raw.config_resetstat()
        keys = await asyncio.gather(*(jobs.job(n) for n in range(500)))
        assert len(set(keys)) == 500
        assert await calls(raw, "wait") <= 10
        keys = await backbone.batch(jobs.job(n) for n in range(500))
        assert await calls(raw, "wait") <= 11
        assert await replica.xrange("jobs", keys[-1].id, keys[-1].id)


async def test_too_few_replicas(replica: Any) -> None:
    """When the replicas do not come in time the call says so, with the key of the event, which is stored."""
    async with Backbone.connect(deadline=SOON, durability=TWO) as backbone:
        began = time.monotonic()
        with pytest.raises(NotConfirmed, match=r"is stored, but not confirmed as REPLICATED\(2\)") as caught:
            await Jobs.producer(backbone).job(7)
        assert time.monotonic() - began < SOON.total_seconds() + 2
        assert (await backbone.get(caught.value.key)).arguments["n"] == 7
        with message_id(caught.value.message_id):
            assert await Jobs.producer(backbone, durability=ONE).job(7) == caught.value.key


async def test_a_repeated_message_id_is_waited_for(replica: Any, second_server: RedisServer) -> None:
    """Sending an event again writes nothing, and still waits until the replica has it: WAIT alone would not."""
    async with Backbone.connect() as backbone, Backbone.connect() as fresh:
        with message_id("once"):
            key = await Jobs.producer(backbone).job(1)
        os.kill(second_server.pid or 0, signal.SIGSTOP)
        try:
            with deadline(SOON), message_id("once"), pytest.raises(NotConfirmed) as caught:
                await Jobs.producer(backbone, durability=ONE).job(1)
        finally:
            os.kill(second_server.pid or 0, signal.SIGCONT)
        assert caught.value.key == key
        with message_id("once"):
            assert await Jobs.producer(fresh, durability=ONE).job(1) == key


async def test_a_batch_is_waited_for(replica: Any) -> None:
    """A batch that cannot be confirmed names the key of every event, in order, and their message ids."""
    async with Backbone.connect(deadline=SOON) as backbone:
        jobs = Jobs.producer(backbone, durability=TWO)
        with pytest.raises(NotConfirmed, match="and 2 more") as caught:
            await backbone.batch(jobs.job(n) for n in range(3))
        stored = [delivery async for delivery in backbone.read(Jobs.job)]
        assert caught.value.keys == tuple(delivery.key for delivery in stored)
        assert caught.value.message_ids == tuple(delivery.metadata.message_id for delivery in stored)


async def test_an_event_that_the_server_lost_is_stored_again(replica: Any, raw: Any) -> None:
    """What is gone when it is to be confirmed (a server that came back without it) is sent once more."""
    async with Backbone.connect(deadline=timedelta(seconds=4)) as backbone:
        call = asyncio.create_task(Jobs.producer(backbone, durability=TWO).job(1))
        await eventually(lambda: raw.exists("jobs"))
        await raw.flushall()
        await replica.replicaof("NO", "ONE")
        with pytest.raises(NotConfirmed) as caught:
            await call
        assert (await backbone.get(caught.value.key)).arguments["n"] == 1
        assert await raw.xlen("jobs") == 1


async def test_fsynced(raw: Any) -> None:
    """FSYNCED waits for the server's disk; a server that is too old for it is named, and nothing is sent."""
    async with Backbone.connect(durability=Durability.FSYNCED) as backbone:
        jobs = Jobs.producer(backbone)
        if await has_waitaof(raw):
            keys = [await jobs.job(1), *await asyncio.gather(*(jobs.job(n) for n in range(50)))]
            assert len(set(keys)) == 51
            assert await calls(raw, "waitaof")
        else:
            with pytest.raises(DurabilityUnavailable, match="nothing was sent: it has no WAITAOF"):
                await jobs.job(1)
            assert not await raw.exists("jobs")


async def test_fsynced_without_a_file(raw: Any) -> None:
    """FSYNCED is refused before anything is sent when the server keeps no append-only file."""
    await raw.config_set("appendonly", "no")
    try:
        async with Backbone.connect(durability=Durability.FSYNCED) as backbone:
            with pytest.raises(DurabilityUnavailable, match="so nothing was sent: it"):
                await Jobs.producer(backbone).job(1)
            with pytest.raises(DurabilityUnavailable):
                await backbone.batch([Jobs.job(1)])
        assert not await raw.exists("jobs")
    finally:
        await raw.config_set("appendonly", "yes")


async def test_a_cut_connection_while_waiting(replica: Any, redis_endpoint: Endpoint) -> None:
    """A confirmation whose reply is lost is asked for again."""
    async with (
        Proxy(redis_endpoint).open() as proxy,
        Backbone.connect(endpoint=proxy.endpoint, durability=ONE) as backbone,
    ):
        proxy.cut_after(b"WAIT")
        assert isinstance(await Jobs.producer(backbone).job(1), EventKey)
        assert proxy.cuts == 1


def test_synchronous_code(redis_endpoint: Endpoint) -> None:
    """The synchronous side has the same choice and the same error."""
    with SyncBackbone.connect(deadline=SOON, durability=TWO) as backbone:
        with pytest.raises(NotConfirmed) as caught:
            Jobs[Sync].producer(backbone).job(1)
        assert backbone.get(caught.value.key).arguments["n"] == 1


async def test_in_memory() -> None:
    """In memory any durability is at hand, so that code which asks for it can be tested."""
    async with memory_backbone() as backbone:
        jobs = Jobs.producer(backbone, durability=Durability.FSYNCED)
        assert [key.stream for key in await backbone.batch([jobs.job(1), jobs.job(2)])] == ["jobs", "jobs"]


def test_what_can_be_asked_for() -> None:
    """At least one replica; choices compare, and say what they are."""
    with pytest.raises(UsageError, match="at least 1"):
        Durability.REPLICATED(0)
    assert Durability.REPLICATED(2) == TWO != ONE
    assert [str(TWO), str(Durability.FSYNCED)] == ["REPLICATED(2)", "FSYNCED"]
