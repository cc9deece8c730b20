"""A server that answers, but refuses for a while: the consumer goes on once it is well again, and loses nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
import redis.exceptions

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering
from esb_runtime.redis._connection import passing
from esb_runtime.testing import RedisServer
from esb_runtime.testing import _launch as launching
from esb_runtime.testing._binary import find_binary

from .kit import Jobs, client, eventually, running, settled, until

PATIENCE = timedelta(seconds=60)
both = pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])


class Sees(Jobs[Consume]):
    """Notes what it handles."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.add(n)


# --- ways to make a server refuse; each block ends with the server well again

Harm = Callable[[Any, RedisServer], AbstractAsyncContextManager[None]]


def commands(ill: tuple[Any, ...], well: tuple[Any, ...]) -> Harm:
    """One command makes it refuse, another one ends that. Every client has to connect again meanwhile."""

    @asynccontextmanager
    async def harm(raw: Any, server: RedisServer) -> AsyncGenerator[None]:
        await raw.execute_command(*ill)
        try:
            await raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            yield
        finally:
            await raw.execute_command(*well)

    return harm


@asynccontextmanager
async def endless_script(raw: Any, server: RedisServer) -> AsyncGenerator[None]:
    """Somebody's script loops for ever: BUSY to everybody, until SCRIPT KILL."""
    await raw.config_set("lua-time-limit", 20)
    async with client(server.endpoint) as other:
        script = asyncio.create_task(other.eval("while true do end", 0))
        try:
            await eventually(lambda: _busy(raw))
            yield
        finally:
            await raw.execute_command("SCRIPT", "KILL")
            with pytest.raises(redis.exceptions.ResponseError, match="killed"):
                await script
            await raw.config_set("lua-time-limit", 5000)


async def _busy(raw: Any) -> bool:
    try:
        await raw.ping()
    except redis.exceptions.ResponseError as error:
        return str(error).startswith("BUSY")
    return False


@asynccontextmanager
async def failing_snapshots(raw: Any, server: RedisServer) -> AsyncGenerator[None]:
    """Snapshots cannot be written: a folder stands where the file should be. Writes are refused with MISCONF."""
    assert server.data is not None
    in_the_way = server.data / "dump.rdb"
    in_the_way.mkdir()
    try:
        await raw.config_set("save", "3600 1000000")
        await raw.bgsave()
        await eventually(lambda: _last_snapshot(raw, "err"))
        await raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        yield
    finally:
        in_the_way.rmdir()
        await raw.bgsave()
        await eventually(lambda: _last_snapshot(raw, "ok"))
        await raw.config_set("save", "")
        in_the_way.unlink()


async def _last_snapshot(raw: Any, how: str) -> bool:
    persistence = await raw.info("persistence")
    return not persistence["rdb_bgsave_in_progress"] and persistence["rdb_last_bgsave_status"] == how


HARM: dict[str, Harm] = {
    "READONLY": commands(("REPLICAOF", "127.0.0.1", 1), ("REPLICAOF", "NO", "ONE")),
    "OOM": commands(("CONFIG", "SET", "maxmemory", 1), ("CONFIG", "SET", "maxmemory", 0)),
    "NOREPLICAS": commands(
        ("CONFIG", "SET", "min-replicas-to-write", 3), ("CONFIG", "SET", "min-replicas-to-write", 0)
    ),
    "paused": commands(("CLIENT", "PAUSE", 700), ("PING",)),
    "BUSY": endless_script,
    "MISCONF": failing_snapshots,
}


@both
@pytest.mark.parametrize("harm", HARM)
async def test_a_refusal_is_waited_out(
    harm: str,
    ordering: Ordering,
    redis_server: RedisServer,
    raw: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Events from before, during and after the trouble are handled, each is stored once, and nothing stays pending."""
    if find_binary().major < 7 and harm not in {"BUSY", "paused"}:
        pytest.skip("before Redis 7 nothing tells when the server has refused a script, and why")
    consumer = Sees()
    async with Backbone.connect(deadline=PATIENCE) as backbone:
        backbone.subscribe(consumer, group="g", ordering=ordering)
        async with running(backbone):
            await backbone.batch(Jobs.job(n) for n in range(50))
            await until(lambda: len(consumer.seen) == 50)
            await eventually(lambda: settled(raw, "jobs", "g"))
            await raw.config_resetstat()
            async with HARM[harm](raw, redis_server):
                produced = asyncio.create_task(backbone.batch(Jobs.job(n) for n in range(50, 100)))
                if harm == "BUSY":  # such a server tells nobody anything
                    await until(lambda: "BUSY" in caplog.text, seconds=60)
                elif harm != "paused":
                    await eventually(lambda: _refused(raw, harm), seconds=60)
            assert len(await produced) == 50
            await backbone.batch(Jobs.job(n) for n in range(100, 150))
            await until(lambda: consumer.seen == set(range(150)), seconds=60)
            await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
    assert await raw.xlen("jobs") == 150


@both
async def test_another_password_is_waited_out(
    ordering: Ordering, redis_server: RedisServer, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A consumer that is no longer let in goes on as soon as it is."""
    locked = commands(("CONFIG", "SET", "requirepass", "other"), ("CONFIG", "SET", "requirepass", ""))
    consumer = Sees()
    async with Backbone.connect() as backbone:
        backbone.subscribe(consumer, group="g", ordering=ordering)
        async with running(backbone):
            await backbone.batch(Jobs.job(n) for n in range(50))
            await until(lambda: len(consumer.seen) == 50)
            async with locked(raw, redis_server):
                await until(lambda: "refused: " in caplog.text, seconds=60)
            await backbone.batch(Jobs.job(n) for n in range(50, 100))
            await until(lambda: consumer.seen == set(range(100)), seconds=60)
            await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)


async def test_a_server_that_loads(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that comes back with much to load answers LOADING for a while: producers and consumers wait for it."""
    configuration = launching.configuration
    consumer = Sees()
    server = await RedisServer.start_async(tmp_path, ends_with_process=True)
    async with Backbone.connect(endpoint=server.endpoint.display, deadline=PATIENCE) as backbone:
        backbone.subscribe(consumer, group="g", ordering=Ordering.KEY)
        with caplog.at_level(logging.INFO, "esb_runtime"):
            async with running(backbone):
                await backbone.batch(Jobs.job(n) for n in range(1500))
                await until(lambda: len(consumer.seen) == 1500, seconds=60)
                await server.stop_async()
                # the server's own option for tests of this kind: microseconds that each command of its file takes
                monkeypatch.setattr(
                    launching, "configuration", lambda *given: configuration(*given) + "key-load-delay 500\n"
                )
                server = await RedisServer.start_async(tmp_path, ends_with_process=True)
                async with client(server.endpoint) as raw:
                    await eventually(lambda: _refused(raw, "LOADING"), seconds=60)
                    await Jobs.producer(backbone).job(1500)
                    await until(lambda: consumer.seen == set(range(1501)), seconds=60)
                    await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
                    assert await raw.xlen("jobs") == 1501
        await server.stop_async()
    assert sum("cannot reach" in record.getMessage() for record in caplog.records) == 1
    assert any("goes on" in record.getMessage() for record in caplog.records)


async def _refused(raw: Any, word: str) -> bool:
    return f"errorstat_{word}" in await raw.info("errorstats")


def test_words_not_parts_of_words() -> None:
    """What passes is told by whole words: BUSY passes, BUSYGROUP is a mistake that does not."""
    assert passing("BUSY Redis is busy running a script")
    assert passing("ERR Error running script: @user_script:29: -OOM command not allowed")
    assert not passing("BUSYGROUP Consumer Group name already exists")
    assert not passing("ERR no such key 'ROOM-1'")
