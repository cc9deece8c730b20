"""A part of a stream: walking it, counting it. Touches no group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field

import msgspec

from ._conditions import Condition
from ._envelope import Stored
from ._identifiers import entry_order
from ._ports import Channel, Peeker
from ._redelivery import redelivery_of

PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """A part of a stream: from the id `first` to `last`, both included (`-` and `+` are the ends).

    `only` keeps the events of these names; empty means all. `where` keeps those for which every condition holds.
    `handled_by` names a group and keeps what it was given and has settled, `unhandled_by` what it has not.
    """

    stream: str
    first: str = "-"
    last: str = "+"
    only: frozenset[str] = frozenset()
    where: Sequence[Condition] = ()
    handled_by: str = ""
    unhandled_by: str = ""

    @property
    def chooses(self) -> bool:
        """Whether not every event of the range is wanted."""
        return bool(self.only or self.where or self.handled_by or self.unhandled_by)

    async def chosen(self, channel: Channel, page: Sequence[Stored], *, payload: bool = True) -> list[Stored]:
        """Those of a page that are wanted, read without payloads; with payloads, when they are asked for.

        What an entry alone decides is decided first: payloads are read of what is left. What cannot be read has no
        name to go by.
        """
        late = [condition for condition in self.where if condition.payload]
        early = [condition for condition in self.where if not condition.payload]
        found: list[Stored] = [event for event in page if not self.only or event.event in self.only]
        if self.handled_by:
            found = await self._by_group(channel, found, self.handled_by, handled=True)
        if self.unhandled_by:
            found = await self._by_group(channel, found, self.unhandled_by, handled=False)
        for condition in early:
            found = _holding(condition, found)
        if late and isinstance(channel, Peeker) and all(condition.narrow for condition in late):
            found = await self._peeked(channel, found, late)
        if not found or not (payload or late):
            return found
        whole = await channel.complete(self.stream, found)
        for condition in late:
            whole = [event for event in whole if condition.holds(event)]
        return whole if payload else [msgspec.structs.replace(event, arguments=None) for event in whole]

    async def _by_group(self, channel: Channel, events: Sequence[Stored], group: str, *, handled: bool) -> list[Stored]:
        """Those that a group was given and has settled, or those that it has not."""
        if not events:
            return []
        first, last = sorted((events[0].key.id, events[-1].key.id), key=entry_order)
        standing = await redelivery_of(channel, self.stream, group).standing(first, last)
        return [event for event in events if standing.has_handled(event.key.id) is handled]

    async def _peeked(self, channel: Peeker, events: Sequence[Stored], late: Sequence[Condition]) -> list[Stored]:
        """Without those that a few arguments rule out; what is left is looked at once more when it is whole."""
        names = sorted({name for condition in late for name in condition.arguments or ()})
        looked = await channel.peek(self.stream, events, names)
        return [
            event
            for event, arguments in zip(events, looked, strict=True)
            if arguments is None or all(condition.holds_for(arguments) for condition in late)
        ]


def _holding(condition: Condition, events: Sequence[Stored]) -> list[Stored]:
    """Those for which a condition on the entry alone holds; events of a kind are asked once where they are alike."""
    if not condition.by_kind:
        return [event for event in events if condition.holds(event)]
    kinds = {(event.event, event.version): event for event in events}
    wanted = {kind for kind, event in kinds.items() if condition.holds(event)}
    return [event for event in events if (event.event, event.version) in wanted]


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
                await asyncio.sleep(0)  # it is asked for now, not when whoever uses this page first waits for something
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
