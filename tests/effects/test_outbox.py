"""The outbox: a commit and its events never disagree, in either direction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import MetaData, insert, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from esb_runtime import ChannelUnavailable, Consume, ConsumerContext, EncodeError, UsageError, WrongKeyType, message_id
from esb_runtime.sqlalchemy import Outbox, create_tables, outbox_table
from esb_runtime.testing import MemoryBackbone, memory_backbone

from .kit import ORDERS, Billing, Shop, count

POLL = timedelta(milliseconds=20)


@pytest_asyncio.fixture
async def backbone() -> AsyncIterator[MemoryBackbone]:
    async with memory_backbone(environment="dev") as made:
        yield made


def numbers(backbone: MemoryBackbone) -> list[int]:
    """What the shop's stream holds."""
    return [delivery.arguments["n"] for delivery in backbone.events(Shop.ordered)]


async def until(condition: Any, seconds: float = 60) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - whatever a test looks at
            await asyncio.sleep(0.005)


async def test_committed_or_not(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """What was committed is sent, in order, typed as it was added; what was rolled back never was."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine)
    for n in range(6):
        async with AsyncSession(engine) as session:
            await session.execute(insert(ORDERS).values(n=n, who="ann"))
            await outbox.add(session, Shop.ordered(n, who="bob"))
            await (session.rollback() if n % 3 == 1 else session.commit())
    assert await relay.flush() == 4
    assert await relay.flush() == 0
    assert [dict(each.arguments) for each in backbone.events(Shop.ordered)] == [
        {"n": n, "who": "bob"} for n in (0, 2, 3, 5)
    ]
    async with AsyncSession(engine) as session:
        assert await outbox.waiting(session) == 0
    assert relay.sent == 4


async def test_a_connection_will_do(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """Without an ORM the events go into a connection's transaction; message id, uri and environment can be chosen."""
    outbox = Outbox()
    async with engine.begin() as connection:
        with message_id("order-1"):
            assert await outbox.add(connection, Shop.ordered(1), environment="test", uri="elsewhere") == "order-1"
        assert await outbox.add(connection, Billing.billed(1, who="ann"))
        assert await outbox.waiting(connection) == 2
    await backbone.relay(outbox, engine).flush()
    assert backbone.server.streams() == ["dev:billing", "test:elsewhere"]
    (stored,) = backbone.server.events("test:elsewhere")
    assert stored.message_id == "order-1"
    (billed,) = backbone.server.events("dev:billing")
    assert billed.ordering_key == "ann"


async def test_run_sends_at_once(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """`run` sends what this process commits without waiting for the next look, and ends when asked to."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine, poll=timedelta(minutes=5))
    running = asyncio.create_task(backbone.run())
    await until(lambda: relay.running)
    for n in range(3):
        async with AsyncSession(engine) as session, session.begin():
            await outbox.add(session, Shop.ordered(n))
            await outbox.add(session, Shop.ordered(n + 10))
        await until(lambda n=n: len(numbers(backbone)) == 2 * n + 2)
    await backbone.stop()
    async with asyncio.timeout(10):
        await running
    assert numbers(backbone) == [0, 10, 1, 11, 2, 12]


async def test_sent_twice_is_stored_once(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """A relay that died after sending and before marking: the next one sends again, the stream stays as it is."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine)
    async with engine.begin() as connection:
        for n in range(5):
            await outbox.add(connection, Shop.ordered(n))
    await relay.flush()
    async with engine.begin() as connection:
        await connection.execute(update(outbox.table).values(sent_at=None))
    assert await backbone.relay(outbox, engine).flush() == 5
    assert numbers(backbone) == list(range(5))


async def test_many_relays(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """Of many relays one works; when it is gone another one goes on; all in order, each once."""
    outbox = Outbox()
    relays = [backbone.relay(outbox, engine, poll=POLL) for _ in range(4)]
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    total = 0
    for turn in range(3):
        for _ in range(10):
            async with engine.begin() as connection:
                await outbox.add(connection, Shop.ordered(total))
            total += 1
        await until(lambda: len(numbers(backbone)) == total)  # noqa: B023 - asked at once
        await until(lambda: sum(relay.sent for relay in relays) == total)  # noqa: B023
        workers = [n for n, relay in enumerate(relays) if relay.sent]
        assert len(workers) == turn + 1
        leader = next(n for n in workers if not tasks[n].done())
        await relays[leader].stop()
        await tasks[leader]
    await backbone.stop()
    await asyncio.gather(*tasks)
    assert numbers(backbone) == list(range(total))


async def test_relays_without_a_leader(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """Order and count do not depend on the lease: relays that all believe to be alone do no harm."""
    outbox = Outbox()

    async def produce() -> None:
        for n in range(60):
            async with engine.begin() as connection:
                await outbox.add(connection, Shop.ordered(n))

    producing = asyncio.create_task(produce())
    relays = [backbone.relay(outbox, engine) for _ in range(3)]
    while not producing.done():
        await asyncio.gather(*(relay.flush() for relay in relays))
    await producing
    await relays[0].flush()
    assert numbers(backbone) == list(range(60))


async def test_an_outage(engine: AsyncEngine, backbone: MemoryBackbone, caplog: pytest.LogCaptureFixture) -> None:
    """While the server is away events stay, it is said once, and afterwards they are sent in order."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine, poll=POLL)
    backbone._outbox._deadline = 0.05
    with backbone.server.outage():
        running = asyncio.create_task(relay.run())
        for n in range(3):
            async with AsyncSession(engine) as session, session.begin():
                await outbox.add(session, Shop.ordered(n))
        await until(lambda: caplog.records)
        with pytest.raises(ChannelUnavailable):
            await relay.flush()
    await until(lambda: len(numbers(backbone)) == 3)
    await relay.stop()
    await running
    assert numbers(backbone) == [0, 1, 2]
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1


async def test_a_stream_that_refuses(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """A stream that cannot be written holds up its own events only, and is named."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine, poll=POLL)
    backbone.server.occupy("dev:billing")
    async with engine.begin() as connection:
        for n in range(300):
            await outbox.add(connection, Billing.billed(n, who="ann"))
        await outbox.add(connection, Shop.ordered(1))
    with pytest.raises(WrongKeyType, match="dev:billing"):
        await relay.flush()
    running = asyncio.create_task(relay.run())
    await until(lambda: numbers(backbone) == [1])
    await relay.stop()
    await running
    async with engine.connect() as connection:
        assert await outbox.waiting(connection) == 300


@pytest.mark.parametrize("keep", [timedelta(0), timedelta(microseconds=1), timedelta(days=1)])
async def test_sent_rows_go(engine: AsyncEngine, backbone: MemoryBackbone, keep: timedelta) -> None:
    """Sent rows are kept for `keep`, then deleted; waiting ones never are."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine, keep=keep)
    async with engine.begin() as connection:
        await outbox.add(connection, Shop.ordered(1))
    await relay.flush()
    relay._tidied = 0
    async with engine.begin() as connection:
        await outbox.add(connection, Billing.billed(1, who="ann"))
    backbone.server.occupy("dev:billing")
    with pytest.raises(WrongKeyType):
        await relay.flush()
    relay._tidied = 0
    await relay._tidy()
    async with engine.connect() as connection:
        assert await count(connection, outbox.table) == (2 if keep > timedelta(hours=1) else 1)


async def test_mistakes_are_named(database: str, backbone: MemoryBackbone) -> None:
    """A missing table, a wrong value, a uri that cannot be, options that cannot work: said where they are made."""
    outbox, engine = Outbox(), create_async_engine(database)
    async with engine.connect() as connection:
        with pytest.raises(UsageError, match="no table esb_outbox"):
            await outbox.add(connection, Shop.ordered(1))
    with pytest.raises(UsageError, match="no table esb_outbox"):
        await backbone.relay(outbox, engine).run()
    await create_tables(engine)
    wrong: Any = "one"
    async with engine.connect() as connection:
        with pytest.raises(EncodeError, match="'n'"):
            await outbox.add(connection, Shop.ordered(wrong))
        with pytest.raises(UsageError, match="stream"):
            await outbox.add(connection, Shop.ordered(1), uri=" ")
    with pytest.raises(UsageError, match="relay"):
        backbone.relay(outbox, engine, poll=timedelta(0))
    await engine.dispose()


async def test_errors_hold_no_arguments(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """What a relay logs about the database holds no statement, no parameter and no event's arguments."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine)
    async with engine.begin() as connection:
        await outbox.add(connection, Shop.ordered(1, who="s3cret"))
        await connection.execute(outbox.table.update().values(record=b"s3cret"))
    with pytest.raises(Exception, match="cannot be read") as caught:
        await relay.flush()
    assert "s3cret" not in str(caught.value)
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError) as failed:
            await connection.execute(insert(outbox.table).values(message_id="s3cret"))
    assert "s3cret" in str(failed.value)
    assert "s3cret" not in str(relay._outage(failed.value)).partition("DETAIL")[0]


async def test_a_table_of_your_own(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """Your migrations may create the outbox under your own name."""
    metadata = MetaData()
    outbox = Outbox(outbox_table(metadata, name="news"))
    await create_tables(engine, metadata)
    async with engine.begin() as connection:
        await outbox.add(connection, Shop.ordered(1))
    assert await backbone.relay(outbox, engine).flush() == 1


async def test_cause_and_effect(engine: AsyncEngine, backbone: MemoryBackbone) -> None:
    """An event that a handler puts into the outbox knows its cause, and inbox and outbox share the transaction."""
    outbox = Outbox()
    relay = backbone.relay(outbox, engine)

    class Biller(Shop[Consume]):
        async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
            async with engine.begin() as connection:
                if await ctx.once(connection):
                    await outbox.add(connection, Billing.billed(n, who))

    backbone.subscribe(Biller(), group="billing")
    with message_id("cause"):
        await Shop.producer(backbone).ordered(7)
    await backbone.settled()
    await relay.flush()
    (billed,) = backbone.events(Billing.billed)
    assert (billed.metadata.causation_id, billed.arguments["n"]) == ("cause", 7)
