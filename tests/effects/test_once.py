"""`ctx.once(session)`: effects and the record of them in one transaction."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import MetaData, Table, insert
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from esb_runtime import (
    Consume,
    ConsumerContext,
    Delivery,
    EventKey,
    Metadata,
    Projection,
    Retry,
    UsageError,
    batch,
    message_id,
)
from esb_runtime.sqlalchemy import create_tables, inbox_table, purge_inbox
from esb_runtime.sqlalchemy._inbox import INBOX, recorded
from esb_runtime.testing import MemoryBackbone, memory_backbone

from .kit import EFFECTS, Billing, Shop, Writer, count, effects, make_tables

AT_ONCE = Retry(attempts=3, first_delay=timedelta(0))


async def test_effects_and_record_are_one(engine: AsyncEngine) -> None:
    """A handler that fails after `once` leaves neither row nor record; the next try writes both."""

    class Failing(Shop[Consume]):
        starts = 0

        async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
            self.starts += 1
            async with AsyncSession(engine) as session, session.begin():
                assert await ctx.once(session)
                await session.execute(insert(EFFECTS).values(n=n))
                if self.starts == 1:
                    raise ValueError
            assert ctx.metadata.group == "g"

    consumer = Failing()
    async with memory_backbone() as backbone:
        backbone.subscribe(consumer, group="g", retry=AT_ONCE)
        await Shop.producer(backbone).ordered(1)
        await backbone.settled()
        assert backbone.dead_letters(Shop, group="g") == []
    assert (consumer.starts, await effects(engine)) == (2, [1])


async def test_handled_but_not_acknowledged(engine: AsyncEngine) -> None:
    """A handler that committed and then failed is tried again, and writes nothing."""

    class Late(Writer):
        async def afterwards(self, n: int) -> None:
            if self.starts < 3:
                raise ConnectionError

    consumer = Late(engine)
    async with memory_backbone() as backbone:
        backbone.subscribe(consumer, group="g", retry=AT_ONCE)
        await Shop.producer(backbone).ordered(1)
        await backbone.settled()
    assert (consumer.starts, await effects(engine)) == (3, [1])


async def test_groups_and_streams_are_apart(engine: AsyncEngine) -> None:
    """The same message id in another group, or in another stream, is another event."""

    class Both(Shop[Consume], Billing[Consume]):
        async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
            await self._write(ctx, n)

        async def billed(self, ctx: ConsumerContext, n: int, who: str) -> None:
            await self._write(ctx, n)

        async def _write(self, ctx: ConsumerContext, n: int) -> None:
            async with engine.begin() as connection:
                if await ctx.once(connection):
                    await connection.execute(insert(EFFECTS).values(n=n))

    async with memory_backbone() as backbone:
        for group in ("one", "two"):
            backbone.subscribe(Both(), group=group)
        with message_id("order-42"):
            await Shop.producer(backbone).ordered(1)
        with message_id("order-42"):
            await Billing.producer(backbone).billed(2, "ann")
        await backbone.settled()
    assert await effects(engine) == [1, 1, 2, 2]


async def test_at_the_same_moment(engine: AsyncEngine) -> None:
    """Of many transactions that write the same event's effects at once, one does."""
    contexts = await _contexts(1)

    async def write() -> bool:
        async with engine.begin() as connection:
            first = await contexts[0].once(connection)
            if first:
                await connection.execute(insert(EFFECTS).values(n=1))
            return first

    answers = await asyncio.gather(*(write() for _ in range(12)))
    assert sorted(answers) == [False] * 11 + [True]
    assert await effects(engine) == [1]


async def test_who_waits_takes_over(engine: AsyncEngine) -> None:
    """Who waited for a transaction that was rolled back in the end is the first."""
    (ctx,) = await _contexts(1)
    asked = asyncio.Event()
    go_on = asyncio.Event()

    async def give_up() -> None:
        async with engine.connect() as connection:
            assert await ctx.once(connection)
            asked.set()
            await go_on.wait()
            await connection.rollback()

    async def second() -> bool:
        async with engine.begin() as connection:
            return await ctx.once(connection)

    first = asyncio.create_task(give_up())
    await asked.wait()
    waiting = asyncio.create_task(second())
    await asyncio.sleep(0)
    go_on.set()
    await first
    assert await waiting


async def test_a_new_epoch(engine: AsyncEngine) -> None:
    """After a reset of the group, or a replay to it, effects are written again: once more."""
    consumer = Writer(engine)
    async with memory_backbone() as backbone:
        backbone.subscribe(consumer, group="g")
        key = await Shop.producer(backbone).ordered(1)
        await backbone.settled()
        backbone.server.begin_epoch("shop", "g")
        backbone.server.destroy_group("shop", "g")
        backbone.server._state.of_group("shop", "g").floor = None
        await backbone.settled()
        assert consumer.starts == 2
        assert key.stream == "shop"
    assert await effects(engine) == [1, 1]


async def test_batches(engine: AsyncEngine) -> None:
    """In a batch handler each delivery is asked for itself."""

    class Bulk(Shop[Consume]):
        starts = 0

        @batch(size=5, wait=timedelta(milliseconds=50))
        async def ordered(self, deliveries: Sequence[Delivery[...]]) -> None:
            self.starts += 1
            async with engine.begin() as connection:
                new = [one for one in deliveries if await one.once(connection)]
                if new:
                    await connection.execute(insert(EFFECTS), [{"n": one.arguments["n"]} for one in new])
            if self.starts == 1:
                raise ValueError

    async with memory_backbone() as backbone:
        backbone.subscribe(Bulk(), group="g", retry=AT_ONCE, concurrency=8)
        await backbone.batch(Shop.ordered(n) for n in range(10))
        await backbone.settled()
    assert await effects(engine) == list(range(10))


async def test_a_table_of_your_own(engine: AsyncEngine) -> None:
    """Your migrations may create the inbox under your own name."""
    mine: Table = inbox_table(metadata := MetaData(), name="handled")
    await create_tables(engine, metadata)
    (ctx,) = await _contexts(1)
    async with engine.begin() as connection:
        assert await ctx.once(connection, table=mine)
        assert not await ctx.once(connection, table=mine)
        assert (await count(connection, mine), await count(connection, INBOX)) == (1, 0)


async def test_old_rows_go(engine: AsyncEngine) -> None:
    """`purge_inbox` deletes rows by age, in slices; a deleted event counts as new."""
    contexts = await _contexts(5)
    async with engine.begin() as connection:
        assert [await ctx.once(connection) for ctx in contexts] == [True] * 5
    async with AsyncSession(engine) as session, session.begin():
        assert await purge_inbox(session, older_than=timedelta(hours=1)) == 0
        assert [await purge_inbox(session, older_than=timedelta(0), limit=3) for _ in range(3)] == [3, 2, 0]
        assert await contexts[0].once(session)


async def test_a_missing_table_is_named(database: str) -> None:
    """Without its table `once` says how to make it."""
    (ctx,) = await _contexts(1)
    engine = create_async_engine(database)
    async with engine.connect() as connection:
        with pytest.raises(UsageError, match=r"no table esb_inbox.*create_tables"):
            await ctx.once(connection)
    await engine.dispose()


@pytest.mark.parametrize("way", ["engine", "connection", "session"])
async def test_without_a_transaction(database: str, way: str) -> None:
    """A session that commits each statement by itself is refused: a crash would lose the effects."""
    (ctx,) = await _contexts(1)
    engine = create_async_engine(database, **({"isolation_level": "AUTOCOMMIT"} if way == "engine" else {}))
    await create_tables(engine)
    automatic = engine if way == "engine" else engine.execution_options(isolation_level="AUTOCOMMIT")
    async with AsyncSession(automatic) if way == "session" else automatic.connect() as session:
        with pytest.raises(UsageError, match="AUTOCOMMIT"):
            await ctx.once(session)
    await engine.dispose()


async def _contexts(number: int) -> list[ConsumerContext]:
    """The contexts of events whose handlers have ended."""
    found: list[ConsumerContext] = []

    class Keeper(Shop[Consume]):
        async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
            found.append(ctx)

    async with memory_backbone() as backbone:
        backbone.subscribe(Keeper(), group="g")
        await backbone.batch(Shop.ordered(n) for n in range(number))
        await backbone.settled()
    return found


async def test_a_projection_needs_none(memory_backbone: MemoryBackbone) -> None:
    """In a projection `once` says that its position does it."""

    class View(Projection, Shop[Consume]):
        async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
            nothing: Any = None
            await ctx.once(nothing)

    await Shop.producer(memory_backbone).ordered(1)
    with pytest.raises(UsageError, match="position"):
        await memory_backbone.project(View())


async def test_a_cancelled_handler_leaves_no_lock(database: str) -> None:
    """Cancelled at any moment (its lease was lost), a transaction with `once` is over at once: others can write."""
    options = {"connect_args": {"timeout": 1}} if database.startswith("sqlite") else {}
    engine = create_async_engine(database, **options)
    await make_tables(engine)

    async def work(number: int) -> None:
        metadata = Metadata(
            event="ordered", version=1, message_id=str(number), key=EventKey(stream="shop", id="1-0"),
            produced_at=datetime.now(UTC), uri="shop", group="g",
        )  # fmt: skip
        async with AsyncSession(engine) as session, session.begin():
            await recorded(session, metadata, epoch=0)
            await session.execute(insert(EFFECTS).values(n=number))

    random = Random(20261125)
    gc.disable()  # what only the garbage collector ends is not over at once
    try:
        for number in range(100):
            handler = asyncio.create_task(work(number))
            await asyncio.sleep(random.random() * 0.006)  # the moment of the cancellation, not a wait for something
            handler.cancel()
            await asyncio.wait((handler,))
            async with engine.begin() as connection:
                await connection.execute(insert(EFFECTS).values(n=-number))
    finally:
        gc.enable()
    assert set(range(-99, 0)) < set(await effects(engine))
    await engine.dispose()
