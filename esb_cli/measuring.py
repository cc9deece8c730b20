"""What `esb bench` does: the same few things again and again against a scratch stream, timed from this machine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Side, Subscription, event
from esb_runtime.operations import Operations

ONE_BY_ONE = 2000
"""Events at most whose delays are taken one after the other."""
BATCH = 256


class Sample(EventContract[Side], uri="esb-bench"):
    """What is sent."""

    @event
    async def sample(self, n: int, data: bytes) -> None: ...


class Arrivals(Sample[Consume]):
    """Counts what comes, all consumers together."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: list[tuple[int, asyncio.Event]] = []

    async def sample(self, ctx: ConsumerContext, n: int, data: bytes) -> None:
        """One more."""
        del ctx, n, data
        self.count += 1
        for wanted, arrived in self._waiting:
            if self.count >= wanted:
                arrived.set()

    async def reach(self, count: int) -> None:
        """Wait until so many have come."""
        waiting = (count, asyncio.Event())
        self._waiting = [waiting]
        if self.count < count:
            await waiting[1].wait()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """So many of something in so many seconds; `delays` of single ones, where they were taken, in seconds.

    `client` and `server` are the shares of that time that this process and the server computed (None: not told).
    """

    name: str
    count: int
    seconds: float
    client: float
    server: float | None
    delays: Sequence[float] = ()

    @property
    def rate(self) -> float:
        """So many a second."""
        return self.count / self.seconds

    def percentile(self, share: float) -> float | None:
        """The delay that this share of them stays below, in seconds."""
        ordered = sorted(self.delays)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None

    @property
    def bound(self) -> str:
        """Where most of the time went."""
        server = self.server or 0.0
        shares = {"this process": self.client, "the server": server, "the round trip": 1 - self.client - server}
        return max(shares, key=shares.__getitem__)


@dataclass(slots=True, kw_only=True)
class Bench:
    """A run against one server."""

    operations: Operations
    endpoint: str
    password: str | None
    stream: str
    events: int
    size: int
    consumers: int
    heard: Callable[[str, int, int], None]
    """Is told what is measured, how much of it is done, and how much there is."""
    _sent: int = field(default=0)

    async def run(self) -> AsyncGenerator[Measure]:
        """Every measure in turn. The stream is gone afterwards, whatever ends this."""
        single = min(self.events, ONE_BY_ONE)
        try:
            async with AsyncExitStack() as stack:
                backbone = await stack.enter_async_context(self._backbone())
                producer = Sample.producer(backbone, uri=self.stream)
                data = b"x" * self.size

                async def send() -> None:
                    self._sent += 1
                    await producer.sample(self._sent, data)

                async def ask() -> None:
                    await self.operations.now()

                yield await self._one_by_one("round trip", ask, single)
                yield await self._one_by_one("produce, single", send, single)
                yield await self._batched(backbone, [producer.sample(n, data) for n in range(self.events)])
                arrivals = Arrivals()
                yield await self._timed("consume", self._sent, self._consumed(stack, arrivals))

                async def through() -> None:
                    await send()
                    await arrivals.reach(self._sent)

                yield await self._one_by_one("end to end", through, single)
        finally:
            await self.operations.discard(self.stream)

    async def _one_by_one(self, name: str, step: Callable[[], Awaitable[None]], count: int) -> Measure:
        delays: list[float] = []

        async def all_of_them() -> None:
            for n in range(count):
                began = time.perf_counter()
                await step()
                delays.append(time.perf_counter() - began)
                self.heard(name, n + 1, count)

        return await self._timed(name, count, all_of_them(), delays)

    async def _batched(self, backbone: Backbone, calls: Sequence[Any]) -> Measure:
        name, total = "produce, batched", len(calls)

        async def all_of_them() -> None:
            for at in range(0, total, BATCH):
                await backbone.batch(calls[at : at + BATCH])
                self.heard(name, min(at + BATCH, total), total)

        measure = await self._timed(name, total, all_of_them())
        self._sent += total
        return measure

    async def _consumed(self, stack: AsyncExitStack, arrivals: Arrivals) -> None:
        """Start the consumers, which go on until the stack is closed, and wait until everything sent has come."""
        for _ in range(self.consumers):
            backbone = await stack.enter_async_context(self._backbone())
            subscription = backbone.subscribe(arrivals, group="esb-bench", uri=self.stream)
            await stack.enter_async_context(_running(subscription))
        step = max(self._sent // 20, 1)
        for count in [*range(step, self._sent, step), self._sent]:
            await arrivals.reach(count)
            self.heard("consume", count, self._sent)

    async def _timed(
        self, name: str, count: int, work: Coroutine[Any, Any, None], delays: Sequence[float] = ()
    ) -> Measure:
        server, client, began = await self._computed(), time.process_time(), time.perf_counter()
        await work
        seconds, client = time.perf_counter() - began, time.process_time() - client
        after = await self._computed()
        return Measure(
            name=name,
            count=count,
            seconds=seconds,
            client=client / seconds,
            server=None if server is None or after is None else (after - server) / seconds,
            delays=delays,
        )

    async def _computed(self) -> float | None:
        """Seconds that the server has computed since it started."""
        used = (await self.operations.server()).processor
        return used.total_seconds() if used is not None else None

    def _backbone(self) -> Backbone:
        return Backbone.connect(endpoint=self.endpoint, password=self.password)


@asynccontextmanager
async def _running(subscription: Subscription) -> AsyncGenerator[None]:
    """Consume meanwhile; afterwards the group is left in order."""
    running = asyncio.create_task(subscription.run())
    try:
        yield
    finally:
        await subscription.stop()
        await running
