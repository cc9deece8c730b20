"""Copying events from stream to stream inside the server: their payloads are never sent back and forth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._envelope import Stored
from .._ports import Copies
from . import _keys, _wire
from ._connection import Connection
from ._frames import Word

PER_CALL = 125
"""Events per step: the server is blocked for well under five milliseconds."""


async def copied(commands: Connection, to: str, events: Sequence[Stored], names: Mapping[str, str]) -> Copies:
    """See `Copier.copy`."""
    new, known = 0, list[str]()
    for start in range(0, len(events), PER_CALL):
        part = events[start : start + PER_CALL]
        reply = await _step(commands, to, part, names)
        before = [id_ for id_ in reply if id_.startswith(b"=")]
        new += len(reply) - len(before)
        known += [id_[1:].decode() for id_ in before]
        if len(reply) < len(part):
            break
    return Copies(new=new, known=tuple(known))


async def _step(commands: Connection, to: str, events: Sequence[Stored], names: Mapping[str, str]) -> Sequence[bytes]:
    ours, theirs = _keys.payload_key(to, ""), _keys.payload_key(events[0].key.stream, "")
    keys, words = [to], list[Word]()
    for event in events:
        keys += (ours + event.message_id, theirs + event.message_id)
        words += _wire.copy_values(event, names.get(event.event, event.event))
    reply: Sequence[bytes] = await commands.run("copy", keys, words)
    return reply
