"""Producing while the server is away: waited out up to the deadline, then said clearly."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import pytest

from esb_runtime import Backbone, ChannelUnavailable, EventKey
from esb_runtime._endpoint import Endpoint
from esb_runtime.testing import RedisServer

from .kit import Jobs, eventually

SOON = timedelta(seconds=0.4)


async def test_a_dead_port(dead_port: str) -> None:
    """After the deadline, not before, the call raises, and names the address."""
    async with Backbone.connect(endpoint=dead_port, deadline=SOON) as backbone:
        began = time.monotonic()
        with pytest.raises(ChannelUnavailable, match=dead_port):
            await Jobs.producer(backbone).job(1)
        assert 0.2 <= time.monotonic() - began < 3


async def test_a_silent_server(silent_port: str) -> None:
    """A server that never answers cannot hold a call longer than its deadline."""
    async with Backbone.connect(endpoint=silent_port, deadline=SOON) as backbone:
        began = time.monotonic()
        with pytest.raises(ChannelUnavailable, match=silent_port):
            await Jobs.producer(backbone).job(1)
        assert time.monotonic() - began < 3


async def test_each_call_has_its_own_deadline(dead_port: str) -> None:
    """Calls that queue behind each other fail at their own deadline, not one deadline after the other."""
    async with Backbone.connect(endpoint=dead_port, deadline=SOON) as backbone:
        jobs = Jobs.producer(backbone)
        began = time.monotonic()
        outcomes = await asyncio.gather(*(jobs.job(n) for n in range(5000)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {ChannelUnavailable}
        assert time.monotonic() - began < 20, "one after the other it would be half an hour"


async def test_a_batch_has_a_deadline(dead_port: str) -> None:
    """`batch` raises after the deadline too."""
    async with Backbone.connect(endpoint=dead_port, deadline=SOON) as backbone:
        with pytest.raises(ChannelUnavailable, match=r"tried for 0\.4 s"):
            await backbone.batch(Jobs.job(n) for n in range(3))


async def test_reading_does_not_wait(dead_port: str) -> None:
    """Reading an unreachable server raises at once."""
    async with Backbone.connect(endpoint=dead_port) as backbone:
        with pytest.raises(ChannelUnavailable):
            [delivery async for delivery in backbone.read(Jobs)]
        with pytest.raises(ChannelUnavailable):
            await backbone.get(EventKey(stream="jobs", id="1-0"))


async def test_a_restart_is_waited_out(tmp_path: Any) -> None:
    """A call that meets a restart of the server returns when the server is back."""
    server = await RedisServer.start_async(tmp_path, ends_with_process=True)
    async with Backbone.connect(endpoint=server.endpoint.display) as backbone:
        jobs = Jobs.producer(backbone)
        await jobs.job(1)
        await server.stop_async()
        call = asyncio.create_task(jobs.job(2))
        server = await RedisServer.start_async(tmp_path, ends_with_process=True)
        try:
            assert server.endpoint.display in repr(backbone), "the server gets its port back"
            assert isinstance(await call, EventKey)
            assert [delivery.arguments["n"] async for delivery in backbone.read(Jobs.job)] == [1, 2]
        finally:
            await server.stop_async()


async def test_a_full_server_is_waited_out(redis_endpoint: Endpoint, raw: Any) -> None:
    """A server without memory counts as unavailable: the call goes on when there is room again."""
    async with Backbone.connect() as backbone:
        jobs = Jobs.producer(backbone)
        await jobs.job(1)
        before = await _writes(raw)
        await raw.config_set("maxmemory", 1)
        try:
            call = asyncio.create_task(jobs.job(2))
            await eventually(lambda: _tried_again(raw, before))
            assert not call.done()
        finally:
            await raw.config_set("maxmemory", 0)
        assert isinstance(await call, EventKey)


async def _writes(raw: Any) -> int:
    """How often a script was asked for; what it answers for want of memory, servers count under different names."""
    counted = await raw.info("commandstats")
    return sum(counted.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


async def _tried_again(raw: Any, before: int) -> bool:
    return await _writes(raw) >= before + 3


async def test_a_store_that_fails_fails_its_callers() -> None:
    """Whatever an external store raises reaches the call, and the next call works."""
    from esb_runtime._ports import Placement
    from esb_runtime.testing import MemoryChannel, MemoryStore

    class Moody(MemoryStore):
        well = False

        async def save(self, stream: str, payloads: Any, /) -> None:
            if not self.well:
                raise OSError("no space left")
            await super().save(stream, payloads)

    store = Moody()
    backbone = Backbone(MemoryChannel(placement=Placement.EXTERNAL, stores=[store]))
    jobs = Jobs.producer(backbone)
    async with asyncio.timeout(5):
        with pytest.raises(OSError, match="no space"):
            await jobs.job(1)
        store.well = True
        assert isinstance(await jobs.job(2), EventKey)
