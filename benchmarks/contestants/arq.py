"""arq: jobs in a sorted set, pickled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from arq import Worker, create_pool, func
from arq.connections import RedisSettings
from stopwatch import Stopwatch
from workload import CONCURRENT, CONSUME, NAME, NOW, PRICE, PRODUCT, SEQUENTIAL, amount, email, in_tasks


@dataclass
class User:
    """Who ordered."""

    id: int
    email: str
    name: str


@dataclass
class Product:
    """What was ordered."""

    id: int
    name: str
    price: float


class Contestant:
    """A job per event."""

    def __init__(self, port: int, name: str) -> None:
        self._settings = RedisSettings(port=port)

    async def throughput(self, stopwatch: Stopwatch) -> None:
        """Produce in two ways, then consume a backlog."""
        pool = await create_pool(self._settings)
        seen = 0

        async def placed(ctx: dict[str, Any], user: User, product: Product, at: datetime) -> None:
            nonlocal seen
            _ = user.id, product.price, at.year
            seen += 1

        def send(number: int) -> Any:
            user, product = User(number, email(number), NAME), Product(number, PRODUCT, PRICE)
            return pool.enqueue_job("placed", user, product, NOW)

        count = amount(2_000)
        with stopwatch(SEQUENTIAL, count):
            for number in range(count):
                await send(number)
        stopwatch.control("FLUSHALL")
        count = amount(4_000)
        with stopwatch(CONCURRENT, count):
            await in_tasks(count, send)
        worker = Worker(
            functions=[func(placed, name="placed")], redis_pool=pool, burst=True, max_jobs=100, keep_result=0,
            poll_delay=0.005, handle_signals=False, log_results=False, queue_read_limit=1000,
        )  # fmt: skip
        with stopwatch(CONSUME, count):
            await worker.main()
        if seen != count:
            raise RuntimeError(f"arq handled {seen} of {count}")
