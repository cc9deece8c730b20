"""Jobs, attempts and a seat made of thin air."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

from esb_runtime._envelope import Stored
from esb_runtime._identifiers import EventKey
from esb_runtime._ports import Seat, Settlements, Taken
from esb_runtime.delivery._job import Attempt, Job, jobs_of


def taken(number: int, *, key: str | None = None, starts: int = 0, failures: int = 0, size: int = 0) -> Taken:
    """The event with this number in its id, taken from a group."""
    stored = Stored(
        key=EventKey(stream="orders", id=f"{number}-0"),
        event="ordered",
        version=1,
        message_id=f"m{number}",
        ordering_key=key,
        arguments={"blob": b"x" * size},
    )
    return Taken(stored=stored, starts=starts, failures=failures)


def job(number: int, *, key: str | None = None, starts: int = 0, failures: int = 0, size: int = 0) -> Job:
    """The same event as a job that waits for its key."""
    (one,) = jobs_of([taken(number, key=key, starts=starts, failures=failures, size=size)], ordered=True)
    return one


class Desk:
    """Takes every word an attempt says."""

    epoch = 0
    cancelled = False

    def __init__(self) -> None:
        self.said: list[str] = []

    async def acknowledge(self, attempt: Attempt) -> None:
        self.said.append("ack")

    async def settle_late(self, attempt: Attempt) -> None:
        self.said.append("late")

    def now(self) -> float:
        return 0.0


def attempt(of: Job, desk: Desk | None = None) -> Attempt:
    """One start of a job's handler."""
    assert of.stored is not None
    return Attempt(of, of.stored, of.starts, Desk.epoch, desk or Desk())


class Ledger:
    """A seat that notes what is settled; `refuse` makes the next writes fail, `gate` holds them up."""

    def __init__(self) -> None:
        self.writes: list[Settlements] = []
        self.refuse: list[Exception] = []
        self.gate: asyncio.Event | None = None

    async def settle(self, settlements: Settlements) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refuse:
            raise self.refuse.pop(0)
        self.writes.append(settlements)

    @property
    def seat(self) -> Seat:
        return cast("Seat", self)

    def handled(self) -> list[str]:
        """Ids in the order in which they were written as handled."""
        return [id_ for write in self.writes for id_, _ in write.handled]


async def until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    """Wait until something is true; fails the test when it does not become so."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - whatever a test looks at
            await asyncio.sleep(0)


def ids(jobs: Sequence[Job]) -> list[str]:
    """The ids of jobs, in order."""
    return [one.id for one in jobs]
