"""`esb_runtime.operations`: what tools see of a server, without touching a group."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

import esb_runtime.operations as public
from esb_runtime import Backbone, EventKey, EventNotFound, LoginRefused, StreamNotFound, UsageError, WrongKeyType
from esb_runtime.operations import Operations, PlainEvent, Slice
from esb_runtime.redis._connection import Connection
from esb_runtime.testing import RedisServer
from esb_runtime.testing import memory_backbone as in_memory


async def all_of(operations: Operations, part: Slice) -> list[PlainEvent]:
    """The events of a slice."""
    return [event async for event in operations.events(part)]


def test_the_public_names() -> None:
    """What tools may import, pinned: adding or removing a name is a decision."""
    assert [*public.__all__] == [
        "BadLine", "Census", "Claimed", "Condition", "ConsumerSummary", "Copied", "Cut", "DeadEvent", "Description",
        "Endpoint", "Exported", "Group", "GroupMove", "GroupSummary", "Kept", "LetterFilter", "Operations", "Pace",
        "PendingEvent", "Place", "PlainEvent", "Record", "Redelivered", "Renames", "Replay", "Retention",
        "ServerFacts", "Slice", "StreamSummary", "Trimmed", "stream_key",
    ]  # fmt: skip
    assert all(hasattr(public, name) for name in public.__all__)


async def test_what_is_produced_is_read(operations: Operations) -> None:
    """Plain values come back as JSON says them: times in UTC, bytes as base64; key and metadata with them."""
    at = datetime(2026, 11, 23, 10, tzinfo=UTC)
    key = await operations.produce("s", "e", {"at": at, "raw": b"\x00", "n": [1]}, version=3, ordering_key="k")
    (event,) = await all_of(operations, Slice(stream="s"))
    assert event == await operations.get(key)
    assert event.arguments == {"at": "2026-11-23T10:00:00Z", "raw": "AA==", "n": [1]}
    assert (event.event, event.version, event.meta["ordering_key"]) == ("e", 3, "k")
    assert event.at is not None
    assert abs(datetime.now(UTC) - event.at) < timedelta(minutes=1)


async def test_the_same_message_id_is_stored_once(operations: Operations) -> None:
    """Producing with a message id again returns the first key."""
    first = await operations.produce("s", "e", {}, message_id="m")
    assert await operations.produce("s", "e", {}, message_id="m") == first


async def test_slices_page_by_page(operations: Operations) -> None:
    """Slices longer than a page are whole, in order, with both bounds; the newest are the last ones of a slice."""
    keys = [await operations.produce("s", "odd" if n % 2 else "even", {"n": n}) for n in range(1203)]
    assert [event.key for event in await all_of(operations, Slice(stream="s"))] == keys
    part = Slice(stream="s", first=keys[3].id, last=keys[1100].id, only=frozenset({"odd"}))
    assert [event.key for event in await all_of(operations, part)] == keys[3:1101:2]
    assert [event.key for event in await operations.newest(part, 3)] == [keys[1095], keys[1097], keys[1099]]
    assert [e.arguments for e in await operations.newest(part, 1)] == [{"n": 1099}]
    assert len(await operations.newest(Slice(stream="s"), 5000)) == 1203
    census = await operations.census(part)
    assert (census.total, census.events, census.first, census.last) == (
        549, {("odd", 1): 549}, keys[3].id, keys[1099].id,
    )  # fmt: skip


async def test_copying_is_idempotent_and_linked(operations: Operations) -> None:
    """A copy keeps its message id and names its source; what was there is counted apart."""
    keys = [await operations.produce("s", "e", {"n": n}) for n in range(700)]
    first = [progress.done async for progress in operations.copy(Slice(stream="s"), "t")]
    assert first == [0, 500, 700]
    more = await operations.produce("s", "e", {"n": 700})
    *_, last = [progress async for progress in operations.copy(Slice(stream="s"), "t")]
    assert (last.stored, last.present, last.skipped) == (1, 700, 0)
    copies = await all_of(operations, Slice(stream="t"))
    assert [event.meta["linked"] for event in copies] == [str(key) for key in [*keys, more]]
    with pytest.raises(UsageError, match="itself"):
        operations.copy(Slice(stream="s"), "s")


async def test_following_shows_each_event_once(operations: Operations, raw: Connection) -> None:
    """Events of several streams come as they are stored, over killed connections too, none twice."""
    found: asyncio.Queue[EventKey] = asyncio.Queue()
    outages: list[str] = []

    async def follow() -> None:
        async for event in operations.follow({"a": "0-0", "b": "0-0"}, outage=outages.append):
            found.put_nowait(event.key)

    task = asyncio.create_task(follow())
    keys: list[EventKey] = []
    for n in range(20):
        keys.append(await operations.produce("ab"[n % 2], "e", {"n": n}))
        if n % 5 == 0:
            await raw.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    async with asyncio.timeout(30):
        seen = [await found.get() for _ in keys]
    task.cancel()
    assert sorted(map(str, seen)) == sorted(map(str, keys))
    assert [not words for words in outages] == [False, True] * (len(outages) // 2)


async def test_missing_things_have_their_errors(operations: Operations, raw: Connection) -> None:
    """No stream, no event, another kind of key: each its own error."""
    key = await operations.produce("event-demo", "e", {})
    with pytest.raises(StreamNotFound) as caught:
        await operations.require("event-dmo")
    assert caught.value.nearest == ("event-demo",)
    with pytest.raises(StreamNotFound):
        await operations.get(EventKey(stream="nowhere", id="1-0"))
    with pytest.raises(EventNotFound):
        await operations.get(EventKey(stream=key.stream, id="1-0"))
    await raw.call("SET", "text", "x")
    for call in (operations.require, operations.describe):
        with pytest.raises(WrongKeyType):
            await call("text")


async def test_a_trimmed_stream_is_still_a_stream(operations: Operations, raw: Connection) -> None:
    """A stream without entries is described, not missed."""
    await operations.produce("s", "e", {})
    await raw.call("XTRIM", "s", "MAXLEN", 0)
    description = await operations.describe("s")
    assert (description.summary.length, description.summary.first, description.summary.last) == (0, "", "")


async def test_summaries_leave_out_what_is_no_stream(operations: Operations, raw: Connection) -> None:
    """Listing shows streams with their size, payloads included; a key with braces counts as well."""
    await operations.produce("{tag}s", "e", {"text": "x" * 10_000})
    await raw.call("SET", "text", "x")
    await raw.call("XADD", "odd}name", "*", "f", "1")
    summaries = {summary.stream: summary for summary in await operations.streams()}
    assert set(summaries) == {"{tag}s", "odd}name"}
    assert (summaries["{tag}s"].memory or 0) > 10_000


async def test_the_server_is_described(operations: Operations) -> None:
    """Flavour, version, settings and permissions."""
    facts = await operations.server()
    assert facts.flavour in {"Valkey", "Redis"}
    assert facts.version[0].isdigit()
    assert facts.settings["maxmemory-policy"] == "noeviction"
    assert facts.denied in {(), None}
    assert abs(facts.clock - await operations.now()) < 10_000
    assert timedelta(0) < facts.round_trip < timedelta(seconds=5)


async def test_a_refused_login_is_found_at_once(redis_server: RedisServer) -> None:
    """`connect` proves that the server answers."""
    with pytest.raises(LoginRefused):
        await Operations.connect(endpoint=redis_server.endpoint.display, password="wrong")


async def test_streams_in_memory_are_read_but_not_inspected() -> None:
    """Operations work on any backbone; what only Redis can tell says so."""
    async with in_memory() as backbone:
        assert isinstance(backbone, Backbone)
        operations = Operations(backbone)
        await operations.produce("s", "e", {"n": 1})
        assert [e.arguments for e in await operations.newest(Slice(stream="s"), 1)] == [{"n": 1}]
        with pytest.raises(UsageError, match="cannot be inspected"):
            await operations.server()


async def test_who_holds_up_retention_is_one_question(operations: Operations, raw: Connection) -> None:
    """However many streams there are, a page of them costs one round trip; foreign names are no obstacle."""
    for n in range(20):
        await raw.call("XADD", f"s{n}", "*", "a", "b")
        await raw.call("HSET", f"{{s{n}}}:retention", "maxlen", 1, "handled", 0, "pinned", "dead" if n % 7 == 0 else "")
    await raw.call("XADD", "odd}name", "*", "a", "b")
    assert await operations.held_up() == {"s0": "dead", "s7": "dead", "s14": "dead"}
