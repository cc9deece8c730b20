"""Projections that stay live: who folds, in which order, and what happens to what fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from esb_runtime import (
    Backbone,
    Consume,
    ConsumerContext,
    EventContract,
    Following,
    Position,
    Projection,
    Retry,
    Side,
    UsageError,
    event,
)
from esb_runtime.testing import ManualClock, MemoryBackbone, MemoryServer, memory_backbone


class Shop(EventContract[Side], uri="shop"):
    """What the views are folded from."""

    @event(key="product")
    async def sold(self, product: str, count: int) -> None: ...


class Sales(Projection, Shop[Consume]):
    """Lists what was sold; fails for a product as often as it was told to."""

    def __init__(self, failures: dict[str, int] | None = None) -> None:
        self.seen: list[str] = []
        self.failures = dict(failures or {})

    async def sold(self, ctx: ConsumerContext, product: str, count: int) -> None:
        if self.failures.get(product, 0) > 0:
            self.failures[product] -= 1
            raise ValueError("not now")
        self.seen.append(product)


class Database:
    """Rows and a checkpoint, shared by the processes of a test; `broken` makes it fail."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.position: str | None = None
        self.broken = False
        self.lock = asyncio.Lock()


class Stored(Sales):
    """A view over a database: rows and position change together or not at all."""

    def __init__(self, database: Database, failures: dict[str, int] | None = None) -> None:
        super().__init__(failures)
        self.database = database

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        async with self.database.lock:
            before = list(self.database.rows), self.database.position
            if self.database.broken:
                raise OSError("no connection")
            try:
                yield
            except BaseException:
                self.database.rows, self.database.position = before
                raise

    async def checkpoint(self) -> Position | None:
        return Position.parse(self.database.position) if self.database.position else None

    async def save(self, position: Position) -> None:
        self.database.position = str(position)

    async def sold(self, ctx: ConsumerContext, product: str, count: int) -> None:
        self.database.rows.append(product)
        await super().sold(ctx, product, count)


AT_ONCE = Retry(attempts=3, first_delay=timedelta(0))
FEW = 5.0
"""Seconds within which what must happen has happened."""


async def sell(backbone: Backbone, *products: str) -> None:
    """Produce one sale for each product."""
    for product in products:
        await Shop.producer(backbone).sold(product, 1)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true; fails the test when it does not come true."""
    async with asyncio.timeout(FEW):
        while not condition():  # noqa: ASYNC110 - conditions of several kinds, none of which signals
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(following: Following) -> AsyncGenerator[Following, None]:
    """Runs a projection, and stops it in the end."""
    task = asyncio.create_task(following.run())
    try:
        yield following
    finally:
        await following.stop()
        async with asyncio.timeout(FEW):
            await task


async def test_history_first_then_live() -> None:
    """A live view has everything that happened before and everything that comes, once and in order."""
    async with memory_backbone() as backbone:
        await sell(backbone, "pen", "pad")
        view = Sales()
        async with running(backbone.follow(view, group="sales")):
            await until(lambda: len(view.seen) == 2)
            await sell(backbone, "ink")
            await until(lambda: len(view.seen) == 3)
    assert view.seen == ["pen", "pad", "ink"]


async def test_reached() -> None:
    """`reached` waits until the view holds an event: one can read what one has written."""
    async with memory_backbone() as backbone:
        view = Sales()
        async with running(backbone.follow(view, group="sales")) as following:
            for n in range(20):
                key = await Shop.producer(backbone).sold(f"pen-{n}", 1)
                async with asyncio.timeout(FEW):
                    await following.reached(key)
                assert view.seen[-1] == f"pen-{n}"


async def test_every_process_has_its_own_view_in_memory() -> None:
    """A view in memory is folded by every process, and leaves no group on the server."""
    server = MemoryServer()
    async with memory_backbone(server) as one, memory_backbone(server) as two:
        first, second = Sales(), Sales()
        one.follow(first, group="sales")
        two.follow(second, group="sales")
        await sell(one, "pen", "pad")
        await one.settled()
        await two.settled()
        assert first.seen == second.seen == ["pen", "pad"]
        assert server.groups("shop") == []


async def test_one_process_keeps_a_stored_view() -> None:
    """A stored view is folded by one process at a time; when it ends, the other one goes on."""
    server, database = MemoryServer(), Database()
    async with memory_backbone(server) as one, memory_backbone(server) as two:
        first, second = Stored(database), Stored(database)
        at_work = one.follow(first, group="sales")
        async with running(at_work):
            await sell(one, "pen")
            await until(lambda: database.rows == ["pen"])
            async with running(two.follow(second, group="sales")):
                await sell(one, "pad")
                await until(lambda: database.rows == ["pen", "pad"])
                assert second.seen == []
                await stopped(one)
                await until(lambda: not at_work.running)
                await sell(one, "ink")
                await until(lambda: database.rows == ["pen", "pad", "ink"])
                assert (first.seen, second.seen) == (["pen", "pad"], ["ink"])
    assert server.pending("shop", "sales") == []
    assert server.consumers("shop", "sales") == []


async def stopped(backbone: MemoryBackbone) -> None:
    """Stop everything that a backbone runs."""
    await backbone.stop()


async def test_a_dead_process_is_replaced() -> None:
    """When the process at work dies, another one takes over after the lease and folds each event once."""
    clock, database = ManualClock(), Database()
    server = MemoryServer(clock=clock)
    async with memory_backbone(server) as one, memory_backbone(server) as two:
        dead = one.follow(Stored(database), group="sales", lease=timedelta(minutes=1))
        task = asyncio.create_task(dead.run())
        await sell(one, "pen", "pad")
        await until(lambda: database.rows == ["pen", "pad"])
        await killed(task, server)
        heir = two.follow(Stored(database), group="sales", lease=timedelta(minutes=1))
        async with running(heir):
            await sell(two, "ink")
            clock.advance(timedelta(minutes=2))
            await until(lambda: database.rows == ["pen", "pad", "ink"])


async def killed(task: asyncio.Task[None], server: MemoryServer) -> None:
    """End a process as `kill -9` does: it cannot say goodbye to the server."""
    with server.outage():
        task.cancel()
        await asyncio.wait((task,))


async def test_a_new_view_for_an_old_group() -> None:
    """A stored view that was emptied is folded again from the beginning, though its group is far ahead."""
    server, database = MemoryServer(), Database()
    async with memory_backbone(server) as backbone:
        async with running(backbone.follow(Stored(database), group="sales")):
            await sell(backbone, "pen", "pad")
            await until(lambda: len(database.rows) == 2)
        await until(lambda: server.unsettled() == [])
    database.rows, database.position = [], None
    async with memory_backbone(server) as backbone, running(backbone.follow(Stored(database), group="sales")):
        await sell(backbone, "ink")
        await until(lambda: database.rows == ["pen", "pad", "ink"])


async def test_a_new_group_for_an_old_view() -> None:
    """A group that is new, or was lost, does not make a stored view fold anything twice."""
    server, database = MemoryServer(), Database()
    async with memory_backbone(server) as backbone:
        await sell(backbone, "pen", "pad")
        await backbone.project(Stored(database))
        async with running(backbone.follow(Stored(database), group="sales")):
            await sell(backbone, "ink")
            await until(lambda: len(database.rows) == 3)
            server.destroy_group("shop", "sales")
            await sell(backbone, "cup")
            await until(lambda: len(database.rows) == 4)
            await until(lambda: server.unsettled() == [])
    assert database.rows == ["pen", "pad", "ink", "cup"]


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "stored"])
async def test_a_failing_event_holds_up_the_view(*, stored: bool) -> None:
    """What fails is tried again before anything after it is folded: the order is kept."""
    async with memory_backbone() as backbone:
        view = Stored(Database(), {"pad": 2}) if stored else Sales({"pad": 2})
        backbone.follow(view, group="sales", retry=AT_ONCE)
        await sell(backbone, "pen", "pad", "ink")
        await backbone.settled()
        assert view.seen == ["pen", "pad", "ink"]
        assert view.failures == {"pad": 0}


async def test_an_event_that_never_works(caplog: pytest.LogCaptureFixture) -> None:
    """What fails too often is left out: logged without argument values, and in the group's dead letters."""
    server, database = MemoryServer(), Database()
    async with memory_backbone(server) as backbone:
        backbone.follow(Stored(database, {"secret-pad": 100}), group="sales", retry=AT_ONCE)
        await sell(backbone, "pen", "secret-pad", "ink")
        with caplog.at_level(logging.ERROR, "esb_runtime"):
            await backbone.settled()
        (buried,) = backbone.dead_letters(Shop.sold, group="sales")
    assert database.rows == ["pen", "ink"]
    assert (buried.letter.attempts, buried.letter.reason) == (3, "ValueError: not now")
    assert "left out" in caplog.text
    assert "secret-pad" not in caplog.text


async def test_what_cannot_be_read_is_left_out() -> None:
    """An entry that esb did not write does not stop a live view."""
    server = MemoryServer()
    async with memory_backbone(server) as backbone:
        view = Sales()
        backbone.follow(view, group="sales")
        await sell(backbone, "pen")
        server.put_entry("shop", {b"not": b"ours"})
        await sell(backbone, "ink")
        await backbone.settled()
        assert view.seen == ["pen", "ink"]


async def test_an_outage_is_waited_out() -> None:
    """A live view survives that the server cannot be reached."""
    server = MemoryServer()
    async with memory_backbone(server) as backbone:
        view = Stored(Database())
        async with running(backbone.follow(view, group="sales")):
            await sell(backbone, "pen")
            await until(lambda: len(view.seen) == 1)
            with server.outage():
                await asyncio.sleep(0)
            await sell(backbone, "ink")
            await until(lambda: view.seen == ["pen", "ink"])


async def test_the_views_own_outage_is_waited_out() -> None:
    """When the view's database fails, no event is blamed: the view goes on when it is back."""
    server, database = MemoryServer(), Database()
    async with memory_backbone(server) as backbone:
        following = backbone.follow(Stored(database), group="sales", retry=AT_ONCE)
        async with running(following):
            await sell(backbone, "pen")
            await until(lambda: database.rows == ["pen"])
            database.broken = True
            await sell(backbone, "ink")
            await until(lambda: server.pending("shop", "sales") != [])
            database.broken = False
            await until(lambda: database.rows == ["pen", "ink"])
    assert server.dead_letters("shop", "sales") == []


async def test_two_views_of_one_group_are_refused() -> None:
    """A group belongs to one view; a second one is named as the mistake it is."""
    async with memory_backbone() as backbone:
        backbone.follow(Sales(), group="sales")
        with pytest.raises(UsageError, match="sales"):
            backbone.follow(Sales(), group="sales")


async def test_backbone_run_keeps_views_too() -> None:
    """`Backbone.run` runs projections beside subscriptions, until they are stopped."""
    async with memory_backbone() as backbone:
        view = Sales()
        backbone.follow(view, group="sales")
        task = asyncio.create_task(backbone.run())
        await sell(backbone, "pen")
        await until(lambda: view.seen == ["pen"])
        await backbone.stop()
        async with asyncio.timeout(FEW):
            await task


@pytest.mark.usefixtures("redis_endpoint")
async def test_against_redis() -> None:
    """A stored view over a real server: history, live events, take-over, each event once."""
    database = Database()
    async with Backbone.connect() as one, Backbone.connect() as two:
        shop = Shop.producer(one)
        for n in range(300):
            await shop.sold(f"early-{n}", 1)
        async with running(one.follow(Stored(database), group="sales")):
            await until(lambda: len(database.rows) == 300)
            async with running(two.follow(Stored(database), group="sales")) as heir:
                await shop.sold("live", 1)
                await until(lambda: len(database.rows) == 301)
                await one.stop()
                key = await shop.sold("later", 1)
                async with asyncio.timeout(FEW):
                    await heir.reached(key)
    assert database.rows == [*[f"early-{n}" for n in range(300)], "live", "later"]
