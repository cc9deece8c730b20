"""What an operator does to a group: look at what it has in hand, hand it to others, move the whole group.

Adapters fulfil `GroupControl`; a channel that cannot do it has no `group_control`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, runtime_checkable

_LAST_SEQUENCE = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """An event that was given out and is not settled.

    `consumer` holds it: a process (`alive` says whether its lease runs), or "" when it was handed back and waits for
    any process, or for one that implements `waits_for` (`packed/2`). `idle` is since its last start, `starts` how often
    its handler was started, `failures` how many of these ended with an error. `event` and `version` are "" and 0 when
    `problem` says why the entry cannot be read; `removed` is true when the stream no longer holds it.
    """

    id: str
    event: str
    version: int
    consumer: str
    waits_for: str
    alive: bool
    idle: timedelta
    starts: int
    failures: int
    problem: str
    removed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupMove:
    """What moving a group does, or did. The group has been given everything up to `delivered`; after the move its
    next event is the first one behind `position`.

    `again` events were given out before and come again, `restarted` of them are pending now and begin afresh;
    `skipped` were never given out and will not be. Of those pending before the position, `kept` stay pending and
    `dropped` are let go (`drop` is whether that was asked for). `ahead` is all that the group will be given. `alive`
    are the consumers whose lease runs.
    """

    stream: str
    group: str
    delivered: str
    position: str
    again: int
    restarted: int
    skipped: int
    kept: int
    dropped: int
    ahead: int
    alive: tuple[str, ...]
    drop: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What became of a claim: events that moved, and pending ones that are no longer in the stream."""

    moved: int
    gone: int


@runtime_checkable
class GroupControl(Protocol):
    """Acts on the groups of a server. Raises what the methods of a channel raise, `GroupLost` for an unknown group."""

    async def pending(
        self, stream: str, group: str, *, after: str, count: int, consumer: str | None = None, idle: timedelta
    ) -> list[PendingEvent]:
        """A page of pending events behind an id, in id order; of one consumer, idle for at least so long."""
        ...

    async def plan(
        self,
        stream: str,
        group: str,
        first: str,
        *,
        drop: bool,
        progress: Callable[[int], None] | None = None,
    ) -> GroupMove:
        """What moving the group to its first next event `first` (an id, `-` or `+`) would do; changes nothing.

        `drop` lets go of what is pending before it. `progress` hears how many events were counted.
        """
        ...

    async def move(self, plan: GroupMove, *, live: bool) -> GroupMove:
        """Do what was planned, in one step, and begin a new epoch: what was handled before is handled again.

        Raises `GroupBusy` when consumers are alive, or the group has gone on since the plan. With
        `live` they lose their hold on the group in the same step: their outcomes are refused, and they start anew
        from the position.
        """
        ...

    async def claim(
        self, stream: str, group: str, holder: str, *, ids: Sequence[str], idle: timedelta, to: str
    ) -> Claimed:
        """Take pending events from a holder, keeping their starts; those in `ids`, or all that are idle so long.

        They go to the consumer `to`, or with "" back to the group: the next process that looks takes them. An owner
        that loses events so loses the ownership too, and its successor takes up everything pending in order.
        """
        ...


def before(id_: str) -> str:
    """The greatest id below this one (`0-0` is its own)."""
    milliseconds, _, sequence = id_.partition("-")
    if int(sequence or 0):
        return f"{milliseconds}-{int(sequence) - 1}"
    return f"{int(milliseconds) - 1}-{_LAST_SEQUENCE}" if int(milliseconds) else "0-0"
