"""The in-memory twin of a Redis channel."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice

import msgspec

from .._envelope import Record, Stored
from .._errors import UsageError
from .._identifiers import entry_order
from .._ports import Appended, Channel, Confirmation, DeadLetters, PayloadStore, Placement, Seat, SeatOptions
from .._retention import Trimming
from .._settings import Durability
from ._dead_letters import MemoryDeadLetters
from ._log import as_text
from ._seat import MemorySeat
from ._server import ENDPOINT, MemoryServer
from ._state import HASH, INLINE, State
from ._stores import Stores
from ._trimming import MemoryTrimming

DEDUP = timedelta(hours=1)


class MemoryChannel(Channel):
    """Events in a `MemoryServer`; payloads beside the entries, inside them, or in an external store.

    `placement` says where new payloads go; EXTERNAL means the first of `stores`. Reading follows each entry. `dedup`
    is how long a message id is remembered where no payload beside the entry does it. Without a `server` the channel
    has one of its own.
    """

    def __init__(
        self,
        server: MemoryServer | None = None,
        *,
        placement: Placement = Placement.BESIDE,
        stores: Sequence[PayloadStore] = (),
        dedup: timedelta = DEDUP,
    ) -> None:
        if placement is Placement.EXTERNAL and not stores:
            raise UsageError("payloads in an external store need a store: pass stores=[...]")
        self.server = server or MemoryServer()
        self._stores = Stores(stores)
        self._external = stores[0] if placement is Placement.EXTERNAL else None
        self._store_name = INLINE if placement is Placement.INLINE else HASH
        if self._external is not None:
            self._store_name = self._external.name
        self._window = dedup.total_seconds()

    @property
    def endpoint(self) -> str:
        """Where this channel leads."""
        return ENDPOINT

    async def append(self, stream: str, records: Sequence[Record], *, together: bool = False) -> list[Appended]:
        """Store records in one atomic step; see `Channel.append`."""
        if self._external is not None:
            await self._save(self._external, stream, records)
        return await self.server.call(
            lambda state: state.append(stream, records, store=self._store_name, window=self._window, together=together)
        )

    async def _save(self, store: PayloadStore, stream: str, records: Sequence[Record]) -> None:
        """Payloads first; those of a message id that is already stored stay as the first call wrote them."""

        def unknown(state: State) -> dict[str, Mapping[str, bytes]]:
            given = {record.message_id: record.arguments for record in reversed(records)}
            new = {name: each for name, each in given.items() if state.known(stream, name, beside=False) is None}
            # should the entry never come, the payload is known to be left over
            state.drops.setdefault((stream, store.name), {}).update(dict.fromkeys(new, state.clock.now() // 1000))
            return new

        new = await self.server.call(unknown)
        if new:
            await store.save(stream, new)

    async def require(self, durability: Durability) -> None:
        """Nothing in memory outlives its process: any durability is taken for granted."""

    async def confirm(
        self, stream: str, ids: Sequence[str], durability: Durability, timeout: timedelta
    ) -> Confirmation:
        """As durable as it gets at once; see `Channel.confirm`."""
        del durability, timeout

        def found(state: State) -> Confirmation:
            log = state.log(stream)
            lost = frozenset(id_ for id_ in ids if log is None or entry_order(id_) not in log.entries)
            return Confirmation(durable=True, lost=lost)

        return await self.server.call(found)

    async def partitions(self, stream: str) -> Sequence[str]:
        """The stream itself: a stream has one partition."""
        return (stream,)

    async def scan(
        self, stream: str, *, first: str = "-", last: str = "+", count: int, reverse: bool = False, payload: bool = True
    ) -> list[Stored]:
        """Events between two ids; see `Channel.scan`."""

        def found(state: State) -> list[Stored]:
            log = state.log(stream)
            if log is None:
                return []
            ids = log.between(first, last, reverse=reverse)
            everybodys = (log.entries[id_] for id_ in ids if not log.entries[id_].only_for)
            entries = list(islice(everybodys, count))
            if not payload:
                return [msgspec.structs.replace(entry, arguments=None) for entry in entries]
            return [state.complete(stream, entry) for entry in entries]

        events = await self.server.call(found)
        return await self._stores.complete(stream, events) if payload else events

    async def complete(self, stream: str, events: Sequence[Stored]) -> list[Stored]:
        """Events with their payloads; see `Channel.complete`."""

        def found(state: State) -> list[Stored]:
            log = state.log(stream)
            held = log.entries if log is not None else {}
            return [state.complete(stream, held.get(entry_order(event.key.id), event)) for event in events]

        return await self._stores.complete(stream, await self.server.call(found))

    async def wait(self, after: Mapping[str, str], timeout: timedelta) -> bool:
        """Wait until one of the streams has a newer entry; see `Channel.wait`."""
        marks = {stream: entry_order(id_) for stream, id_ in after.items()}

        def newer(state: State) -> bool:
            logs = [(state.log(stream), mark) for stream, mark in marks.items()]
            return any(
                log is not None and any(not log.entries[id_].only_for for id_ in log.after(mark, len(log.ids)))
                for log, mark in logs
            )

        return await self.server.until(newer, timeout, *after)

    async def last_id(self, stream: str) -> str:
        """The newest id that the stream ever had; see `Channel.last_id`."""

        def last(state: State) -> str:
            log = state.log(stream)
            return as_text(log.last) if log else "0-0"

        return await self.server.call(last)

    async def now(self) -> int:
        """The server's clock, in milliseconds since 1970."""
        return await self.server.call(lambda state: state.clock.now() // 1000)

    def seat(self, options: SeatOptions) -> Seat:
        """A place in a group; see `Channel.seat`."""
        return MemorySeat(options, server=self.server, stores=self._stores)

    def dead_letters(self, stream: str, group: str) -> DeadLetters:
        """The dead letters of a group; see `Channel.dead_letters`."""
        return MemoryDeadLetters(stream, group, server=self.server, stores=self._stores)

    def trimming(self, stream: str) -> Trimming:
        """Removes a stream's oldest events; see `Channel.trimming`."""
        return MemoryTrimming(stream, server=self.server, stores=self._stores.by_name)

    async def names(self, pattern: str = "*") -> AsyncIterator[str]:
        """Keys of the streams that match a glob pattern; see `Channel.names`."""
        matches = _glob(pattern)
        for key in await self.server.call(lambda state: sorted(state.logs)):
            if matches.fullmatch(key):
                yield key

    async def aclose(self) -> None:
        """Nothing to close: the server lives as long as somebody holds it."""


def _glob(pattern: str) -> re.Pattern[str]:
    """Redis's glob: `*`, `?`, `[abc]`, `[^abc]`, `[a-c]`, and a backslash before a literal character.

    https://redis.io/docs/latest/commands/keys/
    """
    words: list[str] = []
    for part in re.finditer(r"\\(.)|(\*)|(\?)|\[(\^?)([^\]]*)\]|(.)", pattern, re.DOTALL):
        escaped, star, mark, negated, members, literal = part.groups()
        if star or mark:
            words.append(".*" if star else ".")
        elif members is not None:
            inside = re.escape(members).replace(r"\-", "-")
            words.append(f"[{negated or ''}{inside}]" if members else "(?!)")
        else:
            words.append(re.escape(escaped or literal))
    return re.compile("".join(words), re.DOTALL)
