"""A part of a stream: walking it, counting it, copying it. Touches no group."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import msgspec

from ._envelope import Record, Stored
from ._identifiers import entry_order
from ._ports import Channel
from ._producer import Outbox
from ._settings import Origin

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a stream: from the id `first` to `last`, both included (`-` and `+` are the ends).

    `only` keeps the events of these names; empty means all.
    """

    stream: str
    first: str = "-"
    last: str = "+"
    only: frozenset[str] = frozenset()

    def holds(self, event: Stored) -> bool:
        """Whether an event of the range is one of those asked for. What cannot be read has no name to go by."""
        return not self.only or event.event in self.only


@dataclass(slots=True, kw_only=True)
class Census:
    """How many events a slice holds: in all, by event and version, unreadable ones, and the ids of its ends."""

    total: int = 0
    unreadable: int = 0
    first: str = ""
    last: str = ""
    events: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])

    def count(self, event: Stored) -> None:
        """Take one event into account."""
        self.total += 1
        self.unreadable += bool(event.problem)
        self.first = self.first or event.key.id
        self.last = event.key.id
        if not event.problem:
            kind = (event.event, event.version)
            self.events[kind] = self.events.get(kind, 0) + 1


@dataclass(slots=True, kw_only=True)
class Copied:
    """How far a copy has come: `stored` events are new, `present` were there before, `skipped` could not be read."""

    stored: int = 0
    present: int = 0
    skipped: int = 0
    problem: str = ""
    """Why the first skipped event was."""

    @property
    def done(self) -> int:
        """Events dealt with so far."""
        return self.stored + self.present + self.skipped


async def pages(channel: Channel, part: Slice, *, payload: bool = True) -> AsyncIterator[list[Stored]]:
    """The events of a slice in stream order, page by page."""
    first = part.first
    while True:
        page = await channel.scan(part.stream, first=first, last=part.last, count=PAGE, payload=payload)
        yield [event for event in page if part.holds(event)]
        if len(page) < PAGE:
            return
        first = f"({page[-1].key.id}"


async def newest(channel: Channel, part: Slice, count: int, *, payload: bool = True) -> list[Stored]:
    """The last `count` events of a slice, in stream order."""
    found: list[Stored] = []
    last = part.last
    size = PAGE if part.only else min(max(count, 1), PAGE)
    early = payload and not part.only
    while len(found) < count:
        page = await channel.scan(part.stream, first=part.first, last=last, count=size, reverse=True, payload=early)
        found += [event for event in page if part.holds(event)]
        if len(page) < size:
            break
        last = f"({page[-1].key.id}"
    chosen = found[:count][::-1]
    return [await _whole(channel, event) for event in chosen] if payload and not early else chosen


async def _whole(channel: Channel, event: Stored) -> Stored:
    """The same event with its payload; as it was, when it was trimmed meanwhile."""
    key = event.key
    return next(iter(await channel.scan(key.stream, first=key.id, last=key.id, count=1)), event)


async def copy(channel: Channel, outbox: Outbox, part: Slice, to: str) -> AsyncIterator[Copied]:
    """Copy a slice to another stream, page by page; yields how far it has come.

    A copy keeps its message id, so copying again stores nothing twice; it says that it is one, and of what.
    """
    progress = Copied()
    before = entry_order(await channel.last_id(to))
    async for page in pages(channel, part):
        records = [_copy_of(event) for event in page if _copyable(event, progress)]
        for key in await outbox.send_together(to, records) if records else ():
            if entry_order(key.id) > before:
                progress.stored += 1
            else:
                progress.present += 1
        yield progress


def _copyable(event: Stored, progress: Copied) -> bool:
    problem = event.problem or ("its erased arguments cannot be copied" if event.erased else "")
    if problem:
        progress.skipped += 1
        progress.problem = progress.problem or f"{event.key}: {problem}"
    return not problem


def _copy_of(event: Stored) -> Record:
    details = msgspec.structs.replace(event.details, origin=Origin.COPY, linked=(event.key.stream, event.key.id))
    return Record(
        message_id=event.message_id,
        event=event.event,
        version=event.version,
        produced_at=event.produced_at,
        arguments=event.arguments or {},
        ordering_key=event.ordering_key,
        details=details,
    )
