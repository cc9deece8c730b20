"""The sides mixed up."""

from __future__ import annotations

from datetime import datetime

from shop_contract import Product, ShipmentTracking, User

from esb_runtime import Backbone, Consume, ConsumerContext, Sync, SyncBackbone


class Service:
    def __init__(self, tracking: ShipmentTracking[Sync]) -> None: ...


class AsyncService:
    def __init__(self, tracking: ShipmentTracking) -> None: ...


class Reporter(ShipmentTracking[Consume]):
    async def order_placed(self, ctx: ConsumerContext, user: User, product: Product, time: datetime) -> None: ...


def wrong(backbone: Backbone, sync: SyncBackbone, user: User, product: Product, now: datetime) -> None:
    ShipmentTracking.producer(sync)  # E: pyright
    ShipmentTracking[Sync].producer(backbone)  # E: pyright mypy
    Service(ShipmentTracking.producer(backbone))  # E: pyright mypy
    AsyncService(ShipmentTracking[Sync].producer(sync))  # E: pyright mypy
    ShipmentTracking[Sync].producer(sync).order_placed(user, 1, 2)  # E: pyright mypy
    sync.batch(ShipmentTracking.producer(backbone).packing("e", 1, now) for _ in range(2))  # E: pyright mypy
    sync.subscribe(Reporter(), group="g")  # E: pyright mypy
    Reporter.producer(backbone)  # E: pyright mypy
    backbone.subscribe(ShipmentTracking[Sync].producer(sync), group="g")  # E: pyright mypy


async def awaiting(sync: SyncBackbone, user: User, product: Product, now: datetime) -> None:
    await ShipmentTracking[Sync].producer(sync).order_placed(user, product, now)  # E: pyright mypy
