"""FastStream with its fastest serializer (msgspec); `faststream:batch` gives the handler 100 messages at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from fast_depends.msgspec import MsgSpecSerializer
from faststream.redis import RedisBroker, StreamSub
from stopwatch import Stopwatch
from workload import (
    BATCHES,
    CONCURRENT,
    CONSUME,
    CONSUME_BATCH,
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


class User(msgspec.Struct):
    """Who ordered."""

    id: int
    email: str
    name: str


class Product(msgspec.Struct):
    """What was ordered."""

    id: int
    name: str
    price: float


class Placed(msgspec.Struct):
    """The reference event."""

    user: User
    product: Product
    at: datetime


class Timed(msgspec.Struct):
    """An event that carries its sending time."""

    user: User
    product: Product
    sent: int


def parts(number: int) -> tuple[User, Product]:
    """The arguments of an event."""
    return User(number, email(number), NAME), Product(number, PRODUCT, PRICE)


class Contestant:
    """FastStream on Redis Streams, in a consumer group."""

    def __init__(self, port: int, name: str) -> None:
        self._broker = RedisBroker(f"redis://127.0.0.1:{port}", logger=None, serializer=MsgSpecSerializer())
        self._batch = name.endswith(":batch")

    def _source(self, **options: Any) -> StreamSub:
        return StreamSub("bench", group="g", consumer="c", max_records=100, **options)

    def _subscribe(self, total: int) -> asyncio.Event:
        """The handler; the event is set when it has seen everything."""
        broker = self._broker
        seen, done = [0], asyncio.Event()

        if self._batch:

            @broker.subscriber(stream=self._source(batch=True, polling_interval=100, last_id="0"))
            async def together(messages: list[Placed]) -> None:
                for message in messages:
                    _ = message.user.id, message.product.price, message.at.year
                seen[0] += len(messages)
                if seen[0] >= total:
                    done.set()
        else:

            @broker.subscriber(stream=self._source(polling_interval=100, last_id="0"))
            async def single(message: Placed) -> None:
                _ = message.user.id, message.product.price, message.at.year
                seen[0] += 1
                if seen[0] >= total:
                    done.set()

        return done

    async def throughput(self, stopwatch: Stopwatch) -> None:
        """Produce in three ways, then consume a backlog."""
        broker, control = self._broker, stopwatch.control
        total = amount(10_000 if self._batch else 5_000)
        done = self._subscribe(total)
        await broker.connect()
        if not self._batch:
            count = amount(3_000)
            with stopwatch(SEQUENTIAL, count):
                for number in range(count):
                    await broker.publish(Placed(*parts(number), NOW), stream="bench")
            control("FLUSHALL")
            count = amount(6_000)
            with stopwatch(CONCURRENT, count):
                await in_tasks(count, lambda number: broker.publish(Placed(*parts(number), NOW), stream="bench"))
            control("FLUSHALL")
        before = control.memory
        with stopwatch(BATCHES, total):
            await in_flight(total, self._publish)
        stopwatch.memory(BATCHES, total, before)
        with stopwatch(CONSUME_BATCH if self._batch else CONSUME, total):
            await broker.start()
            await done.wait()

    async def _publish(self, numbers: range) -> None:
        async with self._broker._connection.pipeline(transaction=False) as pipe:
            for number in numbers:
                await self._broker.publish(Placed(*parts(number), NOW), stream="bench", pipeline=pipe)
            await pipe.execute()

    async def send(self) -> None:
        """Events at the fixed rate."""
        await self._broker.connect()
        await paced(lambda number, sent: self._broker.publish(Timed(*parts(number), sent), stream="bench"))

    async def receive(self, arrivals: Arrivals, ready: Callable[[], None]) -> None:
        """Note when each is handled."""

        @self._broker.subscriber(stream=self._source(last_id=">"))
        async def single(message: Timed) -> None:
            arrivals.note(message.sent)

        await self._broker.start()
        ready()
        await arrivals.done.wait()
