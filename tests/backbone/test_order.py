"""Who waits for whom: both orderings, concurrency, retries."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering, Retry
from esb_runtime._endpoint import Endpoint
from esb_runtime.delivery import _engine
from esb_runtime.redis import _keys

from .conftest import Connect
from .kit import AT_ONCE, Jobs, Orders, calls, eventually, running, settled, until


class Workers(Jobs[Consume]):
    """Notes what it handles and how many at a time; `gate` holds it up."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.now = self.most = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.append(n)
        self.now += 1
        self.most = max(self.most, self.now)
        await self.gate.wait()
        self.now -= 1


@pytest.mark.parametrize("ordering", [Ordering.NONE, Ordering.KEY])
async def test_one_at_a_time_by_default(backbone: Backbone, ordering: Ordering) -> None:
    """Without options a process handles events in stream order, one at a time."""
    workers = Workers()
    backbone.subscribe(workers, group="g", ordering=ordering)
    await backbone.batch(Jobs.job(n) for n in range(300))
    async with running(backbone):
        await until(lambda: len(workers.seen) == 300)
    assert workers.seen == list(range(300))
    assert workers.most == 1


async def test_concurrency_is_a_bound(backbone: Backbone) -> None:
    """Up to `concurrency` handlers run at a time, and as many do when there is work."""
    workers = Workers()
    workers.gate.clear()
    backbone.subscribe(workers, group="g", concurrency=7)
    await backbone.batch(Jobs.job(n) for n in range(50))
    async with running(backbone):
        await until(lambda: workers.now == 7)
        workers.gate.set()
        await until(lambda: len(workers.seen) == 50)
    assert workers.most == 7


class Shop(Orders[Consume]):
    """Notes starts and ends per customer; `fail` names orders that fail so often first."""

    def __init__(self, **fail: int) -> None:
        self.log: list[tuple[str, int, str]] = []
        self.busy: Counter[str] = Counter()
        self.fail = Counter(fail)
        self.gate = asyncio.Event()
        self.gate.set()

    async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
        assert not self.busy[customer], "two orders of one customer at once"
        self.busy[customer] += 1
        self.log.append((customer, n, "start"))
        await asyncio.sleep(0)
        self.busy[customer] -= 1
        if self.fail[customer] and n == 0:
            self.fail[customer] -= 1
            raise ValueError("not yet")
        self.log.append((customer, n, "end"))

    def ended(self, customer: str) -> list[int]:
        return [n for who, n, what in self.log if (who, what) == (customer, "end")]


async def test_keys_in_order(backbone: Backbone) -> None:
    """With a key in the contract, events of one key run one at a time and in order, whatever the concurrency."""
    shop = Shop()
    backbone.subscribe(shop, group="g", concurrency=16)
    await backbone.batch(Orders.placed(f"c{n % 10}", n // 10) for n in range(500))
    async with running(backbone):
        await until(lambda: len(shop.log) == 1000)
    for customer in range(10):
        assert shop.ended(f"c{customer}") == list(range(50))


async def test_a_retried_key_holds_up_nobody_else(backbone: Backbone) -> None:
    """While an event is retried, its followers wait and other keys go on; then the followers run in order."""
    shop = Shop(slow=1)
    retry = Retry(first_delay=timedelta(seconds=0.3), jitter=0)
    backbone.subscribe(shop, group="g", retry=retry)
    orders = Orders.producer(backbone)
    for n in range(3):
        await orders.placed("slow", n)
    for n in range(5):
        await orders.placed("quick", n)
    async with running(backbone):
        await until(lambda: len(shop.ended("quick")) == 5)
        assert shop.ended("slow") == []
        await until(lambda: len(shop.ended("slow")) == 3)
    assert shop.ended("slow") == [0, 1, 2]
    assert [n for who, n, what in shop.log if (who, what) == ("slow", "start")] == [0, 0, 1, 2]


async def test_much_given_back_comes_at_one_look(
    redis_endpoint: Endpoint, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many events are given back to a stream's owner (a large replay of dead letters), one look brings all."""

    class Again(Jobs[Consume]):
        def __init__(self) -> None:
            self.seen: Counter[int] = Counter()

        async def job(self, ctx: ConsumerContext, n: int) -> None:
            self.seen[n] += 1
            if self.seen[n] == 2:
                monkeypatch.setattr(_engine, "OWNERS_TICK", 3600.0)  # there is no second look

    async with Backbone.connect() as backbone:
        again = Again()
        backbone.subscribe(again, group="g", ordering=Ordering.KEY)
        keys = await backbone.batch(Jobs.job(n) for n in range(250))
        async with running(backbone):
            await until(lambda: again.seen.total() == 250, seconds=60)
            await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)
            ids = [key.id for key in keys]
            await raw.xclaim("jobs", "g", _keys.RELEASED, 0, ids, retrycount=0, force=True, justid=True)
            await until(lambda: again.seen.total() == 500, seconds=60)
            await eventually(lambda: settled(raw, "jobs", "g"), seconds=60)


async def test_what_a_former_owner_took_comes_first(redis_endpoint: Endpoint, raw: Any) -> None:
    """A process that lost the stream without knowing reads once more, and dies: nothing newer goes ahead of that.

    What it took has no owner then and was never started. The owner finds out by what it is given next, again and again.
    """
    async with Backbone.connect() as backbone:
        shop = Shop()
        backbone.subscribe(shop, group="g", ordering=Ordering.KEY)
        orders = Orders.producer(backbone)
        async with running(backbone):
            await backbone.batch(orders.placed("ann", n) for n in range(1000))
            taken = 0
            for done in range(100, 800, 100):
                await until(lambda done=done: len(shop.ended("ann")) >= done, seconds=60)  # type: ignore[misc]
                taken += bool(await raw.xreadgroup("g", "a former owner", {"orders": ">"}, count=3))
            assert taken, "the owner had always read everything: nothing was tried"
            await until(lambda: len(set(shop.ended("ann"))) == 1000, seconds=60)
            await eventually(lambda: settled(raw, "orders", "g"), seconds=60)
    assert list(dict.fromkeys(shop.ended("ann"))) == list(range(1000))


async def test_beside_members_without_an_order(redis_endpoint: Endpoint, raw: Any) -> None:
    """While a contract gets its first key, old processes of a group read beside the stream's owner: nobody is upset."""
    async with Backbone.connect() as old, Backbone.connect() as new:
        shops = [Shop(), Shop()]
        old.subscribe(shops[0], group="g", ordering=Ordering.NONE)
        new.subscribe(shops[1], group="g", ordering=Ordering.KEY)
        orders = Orders.producer(new)
        async with running(old, new):
            for first in range(0, 400, 20):
                await new.batch(orders.placed(f"c{n}", n) for n in range(first, first + 20))
                await asyncio.sleep(0)
            await until(lambda: sum(len(shop.log) for shop in shops) == 800, seconds=60)
            await eventually(lambda: settled(raw, "orders", "g"), seconds=60)
    starts = Counter(n for shop in shops for _, n, what in shop.log if what == "start")
    assert starts == Counter(range(400))


async def test_what_another_one_handled_is_not_waited_for_again(redis_endpoint: Endpoint, raw: Any) -> None:
    """An owner that waits is woken by an event that another member handled: it looks once, not again and again."""
    async with Backbone.connect() as backbone:
        shop = Shop()
        backbone.subscribe(shop, group="g", ordering=Ordering.KEY)
        orders = Orders.producer(backbone)
        async with running(backbone):
            await orders.placed("ann", 0)
            await eventually(lambda: settled(raw, "orders", "g"))
            before = await calls(raw, "xreadgroup")
            async with raw.pipeline(transaction=True) as step:  # nobody else sees what is between
                step.xadd("orders", {"f": "1"})
                step.xgroup_setid("orders", "g", "$")
                await step.execute()
            await eventually(lambda: _more_calls(raw, before))
            await orders.placed("ann", 1)
            await until(lambda: shop.ended("ann") == [0, 1])
            assert await calls(raw, "xreadgroup") - before < 10


async def _more_calls(raw: Any, before: int) -> bool:
    return await calls(raw, "xreadgroup") > before


async def test_a_buried_key_goes_on(backbone: Backbone) -> None:
    """When an event goes to the dead letters, the next one of its key runs."""
    shop = Shop(bad=99)
    backbone.subscribe(shop, group="g", retry=AT_ONCE)
    orders = Orders.producer(backbone)
    for n in range(3):
        await orders.placed("bad", n)
    async with running(backbone):
        await until(lambda: shop.ended("bad") == [1, 2])
    assert shop.fail["bad"] == 96


async def test_many_followers_are_parked(backbone: Backbone) -> None:
    """More followers than memory takes are parked by id, and handled in order later; `max_parked` pauses reading."""
    shop = Shop(slow=1)
    retry = Retry(first_delay=timedelta(seconds=0.3), jitter=0)
    backbone.subscribe(shop, group="g", retry=retry, max_parked=200)
    await backbone.batch(Orders.placed("slow", n) for n in range(1500))
    async with running(backbone):
        await until(lambda: len(shop.ended("slow")) == 1500)
    assert shop.ended("slow") == list(range(1500))


async def test_unordered_retries_hold_up_nobody(backbone: Backbone) -> None:
    """With `Ordering.NONE` nobody waits for a retried event, not even its own key."""
    shop = Shop(slow=1)
    retry = Retry(first_delay=timedelta(seconds=0.2), jitter=0)
    backbone.subscribe(shop, group="g", retry=retry, ordering=Ordering.NONE)
    orders = Orders.producer(backbone)
    for n in range(3):
        await orders.placed("slow", n)
    async with running(backbone):
        await until(lambda: len(shop.ended("slow")) == 3)
    assert shop.ended("slow") == [1, 2, 0]


async def test_processes_share_a_group(connect: Connect) -> None:
    """With `Ordering.NONE` the processes of a group share the stream: each event is handled by one of them."""
    backbones, workers = [connect(), connect()], [Workers(), Workers()]
    for backbone, consumer in zip(backbones, workers, strict=True):
        consumer.gate.clear()
        backbone.subscribe(consumer, group="g", concurrency=2)
    async with running(*backbones):
        jobs = Jobs.producer(backbones[0])
        await asyncio.gather(*(jobs.job(n) for n in range(400)))
        await until(lambda: all(one.now for one in workers))
        for one in workers:
            one.gate.set()
        await until(lambda: sum(len(one.seen) for one in workers) == 400)
    assert sorted(workers[0].seen + workers[1].seen) == list(range(400))


async def test_one_owner_at_a_time(connect: Connect) -> None:
    """With `Ordering.KEY` one process owns the stream; when it stops, another one goes on where it ended."""
    first, second = connect(), connect()
    one, other = Shop(), Shop()
    leaving = first.subscribe(one, group="g")
    second.subscribe(other, group="g")
    orders = Orders.producer(first)
    async with running(second):
        async with running(leaving):
            for n in range(10):
                await orders.placed("ann", n)
            await until(lambda: len(one.ended("ann") + other.ended("ann")) == 10)
            assert [] in (one.ended("ann"), other.ended("ann"))
        for n in range(10, 20):
            await orders.placed("ann", n)
        await until(lambda: len(one.ended("ann") + other.ended("ann")) == 20)
    assert (one.ended("ann") + other.ended("ann")) == list(range(20))
