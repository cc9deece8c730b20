"""Producers, tokens and deliveries used wrongly."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from shop_contract import Item, Orders, Product, ShipmentTracking, User

from esb_runtime import Backbone, Consume, ConsumerContext, Delivery, Projection, batch


class Service:
    def __init__(self, orders: Orders) -> None: ...


class Partial(Orders[Consume]):
    async def placed(self, ctx: ConsumerContext, order_id: str, items: list[Item], note: str = "") -> None: ...


class Billing(Partial):
    async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...


class ForgotConsume(ShipmentTracking):
    pass


@dataclass
class BadRow:
    email: int
    product_id: int
    time: datetime


async def producing(backbone: Backbone, orders: Orders, tracking: ShipmentTracking, now: datetime) -> None:
    await orders.placed(1, [])  # E: pyright mypy
    await orders.placed("1")  # E: pyright mypy
    await orders.placed("1", [{"sku": "a"}])  # E: pyright mypy
    await orders.placed("1", [], nte="x")  # E: pyright mypy
    await orders.shipped("1", "dhl")  # E: pyright mypy
    await orders.plced("1", [])  # E: pyright mypy
    n: int = await orders.placed("1", [])  # E: pyright mypy
    await Orders.producer(backbone).escalated("1")  # E: pyright mypy
    tracking.packing("e", 1, now)  # E: pyright mypy
    await tracking.packing("e", 1, now, expect=3)  # E: pyright mypy
    await Orders.placed("1", [])  # E: pyright mypy
    Orders.producer()  # E: pyright mypy
    Orders.producer(backbone, "uri")  # E: pyright mypy
    print(n)


async def passing(backbone: Backbone, orders: Orders, billing: Billing) -> None:
    Service(billing)  # E: pyright mypy
    Service(Orders[Consume])  # E: pyright mypy
    backbone.subscribe(orders, group="g")  # E: pyright mypy
    backbone.subscribe(Orders.producer(backbone), group="g")  # E: pyright mypy
    backbone.subscribe(Partial(), group="g")  # E: pyright mypy
    backbone.subscribe(Billing, group="g")  # E: pyright mypy
    backbone.subscribe([billing], group="g")  # E: pyright mypy
    backbone.subscribe(billing)  # E: pyright mypy
    backbone.subscribe(ForgotConsume(), group="g")  # E: pyright mypy
    backbone.subscribe(billing, group="g", lease=60)  # E: pyright mypy
    backbone.subscribe(billing, group="g", concurency=1)  # E: pyright mypy


def functions(backbone: Backbone) -> None:
    @backbone.on(Orders.shipped, group="g")  # E: pyright mypy
    async def wrong_type(ctx: ConsumerContext, order_id: int, *, carrier: str | None = None) -> None: ...

    @backbone.on(Orders.shipped, group="g")  # E: pyright mypy
    async def no_context(order_id: str, *, carrier: str | None = None) -> None: ...

    @backbone.on(Orders.shipped, group="g")  # E: pyright mypy
    def blocking(ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...

    @backbone.on("shipped", group="g")  # E: pyright mypy
    async def by_text(ctx: ConsumerContext, order_id: str) -> None: ...

    @backbone.on(Orders.shipped)  # E: pyright mypy
    async def no_group(ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...

    print(wrong_type, no_context, blocking, by_text, no_group)


async def reading(backbone: Backbone, delivery: Delivery[...], now: datetime) -> None:
    async for packing in backbone.read(ShipmentTracking.packing):
        packing.apply(BadRow)  # E: pyright mypy
        packing.apply(lambda email: email)  # E: pyright mypy
    async for found in backbone.read(ShipmentTracking, only=[ShipmentTracking.packing]):
        if proved := found.of(ShipmentTracking.packing):
            proved.apply(BadRow)  # E: pyright mypy
    delivery.of(ShipmentTracking.packing).apply(print)  # E: pyright mypy
    text: int = delivery.argument("email", str)  # E: pyright mypy
    delivery.matches("packing")  # E: pyright mypy
    ShipmentTracking.packing(1, 1, now)  # E: pyright mypy
    ShipmentTracking.order_placed(User(1, "e", "n"))  # E: pyright mypy
    print(text, Product)


class View(Projection, ShipmentTracking[Consume]):
    async def packing(self, ctx: int, email: str, product_id: int, time: datetime) -> None: ...  # E: pyright mypy


async def projecting(backbone: Backbone, billing: Billing) -> None:
    await backbone.project(billing)  # E: pyright mypy
    await backbone.project(View(), group="g")  # E: pyright mypy
    backbone.project(View())  # E: pyright mypy
    backbone.follow(View())  # E: pyright mypy
    backbone.follow(View, group="g")  # E: pyright mypy


class BatchOfWhat(ShipmentTracking[Consume]):
    @batch(size=500, wait=timedelta(milliseconds=50))  # E: pyright mypy
    async def packing(self, ctx: ConsumerContext, email: str, product_id: int, time: datetime) -> None: ...

    @batch(size="many")  # E: pyright mypy
    async def on_delivery(self, deliveries: list[Delivery[...]]) -> None: ...
