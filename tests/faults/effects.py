"""Effects in a database, once each: the consumer that writes them, and the count of what it wrote."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, MetaData, Table, Text, event, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from esb_runtime import Consume, Delivery, batch
from esb_runtime.sqlalchemy import create_tables

from .story import Keyed, Log, checksum, parcel

TABLES = MetaData()
EFFECTS = Table(
    "effects",
    TABLES,
    Column("id", Integer, primary_key=True),
    Column("key", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("proof", Integer, nullable=False),
)


def engine_of(folder: Path) -> AsyncEngine:
    """The database in this folder, shared by processes that are killed: a log beside it, one writer at a time."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{folder / 'effects.db'}", connect_args={"timeout": 120})

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # what a killed process wrote is kept by the kernel

    return engine


class OnceConsumer(Keyed[Consume]):
    """Writes a row per event, and logs what it was asked to do again."""

    def __init__(self, engine: AsyncEngine, log: Log) -> None:
        self._engine = engine
        self._log = log

    @batch(size=50, wait=timedelta(milliseconds=20))
    async def moved(self, deliveries: Sequence[Delivery[...]]) -> None:
        # aiosqlite leaves a transaction open, and every writer waiting, whose statement is cancelled with the handler
        await asyncio.shield(self._write(deliveries))

    async def _write(self, deliveries: Sequence[Delivery[...]]) -> None:
        async with self._engine.begin() as connection:
            rows = [_row(one) for one in deliveries if await one.once(connection)]
            if rows:
                await connection.execute(insert(EFFECTS), rows)
        for _ in deliveries[len(rows) :]:
            self._log.write("again", "-", 0)


def _row(delivery: Delivery[...]) -> Mapping[str, object]:
    found = delivery.of(Keyed.moved)
    assert found is not None
    return found.apply(lambda key, number, parcel: {"key": key, "number": number, "proof": checksum(parcel)})


async def make_database(folder: Path) -> None:
    """What the consumers need, before the first of them starts."""
    engine = engine_of(folder)
    await create_tables(engine)
    await create_tables(engine, TABLES)
    await engine.dispose()


async def count_effects(folder: Path) -> Mapping[str, int]:
    """How many events have an effect, how many more effects there are, and how many show another parcel."""
    engine = engine_of(folder)
    seen: Counter[tuple[str, int]] = Counter()
    changed = 0
    async with engine.connect() as connection:
        rows = await connection.stream(select(EFFECTS.c.key, EFFECTS.c.number, EFFECTS.c.proof))
        async for key, number, proof in rows:
            seen[key, number] += 1
            changed += proof != checksum(parcel(key, number))
    await engine.dispose()
    return {"events": len(seen), "twice": seen.total() - len(seen), "changed": changed}
