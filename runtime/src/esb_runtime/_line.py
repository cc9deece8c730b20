"""The calls that wait for one stream: they share round trips, and keep the order in which they came."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from itertools import accumulate, chain
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
LEAST_SHARE = 32
"""Events that are worth a round trip of their own, so that the server works while their callers make the next ones."""


class Writer(Protocol):
    """Writes records (an outbox)."""

    async def attempt(
        self, stream: str, records: Sequence[Record], *, until: float, before: Record | None = None
    ) -> list[Appended]:
        """Append once, only if `before` is stored by then; an outage is the outcome of every record."""
        ...

    def gave_up(self, trouble: ChannelUnavailable) -> ChannelUnavailable:
        """The error of a call whose deadline is over."""
        ...


class _Call(Struct, eq=False):
    """A produce call that waits for its turn."""

    record: Record
    future: asyncio.Future[EventKey]
    until: float
    tried: bool = False


class _Turn(Struct, eq=False):
    """Calls on their way together. `landmark` is a record that is stored exactly if they were written."""

    calls: list[_Call]
    landmark: Record | None
    outcomes: asyncio.Task[list[Appended]]


class Line:
    """The calls that wait for one stream.

    With `chained`, two turns are on their way at a time: the second one is written only if the first one was.
    """

    def __init__(self, stream: str, outbox: Writer, *, chained: bool) -> None:
        self._stream = stream
        self._outbox = outbox
        self._chained = chained
        self._calls: list[_Call] = []
        self._turns: deque[_Turn] = deque()
        self.busy = False
        """Whether something is on its way, so that what comes now has to wait for its turn."""
        self._writer: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()

    async def send(self, record: Record, *, until: float) -> EventKey:
        """Store a record. On an idle line its caller writes it: a task that did would cost two rounds of the loop."""
        if self.busy:
            return await self.join(record, until)
        self.busy = True
        again: asyncio.Future[EventKey] | None = None
        try:
            outcome = (await self._outbox.attempt(self._stream, (record,), until=until))[0]
            if isinstance(outcome, ChannelUnavailable):
                again = self._loop.create_future()
                self._calls.insert(0, _Call(record, again, until, tried=True))  # it comes before all others
        finally:
            self.busy = False
            self._go_on()
        if again is not None:
            return await again
        if isinstance(outcome, EsbError):
            raise outcome.for_call(record.message_id) if isinstance(outcome, ChannelError) else outcome
        return outcome

    def join(self, record: Record, until: float) -> asyncio.Future[EventKey]:
        """Wait for a turn on a line that is busy."""
        future: asyncio.Future[EventKey] = self._loop.create_future()
        self._calls.append(_Call(record, future, until))
        return future

    def _go_on(self) -> None:
        """Have a task write what waits."""
        if self._calls:
            self.busy = True
            self._writer = self._loop.create_task(self._write())

    async def _write(self) -> None:
        """Write what waits, turn by turn; calls that come meanwhile form the next turn."""
        waits = pauses()
        try:
            while self._calls or self._turns:
                self._send_off()
                trouble = await self._settle()
                if trouble is None:
                    waits = pauses()
                    await asyncio.sleep(0)  # who was told just now may have the next event at hand: a full turn
                    continue
                now = time.monotonic()
                self._give_up(trouble, now)
                if self._calls:
                    await asyncio.sleep(min(next(waits), max(self._calls[0].until - now, 0.0)))
        finally:
            self.busy, self._writer = False, None
            for turn in self._turns:
                turn.outcomes.cancel()
                self._calls += turn.calls
            for call in self._calls:
                call.future.cancel()
            self._turns.clear()
            self._calls.clear()

    def _send_off(self) -> None:
        """Let calls take their turn, as far as there may be one more on its way.

        Of many calls and nothing on its way, half go at once and half behind them: from then on the server has one
        half while the callers of the other one, who were just told, make their next events.
        """
        while self._calls and len(self._turns) < 2:
            before = self._turns[0].landmark if self._turns else None
            if self._turns and before is None:
                return
            waiting = len(self._calls)
            halved = self._chained and not self._turns and 2 * LEAST_SHARE <= waiting < 2 * MAX_RECORDS
            self._take_turn(waiting // 2 if halved else MAX_RECORDS, before)

    def _take_turn(self, most: int, before: Record | None) -> None:
        """Send the first calls, behind a record that has to be stored before them."""
        wanted = [call for call in self._calls[:most] if not call.future.done()]
        records = next(chunks([call.record for call in wanted]), ())
        calls, self._calls[:most] = wanted[: len(records)], wanted[len(records) :]
        if not calls:
            return
        mark = landmark(call.record for call in calls if not call.tried) if self._chained else None
        attempt = self._outbox.attempt(self._stream, records, until=calls[0].until, before=before)
        self._turns.append(_Turn(calls, mark, self._loop.create_task(attempt)))

    async def _settle(self) -> ChannelUnavailable | None:
        """Tell the calls of the first turn. Those that met an outage come back, and those of the turn behind it too."""
        trouble: ChannelUnavailable | None = None
        again: list[_Call] = []
        while self._turns:
            turn = self._turns[0]
            try:
                outcomes: Sequence[EventKey | Exception] = await turn.outcomes
            except Exception as error:  # noqa: BLE001 - whatever a payload store raises belongs to its callers
                outcomes = [error] * len(turn.calls)
            self._turns.popleft()
            for call, outcome in zip(turn.calls, outcomes, strict=True):
                if isinstance(outcome, EventKey):
                    if not call.future.done():  # its caller is still there
                        call.future.set_result(outcome)
                elif isinstance(outcome, ChannelUnavailable):
                    call.tried = True
                    again.append(call)
                    trouble = trouble or outcome
                else:
                    _tell(call, outcome)
            if trouble is None:
                return None
        self._calls[:0] = again
        return trouble

    def _give_up(self, trouble: ChannelUnavailable, now: float) -> None:
        """Fail the calls whose own deadline is over; the others go on waiting."""
        error = self._outbox.gave_up(trouble)
        for call in self._calls:
            if call.until <= now:
                _tell(call, error)
        self._calls = [call for call in self._calls if call.until > now]


def _tell(call: _Call, error: Exception) -> None:
    """Tell a call why it failed, unless its caller is gone."""
    if not call.future.done():
        call.future.set_exception(error.for_call(call.record.message_id) if isinstance(error, ChannelError) else error)


def landmark(records: Iterable[Record]) -> Record | None:
    """Of records that are written together for the first time, one that the stream holds exactly if they were."""
    return next((record for record in records if record.fresh), None)


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
    start = 0
    while start < len(records):
        some = records[start : start + MAX_RECORDS]
        if sum(map(len, chain.from_iterable([record.arguments.values() for record in some]))) > MAX_BYTES:
            sizes = accumulate(record.size for record in some)
            some = some[: max(bisect_right(list(sizes), MAX_BYTES), 1)]
        yield some
        start += len(some)
