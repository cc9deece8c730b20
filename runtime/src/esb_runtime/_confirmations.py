"""Waiting for durability: calls that wait at the same time share one WAIT."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from msgspec import Struct

from ._errors import ChannelUnavailable
from ._identifiers import EventKey
from ._ports import Channel
from ._settings import Durability

TOGETHER = 1000
"""Calls per round."""
ROUND = timedelta(seconds=1)
"""Longest single wait; a round that was not enough is followed by another."""
PAUSE = 0.05
"""Seconds after a round that met an outage."""


class Confirmations:
    """Who waits for which events to be durable: one round at a time per stream and durability."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._promised: set[Durability] = set()
        self._queues: dict[tuple[str, Durability], _Queue] = {}

    async def require(self, durability: Durability) -> None:
        """Raise `DurabilityUnavailable` when the channel can never promise it; asked once."""
        if durability not in self._promised:
            await self._channel.require(durability)
            self._promised.add(durability)

    async def lost(self, keys: Sequence[EventKey], durability: Durability) -> Sequence[EventKey]:
        """Wait until events of one stream are that durable, or some are lost; returns those, out of which none is.

        Waits out outages, for as long as its caller waits.
        """
        stream = keys[0].stream
        queue = self._queues.get((stream, durability))
        if queue is None:
            queue = self._queues[(stream, durability)] = _Queue(self._channel, stream, durability)
        return await queue.wait(keys)

    def close(self) -> None:
        """Wait for nothing any more."""
        for queue in self._queues.values():
            queue.close()


class _Wait(Struct, eq=False):
    """A caller who waits for events."""

    keys: Sequence[EventKey]
    future: asyncio.Future[Sequence[EventKey]]


class _Queue:
    """The callers who wait for one durability of one stream's events."""

    def __init__(self, channel: Channel, stream: str, durability: Durability) -> None:
        self._channel = channel
        self._stream = stream
        self._durability = durability
        self._waits: list[_Wait] = []
        self._rounds: asyncio.Task[None] | None = None

    def wait(self, keys: Sequence[EventKey]) -> asyncio.Future[Sequence[EventKey]]:
        loop = asyncio.get_running_loop()
        wait = _Wait(keys, loop.create_future())
        self._waits.append(wait)
        if self._rounds is None:
            self._rounds = loop.create_task(self._run())
        return wait.future

    def close(self) -> None:
        if self._rounds is not None:
            self._rounds.cancel()

    async def _run(self) -> None:
        try:
            while turn := self._still_wanted():
                await self._round(turn[:TOGETHER])
        finally:
            self._rounds = None
            for wait in self._still_wanted():
                wait.future.cancel()
            self._waits.clear()

    def _still_wanted(self) -> list[_Wait]:
        self._waits = [wait for wait in self._waits if not wait.future.done()]
        return self._waits

    async def _round(self, turn: Sequence[_Wait]) -> None:
        ids = [key.id for wait in turn for key in wait.keys]
        try:
            found = await self._channel.confirm(self._stream, ids, self._durability, ROUND)
        except ChannelUnavailable:
            await asyncio.sleep(PAUSE)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to those who wait
            for wait in turn:
                if not wait.future.done():
                    wait.future.set_exception(error)
        else:
            for wait in turn:
                lost = [key for key in wait.keys if key.id in found.lost]
                if (found.durable or lost) and not wait.future.done():
                    wait.future.set_result(lost)
