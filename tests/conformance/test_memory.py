"""The in-memory twins under the suite that every adapter must pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import iscoroutinefunction

import pytest

from esb_runtime._ports import Channel, DeadLetter, Placement
from esb_runtime.memory import MemoryChannel, MemoryServer, MemoryStore
from esb_runtime.testing.conformance import ChannelConformance, ChannelSubject, Feature, StoreConformance


def server_of(channel: Channel) -> MemoryServer:
    """The server behind an in-memory channel."""
    assert isinstance(channel, MemoryChannel)
    return channel.server


class MemoryConformance(ChannelConformance):
    """What all placements have in common."""

    async def put_entry(self, channel: Channel, stream: str, fields: Mapping[bytes, bytes]) -> str:
        return server_of(channel).put_entry(stream, fields)

    async def remove_entry(self, channel: Channel, stream: str, id: str) -> None:  # noqa: A002 - as in the base
        server_of(channel).remove_entry(stream, id)

    async def spoil(self, channel: Channel, stream: str, message_id: str) -> None:
        server_of(channel).spoil(stream, message_id)

    async def occupy(self, channel: Channel, stream: str) -> None:
        server_of(channel).occupy(stream)

    async def destroy_group(self, channel: Channel, stream: str, group: str) -> None:
        server_of(channel).destroy_group(stream, group)

    async def lose_records(self, channel: Channel, stream: str, group: str) -> None:
        server_of(channel).step(lambda state: setattr(state.of_group(stream, group), "floor", None))

    async def delete_stream(self, channel: Channel, stream: str) -> None:
        server_of(channel).delete_stream(stream)

    async def dead_letters(self, channel: Channel, stream: str, group: str) -> Sequence[DeadLetter]:
        return [buried.letter for buried in server_of(channel).dead_letters(stream, group)]

    async def begin_epoch(self, channel: Channel, stream: str, group: str) -> None:
        server_of(channel).begin_epoch(stream, group)

    async def consumers(self, channel: Channel, stream: str, group: str) -> Sequence[str]:
        return server_of(channel).consumers(stream, group)


class ApartFromTheStore(MemoryConformance):
    """Placements whose payload goes to the dead letter with the event."""

    async def dead_payload(self, channel: Channel, stream: str, group: str, id: str) -> Mapping[str, bytes]:  # noqa: A002
        (buried,) = [each for each in server_of(channel).dead_letters(stream, group) if each.letter.id == id]
        return buried.stored.arguments or {}


class TestBeside(ApartFromTheStore):
    """Payloads beside the entries."""

    @pytest.fixture
    def channel(self) -> Channel:
        return MemoryChannel()

    async def drop_payload(self, channel: Channel, stream: str, message_id: str) -> None:
        server_of(channel).drop_payload(stream, message_id)


class TestInline(ApartFromTheStore):
    """Payloads inside the entries."""

    @pytest.fixture
    def channel(self) -> Channel:
        return MemoryChannel(placement=Placement.INLINE)


class TestExternal(MemoryConformance):
    """Payloads in a store of their own."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()

    @pytest.fixture
    def channel(self, store: MemoryStore) -> Channel:
        return MemoryChannel(placement=Placement.EXTERNAL, stores=[store])

    async def drop_payload(self, channel: Channel, stream: str, message_id: str) -> None:
        server_of(channel)
        await self.given.delete(stream, [message_id])

    @pytest.fixture(autouse=True)
    def _given(self, store: MemoryStore) -> None:
        self.given = store


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(TestBeside, set()), (TestInline, {"drop_payload"}), (TestExternal, {"dead_payload"})],
)
def test_nothing_is_skipped_by_oversight(kind: type[MemoryConformance], missing: set[str]) -> None:
    """Every feature is on, and every hook is there but those that a placement has no use for."""
    assert kind.features == frozenset(Feature)
    hooks = {name for name, member in vars(ChannelSubject).items() if iscoroutinefunction(member)} - {"seats"}
    assert {name for name in hooks if getattr(kind, name) is getattr(ChannelSubject, name)} == missing


class TestStore(StoreConformance):
    """The in-memory payload store."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        return MemoryStore()
