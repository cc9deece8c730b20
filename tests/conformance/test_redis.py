"""The Redis channel under the suite that every adapter must pass, against a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import Any

import pytest
import pytest_asyncio
import redis.asyncio

from esb_runtime._ports import Channel, DeadLetter, Placement
from esb_runtime.memory import MemoryStore
from esb_runtime.redis import _keys
from esb_runtime.redis._channel import RedisChannel
from esb_runtime.testing import RedisServer
from esb_runtime.testing.conformance import ChannelConformance, ChannelSubject, Feature


class RedisConformance(ChannelConformance):
    """What all placements have in common: a second connection does what faults do."""

    placement = Placement.BESIDE
    record_key = staticmethod(_keys.payload_key)

    @pytest_asyncio.fixture
    async def channel(self, redis_server: RedisServer) -> AsyncIterator[Channel]:
        self.store = MemoryStore()
        self.raw: Any = redis.asyncio.Redis(host="127.0.0.1", port=redis_server.endpoint.port)
        channel = RedisChannel(redis_server.endpoint, placement=self.placement, stores=[self.store])
        yield channel
        await channel.aclose()
        await self.raw.aclose()

    async def put_entry(self, channel: Channel, stream: str, fields: Mapping[bytes, bytes]) -> str:
        return str((await self.raw.xadd(stream, dict(fields))).decode())

    async def remove_entry(self, channel: Channel, stream: str, id: str) -> None:  # noqa: A002 - as in the base
        await self.raw.xdel(stream, id)

    async def spoil(self, channel: Channel, stream: str, message_id: str) -> None:
        await self.raw.lpush(self.record_key(stream, message_id), "not esb's")

    async def occupy(self, channel: Channel, stream: str) -> None:
        await self.raw.set(stream, "not a stream")

    async def destroy_group(self, channel: Channel, stream: str, group: str) -> None:
        await self.raw.xgroup_destroy(stream, group)

    async def lose_records(self, channel: Channel, stream: str, group: str) -> None:
        await self.raw.delete(_keys.floor_key(stream, group))

    async def delete_stream(self, channel: Channel, stream: str) -> None:
        await self.raw.delete(stream)

    async def dead_letters(self, channel: Channel, stream: str, group: str) -> Sequence[DeadLetter]:
        entries = await self.raw.xrange(_keys.dead_letter_stream(stream, group))
        return [
            DeadLetter(
                id=words[b"id"].decode(),
                message_id=words[b"message"].decode(),
                reason=words[b"reason"].decode(),
                attempts=int(words[b"attempts"]),
                traceback=words[b"traceback"].decode(),
            )
            for _, words in entries
        ]

    async def begin_epoch(self, channel: Channel, stream: str, group: str) -> None:
        await self.raw.incr(_keys.epoch_key(stream, group))

    async def consumers(self, channel: Channel, stream: str, group: str) -> Sequence[str]:
        return [info["name"].decode() for info in await self.raw.xinfo_consumers(stream, group)]


class TestHash(RedisConformance):
    """Payloads in hashes beside the entries."""

    async def drop_payload(self, channel: Channel, stream: str, message_id: str) -> None:
        await self.raw.delete(_keys.payload_key(stream, message_id))

    async def dead_payload(self, channel: Channel, stream: str, group: str, id: str) -> Mapping[str, bytes]:  # noqa: A002
        found = await self.raw.hgetall(_keys.dead_letter_payload_key(stream, group, id))
        return {name.decode(): value for name, value in found.items() if not name.startswith(b"@")}


class TestInline(RedisConformance):
    """Payloads inside the entries."""

    placement = Placement.INLINE
    record_key = staticmethod(_keys.dedup_key)

    async def dead_payload(self, channel: Channel, stream: str, group: str, id: str) -> Mapping[str, bytes]:  # noqa: A002
        letters = await channel.dead_letters(stream, group).page(count=100)
        (found,) = [each for each in letters if each.letter.id == id]
        return found.stored.arguments or {}


class TestExternal(RedisConformance):
    """Payloads in a store outside Redis."""

    placement = Placement.EXTERNAL
    record_key = staticmethod(_keys.dedup_key)

    async def drop_payload(self, channel: Channel, stream: str, message_id: str) -> None:
        await self.store.delete(stream, [message_id])


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(TestHash, set()), (TestInline, {"drop_payload"}), (TestExternal, {"dead_payload"})],
)
def test_nothing_is_skipped_by_oversight(kind: type[RedisConformance], missing: set[str]) -> None:
    """Every feature is on, and every hook is there but those that a placement has no use for."""
    assert kind.features == frozenset(Feature)
    hooks = {name for name, member in vars(ChannelSubject).items() if iscoroutinefunction(member)} - {"seats"}
    assert {name for name in hooks if getattr(kind, name) is getattr(ChannelSubject, name)} == missing


def test_every_placement_runs() -> None:
    """The suite runs for every place where the Redis channel can put payloads."""
    tested = {kind.placement for kind in (TestHash, TestInline, TestExternal)}
    assert tested == set(Placement)


pytestmark = pytest.mark.timeout(60)
