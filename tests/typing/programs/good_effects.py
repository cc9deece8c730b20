"""Effects once and scenarios, as a user writes them. No line here may be an error."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_type

from shop_contract import Product, ShipmentTracking, User
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from esb_runtime import Backbone, Consume, ConsumerContext
from esb_runtime.sqlalchemy import Outbox, Relay, create_tables, inbox_table, outbox_table, purge_inbox
from esb_runtime.testing import Faults, MemoryBackbone, given, memory_backbone

metadata = MetaData()
inbox = inbox_table(metadata, schema="shop")
outbox = Outbox(outbox_table(metadata))


class Writer(ShipmentTracking[Consume]):
    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine

    async def order_placed(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None:
        async with AsyncSession(self.engine) as session, session.begin():
            if not await ctx.once(session, table=inbox):
                return
            assert_type(await outbox.add(session, ShipmentTracking.packing(user.email, product.id, time)), str)

    async def packing(self, ctx: ConsumerContext, email: str, product_id: int, time: datetime) -> None:
        async with self.engine.begin() as connection:
            assert_type(await ctx.once(connection), bool)
            assert_type(ctx.metadata.group, str)


def wire(backbone: Backbone, engine: AsyncEngine) -> None:
    backbone.subscribe(Writer(engine), group="writers", idempotent=True, remember=timedelta(days=7))
    relay = backbone.relay(outbox, engine, keep=timedelta(0), poll=timedelta(seconds=2))
    assert_type(relay, Relay)


async def tidy(engine: AsyncEngine, connection: AsyncConnection) -> int:
    await create_tables(engine, metadata)
    return await purge_inbox(connection, older_than=timedelta(days=7)) + await outbox.waiting(connection)


async def scenario(user: User, product: Product, now: datetime) -> None:
    async def act(backbone: Backbone) -> None:
        await ShipmentTracking.producer(backbone).order_placed(user, product, now)

    def subscribe(backbone: Backbone) -> None: ...

    await given(ShipmentTracking.order_placed(user, product, now), wire=subscribe).when(act).then()
    async with memory_backbone(faults=Faults(lose_acks=1, crash_after=3, duplicate=0.1)) as backbone:
        assert_type(backbone, MemoryBackbone)
