"""The synchronous face: a backbone on an event loop of its own, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from datetime import timedelta
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from ._backbone import Backbone, Store
from ._contract import EventContract, Sends, Sync
from ._delivery import Delivery
from ._errors import UsageError
from ._events import Emission, EventDefinition, EventToken
from ._identifiers import EventKey
from ._ports import PayloadStore
from ._producer import DEADLINE, ProducerSender
from ._read import Bound
from ._settings import Durability
from ._telemetry import Telemetry

P = ParamSpec("P")
T = TypeVar("T")


class SyncBackbone(Sends[Sync]):
    """Produce and read from synchronous code; consumers are asynchronous and need a `Backbone`.

        with SyncBackbone.connect() as backbone:
            tracking = ShipmentTracking[Sync].producer(backbone)
            key = tracking.order_placed(user, product, now)

    Safe to share between threads; calls of several threads share round trips.
    """

    def __init__(self, make: Callable[[], Backbone]) -> None:
        """Use `connect`; `make` is called on this object's own event loop."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="esb", daemon=True)
        self._thread.start()
        self._closed = False
        try:
            self._backbone = self._wait(_made(make))
        except BaseException:  # Ctrl-C while connecting too: the thread would outlive the object that nobody gets
            self._end()
            raise
        self.environment = self._backbone.environment

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
        """As `Backbone.connect`."""

        def make() -> Backbone:
            return Backbone.connect(
                endpoint=endpoint, username=username, password=password, environment=environment,
                store=store, stores=stores, deadline=deadline, durability=durability, telemetry=telemetry,
            )  # fmt: skip

        return cls(make)

    def __enter__(self) -> Self:
        """Nothing happens before the first command."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Close every connection and end the thread."""
        self.close()

    def close(self) -> None:
        """Close every connection and end the thread; a second call does nothing."""
        if self._closed:
            return
        try:
            self._wait(self._backbone.aclose())
        finally:
            self._end()

    def _end(self) -> None:
        self._closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __repr__(self) -> str:
        return f"SyncBackbone({self._backbone!r})"

    def _sender(self, durability: Durability | None = None) -> _Sender:
        inner = self._backbone._sender(durability)  # noqa: SLF001 - two faces of one thing  # pyright: ignore[reportPrivateUsage]
        return _Sender(inner, self._wait)

    def batch(self, events: Iterable[Emission[...]], /) -> list[EventKey]:
        """Store unsent events (`ShipmentTracking.packing(...)`) in few round trips, each in its contract's stream.

        All or nothing per stream and chunk (256 events or 1 MiB). Returns the keys in order; raises the first refusal.
        """
        return self._wait(self._backbone.batch(list(events)))

    @overload
    def read(
        self, token: EventToken[P], /, *, since: Bound = None, until: Bound = None, uri: str | None = None
    ) -> Iterator[Delivery[P]]: ...
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
    ) -> Iterator[Delivery[...]]: ...
    def read(
        self,
        subject: Any,
        /,
        *,
        since: Bound = None,
        until: Bound = None,
        only: Sequence[EventToken[...]] = (),
        uri: str | None = None,
    ) -> Iterator[Any]:
        """As `Backbone.read`."""
        events = self._backbone.read(subject, since=since, until=until, only=only, uri=uri)
        try:
            while (delivery := self._wait(_next(events))) is not None:
                yield delivery
        finally:
            if not self._closed:
                self._wait(_ended(events))

    def get(self, key: EventKey, /) -> Delivery[...]:
        """The event at a key; as `Backbone.get`."""
        return self._wait(self._backbone.get(key))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            work.close()
            raise UsageError("this SyncBackbone is closed")
        if threading.current_thread() is self._thread:
            work.close()
            raise UsageError("a SyncBackbone cannot be used on its own event loop")
        done: Future[T] = Future()
        # call_soon_threadsafe copies this thread's context variables, so message_id(...) and headers(...) flow along
        self._loop.call_soon_threadsafe(_start, self._loop, work, done)
        return done.result()


class _Sender:
    """The synchronous side's sender."""

    def __init__(self, inner: ProducerSender, wait: Callable[[Coroutine[Any, Any, EventKey]], EventKey]) -> None:
        self._inner = inner
        self._wait = wait

    def sends(self, definition: EventDefinition, stream: str) -> Callable[[dict[str, Any]], EventKey]:
        """What stores one event."""
        send, wait = self._inner.sends(definition, stream), self._wait
        return lambda arguments: wait(send(arguments))


_running: set[asyncio.Task[Any]] = set()


def _start(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], done: Future[T]) -> None:
    task: asyncio.Task[T] = loop.create_task(work)
    _running.add(task)  # the loop itself holds tasks only weakly
    task.add_done_callback(_running.discard)
    task.add_done_callback(lambda finished: _tell(finished, done))


def _tell(task: asyncio.Task[T], done: Future[T]) -> None:
    if task.cancelled():
        done.cancel()
    elif (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())


async def _made(make: Callable[[], Backbone]) -> Backbone:
    return make()


async def _ended(events: Any) -> None:
    await events.aclose()


async def _next(events: Any) -> Delivery[Any] | None:
    return await anext(events, None)
