"""One event in this process's hands, and one start of its handler."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from datetime import timedelta
from enum import Enum
from itertools import chain
from typing import Protocol

from msgspec import Struct

from .._envelope import Stored
from .._ports import Taken

SMALL = 4096
"""Bytes of an argument that do not matter for the bound on memory: events without a larger one count as their mean."""


class Job(Struct, eq=False, kw_only=True, gc=False):
    """An event from the moment it was taken until its outcome is written.

    `stored` is None while the event is parked: only its id is kept, and it is loaded again before it starts.
    `lane` is the ordering key that it waits for, None when it waits for nobody. `starts` are those that came to an
    outcome, and those of a process that died: a start that a clean stop interrupts costs no attempt.
    """

    id: str
    message_id: str
    lane: str | None
    stored: Stored | None
    size: int
    starts: int = 0
    failures: int = 0
    done: bool = False
    unclaimed: bool = False

    @property
    def suspect(self) -> bool:
        """Whether its last start ended without an outcome: it runs alone."""
        return self.starts > self.failures

    @property
    def crashes(self) -> int:
        """How many of its starts ended without an outcome."""
        return self.starts - self.failures

    def give(self, stored: Stored) -> None:
        """Its contents are in memory; `size` counts the bytes of its arguments while they are."""
        self.stored = stored
        self.size = stored.size


def jobs_of(taken: Sequence[Taken], *, ordered: bool) -> list[Job]:
    """What was taken, in hand; with `ordered` each waits for its key. Where all are small, each counts as the mean."""
    payloads = [one.stored.arguments.values() for one in taken if one.stored.arguments]
    sizes = [*map(len, chain.from_iterable(payloads))]
    share = -(sum(sizes) // -len(taken)) if sizes and max(sizes) < SMALL else None
    return [
        Job(
            id=(stored := one.stored).key.id,
            message_id=stored.message_id,
            lane=stored.ordering_key if ordered else None,
            stored=stored,
            size=stored.size if share is None else share,
            starts=one.starts,
            failures=one.failures,
            done=one.done,
            unclaimed=one.unclaimed,
        )
        for one in taken
    ]


class Verdict(Enum):
    """What a handler said about its event."""

    ACK = "ack"
    NACK = "nack"
    REJECT = "reject"


class Desk(Protocol):
    """Where an attempt's words go."""

    def acknowledge(self, attempt: Attempt) -> Awaitable[None]:
        """Write that the event is handled; the awaitable ends when that is durable."""
        ...

    def settle_late(self, attempt: Attempt) -> Awaitable[None]:
        """Apply a nack or reject that came after the handler had ended."""
        ...

    @property
    def epoch(self) -> int:
        """Grows each time everything in hand was let go; what belongs to an older epoch is refused."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether handlers should give up: the ownership is lost, or the time to drain is over."""
        ...

    def now(self) -> float:
        """The loop's clock, in seconds."""
        ...

    def group_epoch(self) -> Awaitable[int]:
        """The group's epoch (`Seat.epoch`); nothing to do with `epoch`, which is this process's own."""
        ...


class Attempt(Struct, eq=False):
    """One start of one event's handler, in an epoch of the desk. It settles once; later words are ignored."""

    job: Job
    stored: Stored
    number: int
    epoch: int
    desk: Desk
    verdict: Verdict | None = None
    reason: str = ""
    after: timedelta | None = None
    finished: bool = False
    alive_at: float = 0.0
    limit: tuple[asyncio.Timeout, float] | None = None

    async def ack(self) -> None:
        """The event is handled; returns when that is durable."""
        if self.verdict is None:
            self.verdict = Verdict.ACK
            await self.desk.acknowledge(self)

    async def nack(self, after: timedelta | None) -> None:
        """Try again, after this long or after the retry's own delay; it counts as a failure."""
        await self._say(Verdict.NACK, "the handler asked for another try", after)

    async def reject(self, reason: str) -> None:
        """Move the event to the dead letters now."""
        await self._say(Verdict.REJECT, str(reason), None)  # whatever it is: an event without an outcome blocks its key

    async def group_epoch(self) -> int:
        """The group's epoch, in which effects count once."""
        return await self.desk.group_epoch()

    async def progress(self) -> None:
        """The handler is alive: its time limit starts again."""
        self.alive_at = self.desk.now()
        if self.limit is not None:
            timeout, seconds = self.limit
            timeout.reschedule(self.alive_at + seconds)

    @property
    def cancelled(self) -> bool:
        """Whether the handler should give up."""
        return self.desk.cancelled or self.epoch != self.desk.epoch

    async def _say(self, verdict: Verdict, reason: str, after: timedelta | None) -> None:
        if self.verdict is None:
            self.verdict, self.reason, self.after = verdict, reason, after
            if self.finished:
                await self.desk.settle_late(self)
