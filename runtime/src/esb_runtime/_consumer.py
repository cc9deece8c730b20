"""Consuming: what an engine runs events with, and the subscription that a user holds."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from typing_extensions import TypedDict

from ._consumers import Fallback, Handler
from ._context import ConsumerContext
from ._delivery import Delivery
from ._envelope import LATEST, Metadata, Stored, metadata_of
from ._errors import DecodeError, UsageError
from ._flow import CURRENT
from ._ports import Channel, Seat, SeatOptions
from ._retainer import Retainer
from ._retention import Retention
from ._settings import Acknowledge, Ordering, Retry, Start, Unhandled
from ._traces import reason_of, redacted, traceback_of
from .delivery._batches import BatchPlan
from .delivery._engine import Engine
from .delivery._job import Attempt
from .delivery._policy import Failure, Policy
from .delivery._work import TookTooLong

if TYPE_CHECKING:
    from ._telemetry import Telemetry


class Middleware(Protocol):
    """Wraps every handler of a subscription: does its part, and awaits `call_next(delivery)` for the rest."""

    async def __call__(
        self, delivery: Delivery[...], call_next: Callable[[Delivery[...]], Coroutine[Any, Any, None]], /
    ) -> None:
        """Handle, or pass on, one event."""
        ...


class NotHandled(Exception):
    """No method, no fallback, and the subscription does not skip such events."""


def kind_of(event: str, version: int) -> str:
    """How processes of a group name a kind of event to each other."""
    return f"{event}/{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionOptions:
    """The options of `Backbone.subscribe`, which documents them."""

    concurrency: int = 1
    ordering: Ordering = Ordering.AUTO
    lease: timedelta = timedelta(seconds=60)
    drain: timedelta = timedelta(seconds=30)
    retry: Retry = field(default_factory=Retry)
    idempotent: bool = False
    remember: timedelta = timedelta(days=1)
    acknowledge: Acknowledge = Acknowledge.ON_SUCCESS
    unhandled: Unhandled = Unhandled.SKIP
    start: Start = Start.BEGINNING
    handler_timeout: timedelta | None = None
    max_parked: int = 100_000
    minimum_version: int = 0
    middleware: Sequence[Middleware] = ()
    retention: Retention | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot work, where it was written."""
        if self.concurrency < 1 or self.max_parked < 1:
            raise UsageError("subscribe: concurrency and max_parked are at least 1")
        if self.lease < timedelta(milliseconds=200):
            raise UsageError("subscribe: a lease is at least 200 milliseconds, or no heartbeat could keep it")
        if self.drain < timedelta(0) or self.remember <= timedelta(0):
            raise UsageError("subscribe: drain is not negative, remember is positive")
        if self.handler_timeout is not None and self.handler_timeout <= timedelta(0):
            raise UsageError("subscribe: handler_timeout is more than no time")


class HandlerOptions(TypedDict, total=False):
    """The options of `Backbone.on`: those of `Backbone.subscribe`."""

    uri: str
    environment: str
    name: str
    concurrency: int
    ordering: Ordering
    lease: timedelta
    drain: timedelta
    retry: Retry
    idempotent: bool
    remember: timedelta
    acknowledge: Acknowledge
    start: Start
    handler_timeout: timedelta
    retention: Retention


@dataclass(slots=True, kw_only=True)
class Route:
    """What one group does with one stream."""

    stream: str
    uri: str
    environment: str
    handlers: dict[tuple[str, int], list[Handler]]
    fallbacks: list[Fallback]
    keyed: bool


class Consumption:
    """Runs a route's events: finds the handlers, decodes the arguments, words the failures (see `delivery.Work`)."""

    def __init__(self, route: Route, options: SubscriptionOptions, *, group: str) -> None:
        self._route = route
        self._group = group
        self._options = options
        self._known = {id_: known for id_, known in route.handlers.items() if id_[1] >= options.minimum_version}
        alone = {id_: known[0] for id_, known in self._known.items() if len(known) == 1 and known[0].batch is None}
        self._alone = {} if options.middleware else alone
        """The kinds that one handler takes, with nothing around it."""
        self._describe = self._metadata
        """The method as a value: making one for each event would cost as much as a call."""
        self.collects = any(one.batch is not None for known in self._known.values() for one in known)
        """Whether any handler takes batches."""
        self.skipped = 0
        """Events that nobody implemented and that were acknowledged without a handler."""

    def plan_of(self, stored: Stored) -> BatchPlan | None:
        """The batch of this kind of event, when its only handler takes batches."""
        handlers = self._handlers(stored)
        if len(handlers) != 1 or handlers[0].batch is None:
            return None
        return BatchPlan(kind=(stored.event, stored.version), size=handlers[0].batch.size, wait=handlers[0].batch.wait)

    def handle(self, attempt: Attempt) -> Awaitable[None]:
        """One event through the middleware to its handlers; what cannot be decoded raises at once."""
        stored = attempt.stored
        ctx = ConsumerContext(self._describe, attempt)
        CURRENT.set(ctx)
        if abs(stored.produced_at) > LATEST:
            _ = ctx.metadata  # raises now what the handler might never come across
        handler = self._alone.get((stored.event, stored.version))
        if handler is not None:  # nearly always: no coroutine of ours around that of the handler
            return handler.starter(ctx, stored.arguments, stored.erased)
        return self._wrapped(ctx, attempt) if self._options.middleware else self._dispatch(ctx, attempt)

    def _call(self, handler: Handler, ctx: ConsumerContext, attempt: Attempt) -> Awaitable[None]:
        if handler.batch is not None:
            return handler.call([self._delivery(attempt, handler)])
        return handler.starter(ctx, attempt.stored.arguments, attempt.stored.erased)

    async def _wrapped(self, ctx: ConsumerContext, attempt: Attempt) -> None:
        delivery: Delivery[...] = Delivery(ctx.metadata, attempt.stored.arguments or {}, attempt)

        async def innermost(_: Delivery[...]) -> None:
            await self._dispatch(ctx, attempt)

        chain: Callable[[Delivery[...]], Coroutine[Any, Any, None]] = innermost
        for middleware in reversed(self._options.middleware):
            chain = _linked(middleware, chain)
        await chain(delivery)

    async def handle_batch(self, attempts: Sequence[Attempt]) -> None:
        """Several events of one kind in one call (middleware wraps single events only)."""
        handler = self._handlers(attempts[0].stored)[0]
        CURRENT.set(ConsumerContext(self._metadata, attempts[0], single=False))
        deliveries = [self._delivery(attempt, handler) for attempt in attempts]
        decoded = [delivery for delivery in deliveries if await _decodes(delivery)]
        if decoded:
            await handler.call(decoded)

    def failure(self, attempts: Sequence[Attempt], error: BaseException) -> Failure:
        """An error in words without argument values. What cannot be decoded will never be: no retry."""
        if isinstance(error, NotHandled):
            stored, release = attempts[0].stored, self._options.unhandled is Unhandled.RELEASE
            implementers = kind_of(stored.event, stored.version) if release else ""
            return Failure(reason=str(error), final=True, implementers=implementers)
        if isinstance(error, DecodeError) and len(attempts) == 1 and error.event == attempts[0].stored.event:
            return Failure(reason=_undecodable(error), final=True)
        if isinstance(error, TookTooLong):
            return Failure(reason=str(error), traceback=traceback_of(error))
        reason = reason_of(error, *(attempt.stored.arguments for attempt in attempts))
        return Failure(reason=reason, traceback=traceback_of(error))

    def redacted(self, attempt: Attempt, words: str) -> str:
        """A handler's words about its event, without argument values."""
        return redacted(words, attempt.stored.arguments) if words else ""

    def implements(self) -> frozenset[str] | None:
        """The kinds of events that it handles; None for all."""
        if self._route.fallbacks:
            return None
        return frozenset(kind_of(*id_) for id_ in self._known)

    def _handlers(self, stored: Stored) -> Sequence[Handler]:
        return self._known.get((stored.event, stored.version), ())

    def _metadata(self, attempt: Attempt) -> Metadata:
        route = self._route
        return metadata_of(
            attempt.stored, uri=route.uri, environment=route.environment, attempt=attempt.number, group=self._group
        )

    def _delivery(self, attempt: Attempt, handler: Handler | None = None) -> Delivery[...]:
        arguments, definition = attempt.stored.arguments or {}, handler.definition if handler else None
        return Delivery(self._metadata(attempt), arguments, attempt, definition)

    async def _dispatch(self, ctx: ConsumerContext, attempt: Attempt) -> None:
        handlers = self._handlers(attempt.stored)
        for handler in handlers:
            await self._call(handler, ctx, attempt)
        if not handlers:
            await self._without_handler(ctx, attempt)

    async def _without_handler(self, ctx: ConsumerContext, attempt: Attempt) -> None:
        for fallback in self._route.fallbacks:
            await fallback(ctx, self._delivery(attempt))
        if self._route.fallbacks:
            return
        if self._options.unhandled is not Unhandled.SKIP:
            raise NotHandled(f"nobody implements event {attempt.stored.event!r} version {attempt.stored.version}")
        self.skipped += 1


async def _decodes(delivery: Delivery[...]) -> bool:
    """Whether a batch handler can read this event; one that it cannot goes to the dead letters by itself."""
    try:
        _ = delivery.arguments
    except DecodeError as error:
        await delivery.reject(_undecodable(error))
        return False
    return True


def _undecodable(error: DecodeError) -> str:
    return f"cannot be decoded: {error}"


def _linked(
    middleware: Middleware, call_next: Callable[[Delivery[...]], Coroutine[Any, Any, None]]
) -> Callable[[Delivery[...]], Coroutine[Any, Any, None]]:
    async def link(delivery: Delivery[...]) -> None:
        await middleware(delivery, call_next)

    return link


class Subscription:
    """Consumers in a group; made by `Backbone.subscribe`, run by `Backbone.run` or by itself."""

    def __init__(
        self,
        channel: Channel,
        routes: Sequence[Route],
        options: SubscriptionOptions,
        *,
        group: str,
        name: str | None,
        telemetry: Telemetry,
    ) -> None:
        self._channel = channel
        self._telemetry = telemetry
        self._routes = list(routes)
        self._options = options
        self._group = group
        self._consumer = consumer_name(name)
        self._engines: list[Engine] = []
        self._work: list[Consumption] = []
        self._retainers: list[Retainer] = []
        self._stopping = False
        self._running = False
        if options.unhandled is Unhandled.RELEASE and any(map(self._ordered, self._routes)):
            raise UsageError("Unhandled.RELEASE passes events around, so it needs ordering=Ordering.NONE")

    @property
    def running(self) -> bool:
        """Whether `run` is in progress."""
        return self._running

    @property
    def consuming(self) -> bool:
        """Whether every stream of it is being read, or stood by for while another process owns it."""
        return self._running and bool(self._engines) and all(engine.at_work for engine in self._engines)

    @property
    def group(self) -> str:
        """The consumer group."""
        return self._group

    @property
    def streams(self) -> Sequence[str]:
        """The keys of the streams that this subscription consumes."""
        return [route.stream for route in self._routes]

    @property
    def skipped(self) -> int:
        """Events acknowledged without a handler since `run` began (`Unhandled.SKIP`)."""
        return sum(work.skipped for work in self._work)

    async def run(self) -> None:
        """Consume until `stop`: then drain what is in flight, hand back the rest, leave the group.

        Outages of Redis are waited out and logged once. Raises only what is a mistake, never an outage.
        """
        self._running = True
        try:
            self._engines = [engine for route in self._routes for engine in await self._engines_of(route)]
            if self._stopping:
                return
            self._retainers = await self._made_retainers()
            watching = self._telemetry.watching(self._channel, self.streams, self._group)
            async with watching, asyncio.TaskGroup() as tasks:
                for engine in self._engines:
                    tasks.create_task(engine.run())
                for retainer in self._retainers:
                    tasks.create_task(retainer.run())
        finally:
            self._running = False

    async def stop(self) -> None:
        """Ask `run` to end; it returns when everything in flight has ended or the drain time is over."""
        self._stopping = True
        for engine in self._engines:
            await engine.stop()
        for retainer in self._retainers:
            await retainer.stop()

    async def _made_retainers(self) -> list[Retainer]:
        """One for each stream, when there is a policy."""
        policy, channel = self._options.retention, self._channel
        if policy is None:
            return []
        streams = [stream for route in self._routes for stream in await channel.partitions(route.stream)]
        return [Retainer(channel, stream, policy, holder=self._consumer) for stream in streams]

    def abandon(self, seat: Seat) -> None:
        """Go on with this seat as a process that was killed and started again does (for the test kit)."""
        for engine in self._engines:
            if engine.uses(seat):
                engine.abandon()

    def _ordered(self, route: Route) -> bool:
        ordering = self._options.ordering
        return ordering is Ordering.KEY or (ordering is Ordering.AUTO and route.keyed)

    async def _engines_of(self, route: Route) -> list[Engine]:
        ordered = self._ordered(route)
        policy = Policy(
            concurrency=self._options.concurrency,
            lease=self._options.lease,
            drain=self._options.drain,
            retry=self._options.retry,
            acknowledge=self._options.acknowledge,
            ordered=ordered,
            handler_timeout=self._options.handler_timeout,
            idempotent=self._options.idempotent,
            max_parked=self._options.max_parked,
            together=sum(one.batch.size for known in route.handlers.values() for one in known if one.batch is not None),
        )
        engines: list[Engine] = []
        for stream in await self._channel.partitions(route.stream):
            work = self._telemetry.consumption(route, self._options, group=self._group)
            seat = self._channel.seat(
                SeatOptions(
                    stream=stream,
                    group=self._group,
                    consumer=self._consumer,
                    lease=self._options.lease,
                    owned=ordered,
                    start=self._options.start,
                    remember=self._options.remember if self._options.idempotent else None,
                    implements=work.implements(),
                )
            )
            self._work.append(work)
            engines.append(Engine(seat, work, policy, stream=stream, group=self._group))
        return engines


def checked_group(group: str) -> str:
    """A group's name: 1 to 200 characters of printable text without blanks. Raises `UsageError` otherwise."""
    if not group or len(group) > 200 or not group.isprintable() or " " in group:
        raise UsageError(f"{group!r} cannot be a group's name: 1 to 200 printable characters without blanks")
    return group


def consumer_name(name: str | None) -> str:
    """A name that no other process has, now or later: two processes under one name would share a pending list."""
    host = name or socket.gethostname()
    return f"{host}-{os.getpid()}-{uuid4().hex[:8]}"
