"""Keeping a projection up to date while events come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ._consumer import Route, consumer_name
from ._envelope import Stored
from ._errors import ChannelError, DecodeError, GroupLost, OwnershipLost
from ._fold import Fold, lines_of, pages
from ._identifiers import EventKey
from ._membership import History, Membership, Source
from ._ports import Channel, DeadLetter
from ._projection import Position, Projection, keeps_itself
from ._settings import Retry
from ._traces import reason_of, traceback_of
from .delivery._backoff import Backoff

logger = logging.getLogger("esb_runtime")

WAIT = timedelta(seconds=5)
"""Longest wait for new events in one call."""
LAST_WORDS = 10.0
"""Seconds for giving up the ownership at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    source: Source
    fold: Fold


class Following:
    """A projection that is kept up to date; made by `Backbone.follow`, run by `Backbone.run` or by itself.

    A view in memory is folded by every process for itself. A view that stores its position is folded by one process
    at a time, the owner of the group; another one takes over when it ends or dies. Events are folded strictly in
    stream order: one that fails holds up the view while it is tried again, and is left out when it fails too often
    (it is logged, and stands in the group's dead letters where there is a group).
    """

    def __init__(
        self,
        channel: Channel,
        view: Projection,
        routes: Sequence[Route],
        *,
        group: str,
        name: str | None = None,
        lease: timedelta = timedelta(seconds=60),
        drain: timedelta = timedelta(seconds=30),
        retry: Retry | None = None,
    ) -> None:
        """Use `Backbone.follow`."""
        self._channel = channel
        self._view = view
        self._routes = list(routes)
        self._group = group
        self._stores = keeps_itself(view)
        self._consumer = consumer_name(name)
        self._lease = lease
        self._drain = drain
        self._retry = retry or Retry()
        self._label = f"projection {type(view).__name__} / {group}"
        self._backoff = Backoff(self._label)
        self._fold: Fold | None = None
        self._stopping = asyncio.Event()
        self._moved = asyncio.Event()
        self._session: asyncio.Task[None] | None = None
        self._lost = False
        self._running = False

    @property
    def group(self) -> str:
        """The group that owns the view."""
        return self._group

    @property
    def streams(self) -> Sequence[str]:
        """The keys of the streams that the view is folded from."""
        return [route.stream for route in self._routes]

    @property
    def running(self) -> bool:
        """Whether `run` is in progress."""
        return self._running

    @property
    def position(self) -> Position:
        """How far the view has come in this process."""
        return self._fold.position if self._fold is not None else Position()

    @property
    def in_group(self) -> bool:
        """Whether the server knows the group: a view in memory is every process's own affair."""
        return self._stores

    async def reached(self, key: EventKey) -> None:
        """Wait until this process's view holds the event: `await following.reached(await tracking.packing(...))`."""
        while not self.position.covers(key):
            self._moved.clear()
            await self._moved.wait()

    async def run(self) -> None:
        """Keep the view up to date until `stop`; outages are waited out and logged once."""
        self._running = True
        stopper = asyncio.create_task(self._stopping.wait())
        work = asyncio.create_task(self._work())
        try:
            await asyncio.wait((work, stopper), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait((work,), timeout=self._drain.total_seconds())
        finally:
            stopper.cancel()
            work.cancel()
            await asyncio.wait((work,))
            self._running = False
        if not work.cancelled():
            work.result()

    async def stop(self) -> None:
        """Ask `run` to end; it returns when the event at hand is folded or the drain time is over."""
        self._stopping.set()

    async def _work(self) -> None:
        work: _Work | None = None
        while not self._stopping.is_set():
            work = await self._guarded(work)
        if work is not None:
            try:
                await asyncio.wait_for(work.source.leave(), timeout=LAST_WORDS)
            except (ChannelError, TimeoutError) as error:
                logger.warning("%s: left without a word, its lease will run out: %s", self._label, error)

    async def _prepared(self) -> _Work:
        lines = await lines_of(self._channel, self._routes)
        self._fold = Fold(self._view, lines)
        source: Source = History(self._channel)
        if self._stores:
            source = Membership(
                self._channel, list(lines), group=self._group, consumer=self._consumer, lease=self._lease
            )
        return _Work(source=source, fold=self._fold)

    async def _guarded(self, work: _Work | None) -> _Work | None:
        """One session, and the wait after its trouble."""
        self._lost = False
        try:
            work = work or await self._prepared()
            self._session = asyncio.create_task(self._one_session(work.source, work.fold))
            await self._session
        except asyncio.CancelledError:
            if not self._lost:
                raise
            await self._backoff.note(OwnershipLost(self._label, self._group), self._stopping, at_once=True)
        except ChannelError as error:
            await self._backoff.note(error, self._stopping, at_once=isinstance(error, OwnershipLost | GroupLost))
        finally:
            if work is not None:
                await work.source.quit()
        return work

    def _ownership_lost(self) -> None:
        if self._session is not None and not self._session.done():
            self._lost = True
            self._session.cancel()

    async def _one_session(self, source: Source, fold: Fold) -> None:
        if not await self._until_stopped(source.join(self._ownership_lost)):
            return
        await _storing(fold.begin())
        self._moved.set()
        async for page in pages(self._channel, await source.missed(fold)):
            await self._take(source, fold, page)
        while not self._stopping.is_set():
            events = await source.next(fold)
            self._backoff.well()
            if events:
                await self._take(source, fold, events)
                await source.settle([event for event in events if fold.position.covers(event.key)])
            else:
                after = {stream: fold.position.id_of(stream) for stream in fold.streams}
                await self._until_stopped(self._channel.wait(after, WAIT))

    async def _take(self, source: Source, fold: Fold, events: Sequence[Stored]) -> None:
        """Fold a page; where something fails, the rest of it one by one, so that each failure has one event."""
        if await self._tried(fold, events) is not None:
            failures = {fold.failed.key: 1} if fold.failed is not None else {}
            for event in events:
                if self._stopping.is_set():
                    return
                await self._one(source, fold, event, failures.get(event.key, 0))
        self._moved.set()

    async def _one(self, source: Source, fold: Fold, event: Stored, failures: int) -> None:
        """Fold one event, as often as it takes; nothing after it is folded before."""
        while (error := await self._tried(fold, [event])) is not None:
            failures += 1
            if failures >= self._retry.attempts or event.problem or isinstance(error, DecodeError):
                await self._give_up(source, fold, event, failures, error)
                return
            logger.warning("%s: event %s failed: %s", self._label, event.key, reason_of(error, event.arguments))
            await self._until_stopped(asyncio.sleep(self._retry.delay(failures).total_seconds()))
            if self._stopping.is_set():
                return

    async def _tried(self, fold: Fold, events: Sequence[Stored]) -> Exception | None:
        """The error of a handler; raises `ChannelError` when it was the view's own storage that failed."""
        try:
            await fold.apply(events)
            await fold.finish()
        except Exception as error:
            if fold.failed is None:
                raise _storage_failed(error) from error
            return error
        return None

    async def _give_up(self, source: Source, fold: Fold, event: Stored, failures: int, error: Exception) -> None:
        reason = event.problem or reason_of(error, event.arguments)
        logger.error("%s: event %s is left out, after %d attempts: %s", self._label, event.key, failures, reason)
        letter = DeadLetter(
            id=event.key.id,
            message_id=event.message_id,
            reason=reason,
            attempts=failures,
            traceback="" if event.problem else traceback_of(error),
            passed=True,
        )
        await source.bury(event.key.stream, letter)
        await _storing(fold.leave_out(event))

    async def _until_stopped(self, waiting: Coroutine[Any, Any, Any]) -> bool:
        """Await something that may take long; false when `stop` came first. Raises what it raises."""
        task = asyncio.ensure_future(waiting)
        stopper = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((task, stopper), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                await task
                return True
            return False
        finally:
            stopper.cancel()
            task.cancel()


async def _storing(step: Coroutine[Any, Any, None]) -> None:
    try:
        await step
    except ChannelError:
        raise
    except Exception as error:
        raise _storage_failed(error) from error


def _storage_failed(error: Exception) -> ChannelError:
    """A view's database is an outage like Redis's: waited out, not counted against the event at hand."""
    return ChannelError(f"the view's own storage failed: {reason_of(error, None)}")
