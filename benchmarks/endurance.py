"""Many events through one process, by tenths: does the speed stay, the memory? `endurance.py [EVENTS]` (a million).

Prints, per tenth of the events, events per second and the process's memory while producing in batches, consuming and
reading. It judges nothing: other work on the machine moves both.
"""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import datetime

from contestants.esb import Orders, Product, User, parts
from stopwatch import peak_memory
from surroundings import server
from workload import BATCH, NOW

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering

SLICES = 10


class Progress:
    """Notes each tenth of the work."""

    def __init__(self, what: str, count: int) -> None:
        self._what, self._slice = what, count // SLICES
        self._seen = 0
        self._since = time.perf_counter()

    def note(self, some: int = 1) -> None:
        """So many events more."""
        self._seen += some
        if self._seen % self._slice == 0:
            now = time.perf_counter()
            rate, megabytes = self._slice / (now - self._since), peak_memory() / 2**20
            print(f"{self._what:8} {self._seen:>9,} {rate:>9,.0f} events/s {megabytes:7.1f} MiB", flush=True)
            self._since = now


class Counts(Orders[Consume]):
    """Counts what it handles."""

    def __init__(self, count: int) -> None:
        self._left, self._progress = count, Progress("consume", count)
        self.done = asyncio.Event()

    async def placed(self, ctx: ConsumerContext, user: User, product: Product, at: datetime) -> None:
        self._progress.note()
        self._left -= 1
        if self._left == 0:
            self.done.set()


async def endure(port: int, count: int) -> None:
    """Produce, consume and read so many events."""
    async with Backbone.connect(endpoint=f"127.0.0.1:{port}") as backbone:
        orders, producing = Orders.producer(backbone), Progress("produce", count)
        for start in range(0, count, BATCH):
            await backbone.batch([orders.placed(*parts(n), NOW) for n in range(start, start + BATCH)])
            producing.note(BATCH)
        consumer = Counts(count)
        subscription = backbone.subscribe(consumer, group="endurance", ordering=Ordering.NONE)
        running = asyncio.create_task(subscription.run())
        await consumer.done.wait()
        await subscription.stop()
        await running
        reading = Progress("read", count)
        async for _ in backbone.read(Orders):
            reading.note()


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with server() as (port, _):
        asyncio.run(endure(port, max(wanted // (SLICES * BATCH), 1) * SLICES * BATCH))
