"""What the conformance suite needs from the author of an adapter, and what its tests share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import ClassVar, NoReturn, TypeVar
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from ..._envelope import Record
from ..._errors import EsbError
from ..._identifiers import EventKey, new_message_id
from ..._ports import Channel, DeadLetter, Seat, SeatOptions, Settlements, Taken
from ..._settings import Start

T = TypeVar("T")

LONG = timedelta(seconds=60)
"""A lease that does not run out during a test."""
SHORT = timedelta(milliseconds=500)
"""A lease that a test lets run out."""
PATIENCE = timedelta(seconds=10)
"""How long a test waits for what must happen."""
MOMENT = timedelta(milliseconds=50)
"""How long a test waits for what must not happen."""
NOW = timedelta(0)


class Feature(Enum):
    """What a channel may be without; the value says what its users then lack."""

    OWNERSHIP = "ordering by key: one process at a time owns a stream for a group"
    WAITING = "reads that wait: `read` and `wait` return at once, and the loop above asks again"
    REMEMBERING = "`idempotent=True`: a group remembers which message ids it handled"
    RELEASING = "`Unhandled.RELEASE`: events are left to the processes that implement them"


class ChannelSubject:
    """Give it a fixture `channel` (connected; it closes afterwards); override what your server lets you do.

    `features` are what the channel can do; leave out what it cannot, and the tests that need it are skipped.
    """

    pytestmark = pytest.mark.asyncio
    features: ClassVar[frozenset[Feature]] = frozenset(Feature)

    def needs(self, feature: Feature) -> None:
        """Skip the test where the channel is without this."""
        _needed(feature, self.features)

    async def put_entry(self, channel: Channel, stream: str, fields: Mapping[bytes, bytes]) -> str:
        """Write an entry that esb did not write; returns its id."""
        _not_here("an entry that esb did not write")

    async def remove_entry(self, channel: Channel, stream: str, id: str) -> None:
        """Remove an entry, as trimming does."""
        _not_here("removing an entry")

    async def drop_payload(self, channel: Channel, stream: str, message_id: str) -> None:
        """Lose the payload of an event, not its entry."""
        _not_here("a payload apart from its entry")

    async def spoil(self, channel: Channel, stream: str, message_id: str) -> None:
        """Make the server refuse this one message id, for instance by a key of another type."""
        _not_here("refusing a single message id")

    async def occupy(self, channel: Channel, stream: str) -> None:
        """Put something that is no stream where the stream would be."""
        _not_here("something else at the stream's key")

    async def destroy_group(self, channel: Channel, stream: str, group: str) -> None:
        """Lose a group behind everybody's back."""
        _not_here("losing a group")

    async def lose_records(self, channel: Channel, stream: str, group: str) -> None:
        """Forget where a lost group had come to, so that it begins with the first event again."""
        _not_here("forgetting where a group had come to")

    async def delete_stream(self, channel: Channel, stream: str) -> None:
        """Lose a stream and its groups behind everybody's back."""
        _not_here("losing a stream")

    async def dead_letters(self, channel: Channel, stream: str, group: str) -> Sequence[DeadLetter]:
        """The group's dead letters, oldest first."""
        _not_here("looking at dead letters")

    async def dead_payload(self, channel: Channel, stream: str, group: str, id: str) -> Mapping[str, bytes]:
        """The arguments that the dead letter of this entry keeps."""
        _not_here("looking at a dead letter's payload")

    async def consumers(self, channel: Channel, stream: str, group: str) -> Sequence[str]:
        """Names of the consumers that the server counts in the group."""
        _not_here("looking at a group's consumers")

    async def begin_epoch(self, channel: Channel, stream: str, group: str) -> None:
        """Have the group forget what it handled, as a reset and a replay to the group do."""
        _not_here("beginning an epoch")

    @pytest.fixture
    def stream(self) -> str:
        """A key that no other test uses."""
        return f"conformance-{uuid4().hex}"

    @pytest_asyncio.fixture
    async def seats(self, channel: Channel, stream: str) -> AsyncIterator[Seats]:
        """Takes seats on the stream, and leaves them when the test is over."""
        seats = Seats(channel=channel, stream=stream, features=self.features)
        yield seats
        await seats.leave()


@dataclass(slots=True, kw_only=True)
class Seats:
    """The seats of one test."""

    channel: Channel
    stream: str
    features: frozenset[Feature] = frozenset(Feature)
    taken: list[Seat] = field(default_factory=list[Seat])

    def seat(
        self,
        consumer: str = "ann",
        *,
        group: str = "readers",
        lease: timedelta = LONG,
        owned: bool = False,
        start: Start = Start.BEGINNING,
        remember: timedelta | None = None,
        implements: frozenset[str] | None = None,
    ) -> Seat:
        """A seat that did nothing yet; skips the test where the channel is without what it needs."""
        for wanted, feature in (
            (owned, Feature.OWNERSHIP),
            (remember is not None, Feature.REMEMBERING),
            (implements is not None, Feature.RELEASING),
        ):
            if wanted:
                _needed(feature, self.features)
        options = SeatOptions(
            stream=self.stream,
            group=group,
            consumer=consumer,
            lease=lease,
            owned=owned,
            start=start,
            remember=remember,
            implements=implements,
        )
        seat = self.channel.seat(options)
        self.taken.append(seat)
        return seat

    async def take(
        self,
        consumer: str = "ann",
        *,
        group: str = "readers",
        lease: timedelta = LONG,
        owned: bool = False,
        start: Start = Start.BEGINNING,
        remember: timedelta | None = None,
        implements: frozenset[str] | None = None,
    ) -> Seat:
        """A seat that is open, owns what it must own, and has a lease."""
        seat = self.seat(
            consumer, group=group, lease=lease, owned=owned, start=start, remember=remember, implements=implements
        )
        await seat.open()
        assert await seat.acquire(), "nobody else owns the stream, so the ownership is free"
        assert await beat(seat)
        return seat

    async def leave(self) -> None:
        """Leave every seat; a seat whose group or ownership is gone has nothing to leave."""
        for seat in self.taken:
            try:
                await seat.leave()
            except EsbError:
                continue


def _needed(feature: Feature, features: frozenset[Feature]) -> None:
    if feature not in features:
        pytest.skip(f"the adapter is without {feature.value}")


def _not_here(what: str) -> NoReturn:
    pytest.skip(f"the adapter's tests do not say how to do this: {what}")


def counted(number: int) -> dict[str, bytes]:
    """The arguments of an event that has one, `n`; values are msgpack, as producers write them."""
    return {"n": msgspec.msgpack.encode(number)}


def record(number: int = 0, *, message_id: str | None = None, key: str | None = None) -> Record:
    """An event with one argument, `n`."""
    return Record(
        message_id=message_id or new_message_id(),
        event="counted",
        version=1,
        produced_at=1_700_000_000_000_000 + number,
        arguments=counted(number),
        ordering_key=key,
    )


async def appended(channel: Channel, stream: str, count: int) -> list[EventKey]:
    """Store this many events; their keys."""
    outcomes = await channel.append(stream, [record(n) for n in range(count)])
    return [succeeded(outcome) for outcome in outcomes]


def succeeded(outcome: EventKey | EsbError) -> EventKey:
    """The key that an outcome must be."""
    assert isinstance(outcome, EventKey), f"append was refused: {outcome!r}"
    return outcome


def ids(events: Sequence[Taken]) -> list[str]:
    """Entry ids, in the order given."""
    return [event.stored.key.id for event in events]


def handled(*events: Taken) -> Settlements:
    """The outcome of events whose handler returned."""
    pairs = [(event.stored.key.id, event.stored.message_id) for event in events]
    return Settlements(handled=pairs, failed=[], dead=[])


def failed(*events: Taken) -> Settlements:
    """The outcome of events whose handler raised."""
    return Settlements(handled=[], failed=ids(events), dead=[])


def dead(event: Taken, *, reason: str = "it does not work", attempts: int = 5) -> Settlements:
    """The outcome of an event that will not be tried again."""
    letter = DeadLetter(
        id=event.stored.key.id,
        message_id=event.stored.message_id,
        reason=reason,
        attempts=attempts,
        traceback="Traceback: ...",
    )
    return Settlements(handled=[], failed=[], dead=[letter])


async def beat(seat: Seat) -> bool:
    """One heartbeat, from a thread as in real life."""
    return await asyncio.to_thread(seat.beat)


async def recovered(seat: Seat, *, count: int = 100) -> list[Taken]:
    """Everything that the seat can take over now, page by page."""
    await beat(seat)
    found: list[Taken] = []
    after: str | None = "0-0"
    while after is not None:
        page, after = await seat.recover(after, count)
        found += page
    return found


async def eventually(attempt: Callable[[], Awaitable[T]]) -> T:
    """The first true answer; fails the test when there is none in `PATIENCE`."""
    async with asyncio.timeout(PATIENCE.total_seconds()):
        while not (answer := await attempt()):  # noqa: ASYNC110 - no event tells of a server's state
            await asyncio.sleep(0.01)
    return answer
