"""`given(...).when(...).then(...)`: a test of what consumers make of events."""

from __future__ import annotations

from datetime import timedelta

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, EventContract, Retry, Side, event
from esb_runtime.testing import Faults, given


class Orders(EventContract[Side], uri="orders"):
    """What is asked for."""

    @event(key="name")
    async def ordered(self, name: str, count: int = 1) -> None: ...

    @event
    async def cancelled(self, name: str) -> None: ...


class Parcels(EventContract[Side], uri="parcels"):
    """What is done about it."""

    @event
    async def packed(self, name: str, count: int) -> None: ...

    @event
    async def stopped(self, name: str) -> None: ...


class Packer(Orders[Consume]):
    """Packs what is ordered, stops what is cancelled and was ordered before."""

    def __init__(self, parcels: Parcels) -> None:
        self.parcels = parcels
        self.known: set[str] = set()

    async def ordered(self, ctx: ConsumerContext, name: str, count: int) -> None:
        if count < 0:
            raise ValueError("nobody orders less than nothing")
        self.known.add(name)
        await self.parcels.packed(name, count)

    async def cancelled(self, ctx: ConsumerContext, name: str) -> None:
        if name in self.known:
            await self.parcels.stopped(name)


def wire(backbone: Backbone) -> None:
    retry = Retry(attempts=2, first_delay=timedelta(0))
    backbone.subscribe(Packer(Parcels.producer(backbone)), group="packers", retry=retry)


async def test_what_follows() -> None:
    """Exactly what the consumers produced since `when` is compared; history and causes do not count."""
    await given(Orders.ordered("ann"), wire=wire).when(Orders.cancelled("ann")).then(Parcels.stopped("ann"))
    await given(wire=wire).when(Orders.cancelled("ann")).then()
    await (
        given(wire=wire)
        .when(Orders.ordered("ann"), Orders.ordered("bob", count=2))
        .then(Parcels.packed("ann", 1), Parcels.packed("bob", 2))
    )


async def test_what_is_done() -> None:
    """`when` also takes a function that produces: what it produced is part of what follows."""

    async def order(backbone: Backbone) -> None:
        await Orders.producer(backbone).ordered("cid", 3)

    await given(wire=wire).when(order).then(Orders.ordered("cid", 3), Parcels.packed("cid", 3))


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ([Parcels.packed("ann", 2)], r"expected: .*count=2\)\n +followed: .*count=1\)"),
        ([Parcels.packed("ann", 1), Parcels.stopped("ann")], r"expected: .*stopped\(name='ann'\)\n"),
    ],
)
async def test_a_difference_is_shown(expected: list[object], words: str) -> None:
    """What differs is shown with both sides."""
    with pytest.raises(AssertionError, match=words):
        await given(wire=wire).when(Orders.ordered("ann")).then(*expected)  # type: ignore[arg-type]


async def test_an_unknown_event_is_shown() -> None:
    """An event of a contract that the scenario does not name is shown by its name."""
    with pytest.raises(AssertionError, match=r"followed: packed version 1"):
        await given(wire=wire).when(Orders.ordered("ann")).then()


async def test_giving_up_is_no_success() -> None:
    """An event that ended in the dead letters fails the scenario, with its reason."""
    with pytest.raises(AssertionError, match=r"group packers gave up ordered: ValueError: nobody"):
        await given(wire=wire).when(Orders.ordered("ann", -1)).then()


async def test_under_faults() -> None:
    """A scenario holds under faults that may not change what follows."""
    faults = Faults(lose_replies=2, lose_acks=2)
    await given(wire=wire, faults=faults).when(Orders.ordered("ann")).then(Parcels.packed("ann", 1))
