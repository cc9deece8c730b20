"""Mistakes around effects and scenarios that both checkers must see."""

from __future__ import annotations

from datetime import datetime

from shop_contract import ShipmentTracking
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from esb_runtime import Backbone, Consume, ConsumerContext
from esb_runtime.sqlalchemy import Outbox
from esb_runtime.testing import Faults, given


class Writer(ShipmentTracking[Consume]):
    async def packing(self, ctx: ConsumerContext, email: str, product_id: int, time: datetime) -> None:
        synchronous = Session()
        await ctx.once(synchronous)  # E: pyright mypy


async def outboxes(session: AsyncSession, engine: AsyncEngine, backbone: Backbone, now: datetime) -> None:
    outbox = Outbox()
    await outbox.add(session, ShipmentTracking.packing("ann@example.org", "one", now))  # E: pyright mypy
    await outbox.add(session, ShipmentTracking.packing)  # E: pyright mypy
    await outbox.add(engine, ShipmentTracking.packing("ann@example.org", 1, now))  # E: pyright mypy
    backbone.relay(engine, outbox)  # E: pyright mypy


async def scenarios(now: datetime) -> None:
    await given(ShipmentTracking.packing("ann@example.org", 1, now)).when("packing").then()  # E: pyright mypy
    await given().when().then(ShipmentTracking.packing)  # E: pyright mypy
    Faults(lose_acks="one")  # E: pyright mypy
