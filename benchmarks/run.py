"""Throughput and latency of esb beside straightforward redis-py, on the same server, in one run.

`python benchmarks/run.py [--rounds N] [--scale X] [--json FILE]`: alternates the contestants, prints medians. Absolute
figures do not travel to other machines; the ratios of one run do. The whole engine is on: retry, claims, ordering,
acknowledgements, dead letters.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import msgspec
import redis.asyncio
from rich.console import Console
from rich.table import Table

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Ordering, Side, Store, event
from esb_runtime.testing import RedisServer


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
    price: Decimal


class Orders(EventContract[Side], uri="bench"):
    """The reference event: two dataclasses and a time, about 100 bytes."""

    @event
    async def placed(self, user: User, product: Product, time: datetime) -> None: ...


NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
USER = User(7, "ann@example.org", "Ann")
PRODUCT = Product(42, "chess", Decimal("19.90"))


class Counting(Orders[Consume]):
    """A handler that does next to nothing."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.done = asyncio.Event()

    async def placed(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None:
        self._left -= 1
        if self._left == 0:
            self.done.set()


Measured = dict[str, float]
Contestant = Callable[[RedisServer, float], Awaitable[Measured]]


def rate(count: int, began: float) -> float:
    """Events per second since a moment."""
    return count / (time.perf_counter() - began)


async def esb(server: RedisServer, scale: float, store: Store = Store.REDIS) -> Measured:
    """esb through its public API."""
    found: Measured = {}
    server.clear()
    async with Backbone.connect(endpoint=server.endpoint.display, store=store) as backbone:
        orders = Orders.producer(backbone)
        count = int(2_000 * scale)
        began = time.perf_counter()
        for _ in range(count):
            await orders.placed(USER, PRODUCT, NOW)
        found["produce, one after another"] = rate(count, began)

        each = int(200 * scale)

        async def task() -> None:
            for _ in range(each):
                await orders.placed(USER, PRODUCT, NOW)

        began = time.perf_counter()
        await asyncio.gather(*(task() for _ in range(100)))
        found["produce, 100 tasks"] = rate(100 * each, began)

        count = int(40_000 * scale)
        began = time.perf_counter()
        for _ in range(count // 1000):
            await backbone.batch(orders.placed(USER, PRODUCT, NOW) for _ in range(1000))
        found["produce, batches of 1000"] = rate(count, began)

        server.clear()
        for _ in range(count // 1000):
            await backbone.batch(orders.placed(USER, PRODUCT, NOW) for _ in range(1000))
        consumer = Counting(count // 1000 * 1000)
        subscription = backbone.subscribe(consumer, group="bench", ordering=Ordering.NONE)
        began = time.perf_counter()
        running = asyncio.create_task(subscription.run())
        await consumer.done.wait()
        found["consume, handler per event"] = rate(count, began)
        await subscription.stop()
        await running
    return found


async def esb_inline(server: RedisServer, scale: float) -> Measured:
    """esb with payloads inside the entries."""
    return await esb(server, scale, Store.INLINE)


class Plain:
    """What one writes by hand: HSET and XADD in a pipeline; XREADGROUP, HGETALLs in a pipeline, XACK."""

    def __init__(self, server: RedisServer) -> None:
        self.redis = redis.asyncio.Redis(host=server.endpoint.host or "", port=server.endpoint.port)
        self.encode = msgspec.msgpack.Encoder().encode

    def put(self, pipe: redis.asyncio.client.Pipeline) -> None:
        """One event's two commands."""
        key = f"e:{uuid4().hex}"
        values = {"user": self.encode(USER), "product": self.encode(PRODUCT), "time": self.encode(NOW)}
        pipe.hset(key, mapping=values)
        pipe.xadd("bench", {"id": key, "n": "placed"})

    async def produce(self, count: int) -> None:
        """Some events in one pipeline."""
        pipe = self.redis.pipeline(transaction=False)
        for _ in range(count):
            self.put(pipe)
        await pipe.execute()


async def by_hand(server: RedisServer, scale: float) -> Measured:
    """Straightforward redis-py: no dedup, no retry, no recovery."""
    found: Measured = {}
    server.clear()
    plain = Plain(server)
    count = int(2_000 * scale)
    began = time.perf_counter()
    for _ in range(count):
        await plain.produce(1)
    found["produce, one after another"] = rate(count, began)
    each = int(50 * scale)

    async def task() -> None:
        for _ in range(each):
            await plain.produce(1)

    began = time.perf_counter()
    await asyncio.gather(*(task() for _ in range(100)))
    found["produce, 100 tasks"] = rate(100 * each, began)
    count = int(20_000 * scale)
    began = time.perf_counter()
    for _ in range(count // 1000):
        await plain.produce(1000)
    found["produce, batches of 1000"] = rate(count, began)
    total = await plain.redis.xlen("bench")
    await plain.redis.xgroup_create("bench", "g", "0")
    began = time.perf_counter()
    found["consume, handler per event"] = await consume_by_hand(plain, total, began)
    await plain.redis.aclose()
    return found


async def consume_by_hand(plain: Plain, total: int, began: float) -> float:
    """Events per second of the hand-written loop, batches of 100."""
    user, product, at = (msgspec.msgpack.Decoder(kind).decode for kind in (User, Product, datetime))
    seen = 0
    while seen < total:
        reply = await plain.redis.xreadgroup("g", "c", {"bench": ">"}, count=100)
        entries = reply[0][1] if isinstance(reply, list) else next(iter(reply.values()))
        pipe = plain.redis.pipeline(transaction=False)
        for _, fields in entries:
            pipe.hgetall(fields[b"id"])
        for payload in await pipe.execute():
            _ = user(payload[b"user"]), product(payload[b"product"]), at(payload[b"time"])
            seen += 1
        await plain.redis.xack("bench", "g", *[id_ for id_, _ in entries])
    return rate(total, began)


async def latency(server: RedisServer, scale: float) -> Measured:
    """Milliseconds from the produce call to the handler, at 500 events per second."""
    server.clear()
    taken: list[float] = []

    class Timing(Orders[Consume]):
        """Notes how long each event took."""

        async def placed(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None:
            taken.append((datetime.now(UTC) - time) / timedelta(milliseconds=1))

    async with Backbone.connect(endpoint=server.endpoint.display) as backbone:
        orders = Orders.producer(backbone)
        subscription = backbone.subscribe(Timing(), group="bench", ordering=Ordering.NONE)
        running = asyncio.create_task(subscription.run())
        for _ in range(int(1_000 * scale)):
            await orders.placed(USER, PRODUCT, datetime.now(UTC))
            await asyncio.sleep(1 / 500)
        await subscription.stop()
        await running
    ordered = sorted(taken)
    return {f"p{at}": ordered[min(int(len(ordered) * at / 100), len(ordered) - 1)] for at in (50, 99)}


CONTESTANTS: dict[str, Contestant] = {"esb": esb, "esb, inline": esb_inline, "redis-py by hand": by_hand}


async def measure(server: RedisServer, rounds: int, scale: float) -> dict[str, dict[str, list[float]]]:
    """Every contestant in every round, alternating."""
    found: dict[str, dict[str, list[float]]] = {name: {} for name in CONTESTANTS}
    for turn in range(rounds):
        names = list(CONTESTANTS)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            for what, value in (await CONTESTANTS[name](server, scale)).items():
                found[name].setdefault(what, []).append(value)
    return found


def show(found: dict[str, dict[str, list[float]]], delays: Measured) -> None:
    """A table of medians."""
    table = Table(title="events per second (median)")
    table.add_column("what")
    for name in found:
        table.add_column(name, justify="right")
    for what in next(iter(found.values())):
        table.add_row(what, *(f"{statistics.median(found[name][what]):,.0f}" for name in found))
    console = Console()
    console.print(table)
    console.print("latency at 500/s: " + ", ".join(f"{name} {value:.2f} ms" for name, value in delays.items()))


def main() -> None:
    """Measure and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="how much work per measurement")
    parser.add_argument("--json", type=Path, help="also write every figure there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, RedisServer.start(folder, ends_with_process=True) as server:
        print(f"{server.description}, Python {sys.version.split()[0]}", file=sys.stderr)
        found = asyncio.run(measure(server, options.rounds, options.scale))
        delays = asyncio.run(latency(server, options.scale))
    show(found, delays)
    if options.json:
        options.json.write_text(json.dumps({"rates": found, "latency": delays}, indent=2), "utf-8")


if __name__ == "__main__":
    main()
