"""Giving a group of a Redis stream again what it has handled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._envelope import Stored
from .._errors import ChannelError, GroupLost
from .._group_moves import before
from .._redelivery import Place, Redelivered, Redelivery, Standing
from . import _keys
from ._connection import Connection

PENDING_PER_CALL = 1000


class RedisRedelivery(Redelivery):
    """See `Redelivery` for the promises."""

    def __init__(self, stream: str, group: str, *, commands: Connection) -> None:
        self._stream = stream
        self._group = group
        self._commands = commands
        self._place = _keys.replay_key(stream, group)

    async def standing(self, first: str, last: str) -> Standing:
        """What the group was given, and what of the range it has in hand."""
        pending: set[str] = set()
        while True:
            page: list[Any] = await self._commands.call(
                "XPENDING", self._stream, self._group, first, last, PENDING_PER_CALL,
                stream=self._stream, group=self._group,
            )  # fmt: skip
            pending.update(entry[0].decode() for entry in page)
            if len(page) < PENDING_PER_CALL:
                break
            first = f"({page[-1][0].decode()}"
        infos: list[Any] = await self._commands.call("XINFO", "GROUPS", self._stream, stream=self._stream)
        for info in infos:
            told = dict(zip(info[::2], info[1::2], strict=True))
            if told[b"name"] == self._group.encode():
                return Standing(delivered=told[b"last-delivered-id"].decode(), pending=frozenset(pending))
        raise GroupLost(self._stream, self._group)

    async def give(self, events: Sequence[Stored], *, run: str, begins: bool, last: str) -> Redelivered:
        """One script."""
        keys = [
            self._stream, _keys.failures_key(self._stream, self._group), _keys.epoch_key(self._stream, self._group),
            self._place, _keys.floor_key(self._stream, self._group),
            *(_keys.done_key(self._stream, self._group, event.message_id) for event in events),
        ]  # fmt: skip
        ids = [event.key.id for event in events]
        words = (self._group, _keys.RELEASED, run, "new" if begins else "", last, before(ids[0]), *ids)
        reply: Any = await self._commands.run("again", keys, words, group=self._group)
        if isinstance(reply, bytes):
            raise ChannelError(f"another replay to group {self._group!r} has begun; this one ends where it is")
        return Redelivered(given=reply[0], waiting=reply[1], gone=reply[2])

    async def place(self) -> Place | None:
        """What the last step noted."""
        found: list[bytes | None] = await self._commands.call("HMGET", self._place, "run", "at", "last")
        words = [word.decode() for word in found if word is not None]
        return Place(run=words[0], at=words[1], last=words[2]) if len(words) == 3 else None

    async def finish(self, run: str) -> None:
        """Nothing is left to go on with."""
        await self._commands.run("replayed", (self._place,), (run,))
