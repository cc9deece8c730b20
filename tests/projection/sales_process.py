"""One process of the crash test: keeps a view in a SQLite file live until it is killed.

python sales_process.py DATABASE
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Position, Projection, Side, event

LEASE = timedelta(seconds=1)


class Shop(EventContract[Side], uri="crash-shop"):
    """What the view is folded from."""

    @event
    async def sold(self, number: int) -> None: ...


class Sales(Projection, Shop[Consume]):
    """Each sale is a row; rows and position share a transaction."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, timeout=30, isolation_level=None)
        self.db.execute("create table if not exists sale (number integer)")
        self.db.execute("create table if not exists checkpoint (view text primary key, position text)")

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")

    async def checkpoint(self) -> Position | None:
        row = self.db.execute("select position from checkpoint where view = 'sales'").fetchone()
        return Position.parse(row[0]) if row else None

    async def save(self, position: Position) -> None:
        self.db.execute("insert or replace into checkpoint values ('sales', ?)", (str(position),))

    async def sold(self, ctx: ConsumerContext, number: int) -> None:
        self.db.execute("insert into sale values (?)", (number,))


async def main(path: str) -> None:
    """Follow until the end of the process."""
    async with Backbone.connect() as backbone:
        backbone.follow(Sales(path), group="sales", lease=LEASE)
        await backbone.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
