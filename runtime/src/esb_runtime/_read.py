"""Reading without a group: history as an asynchronous iterator of typed deliveries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime

from ._delivery import Delivery
from ._envelope import Stored, metadata_of, to_microseconds
from ._errors import ChannelError, EventNotFound, UsageError
from ._events import EventDefinition
from ._identifiers import EventKey
from ._ports import Channel

PAGE = 500
LAST_SEQUENCE = "18446744073709551615"

Bound = datetime | EventKey | None
"""Where a reading begins or ends: an aware time, an event, or the stream's own end."""


def first_id(since: Bound) -> str:
    """The id that a reading begins with, inclusive. Raises `UsageError` for a time without a zone."""
    if since is None:
        return "-"
    return since.id if isinstance(since, EventKey) else f"{_milliseconds(since)}-0"


def last_id(until: Bound) -> str:
    """The id that a reading ends with, inclusive: the whole millisecond of a time."""
    if until is None:
        return "+"
    return until.id if isinstance(until, EventKey) else f"{_milliseconds(until)}-{LAST_SEQUENCE}"


def _milliseconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise UsageError("since and until are aware times: datetime.now(UTC), not datetime.now()")
    return max(to_microseconds(moment) // 1000, 0)


async def history(channel: Channel, stream: str, *, since: Bound = None, until: Bound = None) -> AsyncIterator[Stored]:
    """Every event between the bounds, in stream order, in slices; touches no group."""
    after, end = first_id(since), last_id(until)
    while True:
        page = await channel.scan(stream, first=after, last=end, count=PAGE)
        for event in page:
            yield event
        if len(page) < PAGE:
            return
        after = f"({page[-1].key.id}"


async def deliveries(
    channel: Channel,
    stream: str,
    *,
    uri: str,
    environment: str,
    since: Bound,
    until: Bound,
    only: Mapping[tuple[str, int], EventDefinition] | None,
) -> AsyncIterator[Delivery[...]]:
    """History as deliveries; `only` keeps these events and types them. Raises at an event that cannot be read."""
    async for stored in history(channel, stream, since=since, until=until):
        definition = only.get((stored.event, stored.version)) if only is not None else None
        if only is None or definition is not None:
            yield delivery_of(stored, uri=uri, environment=environment, definition=definition)


def delivery_of(
    stored: Stored, *, uri: str, environment: str, definition: EventDefinition | None = None
) -> Delivery[...]:
    """A stored event as a user sees it. Raises `ChannelError` when it cannot be read."""
    if stored.problem:
        raise ChannelError(f"event {stored.key} cannot be read: {stored.problem}")
    metadata = metadata_of(stored, uri=uri, environment=environment)
    return Delivery(metadata, stored.arguments or {}, None, definition)


async def one(channel: Channel, key: EventKey) -> Stored:
    """The event at a key. Raises `EventNotFound`."""
    found = await channel.scan(key.stream, first=key.id, last=key.id, count=1)
    if not found:
        raise EventNotFound(key.stream, key.id)
    return found[0]
