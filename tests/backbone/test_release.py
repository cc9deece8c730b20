"""`Unhandled.RELEASE`: processes of one group that implement different events."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from esb_runtime import Backbone, Consume, ConsumerContext, Ordering, Unhandled, UsageError

from .conftest import Connect
from .kit import LEASE, Jobs, Orders, eventually, running, settled, until

LONG = timedelta(seconds=30)


class Numbers(Jobs[Consume]):
    """Implements jobs only."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.append((n, ctx.metadata.attempt))


class Notes(Jobs[Consume]):
    """Implements notes only."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    async def note(self, ctx: ConsumerContext, text: str, n: int = 0) -> None:
        self.seen.append((n, ctx.metadata.attempt))


async def test_each_gets_what_it_implements(connect: Connect) -> None:
    """Whoever is given an event that it does not implement leaves it to a process that does, at no cost."""
    one, other = connect(), connect()
    numbers, notes = Numbers(), Notes()
    one.subscribe(numbers, group="g", unhandled=Unhandled.RELEASE, lease=LONG)
    other.subscribe(notes, group="g", unhandled=Unhandled.RELEASE, lease=LONG)
    await one.batch([call for n in range(50) for call in (Jobs.job(n), Jobs.note("x", n))])
    async with running(one, other):
        await until(lambda: len(numbers.seen) == len(notes.seen) == 50)
    assert sorted(numbers.seen) == sorted(notes.seen) == [(n, 1) for n in range(50)]


async def test_whoever_comes_later(connect: Connect) -> None:
    """A process that starts within a lease gets what was left for it."""
    one, other = connect(), connect()
    numbers, notes = Numbers(), Notes()
    one.subscribe(numbers, group="g", unhandled=Unhandled.RELEASE, lease=LONG)
    other.subscribe(notes, group="g", unhandled=Unhandled.RELEASE, lease=LONG)
    await one.batch([Jobs.note("x", 1), Jobs.job(2)])
    async with running(one):
        await until(lambda: numbers.seen == [(2, 1)])
        async with running(other):
            await until(lambda: notes.seen == [(1, 1)])


async def test_nobody_comes(raw: Any) -> None:
    """When nobody implements the event within a lease, it goes to the dead letters; the rest goes on meanwhile."""
    async with Backbone.connect() as backbone:
        numbers = Numbers()
        backbone.subscribe(numbers, group="g", unhandled=Unhandled.RELEASE, lease=LEASE)
        await backbone.batch([Jobs.note("x"), Jobs.job(1)])
        async with running(backbone):
            await until(lambda: numbers.seen)
            ((_, letter),) = await eventually(lambda: raw.xrange("{jobs}:dlq:g"))
            await eventually(lambda: settled(raw, "jobs", "g"))
    assert letter[b"reason"] == b"nobody implements event 'note' version 1"
    assert letter[b"attempts"] == b"1"


@pytest.mark.parametrize("ordering", [Ordering.AUTO, Ordering.KEY])
async def test_it_needs_no_order(backbone: Backbone, ordering: Ordering) -> None:
    """Where events of one key wait for each other, releasing is refused at `subscribe`."""

    class Shop(Orders[Consume]):
        async def paid(self, ctx: ConsumerContext, customer: str, *, amount: int = 0) -> None: ...

    with pytest.raises(UsageError, match=r"Ordering\.NONE"):
        backbone.subscribe(Shop(), group="g", unhandled=Unhandled.RELEASE, ordering=ordering)
    backbone.subscribe(Shop(), group="g", unhandled=Unhandled.RELEASE, ordering=Ordering.NONE)
