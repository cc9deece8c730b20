"""Clocks: the machine's, and one that tests move by hand."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest

from esb_runtime import UsageError
from esb_runtime.testing import ManualClock, SystemClock

SECOND = timedelta(seconds=1)


async def turns(count: int = 5) -> None:
    """Let other tasks go on until they wait."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_time_stands_still() -> None:
    """A manual clock moves only when it is told to, both its faces together, to the microsecond."""
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    before = clock.monotonic(), clock.now()
    assert datetime.fromtimestamp(clock.now() / 1_000_000, UTC) == datetime(2026, 3, 1, tzinfo=UTC)
    clock.advance(timedelta(hours=1, microseconds=1))
    assert clock.now() - before[1] == 3_600_000_001
    assert clock.monotonic() - before[0] == pytest.approx(3600.000001)


async def test_sleepers_wake_in_order() -> None:
    """Whoever's moment came wakes, earliest first, equal ones in the order in which they fell asleep."""
    clock, woken = ManualClock(), list[str]()

    async def sleeper(name: str, duration: timedelta) -> None:
        await clock.sleep(duration)
        woken.append(name)

    naps = {"late": 3 * SECOND, "first": SECOND, "second": SECOND, "never": 60 * SECOND}
    tasks = [asyncio.create_task(sleeper(name, duration)) for name, duration in naps.items()]
    await turns()
    assert clock.sleeping == 4
    clock.advance(SECOND / 2)
    await turns()
    assert woken == []
    clock.advance(3 * SECOND)
    await turns()
    assert woken == ["first", "second", "late"]
    tasks[-1].cancel()
    await turns()
    assert clock.sleeping == 0


async def test_no_time_is_one_turn() -> None:
    """Sleeping for nothing, or less, gives others a turn and returns."""
    for clock in (ManualClock(), SystemClock()):
        await clock.sleep(timedelta(0))
        await clock.sleep(-SECOND)


async def test_threads_may_move_it() -> None:
    """A sleeper on an event loop wakes when another thread moves the clock."""
    clock = ManualClock()
    sleeping = asyncio.create_task(clock.sleep(SECOND))
    await turns()
    thread = Thread(target=clock.advance, args=(SECOND,))
    thread.start()
    async with asyncio.timeout(5):
        await sleeping
    thread.join()


def test_mistakes_are_named() -> None:
    """A step backwards, or a start without a zone, is refused."""
    with pytest.raises(UsageError, match="forward"):
        ManualClock().advance(-SECOND)
    with pytest.raises(UsageError, match="aware"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake under test


async def test_the_machines_clock() -> None:
    """The system's clock tells the system's time."""
    clock = SystemClock()
    before = clock.monotonic()
    assert abs(clock.now() - time.time_ns() // 1000) < 60_000_000
    await clock.sleep(timedelta(milliseconds=5))
    assert clock.monotonic() - before >= 0.004
