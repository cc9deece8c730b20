"""Time, as something that can be handed in: the system's, or one that a test moves by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from threading import Lock
from typing import Protocol

from ._errors import UsageError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Where leases, delays and times of events come from."""

    def monotonic(self) -> float:
        """Seconds that only grow, from an arbitrary beginning: for leases, delays and deadlines."""
        ...

    def now(self) -> int:
        """Wall time in microseconds since 1970 (UTC); it may jump when somebody sets the machine's clock."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Wait until `duration` has passed on this clock; nothing or less gives other tasks one turn."""
        ...


class SystemClock:
    """The machine's own time."""

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def now(self) -> int:
        """Wall time in microseconds since 1970 (UTC)."""
        return time.time_ns() // 1000

    async def sleep(self, duration: timedelta) -> None:
        """Wait in real time."""
        await asyncio.sleep(max(0.0, duration.total_seconds()))


class ManualClock:
    """Time that stands still until a test moves it.

    `advance` wakes every sleeper whose moment has come, earliest first, equal moments in the order of their `sleep`.
    Safe to share between threads and event loops. It begins at `start` (an aware time).
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        if start.tzinfo is None:
            raise UsageError("ManualClock(start): an aware datetime, such as datetime(2026, 1, 1, tzinfo=UTC)")
        self._start = (start - _EPOCH) // timedelta(microseconds=1)
        self._passed = 0
        self._lock = Lock()
        self._order = count()
        self._sleepers: list[tuple[int, int, Callable[[], None]]] = []

    def monotonic(self) -> float:
        """Seconds since this clock was made, as far as it was moved."""
        return self._passed / 1_000_000

    def now(self) -> int:
        """Wall time in microseconds since 1970 (UTC): `start` plus what it was moved."""
        return self._start + self._passed

    @property
    def sleeping(self) -> int:
        """How many sleepers wait for this clock to move."""
        with self._lock:
            return len(self._sleepers)

    def advance(self, duration: timedelta) -> None:
        """Move time forward and wake whoever's moment has come. Raises `UsageError` for a step backwards."""
        if duration < timedelta(0):
            raise UsageError("ManualClock.advance: time moves forward; a negative step is not possible")
        with self._lock:
            self._passed += duration // timedelta(microseconds=1)
            due: list[Callable[[], None]] = []
            while self._sleepers and self._sleepers[0][0] <= self._passed:
                due.append(heappop(self._sleepers)[2])
        for wake in due:
            wake()

    async def sleep(self, duration: timedelta) -> None:
        """Wait until the clock was moved by at least `duration`."""
        if duration <= timedelta(0):
            await asyncio.sleep(0)
            return
        loop = asyncio.get_running_loop()
        awake = asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(awake.set)

        with self._lock:
            sleeper = (self._passed + duration // timedelta(microseconds=1), next(self._order), wake)
            heappush(self._sleepers, sleeper)
        try:
            await awake.wait()
        finally:
            self._forget(sleeper)

    def _forget(self, sleeper: tuple[int, int, Callable[[], None]]) -> None:
        """Drop a sleeper that was cancelled, so that nobody calls into a loop that is gone."""
        with self._lock:
            if sleeper in self._sleepers:
                self._sleepers = sorted(each for each in self._sleepers if each is not sleeper)
