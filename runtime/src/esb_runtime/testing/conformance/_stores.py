"""What every payload store must do."""

from __future__ import annotations

from uuid import uuid4

import pytest

from ..._ports import PayloadStore
from ._subject import counted


class StoreConformance:
    """Give it a fixture `store`: an empty store, or one that others use too (streams are fresh)."""

    pytestmark = pytest.mark.asyncio

    @pytest.fixture
    def stream(self) -> str:
        """A key that no other test uses."""
        return f"conformance-{uuid4().hex}"

    async def test_name(self, store: PayloadStore) -> None:
        """A store's name is short text that entries can carry, and none of the names that mean Redis itself."""
        assert store.name.isprintable()
        assert 0 < len(store.name) <= 64
        assert store.name != "inline"

    async def test_saved_is_loaded(self, store: PayloadStore, stream: str) -> None:
        """What was saved is loaded byte for byte, in the order asked for."""
        payloads = {"one": {"a": bytes(range(256)), "größe": b""}, "two": {"a": b"x" * 100_000}, "three": {}}
        await store.save(stream, payloads)
        found = await store.load(stream, ["three", "one", "two"])
        assert found == [payloads["three"], payloads["one"], payloads["two"]]

    async def test_unknown_is_none(self, store: PayloadStore, stream: str) -> None:
        """What was never saved is None, beside what was."""
        await store.save(stream, {"here": counted(1)})
        assert await store.load(stream, ["nowhere", "here", "nowhere"]) == [None, counted(1), None]
        assert await store.load(stream, []) == []

    async def test_saving_again(self, store: PayloadStore, stream: str) -> None:
        """Saving again, as a retry does, changes nothing and is no error."""
        for _ in range(2):
            await store.save(stream, {"m": counted(1)})
        assert await store.load(stream, ["m"]) == [counted(1)]

    async def test_streams_are_apart(self, store: PayloadStore, stream: str) -> None:
        """The same message id in two streams is two payloads."""
        await store.save(stream, {"m": counted(1)})
        await store.save(f"{stream}-other", {"m": counted(2)})
        assert await store.load(stream, ["m"]) == [counted(1)]

    async def test_deleting(self, store: PayloadStore, stream: str) -> None:
        """What was deleted is gone; deleting what is not there is no error."""
        await store.save(stream, {"m": counted(1), "k": counted(2)})
        await store.delete(stream, ["m", "nowhere"])
        await store.delete(stream, ["m"])
        assert await store.load(stream, ["m", "k"]) == [None, counted(2)]

    @pytest.mark.parametrize("message_id", ["a/b", "../up", "ä" * 100, "with space", "x" * 512, "a:b{c}"])
    async def test_any_message_id(self, store: PayloadStore, stream: str, message_id: str) -> None:
        """Any message id that a caller may choose names a payload of its own."""
        await store.save(stream, {message_id: counted(1), "neighbour": counted(2)})
        assert await store.load(stream, [message_id, "neighbour"]) == [counted(1), counted(2)]
