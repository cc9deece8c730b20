"""Completing events with their payloads: one call for a batch, wherever the payloads lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .._envelope import Stored
from .._ports import PayloadStore
from . import _keys, _wire
from ._connection import Connection
from ._refusals import refusal
from ._replies import errors_among
from ._rows import Rows


class Payloads:
    """Reads payloads from hashes and external stores; inline ones are there already."""

    def __init__(self, commands: Connection, stores: Sequence[PayloadStore]) -> None:
        self.rows = Rows()
        self._commands = commands
        self._stores = {store.name: store for store in stores}

    async def complete(self, stream: str, events: list[Stored]) -> list[Stored]:
        """The same events with their arguments, which those in hashes get in place, or with what kept them away."""
        beside = [
            event for event in events if event.store == _wire.HASH and event.arguments is None and not event.problem
        ]
        prefix = _keys.record_prefix(stream, beside=True) if beside else ""
        whole = self.rows.complete(beside, await self._hashes(prefix, [event.message_id for event in beside]))
        if len(whole) == len(events):
            return whole
        found = {event.key: event for event in whole}
        events = [found.get(event.key, event) for event in events]
        await self._external(stream, events)
        return events

    async def complete_from(self, stream: str, events: list[Stored], keys: Sequence[str]) -> list[Stored]:
        """The same events, whose payloads lie in these hashes of their own, wherever their entries say."""
        places = [n for n, event in enumerate(events) if _open(event)]
        replies = await self._hashes("", [keys[n] for n in places])
        for n, words in zip(places, replies, strict=True):
            if words or events[n].store == _wire.HASH:
                events[n] = _wire.with_payload(events[n], words)
        await self._external(stream, events)
        return events

    async def elsewhere(self, stream: str, id_: str) -> Mapping[str, bytes]:
        """The arguments of an event whose payload lies in an external store that is at hand; else none."""
        if not self._stores:
            return {}
        entries: list[Any] = await self._commands.call("XRANGE", stream, id_, id_, stream=stream)
        events = [_wire.stored_event(stream, id_, words) for _, words in entries]
        outside = [event for event in events if _open(event) and event.store in self._stores]
        found = await self.complete(stream, outside)
        return (found[0].arguments if found else None) or {}

    async def peek(
        self, stream: str, events: Sequence[Stored], names: Sequence[str]
    ) -> list[Mapping[str, bytes] | None]:
        """Only these arguments; None where they are not in a hash, or the hash is not as it should be."""
        found: list[Mapping[str, bytes] | None] = [None] * len(events)
        beside = [n for n, event in enumerate(events) if _open(event) and event.store == _wire.HASH]
        prefix = _keys.payload_key(stream, "")
        ids = [events[n].message_id for n in beside]
        replies = await self._commands.each("HMGET", prefix, ids, (_wire.STORED_AT, *names))
        for n, values in zip(beside, self._checked(prefix, ids, replies), strict=True):
            if not isinstance(values, Exception) and values[0] is not None:
                pairs = zip(names, values[1:], strict=True)
                found[n] = {name: value for name, value in pairs if value is not None}
        return found

    async def _hashes(self, prefix: str, names: Sequence[str]) -> list[Any]:
        """What these hashes hold. Commands by themselves: a script around them costs the server three times as much."""
        return self._checked(prefix, names, await self._commands.each("HGETALL", prefix, names))

    def _checked(self, prefix: str, names: Sequence[str], replies: list[Any]) -> list[Any]:
        """The same replies; only a key that is no hash may be an error, any other one says nothing about its event."""
        for error in errors_among(replies):
            if "WRONGTYPE" not in str(error):
                raise refusal(self._commands.endpoint, prefix + names[replies.index(error)], str(error))
        return replies

    async def _external(self, stream: str, events: list[Stored]) -> None:
        elsewhere: dict[str, list[int]] = {}
        for n, event in enumerate(events):
            if _open(event) and event.store != _wire.HASH:
                elsewhere.setdefault(event.store, []).append(n)
        for name, part in elsewhere.items():
            store = self._stores.get(name)
            if store is None:
                for n in part:
                    events[n] = msgspec.structs.replace(
                        events[n],
                        problem=f"the payload lies in the store {name!r}, which this process was not given",
                    )
                continue
            found = await store.load(stream, [events[n].message_id for n in part])
            for n, arguments in zip(part, found, strict=True):
                problem = "" if arguments is not None else f"the payload is gone from the store {name!r}"
                events[n] = msgspec.structs.replace(events[n], arguments=arguments, problem=problem)


def _open(event: Stored) -> bool:
    return event.arguments is None and not event.problem
