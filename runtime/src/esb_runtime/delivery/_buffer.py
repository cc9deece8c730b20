"""How much this process takes at a time: bounded by events, bytes and parked followers, and by how fast it works."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable

from ._job import Job
from ._policy import Policy

logger = logging.getLogger("esb_runtime")

QUICK = 0.1
SLOW = 0.5
"""Seconds: a buffer that empties in less than QUICK doubles, one that takes longer than SLOW halves. So what a crash
re-delivers (and must run alone, as suspects) is about half a second of work, however slow the handlers are."""


class Buffer:
    """Counts what is in memory and says when there is room for more."""

    def __init__(self, policy: Policy, *, name: str) -> None:
        self._policy = policy
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._least = policy.concurrency + 1 + 2 * policy.together  # one batch is collected while another is handled
        self._limit = min(max(2 * policy.concurrency, 64, self._least), policy.max_buffered)
        self._loaded = 0
        self._bytes = 0
        self._parked: dict[str, Job] = {}
        self._room = asyncio.Event()
        self._waiting = 0
        """How many wait for room: while nobody does, nobody need be told."""
        self._filled_at = 0.0
        self._complained = False

    @property
    def busy(self) -> bool:
        """Whether anything is in memory."""
        return self._loaded > 0

    def load(self, jobs: Collection[Job]) -> None:
        """Payloads of events came into memory."""
        if self._parked:
            for job in jobs:
                self._parked.pop(job.id, None)
        self._bytes += sum([job.size for job in jobs])
        before, self._loaded = self._loaded, self._loaded + len(jobs)
        if before < self._limit <= self._loaded:
            self._filled_at = self._loop.time()

    def unload(self, job: Job) -> None:
        """An event's payload goes."""
        if job.stored is not None:
            self._loaded -= 1
            self._bytes -= job.size
            job.stored = None
            if self._waiting:
                self._tell()

    def park(self, job: Job) -> None:
        """Keep an event by its id only."""
        self.unload(job)
        self._parked[job.id] = job

    def forget(self, jobs: Iterable[Job]) -> None:
        """Events left this process's hands."""
        for job in jobs:
            if job.stored is not None:
                self.unload(job)
            elif self._parked and self._parked.pop(job.id, None) is not None:
                self._tell()

    def clear(self) -> None:
        """Everything left."""
        self._loaded = self._bytes = 0
        self._parked.clear()
        self._room.set()

    def appetite(self) -> int:
        """How many events may be read now."""
        wanted = max(self._limit - self._loaded, 1)
        if self._bytes and self._loaded:
            average = max(self._bytes // self._loaded, 1)
            wanted = min(wanted, max((self._policy.max_buffered_bytes - self._bytes) // average, 1))
        return wanted

    async def room(self, blocker: str) -> None:
        """Wait until at most half of the limit is in memory; `blocker` names who holds up parked events."""
        began = self._loop.time()
        waited = False
        while self._full(low=waited):
            if len(self._parked) >= self._policy.max_parked and not self._complained:
                self._complained = True
                logger.warning(
                    "%s: reading pauses, %d events wait behind %s",
                    self._name,
                    len(self._parked),
                    blocker or "a retry",
                )
            waited = True
            self._room.clear()
            self._waiting += 1
            try:
                await self._room.wait()
            finally:
                self._waiting -= 1
        self._complained = False
        if waited:
            self._adapt(self._loop.time() - began)
        elif not self._loaded and began - self._filled_at < QUICK:
            self._adapt(0.0)  # handlers that never wait empty it while the next events are being asked for

    def _adapt(self, seconds: float) -> None:
        self._filled_at = 0.0
        if seconds < QUICK:
            self._limit = min(self._limit * 2, self._policy.max_buffered)
        elif seconds > SLOW:
            self._limit = max(self._limit // 2, min(self._least, self._policy.max_buffered))

    def _full(self, *, low: bool) -> bool:
        most = self._limit // 2 if low else self._limit - 1
        return (
            self._loaded > most
            or self._bytes >= self._policy.max_buffered_bytes
            or len(self._parked) >= self._policy.max_parked
        )

    def _tell(self) -> None:
        if not self._room.is_set() and not self._full(low=True):
            self._room.set()
