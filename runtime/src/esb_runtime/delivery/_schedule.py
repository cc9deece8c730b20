"""Who runs now: up to `concurrency` events, in the order in which they became ready; suspects alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from ._job import Job

PATIENCE = 5.0
"""Seconds for which a suspect holds up new starts until it is alone; then it runs beside what is still running."""


class Schedule:
    """Has workers that live only while there is work: each takes an event, tells when it ended, and takes the next."""

    def __init__(self, *, concurrency: int, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._concurrency = concurrency
        self._work = work
        self._ready: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._alone: Job | None = None
        """The suspect that runs alone."""
        self._resumed = False
        """Whether one has run alone just now, so that the others are to be woken."""
        self._suspect_since = 0.0
        self._closed = False
        self.running = 0

    def add(self, jobs: Iterable[Job]) -> None:
        """Events are ready to run, in this order."""
        for job in jobs:
            if job.starts > job.failures:  # a suspect
                if not self._suspects:
                    self._suspect_since = self._loop.time()
                    self._loop.call_later(PATIENCE, self._wake)
                self._suspects.append(job)
            else:
                self._ready.append(job)
        self._wake()

    def close(self) -> None:
        """Start nothing more."""
        self._closed = True
        self._suspects.clear()
        self._ready.clear()

    def reopen(self) -> None:
        """Start events again after `close`."""
        self._closed = False

    async def idle(self) -> None:
        """Wait until nothing runs."""
        while self._workers:
            await asyncio.wait(self._workers)

    async def cancel(self) -> None:
        """Cancel what runs and wait until it has ended."""
        for worker in self._workers:
            worker.cancel()
        await self.idle()

    def _wake(self) -> None:
        """Have a worker for each event that may run now."""
        waiting = len(self._ready) + len(self._suspects)
        while not self._closed and waiting and len(self._workers) < self._concurrency:
            worker = self._loop.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._ended)
            waiting -= 1

    def _ended(self, worker: asyncio.Task[None]) -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._loop.call_exception_handler({"message": "a worker of esb failed", "exception": error})
        if self._next_allowed():
            self._wake()

    def take(self) -> Job | None:
        """The next event that may start, if any; `ended` has to follow."""
        if (
            self._ready and self._alone is None and not (self._suspects or self._closed or self._resumed)
        ):  # nearly always
            self.running += 1
            return self._ready.popleft()
        if self._resumed:
            self._resumed = False
            self._wake()
        if not self._next_allowed():
            return None
        self.running += 1
        if not self._suspects:
            return self._ready.popleft()
        self._alone = self._suspects.popleft()
        self._suspect_since = self._loop.time()
        if self._suspects:
            self._loop.call_later(PATIENCE, self._wake)
        return self._alone

    def ended(self, job: Job) -> None:
        """This event, which was taken, no longer runs."""
        self.running -= 1
        if job is self._alone:
            self._alone = None
            self._resumed = True

    def _next_allowed(self) -> bool:
        if self._closed or self._alone is not None:
            return False
        if self._suspects:
            return self.running == 0 or self._loop.time() - self._suspect_since >= PATIENCE
        return bool(self._ready)
