"""What `Channel.append` promises."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from itertools import pairwise

import msgspec
import pytest

from ..._envelope import Details, Record
from ..._errors import EsbError, WrongKeyType
from ..._identifiers import EventKey, entry_order
from ..._ports import Channel
from ..._settings import Durability, Origin
from ._subject import ChannelSubject, appended, counted, record, succeeded


class Appending(ChannelSubject):
    """Events on their way in."""

    async def test_keys_name_the_stream_and_grow(self, channel: Channel, stream: str) -> None:
        """Each record gets a key of its own; ids grow strictly in the order of the records."""
        keys = await appended(channel, stream, 50) + await appended(channel, stream, 1)
        order = [entry_order(key.id) for key in keys]
        assert {key.stream for key in keys} == {stream}
        assert all(before < after for before, after in pairwise(order))

    async def test_everything_of_an_event_comes_back(self, channel: Channel, stream: str) -> None:
        """What was stored is read unchanged: names, bytes, microseconds and the seldom metadata."""
        values: dict[str, object] = {
            "nothing": None,
            "bytes": bytes(range(256)),
            "größe": "µ",
            "large": b"x" * 100_000,
            "nested": [{"a": 1}],
        }
        sent = Record(
            message_id="order-42/ä",
            event="order_placed",
            version=3,
            produced_at=1_700_000_000_123_456,
            arguments={name: msgspec.msgpack.encode(value) for name, value in values.items()},
            ordering_key="ann@example.com",
            details=Details(
                headers={"tenant": "blue"},
                correlation_id="c-1",
                causation_id="c-2",
                trace={"traceparent": "00-abc-def-01"},
                origin=Origin.COPY,
                linked=("elsewhere", "1-0"),
            ),
        )
        key = succeeded((await channel.append(stream, [sent]))[0])
        (read,) = await channel.scan(stream, count=10)
        assert read.problem == ""
        assert (read.key, read.event, read.version) == (key, sent.event, sent.version)
        assert (read.message_id, read.produced_at) == (sent.message_id, sent.produced_at)
        assert (read.ordering_key, read.details) == (sent.ordering_key, sent.details)
        assert dict(read.arguments or {}) == dict(sent.arguments)

    async def test_event_without_arguments(self, channel: Channel, stream: str) -> None:
        """An event needs no arguments: it comes back with none, and without a problem."""
        sent = Record(message_id="m", event="ticked", version=1, produced_at=1, arguments={})
        await channel.append(stream, [sent])
        (read,) = await channel.scan(stream, count=1)
        assert (read.problem, read.arguments, read.ordering_key) == ("", {}, None)

    async def test_message_id_is_stored_once(self, channel: Channel, stream: str) -> None:
        """The same message id returns the first call's key, and the first call's arguments stay."""
        (first,) = await channel.append(stream, [record(1, message_id="once")])
        (second,) = await channel.append(stream, [record(2, message_id="once")])
        (read,) = await channel.scan(stream, count=10)
        assert first == second == read.key
        assert read.arguments == counted(1)

    async def test_message_id_twice_in_one_call(self, channel: Channel, stream: str) -> None:
        """The same message id twice in one call is stored once; its neighbours are stored as ever."""
        batch = [record(1, message_id="once"), record(2), record(3, message_id="once")]
        keys = await channel.append(stream, batch)
        stored = await channel.scan(stream, count=10)
        assert keys[0] == keys[2] != keys[1]
        assert [event.arguments for event in stored] == [counted(1), counted(2)]

    async def test_message_id_belongs_to_its_stream(self, channel: Channel, stream: str) -> None:
        """The same message id in another stream is another event."""
        (here,) = await channel.append(stream, [record(message_id="once")])
        (there,) = await channel.append(f"{stream}-other", [record(message_id="once")])
        assert succeeded(here).stream == stream
        assert succeeded(there).stream == f"{stream}-other"

    async def test_refusal_stays_alone(self, channel: Channel, stream: str) -> None:
        """One refused record fails alone; the others of the call are stored."""
        await self.spoil(channel, stream, "spoilt")
        outcomes = await channel.append(stream, [record(1), record(2, message_id="spoilt"), record(3)])
        assert [isinstance(outcome, EventKey) for outcome in outcomes] == [True, False, True]
        assert isinstance(outcomes[1], EsbError)
        assert [event.arguments for event in await channel.scan(stream, count=10)] == [counted(1), counted(3)]

    async def test_together_refuses_all(self, channel: Channel, stream: str) -> None:
        """With `together` the first refusal refuses all, and nothing at all is stored."""
        await self.spoil(channel, stream, "spoilt")
        batch = [record(1, message_id="good"), record(2, message_id="spoilt"), record(3)]
        outcomes = await channel.append(stream, batch, together=True)
        assert len(outcomes) == 3
        assert all(isinstance(outcome, EsbError) for outcome in outcomes)
        assert await channel.scan(stream, count=10) == []
        assert isinstance((await channel.append(stream, batch[:1]))[0], EventKey), "it was not recorded as stored"

    async def test_together_stores_all(self, channel: Channel, stream: str) -> None:
        """With `together` and without a refusal everything is stored, in order."""
        outcomes = await channel.append(stream, [record(n) for n in range(5)], together=True)
        stored = await channel.scan(stream, count=10)
        assert [event.key for event in stored] == outcomes

    async def test_foreign_key_is_left_alone(self, channel: Channel, stream: str) -> None:
        """Where something else lies at the stream's key, `WrongKeyType` says so."""
        await self.occupy(channel, stream)
        with pytest.raises(WrongKeyType, match=stream):
            await channel.append(stream, [record()])

    async def test_concurrent_appends(self, channel: Channel, stream: str) -> None:
        """Many calls at once lose nothing and mix up nothing."""
        calls = [channel.append(stream, [record(n)]) for n in range(40)]
        keys = [succeeded(outcome) for (outcome,) in await asyncio.gather(*calls)]
        stored = {event.key: event.arguments for event in await channel.scan(stream, count=100)}
        assert [stored[key] for key in keys] == [counted(n) for n in range(40)]

    async def test_confirm_names_what_is_lost(self, channel: Channel, stream: str) -> None:
        """`confirm` names the events that the stream does not hold, also when there is no stream at all."""
        within, wanted = timedelta(milliseconds=50), Durability.REPLICATED(1)
        absent = await channel.confirm(stream, ["1-1"], wanted, within)
        key, other = await appended(channel, stream, 2)
        found = await channel.confirm(stream, [key.id, "1-1", other.id], wanted, within)
        assert absent.lost == found.lost == {"1-1"}
        assert [event.key for event in await channel.scan(stream, count=10)] == [key, other]

    async def test_many_at_once(self, channel: Channel, stream: str) -> None:
        """A thousand records of one call are stored in the order of the call."""
        keys = await appended(channel, stream, 1000)
        assert [event.key for event in await channel.scan(stream, count=2000)] == keys
