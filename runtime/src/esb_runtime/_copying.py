"""Copying a part of a stream to another one: once, in order, each copy linked to its source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from ._envelope import Record, Stored, copy_details
from ._identifiers import entry_order
from ._ports import Channel, Copier
from ._producer import Outbox
from ._slices import PAGE, Slice
from ._uncut import uncut


@dataclass(frozen=True, slots=True, kw_only=True)
class Renames:
    """Other names for events, and for arguments of events (by the event's old name)."""

    events: Mapping[str, str] = field(default_factory=dict[str, str])
    arguments: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])

    def clash(self, event: Stored) -> str:
        """The new name of an argument that the event has already under that name; "" when there is none."""
        new = self.arguments.get(event.event, {})
        kept = (event.arguments or {}).keys() - new.keys()
        return next((name for name in new.values() if name in kept), "")

    def renamed(self, record: Record) -> Record:
        """The record under its new names."""
        names = self.arguments.get(record.event, {})
        return msgspec.structs.replace(
            record,
            event=self.events.get(record.event, record.event),
            arguments={names.get(name, name): value for name, value in record.arguments.items()},
            erased=frozenset(names.get(name, name) for name in record.erased),
        )


AS_THEY_ARE = Renames()


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


class Copying:
    """Copies a slice page by page; an event is stored with its link in one step, whatever interrupts the copy.

    A copy keeps its message id, so copying again stores nothing twice; it says that it is one, and of what. Where the
    channel can copy by itself, payloads do not leave the server.
    """

    def __init__(self, channel: Channel, outbox: Outbox, part: Slice, to: str, renames: Renames) -> None:
        self._channel = channel
        self._outbox = outbox
        self._part = part
        self._to = to
        self._renames = renames
        self._copier = channel if isinstance(channel, Copier) and not renames.arguments else None
        self._before = (0, 0)
        self._progress = Copied()

    async def run(self, source: AsyncIterator[list[Stored]]) -> AsyncIterator[Copied]:
        """Copy pages that were read without payloads; yields how far it has come."""
        self._before = entry_order(await self._channel.last_id(self._to))
        async for page in source:
            await uncut(self._page(page))
            yield self._progress

    async def _page(self, page: Sequence[Stored]) -> None:
        rest = page[await self._by_itself(page) :]
        if rest:
            await self._by_hand(rest)

    async def _by_itself(self, page: Sequence[Stored]) -> int:
        """Have the channel copy what it can of the beginning of a page; returns how many events that was."""
        copier = self._copier
        if copier is None:
            return 0
        able = list(takewhile(copier.can_copy, page))
        done = await self._outbox.patiently(lambda: copier.copy(self._to, able, self._renames.events)) if able else None
        if done is None:
            return 0
        self._progress.stored += done.new
        self._note(done.known)
        return done.new + len(done.known)

    async def _by_hand(self, page: Sequence[Stored]) -> None:
        """Read payloads and store them: wherever they lie, and saying what is wrong with one."""
        whole = await self._channel.complete(self._part.stream, page)
        if any(event.problem for event in whole):
            whole = await self._still_there(whole)
        records = [self._copy_of(event) for event in whole if self._copyable(event)]
        if records:
            self._note([key.id for key in await self._outbox.send_together(self._to, records)])

    def _note(self, ids: Sequence[str]) -> None:
        """Count copies by whether they are older than this replay."""
        for id_ in ids:
            if entry_order(id_) > self._before:
                self._progress.stored += 1
            else:
                self._progress.present += 1

    async def _still_there(self, page: Sequence[Stored]) -> list[Stored]:
        """Those that were not trimmed since their entries were read."""
        first, last = page[0].key.id, page[-1].key.id
        found = await self._channel.scan(self._part.stream, first=first, last=last, count=PAGE, payload=False)
        there = {event.key.id for event in found}
        return [event for event in page if event.key.id in there]

    def _copyable(self, event: Stored) -> bool:
        clash = "" if event.problem else self._renames.clash(event)
        problem = event.problem or (clash and f"it has an argument {clash!r} already")
        if problem:
            self._progress.skipped += 1
            self._progress.problem = self._progress.problem or f"{event.key}: {problem}"
        return not problem

    def _copy_of(self, event: Stored) -> Record:
        return self._renames.renamed(
            Record(
                message_id=event.message_id,
                event=event.event,
                version=event.version,
                produced_at=event.produced_at,
                arguments=event.arguments or {},
                ordering_key=event.ordering_key,
                details=copy_details(event),
                erased=event.erased,
            )
        )


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
