"""Bounds on how long something is awaited, all with one timer.

`asyncio.timeout` sets a timer and cancels it again each time: a tenth of what a produce call costs its process.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Patience:
    """The bounds that are under way in one event loop."""

    def __init__(self) -> None:
        self.bounds: set[Bound] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def within(self, seconds: float) -> Bound:
        """A block whose awaiting raises `TimeoutError` when it takes longer, as that of `asyncio.timeout` does."""
        return Bound(self, seconds)

    def watch(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        """See to it that somebody looks by then."""
        if self._timer is None or when < self._timer.when() or loop is not self._loop:
            self._set(loop, when)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        self.close()
        self._loop = loop
        self._timer = loop.call_at(when, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for bound in [one for one in self.bounds if one.ends <= now]:
            self.bounds.discard(bound)
            bound.expire()
        if self.bounds:
            self._set(loop, min(bound.ends for bound in self.bounds))


class Bound:
    """One bound, on what the current task awaits inside the block."""

    __slots__ = ("_asked", "_expired", "_patience", "_task", "ends", "loop")

    def __init__(self, patience: Patience, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be bounded")
        self._patience = patience
        self._task = task
        self._asked = task.cancelling()
        self._expired = False
        self.loop = task.get_loop()
        self.ends = self.loop.time() + seconds

    def expire(self) -> None:
        """Its time is over: what is awaited is cancelled."""
        self._expired = True
        self._task.cancel()

    def __enter__(self) -> Self:
        self._patience.bounds.add(self)
        self._patience.watch(self.loop, self.ends)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # the timer stays: it costs less to find nothing once than to be cancelled each time
        self._patience.bounds.discard(self)
        # a cancellation that somebody else asked for as well stays one
        if self._expired and self._task.uncancel() <= self._asked and kind is asyncio.CancelledError:
            raise TimeoutError from error
