"""A process of the shop: `shop_process.py sell|relay|write DATABASE [FIRST COUNT]`; it is killed at random points.

sell: places orders, each in one transaction with its event, every fifth one rolled back. relay: sends what was
committed. write: handles the events, one row each, with `ctx.once`; its handlers also produce through the outbox.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from effects.kit import EFFECTS, ORDERS, Billing, Shop, engine_of
from esb_runtime import Backbone, Consume, ConsumerContext, Retry
from esb_runtime.sqlalchemy import Outbox

POLL = timedelta(milliseconds=20)


async def sell(url: str, first: int, number: int) -> None:
    """Orders `first` to `first + number - 1`; those that are there already are skipped, as a restarted import does."""
    engine, outbox = engine_of(url), Outbox()
    for n in range(first, first + number):
        async with AsyncSession(engine) as session:
            if await _placed(session, n):
                continue
            await session.execute(insert(ORDERS).values(n=n, who="ann"))
            await outbox.add(session, Shop.ordered(n))
            await (session.rollback() if n % 5 == 0 else session.commit())
    await engine.dispose()


async def _placed(session: AsyncSession, n: int) -> bool:
    return (await session.execute(ORDERS.select().where(ORDERS.c.n == n))).first() is not None


async def relay(url: str) -> None:
    """Until SIGTERM."""
    engine = engine_of(url)
    async with Backbone.connect() as backbone:
        backbone.relay(Outbox(), engine, poll=POLL, lease=timedelta(seconds=1))
        await backbone.run()
    await engine.dispose()


async def write(url: str) -> None:
    """Until SIGTERM."""
    engine, outbox = engine_of(url), Outbox()

    class Writer(Shop[Consume]):
        async def ordered(self, ctx: ConsumerContext, n: int, who: str) -> None:
            async with AsyncSession(engine) as session, session.begin():
                if await ctx.once(session):
                    await session.execute(insert(EFFECTS).values(n=n))
                    await outbox.add(session, Billing.billed(n, who))

    async with Backbone.connect() as backbone:
        retry = Retry(attempts=100, first_delay=timedelta(milliseconds=20), max_delay=timedelta(seconds=1), crashes=100)
        backbone.subscribe(Writer(), group="writers", concurrency=8, lease=timedelta(seconds=1), retry=retry)
        backbone.relay(outbox, engine, poll=POLL, lease=timedelta(seconds=1))
        await backbone.run()
    await engine.dispose()


if __name__ == "__main__":
    what, url, *numbers = sys.argv[1:]
    asyncio.run({"sell": sell, "relay": relay, "write": write}[what](url, *map(int, numbers)))
