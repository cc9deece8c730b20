"""Reading history without a group: typed, bounded, filtered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from esb_runtime import Backbone, ChannelError, DecodeError, EventKey, EventNotFound, Store, UsageError
from esb_runtime._read import first_id, last_id

from .kit import Jobs, Orders


async def read(backbone: Backbone, subject: Any, **bounds: Any) -> list[Any]:
    return [delivery async for delivery in backbone.read(subject, **bounds)]


async def test_a_token_reads_its_events_typed(backbone: Backbone) -> None:
    """Reading a token gives its events only, in order, with typed arguments; `apply` calls with them."""
    jobs = Jobs.producer(backbone)
    for n in range(3):
        await jobs.job(n)
        await jobs.note("between", n)
    assert [delivery.arguments for delivery in await read(backbone, Jobs.note)] == [
        {"text": "between", "n": n} for n in range(3)
    ]
    assert [delivery.apply(lambda n: n * 2) for delivery in await read(backbone, Jobs.job)] == [0, 2, 4]


async def test_reading_again_and_again(backbone: Backbone) -> None:
    """Every reading sees what came meanwhile, however often one reads."""
    for n in range(20):
        key = await Jobs.producer(backbone).job(n)
        assert [delivery.arguments["n"] for delivery in await read(backbone, Jobs.job)] == list(range(n + 1))
        assert [delivery.arguments["n"] for delivery in await read(backbone, Jobs.job, since=key)] == [n]
        assert (await backbone.get(key)).arguments == {"n": n}


async def test_a_contract_reads_its_stream(backbone: Backbone) -> None:
    """Reading a contract gives every event of its stream; `only` keeps some, typed."""
    jobs = Jobs.producer(backbone)
    await jobs.job(1)
    await jobs.note("a")
    everything = await read(backbone, Jobs)
    assert [delivery.metadata.event for delivery in everything] == ["job", "note"]
    note = everything[1].of(Jobs.note)
    assert note is not None
    assert note.arguments == {"text": "a", "n": 0}
    assert everything[0].of(Jobs.note) is None
    assert [delivery.arguments for delivery in await read(backbone, Jobs, only=[Jobs.note])] == [{"text": "a", "n": 0}]


async def test_since_and_until(backbone: Backbone) -> None:
    """Bounds are inclusive: keys, and aware times to the millisecond."""
    jobs = Jobs.producer(backbone)
    keys = [await jobs.job(n) for n in range(5)]
    inner = await read(backbone, Jobs.job, since=keys[1], until=keys[3])
    assert [delivery.key for delivery in inner] == keys[1:4]
    at = [datetime.fromtimestamp(int(key.id.split("-")[0]) / 1000, UTC) for key in keys]
    assert [delivery.key for delivery in await read(backbone, Jobs.job, since=at[0], until=at[4])] == keys
    assert await read(backbone, Jobs.job, since=at[4] + timedelta(milliseconds=1)) == []
    assert await read(backbone, Jobs.job, until=at[0] - timedelta(milliseconds=1)) == []


def test_times_become_ids_exactly() -> None:
    """Every millisecond maps to its own id: no rounding loses an event at a bound."""
    for ms in range(1_700_000_000_000, 1_700_000_002_000):
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        assert (first_id(moment), last_id(moment)) == (f"{ms}-0", f"{ms}-18446744073709551615")
    assert first_id(datetime(1960, 1, 1, tzinfo=UTC)) == "0-0"


async def test_a_time_without_a_zone(backbone: Backbone) -> None:
    """A naive time is refused, for nobody knows which one it is."""
    with pytest.raises(UsageError, match="aware"):
        await read(backbone, Jobs, since=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake itself


async def test_many_pages(backbone: Backbone) -> None:
    """A history longer than a page is read to its end."""
    await backbone.batch(Jobs.job(n) for n in range(1203))
    assert [delivery.arguments["n"] for delivery in await read(backbone, Jobs.job)] == list(range(1203))


async def test_another_uri(backbone: Backbone) -> None:
    """`uri` reads another stream; one that does not exist is empty."""
    await Orders.producer(backbone, uri="elsewhere").placed("ann", 1)
    (delivery,) = await read(backbone, Orders.placed, uri="elsewhere")
    assert delivery.metadata.uri == "elsewhere"
    assert await read(backbone, Orders.placed) == []


async def test_no_event_there(backbone: Backbone) -> None:
    """`get` says that an event does not exist; in a stream or without one."""
    for key in (EventKey(stream="jobs", id="1-0"), EventKey(stream="nowhere", id="5-5")):
        with pytest.raises(EventNotFound, match=key.id):
            await backbone.get(key)
        await Jobs.producer(backbone).job(1)


async def test_reading_acknowledges_nothing(backbone: Backbone) -> None:
    """A delivery read without a group cannot be acknowledged."""
    key = await Jobs.producer(backbone).job(1)
    with pytest.raises(UsageError, match="without a group"):
        await (await backbone.get(key)).ack()


async def test_unreadable_events(raw: Any) -> None:
    """Garbage and lost payloads are named with their key, and never passed over in silence."""
    async with Backbone.connect(store=Store.REDIS) as backbone:
        key = await Jobs.producer(backbone).job(1)
        payload = f"{{jobs}}:p:{(await backbone.get(key)).metadata.message_id}"
        await raw.delete(payload)
        with pytest.raises(ChannelError, match=f"{key}.*gone"):
            await backbone.get(key)
        await raw.set(payload, "not a hash")
        with pytest.raises(ChannelError, match="not a hash"):
            await backbone.get(key)
        await raw.delete("jobs")
        await raw.xadd("jobs", {"\u00e9": b"\xff"})
        with pytest.raises(ChannelError, match="not written by esb"):
            await read(backbone, Jobs)


async def test_what_does_not_fit(backbone: Backbone) -> None:
    """A stored value of another type raises when it is asked for, naming argument and type; others are readable."""
    await Jobs.producer(backbone).note("text")
    (delivery,) = await read(backbone, Jobs)
    assert delivery.argument("text", str) == "text"
    with pytest.raises(DecodeError, match=r"'text'.*int"):
        delivery.argument("text", int)
