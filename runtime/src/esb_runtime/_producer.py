"""Producing: calls become records, concurrent calls share round trips, outages are waited out."""

from __future__ import annotations

import asyncio
import time
import warnings
from abc import ABCMeta
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar, cast

from msgspec import Struct, structs

from ._codecs import EventCodec, codec_of
from ._confirmations import Confirmations
from ._envelope import Record
from ._errors import ChannelError, ChannelUnavailable, EsbError, NotConfirmed
from ._events import EventDefinition
from ._flow import current_deadline, current_details, take_chosen_id
from ._identifiers import EventKey, message_id_at
from ._line import Line, chunks, landmark, pauses, trouble_in
from ._patience import Patience
from ._ports import Appended, Chain, Channel
from ._settings import Durability

T = TypeVar("T")

DEADLINE = timedelta(seconds=10)
SILENT = "it does not answer"
PATIENCE = 3.0
"""Seconds after which a write without an answer is tried over another connection: this one may be dead and not know it
(at most a third of the deadline, so that there is time for another try)."""
CHUNKS = 4
"""Chunks of a batch that are on their way at a time: a thousand events need no turn of the caller's event loop, which
may be busy with making the next ones, until the last of them is stored."""
LEAST = 1.0
"""Seconds that a write gets in any case, when its calls waited for their turn behind many others."""


def record_of(definition: EventDefinition, arguments: Mapping[str, Any]) -> Record:
    """An event as it will be stored. Takes the chosen message id. Raises `EncodeError` for a wrong value."""
    return _recorder(definition)(arguments)


def _recorder(definition: EventDefinition) -> Callable[[Mapping[str, Any]], Record]:
    """What makes the records of one event, with all at hand that is the same for each of them."""
    name, version = definition.name, definition.version
    key_of = None if definition.key is None else definition.ordering_key

    def record(arguments: Mapping[str, Any]) -> Record:
        codec: EventCodec = definition.codec or codec_of(definition)
        now, chosen = time.time_ns() // 1000, take_chosen_id()
        return Record(
            message_id=message_id_at(now // 1000) if chosen is None else chosen,
            event=name,
            version=version,
            produced_at=now,
            arguments=codec.encode(arguments),
            ordering_key=None if key_of is None else key_of(arguments),
            details=current_details(),
            fresh=chosen is None,
        )

    return record


class Sending(Struct, eq=False):
    """An event on its way: awaited, it is sent by itself; given to `Backbone.batch`, together with others.

    It is a coroutine in all but its base (a struct is made several times as fast, and there is one per event).
    """

    outbox: Outbox
    stream: str
    record: Record
    durability: Durability | None = None
    taken: bool = False
    running: Coroutine[Any, Any, EventKey] | None = None

    def _start(self) -> Coroutine[Any, Any, EventKey]:
        if self.running is None:
            if self.taken:
                raise RuntimeError("an event that was sent cannot be sent again")
            self.taken = True
            self.running = self.outbox.send(self)
        return self.running

    def __await__(self) -> Generator[Any, Any, EventKey]:
        """Send it; the result is its key."""
        if self.taken:
            return self._start().__await__()
        self.taken = True
        return self.outbox.outcome(self).__await__()

    def send(self, value: Any, /) -> Any:
        """Part of the coroutine protocol: tasks drive it."""
        return self._start().send(value)

    def throw(self, typ: Any, val: BaseException | object = None, tb: TracebackType | None = None, /) -> Any:
        """Part of the coroutine protocol: tasks cancel it."""
        return self._start().throw(typ) if val is None else self._start().throw(typ, val, tb)

    def close(self) -> None:
        """Part of the coroutine protocol: it is not sent."""
        self.taken = True
        if self.running is not None:
            self.running.close()

    def __del__(self) -> None:
        """Warn, as Python does for its own coroutines."""
        if not self.taken:
            warnings.warn(
                f"event {self.record.event} was never awaited, so it was not sent", RuntimeWarning, stacklevel=1
            )


cast("ABCMeta", Coroutine).register(Sending)


class ProducerSender:
    """Turns a producer's call into a sending."""

    def __init__(self, outbox: Outbox, durability: Durability | None) -> None:
        self._outbox = outbox
        self._durability = durability

    def sends(
        self, definition: EventDefinition, stream: str
    ) -> Callable[[Mapping[str, Any]], Coroutine[Any, Any, EventKey]]:
        """What takes the arguments of such an event: it is encoded then, and on its way once it is awaited."""
        outbox, durability, record = self._outbox, self._durability, _recorder(definition)

        def send(arguments: Mapping[str, Any]) -> Coroutine[Any, Any, EventKey]:
            sending: Any = Sending(outbox, stream, record(arguments), durability)
            found: Coroutine[Any, Any, EventKey] = sending  # it is one in all but its base
            return found

        return send


class Outbox:
    """Sends records: per stream one write at a time, so that events keep the order of their calls."""

    def __init__(self, channel: Channel, *, deadline: timedelta = DEADLINE) -> None:
        self._channel = channel
        self._chain = channel if isinstance(channel, Chain) and channel.can_append_after else None
        self._deadline = deadline.total_seconds()
        self._patience = min(PATIENCE, self._deadline / 3)
        self._lines: dict[str, Line] = {}
        self._confirmations = Confirmations(channel)
        self._bounds = Patience()

    async def send(self, sending: Sending) -> EventKey:
        """Store one event; returns when the channel has it. Calls that wait at the same time share a round trip."""
        return await self.outcome(sending)

    def outcome(self, sending: Sending) -> Awaitable[EventKey]:
        """What `send` awaits: with the fewest coroutines between, as there are many calls."""
        limit = current_deadline()
        if limit is not None or sending.durability is not None:
            return self._assured(sending, limit)
        line, until = self._lines.get(sending.stream), time.monotonic() + self._deadline
        if line is None:
            line = self._line(sending.stream)
        return line.join(sending.record, until) if line.busy else line.send(sending.record, until=until)

    async def _assured(self, sending: Sending, limit: float | None) -> EventKey:
        """An event that has to be durable, or a call that has a limit of its own."""
        until = time.monotonic() + (self._deadline if limit is None else limit)
        if sending.durability is None:
            return await self._stored(sending, until, limit)
        try:
            await self._required(sending.durability, until)
            key = await self._stored(sending, until, limit)
            return (await self._durable([(sending, key)], sending.durability, until, limit))[0]
        except ChannelError as error:
            raise error.for_call(sending.record.message_id) from None

    async def batch(self, sendings: Sequence[Sending]) -> list[EventKey]:
        """Store events of any streams in order: all or none of each stream and chunk. Raises the first refusal."""
        lines: dict[tuple[str, Durability | None], list[Sending]] = {}
        for sending in sendings:
            lines.setdefault((sending.stream, sending.durability), []).append(sending)
        keys: dict[int, EventKey] = {}
        try:
            if len(lines) == 1:
                return await self._together(sendings, sendings[0].durability)
            for (_, durability), line in lines.items():
                found = await self._together(line, durability)
                keys.update((id(sending), key) for sending, key in zip(line, found, strict=True))
        except ChannelError as error:
            raise error.for_call(*(sending.record.message_id for sending in sendings)) from None
        return [keys[id(sending)] for sending in sendings]

    async def _together(self, line: Sequence[Sending], durability: Durability | None) -> list[EventKey]:
        limit = current_deadline()
        until = time.monotonic() + (self._deadline if limit is None else limit)
        if durability is not None:
            await self._required(durability, until)
        records = [sending.record for sending in line]
        keys = await self.send_together(line[0].stream, records, until=until if limit is not None else None)
        if durability is None:
            return keys
        return await self._durable(list(zip(line, keys, strict=True)), durability, until, limit)

    async def send_together(
        self, stream: str, records: Sequence[Record], *, until: float | None = None
    ) -> list[EventKey]:
        """Store records of one stream in order: all or none of each chunk. Raises the first refusal.

        Several chunks are on their way at a time, where each can be written only if the one before it was.
        """
        keys: list[EventKey] = []
        on_their_way: deque[asyncio.Task[list[EventKey]]] = deque()
        before: Record | None = None
        try:
            for chunk in chunks(records):
                while on_their_way and (before is None or len(on_their_way) == CHUNKS):
                    keys += await on_their_way.popleft()
                if on_their_way and before is not None:
                    storing = self._chunk_behind(on_their_way[-1], before, stream, chunk, until)
                elif len(chunk) == len(records):  # as most batches
                    return await self._chunk(stream, chunk, until)
                else:
                    storing = self._chunk(stream, chunk, until)
                on_their_way.append(_heard(asyncio.create_task(storing)))
                before = landmark(chunk) if self._chain is not None else None
            while on_their_way:
                keys += await on_their_way.popleft()
        finally:
            for task in on_their_way:
                task.cancel()
        return keys

    async def patiently(self, write: Callable[[], Awaitable[T]]) -> T:
        """The result of a write that is safe to repeat; outages are waited out, up to the deadline."""
        until, waits = time.monotonic() + self._deadline, pauses()
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    return await write()
            except ChannelUnavailable as error:
                trouble = error
            except TimeoutError:
                trouble = ChannelUnavailable(self._channel.endpoint, SILENT)
            left = until - time.monotonic()
            if left <= 0:
                raise self.gave_up(trouble)
            await asyncio.sleep(min(next(waits), left))

    def close(self) -> None:
        """Wait for nothing any more."""
        self._confirmations.close()
        self._bounds.close()
        self._lines.clear()  # they belong to the event loop; a backbone may be opened again in another one

    async def _required(self, durability: Durability, until: float) -> None:
        """See to it, once, that the channel can promise this at all: afterwards it would be too late."""
        for wait in pauses():
            try:
                await self._confirmations.require(durability)
            except ChannelUnavailable:
                if time.monotonic() + wait > until:
                    raise
                await asyncio.sleep(wait)
            else:
                return

    def _line(self, stream: str) -> Line:
        line = self._lines.get(stream)
        if line is None:
            line = self._lines[stream] = Line(stream, self, chained=self._chain is not None)
        return line

    async def _stored(self, sending: Sending, until: float, limit: float | None) -> EventKey:
        line = self._line(sending.stream)
        if limit is None:
            return await line.send(sending.record, until=until)
        bound = asyncio.timeout(until - time.monotonic())
        try:
            async with bound:
                return await line.send(sending.record, until=until)
        except TimeoutError:
            if not bound.expired():
                raise
        raise self.gave_up(ChannelUnavailable(self._channel.endpoint, SILENT), limit).for_call(
            sending.record.message_id
        )

    async def _durable(
        self, stored: list[tuple[Sending, EventKey]], durability: Durability, until: float, limit: float | None
    ) -> list[EventKey]:
        """The keys of events of one stream, once they are as durable as asked for. Raises `NotConfirmed`."""
        keys = [key for _, key in stored]
        unsure = list(range(len(keys)))
        while unsure:
            lost = await self._lost([keys[n] for n in unsure], durability, until)
            unsure = [n for n in unsure if keys[n] in lost]
            for n in list(unsure):
                stored[n][0].record = structs.replace(stored[n][0].record, fresh=False)
                again = await self._stored(stored[n][0], until, limit)
                if again == keys[n]:
                    unsure.remove(n)  # it was stored, and somebody has removed it since
                keys[n] = again
        return keys

    async def _lost(self, keys: Sequence[EventKey], durability: Durability, until: float) -> set[EventKey]:
        try:
            async with asyncio.timeout(until - time.monotonic()):
                return set(await self._confirmations.lost(keys, durability))
        except TimeoutError:
            raise NotConfirmed(keys, str(durability), "its deadline is over") from None
        except ChannelError as error:
            raise NotConfirmed(keys, str(durability), str(error)) from None

    async def _chunk(self, stream: str, records: Sequence[Record], until: float | None) -> list[EventKey]:
        """Append a chunk, waiting out outages; a deadline of its own unless its caller set one."""
        seconds = self._deadline if until is None else max(until - time.monotonic(), 0.0)
        until = time.monotonic() + seconds
        waits = pauses()
        while True:
            outcomes = await self.attempt(stream, records, until=until, least=0.0, together=True)
            trouble = trouble_in(outcomes)
            left = until - time.monotonic()
            if trouble is None:
                return _keys_in(outcomes)
            if left <= 0:
                raise self.gave_up(trouble, seconds)
            await asyncio.sleep(min(next(waits), left))

    async def _chunk_behind(
        self,
        ahead: asyncio.Task[list[EventKey]],
        before: Record,
        stream: str,
        records: Sequence[Record],
        until: float | None,
    ) -> list[EventKey]:
        """Append a chunk while another one, with the record `before`, is under way; after it when that does not do."""
        soon = time.monotonic() + self._deadline if until is None else until
        outcomes = await self.attempt(stream, records, until=soon, least=0.0, together=True, before=before)
        if trouble_in(outcomes) is None:
            return _keys_in(outcomes)
        await asyncio.wait({ahead})
        ahead.result()  # what it was refused for is this one's reason too
        return await self._chunk(stream, records, until)

    async def attempt(
        self,
        stream: str,
        records: Sequence[Record],
        *,
        until: float,
        least: float = LEAST,
        together: bool = False,
        before: Record | None = None,
    ) -> list[Appended]:
        """Append once; an outage is the outcome of every record. Repeating is safe: each carries its message id."""
        seconds = min(max(until - time.monotonic(), least), self._patience)
        try:
            with self._bounds.within(seconds):
                if before is not None and self._chain is not None:
                    return await self._chain.append_after(before, stream, records, together=together)
                return await self._channel.append(stream, records, together=together)
        except ChannelUnavailable as error:
            return [error] * len(records)
        except TimeoutError:
            return [ChannelUnavailable(self._channel.endpoint, SILENT)] * len(records)
        except EsbError as error:
            return [error] * len(records)

    def gave_up(self, trouble: ChannelUnavailable, seconds: float | None = None) -> ChannelUnavailable:
        """The error of a call whose deadline is over."""
        tried = self._deadline if seconds is None else seconds
        return ChannelUnavailable(
            trouble.endpoint,
            f"{trouble.reason} (tried for {tried:.3g} s; the event may be stored, "
            "its message id, which this error carries, makes sending it again safe)",
        )


def _keys_in(outcomes: Sequence[Appended]) -> list[EventKey]:
    """The keys of a chunk that was stored. Raises the first refusal of one that was not."""
    keys = [outcome for outcome in outcomes if isinstance(outcome, EventKey)]
    if len(keys) < len(outcomes):
        raise next(outcome for outcome in outcomes if isinstance(outcome, EsbError))
    return keys


def _heard(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """A task whose error nobody may come to ask for, because one before it failed first."""
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task
