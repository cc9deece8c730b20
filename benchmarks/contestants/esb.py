"""esb through its public API, the whole engine on: deduplication, returned keys, retries, claims, ordering, acks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

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

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Ordering, Side, Store, event


@dataclass(frozen=True, slots=True)
class User:
    """Who ordered."""

    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """What was ordered."""

    id: int
    name: str
    price: float


class Orders(EventContract[Side], uri="bench"):
    """The reference event, and the one that carries its own sending time."""

    @event
    async def placed(self, user: User, product: Product, at: datetime) -> None: ...

    @event
    async def timed(self, user: User, product: Product, sent: int) -> None: ...


class KeyedOrders(EventContract[Side], uri="bench"):
    """The same event, ordered by a key: the consumer owns the stream and runs lanes."""

    @event(key="user.email")
    async def placed(self, user: User, product: Product, at: datetime) -> None: ...


def parts(number: int) -> tuple[User, Product]:
    """The arguments of an event."""
    return User(number, email(number), NAME), Product(number, PRODUCT, PRICE)


class Counting:
    """What a counting handler holds: how many are left. Handlers look at the arguments, as every contestant's do."""

    def __init__(self, expected: int) -> None:
        self.left = expected
        self.done = asyncio.Event()


class Plain(Counting, Orders[Consume]):
    """Handles events as they come."""

    async def placed(self, ctx: ConsumerContext, user: User, product: Product, at: datetime) -> None:
        _ = user.id, product.price, at.year
        self.left -= 1
        if self.left == 0:
            self.done.set()


class Keyed(Counting, KeyedOrders[Consume]):
    """Handles events of one key in order."""

    async def placed(self, ctx: ConsumerContext, user: User, product: Product, at: datetime) -> None:
        _ = user.id, product.price, at.year
        self.left -= 1
        if self.left == 0:
            self.done.set()


class Contestant:
    """`esb` keeps payloads in hashes, `esb:inline` in the entries, `esb:keyed` orders by a key."""

    def __init__(self, port: int, name: str) -> None:
        self._endpoint = f"127.0.0.1:{port}"
        self._store = Store.INLINE if name == "esb:inline" else Store.REDIS
        self._keyed = name == "esb:keyed"

    def _connect(self) -> Backbone:
        return Backbone.connect(endpoint=self._endpoint, store=self._store)

    async def throughput(self, stopwatch: Stopwatch) -> None:
        """Produce in three ways, then consume a backlog."""
        control = stopwatch.control
        async with self._connect() as backbone:
            orders = (KeyedOrders if self._keyed else Orders).producer(backbone)
            count = amount(4_000)
            with stopwatch(SEQUENTIAL, count):
                for number in range(count):
                    await orders.placed(*parts(number), NOW)
            control("FLUSHALL")
            count = amount(40_000)
            with stopwatch(CONCURRENT, count):
                await in_tasks(count, lambda number: orders.placed(*parts(number), NOW))
            control("FLUSHALL")
            before = control.memory
            with stopwatch(BATCHES, count):
                await in_flight(count, lambda some: backbone.batch([orders.placed(*parts(n), NOW) for n in some]))
            stopwatch.memory(BATCHES, count, before)
            await self._consume(backbone, count, stopwatch)

    async def _consume(self, backbone: Backbone, count: int, stopwatch: Stopwatch) -> None:
        consumer = (Keyed if self._keyed else Plain)(count)
        ordering = Ordering.KEY if self._keyed else Ordering.NONE
        subscription = backbone.subscribe(consumer, group="bench", ordering=ordering)
        with stopwatch(CONSUME, count):
            running = asyncio.create_task(subscription.run())
            await consumer.done.wait()
        await subscription.stop()
        await running
        pending = stopwatch.control("XPENDING", "bench", "bench")[0]
        if pending:
            raise RuntimeError(f"{pending} events were not acknowledged")
        stopwatch.freed(BATCHES, count, "bench")

    async def send(self) -> None:
        """Events at the fixed rate."""
        async with self._connect() as backbone:
            orders = Orders.producer(backbone)
            await paced(lambda number, sent: orders.timed(*parts(number), sent))

    async def receive(self, arrivals: Arrivals, ready: Callable[[], None]) -> None:
        """Note when each is handled."""

        class Timing(Orders[Consume]):
            """Notes delays."""

            async def timed(self, ctx: ConsumerContext, user: User, product: Product, sent: int) -> None:
                arrivals.note(sent)

        async with self._connect() as backbone:
            subscription = backbone.subscribe(Timing(), group="bench", ordering=Ordering.NONE)
            running = asyncio.create_task(subscription.run())
            ready()
            await arrivals.done.wait()
            await subscription.stop()
            await running
