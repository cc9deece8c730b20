"""Copying events from stream to stream inside the server: their payloads are never sent back and forth."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .._envelope import Stored
from .._ports import Copies
from . import _keys, _wire
from ._connection import Connection
from ._frames import Word

PER_CALL = 50
"""Events per step: the server is blocked for about a millisecond, and what it gathers until the step's end stays in its
processor's caches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """Where events are copied to, under which names, and which id of the target this copy is newer than."""

    commands: Connection
    to: str
    names: Mapping[str, str]
    since: str

    async def copied(self, events: Sequence[Stored], behind: Stored | None) -> Copies:
        """See `Copier.copy`. Steps are sent without waiting for the ones before, so that the server need not either.

        Each is fenced by the end of the one before. Where that was no copy of late, it is repeated when its turn comes.
        """
        new, known = 0, list[str]()
        steps = [events[at : at + PER_CALL] for at in range(0, len(events), PER_CALL)]
        ends = [behind, *(step[-1] for step in steps)]
        sent = (self._step(step, end) for step, end in zip(steps, ends, strict=False))
        for step, replied in zip(steps, await asyncio.gather(*sent), strict=True):
            reply = replied
            if reply is None and step is not steps[0]:
                reply = await self._step(step, None)
            before = [id_ for id_ in reply or () if id_.startswith(b"=")]
            new += len(reply or ()) - len(before)
            known += [id_[1:].decode() for id_ in before]
            if reply is None or len(reply) < len(step):
                break
        return Copies(new=new, known=tuple(known))

    async def _step(self, events: Sequence[Stored], behind: Stored | None) -> Sequence[bytes] | None:
        """One atomic call; None where it did not come behind that copy."""
        ours, theirs = _keys.payload_key(self.to, ""), _keys.payload_key(events[0].key.stream, "")
        keys, words = [self.to], list[Word]()
        kinds: dict[tuple[str, int, bool], int] = {}
        for event in events:
            kind = (event.event, event.version, event.ordering_key is not None)
            number = kinds.get(kind) or kinds.setdefault(kind, len(kinds) + 1)
            keys += (ours + event.message_id, theirs + event.message_id)
            words += (number, *_wire.copy_values(event))
        heads = [word for name, version, keyed in kinds for word in (self.names.get(name, name), version, int(keyed))]
        if behind is not None:
            keys.append(ours + behind.message_id)
        options: list[Word] = [self.since, len(events), len(kinds)]
        reply: Sequence[bytes] | None = await self.commands.run("copy", keys, (*options, *heads, *words))
        return reply
