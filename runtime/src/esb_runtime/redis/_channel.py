"""Redis Streams as a channel."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import structs

from .._endpoint import Endpoint
from .._envelope import Record, Stored
from .._errors import UsageError
from .._group_moves import GroupControl
from .._identifiers import EventKey
from .._inspection import Inspection
from .._ports import (
    Appended,
    Chain,
    Channel,
    Confirmation,
    Copier,
    Copies,
    DeadLetters,
    PayloadStore,
    Peeker,
    Placement,
    Seat,
    SeatOptions,
)
from .._redelivery import Redelivery
from .._retention import Trimming
from .._settings import Durability
from . import _durability, _keys, _wire
from ._appending import Appending
from ._connection import SOCKET_TIMEOUT, Connection
from ._copying import Copying
from ._dead_letters import RedisDeadLetters
from ._frames import Word
from ._groups import RedisGroupControl
from ._inspect import RedisInspection
from ._payloads import Payloads
from ._redelivery import RedisRedelivery
from ._refusals import refusal
from ._seat import RedisSeat
from ._trimming import RedisTrimming

MAX_WAIT = timedelta(seconds=5)
"""Longest single blocking read: a dead connection is noticed after this and the socket's timeout."""
DEDUP = timedelta(hours=1)
SKIPPED = 10
"""Entries that one blocking read looks at, to find one that is for everybody."""

LEAST_DEDUP = 1000
"""Milliseconds that a message id is remembered for sure: far longer than two writes on one connection take."""
_PLAIN = range(ord("0"), ord("9") + 1)
"""First bytes of the id of an entry that was just written."""


class RedisChannel(Channel, Chain, Copier, Peeker):
    """Events in Redis Streams; payloads beside them in hashes, inside the entries, or in an external store.

    `placement` says where new payloads go; EXTERNAL means the first of `stores`. Reading follows each entry, so one
    stream may hold events of all kinds. `dedup` is how long a message id is remembered where no payload hash does it.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        placement: Placement = Placement.BESIDE,
        stores: Sequence[PayloadStore] = (),
        dedup: timedelta = DEDUP,
    ) -> None:
        if placement is Placement.EXTERNAL and not stores:
            raise UsageError("payloads in an external store need a store: pass stores=[...]")
        for store in stores:
            if store.name in {_wire.HASH, _wire.INLINE} or store.name.startswith(_wire.INSIDE.decode()):
                raise UsageError(f"a payload store cannot be called {store.name!r}")
        self._endpoint = endpoint
        self._placement = placement
        self._stores = tuple(stores)
        self._dedup = max(int(dedup.total_seconds() * 1000), 1)
        self._commands = Connection(endpoint)
        self._blocking = Connection(endpoint, timeout=SOCKET_TIMEOUT + MAX_WAIT.total_seconds(), blocking=True)
        self._payloads = Payloads(self._commands, self._stores)
        self._appending = Appending(placement, self._store_name, self._dedup)

    @property
    def endpoint(self) -> str:
        """Where this channel leads, without credentials."""
        return self._endpoint.display

    async def append(self, stream: str, records: Sequence[Record], *, together: bool = False) -> list[Appended]:
        """Store records in one atomic step; see `Channel.append`."""
        if len(records) == 1 and self._placement is Placement.BESIDE:
            # one call after another is what most programs do: they get the shortest script
            words = self._appending.one(stream, records[0])
            reply = None if words is None else await self._commands.run_framed("append_one", words, stream=stream)
            if reply is not None:  # else it stored nothing
                return [EventKey(stream=stream, id=reply.decode())]
        if self._placement is Placement.EXTERNAL:
            await self._save(self._stores[0], stream, records)
        return await self._append(stream, records, together=together)

    @property
    def can_append_after(self) -> bool:
        """Unless payloads are saved before, or the record of a message id may be gone at once."""
        return self._placement is Placement.BESIDE or (
            self._placement is Placement.INLINE and self._dedup >= LEAST_DEDUP
        )

    async def append_after(
        self, before: Record, stream: str, records: Sequence[Record], *, together: bool = False
    ) -> list[Appended]:
        """Store records if another one is there; see `Chain.append_after`."""
        return await self._append(stream, records, together=together, before=before)

    async def _append(
        self, stream: str, records: Sequence[Record], *, together: bool = False, before: Record | None = None
    ) -> list[Appended]:
        words = self._appending.many(stream, records, together=together, before=before)
        replies: list[Any] = await self._commands.run_framed("append", words, stream=stream)
        if replies and replies[0] and replies[0].startswith(b"!READONLY"):
            self._commands.forget_connections()
        return [
            EventKey(stream=stream, id=reply.decode())
            if reply and reply[0] in _PLAIN
            else self._other(stream, record, reply)
            for record, reply in zip(records, replies, strict=True)
        ]

    async def _save(self, store: PayloadStore, stream: str, records: Sequence[Record]) -> None:
        """Payloads first; those of a message id that is already stored stay as the first call wrote them."""
        given = {record.message_id: record.arguments for record in reversed(records)}
        known = await self._commands.pipeline([("EXISTS", _keys.dedup_key(stream, name)) for name in given])
        new = {name: given[name] for name, reply in zip(given, known, strict=True) if reply == 0}
        if new:
            # should this process die before the entry is written, the payload is known to be left over
            queue, now = _keys.drop_key(stream, store.name), await self.now()
            await self._commands.call("ZADD", queue, *[word for name in new for word in (now, name)], stream=queue)
            await store.save(stream, new)

    @property
    def _store_name(self) -> str:
        if self._placement is Placement.EXTERNAL:
            return self._stores[0].name
        return _wire.INLINE if self._placement is Placement.INLINE else _wire.HASH

    def _other(self, stream: str, record: Record, reply: bytes | None) -> Appended:
        """The outcome of a record that was stored before, or refused."""
        text = reply.decode() if reply else "!not stored"
        if text.startswith("!"):
            prefix = _keys.record_prefix(stream, beside=self._placement is Placement.BESIDE)
            return refusal(self.endpoint, prefix + record.message_id, text[1:])
        return EventKey(stream=stream, id=text.removeprefix("="))

    async def require(self, durability: Durability) -> None:
        """Raise `DurabilityUnavailable` when this server cannot promise it; see `Channel.require`."""
        await _durability.require(self._commands, durability)

    async def confirm(
        self, stream: str, ids: Sequence[str], durability: Durability, timeout: timedelta
    ) -> Confirmation:
        """Wait until events are that durable; see `Channel.confirm`."""
        return await _durability.confirm(self._blocking, stream, ids, durability, min(timeout, MAX_WAIT))

    async def peek(
        self, stream: str, events: Sequence[Stored], names: Sequence[str]
    ) -> list[Mapping[str, bytes] | None]:
        """Single arguments out of hashes; see `Peeker.peek`."""
        return await self._payloads.peek(stream, events, names)

    def can_copy(self, event: Stored) -> bool:
        """Whether the payload is a hash, here and in the copy."""
        return self._placement is Placement.BESIDE and event.store == _wire.HASH and not event.problem

    async def copy(
        self,
        to: str,
        events: Sequence[Stored],
        names: Mapping[str, str],
        *,
        since: str,
        behind: Stored | None = None,
    ) -> Copies:
        """Copy events with their hashes; see `Copier.copy`."""
        return await Copying(commands=self._commands, to=to, names=names, since=since).copied(events, behind)

    async def partitions(self, stream: str) -> Sequence[str]:
        """The stream itself: a stream has one partition."""
        return (stream,)

    async def scan(
        self,
        stream: str,
        *,
        first: str = "-",
        last: str = "+",
        count: int,
        reverse: bool = False,
        payload: bool = True,
    ) -> list[Stored]:
        """Events between two ids; see `Channel.scan`."""
        while True:
            events = await self._entries(stream, first, last, count, reverse=reverse)
            if not payload:
                return [structs.replace(e, arguments=None) if e.arguments is not None else e for e in events]
            whole = await self._payloads.complete(stream, events)
            if not await self._trimmed_meanwhile(stream, whole):
                return whole

    async def _trimmed_meanwhile(self, stream: str, events: Sequence[Stored]) -> bool:
        """Whether a payload is missing because its event was trimmed between the two looks."""
        ids = [event.key.id for event in events if event.problem and event.message_id]
        return bool(ids) and None in await self._commands.run("entries", (stream,), ids)

    async def _entries(self, stream: str, first: str, last: str, count: int, *, reverse: bool) -> list[Stored]:
        """Entries that are for everybody, without the payloads that lie elsewhere."""
        events: list[Stored] = []
        while (wanted := count - len(events)) > 0:
            command = ("XREVRANGE", stream, last, first) if reverse else ("XRANGE", stream, first, last)
            entries: list[Any] = await self._commands.call(*command, "COUNT", wanted, stream=stream)
            page = self._payloads.rows.events(stream, entries)
            events += [event for event in page if not event.only_for]
            if len(page) < wanted:
                break
            first, last = (first, f"({page[-1].key.id}") if reverse else (f"({page[-1].key.id}", last)
        return events

    async def complete(self, stream: str, events: Sequence[Stored]) -> list[Stored]:
        """Events with their payloads, those inside entries by reading these again; see `Channel.complete`."""
        found = list(events)
        inside = [n for n, event in enumerate(found) if event.store == _wire.INLINE and event.arguments is None]
        commands = [("XRANGE", stream, found[n].key.id, found[n].key.id) for n in inside]
        replies: list[Any] = await self._commands.pipeline(commands) if commands else []
        for n, reply in zip(inside, replies, strict=True):
            id_ = found[n].key.id
            gone = isinstance(reply, Exception) or not reply
            entry: Any = reply
            found[n] = _wire.gone_event(stream, id_) if gone else _wire.stored_event(stream, id_, entry[0][1])
        return await self._payloads.complete(stream, found)

    async def wait(self, after: Mapping[str, str], timeout: timedelta) -> bool:
        """Block until one of the streams has a newer entry; see `Channel.wait`."""
        ends = time.monotonic() + min(timeout, MAX_WAIT).total_seconds()
        reached = dict(after)
        while True:
            block = max(int((ends - time.monotonic()) * 1000), 1)
            words: list[Word] = ["XREAD", "COUNT", SKIPPED, "BLOCK", block, "STREAMS", *reached, *reached.values()]
            reply: list[Any] = await self._blocking.call(*words, stream=next(iter(after), "")) or []
            for key, entries in reply:
                if any(not _wire.stored_event("", "", words).only_for for _, words in entries):
                    return True
                reached[key.decode()] = entries[-1][0].decode()  # copies for one group are nobody else's news
            if time.monotonic() >= ends:
                return False

    async def last_id(self, stream: str) -> str:
        """The newest id that the stream ever had; see `Channel.last_id`."""
        replies = await self._commands.pipeline([("EXISTS", stream), ("XINFO", "STREAM", stream)])
        if replies[0] == 0:
            return "0-0"
        if isinstance(replies[1], Exception):
            raise refusal(self.endpoint, stream, str(replies[1]))
        info = dict(zip(replies[1][::2], replies[1][1::2], strict=True))
        return str(info[b"last-generated-id"].decode())

    async def now(self) -> int:
        """The server's clock, in milliseconds since 1970."""
        seconds, microseconds = await self._commands.call("TIME")
        return int(seconds) * 1000 + int(microseconds) // 1000

    def seat(self, options: SeatOptions) -> Seat:
        """A place in a group; see `Channel.seat`."""
        return RedisSeat(
            options,
            endpoint=self._endpoint,
            commands=self._commands,
            blocking=self._blocking,
            payloads=self._payloads,
        )

    def dead_letters(self, stream: str, group: str) -> DeadLetters:
        """The dead letters of a group; see `Channel.dead_letters`."""
        return RedisDeadLetters(stream, group, commands=self._commands, payloads=self._payloads)

    def redelivery(self, stream: str, group: str) -> Redelivery:
        """Gives a group again what it has handled."""
        return RedisRedelivery(stream, group, commands=self._commands)

    def trimming(self, stream: str) -> Trimming:
        """Removes a stream's oldest events; see `Channel.trimming`."""
        return RedisTrimming(stream, commands=self._commands, stores={store.name: store for store in self._stores})

    async def names(self, pattern: str = "*") -> AsyncIterator[str]:
        """Keys of the event streams that match a glob pattern; see `Channel.names`."""
        cursor = b"0"
        seen: set[str] = set()
        while True:
            cursor, keys = await self._commands.call("SCAN", cursor, "MATCH", pattern, "COUNT", 500, "TYPE", "stream")
            for key in keys:
                name = key.decode("utf-8", "backslashreplace")
                if name not in seen and not _keys.is_side_stream(name):
                    seen.add(name)
                    yield name
            if cursor == b"0":
                return

    def inspection(self) -> Inspection:
        """The server as tools see it."""
        return RedisInspection(self._commands)

    def group_control(self) -> GroupControl:
        """The groups as an operator moves them."""
        return RedisGroupControl(self._commands)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._commands.aclose()
        await self._blocking.aclose()
