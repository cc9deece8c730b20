"""Producing: calls become records, concurrent calls share round trips, outages are waited out."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from datetime import timedelta
from random import random
from types import TracebackType
from typing import Any

from msgspec import Struct

from ._codecs import codec_of
from ._envelope import Record
from ._errors import ChannelUnavailable, EsbError
from ._events import EventDefinition
from ._flow import current_details, take_message_id
from ._identifiers import EventKey
from ._ports import Appended, Channel

MAX_RECORDS = 256
"""Events per round trip: enough to make the round trip's cost vanish, few enough not to block the server (1 ms)."""
MAX_BYTES = 1024 * 1024
DEADLINE = timedelta(seconds=10)
LEAST = 1.0
"""Seconds that a write gets in any case, when its calls waited for their turn behind many others."""


def record_of(definition: EventDefinition, arguments: Mapping[str, Any]) -> Record:
    """An event as it will be stored. Takes the chosen message id. Raises `EncodeError` for a wrong value."""
    return Record(
        event=definition.name,
        version=definition.version,
        arguments=codec_of(definition).encode(arguments),
        ordering_key=definition.ordering_key(arguments),
        message_id=take_message_id(),
        produced_at=time.time_ns() // 1000,
        details=current_details(),
    )


class Sending(Coroutine[Any, Any, EventKey]):
    """An event on its way: awaited, it is sent by itself; given to `Backbone.batch`, together with others."""

    __slots__ = ("_outbox", "_running", "record", "stream", "taken")

    def __init__(self, outbox: Outbox, stream: str, record: Record) -> None:
        self._outbox = outbox
        self._running: Coroutine[Any, Any, EventKey] | None = None
        self.stream = stream
        self.record = record
        self.taken = False

    def _start(self) -> Coroutine[Any, Any, EventKey]:
        self.taken = True
        if self._running is None:
            self._running = self._outbox.send(self.stream, self.record)
        return self._running

    def __await__(self) -> Generator[Any, Any, EventKey]:
        """Send it; the result is its key."""
        return self._start().__await__()

    def send(self, value: Any, /) -> Any:
        """Part of the coroutine protocol: tasks drive it."""
        return self._start().send(value)

    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None, /) -> Any:
        """Part of the coroutine protocol: tasks cancel it."""
        return self._start().throw(typ) if val is None else self._start().throw(typ, val, tb)

    def close(self) -> None:
        """Part of the coroutine protocol: it is not sent."""
        self.taken = True
        if self._running is not None:
            self._running.close()

    def __del__(self) -> None:
        """Warn, as Python does for its own coroutines."""
        if not self.taken:
            warnings.warn(
                f"event {self.record.event} was never awaited, so it was not sent", RuntimeWarning, stacklevel=1
            )


class Outbox:
    """Sends records: per stream one write at a time, so that events keep the order of their calls."""

    def __init__(self, channel: Channel, *, deadline: timedelta = DEADLINE) -> None:
        self._channel = channel
        self._deadline = deadline.total_seconds()
        self._lines: dict[str, _Line] = {}

    async def send(self, stream: str, record: Record) -> EventKey:
        """Store one event; returns when the channel has it. Calls that wait at the same time share a round trip."""
        line = self._lines.get(stream)
        if line is None:
            line = self._lines[stream] = _Line(stream, self)
        return await line.send(record, until=time.monotonic() + self._deadline)

    async def send_together(self, stream: str, records: Sequence[Record]) -> list[EventKey]:
        """Store records in order: all or none of each chunk. Raises the first refusal."""
        keys: list[EventKey] = []
        for chunk in chunks(records):
            for outcome in await self._chunk(stream, chunk):
                if isinstance(outcome, EsbError):
                    raise outcome
                keys.append(outcome)
        return keys

    async def _chunk(self, stream: str, records: Sequence[Record]) -> list[Appended]:
        until = time.monotonic() + self._deadline
        waits = _waits()
        while True:
            outcomes = await self.attempt(stream, records, until=until, together=True)
            trouble = _trouble(outcomes)
            wait = next(waits)
            if trouble is None or time.monotonic() + wait > until:
                return outcomes if trouble is None else [self.gave_up(trouble)]
            await asyncio.sleep(wait)

    async def attempt(
        self, stream: str, records: Sequence[Record], *, until: float, together: bool = False
    ) -> list[Appended]:
        """Append once; an outage is the outcome of every record. Repeating is safe: each carries its message id."""
        try:
            async with asyncio.timeout(max(until - time.monotonic(), LEAST)):
                return await self._channel.append(stream, records, together=together)
        except ChannelUnavailable as error:
            return [error] * len(records)
        except TimeoutError:
            return [ChannelUnavailable(self._channel.endpoint, "it does not answer")] * len(records)
        except EsbError as error:
            return [error] * len(records)

    def gave_up(self, trouble: ChannelUnavailable) -> ChannelUnavailable:
        """The error of a call whose deadline is over."""
        return ChannelUnavailable(
            trouble.endpoint,
            f"{trouble.reason} (tried for {self._deadline:g} s; the event may be stored, "
            "its message id makes sending it again safe)",
        )


class _Call(Struct, eq=False):
    """A produce call that waits for its turn."""

    record: Record
    future: asyncio.Future[EventKey]
    until: float


class _Line:
    """The calls that wait for one stream."""

    def __init__(self, stream: str, outbox: Outbox) -> None:
        self._stream = stream
        self._outbox = outbox
        self._calls: list[_Call] = []
        self._writer: asyncio.Task[None] | None = None

    def send(self, record: Record, *, until: float) -> asyncio.Future[EventKey]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[EventKey] = loop.create_future()
        self._calls.append(_Call(record, future, until))
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        return future

    async def _write(self) -> None:
        """Write what waits, chunk by chunk; calls that come meanwhile form the next chunk."""
        waits = _waits()
        try:
            while self._calls:
                trouble = await self._write_chunk()
                if trouble is None:
                    waits = _waits()
                    continue
                wait = next(waits)
                self._give_up(trouble, time.monotonic() + wait)
                if self._calls:
                    await asyncio.sleep(wait)
        finally:
            self._writer = None
            for call in self._calls:
                call.future.cancel()
            self._calls.clear()

    async def _write_chunk(self) -> ChannelUnavailable | None:
        """One try for the first calls; those that met an outage stay, and it is returned."""
        records = next(chunks([call.record for call in self._calls[:MAX_RECORDS]]))
        turn = self._calls[: len(records)]
        try:
            outcomes: Sequence[EventKey | Exception] = await self._outbox.attempt(
                self._stream, records, until=turn[0].until
            )
        except Exception as error:  # noqa: BLE001 - whatever a payload store raises belongs to its callers
            outcomes = [error] * len(turn)
        self._calls[: len(turn)] = [
            call
            for call, outcome in zip(turn, outcomes, strict=True)
            if isinstance(outcome, ChannelUnavailable) or not _told(call, outcome)
        ]
        return _trouble(outcomes)

    def _give_up(self, trouble: ChannelUnavailable, now: float) -> None:
        """Fail the calls whose own deadline is over; the others go on waiting."""
        error = self._outbox.gave_up(trouble)
        self._calls = [call for call in self._calls if call.until > now or not _told(call, error)]


def _told(call: _Call, outcome: EventKey | Exception) -> bool:
    """Tell a call its outcome, unless its caller is gone."""
    if not call.future.done():
        if isinstance(outcome, Exception):
            call.future.set_exception(outcome)
        else:
            call.future.set_result(outcome)
    return True


def _trouble(outcomes: Iterable[EventKey | Exception]) -> ChannelUnavailable | None:
    return next((outcome for outcome in outcomes if isinstance(outcome, ChannelUnavailable)), None)


def _waits() -> Generator[float, None, None]:
    """Seconds between tries: doubling, with jitter."""
    delay = 0.02
    while True:
        yield delay * (0.5 + random())  # noqa: S311 - spread, not secrecy
        delay = min(delay * 2, 1.0)


def chunks(records: Sequence[Record]) -> Generator[Sequence[Record], None, None]:
    """Slices of at most MAX_RECORDS records and about MAX_BYTES bytes, never empty."""
    start = size = 0
    for n, record in enumerate(records):
        if n > start and (n - start >= MAX_RECORDS or size + record.size > MAX_BYTES):
            yield records[start:n]
            start, size = n, 0
        size += record.size
    if start < len(records):
        yield records[start:]
