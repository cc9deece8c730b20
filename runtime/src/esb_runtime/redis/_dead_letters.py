"""A group's dead letters in Redis: a stream of its own, each letter's payload in a hash beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from .._envelope import Stored
from .._ports import BuriedEvent, DeadLetters, Replay
from . import _keys, _wire
from ._connection import Connection
from ._payloads import Payloads

PER_CALL = 200
"""Letters that one script deletes."""


class RedisDeadLetters(DeadLetters):
    """See `DeadLetters` for the promises."""

    def __init__(self, stream: str, group: str, *, commands: Connection, payloads: Payloads) -> None:
        self._stream = stream
        self._group = group
        self._letters = _keys.dead_letter_stream(stream, group)
        self._commands = commands
        self._payloads = payloads

    async def page(self, *, first: str = "-", last: str = "+", count: int) -> list[BuriedEvent]:
        """Letters between two of their ids, with the payloads that they own."""
        return [letter for letter, _ in await self._page(first, last, count)]

    async def _page(self, first: str, last: str, count: int) -> list[tuple[BuriedEvent, list[bytes]]]:
        entries: list[Any] = await self._commands.call(
            "XRANGE", self._letters, first, last, "COUNT", count, stream=self._letters
        )
        found = [_wire.buried_event(self._stream, id_.decode(), words) for id_, words in entries]
        stored = [letter.stored for letter, _ in found]
        keys = [self._payload_key(letter) for letter, _ in found]
        events = await self._payloads.complete_from(self._stream, stored, keys)
        return [
            (msgspec.structs.replace(letter, stored=_with_raw(event, entry)), entry)
            for (letter, entry), event in zip(found, events, strict=True)
        ]

    async def replay(self, ids: Sequence[str], *, dry_run: bool = False) -> list[Replay]:
        """Give events back to the group, one after another, in the order given."""
        return [await self._replay(id_, dry_run=dry_run) for id_ in ids]

    async def _replay(self, id_: str, *, dry_run: bool) -> Replay:
        found = await self._page(id_, id_, 1)
        if not found:
            return Replay.ABSENT
        (letter, entry), source = found[0], found[0][0].letter.id
        if not entry:
            return Replay.EMPTY
        stored, message_id = letter.stored, letter.letter.message_id
        keys = (
            self._stream, self._letters, self._payload_key(letter), _keys.payload_key(self._stream, message_id),
            _keys.failures_key(self._stream, self._group), _keys.done_key(self._stream, self._group, message_id),
        )  # fmt: skip
        beside = "hash" if stored.store == _wire.HASH and message_id else ""
        words = (
            self._group, id_, source, _keys.RELEASED, beside, "new" if letter.letter.passed else "",
            "dry" if dry_run else "", *_wire.entry_for(self._group, entry, stored),
        )  # fmt: skip
        outcome: bytes = await self._commands.run("redeliver", keys, words, group=self._group)
        return Replay(outcome.decode())

    async def purge(self, ids: Sequence[str]) -> int:
        """Delete letters with their payloads."""
        gone = 0
        for start in range(0, len(ids), PER_CALL):
            part = ids[start : start + PER_CALL]
            entries = await self._commands.pipeline([("XRANGE", self._letters, id_, id_) for id_ in part])
            sources = [_source(self._stream, id_, found) for id_, found in zip(part, entries, strict=True)]
            keys = [_keys.dead_letter_payload_key(self._stream, self._group, source) for source in sources]
            gone += int(await self._commands.run("purge", (self._letters, *keys), part))
        return gone

    def _payload_key(self, letter: BuriedEvent) -> str:
        return _keys.dead_letter_payload_key(self._stream, self._group, letter.letter.id)


def _source(stream: str, id_: str, found: list[Any] | Exception) -> str:
    """The id of the event that a letter is about; nothing where the letter is gone."""
    if isinstance(found, Exception) or not found:
        return ""
    return _wire.buried_event(stream, id_, found[0][1])[0].letter.id


def _with_raw(event: Stored, entry: Sequence[bytes]) -> Stored:
    """What cannot be read shows its fields, whatever the reason."""
    if not event.problem or event.raw:
        return event
    return msgspec.structs.replace(event, raw=dict(zip(entry[::2], entry[1::2], strict=False)))
