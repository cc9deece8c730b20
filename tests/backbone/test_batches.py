"""Batch handlers: many events in one call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from esb_runtime import Backbone, Consume, Delivery, EventContract, Retry, Side, batch, event

from .kit import AT_ONCE, Jobs, Orders, eventually, running, until


def collector(size: int, wait: timedelta) -> Any:
    """A consumer that notes the batches it gets; `fail` says how many calls fail first."""

    class Collector(Jobs[Consume]):
        def __init__(self) -> None:
            self.batches: list[list[int]] = []
            self.fail = 0

        @batch(size=size, wait=wait)
        async def job(self, deliveries: Sequence[Delivery[...]]) -> None:
            self.batches.append([delivery.arguments["n"] for delivery in deliveries])
            if len(self.batches) <= self.fail:
                raise ValueError

    return Collector()


async def test_full_batches(backbone: Backbone) -> None:
    """A batch is handled when it is full, without waiting; events stay in order."""
    consumer = collector(100, timedelta(seconds=60))
    backbone.subscribe(consumer, group="g")
    await backbone.batch(Jobs.job(n) for n in range(1000))
    async with running(backbone):
        await until(lambda: sum(map(len, consumer.batches)) == 1000)
    assert [len(one) for one in consumer.batches] == [100] * 10
    assert [n for one in consumer.batches for n in one] == list(range(1000))


async def test_waiting_batches(backbone: Backbone) -> None:
    """A batch that does not fill up is handled when its first event has waited long enough."""
    consumer = collector(100, timedelta(seconds=0.05))
    backbone.subscribe(consumer, group="g")
    await backbone.batch(Jobs.job(n) for n in range(5))
    async with running(backbone):
        await until(lambda: consumer.batches)
    assert consumer.batches == [[0, 1, 2, 3, 4]]


async def test_failing_batches(backbone: Backbone) -> None:
    """A batch that fails is tried again, all of it."""
    consumer = collector(3, timedelta(seconds=0.05))
    consumer.fail = 1
    backbone.subscribe(consumer, group="g", retry=AT_ONCE)
    await backbone.batch(Jobs.job(n) for n in range(3))
    async with running(backbone):
        await until(lambda: len(consumer.batches) == 2)
    assert consumer.batches == [[0, 1, 2], [0, 1, 2]]


async def test_one_word_for_one_event(raw: Any) -> None:
    """In a batch each event can be acknowledged or rejected by itself; the others share the handler's outcome."""

    class Picky(Jobs[Consume]):
        def __init__(self) -> None:
            self.calls: list[list[int]] = []

        @batch(size=4, wait=timedelta(seconds=0.05))
        async def job(self, deliveries: Sequence[Delivery[...]]) -> None:
            self.calls.append([delivery.arguments["n"] for delivery in deliveries])
            for delivery in deliveries:
                if delivery.arguments["n"] == 0:
                    await delivery.ack()
                if delivery.arguments["n"] == 1:
                    await delivery.reject("not this one")
            if len(self.calls) == 1:
                raise ValueError

    async with Backbone.connect() as backbone:
        picky = Picky()
        backbone.subscribe(picky, group="g", retry=AT_ONCE)
        await backbone.batch(Jobs.job(n) for n in range(4))
        async with running(backbone):
            await until(lambda: len(picky.calls) == 2)
        assert picky.calls == [[0, 1, 2, 3], [2, 3]]
        assert [fields[b"reason"] for _, fields in await raw.xrange("{jobs}:dlq:g")] == [b"not this one"]


class Texts(EventContract[Side], uri="jobs"):
    """The same event as `Jobs.job`, with another type."""

    @event
    async def job(self, n: str) -> None: ...


async def test_a_bad_event_hurts_nobody_else(raw: Any) -> None:
    """An event that cannot be decoded is buried alone; the rest of its batch is handled, at the first try."""
    consumer = collector(10, timedelta(seconds=0.1))
    async with Backbone.connect() as backbone:
        backbone.subscribe(consumer, group="g")
        await backbone.batch([Jobs.job(0), Texts.job("no number"), Jobs.job(2)])
        async with running(backbone):
            await until(lambda: consumer.batches)
            letters = await eventually(lambda: raw.xrange("{jobs}:dlq:g"))
        assert consumer.batches == [[0, 2]]
        assert [fields[b"reason"].startswith(b"cannot be decoded") for _, fields in letters] == [True]
        assert b"no number" not in letters[0][1][b"reason"]


async def test_values_of_neighbours(raw: Any, caplog: Any) -> None:
    """A batch's error is written without the values of any of its events."""

    class Chatty(Jobs[Consume]):
        @batch(size=2)
        async def note(self, deliveries: Sequence[Delivery[...]]) -> None:
            raise ValueError(f"cannot store {[delivery.arguments['text'] for delivery in deliveries]}")

    async with Backbone.connect() as backbone:
        backbone.subscribe(Chatty(), group="g", retry=Retry(attempts=1))
        await backbone.batch([Jobs.note("ann@example.com"), Jobs.note("bob@example.com")])
        async with running(backbone):
            letters = await eventually(lambda: _both(raw))
    words = str(letters) + caplog.text
    assert "cannot store" in words
    assert "example.com" not in str([fields[b"reason"] for _, fields in letters]) + caplog.text


async def _both(raw: Any) -> Any:
    letters = await raw.xrange("{jobs}:dlq:g")
    return letters if len(letters) == 2 else None


async def test_keys_in_batches(backbone: Backbone) -> None:
    """With ordering by key a batch holds one event of a key at most, so a failing one cannot be overtaken."""

    class Keyed(Orders[Consume]):
        def __init__(self) -> None:
            self.calls: list[list[tuple[str, int]]] = []

        @batch(size=10, wait=timedelta(seconds=0.02))
        async def placed(self, deliveries: Sequence[Delivery[...]]) -> None:
            self.calls.append([(each.arguments["customer"], each.arguments["n"]) for each in deliveries])

    keyed = Keyed()
    backbone.subscribe(keyed, group="g")
    await backbone.batch(Orders.placed(customer, n) for n in range(3) for customer in ("ann", "bob"))
    async with running(backbone):
        await until(lambda: sum(map(len, keyed.calls)) == 6)
    assert keyed.calls == [[("ann", n), ("bob", n)] for n in range(3)]


async def test_a_stop_hands_back_an_open_batch(backbone: Backbone) -> None:
    """What waits in a batch that is not full when its process stops is handed back untouched."""
    consumer, successor = collector(100, timedelta(seconds=60)), collector(2, timedelta(seconds=60))
    leaving = backbone.subscribe(consumer, group="g")
    await backbone.batch([Jobs.job(1), Jobs.job(2)])
    async with running(leaving):
        await until(lambda: leaving._engines and leaving._engines[0]._runner._batches._open)
        async with asyncio.timeout(5):
            await leaving.stop()
    backbone._taken.clear()
    async with running(backbone.subscribe(successor, group="g")):
        await until(lambda: successor.batches)
    assert (consumer.batches, successor.batches) == ([], [[1, 2]])
