"""A part of a stream: walking it, counting it. Touches no group."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from ._conditions import Condition
from ._envelope import Stored
from ._identifiers import entry_order
from ._ports import Channel, Peeker
from ._redelivery import redelivery_of

T = TypeVar("T")

PAGE = 500

Look = tuple[Stored, Mapping[str, bytes] | None]
"""An event, and the arguments that were looked at beforehand; None where it must be read whole."""


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
        return await self.decided(channel, await self.looked(channel, page), payload=payload)

    async def looked(self, channel: Channel, page: Sequence[Stored]) -> list[Look]:
        """What is left of a page by its entries alone, with the few arguments that may rule out more."""
        found: list[Stored] = [event for event in page if not self.only or event.event in self.only]
        if self.handled_by:
            found = await self._by_group(channel, found, self.handled_by, handled=True)
        if self.unhandled_by:
            found = await self._by_group(channel, found, self.unhandled_by, handled=False)
        for condition in self.where:
            if not condition.payload:
                found = _holding(condition, found)
        late = self._late
        if not late or not isinstance(channel, Peeker) or not all(condition.narrow for condition in late):
            return [(event, None) for event in found]
        names = sorted({name for condition in late for name in condition.arguments or ()})
        return list(zip(found, await channel.peek(self.stream, found, names), strict=True))

    async def decided(self, channel: Channel, looks: Sequence[Look], *, payload: bool = True) -> list[Stored]:
        """Those that are wanted; what a look did not rule out is looked at once more when it is whole."""
        late = self._late
        for condition in late:
            looks = [look for look in looks if look[1] is None or condition.holds_for(look[1])]
        found = [event for event, _ in looks]
        if not found or not (payload or late):
            return found
        whole = await channel.complete(self.stream, found)
        for condition in late:
            whole = [event for event in whole if condition.holds(event)]
        return whole if payload else [msgspec.structs.replace(event, arguments=None) for event in whole]

    @property
    def _late(self) -> list[Condition]:
        """The conditions that need payloads."""
        return [condition for condition in self.where if condition.payload]

    async def _by_group(self, channel: Channel, events: Sequence[Stored], group: str, *, handled: bool) -> list[Stored]:
        """Those that a group was given and has settled, or those that it has not."""
        if not events:
            return []
        first, last = sorted((events[0].key.id, events[-1].key.id), key=entry_order)
        standing = await redelivery_of(channel, self.stream, group).standing(first, last)
        return [event for event in events if standing.has_handled(event.key.id) is handled]


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

    def count(self, page: Sequence[Stored]) -> None:
        """Take the next events into account."""
        if not page:
            return
        kinds = Counter([(event.event, event.version) for event in page if not event.problem])
        for kind, number in kinds.items():
            self.events[kind] = self.events.get(kind, 0) + number
        self.total += len(page)
        self.unreadable += len(page) - kinds.total()
        self.first = self.first or page[0].key.id
        self.last = page[-1].key.id


async def pages(channel: Channel, part: Slice, *, payload: bool = True) -> AsyncIterator[list[Stored]]:
    """The events of a slice in stream order, page by page.

    While a page is used, or is decided on, the server reads the next one and what of it is looked at beforehand.
    """
    whole = payload and not part.chooses
    reading = _begun(channel.scan(part.stream, first=part.first, last=part.last, count=PAGE, payload=whole))
    looking: asyncio.Task[list[Look]] | None = None
    try:
        full = True
        while full:
            page = await reading
            full = len(page) == PAGE
            if full:
                first = f"({page[-1].key.id}"
                reading = _begun(channel.scan(part.stream, first=first, last=part.last, count=PAGE, payload=whole))
            before, looking = looking, _begun(part.looked(channel, page)) if part.chooses else None
            await asyncio.sleep(0)  # all this is asked for now, not when whoever uses a page first waits for something
            if not part.chooses:
                yield page
            elif before is not None:
                yield await part.decided(channel, await before, payload=payload)
        if looking is not None:
            yield await part.decided(channel, await looking, payload=payload)
    finally:
        reading.cancel()
        if looking is not None:
            looking.cancel()


def _begun(reading: Awaitable[T]) -> asyncio.Task[T]:
    """A task for it; whoever leaves early hears nothing of how it ended."""
    task = asyncio.ensure_future(_read(reading))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _read(reading: Awaitable[T]) -> T:
    return await reading


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
