"""The contracts that the programs of this folder use. No line here may be an error."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel

from esb_runtime import Deprecated, EventContract, Side, event


@dataclass(frozen=True, slots=True)
class User:
    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    id: int
    name: str
    price: Decimal


@dataclass(frozen=True)
class Item:
    sku: str
    quantity: int = 1


class Address(BaseModel):
    street: str


class ShipmentTracking(EventContract[Side], uri="hello.event-sourcing"):
    """What can happen to an order."""

    @event(key="user.email")
    async def order_placed(self, user: User, product: Product, time: datetime) -> None:
        """The customer confirmed the order."""

    @event(key="email")
    async def packing(self, email: str, product_id: int, time: datetime) -> None: ...

    @event(name="packing", version=0, deprecated=Deprecated(since=date(2026, 1, 1), remark="use packing"))
    async def packing_v0(self, email: str) -> None: ...

    @event(version=2, name="delivery", personal=("email",))
    async def on_delivery(self, email: str | None, product_id: int, time: datetime) -> None: ...


class Orders(EventContract[Side], uri="orders"):
    """With events that a consumer must implement."""

    @event
    @abstractmethod
    async def placed(self, order_id: str, items: list[Item], note: str = "") -> None:
        """A customer placed an order."""

    @event(version=2)
    @abstractmethod
    async def shipped(self, order_id: str, *, carrier: str | None = None) -> None:
        """The parcel left."""


class PriorityOrders(Orders[Side], uri="priority-orders"):
    """Inherits them."""

    @event
    async def escalated(self, order_id: str, level: int = 1) -> None: ...


class Payments(EventContract[Side], uri="payments"):
    """Parameters of all kinds."""

    @event
    async def paid(
        self,
        order_id: str,
        to: Address,
        kind: Literal["card", "cash"] = "card",
        at: datetime | None = None,
        tags: Mapping[str, list[int]] | None = None,
    ) -> None: ...

    @event
    async def heartbeat(self) -> None: ...

    @event
    async def position(self, a: int, /, b: int = 1, *, c: bool = False) -> None: ...

    def helper(self) -> int:
        return 1
