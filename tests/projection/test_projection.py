"""Projections: views folded from history, in order, each event once."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from esb_runtime import (
    Backbone,
    ChannelError,
    Consume,
    ConsumerContext,
    ContractError,
    DecodeError,
    Delivery,
    EventContract,
    EventKey,
    Position,
    Projection,
    Side,
    UsageError,
    batch,
    event,
)
from esb_runtime.testing import ManualClock, MemoryServer, memory_backbone


class Shop(EventContract[Side], uri="shop"):
    """What the views are folded from."""

    @event
    async def sold(self, product: str, count: int) -> None: ...

    @event
    async def closed(self) -> None: ...


class Reviews(EventContract[Side], uri="reviews"):
    """A second stream."""

    @event
    async def reviewed(self, product: str, stars: int) -> None: ...


class Sales(Projection, Shop[Consume]):
    """Counts in memory; a product named `broken` cannot be counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    async def sold(self, ctx: ConsumerContext, product: str, count: int) -> None:
        if product == "broken":
            raise ValueError("cannot be counted")
        self.counts[product] += count


async def sell(backbone: Backbone, *products: str) -> list[str]:
    """Produce one sale for each product; the entry ids."""
    shop = Shop.producer(backbone)
    return [(await shop.sold(product, 1)).id for product in products]


async def test_history_is_folded() -> None:
    """`project` folds everything there is, and returns how far it has come."""
    async with memory_backbone() as backbone:
        ids = await sell(backbone, "pen", "pad", "pen")
        view = Sales()
        position = await backbone.project(view)
        assert view.counts == {"pen": 2, "pad": 1}
        assert position == Position({"shop": ids[-1]})


async def test_catching_up() -> None:
    """A second `project` folds only what came since; the position is kept on the object."""
    async with memory_backbone() as backbone:
        view = Sales()
        await sell(backbone, "pen")
        first = await backbone.project(view)
        await sell(backbone, "pen", "pad")
        second = await backbone.project(view)
        assert await backbone.project(view) == second != first
        assert view.counts == {"pen": 2, "pad": 1}


async def test_from_a_position() -> None:
    """`after` begins behind an event that the caller knows to be in."""
    async with memory_backbone() as backbone:
        ids = await sell(backbone, "pen", "pad", "ink")
        view = Sales()
        await backbone.project(view, after=Position({"shop": ids[0]}))
        assert view.counts == {"pad": 1, "ink": 1}


async def test_no_group_is_touched() -> None:
    """Folding history leaves no trace on the server."""
    server = MemoryServer()
    async with memory_backbone(server) as backbone:
        await sell(backbone, "pen")
        await backbone.project(Sales())
        assert server.groups("shop") == []


async def test_state_at_a_time() -> None:
    """`until` a time or a key, inclusive: the view as it was then."""
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    async with memory_backbone(MemoryServer(clock=clock)) as backbone:
        await sell(backbone, "pen")
        clock.advance(timedelta(hours=1))
        key = await Shop.producer(backbone).sold("pad", 1)
        clock.advance(timedelta(hours=1))
        await sell(backbone, "ink")
        then, there = Sales(), Sales()
        await backbone.project(then, until=datetime(2026, 3, 1, 0, 30, tzinfo=UTC))
        await backbone.project(there, until=key)
        assert then.counts == {"pen": 1}
        assert there.counts == {"pen": 1, "pad": 1}


async def test_position_moves_past_what_concerns_nobody() -> None:
    """Events that the view does not implement move its position too."""
    async with memory_backbone() as backbone:
        await sell(backbone, "pen")
        key = await Shop.producer(backbone).closed()
        assert (await backbone.project(Sales())).covers(key)


async def test_long_history() -> None:
    """History of many pages is folded whole and in order."""
    seen: list[int] = []

    class Order(Projection, Shop[Consume]):
        async def sold(self, ctx: ConsumerContext, product: str, count: int) -> None:
            seen.append(count)

    async with memory_backbone() as backbone:
        await backbone.batch(Shop.sold("pen", n) for n in range(1234))
        await backbone.project(Order())
    assert seen == list(range(1234))


async def test_several_streams_are_merged_by_time() -> None:
    """A view of several contracts gets their events in the order in which they happened."""
    seen: list[str] = []

    class Both(Projection, Shop[Consume], Reviews[Consume]):
        async def sold(self, ctx: ConsumerContext, product: str, count: int) -> None:
            seen.append(f"sold {product}")

        async def reviewed(self, ctx: ConsumerContext, product: str, stars: int) -> None:
            seen.append(f"reviewed {product}")

    clock = ManualClock()
    async with memory_backbone(MemoryServer(clock=clock)) as backbone:
        shop, reviews = Shop.producer(backbone), Reviews.producer(backbone)
        for product in ("pen", "pad", "ink"):
            await shop.sold(product, 1)
            clock.advance(timedelta(seconds=1))
            await reviews.reviewed(product, 5)
            clock.advance(timedelta(seconds=1))
        position = await backbone.project(Both())
        assert set(position.ids) == {"shop", "reviews"}
    assert seen == ["sold pen", "reviewed pen", "sold pad", "reviewed pad", "sold ink", "reviewed ink"]


async def test_a_failing_handler_stops_the_fold() -> None:
    """`project` raises what a handler raises; the view stands just before that event and can go on there."""
    async with memory_backbone() as backbone:
        ids = await sell(backbone, "pen", "broken", "pad")
        view = Sales()
        with pytest.raises(ValueError, match="cannot be counted"):
            await backbone.project(view)
        assert (await view.checkpoint(), view.counts) == (Position({"shop": ids[0]}), {"pen": 1})
        await backbone.project(view, after=Position({"shop": ids[1]}))
        assert view.counts == {"pen": 1, "pad": 1}


async def test_what_cannot_be_read_is_said() -> None:
    """An entry that esb did not write, or a value of the wrong type, is an error and not passed over."""
    server = MemoryServer()
    async with memory_backbone(server) as backbone:
        server.put_entry("shop", {b"not": b"ours"})
        with pytest.raises(ChannelError, match="cannot be read"):
            await backbone.project(Sales())

    class Other(EventContract[Side], uri="shop"):
        @event
        async def sold(self, product: str, count: str) -> None: ...

    async with memory_backbone() as backbone:
        await Other.producer(backbone).sold("pen", "many")
        with pytest.raises(DecodeError, match="count"):
            await backbone.project(Sales())


async def test_fallback() -> None:
    """A view's `fallback` gets the events that it has no method for."""
    seen: list[str] = []

    class Everything(Projection, Shop[Consume]):
        async def fallback(self, ctx: ConsumerContext, delivery: Delivery[...]) -> None:
            seen.append(delivery.metadata.event)

    async with memory_backbone() as backbone:
        await sell(backbone, "pen")
        await Shop.producer(backbone).closed()
        await backbone.project(Everything())
    assert seen == ["sold", "closed"]


async def test_batch_handlers() -> None:
    """A batch handler of a view gets deliveries, in order."""
    seen: list[str] = []

    class Batched(Projection, Shop[Consume]):
        @batch(size=10)
        async def sold(self, deliveries: Sequence[Delivery[...]]) -> None:
            seen.extend(delivery.arguments["product"] for delivery in deliveries)

    async with memory_backbone() as backbone:
        await sell(backbone, "pen", "pad")
        await backbone.project(Batched())
    assert seen == ["pen", "pad"]


async def test_context() -> None:
    """The context names the event; acknowledging in a projection is an error that says why."""
    found: list[str] = []

    class Acking(Projection, Shop[Consume]):
        async def sold(self, ctx: ConsumerContext, product: str, count: int) -> None:
            assert ConsumerContext.current() is ctx
            found.append(ctx.metadata.key.id)
            await ctx.ack()

    async with memory_backbone() as backbone:
        ids = await sell(backbone, "pen")
        with pytest.raises(UsageError, match="not acknowledged"):
            await backbone.project(Acking())
    assert found == ids
    with pytest.raises(UsageError):
        ConsumerContext.current()


class Stored(Sales):
    """A view over a database that is a dictionary: what a transaction changed is undone when it fails."""

    def __init__(self, database: dict[str, int], checkpoints: dict[str, str]) -> None:
        super().__init__()
        self.database = database
        self.checkpoints = checkpoints
        self.transactions = 0
        self.fail_to_save = False

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None, None]:
        rows, position = dict(self.database), dict(self.checkpoints)
        self.transactions += 1
        try:
            yield
        except BaseException:
            self.database.clear()
            self.database.update(rows)
            self.checkpoints.clear()
            self.checkpoints.update(position)
            raise

    async def checkpoint(self) -> Position | None:
        return Position.parse(self.checkpoints["sales"]) if "sales" in self.checkpoints else None

    async def save(self, position: Position) -> None:
        if self.fail_to_save:
            raise OSError("the disk is full")
        self.checkpoints["sales"] = str(position)

    async def sold(self, ctx: ConsumerContext, product: str, count: int) -> None:
        self.database[product] = self.database.get(product, 0) + count
        await super().sold(ctx, product, count)


async def test_rows_and_position_together() -> None:
    """A stored view keeps rows and position in one transaction: after an error neither of them moved."""
    rows: dict[str, int] = {}
    checkpoints: dict[str, str] = {}
    async with memory_backbone() as backbone:
        ids = await sell(backbone, "pen", "broken")
        with pytest.raises(ValueError, match="cannot be counted"):
            await backbone.project(Stored(rows, checkpoints))
        assert rows == {"pen": 1}
        assert Position.parse(checkpoints["sales"]) == Position({"shop": ids[0]})


async def test_a_crash_between_rows_and_position() -> None:
    """What was not committed with its position is folded again by the next process, once."""
    rows: dict[str, int] = {}
    checkpoints: dict[str, str] = {}
    async with memory_backbone() as backbone:
        await sell(backbone, "pen", "pen")
        view = Stored(rows, checkpoints)
        view.fail_to_save = True
        with pytest.raises(OSError, match="disk"):
            await backbone.project(view)
        assert rows == {}
        await backbone.project(Stored(rows, checkpoints))
        assert rows == {"pen": 2}


async def test_two_processes_never_apply_twice() -> None:
    """Who finds that another process has moved the checkpoint meanwhile goes on from there."""
    rows: dict[str, int] = {}
    checkpoints: dict[str, str] = {}

    class Slow(Stored):
        other: Stored | None = None

        async def checkpoint(self) -> Position | None:
            found = await super().checkpoint()
            if self.other is not None and self.transactions == 2:
                other, self.other = self.other, None
                await backbone.project(other)
                return await super().checkpoint()
            return found

    async with memory_backbone() as backbone:
        await sell(backbone, "pen", "pad", "ink")
        slow = Slow(rows, checkpoints)
        slow.other = Stored(rows, checkpoints)
        await backbone.project(slow)
    assert rows == {"pen": 1, "pad": 1, "ink": 1}


async def test_events_per_transaction() -> None:
    """A view may fold several events in one transaction, and then does no other work than that."""
    rows: dict[str, int] = {}

    class Large(Stored):
        events_per_transaction = 100

    async with memory_backbone() as backbone:
        await backbone.batch(Shop.sold("pen", 1) for _ in range(250))
        view = Large(rows, {})
        await backbone.project(view)
    assert rows == {"pen": 250}
    assert view.transactions == 1 + 3


async def test_half_a_store_is_refused() -> None:
    """A view that saves its position but never reads it, or the reverse, is a mistake that is named."""

    class Half(Sales):
        async def save(self, position: Position) -> None: ...

    async with memory_backbone() as backbone:
        with pytest.raises(ContractError, match="overrides save only"):
            await backbone.project(Half())
        with pytest.raises(UsageError, match="its own checkpoint"):
            await backbone.project(Stored({}, {}), after=Position())


async def test_a_view_without_a_contract_is_refused() -> None:
    """A projection that is not a consumer has nothing to fold."""

    class Bare(Projection): ...

    async with memory_backbone() as backbone:
        with pytest.raises(ContractError, match=r"write class Bare\(Projection, Contract\[Consume\]\)"):
            await backbone.project(Bare())


def test_position_as_text() -> None:
    """A position is text that can be stored and read back; anything else is refused."""
    position = Position({"prod:shop": "1-2", 'we"ird/é': "1685268930300-0"})
    assert Position.parse(str(position)) == position
    assert Position.parse("{}") == Position()
    for text in ("", "[]", '{"shop": 1}', '{"shop": "yesterday"}', '{"": "1-0"}'):
        with pytest.raises(ValueError, match="not a position"):
            Position.parse(text)


def test_position_compares_numbers() -> None:
    """Ids compare as numbers, never as text."""
    position = Position({"shop": "99-9"})
    assert position.covers(EventKey.parse("shop/99-9"))
    assert not position.covers(EventKey.parse("shop/99-10"))
    assert not position.covers(EventKey.parse("shop/100-0"))
    assert not position.covers(EventKey.parse("elsewhere/1-0"))
