"""The backbone: what a program holds to produce, consume and read. The one place that knows engine and adapters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, overload

from typing_extensions import Unpack

from ._consumer import HandlerOptions, Middleware, Route, Subscription, SubscriptionOptions, checked_group
from ._context import ConsumerContext
from ._contract import Consume, EventContract, Produce, Sends, stream_key, uri_within
from ._delivery import Delivery
from ._endpoint import Endpoint
from ._errors import UsageError
from ._events import Emission, EventDefinition, EventToken, definition_of
from ._fold import consumer_of, project
from ._follow import Following
from ._identifiers import EventKey
from ._ports import Channel, PayloadStore, Placement
from ._producer import DEADLINE, ProducerSender, Sending
from ._projection import Position, Projection
from ._read import Bound, deliveries, delivery_of, one
from ._retention import Retention
from ._routes import function_route, routes_of
from ._running import run_together, stop_all
from ._settings import Acknowledge, Durability, Ordering, Retry, Start, Unhandled
from ._telemetry import SILENCE, Telemetry
from .redis._channel import RedisChannel

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from .sqlalchemy import Outbox as DatabaseOutbox
    from .sqlalchemy import Relay

P = ParamSpec("P")


class Store(Enum):
    """Where new payloads are kept: in a hash beside each entry (default), or inside the entry."""

    REDIS = "redis"
    INLINE = "inline"


_PLACEMENTS = {Store.REDIS: Placement.BESIDE, Store.INLINE: Placement.INLINE}


class Backbone(Sends[Produce]):
    """Streams of events on a server: producers come from it, consumers subscribe to it, history is read from it.

        async with Backbone.connect() as backbone:
            tracking = ShipmentTracking.producer(backbone)
            await tracking.order_placed(user, product, now)

    Belongs to one event loop. Safe to share between its tasks.
    """

    def __init__(
        self,
        channel: Channel,
        *,
        environment: str = "",
        deadline: timedelta = DEADLINE,
        durability: Durability | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        """Use `Backbone.connect` for Redis; a channel of your own goes here."""
        self.environment = environment
        self._channel = channel
        chosen = telemetry or SILENCE
        self._outbox = chosen.outbox(channel, deadline=deadline)
        self._subscription = partial(Subscription, channel, telemetry=chosen)
        self._durability = durability
        self._runnables: list[Subscription | Following] = []
        self._relays: list[Relay] = []
        self._functions: dict[tuple[str, str], Route] = {}
        self._taken: set[tuple[str, str]] = set()

    @classmethod
    def connect(
        cls,
        *,
        endpoint: str | None = None,
        username: str | None = None,
        password: str | None = None,
        environment: str = "",
        store: Store | PayloadStore = Store.REDIS,
        stores: Sequence[PayloadStore] = (),
        deadline: timedelta = DEADLINE,
        durability: Durability | None = None,
        telemetry: Telemetry | None = None,
    ) -> Self:
        """A backbone on a Redis server; the first command connects.

        `endpoint` is `host:port`, `redis://`, `rediss://` or `unix://`; without one REDIS_EVENT_SOURCE_ENDPOINT names
        it. `password` defaults to REDIS_EVENT_SOURCE_PASS. `environment` comes before the uri of every stream.
        `store` is where new payloads go; `stores` are further ones that stored events may name. `deadline` is how
        long a produce call waits out an outage (`with deadline(...)` bounds single calls); `durability` what it waits
        for besides, unless its producer says so. `telemetry` tells of all that is done
        (`esb_runtime.otel`). Raises `EndpointError` for what it cannot understand.
        """
        where = Endpoint.chosen(endpoint, username=username, password=password)
        if isinstance(store, Store):
            channel = RedisChannel(where, placement=_PLACEMENTS[store], stores=stores)
        else:
            channel = RedisChannel(where, placement=Placement.EXTERNAL, stores=(store, *stores))
        return cls(channel, environment=environment, deadline=deadline, durability=durability, telemetry=telemetry)

    async def __aenter__(self) -> Self:
        """Nothing happens before the first command."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close every connection."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        self._outbox.close()
        await self._channel.aclose()

    def __repr__(self) -> str:
        return f"Backbone({self._channel.endpoint})"

    # --- producing

    def _sender(self, durability: Durability | None = None) -> ProducerSender:
        return ProducerSender(self._outbox, durability or self._durability)

    async def batch(self, calls: Iterable[Coroutine[Any, Any, EventKey] | Emission[...]], /) -> list[EventKey]:
        """Store many events in few round trips; all or nothing per stream and chunk (256 events or 1 MiB).

        `calls` are producer calls that were not awaited, or unsent events (`ShipmentTracking.packing(...)`), which go
        to their contract's stream. Returns the keys in the order of the calls; raises the first refusal.
        """
        return await self._outbox.batch([self._sending(call) for call in calls])

    def _sending(self, call: Coroutine[Any, Any, EventKey] | Emission[...]) -> Sending:
        if isinstance(call, Emission):
            definition = call.definition
            stream = stream_key(definition.contract.uri(), self.environment)
            call = self._sender().sends(definition, stream)(call.arguments)
        if not isinstance(call, Sending) or call.taken:
            raise UsageError("batch takes producer calls that were not awaited, or unsent events")
        call.taken = True
        return call

    # --- consuming

    def subscribe(
        self,
        *consumers: EventContract[Consume],
        group: str,
        uri: str | None = None,
        environment: str | None = None,
        name: str | None = None,
        concurrency: int = 1,
        ordering: Ordering = Ordering.AUTO,
        lease: timedelta = timedelta(seconds=60),
        drain: timedelta = timedelta(seconds=30),
        retry: Retry | None = None,
        idempotent: bool = False,
        remember: timedelta = timedelta(days=1),
        acknowledge: Acknowledge = Acknowledge.ON_SUCCESS,
        unhandled: Unhandled = Unhandled.SKIP,
        start: Start = Start.BEGINNING,
        handler_timeout: timedelta | None = None,
        max_parked: int = 100_000,
        minimum_version: int = 0,
        middleware: Sequence[Middleware] = (),
        retention: Retention | None = None,
    ) -> Subscription:
        """Have consumers handle the events of their contracts' streams as members of a group.

        Every group gets every event; the processes of one group share them. Several consumers of one call each get
        every event that they implement. `run` starts this subscription; or use the returned one's own `run`.

        `uri`, `environment` override the contracts' and the backbone's. `name` begins this process's consumer name.
        `concurrency`: handlers at a time (1: in stream order). `ordering`: see `Ordering`. `lease`: after how long
        without a sign of life another process takes over. `drain`: how long a stop waits for handlers. `retry`: see
        `Retry`. `idempotent`: a message id handled once is not handled again within `remember`. `acknowledge`,
        `unhandled`, `start`: see their classes. `handler_timeout`: a handler that takes longer has failed.
        `max_parked`: how many events may wait behind a key that is being retried. `minimum_version`: older events go
        to `fallback`. `middleware` wraps every handler, the first outermost. `retention`: see `Retention`.

        Raises `ContractError` for a consumer that does not fit its contract, `UsageError` for options that cannot work.
        """
        options = SubscriptionOptions(
            concurrency=concurrency, ordering=ordering, lease=lease, drain=drain, retry=retry or Retry(),
            idempotent=idempotent, remember=remember, acknowledge=acknowledge, unhandled=unhandled, start=start,
            handler_timeout=handler_timeout, max_parked=max_parked, minimum_version=minimum_version,
            middleware=tuple(middleware), retention=retention,
        )  # fmt: skip
        home = self.environment if environment is None else environment
        routes = routes_of(consumers, uri=uri, environment=home)
        subscription = self._subscription(routes, options, group=checked_group(group), name=name)
        self._claim(subscription)
        self._runnables.append(subscription)
        return subscription

    def on(
        self, token: EventToken[P], /, *, group: str, **options: Unpack[HandlerOptions]
    ) -> Callable[
        [Callable[Concatenate[ConsumerContext, P], Coroutine[Any, Any, None]]],
        Callable[Concatenate[ConsumerContext, P], Coroutine[Any, Any, None]],
    ]:
        """Have a function handle one event as a member of a group.

            @backbone.on(ShipmentTracking.packing, group="mail")
            async def mail(ctx: ConsumerContext, email: str, product_id: int, time: datetime) -> None: ...

        Functions of the same group and stream share one subscription, made with the first one's options (later ones
        give none). Raises `ContractError` for a function whose parameters differ from the event's.
        """

        def register(
            function: Callable[Concatenate[ConsumerContext, P], Coroutine[Any, Any, None]],
        ) -> Callable[Concatenate[ConsumerContext, P], Coroutine[Any, Any, None]]:
            self._register(definition_of(token), function, checked_group(group), options)
            return function

        return register

    def _register(
        self, definition: EventDefinition, function: Callable[..., Any], group: str, options: HandlerOptions
    ) -> None:
        chosen: dict[str, Any] = {**options}
        uri, name = chosen.pop("uri", None), chosen.pop("name", None)
        environment = chosen.pop("environment", self.environment)
        route = function_route(definition, function, uri=uri, environment=environment)
        if (shared := self._functions.get((route.stream, group))) is not None:
            if options:
                raise UsageError(f"group {group!r} has its options from its first function; give none to the others")
            if definition.id in shared.handlers:
                raise UsageError(f"group {group!r} has a function for {definition.label} already")
            shared.handlers.update(route.handlers)
            shared.keyed = shared.keyed or route.keyed
            return
        subscription = self._subscription([route], SubscriptionOptions(**chosen), group=group, name=name)
        self._claim(subscription)
        self._functions[(route.stream, group)] = route
        self._runnables.append(subscription)

    def _claim(self, subscription: Subscription | Following) -> None:
        """Two subscriptions of one group would take each other's events: each would skip what the other implements."""
        for stream in subscription.streams:
            if (stream, subscription.group) in self._taken:
                known = f"group {subscription.group!r} consumes {stream!r} already"
                raise UsageError(f"{known}: give all its consumers to one subscribe")
            self._taken.add((stream, subscription.group))

    async def run(self) -> None:
        """Run every subscription, projection, function handler and relay until SIGINT or SIGTERM; drain, then return.

        Also returns when every one of them was stopped. Raises what one of them raises, after stopping the others.
        """
        if not (runnables := (*self._runnables, *self._relays)):
            raise UsageError("nothing to run: call subscribe, on, follow or relay first")
        await run_together(runnables)

    @property
    def consuming(self) -> bool:
        """Whether every subscription reads its streams, or stands by while another process owns one."""
        return all(one.consuming for one in self._runnables if isinstance(one, Subscription))

    async def stop(self) -> None:
        """Ask `run` to end; it returns when everything in flight has ended or the drain time is over."""
        await stop_all((*self._runnables, *self._relays))

    # --- events from a database

    def relay(
        self,
        outbox: DatabaseOutbox,
        engine: AsyncEngine,
        /,
        *,
        keep: timedelta = timedelta(days=1),
        poll: timedelta = timedelta(seconds=1),
        lease: timedelta = timedelta(seconds=10),
    ) -> Relay:
        """Have `run` send the events that were committed to an outbox; or use the returned one's own `run`.

        Events of one stream are sent in the order of their inserts, and each is in its stream once, for as long as
        the stream remembers message ids (payloads in hashes: while the event is kept; elsewhere: an hour). Of several
        processes one works, for `lease` after its last sign of life. What this process commits is sent at once, what
        others commit within `poll`. Rows stay for `keep` after they were sent; zero deletes them.
        """
        from .sqlalchemy._relay import RelayOptions

        options = RelayOptions(keep=keep, poll=poll, lease=lease)
        relay = outbox.relay(engine, options, send=self._outbox.send_together, environment=self.environment)
        self._relays.append(relay)
        return relay

    # --- projections

    async def project(
        self,
        view: Projection,
        /,
        *,
        after: Position | None = None,
        until: Bound = None,
        uri: str | None = None,
        environment: str | None = None,
    ) -> Position:
        """Fold history into a view once, in stream order, without a group; returns how far it has come.

        From the view's own position, or `after` another one (views in memory only), to the newest event, or `until`:
        an aware time or a key, inclusive. Streams are merged by time. Raises what a handler raises, `ChannelError`
        at an event that cannot be read; the view then stands just before that event.
        """
        routes = self._routes_of(view, uri, environment)
        return await project(self._channel, view, routes, after=after, until=until)

    def follow(
        self,
        view: Projection,
        /,
        *,
        group: str,
        uri: str | None = None,
        environment: str | None = None,
        name: str | None = None,
        lease: timedelta = timedelta(seconds=60),
        drain: timedelta = timedelta(seconds=30),
        retry: Retry | None = None,
    ) -> Following:
        """Keep a view up to date while events come (`run` does it); see `Following` for who folds, and for failures."""
        routes = self._routes_of(view, uri, environment)
        following = Following(
            self._channel, view, routes, group=checked_group(group), name=name, lease=lease, drain=drain, retry=retry
        )
        self._claim(following)
        self._runnables.append(following)
        return following

    def _routes_of(self, view: Projection, uri: str | None, environment: str | None) -> list[Route]:
        home = self.environment if environment is None else environment
        return routes_of((consumer_of(view),), uri=uri, environment=home)

    # --- reading

    @overload
    def read(
        self, token: EventToken[P], /, *, since: Bound = None, until: Bound = None, uri: str | None = None
    ) -> AsyncIterator[Delivery[P]]: ...
    @overload
    def read(
        self,
        contract: type[EventContract[Any]],
        /,
        *,
        since: Bound = None,
        until: Bound = None,
        only: Sequence[EventToken[...]] = (),
        uri: str | None = None,
    ) -> AsyncIterator[Delivery[...]]: ...
    def read(
        self,
        subject: Any,
        /,
        *,
        since: Bound = None,
        until: Bound = None,
        only: Sequence[EventToken[...]] = (),
        uri: str | None = None,
    ) -> Any:
        """Stored events in stream order, without touching any group.

        `subject` is a token (its events, typed) or a contract (all events of its stream, or those in `only`). `since`
        and `until` are aware times or keys, both inclusive. Raises `ChannelError` at an event that cannot be read.
        """
        if isinstance(subject, EventDefinition):
            wanted: Mapping[tuple[str, int], EventDefinition] | None = {subject.id: subject}
            contract: type[EventContract[Any]] = subject.contract
        else:
            tokens = [definition_of(token) for token in only]
            wanted = {token.id: token for token in tokens} or None
            contract = subject
        name = contract.uri() if uri is None else uri
        stream = stream_key(name, self.environment)
        return deliveries(
            self._channel, stream, uri=name, environment=self.environment, since=since, until=until, only=wanted
        )

    async def get(self, key: EventKey, /) -> Delivery[...]:
        """The event at a key. Raises `EventNotFound`, and `ChannelError` when it cannot be read."""
        stored = await one(self._channel, key)
        uri = uri_within(key.stream, self.environment)
        return delivery_of(stored, uri=uri, environment=self.environment)
