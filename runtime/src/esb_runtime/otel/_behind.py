"""How far a group is behind: asked now and then, beside the work, for as long as its subscription runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from .._errors import ChannelError
from .._identifiers import entry_order
from .._inspection import GroupSummary, Inspection
from .._ports import Channel
from . import _names as names
from ._instruments import Instruments


@asynccontextmanager
async def watching(
    channel: Channel, streams: Sequence[str], group: str, *, every: float, instruments: Instruments
) -> AsyncGenerator[None]:
    """Measure every so many seconds, from the start on; where nothing can be inspected (in memory) never."""
    make: Callable[[], object] | None = getattr(channel, "inspection", None)
    inspection = make() if make is not None else None
    if not isinstance(inspection, Inspection):
        yield
        return
    watch = _Watch(channel=channel, inspection=inspection, group=group, instruments=instruments)
    ended = asyncio.Event()
    task = asyncio.create_task(watch.run(streams, every, ended))
    try:
        yield
    finally:
        ended.set()  # a command that is under way can swallow the cancellation: then this ends the loop
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@dataclass(frozen=True, slots=True, kw_only=True)
class _Watch:
    """Measures one group."""

    channel: Channel
    inspection: Inspection
    group: str
    instruments: Instruments

    async def run(self, streams: Sequence[str], every: float, ended: asyncio.Event) -> None:
        while not ended.is_set():
            for stream in streams:
                with suppress(ChannelError):  # an outage is the engine's to tell
                    for partition in await self.channel.partitions(stream):
                        await self._measure(partition)
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), every)

    async def _measure(self, stream: str) -> None:
        about = {names.SYSTEM: names.REDIS, names.STREAM: stream, names.GROUP: self.group}
        for found in await self.inspection.groups(stream):
            if found.name == self.group:
                if found.lag is not None:
                    self.instruments.lag.set(found.lag + found.pending, about)
                self.instruments.dead_letters.set(found.dead_letters, about)
                self.instruments.age.set(await self._age(stream, found), about)

    async def _age(self, stream: str, group: GroupSummary) -> float:
        """Seconds since the oldest unhandled event came, by the server's clock; 0 without one."""
        oldest = group.oldest_pending if group.pending else ""
        if not oldest:
            waiting = await self.channel.scan(stream, first=f"({group.last_delivered}", count=1, payload=False)
            if not waiting:
                return 0.0
            oldest = waiting[0].key.id
        return max(await self.channel.now() - entry_order(oldest)[0], 0) / 1000
