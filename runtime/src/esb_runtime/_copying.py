"""Copying a part of a stream to another one: once, in order, each copy linked to its source."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from ._envelope import Record, Stored, copy_details
from ._errors import ChannelError
from ._identifiers import entry_order
from ._ports import Channel, Copier, Copies
from ._producer import Outbox
from ._slices import PAGE, Slice
from ._uncut import PATIENCE, uncut


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A page, what the channel can copy of its beginning by itself, and that copy where it is under way."""

    page: Sequence[Stored]
    able: Sequence[Stored]
    copies: asyncio.Task[Copies] | None


class Copying:
    """Copies a slice page by page; an event is stored with its link in one step, whatever interrupts the copy.

    A copy keeps its message id, so copying again stores nothing twice; it says that it is one, and of what. Where the
    channel can copy by itself, payloads do not leave the server, and the next page is begun before this one has ended.
    """

    def __init__(self, channel: Channel, outbox: Outbox, part: Slice, to: str, renames: Renames) -> None:
        self._channel = channel
        self._outbox = outbox
        self._part = part
        self._to = to
        self._renames = renames
        self._copier = channel if isinstance(channel, Copier) and not renames.arguments else None
        self._since = "0-0"
        self._under_way = deque[_Begun]()
        self._progress = Copied()

    async def run(self, source: AsyncIterator[list[Stored]]) -> AsyncIterator[Copied]:
        """Copy pages that were read without payloads; yields how far it has come."""
        self._since = await self._channel.last_id(self._to)
        try:
            async for page in source:
                self._begin(page)
                if len(self._under_way) > 1:
                    await uncut(self._end())
                yield self._progress
            while self._under_way:
                await uncut(self._end())
                yield self._progress
        except (asyncio.CancelledError, GeneratorExit):
            with suppress(TimeoutError, ChannelError):  # it is being interrupted, and what that may take is bounded
                async with asyncio.timeout(PATIENCE):
                    while self._under_way:
                        await self._end()
            raise
        finally:
            for begun in self._under_way:
                if begun.copies is not None:
                    begun.copies.cancel()

    def _begin(self, page: Sequence[Stored]) -> None:
        """Have the channel copy what it can of the beginning of a page, behind the page before it."""
        copier = self._copier
        able = list(takewhile(copier.can_copy, page)) if copier is not None else []
        before = self._under_way[-1] if self._under_way else None
        ready = before is None or (before.copies is not None and len(before.able) == len(before.page))
        behind = before.page[-1] if before is not None else None
        copies = asyncio.create_task(self._copies(able, behind)) if able and ready else None
        self._under_way.append(_Begun(page=page, able=able, copies=copies))

    async def _copies(self, events: Sequence[Stored], behind: Stored | None) -> Copies:
        copier = self._copier
        if copier is None:
            return Copies(new=0, known=())
        names, since = self._renames.events, self._since
        return await self._outbox.patiently(lambda: copier.copy(self._to, events, names, since=since, behind=behind))

    async def _end(self) -> None:
        """See the oldest page that is under way to its end: by hand where the channel cannot."""
        begun = self._under_way.popleft()
        done = self._counted(await begun.copies) if begun.copies is not None else 0
        if done < len(begun.able):  # nothing is before it any more
            done += self._counted(await self._copies(begun.able[done:], None))
        if rest := begun.page[done:]:
            await self._by_hand(rest)

    def _counted(self, copies: Copies) -> int:
        self._progress.stored += copies.new
        self._note(copies.known)
        return copies.new + len(copies.known)

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
            if entry_order(id_) > entry_order(self._since):
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
