"""taskiq on Redis Streams, with its msgpack serializer."""

from __future__ import annotations

import asyncio
from datetime import datetime

from pydantic import BaseModel
from stopwatch import Stopwatch
from taskiq.receiver import Receiver
from taskiq.serializers import MSGPackSerializer
from taskiq_redis import RedisStreamBroker
from workload import CONCURRENT, CONSUME, NAME, NOW, PRICE, PRODUCT, SEQUENTIAL, amount, email, in_tasks


class User(BaseModel):
    """Who ordered."""

    id: int
    email: str
    name: str


class Product(BaseModel):
    """What was ordered."""

    id: int
    name: str
    price: float


class Contestant:
    """A task per event."""

    def __init__(self, port: int, name: str) -> None:
        broker = RedisStreamBroker(f"redis://127.0.0.1:{port}", queue_name="bench", consumer_id="0")
        self._broker = broker.with_serializer(MSGPackSerializer())

    async def throughput(self, stopwatch: Stopwatch) -> None:
        """Produce in two ways, then consume a backlog."""
        broker, total = self._broker, amount(4_000)
        seen, done = [0], asyncio.Event()

        @broker.task
        async def placed(user: User, product: Product, at: datetime) -> None:
            _ = user.id, product.price, at.year
            seen[0] += 1
            if seen[0] >= total:
                done.set()

        def send(number: int) -> object:
            user, product = (
                User(id=number, email=email(number), name=NAME),
                Product(id=number, name=PRODUCT, price=PRICE),
            )
            return placed.kiq(user, product, NOW)

        await broker.startup()
        count = amount(2_000)
        with stopwatch(SEQUENTIAL, count):
            for number in range(count):
                await send(number)  # type: ignore[misc]
        await broker.shutdown()
        stopwatch.control("FLUSHALL")
        await broker.startup()
        with stopwatch(CONCURRENT, total):
            await in_tasks(total, send)  # type: ignore[arg-type]
        broker.is_worker_process = True
        receiver = Receiver(broker, max_async_tasks=100, run_startup=False)
        finish = asyncio.Event()
        with stopwatch(CONSUME, total):
            listening = asyncio.create_task(receiver.listen(finish))
            await done.wait()
        finish.set()
        listening.cancel()
