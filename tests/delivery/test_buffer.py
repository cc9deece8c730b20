"""The buffer: memory is bounded by events, bytes and parked followers, and follows the handlers' speed."""

from __future__ import annotations

import asyncio

import pytest

from esb_runtime.delivery._buffer import Buffer
from esb_runtime.delivery._job import SMALL, Job, jobs_of
from esb_runtime.delivery._policy import Policy

from .kit import job, taken, until


def loaded(buffer: Buffer, *numbers: int, size: int = 0) -> list[Job]:
    """Jobs that are in memory."""
    jobs = [job(n, size=size) for n in numbers]
    for one in jobs:
        buffer.load((one,))
    return jobs


async def waits(buffer: Buffer) -> bool:
    """Whether there is no room now."""
    room = asyncio.ensure_future(buffer.room(""))
    await asyncio.sleep(0)
    full = not room.done()
    room.cancel()
    await asyncio.wait((room,))
    return full


async def test_bounded_by_events() -> None:
    """A full buffer waits until half of it is free."""
    buffer = Buffer(Policy(max_buffered=10), name="test")
    jobs = loaded(buffer, *range(10))
    room = asyncio.ensure_future(buffer.room(""))
    await asyncio.sleep(0)
    for one in jobs[:4]:
        buffer.forget((one,))
        await asyncio.sleep(0)
        assert not room.done()
    buffer.forget((jobs[4],))
    await asyncio.wait_for(room, 1)
    assert buffer.busy


async def test_bounded_by_bytes() -> None:
    """Large events fill the buffer before their number does; the appetite follows their size."""
    buffer = Buffer(Policy(max_buffered_bytes=1000), name="test")
    jobs = loaded(buffer, 1, size=400)
    assert buffer.appetite() == 1
    jobs += loaded(buffer, 2, 3, size=400)
    assert await waits(buffer)
    for one in jobs:
        buffer.unload(one)
    assert not await waits(buffer)
    assert not buffer.busy


async def test_parked_events_hold_no_memory_but_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    """Parked events count by number only; when too many wait, reading pauses and the log says for whom, once."""
    buffer = Buffer(Policy(max_parked=3), name="test")
    jobs = loaded(buffer, 1, 2, 3, size=1000)
    for one in jobs:
        buffer.park(one)
    assert not buffer.busy
    room = asyncio.ensure_future(buffer.room("the retry of event 1-0"))
    await asyncio.sleep(0)
    buffer.forget((jobs[0],))
    await asyncio.wait_for(room, 1)
    assert [record.message for record in caplog.records] == [
        "test: reading pauses, 3 events wait behind the retry of event 1-0"
    ]


async def test_quick_handlers_get_more() -> None:
    """A buffer that empties at once grows up to its bound."""
    buffer = Buffer(Policy(max_buffered=500), name="test")
    before = buffer.appetite()
    for _ in range(10):
        jobs = loaded(buffer, *range(buffer.appetite()))
        room = asyncio.ensure_future(buffer.room(""))
        await asyncio.sleep(0)
        for one in jobs:
            buffer.forget((one,))
        await room
    assert before < buffer.appetite() == 500


async def test_slow_handlers_get_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """A buffer that empties slowly shrinks, but never below what runs at a time."""
    buffer = Buffer(Policy(concurrency=4), name="test")
    clock = iter(range(0, 1000, 1))
    monkeypatch.setattr(buffer, "_loop", type("Loop", (), {"time": lambda _: next(clock)})())
    for _ in range(10):
        jobs = loaded(buffer, *range(buffer.appetite()))
        room = asyncio.ensure_future(buffer.room(""))
        await asyncio.sleep(0)
        for one in jobs:
            buffer.forget((one,))
        await room
    assert buffer.appetite() == 5


async def test_clear_lets_go() -> None:
    """After `clear` there is room again, for whoever waits."""
    buffer = Buffer(Policy(max_buffered=2), name="test")
    loaded(buffer, 1, 2)
    room = asyncio.ensure_future(buffer.room(""))
    await asyncio.sleep(0)
    buffer.clear()
    await until(room.done)
    assert not buffer.busy


async def test_a_buffer_that_is_always_empty_grows() -> None:
    """Handlers that never wait empty the buffer while the next events are asked for: it grows all the same."""
    buffer = Buffer(Policy(max_buffered=500), name="test")
    first = buffer.appetite()
    for one in loaded(buffer, *range(first)):
        buffer.forget((one,))
    await buffer.room("")
    assert buffer.appetite() == 2 * first
    await buffer.room("")  # nothing came since: that says nothing about how fast events are handled
    assert buffer.appetite() == 2 * first


async def test_all_who_wait_are_told() -> None:
    """One of two who wait for room may be cancelled: the other one still hears of it."""
    buffer = Buffer(Policy(max_buffered=2), name="test")
    jobs = loaded(buffer, 1, 2)
    one, other = asyncio.ensure_future(buffer.room("")), asyncio.ensure_future(buffer.room(""))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait((one,))
    for each in jobs:
        buffer.forget((each,))
    await asyncio.wait_for(other, 1)


def test_large_events_count_as_what_they_are() -> None:
    """Small events that are taken together count as their mean, large ones each for itself: those may stay for long."""
    small = jobs_of([taken(n, size=n) for n in range(1, 4)], ordered=False)
    assert [one.size for one in small] == [2, 2, 2]
    large = jobs_of([taken(1, size=SMALL), taken(2, size=7), taken(3)], ordered=False)
    assert [one.size for one in large] == [SMALL, 7, 0]
    assert jobs_of([], ordered=False) == []
