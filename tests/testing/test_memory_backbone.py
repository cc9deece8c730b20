"""The in-memory backbone: what tests of users' code stand on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from esb_runtime import Acknowledge, Backbone, Consume, ConsumerContext, EventContract, Retry, Side, event
from esb_runtime.testing import MemoryBackbone, MemoryServer, memory_backbone


class Orders(EventContract[Side], uri="orders"):
    """What the tests produce."""

    @event(key="name")
    async def ordered(self, name: str, count: int) -> None: ...

    @event
    async def shipped(self, name: str) -> None: ...


class Warehouse(Orders[Consume]):
    """Ships what is ordered; a count below zero is a mistake."""

    def __init__(self, backbone: Backbone) -> None:
        self.orders = Orders.producer(backbone)
        self.seen: list[str] = []

    async def ordered(self, ctx: ConsumerContext, name: str, count: int) -> None:
        self.seen.append(name)
        if count < 0:
            raise ValueError("nobody orders less than nothing")
        await self.orders.shipped(name)


AT_ONCE = Retry(attempts=3, first_delay=timedelta(0))


async def test_what_was_produced_can_be_asserted() -> None:
    """`events` lists the events of a token, typed and in order, or everything of a contract."""
    async with memory_backbone() as backbone:
        orders = Orders.producer(backbone)
        await orders.ordered("ann", 1)
        await orders.shipped("ann")
        await orders.ordered("bob", 2)
        assert [delivery.arguments for delivery in backbone.events(Orders.ordered)] == [
            {"name": "ann", "count": 1},
            {"name": "bob", "count": 2},
        ]
        assert [delivery.metadata.event for delivery in backbone.events(Orders)] == ["ordered", "shipped", "ordered"]
        assert backbone.events(Orders, uri="elsewhere") == []


async def test_settled_runs_what_is_subscribed() -> None:
    """`settled` starts the consumers, and returns when everything they caused is handled too."""
    async with memory_backbone() as backbone:
        warehouse = Warehouse(backbone)
        backbone.subscribe(warehouse, group="warehouse")
        orders = Orders.producer(backbone)
        for n in range(50):
            await orders.ordered(f"user-{n}", 1)
        await backbone.settled()
        assert [delivery.arguments["name"] for delivery in backbone.events(Orders.shipped)] == warehouse.seen
        assert len(warehouse.seen) == 50


async def test_settled_again() -> None:
    """`settled` works as often as a test needs it."""
    async with memory_backbone() as backbone:
        warehouse = Warehouse(backbone)
        backbone.subscribe(warehouse, group="warehouse")
        for name in ("ann", "bob"):
            await Orders.producer(backbone).ordered(name, 1)
            await backbone.settled()
            assert warehouse.seen[-1] == name


async def test_settled_without_events() -> None:
    """Where there is nothing to handle, everything is settled."""
    async with memory_backbone() as backbone:
        await backbone.settled()
        backbone.subscribe(Warehouse(backbone), group="warehouse")
        await backbone.settled()


async def test_giving_up_settles_too() -> None:
    """What fails too often ends in the dead letters, which a test can look at."""
    async with memory_backbone() as backbone:
        backbone.subscribe(Warehouse(backbone), group="warehouse", retry=AT_ONCE)
        await Orders.producer(backbone).ordered("ann", -1)
        await backbone.settled()
        (buried,) = backbone.dead_letters(Orders.ordered, group="warehouse")
        assert (buried.letter.attempts, buried.stored.event) == (3, "ordered")
        assert "nobody orders less than nothing" in buried.letter.reason
        assert backbone.dead_letters(Orders.shipped, group="warehouse") == []


async def test_settled_says_what_is_left() -> None:
    """What does not settle in time raises, and says which group lacks what."""
    async with memory_backbone() as backbone:
        backbone.subscribe(Warehouse(backbone), group="warehouse", acknowledge=Acknowledge.MANUAL)
        await Orders.producer(backbone).ordered("ann", 1)
        with pytest.raises(TimeoutError, match=r"group warehouse of orders: \d pending"):
            await backbone.settled(timedelta(milliseconds=200))


async def test_two_backbones_share_a_server() -> None:
    """Backbones on one `MemoryServer` see the same events, like processes with one Redis."""
    server = MemoryServer()
    async with memory_backbone(server) as one, memory_backbone(server) as two:
        await Orders.producer(one).ordered("ann", 1)
        assert len(two.events(Orders.ordered)) == 1


async def test_environments_are_apart() -> None:
    """A backbone's environment comes before the stream's key, as on Redis."""
    server = MemoryServer()
    async with memory_backbone(server, environment="test") as one, memory_backbone(server) as two:
        await Orders.producer(one).ordered("ann", 1)
        assert server.streams() == ["test:orders"]
        assert (len(one.events(Orders.ordered)), len(two.events(Orders.ordered))) == (1, 0)


async def test_no_consumer_is_left_behind() -> None:
    """When the backbone ends, its consumers have left their groups."""
    server = MemoryServer()
    async with memory_backbone(server) as backbone:
        backbone.subscribe(Warehouse(backbone), group="warehouse")
        await Orders.producer(backbone).ordered("ann", 1)
        await backbone.settled()
        assert len(server.consumers("orders", "warehouse")) == 1
    assert server.consumers("orders", "warehouse") == []


async def test_the_fixture(memory_backbone: MemoryBackbone) -> None:
    """The pytest plugin has it as a fixture."""
    await Orders.producer(memory_backbone).shipped("ann")
    assert len(memory_backbone.events(Orders.shipped)) == 1
