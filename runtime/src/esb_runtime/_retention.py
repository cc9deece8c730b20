"""How long a stream keeps its events: the policy that a user writes, and what a server is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from msgspec import Struct

from ._errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long a stream keeps its events; consumers that are given one apply it, one of them at a time.

    `keep`: events older than this go. `maxlen`: the oldest go while there are more. With both, either is reason
    enough. `handled=True`, instead: everything goes that every group has handled. Nothing goes that a group has yet to
    handle, whatever its age: a group without a living process that holds up a stream is an alarm in the log, in
    `esb show` and in `esb doctor`. Payloads go with their events; dead letters stay. `every` is how often a consumer
    looks. Raises `UsageError` for what cannot work.
    """

    keep: timedelta | None = None
    maxlen: int | None = None
    handled: bool = False
    every: timedelta = timedelta(seconds=30)

    def __post_init__(self) -> None:
        """Refuse what cannot work, where it was written."""
        if self.handled == (self.keep is not None or self.maxlen is not None):
            raise UsageError("Retention: give keep, maxlen or both; or handled=True alone")
        if (self.keep is not None and self.keep <= timedelta(0)) or (self.maxlen is not None and self.maxlen < 0):
            raise UsageError("Retention: keep is positive, maxlen not negative")
        if self.every < timedelta(milliseconds=100):
            raise UsageError("Retention: every is at least 100 milliseconds")


class Cut(Struct, frozen=True, kw_only=True):
    """What may go: entries below the id `before`, entries beyond `maxlen`, or all that every group has `handled`.

    Nothing above the id `last` goes, and without `force` nothing that a group has not handled.
    """

    before: str = ""
    maxlen: int | None = None
    handled: bool = False
    last: str = "+"
    force: bool = False


class Trimmed(Struct, frozen=True, kw_only=True):
    """What one slice removed (or would): entries, payload hashes, payloads to be deleted from external stores.

    `after` is the id to go on after, None when no more is to go; `pinned` names the groups that keep the next one.
    """

    entries: int = 0
    payloads: int = 0
    outside: int = 0
    after: str | None = None
    pinned: tuple[str, ...] = ()


class Kept(Struct, frozen=True, kw_only=True):
    """The policy that a stream's consumers apply, and the dead group that holds it up ("" when none does)."""

    keep: timedelta | None = None
    maxlen: int | None = None
    handled: bool = False
    pinned: str = ""


class Trimming(Protocol):
    """Removes the oldest events of one partition, slice by slice; a slice is one atomic step."""

    async def slice(self, cut: Cut, *, after: str = "", counted: int = 0, dry_run: bool = False) -> Trimmed:
        """Remove the next few entries at the beginning of the stream, with their payloads.

        A dry run removes nothing and decides alike: `after` and `counted` say how far it has come.
        """
        ...

    async def drain(self) -> int:
        """Delete from the stores at hand what trimming left to be deleted there; returns how many payloads."""
        ...

    async def sweep(self, grace: timedelta, *, dry_run: bool = False) -> int:
        """Delete payloads that belong to no event or dead letter and are older than `grace`; returns how many."""
        ...

    async def elected(self, holder: str, lease: timedelta) -> bool:
        """Whether this process is the one that trims for the time of a lease."""
        ...

    async def living(self, group: str) -> bool:
        """Whether a process of the group is alive."""
        ...

    async def note(self, kept: Kept) -> None:
        """Record what is applied to the stream."""
        ...

    async def noted(self) -> Kept | None:
        """What was recorded last; None when nobody applies anything."""
        ...


def total(slices: Sequence[Trimmed]) -> Trimmed:
    """Several slices as one."""
    return Trimmed(
        entries=sum(each.entries for each in slices),
        payloads=sum(each.payloads for each in slices),
        outside=sum(each.outside for each in slices),
        pinned=slices[-1].pinned if slices else (),
    )
