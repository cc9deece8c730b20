"""Writes outcomes: together, at the end of a batch or a few milliseconds after the first one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from .._errors import ChannelError
from .._ports import DeadLetter, Seat, Settlements
from ._job import Job

DELAY = 0.005
"""Seconds that an outcome waits for others to be written with."""
FULL = 200
"""Outcomes that are written without waiting."""


class Settler:
    """Collects outcomes and writes them in few steps; one write at a time, so that they keep their order."""

    def __init__(
        self, seat: Seat, *, settled: Callable[[Sequence[Job]], None], broken: Callable[[BaseException], None]
    ) -> None:
        self._seat = seat
        self._settled = settled
        self._broken = broken
        self._loop = asyncio.get_running_loop()
        self._handled: list[Job] = []
        self._failed: list[Job] = []
        self._dead: list[tuple[Job, DeadLetter]] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._cleared = 0

    def handled(self, job: Job) -> None:
        """The event is handled."""
        self._handled.append(job)
        if self._writing is None and (self._timer is None or len(self._handled) >= FULL):
            self._plan(len(self._handled))

    def failed(self, job: Job) -> None:
        """Its handler failed; it stays pending."""
        self._failed.append(job)
        self._plan(1)

    def dead(self, job: Job, letter: DeadLetter) -> None:
        """It will not be tried again."""
        self._dead.append((job, letter))
        self._plan(1)

    async def written(self) -> None:
        """Wait until everything said so far is durable. Raises the `ChannelError` that prevents it."""
        if not (self._handled or self._failed or self._dead or self._writing):
            return
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        self._start()
        await waiter

    async def flush(self) -> None:
        """Write everything now. Raises the `ChannelError` that prevents it; nothing is forgotten then."""
        while self._handled or self._failed or self._dead or self._writing:
            self._start()
            if self._writing:
                await asyncio.shield(self._writing)
                # a write that is over is not awaited at all: give its callback, which clears `_writing`, its turn
                await asyncio.sleep(0)

    def retry(self) -> None:
        """Try again what could not be written."""
        self._plan(1)

    def clear(self) -> None:
        """Forget what was not written (another process owns these events now)."""
        self._cleared += 1
        self._handled, self._failed, self._dead = [], [], []
        self._release(None)

    def _plan(self, count: int) -> None:
        if self._writing is not None:
            return
        if count >= FULL:
            self._start()
        elif self._timer is None:
            self._timer = self._loop.call_later(DELAY, self._start)

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is None:
            self._writing = self._loop.create_task(self._write())
            self._writing.add_done_callback(self._wrote)

    async def _write(self) -> None:
        handled, failed, dead, waiters = self._handled, self._failed, self._dead, self._waiters
        cleared = self._cleared
        self._handled, self._failed, self._dead, self._waiters = [], [], [], []
        try:
            if handled or failed:
                outcomes = Settlements(
                    handled=[(job.id, job.message_id) for job in handled],
                    failed=[job.id for job in failed],
                    dead=[],
                )
                await self._seat.settle(outcomes)
                self._tell(handled, cleared)
                handled, failed = [], []
            while dead:
                job, letter = dead[0]
                await self._seat.settle(Settlements(handled=[], failed=[], dead=[letter]))
                dead.pop(0)
                self._tell((job,), cleared)
        except BaseException:  # a cancellation too: an outcome that is forgotten would leave its event pending for ever
            if cleared != self._cleared:
                handled, failed, dead = [], [], []  # let go of meanwhile: they are not this process's to write
            self._handled, self._failed, self._dead = (
                handled + self._handled,
                failed + self._failed,
                dead + self._dead,
            )
            self._waiters = waiters + self._waiters
            raise
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _tell(self, jobs: Sequence[Job], cleared: int) -> None:
        if cleared == self._cleared:  # else the same event may be in hand again, as another job
            self._settled(jobs)

    def _wrote(self, task: asyncio.Task[None]) -> None:
        self._writing = None
        if task.cancelled():
            return  # with the whole program: whoever still wants it written asks for it
        error = task.exception()
        if error is not None:
            self._release(error if isinstance(error, ChannelError) else None)
            self._broken(error)
        elif self._handled or self._failed or self._dead or self._waiters:
            self._plan(len(self._handled) or FULL)

    def _release(self, error: ChannelError | None) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                if error is None:
                    waiter.cancel()
                else:
                    waiter.set_exception(error)
