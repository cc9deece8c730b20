"""The lease's heartbeat: a thread of its own, so that a handler that blocks the event loop keeps its lease."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from .._errors import EsbError
from .._ports import Seat


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
        self._interval = min(self._lease / 3, 1.0)
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._alive = alive
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"esb lease {name}", daemon=True)
        self._thread.start()

    def silence(self) -> None:
        """No further beat, without waiting for one that is under way."""
        self._stopped.set()

    async def stop(self) -> None:
        """End the thread."""
        self.silence()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        renewed = time.monotonic()
        while not self._stopped.wait(self._interval):
            try:
                kept = self._alive() and self._seat.beat()
                renewed = time.monotonic() if kept else renewed
            except EsbError:
                kept = time.monotonic() - renewed < self._lease  # the loop's own commands report the outage
            if not kept and not self._stopped.is_set():
                try:
                    self._loop.call_soon_threadsafe(self._lost)
                except RuntimeError:
                    return  # the loop has ended, and with it what the lease was for
                return
