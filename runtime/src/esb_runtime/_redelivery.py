"""Giving a group again what it has handled: the port that adapters fulfil, and what its answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from ._envelope import Stored
from ._errors import UsageError
from ._identifiers import entry_order
from ._ports import Channel


class Standing(Struct, frozen=True, kw_only=True):
    """Where a group stands in a range: the last id that it was given, and which events of the range it has in hand."""

    delivered: str
    pending: frozenset[str]

    def has_handled(self, id_: str) -> bool:
        """Whether an event of the range was given out and settled."""
        return id_ not in self.pending and entry_order(id_) <= entry_order(self.delivered)


class Place(Struct, frozen=True, kw_only=True):
    """Where an interrupted replay to a group is: which one, the last id that it dealt with, and the id it ends with."""

    run: str
    at: str
    last: str


class Redelivered(Struct, frozen=True, kw_only=True):
    """Events given back to a group; `waiting` ones were with it already, or will be; `gone` ones were removed."""

    given: int = 0
    waiting: int = 0
    gone: int = 0

    @property
    def done(self) -> int:
        """Events dealt with."""
        return self.given + self.waiting + self.gone

    def plus(self, other: Redelivered) -> Redelivered:
        """Both together."""
        return Redelivered(
            given=self.given + other.given, waiting=self.waiting + other.waiting, gone=self.gone + other.gone
        )


@runtime_checkable
class Redelivery(Protocol):
    """One group of one stream. Raises what the methods of a channel raise, `GroupLost` too."""

    async def standing(self, first: str, last: str) -> Standing:
        """Where the group stands between two ids, both included."""
        ...

    async def give(self, events: Sequence[Stored], *, run: str, begins: bool, last: str) -> Redelivered:
        """Give events back, in one step: their records as handled and their failures are forgotten.

        The first step of a replay (`run`, `begins`) raises the group's epoch. Safe to repeat: a step that is done
        already gives nothing. Raises `ChannelError` when another replay to the group has begun since.
        """
        ...

    async def place(self) -> Place | None:
        """Where the last replay to this group was interrupted; None when it came to its end, or a week ago."""
        ...

    async def finish(self, run: str) -> None:
        """The replay has come to its end."""
        ...


def redelivery_of(channel: Channel, stream: str, group: str) -> Redelivery:
    """The port of a channel that has it. Raises `UsageError` for any other one."""
    make = getattr(channel, "redelivery", None)
    found: object = make(stream, group) if make is not None else None
    if not isinstance(found, Redelivery):
        raise UsageError(f"the groups of {channel.endpoint} cannot be replayed to: only those of Redis can")
    return found
