"""The calls that wait for one stream: they share round trips, and keep the order in which they came."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Iterable, Sequence
from random import random
from typing import Protocol

from msgspec import Struct

from ._envelope import Record
from ._errors import ChannelError, ChannelUnavailable, EsbError
from ._identifiers import EventKey
from ._ports import Appended

MAX_RECORDS = 256
"""Events per round trip: enough to make the round trip's cost vanish, few enough not to block the server (1 ms)."""
MAX_BYTES = 1024 * 1024


class Writer(Protocol):
    """Writes records (an outbox)."""

    async def attempt(self, stream: str, records: Sequence[Record], *, until: float) -> list[Appended]:
        """Append once; an outage is the outcome of every record."""
        ...

    def gave_up(self, trouble: ChannelUnavailable) -> ChannelUnavailable:
        """The error of a call whose deadline is over."""
        ...


class _Call(Struct, eq=False):
    """A produce call that waits for its turn."""

    record: Record
    future: asyncio.Future[EventKey]
    until: float


class Line:
    """The calls that wait for one stream."""

    def __init__(self, stream: str, outbox: Writer) -> None:
        self._stream = stream
        self._outbox = outbox
        self._calls: list[_Call] = []
        self._busy = False
        self._writer: asyncio.Task[None] | None = None

    async def send(self, record: Record, *, until: float) -> EventKey:
        """Store a record. On an idle line its caller writes it: a task that did would cost two rounds of the loop."""
        if self._busy:
            return await self._waiting(record, until)
        self._busy = True
        again: asyncio.Future[EventKey] | None = None
        try:
            outcome = (await self._outbox.attempt(self._stream, (record,), until=until))[0]
            if isinstance(outcome, ChannelUnavailable):
                again = self._waiting(record, until, first=True)
        finally:
            self._busy = False
            self._go_on()
        if again is not None:
            return await again
        if isinstance(outcome, EsbError):
            raise outcome.for_call(record.message_id) if isinstance(outcome, ChannelError) else outcome
        return outcome

    def _waiting(self, record: Record, until: float, *, first: bool = False) -> asyncio.Future[EventKey]:
        future: asyncio.Future[EventKey] = asyncio.get_running_loop().create_future()
        self._calls.insert(0 if first else len(self._calls), _Call(record, future, until))
        return future

    def _go_on(self) -> None:
        """Have a task write what waits."""
        if self._calls:
            self._busy = True
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """Write what waits, chunk by chunk; calls that come meanwhile form the next chunk."""
        waits = pauses()
        try:
            while self._calls:
                trouble = await self._write_chunk()
                if trouble is None:
                    waits = pauses()
                    if not self._calls:
                        await asyncio.sleep(0)  # who was told just now may have the next event at hand: a full chunk
                    continue
                now = time.monotonic()
                self._give_up(trouble, now)
                if self._calls:
                    await asyncio.sleep(min(next(waits), max(self._calls[0].until - now, 0.0)))
        finally:
            self._busy, self._writer = False, None
            for call in self._calls:
                call.future.cancel()
            self._calls.clear()

    async def _write_chunk(self) -> ChannelUnavailable | None:
        """One try for the first calls; those that met an outage stay, and it is returned."""
        self._calls[:MAX_RECORDS] = [call for call in self._calls[:MAX_RECORDS] if not call.future.done()]
        if not self._calls:
            return None
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
        return trouble_in(outcomes)

    def _give_up(self, trouble: ChannelUnavailable, now: float) -> None:
        """Fail the calls whose own deadline is over; the others go on waiting."""
        error = self._outbox.gave_up(trouble)
        self._calls = [call for call in self._calls if call.until > now or not _told(call, error)]


def _told(call: _Call, outcome: EventKey | Exception) -> bool:
    """Tell a call its outcome, unless its caller is gone."""
    if not call.future.done():
        if isinstance(outcome, Exception):
            own = outcome.for_call(call.record.message_id) if isinstance(outcome, ChannelError) else outcome
            call.future.set_exception(own)
        else:
            call.future.set_result(outcome)
    return True


def trouble_in(outcomes: Iterable[EventKey | Exception]) -> ChannelUnavailable | None:
    return next((outcome for outcome in outcomes if isinstance(outcome, ChannelUnavailable)), None)


def pauses() -> Generator[float, None, None]:
    """Seconds between tries: doubling, with jitter."""
    delay = 0.02
    while True:
        yield delay * (0.5 + random())  # noqa: S311 - spread, not secrecy
        delay = min(delay * 2, 0.8)


def chunks(records: Sequence[Record]) -> Generator[Sequence[Record], None, None]:
    """Slices of at most MAX_RECORDS records and about MAX_BYTES bytes, never empty."""
    start = size = 0
    for n, record in enumerate(records):
        own = sum(map(len, record.arguments.values()))  # `record.size`, without a call for each event
        if n > start and (n - start >= MAX_RECORDS or size + own > MAX_BYTES):
            yield records[start:n]
            start, size = n, 0
        size += own
    if start < len(records):
        yield records[start:]
