"""Keeps the events of one message id apart, for groups that handle each message id once."""

from __future__ import annotations

import asyncio

from .._ports import Seat
from ._job import Job


class Repeats:
    """Which message ids are being handled here; who has one in hand holds up the others of the same id."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat
        self._in_hand: dict[str, Job] = {}
        self._waiting: dict[str, asyncio.Event] = {}

    async def handled(self, job: Job) -> bool:
        """Take the message id in hand, then ask whether the group has handled it; that may have happened just now.

        Asked right before each start: since the event was taken, a late claimer or a duplicate may have been faster.
        """
        if not job.message_id:
            return False
        while self._in_hand.get(job.message_id, job) is not job:
            await self._waiting.setdefault(job.message_id, asyncio.Event()).wait()
        self._in_hand[job.message_id] = job
        return job.done or bool(await self._seat.handled([job.message_id]))

    def release(self, job: Job) -> None:
        """The event has its outcome in writing, or waits for another try."""
        if self._in_hand.get(job.message_id) is job:
            del self._in_hand[job.message_id]
            waiting = self._waiting.pop(job.message_id, None)
            if waiting is not None:
                waiting.set()

    def clear(self) -> None:
        """Everything left this process's hands."""
        for job in list(self._in_hand.values()):
            self.release(job)
