"""A part of a stream: walking it, counting it, copying it. Touches no group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field

import msgspec

from ._conditions import Condition
from ._envelope import Record, Stored
from ._identifiers import entry_order
from ._ports import Channel
from ._producer import Outbox
from ._settings import Origin

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a stream: from the id `first` to `last`, both included (`-` and `+` are the ends).

    `only` keeps the events of these names; empty means all. `where` keeps those for which every condition holds.
    """

    stream: str
    first: str = "-"
    last: str = "+"
    only: frozenset[str] = frozenset()
    where: Sequence[Condition] = ()

    @property
    def chooses(self) -> bool:
        """Whether not every event of the range is wanted."""
        return bool(self.only or self.where)

    async def chosen(self, channel: Channel, page: Sequence[Stored], *, payload: bool = True) -> list[Stored]:
        """Those of a page that are wanted, read without payloads; with payloads, when they are asked for.

        What an entry alone decides is decided first: payloads are read of what is left. What cannot be read has no
        name to go by.
        """
        late = [condition for condition in self.where if condition.payload]
        early = [condition for condition in self.where if not condition.payload]
        found = [event for event in page if not self.only or event.event in self.only]
        for condition in early:
            found = [event for event in found if condition.holds(event)]
        if not found or not (payload or late):
            return found
        whole = await channel.complete(self.stream, found)
        for condition in late:
            whole = [event for event in whole if condition.holds(event)]
        return whole if payload else [msgspec.structs.replace(event, arguments=None) for event in whole]


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
    """The events of a slice in stream order, page by page; the next one is read while this one is used."""

    def read(first: str) -> asyncio.Task[list[Stored]]:
        whole = payload and not part.chooses
        scan = channel.scan(part.stream, first=first, last=part.last, count=PAGE, payload=whole)
        task = asyncio.create_task(_read(scan))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # whoever left early hears of nothing
        return task

    reading = read(part.first)
    try:
        while True:
            page = await reading
            if len(page) == PAGE:
                reading = read(f"({page[-1].key.id}")
            yield await part.chosen(channel, page, payload=payload) if part.chooses else page
            if len(page) < PAGE:
                return
    finally:
        reading.cancel()


async def _read(scan: Awaitable[list[Stored]]) -> list[Stored]:
    return await scan


async def newest(channel: Channel, part: Slice, count: int, *, payload: bool = True) -> list[Stored]:
    """The last `count` events of a slice, in stream order."""
    found: list[Stored] = []
    last = part.last
    size = PAGE if part.chooses else min(max(count, 1), PAGE)
    whole = payload and not part.chooses
    while len(found) < count:
        page = await channel.scan(part.stream, first=part.first, last=last, count=size, reverse=True, payload=whole)
        found += await part.chosen(channel, page, payload=False) if part.chooses else page
        if len(page) < size:
            break
        last = f"({page[-1].key.id}"
    chosen = found[:count][::-1]
    return await channel.complete(part.stream, chosen) if payload and not whole else chosen


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
    if event.problem:
        progress.skipped += 1
        progress.problem = progress.problem or f"{event.key}: {event.problem}"
    return not event.problem


async def copied_up_to(channel: Channel, source: str, to: str) -> str:
    """The id of the last event of a stream that another one holds a copy of; "" when it holds none.

    A copy and its link are written in one step, so this is where an interrupted copy stopped, however it ended.
    """
    last = "+"
    while page := await channel.scan(to, last=last, count=PAGE, reverse=True, payload=False):
        for event in page:
            if event.details.linked is not None and event.details.linked[0] == source:
                return event.details.linked[1]
        last = f"({page[-1].key.id}"
    return ""


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
        erased=event.erased,
    )
