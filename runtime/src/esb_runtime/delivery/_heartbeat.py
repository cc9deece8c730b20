"""The lease's heartbeat: a thread of its own, so that a handler that blocks the event loop keeps its lease."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from .._errors import EsbError
from .._ports import Seat

BUSY = 1.0
"""Seconds between two beats while events come: as old as the group's floor may get."""
IDLE = 15.0
"""Seconds between two beats while nothing comes (or a third of the lease, if that is less)."""


class Heartbeat:
    """Renews a seat's lease until it is stopped, lost, or not renewed for a whole lease.

    `lost` is called once, on the event loop. `alive` is asked before each beat, in the thread: when it says no, the
    lease is left to run out (a handler hangs past its time limit, and another process should take over).
    """

    def __init__(
        self, seat: Seat, *, lease: timedelta, lost: Callable[[], None], alive: Callable[[], bool], name: str
    ) -> None:
        self._seat = seat
        self._lease = lease.total_seconds()
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._alive = alive
        self._awake = threading.Event()
        self._stopped = False
        self._events = True
        self._thread = threading.Thread(target=self._run, name=f"esb lease {name}", daemon=True)
        self._thread.start()

    def hurry(self) -> None:
        """Events come: beat at the pace of those."""
        if not self._events:
            self._events = True
            self._awake.set()

    def silence(self) -> None:
        """No further beat, without waiting for one that is under way."""
        self._stopped = True
        self._awake.set()

    async def stop(self) -> None:
        """End the thread."""
        self.silence()
        await asyncio.to_thread(self._thread.join)

    def _wait(self) -> bool:
        """Wait for the next beat; false when there is none."""
        pace = BUSY if self._events else IDLE
        self._events = False
        if self._awake.wait(min(self._lease / 3, pace)) and not self._stopped:
            self._awake.clear()
            self._awake.wait(min(self._lease / 3, BUSY))  # somebody was in a hurry: only now there is news
        return not self._stopped

    def _run(self) -> None:
        renewed = time.monotonic()
        while self._wait():
            try:
                kept = self._alive() and self._seat.beat()
                renewed = time.monotonic() if kept else renewed
            except EsbError:
                kept = time.monotonic() - renewed < self._lease  # the loop's own commands report the outage
            if not kept and not self._stopped:
                try:
                    self._loop.call_soon_threadsafe(self._lost)
                except RuntimeError:
                    return  # the loop has ended, and with it what the lease was for
                return
