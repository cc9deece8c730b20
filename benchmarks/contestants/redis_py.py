"""Straightforward redis-py with hiredis, as one writes it by hand: no dedup, no retry, no recovery."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import msgspec
import redis.asyncio
from stopwatch import Stopwatch
from workload import (
    BATCHES,
    CONCURRENT,
    CONSUME,
    NAME,
    NOW,
    PRICE,
    PRODUCT,
    SEQUENTIAL,
    Arrivals,
    amount,
    email,
    in_flight,
    in_tasks,
    paced,
)


async def look(user: User, product: Product, at: datetime) -> None:
    """A handler that does next to nothing."""
    _ = user.id, product.price, at.year


encode = msgspec.msgpack.Encoder().encode


@dataclass(slots=True)
class User:
    """Who ordered."""

    id: int
    email: str
    name: str


@dataclass(slots=True)
class Product:
    """What was ordered."""

    id: int
    name: str
    price: float


class Contestant:
    """HSET and XADD in a pipeline; XREADGROUP, HGETALLs in a pipeline, XACK."""

    def __init__(self, port: int, name: str) -> None:
        self._redis: Any = redis.asyncio.Redis(port=port)

    async def _put(self, numbers: range, at: object = NOW) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for number in numbers:
            key = f"e:{uuid4().hex}"
            user, product = User(number, email(number), NAME), Product(number, PRODUCT, PRICE)
            pipe.hset(key, mapping={"user": encode(user), "product": encode(product), "at": encode(at)})
            pipe.xadd("bench", {"id": key, "n": "placed"})
        await pipe.execute()

    async def throughput(self, stopwatch: Stopwatch) -> None:
        """Produce in three ways, then consume a backlog."""
        control = stopwatch.control
        count = amount(4_000)
        with stopwatch(SEQUENTIAL, count):
            for number in range(count):
                await self._put(range(number, number + 1))
        control("FLUSHALL")
        count = amount(6_000)
        with stopwatch(CONCURRENT, count):
            await in_tasks(count, lambda number: self._put(range(number, number + 1)))
        control("FLUSHALL")
        count = amount(20_000)
        before = control.memory
        with stopwatch(BATCHES, count):
            await in_flight(count, self._put)
        stopwatch.memory(BATCHES, count, before)
        await self._redis.xgroup_create("bench", "g", "0")
        with stopwatch(CONSUME, count):
            await self._consume(count, datetime, look)

    async def _consume(self, count: int, kind: type[Any], handle: Callable[..., Any]) -> None:
        decoders = [msgspec.msgpack.Decoder(one).decode for one in (User, Product, kind)]
        seen = 0
        while seen < count:
            reply = await self._redis.xreadgroup("g", "c", {"bench": ">"}, count=100, block=2000)
            entries = reply[0][1] if isinstance(reply, list) else next(iter(reply.values()), [])
            entries = entries[0] if entries and isinstance(entries[0], list) else entries
            pipe = self._redis.pipeline(transaction=False)
            for _, fields in entries:
                pipe.hgetall(fields[b"id"])
            for payload in await pipe.execute():
                await handle(
                    *(d(payload[name]) for d, name in zip(decoders, (b"user", b"product", b"at"), strict=True))
                )
                seen += 1
            await self._redis.xack("bench", "g", *[id_ for id_, _ in entries])

    async def send(self) -> None:
        """Events at the fixed rate."""
        await paced(lambda number, sent: self._put(range(number, number + 1), sent))

    async def receive(self, arrivals: Arrivals, ready: Callable[[], None]) -> None:
        """Note when each is handled."""
        await self._redis.xgroup_create("bench", "g", "0", mkstream=True)

        async def note(user: User, product: Product, sent: int) -> None:
            arrivals.note(sent)

        running = asyncio.create_task(self._consume(1 << 30, int, note))
        ready()
        await arrivals.done.wait()
        running.cancel()
