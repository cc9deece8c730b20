"""What surrounds a handler: its context, middleware, the record of what was handled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from esb_runtime import Backbone, ConsumerContext, Delivery, Retry, UsageError

from .kit import Jobs, Manual, eventually, running, settled, until


async def test_the_current_context(backbone: Backbone) -> None:
    """`ConsumerContext.current()` is the handler's, anywhere below it, and an error outside of one."""
    found: list[ConsumerContext] = []

    async def below(ctx: ConsumerContext) -> None:
        assert ConsumerContext.current() is ctx
        found.append(await asyncio.create_task(_current()))

    consumer = Manual(below)
    backbone.subscribe(consumer, group="g", concurrency=4)
    await backbone.batch(Jobs.job(n) for n in range(20))
    async with running(backbone):
        await until(lambda: len(found) == 20)
    assert {id(one) for one in found} == {id(one) for one in consumer.contexts}
    with pytest.raises(UsageError):
        ConsumerContext.current()


async def _current() -> ConsumerContext:
    return ConsumerContext.current()


async def test_middleware(backbone: Backbone) -> None:
    """Middleware wraps every handler, the first outermost; it sees failures, and may keep an event to itself."""
    log: list[Any] = []

    class Layer:
        def __init__(self, name: str) -> None:
            self.name = name

        async def __call__(self, delivery: Delivery[...], call_next: Any) -> None:
            log.append((self.name, delivery.arguments["n"]))
            if delivery.arguments["n"] == 3:
                return
            try:
                await call_next(delivery)
            except ValueError:
                log.append((self.name, "failed"))
                raise

    async def fail_on_two(ctx: ConsumerContext) -> None:
        log.append("handler")
        if (await backbone.get(ctx.metadata.key)).arguments["n"] == 2:
            raise ValueError

    consumer = Manual(fail_on_two)
    once = Retry(attempts=1)
    backbone.subscribe(consumer, group="g", middleware=[Layer("outer"), Layer("inner")], retry=once)
    await backbone.batch(Jobs.job(n) for n in (1, 2, 3))
    async with running(backbone):
        await until(lambda: ("outer", 3) in log)
    first = [("outer", 1), ("inner", 1), "handler"]
    second = [("outer", 2), ("inner", 2), "handler", ("inner", "failed"), ("outer", "failed")]
    assert log == [*first, *second, ("outer", 3)]


async def test_idempotent(raw: Any) -> None:
    """With `idempotent` a message id handled once is not handled again, not even by a group that was re-created."""
    async with Backbone.connect() as backbone:
        consumer = Manual()
        backbone.subscribe(consumer, group="g", idempotent=True)
        await backbone.batch(Jobs.job(n) for n in range(5))
        async with running(backbone):
            await until(lambda: len(consumer.contexts) == 5)
            await eventually(lambda: settled(raw, "jobs", "g"))
            await raw.xgroup_destroy("jobs", "g")
            await raw.delete("{jobs}:floor:g")
            await Jobs.producer(backbone).job(5)
            await until(lambda: len(consumer.contexts) >= 6)
            await eventually(lambda: settled(raw, "jobs", "g"))
        assert len(consumer.contexts) == 6
