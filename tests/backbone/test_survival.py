"""A consumer survives its server, its group and its connections: it goes on, and nothing that is stored is lost."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering, Start
from esb_runtime._endpoint import Endpoint
from esb_runtime.redis._seat import RedisSeat
from esb_runtime.testing import RedisServer

from .kit import LEASE, Jobs, Proxy, client, eventually, pending, running, settled, until

WATCHING = {"cmdstat_info", "cmdstat_config|resetstat", "cmdstat_client|setinfo"}
"""What the test itself sends."""
both = pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])


class Collects(Jobs[Consume]):
    """Notes what it handles; while the gate is closed, handlers wait."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        await self.gate.wait()
        self.seen.append(n)


@pytest_asyncio.fixture
async def backbone(redis_endpoint: Endpoint) -> AsyncIterator[Backbone]:
    async with Backbone.connect() as connected:
        yield connected


@both
async def test_a_destroyed_group(backbone: Backbone, raw: Any, ordering: Ordering) -> None:
    """A group that somebody destroys is made again at its floor: what was not handled is, old events stay handled."""
    consumer = Collects()
    backbone.subscribe(consumer, group="g", ordering=ordering, lease=LEASE)
    await backbone.batch(Jobs.job(n) for n in range(100))
    async with running(backbone):
        await until(lambda: len(consumer.seen) == 100)
        await eventually(lambda: settled(raw, "jobs", "g"))
        await eventually(lambda: _floor_is_last(raw))
        await raw.xgroup_destroy("jobs", "g")
        await backbone.batch(Jobs.job(n) for n in range(100, 200))
        await until(lambda: len(consumer.seen) == 200)
    assert consumer.seen == list(range(200))


async def _floor_is_last(raw: Any) -> bool:
    return await raw.get("{jobs}:floor:g") == (await raw.xinfo_stream("jobs"))["last-generated-id"]


@both
async def test_a_group_destroyed_in_the_middle(backbone: Backbone, raw: Any, ordering: Ordering) -> None:
    """What was in hand when the group was destroyed is handled all the same."""
    consumer = Collects()
    consumer.gate.clear()
    backbone.subscribe(consumer, group="g", ordering=ordering, lease=LEASE, concurrency=4)
    await backbone.batch(Jobs.job(n) for n in range(300))
    async with running(backbone):
        await eventually(lambda: raw.xpending("jobs", "g"))
        await raw.xgroup_destroy("jobs", "g")
        consumer.gate.set()
        await until(lambda: set(consumer.seen) == set(range(300)))
        await eventually(lambda: settled(raw, "jobs", "g"))


@both
@pytest.mark.parametrize("start", Start)
async def test_a_flushed_server(backbone: Backbone, raw: Any, ordering: Ordering, start: Start) -> None:
    """After FLUSHALL everything that comes is new: it is handled, wherever the group began."""
    consumer = Collects()
    backbone.subscribe(consumer, group="g", ordering=ordering, lease=LEASE, start=start)
    jobs = Jobs.producer(backbone)
    async with running(backbone):
        async with asyncio.timeout(10):
            while not consumer.seen:
                await jobs.job(0)
        await eventually(lambda: settled(raw, "jobs", "g"))
        async with raw.pipeline(transaction=True) as pipe:
            pipe.flushall()
            pipe.script_flush()
            await pipe.execute()
        await backbone.batch(Jobs.job(n) for n in range(1, 50))
        await until(lambda: set(range(1, 50)) <= set(consumer.seen))
        await eventually(lambda: settled(raw, "jobs", "g"))


@both
async def test_a_restarted_server(tmp_path: Any, ordering: Ordering, caplog: pytest.LogCaptureFixture) -> None:
    """A restart is waited out and logged once; events before, during and after it are handled."""
    server = await RedisServer.start_async(tmp_path, ends_with_process=True)
    consumer = Collects()
    async with Backbone.connect(endpoint=server.endpoint.display) as backbone:
        backbone.subscribe(consumer, group="g", ordering=ordering, lease=LEASE)
        jobs = Jobs.producer(backbone)
        with caplog.at_level(logging.INFO, "esb_runtime"):
            async with running(backbone):
                await jobs.job(1)
                await until(lambda: consumer.seen == [1])
                await server.stop_async()
                meanwhile = asyncio.create_task(jobs.job(2))
                await until(lambda: "cannot reach" in caplog.text)
                server = await RedisServer.start_async(tmp_path, ends_with_process=True)
                await meanwhile
                await jobs.job(3)
                await until(lambda: {1, 2, 3} <= set(consumer.seen))
        await server.stop_async()
    troubles = [record for record in caplog.records if "cannot reach" in record.message]
    assert len(troubles) == 1
    assert any("goes on" in record.message for record in caplog.records)


@both
async def test_a_server_that_returns_empty(tmp_path: Any, ordering: Ordering) -> None:
    """A server that comes back without its data is a new one: the group is made again, and what comes is handled."""
    server = await RedisServer.start_async(tmp_path, ends_with_process=True)
    consumer = Collects()
    async with Backbone.connect(endpoint=server.endpoint.display, deadline=timedelta(seconds=60)) as backbone:
        backbone.subscribe(consumer, group="g", ordering=ordering, start=Start.END, lease=LEASE)
        jobs = Jobs.producer(backbone)
        async with running(backbone):
            async with client(server.endpoint) as raw:
                await eventually(lambda: _has_group(raw))
            await jobs.job(1)
            await until(lambda: consumer.seen == [1])
            await asyncio.to_thread(server.kill)
            assert server.data is not None
            shutil.rmtree(server.data)
            server = await RedisServer.start_async(tmp_path, ends_with_process=True)
            await backbone.batch(Jobs.job(n) for n in range(2, 20))
            await until(lambda: set(consumer.seen) >= set(range(1, 20)), seconds=60)
            async with client(server.endpoint) as raw:
                await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
                assert await raw.xlen("jobs") == 18
        await server.stop_async()


async def _has_group(raw: Any) -> bool:
    return bool(await raw.exists("jobs") and await raw.xinfo_groups("jobs"))


@both
async def test_killed_connections(backbone: Backbone, raw: Any, ordering: Ordering) -> None:
    """Connections that are cut again and again lose nothing."""
    consumer = Collects()
    backbone.subscribe(consumer, group="g", ordering=ordering, concurrency=8)
    jobs = Jobs.producer(backbone)
    async with running(backbone):
        for n in range(20):
            await asyncio.gather(*(jobs.job(n * 10 + m) for m in range(10)))
            await raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: set(consumer.seen) == set(range(200)))
        await eventually(lambda: settled(raw, "jobs", "g"))


@pytest.mark.parametrize(("ordering", "word"), [(Ordering.NONE, b"XREADGROUP"), (Ordering.KEY, b"EVALSHA")])
async def test_a_lost_reply(redis_endpoint: Endpoint, raw: Any, ordering: Ordering, word: bytes) -> None:
    """Events that were delivered with a reply that never arrived are found again, at no cost."""
    attempts: list[tuple[int, int]] = []

    class Notes(Jobs[Consume]):
        async def job(self, ctx: ConsumerContext, n: int) -> None:
            attempts.append((n, ctx.metadata.attempt))

    async with (
        Proxy(redis_endpoint).open() as proxy,
        Backbone.connect(endpoint=proxy.endpoint) as behind,
        Backbone.connect() as direct,
    ):
        behind.subscribe(Notes(), group="g", ordering=ordering)
        async with running(behind):
            await Jobs.producer(direct).job(0)
            await until(lambda: attempts)
            await eventually(lambda: settled(raw, "jobs", "g"))
            proxy.cut_after(word)
            await direct.batch(Jobs.job(n) for n in range(1, 5))
            await until(lambda: len(attempts) >= 5)
            await eventually(lambda: settled(raw, "jobs", "g"))
        assert proxy.cuts == 1
    assert attempts == [(n, 1) for n in range(5)]


@both
async def test_an_answer_that_is_old_news(
    backbone: Backbone, raw: Any, ordering: Ordering, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is handled while the server's list of this process's events is on its way is not handled again."""
    mine = RedisSeat.mine

    async def late(seat: RedisSeat, after: str, count: int) -> Any:
        answer = await mine(seat, after, count)
        await eventually(lambda: _nothing_pending(raw))
        return answer

    monkeypatch.setattr(RedisSeat, "mine", late)
    await backbone.batch(Jobs.job(n) for n in range(50))
    await raw.xgroup_create("jobs", "g", "0")
    await raw.xreadgroup("g", "somebody who died", {"jobs": ">"}, count=50)
    consumer = Collects()
    backbone.subscribe(consumer, group="g", ordering=ordering)
    async with running(backbone):
        await until(lambda: len(consumer.seen) >= 50)
        await Jobs.producer(backbone).job(50)
        await until(lambda: 50 in consumer.seen)
    assert consumer.seen == list(range(51))


async def _nothing_pending(raw: Any) -> bool:
    return await pending(raw, "jobs", "g") == 0


async def test_an_idle_consumer_is_quiet(backbone: Backbone, raw: Any) -> None:
    """A consumer with nothing to do costs the server fewer than two commands a second, its scripts included."""
    consumers = {ordering: Collects() for ordering in (Ordering.NONE, Ordering.KEY)}
    for ordering, consumer in consumers.items():
        backbone.subscribe(consumer, group=ordering.value, ordering=ordering)
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        for ordering, consumer in consumers.items():
            await until(lambda consumer=consumer: consumer.seen)
            await eventually(lambda ordering=ordering: settled(raw, "jobs", ordering.value))
        await asyncio.sleep(2)  # the last beats at the pace of events
        ours = await _commands(raw, seconds=10)
    assert sum(ours.values()) < 2 * 20, ours


async def _commands(raw: Any, *, seconds: float) -> dict[str, int]:
    """What the server is asked for meanwhile, apart from what this test asks."""
    await raw.config_resetstat()
    await asyncio.sleep(seconds)
    stats = await raw.info("commandstats")
    return {name: found["calls"] for name, found in stats.items() if name not in WATCHING}


async def test_waiting_for_a_living_one_is_quiet(raw: Any, redis_endpoint: Endpoint) -> None:
    """An event that a living process takes long over is neither taken over nor looked at in a hurry by another one."""
    slow, other = Collects(), Collects()
    slow.gate.clear()
    async with Backbone.connect() as one, Backbone.connect() as two:
        for ordering in (Ordering.NONE, Ordering.KEY):
            one.subscribe(slow, group=ordering.value, ordering=ordering)
            two.subscribe(other, group=ordering.value, ordering=ordering)
        await Jobs.producer(one).job(1)
        async with running(one):
            await eventually(lambda: pending(raw, "jobs", "none"))
            await eventually(lambda: pending(raw, "jobs", "key"))
            async with running(two):
                await asyncio.sleep(1)  # the second one has begun
                ours = await _commands(raw, seconds=3)
                assert other.seen == []
                slow.gate.set()
                await until(lambda: slow.seen == [1, 1])
    assert sum(ours.values()) < 2 * 60, ours


async def test_many_that_wait_keep_nobody_waiting(backbone: Backbone, raw: Any) -> None:
    """Each subscription waits on a connection of its own: however many wait, producing and handling go on."""
    consumers = [Collects() for _ in range(120)]
    for n, consumer in enumerate(consumers):
        backbone.subscribe(consumer, group=f"g{n}", ordering=Ordering.NONE)
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        await until(lambda: all(consumer.seen == [1] for consumer in consumers), seconds=60)
        await Jobs.producer(backbone).job(2)
        await until(lambda: all(consumer.seen == [1, 2] for consumer in consumers), seconds=60)


async def test_a_stream_that_is_something_else(backbone: Backbone, raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A key of another type is named in the log; the consumer begins once it is out of the way."""
    await raw.set("jobs", "mine")
    consumer = Collects()
    backbone.subscribe(consumer, group="g")
    async with running(backbone):
        await until(lambda: "'jobs' is not a stream" in caplog.text)
        await raw.delete("jobs")
        await Jobs.producer(backbone).job(1)
        await until(lambda: consumer.seen)
