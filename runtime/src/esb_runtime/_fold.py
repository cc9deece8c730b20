"""Folding events into a projection, each once: history, page by page, for whoever holds the view."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import cast

from ._consumer import Route
from ._context import ConsumerContext, Settlement
from ._contract import Consume, EventContract
from ._delivery import Delivery
from ._envelope import Stored, metadata_of
from ._errors import ChannelError, ContractError, UsageError
from ._flow import CURRENT
from ._identifiers import EventKey, entry_order
from ._ports import Channel
from ._projection import Position, Projection, keeps_itself
from ._read import PAGE, Bound, last_id


def consumer_of(view: Projection) -> EventContract[Consume]:
    """The consumer that a view is, too. Raises `ContractError` for one without a contract."""
    if not isinstance(view, EventContract):
        name = type(view).__name__
        raise ContractError(f"{name} has no contract: write class {name}(Projection, Contract[Consume])")
    return cast("EventContract[Consume]", view)


class _Folding:
    """The settlement of events in a projection: there is none."""

    cancelled = False

    async def ack(self) -> None:
        """Refused."""
        raise UsageError("a projection's events are not acknowledged: its position says what it holds")

    async def nack(self, after: timedelta | None) -> None:
        """Refused: raise instead."""
        del after
        await self.ack()

    async def reject(self, reason: str) -> None:
        """Refused: raise instead."""
        del reason
        await self.ack()

    async def progress(self) -> None:
        """Nobody waits."""

    async def group_epoch(self) -> int | None:
        """Refused."""
        raise UsageError("a projection needs no ctx.once: a position that is stored with its rows counts each once")


_FOLDING = _Folding()


class Fold:
    """Applies events to a view, in the order given, each once."""

    def __init__(self, view: Projection, routes: Mapping[str, Route]) -> None:
        self.stored = keeps_itself(view)
        self.position = Position()
        self.failed: Stored | None = None
        """The event whose handler raised last; None when it was the view's own storage that failed."""
        self._saved = Position()
        self._view = view
        self._routes = routes

    @property
    def streams(self) -> Sequence[str]:
        """The keys of the streams that the view is folded from."""
        return list(self._routes)

    async def begin(self, after: Position | None = None) -> None:
        """Continue at the view's own position, or at another one (in memory only)."""
        if after is not None and self.stored:
            raise UsageError(f"{type(self._view).__name__} keeps its own checkpoint: leave `after` out")
        if after is not None:
            await self._view.save(after)
        async with self._view.transaction():
            self.position = self._saved = await self._view.checkpoint() or Position()

    async def apply(self, events: Sequence[Stored]) -> None:
        """Fold events that follow the position; those that are in already are passed over."""
        self.failed = None
        relevant = iter([event for event in events if self._concerns(event)])
        while part := list(islice(relevant, max(self._view.events_per_transaction, 1))):
            await self._apply(part)
        for event in {each.key.stream: each for each in events}.values():
            self._pass(event)  # the last of each stream: what follows the last relevant one concerns nobody

    async def leave_out(self, event: Stored) -> None:
        """Move on past an event that cannot be folded."""
        self._pass(event)
        await self.finish()

    async def finish(self) -> None:
        """Keep the position where it moved past events that concern nobody."""
        self.failed = None
        if self.position != self._saved:
            async with self._view.transaction():
                await self._catch_up()
                await self._view.save(self.position)
            self._saved = self.position

    async def _apply(self, events: Sequence[Stored]) -> None:
        before = self.position
        try:
            async with self._view.transaction():
                await self._catch_up()
                for event in events:
                    if not self.position.covers(event.key):
                        await self._handled(event)
                        self._pass(event)
                await self._view.save(self.position)
        except BaseException:  # whatever ends the transaction, a cancellation too, undoes it
            self.position = before  # a position on the object was not saved, one in a database was rolled back
            raise
        self._saved = self.position

    async def _catch_up(self) -> None:
        """Where another process was at work meanwhile, its progress is ours."""
        if self.stored:
            for stream, id_ in (await self._view.checkpoint() or Position()).ids.items():
                self._pass_to(EventKey(stream=stream, id=id_))

    def _pass(self, event: Stored) -> None:
        self._pass_to(event.key)

    def _pass_to(self, key: EventKey) -> None:
        if not self.position.covers(key):
            self.position = self.position.moved(key)

    def _concerns(self, event: Stored) -> bool:
        if self.position.covers(event.key):
            return False
        route = self._routes[event.key.stream]
        known = (event.event, event.version) in route.handlers
        return known or bool(route.fallbacks) or not event.event  # an entry without a name may be anybody's

    async def _handled(self, event: Stored) -> None:
        try:
            await self._handle(event)
        except Exception:
            self.failed = event
            raise

    async def _handle(self, event: Stored) -> None:
        if event.problem:
            raise ChannelError(f"event {event.key} cannot be read: {event.problem}")
        await handle(event, self._routes[event.key.stream], _FOLDING)


async def handle(event: Stored, route: Route, settlement: Settlement) -> None:
    """Give one readable event to its handlers, or else to the fallbacks; raises what they raise, or `DecodeError`."""
    metadata = metadata_of(event, uri=route.uri, environment=route.environment)
    raw = event.arguments or {}
    ctx = ConsumerContext(metadata, settlement)
    CURRENT.set(ctx)
    handlers = route.handlers.get((event.event, event.version), ())
    for handler in handlers:
        if handler.batch is not None:
            await handler.call([Delivery(metadata, raw, settlement, handler.definition)])
        else:
            await handler.starter(ctx, raw, event.erased)
    for fallback in () if handlers else route.fallbacks:
        await fallback(ctx, Delivery(metadata, raw, settlement))


async def lines_of(channel: Channel, routes: Sequence[Route]) -> dict[str, Route]:
    """The routes by the keys of their partitions."""
    return {key: route for route in routes for key in await channel.partitions(route.stream)}


async def project(
    channel: Channel, view: Projection, routes: Sequence[Route], *, after: Position | None, until: Bound
) -> Position:
    """Fold everything after the position, up to `until`, once; returns the new position.

    In a task of its own, so that what handlers set in context variables stays there. Raises what a handler raises,
    and `ChannelError` at an event that cannot be read; the view then stands just before that event.
    """
    fold = Fold(view, await lines_of(channel, routes))
    await fold.begin(after)
    await asyncio.create_task(_project(channel, fold, until))
    return fold.position


async def _project(channel: Channel, fold: Fold, until: Bound) -> None:
    end = last_id(until)
    async for page in pages(channel, {stream: (fold.position.id_of(stream), end) for stream in fold.streams}):
        await fold.apply(page)
    await fold.finish()


async def pages(channel: Channel, bounds: Mapping[str, tuple[str, str]]) -> AsyncGenerator[list[Stored], None]:
    """History of several streams, merged by id, in pages: for each stream from after one id up to another bound."""
    after = {stream: first for stream, (first, _) in bounds.items()}
    buffers: dict[str, list[Stored]] = {stream: [] for stream in bounds}
    open_ = set(bounds)
    while open_ or any(buffers.values()):
        for stream in [each for each in open_ if not buffers[each]]:
            found = await channel.scan(stream, first=f"({after[stream]}", last=bounds[stream][1], count=PAGE)
            buffers[stream] = found
            if found:
                after[stream] = found[-1].key.id
            if len(found) < PAGE:
                open_.discard(stream)
        page = _merged(buffers, open_)
        if page:
            yield page


def _merged(buffers: dict[str, list[Stored]], open_: set[str]) -> list[Stored]:
    """What can be given out in order: nothing beyond the end of a buffer that has a sequel."""
    limit = min((entry_order(buffers[stream][-1].key.id) for stream in open_), default=None)
    page: list[Stored] = []
    for stream, buffer in buffers.items():
        ready = [event for event in buffer if limit is None or entry_order(event.key.id) <= limit]
        page += ready
        buffers[stream] = buffer[len(ready) :]
    return sorted(page, key=lambda event: entry_order(event.key.id)) if len(buffers) > 1 else page
