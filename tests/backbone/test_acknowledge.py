"""When an event counts as handled, and what a handler can say about it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from esb_runtime import (
    Acknowledge,
    Backbone,
    Consume,
    ConsumerContext,
    OwnershipLost,
    Retry,
)

from .conftest import Connect
from .kit import AT_ONCE, Jobs, Manual, Orders, eventually, pending, running, settled, until

MANUAL = Acknowledge.MANUAL


async def test_on_success(backbone: Backbone) -> None:
    """A failing handler is tried again, with its attempt counted; a handled event never comes back."""

    async def third_time_lucky(ctx: ConsumerContext) -> None:
        if ctx.metadata.attempt < 3:
            raise ValueError

    consumer = Manual(third_time_lucky)
    backbone.subscribe(consumer, group="g", retry=AT_ONCE)
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        await until(lambda: consumer.attempts == [1, 2, 3])
        await Jobs.producer(backbone).job(2)
        await until(lambda: len(consumer.attempts) >= 4)
    assert consumer.attempts[:4] == [1, 2, 3, 1]


async def test_on_finish(backbone: Backbone) -> None:
    """`ON_FINISH` never retries: a failure counts as handled too."""

    async def fail(ctx: ConsumerContext) -> None:
        raise ValueError

    consumer = Manual(fail)
    backbone.subscribe(consumer, group="g", acknowledge=Acknowledge.ON_FINISH, retry=AT_ONCE)
    await backbone.batch([Jobs.job(1), Jobs.job(2)])
    async with running(backbone):
        await until(lambda: len(consumer.contexts) == 2)
    assert consumer.attempts == [1, 1]


async def test_manual_ack(raw: Any) -> None:
    """With MANUAL an event stays pending until `ack`, which may come late, and is durable when it returns."""
    async with Backbone.connect() as backbone:
        consumer = Manual()
        backbone.subscribe(consumer, group="g", acknowledge=MANUAL)
        await backbone.batch([Jobs.job(1), Jobs.job(2)])
        async with running(backbone):
            await until(lambda: len(consumer.contexts) == 2)
            assert await pending(raw, "jobs", "g") == 2
            await consumer.contexts[1].ack()
            assert await pending(raw, "jobs", "g") == 1
            await consumer.contexts[0].ack()
            assert await pending(raw, "jobs", "g") == 0


async def test_ack_inside_a_handler(raw: Any) -> None:
    """An `ack` inside a handler stands, even when the handler fails afterwards."""

    async def ack_and_fail(ctx: ConsumerContext) -> None:
        await ctx.ack()
        assert await pending(raw, "jobs", "g") == 0
        raise ValueError

    async with Backbone.connect() as backbone:
        consumer = Manual(ack_and_fail)
        backbone.subscribe(consumer, group="g", retry=AT_ONCE)
        await backbone.batch([Jobs.job(1), Jobs.job(2)])
        async with running(backbone):
            await until(lambda: len(consumer.contexts) == 2)
        assert consumer.attempts == [1, 1]


@pytest.mark.parametrize("late", [False, True])
async def test_nack(backbone: Backbone, late: bool) -> None:
    """`nack` has the event tried again after its own time; inside the handler or after it."""

    async def nack(ctx: ConsumerContext) -> None:
        if ctx.metadata.attempt == 1:
            await ctx.nack(after=timedelta(0))
        else:
            await ctx.ack()

    consumer = Manual(None if late else nack)
    backbone.subscribe(consumer, group="g", acknowledge=MANUAL, retry=Retry(first_delay=timedelta(seconds=60)))
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        if late:
            await until(lambda: consumer.contexts)
            consumer.say = nack
            await nack(consumer.contexts[0])
        await until(lambda: consumer.attempts == [1, 2])


@pytest.mark.parametrize("late", [False, True])
async def test_reject(raw: Any, late: bool) -> None:
    """`reject` moves the event to the dead letters at once, with its reason and without argument values."""

    async def reject(ctx: ConsumerContext) -> None:
        await ctx.reject("no good: 123456")

    async with Backbone.connect() as backbone:
        consumer = Manual(None if late else reject)
        backbone.subscribe(consumer, group="g", acknowledge=MANUAL)
        await backbone.batch([Jobs.job(123456), Jobs.job(2)])
        async with running(backbone):
            await until(lambda: len(consumer.contexts) == 2)
            if late:
                await reject(consumer.contexts[0])
                await reject(consumer.contexts[1])
            letters = await eventually(lambda: raw.xrange("{jobs}:dlq:g"))
            assert letters[0][1][b"reason"] == b"no good: ***"
            await eventually(lambda: settled(raw, "jobs", "g"))


async def test_followers_of_a_silent_event(backbone: Backbone) -> None:
    """With MANUAL the next event of a key starts when the handler of the one before has returned."""

    class Silent(Orders[Consume]):
        def __init__(self) -> None:
            self.seen: list[int] = []

        async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
            self.seen.append(n)

    silent = Silent()
    backbone.subscribe(silent, group="g", acknowledge=MANUAL)
    await backbone.batch(Orders.placed("ann", n) for n in range(3))
    async with running(backbone):
        await until(lambda: len(silent.seen) == 3)


async def test_unsaid_events_come_back(connect: Connect) -> None:
    """What a process never said a word about goes to another one when it stops, at no cost."""
    first, second = connect(), connect()
    silent, successor = Manual(), Manual()
    leaving = first.subscribe(silent, group="g", acknowledge=MANUAL)
    await Jobs.producer(first).job(1)
    async with running(leaving):
        await until(lambda: silent.contexts)
    second.subscribe(successor, group="g")
    async with running(second):
        await until(lambda: successor.contexts)
    assert successor.attempts == [1]


async def test_a_process_that_lost_its_events(connect: Connect) -> None:
    """When another process owns the stream, a late `ack` is refused, and the handler sees that it should stop."""
    held: list[ConsumerContext] = []

    class Keeps(Orders[Consume]):
        async def placed(self, ctx: ConsumerContext, customer: str, n: int) -> None:
            held.append(ctx)

    backbone = connect()
    subscription = backbone.subscribe(Keeps(), group="g", acknowledge=MANUAL)
    await Orders.producer(backbone).placed("ann", 1)
    async with running(backbone):
        await until(lambda: held)
        await subscription._engines[0]._runner.drop()
        assert held[0].cancelled
        with pytest.raises(OwnershipLost, match="'orders' for group 'g'"):
            await held[0].ack()
