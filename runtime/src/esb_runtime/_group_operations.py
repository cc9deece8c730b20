"""A consumer group in an operator's hands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta

from ._group_moves import Claimed, GroupControl, GroupMove, PendingEvent
from ._inspection import GroupSummary

PAGE = 500


class Group:
    """One group of a stream, as it was when it was asked for: `summary`. Raises what the methods of a channel raise.

    Get it from `Operations.group`.
    """

    def __init__(self, control: GroupControl, stream: str, summary: GroupSummary) -> None:
        self._control = control
        self.stream = stream
        self.summary = summary

    @property
    def name(self) -> str:
        """The group's name."""
        return self.summary.name

    async def pending(
        self, *, consumer: str | None = None, idle: timedelta = timedelta(0)
    ) -> AsyncIterator[PendingEvent]:
        """Events that were given out and are not settled, in stream order; those of one consumer, idle so long."""
        after = "0-0"
        while True:
            page = await self._control.pending(
                self.stream, self.name, after=after, count=PAGE, consumer=consumer, idle=idle
            )
            for event in page:
                yield event
            if len(page) < PAGE:
                return
            after = page[-1].id

    async def plan(self, first: str, *, drop: bool = False, progress: Callable[[int], None] | None = None) -> GroupMove:
        """What `move` would do when the group's next event were `first`: an id, `-` (start) or `+` (end).

        What is pending before it stays pending, unless `drop` lets go of it.
        """
        return await self._control.plan(self.stream, self.name, first, drop=drop, progress=progress)

    async def move(self, plan: GroupMove, *, live: bool = False) -> GroupMove:
        """Do what was planned in one step; returns what it came to.

        A new epoch begins: `idempotent` handlers handle again what they handled before. Raises `GroupBusy`, and
        changes nothing, when consumers are alive or the group has gone on since the plan; `live` takes the events out
        of their hands instead: their outcomes are refused and they begin at the new position.
        """
        return await self._control.move(plan, live=live)

    async def claim(
        self, holder: str, *, ids: Sequence[str] = (), idle: timedelta = timedelta(0), to: str = ""
    ) -> Claimed:
        """Take the pending events `ids` (or all that are idle so long) from a consumer, keeping their starts.

        They go back to the group, whose next process takes them, or to the consumer `to`.
        """
        return await self._control.claim(self.stream, self.name, holder, ids=ids, idle=idle, to=to)
