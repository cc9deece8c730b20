"""`idempotent=True`: once the record-and-ack step has run, a message id is not handled again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio
from msgspec import structs

from esb_runtime import Backbone, Consume, ConsumerContext, Delivery, Ordering, Retry, Store, batch
from esb_runtime._endpoint import Endpoint
from esb_runtime._ports import SeatOptions, Settlements
from esb_runtime.redis import _keys
from esb_runtime.testing import ManualClock, MemoryBackbone, MemoryServer, memory_backbone

from .kit import Shop
from .test_outbox import until

AT_ONCE = Retry(attempts=3, first_delay=timedelta(0))
HOUR = timedelta(hours=1)


class Bench:
    """A backbone, and what duplicates events and begins epochs behind its back."""

    def __init__(
        self,
        backbone: Backbone,
        duplicate: Callable[[int], Coroutine[Any, Any, None]],
        begin_epoch: Callable[[str], Coroutine[Any, Any, None]],
        lose_group: Callable[[str], Coroutine[Any, Any, None]],
        pending: Callable[[str], Coroutine[Any, Any, int]],
    ) -> None:
        self.backbone = backbone
        self.duplicate = duplicate
        self.begin_epoch = begin_epoch
        self.lose_group = lose_group
        self.pending = pending

    async def settled(self, group: str) -> None:
        """Wait until the group has nothing pending."""
        async with asyncio.timeout(20):
            while await self.pending(group):  # noqa: ASYNC110 - a server tells nobody
                await asyncio.sleep(0.005)


@pytest_asyncio.fixture(params=["hash", "inline", "memory"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """The same on every kind of channel."""
    if request.param == "memory":
        async with memory_backbone() as backbone:
            yield _in_memory(backbone)
        return
    endpoint: Endpoint = request.getfixturevalue("redis_endpoint")
    store = Store.INLINE if request.param == "inline" else Store.REDIS
    raw: Any = redis.asyncio.Redis(host=endpoint.host, port=endpoint.port, password=endpoint.password)
    async with raw, Backbone.connect(store=store) as backbone:
        yield _in_redis(backbone, raw)


def _in_memory(backbone: MemoryBackbone) -> Bench:
    server = backbone.server

    async def duplicate(times: int) -> None:
        for stored in server.events("shop"):
            bare = stored if stored.store else structs.replace(stored, arguments=None)
            for _ in range(times):
                server._state.put("shop", bare)

    async def begin_epoch(group: str) -> None:
        server.begin_epoch("shop", group)

    async def lose_group(group: str) -> None:
        server._state.of_group("shop", group).floor = None
        server.destroy_group("shop", group)

    async def pending(group: str) -> int:
        return len(server.pending("shop", group))

    return Bench(backbone, duplicate, begin_epoch, lose_group, pending)


def _in_redis(backbone: Backbone, raw: Any) -> Bench:
    async def duplicate(times: int) -> None:
        for _, fields in await raw.xrange("shop"):
            for _ in range(times):
                await raw.xadd("shop", fields)

    async def begin_epoch(group: str) -> None:
        await raw.incr(_keys.epoch_key("shop", group))

    async def lose_group(group: str) -> None:
        await raw.delete(_keys.floor_key("shop", group))
        await raw.xgroup_destroy("shop", group)

    async def pending(group: str) -> int:
        return int((await raw.xpending("shop", group))["pending"])

    return Bench(backbone, duplicate, begin_epoch, lose_group, pending)


class Counting(Shop[Consume]):
    """Counts the starts of its handler; `say` is what else it does."""

    def __init__(self, say: Callable[[int], Coroutine[Any, Any, None]] | None = None) -> None:
        self.starts: Counter[int] = Counter()
        self._say = say

    async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
        self.starts[n] += 1
        await asyncio.sleep(0)
        if self._say is not None:
            await self._say(n)


async def handled_all(bench: Bench, **options: Any) -> Counter[int]:
    """Run a counting consumer until the mark, an event that comes last, is handled and all before it are settled."""
    consumer = Counting()
    bench.backbone.subscribe(consumer, group="g", idempotent=True, **options)
    running = asyncio.create_task(bench.backbone.run())
    await Shop.producer(bench.backbone).ordered(-1)
    await until(lambda: consumer.starts[-1])
    await bench.backbone.stop()
    await running
    del consumer.starts[-1]
    return consumer.starts


@pytest.mark.parametrize("concurrency", [1, 16])
@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
async def test_duplicates_in_the_stream(bench: Bench, concurrency: int, ordering: Ordering) -> None:
    """Copies of an event, close together or far apart, are acknowledged without a start, whatever the concurrency."""
    await bench.backbone.batch(Shop.ordered(n) for n in range(30))
    await bench.duplicate(3)
    starts = await handled_all(bench, concurrency=concurrency, ordering=ordering)
    assert starts == Counter(range(30))
    await bench.settled("g")


async def test_a_group_that_was_made_again(bench: Bench) -> None:
    """A group that lost everything but its record reads all again, and handles none of it."""
    consumer = Counting()
    bench.backbone.subscribe(consumer, group="g", idempotent=True)
    producer = Shop.producer(bench.backbone)
    running = asyncio.create_task(bench.backbone.run())
    for n in range(5):
        await producer.ordered(n)
    await until(lambda: len(consumer.starts) == 5)
    await bench.settled("g")
    await bench.lose_group("g")
    await producer.ordered(5)
    await until(lambda: consumer.starts[5])
    await bench.backbone.stop()
    await running
    assert consumer.starts == Counter(range(6))


async def test_a_new_epoch_handles_again(bench: Bench) -> None:
    """A reset or a replay to the group begins an epoch: what was handled in an earlier one is handled again, once."""
    consumer = Counting()
    bench.backbone.subscribe(consumer, group="g", idempotent=True)
    producer = Shop.producer(bench.backbone)
    running = asyncio.create_task(bench.backbone.run())
    await producer.ordered(1)
    await until(lambda: consumer.starts[1])
    await bench.settled("g")
    await bench.begin_epoch("g")
    await bench.duplicate(3)
    await producer.ordered(2)
    await until(lambda: consumer.starts[2])
    await bench.backbone.stop()
    await running
    assert consumer.starts == Counter({1: 2, 2: 1})


async def test_a_late_claimer(bench: Bench) -> None:
    """An event that waits here while another process handles it (it had claimed it) is not started any more."""
    go_on = asyncio.Event()

    async def wait(n: int) -> None:
        if n == 0:
            await go_on.wait()

    consumer = Counting(wait)
    bench.backbone.subscribe(consumer, group="g", idempotent=True)
    producer = Shop.producer(bench.backbone)
    keys = [await producer.ordered(n) for n in range(3)]
    running = asyncio.create_task(bench.backbone.run())
    await until(lambda: consumer.starts[0])
    options = SeatOptions(stream="shop", group="g", consumer="x", lease=HOUR, owned=False, remember=HOUR)
    other = bench.backbone._channel.seat(options)
    await other.open()
    assert await other.acquire()
    await other.starting({keys[1].id: 2})  # it claims the event, as from a process that seemed dead
    (stored,) = await other.load([keys[1].id])
    await other.settle(Settlements(handled=[(keys[1].id, stored.message_id)], failed=[], dead=[]))
    go_on.set()
    await until(lambda: consumer.starts[2])
    await bench.backbone.stop()
    await running
    assert consumer.starts == Counter({0: 1, 2: 1})


async def test_a_failure_is_tried_again(bench: Bench) -> None:
    """A failed start is no record: the event or one of its copies is handled, once, in the end."""
    ended: Counter[int] = Counter()

    async def fail(n: int) -> None:
        if consumer.starts[n] < 3 and n >= 0:
            raise ConnectionError
        ended[n] += 1

    consumer = Counting(fail)
    await bench.backbone.batch(Shop.ordered(n) for n in range(5))
    await bench.duplicate(1)
    bench.backbone.subscribe(consumer, group="g", idempotent=True, concurrency=4, retry=AT_ONCE)
    running = asyncio.create_task(bench.backbone.run())
    await until(lambda: len(ended) == 5)
    await Shop.producer(bench.backbone).ordered(-1)
    await until(lambda: ended[-1])
    await bench.backbone.stop()
    await running
    assert ended == Counter([-1, 0, 1, 2, 3, 4])


async def test_batches_hold_no_copies(bench: Bench) -> None:
    """A batch handler gets each message id once, also when its copies would fill the batch."""
    seen: Counter[int] = Counter()

    class Bulk(Shop[Consume]):
        @batch(size=4, wait=timedelta(milliseconds=10))
        async def ordered(self, deliveries: Sequence[Delivery[...]]) -> None:
            seen.update(each.arguments["n"] for each in deliveries)

    await bench.backbone.batch(Shop.ordered(n) for n in range(6))
    await bench.duplicate(3)
    bench.backbone.subscribe(Bulk(), group="g", idempotent=True, concurrency=2)
    running = asyncio.create_task(bench.backbone.run())
    await Shop.producer(bench.backbone).ordered(-1)
    await until(lambda: seen[-1])
    await bench.backbone.stop()
    await running
    assert seen == Counter([-1, *range(6)])


async def test_it_remembers_for_as_long_as_told() -> None:
    """After `remember` a copy is handled again."""
    clock = ManualClock()
    async with memory_backbone(MemoryServer(clock=clock)) as backbone:
        bench, consumer = _in_memory(backbone), Counting()
        lease = timedelta(days=7)  # the clock's jumps are not to end it
        backbone.subscribe(consumer, group="g", idempotent=True, remember=HOUR, ordering=Ordering.NONE, lease=lease)
        await Shop.producer(backbone).ordered(1)
        await backbone.settled()
        clock.advance(HOUR * 0.9)
        await bench.duplicate(1)
        await backbone.settled()
        assert consumer.starts[1] == 1
        clock.advance(HOUR * 1.1)
        await bench.duplicate(1)
        await backbone.settled()
        assert consumer.starts[1] == 2
