"""Several streams as they grow, over outages: what `esb tail` sees."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta

from ._conditions import Condition
from ._envelope import Stored
from ._errors import ChannelUnavailable
from ._identifiers import entry_order
from ._plain_event import PlainEvent, plain_event
from ._ports import Channel
from ._slices import PAGE, Slice

_WAIT = timedelta(seconds=5)
_LOOK = timedelta(seconds=1)
"""How often new streams are looked for."""
_LONGEST_DELAY = 5.0


async def tail(
    channel: Channel,
    names: Callable[[str], Awaitable[list[str]]],
    after: Mapping[str, str],
    *,
    patterns: Sequence[str],
    only: frozenset[str],
    where: Sequence[Condition],
    payload: bool,
    outage: Callable[[str], None] | None,
) -> AsyncIterator[PlainEvent]:
    """See `Operations.follow`; `names` lists the streams that match a pattern."""
    reached = dict(after)
    delay, looked, pause = 0.0, 0.0, 0.0
    while True:
        try:
            if patterns and time.monotonic() - looked >= pause:
                began = time.monotonic()
                for pattern in patterns:
                    reached |= {name: "0-0" for name in await names(pattern) if name not in reached}
                looked = time.monotonic()
                pause = max(_LOOK.total_seconds(), 10 * (looked - began))  # a scan of many keys takes its time
            if not await _arrived(channel, reached, _LOOK if patterns else _WAIT):
                continue
            pages = [(stream, await _news(channel, stream, reached)) for stream in reached]
            batch = [
                event
                for stream, page in pages
                for event in await Slice(stream=stream, only=only, where=where).chosen(channel, page, payload=payload)
            ]
        except ChannelUnavailable as error:
            if outage is not None and not delay:
                outage(error.reason)
            delay = min(delay * 2 or 0.1, _LONGEST_DELAY)
            await asyncio.sleep(delay)
            continue
        if outage is not None and delay:
            outage("")
        delay = 0.0
        reached |= {stream: page[-1].key.id for stream, page in pages if page}
        for stored in sorted(batch, key=lambda stored: entry_order(stored.key.id)):
            yield plain_event(stored)


async def _arrived(channel: Channel, reached: Mapping[str, str], within: timedelta) -> bool:
    if not reached:
        await asyncio.sleep(within.total_seconds())
    return bool(reached) and await channel.wait(reached, within)


async def _news(channel: Channel, stream: str, reached: Mapping[str, str]) -> list[Stored]:
    return await channel.scan(stream, first=f"({reached[stream]}", count=PAGE, payload=False)
