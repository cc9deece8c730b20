"""Who runs now: up to `concurrency` events, in the order in which they became ready; suspects alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

from ._job import Job

PATIENCE = 5.0
"""Seconds for which a suspect holds up new starts until it is alone; then it runs beside what is still running."""
SLICE = 0.001
"""Seconds after which handlers that never wait let the loop's other work (acks, reads) happen."""


class Schedule:
    """Runs jobs in worker tasks that live only while there is work."""

    def __init__(self, *, concurrency: int, run: Callable[[Job], Awaitable[None]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._concurrency = concurrency
        self._run = run
        self._ready: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._alone = False
        self._suspect_since = 0.0
        self._closed = False
        self.running = 0

    def add(self, *jobs: Job) -> None:
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

    def close(self) -> list[Job]:
        """Start nothing more; returns what was not started, in order."""
        self._closed = True
        untouched = [*self._suspects, *self._ready]
        self._suspects.clear()
        self._ready.clear()
        return untouched

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

    async def _work(self) -> None:
        began = monotonic()
        while (job := self._take()) is not None:
            alone = self._alone
            self.running += 1
            try:
                await self._run(job)
            finally:
                self.running -= 1
                if alone:
                    self._alone = False
            if alone:
                self._wake()
            if monotonic() - began > SLICE:
                await asyncio.sleep(0)
                began = monotonic()

    def _next_allowed(self) -> bool:
        if self._closed or self._alone:
            return False
        if self._suspects:
            return self.running == 0 or self._loop.time() - self._suspect_since >= PATIENCE
        return bool(self._ready)

    def _take(self) -> Job | None:
        """The next event that may start, if any."""
        if self._ready and not (self._suspects or self._alone or self._closed):  # nearly always
            return self._ready.popleft()
        if not self._next_allowed():
            return None
        if self._suspects:
            self._alone = True
            self._suspect_since = self._loop.time()
            if len(self._suspects) > 1:
                self._loop.call_later(PATIENCE, self._wake)
            return self._suspects.popleft()
        return self._ready.popleft()
