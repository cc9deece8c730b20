"""What the checkers get wrong, or cannot see: pinned, so that a better one is noticed. The run time sees the rest."""

from __future__ import annotations

from datetime import datetime

from shop_contract import Item, Orders, Payments, Product, ShipmentTracking, User

from esb_runtime import Backbone, Consume, ConsumerContext, EventKey, Produce, SyncBackbone


class HandWrittenFake(Orders[Produce]):
    """Right, yet refused by one: use `AsyncMock(spec=Orders)` or `memory_backbone` instead."""

    async def placed(self, order_id: str, items: list[Item], note: str = "") -> EventKey:  # E: pyright
        return EventKey(stream="s", id="1-0")

    async def shipped(self, order_id: str, *, carrier: str | None = None) -> EventKey:  # E: pyright
        return EventKey(stream="s", id="1-0")


class Misspelt(ShipmentTracking[Consume]):
    """Wrong, yet nobody can know: `subscribe` raises, with the nearest name."""

    async def order_place(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None: ...


class RenamedOptional(Payments[Consume]):
    """Wrong, and seen by one: `subscribe` raises."""

    async def heartbeat(self, ctx: ConsumerContext, extra: int = 0) -> None: ...
    async def position(  # E: pyright
        self, ctx: ConsumerContext, a: int, /, beta: int = 1, *, c: bool = False
    ) -> None: ...


def sides(backbone: Backbone, sync: SyncBackbone) -> None:
    """Wrong, and seen by one: a bare contract takes the side of its argument; `producer` raises a TypeError."""
    ShipmentTracking.producer(sync)  # E: pyright
    backbone.subscribe(Misspelt(), RenamedOptional(), group="g")
