"""A payload store in memory, outside the channel: the twin of a bucket or a database."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from threading import Lock

from .._ports import PayloadStore


class MemoryStore(PayloadStore):
    """Keeps payloads in a dictionary. Share one object between everybody who should see the same payloads."""

    def __init__(self, name: str = "memory") -> None:
        self._name = name
        self._lock = Lock()
        self._payloads: dict[tuple[str, str], dict[str, bytes]] = {}

    @property
    def name(self) -> str:
        """The name that entries carry."""
        return self._name

    def __len__(self) -> int:
        return len(self._payloads)

    async def save(self, stream: str, payloads: Mapping[str, Mapping[str, bytes]], /) -> None:
        """Keep the arguments of each message id."""
        await asyncio.sleep(0)
        with self._lock:
            self._payloads |= {(stream, message_id): dict(given) for message_id, given in payloads.items()}

    async def load(self, stream: str, message_ids: Sequence[str], /) -> list[Mapping[str, bytes] | None]:
        """The arguments of each message id, in order; None where there are none."""
        await asyncio.sleep(0)
        with self._lock:
            found = [self._payloads.get((stream, message_id)) for message_id in message_ids]
        return [None if arguments is None else dict(arguments) for arguments in found]

    async def delete(self, stream: str, message_ids: Sequence[str], /) -> None:
        """Forget the arguments of each message id."""
        await asyncio.sleep(0)
        with self._lock:
            for message_id in message_ids:
                self._payloads.pop((stream, message_id), None)
