"""Which handler gets which event."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from esb_runtime import (
    Backbone,
    Consume,
    ConsumerContext,
    ContractError,
    Delivery,
    Deprecated,
    EventContract,
    Side,
    Start,
    Unhandled,
    UsageError,
    event,
)

from .kit import AT_ONCE, Jobs, Orders, running, until


class Parcels(EventContract[Side], uri="parcels"):
    """A contract with a past."""

    @event(name="sent", version=1, deprecated=Deprecated(since=date(2026, 1, 1)))
    async def sent_v1(self, email: str) -> None: ...

    @event(version=2)
    async def sent(self, email: str, weight: int) -> None: ...


class Tracked(Parcels[Side]):
    """Adds an event to an inherited contract, on the same stream."""

    @event
    async def arrived(self, email: str) -> None: ...


class Seen:
    """Notes what was handled."""

    def __init__(self) -> None:
        self.seen: list[Any] = []


class Everything(Seen, Jobs[Consume]):
    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.append(("job", n))

    async def note(self, ctx: ConsumerContext, text: str, n: int = 0) -> None:
        self.seen.append(("note", text, n))


async def test_groups_get_every_event(backbone: Backbone) -> None:
    """Each group gets every event of the stream, also those from before it existed."""
    one, other = Everything(), Everything()
    backbone.subscribe(one, group="one")
    backbone.subscribe(other, group="other")
    await Jobs.producer(backbone).job(1)
    async with running(backbone):
        await Jobs.producer(backbone).note("a")
        await until(lambda: one.seen == other.seen == [("job", 1), ("note", "a", 0)])


async def test_starting_at_the_end(backbone: Backbone) -> None:
    """`Start.END` gives a new group what comes after it, and only a new one."""
    consumer, late = Everything(), Everything()
    jobs = Jobs.producer(backbone)
    await jobs.job(1)
    first = backbone.subscribe(consumer, group="g", start=Start.END)
    async with running(first):
        async with asyncio.timeout(10):
            while not consumer.seen:  # until the group is there, events come before its beginning
                await jobs.job(2)
    seen = len(consumer.seen)
    assert ("job", 1) not in consumer.seen
    backbone._taken.clear()
    await jobs.job(3)
    async with running(backbone.subscribe(late, group="g", start=Start.END)):
        await until(lambda: late.seen and late.seen[-1] == ("job", 3))
    assert ("job", 1) not in late.seen
    assert len(consumer.seen) == seen


async def test_several_consumers_of_one_subscription(backbone: Backbone) -> None:
    """Consumers that are subscribed together each get every event that they implement."""

    class JobsOnly(Seen, Jobs[Consume]):
        async def job(self, ctx: ConsumerContext, n: int) -> None:
            self.seen.append(n)

    everything, some = Everything(), JobsOnly()
    backbone.subscribe(everything, some, group="g")
    await backbone.batch([Jobs.job(1), Jobs.note("a")])
    async with running(backbone):
        await until(lambda: len(everything.seen) == 2)
    assert some.seen == [1]


async def test_two_contracts_in_one_consumer(backbone: Backbone) -> None:
    """One class may implement several contracts; it gets the events of all their streams."""

    class Both(Seen, Jobs[Consume], Orders[Consume]):
        async def job(self, ctx: ConsumerContext, n: int) -> None:
            self.seen.append(ctx.metadata.uri)

        async def paid(self, ctx: ConsumerContext, customer: str, *, amount: int = 0) -> None:
            self.seen.append((ctx.metadata.uri, customer, amount))

    both = Both()
    subscription = backbone.subscribe(both, group="g")
    assert sorted(subscription.streams) == ["jobs", "orders"]
    await backbone.batch([Jobs.job(1), Orders.paid("ann", amount=2)])
    async with running(backbone):
        await until(lambda: len(both.seen) == 2)
    assert set(both.seen) == {"jobs", ("orders", "ann", 2)}


async def test_inherited_events(backbone: Backbone) -> None:
    """A consumer of a contract that inherits gets the inherited events too, each once."""

    class Tracker(Seen, Tracked[Consume], Parcels[Consume]):
        async def sent(self, ctx: ConsumerContext, email: str, weight: int) -> None:
            self.seen.append(("sent", weight))

        async def arrived(self, ctx: ConsumerContext, email: str) -> None:
            self.seen.append("arrived")

    tracker = Tracker()
    backbone.subscribe(tracker, group="g")
    tracked = Tracked.producer(backbone)
    await Parcels.producer(backbone).sent("a@b", 1)
    await tracked.sent("a@b", 2)
    await tracked.arrived("a@b")
    async with running(backbone):
        await until(lambda: "arrived" in tracker.seen)
    assert tracker.seen == [("sent", 1), ("sent", 2), "arrived"]


async def test_versions_and_the_fallback(backbone: Backbone) -> None:
    """What nobody implements, or is older than `minimum_version`, reaches `fallback`, which maps it onto a handler."""

    class Current(Seen, Parcels[Consume]):
        async def sent(self, ctx: ConsumerContext, email: str, weight: int) -> None:
            self.seen.append((email, weight, ctx.metadata.version))

        async def sent_v1(self, ctx: ConsumerContext, email: str) -> None:
            raise AssertionError("older than the minimum version")

        async def fallback(self, ctx: ConsumerContext, delivery: Delivery[...]) -> None:
            old = delivery.of(Parcels.sent_v1)
            if old is not None:
                await self.sent(ctx, old.apply(lambda email: email), 0)
            else:
                self.seen.append((delivery.metadata.event, delivery.argument("text", str)))

    current = Current()
    backbone.subscribe(current, group="g", minimum_version=2)
    parcels = Parcels.producer(backbone)
    with pytest.warns(DeprecationWarning, match="sent_v1"):
        await parcels.sent_v1("old@b")
    await parcels.sent("new@b", 7)
    async with running(backbone):
        await until(lambda: len(current.seen) == 2)
    assert current.seen == [("old@b", 0, 1), ("new@b", 7, 2)]


async def test_events_of_no_contract(backbone: Backbone) -> None:
    """`delivery.argument` reads events that the consumer's contract does not know."""

    class Listener(Seen, Orders[Consume]):
        async def fallback(self, ctx: ConsumerContext, delivery: Delivery[...]) -> None:
            self.seen.append((delivery.metadata.event, delivery.argument("text", str), delivery.arguments["n"]))

    listener = Listener()
    backbone.subscribe(listener, group="g", uri="jobs")
    await Jobs.producer(backbone).note("hello", 3)
    async with running(backbone):
        await until(lambda: listener.seen)
    assert listener.seen == [("note", "hello", 3)]


class JobsAlone(Seen, Jobs[Consume]):
    async def job(self, ctx: ConsumerContext, n: int) -> None:
        self.seen.append(n)


async def test_unhandled_events_are_skipped_and_counted(backbone: Backbone) -> None:
    """`Unhandled.SKIP` acknowledges what nobody implements, and counts it."""
    consumer = JobsAlone()
    subscription = backbone.subscribe(consumer, group="g")
    await backbone.batch([Jobs.note("a"), Jobs.note("b"), Jobs.job(1)])
    async with running(backbone):
        await until(lambda: consumer.seen == [1])
        assert subscription.skipped == 2


async def test_functions_share_a_group(backbone: Backbone) -> None:
    """Functions of one group share a subscription: each gets its event, and nothing is taken from another."""
    seen: list[Any] = []

    @backbone.on(Jobs.job, group="g", retry=AT_ONCE)
    async def on_job(ctx: ConsumerContext, n: int) -> None:
        seen.append(n)

    @backbone.on(Jobs.note, group="g")
    async def on_note(ctx: ConsumerContext, text: str, n: int = 0) -> None:
        seen.append(text)

    await backbone.batch([Jobs.job(1), Jobs.note("a"), Jobs.job(2)])
    async with running(backbone):
        await until(lambda: len(seen) == 3)
    assert seen == [1, "a", 2]


async def test_functions_that_do_not_fit(backbone: Backbone) -> None:
    """A second function for one event, options given twice, and wrong parameters are refused where they are written."""

    async def on_job(ctx: ConsumerContext, n: int) -> None: ...

    async def wrong(ctx: ConsumerContext, number: int) -> None: ...

    async def on_note(ctx: ConsumerContext, text: str, n: int = 0) -> None: ...

    backbone.on(Jobs.job, group="g")(on_job)
    with pytest.raises(UsageError, match=r"function for Jobs\.job already"):
        backbone.on(Jobs.job, group="g")(on_job)
    with pytest.raises(UsageError, match="options from its first"):
        backbone.on(Jobs.note, group="g", concurrency=2)(on_note)
    with pytest.raises(ContractError, match="parameters"):
        backbone.on(Jobs.job, group="h")(wrong)


async def test_one_subscription_per_group(backbone: Backbone) -> None:
    """Two subscriptions of one group on one stream are refused: each would skip the other's events."""
    backbone.subscribe(Everything(), group="g")
    with pytest.raises(UsageError, match="one subscribe"):
        backbone.subscribe(JobsAlone(), group="g")

    async def on_job(ctx: ConsumerContext, n: int) -> None: ...

    with pytest.raises(UsageError, match="one subscribe"):
        backbone.on(Jobs.job, group="g")(on_job)
    backbone.subscribe(JobsAlone(), group="g", uri="elsewhere")


@pytest.mark.parametrize("group", ["", "two words", "x" * 201, "a\n"])
async def test_names_of_groups(backbone: Backbone, group: str) -> None:
    """A group's name is short printable text without blanks."""
    with pytest.raises(UsageError, match="group's name"):
        backbone.subscribe(Everything(), group=group)


async def test_nothing_to_run(backbone: Backbone) -> None:
    """`run` without a subscription says so, instead of returning at once."""
    with pytest.raises(UsageError, match="nothing to run"):
        await backbone.run()


async def test_options_that_cannot_work(backbone: Backbone) -> None:
    """Options that cannot work are refused at `subscribe`."""
    wrong: list[dict[str, Any]] = [{"concurrency": 0}, {"max_parked": 0}]
    for options in wrong:
        with pytest.raises(UsageError, match="subscribe"):
            backbone.subscribe(Everything(), group="g", **options)
    with pytest.raises(UsageError, match="at least one consumer"):
        backbone.subscribe(group="g")


@pytest.mark.parametrize("unhandled", [Unhandled.ERROR])
async def test_unhandled_as_an_error(backbone: Backbone, unhandled: Unhandled) -> None:
    """`Unhandled.ERROR` does not retry what nobody implements, and goes on with the rest."""
    consumer = JobsAlone()
    subscription = backbone.subscribe(consumer, group="g", unhandled=unhandled)
    await backbone.batch([Jobs.note("a"), Jobs.job(1)])
    async with running(backbone):
        await until(lambda: consumer.seen == [1])
    assert subscription.skipped == 0
