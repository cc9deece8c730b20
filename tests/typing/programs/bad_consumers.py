"""Consumers with planted mistakes; `E:` names who must report the line, and nobody may report another one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shop_contract import Item, Orders, PriorityOrders, Product, ShipmentTracking, User

from esb_runtime import Consume, ConsumerContext, Delivery


class WrongType(Orders[Consume]):
    async def placed(  # E: pyright
        self,
        ctx: ConsumerContext,
        order_id: int,  # E: mypy
        items: list[Item],
        note: str = "",
    ) -> None: ...


class NoContext(Orders[Consume]):
    async def placed(self, order_id: str, items: list[Item], note: str = "") -> None: ...  # E: pyright mypy


class DefaultLost(Orders[Consume]):
    async def placed(  # E: pyright mypy
        self, ctx: ConsumerContext, order_id: str, items: list[Item], note: str
    ) -> None: ...


class NotAsync(Orders[Consume]):
    def placed(  # E: pyright mypy
        self, ctx: ConsumerContext, order_id: str, items: list[Item], note: str = ""
    ) -> None: ...


class Renamed(Orders[Consume]):
    async def placed(self, ctx: ConsumerContext, oid: str, items: list[Item], note: str = "") -> None: ...  # E: pyright


class KeywordLost(PriorityOrders[Consume]):
    async def shipped(self, ctx: ConsumerContext, order_id: str) -> None: ...  # E: pyright mypy


class Missing(ShipmentTracking[Consume]):
    async def packing(self, ctx: ConsumerContext, email: str, time: datetime) -> None: ...  # E: pyright mypy


class Needed(ShipmentTracking[Consume]):
    async def packing(  # E: pyright mypy
        self, ctx: ConsumerContext, email: str, product_id: int, time: datetime, more: int
    ) -> None: ...


class Returns(ShipmentTracking[Consume]):
    async def packing(  # E: pyright mypy
        self, ctx: ConsumerContext, email: str, product_id: int, time: datetime
    ) -> int: ...


class WrongContext(ShipmentTracking[Consume]):
    async def packing(self, ctx: int, email: str, product_id: int, time: datetime) -> None: ...  # E: pyright mypy


class NarrowerDataclass(ShipmentTracking[Consume]):
    async def order_placed(  # E: pyright
        self,
        ctx: ConsumerContext,
        user: Product,  # E: mypy
        product: Product,
        time: datetime,
    ) -> None: ...


class BatchWithoutDecorator(ShipmentTracking[Consume]):
    async def packing(self, deliveries: Sequence[Delivery[...]]) -> None: ...  # E: pyright mypy


class BadFallback(ShipmentTracking[Consume]):
    async def fallback(self, ctx: ConsumerContext) -> None: ...  # E: pyright mypy


class ForgotConsume(ShipmentTracking):
    async def order_placed(  # E: mypy
        self, ctx: ConsumerContext, user: User, product: Product, time: datetime
    ) -> None: ...


class ReservedName(Orders[Consume]):
    async def producer(self, ctx: ConsumerContext, order_id: str) -> None: ...  # E: pyright mypy
