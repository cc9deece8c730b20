"""A shop's contracts, as the tests of this folder use them, and a sender that keeps what it is given."""

from __future__ import annotations

import types
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from esb_runtime import (
    Consume,
    ConsumerContext,
    Delivery,
    Deprecated,
    Durability,
    EventContract,
    EventKey,
    Produce,
    Side,
    Sync,
    event,
)
from esb_runtime._contract import Sends
from esb_runtime._events import EventDefinition

NOON = datetime(2026, 1, 2, 12, 0, 0, 123456, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class User:
    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Item:
    sku: str
    quantity: int
    price: Decimal = Decimal(0)
    ordered: datetime | None = None


ANN = User(1, "ann@example.org", "Ann")
TEA = Item("tea", 2, Decimal("3.50"), NOON)


class Orders(EventContract[Side], uri="orders"):
    """The life of an order."""

    @event(key="user.email")
    @abstractmethod
    async def placed(self, user: User, items: list[Item], note: str = "") -> None:
        """A customer placed an order."""

    @event(version=2, key="order_id")
    @abstractmethod
    async def shipped(self, order_id: str, *, carrier: str | None = None) -> None:
        """The parcel left."""

    @event(name="shipped", deprecated=Deprecated(since=date(2026, 1, 1), remark="use shipped"))
    async def shipped_v1(self, order_id: str) -> None:
        """The parcel left, carrier unknown."""

    def plain_method(self) -> int:
        """Ordinary methods stay ordinary."""
        return 1


class PriorityOrders(Orders[Side], uri="priority-orders"):
    """Orders that cannot wait."""

    @event
    async def escalated(self, order_id: str, level: int = 1) -> None:
        """Somebody asked twice."""


class Payments(EventContract[Side], uri="payments"):
    """Money."""

    @event(personal=("payer",))
    async def paid(self, order_id: str, amount: Decimal, payer: User | None = None) -> None:
        """Money came in."""


class Billing(Orders[Consume]):
    """Implements what it must."""

    async def placed(self, ctx: ConsumerContext, user: User, items: list[Item], note: str = "") -> None: ...
    async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...


class Desk(PriorityOrders[Consume], Payments[Consume]):
    """Implements two contracts, one of them an heir, and has a fallback."""

    async def placed(self, ctx: ConsumerContext, user: User, items: list[Item], note: str = "") -> None: ...
    async def shipped(self, ctx: ConsumerContext, order_id: str, *, carrier: str | None = None) -> None: ...
    async def escalated(self, ctx: ConsumerContext, order_id: str, level: int = 1) -> None: ...
    async def paid(self, ctx: ConsumerContext, order_id: str, amount: Decimal, payer: User | None = None) -> None: ...
    async def fallback(self, ctx: ConsumerContext, delivery: Delivery[...]) -> None: ...


def made_contract(name: str, body: Mapping[str, Any], **options: Any) -> Any:
    """A contract that is made at run time, as no checker would have it."""
    base: Any = EventContract
    return types.new_class(name, (base[Side],), options, lambda namespace: namespace.update(body))


@dataclass
class Log:
    """A sender that keeps what it is given."""

    sent: list[tuple[EventDefinition, dict[str, Any], str]] = field(default_factory=list)

    def key(self, definition: EventDefinition, arguments: dict[str, Any], stream: str) -> EventKey:
        """Keep an event and say where it would stand."""
        self.sent.append((definition, arguments, stream))
        return EventKey(stream=stream, id=f"{len(self.sent)}-0")


@dataclass
class AsyncLog(Log):
    """For the producer's side."""

    def sends(self, definition: EventDefinition, stream: str) -> Callable[[dict[str, Any]], Any]:
        """Keep the event at once, answer later."""

        async def answer(key: EventKey) -> EventKey:
            return key

        return lambda arguments: answer(self.key(definition, arguments, stream))


@dataclass
class SyncLog(Log):
    """For the synchronous side."""

    def sends(self, definition: EventDefinition, stream: str) -> Callable[[dict[str, Any]], Any]:
        """Keep the event and answer."""
        return lambda arguments: self.key(definition, arguments, stream)


class AsyncSends(Sends[Produce]):
    """Stands for a Backbone."""

    def __init__(self) -> None:
        self.log = AsyncLog()

    def _sender(self, durability: Durability | None = None) -> AsyncLog:
        return self.log


class SyncSends(Sends[Sync]):
    """Stands for a SyncBackbone."""

    def __init__(self) -> None:
        self.log = SyncLog()

    def _sender(self, durability: Durability | None = None) -> SyncLog:
        return self.log
