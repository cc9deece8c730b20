"""The shop that the tests keep: what it produces, what it writes into its database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from esb_runtime import Consume, ConsumerContext, EventContract, Side, event
from esb_runtime.sqlalchemy import Transaction, create_tables

TABLES = MetaData()
ORDERS = Table("orders", TABLES, Column("n", Integer, primary_key=True), Column("who", Text))
EFFECTS = Table(
    "effects",
    TABLES,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("n", Integer),
)


class Shop(EventContract[Side], uri="shop"):
    """What happens in the shop."""

    @event
    async def ordered(self, n: int, who: str = "ann") -> None: ...


class Billing(EventContract[Side], uri="billing"):
    """A second stream."""

    @event(key="who")
    async def billed(self, n: int, who: str) -> None: ...


class Writer(Shop[Consume]):
    """Writes one row per event, once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.starts = 0

    async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
        self.starts += 1
        async with self.engine.begin() as connection:
            if await ctx.once(connection):
                await connection.execute(insert(EFFECTS).values(n=n))
        await self.afterwards(n)

    async def afterwards(self, n: int) -> None:
        """What happens between the commit and the acknowledgement."""


def engine_of(url: str) -> AsyncEngine:
    """An engine that waits for SQLite's one writer."""
    options: dict[str, Any] = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return create_async_engine(url, **options)


async def make_tables(engine: AsyncEngine) -> None:
    """Everything that the shop needs."""
    await create_tables(engine)
    await create_tables_of_shop(engine)


async def create_tables_of_shop(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(TABLES.create_all)


async def effects(engine: AsyncEngine) -> list[int]:
    """The numbers that were written, sorted, repeated ones too."""
    async with engine.connect() as connection:
        return sorted((await connection.execute(select(EFFECTS.c.n))).scalars())


async def count(where: Transaction, table: Table) -> int:
    """How many rows there are."""
    return int((await where.execute(select(func.count()).select_from(table))).scalar_one())
