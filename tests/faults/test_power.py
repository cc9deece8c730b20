"""The server is killed while producers write: what was acknowledged and is gone afterwards, counted."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from esb_runtime import Backbone, EventKey
from esb_runtime.testing import RedisServer

from .run import client
from .story import URI, Unkeyed, parcel


@pytest.mark.parametrize("policy", ["always", "everysec"])
async def test_a_killed_server(policy: str, tmp_path: Path) -> None:
    """With `appendfsync always` no acknowledged event is lost; with `everysec` at most the last two seconds."""
    server = await RedisServer.start_async(tmp_path, ends_with_process=True)
    acknowledged: list[EventKey] = []
    async with Backbone.connect(endpoint=server.endpoint.display) as backbone:
        producer = Unkeyed.producer(backbone)

        async def produce(task: int) -> None:
            number = 0
            while True:
                number += 1
                acknowledged.append(await producer.moved(f"k{task}", number, parcel(f"k{task}", number)))

        with client(server) as look:
            look.config_set("appendfsync", policy)
        lost = 0
        for _ in range(3):
            tasks = [asyncio.create_task(produce(n)) for n in range(20)]
            before = len(acknowledged)
            async with asyncio.timeout(60):
                while len(acknowledged) < before + 2000:  # noqa: ASYNC110 - the tasks fill it
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(server.kill)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            server = await RedisServer.start_async(tmp_path, ends_with_process=True)
            with client(server) as look:
                look.config_set("appendfsync", policy)
                there = {id_.decode() for id_, _ in look.xrange(URI)}
            lost += sum(key.id not in there for key in acknowledged)
            acknowledged = [key for key in acknowledged if key.id in there]
    await server.stop_async()
    print(f"{policy}: {lost} of {lost + len(acknowledged)} acknowledged events lost in three kills")
    assert lost == 0 if policy == "always" else lost < 10_000
