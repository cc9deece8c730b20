"""Which events of a stream a command is about: `--since`, `--until`, `--event` and `--where` together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import positions
from .expressions import conditions
from .options import EventOption, SinceOption, UntilOption, WhereOption

if TYPE_CHECKING:
    from esb_runtime.operations import Condition, Operations, Slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The options, for `esb_cli.options.spread`."""

    since: SinceOption = None
    until: UntilOption = None
    event: EventOption = None
    where: WhereOption = None

    def selection(self) -> Selection:
        """What they ask for. Raises `Failure` (usage) for an expression that is none."""
        return Selection(
            since=self.since, until=self.until, only=frozenset(self.event or ()), where=conditions(self.where)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which events: times as they were written, conditions ready to be asked."""

    since: str | None
    until: str | None
    only: frozenset[str]
    where: Sequence[Condition]

    def part(self, stream: str, *, now: int, newest: str) -> Slice:
        """The range of one stream; it ends with what is there now, so that following begins exactly behind it."""
        from esb_runtime.operations import Slice

        return Slice(
            stream=stream,
            first=positions.first_id(self.since, now=now) if self.since is not None else "-",
            last=positions.last_id(self.until, now=now) if self.until is not None else newest,
            only=self.only,
            where=self.where,
        )

    async def of_stream(self, operations: Operations, stream: str) -> Slice:
        """The range of a stream that must be there; what comes from now on is not in it. Raises `StreamNotFound`."""
        await operations.require(stream)
        return self.part(stream, now=await operations.now(), newest=await operations.last_id(stream))
