"""Synchronous code. No line here may be an error."""

from __future__ import annotations

from datetime import datetime
from typing import assert_type

from shop_contract import Product, ShipmentTracking, User

from esb_runtime import EventKey, Sync, SyncBackbone


class Service:
    def __init__(self, tracking: ShipmentTracking[Sync]) -> None:
        self.tracking = tracking


def main(user: User, product: Product, now: datetime) -> None:
    with SyncBackbone.connect() as backbone:
        tracking = ShipmentTracking[Sync].producer(backbone)
        assert_type(tracking, ShipmentTracking[Sync])
        key = tracking.order_placed(user, product, now)
        assert_type(key, EventKey)
        keys = backbone.batch(ShipmentTracking.order_placed(u, product, now) for u in [user])
        assert_type(keys, list[EventKey])
        Service(tracking).tracking.packing("a@b", 1, now)
        for delivery in backbone.read(ShipmentTracking):
            print(delivery.metadata.event)
