"""Producing: keys, order, round trips, each call its own outcome."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from esb_runtime import (
    Backbone,
    EncodeError,
    EventKey,
    LoginRefused,
    Store,
    Sync,
    UsageError,
    WrongKeyType,
    message_id,
)
from esb_runtime._endpoint import Endpoint
from esb_runtime._identifiers import entry_order

from .kit import Jobs, Orders, calls


def numbers(deliveries: list[Any]) -> list[int]:
    return [delivery.arguments["n"] for delivery in deliveries]


async def test_one_after_the_other(backbone: Backbone) -> None:
    """Each call returns the key of its event; keys of a stream grow in the order of the calls."""
    jobs = Jobs.producer(backbone)
    keys = [await jobs.job(n) for n in range(10)]
    assert {key.stream for key in keys} == {"jobs"}
    assert sorted(keys, key=lambda key: entry_order(key.id)) == keys
    assert [(await backbone.get(key)).arguments["n"] for key in keys] == list(range(10))


async def test_at_once(backbone: Backbone) -> None:
    """Concurrent calls keep their order, and each gets the key of its own event."""
    jobs = Jobs.producer(backbone)
    keys = await asyncio.gather(*(jobs.job(n) for n in range(1000)))
    read = [delivery async for delivery in backbone.read(Jobs.job)]
    assert numbers(read) == list(range(1000))
    assert [delivery.key for delivery in read] == keys


def test_one_loop_after_another(redis_endpoint: Endpoint) -> None:
    """A backbone that was closed is opened again by its next use, in another event loop too."""
    backbone = Backbone.connect()

    async def some(first: int) -> list[EventKey]:
        async with backbone:
            jobs = Jobs.producer(backbone)
            return await asyncio.gather(*(jobs.job(n) for n in range(first, first + 3)))

    assert len({*asyncio.run(some(0)), *asyncio.run(some(3))}) == 6


@pytest.mark.parametrize("store", Store)
async def test_concurrent_calls_share_round_trips(store: Store, raw: Any) -> None:
    """A thousand concurrent calls need a handful of round trips; a lone call needs one."""
    async with Backbone.connect(store=store) as backbone:
        jobs = Jobs.producer(backbone)
        await jobs.job(0)
        await raw.config_resetstat()
        await asyncio.gather(*(jobs.job(n) for n in range(1000)))
        assert await calls(raw, "evalsha", "eval") <= 6
        await raw.config_resetstat()
        await jobs.job(0)
        assert await calls(raw, "evalsha", "eval") == 1


async def test_tasks_and_timeouts(backbone: Backbone) -> None:
    """A call is a coroutine like any other: tasks drive it, `wait_for` bounds it, a cancelled caller hurts nobody."""
    jobs = Jobs.producer(backbone)
    task = asyncio.create_task(jobs.job(1))
    assert isinstance(await asyncio.wait_for(jobs.job(2), 5), EventKey)
    assert isinstance(await task, EventKey)
    doomed, stranger = asyncio.create_task(jobs.job(3)), asyncio.create_task(jobs.job(4))
    await asyncio.sleep(0)
    doomed.cancel()
    assert isinstance(await stranger, EventKey)


async def test_never_awaited(backbone: Backbone) -> None:
    """A call that nobody awaits sends nothing, and Python's usual warning says so."""
    with pytest.warns(RuntimeWarning, match="event job was never awaited, so it was not sent"):
        Jobs.producer(backbone).job(1)
    assert [delivery async for delivery in backbone.read(Jobs)] == []


async def test_a_wrong_value_sends_nothing(backbone: Backbone) -> None:
    """What does not fit its type raises before anything is sent."""
    with pytest.raises(EncodeError, match="'n'"):
        await Jobs.producer(backbone).job("not a number")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await Jobs.producer(backbone).job()  # type: ignore[call-arg]
    assert [delivery async for delivery in backbone.read(Jobs)] == []


@pytest.mark.parametrize(("store", "spoiled"), [(Store.REDIS, "{jobs}:p:bad"), (Store.INLINE, "{jobs}:d:bad")])
async def test_a_refused_event_fails_nobody_else(store: Store, spoiled: str, raw: Any) -> None:
    """Of calls that share a round trip, only the refused one raises."""
    await raw.lpush(spoiled, "somebody else's")

    async def refused() -> EventKey:
        with message_id("bad"):
            return await jobs.job(13)

    async with Backbone.connect(store=store) as backbone:
        jobs = Jobs.producer(backbone)
        await jobs.job(0)
        outcomes = await asyncio.gather(jobs.job(1), refused(), jobs.job(2), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [EventKey, WrongKeyType, EventKey]
        assert numbers([delivery async for delivery in backbone.read(Jobs.job)]) == [0, 1, 2]
    assert await raw.lrange(spoiled, 0, -1) == [b"somebody else's"]


async def test_a_uri_that_is_no_stream(redis_endpoint: Endpoint, raw: Any) -> None:
    """A key of another type is named and left alone."""
    await raw.set("jobs", "mine")
    async with Backbone.connect() as backbone:
        with pytest.raises(WrongKeyType, match="'jobs'"):
            await Jobs.producer(backbone).job(1)
        with pytest.raises(WrongKeyType, match="'jobs'"):
            [delivery async for delivery in backbone.read(Jobs)]
    assert await raw.get("jobs") == b"mine"


async def test_batch(backbone: Backbone) -> None:
    """`batch` stores calls and unsent events in order, whatever their stream, and returns their keys in order."""
    jobs, orders = Jobs.producer(backbone), Orders.producer(backbone)
    keys = await backbone.batch([jobs.job(1), orders.placed("ann", 2), Jobs.job(3), Orders.paid("ann", amount=4)])
    assert [key.stream for key in keys] == ["jobs", "orders", "jobs", "orders"]
    assert [(await backbone.get(key)).metadata.event for key in keys] == ["job", "placed", "job", "paid"]
    assert await backbone.batch([]) == []


async def test_a_large_batch_takes_few_round_trips(raw: Any) -> None:
    """A thousand events in one `batch` need a handful of round trips."""
    async with Backbone.connect() as backbone:
        await Jobs.producer(backbone).job(0)
        await raw.config_resetstat()
        keys = await backbone.batch(Jobs.job(n) for n in range(1000))
        assert await calls(raw, "evalsha", "eval") <= 5
        assert len(set(keys)) == 1000


async def test_batch_is_all_or_nothing(raw: Any) -> None:
    """One refused event of a batch refuses them all."""
    await raw.lpush("{jobs}:p:bad", "somebody else's")
    async with Backbone.connect() as backbone:
        jobs = Jobs.producer(backbone)
        with message_id("bad"):
            bad = jobs.job(2)
        with pytest.raises(WrongKeyType):
            await backbone.batch([jobs.job(1), bad, jobs.job(3)])
        assert [delivery async for delivery in backbone.read(Jobs)] == []


async def test_batch_takes_unsent_events_only(backbone: Backbone) -> None:
    """What was awaited already, or is no event, is refused before anything is sent."""
    used = Jobs.producer(backbone).job(1)
    await used
    for wrong in (used, asyncio.sleep(0), 5):
        with pytest.raises(UsageError, match="batch takes"):
            await backbone.batch([wrong])  # type: ignore[list-item]
        if asyncio.iscoroutine(wrong):
            wrong.close()


@pytest.mark.parametrize("given", ["wrong", None])
async def test_a_wrong_password(given: str | None, locked_endpoint: Endpoint) -> None:
    """A refused login raises at once, and repeats no password."""
    async with Backbone.connect(endpoint=locked_endpoint.display, password=given) as backbone:
        with pytest.raises(LoginRefused) as refused:
            await Jobs.producer(backbone).job(1)
    assert "s3cret-word" not in str(refused.value)
    assert "wrong" not in str(refused.value).replace("WRONGPASS", "")


async def test_the_right_password(locked_endpoint: Endpoint) -> None:
    """The password may come as an option; it appears in no `repr`."""
    async with Backbone.connect(endpoint=locked_endpoint.display, password="s3cret-word") as backbone:
        assert isinstance(await Jobs.producer(backbone).job(1), EventKey)
        assert "s3cret-word" not in repr(backbone)


async def test_a_producer_of_the_other_side(backbone: Backbone) -> None:
    """An asynchronous backbone serves no synchronous producer."""
    with pytest.raises(TypeError, match="serves the other side"):
        Jobs[Sync].producer(backbone)  # type: ignore[arg-type]
