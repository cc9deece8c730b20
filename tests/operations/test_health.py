"""`python -m esb_runtime.health`: what a container's health check says of its consumer."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Side, event
from esb_runtime.testing import RedisServer


class Shop(EventContract[Side], uri="shop"):
    """A contract."""

    @event
    async def opened(self, name: str) -> None:
        """It opened."""


class Teller(Shop[Consume]):
    """A consumer."""

    def __init__(self) -> None:
        self.told = asyncio.Event()

    async def opened(self, ctx: ConsumerContext, name: str) -> None:
        self.told.set()


async def health(server: RedisServer, *arguments: str) -> tuple[int | None, str]:
    """Exit code and words of the check."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "esb_runtime.health", *arguments,
        env={**os.environ, **server.environment()}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, said = await process.communicate()
    return process.returncode, said.decode()


async def test_a_consumer_is_healthy_while_its_lease_runs(redis_server: RedisServer) -> None:
    """0 beside a running consumer; 1 with the reason before it began, for another host, and after it ended."""
    redis_server.clear()
    async with Backbone.connect(
        endpoint=redis_server.endpoint.display, password=redis_server.endpoint.password
    ) as backbone:
        code, said = await health(redis_server, "shop", "tellers")
        assert code == 1
        assert "shop" in said
        teller = Teller()
        subscription = backbone.subscribe(teller, group="tellers")
        running = asyncio.create_task(subscription.run())
        await Shop.producer(backbone).opened("the corner shop")
        async with asyncio.timeout(30):
            await teller.told.wait()
        assert await health(redis_server, "shop", "tellers") == (0, "")
        assert (await health(redis_server, "shop", "tellers", "--name", "elsewhere"))[0] == 1
        assert (await health(redis_server, "shop", "others"))[0] == 1
        await subscription.stop()
        await running
        code, said = await health(redis_server, "shop", "tellers")
        assert (code, said) == (1, f"no living consumer of {socket.gethostname()} in group tellers of shop\n")
