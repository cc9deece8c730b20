"""A program as a user writes it. No line here may be an error."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar, assert_type
from unittest.mock import AsyncMock

from shop_contract import Address, Item, Orders, Payments, PriorityOrders, Product, ShipmentTracking, User

from esb_runtime import (
    Acknowledge,
    Backbone,
    Consume,
    ConsumerContext,
    Delivery,
    Emission,
    EventKey,
    EventToken,
    Ordering,
    Position,
    Projection,
    Retry,
    Start,
    Subscription,
    Unhandled,
    batch,
    message_id,
)

P = ParamSpec("P")
R = TypeVar("R")


class Reporter(ShipmentTracking[Consume]):
    async def order_placed(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None:
        print(user.name, product.name, ctx.metadata.key, ctx.metadata.attempt, ctx.cancelled)
        await ctx.progress()
        await ctx.nack(after=timedelta(seconds=1))
        await ConsumerContext.current().reject("because")


class Transit(ShipmentTracking[Consume]):
    def __init__(self, tracking: ShipmentTracking) -> None:
        self.tracking = tracking

    async def order_placed(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None:
        await self.tracking.packing(user.email, product.id, time)

    async def fallback(self, ctx: ConsumerContext, delivery: Delivery[...]) -> None:
        if delivery.matches(ShipmentTracking.packing, version=0):
            email = delivery.argument("email", str)
            print(email.upper())
        if old := delivery.of(ShipmentTracking.packing_v0):
            await self.packing(ctx, *old.apply(upcast))
        if other := delivery.of(ShipmentTracking.packing, version=7):
            assert_type(other.apply(lambda email, product_id, time: product_id + 1), int)
        await delivery.ack()


def upcast(email: str) -> tuple[str, int, datetime]:
    return email, 0, datetime.now(UTC)


class Bulk(ShipmentTracking[Consume]):
    @batch(size=500, wait=timedelta(milliseconds=50))
    async def packing(self, deliveries: Sequence[Delivery[...]]) -> None:
        print(len(deliveries))

    async def on_delivery(self, ctx: ConsumerContext, email: str | None, product_id: int, time: datetime) -> None: ...


class Billing(Orders[Consume]):
    async def placed(self, ctx: ConsumerContext, order_id: str, items: list[Item], note: str = "") -> None: ...
    async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...


class Careful(Billing):
    async def placed(self, ctx: ConsumerContext, order_id: str, items: list[Item], note: str = "") -> None:
        await super().placed(ctx, order_id, items)


class Desk(PriorityOrders[Consume]):
    """Wider types and an extra parameter with a default are fine."""

    async def placed(
        self, ctx: ConsumerContext, order_id: str | int, items: list[Item], note: str = "", extra: int = 0
    ) -> None: ...
    async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...
    async def escalated(self, ctx: ConsumerContext, order_id: str, level: int = 1) -> None: ...


class Both(Orders[Consume], Payments[Consume]):
    async def placed(self, ctx: ConsumerContext, order_id: str, items: list[Item], note: str = "") -> None: ...
    async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...
    async def heartbeat(self, ctx: ConsumerContext) -> None: ...
    async def position(self, ctx: ConsumerContext, a: int, /, b: int = 1, *, c: bool = False) -> None: ...


def traced(f: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    return f


class Decorated(Orders[Consume]):
    @traced
    async def placed(self, ctx: ConsumerContext, order_id: str, items: list[Item], note: str = "") -> None: ...
    @traced
    async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...


class Service:
    def __init__(self, orders: Orders) -> None:
        self.orders = orders

    async def run(self) -> EventKey:
        return await self.orders.placed("o-1", [Item("a", 1)])


@dataclass
class Row:
    email: str
    product_id: int
    time: datetime


class OrdersPerProduct(Projection, ShipmentTracking[Consume]):
    async def order_placed(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None: ...


class Loud:
    async def __call__(
        self, delivery: Delivery[...], call_next: Callable[[Delivery[...]], Coroutine[Any, Any, None]], /
    ) -> None:
        print(delivery.metadata.event)
        await call_next(delivery)


def wire(backbone: Backbone) -> None:
    tracking = ShipmentTracking.producer(backbone)
    subscription = backbone.subscribe(
        Reporter(),
        Transit(tracking),
        Bulk(),
        group="main-consumer",
        uri="other",
        environment="dev",
        name="me",
        concurrency=32,
        ordering=Ordering.AUTO,
        lease=timedelta(seconds=60),
        drain=timedelta(seconds=30),
        retry=Retry(attempts=5, first_delay=timedelta(seconds=1)),
        idempotent=False,
        acknowledge=Acknowledge.ON_SUCCESS,
        unhandled=Unhandled.SKIP,
        start=Start.BEGINNING,
        middleware=[Loud()],
    )
    assert_type(subscription, Subscription)
    for consumer in (Billing(), Careful(), Desk(), Both(), Decorated()):
        backbone.subscribe(consumer, group="g")

    @backbone.on(ShipmentTracking.packing, group="mail")
    async def mail(ctx: ConsumerContext, email: str, product_id: int, time: datetime) -> None: ...

    @backbone.on(Orders.shipped, group="mail")
    async def notify(ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...

    backbone.follow(OrdersPerProduct(), group="orders-per-product")
    print(mail, notify)


async def main(user: User, product: Product, now: datetime) -> None:
    async with Backbone.connect(endpoint="localhost:6379", password="x") as backbone:
        tracking = ShipmentTracking.producer(backbone, uri="other", environment="dev")
        assert_type(tracking, ShipmentTracking)
        key = await tracking.order_placed(user, product, now)
        assert_type(key, EventKey)
        keys = await backbone.batch(tracking.order_placed(u, product, now) for u in [user])
        assert_type(keys, list[EventKey])
        with message_id("order-42"):
            await tracking.order_placed(user, product=product, time=now)
        async for packing in backbone.read(ShipmentTracking.packing, since=now):
            row = packing.apply(Row)
            print(row.email.upper(), packing.metadata.produced_at)
        async for delivery in backbone.read(ShipmentTracking, only=[ShipmentTracking.packing, Orders.placed]):
            if found := delivery.of(ShipmentTracking.packing):
                print(found.apply(Row).email, found.arguments["email"])
        emission: Emission[...] = ShipmentTracking.packing("a@b", 1, now)
        token: EventToken[...] = ShipmentTracking.packing
        view = OrdersPerProduct()
        position: Position | None = None
        position = await backbone.project(view, after=position)
        await backbone.project(view, until=now)
        assert_type(position, Position)
        print(emission, token.__name__, await backbone.get(key))
        await Service(Orders.producer(backbone)).run()
        priority = PriorityOrders.producer(backbone)
        await priority.escalated(order_id="o-1")
        await priority.placed("o-2", items=[])
        await Service(priority).run()
        mock: Orders = AsyncMock(spec=Orders)
        await Service(mock).run()
        payments = Payments.producer(backbone)
        await payments.paid("1", Address(street="x"), at=now, kind="cash")
        await payments.heartbeat()
        await payments.position(1, 2, c=True)
        print(payments.helper(), Decimal(1))
        await backbone.run()
