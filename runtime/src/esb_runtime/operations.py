"""What tools see of a server: its streams, groups and events without any contract.

    async with Backbone.connect() as backbone:
        operations = Operations(backbone)
        async for event in operations.events(Slice(stream="event-demo")):
            print(event.key, event.event, event.arguments)

Looking touches no group; `Group` is what an operator moves. The command line is built on this module alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Self

from ._again import give_again
from ._backbone import Backbone
from ._conditions import Condition
from ._contract import stream_key
from ._copying import AS_THEY_ARE, Copied, Copying, Renames, copied_up_to
from ._dead_events import DeadEvent, LetterFilter, dead_events, slices
from ._endpoint import Endpoint
from ._envelope import Record
from ._errors import DecodeError, EventNotFound, GroupNotFound, StreamNotFound, UsageError, WrongKeyType
from ._export import BadLine, exported, imported
from ._group_moves import Claimed, GroupControl, GroupMove, PendingEvent
from ._group_operations import Group
from ._identifiers import EventKey
from ._inspection import ConsumerSummary, GroupSummary, Inspection, ServerFacts, StreamSummary
from ._pace import UNBOUNDED, Pace
from ._plain_event import PlainEvent, plain_event, plain_record
from ._ports import Replay
from ._producer import Outbox
from ._redelivery import Place, Redelivered, redelivery_of
from ._retention import Cut, Kept, Retention, Trimmed
from ._slices import PAGE, Census, Slice, newest, pages
from ._tail import tail
from ._trim import cut_of, trim
from ._uncut import uncut

__all__ = [
    "BadLine",
    "Census",
    "Claimed",
    "Condition",
    "ConsumerSummary",
    "Copied",
    "Cut",
    "DeadEvent",
    "Description",
    "Endpoint",
    "Exported",
    "Group",
    "GroupMove",
    "GroupSummary",
    "Kept",
    "LetterFilter",
    "Operations",
    "Pace",
    "PendingEvent",
    "Place",
    "PlainEvent",
    "Record",
    "Redelivered",
    "Renames",
    "Replay",
    "Retention",
    "ServerFacts",
    "Slice",
    "StreamSummary",
    "Trimmed",
    "stream_key",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Everything about one stream."""

    summary: StreamSummary
    groups: tuple[GroupSummary, ...]
    retention: Kept | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A page of lines, in stream order, and what could not be read."""

    lines: tuple[bytes, ...]
    problems: tuple[str, ...]


class Operations:
    """A connected backbone, seen by a tool. Raises what the methods of a channel raise."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._channel = backbone._channel  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - this floor's own port
        self._outbox = Outbox(self._channel)

    @classmethod
    async def connect(cls, *, endpoint: str | None = None, password: str | None = None) -> Self:
        """Connect as `Backbone.connect` does, and prove that the server answers. Close it with `aclose`.

        Raises `ChannelUnavailable` or `LoginRefused` at once.
        """
        operations = cls(Backbone.connect(endpoint=endpoint, password=password))
        try:
            await operations.now()
        except BaseException:  # a cancellation too must leave no connection behind
            await operations.aclose()
            raise
        return operations

    async def aclose(self) -> None:
        """Close every connection."""
        await self._backbone.aclose()

    @property
    def endpoint(self) -> str:
        """Where the server is, without credentials."""
        return self._channel.endpoint

    async def now(self) -> int:
        """The server's clock, in milliseconds since 1970."""
        return await self._channel.now()

    # --- looking at the server

    async def server(self) -> ServerFacts:
        """What the server is and how it is set."""
        return await self._inspection().server()

    async def names(self, pattern: str = "*") -> list[str]:
        """The keys of the event streams that match a glob pattern, sorted; never those that esb keeps for itself."""
        return sorted([name async for name in self._channel.names(pattern)])

    async def streams(self, pattern: str = "*") -> list[StreamSummary]:
        """The event streams that match a glob pattern, by name; never those that esb keeps for itself."""
        names = await self.names(pattern)
        inspection = self._inspection()
        parts = [await inspection.summaries(names[at : at + PAGE]) for at in range(0, len(names), PAGE)]
        return [summary for part in parts for summary in part]

    async def describe(self, stream: str) -> Description:
        """Everything about one stream. Raises `StreamNotFound`, `WrongKeyType`."""
        await self.require(stream)
        inspection = self._inspection()
        summaries = await inspection.summaries([stream])
        if not summaries:
            raise StreamNotFound(stream)
        return Description(
            summary=summaries[0], groups=tuple(await inspection.groups(stream)), retention=await self.retention(stream)
        )

    async def group(self, stream: str, name: str) -> Group:
        """One group of a stream, to look into or to move. Raises `StreamNotFound`, `GroupNotFound`, `WrongKeyType`."""
        await self.require(stream)
        summaries = {summary.name: summary for summary in await self._inspection().groups(stream)}
        if name not in summaries:
            raise GroupNotFound(stream, name, get_close_matches(name, summaries, n=3, cutoff=0.5))
        make: Callable[[], object] | None = getattr(self._channel, "group_control", None)
        control = make() if make is not None else None
        if not isinstance(control, GroupControl):
            raise UsageError(f"the groups of {self.endpoint} cannot be operated: only those of Redis can")
        return Group(control, stream, summaries[name])

    async def require(self, stream: str) -> None:
        """Make sure that there is such a stream. Raises `StreamNotFound` with the nearest names, `WrongKeyType`."""
        if await self._channel.scan(stream, count=1, payload=False) or await self._channel.last_id(stream) != "0-0":
            return
        kind = await self._inspection().kind(stream)
        if kind == "none":
            raise StreamNotFound(stream, tuple(get_close_matches(stream, await self.names(), n=3, cutoff=0.5)))
        if kind != "stream":
            raise WrongKeyType(stream, "stream", f"it is a {kind}")

    async def discard(self, stream: str) -> None:
        """Delete a scratch stream with everything that belongs to it, groups and dead letters included.

        Nobody may be using it. Raises `UsageError` for a stream with a hash tag of its own.
        """
        await self._inspection().discard(stream)

    def _inspection(self) -> Inspection:
        make: Callable[[], object] | None = getattr(self._channel, "inspection", None)
        found = make() if make is not None else None
        if not isinstance(found, Inspection):
            raise UsageError(f"{self.endpoint} cannot be inspected: only Redis can")
        return found

    # --- looking at events

    async def events(self, part: Slice, *, payload: bool = True, pace: Pace = UNBOUNDED) -> AsyncIterator[PlainEvent]:
        """The events of a slice, in stream order, each not before it is due."""
        async for page in pace(pages(self._channel, part, payload=payload)):
            for stored in page:
                yield plain_event(stored)

    async def newest(self, part: Slice, count: int, *, payload: bool = True) -> list[PlainEvent]:
        """The last `count` events of a slice, in stream order."""
        return [plain_event(stored) for stored in await newest(self._channel, part, count, payload=payload)]

    async def get(self, key: EventKey) -> PlainEvent:
        """One event. Raises `EventNotFound`, or `StreamNotFound` when there is not even a stream."""
        found = await self._channel.scan(key.stream, first=key.id, last=key.id, count=1)
        if not found:
            await self.require(key.stream)
            raise EventNotFound(key.stream, key.id)
        return plain_event(found[0])

    async def last_id(self, stream: str) -> str:
        """The id of the newest entry that the stream ever had."""
        return await self._channel.last_id(stream)

    async def census(
        self,
        part: Slice,
        *,
        progress: Callable[[int], None] | None = None,
        each: Callable[[str], object] | None = None,
    ) -> Census:
        """Count the events of a slice; `progress` hears how many so far, `each` the id of every one, in order."""
        census = Census()
        async for page in pages(self._channel, part, payload=False):
            census.count(page)
            if each is not None:
                for stored in page:
                    each(stored.key.id)
            if progress is not None:
                progress(census.total)
        return census

    def follow(
        self,
        after: Mapping[str, str],
        *,
        patterns: Sequence[str] = (),
        only: frozenset[str] = frozenset(),
        where: Sequence[Condition] = (),
        payload: bool = True,
        outage: Callable[[str], None] | None = None,
    ) -> AsyncIterator[PlainEvent]:
        """Events of several streams as they come, each after its id in `after`; without end.

        Streams that appear later and match one of the glob `patterns` are followed from their beginning.

        Outages are waited out, and no event is missed or repeated over them; `outage` hears why when one begins and
        "" when it is over. Raises `LoginRefused` and `WrongKeyType`.
        """
        return tail(
            self._channel, self.names, after,
            patterns=patterns, only=only, where=where, payload=payload, outage=outage,
        )  # fmt: skip

    # --- dead letters

    def dead_letters(self, stream: str, group: str, part: LetterFilter = LetterFilter()) -> AsyncIterator[DeadEvent]:  # noqa: B008 - it is frozen
        """A group's dead letters that are meant, oldest first."""
        return dead_events(self._channel, stream, group, part)

    async def replay_dead_letters(
        self,
        stream: str,
        group: str,
        ids: Sequence[str],
        *,
        dry_run: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> Counter[Replay]:
        """Have this group, and no other one, handle the events of these letters again; what became of how many.

        One atomic step per letter, in the order given. A dry run says what would become of them. Raises `GroupLost`.
        """
        done: Counter[Replay] = Counter()
        for part in slices(ids):
            done.update(await self._channel.dead_letters(stream, group).replay(part, dry_run=dry_run))
            if progress is not None:
                progress(done.total())
        return done

    async def purge_dead_letters(self, stream: str, group: str, ids: Sequence[str]) -> int:
        """Delete letters by their own ids, with their payloads; returns how many there were."""
        return await self._channel.dead_letters(stream, group).purge(ids)

    # --- retention

    async def cut(self, stream: str, policy: Retention, *, force: bool = False) -> Cut:
        """What this policy lets go of now; `force`: also what a group has yet to handle."""
        return await cut_of(self._channel, stream, policy, force=force)

    async def trim(self, stream: str, cut: Cut, *, dry_run: bool = False) -> AsyncIterator[Trimmed]:
        """Remove what may go with its payloads; yields how much that is so far.

        In small atomic steps: safe to break off and to repeat. A dry run counts exactly what would go. Payloads in
        external stores are deleted at the end, where this backbone has the store; else by a process that has it.
        """
        async for so_far in trim(self._channel, stream, cut, dry_run=dry_run):
            yield so_far
        if not dry_run:
            await self._channel.trimming(stream).drain()

    async def sweep(self, stream: str, grace: timedelta, *, dry_run: bool = False) -> int:
        """Delete payloads that belong to no event or dead letter and are older than `grace`; returns how many.

        They are left when something else than esb removes entries.
        """
        return await self._channel.trimming(stream).sweep(grace, dry_run=dry_run)

    async def retention(self, stream: str) -> Kept | None:
        """The policy that the stream's consumers apply, and the dead group that holds it up; None without one."""
        return await self._channel.trimming(stream).noted()

    async def held_up(self) -> dict[str, str]:
        """The streams whose retention is held up, with the dead group that does it."""
        names = await self.names()
        inspection = self._inspection()
        found: dict[str, str] = {}
        for at in range(0, len(names), PAGE):
            found |= await inspection.held_up(names[at : at + PAGE])
        return found

    # --- producing without a contract

    async def produce(
        self,
        stream: str,
        event: str,
        arguments: Mapping[str, Any],
        *,
        version: int = 1,
        ordering_key: str | None = None,
        message_id: str | None = None,
    ) -> EventKey:
        """Store an event of plain values. Raises `EncodeError` for a value that cannot be stored."""
        record = self.record(event, arguments, version=version, ordering_key=ordering_key, message_id=message_id)
        keys: Sequence[EventKey] = await self.store(stream, [record])
        return keys[0]

    record = staticmethod(plain_record)

    def copy(
        self, part: Slice, to: str, *, renames: Renames = AS_THEY_ARE, pace: Pace = UNBOUNDED
    ) -> AsyncIterator[Copied]:
        """Copy a slice to another stream; yields how far it has come, after every page.

        Copies keep their message id and link to their source: copying again stores nothing twice. `renames` gives
        events and arguments other names, `pace` bounds how fast it goes; a cancellation comes behind a page. Raises
        `UsageError` when source and target are the same stream.
        """
        if part.stream == to:
            raise UsageError(f"stream {to!r} cannot be copied to itself; name another one")
        source = pages(self._channel, part, payload=False)
        return Copying(self._channel, self._outbox, part, to, renames).run(pace(source))

    async def copied_up_to(self, source: str, to: str) -> str:
        """The id of the last event of `source` that `to` holds a copy of, "" for none: where a copy goes on."""
        return await copied_up_to(self._channel, source, to)

    def redeliver(
        self, part: Slice, group: str, *, place: Place | None = None, pace: Pace = UNBOUNDED
    ) -> AsyncIterator[Redelivered]:
        """Have a group, and no other one, handle events again that it has handled; yields how many so far.

        What it has in hand stays as it is, what it was not given yet comes to it anyway, and what cannot be read is
        left out. A new epoch begins: `idempotent` handlers handle again. Each slice is one step that also notes how
        far the replay has come: `interrupted` says it, and `place` goes on there. Raises `GroupLost`.
        """
        source = pace(pages(self._channel, replace(part, handled_by=group), payload=False))
        port = redelivery_of(self._channel, part.stream, group)
        return give_again(port, self._outbox, source, last=part.last, place=place)

    async def interrupted(self, stream: str, group: str) -> Place | None:
        """Where the last replay to a group was interrupted; None when it came to its end."""
        return await redelivery_of(self._channel, stream, group).place()

    async def export(self, part: Slice) -> AsyncIterator[Exported]:
        """The events of a slice as lines of JSON that lose nothing, page by page. `store` reads them back."""
        async for page in pages(self._channel, part):
            lines: list[bytes] = []
            problems: list[str] = []
            for event in page:
                try:
                    lines.append(exported(event))
                except DecodeError as error:
                    problems.append(f"{event.key}: {error}")
            yield Exported(lines=tuple(lines), problems=tuple(problems))

    @staticmethod
    def read_line(line: bytes) -> Record:
        """An event that `export` wrote, ready for `store`. Raises `BadLine`."""
        return imported(line)

    async def store(self, stream: str, records: Sequence[Record]) -> list[EventKey]:
        """Store events in order, few round trips; those whose message id is known stay. A cancellation comes behind."""
        return await uncut(self._outbox.send_together(stream, records))
